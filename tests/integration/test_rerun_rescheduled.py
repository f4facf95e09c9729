"""
A rerun task that Airflow itself starts again: after a rate limit, rescheduled, and in a task loop.

A reschedule uses no retry and submits nothing again. The state of a task in a loop is that of its iteration, so each
iteration submits its own rerun.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, task_group

from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from tests.installed_airflow import OllangRetryPolicy, needs_reschedule, needs_task_loops
from tests.integration.submissions import (
    ORDER,
    WAITING,
    accepted_reruns,
    first_output,
    kill_while_sending,
    posts,
    rerun_dag,
    state_on_record,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag

ITERATIONS = 3
LIMITED: dict[str, Any] = {"status": 429, "headers": {"Retry-After": "3600"}}


@pytest.fixture
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


@needs_reschedule
def test_throttled_submission_costs_no_retry(ollang: Sandbox, run_dag: RunDag, delays: list[float]) -> None:
    ollang.add_fault("POST", times=2, **LIMITED)
    run = run_dag(rerun_dag(retries=0, retry_policy=OllangRetryPolicy()))
    assert (run.states, run.tries, delays) == ({"rerun": "success"}, {"rerun": 1}, [3600, 3600])
    assert (accepted_reruns(ollang), posts(ollang), state_on_record()) == (1, 3, "finished")


@needs_reschedule
@pytest.mark.parametrize("deferrable", [False, True])
def test_rescheduled_wait_reconnects(
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


@needs_reschedule
def test_reschedules_end_in_retries_and_then_fail(ollang: Sandbox, run_dag: RunDag, delays: list[float]) -> None:
    ollang.add_fault("POST", times=99, **LIMITED)
    run = run_dag(rerun_dag(retries=1, retry_policy=OllangRetryPolicy(max_reschedules=2)))
    assert (run.states, run.tries, delays) == ({"rerun": "failed"}, {"rerun": 2}, [3600] * 6)
    assert (accepted_reruns(ollang), posts(ollang), state_on_record()) == (0, 6, "refused")


# --- Task loops ------------------------------------------------------------------------------------------------------


def loop_dag(ollang: Sandbox, order_ids: list[str] | None = None) -> DAG:
    """Return a DAG that reruns in each iteration: one order, or several at once."""
    settings: dict[str, Any] = {"task_id": "rerun", "retries": 2, "retry_delay": 0, **WAITING}
    with DAG("looping", schedule=None, start_date=ollang.now) as dag:

        @task_group
        def improve() -> None:
            if order_ids:
                OllangRerunOperator.partial(**settings).expand(order_id=order_ids)
            else:
                OllangRerunOperator(order_id=ORDER, **settings)

        repeated: Any = improve
        repeated.loop(max_iterations=ITERATIONS)
    return dag


@needs_task_loops
def test_each_iteration_submits_its_own_rerun(ollang: Sandbox, run_dag: RunDag) -> None:
    run = run_dag(loop_dag(ollang))
    assert set(run.states.values()) == {"success"}
    assert accepted_reruns(ollang) == posts(ollang) == ITERATIONS


@needs_task_loops
def test_retry_in_an_iteration_reconnects(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_while_sending(monkeypatch, processed=True)
    run = run_dag(loop_dag(ollang))
    assert (run.state, max(run.tries.values())) == ("success", 2)
    assert accepted_reruns(ollang) == posts(ollang) == ITERATIONS


@needs_task_loops
def test_each_iteration_of_a_mapped_task_submits_its_own_reruns(ollang: Sandbox, run_dag: RunDag) -> None:
    order_ids = [ollang.add_order(type="subtitle", status="completed") for _ in range(2)]
    run = run_dag(loop_dag(ollang, order_ids))
    assert run.state == "success"
    assert [accepted_reruns(ollang, order_id) for order_id in order_ids] == [ITERATIONS, ITERATIONS]
