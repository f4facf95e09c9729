"""``dag.test()`` with a connection that only Airflow's database knows, as a new user's `airflow dags test` has it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models import Connection
from airflow.sdk import DAG, BaseHook
from airflow.utils.session import create_session
from sqlalchemy import delete

from airflow_provider_ollang._compat import AirflowNotFoundException
from airflow_provider_ollang.exceptions import OllangConfigurationError
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
CONN_ID = "ollang_in_the_database"


@pytest.fixture
def stored(airflow_db: None, ollang: Sandbox) -> Iterator[None]:
    with create_session() as session:
        session.add(Connection(conn_id=CONN_ID, conn_type="ollang", host=ollang.url, password=ollang.api_key))
    yield
    with create_session() as session:
        session.execute(delete(Connection).where(Connection.conn_id == CONN_ID))


def dag_of(conn_id: str, **mode: Any) -> DAG:
    with DAG("stored", schedule=None) as dag:
        OllangOrderStatusSensor(task_id="wait", order_id=ORDER, ollang_conn_id=conn_id, timeout=3600, **mode)
    return dag


@pytest.mark.parametrize("mode", [{"mode": "poke"}, {"deferrable": True}], ids=str)
@pytest.mark.usefixtures("stored")
def test_wait_finds_its_connection_in_every_mode(ollang: Sandbox, run_dag: RunDag, mode: dict[str, Any]) -> None:
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="completed", after=90)
    run = run_dag(dag_of(CONN_ID, **mode))
    assert (run.states, run.results["wait"]["status"]) == ({"wait": "success"}, "completed")


def test_connection_that_does_not_exist_is_looked_for_once(ollang: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Airflow can be asked without blocking the event loop, its answer stands."""
    asked: list[str] = []

    async def not_there(_: object, conn_id: str) -> None:
        raise AirflowNotFoundException(conn_id)

    monkeypatch.setattr(BaseHook, "aget_connection", classmethod(not_there))
    monkeypatch.setattr(BaseHook, "get_connection", classmethod(lambda _, conn_id: asked.append(conn_id)))

    async def wait() -> None:
        async with OllangHook(CONN_ID).async_client():
            pass

    with pytest.raises(OllangConfigurationError, match="does not exist"):
        asyncio.run(wait())
    assert asked == []
