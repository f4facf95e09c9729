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
