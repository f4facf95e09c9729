"""Reruns in a task loop: the state of a task is that of its iteration, so each iteration submits its own rerun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, task_group

from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from tests.installed_airflow import needs_task_loops
from tests.integration.submissions import ORDER, WAITING, accepted_reruns, kill_while_sending, posts

if TYPE_CHECKING:
    import pytest

    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag

pytestmark = needs_task_loops
ITERATIONS = 3


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


def test_each_iteration_submits_its_own_rerun(ollang: Sandbox, run_dag: RunDag) -> None:
    run = run_dag(loop_dag(ollang))
    assert set(run.states.values()) == {"success"}
    assert accepted_reruns(ollang) == posts(ollang) == ITERATIONS


def test_retry_in_an_iteration_reconnects(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_while_sending(monkeypatch, processed=True)
    run = run_dag(loop_dag(ollang))
    assert (run.state, max(run.tries.values())) == ("success", 2)
    assert accepted_reruns(ollang) == posts(ollang) == ITERATIONS


def test_each_iteration_of_a_mapped_task_submits_its_own_reruns(ollang: Sandbox, run_dag: RunDag) -> None:
    order_ids = [ollang.add_order(type="subtitle", status="completed") for _ in range(2)]
    run = run_dag(loop_dag(ollang, order_ids))
    assert run.state == "success"
    assert [accepted_reruns(ollang, order_id) for order_id in order_ids] == [ITERATIONS, ITERATIONS]
