"""
One wait for an order: what each look at it means, whoever looks and wherever.

Pure: no network, no Airflow, no sleeping. A driver (a sensor, a trigger) looks, hands what it saw to
:meth:`Wait.saw` or :meth:`Wait.failed_to_look`, and does what the returned :class:`Step` says, so that a wait
means the same in every mode.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from airflow_provider_ollang.domain.arguments import unknown_statuses
from airflow_provider_ollang.domain.freshness import Rerun, summarize
from airflow_provider_ollang.domain.goals import EvaluationGoal
from airflow_provider_ollang.domain.orders import ATTENTION_STATUSES, DONE_STATUSES, KNOWN_STATUSES, Order
from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangAuthenticationError,
    OllangConfigurationError,
    OllangError,
    OllangOrderFailedError,
    OllangOrderNotFoundError,
    OllangPermanentError,
    OllangRateLimitError,
    OllangStaleResultError,
    OllangTimeoutError,
    OllangTransientError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


MAX_POLL_FAILURES = 10
OUTPUTS_TIMEOUT = 120.0
STALE_TIMEOUT = 2 * 3600.0

#: The shortest pause between two looks.
SHORTEST_INTERVAL = 1.0
_SHORTEST_FAILURE_PAUSE = 5.0
#: A server may ask for longer, even for years where its clock or ours is off: one poll shows whether it still does.
LONGEST_FAILURE_PAUSE = 300.0
_SECOND_OPINION_AFTER = 30.0
_REMIND_AFTER = 24 * 3600.0
#: No replica is taken to lag by more than this.
_LONGEST_LAG = 600.0
#: One bad answer of a gateway says these, too.
_DOUBTED = (OllangAuthenticationError, OllangAccessDeniedError, OllangOrderNotFoundError)


class Log(Protocol):
    """What a wait needs of a logger."""

    def debug(self, event: str, *args: Any) -> Any:
        """Log a look that brought nothing new."""

    def info(self, event: str, *args: Any) -> Any:
        """Log a step of the order."""

    def warning(self, event: str, *args: Any) -> Any:
        """Log what a person should know."""

    def error(self, event: str, *args: Any) -> Any:
        """Log trouble that does not end the wait."""


@dataclass(frozen=True)
class WaitRules:
    """
    What is waited for, and with how much patience; times in seconds.

    :param order_id: the order.
    :param target_statuses: statuses that end the wait well.
    :param failure_statuses: statuses that end it badly.
    :param rerun: the rerun whose result is wanted; ``None`` accepts any result.
    :param poke_interval: pause between two looks, a second at least.
    :param exponential_backoff: double the pause after each look.
    :param max_wait: the longest pause then.
    :param timeout: how long the wait may take, for messages; the deadline is given with each look.
    :param max_poll_failures: failed looks in a row that end the wait.
    :param outlast_failures: go on to the deadline instead (``silent_fail`` of a sensor).
    :param outputs_timeout: how long new outputs may lag behind a status that is known to be the rerun's.
    :param stale_timeout: how long an order may say that it is done without any evidence of the rerun.
    :param on_no_evidence: what that ends in.
    :param evaluation: the evaluation that is waited for, instead of a status.
    """

    order_id: str
    target_statuses: frozenset[str]
    failure_statuses: frozenset[str]
    rerun: Rerun | None = None
    poke_interval: float = 60.0
    exponential_backoff: bool = False
    max_wait: float | None = None
    timeout: float = 7 * 86400.0
    max_poll_failures: int = MAX_POLL_FAILURES
    outlast_failures: bool = False
    outputs_timeout: float = OUTPUTS_TIMEOUT
    stale_timeout: float = STALE_TIMEOUT
    on_no_evidence: Literal["fail", "accept"] = "fail"
    evaluation: EvaluationGoal | None = None

    def __post_init__(self) -> None:
        if both := self.target_statuses & self.failure_statuses:
            raise OllangConfigurationError(f"{sorted(both)} cannot be both target_statuses and failure_statuses.")

    def to_json(self) -> dict[str, Any]:
        """Return the rules as a plain dict, for the arguments of a trigger."""
        statuses = {"target_statuses": sorted(self.target_statuses), "failure_statuses": sorted(self.failure_statuses)}
        return {**asdict(self), **statuses}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> WaitRules:
        """
        Read what :meth:`to_json` returned, of this or another version of the provider.

        :raises OllangConfigurationError: it is something else.
        """
        names = {one.name for one in fields(cls)}
        known = {name: one for name, one in value.items() if name in names}
        try:
            for name in ("target_statuses", "failure_statuses"):
                known[name] = frozenset(known[name])
            rerun = known.get("rerun")
            if rerun is not None:
                known["rerun"] = Rerun.from_json(rerun)
            if known.get("evaluation") is not None:
                known["evaluation"] = EvaluationGoal.from_json(known["evaluation"])
            return cls(**known)
        except (KeyError, TypeError, AttributeError) as error:
            raise OllangConfigurationError(f"These are no rules of a wait: {error}.") from None


@dataclass
class WaitMemory:
    """
    What a wait remembers from look to look; plain JSON, so that it can outlive a process. Times are epoch seconds.

    :param last_status: the order's status at the last good look.
    :param seen_running: whether this wait has seen the order at work since the rerun.
    :param reminded: per status that needs a person, when that was last said.
    :param unknown: unknown statuses already reported.
    :param looks: good looks so far; without exponential backoff only whether there was one.
    :param failures: failed looks in a row.
    :param doubted_since: when the order was first denied after a good look.
    :param done_since: since when the order says it is done without evidence of the rerun.
    :param proven_since: since when there is evidence, but not yet of new outputs.
    :param baseline_confirmed: whether the baseline is known to show all there was before the rerun: a poll long enough
        after ``done_since`` showed nothing else, or the polls that showed the rerun at work did not; ``False`` once one
        of these showed what may have been missed, or what a clock that is off makes look so; ``None`` as long as nobody
        knows.
    :param evaluating: whether it was said that the evaluation is still to come.
    """

    last_status: str | None = None
    seen_running: bool = False
    reminded: dict[str, float] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    looks: int = 0
    failures: int = 0
    doubted_since: float | None = None
    done_since: float | None = None
    proven_since: float | None = None
    baseline_confirmed: bool | None = None
    evaluating: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the memory as a plain dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> WaitMemory:
        """Read what :meth:`to_json` returned, of this or another version of the provider."""
        names = {one.name for one in fields(cls)}
        return cls(**copy.deepcopy({name: known for name, known in value.items() if name in names}))

    def for_new_try(self) -> WaitMemory:
        """Return what stays true when another try of the task takes the wait over: facts, but no clocks."""
        return WaitMemory(
            last_status=self.last_status,
            seen_running=self.seen_running,
            reminded=dict(self.reminded),
            unknown=list(self.unknown),
            baseline_confirmed=self.baseline_confirmed,
        )


@dataclass(frozen=True)
class Step:
    """
    What to do after a look: return ``result``, raise ``error``, or else look again after ``pause`` seconds.

    :param result: the facts of the finished order.
    :param error: why the wait failed.
    :param pause: seconds.
    :param after_failure: whether the look failed, so that the pause must not be cut short.
    :param after_rate_limit: whether the server asked for that pause.
    """

    result: dict[str, Any] | None = None
    error: OllangError | None = None
    pause: float = 0.0
    after_failure: bool = False
    after_rate_limit: bool = False

    @property
    def is_end(self) -> bool:
        """Whether the wait is over."""
        return self.result is not None or self.error is not None


class Wait:
    """
    A wait for one order.

    :param rules: what is waited for.
    :param memory: what earlier looks left; changed by each look.
    :param deadline: epoch seconds after which there is one last look.
    :param log: where the story of the wait is told.
    """

    def __init__(self, rules: WaitRules, memory: WaitMemory, deadline: float, log: Log) -> None:
        self.rules = rules
        self.memory = memory
        self.deadline = deadline
        self.log = log
        #: The order at the last good look.
        self.latest: Order | None = None

    @property
    def started_at(self) -> float:
        """When the wait began, epoch seconds."""
        return self.deadline - self.rules.timeout

    def begin(self) -> None:
        """Say what is waited for, how often it is polled and until when; once a try."""
        self.log.info(
            "Waiting for order %s to get to %s%s: polling every %s%s for %s, until %s.",
            self.rules.order_id,
            self._goal(),
            " with a new result" if self.rules.rerun else "",
            _duration(self._interval()),
            ", less and less often," if self.rules.exponential_backoff else "",
            _duration(self.rules.timeout),
            datetime.fromtimestamp(self.deadline, UTC).isoformat(timespec="seconds"),
        )

    def saw(self, order: Order, now: float) -> Step:
        """
        Take in a good look.

        :param order: the order as ``GET`` answered it.
        :param now: epoch seconds.
        """
        memory, status = self.memory, str(order.get("status"))
        self.latest = order
        self._tell(status, now)
        memory.last_status = status
        # Counted only where the pause depends on it, since a changed memory has to be stored again.
        memory.looks = memory.looks + 1 if self.rules.exponential_backoff else 1
        memory.failures = 0
        memory.doubted_since = None
        if self.rules.evaluation is not None:
            return self._saw_evaluation(order, status, self.rules.evaluation, now)
        if self.rules.rerun is not None and status in DONE_STATUSES:
            return self._saw_done(order, status, self._rerun(), now)
        if status in self.rules.failure_statuses:
            return Step(error=self._order_failed(status))
        if self.rules.rerun is None:
            if status in self.rules.target_statuses:
                return Step(result=summarize(self.rules.order_id, order))
            return self._again(self._interval(), now)
        return self._saw_unfinished(order, status, now)

    def failed_to_look(self, error: OllangError, now: float) -> Step:
        """
        Take in a look that brought no order.

        :param error: what it ended in.
        :param now: epoch seconds.
        """
        if isinstance(error, OllangPermanentError):
            return self._denied(error, now)
        if isinstance(error, OllangRateLimitError) and error.retry_after is not None:
            # A server that asks for no pause at all must not be asked again and again.
            pause = min(max(error.retry_after, _SHORTEST_FAILURE_PAUSE), LONGEST_FAILURE_PAUSE)
            self.log.info(
                "%s The server asked for %.0f s, the next look is in %.0f s.", error, error.retry_after, pause
            )
            return self._again(pause, now, last_error=error)
        self.memory.failures += 1
        failures = self.memory.failures
        if failures >= self.rules.max_poll_failures and now < self.deadline:
            if not self.rules.outlast_failures:
                return Step(error=self._too_many_failures(error))
            self.log.error("%d looks in a row failed; going on until the timeout (silent_fail). %s", failures, error)
        else:
            self.log.warning("%s Look %d in a row that failed.", error, failures)
        doubled = self.rules.poke_interval * 2.0 ** min(failures - 1, 30)
        asked = error.retry_after if isinstance(error, OllangTransientError) and error.retry_after else 0.0
        pause = max(_SHORTEST_FAILURE_PAUSE, min(max(doubled, asked), LONGEST_FAILURE_PAUSE))
        return self._again(pause, now, last_error=error)

    def _saw_evaluation(self, order: Order, status: str, goal: EvaluationGoal, now: float) -> Step:
        found = goal.find(order)
        if found is not None and not found.is_loading:
            return Step(result={"order_id": self.rules.order_id, "evaluation": found.to_json()})
        if status in self.rules.failure_statuses:
            return Step(error=self._order_failed(status))
        if found is None and goal.on_missing != "wait":
            return Step(result={"order_id": self.rules.order_id, "evaluation": None})
        if not self.memory.evaluating:
            self.memory.evaluating = True
            self.log.info(
                "Order %s: its evaluation is %s.", self.rules.order_id, "being made" if found else "not there yet"
            )
        return self._again(self._interval(), now)

    def _saw_unfinished(self, order: Order, status: str, now: float) -> Step:
        memory, rerun = self.memory, self._rerun()
        memory.done_since = memory.proven_since = None
        if rerun.shows_running(order):
            memory.seen_running = True
            if memory.baseline_confirmed is None and rerun.withholds(order):
                memory.baseline_confirmed = False
        if status in self.rules.target_statuses:
            # The order was done before the rerun, so that any other status is new.
            return Step(result=self._summary(order, ["running"] if self._rerun().seen_running else []))
        return self._again(self._interval(), now)

    def _saw_done(self, order: Order, status: str, rerun: Rerun, now: float) -> Step:
        wanted = status in self.rules.target_statuses
        evidence = rerun.evidence(order)
        if not evidence:
            return self._saw_nothing_new(order, rerun, now, wanted=wanted)
        self.memory.done_since = None
        if status in self.rules.failure_statuses:
            return Step(error=self._order_failed(status))
        if not wanted:
            return self._again(self._interval(), now)
        changed = "documents" in evidence
        if changed and rerun.outputs_complete(order):
            return Step(result=self._summary(order, evidence))
        if self.memory.proven_since is None:
            self.memory.proven_since = now
            lagging = "some of its outputs may not be there yet" if changed else "its outputs are still the old ones"
            self.log.info("Order %s is %s (evidence: %s); %s.", *self._about(evidence), lagging)
        left = self.memory.proven_since + self.rules.outputs_timeout - now
        if left > 0 and now < self.deadline:
            return self._again(min(self._interval(), left), now)
        if left <= 0 and self._only_clocks_differ(order, rerun):
            self.memory.baseline_confirmed = True
        return self._end_of_outputs(order, self._rerun())

    def _only_clocks_differ(self, order: Order, rerun: Rerun) -> bool:
        """
        Tell whether what is dated before the request came after it all the same, ``outputs_timeout`` being over.

        The baseline is from before the run, the polls that showed it at work showed nothing later than the baseline,
        and a replica that lags would answer otherwise by now.
        """
        is_unknown = self.memory.baseline_confirmed is None and rerun.baseline.status in DONE_STATUSES
        was_running = self.memory.seen_running and "running" in rerun.evidence(order)
        return is_unknown and was_running and rerun.withholds(order)

    def _end_of_outputs(self, order: Order, rerun: Rerun) -> Step:
        evidence = rerun.evidence(order)
        changed = "documents" in evidence
        if not (changed and rerun.outputs_complete(order)):
            self.log.warning(
                "Order %s is %s (evidence: %s), but some of its new outputs may be missing: outputs_changed is %s.",
                *self._about(evidence),
                str(changed).lower(),
            )
        return Step(result=self._summary(order, evidence))

    def _saw_nothing_new(self, order: Order, rerun: Rerun, now: float, *, wanted: bool) -> Step:
        first = self.memory.done_since is None
        if self.memory.done_since is None:
            self.memory.done_since = now
        if self.memory.baseline_confirmed is None:
            if rerun.withholds(order):
                self.memory.baseline_confirmed = False
            elif now - self.memory.done_since >= _LONGEST_LAG:
                self.memory.baseline_confirmed = True
        left = self.memory.done_since + self.rules.stale_timeout - now
        say = self.log.info if first else self.log.debug
        say(
            "Order %s still says %s, and nothing shows that this is the rerun's result: not believed.",
            self.rules.order_id,
            self.memory.last_status,
        )
        if left > 0:
            return self._again(min(self._interval(), left), now)
        compared = rerun.describe_comparison(order)
        if self.rules.on_no_evidence == "accept":
            if not wanted:
                return self._again(self._interval(), now)
            self.log.warning(
                "Order %s: accepted without evidence of the rerun (on_no_evidence='accept'): %s.",
                self.rules.order_id,
                compared,
            )
            return Step(result=self._summary(order, []))
        return Step(
            error=OllangStaleResultError(
                f"Order {self.rules.order_id} has said {self.memory.last_status!r} for "
                f"{_duration(now - self.memory.done_since)}, but nothing shows that its result is the rerun's: "
                f"{compared}. Look at the order in Ollang. If the result is the new one, mark this task as success; "
                "if the rerun never ran, clear the task that reruns it.",
                result=self._summary(order, []),
                order_id=self.rules.order_id,
            )
        )

    def _denied(self, error: OllangPermanentError, now: float) -> Step:
        memory = self.memory
        answered = isinstance(error, OllangConfigurationError) and error.status_code is not None
        if memory.last_status is None or not (answered or isinstance(error, _DOUBTED)):
            return Step(error=error)
        if memory.doubted_since is None:
            memory.doubted_since = now
            self.log.warning(
                "%s An earlier look was fine, so one more in %.0f s decides.", error, _SECOND_OPINION_AFTER
            )
        left = memory.doubted_since + _SECOND_OPINION_AFTER - now
        return self._again(left, now, last_error=error) if left > 0 else Step(error=error)

    def _again(self, pause: float, now: float, last_error: OllangError | None = None) -> Step:
        left = self.deadline - now
        if left > 0:
            return Step(
                pause=min(pause, left),
                after_failure=last_error is not None,
                after_rate_limit=isinstance(last_error, OllangRateLimitError),
            )
        last = f"its last status was {self.memory.last_status!r}" if self.memory.last_status else "it was never seen"
        if self.memory.done_since is not None:
            last += ", which was not believed, since nothing shows that it is the rerun's"
        trouble = f". The last look failed: {str(last_error).rstrip('.')}" if last_error else ""
        return Step(
            error=OllangTimeoutError(
                f"Order {self.rules.order_id} did not get to {self._goal()} within {_duration(self.rules.timeout)}: "
                f"{last}{trouble}. Look at the order in Ollang; if it only needs more time, raise the timeout and "
                "clear this task.",
                order_id=self.rules.order_id,
            )
        )

    def _goal(self) -> str:
        return _names(self.rules.target_statuses) if self.rules.evaluation is None else "a finished evaluation"

    def _interval(self) -> float:
        interval = self.rules.poke_interval
        if self.rules.exponential_backoff:
            interval *= 2.0 ** min(max(self.memory.looks - 1, 0), 30)
            interval = interval if self.rules.max_wait is None else min(interval, self.rules.max_wait)
        return max(interval, SHORTEST_INTERVAL)

    def _rerun(self) -> Rerun:
        rerun = self.rules.rerun
        assert rerun is not None  # noqa: S101 - only looks with a rerun come here
        return replace(
            rerun,
            seen_running=rerun.seen_running or self.memory.seen_running,
            baseline_confirmed=rerun.baseline_confirmed or self.memory.baseline_confirmed is True,
        )

    def _summary(self, order: Order, evidence: list[str]) -> dict[str, Any]:
        return summarize(self.rules.order_id, order, rerun=self._rerun(), evidence=evidence)

    def _order_failed(self, status: str) -> OllangOrderFailedError:
        return OllangOrderFailedError(
            f"Order {self.rules.order_id} is {status!r}: it will not get to {self._goal()}. Look at the "
            "order in Ollang for the reason.",
            order_id=self.rules.order_id,
        )

    def _too_many_failures(self, error: OllangError) -> OllangError:
        assert isinstance(error, OllangTransientError)  # noqa: S101 - permanent errors never get here
        return type(error)(
            f"{self.memory.failures} looks in a row at order {self.rules.order_id} failed. The last one: {error}",
            retry_after=error.retry_after,
            status_code=error.status_code,
            code=error.code,
            order_id=self.rules.order_id,
            method=error.method,
            path=error.path,
            detail=error.detail,
        )

    def _tell(self, status: str, now: float) -> None:
        memory, order_id = self.memory, self.rules.order_id
        if status == memory.last_status:
            self.log.debug("Order %s is still %s.", order_id, status)
        else:
            self._tell_change(status)
        if status in ATTENTION_STATUSES and now - memory.reminded.get(status, -_REMIND_AFTER) >= _REMIND_AFTER:
            memory.reminded[status] = now
            self.log.warning("Order %s is in %s, which usually lasts until a person acts in Ollang.", order_id, status)
        if status not in KNOWN_STATUSES and status not in memory.unknown and not self._is_named(status):
            memory.unknown.append(status)
            self.log.warning("Order %s has the unknown status %s; it counts as not finished.", order_id, status)

    def _is_named(self, status: str) -> bool:
        return status in self.rules.target_statuses or status in self.rules.failure_statuses

    def _tell_change(self, status: str) -> None:
        memory, order_id = self.memory, self.rules.order_id
        if memory.last_status is None:
            for wanted, near in unknown_statuses(self.rules.target_statuses | self.rules.failure_statuses).items():
                hint = f" (did you mean {near!r}?)" if near else ""
                self.log.warning("%r is no status Ollang is known to have%s; it is used all the same.", wanted, hint)
            self.log.info("Order %s is %s.", order_id, status)
        else:
            self.log.info("Order %s went from %s to %s.", order_id, memory.last_status, status)

    def _about(self, evidence: list[str]) -> tuple[str, str | None, str]:
        return self.rules.order_id, self.memory.last_status, ", ".join(evidence)


def describe_end(result: Mapping[str, Any], seconds: float | None) -> str:
    """
    Say in a line what a wait found, by which evidence, and how long it took.

    :param result: what it ended in.
    :param seconds: how long it took; ``None`` if nobody knows.
    """
    waited = "Waited" if seconds is None else f"Waited {_duration(max(seconds, 0.0))}"
    if "status" not in result:
        found = "its evaluation is there" if result.get("evaluation") else "it has no evaluation that counts"
        return f"{waited} for order {result['order_id']}: {found}."
    evidence = result.get("evidence")
    why = "" if evidence is None else f" (evidence: {', '.join(evidence) or 'none'})"
    return f"{waited} for order {result['order_id']}: it is {result['status']}{why}."


def _names(statuses: frozenset[str]) -> str:
    return " or ".join(repr(status) for status in sorted(statuses))


def _duration(seconds: float) -> str:
    """Say a duration the way people do."""
    whole = round(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= 2 * size:
            return f"{round(whole / size, 1):g} {unit}"
    return f"{seconds:.3g} s"
