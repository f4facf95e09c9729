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
from airflow_provider_ollang.domain.values import mappings_of
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangOrderFailedError,
    OllangStaleResultError,
    OllangUnavailableError,
)
from airflow_provider_ollang.transfers._names import Naming, file_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

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
    warnings = []
    if wanted.outputs and order.get("status") not in DONE_STATUSES:
        unfinished = _unfinished(order, wanted)
        if not wanted.accept_unchanged:
            raise unfinished
        warnings.append(str(unfinished))
    documents = list(_documents(order, wanted))
    changed, fresh = None, frozenset[Document]()
    if wanted.rerun is not None and wanted.outputs:
        rerun, narrowed = _narrowed(wanted.rerun, order, wanted)
        changed, fresh = rerun.outputs_changed(narrowed), frozenset(rerun.new_outputs(narrowed))
        if not changed:
            stale = _stale(order, wanted, rerun.describe_comparison(narrowed))
            if not wanted.accept_unchanged:
                raise stale
            warnings.append(str(stale))
        elif not rerun.outputs_complete(narrowed):
            warnings.append(
                f"Order {wanted.order_id} has fewer new output documents than it had before the rerun, or some of them "
                "may be drafts that reviewed ones replace later."
            )
        if changed:
            # What else there is of the outputs was there before, has no type to tell by, or is a reviewer's draft.
            documents = [
                raw
                for raw in documents
                if document_kind(raw.get("type")) != "output" or Document.from_order_doc(raw) in fresh
            ]
        else:
            documents = _newest(documents, fresh)
    files: dict[str, File] = {}
    for raw in documents:
        file = _file(raw, None if changed is None else fresh)
        files.setdefault(file.key, file)
    link = order.get("vttUrl")
    if wanted.includes(VTT) and isinstance(link, str) and link:
        files[_VTT_KEY] = File(_VTT_KEY, None, None, VTT, None, "", None, link)
    if not files:
        raise _nothing(order, wanted)
    if without := [one for one in files.values() if not one.link]:
        raise OllangUnavailableError(
            f"{_told(order, wanted)}, and its {without[0].title} has no link, so it cannot be delivered yet.",
            order_id=wanted.order_id,
        )
    # The file of the vttUrl has no name of its own.
    title = f"{order.get('name') or 'subtitles'}.vtt"
    names = file_names(
        [Naming(one.key, title if one.is_vtt else one.name, one.type, one.link) for one in files.values()]
    )
    named = [dataclasses.replace(one, file_name=name) for one, name in zip(files.values(), names, strict=True)]
    return Plan(named, changed, warnings)


def find(order: Order, file: File) -> File | None:
    """Return a file as a fresh order has it, under the name it was planned with; ``None`` if it is gone."""
    if file.is_vtt:
        link = order.get("vttUrl")
        return dataclasses.replace(file, link=link) if isinstance(link, str) and link else None
    for raw in mappings_of(order.get("orderDocs")):
        found = _file(raw, None)
        if found.key == file.key and found.link:
            return dataclasses.replace(found, is_new=file.is_new, file_name=file.file_name)
    return None


def _file(raw: Mapping[str, Any], fresh: frozenset[Document] | None) -> File:
    document = Document.from_order_doc(raw)
    link, size = raw.get("url"), document.size
    link = link if isinstance(link, str) else ""
    # An id is documented; without one only what else it is tells a document from the others.
    key = document.id or json.dumps([document.type, document.name, link.partition("?")[0]])
    return File(
        key=key,
        document_id=document.id,
        name=document.name,
        type=document.type,
        size=int(size) if size is not None and size > 0 and size == int(size) else None,
        state=json.dumps([document.updated_at, document.created_at, size]),
        is_new=None if fresh is None or document_kind(document.type) != "output" else document in fresh,
        link=link,
    )


def _newest(documents: list[Mapping[str, Any]], fresh: frozenset[Document]) -> list[Mapping[str, Any]]:
    """Leave out the old documents of those types that have newer ones: both may be listed."""
    renewed = {plain_type(document.type) for document in fresh}
    return [
        raw for raw in documents if plain_type(raw.get("type")) not in renewed or Document.from_order_doc(raw) in fresh
    ]


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
        documents = [raw for raw in mappings_of(documents) if plain_type(raw.get("type")) in types]
    baseline = dataclasses.replace(rerun.baseline, outputs=kept)
    return dataclasses.replace(rerun, baseline=baseline), {**order, "orderDocs": documents}


def _told(order: Order, wanted: Wanted) -> str:
    return f"Order {wanted.order_id} is {order.get('status')!r}"


def _unfinished(order: Order, wanted: Wanted) -> OllangError:
    failed = order.get("status") in FAILURE_STATUSES
    kind = OllangOrderFailedError if failed else OllangUnavailableError
    first = "Look at the order in Ollang for the reason" if failed else "Wait for it with OllangOrderStatusSensor first"
    accepted = (
        "Delivering it all the same (on_unchanged='deliver')."
        if wanted.accept_unchanged
        else f"Nothing was delivered. {first}, or deliver what is there with on_unchanged='deliver'."
    )
    return kind(
        f"{_told(order, wanted)}, so what it has now may not be its result. {accepted}", order_id=wanted.order_id
    )


def _stale(order: Order, wanted: Wanted, compared: str) -> OllangStaleResultError:
    accepted = (
        "Delivering what is there (on_unchanged='deliver')."
        if wanted.accept_unchanged
        else "Nothing was delivered. Wait for it with OllangOrderStatusSensor(rerun=...) first, or accept what is "
        "there with on_unchanged='deliver'."
    )
    return OllangStaleResultError(
        f"{_told(order, wanted)}, but not every type of output is newer than before the rerun: {compared}. {accepted}",
        order_id=wanted.order_id,
    )


def _nothing(order: Order, wanted: Wanted) -> OllangError:
    there = sorted({f"{raw.get('type')!r:.80}" for raw in mappings_of(order.get("orderDocs"))})
    asked = f"kinds {', '.join(wanted.kinds)}" + (f" and types {', '.join(wanted.types)}" if wanted.types else "")
    of_kind = [raw for raw in mappings_of(order.get("orderDocs")) if document_kind(raw.get("type")) in wanted.kinds]
    missing = f"{_told(order, wanted)} and has nothing to deliver of the {asked}; it has {', '.join(there) or 'none'}."
    if wanted.types is not None and of_kind and order.get("status") in DONE_STATUSES:
        return OllangConfigurationError(f"{missing} Correct document_types.", order_id=wanted.order_id)
    return OllangUnavailableError(f"{missing} It may come later.", order_id=wanted.order_id)


def _documents(order: Order, wanted: Wanted) -> Iterator[Mapping[str, Any]]:
    return (raw for raw in mappings_of(order.get("orderDocs")) if wanted.includes(raw.get("type")))
