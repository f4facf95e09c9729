"""A rerun task that is cleared: who clears it wants a rerun, unless there is one under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    ProcessKilled,
    accepted_reruns,
    during_sleep,
    first_output,
    kill_while_sending,
    no_triggerer,
    posts,
    record,
    rerun_dag,
    state_on_record,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import ClearRun, RunDag

WAITS: dict[str, dict[str, Any]] = {"sync": WAITING, "deferrable": {**WAITING, "deferrable": True}}


@pytest.fixture(autouse=True)
def _bills_every_request(ollang: Sandbox) -> None:
    ollang.change_order(ORDER, behaviour={"rerun_while_running": "accept"})


@needs_task_state_store
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_finished_and_waited_for_it_is_a_new_wish(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, wait: dict[str, Any]
) -> None:
    dag = rerun_dag(**wait)
    run = run_dag(dag)
    assert "(run 2)" in first_output(run.results["rerun"])
    again = clear_run(dag, run)
    assert (again.states, again.tries) == ({"rerun": "success"}, {"rerun": 2})
    assert "(run 3)" in first_output(again.results["rerun"])
    assert again.results["rerun"]["reconnected"] is False
    assert accepted_reruns(ollang) == 2
    assert record()["max_tries"] == 3


@pytest.mark.parametrize("on_running", ["fail", "attach"])
def test_finished_and_waited_for_another_persons_run_is_another_wish(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, on_running: str
) -> None:
    dag = rerun_dag(**WAITING, on_running=on_running)
    run = run_dag(dag)
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="completed", after=100)
    again = clear_run(dag, run)
    assert posts(ollang) == 1
    if on_running == "fail":
        assert isinstance(again.errors["rerun"], OllangOrderNotEligibleError)
    else:
        assert again.results["rerun"]["baseline"]["status"] == "ongoing"


def test_a_new_run_is_a_new_wish(ollang: Sandbox, run_dag: RunDag) -> None:
    dag = rerun_dag(**WAITING)
    run_dag(dag)
    assert "(run 3)" in first_output(run_dag(dag).results["rerun"])
    assert accepted_reruns(ollang) == 2


@needs_task_state_store
def test_a_new_wish_is_sent_once_too(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = rerun_dag(**WAITING)
    run = run_dag(dag)
    kill_while_sending(monkeypatch, processed=True)
    again = clear_run(dag, run)
    assert (again.states, again.tries) == ({"rerun": "success"}, {"rerun": 3})
    assert "(run 3)" in first_output(again.results["rerun"])
    assert again.results["rerun"]["reconnected"] is True
    assert accepted_reruns(ollang) == 2


# --- Cleared without having waited --------------------------------------------------------------------------------


def test_not_waited_for_and_finished_it_is_a_new_wish(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    dag = rerun_dag()
    run = run_dag(dag)
    ollang.advance(1000)
    assert clear_run(dag, run).results["rerun"]["reconnected"] is False
    assert accepted_reruns(ollang) == 2


@needs_task_state_store
def test_not_waited_for_and_still_running_it_is_joined(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    ollang.change_order(ORDER, behaviour={"run_seconds": 9000, "status_path": [[1, "ongoing"]]})
    dag = rerun_dag()
    run = run_dag(dag)
    ollang.advance(8000)
    again = clear_run(dag, run)
    receipt = again.results["rerun"]
    assert (receipt["reconnected"], receipt["baseline"]) == (True, run.results["rerun"]["baseline"])
    assert (accepted_reruns(ollang), posts(ollang), state_on_record()) == (1, 1, "finished")


@needs_task_state_store
@pytest.mark.parametrize(("later", "reconnected"), [(600, True), (7000, True), (7300, False)])
def test_not_waited_for_and_done_without_evidence_it_is_joined_for_a_while(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, later: float, reconnected: bool
) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    dag = rerun_dag()
    run = run_dag(dag)
    ollang.advance(later)
    assert clear_run(dag, run).results["rerun"]["reconnected"] is reconnected
    assert accepted_reruns(ollang) == (1 if reconnected else 2)


def test_not_waited_for_and_failed_by_ollang_it_is_not_joined(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    ollang.change_order(ORDER, behaviour={"end_status": "failed"})
    dag = rerun_dag()
    run = run_dag(dag)
    ollang.advance(100)
    again = clear_run(dag, run)
    assert isinstance(again.errors["rerun"], OllangOrderNotEligibleError)
    assert accepted_reruns(ollang) == 1


@needs_task_state_store
def test_a_look_that_fails_sends_nothing(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    ollang.change_order(ORDER, behaviour={"run_seconds": 1000})
    dag = rerun_dag()
    run = run_dag(dag)
    ollang.add_fault("GET", times=5, status=503)
    again = clear_run(dag, run)
    assert (again.states, again.tries) == ({"rerun": "success"}, {"rerun": 3})
    assert accepted_reruns(ollang) == 1


# --- Cleared after a failure --------------------------------------------------------------------------------------


def test_an_unknown_outcome_is_cleared_to_send_it_again(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    ollang.add_fault("POST", status=500)
    dag = rerun_dag(**WAITING)
    run = run_dag(dag)
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    again = clear_run(dag, run)
    assert "(run 2)" in first_output(again.results["rerun"])
    assert again.results["rerun"]["reconnected"] is False
    assert (accepted_reruns(ollang), posts(ollang)) == (1, 2)


@needs_task_state_store
def test_an_unknown_outcome_that_shows_after_all_is_joined(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, "run_seconds": 1000})
    ollang.add_fault("POST", status=500, processed=True)
    dag = rerun_dag(**WAITING)
    run = run_dag(dag)
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    ollang.advance(1000)
    again = clear_run(dag, run)
    assert "(run 2)" in first_output(again.results["rerun"])
    assert again.results["rerun"]["reconnected"] is True
    assert (accepted_reruns(ollang), posts(ollang)) == (1, 1)


@needs_task_state_store
@pytest.mark.parametrize("status", ["400", "409"])
def test_refused_request_after_unknown_outcome_keeps_the_record(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, status: str
) -> None:
    behaviour = {**RESULT_ONLY, "run_seconds": 1000, "rerun_while_running": status}
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
def test_rate_limit_after_unknown_outcome_keeps_the_record(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, "run_seconds": 1000})
    ollang.add_fault("POST", status=500, processed=True)
    dag = rerun_dag(**WAITING, retries=0)
    run = run_dag(dag)
    ollang.add_fault("POST", times=None, status=429, headers={"Retry-After": "1000"})
    again = clear_run(dag, run)
    assert (again.states, state_on_record()) == ({"rerun": "failed"}, "unknown")
    assert accepted_reruns(ollang) == 1


@needs_task_state_store
def test_a_cleared_unknown_outcome_is_sent_only_after_a_good_look(
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
def test_an_unknown_outcome_of_a_cleared_wish_is_settled_by_its_own_baseline(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    ollang.add_fault("POST", status=500)
    dag = rerun_dag(**WAITING)
    run = run_dag(dag)
    ollang.add_fault("POST", status=500)
    again = clear_run(dag, run)
    assert isinstance(again.errors["rerun"], OllangOutcomeUnknownError)
    assert (accepted_reruns(ollang), posts(ollang), state_on_record()) == (0, 2, "unknown")


@needs_task_state_store
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_stale_result_is_cleared_to_send_it_again(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, wait: dict[str, Any]
) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    dag = rerun_dag(**wait)
    run = run_dag(dag)
    assert isinstance(run.errors["rerun"], OllangStaleResultError)
    assert (run.tries["rerun"], state_on_record()) == (1, "unknown")
    ollang.change_order(ORDER, behaviour={"outputs": "replaced"})
    again = clear_run(dag, run)
    assert "(run 3)" in first_output(again.results["rerun"])
    assert accepted_reruns(ollang) == 2


@needs_task_state_store
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_wait_that_timed_out_is_cleared_to_go_on(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, wait: dict[str, Any]
) -> None:
    ollang.change_order(ORDER, behaviour={"run_seconds": 5000})
    dag = rerun_dag(**{**wait, "timeout": 3600})
    run = run_dag(dag)
    assert isinstance(run.errors["rerun"], OllangTimeoutError)
    assert (run.tries["rerun"], state_on_record()) == (1, "accepted")
    again = clear_run(dag, run)
    assert "(run 2)" in first_output(again.results["rerun"])
    assert again.results["rerun"]["reconnected"] is True
    assert accepted_reruns(ollang) == 1


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_failed_order_that_was_put_right_is_rerun_anew(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, wait: dict[str, Any]
) -> None:
    ollang.change_order(ORDER, behaviour={"end_status": "failed"})
    dag = rerun_dag(**wait)
    run = run_dag(dag)
    assert isinstance(run.errors["rerun"], OllangOrderFailedError)
    # Still failed: nothing is bought by clearing.
    assert clear_run(dag, run).states == {"rerun": "failed"}
    assert posts(ollang) == 1
    # Somebody brings the old result back, and clears the task to try again.
    ollang.change_order(ORDER, status="completed", behaviour={"end_status": "completed"})
    again = clear_run(dag, run)
    assert "(run 3)" in first_output(again.results["rerun"])
    assert accepted_reruns(ollang) == 2


@needs_task_state_store
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_what_a_timed_out_wait_saw_is_evidence_when_it_goes_on(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, wait: dict[str, Any]
) -> None:
    # At work only between the first polls and the timeout.
    path = [[100, "ongoing"], [3000, "completed"]]
    ollang.change_order(ORDER, behaviour={**STATUS_ONLY, "status_path": path, "run_seconds": 3600})
    dag = rerun_dag(**{**wait, "timeout": 1800})
    run = run_dag(dag)
    assert isinstance(run.errors["rerun"], OllangTimeoutError)
    ollang.advance(3600)
    again = clear_run(dag, run)
    assert again.states == {"rerun": "success"}
    assert again.results["rerun"]["result"]["evidence"] == ["running"]
    assert accepted_reruns(ollang) == 1


# --- Cleared while it was at it -----------------------------------------------------------------------------------


@needs_task_state_store
def test_a_deferred_wait_that_is_cleared_joins(
    ollang: Sandbox,
    run_dag: RunDag,
    clear_run: ClearRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, "run_seconds": 1000})
    dag = rerun_dag(**WAITING, deferrable=True)
    with no_triggerer(monkeypatch):
        run = run_dag(dag)
    assert run.states == {"rerun": "deferred"}
    assert (state_on_record(), record()["max_tries"]) == ("accepted", 2)
    again = clear_run(dag, run)
    assert (again.states, again.tries) == ({"rerun": "success"}, {"rerun": 2})
    assert "(run 2)" in first_output(again.results["rerun"])
    assert (accepted_reruns(ollang), record()["max_tries"]) == (1, 3)


@needs_task_state_store
def test_a_task_that_died_for_good_is_cleared_and_joins(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, "run_seconds": 1000})

    def die() -> None:
        raise ProcessKilled

    during_sleep(monkeypatch, die, after=100)
    dag = rerun_dag(**WAITING, retries=0)
    run = run_dag(dag)
    assert (run.states, state_on_record()) == ({"rerun": "failed"}, "accepted")
    again = clear_run(dag, run)
    assert "(run 2)" in first_output(again.results["rerun"])
    assert accepted_reruns(ollang) == 1


@needs_task_state_store
@pytest.mark.parametrize("on_unknown_outcome", ["fail", "resubmit"])
def test_a_task_that_died_sending_is_cleared_and_settles(
    ollang: Sandbox,
    run_dag: RunDag,
    clear_run: ClearRun,
    monkeypatch: pytest.MonkeyPatch,
    on_unknown_outcome: str,
) -> None:
    kill_while_sending(monkeypatch, processed=True)
    dag = rerun_dag(retries=0, on_unknown_outcome=on_unknown_outcome)
    run = run_dag(dag)
    assert (run.states, state_on_record()) == ({"rerun": "failed"}, "sending")
    again = clear_run(dag, run)
    assert (again.states, again.results["rerun"]["reconnected"]) == ({"rerun": "success"}, True)
    assert accepted_reruns(ollang) == posts(ollang) == 1


# --- Mapped -------------------------------------------------------------------------------------------------------


@needs_task_state_store
def test_a_mapped_list_that_shifted_is_about_other_orders(
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
