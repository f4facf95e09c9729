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
from airflow_provider_ollang.operators.quality import OllangEvaluateOrderOperator
from tests.installed_airflow import needs_task_state_store
from tests.integration.submissions import (
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
@pytest.mark.parametrize("trace", ["loading under another id", "kept"])
def test_retry_reconciles_a_request_that_was_processed(
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
def test_retry_submits_nothing_without_a_trace(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, processed: bool
) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    kill_while_sending(monkeypatch, processed=processed)
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries) == ({"evaluate": "failed"}, {"evaluate": 2})
    assert isinstance(run.errors["evaluate"], OllangOutcomeUnknownError)
    assert accepted_evaluations(ollang) == posts(ollang) == int(processed)


@needs_task_state_store
@pytest.mark.parametrize(("state", "written"), [("accepted", False), ("accepted", True)])
def test_retry_reconnects_to_what_was_accepted(
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
def test_retry_of_finished_evaluation_polls_nothing(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_store(monkeypatch, "set", die, state="finished", written=True)
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries, run.results["evaluate"]["reconnected"]) == (*SECOND_TRY, False)
    assert [entry.method for entry in ollang.request_log] == ["GET", "POST"]


@needs_task_state_store
def test_nothing_is_submitted_without_the_store(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_store(monkeypatch, "set", fail, state="sending", times=2)
    run = run_dag(evaluate_dag(retries=1))
    assert (run.states, run.tries, posts(ollang)) == ({"evaluate": "failed"}, {"evaluate": 2}, 0)
    assert "so nothing was sent" in str(run.errors["evaluate"])
    assert "ConnectionError" in str(run.errors["evaluate"])


@needs_task_state_store
def test_retry_of_a_try_that_died_reconciling_reconciles(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_order(ORDER, behaviour=KEPT)
    ollang.add_fault("POST", drop="after")
    during_sleep(monkeypatch, die)
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries, accepted_evaluations(ollang), posts(ollang)) == (*SECOND_TRY, 1, 1)


@needs_task_state_store
def test_cleared_unknown_outcome_that_shows_is_reconnected_to(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    ollang.change_order(ORDER, behaviour={**KEPT, "qc_seconds": 400})
    ollang.add_fault("POST", status=500, processed=True)
    dag = evaluate_dag()
    run = run_dag(dag)
    assert run.states == {"evaluate": "failed"}
    ollang.advance(150)
    again = clear_run(dag, run)
    assert (again.states, again.results["evaluate"]["reconnected"]) == ({"evaluate": "success"}, True)
    assert accepted_evaluations(ollang) == posts(ollang) == 1


def rerun_and_evaluate(run_dag: RunDag, **arguments: Any) -> Run:
    with DAG("judging", schedule=None, start_date=START) as dag:
        rerun = OllangRerunOperator(task_id="rerun", order_id=ORDER, poll_interval=10, **arguments)
        OllangEvaluateOrderOperator(task_id="evaluate", order_id=rerun.output)
    return run_dag(dag)


def test_old_result_of_an_unfinished_rerun_is_not_evaluated(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={"status_hidden_for": None, "run_seconds": 600})
    run = rerun_and_evaluate(run_dag)
    assert isinstance(run.errors["evaluate"], OllangOrderNotEligibleError)
    assert "the old one would be evaluated" in str(run.errors["evaluate"])
    assert (accepted_evaluations(ollang), len(ollang.requests("POST", "*/qc"))) == (0, 0)


@pytest.mark.parametrize("waited", [True, False], ids=["waited for", "done meanwhile"])
def test_new_result_of_a_rerun_is_evaluated(ollang: Sandbox, run_dag: RunDag, waited: bool) -> None:
    seconds = 20 if waited else 0
    ollang.change_order(ORDER, behaviour={"status_hidden_for": None, "run_seconds": seconds, "outputs_after": 0})
    run = rerun_and_evaluate(run_dag, wait_for_completion=waited)
    assert run.states == {"rerun": "success", "evaluate": "success"}
    (evaluation,) = ollang.order(ORDER)["evaluations"]
    assert evaluation["run"] == 2
