"""``OllangCreateOrderOperator(wait_for_completion=True)``: the same outcome in every mode; what it cancels."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from airflow.sdk import DAG
from airflow.sdk.bases.operator import TriggerFailureReason

from airflow_provider_ollang._compat import AirflowTaskTimeout
from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangOrderFailedError, OllangTimeoutError
from airflow_provider_ollang.operators.orders import OllangCreateOrderOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger
from tests.installed_airflow import needs_task_state_store
from tests.integration.creations import (
    LANGUAGES,
    PROJECT,
    SUCCESS,
    WAITING,
    body,
    create_dag,
    created,
    creations,
    ids,
    one_each,
    posts,
    require_right_orders,
    state,
    stored,
)
from tests.integration.submissions import ProcessKilled, during_sleep, no_triggerer, on_kill_of
from tests.integration.triggers import collected_triggers

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag

MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
pytestmark = pytest.mark.usefixtures("at_once")


def results(run: Any) -> list[dict[str, Any]]:
    return [entry["result"] for entry in run.results["create"]]


def finish_one_after_the_other(ollang: Sandbox, *, every: float) -> None:
    """Let the orders that are created next end in turns, the last language first."""
    create = ollang.create_orders

    def create_in_turns(body: Any) -> Any:
        response = create(body)
        for number, order_id in enumerate(reversed(creations(ollang)[-1]["orders"]), 1):
            ollang.change_order(order_id, status="ongoing")
            ollang.change_order(order_id, status="completed", after=number * every)
        return response

    ollang.create_orders = create_in_turns  # type: ignore[method-assign]


@MODES
@pytest.mark.parametrize("level", [0, 1])
def test_results_are_those_of_the_orders(ollang: Sandbox, run_dag: RunDag, deferrable: bool, level: int) -> None:
    ollang.change_behaviour({"run_seconds": 1000, "child_orders": True})
    run = run_dag(create_dag(**WAITING, deferrable=deferrable, level=level))
    assert (run.states, run.tries, posts(ollang)) == (SUCCESS, {"create": 1}, 1)
    require_right_orders(ollang, run)
    assert [result["order_id"] for result in results(run)] == ids(run)
    assert [result["target_language"] for result in results(run)] == LANGUAGES
    facts = [
        (result["status"], result["level"], result["outputs_changed"], result["evidence"]) for result in results(run)
    ]
    assert facts == [("completed", level, True, ["event", "documents", "running"])] * 3
    assert all(result["outputs"] for result in results(run))


@MODES
def test_each_order_is_waited_for_in_its_turn(ollang: Sandbox, run_dag: RunDag, deferrable: bool) -> None:
    ollang.change_behaviour({"run_seconds": 10_000})
    finish_one_after_the_other(ollang, every=600)
    run = run_dag(create_dag(**WAITING, deferrable=deferrable, outputs_timeout=0))
    assert (run.states, created(ollang)) == (SUCCESS, one_each())
    # The first language ends last, and then the others have their results at once.
    polled = [request.path.rpartition("/")[2] for request in ollang.requests("GET", "*/orders/*")][3:]
    assert polled == sorted(polled, key=ids(run).index)
    assert [polled.count(str(order_id)) > 20 for order_id in ids(run)] == [True, False, False]


@MODES
def test_documents_may_lag_behind_the_status(ollang: Sandbox, run_dag: RunDag, deferrable: bool) -> None:
    ollang.change_behaviour({"outputs_after": 90})
    run = run_dag(create_dag(**WAITING, deferrable=deferrable, target_languages=["fr"]))
    [entry] = run.results["create"]
    assert (entry["result"]["outputs_changed"], len(entry["result"]["outputs"])) == (True, 1)


@MODES
def test_order_without_documents_is_done_after_outputs_timeout(
    ollang: Sandbox, run_dag: RunDag, deferrable: bool
) -> None:
    ollang.change_behaviour({"outputs_after": 100_000, "delivery_events": "absent"})
    run = run_dag(create_dag(**WAITING, deferrable=deferrable, target_languages=["fr"]))
    [entry] = run.results["create"]
    facts = {name: entry["result"][name] for name in ("outputs_changed", "outputs", "evidence")}
    assert facts == {"outputs_changed": False, "outputs": [], "evidence": ["running"]}


@needs_task_state_store
@MODES
def test_failed_order_fails_the_task(ollang: Sandbox, run_dag: RunDag, deferrable: bool) -> None:
    ollang.change_behaviour({"end_status": "failed"})
    run = run_dag(create_dag(**WAITING, deferrable=deferrable))
    error = run.errors["create"]
    assert isinstance(error, OllangOrderFailedError)
    assert (error.order_id, run.tries, posts(ollang)) == (ids(run)[0], {"create": 1}, 1)
    receipt = stored()["receipt"]
    assert (list(receipt["orders"]), receipt["before"][-1]) == (LANGUAGES[1:], ids(run)[0])


@needs_task_state_store
@MODES
def test_one_timeout_is_for_all_orders(ollang: Sandbox, run_dag: RunDag, deferrable: bool) -> None:
    ollang.change_behaviour({"run_seconds": 10_000})
    finish_one_after_the_other(ollang, every=1500)
    began = ollang.now
    run = run_dag(create_dag(wait_for_completion=True, timeout=4000, deferrable=deferrable, outputs_timeout=0))
    assert isinstance(run.errors["create"], OllangTimeoutError)
    assert timedelta(seconds=4000) <= ollang.now - began < timedelta(seconds=4200)
    assert (run.tries, posts(ollang), state()) == ({"create": 1}, 1, "accepted")


@needs_task_state_store
def test_retry_of_a_dead_wait_goes_on_with_what_it_had(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_behaviour({"run_seconds": 1000})

    def die() -> None:
        raise ProcessKilled

    during_sleep(monkeypatch, die, after=500)
    run = run_dag(create_dag(**WAITING))
    assert (run.states, run.tries, posts(ollang), created(ollang)) == (SUCCESS, {"create": 2}, 1, one_each())
    assert [result["status"] for result in results(run)] == ["completed"] * 3


def test_result_is_what_mapped_tasks_take(ollang: Sandbox, run_dag: RunDag) -> None:
    with DAG("localizing", schedule=None) as dag:
        create = OllangCreateOrderOperator(
            task_id="create", project_id=PROJECT, order_type="subtitle", target_languages="fr, de"
        )
        OllangOrderStatusSensor.partial(task_id="wait").expand(order_id=create.output)
    run = run_dag(dag)
    assert run.states == {"create": "success", "wait[0]": "success", "wait[1]": "success"}
    assert [run.results[f"wait[{index}]"]["target_language"] for index in (0, 1)] == ["fr", "de"]


# --- What is cancelled --------------------------------------------------------------------------------------------

SLOW = {"run_seconds": 50_000, "cancellable_for": None}


def statuses(ollang: Sandbox) -> set[str]:
    return {ollang.order(order_id)["order"]["status"] for order_id in creations(ollang)[0]["orders"]}


def cancels(ollang: Sandbox) -> int:
    return len(ollang.requests("POST", "*/cancel/*"))


@needs_task_state_store
@MODES
@pytest.mark.parametrize("cancel", [False, True], ids=["left", "cancelled"])
def test_timeout_cancels_the_orders_if_asked_to(
    ollang: Sandbox, run_dag: RunDag, deferrable: bool, cancel: bool
) -> None:
    ollang.change_behaviour(SLOW)
    arguments = {"wait_for_completion": True, "timeout": 600, "deferrable": deferrable}
    run = run_dag(create_dag(**arguments, cancel_on_timeout=cancel))
    assert isinstance(run.errors["create"], OllangTimeoutError)
    assert (statuses(ollang) == {"cancelled"}, cancels(ollang)) == (cancel, 3 if cancel else 0)
    assert state() == ("unknown" if cancel else "accepted")


@needs_task_state_store
def test_timeout_that_airflow_ends_cancels_likewise(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_behaviour(SLOW)

    resume = OllangCreateOrderOperator.resume_execution

    def fail(self: OllangCreateOrderOperator, next_method: str, next_kwargs: Any, context: Any) -> Any:
        assert next_method == "execute_complete"
        return resume(self, "__fail__", {"error": TriggerFailureReason.TRIGGER_TIMEOUT}, context)

    monkeypatch.setattr(OllangCreateOrderOperator, "resume_execution", fail)
    run = run_dag(create_dag(**WAITING, deferrable=True, cancel_on_timeout=True))
    assert isinstance(run.errors["create"], OllangTimeoutError)
    assert "Check that a triggerer is running" in str(run.errors["create"])
    assert (statuses(ollang), cancels(ollang), state()) == ({"cancelled"}, 3, "unknown")


@needs_task_state_store
@pytest.mark.parametrize("cancel", [False, True], ids=["left", "cancelled"])
def test_killed_wait_cancels_the_orders_if_asked_to(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, cancel: bool
) -> None:
    ollang.change_behaviour(SLOW)
    during_sleep(monkeypatch, on_kill_of(monkeypatch, OllangCreateOrderOperator), after=200)
    run = run_dag(create_dag(**WAITING, retries=0, cancel_on_kill=cancel))
    assert run.states == {"create": "failed"}
    assert (statuses(ollang) == {"cancelled"}, cancels(ollang)) == (cancel, 3 if cancel else 0)


@needs_task_state_store
def test_killed_wait_cancels_unfinished_orders_only(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_behaviour({"run_seconds": 10_000, "cancellable_for": None})
    kill = on_kill_of(monkeypatch, OllangCreateOrderOperator)

    def finish_first_and_kill_later() -> None:
        ollang.change_order(creations(ollang)[0]["orders"][0], status="completed")
        during_sleep(monkeypatch, kill, after=300)

    during_sleep(monkeypatch, finish_first_and_kill_later, after=100)
    run_dag(create_dag(**WAITING, retries=0, cancel_on_kill=True, outputs_timeout=0))
    cancelled = {request.path.rpartition("/")[2] for request in ollang.requests("POST", "*/cancel/*")}
    assert cancelled == set(creations(ollang)[0]["orders"][1:])


@needs_task_state_store
def test_execution_timeout_cancels_the_orders_too(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_behaviour(SLOW)

    def time_out() -> None:
        raise AirflowTaskTimeout("the task has used up its time")

    during_sleep(monkeypatch, time_out, after=100)
    run = run_dag(create_dag(**WAITING, retries=0, cancel_on_kill=True, execution_timeout=timedelta(hours=1)))
    assert isinstance(run.errors["create"], AirflowTaskTimeout)
    assert (statuses(ollang), cancels(ollang)) == ({"cancelled"}, 3)


@needs_task_state_store
@pytest.mark.parametrize("cancel", [False, True], ids=["left", "cancelled"])
def test_killed_deferred_wait_cancels_in_the_triggerer(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, cancel: bool
) -> None:
    ollang.change_behaviour(SLOW)
    deferred_with = collected_triggers(monkeypatch)
    with no_triggerer(monkeypatch):
        run_dag(create_dag(**WAITING, deferrable=True, cancel_on_kill=cancel))
    _, arguments = deferred_with[0]
    orders = creations(ollang)[0]["orders"]
    # One is done by then: Ollang refuses it, and the others are cancelled all the same.
    ollang.change_order(orders[0], status="completed")
    asyncio.run(OllangOrderStatusTrigger(**arguments).on_kill())
    assert cancels(ollang) == (3 if cancel else 0)
    assert [ollang.order(order_id)["order"]["status"] == "cancelled" for order_id in orders] == [False, cancel, cancel]


def test_order_cancelled_before_is_no_failure_in_the_triggerer(
    ollang: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.create_orders(body("fr"))
    [order_id] = creations(ollang)[0]["orders"]
    ollang.cancel_order(order_id)
    log = Mock()
    monkeypatch.setattr(OllangOrderStatusTrigger, "log", log)
    trigger = OllangOrderStatusTrigger(ollang_conn_id="ollang_default", order_id=order_id, orders_to_cancel=[order_id])
    asyncio.run(trigger.on_kill())
    assert [call[0] for call in log.mock_calls] == ["info"]
    assert len(ollang.requests("POST", "*/cancel/*")) == 1


@pytest.mark.parametrize("name", ["cancel_on_kill", "cancel_on_timeout", "wait_for_completion"])
def test_flag_that_is_a_text_is_refused(name: str) -> None:
    with pytest.raises(OllangConfigurationError, match=f"{name} must be True or False"):
        create_dag(**{**WAITING, name: "false"})


def test_cancelling_is_about_a_wait() -> None:
    with pytest.raises(OllangConfigurationError, match="set wait_for_completion=True"):
        create_dag(cancel_on_kill=True)
