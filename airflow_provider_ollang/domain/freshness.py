"""Whether an order's result is new: the evidence that it is the result of a rerun."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_ollang.domain.baseline import Baseline, parse_occurred
from airflow_provider_ollang.domain.evaluations import find_evaluation
from airflow_provider_ollang.domain.orders import (
    MAX_LISTED_OUTPUTS,
    Document,
    Order,
    output_documents,
    plain_type,
    shows_running,
)
from airflow_provider_ollang.domain.values import known_fields, only_mappings, parse_number, parse_text, parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_MAX_DESCRIBED_OUTPUTS = 5


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
    a draft, and this table decides:

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
    :param seen_running: whether the order has been observed running since.
    :param baseline_confirmed: whether the order has shown nothing later than the baseline for so long after the request
        that the baseline cannot have missed anything.
    """

    baseline: Baseline
    requested_at: str | None = None
    seen_running: bool = False
    baseline_confirmed: bool = False

    #: What it is, and what the task that submits it does to the order, for messages.
    noun: ClassVar[str] = "rerun"
    begins: ClassVar[str] = "reruns"

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """
        Read what ``dataclasses.asdict`` made of a rerun, in this or another version of the provider.

        :raises KeyError, TypeError: it is something else.
        """
        return cls(**{**known_fields(cls, value), "baseline": Baseline.from_json(value["baseline"])})

    def evidence(self, order: Order) -> list[str]:
        """
        Return the evidence that a finished order shows the result of this rerun.

        :return: those of ``"event"``, ``"documents"`` and ``"running"`` that hold; empty if nothing does. With human
            review documents alone prove nothing before ``ai_delivered``: they may be the AI's drafts.
        """
        if self.predates_baseline(order):
            return []
        event = bool(self.new_events(order))
        running = self.seen_running and not self._level_dropped(order)
        may_be_drafts = self._is_reviewed(order) and self._drafted_at(order) is None
        documents = (event or running or not may_be_drafts) and self.outputs_changed(order)
        evidence = {"event": event, "documents": documents, "running": running}
        return [name for name, holds in evidence.items() if holds]

    def is_proof(self, evidence: list[str]) -> bool:
        """Tell whether such evidence proves the new result, rather than only that the request was processed."""
        return bool(evidence)

    def proves_running(self, order: Order) -> bool:
        """
        Tell whether a poll after the request proves that this rerun was running.

        A poll without a list of ``deliveryEvents`` does not, if the baseline has some: a lagging replica may show the
        first run of the order, which had none yet.
        """
        lacks_events = self.baseline.newest_event is not None and not isinstance(order.get("deliveryEvents"), list)
        return self.shows_running(order) and not lacks_events

    def shows_running(self, order: Order) -> bool:
        """
        Tell whether a poll after the request shows a run that may be this rerun.

        Another level than before means that it is something else: requesting a human review sets the status to
        ``ongoing`` and the level to 1, cancelling it sets them to ``completed`` and 0, and no result is made.
        """
        level, before = parse_number(order.get("level")), self.baseline.level
        has_moved = level is not None and before is not None and level != before
        return shows_running(str(order.get("status"))) and not has_moved and not self.predates_baseline(order)

    def predates_baseline(self, order: Order) -> bool:
        """
        Tell whether a poll shows the order as it was before the baseline: a lagging replica, which proves nothing.

        Delivery events are only ever added, so the newest one of the baseline must be there, or a later one. Documents
        do not tell: a rerun may replace them.
        """
        newest, events = parse_time(self.baseline.newest_event), order.get("deliveryEvents")
        if newest is None or not isinstance(events, list):
            return False
        dates = [parse_occurred(event) for event in only_mappings(events)]
        return not any(date is not None and date >= newest for date in dates)

    def withholds(self, order: Order) -> bool:
        """Tell whether a poll shows what is later than the baseline's, but dated before the request."""
        confirmed = replace(self, baseline_confirmed=True)
        return len(confirmed._events_since(order)) > len(self._events_since(order)) or any(
            confirmed._is_new(document) and not self._is_new(document) for document in output_documents(order)
        )

    # --- Delivery events --------------------------------------------------------------------------------------

    def new_events(self, order: Order) -> list[Mapping[str, Any]]:
        """Return the delivery events of this rerun that report a finished result."""
        return [event for _, event in self._events_since(order) if self._reports_result(event, order)]

    def _events_since(self, order: Order) -> list[tuple[datetime, Mapping[str, Any]]]:
        """Return the events that count as new by the table of this class, each with its time."""
        newest = parse_time(self.baseline.newest_event)
        lists_none = self.baseline.events == []
        since = newest if newest is not None or lists_none else self._requested
        if since is None and not lists_none:
            return []
        dated = ((parse_occurred(event), event) for event in only_mappings(order.get("deliveryEvents")))
        return [
            (occurred, event)
            for occurred, event in dated
            if occurred and (since is None or occurred > since) and not self._is_dated_before(occurred)
        ]

    def _reports_result(self, event: Mapping[str, Any], order: Order) -> bool:
        kind = event.get("type")
        if kind == "ai_delivered":
            # With human review the AI's delivery is only the draft, and cancelling the review drops the level.
            return self.baseline.level == 0 and parse_number(order.get("level")) == 0
        # `translator_delivered` and `lsp_approved` are steps of a review, whose result comes later.
        if kind != "order_delivered":
            return False
        # What was reviewed may be the old result, if the review was requested since and the AI has delivered nothing.
        is_requested_since = self.baseline.level == 0 and self._is_reviewed(order)
        return not is_requested_since or self._drafted_at(order) is not None

    # --- Output documents -------------------------------------------------------------------------------------

    def new_outputs(self, order: Order) -> list[Document]:
        """Return the output documents of this rerun, newest first; drafts only as the table of this class says."""
        new = self._new_documents(order)
        drafted = self._drafted_at(order)
        if drafted is None:
            return new
        is_approved = any(
            occurred > drafted and event.get("type") == "order_delivered"
            for occurred, event in self._events_since(order)
        )
        reviewed = Counter(plain_type(document.type) for document in new if not document.is_dated_by(drafted))

        def counts(document: Document) -> bool:
            if not document.is_dated_by(drafted):
                return True
            kind = plain_type(document.type)
            return is_approved and reviewed[kind] < max(self.baseline.types[kind], 1)

        return list(filter(counts, new))

    def _new_documents(self, order: Order) -> list[Document]:
        """Return the output documents that count as new by the first table of this class, newest first."""
        return [document for document in output_documents(order) if self._is_new(document)]

    def outputs_changed(self, order: Order) -> bool:
        """Tell whether every type of output that the order had before has a newer document."""
        return self.cover_every_type(self.new_outputs(order))

    def cover_every_type(self, documents: list[Document]) -> bool:
        """Tell whether there is a document of every type that the order had before; at least one, if it had none."""
        types = {plain_type(document.type) for document in documents}
        return self.baseline.types.keys() <= types if self.baseline.types else bool(types)

    def outputs_complete(self, order: Order) -> bool:
        """
        Tell whether every type of output has as many newer documents as it had documents before.

        With human review that is unknown as long as documents may be the AI's drafts, which others may still replace:
        without an ``ai_delivered`` that tells them, and where they were approved as they are.
        """
        drafted = self._drafted_at(order)
        if self._is_reviewed(order) and drafted is None:
            return False
        new = self.new_outputs(order)
        if drafted is not None and any(document.is_dated_by(drafted) for document in new):
            return False
        return self._are_complete(new)

    def _are_complete(self, new: list[Document]) -> bool:
        return self.baseline.types <= Counter(plain_type(document.type) for document in new)

    def _is_new(self, document: Document) -> bool:
        """Tell whether a document counts as new by the table of this class."""
        # A document without a type may be anything, for example an invoice.
        if not document.type:
            return False
        if self.baseline.outputs is None:
            return self._is_dated_after(document.newest_time)
        versions = self.baseline.versions_of(document)
        if versions is None:
            return self._may_be_new(document) and not self._is_dated_before(document.newest_time)
        if not versions.are_all_earlier_than(document):
            return False
        # It changed in place: only a time that changed too can be compared with the request.
        return document.newest_time in versions.times or not self._is_dated_before(document.newest_time)

    def _may_be_new(self, document: Document) -> bool:
        """Tell whether a document of which the baseline has no version is later than what it has of its type."""
        if document.id is None and self.baseline.outputs:
            return False
        # Old versions may be kept and listed alongside the current one: an older document is no new result.
        newest = self.baseline.newest_of_type(document)
        return newest is None or document.newest_time is None or document.newest_time >= newest

    # --- Times and levels -------------------------------------------------------------------------------------

    @cached_property
    def _requested(self) -> datetime | None:
        return parse_time(self.requested_at)

    def _is_dated_after(self, time: datetime | None) -> bool:
        return bool(time and self._requested and time > self._requested)

    def _is_dated_before(self, time: datetime | None) -> bool:
        """Tell whether the baseline may have missed something of this time."""
        return bool(not self.baseline_confirmed and time and self._requested and time <= self._requested)

    def _is_reviewed(self, order: Order) -> bool:
        level = parse_number(order.get("level"))
        return ((self.baseline.level if level is None else level) or 0) > 0

    def _drafted_at(self, order: Order) -> datetime | None:
        """Return when the AI delivered what people have reviewed since, or are reviewing."""
        if not self._is_reviewed(order):
            return None
        return max(
            (occurred for occurred, event in self._events_since(order) if event.get("type") == "ai_delivered"),
            default=None,
        )

    def _level_dropped(self, order: Order) -> bool:
        # Cancelling a human review forces `completed` and level 0 without any new result. A new order had no old one.
        level, before = parse_number(order.get("level")), self.baseline.level
        return self.baseline.status is not None and level is not None and before is not None and level < before

    # --- Words ------------------------------------------------------------------------------------------------

    def describe_comparison(self, order: Order) -> str:
        """Return what was compared and found unchanged, for an error or a log line."""
        before = self.baseline
        events = "no delivery events listed" if before.events is None else f"{len(before.events)} delivery events"
        newest = f", the newest at {before.newest_event}" if before.newest_event else ""
        newer = "a" if self.new_events(order) else "no"
        outputs = self._describe_outputs(output_documents(order))
        return (
            f"before the {self.noun} it was {before.status!r} with {events}{newest}; now it is {order.get('status')!r} "
            f"with {newer} newer event that reports a result, {outputs}, and it was "
            f"{'observed' if self.seen_running else 'never observed'} running{self._describe_level(order)}"
        )

    def _describe_level(self, order: Order) -> str:
        """Return what is to be said of the level, behind all else that was compared."""
        if not self._level_dropped(order):
            return ""
        return f", but its level dropped from {self.baseline.level} to {parse_number(order.get('level'))}"

    def _describe_outputs(self, outputs: list[Document]) -> str:
        unchanged = [
            f"{document.type} {document.id} ({document.updated_at or document.created_at or 'undated'})"
            for document in outputs
            if not self._is_new(document)
        ]
        shown = ", ".join(unchanged[:_MAX_DESCRIBED_OUTPUTS]) or "none"
        left_out = len(unchanged) - _MAX_DESCRIBED_OUTPUTS
        more = f" and {left_out} more" if left_out > 0 else ""
        missing = sorted(self.baseline.types.keys() - {plain_type(document.type) for document in outputs})
        return f"unchanged outputs: {shown}{more}" + (f"; no longer there: {', '.join(missing)}" if missing else "")


def summarize(
    order_id: str,
    order: Order,
    *,
    rerun: Rerun | None = None,
    evidence: list[str] | None = None,
) -> dict[str, Any]:
    """
    Return the facts of a finished order that the next tasks of a DAG need, without links.

    :param rerun: the rerun this is the result of: then ``outputs`` are the new ones if every type has new ones, and
        ``evaluation`` is given only if it is not the one from before.
    :param evidence: what proves that the result is the rerun's.
    :return: plain JSON with always the same keys; unknown values are ``None``.
    """
    new = [] if rerun is None else rerun.new_outputs(order)
    changed = None if rerun is None else rerun.cover_every_type(new)
    outputs = new if changed else output_documents(order)
    return {
        "order_id": order_id,
        "name": parse_text(order.get("name")),
        "type": parse_text(order.get("type")),
        "status": parse_text(order.get("status")),
        "level": parse_number(order.get("level")),
        "source_language": parse_text(order.get("sourceLanguage")),
        "target_language": parse_text(order.get("targetLanguage")),
        "project_id": parse_text(order.get("projectId")),
        "folder_id": parse_text(order.get("folderId")),
        "created_at": parse_text(order.get("createdAt")),
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
        "evaluation": _summarize_evaluation(order, rerun),
    }


def _summarize_evaluation(order: Order, rerun: Rerun | None) -> dict[str, Any] | None:
    if rerun is None:
        evaluation = find_evaluation(order, before=None)
    else:
        since = None if rerun.baseline_confirmed else rerun.requested_at
        evaluation = find_evaluation(order, before=rerun.baseline.evaluation, since=since)
    return None if evaluation is None else {**evaluation.key, "scores": evaluation.scores}
