"""What the operators and the sensor need of the context in which Airflow runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.exceptions import OllangConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import BaseOperator, Context


def require_task_instance(context: Mapping[str, object]) -> None:
    """
    Check that Airflow runs the task: what an earlier try has sent is known by its task instance only.

    :param context: what ``execute`` was called with.
    :raises OllangConfigurationError: a person called ``execute`` with less.
    """
    if not context or context.get("ti") is None:
        raise OllangConfigurationError(
            "execute() needs the context of a running task, and this one has no task instance ('ti'); nothing was "
            "sent. To test a task, put it into a DAG and call dag.test(), or run `airflow tasks test`."
        )


def push_early(task: BaseOperator, context: Context, value: Any) -> None:
    """
    Push a task's result before its end: if the task fails then, the tasks downstream can still go on with it.

    :param task: the task; one with ``do_xcom_push=False`` pushes nothing.
    :param context: its context.
    :param value: the result.
    """
    if not task.do_xcom_push:
        return
    try:
        context["ti"].xcom_push(key="return_value", value=value)
    except Exception as error:  # noqa: BLE001 - Airflow pushes the result of a task that succeeds at its end
        task.log.warning("The result could not be pushed early (%s).", type(error).__name__)


def look_up_task(task_instance: Any, xcom_key: str) -> tuple[str | None, Any]:
    """
    Ask Airflow for the state of a task instance, ``None`` if it has none or is deleted, and for an XCom of it.

    A trigger does so in another thread: in that of the event loop these calls need a greenback portal, and on Python
    3.11 ``asyncio.wait_for``, by which Airflow calls ``on_kill``, leaves it behind.
    """
    # Every parse of a DAG would import them.
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance  # noqa: PLC0415
    from airflow.sdk.execution_time.xcom import XCom  # noqa: PLC0415

    task_id, run_id, map_index = task_instance.task_id, task_instance.run_id, task_instance.map_index
    about: dict[str, Any] = {"dag_id": task_instance.dag_id, "map_index": map_index}
    states = RuntimeTaskInstance.get_task_states(**about, task_ids=[task_id], run_ids=[run_id]).get(run_id, {})
    state = states.get(task_id if map_index < 0 else f"{task_id}_{map_index}")
    return state, XCom.get_one(key=xcom_key, task_id=task_id, run_id=run_id, **about)
