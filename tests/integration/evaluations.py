"""Evaluating tasks, and what they end in."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG

from airflow_provider_ollang.operators.quality import OllangEvaluateOrderOperator

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox


ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"


START = datetime(2026, 1, 1)  # noqa: DTZ001 - Airflow adds the zone


OLD = {"id": "eval_abc123def456", "created_at": "2024-01-17T09:00:00Z"}


SECOND_TRY = ({"evaluate": "success"}, {"evaluate": 2})


#: An evaluation that shows only once it is finished, and that late; that never shows.
KEPT = {"qc_meanwhile": "kept"}


NO_TRACE = {"qc_meanwhile": "kept", "qc_seconds": None}


TRACES: dict[str, dict[str, Any]] = {
    "loading": {},
    "loading under another id": {"qc_id": "other"},
    "loading for ever": {"qc_seconds": None},
    "kept": KEPT,
    "kept, another id": {**KEPT, "qc_id": "other"},
    "cleared": {"qc_meanwhile": "cleared"},
    "at once": {"qc_seconds": 0},
    "the other shape": {"evaluation_shape": "callback", "evaluation_field": "qcEvaluation"},
}


def evaluate_dag(**arguments: Any) -> DAG:
    with DAG("judging", schedule=None, start_date=START) as dag:
        OllangEvaluateOrderOperator(
            task_id="evaluate", **{"order_id": ORDER, "retries": 2, "retry_delay": 0, **arguments}
        )
    return dag


def accepted_evaluations(ollang: Sandbox) -> int:
    return int(ollang.order(ORDER)["evaluations_accepted"])


def shown(ollang: Sandbox, number: int = -1) -> str:
    """Return the id under which the order shows one of its evaluations."""
    return str(ollang.order(ORDER)["evaluations"][number]["shown_id"])
