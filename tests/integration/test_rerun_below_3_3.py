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
    posts,
    record,
    rerun_dag,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import ClearRun, RunDag

WAITS: dict[str, dict[str, Any]] = {"no wait": {}, "deferrable": {**WAITING, "deferrable": True}}


@pytest.fixture(autouse=True)
def _no_store(ollang: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    get_context = RuntimeTaskInstance.get_template_context

    def without_store(self: RuntimeTaskInstance) -> Any:
        context = get_context(self)
        context.pop("task_state_store", None)
        return context

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("there is no store")

    monkeypatch.setattr(RuntimeTaskInstance, "get_template_context", without_store)
    if TaskStateStoreAccessor is not None:
        for method in ("get", "set", "delete"):
            monkeypatch.setattr(TaskStateStoreAccessor, method, refuse)
    ollang.change_order(ORDER, behaviour={"rerun_while_running": "accept"})


def test_first_try_submits(ollang: Sandbox, run_dag: RunDag) -> None:
    run = run_dag(rerun_dag(**WAITING))
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 1})
    assert (accepted_reruns(ollang), record()) == (1, None)
    assert "(run 2)" in first_output(run.results["rerun"])


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_retry_reconnects_to_what_runs(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, wait: dict[str, Any]
) -> None:
    kill_while_sending(monkeypatch, processed=True)
    get_order = OllangClient.get_dated_order

    def later(self: OllangClient, *arguments: Any, **options: Any) -> Any:
        ollang.advance(3)
        return get_order(self, *arguments, **options)

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


def test_retry_that_observes_no_run_is_unknown(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    kill_while_sending(monkeypatch, processed=True)
    dag = rerun_dag()
    run = run_dag(dag)
    assert (run.states, run.tries) == ({"rerun": "failed"}, {"rerun": 2})
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    assert "older than 3.3 and keeps no record. Nothing was submitted now" in str(run.errors["rerun"])
    assert accepted_reruns(ollang) == posts(ollang) == 1
    # A user who clears it has checked the order.
    again = clear_run(dag, run)
    assert (again.states, again.tries) == ({"rerun": "success"}, {"rerun": 3})
    assert accepted_reruns(ollang) == 2


def test_retry_of_a_cleared_task_submits_nothing(
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


# --- `retries` edited within the run ------------------------------------------------------------------------------


def test_retry_submits_nothing_after_retries_were_edited(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_order(ORDER, behaviour=RESULT_ONLY)
    dag = rerun_dag(**WAITING)

    def edit_and_die() -> None:
        dag.get_task("rerun").retries = 1
        die()

    during_sleep(monkeypatch, edit_and_die)
    run = run_dag(dag)
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    assert (run.tries["rerun"], accepted_reruns(ollang), posts(ollang)) == (2, 1, 1)


def test_first_try_submits_though_retries_were_edited(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = OllangRerunOperator.execute

    def edited(self: OllangRerunOperator, context: Any) -> Any:
        context["task"].retries = 0
        return execute(self, context)

    # Airflow looks at the function it calls.
    edited.__name__ = "execute"
    monkeypatch.setattr(OllangRerunOperator, "execute", edited)
    run = run_dag(rerun_dag())
    assert (run.states, run.tries, posts(ollang)) == ({"rerun": "success"}, {"rerun": 1}, 1)


# --- Resubmission -------------------------------------------------------------------------------------------------


def test_second_try_resubmits(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_while_sending(monkeypatch, processed=False)
    run = run_dag(rerun_dag(on_unknown_outcome="resubmit"))
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 2})
    assert accepted_reruns(ollang) == posts(ollang) == 1


def test_third_try_does_not_resubmit(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_while_sending(monkeypatch, processed=False, times=2)
    run = run_dag(rerun_dag(on_unknown_outcome="resubmit"))
    assert (run.states, run.tries, posts(ollang)) == ({"rerun": "failed"}, {"rerun": 3}, 0)


def test_resubmission_without_a_response_is_the_last(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_while_sending(monkeypatch, processed=False)
    ollang.add_fault("POST", times=None, status=500)
    run = run_dag(rerun_dag(on_unknown_outcome="resubmit"))
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    assert (run.tries["rerun"], posts(ollang)) == (2, 1)


def test_unknown_outcome_is_reconciled_within_one_try(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", status=500, processed=True)
    run = run_dag(rerun_dag())
    assert (run.states, run.tries, accepted_reruns(ollang)) == ({"rerun": "success"}, {"rerun": 1}, 1)


# --- The receipt through a deferral -------------------------------------------------------------------------------


def test_deferred_wait_reads_its_receipt_from_its_xcom(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, "run_seconds": 1000})
    receipt = run_dag(rerun_dag(**WAITING, deferrable=True)).results["rerun"]
    assert (receipt["message"], receipt["reconnected"]) == ("Order rerun initiated successfully", False)
    assert "(run 2)" in first_output(receipt)


def test_deferred_wait_without_xcom_fails_before_it_submits(ollang: Sandbox, run_dag: RunDag) -> None:
    run = run_dag(rerun_dag(**WAITING, deferrable=True, do_xcom_push=False))
    # Either is fine; to submit, wait, and then fail for want of the receipt is not.
    assert (run.states["rerun"], accepted_reruns(ollang)) in (("success", 1), ("failed", 0))
