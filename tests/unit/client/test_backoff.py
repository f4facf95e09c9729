"""The one retry policy: which failures are repeated, how often, after which pauses."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ollang import _clock
from airflow_provider_ollang.client.backoff import (
    MAX_RETRY_AFTER,
    MAX_TOTAL,
    delay,
    is_transient,
    retrying,
    was_not_processed,
)
from airflow_provider_ollang.exceptions import (
    OllangError,
    OllangOutcomeUnknownError,
    OllangRateLimitError,
    OllangTransientError,
    OllangUnavailableError,
)


@pytest.mark.parametrize(
    ("error", "repeats_free", "repeats_paid"),
    [
        (OllangRateLimitError(status_code=429), True, True),
        # There was no connection to send it over.
        (OllangUnavailableError(), True, True),
        *((OllangUnavailableError(status_code=status), True, False) for status in (200, 299, 408, 500, 502, 503, 504)),
        *((OllangUnavailableError(status_code=status), False, False) for status in (400, 403, 409, 425, 501, 505)),
        *((kind(), False, False) for kind in (OllangTransientError, OllangError, OllangOutcomeUnknownError)),
        *((error, False, False) for error in (ValueError(), KeyboardInterrupt(), ConnectionError())),
    ],
    ids=lambda value: f"{value!r}-{getattr(value, 'status_code', None)}",
)
def test_only_transient_failures_are_repeated(error: BaseException, repeats_free: bool, repeats_paid: bool) -> None:
    assert is_transient(error) is repeats_free
    assert was_not_processed(error) is repeats_paid


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, message: Any, /, *args: Any) -> None:
        self.lines.append(message % args)


class Calls:
    """Fails so often, and counts; sleeping takes no time but is measured."""

    def __init__(self, *errors: Exception, seconds: float = 0.0) -> None:
        self.errors = list(errors)
        self.count = 0
        self.sleeps: list[float] = []
        self.seconds = seconds

    def __call__(self) -> str:
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def failures(count: int, **fields: Any) -> list[Exception]:
    return [OllangUnavailableError("Could not get it.", **fields) for _ in range(count)]


def run(calls: Calls, attempts: int, **options: Any) -> str:
    log = options.pop("log", Log())
    result: str = retrying(attempts, retry_if=lambda _: True, log=log, sleep=calls.sleeps.append, **options)(calls)
    return result


@pytest.fixture(autouse=True)
def _middle_of_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: (low + high) / 2)


@pytest.mark.parametrize(("count", "seconds"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0), (100, 8.0)])
def test_delay_doubles_up_to_8_seconds(count: int, seconds: float) -> None:
    assert delay(count) == seconds


@pytest.mark.parametrize(("end", "seconds"), [(min, 1.0), (max, 3.0)])
def test_delay_varies_by_a_half_either_way(
    monkeypatch: pytest.MonkeyPatch, end: Callable[[float, float], float], seconds: float
) -> None:
    monkeypatch.setattr(random, "uniform", end)
    assert delay(2) == seconds


@pytest.mark.parametrize("seconds", [0.0, 0.5, 300.0])
def test_delay_with_retry_after_is_that(seconds: float) -> None:
    assert delay(3, retry_after=seconds) == seconds


def test_function_that_succeeds_is_called_once() -> None:
    calls = Calls()
    assert run(calls, 5) == "done"
    assert (calls.count, calls.sleeps) == (1, [])


def test_last_error_is_raised_after_all_attempts() -> None:
    calls = Calls(*failures(9))
    with pytest.raises(OllangUnavailableError):
        run(calls, 3)
    assert (calls.count, calls.sleeps) == (3, [1.0, 2.0])


def test_error_that_is_not_transient_is_raised_at_once() -> None:
    calls = Calls(ValueError())
    with pytest.raises(ValueError):  # noqa: PT011 - the one it was given
        retrying(5, retry_if=lambda _: False, log=Log(), sleep=calls.sleeps.append)(calls)
    assert (calls.count, calls.sleeps) == (1, [])


def test_retry_after_beyond_the_cap_is_not_slept() -> None:
    calls = Calls(*failures(1, retry_after=MAX_RETRY_AFTER + 1))
    with pytest.raises(OllangUnavailableError):
        run(calls, 5)
    assert calls.sleeps == []


@pytest.mark.parametrize(("options", "count"), [({}, 2), ({"max_total": math.inf}, 20), ({"max_total": 300.0}, 1)])
def test_total_time_is_limited(monkeypatch: pytest.MonkeyPatch, options: dict[str, float], count: int) -> None:
    calls = Calls(*failures(20, retry_after=MAX_TOTAL / 2 - 10))
    monkeypatch.setattr(_clock, "monotonic", lambda: sum(calls.sleeps))
    with pytest.raises(OllangUnavailableError) if count < 20 else pytest.MonkeyPatch.context():
        run(calls, 99, **options)
    assert len(calls.sleeps) == count


def test_failures_count_from_the_last_progress() -> None:
    """A download that gets ahead begins again at one failure."""
    in_a_row = {1: 1, 2: 2, 3: 1, 4: 2, 5: 3}
    calls = Calls(*failures(9))
    log = Log()
    with pytest.raises(OllangUnavailableError):
        run(calls, 3, count_failures=in_a_row.__getitem__, log=log)
    assert calls.sleeps == [1.0, 2.0, 1.0, 2.0]
    assert [line[-17:] for line in log.lines] == [f"(attempt {n} of 3)." for n in (2, 3, 2, 3)]


def test_each_repeat_is_logged() -> None:
    log = Log()
    run(Calls(*failures(2)), 5, log=log)
    assert log.lines == [
        "Could not get it. Trying again in 1.0 s (attempt 2 of 5).",
        "Could not get it. Trying again in 2.0 s (attempt 3 of 5).",
    ]


def test_error_is_logged_as_described() -> None:
    log = Log()
    run(Calls(*failures(1)), 5, log=log, describe=lambda error: f"a.vtt: {error} 7 bytes so far.")
    assert log.lines == ["a.vtt: Could not get it. 7 bytes so far. Trying again in 1.0 s (attempt 2 of 5)."]
