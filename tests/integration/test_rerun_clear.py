"""A rerun task that is cleared: it submits another rerun, unless one is at work or may have been billed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from airflow.sdk import DAG

from airflow_provider_ollang.exceptions import (
    OllangOrderFailedError,
    OllangOrderNotEligibleError,
    OllangOutcomeUnknownError,
    OllangStaleResultError,
    OllangTimeoutError,
)
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from tests.installed_airflow import needs_task_state_store
from tests.integration.submissions import (
    NO_TRACE,
    ORDER,
    RESULT_ONLY,
    STATUS_ONLY,
    WAITING,
    accepted_reruns,
    first_output,
    kill_while_sending,
    posts,
    record,
    rerun_dag,
    state_on_record,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import ClearRun, RunDag


@pytest.fixture(autouse=True)
def _bills_every_request(ollang: Sandbox) -> None:
    ollang.change_order(ORDER, behaviour={"rerun_while_running": "accept"})


@needs_task_state_store
def test_cleared_finished_task_submits_again(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    dag = rerun_dag(**WAITING, deferrable=True)
    run = run_dag(dag)
    assert "(run 2)" in first_output(run.results["rerun"])
    again = clear_run(dag, run)
    assert (again.states, again.tries) == ({"rerun": "success"}, {"rerun": 2})
    assert "(run 3)" in first_output(again.results["rerun"])
    assert again.results["rerun"]["reconnected"] is False
    assert accepted_reruns(ollang) == 2
    assert record()["max_tries"] == 3


@needs_task_state_store
def test_cleared_finished_task_is_refused_by_another_users_run(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    dag = rerun_dag(**WAITING)
    run = run_dag(dag)
    ollang.change_order(ORDER, status="ongoing")
    assert isinstance(clear_run(dag, run).errors["rerun"], OllangOrderNotEligibleError)
    assert posts(ollang) == 1


def test_next_dag_run_submits_its_own_rerun(ollang: Sandbox, run_dag: RunDag) -> None:
    dag = rerun_dag(**WAITING)
    run_dag(dag)
    assert "(run 3)" in first_output(run_dag(dag).results["rerun"])
    assert accepted_reruns(ollang) == 2


def test_rerun_that_shows_nothing_for_stale_timeout_is_over(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    dag = rerun_dag()
    run = run_dag(dag)
    ollang.advance(7300)
    assert clear_run(dag, run).results["rerun"]["reconnected"] is False
    assert accepted_reruns(ollang) == 2


# --- Cleared after a failure --------------------------------------------------------------------------------------


@needs_task_state_store
def test_refused_request_after_unknown_outcome_keeps_it(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    behaviour = {**RESULT_ONLY, "run_seconds": 1000, "rerun_while_running": "409"}
    ollang.change_order(ORDER, behaviour=behaviour)
    ollang.add_fault("POST", status=500, processed=True)
    dag = rerun_dag(**WAITING)
    run = run_dag(dag)
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    # A person clears too early: the order does not show the run yet, and refuses another one.
    again = clear_run(dag, run)
    assert (again.states, state_on_record()) == ({"rerun": "failed"}, "unknown")
    ollang.advance(1000)
    later = clear_run(dag, run)
    assert "(run 2)" in first_output(later.results["rerun"])
    assert (accepted_reruns(ollang), posts(ollang), later.results["rerun"]["reconnected"]) == (1, 2, True)


@needs_task_state_store
def test_cleared_unknown_outcome_needs_a_poll_to_resubmit(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, "run_seconds": 1000})
    ollang.add_fault("POST", status=500, processed=True)
    dag = rerun_dag()
    run = run_dag(dag)
    ollang.advance(1000)
    ollang.add_fault("GET", status=503)
    again = clear_run(dag, run)
    assert (again.states, again.tries) == ({"rerun": "success"}, {"rerun": 2})
    assert (accepted_reruns(ollang), again.results["rerun"]["reconnected"]) == (1, True)


@needs_task_state_store
def test_cleared_stale_result_submits_again(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    dag = rerun_dag(**WAITING)
    run = run_dag(dag)
    assert isinstance(run.errors["rerun"], OllangStaleResultError)
    assert (run.tries["rerun"], state_on_record()) == (1, "unknown")
    ollang.change_order(ORDER, behaviour={"outputs": "replaced"})
    again = clear_run(dag, run)
    assert "(run 3)" in first_output(again.results["rerun"])
    assert accepted_reruns(ollang) == 2


def test_cleared_failed_order_is_rerun_once_completed(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    ollang.change_order(ORDER, behaviour={"end_status": "failed"})
    dag = rerun_dag(**WAITING)
    run = run_dag(dag)
    assert isinstance(run.errors["rerun"], OllangOrderFailedError)
    # Still failed: a clear submits nothing.
    assert clear_run(dag, run).states == {"rerun": "failed"}
    assert posts(ollang) == 1
    # A user brings the old result back, and clears the task to try again.
    ollang.change_order(ORDER, status="completed", behaviour={"end_status": "completed"})
    again = clear_run(dag, run)
    assert "(run 3)" in first_output(again.results["rerun"])
    assert accepted_reruns(ollang) == 2


@needs_task_state_store
def test_cleared_timeout_keeps_what_its_wait_observed(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    # At work only between the first polls and the timeout.
    path = [[100, "ongoing"], [3000, "completed"]]
    ollang.change_order(ORDER, behaviour={**STATUS_ONLY, "status_path": path, "run_seconds": 3600})
    dag = rerun_dag(**{**WAITING, "timeout": 1800}, deferrable=True)
    run = run_dag(dag)
    assert isinstance(run.errors["rerun"], OllangTimeoutError)
    ollang.advance(3600)
    again = clear_run(dag, run)
    assert again.states == {"rerun": "success"}
    assert again.results["rerun"]["result"]["evidence"] == ["running"]
    assert accepted_reruns(ollang) == 1


@needs_task_state_store
def test_cleared_task_that_died_sending_reconciles(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_while_sending(monkeypatch, processed=True)
    dag = rerun_dag(retries=0, on_unknown_outcome="resubmit")
    run = run_dag(dag)
    assert (run.states, state_on_record()) == ({"rerun": "failed"}, "sending")
    again = clear_run(dag, run)
    assert (again.states, again.results["rerun"]["reconnected"]) == ({"rerun": "success"}, True)
    assert accepted_reruns(ollang) == posts(ollang) == 1


# --- Mapped -------------------------------------------------------------------------------------------------------


@needs_task_state_store
def test_shifted_mapped_list_is_about_other_orders(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, capfd: pytest.CaptureFixture[str]
) -> None:
    for order_id in ("71", "72", "73"):
        behaviour = {"run_seconds": 5000, "status_path": [[1, "ongoing"]]}
        ollang.add_order(id=order_id, type="subtitle", status="completed", behaviour=behaviour)
    short = {"timeout": 60, "wait_for_completion": True}
    dags = []
    for order_ids in (["71", "72"], ["72", "73"]):
        with DAG("rerunning", schedule=None, start_date=ollang.now) as dag:
            OllangRerunOperator.partial(task_id="rerun", on_running="attach", **short).expand(order_id=order_ids)
        dags.append(dag)
    run = run_dag(dags[0])
    assert [record(index)["subject"] for index in (0, 1)] == ["71", "72"]
    clear_run(dags[1], run)
    # What is on record for a place in the list is never taken for another order's.
    assert [record(index)["subject"] for index in (0, 1)] == ["72", "73"]
    assert [accepted_reruns(ollang, order_id) for order_id in ("71", "72", "73")] == [1, 1, 1]
    assert "The stored submission is about 71" in capfd.readouterr().out
