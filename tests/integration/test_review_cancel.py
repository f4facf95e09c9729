"""Cancelling a human review in real task runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangOrderNotEligibleError
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators.cancel import OllangCancelHumanReviewOperator
from tests.integration.reviews import START, WORK
from tests.integration.submissions import ORDER

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import Run, RunDag


def cancel(run_dag: RunDag, **arguments: Any) -> Run:
    with DAG("cancelling", schedule=None, start_date=START) as dag:
        OllangCancelHumanReviewOperator(
            task_id="cancel", **{"order_id": ORDER, "retries": 1, "retry_delay": 0, **arguments}
        )
    return run_dag(dag)


def test_review_under_way_is_cancelled(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour=WORK)
    OllangHook().request_human_review(ORDER)
    ollang.advance(60)
    run = cancel(run_dag, order_id={"order_id": ORDER, "kind": "review"})
    assert run.results["cancel"] == {"order_id": ORDER, "cancelled": True, "status": "completed"}
    order = ollang.order(ORDER)
    assert (order["reviews_cancelled"], order["order"]["level"], order["order"]["status"]) == (1, 0, "completed")


@pytest.mark.parametrize("fault", [{"drop": "after"}, {"status": 502, "processed": True}, {"status": 503}])
def test_lost_answer_is_no_failure(ollang: Sandbox, run_dag: RunDag, fault: dict[str, Any]) -> None:
    ollang.change_order(ORDER, behaviour=WORK)
    OllangHook().request_human_review(ORDER)
    ollang.add_fault("POST", "*/cancel-human-review", **fault)
    run = cancel(run_dag)
    assert (run.tries["cancel"], run.results["cancel"]["cancelled"]) == (1, True)
    assert ollang.order(ORDER)["reviews_cancelled"] == 1


def test_order_without_a_review_needs_no_cancelling(ollang: Sandbox, run_dag: RunDag) -> None:
    assert cancel(run_dag).results["cancel"] == {"order_id": ORDER, "cancelled": True, "status": "completed"}


@pytest.mark.parametrize(("on_too_late", "state"), [("fail", "failed"), ("skip", "skipped"), ("ignore", "success")])
@pytest.mark.parametrize(("status", "level"), [("completed", 1), ("qualityCheck", 1), ("ongoing", 0)])
def test_review_that_cannot_be_cancelled(
    ollang: Sandbox, run_dag: RunDag, on_too_late: str, state: str, status: str, level: int
) -> None:
    ollang.change_order(ORDER, status=status, level=level)
    run = cancel(run_dag, on_too_late=on_too_late)
    assert (run.states, run.tries) == ({"cancel": state}, {"cancel": 1})
    if state == "success":
        assert run.results["cancel"] == {"order_id": ORDER, "cancelled": False, "status": status}
    if state == "failed":
        error = run.errors["cancel"]
        assert isinstance(error, OllangOrderNotEligibleError)
        assert f"Order {ORDER} is {status!r} at level {level}: its human review cannot be cancelled any more" in str(
            error
        )


def test_bad_argument_is_named_when_the_dag_is_parsed() -> None:
    with pytest.raises(OllangConfigurationError, match=r"^on_too_late must be 'fail' or 'skip'"):
        OllangCancelHumanReviewOperator(task_id="cancel", order_id=ORDER, on_too_late="retry")  # type: ignore[arg-type]
