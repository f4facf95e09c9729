"""A sandbox that knows the truth: which run and which evaluation is whose, and when each was over."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.sandbox.clock import Clock, to_milliseconds
from airflow_provider_ollang.sandbox.responses import Response
from tests.model.scenario import Event, Scenario

_BEGIN = 1_767_600_000.25
_DONE = ("completed", "delivered")
#: Seconds that any request takes.
_ON_THE_WIRE = 0.001
#: Milliseconds that may lie between the last poll and a request.
_SLACK = 4000
#: How long a task may believe that an evaluation is on its way.
_LONGEST_EVALUATION = 3600_000


@dataclass
class Effect:
    """
    A run of the order, or an evaluation of it; moments are the sandbox's, in milliseconds.

    :param number: its number.
    :param accepted: when it was accepted; the first run: before the scenario.
    :param is_ours: whether the task under test submitted it.
    :param shows: from when on a GET shows that it is under way; ``None``: never.
    :param over: when it is over; ``None``: never.
    :param good: whether there is a result then.
    """

    number: int
    accepted: int
    is_ours: bool
    shows: int | None
    over: int | None
    good: bool = True

    def is_over(self, now: int) -> bool:
        return self.over is not None and self.over <= now


@dataclass
class Truth:
    """
    What has been submitted.

    :param effects: all runs, or all evaluations.
    :param since_clear: the first of them that the task has had accepted since it was cleared last.
    :param before_clear: likewise, before that.
    :param allowed: how many the user meant.
    :param must_submit: whether the user has cleared what had ended well and showed it: another has to be submitted.
    :param begun: when the task was cleared last.
    :param try_begun: when its try began.
    :param polls_for: for how long after that it has to poll for what is under way before it submits anything.
    :param hidden: whether a clear came when what was under way did not show within the first 30 s of polls.
    :param violations: what must not be.
    """

    effects: list[Effect] = field(default_factory=list)
    since_clear: Effect | None = None
    before_clear: Effect | None = None
    begun: int = 0
    allowed: int = 1
    must_submit: bool = False
    hidden: bool = False
    try_begun: int = 0
    polls_for: int = 0
    violations: list[str] = field(default_factory=list)

    @property
    def submitted(self) -> int:
        return sum(effect.is_ours for effect in self.effects)

    def under_way(self, now: int) -> list[Effect]:
        return [each for each in self.effects if not each.is_over(now)]

    def floor(self) -> int:
        """Return the number of the oldest run or evaluation that can be the task's."""
        own = self.since_clear or self.before_clear
        if own is not None:
            return own.number
        others = (effect for effect in self.effects if not effect.is_ours)
        return next((each.number for each in others if not each.is_over(self.begun)), len(self.effects) + 2)

    def clear(self, now: int, *, polls_for: int, succeeded: bool) -> None:
        """Take in that the user clears the task."""
        under_way = self.under_way(now)
        self.begun = now
        self.before_clear = self.since_clear or self.before_clear
        self.since_clear = None
        self.must_submit = succeeded and not under_way
        if self.must_submit:
            self.before_clear = None
        self.hidden |= any(each.shows is None or each.shows > now + 25_000 for each in under_way)
        self.polls_for = polls_for

    def add(self, effect: Effect, lag: int) -> None:
        """Take in one that was accepted."""
        now = effect.accepted
        if effect.is_ours:
            shows = [
                each.shows + lag + _SLACK for each in self.under_way(now) if each.is_ours and each.shows is not None
            ]
            seen_by = self.try_begun + self.polls_for
            if any(each <= min(seen_by, now) for each in shows):
                self.violations.append("money: submitted while the task's own was visibly under way")
            elif any(each <= seen_by for each in shows):
                self.violations.append("money: submitted before polls of 30 s could show the task's own")
            self.since_clear = self.since_clear or effect
        self.effects.append(effect)
        if self.submitted > self.allowed:
            self.violations.append(
                f"money: submitted more often than the user meant [{self.submitted} for {self.allowed}]"
            )


class World(Sandbox):
    """A sandbox whose time passes only while a task waits, and which knows who submitted what."""

    scenario: Scenario
    truth: Truth
    order_id: str

    def __init__(self) -> None:
        super().__init__(speed=0)
        self._coming: list[tuple[int, Callable[[], object]]] = []

    def begin(self, scenario: Scenario) -> None:
        """Set the stage for a scenario."""
        # Without the orders that a fresh sandbox has: making them takes long.
        self._orders.clear()
        self.faults.remove()
        self.log.clear()
        self.clock = Clock(0, real=lambda: _BEGIN)
        self.scenario, self.truth = scenario, Truth()
        self._coming.clear()
        self.receipt_is_there = self.is_first = True
        self.clears_of_others, self.retries = 0, scenario.retries
        self.order_id = self.add_order(
            id="60b8d6f1e1b9b1d8c6c0d8ff", type="subtitle", level=scenario.level, behaviour=scenario.behaviour
        )
        if scenario.kind == "rerun":
            self.truth.effects.append(Effect(1, 0, is_ours=False, shows=None, over=0))
        for event in scenario.events:
            getattr(self, f"_{event.what.replace(' ', '_')}")(event)

    def moment(self) -> int:
        return self.clock.now()

    def at(self, seconds: float, act: Callable[[], object]) -> None:
        """Let something happen so many seconds from now."""
        insort(self._coming, (self.moment() + to_milliseconds(seconds), act), key=itemgetter(0))

    def advance(self, seconds: float) -> None:
        """Move the clock, stopping where something is to happen."""
        with self.lock:
            until = self.moment() + to_milliseconds(max(seconds, 0.0))
            while self._coming and self._coming[0][0] <= until:
                at, act = self._coming.pop(0)
                super().advance(max(at - self.moment(), 0) / 1000)
                act()
            super().advance(max(until - self.moment(), 0) / 1000)

    def http_date(self, after: float = 0) -> str:
        """Return the ``Date`` of responses, made by a clock of its own."""
        return super().http_date(after + self.scenario.front_ahead)

    # What tasks request

    def get_order(self, order_id: str) -> Response:
        """Answer, a moment later."""
        self.advance(_ON_THE_WIRE)
        return super().get_order(order_id)

    def rerun_order(self, order_id: str) -> Response:  # noqa: ARG002 - there is one
        """Take in a rerun that came over the wire: the task's."""
        return self._slowly(lambda: self._run(is_ours=True))

    def evaluate_order(self, order_id: str, body: dict[str, Any]) -> Response:  # noqa: ARG002 - there is one
        """Take in an evaluation that came over the wire: the task's."""
        return self._slowly(lambda: self._evaluation(body, is_ours=True))

    def _slowly(self, act: Callable[[], Response]) -> Response:
        is_first, self.is_first = self.is_first, False
        self.advance(self.scenario.arriving * is_first + _ON_THE_WIRE)
        answer = act()
        self.advance(self.scenario.answering * is_first)
        return answer

    def _run(self, *, is_ours: bool) -> Response:
        answer = super().rerun_order(self.order_id)
        if answer.status < 300:
            self._note(self._new_run(is_ours=is_ours), "rerun")
        return answer

    def _new_run(self, *, is_ours: bool) -> Effect:
        now, order = self.moment(), self._orders[self.order_id]
        options = order.behaviour
        first = options.run_seconds * 2 / 30
        shows = None if options.status_hidden_for is None else max(options.status_hidden_for, first)
        if shows is not None and options.end_status is not None and shows >= options.run_seconds:
            shows = None
        over = options.run_seconds if options.end_status is not None else None
        good = options.end_status in _DONE
        cancelled = options.review_cancelled_after
        if cancelled is not None and order.latest["level"] and (over is None or cancelled <= over):
            over, good = cancelled, False
        return Effect(
            order.run,
            now,
            is_ours,
            shows=None if shows is None else now + to_milliseconds(shows),
            over=None if over is None else now + to_milliseconds(over),
            good=good,
        )

    def _evaluation(self, body: dict[str, Any], *, is_ours: bool) -> Response:
        answer = super().evaluate_order(self.order_id, body)
        if answer.status < 300:
            now, order = self.moment(), self._orders[self.order_id]
            seconds = order.behaviour.qc_seconds
            over = _LONGEST_EVALUATION if seconds is None else to_milliseconds(seconds)
            shows = now if order.behaviour.qc_meanwhile == "loading" else None
            number = order.evaluations_accepted
            self._note(Effect(number, now, is_ours, shows=shows, over=now + over, good=seconds is not None), "evaluate")
        return answer

    def _note(self, effect: Effect, kind: str) -> None:
        if self.scenario.kind == kind:
            options = self._orders[self.order_id].behaviour
            lag = to_milliseconds(options.stale_by) if options.stale_every else 0
            under_way = self.truth.under_way(effect.accepted)
            self.truth.add(effect, lag)
            self._end(under_way)

    def _end(self, effects: list[Effect]) -> None:
        """End what is under way: nothing comes of it."""
        for each in effects:
            each.over, each.good = self.moment(), False

    # What another user does

    def _rerun(self, event: Event) -> None:
        self.at(event.at, lambda: self._run(is_ours=False))

    def _evaluate(self, event: Event) -> None:
        self.at(event.at, lambda: self._evaluation({}, is_ours=False))

    def _cancel(self, event: Event) -> None:
        self.at(event.at, lambda: self._become(status="cancelled"))

    def _review(self, event: Event) -> None:
        def ask() -> None:
            order = self._orders[self.order_id].latest
            if order["status"] in _DONE and not order["level"]:
                self._become(status="ongoing", level=1)
                self.at(event.lasts, lambda: self._become(status="completed", level=0))

        self.at(event.at, ask)

    def _become(self, **fields: Any) -> None:
        if self.scenario.kind == "rerun":
            self._end(self.truth.under_way(self.moment()))
        self.change_order(self.order_id, **fields)

    def _503(self, event: Event) -> None:
        self._outage(event, status=503)

    def _429(self, event: Event) -> None:
        self._outage(event, status=429, headers={"Retry-After": "20000"})

    def _outage(self, event: Event, **answer: Any) -> None:
        def begin() -> None:
            number = self.add_fault("GET", times=None, **answer)
            self.at(event.lasts, lambda: self.faults.remove(number))

        self.at(event.at, begin)

    def _clear_another_task(self, event: Event) -> None:
        def clear() -> None:
            self.clears_of_others += 1

        self.at(event.at, clear)

    def _edit_retries(self, event: Event) -> None:
        self.at(event.at, lambda: setattr(self, "retries", 0 if self.retries else 3))

    def _forget_receipt(self, event: Event) -> None:
        self.at(event.at, lambda: setattr(self, "receipt_is_there", False))
