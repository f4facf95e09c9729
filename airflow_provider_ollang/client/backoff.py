"""
Which failures are repeated, and when: one policy for requests, downloads and polls.

1, 2, 4, 8, 8, … seconds, each varied by a half either way; or what the server asks for (``Retry-After``), up to
:data:`MAX_RETRY_AFTER`; and no call takes longer than :data:`MAX_TOTAL`.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Protocol

import tenacity

from airflow_provider_ollang import _clock
from airflow_provider_ollang.exceptions import OllangRateLimitError, OllangUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

#: The longest time, in seconds, that is slept because the server asks for it; beyond it the error carries it.
MAX_RETRY_AFTER = 300.0
#: The longest that one call may take with its delays, in seconds.
MAX_TOTAL = 600.0

_DELAYS = (1.0, 2.0, 4.0, 8.0)
_REPEATED_STATUSES = frozenset({408, 500, 502, 503, 504})


class Log(Protocol):
    """A logger of the standard library, or Airflow's."""

    def warning(self, message: Any, /, *args: Any) -> Any:
        """Log a warning."""


def delay(failures: int, retry_after: float | None = None) -> float:
    """
    Return how many seconds to wait after a failure.

    :param failures: how many there were in a row, this one included.
    :param retry_after: seconds that the server asked for; they are kept to exactly.
    """
    if retry_after is not None:
        return retry_after
    return _DELAYS[min(failures, len(_DELAYS)) - 1] * random.uniform(0.5, 1.5)  # noqa: S311 - jitter


def is_transient(error: BaseException) -> bool:
    """Tell whether a request that costs nothing is worth repeating after this error."""
    if isinstance(error, OllangUnavailableError):
        # Below 300 the response was garbled on its way.
        status = error.status_code
        return status is None or status < 300 or status in _REPEATED_STATUSES
    return isinstance(error, OllangRateLimitError)


def was_not_processed(error: BaseException) -> bool:
    """
    Tell whether a paid request surely was not processed, for a transient reason: then it may be submitted again.

    Either there was no connection to send it over, or the server answered 429.
    """
    if isinstance(error, OllangUnavailableError):
        return error.status_code is None
    return isinstance(error, OllangRateLimitError)


def retrying(
    attempts: int,
    *,
    retry_if: Callable[[BaseException], bool],
    log: Log,
    sleep: Callable[[float], None] | None = None,
    max_total: float = MAX_TOTAL,
    count_failures: Callable[[int], int] = int,
    describe: Callable[[BaseException], str] = str,
) -> tenacity.Retrying:
    """
    Return what calls a function until it succeeds or the policy gives up; then it raises the last error.

    :param attempts: how many failures in a row there may be at most.
    :param retry_if: tells whether an error is worth another attempt: :func:`is_transient`, :func:`was_not_processed`.
    :param sleep: waits between two attempts, given seconds; what it raises ends the call. Default: :func:`time.sleep`.
    :param max_total: seconds that the attempts and the delays may take together.
    :param count_failures: given the number of a failed attempt, from 1, returns how many failed in a row; default: all.
        A download begins to count again when it gets ahead.
    :param describe: says what happened, as a sentence for the log; default: the error.
    """
    started = _clock.monotonic()
    failures = 0

    def wait(state: tenacity.RetryCallState) -> float:
        nonlocal failures
        failures = count_failures(state.attempt_number)
        return delay(failures, getattr(_error(state), "retry_after", None))

    def stop(state: tenacity.RetryCallState) -> bool:
        total = _clock.monotonic() - started + state.upcoming_sleep
        return failures >= attempts or state.upcoming_sleep > MAX_RETRY_AFTER or total > max_total

    def before_sleep(state: tenacity.RetryCallState) -> None:
        log.warning(
            "%s Trying again in %.1f s (attempt %d of %d).",
            describe(_error(state)),
            state.upcoming_sleep,
            failures + 1,
            attempts,
        )

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(retry_if),
        wait=wait,
        stop=stop,
        before_sleep=before_sleep,
        sleep=sleep or _clock.sleep,
        reraise=True,
    )


def _error(state: tenacity.RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    return error or RuntimeError("nothing failed")
