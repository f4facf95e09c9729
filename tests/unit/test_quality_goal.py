"""Which evaluation a gate that is given both receipts waits for, whatever the clocks of requests and of orders say."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.receipts import EvaluationReceipt, Receipt, evaluation_goal
from airflow_provider_ollang.exceptions import OllangConfigurationError
from tests.unit.builders import AFTER, BEFORE, LONG_BEFORE, ORDER_ID, REQUESTED, evaluation, order

HOST = "https://api.example"
EVALUATED = Baseline.from_order(order(latestEvaluation=evaluation()))
NOT_EVALUATED = Baseline.from_order(order())
RERUN = Receipt(ORDER_ID, HOST, None, REQUESTED, False, seen_running=True, last_status="completed", baseline=EVALUATED)


def asked(at: str | None, name: str | None = "eval_2", *, attached: bool = False) -> EvaluationReceipt:
    return EvaluationReceipt(ORDER_ID, HOST, None, at, attached, name, None, before=None, attached=attached)


#: Whether it was attached to, its id, its time, and whether it is of the rerun's result.
ROWS: dict[str, tuple[bool, str | None, str | None, Baseline, bool]] = {
    "asked for after the rerun": (False, "eval_2", AFTER, EVALUATED, True),
    "asked for in its second": (False, "eval_2", "2024-03-01T11:59:59+00:00", EVALUATED, True),
    "asked for before it": (False, "eval_2", "2024-03-01T11:59:58+00:00", EVALUATED, False),
    "asked for before it, none was there": (False, "eval_2", BEFORE, NOT_EVALUATED, False),
    "asked for after it, one id for all": (False, "eval_1", AFTER, EVALUATED, True),
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
def test_is_of_the_reruns_result(
    name: str | None, at: str | None, baseline: Baseline, *, attached: bool, counts: bool
) -> None:
    rerun, receipt = dataclasses.replace(RERUN, baseline=baseline), asked(at, name, attached=attached)
    if counts:
        assert evaluation_goal(rerun, receipt, "fail") == receipt.goal
        return
    with pytest.raises(OllangConfigurationError, match="before its rerun at 2024-03-01T12:00:00") as caught:
        evaluation_goal(rerun, receipt, "fail")
    assert caught.value.order_id == ORDER_ID


@pytest.mark.parametrize("ahead", [LONG_BEFORE, AFTER])
def test_clock_of_the_requests_does_not_tell_the_one_attached_to(ahead: str) -> None:
    rerun: Any = dataclasses.replace(RERUN, requested_at=ahead)
    new, old = asked(REQUESTED, attached=True), asked(BEFORE, "eval_1", attached=True)
    assert evaluation_goal(rerun, new, "fail").evaluation_id == "eval_2"
    with pytest.raises(OllangConfigurationError):
        evaluation_goal(rerun, old, "fail")


def test_unknown_time_of_a_request_leaves_it_to_the_rerun() -> None:
    goal = evaluation_goal(RERUN, asked(None), "fail")
    assert (goal.evaluation_id, goal.since) == (None, REQUESTED)
