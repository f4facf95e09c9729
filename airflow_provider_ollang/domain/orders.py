"""
What an Ollang order is: its statuses, and its documents.

Pure functions over the JSON of `Get Order by ID`. Every field of that response may be missing, null or of another type,
so nothing here raises because of what an order holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

from airflow_provider_ollang.domain.values import only_mappings, parse_number, parse_text, parse_time

Order = Mapping[str, Any]
Readiness = Literal["ready", "running", "not_eligible"]

#: Statuses in which an order has a result and may be rerun.
DONE_STATUSES = frozenset({"completed", "delivered"})
#: Statuses from which no result comes; used by Ollang's own polling code, though by no page of its documentation.
FAILURE_STATUSES = frozenset({"failed", "cancelled"})
#: The status of an order that is paused at a review gate.
REVIEW_GATE = "review"
#: Statuses that usually last until a person at the customer or at Ollang acts.
ATTENTION_STATUSES = frozenset({REVIEW_GATE, "waitingForApprove", "revision", "delayed"})
#: Every status on record. The set is open: an unknown one means "not finished".
KNOWN_STATUSES = (
    DONE_STATUSES
    | FAILURE_STATUSES
    | ATTENTION_STATUSES
    | {"pending", "ongoing", "waitingForCC", "waitingForSubtitle", "qualityCheck", "readyToSent"}
)
#: In these an order is neither finished nor on its way to a new result.
_NOT_ELIGIBLE = FAILURE_STATUSES | {"revision", REVIEW_GATE, "waitingForApprove", "readyToSent"}

MAX_LISTED_OUTPUTS = 100

_AUXILIARY_TYPES = frozenset(
    {
        "characterlist",
        "compressedvideo",
        "embeddedvideo",
        "glossary",
        "guideline",
        "guidelineglossary",
        "invoice",
        "sourcevocalsonlyaudio",
        "subtitleembeddedvideo",
        "thumbnail",
        "waveform",
    }
)


def document_kind(document_type: object) -> Literal["source", "auxiliary", "output"]:
    """
    Tell what a document of an order is for.

    :param document_type: its ``type``; camelCase and snake_case are both on record.
    :return: ``"source"`` (what was uploaded), ``"auxiliary"`` (invoice, waveform, …: says nothing about a result)
        or ``"output"`` (everything else).
    """
    name = plain_type(document_type)
    if name.startswith("source"):
        return "source"
    return "auxiliary" if name.removeprefix("created") in _AUXILIARY_TYPES else "output"


def rerun_readiness(status: str) -> Readiness:
    """
    Tell whether an order in this status can be rerun.

    :return: ``"ready"``; ``"running"``: it will be once its current run is finished; ``"not_eligible"``: a person
        has to act first.
    """
    if status in DONE_STATUSES:
        return "ready"
    return "not_eligible" if status in _NOT_ELIGIBLE else "running"


def shows_running(status: str) -> bool:
    """Tell whether an order in this status is running; :meth:`Rerun.shows_running` tells whether it is the rerun."""
    return status not in DONE_STATUSES | FAILURE_STATUSES | {"revision"}


@dataclass(frozen=True)
class Document:
    """One output document of an order, without its links; times as the API gave them."""

    id: str | None
    type: str | None
    name: str | None
    size: float | None
    word_count: float | None
    duration: float | None
    created_at: str | None
    updated_at: str | None

    @classmethod
    def from_order_doc(cls, doc: Order) -> Document:
        """Read an item of ``orderDocs``."""
        return cls(
            id=parse_text(doc.get("id")),
            type=parse_text(doc.get("type")),
            name=parse_text(doc.get("name")),
            size=parse_number(doc.get("size")),
            word_count=parse_number(doc.get("wordCount")),
            duration=parse_number(doc.get("duration")),
            created_at=parse_text(doc.get("createdAt")),
            updated_at=parse_text(doc.get("updatedAt")),
        )

    @cached_property
    def times(self) -> tuple[datetime | None, datetime | None]:
        """When it was updated, and when it was created; ``None`` where it does not say."""
        return parse_time(self.updated_at), parse_time(self.created_at)

    @cached_property
    def newest_time(self) -> datetime | None:
        """The later of its two times."""
        updated, created = self.times
        return max(updated, created) if updated and created else updated or created

    @property
    def measures(self) -> tuple[float | None, float | None, float | None]:
        """Its size, words and duration; ``None`` where it does not say."""
        return self.size, self.word_count, self.duration

    def is_dated_by(self, time: datetime) -> bool:
        """Tell whether its own time is no later than this one."""
        return self.newest_time is not None and self.newest_time <= time

    def differs_from(self, earlier: Document) -> bool:
        """Tell whether this is a later version of the same document; a value unknown on one side proves nothing."""
        is_older = False
        for mine, theirs in zip(self.times, earlier.times, strict=True):
            if mine and theirs and mine > theirs:
                return True
            is_older = is_older or bool(mine and theirs and mine < theirs)
        if is_older:
            return False
        return any(
            mine is not None and theirs is not None and mine != theirs
            for mine, theirs in zip(self.measures, earlier.measures, strict=True)
        )


def output_documents(order: Order) -> list[Document]:
    """Return the output documents of an order, newest first, undated ones last."""
    docs = only_mappings(order.get("orderDocs"))
    outputs = [Document.from_order_doc(doc) for doc in docs if document_kind(doc.get("type")) == "output"]
    oldest = datetime.min.replace(tzinfo=UTC)
    return sorted(outputs, key=lambda document: document.newest_time or oldest, reverse=True)


def plain_type(name: object) -> str:
    """Return a type of document as types are compared: case and ``_`` do not count."""
    return name.casefold().replace("_", "") if isinstance(name, str) else ""
