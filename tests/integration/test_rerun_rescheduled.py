"""A rerun task that the rate limit failed and Airflow reschedules: no retry is used, nothing is submitted twice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from tests.installed_airflow import OllangRetryPolicy, needs_reschedule
from tests.integration.submissions import (
    WAITING,
    accepted_reruns,
    first_output,
    posts,
    record,
    rerun_dag,
    state_on_record,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag

pytestmark = needs_reschedule
LIMITED: dict[str, Any] = {"status": 429, "headers": {"Retry-After": "3600"}}


@pytest.fixture(autouse=True)
def delays(ollang: Sandbox, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the sandbox's clock make the delays that Airflow would make; return them."""
    seen: list[float] = []
    decide = OllangRetryPolicy.evaluate

    def at_once(self: Any, *arguments: Any, **options: Any) -> Any:
        decision = decide(self, *arguments, **options)
        seen.append(decision.retry_delay.total_seconds())
        ollang.advance(seen[-1])
        return replace(decision, retry_delay=0 * decision.retry_delay)

    monkeypatch.setattr(OllangRetryPolicy, "evaluate", at_once)
    return seen


def test_throttled_submission_costs_no_retry(ollang: Sandbox, run_dag: RunDag, delays: list[float]) -> None:
    ollang.add_fault("POST", times=2, **LIMITED)
    run = run_dag(rerun_dag(retries=0, retry_policy=OllangRetryPolicy()))
    assert (run.states, run.tries, delays) == ({"rerun": "success"}, {"rerun": 1}, [3600, 3600])
    assert (accepted_reruns(ollang), posts(ollang), state_on_record()) == (1, 3, "finished")


@pytest.mark.parametrize("deferrable", [False, True])
def test_wait_that_is_told_to_come_back_later_reconnects(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, delays: list[float], deferrable: bool
) -> None:
    wait: dict[str, Any] = {**WAITING, "deferrable": deferrable, "max_poll_failures": 1}
    wait_for_result = OllangRerunOperator._poller

    def unavailable_once(self: OllangRerunOperator, *arguments: Any) -> Any:
        if not delays:
            ollang.add_fault("GET", **{**LIMITED, "status": 503})
        return wait_for_result(self, *arguments)

    monkeypatch.setattr(OllangRerunOperator, "_poller", unavailable_once)
    run = run_dag(rerun_dag(**wait, retries=0, retry_policy=OllangRetryPolicy()))
    assert (run.states, run.tries, len(delays)) == ({"rerun": "success"}, {"rerun": 1}, 1)
    assert (accepted_reruns(ollang), posts(ollang)) == (1, 1)
    assert "(run 2)" in first_output(run.results["rerun"])


def test_reschedules_end_in_retries_and_these_in_a_failure(
    ollang: Sandbox, run_dag: RunDag, delays: list[float]
) -> None:
    ollang.add_fault("POST", times=99, **LIMITED)
    run = run_dag(rerun_dag(retries=1, retry_policy=OllangRetryPolicy(max_reschedules=2)))
    assert (run.states, run.tries, delays) == ({"rerun": "failed"}, {"rerun": 2}, [3600] * 6)
    assert (accepted_reruns(ollang), posts(ollang), record()) == (0, 6, None)
