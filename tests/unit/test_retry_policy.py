"""The retry policy: when the server decides about a retry, and that nothing else is touched."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangPermanentError,
    OllangRateLimitError,
    OllangTimeoutError,
    OllangTransientError,
    OllangUnavailableError,
)
from tests.installed_airflow import (
    OllangRetryPolicy,
    RetryDecision,
    can_reschedule,
    needs_reschedule,
    needs_retry_policies,
)

pytestmark = needs_retry_policies


@pytest.mark.parametrize("kind", [OllangTransientError, OllangRateLimitError, OllangUnavailableError])
@pytest.mark.parametrize("seconds", [0.0, 0.5, 86400.0])
@pytest.mark.parametrize("try_number", [1, 3])
def test_task_runs_again_when_the_server_said(
    kind: type[OllangTransientError], seconds: float, try_number: int
) -> None:
    decision = OllangRetryPolicy().evaluate(kind("slow down", retry_after=seconds), try_number, 3, None)
    assert decision.action.value == ("reschedule" if can_reschedule else "retry")
    assert decision.retry_delay == timedelta(seconds=seconds)
    assert decision.reason == f"Ollang asked to wait {seconds:.0f} s"


@needs_reschedule
@pytest.mark.parametrize(("count", "action"), [(None, "reschedule"), (2, "reschedule"), (3, "retry")])
def test_reschedules_of_a_try_are_bounded(count: int | None, action: str) -> None:
    """Airflow would take ``retry_delay`` for one too many, and not what the server said."""
    context: Any = {} if count is None else {"task_reschedule_count": count}
    error = OllangRateLimitError("slow down", retry_after=400.0)
    decision = OllangRetryPolicy(max_reschedules=3).evaluate(error, 1, 3, context)
    assert (decision.action.value, decision.retry_delay) == (action, timedelta(seconds=400))
    assert decision.max_reschedules == (3 if action == "reschedule" else None)


def test_max_reschedules_is_a_number_from_1() -> None:
    with pytest.raises(OllangConfigurationError, match="max_reschedules must be a number from 1"):
        OllangRetryPolicy(max_reschedules=0)


@pytest.mark.parametrize(
    "error",
    [
        *(OllangRateLimitError("slow down"), OllangUnavailableError("away"), ValueError("ours"), KeyboardInterrupt()),
        # Airflow fails a task at once that raises one of these.
        *(OllangPermanentError("no"), OllangTimeoutError("late")),
    ],
    ids=repr,
)
def test_other_error_is_left_to_the_task(error: BaseException) -> None:
    assert OllangRetryPolicy().evaluate(error, 1, 3, None) == RetryDecision.default()
