"""An order just before its rerun: what later polls are compared with."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.domain.evaluations import Evaluation
from airflow_provider_ollang.domain.orders import Document, Order, output_documents, plain_type
from airflow_provider_ollang.domain.values import only_mappings, parse_number, parse_text, parse_time

if TYPE_CHECKING:
    from datetime import datetime


_MOST_COMPARED = 100


class DocumentVersions:
    """Documents of a baseline, each of which may be an earlier version of the document that a later poll shows."""

    def __init__(self) -> None:
        self._documents: set[Document] = set()

    def add(self, document: Document) -> None:
        """Add a document; only before anything is asked."""
        self._documents.add(document)

    @cached_property
    def times(self) -> set[datetime | None]:
        """The newest time of each; ``None`` for an undated one."""
        return {document.newest_time for document in self._documents}

    @cached_property
    def newest_time(self) -> datetime | None:
        """The newest time of all; ``None`` if all are undated."""
        return max((time for time in self.times if time), default=None)

    @cached_property
    def _measures(self) -> list[set[float | None]]:
        """All sizes, all numbers of words, and all durations."""
        return [set(column) for column in zip(*(document.measures for document in self._documents), strict=True)]

    def are_all_earlier_than(self, document: Document) -> bool:
        """
        Tell whether a document is a later version of whichever of these it is.

        Thousands without ids are not compared each with each: beyond :data:`_MOST_COMPARED` it is later if it is dated
        later than all, or else if it is dated earlier than none and has a size, number of words or duration that none
        has.
        """
        if len(self._documents) <= _MOST_COMPARED:
            return all(map(document.differs_from, self._documents))
        time, newest = document.newest_time, self.newest_time
        if time and newest and time != newest:
            return time > newest and None not in self.times
        return any(
            measure is not None and None not in others and measure not in others
            for measure, others in zip(document.measures, self._measures, strict=True)
        )


@dataclass(frozen=True)
class Baseline:
    """
    What an order looked like just before it was rerun.

    :param status: its status.
    :param level: 0 is AI only, 1 is with human review; ``None`` if the order did not say.
    :param events: its ``deliveryEvents`` as sorted JSON texts, a multiset; ``None`` if the order had no such list.
    :param newest_event: time of the latest of them.
    :param outputs: its output documents; ``None`` if the order had no document list at all.
    :param evaluation: ``{"id", "created_at"}`` of its evaluation.
    """

    status: str | None
    level: float | None
    events: list[str] | None
    newest_event: str | None
    outputs: list[Document] | None
    evaluation: dict[str, str | None] | None

    @classmethod
    def from_order(cls, order: Order) -> Baseline:
        """Take the baseline of an order as ``GET`` answered it."""
        raw_events = order.get("deliveryEvents")
        events = list(only_mappings(raw_events)) if isinstance(raw_events, list) else None
        dated = [
            (time, parse_text(event.get("occurredAt"))) for event in events or [] if (time := parse_occurred(event))
        ]
        evaluation = Evaluation.of_order(order)
        return cls(
            status=parse_text(order.get("status")),
            level=parse_number(order.get("level")),
            events=None if events is None else sorted(_to_text(event) for event in events),
            newest_event=max(dated)[1] if dated else None,
            outputs=output_documents(order) if isinstance(order.get("orderDocs"), list) else None,
            evaluation=None if evaluation is None else evaluation.key,
        )

    @cached_property
    def types(self) -> Counter[str]:
        """How many output documents it has of each type."""
        return Counter(plain_type(document.type) for document in self.outputs or [] if document.type)

    @cached_property
    def _versions(self) -> dict[tuple[str, str | None], DocumentVersions]:
        """Its output documents by id, by type, and those without id by type; made once, for there may be thousands."""
        versions: dict[tuple[str, str | None], DocumentVersions] = defaultdict(DocumentVersions)
        for document in self.outputs or []:
            kind = plain_type(document.type)
            versions["type", kind].add(document)
            versions[("id", document.id) if document.id is not None else ("type, no id", kind)].add(document)
        return dict(versions)

    def versions_of(self, document: Document) -> DocumentVersions | None:
        """
        Return what may be earlier versions of a document.

        :return: those of its id, or of its type where an id is missing; ``None`` if there are none.
        """
        kind = plain_type(document.type)
        if document.id is None:
            return self._versions.get(("type", kind))
        return self._versions.get(("id", document.id)) or self._versions.get(("type, no id", kind))

    def newest_of_type(self, document: Document) -> datetime | None:
        """Return the newest time of its documents of a document's type."""
        versions = self._versions.get(("type", plain_type(document.type)))
        return versions.newest_time if versions is not None else None

    def to_json(self) -> dict[str, Any]:
        """Return the baseline as a plain dict for an XCom."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Baseline:
        """
        Read what :meth:`to_json` returned.

        :raises KeyError, TypeError: it is something else.
        """
        outputs, events, evaluation = value["outputs"], value["events"], value["evaluation"]
        if not (
            (events is None or isinstance(events, list))
            and (value["level"] is None or parse_number(value["level"]) is not None)
            and (evaluation is None or (isinstance(evaluation, Mapping) and {"id", "created_at"} <= evaluation.keys()))
        ):
            raise TypeError("no baseline")
        return cls(
            status=value["status"],
            level=value["level"],
            events=events,
            newest_event=value["newest_event"],
            outputs=None if outputs is None else [Document(**document) for document in outputs],
            evaluation=None if evaluation is None else dict(evaluation),
        )


def parse_occurred(event: Mapping[str, Any]) -> datetime | None:
    """Return when a delivery event occurred; ``None`` if it does not say."""
    return parse_time(event.get("occurredAt"))


def _to_text(event: Mapping[str, Any]) -> str:
    return json.dumps([parse_text(event.get(key)) for key in ("type", "occurredAt", "actorType", "actorId")])
