"""``OllangRerunOperator(wait_for_completion=True)``: the same outcome on the worker and in the triggerer."""

from __future__ import annotations

import random
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, task
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_provider_ollang._compat import TaskDeferralError, TaskDeferralTimeout
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangOrderFailedError,
    OllangRateLimitError,
    OllangStaleResultError,
    OllangTimeoutError,
    OllangUnavailableError,
    error_from_json,
    error_to_json,
)
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from tests.installed_airflow import OllangRetryPolicy, needs_retry_policies, needs_task_state_store
from tests.integration.submissions import (
    NO_TRACE,
    ORDER,
    RESULT_ONLY,
    STATUS_ONLY,
    WAITING,
    accepted_reruns,
    at_store,
    delete_record,
    fail,
    first_output,
    gets,
    no_triggerer,
    posts,
    record,
    rerun_dag,
    state_on_record,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import Run, RunDag

MODES: dict[str, dict[str, Any]] = {"sync": {}, "deferrable": {"deferrable": True}}


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll in the triggerer when the worker would."""
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)


def masked(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.+Z]+|\bdoc_\w+|:\d{4,5}\b", "*", text)


def outcome(run: Run, ollang: Sandbox) -> dict[str, Any]:
    """Return all of a run that must not depend on where it waited."""
    error, receipt = run.errors.get("rerun"), run.results["rerun"]
    return {
        "states": run.states,
        "tries": run.tries,
        "error": error and (type(error), masked(str(error))),
        "receipt": receipt and masked(repr({**receipt, "host": None})),
        "record": state_on_record(),
        "accepted": accepted_reruns(ollang),
    }


def play(ollang: Sandbox, run_dag: RunDag, behaviour: dict[str, Any], **arguments: Any) -> Run:
    """Wait on the worker and in the triggerer, and compare the outcomes; the rules are in domain/test_rerun_goal."""
    ends = []
    for mode in MODES.values():
        ollang.reset()
        ollang.change_order(ORDER, behaviour=behaviour)
        run = run_dag(rerun_dag(**{**WAITING, **mode, **arguments}))
        ends.append(outcome(run, ollang))
    assert ends[0] == ends[1]
    return run


STORIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "status late": (
        {"status_hidden_for": 200, "run_seconds": 600},
        {"evidence": ["event", "documents", "running"], "outputs_changed": True},
    ),
    "status only": ({**STATUS_ONLY, "run_seconds": 600}, {"evidence": ["running"], "outputs_changed": False}),
}


@needs_task_state_store
@pytest.mark.parametrize(("behaviour", "expected"), STORIES.values(), ids=STORIES)
def test_receipt_has_the_new_result(
    ollang: Sandbox, run_dag: RunDag, behaviour: dict[str, Any], expected: dict[str, Any]
) -> None:
    run = play(ollang, run_dag, behaviour)
    receipt = run.results["rerun"]
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 1})
    result = receipt["result"]
    assert {name: result[name] for name in expected} == expected
    assert ("(run 2)" in first_output(receipt)) is result["outputs_changed"]
    assert (receipt["last_status"], receipt["reconnected"]) == (result["status"], False)
    assert receipt["seen_running"] is ("running" in result["evidence"])
    assert record()["receipt"] == receipt


@needs_task_state_store
def test_short_run_is_observed_before_the_deferral(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_order(ORDER, behaviour={**STATUS_ONLY, "status_hidden_for": 5, "run_seconds": 20})
    with no_triggerer(monkeypatch):
        run = run_dag(rerun_dag(**WAITING, deferrable=True))
    assert run.states == {"rerun": "deferred"}
    # One poll before the request, and then after 0, 1, 3 and 6 seconds.
    assert (record()["receipt"]["seen_running"], gets(ollang)) == (True, 5)


@needs_task_state_store
def test_failed_poll_of_the_start_defers_at_once(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_order(ORDER, behaviour={**NO_TRACE, "run_seconds": 20})
    ollang.add_fault("GET", skip=1, times=None, status=429, headers={"Retry-After": "100"})
    with no_triggerer(monkeypatch):
        run = run_dag(rerun_dag(**WAITING, deferrable=True))
    assert (run.states, gets(ollang)) == ({"rerun": "deferred"}, 2)


@needs_task_state_store
def test_completed_order_without_evidence_is_stale(ollang: Sandbox, run_dag: RunDag) -> None:
    run = play(ollang, run_dag, NO_TRACE)
    assert isinstance(run.errors["rerun"], OllangStaleResultError)
    assert (run.tries["rerun"], state_on_record()) == (1, "unknown")


@needs_task_state_store
def test_result_without_evidence_may_be_accepted(ollang: Sandbox, run_dag: RunDag) -> None:
    run = play(ollang, run_dag, NO_TRACE, on_no_evidence="accept", stale_timeout=timedelta(minutes=10))
    receipt = run.results["rerun"]
    assert receipt["result"]["evidence"] == []
    assert (receipt["seen_running"], state_on_record()) == (False, "finished")


@needs_task_state_store
def test_failed_order_fails_the_task_at_once(ollang: Sandbox, run_dag: RunDag) -> None:
    run = play(ollang, run_dag, {"end_status": "failed", "run_seconds": 600})
    assert isinstance(run.errors["rerun"], OllangOrderFailedError)
    assert (run.states, run.tries) == ({"rerun": "failed"}, {"rerun": 1})
    # Downstream tasks can use the receipt.
    assert run.results["rerun"]["seen_running"] is True


@needs_task_state_store
def test_timeout_of_the_wait_is_not_retried(ollang: Sandbox, run_dag: RunDag) -> None:
    run = play(ollang, run_dag, {"end_status": None}, timeout=timedelta(minutes=20))
    assert isinstance(run.errors["rerun"], OllangTimeoutError)
    assert "within 20 min" in str(run.errors["rerun"])
    assert (run.tries["rerun"], state_on_record()) == (1, "accepted")


@needs_task_state_store
def test_retry_after_too_many_failed_polls_reconnects(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, "run_seconds": 600})
    ollang.add_fault("GET", "/integration/orders/*", skip=2, times=3, status=503)
    run = run_dag(rerun_dag(**WAITING, deferrable=True, max_poll_failures=3))
    assert isinstance(run.errors["rerun"], OllangUnavailableError)
    assert "3 consecutive polls" in str(run.errors["rerun"])
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 2})
    assert "(run 2)" in first_output(run.results["rerun"])
    assert (accepted_reruns(ollang), run.results["rerun"]["reconnected"]) == (1, True)


def test_sensor_takes_the_receipt_of_an_operator_that_waited(ollang: Sandbox, run_dag: RunDag) -> None:
    with DAG("rerunning", schedule=None, start_date=ollang.now) as dag:
        rerun = OllangRerunOperator(task_id="rerun", order_id=ORDER, **WAITING)
        OllangOrderStatusSensor(task_id="wait", rerun=rerun.output)
    run = run_dag(dag)
    assert run.results["wait"] == run.results["rerun"]["result"]


# --- In the triggerer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [(TaskDeferralTimeout(), OllangTimeoutError), (TaskDeferralError("trigger failed"), OllangUnavailableError)],
    ids=["timeout", "error"],
)
def test_failed_deferral_raises_our_error(
    ollang: Sandbox, monkeypatch: pytest.MonkeyPatch, trouble: Exception, expected: type[OllangError]
) -> None:
    # Only a real triggerer makes Airflow's base class raise them.
    def fail(*_: Any) -> None:
        raise trouble

    operator = OllangRerunOperator(task_id="rerun", order_id=ORDER, **WAITING)
    monkeypatch.setattr("airflow.sdk.BaseOperator.resume_execution", fail)
    with pytest.raises(expected):
        operator.resume_execution("execute_complete", {}, {})


@needs_task_state_store
def test_record_lost_during_the_deferral_comes_from_the_xcom(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = OllangRerunOperator.execute_complete

    def forgetful(self: OllangRerunOperator, *arguments: Any, **options: Any) -> Any:
        delete_record()
        return complete(self, *arguments, **options)

    monkeypatch.setattr(OllangRerunOperator, "execute_complete", forgetful)
    receipt = run_dag(rerun_dag(**WAITING, deferrable=True)).results["rerun"]
    assert receipt["message"] == "Order rerun initiated successfully"
    assert "(run 2)" in first_output(receipt)
    assert state_on_record() == "finished"


@needs_task_state_store
def test_store_failure_after_deferral_loses_no_result(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = OllangRerunOperator.execute_complete

    def unreadable(self: OllangRerunOperator, *arguments: Any, **options: Any) -> Any:
        at_store(monkeypatch, "get", fail)
        return complete(self, *arguments, **options)

    monkeypatch.setattr(OllangRerunOperator, "execute_complete", unreadable)
    run = run_dag(rerun_dag(**WAITING, deferrable=True))
    assert (run.states, run.tries, accepted_reruns(ollang)) == ({"rerun": "success"}, {"rerun": 1}, 1)
    assert "(run 2)" in first_output(run.results["rerun"])


@needs_retry_policies
def test_error_from_the_triggerer_keeps_retry_after() -> None:
    error = error_from_json(error_to_json(OllangRateLimitError("slow down", retry_after=4000.0)))
    decision = OllangRetryPolicy().evaluate(error, 1, 3)
    assert decision.retry_delay == timedelta(seconds=4000)


# --- What is handed on --------------------------------------------------------------------------------------------


def handed_on(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> list[Any]:
    """Return what was pushed as the task's result before its end, in order."""
    pushed: list[Any] = []
    push = RuntimeTaskInstance.xcom_push

    def listen(self: RuntimeTaskInstance, key: str, value: Any) -> None:
        assert key == "return_value"
        pushed.append((posts(ollang), value))
        push(self, key, value)

    monkeypatch.setattr(RuntimeTaskInstance, "xcom_push", listen)
    run_dag(rerun_dag(**arguments))
    return pushed


def test_receipt_is_pushed_as_soon_as_it_is_accepted(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(sent, receipt)] = handed_on(ollang, run_dag, monkeypatch)
    assert (sent, receipt["message"], receipt["result"]) == (1, "Order rerun initiated successfully", None)


def test_receipt_of_an_unknown_outcome_is_pushed(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.add_fault("POST", status=500)
    [(sent, receipt)] = handed_on(ollang, run_dag, monkeypatch)
    assert (sent, receipt["message"], receipt["result"]) == (1, None, None)


@needs_task_state_store
@pytest.mark.parametrize(
    ("mode", "fault"), [("deferrable", None), ("sync", {"status": 500})], ids=["accepted", "unknown"]
)
def test_nothing_is_pushed_without_do_xcom_push(
    ollang: Sandbox,
    run_dag: RunDag,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    fault: dict[str, Any] | None,
) -> None:
    if fault:
        ollang.add_fault("POST", **fault)
    assert handed_on(ollang, run_dag, monkeypatch, **WAITING, **MODES[mode], do_xcom_push=False) == []
    assert state_on_record() == ("unknown" if fault else "finished")


def test_order_and_connection_may_be_templates(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", ollang.connection_json)
    monkeypatch.delenv("AIRFLOW_CONN_OLLANG_DEFAULT")
    with DAG("rerunning", schedule=None, start_date=ollang.now) as dag:

        @task
        def name_it() -> dict[str, str]:
            return {"order_id": ORDER}

        OllangRerunOperator(task_id="given", order_id=name_it(), ollang_conn_id="{{ dag_run.conf['conn'] }}", **WAITING)
    run = run_dag(dag, conn="other")
    assert "(run 2)" in first_output(run.results["given"])


# --- Arguments ----------------------------------------------------------------------------------------------------

BAD_ARGUMENTS: dict[str, Any] = {
    "on_running": "wait",
    "on_unknown_outcome": "retry",
    "on_no_evidence": None,
    "reconcile_timeout": "300",
    "poll_interval": True,
    "timeout": float("nan"),
    "max_poll_failures": 0,
    "outputs_timeout": None,
    "stale_timeout": timedelta(seconds=-1),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_argument_is_named_when_the_dag_is_parsed(name: str) -> None:
    with pytest.raises(OllangConfigurationError, match=f"^{name} must be "):
        OllangRerunOperator(task_id="rerun", order_id=ORDER, **{name: BAD_ARGUMENTS[name]})


def test_durations_may_be_timedeltas() -> None:
    names = ("reconcile_timeout", "poll_interval", "timeout", "outputs_timeout", "stale_timeout")
    durations: dict[str, Any] = {name: timedelta(minutes=2) for name in names}
    operator = OllangRerunOperator(task_id="rerun", order_id=ORDER, **durations)
    assert {getattr(operator, name) for name in names} == {120.0}
