"""What the sensor refuses when the DAG is parsed, and what it makes fit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_ollang.domain.arguments import LONGEST_TIMEOUT
from airflow_provider_ollang.exceptions import OllangConfigurationError
from airflow_provider_ollang.operators.ollang import OllangGetOrderOperator, OllangRerunOperator
from airflow_provider_ollang.operators.quality import OllangQualityGateOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
NEAR_MISSES = {
    "Completed": "completed",
    "COMPLETED": "completed",
    "complete": "completed",
    "deliverd": "delivered",
    "canceled": "cancelled",
    "quality_check": "qualityCheck",
    "waiting for CC": "waitingForCC",
}


def sensor(**arguments: Any) -> OllangOrderStatusSensor:
    return OllangOrderStatusSensor(task_id="wait", **{"order_id": ORDER, **arguments})


@pytest.mark.parametrize("name", ["target_statuses", "failure_statuses"])
@pytest.mark.parametrize(("status", "near"), NEAR_MISSES.items())
def test_misspelt_status_is_refused_when_the_dag_is_parsed(name: str, status: str, near: str) -> None:
    for value in ([status], f"review, {status}", {status}):
        with pytest.raises(OllangConfigurationError, match=rf"{name}.*'{status}'.*did you mean '{near}'"):
            sensor(**{name: value})


@pytest.mark.parametrize(
    "value", [["published"], "inReview", ["reviewed", "completed"], "{{ params.wanted }}", ["{{ params.Completed }}"]]
)
def test_unknown_status_and_template_are_let_through(value: Any) -> None:
    assert sensor(target_statuses=value).target_statuses == value


def test_statuses_of_another_task_are_read_only_when_it_runs() -> None:
    with DAG("statuses", schedule=None):
        other = OllangGetOrderOperator(task_id="get", order_id=ORDER)
        output: Any = other.output
        assert sensor(target_statuses=output).target_statuses is output


def endless(kind: str, timeout: Any) -> Any:
    common: dict[str, Any] = {"task_id": "wait", "order_id": ORDER, "timeout": timeout}
    if kind == "gate":
        return OllangQualityGateOperator(min_average=90, **common)
    return OllangRerunOperator(**common) if kind == "rerun" else OllangOrderStatusSensor(**common)


@pytest.mark.parametrize("kind", ["sensor", "rerun", "gate"])
@pytest.mark.parametrize("timeout", [10**12, timedelta.max], ids=str)
def test_timeout_beyond_any_date_is_ten_years(kind: str, timeout: Any) -> None:
    assert endless(kind, timeout).timeout == LONGEST_TIMEOUT == 3650 * 86400


@pytest.mark.parametrize("kind", ["sensor", "rerun", "gate"])
@pytest.mark.parametrize("timeout", [10**15, float("inf"), 10**400], ids=lambda one: repr(one)[:8])
def test_timeout_beyond_a_timedelta_is_refused(kind: str, timeout: Any) -> None:
    with pytest.raises(OllangConfigurationError, match="timeout"):
        endless(kind, timeout)
