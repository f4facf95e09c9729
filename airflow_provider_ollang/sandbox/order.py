"""An order of the sandbox: what it was at every moment, what is still to happen to it, and how often it was rerun.

Nothing here knows what a rerun or an evaluation does: `lifecycle` and `evaluations` plan the changes.
"""

from __future__ import annotations

import copy
from bisect import bisect_right, insort
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from airflow_provider_ollang.sandbox.clock import to_iso

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox.evaluations import Evaluation
    from airflow_provider_ollang.sandbox.options import Behaviour

Json = dict[str, Any]
#: Fields of the order that change, or what makes them of the order as it is. None of them alters what a field holds:
#: the order's past still shows it. `ABSENT` removes a field.
Fields = Json | Callable[[Json], Json]
ABSENT = object()
DONE = ("completed", "delivered")
#: The account whose key the sandbox takes.
OWN = "own"
#: The order of the vendor's page.
EXAMPLE_ID = "60b8d6f1e1b9b1d8c6c0d8e1"
COUNTS = (
    *("reruns_accepted", "reruns_refused", "evaluations_accepted", "evaluations_refused"),
    *("reviews_accepted", "reviews_refused", "reviews_cancelled", "cancels_accepted", "cancels_refused"),
)
_BY_MOMENT = attrgetter("at")


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happens to an order at a moment.

    :param cause: who or what did it, for the order's history.
    :param origin: what planned it. A new run replaces what the last one has still planned; so does an evaluation.
    :param ends_run: the run is over afterwards.
    :param cancels_run: likewise, and what the run has still planned does not happen.
    """

    at: int
    cause: str
    fields: Fields
    origin: Literal["run", "evaluation", "admin"] = "run"
    ends_run: bool = False
    cancels_run: bool = False


class Snapshot(NamedTuple):
    """The order from a moment on."""

    at: int
    order: Json


@dataclass(slots=True)
class Order:
    """One order. Nothing happens by itself: `catch_up` brings it up to a moment before every use.

    :param history: each status, when, and why.
    :param run: number of the last run; the results it had at first are run 1.
    :param running: whether a run is going on, whatever the status says; `run_started`: since when.
    :param cancelled: whether the API has cancelled it, whatever the status says.
    """

    id: str
    owner: str
    behaviour: Behaviour
    snapshots: list[Snapshot]
    history: list[Json]
    planned: list[Change] = field(default_factory=list)
    run: int = 1
    running: bool = False
    run_started: int = 0
    cancelled: bool = False
    credits_used: int = 0
    gets: int = 0
    reruns_accepted: int = 0
    reruns_refused: int = 0
    evaluations_accepted: int = 0
    evaluations_refused: int = 0
    reviews_accepted: int = 0
    reviews_refused: int = 0
    reviews_cancelled: int = 0
    cancels_accepted: int = 0
    cancels_refused: int = 0
    evaluations: list[Evaluation] = field(default_factory=list)

    @classmethod
    def create(cls, order_id: str, order: Json, owner: str, behaviour: Behaviour, now: int) -> Order:
        """Make an order that is as given from now on."""
        created = cls(order_id, owner, behaviour, [Snapshot(now, copy.deepcopy(order))], [])
        created._note_status(now, "start")
        return created

    @property
    def latest(self) -> Json:
        """The order after all that has happened."""
        return self.snapshots[-1].order

    @property
    def is_done(self) -> bool:
        """Whether the shown status allows a rerun or an evaluation."""
        return self.latest.get("status") in DONE

    @property
    def is_gone(self) -> bool:
        """Whether it was cancelled, and is found no longer."""
        return self.cancelled and self.behaviour.cancelled_status is None

    def refund(self, amount: int) -> None:
        """Give credits back, at most those that it has used."""
        self.credits_used -= min(amount, self.credits_used)

    def at(self, moment: int) -> Json:
        """Return the order as it was; before it existed, as it was at first."""
        return self.snapshots[max(bisect_right(self.snapshots, moment, key=_BY_MOMENT) - 1, 0)].order

    def catch_up(self, now: int) -> None:
        """Apply the changes that are due."""
        while self.planned and self.planned[0].at <= now:
            change = self.planned.pop(0)
            self._apply(change)
            if change.cancels_run:
                self.unplan("run")
            if change.cancels_run or change.ends_run:
                self.running = False

    def plan(self, changes: Iterable[Change]) -> None:
        """Take up what is to happen."""
        for change in changes:
            insort(self.planned, change, key=_BY_MOMENT)

    def unplan(self, origin: Literal["run", "evaluation"]) -> None:
        """Drop what a run, or an evaluation, has still planned."""
        self.planned = [change for change in self.planned if change.origin != origin]

    def _apply(self, change: Change) -> None:
        before = self.latest
        fields = change.fields(before) if callable(change.fields) else change.fields
        after = {name: value for name, value in {**before, **fields}.items() if value is not ABSENT}
        self.snapshots.append(Snapshot(change.at, after))
        if after.get("status") != before.get("status"):
            self._note_status(change.at, change.cause)

    def _note_status(self, moment: int, cause: str) -> None:
        self.history.append({"time": to_iso(moment), "status": self.latest.get("status"), "cause": cause})

    # What the admin API shows: the truth, without the options that alter responses

    def summary(self) -> Json:
        """Return the main facts."""
        return {
            "id": self.id,
            "owner": self.owner,
            **{name: self.latest.get(name) for name in ("type", "status", "level", "name")},
            **{name: getattr(self, name) for name in COUNTS},
        }

    def report(self) -> Json:
        """Return all that is known; `evaluations` are the accepted ones, with what was asked for."""
        return {
            "order": copy.deepcopy(self.latest),
            "behaviour": asdict(self.behaviour),
            "owner": self.owner,
            "run": self.run,
            "running": self.running,
            "credits_used": self.credits_used,
            **{name: getattr(self, name) for name in COUNTS},
            "history": [dict(line) for line in self.history],
            "evaluations": [evaluation.report() for evaluation in self.evaluations],
        }
