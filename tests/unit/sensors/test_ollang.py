"""What the sensor, and what waits likewise, refuses when the DAG is parsed, and what it makes fit."""

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


def waiting(kind: str, **arguments: Any) -> Any:
    common: dict[str, Any] = {"task_id": "wait", "order_id": ORDER, **arguments}
    if kind == "gate":
        return OllangQualityGateOperator(min_average=90, **common)
    return OllangRerunOperator(**common) if kind == "rerun" else OllangOrderStatusSensor(**common)


@pytest.mark.parametrize("name", ["target_statuses", "failure_statuses"])
def test_misspelt_status_is_refused_when_the_dag_is_parsed(name: str) -> None:
    with pytest.raises(OllangConfigurationError, match=rf"{name}.*'Completed'.*did you mean 'completed'"):
        waiting("sensor", **{name: ["Completed"]})


def test_statuses_of_another_task_are_read_when_it_runs() -> None:
    with DAG("statuses", schedule=None):
        output: Any = OllangGetOrderOperator(task_id="get", order_id=ORDER).output
        assert waiting("sensor", target_statuses=output).target_statuses is output
    assert waiting("sensor", target_statuses=["{{ params.Completed }}"]).target_statuses == ["{{ params.Completed }}"]


@pytest.mark.parametrize("kind", ["sensor", "rerun", "gate"])
def test_timeout_is_at_most_ten_years_and_no_nonsense(kind: str) -> None:
    assert waiting(kind, timeout=timedelta.max).timeout == LONGEST_TIMEOUT
    with pytest.raises(OllangConfigurationError, match="timeout"):
        waiting(kind, timeout=float("inf"))
