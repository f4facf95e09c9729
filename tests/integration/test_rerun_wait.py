"""``OllangRerunOperator(wait_for_completion=True)``: the same ends in the worker and in the triggerer."""

from __future__ import annotations

import random
import re
from datetime import datetime, timedelta
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
def _no_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look in the triggerer when the worker would."""
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)


def masked(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.+Z]+|\bdoc_\w+|:\d{4,5}\b", "*", text)


def told(run: Run, ollang: Sandbox) -> dict[str, Any]:
    """Return all of a run that must not depend on where it waited."""
    error, receipt = run.errors.get("rerun"), run.results["rerun"]
    return {
        "states": run.states,
        "tries": run.tries,
        "error": error and (type(error), masked(str(error))),
        "receipt": receipt and masked(repr({**receipt, "host": None})),
        "record": state_on_record(),
        "bought": accepted_reruns(ollang),
    }


def play(ollang: Sandbox, run_dag: RunDag, behaviour: dict[str, Any], **arguments: Any) -> Run:
    """Tell a story to a wait in the worker and to one in the triggerer, and compare the ends."""
    ends = []
    for mode in MODES.values():
        ollang.reset()
        ollang.change_order(ORDER, behaviour=behaviour)
        run = run_dag(rerun_dag(**{**WAITING, **mode, **arguments}))
        ends.append(told(run, ollang))
    assert ends[0] == ends[1]
    return run


STORIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as usual": ({}, {"evidence": ["event", "documents", "running"], "outputs_changed": True}),
    "at once": ({"run_seconds": 0, "outputs_after": 0}, {"evidence": ["event", "documents"], "outputs_changed": True}),
    "status late": (
        {"status_hidden_for": 200, "run_seconds": 600},
        {"evidence": ["event", "documents", "running"], "outputs_changed": True},
    ),
    "status never": ({**RESULT_ONLY, "run_seconds": 600}, {"evidence": ["event", "documents"]}),
    "status only": ({**STATUS_ONLY, "run_seconds": 600}, {"evidence": ["running"], "outputs_changed": False}),
    "outputs late": ({"run_seconds": 600, "outputs_after": 90}, {"outputs_changed": True}),
    "outputs too late": ({"run_seconds": 600, "outputs_after": 500}, {"outputs_changed": False}),
    "delivered": ({"end_status": "delivered"}, {"status": "delivered"}),
}


@needs_task_state_store
@pytest.mark.parametrize(("behaviour", "expected"), STORIES.values(), ids=STORIES)
def test_the_receipt_has_the_new_result(
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
@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429, "headers": {"Retry-After": "100"}}])
def test_failed_poll_of_the_start_defers_at_once(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any]
) -> None:
    ollang.change_order(ORDER, behaviour={**NO_TRACE, "run_seconds": 20})
    ollang.add_fault("GET", skip=1, times=None, **fault)
    with no_triggerer(monkeypatch):
        run = run_dag(rerun_dag(**WAITING, deferrable=True))
    assert (run.states, gets(ollang)) == ({"rerun": "deferred"}, 2)


@needs_task_state_store
def test_the_order_is_not_believed_while_it_is_only_done(ollang: Sandbox, run_dag: RunDag) -> None:
    run = play(ollang, run_dag, NO_TRACE)
    assert isinstance(run.errors["rerun"], OllangStaleResultError)
    assert (run.tries["rerun"], state_on_record()) == (1, "unknown")


@needs_task_state_store
def test_no_evidence_can_be_accepted(ollang: Sandbox, run_dag: RunDag) -> None:
    run = play(ollang, run_dag, NO_TRACE, on_no_evidence="accept", stale_timeout=timedelta(minutes=10))
    receipt = run.results["rerun"]
    assert receipt["result"]["evidence"] == []
    assert (receipt["seen_running"], state_on_record()) == (False, "finished")


@needs_task_state_store
def test_a_failed_order_fails_the_task_at_once(ollang: Sandbox, run_dag: RunDag) -> None:
    run = play(ollang, run_dag, {"end_status": "failed", "run_seconds": 600})
    assert isinstance(run.errors["rerun"], OllangOrderFailedError)
    assert (run.states, run.tries) == ({"rerun": "failed"}, {"rerun": 1})
    # The tasks behind it can go on with what was bought.
    assert run.results["rerun"]["seen_running"] is True


@needs_task_state_store
def test_the_timeout_ends_it_without_a_retry(ollang: Sandbox, run_dag: RunDag) -> None:
    run = play(ollang, run_dag, {"end_status": None}, timeout=timedelta(minutes=20))
    assert isinstance(run.errors["rerun"], OllangTimeoutError)
    assert "within 20 min" in str(run.errors["rerun"])
    assert (run.tries["rerun"], state_on_record()) == (1, "accepted")


@needs_task_state_store
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_too_many_failed_looks_are_retried_and_the_retry_joins(
    ollang: Sandbox, run_dag: RunDag, mode: dict[str, Any]
) -> None:
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, "run_seconds": 600})
    ollang.add_fault("GET", "/integration/orders/*", skip=2, times=3, status=503)
    run = run_dag(rerun_dag(**WAITING, **mode, max_poll_failures=3))
    assert isinstance(run.errors["rerun"], OllangUnavailableError)
    assert "3 consecutive polls" in str(run.errors["rerun"])
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 2})
    assert "(run 2)" in first_output(run.results["rerun"])
    assert (accepted_reruns(ollang), run.results["rerun"]["reconnected"]) == (1, True)


def test_first_polls_are_dense_then_once_an_interval(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, "end_status": None})
    started = ollang.now
    run_dag(rerun_dag(**{**WAITING, "timeout": 150, "poll_interval": 60}))
    times = [datetime.fromisoformat(entry.time) for entry in ollang.requests("GET")]
    polls = [round((time - started).total_seconds()) for time in times]
    # The server dates the request in whole seconds, so a poll may come one second earlier.
    expected = [0, 0, 1, 3, 6, 11, 19, 30, 90, 150]
    assert [abs(poll - at) <= 1 for poll, at in zip(polls, expected, strict=False)] == [True] * len(expected)
    assert len(polls) <= len(expected) + 1


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_a_sensor_takes_the_receipt_of_an_operator_that_waited(
    ollang: Sandbox, run_dag: RunDag, mode: dict[str, Any]
) -> None:
    with DAG("rerunning", schedule=None, start_date=ollang.now) as dag:
        rerun = OllangRerunOperator(task_id="rerun", order_id=ORDER, **WAITING, **mode)
        OllangOrderStatusSensor(task_id="wait", rerun=rerun.output)
    run = run_dag(dag)
    assert run.results["wait"] == run.results["rerun"]["result"]


# --- In the triggerer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [(TaskDeferralTimeout(), OllangTimeoutError), (TaskDeferralError("trigger failed"), OllangUnavailableError)],
    ids=["timeout", "error"],
)
def test_a_deferral_that_fails_is_told_in_our_words(
    ollang: Sandbox, monkeypatch: pytest.MonkeyPatch, trouble: Exception, expected: type[OllangError]
) -> None:
    # Airflow's own words for it come out of the base class, which only a real triggerer makes say them.
    def fail(*_: Any) -> None:
        raise trouble

    operator = OllangRerunOperator(task_id="rerun", order_id=ORDER, **WAITING)
    monkeypatch.setattr("airflow.sdk.BaseOperator.resume_execution", fail)
    with pytest.raises(expected):
        operator.resume_execution("execute_complete", {}, {})


@needs_task_state_store
def test_the_receipt_survives_a_store_that_failed_before_the_deferral(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_store(monkeypatch, "set", fail, state="accepted", times=99)
    receipt = run_dag(rerun_dag(**WAITING, deferrable=True)).results["rerun"]
    assert receipt["message"] == "Order rerun initiated successfully"
    assert "(run 2)" in first_output(receipt)


@needs_task_state_store
def test_a_record_that_vanished_during_the_deferral_is_made_good_by_the_xcom(
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
def test_an_error_from_the_triggerer_still_says_how_long_to_wait() -> None:
    error = error_from_json(error_to_json(OllangRateLimitError("slow down", retry_after=4000.0)))
    decision = OllangRetryPolicy().evaluate(error, 1, 3)
    assert decision.retry_delay == timedelta(seconds=4000)


# --- What is handed on --------------------------------------------------------------------------------------------


def handed_on(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> list[Any]:
    """Return what was pushed as the task's result, in order, the one at its end not included."""
    pushed: list[Any] = []
    push = RuntimeTaskInstance.xcom_push

    def listen(self: RuntimeTaskInstance, key: str, value: Any) -> None:
        assert key == "return_value"
        pushed.append((posts(ollang), value))
        push(self, key, value)

    monkeypatch.setattr(RuntimeTaskInstance, "xcom_push", listen)
    run_dag(rerun_dag(**arguments))
    return pushed


def test_the_receipt_is_pushed_before_the_wait(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(sent, receipt)] = handed_on(ollang, run_dag, monkeypatch)
    assert (sent, receipt["message"], receipt["result"]) == (1, "Order rerun initiated successfully", None)


def test_the_receipt_of_an_unknown_outcome_is_pushed_once_it_is_unknown(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.add_fault("POST", status=500)
    [(sent, receipt)] = handed_on(ollang, run_dag, monkeypatch)
    assert (sent, receipt["message"], receipt["result"]) == (1, None, None)


@needs_task_state_store
@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize("fault", [None, {"status": 500}], ids=["accepted", "unknown"])
def test_nothing_is_pushed_where_that_is_switched_off(
    ollang: Sandbox,
    run_dag: RunDag,
    monkeypatch: pytest.MonkeyPatch,
    mode: dict[str, Any],
    fault: dict[str, Any] | None,
) -> None:
    if fault:
        ollang.add_fault("POST", **fault)
    assert handed_on(ollang, run_dag, monkeypatch, **WAITING, **mode, do_xcom_push=False) == []
    assert state_on_record() == ("unknown" if fault else "finished")


def test_the_order_is_named_by_a_template_and_the_connection_too(
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
def test_an_argument_that_makes_no_sense_is_named_when_the_dag_is_parsed(name: str) -> None:
    with pytest.raises(OllangConfigurationError, match=f"^{name} must be "):
        OllangRerunOperator(task_id="rerun", order_id=ORDER, **{name: BAD_ARGUMENTS[name]})


def test_durations_may_be_timedeltas() -> None:
    names = ("reconcile_timeout", "poll_interval", "timeout", "outputs_timeout", "stale_timeout")
    durations: dict[str, Any] = {name: timedelta(minutes=2) for name in names}
    operator = OllangRerunOperator(task_id="rerun", order_id=ORDER, **durations)
    assert {getattr(operator, name) for name in names} == {120.0}
