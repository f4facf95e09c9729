"""A gate behind an evaluation or a rerun, and what it tells of secrets."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangQualityError,
    OllangTimeoutError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.operators.quality import (
    OllangEvaluateOrderOperator,
    OllangQualityBranchOperator,
    OllangQualityGateOperator,
)
from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag
from tests.integration.gates import ORDER, START, evaluated, failed, gate, in_both_modes

CANARY = "c4na7y5ignature"


LINK = f"https://storage.ollang.com/a.srt?X-Amz-Signature={CANARY}"


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
