"""
How one waits for an order, in any process.

Theory of operation
===================

A wait is a state machine without I/O. A driver (a task on a worker, a trigger) polls the order, hands what came of it
to :meth:`Poller.on_order` or :meth:`Poller.on_error`, logs the lines of the :class:`Decision`, and returns its result,
raises its error, or polls again after its pause. A driver decides nothing, so a wait has the same outcome in every
mode. The goal (what one waits for: ``goals.py``) and the :class:`PollConfig` (how often, how patiently) never change.
The :class:`PollState` (what polls have shown so far) does. All three are plain JSON, so a wait can move to another
process after any poll. The goal alone knows what an order means; the poller knows errors, pauses and the deadline.

=================================== ==================== ====================== =====================================
a poll                              in state             changes it to          and the decision is
=================================== ==================== ====================== =====================================
returns the order                   any                  seen: no failure,       the goal's: result, error, or a pause
                                                         no denial              of one interval at most
fails, transient                    few failures         one failure more       a pause, doubled with each failure
                                    one too many         the same               the error, unless failures are ignored
429 with ``Retry-After``            any                  the same               a pause of that length
denied: 401, 403, 404, not Ollang's never seen           the same               the error
                                    seen                 denied                 a pause of 30 s
                                    denied 30 s ago      the same               the error: it persists
fails, otherwise permanent          any                  the same               the error
any of these                        past the deadline                           a timeout instead of a pause
=================================== ==================== ====================== =====================================
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.domain.arguments import unknown_statuses
from airflow_provider_ollang.domain.goals import Done, Failed, Poll, Verdict
from airflow_provider_ollang.domain.messages import LogLine, debug, format_duration, info, warning
from airflow_provider_ollang.domain.orders import ATTENTION_STATUSES, KNOWN_STATUSES, REVIEW_GATE, Order
from airflow_provider_ollang.domain.values import known_fields
from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangAuthenticationError,
    OllangConfigurationError,
    OllangError,
    OllangOrderNotFoundError,
    OllangPermanentError,
    OllangRateLimitError,
    OllangTimeoutError,
    OllangTransientError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_ollang.domain.goals import Goal

MAX_POLL_FAILURES = 10
#: The shortest pauses after a successful and after a failed poll, in seconds.
SHORTEST_INTERVAL = 1.0
_SHORTEST_FAILURE_PAUSE = 5.0
#: A server may ask for longer, even for years where its clock or ours is off: one poll shows whether it still does.
LONGEST_FAILURE_PAUSE = 300.0
#: One bad answer of a gateway says these, too: the error has to persist for so many seconds.
_DENIALS = (OllangAuthenticationError, OllangAccessDeniedError, OllangOrderNotFoundError)
DENIAL_PAUSE = 30.0
#: Seconds between two warnings for a person.
_WARN_AGAIN_AFTER = 24 * 3600.0
#: 2 to this power is still a number of seconds.
_MOST_DOUBLINGS = 30


@dataclass(frozen=True)
class PollConfig:
    """
    Which order is polled, how often and how patiently; times in seconds.

    :param order_id: the order.
    :param poll_interval: pause between two polls, a second at least.
    :param exponential_backoff: double the pause after each poll.
    :param max_interval: the longest pause then.
    :param timeout: how long the wait may take, for messages; the deadline is given to the poller.
    :param max_poll_failures: consecutive poll failures that end the wait.
    :param ignore_poll_failures: continue until the deadline instead (``silent_fail`` of a sensor).
    """

    order_id: str
    poll_interval: float = 60.0
    exponential_backoff: bool = False
    max_interval: float | None = None
    timeout: float = 7 * 86400.0
    max_poll_failures: int = MAX_POLL_FAILURES
    ignore_poll_failures: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the config as a plain dict, for the arguments of a trigger."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PollConfig:
        """
        Read what :meth:`to_json` returned, of this or another version of the provider.

        :raises OllangConfigurationError: it is something else.
        """
        try:
            return cls(**known_fields(cls, value, _CONFIG_RENAMED))
        except (TypeError, AttributeError) as error:
            raise OllangConfigurationError(f"The stored poll config of this wait cannot be read: {error}.") from None


@dataclass
class PollState:
    """
    What the polls of a wait have shown so far; plain JSON, so that it can outlive a process. Times are epoch seconds.

    :param last_status: the order's status at the last successful poll; ``None`` before the first.
    :param was_seen: whether the order was seen before the first poll.
    :param seen_running: whether this wait has observed the order running since the rerun.
    :param warned_at: per status that needs a person, when that was last logged.
    :param unknown_statuses: unknown statuses that were logged.
    :param poll_count: successful polls so far that count for exponential backoff; 0 without it.
    :param consecutive_failures: transient failures since the last successful poll.
    :param denied_since: when the order was first denied after a successful poll.
    :param unverified_since: since when the order is done without evidence of the rerun.
    :param verified_since: since when there is evidence, but not yet of new outputs.
    :param baseline_confirmed: whether the baseline is known to list all there was before the rerun: a poll long enough
        after ``unverified_since`` showed nothing else, or the polls that showed the rerun running did not; ``False``
        once one of these showed what may have been missed, or what a clock that is off makes look so; ``None`` as long
        as that is unknown.
    :param evaluation_announced: whether it was logged that the evaluation is still to come.
    """

    last_status: str | None = None
    was_seen: bool = False
    seen_running: bool = False
    warned_at: dict[str, float] = field(default_factory=dict)
    unknown_statuses: list[str] = field(default_factory=list)
    poll_count: int = 0
    consecutive_failures: int = 0
    denied_since: float | None = None
    unverified_since: float | None = None
    verified_since: float | None = None
    baseline_confirmed: bool | None = None
    evaluation_announced: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the state as a plain dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> PollState:
        """Read what :meth:`to_json` returned, of this or another version of the provider."""
        return cls(**copy.deepcopy(known_fields(cls, value, _STATE_RENAMED)))

    def for_new_try(self) -> PollState:
        """Return what stays true when another try of the task continues the wait: facts, but no clocks."""
        return PollState(
            last_status=self.last_status,
            was_seen=self.was_seen,
            seen_running=self.seen_running,
            warned_at=dict(self.warned_at),
            unknown_statuses=list(self.unknown_statuses),
            baseline_confirmed=self.baseline_confirmed,
        )


#: Today's names of what triggers stored under earlier ones.
_CONFIG_RENAMED = {
    "poke_interval": "poll_interval",
    "max_wait": "max_interval",
    "outlast_failures": "ignore_poll_failures",
}
_STATE_RENAMED = {
    "reminded": "warned_at",
    "unknown": "unknown_statuses",
    "looks": "poll_count",
    "failures": "consecutive_failures",
    "doubted_since": "denied_since",
    "done_since": "unverified_since",
    "proven_since": "verified_since",
    "evaluating": "evaluation_announced",
}


@dataclass(frozen=True)
class Decision:
    """
    What to do after a poll: return ``result``, raise ``error``, or else poll again after ``pause`` seconds.

    :param result: what was waited for.
    :param error: why the wait failed.
    :param pause: seconds.
    :param after_error: whether the poll failed, so that the pause must not be cut short.
    :param after_rate_limit: whether the server asked for that pause.
    :param asks_about_review: whether to ask what the order's review is about, and log it: ``review_gate.py``.
    :param log: what to log before.
    """

    result: dict[str, Any] | None = None
    error: OllangError | None = None
    pause: float = 0.0
    after_error: bool = False
    after_rate_limit: bool = False
    asks_about_review: bool = False
    log: tuple[LogLine, ...] = field(default=(), compare=False)

    @property
    def is_final(self) -> bool:
        """Whether the wait is over."""
        return self.result is not None or self.error is not None

    def unwrap(self) -> dict[str, Any]:
        """Return the result of a final decision, or raise its error."""
        if self.error is not None:
            raise self.error
        return self.result or {}


class Poller:
    """
    A wait for one order: the table at the head of this module.

    :param config: how it is polled.
    :param goal: what is waited for.
    :param state: what earlier polls have shown; changed by each poll.
    :param deadline: epoch seconds at which there is one last poll.
    """

    def __init__(self, config: PollConfig, goal: Goal, state: PollState, deadline: float) -> None:
        self.config = config
        self.goal = goal
        self.state = state
        self.deadline = deadline
        #: The order at the last successful poll.
        self.order: Order | None = None

    @property
    def started_at(self) -> float:
        """When the wait began, epoch seconds."""
        return self.deadline - self.config.timeout

    def describe_start(self) -> str:
        """Return a line for the log: what is waited for, how often it is polled and until when."""
        backoff = " at first, with exponential backoff," if self.config.exponential_backoff else ""
        until = datetime.fromtimestamp(self.deadline, UTC).isoformat(timespec="seconds")
        return (
            f"Waiting for order {self.config.order_id} to reach {self.goal.description}: polling every "
            f"{format_duration(self._regular_interval())}{backoff} for {format_duration(self.config.timeout)}, "
            f"until {until}."
        )

    def on_order(self, order: Order, now: float) -> Decision:
        """Take in a successful poll: the order as ``GET`` answered it, and when, in epoch seconds."""
        poll = Poll(self.config.order_id, order, now, is_last=now >= self.deadline)
        warnings = self._warn_of_attention(poll.status, now)
        lines = (*self._describe_change(poll.status), *warnings, *self._warn_of_unknown(poll.status))
        self.order = order
        self.state.last_status = poll.status
        self.state.consecutive_failures = 0
        self.state.denied_since = None
        verdict = self.goal.check(poll, self.state)
        # Counted only where the pause depends on it, since a changed state has to be stored again.
        if self.config.exponential_backoff and not self.is_dense(now):
            self.state.poll_count += 1
        decision = self._decide(verdict, now, (*lines, *verdict.log))
        asks = bool(warnings) and poll.status == REVIEW_GATE and not decision.is_final
        return replace(decision, asks_about_review=asks)

    def on_error(self, error: OllangError, now: float) -> Decision:
        """Take in a failed poll: what it raised, and when, in epoch seconds."""
        if isinstance(error, OllangPermanentError):
            return self._on_denial(error, now)
        if isinstance(error, OllangRateLimitError) and error.retry_after is not None:
            # A server that asks for no pause at all must not be polled all the time.
            pause = min(max(error.retry_after, _SHORTEST_FAILURE_PAUSE), LONGEST_FAILURE_PAUSE)
            line = "%s The server asked for %.0f s; polling again in %.0f s."
            return self._pause(pause, now, (info(line, error, error.retry_after, pause),), error)
        return self._on_failure(error, now)

    def is_dense(self, now: float) -> bool:
        """Tell whether polls are dense still: the rerun is new, and was not observed running."""
        return self.goal.early_poll_within(self.state, now, self.started_at) is not None

    def interval(self, now: float) -> float:
        """Return the pause after a successful poll, in seconds."""
        early = self.goal.early_poll_within(self.state, now, self.started_at)
        regular = self._regular_interval()
        return max(regular if early is None else min(regular, early), SHORTEST_INTERVAL)

    def _regular_interval(self) -> float:
        interval = self.config.poll_interval
        if self.config.exponential_backoff:
            interval *= 2.0 ** min(max(self.state.poll_count - 1, 0), _MOST_DOUBLINGS)
            interval = interval if self.config.max_interval is None else min(interval, self.config.max_interval)
        return max(interval, SHORTEST_INTERVAL)

    def _decide(self, verdict: Verdict, now: float, log: tuple[LogLine, ...]) -> Decision:
        if isinstance(verdict, Done):
            return Decision(result=verdict.result, log=log)
        if isinstance(verdict, Failed):
            return Decision(error=verdict.error, log=log)
        interval = self.interval(now)
        return self._pause(interval if verdict.within is None else min(interval, verdict.within), now, log)

    def _on_failure(self, error: OllangError, now: float) -> Decision:
        self.state.consecutive_failures += 1
        failures, limit = self.state.consecutive_failures, self.config.max_poll_failures
        line = warning("%s Consecutive poll failures: %d of %d.", error, failures, limit)
        if failures >= limit and now < self.deadline:
            if not self.config.ignore_poll_failures:
                return Decision(error=self._too_many_failures(error))
            line = LogLine(
                "error", "%d consecutive polls failed; continuing until timeout (silent_fail). %s", (failures, error)
            )
        doubled = self.config.poll_interval * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
        asked = error.retry_after if isinstance(error, OllangTransientError) and error.retry_after else 0.0
        pause = max(_SHORTEST_FAILURE_PAUSE, min(max(doubled, asked), LONGEST_FAILURE_PAUSE))
        return self._pause(pause, now, (line,), error)

    def _on_denial(self, error: OllangPermanentError, now: float) -> Decision:
        is_answer = isinstance(error, OllangConfigurationError) and error.status_code is not None
        is_denial = is_answer or isinstance(error, _DENIALS)
        if not is_denial or (self.state.last_status is None and not self.state.was_seen):
            return Decision(error=error)
        log: tuple[LogLine, ...] = ()
        if self.state.denied_since is None:
            self.state.denied_since = now
            line = "%s The order was seen before; polling again in %.0f s before failing."
            log = (warning(line, error, DENIAL_PAUSE),)
        left = self.state.denied_since + DENIAL_PAUSE - now
        return self._pause(left, now, log, error) if left > 0 else Decision(error=error)

    def _pause(
        self, seconds: float, now: float, log: tuple[LogLine, ...], after: OllangError | None = None
    ) -> Decision:
        """Poll again, or end the wait if its deadline has come."""
        left = self.deadline - now
        if left <= 0:
            return Decision(error=self._timed_out(after), log=log)
        return Decision(
            pause=min(seconds, left),
            after_error=after is not None,
            after_rate_limit=isinstance(after, OllangRateLimitError),
            log=log,
        )

    def _timed_out(self, last_error: OllangError | None) -> OllangTimeoutError:
        status = self.state.last_status
        last = "no poll succeeded" if status is None else f"its last status was {status!r}"
        last += self.goal.describe_doubt(self.state)
        failure = f". The last poll failed: {str(last_error).rstrip('.')}" if last_error else ""
        return OllangTimeoutError(
            f"Order {self.config.order_id} did not reach {self.goal.description} within "
            f"{format_duration(self.config.timeout)}: {last}{failure}. Check the order in Ollang; if it only needs "
            "more time, raise the timeout and clear this task.",
            order_id=self.config.order_id,
        )

    def _too_many_failures(self, error: OllangError) -> OllangError:
        message = (
            f"{self.state.consecutive_failures} consecutive polls of order {self.config.order_id} failed. The last "
            f"error: {error}"
        )
        failure = error.reworded(message)
        failure.order_id = self.config.order_id
        return failure

    def _warn_of_attention(self, status: str, now: float) -> list[LogLine]:
        """Return the warning for a person, once a day."""
        warned_at = self.state.warned_at
        if status not in ATTENTION_STATUSES or now - warned_at.get(status, -_WARN_AGAIN_AFTER) < _WARN_AGAIN_AFTER:
            return []
        warned_at[status] = now
        return [warning("Order %s is in %s until a person acts in Ollang.", self.config.order_id, status)]

    def _warn_of_unknown(self, status: str) -> list[LogLine]:
        """Return the warning of a status that is not known, once for each."""
        unknown = self.state.unknown_statuses
        if status in KNOWN_STATUSES or status in self.goal.statuses or status in unknown:
            return []
        unknown.append(status)
        text = "Order %s has the unknown status %s; treating it as unfinished."
        return [warning(text, self.config.order_id, status)]

    def _describe_change(self, status: str) -> list[LogLine]:
        last_status, order_id = self.state.last_status, self.config.order_id
        if status == last_status:
            return [debug("Order %s is still %s.", order_id, status)]
        if last_status is not None:
            return [info("Order %s went from %s to %s.", order_id, last_status, status)]
        lines = []
        for unknown, near in unknown_statuses(self.goal.statuses).items():
            hint = f" (did you mean {near!r}?)" if near else ""
            lines.append(warning("Unknown status %r%s; using it anyway.", unknown, hint))
        return [*lines, info("Order %s is %s.", order_id, status)]
