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
]
