"""An order of the sandbox: what it was at every moment, what is still to happen to it, and how often it was rerun."""

from __future__ import annotations

import copy
from bisect import bisect_right, insort
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_ollang.sandbox import qc
from airflow_provider_ollang.sandbox.stories import DONE, Change, plan

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox.behaviour import Behaviour
    from airflow_provider_ollang.sandbox.evaluations import Evaluation

_BY_MOMENT = attrgetter("at")


class Snapshot(NamedTuple):
    """The order from a moment on; never altered, a change makes the next one."""

    at: int
    order: dict[str, Any]


class StatusChange(NamedTuple):
    """A line of the order's history."""

    at: int
    status: Any
    cause: str


@dataclass(slots=True)
class Order:
    """One order and its story.

    Nothing happens by itself: `settle` brings the order up to a moment whenever somebody looks.

    :param owner: the account it belongs to.
    :param run: number of the last run; the results it had at first are run 1.
    :param running: a run is going on, whatever the status says.
    :param evaluations: the quality checks that were accepted.
    :param looks: GETs answered, for the replica that lags every so-manieth time.
    """

    id: str
    owner: str
    behaviour: Behaviour
    snapshots: list[Snapshot]
    planned: list[Change] = field(default_factory=list)
    history: list[StatusChange] = field(default_factory=list)
    run: int = 1
    running: bool = False
    looks: int = 0
    reruns_accepted: int = 0
    reruns_refused: int = 0
    evaluations_accepted: int = 0
    evaluations_refused: int = 0
    evaluations: list[Evaluation] = field(default_factory=list)

    @classmethod
    def create(cls, order_id: str, order: dict[str, Any], owner: str, behaviour: Behaviour, now: int) -> Order:
        """Make an order that is as given from now on."""
        created = cls(order_id, owner, behaviour, [Snapshot(now, copy.deepcopy(order))])
        created.history.append(StatusChange(now, order.get("status"), "start"))
        if behaviour.first_run and not created.eligible():
            created._begin(now)
        return created

    @property
    def latest(self) -> dict[str, Any]:
        """The order after all that has happened."""
        return self.snapshots[-1].order

    def at(self, moment: int) -> dict[str, Any]:
        """Return the order as it was; before it existed, as it was at first."""
        return self.snapshots[max(bisect_right(self.snapshots, moment, key=_BY_MOMENT) - 1, 0)].order

    def settle(self, now: int) -> None:
        """Let happen what is due."""
        while self.planned and self.planned[0].at <= now:
            change = self.planned.pop(0)
            self._apply(change)
            if change.takes_over:
                self._drop_story()
            if change.takes_over or change.ends_run:
                self.running = False

    def happen(self, change: Change) -> None:
        """Take up something that is to happen."""
        insort(self.planned, change, key=_BY_MOMENT)

    def eligible(self) -> bool:
        """Tell whether the shown status allows a rerun."""
        return self.latest.get("status") in DONE

    def start_run(self, now: int) -> None:
        """Begin a run; one that was going on is taken over."""
        self._drop_story()
        self.run += 1
        self.reruns_accepted += 1
        self._begin(now)

    def start_evaluation(self, evaluation: Evaluation) -> None:
        """Begin a quality check; one that was going on is taken over."""
        self.planned = [change for change in self.planned if not change.of_evaluation]
        self.evaluations_accepted += 1
        self.evaluations.append(evaluation)
        for change in qc.plan(evaluation, self.behaviour):
            self.happen(change)
        self.settle(evaluation.moment)

    def _begin(self, now: int) -> None:
        self.running = True
        for change in plan(self.latest, self.behaviour, self.run, now):
            self.happen(change)

    def _drop_story(self) -> None:
        self.planned = [change for change in self.planned if not change.of_story]

    def _apply(self, change: Change) -> None:
        before = self.latest
        after = dict(before)
        change.apply(after)
        self.snapshots.append(Snapshot(change.at, after))
        if after.get("status") != before.get("status"):
            self.history.append(StatusChange(change.at, after.get("status"), change.cause))
