"""What the tests of human reviews share: their DAG, what reviews do in the sandbox, and its counters."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG

from airflow_provider_ollang.operators.review import OllangHumanReviewOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from tests.integration.submissions import ORDER

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox

RECORD = OllangHumanReviewOperator.record_key
START = datetime(2026, 1, 1)  # noqa: DTZ001 - Airflow adds the zone
#: People's work of ten minutes, the wait for it, and its outcomes besides new documents.
WORK: dict[str, Any] = {"run_seconds": 600}
APPROVED: dict[str, Any] = {**WORK, "outputs": "unchanged"}
CANCELLED: dict[str, Any] = {**WORK, "review_cancelled_after": 300}
WAITING: dict[str, Any] = {"wait_for_completion": True, "timeout": 6 * 3600}
#: Who waits for the review's result, and where.
WAITS: dict[str, dict[str, Any] | None] = {"worker": {}, "deferrable": {"deferrable": True}, "sensor": None}


def review_dag(**arguments: Any) -> DAG:
    """Return a DAG that has the order reviewed, with two retries unless told otherwise."""
    with DAG("reviewing", schedule=None, start_date=START) as dag:
        OllangHumanReviewOperator(task_id="review", **{"order_id": ORDER, "retries": 2, "retry_delay": 0, **arguments})
    return dag


def waiting_dag(wait: str, **arguments: Any) -> DAG:
    """Return a DAG that has the order reviewed and waits for it: the operator itself, or the sensor."""
    given = WAITS[wait]
    if given is not None:
        return review_dag(**WAITING, **given, **arguments)
    with DAG("reviewing", schedule=None, start_date=START) as dag:
        review = OllangHumanReviewOperator(task_id="review", order_id=ORDER)
        OllangOrderStatusSensor(
            task_id="wait",
            rerun=review.output,
            deferrable=True,
            timeout=6 * 3600,
            retries=2,
            retry_delay=0,
            **arguments,
        )
    return dag


def requests(ollang: Sandbox) -> tuple[int, int]:
    """Return how many reviews were requested, and how many the sandbox has accepted."""
    return len(ollang.requests("POST", "*/human-review")), int(ollang.order(ORDER)["reviews_accepted"])
