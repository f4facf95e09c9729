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


def test_good_scores_pass(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
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


def test_the_other_shape_is_read_alike(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    documented = gate(run_dag, **mode).results["gate"]
    ollang.change_order(ORDER, behaviour={"evaluation_shape": "callback", "evaluation_field": "qcEvaluation"})
    assert gate(run_dag, **mode).results["gate"] == documented


BELOW: dict[str, dict[str, Any]] = {
    "a criterion": {"min_scores": {"Accuracy": 93, "Fluency": 88}},
    "a missing criterion": {"min_scores": {"Accuracy": 90, "Style": 1}},
    "the average": {"min_scores": None, "min_average": 89.1},
}


@in_both_modes
@pytest.mark.parametrize("bar", BELOW.values(), ids=BELOW)
def test_bad_scores_fail_or_are_reported(ollang: Sandbox, run_dag: RunDag, mode: Any, bar: dict[str, Any]) -> None:
    words = failed(gate(run_dag, **bar, **mode), OllangQualityError)
    assert f"Order {ORDER} is below its thresholds:\n" in words
    reported = gate(run_dag, on_below="report", **bar, **mode)
    assert reported.states == {"gate": "success"}
    assert reported.results["gate"]["passed"] is False
    for one in reported.results["gate"]["criteria"]:
        assert f"\n  {one['name']} " in words


def test_the_error_shows_the_table_and_the_worst_segments(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
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


def test_the_log_shows_the_table_once(
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
        ({"min_scores": None}, "Give min_scores, min_average or both"),
        ({"min_scores": {"Tone": True}}, "must be a number"),
        ({"min_scores": {"Tone": "{{ params.bar }}"}}, "must be a number"),
        ({"min_average": "high"}, "min_average must be a number"),
        ({"min_scores": {"Tone": 1, "tone": 2}}, "twice"),
        ({"order_id": "None"}, "is no Ollang order id"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_before_anybody_looks(
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
        {"on_missing": "ignore"},
        {"on_below": "branch"},
        {"timeout": -1},
        {"timeout": True},
        {"poll_interval": None},
        {"max_poll_failures": 0},
    ],
    ids=str,
)
def test_wrong_arguments_show_when_the_dag_is_parsed(arguments: dict[str, Any]) -> None:
    with pytest.raises(OllangConfigurationError):
        gate_dag(**arguments)


@in_both_modes
def test_it_waits_while_the_evaluation_is_being_made(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
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
@pytest.mark.parametrize("on_missing", ["fail", "wait", "pass"])
def test_an_evaluation_that_never_ends(ollang: Sandbox, run_dag: RunDag, mode: Any, on_missing: str) -> None:
    evaluated(ollang, isLoading=True)
    started = ollang.now
    words = failed(gate(run_dag, on_missing=on_missing, poll_interval=600, **mode), OllangTimeoutError)
    assert "did not reach a finished evaluation within 60 min" in words
    assert (ollang.now - started).total_seconds() == 3600


@pytest.mark.parametrize("on_below", ["fail", "report"])
def test_no_evaluation(ollang: Sandbox, run_dag: RunDag, mode: Any, on_below: str) -> None:
    order_id = ollang.add_order(type="subtitle")
    arguments = {"order_id": order_id, "on_below": on_below, **mode}
    run = gate(run_dag, **arguments)
    if on_below == "fail":
        words = failed(run, OllangQualityError)
        assert f"Order {order_id} has no evaluation. Submit one with OllangEvaluateOrderOperator" in words
    else:
        report = run.results["gate"]
        assert (report["passed"], report["missing"], report["evaluation"]) == (False, ["Accuracy"], None)
    passed = gate(run_dag, on_missing="pass", **arguments).results["gate"]
    assert (passed["passed"], passed["missing"], passed["evaluation"]) == (True, ["Accuracy"], None)
    assert "within 2.5 min" in failed(gate(run_dag, on_missing="wait", timeout=150, **arguments), OllangTimeoutError)


@in_both_modes
def test_one_that_comes_is_waited_for(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    order_id = ollang.add_order(type="subtitle")
    later = {"latestEvaluation": {"id": "e", "scores": [{"name": "Accuracy", "value": 90}]}}
    ollang.change_order(order_id, later, after=100)
    run = gate(run_dag, order_id=order_id, on_missing="wait", **mode)
    assert run.results["gate"]["passed"] is True


def test_on_missing_passes_nothing_that_is_there(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    failed(gate(run_dag, min_scores={"Style": 1}, on_missing="pass", **mode), OllangQualityError)


@in_both_modes
@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_an_order_that_fails_meanwhile(ollang: Sandbox, run_dag: RunDag, mode: Any, status: str) -> None:
    evaluated(ollang, isLoading=True)
    ollang.change_order(ORDER, status=status, after=70)
    words = failed(gate(run_dag, **mode), OllangOrderFailedError)
    assert f"Order {ORDER} is {status!r} and will not reach a finished evaluation" in words


@in_both_modes
def test_short_trouble_is_outlived(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    evaluated(ollang, isLoading=True)
    evaluated(ollang, isLoading=False, after=1000)
    for fault in ({"status": 503}, {"drop": "body"}, {"status": 200, "body": "OK"}, {"status": 429}):
        ollang.add_fault("GET", skip=1, times=2, **fault)
    run = gate(run_dag, **mode)
    assert (run.states, run.tries) == ({"gate": "success"}, {"gate": 1})


@in_both_modes
def test_long_trouble_is_left_to_the_retries(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    evaluated(ollang, isLoading=True)
    evaluated(ollang, isLoading=False, after=1200)
    ollang.add_fault("GET", skip=1, times=3, status=503)
    run = gate(run_dag, max_poll_failures=3, **mode)
    assert (run.states, run.tries) == ({"gate": "success"}, {"gate": 2})
    assert type(run.errors["gate"]) is OllangUnavailableError
    assert "3 consecutive polls" in str(run.errors["gate"])


def test_an_order_nobody_knows(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    failed(gate(run_dag, order_id="60b8d6f1e1b9b1d8c6c0dead", **mode), OllangOrderNotFoundError)
