"""An evaluation that is retried or cleared: at most one submission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_ollang.exceptions import (
    OllangOrderNotEligibleError,
    OllangOutcomeUnknownError,
)
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.operators.quality import OllangEvaluateOrderOperator, OllangQualityGateOperator
from tests.installed_airflow import needs_task_state_store
from tests.integration.submissions import (
    ProcessKilled,
    at_store,
    die,
    during_sleep,
    fail,
    kill_while_sending,
    posts,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import ClearRun, Run, RunDag
from tests.integration.evaluations import (
    KEPT,
    NO_TRACE,
    OLD,
    ORDER,
    SECOND_TRY,
    START,
    TRACES,
    accepted_evaluations,
    evaluate_dag,
    shown,
)


@needs_task_state_store
@pytest.mark.parametrize("trace", TRACES)
def test_died_sending_what_was_processed(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, trace: str
) -> None:
    ollang.change_order(ORDER, behaviour=TRACES[trace])
    kill_while_sending(monkeypatch, processed=True)
    run = run_dag(evaluate_dag())
    receipt = run.results["evaluate"]
    assert (run.states, run.tries) == SECOND_TRY
    assert (receipt["reconnected"], receipt["evaluation_id"], receipt["before"]) == (True, shown(ollang), OLD)
    assert (accepted_evaluations(ollang), posts(ollang)) == (1, 1)


@pytest.mark.parametrize("processed", [False, True])
def test_died_sending_without_a_trace(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, processed: bool
) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    kill_while_sending(monkeypatch, processed=processed)
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries) == ({"evaluate": "failed"}, {"evaluate": 2})
    assert isinstance(run.errors["evaluate"], OllangOutcomeUnknownError)
    assert accepted_evaluations(ollang) == posts(ollang) == int(processed)


@needs_task_state_store
@pytest.mark.parametrize(("state", "written"), [("accepted", False), ("accepted", True), ("finished", False)])
def test_died_once_it_was_accepted(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, state: str, written: bool
) -> None:
    ollang.change_order(ORDER, behaviour=KEPT)
    at_store(monkeypatch, "set", die, state=state, written=written)
    run = run_dag(evaluate_dag())
    receipt = run.results["evaluate"]
    assert (run.states, run.tries) == SECOND_TRY
    assert (receipt["reconnected"], receipt["evaluation_id"], receipt["before"]) == (True, shown(ollang), OLD)
    assert (accepted_evaluations(ollang), posts(ollang)) == (1, 1)


@needs_task_state_store
def test_died_at_the_very_end(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> None:
    at_store(monkeypatch, "set", die, state="finished", written=True)
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries, run.results["evaluate"]["reconnected"]) == (*SECOND_TRY, False)
    # It has its receipt on record, and asks nobody for it.
    assert [entry.method for entry in ollang.request_log] == ["GET", "POST"]


@needs_task_state_store
@pytest.mark.parametrize(("method", "state"), [("get", None), ("set", "sending")], ids=["unreadable", "unwritable"])
def test_nothing_is_sent_without_the_store(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, method: str, state: str | None
) -> None:
    at_store(monkeypatch, method, fail, state=state, times=3)
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries, posts(ollang)) == ({"evaluate": "failed"}, {"evaluate": 3}, 0)
    assert "so nothing was sent" in str(run.errors["evaluate"])
    assert "ConnectionError" in str(run.errors["evaluate"])


@needs_task_state_store
def test_died_while_it_looked_for_what_was_lost(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_order(ORDER, behaviour=KEPT)
    ollang.add_fault("POST", drop="after")
    during_sleep(monkeypatch, die)
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries, accepted_evaluations(ollang), posts(ollang)) == (*SECOND_TRY, 1, 1)


@needs_task_state_store
def test_clearing_it_while_the_evaluation_is_being_made_joins_it(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    ollang.change_order(ORDER, behaviour={"qc_seconds": 1000})
    dag = evaluate_dag()
    run = run_dag(dag)
    ollang.advance(999)
    again = clear_run(dag, run)
    assert (again.states, accepted_evaluations(ollang), posts(ollang)) == ({"evaluate": "success"}, 1, 1)
    assert again.results["evaluate"] == {**run.results["evaluate"], "reconnected": True}


@needs_task_state_store
@pytest.mark.parametrize(("after", "sent"), [(299, 1), (301, 2)])
def test_clearing_it_before_the_order_shows_it(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, after: float, sent: int
) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    dag = evaluate_dag()
    run = run_dag(dag)
    ollang.advance(after)
    assert clear_run(dag, run).states == {"evaluate": "success"}
    assert accepted_evaluations(ollang) == posts(ollang) == sent


@pytest.mark.parametrize("behaviour", [{}, {"qc_id": "other"}, KEPT], ids=str)
def test_clearing_it_when_the_scores_are_there_is_another_wish(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, behaviour: dict[str, Any]
) -> None:
    ollang.change_order(ORDER, behaviour=behaviour)
    dag = evaluate_dag()
    run = run_dag(dag)
    ollang.advance(10)
    again = clear_run(dag, run)
    assert (again.states, accepted_evaluations(ollang), posts(ollang)) == ({"evaluate": "success"}, 2, 2)
    assert again.results["evaluate"]["before"]["id"] == shown(ollang, 0)
    assert again.results["evaluate"]["reconnected"] is False


def test_another_run_is_another_wish(ollang: Sandbox, run_dag: RunDag) -> None:
    run_dag(evaluate_dag())
    ollang.advance(10)
    run_dag(evaluate_dag())
    assert accepted_evaluations(ollang) == posts(ollang) == 2


@needs_task_state_store
@pytest.mark.parametrize("processed", [False, True])
def test_clearing_it_after_an_unknown_outcome_looks_first(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, processed: bool
) -> None:
    ollang.change_order(ORDER, behaviour={**KEPT, "qc_seconds": 400})
    ollang.add_fault("POST", status=500, processed=processed)
    dag = evaluate_dag()
    run = run_dag(dag)
    assert run.states == {"evaluate": "failed"}
    ollang.advance(150)
    again = clear_run(dag, run)
    assert (again.states, accepted_evaluations(ollang)) == ({"evaluate": "success"}, 1)
    assert again.results["evaluate"]["reconnected"] is processed
    assert posts(ollang) == (1 if processed else 2)


def test_the_receipt_leads_to_the_scores_it_bought(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={**KEPT, "qc_scores": [{"Accuracy": 60}], "qc_seconds": 200})
    with DAG("judging", schedule=None, start_date=START) as dag:
        evaluate = OllangEvaluateOrderOperator(task_id="evaluate", order_id=ORDER)
        OllangQualityGateOperator(
            task_id="gate", evaluation=evaluate.output, min_scores={"Accuracy": 61}, on_below="report"
        )
    report = run_dag(dag).results["gate"]
    assert report["criteria"] == [{"name": "Accuracy", "score": 60.0, "minimum": 61.0, "passed": False}]
    assert report["evaluation"]["id"] == shown(ollang)


def test_only_deaths_of_ours_are_played(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_while_sending(monkeypatch, processed=False)
    assert isinstance(run_dag(evaluate_dag(retries=0)).errors["evaluate"], ProcessKilled)


def rerun_and_evaluate(run_dag: RunDag, **arguments: Any) -> Run:
    with DAG("judging", schedule=None, start_date=START) as dag:
        rerun = OllangRerunOperator(task_id="rerun", order_id=ORDER, poll_interval=10, **arguments)
        OllangEvaluateOrderOperator(task_id="evaluate", order_id=rerun.output)
    return run_dag(dag)


def test_the_old_result_of_a_rerun_that_was_not_waited_for_is_not_evaluated(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={"status_hidden_for": None, "run_seconds": 600})
    run = rerun_and_evaluate(run_dag)
    assert isinstance(run.errors["evaluate"], OllangOrderNotEligibleError)
    assert "the old one would be evaluated" in str(run.errors["evaluate"])
    assert (accepted_evaluations(ollang), len(ollang.requests("POST", "*/qc"))) == (0, 0)


@pytest.mark.parametrize("waited", [True, False], ids=["waited for", "done meanwhile"])
def test_the_new_result_of_a_rerun_is_evaluated(ollang: Sandbox, run_dag: RunDag, waited: bool) -> None:
    seconds = 20 if waited else 0
    ollang.change_order(ORDER, behaviour={"status_hidden_for": None, "run_seconds": seconds, "outputs_after": 0})
    run = rerun_and_evaluate(run_dag, wait_for_completion=waited)
    assert run.states == {"rerun": "success", "evaluate": "success"}
    (one,) = ollang.order(ORDER)["evaluations"]
    assert one["run"] == 2
