"""
A rerun task below Airflow 3.3, which keeps no record for a task.

Where the installed Airflow has a store, it is taken out of the context; all else is as it runs. `make test-matrix` runs
these on versions that have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_provider_ollang.client.sync import OllangClient
from airflow_provider_ollang.exceptions import OllangOutcomeUnknownError
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from tests.installed_airflow import TaskStateStoreAccessor
from tests.integration.submissions import (
    NO_TRACE,
    ORDER,
    RESULT_ONLY,
    WAITING,
    accepted_reruns,
    die,
    during_sleep,
    first_output,
    kill_while_sending,
    no_triggerer,
    posts,
    record,
    rerun_dag,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import ClearRun, RunDag

WAITS: dict[str, dict[str, Any]] = {"no wait": {}, "sync": WAITING, "deferrable": {**WAITING, "deferrable": True}}


@pytest.fixture(autouse=True)
def _no_store(ollang: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = RuntimeTaskInstance.get_template_context

    def without_store(self: RuntimeTaskInstance) -> Any:
        context = whole(self)
        context.pop("task_state_store", None)
        return context

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("there is no store")

    monkeypatch.setattr(RuntimeTaskInstance, "get_template_context", without_store)
    if TaskStateStoreAccessor is not None:
        for method in ("get", "set", "delete"):
            monkeypatch.setattr(TaskStateStoreAccessor, method, refuse)
    ollang.change_order(ORDER, behaviour={"rerun_while_running": "accept"})


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_the_first_try_sends(ollang: Sandbox, run_dag: RunDag, wait: dict[str, Any]) -> None:
    run = run_dag(rerun_dag(**wait))
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 1})
    assert (accepted_reruns(ollang), record()) == (1, None)
    if wait:
        assert "(run 2)" in first_output(run.results["rerun"])
        assert run.results["rerun"]["message"] == "Order rerun initiated successfully"


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_retry_joins_what_runs(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, wait: dict[str, Any]
) -> None:
    kill_while_sending(monkeypatch, processed=True)
    look = OllangClient.get_dated_order

    def later(self: OllangClient, *arguments: Any, **options: Any) -> Any:
        ollang.advance(3)
        return look(self, *arguments, **options)

    monkeypatch.setattr(OllangClient, "get_dated_order", later)
    run = run_dag(rerun_dag(**wait))
    receipt = run.results["rerun"]
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 2})
    assert (receipt["reconnected"], receipt["seen_running"], receipt["last_status"]) == (
        True,
        True,
        "completed" if wait else "pending",
    )
    assert accepted_reruns(ollang) == posts(ollang) == 1
    if wait:
        assert "(run 2)" in first_output(receipt)


@pytest.mark.parametrize("processed", [False, True])
def test_a_retry_that_sees_nothing_run_asks_a_person(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, monkeypatch: pytest.MonkeyPatch, processed: bool
) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    kill_while_sending(monkeypatch, processed=processed)
    dag = rerun_dag()
    run = run_dag(dag)
    assert (run.states, run.tries) == ({"rerun": "failed"}, {"rerun": 2})
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    assert "older than 3.3 and keeps no record. Nothing was submitted now" in str(run.errors["rerun"])
    assert accepted_reruns(ollang) == posts(ollang) == (1 if processed else 0)
    # Who clears it has looked.
    again = clear_run(dag, run)
    assert (again.states, again.tries) == ({"rerun": "success"}, {"rerun": 3})
    assert accepted_reruns(ollang) == (2 if processed else 1)


def test_a_cleared_task_is_retried_as_carefully(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = rerun_dag(**WAITING)
    run = run_dag(dag)
    ollang.change_order(ORDER, behaviour=RESULT_ONLY)
    # The polls before a cleared task submits take half a minute.
    during_sleep(monkeypatch, die, after=30)
    again = clear_run(dag, run)
    assert isinstance(again.errors["rerun"], OllangOutcomeUnknownError)
    assert (again.tries["rerun"], accepted_reruns(ollang)) == (3, 2)


def test_a_deferred_wait_that_is_cleared_is_another_wish(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A rerun shows at once here: Airflow 3.1 does not count the clear of a run that has not ended.
    ollang.change_order(ORDER, behaviour={"status_path": [[0, "ongoing"]]})
    dag = rerun_dag(**WAITING, deferrable=True, on_running="attach")
    with no_triggerer(monkeypatch):
        run = run_dag(dag)
    again = clear_run(dag, run)
    # Only what Ollang shows keeps it from a second rerun.
    assert "(run 2)" in first_output(again.results["rerun"])
    assert (accepted_reruns(ollang), again.results["rerun"]["reconnected"]) == (1, True)


def test_a_failure_before_anything_was_sent_looks_the_same_to_a_retry(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.add_fault("GET", times=5, status=503)
    run = run_dag(rerun_dag())
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    assert (run.tries["rerun"], posts(ollang)) == (2, 0)


# --- `retries` edited within the run ------------------------------------------------------------------------------


@pytest.mark.parametrize("retries", [1, 4])
def test_retry_submits_nothing_after_retries_were_edited(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, retries: int
) -> None:
    ollang.change_order(ORDER, behaviour=RESULT_ONLY)
    dag = rerun_dag(**WAITING)

    def edit_and_die() -> None:
        dag.get_task("rerun").retries = retries
        die()

    during_sleep(monkeypatch, edit_and_die)
    run = run_dag(dag)
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    assert (run.tries["rerun"], accepted_reruns(ollang), posts(ollang)) == (2, 1, 1)


@pytest.mark.parametrize("retries", [0, 4])
def test_first_try_submits_though_retries_were_edited(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, retries: int
) -> None:
    execute = OllangRerunOperator.execute

    def edited(self: OllangRerunOperator, context: Any) -> Any:
        context["task"].retries = retries
        return execute(self, context)

    # Airflow looks at the function it calls.
    edited.__name__ = "execute"
    monkeypatch.setattr(OllangRerunOperator, "execute", edited)
    run = run_dag(rerun_dag())
    assert (run.states, run.tries, posts(ollang)) == ({"rerun": "success"}, {"rerun": 1}, 1)


# --- Resubmission -------------------------------------------------------------------------------------------------


def test_the_second_try_resubmits(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_while_sending(monkeypatch, processed=False)
    run = run_dag(rerun_dag(on_unknown_outcome="resubmit"))
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 2})
    assert accepted_reruns(ollang) == posts(ollang) == 1


def test_the_third_try_does_not(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_while_sending(monkeypatch, processed=False, times=2)
    run = run_dag(rerun_dag(on_unknown_outcome="resubmit"))
    assert (run.states, run.tries, posts(ollang)) == ({"rerun": "failed"}, {"rerun": 3}, 0)


def test_a_resubmission_without_an_answer_is_the_last(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_while_sending(monkeypatch, processed=False)
    ollang.add_fault("POST", times=None, status=500)
    run = run_dag(rerun_dag(on_unknown_outcome="resubmit"))
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    assert (run.tries["rerun"], posts(ollang)) == (2, 1)


def test_within_one_try_an_unknown_outcome_is_settled_as_ever(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", status=500, processed=True)
    run = run_dag(rerun_dag())
    assert (run.states, run.tries, accepted_reruns(ollang)) == ({"rerun": "success"}, {"rerun": 1}, 1)


# --- The receipt through a deferral -------------------------------------------------------------------------------


def test_a_deferred_wait_finds_its_receipt_in_its_xcom(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, "run_seconds": 1000})
    receipt = run_dag(rerun_dag(**WAITING, deferrable=True)).results["rerun"]
    assert (receipt["message"], receipt["reconnected"]) == ("Order rerun initiated successfully", False)
    assert "(run 2)" in first_output(receipt)


def test_a_deferred_wait_that_pushes_no_xcom_says_so_before_it_buys(ollang: Sandbox, run_dag: RunDag) -> None:
    run = run_dag(rerun_dag(**WAITING, deferrable=True, do_xcom_push=False))
    # Either is fine; to buy, wait, and then fail for want of the receipt is not.
    assert (run.states["rerun"], accepted_reruns(ollang)) in (("success", 1), ("failed", 0))
