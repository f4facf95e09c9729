"""Gates, and what they end in."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_ollang.operators.quality import (
    OllangQualityGateOperator,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import Run, RunDag


ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"


START = datetime(2026, 1, 1)  # noqa: DTZ001 - Airflow adds the zone


#: What is waited for, and what becomes of it, is the same in both; most tests need one.
in_both_modes = pytest.mark.parametrize("mode", ["sync", "deferrable"], indirect=True)


def gate_dag(**arguments: Any) -> DAG:
    with DAG("gating", schedule=None, start_date=START) as dag:
        OllangQualityGateOperator(
            task_id="gate",
            **{"order_id": ORDER, "min_scores": {"Accuracy": 90}, "retries": 2, "retry_delay": 0, **arguments},
        )
    return dag


def gate(run_dag: RunDag, **arguments: Any) -> Run:
    return run_dag(gate_dag(**arguments))


def evaluated(ollang: Sandbox, **changes: Any) -> None:
    """Change the order's evaluation, or its time, as Ollang would."""
    after = changes.pop("after", 0)
    ollang.change_order(ORDER, {"latestEvaluation": changes}, after=after)


def failed(run: Run, kind: type[BaseException], task_id: str = "gate") -> str:
    """Check that the task failed for good at its first try; return the error's words."""
    assert (run.states[task_id], run.tries[task_id]) == ("failed", 1)
    assert type(run.errors[task_id]) is kind
    assert run.results[task_id] is None
    return str(run.errors[task_id])
