"""A gate behind an evaluation or a rerun, and that it shows no signed URL."""

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

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag
from tests.integration.gates import ORDER, START, evaluated, failed, gate, in_both_modes
from tests.integration.triggers import collected_triggers

CANARY = "c4na7y5ignature"


LINK = f"https://storage.ollang.com/a.srt?X-Amz-Signature={CANARY}"


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect what goes to and comes from the triggerer."""
    items: list[Any] = collected_triggers(monkeypatch)
    complete = OllangQualityGateOperator.execute_complete

    def noted_event(self: OllangQualityGateOperator, context: Any, event: dict[str, Any], **kept: Any) -> Any:
        items.append(event)
        return complete(self, context, event, **kept)

    monkeypatch.setattr(OllangQualityGateOperator, "execute_complete", noted_event)
    return items


def chain(*, rerun: bool = False, wait: bool = True, evaluate: bool = False, **arguments: Any) -> DAG:
    """Return a DAG that reruns the order, has it evaluated, or both, and gates on what came of it."""
    with DAG("gating", schedule=None, start_date=START) as dag:
        receipts: dict[str, Any] = {}
        before = None
        if rerun:
            before = OllangRerunOperator(task_id="rerun", order_id=ORDER, wait_for_completion=wait)
            receipts["rerun"] = before.output
        if evaluate:
            evaluate_task = OllangEvaluateOrderOperator(task_id="evaluate", order_id=ORDER)
            receipts["evaluation"] = evaluate_task.output
            if before is not None:
                before >> evaluate_task
        OllangQualityGateOperator(
            task_id="gate", retries=2, retry_delay=0, **{"min_scores": {"Accuracy": 1}, **receipts, **arguments}
        )
    return dag


@pytest.mark.parametrize(("meanwhile", "qc_id"), [("loading", "other"), ("kept", "answered")])
def test_only_the_requested_evaluation_counts(
    ollang: Sandbox, run_dag: RunDag, mode: Any, meanwhile: str, qc_id: str
) -> None:
    options = {"qc_meanwhile": meanwhile, "qc_id": qc_id, "qc_seconds": 100, "qc_scores": [{"Accuracy": 7}]}
    ollang.change_order(ORDER, behaviour=options)
    report = run_dag(chain(evaluate=True, **mode)).results["gate"]
    assert (report["average"], report["passed"]) == (7, True)
    assert report["evaluation"]["id"] == ollang.order(ORDER)["evaluations"][0]["shown_id"]
    assert ollang.order(ORDER)["evaluations_accepted"] == 1


def test_requested_evaluation_that_never_comes_is_no_pass(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    ollang.change_order(ORDER, behaviour={"qc_meanwhile": "kept", "qc_id": "other", "qc_seconds": None})
    words = failed(run_dag(chain(evaluate=True, on_missing="pass", poll_interval=600, **mode)), OllangTimeoutError)
    assert "a finished evaluation within 60 min" in words


def test_older_evaluation_of_lagging_replica_does_not_count(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    ollang.change_order(ORDER, behaviour={"qc_id": "other", "qc_seconds": 100, "qc_scores": [{"Accuracy": 7}]})
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


def test_evaluation_missed_by_lagging_baseline_does_not_count(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    scores = [{"Accuracy": 3}, {"Accuracy": 7}]
    ollang.change_order(
        ORDER, behaviour={"qc_id": "other", "qc_seconds": 0, "qc_meanwhile": "kept", "qc_scores": scores}
    )
    OllangHook().evaluate_order(ORDER)
    ollang.advance(10)
    ollang.change_order(ORDER, behaviour={"qc_seconds": 100, "stale_every": 2, "stale_by": 60})
    OllangHook().get_order(ORDER)
    report = run_dag(chain(evaluate=True, **mode)).results["gate"]
    assert report["average"] == 7
    assert report["evaluation"]["id"] == ollang.order(ORDER)["evaluations"][1]["shown_id"]


def rerun_and_attach(*, resubmitted: bool = False, **arguments: Any) -> DAG:
    """Return a DAG that reruns the order, attaches to the evaluation that is running then, and gates on both."""
    with DAG("gating", schedule=None, start_date=START) as dag:

        @task
        def another_user() -> None:
            if resubmitted:
                OllangHook().evaluate_order(ORDER)

        rerun = OllangRerunOperator(task_id="rerun", order_id=ORDER, wait_for_completion=True)
        attached = OllangEvaluateOrderOperator(task_id="evaluate", order_id=ORDER, on_running="attach")
        rerun >> another_user() >> attached
        OllangQualityGateOperator(
            task_id="gate", rerun=rerun.output, evaluation=attached.output, min_scores={"Accuracy": 1}, **arguments
        )
    return dag


def test_attached_evaluation_is_too_old_for_a_later_rerun(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    # By the clock of the requests the evaluation would be the later one.
    ollang.behaviour = dataclasses.replace(ollang.behaviour, date_ahead=-1200)
    ollang.change_order(ORDER, behaviour={"qc_seconds": 600, "run_seconds": 60})
    OllangHook().evaluate_order(ORDER)
    ollang.advance(10)
    assert "before its rerun" in failed(run_dag(rerun_and_attach(**mode)), OllangConfigurationError)


def test_evaluation_attached_to_after_the_rerun_counts(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    # By the clock of the requests the rerun would be the later one.
    ollang.behaviour = dataclasses.replace(ollang.behaviour, date_ahead=1200)
    ollang.change_order(ORDER, behaviour={"qc_seconds": 100, "run_seconds": 60, "qc_scores": [{"Accuracy": 7}]})
    run = run_dag(rerun_and_attach(resubmitted=True, **mode))
    assert (run.results["evaluate"]["attached"], run.errors.get("gate")) == (True, None)
    assert run.results["gate"]["average"] == 7


@pytest.mark.parametrize(("option", "on_missing"), [("new", "wait"), ("kept", "fail"), ("kept", "pass")])
def test_only_an_evaluation_of_the_new_result_counts(
    ollang: Sandbox, run_dag: RunDag, mode: Any, option: str, on_missing: str
) -> None:
    ollang.change_order(ORDER, behaviour={"evaluation": option})
    run = run_dag(chain(rerun=True, on_missing=on_missing, poll_interval=600, **mode))
    assert run.states["rerun"] == "success"
    if option == "new":
        report = run.results["gate"]
        # The sandbox's usual score of the second run.
        assert (report["criteria"][0]["score"], report["passed"]) == (93, True)
    elif on_missing == "pass":
        assert run.results["gate"]["evaluation"] is None
    else:
        words = failed(run, OllangQualityError)
        assert f"Order {ORDER} has no evaluation that is newer than its receipt" in words


def test_evaluation_requested_before_the_rerun_does_not_count(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    # It shows only when the order is running, so that the receipt's baseline does not have it.
    ollang.change_order(ORDER, behaviour={"qc_meanwhile": "kept", "qc_seconds": 100})
    early = OllangHook().evaluate_order(ORDER)["evaluation_id"]
    ollang.advance(10)
    run = run_dag(chain(rerun=True, on_missing="wait", poll_interval=600, **mode))
    assert ollang.order(ORDER)["order"]["latestEvaluation"]["id"] == early
    failed(run, OllangTimeoutError)


def test_gate_takes_both_receipts(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    ollang.change_order(ORDER, behaviour={"qc_meanwhile": "kept", "qc_seconds": 100})
    run = run_dag(chain(rerun=True, evaluate=True, **mode))
    report = run.results["gate"]
    assert set(run.states.values()) == {"success"}
    assert report["evaluation"]["id"] == ollang.order(ORDER)["evaluations"][0]["shown_id"]
    assert ollang.order(ORDER)["evaluations"][0]["run"] == 2
    assert report["criteria"][0]["score"] == 93


def test_evaluation_of_the_previous_result_is_refused(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    ollang.change_order(ORDER, behaviour={"qc_id": "other"})
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


@pytest.mark.parametrize("name", ["rerun", "evaluation"])
def test_upstream_marked_as_success_has_no_receipt(ollang: Sandbox, run_dag: RunDag, mode: Any, name: str) -> None:
    with DAG("gating", schedule=None, start_date=START) as dag:

        @task
        def upstream() -> None:
            """Return nothing, as a task that was marked does."""

        receipt: dict[str, Any] = {name: upstream()}
        OllangQualityGateOperator(task_id="gate", order_id=ORDER, min_average=1, on_missing="pass", **receipt, **mode)
    words = failed(run_dag(dag), OllangConfigurationError)
    assert f"{name} must be the receipt that Ollang" in words
    assert "marked as success by hand" in words
    assert ollang.request_log == []


def test_receipt_of_another_order_or_host_is_refused(ollang: Sandbox, run_dag: RunDag) -> None:
    results = run_dag(chain(rerun=True, evaluate=True)).results
    requests = len(ollang.request_log)
    for changes, words in (
        ({"host": "https://api.example.com"}, "The receipt is of https://api.example.com"),
        ({"order_id": "other"}, "give only one of them"),
    ):
        run = gate(run_dag, order_id=None, rerun=results["rerun"], evaluation={**results["evaluate"], **changes})
        assert words in failed(run, OllangConfigurationError)
    assert len(ollang.request_log) == requests


def long_and_signed(ollang: Sandbox, number: int) -> None:
    words = f"See {LINK}&X-Amz-Expires=60 and '{LINK}' " + "word " * 200 + LINK
    evaluated(
        ollang,
        isLoading=True,
        textSummary=words,
        segmentEvals=[{"id": f"seg_{index}", "explain": words, "suggestedNewValue": words} for index in range(number)],
    )
    evaluated(ollang, isLoading=False, after=100)


@pytest.fixture
def shown(stored: list[Any], capfd: pytest.CaptureFixture[str]) -> Iterator[list[Any]]:
    """Collect what a test shows, and search it for the canary at its end."""
    items: list[Any] = []
    yield items
    everything = json.dumps([*items, *stored], default=repr) + "".join(capfd.readouterr())
    assert "storage.ollang.com/a.srt" in everything
    assert CANARY not in everything


@in_both_modes
def test_no_signed_url_is_shown_or_stored(ollang: Sandbox, run_dag: RunDag, mode: Any, shown: list[Any]) -> None:
    for on_below in ("fail", "report"):
        long_and_signed(ollang, 6)
        run = gate(run_dag, min_scores={"Accuracy": 99}, on_below=on_below, **mode)
        shown.extend([run.results, *((str(error), vars(error)) for error in run.errors.values())])


def test_trigger_and_event_of_a_long_evaluation_are_small(
    ollang: Sandbox, run_dag: RunDag, stored: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)
    long_and_signed(ollang, 300)
    run = gate(run_dag, min_scores={"Accuracy": 99}, deferrable=True)
    assert {type(item) for item in stored} == {tuple, dict}
    assert max(len(json.dumps(item)) for item in stored) < 6_000
    assert len(failed(run, OllangQualityError)) < 6_000


def test_branch_needs_an_order_a_rerun_or_an_evaluation() -> None:
    own = {"follow_task_ids_if_passed": "a", "follow_task_ids_if_failed": "b"}
    with pytest.raises(OllangConfigurationError, match="needs an order_id, a rerun or an evaluation"):
        OllangQualityBranchOperator(task_id="branch", min_average=1, **own)
