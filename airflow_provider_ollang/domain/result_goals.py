"""
The goal of a wait for a new result, of a rerun or of a human review; and how any goal is read again once it was stored.

Such a goal has states of its own, since an order may be ``completed`` with its previous result:

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

For a human review these rows are others:

==================================== ============================= ====================================================
done at level 0, and its review was  ``unverified_since`` runs     not yet; after the longest lag of a replica: failed,
observed, or it was at level 1                                     the review was cancelled
before
done at level 1, outputs unchanged   ``verified_since`` runs       not yet; after ``outputs_timeout``, or
                                                                   ``stale_timeout`` where nothing shows that the
                                                                   review is over: done, approved unchanged
==================================== ============================= ====================================================
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_ollang.domain.freshness import Rerun, summarize
from airflow_provider_ollang.domain.goals import (
    Done,
    EvaluationGoal,
    Failed,
    Goal,
    NotYet,
    Poll,
    StatusGoal,
    Verdict,
    order_failed,
)
from airflow_provider_ollang.domain.messages import LogLine, debug, format_duration, format_statuses, info, warning
from airflow_provider_ollang.domain.orders import DONE_STATUSES
from airflow_provider_ollang.domain.reviews import Review
from airflow_provider_ollang.domain.submission import FIRST_DELAYS
from airflow_provider_ollang.domain.values import known_fields, parse_time
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangOrderFailedError,
    OllangStaleResultError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_ollang.domain.polling import PollState

OUTPUTS_TIMEOUT = 120.0
STALE_TIMEOUT = 2 * 3600.0
#: No replica is taken to lag by more than this, in seconds.
LONGEST_LAG = 600.0
#: Seconds after its request at which a rerun is polled, so that a short run is observed running, too.
_EARLY_POLLS = tuple(accumulate(FIRST_DELAYS))


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
            return Failed(order_failed(poll, self.description))
        if poll.status not in self.target_statuses:
            return NotYet()
        return self._check_outputs(poll, state, rerun, evidence)

    def describe_doubt(self, state: PollState) -> str:
        """Return what is not proven of a finished order, for the message of a timeout; empty if there is nothing."""
        if state.unverified_since is None:
            return ""
        return f", and nothing shows that its result is the {self.rerun.noun}'s"

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
            return Failed(order_failed(poll, self.description))
        state.unverified_since = state.verified_since = None
        rerun = self._rerun_so_far(state)
        if rerun.proves_running(poll.order):
            state.seen_running = True
            if state.baseline_confirmed is None and rerun.withholds(poll.order):
                state.baseline_confirmed = False
        was_running = self._rerun_so_far(state).seen_running
        if poll.status not in self.target_statuses or (rerun.shows_running(poll.order) and not was_running):
            return NotYet()
        # The order was done before the rerun, so any other status is new.
        evidence = ["running"] if was_running else []
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
        left = state.verified_since + self._patience_for_outputs(evidence) - poll.now
        if left > 0 and not poll.is_last:
            return NotYet(left, log)
        if left <= 0 and self._only_clocks_differ(poll, state, rerun):
            state.baseline_confirmed = True
        return self._end_of_outputs(poll, state, log)

    def _patience_for_outputs(self, evidence: list[str]) -> float:  # noqa: ARG002 - any evidence of a rerun is as good
        """Return the seconds that new outputs may lag behind this evidence."""
        return self.outputs_timeout

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
            log = (*log, self._describe_missing_outputs(poll, rerun, evidence))
        return Done(self._summarize(poll, state, evidence), log)

    def _describe_missing_outputs(self, poll: Poll, rerun: Rerun, evidence: list[str]) -> LogLine:  # noqa: ARG002
        """Return what to log where the wait ends without all the new outputs."""
        text = "Order %s is %s (evidence: %s), but some of its new outputs may be missing: outputs_changed is %s."
        changed = str("documents" in evidence).lower()
        return warning(text, poll.order_id, poll.status, ", ".join(evidence), changed)

    def _check_unverified(self, poll: Poll, state: PollState, rerun: Rerun) -> Verdict:
        is_first = state.unverified_since is None
        since = state.unverified_since = poll.now if state.unverified_since is None else state.unverified_since
        self._confirm_baseline(poll, state, rerun)
        line = "Order %s is still %s with its previous result; waiting for the %s."
        log = ((info if is_first else debug)(line, poll.order_id, poll.status, rerun.noun),)
        left = since + self.stale_timeout - poll.now
        if left > 0:
            return NotYet(left, log)
        if self.on_no_evidence == "fail":
            return Failed(self._stale(poll, state, rerun), log)
        if poll.status not in self.target_statuses:
            return NotYet(log=log)
        accepted = warning(
            "Order %s: accepted without evidence of the %s (on_no_evidence='accept'): %s.",
            poll.order_id,
            rerun.noun,
            rerun.describe_comparison(poll.order),
        )
        return Done(self._summarize(poll, state, []), (*log, accepted))

    def _confirm_baseline(self, poll: Poll, state: PollState, rerun: Rerun) -> None:
        """Note whether the baseline can have missed anything: see :class:`~.freshness.Rerun`."""
        if state.baseline_confirmed is not None or state.unverified_since is None:
            return
        if rerun.withholds(poll.order):
            state.baseline_confirmed = False
        elif poll.now - state.unverified_since >= LONGEST_LAG:
            state.baseline_confirmed = True

    def _stale(self, poll: Poll, state: PollState, rerun: Rerun) -> OllangStaleResultError:
        duration = format_duration(poll.now - (state.unverified_since or poll.now))
        return OllangStaleResultError(
            f"Order {poll.order_id} has been {poll.status!r} for {duration}, but nothing shows that its result is the "
            f"{rerun.noun}'s: {rerun.describe_comparison(poll.order)}. Check the order in Ollang. If the result is "
            f"the new one, mark this task as success; if the {rerun.noun} never ran, clear the task that "
            f"{rerun.begins} it.",
            result=self._summarize(poll, state, []),
            order_id=poll.order_id,
        )


@dataclass(frozen=True, kw_only=True)
class ReviewGoal(RerunGoal):
    """The order is in one of some statuses with the result of a human review: the table at the head of this module."""

    rerun: Review

    @property
    def description(self) -> str:
        """Return what it is, behind "to reach"."""
        return f"{format_statuses(self.target_statuses)} with the result of its human review"

    def to_json(self) -> dict[str, Any]:
        """Return the goal as a plain dict, for the arguments of a trigger."""
        return {**super().to_json(), "kind": "review"}

    def _patience_for_outputs(self, evidence: list[str]) -> float:
        """Return the seconds that new outputs may lag: longer where the status, too, may still be the old one."""
        return self.outputs_timeout if self.rerun.is_proof(evidence) else self.stale_timeout

    def _describe_missing_outputs(self, poll: Poll, rerun: Rerun, evidence: list[str]) -> LogLine:
        new = rerun.new_outputs(poll.order)
        what = "replaced only some of its outputs" if new else "approved its outputs as they were"
        changed = str("documents" in evidence).lower()
        text = "Order %s is %s (evidence: %s): the human review has %s; outputs_changed is %s."
        return info(text, poll.order_id, poll.status, ", ".join(evidence), what, changed)

    def _check_unverified(self, poll: Poll, state: PollState, rerun: Rerun) -> Verdict:
        was_observed = rerun.seen_running or state.verified_since is not None or (rerun.baseline.level or 0) > 0
        if not (was_observed and self.rerun.is_at_level_0(poll.order)):
            return super()._check_unverified(poll, state, rerun)
        is_first = state.unverified_since is None
        since = state.unverified_since = poll.now if state.unverified_since is None else state.unverified_since
        left = since + LONGEST_LAG - poll.now
        if left <= 0 or poll.is_last:
            return Failed(_review_cancelled(poll))
        line = "Order %s is %s at level 0, as when its human review is cancelled; polling again to be sure."
        return NotYet(left, ((info if is_first else debug)(line, poll.order_id, poll.status),))


def result_goal(rerun: Rerun, **settings: Any) -> RerunGoal:
    """
    Return the goal of a wait for the result of a rerun or of a human review.

    :param settings: the other parameters of :class:`RerunGoal`.
    """
    return ReviewGoal(rerun=rerun, **settings) if isinstance(rerun, Review) else RerunGoal(rerun=rerun, **settings)


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
        rerun_class = Review if value.get("kind") == "review" else Rerun
        settings = {**known_fields(RerunGoal, value), **statuses}
        return result_goal(rerun_class.from_json(settings.pop("rerun")), **settings)
    except (KeyError, TypeError, AttributeError) as error:
        raise OllangConfigurationError(f"The stored goal of this wait cannot be read: {error}.") from None


def _review_cancelled(poll: Poll) -> OllangOrderFailedError:
    return OllangOrderFailedError(
        f"The human review of order {poll.order_id} was cancelled; the order shows its old result: it is "
        f"{poll.status!r} at level 0. To have it reviewed all the same, clear the task that requested the review.",
        order_id=poll.order_id,
    )
