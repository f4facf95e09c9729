"""``OllangCancelOrderOperator``: cancelled, cancelled before, and too late."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_ollang.exceptions import OllangOrderNotEligibleError, OllangOrderNotFoundError
from airflow_provider_ollang.operators.cancel import OllangCancelOrderOperator
from tests.integration.creations import body

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import Run, RunDag

DONE = "60b8d6f1e1b9b1d8c6c0d8e1"


def cancel(run_dag: RunDag, order_id: Any, **arguments: Any) -> Run:
    with DAG("cancelling", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001 - Airflow adds the zone
        OllangCancelOrderOperator(task_id="cancel", order_id=order_id, retries=2, retry_delay=0, **arguments)
    return run_dag(dag)


@pytest.fixture
def new_order(ollang: Sandbox) -> str:
    ollang.create_orders(body("fr"))
    return str(ollang.overview()["orders"][-1]["id"])


def status(ollang: Sandbox, order_id: str) -> str:
    return str(ollang.order(order_id)["order"]["status"])


@pytest.mark.parametrize("as_entry", [False, True])
def test_new_order_is_cancelled(ollang: Sandbox, run_dag: RunDag, new_order: str, as_entry: bool) -> None:
    run = cancel(run_dag, {"order_id": new_order, "target_language": "fr"} if as_entry else new_order)
    assert run.results["cancel"] == {"order_id": new_order, "cancelled": True, "status": "cancelled"}
    assert status(ollang, new_order) == "cancelled"


@pytest.mark.parametrize("answer", [204, 409])
def test_order_cancelled_before_counts_as_cancelled(
    ollang: Sandbox, run_dag: RunDag, new_order: str, answer: int
) -> None:
    ollang.change_order(new_order, behaviour={"repeated_cancel": answer})
    ollang.cancel_order(new_order)
    run = cancel(run_dag, new_order)
    assert run.results["cancel"] == {"order_id": new_order, "cancelled": True, "status": "cancelled"}
    assert run.tries == {"cancel": 1}


def test_lost_response_is_repeated(ollang: Sandbox, run_dag: RunDag, new_order: str) -> None:
    ollang.add_fault("POST", drop="after")
    run = cancel(run_dag, new_order)
    assert (run.results["cancel"]["cancelled"], run.tries) == (True, {"cancel": 1})
    assert ollang.order(new_order)["cancels_accepted"] == 1


@pytest.mark.parametrize(
    "answer",
    [{"error": "Bad Request", "message": "Order is not eligible", "code": "X"}, {"code": -1, "error": "UnknownError"}],
)
def test_refusal_of_a_cancelled_order_counts_as_cancelled(
    ollang: Sandbox, run_dag: RunDag, new_order: str, answer: dict[str, Any]
) -> None:
    ollang.cancel_order(new_order)
    ollang.add_fault("POST", status=400, body=answer)
    assert cancel(run_dag, new_order).results["cancel"]["cancelled"] is True


def test_order_that_is_done_fails_the_task(ollang: Sandbox, run_dag: RunDag) -> None:
    run = cancel(run_dag, DONE)
    error = run.errors["cancel"]
    assert isinstance(error, OllangOrderNotEligibleError)
    assert f"Order {DONE} is 'completed' at level 0: the order cannot be cancelled any more" in str(error)
    assert (error.order_id, error.status_code, run.tries) == (DONE, 400, {"cancel": 1})
    assert status(ollang, DONE) == "completed"


@pytest.mark.parametrize(
    ("choice", "state", "result"),
    [
        ("skip", "skipped", None),
        ("ignore", "success", {"order_id": DONE, "cancelled": False, "status": "completed"}),
    ],
)
def test_too_late_may_be_skipped_or_ignored(
    ollang: Sandbox, run_dag: RunDag, choice: str, state: str, result: Any
) -> None:
    run = cancel(run_dag, DONE, on_too_late=choice)
    assert (run.states, run.results["cancel"]) == ({"cancel": state}, result)


def test_other_errors_stay_what_they_are(ollang: Sandbox, run_dag: RunDag) -> None:
    run = cancel(run_dag, "000000000000000000000000", on_too_late="ignore")
    assert isinstance(run.errors["cancel"], OllangOrderNotFoundError)
