"""``OllangOrderStatusTrigger.on_kill``: whose order is cancelled depends on why the triggerer lets go of a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import DAG
from airflow.sdk.api.client import Client
from airflow.sdk.execution_time import supervisor, task_runner
from airflow.sdk.execution_time.comms import GetXCom, XComResult
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import select

from airflow_provider_ollang.operators.orders import OllangCreateOrderOperator
from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger
from tests.installed_airflow import needs_task_state_store
from tests.integration.creations import PROJECT, WAITING, creations
from tests.integration.submissions import no_triggerer
from tests.integration.triggers import collected_triggers

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag

State = TaskInstanceState
Kill = Callable[..., None]
pytestmark = needs_task_state_store


class Triggerer:
    """What a trigger sends its requests to Airflow's API with: here over the API in this process."""

    def send(self, message: Any) -> Any:
        transport = supervisor.in_process_api_server().transport
        with Client(base_url=None, dry_run=True, token="", transport=transport) as client:
            client.base_url = "http://in-process.invalid./"
            if isinstance(message, GetXCom):
                names = ("dag_id", "run_id", "task_id", "key", "map_index")
                xcom = client.xcoms.get(**{name: getattr(message, name) for name in names})
                return XComResult.from_xcom_response(xcom)
            return client.task_instances.get_task_states(**message.model_dump(exclude={"type"}))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Mock:
    log = Mock()
    monkeypatch.setattr(OllangOrderStatusTrigger, "log", log)
    return log


@pytest.fixture(params=["plain", "mapped"])
def kill(
    request: pytest.FixtureRequest, ollang: Sandbox, run_dag: RunDag, log: Mock, monkeypatch: pytest.MonkeyPatch
) -> Kill:
    """
    Return what calls ``on_kill`` of a wait.

    It is given the state that the task has by then, and another one beside it has not, and how many seconds later than
    this wait the one of the task's last try ends.
    """
    ollang.change_behaviour({"run_seconds": 50_000, "cancellable_for": None})
    deferred_with = collected_triggers(monkeypatch)
    usual: dict[str, Any] = {"task_id": "create", "project_id": PROJECT, "order_type": "subtitle", "deferrable": True}
    usual |= {**WAITING, "cancel_on_kill": True}
    with DAG("killed", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001 - Airflow adds the zone
        if request.param == "plain":
            OllangCreateOrderOperator(target_languages=["fr", "de"], **usual)
        else:
            OllangCreateOrderOperator.partial(**usual).expand(target_languages=[["fr", "de"], ["it", "pt"]])
    with no_triggerer(monkeypatch):
        run = run_dag(dag)

    def kill(state: State | None, *, later: float = 0.0) -> None:
        with create_session() as session:
            tasks = session.scalars(select(TaskInstance).where(TaskInstance.run_id == run.run_id)).all()
            # Of two, one has begun.
            [map_index] = [task.map_index for task in tasks if task.start_date is not None]
            for task in tasks:
                other = State.FAILED if state == State.DEFERRED else State.DEFERRED
                task.state = state if task.map_index == map_index else other
        _, arguments = deferred_with[0]
        trigger = OllangOrderStatusTrigger(**arguments)
        task_instance: Any = SimpleNamespace(
            dag_id=dag.dag_id, task_id="create", run_id=run.run_id, map_index=map_index
        )
        trigger.task_instance = task_instance
        trigger.deadline = arguments["deadline"] - later
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Triggerer(), raising=False)
        asyncio.run(trigger.on_kill())

    return kill


def statuses(ollang: Sandbox) -> set[str]:
    return {ollang.order(order_id)["order"]["status"] for order_id in creations(ollang)[0]["orders"]}


@pytest.mark.parametrize("state", [State.FAILED, State.SUCCESS, None, State.RUNNING], ids=str)
def test_wait_that_a_user_ends_cancels_its_orders(ollang: Sandbox, kill: Kill, log: Mock, state: State | None) -> None:
    kill(state)
    assert statuses(ollang) == {"cancelled"}
    assert [call[0] for call in log.mock_calls] == ["info"] * 2


def test_cleared_task_that_waits_again_keeps_no_order(ollang: Sandbox, kill: Kill) -> None:
    kill(State.DEFERRED, later=60)
    assert statuses(ollang) == {"cancelled"}


def test_wait_that_another_triggerer_takes_over_cancels_nothing(ollang: Sandbox, kill: Kill, log: Mock) -> None:
    kill(State.DEFERRED)
    assert "cancelled" not in statuses(ollang)
    ((name, (text, *_), _),) = log.mock_calls
    assert (name, "Another triggerer" in text) == ("warning", True)


def test_wait_that_ends_for_an_unknown_reason_cancels_nothing(
    ollang: Sandbox, kill: Kill, log: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the API server does not answer")

    monkeypatch.setattr(Triggerer, "send", fail)
    kill(State.FAILED)
    assert "cancelled" not in statuses(ollang)
    ((name, (text, *_), _),) = log.mock_calls
    assert (name, "cancel in Ollang" in text) == ("warning", True)
