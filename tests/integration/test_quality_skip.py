"""Rerunning only what is not good enough: ``skip_if_passed`` of ``OllangRerunOperator``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

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
    """Add an order whose evaluation will give it this score, or never one."""
    scores = {} if score is None else {"Accuracy": score}
    return ollang.add_order(type="subtitle", behaviour={"qc_seconds": 5, "qc_scores": [{**scores, "Tone": 99}]})


def bought(ollang: Sandbox, order_id: str = ORDER) -> int:
    return int(ollang.order(order_id)["reruns_accepted"])


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
def test_in_a_mapped_group_exactly_the_passed_ones_are_skipped(
    ollang: Sandbox, run_dag: RunDag, deferrable: bool
) -> None:
    scores = [95, 60, 90, 89.9, 100]
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
                deferrable=deferrable,
            )
            rerun = OllangRerunOperator(task_id="rerun", order_id=order_id, skip_if_passed=gate.output)
            OllangOrderStatusSensor(task_id="wait", rerun=rerun.output, deferrable=deferrable)

        repair.expand(order_id=orders)
    run = run_dag(dag)
    assert run.state == "success"
    for number, (order_id, score) in enumerate(zip(orders, scores, strict=True)):
        passed = score >= 90
        assert run.results[f"repair.gate[{number}]"]["passed"] is passed
        assert run.results[f"repair.gate[{number}]"]["order_id"] == order_id
        for name in ("rerun", "wait"):
            assert run.states[f"repair.{name}[{number}]"] == ("skipped" if passed else "success")
        assert bought(ollang, order_id) == (0 if passed else 1)
        assert ollang.order(order_id)["evaluations_accepted"] == 1


@pytest.mark.parametrize("passed", [True, False])
def test_a_single_one(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, passed: bool) -> None:
    minimum = 90 if passed else 95
    with DAG("repairing", schedule=None, start_date=START) as dag:
        gate = OllangQualityGateOperator(
            task_id="gate", order_id=ORDER, min_scores={"Accuracy": minimum}, on_below="report"
        )
        OllangRerunOperator(task_id="rerun", order_id=gate.output, skip_if_passed=gate.output, retries=2, retry_delay=0)
    run = run_dag(dag)
    assert run.states["rerun"] == ("skipped" if passed else "success")
    assert bought(ollang) == (0 if passed else 1)
    requests = len(ollang.requests("POST"))
    ollang.advance(40)
    again = clear_run(dag, run)
    assert again.states["rerun"] == ("skipped" if passed else "success")
    assert len(ollang.requests("POST")) == (0 if passed else requests + 1)


@pytest.mark.parametrize("min_scores", [{"Accuracy": 90}, {"Style": 60}], ids=["not evaluated", "no such criterion"])
def test_what_was_not_evaluated_buys_no_rerun(ollang: Sandbox, run_dag: RunDag, min_scores: dict[str, float]) -> None:
    order_id = with_score(ollang, None)
    with DAG("repairing", schedule=None, start_date=START) as dag:
        evaluate = OllangEvaluateOrderOperator(task_id="evaluate", order_id=order_id)
        gate = OllangQualityGateOperator(
            task_id="gate", evaluation=evaluate.output, min_scores=min_scores, on_below="report"
        )
        OllangRerunOperator(task_id="rerun", order_id=order_id, skip_if_passed=gate.output, retries=2, retry_delay=0)
    run = run_dag(dag)
    assert run.results["gate"]["missing"] == list(min_scores)
    assert (run.states["rerun"], run.tries["rerun"]) == ("failed", 1)
    assert f"no score for {next(iter(min_scores))!r}. Nothing was sent." in str(run.errors["rerun"])
    assert bought(ollang, order_id) == 0


def test_a_misspelt_threshold_is_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(OllangConfigurationError, match="did you mean 'Accuracy'"):
        OllangQualityGateOperator(task_id="gate", order_id=ORDER, min_scores={"Acuracy": 60}, on_below="report")


NO_REPORTS: dict[str, Any] = {
    "None": None,
    "True": True,
    "a text": "{'passed': True}",
    "empty": {},
    "no verdict": {"order_id": ORDER},
    "no such verdict": {"order_id": ORDER, "passed": "true"},
    "an order": {"id": ORDER, "status": "completed"},
}


@pytest.mark.parametrize("report", NO_REPORTS.values(), ids=NO_REPORTS)
def test_what_is_no_report_is_an_error_and_nothing_is_sent(ollang: Sandbox, run_dag: RunDag, report: Any) -> None:
    with DAG("repairing", schedule=None, start_date=START) as dag:
        OllangRerunOperator(task_id="rerun", order_id=ORDER, skip_if_passed=report, retries=2, retry_delay=0)
    run = run_dag(dag)
    assert (run.states, run.tries) == ({"rerun": "failed"}, {"rerun": 1})
    assert isinstance(run.errors["rerun"], OllangConfigurationError)
    assert "skip_if_passed must be the report that OllangQualityGateOperator returns" in str(run.errors["rerun"])
    assert ollang.request_log == []


def test_a_gate_that_was_marked_as_success_by_hand_buys_nothing(ollang: Sandbox, run_dag: RunDag) -> None:
    with DAG("repairing", schedule=None, start_date=START) as dag:

        @task
        def gate() -> None:
            """Return nothing, as a task that was marked does."""

        OllangRerunOperator(task_id="rerun", order_id=ORDER, skip_if_passed=gate())
    run = run_dag(dag)
    assert run.states["rerun"] == "failed"
    assert "by hand" in str(run.errors["rerun"])
    assert ollang.request_log == []


@pytest.mark.parametrize("minimum", [90, 95], ids=["passed", "below"])
def test_the_report_of_another_order_is_an_error(ollang: Sandbox, run_dag: RunDag, minimum: int) -> None:
    other = ollang.add_order(type="subtitle")
    with DAG("repairing", schedule=None, start_date=START) as dag:
        gate = OllangQualityGateOperator(
            task_id="gate", order_id=ORDER, min_scores={"Accuracy": minimum}, on_below="report"
        )
        OllangRerunOperator(task_id="rerun", order_id=other, skip_if_passed=gate.output, retries=2, retry_delay=0)
    run = run_dag(dag)
    assert (run.states["rerun"], run.tries["rerun"]) == ("failed", 1)
    assert f"order {other} and the quality report of order {ORDER}" in str(run.errors["rerun"])
    assert bought(ollang) == bought(ollang, other) == 0


def test_without_it_nothing_is_asked(ollang: Sandbox, run_dag: RunDag) -> None:
    with DAG("repairing", schedule=None, start_date=START) as dag:
        OllangRerunOperator(task_id="rerun", order_id=ORDER)
    assert run_dag(dag).states == {"rerun": "success"}
    assert bought(ollang) == 1
