"""The story of a rerun: which status when, what is delivered, what goes wrong; planned whole when it is accepted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from airflow_provider_ollang.sandbox import changes, evaluations
from airflow_provider_ollang.sandbox.clock import iso, milliseconds
from airflow_provider_ollang.sandbox.documents import (
    auxiliary,
    documents_of,
    is_output,
    outputs_of,
    results_to_renew,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ollang.sandbox.behaviour import Behaviour

#: A run's length to which the paths below are drawn.
DRAWN_TO = 30.0
DONE = ("completed", "delivered")


class Stage(NamedTuple):
    """From `after` seconds on the order has this status; `event` is the delivery event of that instant."""

    after: float
    status: str
    event: str | None = None


#: Before its end, a run of an order of this type goes through these; types not listed go as `other`.
PATHS: dict[str, tuple[Stage, ...]] = {
    "cc": (Stage(2, "pending"), Stage(5, "ongoing")),
    "subtitle": (Stage(2, "pending"), Stage(5, "waitingForCC"), Stage(12, "ongoing")),
    "document": (Stage(2, "pending"), Stage(5, "ongoing")),
    "aiDubbing": (Stage(2, "pending"), Stage(5, "waitingForSubtitle"), Stage(12, "ongoing")),
    "studioDubbing": (
        Stage(2, "pending"),
        Stage(5, "waitingForSubtitle"),
        Stage(10, "ongoing"),
        Stage(24, "qualityCheck"),
        Stage(28, "readyToSent"),
    ),
    "proofreading": (Stage(2, "pending"), Stage(5, "ongoing"), Stage(24, "qualityCheck")),
    "revision": (Stage(2, "pending"), Stage(5, "ongoing")),
    "other": (Stage(2, "pending"), Stage(5, "ongoing")),
}
#: At level 1, whatever the type: once the AI is done people review, translate and approve.
REVIEWED = (
    Stage(2, "pending"),
    Stage(5, "ongoing"),
    Stage(12, "review", "ai_delivered"),
    Stage(15, "ongoing"),
    Stage(24, "qualityCheck", "translator_delivered"),
    Stage(28, "readyToSent", "lsp_approved"),
)


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happens to an order at a moment.

    :param at: the moment.
    :param cause: who or what did it, for the order's history.
    :param apply: sets fields of the order it is given; what the fields hold is shared with the past.
    :param ends_run: no run is going on afterwards.
    :param takes_over: what the running story still had in store does not happen.
    :param of_story: belongs to a run, and goes when it is taken over.
    :param of_evaluation: belongs to a quality check, and goes when another begins.
    """

    at: int
    cause: str
    apply: Callable[[dict[str, Any]], None]
    ends_run: bool = False
    takes_over: bool = False
    of_story: bool = True
    of_evaluation: bool = False


def path_of(order_type: object, level: object) -> tuple[Stage, ...]:
    """Return the stages of a run before its end, drawn to `DRAWN_TO` seconds."""
    if reviewed(level):
        return REVIEWED
    return PATHS.get(str(order_type), PATHS["other"])


def reviewed(level: object) -> bool:
    """Tell whether people review an order of this level."""
    return isinstance(level, int | float) and level >= 1


def plan(order: dict[str, Any], behaviour: Behaviour, run: int, accepted: int) -> list[Change]:
    """Plan all that a run does to its order, in order of time.

    :param order: the order as it is when the rerun is accepted.
    :param run: the run's number; the order's first results are run 1.
    :param accepted: the moment of the acceptance.
    """
    story = _Story(order, behaviour, run, accepted)
    story.acceptance()
    story.statuses()
    story.milestones()
    if behaviour.end_status in DONE:
        story.results()
    story.end()
    if behaviour.review_cancelled_after is not None and story.reviewed:
        story.add(
            behaviour.review_cancelled_after, changes.cancel_review, cause="human review cancelled", takes_over=True
        )
    return sorted(story.planned, key=lambda change: change.at)


class _Story:
    """The parts of a run, each added on its own; times are seconds after the acceptance."""

    def __init__(self, order: dict[str, Any], behaviour: Behaviour, run: int, accepted: int) -> None:
        self.order, self.behaviour, self.run, self.accepted = order, behaviour, run, accepted
        level = order.get("level") if behaviour.rerun_level is None else behaviour.rerun_level
        self.reviewed = reviewed(level)
        self.end_after = behaviour.run_seconds
        stretch = behaviour.run_seconds / DRAWN_TO
        self.stages = [stage._replace(after=stage.after * stretch) for stage in path_of(order.get("type"), level)]
        self.by_products = auxiliary(str(order.get("id")), run, iso(accepted)) if behaviour.auxiliary_documents else []
        self.planned: list[Change] = []

    def add(
        self,
        after: float,
        apply: Callable[[dict[str, Any]], None],
        *,
        cause: str | None = None,
        ends_run: bool = False,
        takes_over: bool = False,
    ) -> None:
        at = self.accepted + milliseconds(after)
        self.planned.append(Change(at, cause or f"run {self.run}", apply, ends_run=ends_run, takes_over=takes_over))

    def acceptance(self) -> None:
        if self.behaviour.rerun_level is not None:
            self.add(0, changes.set_field("level", self.behaviour.rerun_level))
        if self.by_products:
            self.add(0, changes.add_documents(self.by_products))
        if self.behaviour.outputs_during_run != "kept":
            self.add(0, changes.hide_outputs(as_null=self.behaviour.outputs_during_run == "null"))
        if self.behaviour.evaluation == "cleared":
            self.add(0, evaluations.clear)

    def statuses(self) -> None:
        path = self.behaviour.status_path
        steps = [(stage.after, stage.status) for stage in self.stages] if path is None else sorted(path)
        if self.behaviour.end_status is not None:
            steps = [step for step in steps if step[0] < self.end_after]
        hidden = self.behaviour.status_hidden_for
        if hidden is None:
            return
        under_way = [status for after, status in steps if after < hidden]
        if under_way and (self.behaviour.end_status is None or hidden < self.end_after):
            self.add(hidden, changes.set_field("status", under_way[-1]))
        for after, status in steps:
            if after >= hidden:
                self.add(after, changes.set_field("status", status))

    def milestones(self) -> None:
        for stage in self.stages:
            if stage.event is None:
                continue
            self._event(stage.after, stage.event)
            if stage.event == "ai_delivered" and self.behaviour.draft_documents:
                for old in outputs_of(self.order):
                    self._output(old, stage.after, "replaced", draft=True)

    def results(self) -> None:
        if not self.reviewed:
            self._event(self.end_after, "ai_delivered")
        self._event(self.end_after, "order_delivered")
        if self.behaviour.outputs_after is not None:
            self._new_outputs(max(self.end_after + self.behaviour.outputs_after, 0))
        if self.behaviour.evaluation in ("new", "loading"):
            begun = self.accepted + milliseconds(self.end_after)
            self.add(self.end_after, changes.evaluate(self.run, begun, finished=False))
            if self.behaviour.evaluation == "new":
                over = self.end_after + self.behaviour.evaluation_after
                self.add(over, changes.evaluate(self.run, begun, finished=True))

    def end(self) -> None:
        if self.behaviour.end_status is not None:
            self.add(self.end_after, changes.set_field("status", self.behaviour.end_status), ends_run=True)

    def _event(self, after: float, kind: str) -> None:
        if self.behaviour.delivery_events == "appended":
            happened = self.accepted + milliseconds(after)
            self.add(after + self.behaviour.delivery_events_delay, changes.add_event(kind, happened))

    def _new_outputs(self, first: float) -> None:
        how = self.behaviour.outputs
        if self.behaviour.outputs_during_run != "kept":
            hidden = [
                document
                for document in [*documents_of(self.order), *self.by_products]
                if how in ("unchanged", "added") or not is_output(document)
            ]
            self.add(first, changes.restore_documents(hidden, self.order.get("vttUrl")))
        if how == "unchanged":
            return
        for index, old in enumerate(results_to_renew(self.order)):
            self._output(old, first + index * self.behaviour.output_interval, how)
        if how != "in_place":
            self.add(first, changes.renew_vtt(self.order.get("vttUrl"), self.run))

    def _output(
        self, old: dict[str, Any], after: float, how: Literal["replaced", "in_place", "added"], *, draft: bool = False
    ) -> None:
        made = self.accepted + milliseconds(after)
        self.add(after, changes.renew_output(old, run=self.run, made=made, how=how, draft=draft))
