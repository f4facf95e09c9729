"""
What one waits for: a goal says of each poll whether it is reached, failed, or not yet.

A goal is immutable; what earlier polls have shown is in the :class:`~.polling.PollState`. The goal of a
new result is in ``result_goals.py``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_ollang.domain.evaluations import Evaluation, find_evaluation
from airflow_provider_ollang.domain.freshness import summarize
from airflow_provider_ollang.domain.messages import LogLine, format_statuses, info
from airflow_provider_ollang.domain.orders import DONE_STATUSES, FAILURE_STATUSES, Order
from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangError, OllangOrderFailedError

if TYPE_CHECKING:
    from airflow_provider_ollang.domain.polling import PollState

OnMissing = Literal["fail", "wait", "pass"]


@dataclass(frozen=True)
class Poll:
    """
    One successful poll.

    :param order_id: the order's id, as the task was given it.
    :param order: the order as ``GET`` answered it.
    :param now: when, epoch seconds.
    :param is_last: whether the deadline has come, so that there is no further poll.
    """

    order_id: str
    order: Order
    now: float
    is_last: bool

    @property
    def status(self) -> str:
        """The order's status."""
        return str(self.order.get("status"))


@dataclass(frozen=True)
class Done:
    """The goal is reached, with this result."""

    result: dict[str, Any]
    log: tuple[LogLine, ...] = ()


@dataclass(frozen=True)
class Failed:
    """The goal cannot be reached any more."""

    error: OllangError
    log: tuple[LogLine, ...] = ()


@dataclass(frozen=True)
class NotYet:
    """The goal is not reached yet; something changes within so many seconds even if the order does not."""

    within: float | None = None
    log: tuple[LogLine, ...] = ()


Verdict = Done | Failed | NotYet


class Goal:
    """What one waits for."""

    @property
    def description(self) -> str:
        """Return what it is, behind "to reach"."""
        raise NotImplementedError

    @property
    def statuses(self) -> frozenset[str]:
        """Return every status that it names."""
        return frozenset()

    def check(self, poll: Poll, state: PollState) -> Verdict:
        """Tell what a poll means; ``state`` is changed."""
        raise NotImplementedError

    def describe_doubt(self, state: PollState) -> str:  # noqa: ARG002 - most goals leave none
        """Return what is not proven of a finished order, for the message of a timeout; empty if there is nothing."""
        return ""

    def early_poll_within(self, state: PollState, now: float, started_at: float) -> float | None:  # noqa: ARG002
        """Return the seconds to the next poll of a dense start; ``None`` if there is none."""
        return None

    def to_json(self) -> dict[str, Any]:
        """Return the goal as a plain dict, for the arguments of a trigger."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class StatusGoal(Goal):
    """
    The order is in one of some statuses.

    :param target_statuses: statuses that reach it.
    :param failure_statuses: statuses that fail it.
    """

    target_statuses: frozenset[str] = DONE_STATUSES
    failure_statuses: frozenset[str] = FAILURE_STATUSES

    def __post_init__(self) -> None:
        if both := self.target_statuses & self.failure_statuses:
            raise OllangConfigurationError(f"{sorted(both)} cannot be both target_statuses and failure_statuses.")

    @property
    def description(self) -> str:
        """Return what it is, behind "to reach"."""
        return format_statuses(self.target_statuses)

    @property
    def statuses(self) -> frozenset[str]:
        """Return every status that it names."""
        return self.target_statuses | self.failure_statuses

    def check(self, poll: Poll, state: PollState) -> Verdict:  # noqa: ARG002 - a status needs no state
        """Tell what a poll means."""
        if poll.status in self.failure_statuses:
            return Failed(order_failed(poll, self.description))
        if poll.status in self.target_statuses:
            return Done(summarize(poll.order_id, poll.order))
        return NotYet()

    def to_json(self) -> dict[str, Any]:
        """Return the goal as a plain dict, for the arguments of a trigger."""
        return {
            **asdict(self),
            "target_statuses": sorted(self.target_statuses),
            "failure_statuses": sorted(self.failure_statuses),
        }


@dataclass(frozen=True)
class EvaluationGoal(Goal):
    """
    An evaluation of the order is finished: :func:`.find_evaluation` tells which one counts.

    :param on_missing: what to do as long as the order has none that counts: ``"wait"``, or end the wait without one.
    :param before: the ``key`` of an evaluation that does not count any more; only newer ones do.
    :param evaluation_id: the id of the one that was requested or attached to.
    :param since: ISO 8601, by the server's clock: when that one was requested, or the rerun whose result it must
        evaluate.
    """

    on_missing: OnMissing = "fail"
    before: dict[str, str | None] | None = None
    evaluation_id: str | None = None
    since: str | None = None

    @property
    def description(self) -> str:
        """Return what it is, behind "to reach"."""
        return "a finished evaluation"

    def find(self, order: Order) -> Evaluation | None:
        """Return the order's evaluation if it counts."""
        return find_evaluation(order, before=self.before, evaluation_id=self.evaluation_id, since=self.since)

    def check(self, poll: Poll, state: PollState) -> Verdict:
        """Tell what a poll means; ``state`` is changed."""
        evaluation = self.find(poll.order)
        if evaluation is not None and not evaluation.is_loading:
            return Done({"order_id": poll.order_id, "evaluation": evaluation.to_json()})
        if poll.status in FAILURE_STATUSES:
            return Failed(order_failed(poll, self.description))
        if evaluation is None and self.on_missing != "wait":
            return Done({"order_id": poll.order_id, "evaluation": None})
        if state.evaluation_announced:
            return NotYet()
        state.evaluation_announced = True
        progress = "in progress" if evaluation else "not available yet"
        return NotYet(log=(info("Order %s: its evaluation is %s.", poll.order_id, progress),))

    def to_json(self) -> dict[str, Any]:
        """Return the goal as a plain dict, for the arguments of a trigger."""
        return {"evaluation": asdict(self)}


def order_failed(poll: Poll, description: str) -> OllangOrderFailedError:
    """Return the error of an order that will not reach a goal, given its description."""
    return OllangOrderFailedError(
        f"Order {poll.order_id} is {poll.status!r} and will not reach {description}. Check the order in Ollang for "
        "the reason.",
        order_id=poll.order_id,
    )
