"""``OllangQualityGateOperator`` as Airflow runs it, on a worker and in the triggerer: the same outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangOrderFailedError,
    OllangOrderNotFoundError,
    OllangQualityError,
    OllangTimeoutError,
    OllangUnavailableError,
)
from airflow_provider_ollang.operators.quality import (
    OllangQualityGateOperator,
)
from tests.integration.submissions import during_sleep, on_kill_of

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag
from tests.integration.gates import ORDER, START, evaluated, failed, gate, gate_dag, in_both_modes

AVERAGE = 89.0


def test_good_scores_pass_the_gate(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    run = gate(run_dag, min_scores={"accuracy": "92.5", "CULTURAL_FIT": 85}, min_average=89, **mode)
    assert (run.states, len(ollang.request_log)) == ({"gate": "success"}, 1)
    assert run.results["gate"] == {
        "order_id": ORDER,
        "passed": True,
        "average": AVERAGE,
        "min_average": 89.0,
        "criteria": [
            {"name": "Accuracy", "score": 92.5, "minimum": 92.5, "passed": True},
            {"name": "Fluency", "score": 88.0, "minimum": None, "passed": True},
            {"name": "Tone", "score": 90.0, "minimum": None, "passed": True},
            {"name": "Cultural Fit", "score": 85.5, "minimum": 85.0, "passed": True},
        ],
        "missing": [],
        "evaluation": {"id": "eval_abc123def456", "created_at": "2024-01-17T09:00:00Z"},
    }


@in_both_modes
def test_score_below_its_threshold_fails_or_is_reported(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    thresholds = {"min_scores": {"Accuracy": 93, "Fluency": 88}}
    words = failed(gate(run_dag, **thresholds, **mode), OllangQualityError)
    assert f"Order {ORDER} is below its thresholds:\n" in words
    reported = gate(run_dag, on_below="report", **thresholds, **mode)
    assert reported.states == {"gate": "success"}
    assert reported.results["gate"]["passed"] is False
    for criterion in reported.results["gate"]["criteria"]:
        assert f"\n  {criterion['name']} " in words


def test_error_shows_the_table_and_the_worst_segments(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    segments = [
        {"id": f"seg_{number}", "explain": f"Why {number}", "suggestedNewValue": f"Better {number}"}
        for number in range(9)
    ]
    evaluated(ollang, segmentEvals=segments)
    words = failed(gate(run_dag, min_scores={"Tone": 90, "Accuracy": 95, "Style": 3}, **mode), OllangQualityError)
    assert words == "\n".join(
        [
            f"Order {ORDER} is below its thresholds:",
            "  Accuracy        92.5  minimum 95      below",
            "  Fluency           88",
            "  Tone              90  minimum 90      passed",
            "  Cultural Fit    85.5",
            "  Style              -  minimum 3       missing",
            "  average           89",
            "Worst segments:",
            *(f"  seg_{number}: Why {number} -> Better {number}" for number in range(5)),
            "Rerun the order, have a person check it in Ollang, or lower the thresholds.",
        ]
    )


def test_log_shows_the_table_once(
    ollang: Sandbox, run_dag: RunDag, mode: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    for on_below in ("fail", "report"):
        gate(run_dag, min_scores={"Accuracy": 93}, on_below=on_below, **mode)
        assert capfd.readouterr().out.count("minimum 93") == 1


def test_thresholds_come_from_other_tasks_and_params(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    with DAG("gating", schedule=None, start_date=START, params={"bar": 93}) as dag:

        @task
        def thresholds() -> dict[str, int]:
            return {"Accuracy": 93}

        common = {"order_id": ORDER, "on_below": "report", **mode}
        OllangQualityGateOperator(task_id="xcom", min_scores=thresholds(), **common)
        by_param: Any = {"Accuracy": "{{ params.bar }}"}
        OllangQualityGateOperator(task_id="param", min_scores=by_param, **common)
        OllangQualityGateOperator.partial(task_id="mapped", **common).expand(min_scores=[{"Tone": 90}, {"Tone": 91}])
    run = run_dag(dag)
    assert set(run.states.values()) == {"success"}
    passed = {name: report["passed"] for name, report in run.results.items() if "passed" in report}
    assert passed == {"xcom": False, "param": False, "mapped[0]": True, "mapped[1]": False}


@in_both_modes
def test_orders_are_mapped_over(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    other = ollang.add_order(type="subtitle")
    ollang.change_order(other, {"latestEvaluation": {"id": "e", "scores": [{"name": "Tone", "value": 3}]}})
    with DAG("gating", schedule=None, start_date=START) as dag:
        OllangQualityGateOperator.partial(task_id="gate", min_scores={"Tone": 90}, **mode).expand(
            order_id=[ORDER, other]
        )
    run = run_dag(dag)
    assert run.states == {"gate[0]": "success", "gate[1]": "failed"}
    assert run.results["gate[0]"]["order_id"] == ORDER


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"min_scores": {"Tone": "{{ params.bar }}"}}, "must be a number"),
        ({"order_id": "None"}, "is no Ollang order id"),
    ],
    ids=str,
)
def test_bad_argument_is_refused_before_the_first_poll(
    ollang: Sandbox, run_dag: RunDag, arguments: dict[str, Any], words: str
) -> None:
    dag = gate_dag(**arguments)
    dag.params["bar"] = "high"
    assert words in failed(run_dag(dag), OllangConfigurationError)
    assert ollang.request_log == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"order_id": None},
        {"min_scores": {"Acuracy": 60}},
        {"on_missing": "ignore"},
        {"on_below": "branch"},
        {"timeout": -1},
        {"timeout": True},
        {"poll_interval": None},
        {"max_poll_failures": 0},
    ],
    ids=str,
)
def test_wrong_argument_is_refused_when_the_dag_is_parsed(arguments: dict[str, Any]) -> None:
    with pytest.raises(OllangConfigurationError):
        gate_dag(**arguments)


@in_both_modes
def test_gate_waits_for_a_running_evaluation(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    evaluated(ollang, isLoading=True, scores=[])
    scores = [{"name": "Accuracy", "value": 91}]
    evaluated(ollang, isLoading=False, scores=scores, after=150)
    started = ollang.now
    run = gate(run_dag, **mode)
    assert run.results["gate"]["average"] == 91
    assert (ollang.now - started).total_seconds() == 180
    assert run.tries == {"gate": 1}


def test_killed_wait_polls_no_more(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    evaluated(ollang, isLoading=True)
    during_sleep(monkeypatch, on_kill_of(monkeypatch, OllangQualityGateOperator))
    run = gate(run_dag, deferrable=False, retries=0)
    assert (run.states, len(ollang.request_log)) == ({"gate": "failed"}, 1)
    assert "The task was killed" in capfd.readouterr().out


@in_both_modes
def test_evaluation_that_never_ends_fails_the_gate(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    evaluated(ollang, isLoading=True)
    started = ollang.now
    words = failed(gate(run_dag, on_missing="pass", poll_interval=600, **mode), OllangTimeoutError)
    assert "did not reach a finished evaluation within 60 min" in words
    assert (ollang.now - started).total_seconds() == 3600


def test_missing_evaluation_fails_is_reported_or_passes(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    order_id = ollang.add_order(type="subtitle")
    arguments = {"order_id": order_id, **mode}
    words = failed(gate(run_dag, **arguments), OllangQualityError)
    assert f"Order {order_id} has no evaluation. Submit one with OllangEvaluateOrderOperator" in words
    for on_missing, passes in (("fail", False), ("pass", True)):
        report = gate(run_dag, on_below="report", on_missing=on_missing, **arguments).results["gate"]
        assert (report["passed"], report["missing"], report["evaluation"]) == (passes, ["Accuracy"], None)


def test_missing_evaluation_is_waited_for_on_request(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    order_id = ollang.add_order(type="subtitle")
    later = {"latestEvaluation": {"id": "e", "scores": [{"name": "Accuracy", "value": 90}]}}
    ollang.change_order(order_id, later, after=100)
    run = gate(run_dag, order_id=order_id, on_missing="wait", **mode)
    assert run.results["gate"]["passed"] is True


def test_on_missing_lets_no_existing_evaluation_pass(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    failed(gate(run_dag, min_scores={"Style": 1}, on_missing="pass", **mode), OllangQualityError)


@in_both_modes
def test_order_that_fails_meanwhile_fails_the_gate(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    evaluated(ollang, isLoading=True)
    ollang.change_order(ORDER, status="cancelled", after=70)
    words = failed(gate(run_dag, **mode), OllangOrderFailedError)
    assert f"Order {ORDER} is 'cancelled' and will not reach a finished evaluation" in words


def test_short_outage_is_waited_out(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    evaluated(ollang, isLoading=True)
    evaluated(ollang, isLoading=False, after=1000)
    for fault in ({"status": 503}, {"drop": "body"}, {"status": 200, "body": "OK"}, {"status": 429}):
        ollang.add_fault("GET", skip=1, times=2, **fault)
    run = gate(run_dag, **mode)
    assert (run.states, run.tries) == ({"gate": "success"}, {"gate": 1})


def test_long_outage_is_left_to_the_retries(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    evaluated(ollang, isLoading=True)
    evaluated(ollang, isLoading=False, after=1200)
    ollang.add_fault("GET", skip=1, times=3, status=503)
    run = gate(run_dag, max_poll_failures=3, **mode)
    assert (run.states, run.tries) == ({"gate": "success"}, {"gate": 2})
    assert type(run.errors["gate"]) is OllangUnavailableError
    assert "3 consecutive polls" in str(run.errors["gate"])


def test_unknown_order_fails_the_gate(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    failed(gate(run_dag, order_id="60b8d6f1e1b9b1d8c6c0dead", **mode), OllangOrderNotFoundError)
