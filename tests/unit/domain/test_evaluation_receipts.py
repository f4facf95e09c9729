"""Which evaluation a gate that is given both receipts waits for, whatever the clocks of requests and of orders say."""

from __future__ import annotations

import dataclasses

import pytest

from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.receipts import EvaluationReceipt, Receipt, evaluation_goal
from airflow_provider_ollang.exceptions import OllangConfigurationError
from tests.unit.builders import AFTER, BEFORE, LONG_BEFORE, ORDER_ID, REQUESTED, evaluation, order

HOST = "https://api.example"
EVALUATED = Baseline.from_order(order(latestEvaluation=evaluation()))
NOT_EVALUATED = Baseline.from_order(order())
RERUN = Receipt(HOST, None, REQUESTED, False, ORDER_ID, seen_running=True, last_status="completed", baseline=EVALUATED)


def requested(at: str | None, name: str | None = "eval_2", *, attached: bool = False) -> EvaluationReceipt:
    return EvaluationReceipt(HOST, None, at, attached, ORDER_ID, name, None, before=None, attached=attached)


#: Whether it was attached to, its id, its time, the rerun's baseline, and whether it is of the rerun's result.
ROWS: dict[str, tuple[bool, str | None, str | None, Baseline, bool]] = {
    "requested after the rerun": (False, "eval_2", AFTER, EVALUATED, True),
    "requested in its second": (False, "eval_2", "2024-03-01T11:59:59+00:00", EVALUATED, True),
    "requested before it": (False, "eval_2", "2024-03-01T11:59:58+00:00", EVALUATED, False),
    "requested before it, none was there": (False, "eval_2", BEFORE, NOT_EVALUATED, False),
    "requested after it, one id for all": (False, "eval_1", AFTER, EVALUATED, True),
    "attached, later": (True, "eval_2", AFTER, EVALUATED, True),
    "attached, later, the order's clock is behind": (True, "eval_2", "2024-01-16T14:20:01Z", EVALUATED, True),
    "attached, none was there": (True, "eval_2", LONG_BEFORE, NOT_EVALUATED, True),
    "attached, the one that was there": (True, "eval_1", BEFORE, EVALUATED, False),
    "attached, an older one": (True, "eval_0", LONG_BEFORE, EVALUATED, False),
    "attached, one id for all, later": (True, "eval_1", AFTER, EVALUATED, True),
    "attached, another id, no time": (True, "eval_2", None, EVALUATED, True),
    "attached, the same id, no time": (True, "eval_1", None, EVALUATED, False),
}


@pytest.mark.parametrize(("attached", "name", "at", "baseline", "counts"), ROWS.values(), ids=ROWS)
def test_goal_is_an_evaluation_of_the_reruns_result(
    name: str | None, at: str | None, baseline: Baseline, attached: bool, counts: bool
) -> None:
    # The clock of the requests tells nothing about the one attached to.
    for requested_at in (REQUESTED, *((LONG_BEFORE, AFTER) if attached else ())):
        rerun = dataclasses.replace(RERUN, baseline=baseline, requested_at=requested_at)
        receipt = requested(at, name, attached=attached)
        if counts:
            assert evaluation_goal(rerun, receipt, "fail") == receipt.goal
            continue
        with pytest.raises(OllangConfigurationError, match="before its rerun at 2024") as caught:
            evaluation_goal(rerun, receipt, "fail")
        assert caught.value.order_id == ORDER_ID


def test_goal_without_time_of_the_request_is_any_of_the_rerun() -> None:
    goal = evaluation_goal(RERUN, requested(None), "fail")
    assert (goal.evaluation_id, goal.since) == (None, REQUESTED)
