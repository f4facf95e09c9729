"""The retry policy: when Ollang's own wish decides about a retry, and that nothing else is touched."""

from __future__ import annotations

import json
import pickle
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_ollang import exceptions
from airflow_provider_ollang._compat import AirflowFailException, AirflowSensorTimeout
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangPermanentError,
    OllangRateLimitError,
    OllangTimeoutError,
    OllangTransientError,
    OllangUnavailableError,
    error_from_json,
    error_to_json,
)
from tests.installed_airflow import (
    OllangRetryPolicy,
    RetryDecision,
    can_reschedule,
    needs_reschedule,
    needs_retry_policies,
)

pytestmark = needs_retry_policies

CLASSES = [one for one in vars(exceptions).values() if isinstance(one, type) and issubclass(one, OllangError)]


def decide(error: BaseException, try_number: int = 1, max_tries: int = 3, context: Any = None) -> Any:
    return OllangRetryPolicy().evaluate(error, try_number, max_tries, context)


@pytest.mark.parametrize("kind", [OllangTransientError, OllangRateLimitError, OllangUnavailableError])
@pytest.mark.parametrize("seconds", [0.0, 0.5, 301.0, 86400.0])
@pytest.mark.parametrize("try_number", [1, 3])
def test_task_runs_again_when_the_server_said(
    kind: type[OllangTransientError], seconds: float, try_number: int
) -> None:
    decision = decide(kind("slow down", retry_after=seconds), try_number)
    assert decision.action.value == ("reschedule" if can_reschedule else "retry")
    assert decision.retry_delay == timedelta(seconds=seconds)
    assert decision.reason == f"Ollang asked to wait {seconds:.0f} s"


@needs_reschedule
@pytest.mark.parametrize(
    ("count", "action"), [(None, "reschedule"), (0, "reschedule"), (2, "reschedule"), (3, "retry")]
)
def test_reschedules_of_a_try_are_bounded(count: int | None, action: str) -> None:
    """Airflow would take ``retry_delay`` for one too many, and not what the server said."""
    context: Any = {} if count is None else {"task_reschedule_count": count}
    error = OllangRateLimitError("slow down", retry_after=400.0)
    decision = OllangRetryPolicy(max_reschedules=3).evaluate(error, 1, 3, context)
    assert (decision.action.value, decision.retry_delay) == (action, timedelta(seconds=400))
    assert decision.max_reschedules == (3 if action == "reschedule" else None)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3"])
def test_max_reschedules_is_a_number_from_1(value: Any) -> None:
    with pytest.raises(OllangConfigurationError, match="max_reschedules must be a number from 1"):
        OllangRetryPolicy(max_reschedules=value)


@pytest.mark.parametrize(
    "error",
    [OllangRateLimitError("slow down"), OllangUnavailableError("away"), ValueError("ours"), KeyboardInterrupt()],
    ids=repr,
)
def test_everything_else_is_left_to_the_task(error: BaseException) -> None:
    assert decide(error) == RetryDecision.default()


def test_an_error_that_was_stored_says_the_same() -> None:
    error = OllangRateLimitError("slow down", retry_after=400.0)
    for copied in (error_from_json(json.loads(json.dumps(error_to_json(error)))), pickle.loads(pickle.dumps(error))):  # noqa: S301 - our own
        assert decide(copied).retry_delay == timedelta(seconds=400)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_only_passing_errors_can_reach_it(kind: type[OllangError]) -> None:
    """Airflow fails a task at once that raises one of two classes, whatever its policy says."""
    fails_at_once = issubclass(kind, AirflowFailException | AirflowSensorTimeout)
    assert fails_at_once is issubclass(kind, OllangPermanentError | OllangTimeoutError)
    if fails_at_once:
        assert decide(kind("no")) == RetryDecision.default()
