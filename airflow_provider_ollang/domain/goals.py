"""
What one waits for: a goal says of each poll whether it is reached, failed, or not yet.

A goal is immutable; what earlier polls have shown is in the :class:`~.polling.PollState`. Of these,
:class:`RerunGoal` is the one with states of its own, since an order may be ``completed`` with its previous result:

==================================== ============================= ====================================================
a poll shows the order               state                         verdict
==================================== ============================= ====================================================
unfinished or failed, and older than                               not yet
the baseline
in a failure status                                                failed
unfinished                           both clocks reset;            not yet; in a target status: done
                                     observed running
done, without evidence               ``unverified_since`` runs     not yet; after ``stale_timeout``: failed, or done
                                                                   with ``on_no_evidence="accept"``
done, with evidence, outputs missing ``verified_since`` runs       not yet; after ``outputs_timeout``: done, with a
                                                                   warning unless only clocks differ
done, with evidence, outputs complete                              done
==================================== ============================= ====================================================
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_ollang.domain.evaluations import Evaluation, find_evaluation
from airflow_provider_ollang.domain.freshness import Rerun, summarize
from airflow_provider_ollang.domain.messages import LogLine, debug, format_duration, format_statuses, info, warning
from airflow_provider_ollang.domain.orders import DONE_STATUSES, FAILURE_STATUSES, Order
from airflow_provider_ollang.domain.submission import FIRST_DELAYS
from airflow_provider_ollang.domain.values import known_fields, parse_time
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangOrderFailedError,
    OllangStaleResultError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_ollang.domain.polling import PollState

OnMissing = Literal["fail", "wait", "pass"]

OUTPUTS_TIMEOUT = 120.0
STALE_TIMEOUT = 2 * 3600.0
#: No replica is taken to lag by more than this, in seconds.
_LONGEST_LAG = 600.0
#: Seconds after its request at which a rerun is polled, so that a short run is observed running, too.
_EARLY_POLLS = tuple(accumulate(FIRST_DELAYS))


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
            return Failed(_order_failed(poll, self.description))
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


@dataclass(frozen=True, kw_only=True)
class RerunGoal(StatusGoal):
    """
    The order is in one of some statuses with the result of a rerun: the table at the head of this module.

    :param rerun: the rerun.
    :param outputs_timeout: seconds that new outputs may lag behind a status that is verified to be the rerun's.
    :param stale_timeout: seconds that the order may be done without any evidence of the rerun.
    :param on_no_evidence: what that ends in.
    """

    rerun: Rerun
    outputs_timeout: float = OUTPUTS_TIMEOUT
    stale_timeout: float = STALE_TIMEOUT
    on_no_evidence: Literal["fail", "accept"] = "fail"

    @property
    def description(self) -> str:
        """Return what it is, behind "to reach"."""
        return f"{super().description} with a new result"

    def check(self, poll: Poll, state: PollState) -> Verdict:
        """Tell what a poll means; ``state`` is changed."""
        if poll.status not in DONE_STATUSES:
            is_older = self.rerun.predates_baseline(poll.order)
            return NotYet() if is_older else self._check_unfinished(poll, state)
        rerun = self._rerun_so_far(state)
        evidence = rerun.evidence(poll.order)
        if not evidence:
            return self._check_unverified(poll, state, rerun)
        state.unverified_since = None
        if poll.status in self.failure_statuses:
            return Failed(_order_failed(poll, self.description))
        if poll.status not in self.target_statuses:
            return NotYet()
        return self._check_outputs(poll, state, rerun, evidence)

    def early_poll_within(self, state: PollState, now: float, started_at: float) -> float | None:
        """Return the seconds to the next poll of a dense start; ``None`` if the rerun is not new or was observed."""
        if state.seen_running or self.rerun.seen_running:
            return None
        requested = parse_time(self.rerun.requested_at)
        if requested is None:
            return None
        age = now - requested.timestamp()
        if age < 0:
            # The server's clock is ahead, and its dates prove little: then it matters most to observe the rerun.
            age = now - started_at
        return next((at - age for at in _EARLY_POLLS if 0 <= age < at), None)

    def _rerun_so_far(self, state: PollState) -> Rerun:
        """Return the rerun with what polls have shown of it."""
        return replace(
            self.rerun,
            seen_running=self.rerun.seen_running or state.seen_running,
            baseline_confirmed=self.rerun.baseline_confirmed or state.baseline_confirmed is True,
        )

    def _summarize(self, poll: Poll, state: PollState, evidence: list[str]) -> dict[str, Any]:
        return summarize(poll.order_id, poll.order, rerun=self._rerun_so_far(state), evidence=evidence)

    def _check_unfinished(self, poll: Poll, state: PollState) -> Verdict:
        if poll.status in self.failure_statuses:
            return Failed(_order_failed(poll, self.description))
        state.unverified_since = state.verified_since = None
        rerun = self._rerun_so_far(state)
        if rerun.proves_running(poll.order):
            state.seen_running = True
            if state.baseline_confirmed is None and rerun.withholds(poll.order):
                state.baseline_confirmed = False
        if poll.status not in self.target_statuses:
            return NotYet()
        # The order was done before the rerun, so any other status is new.
        evidence = ["running"] if self._rerun_so_far(state).seen_running else []
        return Done(self._summarize(poll, state, evidence))

    def _check_outputs(self, poll: Poll, state: PollState, rerun: Rerun, evidence: list[str]) -> Verdict:
        changed = "documents" in evidence
        if changed and rerun.outputs_complete(poll.order):
            return Done(self._summarize(poll, state, evidence))
        about = (poll.order_id, poll.status, ", ".join(evidence))
        log: tuple[LogLine, ...] = ()
        if state.verified_since is None:
            state.verified_since = poll.now
            lag = "it has no outputs yet" if rerun.baseline.outputs == [] else "its outputs are still the previous ones"
            lag = "some of its new outputs may be missing" if changed else lag
            log = (info("Order %s is %s (evidence: %s); %s.", *about, lag),)
        left = state.verified_since + self.outputs_timeout - poll.now
        if left > 0 and not poll.is_last:
            return NotYet(left, log)
        if left <= 0 and self._only_clocks_differ(poll, state, rerun):
            state.baseline_confirmed = True
        return self._end_of_outputs(poll, state, log)

    def _only_clocks_differ(self, poll: Poll, state: PollState, rerun: Rerun) -> bool:
        """
        Tell whether what is dated before the request came after it all the same, ``outputs_timeout`` being over.

        The baseline is from before the run, the polls that showed it running showed nothing later than the baseline,
        and a replica that lags would answer otherwise by now.
        """
        is_unknown = state.baseline_confirmed is None and rerun.baseline.status in DONE_STATUSES
        was_running = state.seen_running and "running" in rerun.evidence(poll.order)
        return is_unknown and was_running and rerun.withholds(poll.order)

    def _end_of_outputs(self, poll: Poll, state: PollState, log: tuple[LogLine, ...]) -> Done:
        rerun = self._rerun_so_far(state)
        evidence = rerun.evidence(poll.order)
        changed = "documents" in evidence
        if not (changed and rerun.outputs_complete(poll.order)):
            text = "Order %s is %s (evidence: %s), but some of its new outputs may be missing: outputs_changed is %s."
            line = warning(text, poll.order_id, poll.status, ", ".join(evidence), str(changed).lower())
            log = (*log, line)
        return Done(self._summarize(poll, state, evidence), log)

    def _check_unverified(self, poll: Poll, state: PollState, rerun: Rerun) -> Verdict:
        is_first = state.unverified_since is None
        since = state.unverified_since = poll.now if state.unverified_since is None else state.unverified_since
        self._confirm_baseline(poll, state, rerun)
        line = "Order %s is still %s with its previous result; waiting for the rerun."
        log = ((info if is_first else debug)(line, poll.order_id, poll.status),)
        left = since + self.stale_timeout - poll.now
        if left > 0:
            return NotYet(left, log)
        if self.on_no_evidence == "fail":
            return Failed(self._stale(poll, state, rerun), log)
        if poll.status not in self.target_statuses:
            return NotYet(log=log)
        accepted = warning(
            "Order %s: accepted without evidence of the rerun (on_no_evidence='accept'): %s.",
            poll.order_id,
            rerun.describe_comparison(poll.order),
        )
        return Done(self._summarize(poll, state, []), (*log, accepted))

    def _confirm_baseline(self, poll: Poll, state: PollState, rerun: Rerun) -> None:
        """Note whether the baseline can have missed anything: see :class:`~.freshness.Rerun`."""
        if state.baseline_confirmed is not None or state.unverified_since is None:
            return
        if rerun.withholds(poll.order):
            state.baseline_confirmed = False
        elif poll.now - state.unverified_since >= _LONGEST_LAG:
            state.baseline_confirmed = True

    def _stale(self, poll: Poll, state: PollState, rerun: Rerun) -> OllangStaleResultError:
        duration = format_duration(poll.now - (state.unverified_since or poll.now))
        return OllangStaleResultError(
            f"Order {poll.order_id} has been {poll.status!r} for {duration}, but nothing shows that its result is the "
            f"rerun's: {rerun.describe_comparison(poll.order)}. Check the order in Ollang. If the result is the new "
            "one, mark this task as success; if the rerun never ran, clear the task that reruns it.",
            result=self._summarize(poll, state, []),
            order_id=poll.order_id,
        )


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
            return Failed(_order_failed(poll, self.description))
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


def goal_from_json(value: Mapping[str, Any]) -> Goal:
    """
    Read what a goal's ``to_json`` returned, in this or another version of the provider.

    :param value: what was stored. What else is in it is ignored: earlier versions stored a goal and how it is polled
        as one dict, ``rules``.
    :raises OllangConfigurationError: it is something else.
    """
    try:
        if value.get("evaluation") is not None:
            return EvaluationGoal(**known_fields(EvaluationGoal, value["evaluation"]))
        statuses = {name: frozenset(value[name]) for name in ("target_statuses", "failure_statuses")}
        if value.get("rerun") is None:
            return StatusGoal(**statuses)
        return RerunGoal(**{**known_fields(RerunGoal, value), **statuses, "rerun": Rerun.from_json(value["rerun"])})
    except (KeyError, TypeError, AttributeError) as error:
        raise OllangConfigurationError(f"The stored goal of this wait cannot be read: {error}.") from None


def _order_failed(poll: Poll, description: str) -> OllangOrderFailedError:
    return OllangOrderFailedError(
        f"Order {poll.order_id} is {poll.status!r} and will not reach {description}. Check the order in Ollang for "
        "the reason.",
        order_id=poll.order_id,
    )
