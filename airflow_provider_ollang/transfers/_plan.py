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
class Wanted:
    """
    What a task is to deliver.

    :param order_id: the order.
    :param kinds: of :func:`~airflow_provider_ollang.domain.orders.document_kind`.
    :param types: document types to narrow that to; ``None`` is all.
    :param rerun: the rerun whose result it must be.
    :param accept_unchanged: whether to take what is there for types that have nothing newer, and of an order that is
        not finished.
    """

    order_id: str
    kinds: Collection[str] = ("output",)
    types: Collection[str] | None = None
    rerun: Rerun | None = None
    accept_unchanged: bool = False

    @property
    def outputs(self) -> bool:
        """Whether any output is wanted, which alone can be told from those before a rerun."""
        return "output" in self.kinds and (
            self.types is None or any(document_kind(one) == "output" for one in self.types)
        )

    def includes(self, document_type: object) -> bool:
        """Tell whether documents of this type are wanted."""
        return document_kind(document_type) in self.kinds and (
            self.types is None or plain_type(document_type) in {plain_type(wanted) for wanted in self.types}
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


def plan(order: Order, wanted: Wanted) -> Plan:
    """
    Choose the files of an order.

    :param order: as ``GET`` answered it.
    :raises OllangOrderFailedError: the order failed or was cancelled.
    :raises OllangStaleResultError: not every wanted type of output is newer than before the rerun.
    :raises OllangUnavailableError: the order is not finished, or there is nothing to deliver, or no link to it, yet.
    :raises OllangConfigurationError: the order has documents, and none of a wanted type.
    """
    warnings = check_finished(order, wanted)
    selection = select_documents(order, wanted)
    files = list_files(order, wanted, selection)
    require_urls(order, wanted, files)
    return Plan(assign_names(order, files), selection.outputs_changed, [*warnings, *selection.warnings])


def check_finished(order: Order, wanted: Wanted) -> list[str]:
    """Refuse the outputs of an order that is not finished, or return a warning where they are accepted."""
    status = order.get("status")
    if not wanted.outputs or status in DONE_STATUSES:
        return []
    problem = f"{_told(order, wanted)}, so what it has now may not be its result."
    if wanted.accept_unchanged:
        return [f"{problem} Delivering it all the same (on_unchanged='deliver')."]
    failed = status in FAILURE_STATUSES
    first = "Check the order in Ollang for the reason" if failed else "Wait for it with OllangOrderStatusSensor first"
    raise (OllangOrderFailedError if failed else OllangUnavailableError)(
        f"{problem} Nothing was delivered. {first}, or deliver what is there with on_unchanged='deliver'.",
        order_id=wanted.order_id,
    )


@dataclass(frozen=True)
class Selection:
    """
    The documents to deliver.

    :param documents: by what names each within its order.
    :param outputs_changed: whether every wanted type of output is newer than before the rerun; ``None`` without one.
    :param fresh: those that are newer.
    :param warnings: what a user should know.
    """

    documents: list[tuple[str, Mapping[str, Any]]]
    outputs_changed: bool | None = None
    fresh: frozenset[Document] = frozenset()
    warnings: tuple[str, ...] = ()


def select_documents(order: Order, wanted: Wanted) -> Selection:
    """Choose the wanted documents; after a rerun only outputs that are newer than before it."""
    documents = [(key, raw) for key, raw in _keyed(order) if wanted.includes(raw.get("type"))]
    if wanted.rerun is None or not wanted.outputs:
        return Selection(documents)
    rerun, narrowed = _narrowed(wanted.rerun, order, wanted)
    fresh = frozenset(rerun.new_outputs(narrowed))
    if not rerun.outputs_changed(narrowed):
        compared = rerun.describe_comparison(narrowed)
        stale = f"{_told(order, wanted)}, but not every type of output is newer than before the rerun: {compared}."
        if not wanted.accept_unchanged:
            raise OllangStaleResultError(
                f"{stale} Nothing was delivered. Wait for it with OllangOrderStatusSensor(rerun=...) first, or accept "
                "what is there with on_unchanged='deliver'.",
                order_id=wanted.order_id,
            )
        # Both the old and the newer documents of a type may be listed.
        renewed = {plain_type(document.type) for document in fresh}
        newest = [
            (key, raw)
            for key, raw in documents
            if plain_type(raw.get("type")) not in renewed or Document.from_order_doc(raw) in fresh
        ]
        warning = f"{stale} Delivering what is there (on_unchanged='deliver')."
        return Selection(newest, outputs_changed=False, fresh=fresh, warnings=(warning,))
    # What else there is of the outputs was there before, has no type to tell by, or is a reviewer's draft.
    newer = [
        (key, raw)
        for key, raw in documents
        if document_kind(raw.get("type")) != "output" or Document.from_order_doc(raw) in fresh
    ]
    fewer = f"Order {wanted.order_id} has fewer new output documents than it had before the rerun."
    warnings = () if rerun.outputs_complete(narrowed) else (fewer,)
    return Selection(newer, outputs_changed=True, fresh=fresh, warnings=warnings)


def list_files(order: Order, wanted: Wanted, selection: Selection) -> list[File]:
    """Return each file once, and the one behind ``vttUrl``, at least one in all; without names yet."""
    fresh = None if selection.outputs_changed is None else selection.fresh
    files: dict[str, File] = {}
    for key, raw in selection.documents:
        files.setdefault(key, _file(key, raw, fresh))
    link = order.get("vttUrl")
    if wanted.includes(VTT) and isinstance(link, str) and link:
        files[_VTT_KEY] = File(_VTT_KEY, None, None, VTT, None, "", None, link)
    if not files:
        raise _nothing(order, wanted)
    return list(files.values())


def require_urls(order: Order, wanted: Wanted, files: list[File]) -> None:
    """Require that each file has a URL."""
    if without := [file for file in files if not file.link]:
        raise OllangUnavailableError(
            f"{_told(order, wanted)}, and its {without[0].title} has no link, so it cannot be delivered yet.",
            order_id=wanted.order_id,
        )


def assign_names(order: Order, files: list[File]) -> list[File]:
    """Return the files with the names to deliver them under."""
    # The file of the vttUrl has no name of its own.
    title = f"{order.get('name') or 'subtitles'}.vtt"
    names = file_names([Naming(file.key, title if file.is_vtt else file.name, file.type, file.link) for file in files])
    return [dataclasses.replace(file, file_name=name) for file, name in zip(files, names, strict=True)]


def refreshed(order: Order, files: Iterable[File]) -> dict[str, File | None]:
    """Return files as a fresh order has them, under the names they were planned with; ``None`` for one that is gone."""
    link = order.get("vttUrl")
    # Of a document that is listed twice the first counts.
    documents = dict(reversed(_keyed(order)))
    result: dict[str, File | None] = {}
    for file in files:
        if file.is_vtt:
            latest = dataclasses.replace(file, link=link if isinstance(link, str) else "")
        elif file.key in documents:
            fresh = _file(file.key, documents[file.key], None)
            latest = dataclasses.replace(fresh, is_new=file.is_new, file_name=file.file_name)
        else:
            latest = dataclasses.replace(file, link="")
        result[file.key] = latest if latest.link else None
    return result


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


def _narrowed(rerun: Rerun, order: Order, wanted: Wanted) -> tuple[Rerun, Order]:
    """Return a rerun and an order that know only documents of the wanted types, so that no other type counts."""
    types = {plain_type(one) for one in wanted.types or ()} - {VTT}
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


def _told(order: Order, wanted: Wanted) -> str:
    return f"Order {wanted.order_id} is {order.get('status')!r}"


def _nothing(order: Order, wanted: Wanted) -> OllangError:
    there = sorted({f"{raw.get('type')!r:.80}" for raw in only_mappings(order.get("orderDocs"))})
    asked = f"kinds {', '.join(wanted.kinds)}" + (f" and types {', '.join(wanted.types)}" if wanted.types else "")
    of_kind = [raw for raw in only_mappings(order.get("orderDocs")) if document_kind(raw.get("type")) in wanted.kinds]
    missing = f"{_told(order, wanted)} and has nothing to deliver of the {asked}; it has {', '.join(there) or 'none'}."
    if wanted.types is not None and of_kind and order.get("status") in DONE_STATUSES:
        return OllangConfigurationError(f"{missing} Correct document_types.", order_id=wanted.order_id)
    return OllangUnavailableError(f"{missing} It may come later.", order_id=wanted.order_id)
