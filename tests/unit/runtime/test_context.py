"""Operators and the sensor, executed without Airflow: a clear error, and nothing is sent."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import BaseOperator

from airflow_provider_ollang.exceptions import OllangConfigurationError
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.operators.quality import OllangEvaluateOrderOperator, OllangQualityBranchOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from airflow_provider_ollang.transfers.ollang_to_object_storage import OllangToObjectStorageOperator

ARGUMENTS: dict[type[BaseOperator], dict[str, Any]] = {
    OllangRerunOperator: {},
    OllangEvaluateOrderOperator: {},
    OllangQualityBranchOperator: {
        "min_scores": {"Tone": 90},
        "follow_task_ids_if_passed": "a",
        "follow_task_ids_if_failed": "b",
    },
    OllangOrderStatusSensor: {"soft_fail": True},
    OllangToObjectStorageOperator: {"destination": "/tmp/never"},  # noqa: S108
}


@pytest.mark.parametrize("context", [{}, {"ti": None}, {"params": {}}], ids=["empty", "no task", "params alone"])
@pytest.mark.parametrize(("operator", "arguments"), ARGUMENTS.items(), ids=lambda one: getattr(one, "__name__", ""))
def test_execute_outside_airflow_says_how_to_test(
    monkeypatch: pytest.MonkeyPatch, operator: type[BaseOperator], arguments: dict[str, Any], context: Any
) -> None:
    # Nobody listens there: whatever would be sent is another error.
    monkeypatch.setenv("AIRFLOW_CONN_OLLANG_DEFAULT", '{"conn_type": "ollang", "host": "http://127.0.0.1:1"}')
    task = operator(task_id="task", order_id="60b8d6f1e1b9b1d8c6c0d8e1", **arguments)
    with pytest.raises(OllangConfigurationError, match=r"nothing was sent\. To test a task.*dag\.test\(\)"):
        task.execute(context)
