"""What the tests of ``OllangRerunOperator`` share: its DAG, what dies in it and when, and what is on record."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from airflow import settings
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.api.client import Client
from airflow.sdk.definitions import dag as sdk_dag
from airflow.sdk.execution_time import supervisor
from sqlalchemy import select
from sqlalchemy.orm import Session

from airflow_provider_ollang import _clock
from airflow_provider_ollang.client.sync import OllangClient
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from tests.installed_airflow import TaskStateStoreAccessor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from airflow_provider_ollang.sandbox import Sandbox

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
#: An order that shows nothing at all of its rerun.
NO_TRACE: dict[str, Any] = {"status_hidden_for": None, "outputs": "unchanged", "delivery_events": "absent"}
#: One that shows its rerun by its status only, by its new result only.
STATUS_ONLY: dict[str, Any] = {"outputs": "unchanged", "delivery_events": "absent"}
RESULT_ONLY: dict[str, Any] = {"status_hidden_for": None}
WAITING: dict[str, Any] = {"wait_for_completion": True, "timeout": 4 * 3600}


class ProcessKilled(BaseException):
    """The end of a process, as far as one process can play it: nothing of ours catches it."""


def rerun_dag(**arguments: Any) -> DAG:
    """Return a DAG that reruns the order, with two retries unless told otherwise."""
    with DAG("rerunning", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001 - Airflow adds the zone
        OllangRerunOperator(task_id="rerun", **{"order_id": ORDER, "retries": 2, "retry_delay": 0, **arguments})
    return dag


def posts(ollang: Sandbox) -> int:
    return len(ollang.requests("POST"))


def gets(ollang: Sandbox) -> int:
    return len(ollang.requests("GET"))


def accepted_reruns(ollang: Sandbox, order_id: str = ORDER) -> int:
    return int(ollang.order(order_id)["reruns_accepted"])


def first_output(receipt: Any) -> str:
    """Return the name of the first output, which has the number of the run that made it; the first rerun is run 2."""
    return str(receipt["result"]["outputs"][0]["name"])


# --- What dies, and when ----------------------------------------------------------------------------------------


def kill_while_sending(monkeypatch: pytest.MonkeyPatch, *, processed: bool, times: int = 1) -> None:
    """End the process at a paid request: before it leaves, or once it has been answered."""
    send, left = OllangClient.send, [None] * times

    def dying(self: OllangClient, call: Any, **options: Any) -> Any:
        if not call.paid or not left:
            return send(self, call, **options)
        left.pop()
        if processed:
            send(self, call, **options)
        raise ProcessKilled

    monkeypatch.setattr(OllangClient, "send", dying)


def at_store(
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    act: Callable[[], None],
    *,
    state: str | None = None,
    written: bool = False,
    times: int = 1,
) -> None:
    """
    Do something, such as raise, when the store is used.

    :param method: ``get``, ``set`` or ``delete``.
    :param act: what is done.
    :param state: only when this state is written.
    :param written: do it when the store has done its part, rather than in its place.
    :param times: how often.
    """
    original, left = getattr(TaskStateStoreAccessor, method), [None] * times

    def acting(self: Any, key: str, *arguments: Any, **options: Any) -> Any:
        meant = state is None or arguments[0]["state"] == state
        if not meant or not left:
            return original(self, key, *arguments, **options)
        left.pop()
        if written:
            original(self, key, *arguments, **options)
        return act()

    monkeypatch.setattr(TaskStateStoreAccessor, method, acting)


def on_kill_of(monkeypatch: pytest.MonkeyPatch, operator: type[BaseOperator]) -> Callable[[], None]:
    """Return what calls ``on_kill`` of the task of this kind that runs, as Airflow does on SIGTERM."""
    running: list[BaseOperator] = []
    execute = operator.execute

    def noted(self: BaseOperator, context: Any) -> Any:
        running.append(self)
        return execute(self, context)

    # Airflow looks at the function it calls.
    noted.__name__ = "execute"
    monkeypatch.setattr(operator, "execute", noted)
    return lambda: running[-1].on_kill()  # noqa: PLW0108 - it runs only later


def during_sleep(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None], *, after: float = 0.0) -> None:
    """Do something once, in the first pause that begins so many seconds after the first one."""
    sleep, begun = _clock.sleep, _clock.now()
    done: list[None] = []

    def acting(seconds: float) -> None:
        if not done and _clock.now() - begun >= after:
            done.append(None)
            act()
        sleep(seconds)

    monkeypatch.setattr(_clock, "sleep", acting)


class TriggererGone(BaseException):
    """Ends ``dag.test()`` where a task has just been deferred."""


@contextmanager
def no_triggerer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave a task that is deferred at that."""

    def vanish(*_: Any) -> None:
        raise TriggererGone

    with monkeypatch.context() as patch:
        patch.setattr(sdk_dag, "_run_inline_trigger", vanish)
        yield


def die() -> None:
    raise ProcessKilled


def fail() -> None:
    raise ConnectionError("the API server hiccups")


# --- What is on record ------------------------------------------------------------------------------------------


def record(map_index: int = -1, *, key: str = OllangRerunOperator.record_key) -> Any:
    """
    Return what the store holds for the newest run, by a session of its own: the task may be running.

    Nothing where there is no store.
    """
    if TaskStateStoreAccessor is None:
        return None
    with _store(map_index) as (store, task_instance_id):
        # What is not there comes as an error, which has no value.
        return getattr(store.get(task_instance_id, key), "value", None)


def is_refused(found: Any) -> bool:
    """Tell whether this is on record where nothing was sent, or Ollang refused what was: nothing without a store."""
    return found is None if TaskStateStoreAccessor is None else found["state"] == "refused"


def state_on_record(map_index: int = -1, *, key: str = OllangRerunOperator.record_key) -> str | None:
    found = record(map_index, key=key)
    return None if found is None else cast("str", found["state"])


def replace_record(value: Any) -> None:
    with _store() as (store, task_instance_id):
        store.set(task_instance_id, OllangRerunOperator.record_key, value, None)


def delete_record() -> None:
    with _store() as (store, task_instance_id):
        store.delete(task_instance_id, OllangRerunOperator.record_key)


def discard_state() -> None:
    """Discard all state of the newest run's only task, as Airflow 3.4 does when a task is cleared."""
    if TaskStateStoreAccessor is None:
        return
    with _store() as (store, task_instance_id):
        store.clear(task_instance_id)


@contextmanager
def _store(map_index: int = -1) -> Iterator[tuple[Any, Any]]:
    """
    Give the store as Airflow's API hands it to a task, and the id of the newest run's only task that has one.

    The columns of Airflow's own table differ from version to version.
    """
    with Session(settings.engine) as session:
        newest = select(DagRun.id).order_by(DagRun.id.desc()).limit(1).scalar_subquery()
        mine = select(TaskInstance.id).join(TaskInstance.dag_run).where(DagRun.id == newest)
        [task_instance_id] = session.scalars(mine.where(TaskInstance.map_index == map_index)).all()
    transport = supervisor.in_process_api_server().transport
    with Client(base_url=None, dry_run=True, token="", transport=transport) as client:
        client.base_url = "http://in-process.invalid./"
        yield client.task_state_store, task_instance_id
