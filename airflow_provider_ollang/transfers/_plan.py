"""Which files of an order are delivered, and under which names: pure rules over the order's JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.domain.orders import (
    DONE_STATUSES,
    FAILURE_STATUSES,
    Document,
    Order,
    document_kind,
    plain_type,
)
from airflow_provider_ollang.domain.values import only_mappings
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangOrderFailedError,
    OllangStaleResultError,
    OllangUnavailableError,
)
from airflow_provider_ollang.transfers._names import Naming, file_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from airflow_provider_ollang.domain.freshness import Rerun

#: The type of the file behind the order's ``vttUrl``, which is no document.
VTT = "vtt"
#: No document has it.
_VTT_KEY = ""
KINDS = ("output", "auxiliary", "source")


@dataclass(frozen=True)
class Criteria:
    """
    What a task is to deliver.

    :param order_id: the order.
    :param kinds: of :func:`~airflow_provider_ollang.domain.orders.document_kind`.
    :param types: document types to narrow that to; ``None`` is all.
    :param rerun: the rerun whose result it must be.
    :param accept_unchanged: whether to take what is there for types that have nothing newer, and of an order that is
        not finished.
    :param is_approved: whether a wait has found that a human review approved outputs as they were.
    """

    order_id: str
    kinds: Collection[str] = ("output",)
    types: Collection[str] | None = None
    rerun: Rerun | None = None
    accept_unchanged: bool = False
    is_approved: bool = False

    @property
    def outputs(self) -> bool:
        """Whether any output is wanted, which alone can be told from those before a rerun."""
        return "output" in self.kinds and (
            self.types is None or any(document_kind(one) == "output" for one in self.types)
        )

    def includes(self, document_type: object) -> bool:
        """Tell whether documents of this type are wanted."""
        return document_kind(document_type) in self.kinds and (
            self.types is None or plain_type(document_type) in set(map(plain_type, self.types))
        )


@dataclass(frozen=True)
class File:
    """
    One file to deliver.

    :param key: names it within its order.
    :param document_id: ``None`` for the file behind ``vttUrl``.
    :param name: what Ollang calls it.
    :param type: its document type.
    :param size: bytes, as the order says; ``None`` if it does not.
    :param state: changes when the document does.
    :param is_new: whether it is newer than before the rerun; ``None`` if nothing tells.
    :param link: signed, expires; never shown.
    :param file_name: the name to deliver it under.
    """

    key: str
    document_id: str | None
    name: str | None
    type: str | None
    size: int | None
    state: str
    is_new: bool | None
    link: str = dataclasses.field(repr=False)
    file_name: str = ""

    @property
    def title(self) -> str:
        """What messages call it."""
        if self.is_vtt:
            return "the file of its vttUrl"
        return f"document {self.document_id!r:.80} ({self.type!r:.80}, named {self.name!r:.120})"

    @property
    def is_vtt(self) -> bool:
        """Whether it is the file behind the order's ``vttUrl``."""
        return self.key == _VTT_KEY


@dataclass(frozen=True)
class Plan:
    """
    What to deliver.

    :param files: each once.
    :param outputs_changed: whether every wanted type of output is newer than before the rerun; ``None`` without one.
    :param warnings: what somebody should know.
    """

    files: list[File]
    outputs_changed: bool | None
    warnings: list[str]


def plan(order: Order, criteria: Criteria) -> Plan:
    """
    Choose the files of an order.

    :param order: as ``GET`` answered it.
    :raises OllangOrderFailedError: the order failed or was cancelled.
    :raises OllangStaleResultError: not every wanted type of output is newer than before the rerun.
    :raises OllangUnavailableError: the order is not finished, or there is nothing to deliver, or no link to it, yet.
    :raises OllangConfigurationError: the order has documents, and none of a wanted type.
    """
    warnings = check_finished(order, criteria)
    selection = select_documents(order, criteria)
    files = list(list_files(order, criteria, selection).values())
    require_urls(order, criteria, files)
    return Plan(assign_names(order, files), selection.outputs_changed, [*warnings, *selection.warnings])


def check_finished(order: Order, criteria: Criteria) -> list[str]:
    """Refuse the outputs of an order that is not finished, or return a warning where they are accepted."""
    status = order.get("status")
    if not criteria.outputs or status in DONE_STATUSES:
        return []
    problem = f"{_status_of(order, criteria)}, so what it has now may not be its result."
    if criteria.accept_unchanged:
        return [f"{problem} Delivering it all the same (on_unchanged='deliver')."]
    failed = status in FAILURE_STATUSES
    first = "Check the order in Ollang for the reason" if failed else "Wait for it with OllangOrderStatusSensor first"
    raise (OllangOrderFailedError if failed else OllangUnavailableError)(
        f"{problem} Nothing was delivered. {first}, or deliver what is there with on_unchanged='deliver'.",
        order_id=criteria.order_id,
    )


@dataclass(frozen=True)
class Selection:
    """
    The documents to deliver.

    :param documents: by what names each within its order.
    :param outputs_changed: whether every wanted type of output is newer than before the rerun; ``None`` without one.
    :param fresh: the outputs that are newer; ``None`` without a rerun.
    :param warnings: what a user should know.
    """

    documents: list[tuple[str, Mapping[str, Any]]]
    outputs_changed: bool | None = None
    fresh: frozenset[Document] | None = None
    warnings: tuple[str, ...] = ()


def select_documents(order: Order, criteria: Criteria) -> Selection:
    """Choose the wanted documents; after a rerun only outputs that are newer than before it."""
    documents = [(key, raw) for key, raw in _keyed(order) if criteria.includes(raw.get("type"))]
    if criteria.rerun is None or not criteria.outputs:
        return Selection(documents)
    rerun, narrowed = _narrowed(criteria.rerun, order, criteria)
    changed = rerun.outputs_changed(narrowed)
    fresh = frozenset(rerun.new_outputs(narrowed))
    warnings: tuple[str, ...] = ()
    if not changed:
        compared = rerun.describe_comparison(narrowed)
        stale = (
            f"{_status_of(order, criteria)}, but not every type of output is newer than before the {rerun.noun}: "
            f"{compared}."
        )
        if not (criteria.accept_unchanged or criteria.is_approved):
            raise OllangStaleResultError(
                f"{stale} Nothing was delivered. Wait for it with OllangOrderStatusSensor(rerun=...) first, or accept "
                "what is there with on_unchanged='deliver'.",
                order_id=criteria.order_id,
            )
        reason = "the review approved it" if criteria.is_approved else "on_unchanged='deliver'"
        warnings = (f"{stale} Delivering what is there ({reason}).",)
    elif not rerun.outputs_complete(narrowed):
        warnings = (f"Order {criteria.order_id} has fewer new output documents than it had before the {rerun.noun}.",)
    renewed = {plain_type(document.type) for document in fresh}

    def counts(raw: Mapping[str, Any]) -> bool:
        # What else there is of these outputs was there before, has no type to tell by, or is a reviewer's draft.
        kind = raw.get("type")
        is_renewed = document_kind(kind) == "output" and (changed or plain_type(kind) in renewed)
        return not is_renewed or Document.from_order_doc(raw) in fresh

    return Selection([(key, raw) for key, raw in documents if counts(raw)], changed, fresh, warnings)


def list_files(order: Order, criteria: Criteria, selection: Selection) -> dict[str, File]:
    """Return each file once by its key, and the one behind ``vttUrl``; without names yet."""
    files: dict[str, File] = {}
    for key, raw in selection.documents:
        files.setdefault(key, _file(key, raw, selection.fresh))
    link = order.get("vttUrl")
    if criteria.includes(VTT) and isinstance(link, str) and link:
        files[_VTT_KEY] = File(_VTT_KEY, None, None, VTT, None, "", None, link)
    return files


def require_urls(order: Order, criteria: Criteria, files: list[File]) -> None:
    """Require that there are files, and that each has a URL."""
    if not files:
        raise _nothing(order, criteria)
    if without := [file for file in files if not file.link]:
        raise OllangUnavailableError(
            f"{_status_of(order, criteria)}, and its {without[0].title} has no link, so it cannot be delivered yet.",
            order_id=criteria.order_id,
        )


def assign_names(order: Order, files: list[File]) -> list[File]:
    """Return the files with the names to deliver them under."""
    # The file of the vttUrl has no name of its own.
    title = f"{order.get('name') or 'subtitles'}.vtt"
    names = file_names([Naming(file.key, title if file.is_vtt else file.name, file.type, file.link) for file in files])
    return [dataclasses.replace(file, file_name=name) for file, name in zip(files, names, strict=True)]


def refreshed(order: Order, criteria: Criteria, files: Iterable[File]) -> dict[str, File]:
    """
    Return files as a fresh order has them, by key, under the names they were planned with; without those that are gone.

    :raises OllangStaleResultError: the order does not show what is newer than before the rerun any more.
    """
    latest = list_files(order, criteria, select_documents(order, criteria))
    return {
        file.key: dataclasses.replace(latest[file.key], file_name=file.file_name)
        for file in files
        if file.key in latest and latest[file.key].link
    }


def _keyed(order: Order) -> list[tuple[str, Mapping[str, Any]]]:
    """
    Return the documents of an order with what names each: its id, or, if it has none or shares it, what else it is.

    A document that is listed twice has one key.
    """
    documents = list(only_mappings(order.get("orderDocs")))
    described = []
    ids: dict[str, set[str]] = {}
    for raw in documents:
        document, link = Document.from_order_doc(raw), raw.get("url")
        path = link.partition("?")[0] if isinstance(link, str) else ""
        description = json.dumps([document.type, document.name, path])
        described.append((document.id, description))
        ids.setdefault(document.id or "", set()).add(description)
    return [
        (key if key and len(ids[key]) == 1 else f"{key or ''}{description}", raw)
        for (key, description), raw in zip(described, documents, strict=True)
    ]


def _file(key: str, raw: Mapping[str, Any], fresh: frozenset[Document] | None) -> File:
    document = Document.from_order_doc(raw)
    link, size = raw.get("url"), document.size
    return File(
        key=key,
        document_id=document.id,
        name=document.name,
        type=document.type,
        size=int(size) if size is not None and size >= 0 and size == int(size) else None,
        state=json.dumps([document.updated_at, document.created_at, *document.measures]),
        is_new=None if fresh is None or document_kind(document.type) != "output" else document in fresh,
        link=link if isinstance(link, str) else "",
    )


def _narrowed(rerun: Rerun, order: Order, criteria: Criteria) -> tuple[Rerun, Order]:
    """Return a rerun and an order that know only documents of the wanted types, so that no other type counts."""
    types = {plain_type(one) for one in criteria.types or ()} - {VTT}
    if not types:
        # A vttUrl is made from the outputs, and has nothing else to tell its age by.
        return rerun, order
    before = rerun.baseline.outputs
    kept = None if before is None else [document for document in before if plain_type(document.type) in types]
    documents = order.get("orderDocs")
    if isinstance(documents, list):
        documents = [raw for raw in only_mappings(documents) if plain_type(raw.get("type")) in types]
    baseline = dataclasses.replace(rerun.baseline, outputs=kept)
    return dataclasses.replace(rerun, baseline=baseline), {**order, "orderDocs": documents}


def _status_of(order: Order, criteria: Criteria) -> str:
    return f"Order {criteria.order_id} is {order.get('status')!r}"


def _nothing(order: Order, criteria: Criteria) -> OllangError:
    there = sorted({f"{raw.get('type')!r:.80}" for raw in only_mappings(order.get("orderDocs"))})
    asked = f"kinds {', '.join(criteria.kinds)}" + (f" and types {', '.join(criteria.types)}" if criteria.types else "")
    of_kind = [raw for raw in only_mappings(order.get("orderDocs")) if document_kind(raw.get("type")) in criteria.kinds]
    missing = (
        f"{_status_of(order, criteria)} and has nothing to deliver of the {asked}; it has {', '.join(there) or 'none'}."
    )
    if criteria.types is not None and of_kind and order.get("status") in DONE_STATUSES:
        return OllangConfigurationError(f"{missing} Correct document_types.", order_id=criteria.order_id)
    return OllangUnavailableError(f"{missing} It may come later.", order_id=criteria.order_id)
