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
    OllangError,
    OllangPermanentError,
    OllangRateLimitError,
    OllangTimeoutError,
    OllangTransientError,
    OllangUnavailableError,
    error_from_json,
    error_to_json,
)
from tests.installed_airflow import OllangRetryPolicy, RetryDecision, needs_retry_policies

pytestmark = needs_retry_policies

CLASSES = [one for one in vars(exceptions).values() if isinstance(one, type) and issubclass(one, OllangError)]


def decide(error: BaseException, try_number: int = 1, max_tries: int = 3) -> Any:
    return OllangRetryPolicy().evaluate(error, try_number, max_tries)


@pytest.mark.parametrize("kind", [OllangTransientError, OllangRateLimitError, OllangUnavailableError])
@pytest.mark.parametrize("seconds", [0.0, 0.5, 301.0, 86400.0])
@pytest.mark.parametrize("try_number", [1, 3])
def test_a_retry_comes_when_the_server_said(kind: type[OllangTransientError], seconds: float, try_number: int) -> None:
    decision = decide(kind("slow down", retry_after=seconds), try_number)
    assert decision.action.value == "retry"
    assert decision.retry_delay == timedelta(seconds=seconds)
    assert decision.reason == f"Ollang asked to wait {seconds:.0f} s"


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
