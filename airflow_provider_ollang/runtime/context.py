"""What the operators and the sensor need of the context in which Airflow runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_ollang.exceptions import OllangConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


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
