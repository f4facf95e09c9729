"""Runs DAGs by Airflow's own ``dag.test()``, in this process, against a sandbox over a real socket."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from airflow import settings
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.models import dagrun
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.sdk import DAG, Context
from airflow.sdk.execution_time import task_runner
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import event, select, update
from sqlalchemy.orm import Session

from airflow_provider_ollang import _clock
from airflow_provider_ollang._compat import AirflowRescheduleException
from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.sensors import ollang as sensors
from tests.installed_airflow import SerializedDAG
from tests.integration import execution_api
from tests.integration.submissions import TriggererGone, discard_state
from tests.integration.triggers import KEY


@dataclass(frozen=True)
class Run:
    """A finished run, as Airflow's database tells it."""

    state: str
    states: dict[str, str]
    tries: dict[str, int]
    errors: dict[str, BaseException]
    results: dict[str, Any]
    run_id: str


RunDag = Callable[..., Run]
ClearRun = Callable[..., Run]


@pytest.fixture(scope="session")
def airflow_db() -> None:
    # No test survives the machine, so that nothing need be on the disk for good.
    event.listen(settings.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    initdb()
    execution_api.make_cheap()
    with create_session():
        DagBundlesManager().sync_bundles_to_db()  # type: ignore[no-untyped-call]
    # Airflow itself need not be looked through at each garbage collection.
    gc.collect()
    gc.freeze()


@pytest.fixture
def ollang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox whose clock stands still but for the pauses of the tasks, in whichever mode, which move it."""
    with Sandbox(speed=0) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_OLLANG_DEFAULT", sandbox.connection_json)

        def sandbox_time() -> float:
            return sandbox.now.timestamp()

        async def asleep(seconds: float) -> None:
            sandbox.advance(seconds)

        def reschedule(at: datetime) -> AirflowRescheduleException:
            sandbox.advance(max((at - sandbox.now).total_seconds(), 0))
            return AirflowRescheduleException(datetime.now(UTC))  # type: ignore[no-untyped-call]

        monkeypatch.setattr(sensors, "AirflowRescheduleException", reschedule)
        monkeypatch.setattr(_clock, "asleep", asleep)
        monkeypatch.setattr(_clock, "sleep", sandbox.advance)
        monkeypatch.setattr(_clock, "now", sandbox_time)
        monkeypatch.setattr(_clock, "monotonic", sandbox_time)
        yield sandbox


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the jitter of the first poll."""
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox, and the real clock."""
    with Sandbox(api_key=KEY, speed=0) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_OLLANG_DEFAULT", sandbox.connection_json)
        yield sandbox


@pytest.fixture(params=["deferrable"])
def mode(request: pytest.FixtureRequest, at_once: None) -> dict[str, Any]:
    """Wait in the triggerer; ``in_both_modes`` of tests/integration/gates.py adds the worker."""
    return {"deferrable": request.param == "deferrable"}


@pytest.fixture
def run_dag(airflow_db: None, monkeypatch: pytest.MonkeyPatch) -> RunDag:
    """Run a DAG to its end, retries included, and read back what became of it."""

    def run(dag: DAG, **conf: Any) -> Run:
        return _play(monkeypatch, dag, conf=conf)

    return run


@pytest.fixture
def clear_run(run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> ClearRun:
    """
    Clear all tasks of a run as Airflow's API does, and run it to its end again.

    Airflow 3.3 keeps the tasks' state then, 3.4 discards it unless it is told to keep it. The DAG may have been edited
    since it ran.
    """

    def clear(dag: DAG, run: Run, *, keep_task_state: bool = True) -> Run:
        _store(dag)
        with create_session() as session:
            tasks = session.scalars(select(TaskInstance).where(TaskInstance.run_id == run.run_id)).all()
            # Airflow 3.1 counts the clear only where the run is queued again, as its API does; dag.test() starts it.
            clear_task_instances(list(tasks), session, dag_run_state=DagRunState.QUEUED)
            session.execute(
                update(DagRun)
                .where(DagRun.run_id == run.run_id)
                .values(state=DagRunState.RUNNING, start_date=datetime.now(UTC))
            )
        if not keep_task_state:
            discard_state()
        return _play(monkeypatch, dag, run_id=run.run_id)

    return clear


def _play(monkeypatch: pytest.MonkeyPatch, dag: DAG, *, run_id: str | None = None, conf: Any = None) -> Run:
    errors: dict[str, BaseException] = {}
    run_ids: list[str] = []
    create, end = dagrun.get_or_create_dagrun, task_runner.finalize

    def note(context: Context) -> None:
        errors[_name(context["ti"])] = cast("BaseException", context["exception"])

    def create_or_go_on(**arguments: Any) -> DagRun:
        # dag.test() itself only knows new runs.
        found = create(**arguments)
        run_ids.append(found.run_id)
        return found

    def go_on(*, session: Session, dag: SerializedDAG, **_: Any) -> DagRun:
        found = session.scalars(select(DagRun).where(DagRun.run_id == run_id)).one()
        found.dag = dag
        run_ids.append(found.run_id)
        return found

    def finalize(ti: Any, state: Any, context: Context, log: Any, error: Any = None) -> None:
        # A worker always tells the callbacks what failed; dag.test() does since Airflow 3.3.
        context["exception"] = error
        end(ti, state, context, log, error)

    for task in dag.tasks:
        task.on_failure_callback = task.on_retry_callback = [note]
    _store(dag)
    with monkeypatch.context() as patch:
        patch.setattr(task_runner, "finalize", finalize)
        patch.setattr(dagrun, "get_or_create_dagrun", go_on if run_id else create_or_go_on)
        try:
            dag.test(run_conf=conf)
        except TriggererGone:
            _leave_deferred(run_ids[0])
    with create_session() as session:
        finished = session.scalars(select(DagRun).where(DagRun.run_id == run_ids[0])).one()
        instances = finished.get_task_instances(session=session)
        return Run(
            state=str(finished.state),
            states={_name(ti): str(ti.state) for ti in instances},
            errors=errors,
            tries={_name(ti): ti.try_number for ti in instances},
            results={_name(ti): ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index) for ti in instances},
            run_id=finished.run_id,
        )


_STORED: dict[str, str] = {}


def _store(dag: DAG) -> None:
    """Store a DAG as the DAG processor does, unless it is as it was."""
    lazy = LazyDeserializedDAG.from_dag(dag)
    if _STORED.get(dag.dag_id) == lazy.hash:
        return
    _STORED[dag.dag_id] = lazy.hash
    with create_session() as session:
        SerializedDAG.bulk_write_to_db("dags-folder", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="dags-folder", session=session)


def _leave_deferred(run_id: str) -> None:
    """Put right what ``dag.test()`` does before it would have run the trigger."""
    with create_session() as session:
        session.rollback()
        session.execute(
            update(TaskInstance)
            .where(TaskInstance.run_id == run_id, TaskInstance.state == TaskInstanceState.QUEUED)
            .values(state=TaskInstanceState.DEFERRED)
        )


def _name(ti: Any) -> str:
    return str(ti.task_id) if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"
