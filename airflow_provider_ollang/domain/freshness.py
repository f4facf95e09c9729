"""Whether an order's result is new: the state before a rerun, and the evidence after it."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.domain.evaluations import Evaluation
from airflow_provider_ollang.domain.goals import EvaluationGoal
from airflow_provider_ollang.domain.orders import (
    MAX_LISTED_OUTPUTS,
    Document,
    Order,
    output_documents,
    plain_type,
    shows_running,
)
from airflow_provider_ollang.domain.values import mappings_of, number_of, parse_time, text_of

if TYPE_CHECKING:
    from datetime import datetime


class _Group:
    """Documents of a baseline that might be earlier states of one and the same document."""

    def __init__(self) -> None:
        self._documents: set[Document] = set()

    def add(self, document: Document) -> None:
        self._documents.add(document)

    @cached_property
    def newest_times(self) -> set[datetime | None]:
        return {one.newest_time for one in self._documents}

    @cached_property
    def newest_time(self) -> datetime | None:
        return max((time for time in self.newest_times if time), default=None)

    @cached_property
    def _latest(self) -> tuple[datetime | None, ...]:
        """The latest update and creation; ``None`` where one of the documents does not say."""
        columns = zip(*(one.times for one in self._documents), strict=True)
        return tuple(None if None in column else max(time for time in column if time) for column in columns)

    def are_all_earlier_than(self, document: Document) -> bool:
        """Tell whether a document is a later state of whichever of these it is."""
        if len(self._documents) == 1:
            return all(map(document.differs_from, self._documents))
        # Without these two a poll of thousands of documents without ids would compare each with each.
        if document in self._documents:
            return False
        if any(mine and latest and mine > latest for mine, latest in zip(document.times, self._latest, strict=True)):
            return True
        return all(document.differs_from(one) for one in self._documents)


@dataclass(frozen=True)
class Baseline:
    """
    What an order looked like just before it was rerun: all later looks are compared with it.

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
        events = list(mappings_of(raw_events)) if isinstance(raw_events, list) else None
        dated = [(time, text_of(event.get("occurredAt"))) for event in events or [] if (time := _occurred(event))]
        evaluation = Evaluation.of_order(order)
        return cls(
            status=text_of(order.get("status")),
            level=number_of(order.get("level")),
            events=None if events is None else sorted(_event_text(event) for event in events),
            newest_event=max(dated)[1] if dated else None,
            outputs=output_documents(order) if isinstance(order.get("orderDocs"), list) else None,
            evaluation=None if evaluation is None else evaluation.key,
        )

    @cached_property
    def types(self) -> Counter[str]:
        """How many output documents it has of each type."""
        return Counter(plain_type(document.type) for document in self.outputs or [] if document.type)

    @cached_property
    def _groups(self) -> dict[tuple[str, str | None], _Group]:
        """Its output documents by id, by type, and those without id by type; made once, for there may be thousands."""
        groups: dict[tuple[str, str | None], _Group] = defaultdict(_Group)
        for document in self.outputs or []:
            kind = plain_type(document.type)
            groups["type", kind].add(document)
            groups[("id", document.id) if document.id is not None else ("type, no id", kind)].add(document)
        return dict(groups)

    def same_as(self, document: Document) -> _Group | None:
        """Return what may be earlier states of a document: those of its id, or of its type where an id is missing."""
        kind = plain_type(document.type)
        if document.id is None:
            return self._groups.get(("type", kind))
        return self._groups.get(("id", document.id)) or self._groups.get(("type, no id", kind))

    def newest_of_type(self, document: Document) -> datetime | None:
        """Return the newest time of its documents of a document's type."""
        group = self._groups.get(("type", plain_type(document.type)))
        return group.newest_time if group is not None else None

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
            and (value["level"] is None or number_of(value["level"]) is not None)
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


@dataclass(frozen=True)
class Rerun:
    """
    One accepted rerun of an order, as far as telling its result from the previous one needs it.

    A delivery event or an output document of a later poll counts as new by this table. *Later* means: later than, or
    not among, what the baseline lists. *Dated after* means: its own time is after ``requested_at``.

    ============================== ============================ ====================== =================================
    later than the baseline's      dated after the request      baseline confirmed     counts
    ============================== ============================ ====================== =================================
    no                             any                          any                    no
    yes                            yes                          any                    yes
    yes                            no time to compare           any                    yes; an event without a time: no
    yes                            no                           no                     no: a lagging replica may have
                                                                                       hidden it from the baseline
    yes                            no                           yes                    yes: only the clocks differ
    the baseline has no such list, yes                          any                    yes
    or its events have no times
    likewise                       no, or no time to compare    any                    no
    ============================== ============================ ====================== =================================

    A document whose size, words or duration changed and whose time did not is judged by the first column alone.

    With human review, a document that counts by that table and is dated no later than this rerun's ``ai_delivered`` is
    a draft, of which this one decides:

    ============================================== ===================================== ============================
    a later ``order_delivered``: people are done   documents of its type dated later     the draft counts
    ============================================== ===================================== ============================
    no                                             any number                            no: it is under review
    yes                                            as many as before the rerun           no: they have replaced it
    yes                                            fewer                                 yes: approved as it is
    ============================================== ===================================== ============================

    :param baseline: the order just before the request.
    :param requested_at: a time by the server's clock at which the request had not arrived yet, ISO 8601: the ``Date``
        of the response less the time that the request took. So nothing that this rerun makes is older, by that clock.
        ``None`` if it is not known.
    :param seen_running: whether the order has been seen at work since.
    :param baseline_confirmed: whether the order has shown nothing later than the baseline for so long after the request
        that the baseline cannot have missed anything.
    """

    baseline: Baseline
    requested_at: str | None = None
    seen_running: bool = False
    baseline_confirmed: bool = False

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Rerun:
        """
        Read what ``dataclasses.asdict`` made of a rerun, in this or another version of the provider.

        :raises KeyError, TypeError: it is something else.
        """
        names = {one.name for one in fields(cls)}
        known = {name: one for name, one in value.items() if name in names}
        return cls(**{**known, "baseline": Baseline.from_json(value["baseline"])})

    def evidence(self, order: Order) -> list[str]:
        """
        Say what proves that a finished order shows the result of this rerun.

        :param order: the order as ``GET`` answered it after the request.
        :return: those of ``"event"``, ``"documents"`` and ``"running"`` that hold; empty if nothing does. With human
            review documents alone prove nothing before ``ai_delivered``: they may be the AI's drafts.
        """
        event = bool(self.new_events(order))
        running = self.seen_running and not self._level_dropped(order)
        proven = event or running or not self._is_reviewed(order) or self._drafted_at(order) is not None
        documents = proven and self.outputs_changed(order)
        holding = {"event": event, "documents": documents, "running": running}
        return [name for name, holds in holding.items() if holds]

    def shows_running(self, order: Order) -> bool:
        """
        Tell whether a poll after the request shows this rerun at work.

        Another level than before means that it is something else: to ask for a human review sets the status to
        ``ongoing`` and the level to 1, to cancel it sets them to ``completed`` and 0, and no result is made.
        """
        level, before = number_of(order.get("level")), self.baseline.level
        moved = level is not None and before is not None and level != before
        return shows_running(str(order.get("status"))) and not moved

    def withholds(self, order: Order) -> bool:
        """Tell whether a poll shows what is later than the baseline's, but dated before the request."""
        trusting = replace(self, baseline_confirmed=True)
        return len(trusting._events_since(order)) > len(self._events_since(order)) or any(
            trusting._is_newer(document) and not self._is_newer(document) for document in output_documents(order)
        )

    def new_events(self, order: Order) -> list[Mapping[str, Any]]:
        """Return the delivery events of this rerun that report a finished result."""
        return [event for _, event in self._events_since(order) if self._reports_a_result(event, order)]

    def new_outputs(self, order: Order) -> list[Document]:
        """Return the output documents of this rerun, newest first; drafts only as the table of this class says."""
        drafted = self._drafted_at(order)
        newer = [document for document in output_documents(order) if self._is_newer(document)]
        if drafted is None:
            return newer
        reviewed = Counter(plain_type(document.type) for document in newer if not document.is_dated_by(drafted))
        are_approved = any(
            occurred > drafted and event.get("type") == "order_delivered"
            for occurred, event in self._events_since(order)
        )
        return [
            document
            for document in newer
            if not document.is_dated_by(drafted)
            or (are_approved and reviewed[kind := plain_type(document.type)] < max(self.baseline.types[kind], 1))
        ]

    def outputs_changed(self, order: Order) -> bool:
        """Tell whether every type of output the order had before has a newer document."""
        return self._are_of_every_type(self.new_outputs(order))

    def _are_of_every_type(self, newer: list[Document]) -> bool:
        types = {plain_type(document.type) for document in newer}
        return self.baseline.types.keys() <= types if self.baseline.types else bool(types)

    def outputs_complete(self, order: Order) -> bool:
        """
        Tell whether every type of output has as many newer documents as it had documents before.

        With human review nobody knows as long as documents may be the AI's drafts, which others may still replace:
        without an ``ai_delivered`` that tells them, and where they were approved as they are.
        """
        drafted = self._drafted_at(order)
        if self._is_reviewed(order) and drafted is None:
            return False
        made = self.new_outputs(order)
        if drafted is not None and any(document.is_dated_by(drafted) for document in made):
            return False
        return self.baseline.types <= Counter(plain_type(document.type) for document in made)

    @cached_property
    def _requested(self) -> datetime | None:
        return parse_time(self.requested_at)

    def _is_dated_before(self, time: datetime | None) -> bool:
        return bool(not self.baseline_confirmed and time and self._requested and time <= self._requested)

    def _events_since(self, order: Order) -> list[tuple[datetime, Mapping[str, Any]]]:
        newest = parse_time(self.baseline.newest_event)
        is_known = newest is not None or self.baseline.events == []
        since = newest if is_known else self._requested
        if since is None and not is_known:
            return []
        dated = ((_occurred(event), event) for event in mappings_of(order.get("deliveryEvents")))
        return [
            (occurred, event)
            for occurred, event in dated
            if occurred and (since is None or occurred > since) and not self._is_dated_before(occurred)
        ]

    def _is_reviewed(self, order: Order) -> bool:
        level = number_of(order.get("level"))
        return ((self.baseline.level if level is None else level) or 0) > 0

    def _drafted_at(self, order: Order) -> datetime | None:
        """Return when the AI delivered what people have reviewed since, or are reviewing."""
        if not self._is_reviewed(order):
            return None
        return max(
            (occurred for occurred, event in self._events_since(order) if event.get("type") == "ai_delivered"),
            default=None,
        )

    def _reports_a_result(self, event: Mapping[str, Any], order: Order) -> bool:
        kind = event.get("type")
        if kind == "ai_delivered":
            # With human review the AI's delivery is only the draft, and cancelling the review drops the level.
            return self.baseline.level == 0 and number_of(order.get("level")) == 0
        # `translator_delivered` and `lsp_approved` are steps of a review, whose result comes later.
        if kind != "order_delivered":
            return False
        # What was reviewed may be the old result, if the review was asked for since and the AI has delivered nothing.
        is_asked_for_since = self.baseline.level == 0 and self._is_reviewed(order)
        return not is_asked_for_since or self._drafted_at(order) is not None

    def _is_newer(self, document: Document) -> bool:
        # A document without a type may be anything, an invoice for one.
        if document.type is None or not document.type:
            return False
        written = document.newest_time
        if self.baseline.outputs is None:
            return bool(written and self._requested and written > self._requested)
        same = self.baseline.same_as(document)
        if same is not None:
            later, dated_anew = same.are_all_earlier_than(document), written not in same.newest_times
        else:
            newest = self.baseline.newest_of_type(document)
            # Old versions may be kept and listed beside the current one: an older document is no new result.
            is_old = newest is not None and written is not None and written < newest
            later, dated_anew = not is_old and (document.id is not None or not self.baseline.outputs), True
        return later and not (dated_anew and self._is_dated_before(written))

    def _level_dropped(self, order: Order) -> bool:
        # Cancelling a human review forces `completed` and level 0 without any new result.
        level, before = number_of(order.get("level")), self.baseline.level
        return level is not None and before is not None and level < before

    def describe_comparison(self, order: Order) -> str:
        """Say in words what was compared and found unchanged, for an error or a log line."""
        before, outputs = self.baseline, output_documents(order)
        events = "no delivery events listed" if before.events is None else f"{len(before.events)} delivery events"
        newest = f", the newest at {before.newest_event}" if before.newest_event else ""
        unchanged = [
            f"{document.type} {document.id} ({document.updated_at or document.created_at or 'undated'})"
            for document in outputs
            if not self._is_newer(document)
        ]
        documents = f"unchanged outputs: {', '.join(unchanged[:5]) or 'none'}"
        more = f" and {len(unchanged) - 5} more" if len(unchanged) > 5 else ""
        missing = sorted(self.baseline.types.keys() - {plain_type(document.type) for document in outputs})
        documents += f"{more}; no longer there: {', '.join(missing)}" if missing else more
        level = (
            f", but its level dropped from {before.level} to {order.get('level')}" if self._level_dropped(order) else ""
        )
        some = "a" if self.new_events(order) else "no"
        return (
            f"before the rerun it was {before.status!r} with {events}{newest}; now it is {order.get('status')!r} "
            f"with {some} newer event that reports a result, {documents}, and it was "
            f"{'seen' if self.seen_running else 'never seen'} at work{level}"
        )


def summarize(
    order_id: str,
    order: Order,
    *,
    rerun: Rerun | None = None,
    evidence: list[str] | None = None,
) -> dict[str, Any]:
    """
    Return the facts of a finished order that the next tasks of a DAG need, without links.

    :param order_id: the order's id, as it was asked for.
    :param order: the order as ``GET`` answered it.
    :param rerun: the rerun this is the result of: then ``outputs`` are the new ones if all types were made
        anew, and ``evaluation`` is given only if it is not the one from before.
    :param evidence: what proves that the result is the rerun's.
    :return: plain JSON with always the same keys; unknown values are ``None``.
    """
    newer = [] if rerun is None else rerun.new_outputs(order)
    changed = None if rerun is None else rerun._are_of_every_type(newer)
    outputs = newer if changed else output_documents(order)
    return {
        "order_id": order_id,
        "name": text_of(order.get("name")),
        "type": text_of(order.get("type")),
        "status": text_of(order.get("status")),
        "level": number_of(order.get("level")),
        "source_language": text_of(order.get("sourceLanguage")),
        "target_language": text_of(order.get("targetLanguage")),
        "project_id": text_of(order.get("projectId")),
        "folder_id": text_of(order.get("folderId")),
        "created_at": text_of(order.get("createdAt")),
        "outputs": [
            {
                "id": document.id,
                "type": document.type,
                "name": document.name,
                "size": document.size,
                "updated_at": document.updated_at,
            }
            for document in outputs[:MAX_LISTED_OUTPUTS]
        ],
        "outputs_changed": changed,
        "evidence": evidence,
        "evaluation": _new_evaluation(order, rerun),
    }


def _new_evaluation(order: Order, rerun: Rerun | None) -> dict[str, Any] | None:
    goal = EvaluationGoal()
    if rerun is not None:
        since = None if rerun.baseline_confirmed else rerun.requested_at
        goal = EvaluationGoal(before=rerun.baseline.evaluation, since=since)
    found = goal.find(order)
    return None if found is None else {**found.key, "scores": found.scores}


def _occurred(event: Mapping[str, Any]) -> datetime | None:
    return parse_time(event.get("occurredAt"))


def _event_text(event: Mapping[str, Any]) -> str:
    return json.dumps([text_of(event.get(key)) for key in ("type", "occurredAt", "actorType", "actorId")])
