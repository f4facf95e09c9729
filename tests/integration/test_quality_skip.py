"""Rerunning only orders that have not passed: ``skip_if_passed`` of ``OllangRerunOperator``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from airflow.sdk import DAG, task, task_group

from airflow_provider_ollang.exceptions import OllangConfigurationError
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.operators.quality import OllangEvaluateOrderOperator, OllangQualityGateOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import ClearRun, RunDag

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
START = datetime(2026, 1, 1)  # noqa: DTZ001 - Airflow adds the zone


def with_score(ollang: Sandbox, score: float | None) -> str:
    """Add an order whose evaluation will give it this score, or none."""
    scores = {} if score is None else {"Accuracy": score}
    return ollang.add_order(type="subtitle", behaviour={"qc_seconds": 5, "qc_scores": [{**scores, "Tone": 99}]})


def accepted_reruns(ollang: Sandbox, order_id: str = ORDER) -> int:
    return int(ollang.order(order_id)["reruns_accepted"])


def test_mapped_group_skips_exactly_what_has_passed(ollang: Sandbox, run_dag: RunDag) -> None:
    scores = [89.9, 90]
    orders = [with_score(ollang, score) for score in scores]
    with DAG("repairing", schedule=None, start_date=START) as dag:

        @task_group
        def repair(order_id: str) -> None:
            evaluate = OllangEvaluateOrderOperator(task_id="evaluate", order_id=order_id)
            gate = OllangQualityGateOperator(
                task_id="gate",
                evaluation=evaluate.output,
                min_scores={"Accuracy": 90},
                on_below="report",
                deferrable=True,
            )
            rerun = OllangRerunOperator(task_id="rerun", order_id=order_id, skip_if_passed=gate.output)
            OllangOrderStatusSensor(task_id="wait", rerun=rerun.output, deferrable=True)

        repair.expand(order_id=orders)
    run = run_dag(dag)
    assert run.state == "success"
    for number, (order_id, score) in enumerate(zip(orders, scores, strict=True)):
        passed = score >= 90
        assert run.results[f"repair.gate[{number}]"]["passed"] is passed
        assert run.results[f"repair.gate[{number}]"]["order_id"] == order_id
        for name in ("rerun", "wait"):
            assert run.states[f"repair.{name}[{number}]"] == ("skipped" if passed else "success")
        assert accepted_reruns(ollang, order_id) == (0 if passed else 1)
        assert ollang.order(order_id)["evaluations_accepted"] == 1


@pytest.mark.parametrize("passed", [True, False])
def test_rerun_is_skipped_if_passed_cleared_or_not(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, passed: bool
) -> None:
    minimum = 90 if passed else 95
    with DAG("repairing", schedule=None, start_date=START) as dag:
        gate = OllangQualityGateOperator(
            task_id="gate", order_id=ORDER, min_scores={"Accuracy": minimum}, on_below="report"
        )
        OllangRerunOperator(task_id="rerun", order_id=gate.output, skip_if_passed=gate.output, retries=2, retry_delay=0)
    run = run_dag(dag)
    assert run.states["rerun"] == ("skipped" if passed else "success")
    assert accepted_reruns(ollang) == (0 if passed else 1)
    requests = len(ollang.requests("POST"))
    ollang.advance(40)
    again = clear_run(dag, run)
    assert again.states["rerun"] == ("skipped" if passed else "success")
    assert len(ollang.requests("POST")) == (0 if passed else requests + 1)


def test_order_without_a_score_is_not_rerun(ollang: Sandbox, run_dag: RunDag) -> None:
    order_id = with_score(ollang, None)
    with DAG("repairing", schedule=None, start_date=START) as dag:
        evaluate = OllangEvaluateOrderOperator(task_id="evaluate", order_id=order_id)
        gate = OllangQualityGateOperator(
            task_id="gate", evaluation=evaluate.output, min_scores={"Accuracy": 90}, on_below="report"
        )
        OllangRerunOperator(task_id="rerun", order_id=order_id, skip_if_passed=gate.output, retries=2, retry_delay=0)
    run = run_dag(dag)
    assert run.results["gate"]["missing"] == ["Accuracy"]
    assert (run.states["rerun"], run.tries["rerun"]) == ("failed", 1)
    assert "no score for 'Accuracy'. Nothing was sent." in str(run.errors["rerun"])
    assert accepted_reruns(ollang, order_id) == 0


def test_gate_marked_as_success_submits_no_rerun(ollang: Sandbox, run_dag: RunDag) -> None:
    with DAG("repairing", schedule=None, start_date=START) as dag:

        @task
        def gate() -> None:
            """Return nothing, as a task that was marked does."""

        OllangRerunOperator(task_id="rerun", order_id=ORDER, skip_if_passed=gate(), retries=2, retry_delay=0)
    run = run_dag(dag)
    assert (run.states["rerun"], run.tries["rerun"]) == ("failed", 1)
    assert isinstance(run.errors["rerun"], OllangConfigurationError)
    assert "by hand" in str(run.errors["rerun"])
    assert ollang.request_log == []


def test_report_of_another_order_is_refused(ollang: Sandbox, run_dag: RunDag) -> None:
    other = ollang.add_order(type="subtitle")
    with DAG("repairing", schedule=None, start_date=START) as dag:
        gate = OllangQualityGateOperator(task_id="gate", order_id=ORDER, min_scores={"Accuracy": 95}, on_below="report")
        OllangRerunOperator(task_id="rerun", order_id=other, skip_if_passed=gate.output, retries=2, retry_delay=0)
    run = run_dag(dag)
    assert (run.states["rerun"], run.tries["rerun"]) == ("failed", 1)
    assert f"order {other} and the quality report of order {ORDER}" in str(run.errors["rerun"])
    assert accepted_reruns(ollang) == accepted_reruns(ollang, other) == 0
