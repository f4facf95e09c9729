"""``OllangQualityGateOperator`` as Airflow runs it, on a worker and in the triggerer: the same ends."""

from __future__ import annotations

import dataclasses
import json
import random
from datetime import datetime
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
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.operators.quality import (
    OllangEvaluateOrderOperator,
    OllangQualityBranchOperator,
    OllangQualityGateOperator,
)
from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger
from tests.integration.submissions import during_sleep, on_kill_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import Run, RunDag

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
START = datetime(2026, 1, 1)  # noqa: DTZ001 - Airflow adds the zone
CANARY = "c4na7y5ignature"
LINK = f"https://storage.ollang.com/a.srt?X-Amz-Signature={CANARY}"
AVERAGE = 89.0


#: What is waited for, and what becomes of it, is the same in both; most tests need one.
in_both_modes = pytest.mark.parametrize("mode", ["sync", "deferrable"], indirect=True)


@pytest.fixture(params=["deferrable"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    # Spread over the triggerer's time, looks would come at other moments of a story than on a worker.
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)
    return {"deferrable": request.param == "deferrable"}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect what goes to and comes from the triggerer."""
    found: list[Any] = []
    serialize, complete = OllangOrderStatusTrigger.serialize, OllangQualityGateOperator.execute_complete

    def noted_trigger(self: OllangOrderStatusTrigger) -> Any:
        found.append(serialize(self))
        return found[-1]

    def noted_event(self: OllangQualityGateOperator, context: Any, event: dict[str, Any]) -> Any:
        found.append(event)
        return complete(self, context, event)

    monkeypatch.setattr(OllangOrderStatusTrigger, "serialize", noted_trigger)
    monkeypatch.setattr(OllangQualityGateOperator, "execute_complete", noted_event)
    return found


def gate_dag(**arguments: Any) -> DAG:
    with DAG("gating", schedule=None, start_date=START) as dag:
        OllangQualityGateOperator(
            task_id="gate",
            **{"order_id": ORDER, "min_scores": {"Accuracy": 90}, "retries": 2, "retry_delay": 0, **arguments},
        )
    return dag


def gate(run_dag: RunDag, **arguments: Any) -> Run:
    return run_dag(gate_dag(**arguments))


def evaluated(ollang: Sandbox, **changes: Any) -> None:
    """Change the order's evaluation, or its time, as Ollang would."""
    after = changes.pop("after", 0)
    ollang.change_order(ORDER, {"latestEvaluation": changes}, after=after)


def failed(run: Run, kind: type[BaseException], task_id: str = "gate") -> str:
    """Check that the task failed for good at its first try; return the error's words."""
    assert (run.states[task_id], run.tries[task_id]) == ("failed", 1)
    assert type(run.errors[task_id]) is kind
    assert run.results[task_id] is None
    return str(run.errors[task_id])


# --- What it reports, and how it fails --------------------------------------------------------------------------------


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


# --- Waiting ------------------------------------------------------------------------------------------------------


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


# --- Receipts -----------------------------------------------------------------------------------------------------


def chain(*, rerun: bool = False, wait: bool = True, evaluate: bool = False, **arguments: Any) -> DAG:
    """Return a DAG that reruns the order, has it evaluated, or both, and gates on what came of it."""
    with DAG("gating", schedule=None, start_date=START) as dag:
        receipts: dict[str, Any] = {}
        before = None
        if rerun:
            before = OllangRerunOperator(task_id="rerun", order_id=ORDER, wait_for_completion=wait)
            receipts["rerun"] = before.output
        if evaluate:
            asking = OllangEvaluateOrderOperator(task_id="evaluate", order_id=ORDER)
            receipts["evaluation"] = asking.output
            if before is not None:
                before >> asking
        OllangQualityGateOperator(
            task_id="gate", retries=2, retry_delay=0, **{"min_scores": {"Accuracy": 1}, **receipts, **arguments}
        )
    return dag


MEANWHILE = ["loading", "kept", "cleared"]


@pytest.mark.parametrize("qc_id", ["answered", "other"])
@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_only_the_evaluation_that_was_asked_for_counts(
    ollang: Sandbox, run_dag: RunDag, mode: Any, meanwhile: str, qc_id: str
) -> None:
    options = {"qc_meanwhile": meanwhile, "qc_id": qc_id, "qc_seconds": 100, "qc_scores": [{"Accuracy": 7}]}
    ollang.change_order(ORDER, behaviour=options)
    report = run_dag(chain(evaluate=True, **mode)).results["gate"]
    assert (report["average"], report["passed"]) == (7, True)
    assert report["evaluation"]["id"] == ollang.order(ORDER)["evaluations"][0]["shown_id"]
    assert ollang.order(ORDER)["evaluations_accepted"] == 1


@pytest.mark.parametrize("qc_id", ["answered", "other"])
@pytest.mark.parametrize(("meanwhile", "on_missing"), [("loading", "fail"), ("kept", "pass"), ("cleared", "fail")])
def test_what_was_asked_for_and_never_comes(
    ollang: Sandbox, run_dag: RunDag, mode: Any, meanwhile: str, qc_id: str, on_missing: str
) -> None:
    ollang.change_order(ORDER, behaviour={"qc_meanwhile": meanwhile, "qc_id": qc_id, "qc_seconds": None})
    words = failed(run_dag(chain(evaluate=True, on_missing=on_missing, poll_interval=600, **mode)), OllangTimeoutError)
    assert "a finished evaluation within 60 min" in words


@pytest.mark.parametrize("qc_id", ["answered", "other"])
def test_older_evaluation_of_lagging_replica_does_not_count(
    ollang: Sandbox, run_dag: RunDag, mode: Any, qc_id: str
) -> None:
    ollang.change_order(ORDER, behaviour={"qc_id": qc_id, "qc_seconds": 100, "qc_scores": [{"Accuracy": 7}]})
    OllangHook().evaluate_order(ORDER)
    ollang.advance(10)
    # The gate's first poll shows the order as it was before.
    ollang.change_order(ORDER, behaviour={"stale_every": 2, "stale_by": 60})
    with DAG("gating", schedule=None, start_date=START) as dag:
        attached = OllangEvaluateOrderOperator(task_id="evaluate", order_id=ORDER, on_running="attach")
        OllangQualityGateOperator(task_id="gate", evaluation=attached.output, min_scores={"Accuracy": 1}, **mode)
    run = run_dag(dag)
    assert run.results["evaluate"]["reconnected"] is True
    assert run.results["gate"]["average"] == 7
    assert ollang.order(ORDER)["evaluations_accepted"] == 1


@pytest.mark.parametrize("qc_id", ["answered", "other"])
def test_evaluation_missed_by_lagging_baseline_does_not_count(
    ollang: Sandbox, run_dag: RunDag, mode: Any, qc_id: str
) -> None:
    options = {"qc_id": qc_id, "qc_seconds": 0, "qc_meanwhile": "kept", "qc_scores": [{"Accuracy": 3}, {"Accuracy": 7}]}
    ollang.change_order(ORDER, behaviour=options)
    OllangHook().evaluate_order(ORDER)
    ollang.advance(10)
    ollang.change_order(ORDER, behaviour={"qc_seconds": 100, "stale_every": 2, "stale_by": 60})
    OllangHook().get_order(ORDER)
    report = run_dag(chain(evaluate=True, **mode)).results["gate"]
    assert report["average"] == 7
    assert report["evaluation"]["id"] == ollang.order(ORDER)["evaluations"][1]["shown_id"]


def rerun_and_attach(*, asked_again: bool = False, **arguments: Any) -> DAG:
    """Return a DAG that reruns the order, attaches to the evaluation that is being made then, and gates on both."""
    with DAG("gating", schedule=None, start_date=START) as dag:

        @task
        def somebody() -> None:
            if asked_again:
                OllangHook().evaluate_order(ORDER)

        rerun = OllangRerunOperator(task_id="rerun", order_id=ORDER, wait_for_completion=True)
        attached = OllangEvaluateOrderOperator(task_id="evaluate", order_id=ORDER, on_running="attach")
        rerun >> somebody() >> attached
        OllangQualityGateOperator(
            task_id="gate", rerun=rerun.output, evaluation=attached.output, min_scores={"Accuracy": 1}, **arguments
        )
    return dag


AHEAD = [0, 1200, -1200]


@pytest.mark.parametrize("ahead", AHEAD)
def test_attached_evaluation_is_too_old_for_a_later_rerun(
    ollang: Sandbox, run_dag: RunDag, mode: Any, ahead: float
) -> None:
    ollang.behaviour = dataclasses.replace(ollang.behaviour, date_ahead=ahead)
    ollang.change_order(ORDER, behaviour={"qc_seconds": 600, "run_seconds": 60})
    OllangHook().evaluate_order(ORDER)
    ollang.advance(10)
    assert "before its rerun" in failed(run_dag(rerun_and_attach(**mode)), OllangConfigurationError)


@pytest.mark.parametrize("ahead", AHEAD)
def test_evaluation_attached_to_after_the_rerun_counts_whatever_the_clocks_say(
    ollang: Sandbox, run_dag: RunDag, mode: Any, ahead: float
) -> None:
    ollang.behaviour = dataclasses.replace(ollang.behaviour, date_ahead=ahead)
    ollang.change_order(ORDER, behaviour={"qc_seconds": 100, "run_seconds": 60, "qc_scores": [{"Accuracy": 7}]})
    run = run_dag(rerun_and_attach(asked_again=True, **mode))
    assert (run.results["evaluate"]["attached"], run.errors.get("gate")) == (True, None)
    assert run.results["gate"]["average"] == 7


def test_scores_in_the_answer_itself(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    ollang.change_order(ORDER, behaviour={"qc_seconds": 0, "qc_scores": [{"Accuracy": 7}]})
    assert run_dag(chain(evaluate=True, **mode)).results["gate"]["average"] == 7


@pytest.mark.parametrize("option", ["kept", "cleared", "new", "loading"])
@pytest.mark.parametrize("on_missing", ["fail", "wait", "pass"])
def test_only_an_evaluation_of_the_reruns_result_counts(
    ollang: Sandbox, run_dag: RunDag, mode: Any, option: str, on_missing: str
) -> None:
    ollang.change_order(ORDER, behaviour={"evaluation": option})
    run = run_dag(chain(rerun=True, on_missing=on_missing, poll_interval=600, **mode))
    assert run.states["rerun"] == "success"
    if option == "new":
        report = run.results["gate"]
        # The sandbox's usual score of the second run.
        assert (report["criteria"][0]["score"], report["passed"]) == (93, True)
    elif option == "loading" or on_missing == "wait":
        failed(run, OllangTimeoutError)
    elif on_missing == "pass":
        assert run.results["gate"]["evaluation"] is None
    else:
        words = failed(run, OllangQualityError)
        assert f"Order {ORDER} has no evaluation that is newer than its receipt" in words


@pytest.mark.parametrize("option", ["kept", "new"])
def test_without_its_time_the_id_tells_an_evaluation_of_the_reruns_result(
    ollang: Sandbox, run_dag: RunDag, option: str
) -> None:
    ollang.change_order(ORDER, behaviour={"evaluation": option, "null_fields": ["latestEvaluation.createdAt"]})
    run = run_dag(chain(rerun=True, on_missing="wait", poll_interval=600))
    if option == "kept":
        failed(run, OllangTimeoutError)
    else:
        assert run.results["gate"]["criteria"][0]["score"] == 93


def test_an_evaluation_that_somebody_asked_for_before_the_rerun_does_not_count(
    ollang: Sandbox, run_dag: RunDag, mode: Any
) -> None:
    # It shows only when the rerun is under way, so that the receipt's baseline does not have it.
    ollang.change_order(ORDER, behaviour={"qc_meanwhile": "kept", "qc_seconds": 100})
    early = OllangHook().evaluate_order(ORDER)["evaluation_id"]
    ollang.advance(10)
    run = run_dag(chain(rerun=True, on_missing="wait", poll_interval=600, **mode))
    assert ollang.order(ORDER)["order"]["latestEvaluation"]["id"] == early
    failed(run, OllangTimeoutError)


def test_both_receipts(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    ollang.change_order(ORDER, behaviour={"qc_meanwhile": "kept", "qc_seconds": 100})
    run = run_dag(chain(rerun=True, evaluate=True, **mode))
    report = run.results["gate"]
    assert set(run.states.values()) == {"success"}
    assert report["evaluation"]["id"] == ollang.order(ORDER)["evaluations"][0]["shown_id"]
    assert ollang.order(ORDER)["evaluations"][0]["run"] == 2
    assert report["criteria"][0]["score"] == 93


@pytest.mark.parametrize(
    "qc_id",
    ["answered", "other"],
)
def test_the_scores_of_the_result_before_the_rerun_let_nothing_through(
    ollang: Sandbox, run_dag: RunDag, mode: Any, qc_id: str
) -> None:
    ollang.change_order(ORDER, behaviour={"qc_id": qc_id})
    with DAG("gating", schedule=None, start_date=START) as dag:
        evaluate = OllangEvaluateOrderOperator(task_id="evaluate", order_id=ORDER)

        @task
        def pause() -> None:
            ollang.advance(60)

        rerun = OllangRerunOperator(task_id="rerun", order_id=ORDER, wait_for_completion=True)
        gated = OllangQualityGateOperator(
            task_id="gate", evaluation=evaluate.output, rerun=rerun.output, min_scores={"Accuracy": 1}, **mode
        )
        evaluate >> pause() >> rerun >> gated
    run = run_dag(dag)
    assert run.states["rerun"] == "success"
    words = failed(run, OllangConfigurationError)
    asked_at, rerun_at = (run.results[name]["requested_at"] for name in ("evaluate", "rerun"))
    assert f"was requested at {asked_at}, before its rerun at {rerun_at}" in words
    assert "Put OllangEvaluateOrderOperator downstream of the rerun" in words


NO_RECEIPTS: dict[str, Any] = {
    "None": None,
    "a text": "receipt",
    "a list": [],
    "an order": {"order_id": ORDER, "status": "completed"},
    "a report": {"order_id": ORDER, "passed": True, "average": 1, "criteria": [], "missing": [], "evaluation": None},
    "empty": {},
}


@pytest.mark.parametrize("name", ["rerun", "evaluation"])
@pytest.mark.parametrize("value", NO_RECEIPTS.values(), ids=NO_RECEIPTS)
def test_what_is_no_receipt_is_refused_before_anybody_looks(
    ollang: Sandbox, run_dag: RunDag, name: str, value: Any
) -> None:
    run = gate(run_dag, on_missing="pass", **{name: value})
    assert f"{name} must be the receipt that Ollang" in failed(run, OllangConfigurationError)
    assert ollang.request_log == []


@pytest.mark.parametrize("name", ["rerun", "evaluation"])
def test_an_upstream_that_was_marked_as_success_by_hand_protects_as_well(
    ollang: Sandbox, run_dag: RunDag, mode: Any, name: str
) -> None:
    with DAG("gating", schedule=None, start_date=START) as dag:

        @task
        def upstream() -> None:
            """Return nothing, as a task that was marked does."""

        receipt: dict[str, Any] = {name: upstream()}
        OllangQualityGateOperator(task_id="gate", order_id=ORDER, min_average=1, **receipt, **mode)
    assert "marked as success by hand" in failed(run_dag(dag), OllangConfigurationError)


@pytest.mark.parametrize("given", ["rerun", "evaluation"])
def test_a_receipt_of_the_other_kind_is_refused(ollang: Sandbox, run_dag: RunDag, given: str) -> None:
    receipts = run_dag(chain(rerun=True, evaluate=True)).results
    other = receipts["evaluate" if given == "rerun" else "rerun"]
    assert "whole and unchanged" in failed(gate(run_dag, **{given: other}), OllangConfigurationError)


@pytest.mark.parametrize("name", ["rerun", "evaluation"])
@pytest.mark.parametrize("wrong", ["order", "host", "order of the other receipt"])
def test_a_receipt_of_something_else_is_refused(ollang: Sandbox, run_dag: RunDag, name: str, wrong: str) -> None:
    results = run_dag(chain(rerun=True, evaluate=True)).results
    receipts = {"rerun": results["rerun"], "evaluation": results["evaluate"]}
    requests = len(ollang.request_log)
    if wrong == "host":
        receipts[name] = {**receipts[name], "host": "https://api.example.com"}
        run = gate(run_dag, **receipts)
        assert "The receipt is of https://api.example.com" in failed(run, OllangConfigurationError)
    else:
        receipts[name] = {**receipts[name], "order_id": "other"}
        given = {name: receipts[name], "order_id": ORDER} if wrong == "order" else {**receipts, "order_id": None}
        assert "give only one of them" in failed(gate(run_dag, **given), OllangConfigurationError)
    assert len(ollang.request_log) == requests


# --- Secrets and size ---------------------------------------------------------------------------------------------


def long_and_signed(ollang: Sandbox, number: int) -> None:
    words = f"See {LINK}&X-Amz-Expires=60 and '{LINK}' " + "word " * 200 + LINK
    evaluated(
        ollang,
        isLoading=True,
        textSummary=words,
        segmentEvals=[{"id": f"seg_{one}", "explain": words, "suggestedNewValue": words} for one in range(number)],
    )
    evaluated(ollang, isLoading=False, after=100)


@pytest.fixture
def shown(told: list[Any], capfd: pytest.CaptureFixture[str]) -> Iterator[list[Any]]:
    """Collect whatever a test tells besides what it puts there itself, and look for the canary at its end."""
    found: list[Any] = []
    yield found
    everything = json.dumps([*found, *told], default=repr) + "".join(capfd.readouterr())
    assert "storage.ollang.com/a.srt" in everything
    assert CANARY not in everything


@in_both_modes
@pytest.mark.parametrize("on_below", ["fail", "report"])
def test_no_signed_link_is_told(ollang: Sandbox, run_dag: RunDag, mode: Any, shown: list[Any], on_below: str) -> None:
    long_and_signed(ollang, 6)
    run = gate(run_dag, min_scores={"Accuracy": 99}, on_below="fail", **mode)
    shown.extend([run.results, str(run.errors["gate"]), vars(run.errors["gate"])])
    run = gate(run_dag, min_scores={"Accuracy": 99}, on_below=on_below, **mode)
    shown.append(run.results)


def test_what_goes_through_the_database_is_small(
    ollang: Sandbox, run_dag: RunDag, told: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)
    long_and_signed(ollang, 300)
    run = gate(run_dag, min_scores={"Accuracy": 99}, deferrable=True)
    assert {type(one) for one in told} == {tuple, dict}
    assert max(len(json.dumps(one)) for one in told) < 6_000
    assert len(failed(run, OllangQualityError)) < 6_000


def test_a_branch_has_the_same_arguments() -> None:
    own = {"follow_task_ids_if_passed": "a", "follow_task_ids_if_failed": "b"}
    with pytest.raises(OllangConfigurationError, match="needs an order_id, a rerun or an evaluation"):
        OllangQualityBranchOperator(task_id="branch", min_average=1, **own)
