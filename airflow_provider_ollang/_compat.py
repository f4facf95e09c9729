"""The names that moved between the supported Airflow versions, found by looking rather than by version."""

from __future__ import annotations

try:
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferralError,
        TaskDeferralTimeout,
    )
except ImportError:  # Airflow 3.1 keeps them in core
    from airflow.exceptions import (  # type: ignore[no-redef,attr-defined,unused-ignore]
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferralError,
        TaskDeferralTimeout,
    )

try:
    from airflow.sdk import conf
except ImportError:  # so does it with the configuration
    from airflow.configuration import conf  # type: ignore[assignment,no-redef,attr-defined,unused-ignore]

try:
    from airflow.sdk.bases.branch import BranchMixIn
except ImportError:
    from airflow.providers.standard.operators.branch import BranchMixIn  # type: ignore[assignment,no-redef,unused-ignore]


def only_synchronous_lookups() -> bool:
    """
    Tell whether this process can look up connections in a blocking way only.

    A triggerer can do without. ``dag.test()`` and ``airflow dags test`` run a trigger beside an in-process supervisor
    (https://github.com/apache/airflow/pull/55236) that has no ``asend``, as seen up to Airflow 3.3.2, so that
    ``aget_connection`` says of each connection that it does not exist.
    """
    from airflow.sdk.execution_time import task_runner  # noqa: PLC0415 - every parse of a DAG would import it

    supervisor = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return supervisor is not None and not hasattr(supervisor, "asend")


__all__ = [
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "BranchMixIn",
    "TaskDeferralError",
    "TaskDeferralTimeout",
    "conf",
    "only_synchronous_lookups",
]
