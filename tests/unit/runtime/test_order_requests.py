"""The paid requests about an order: when they make sense, and what the order shows of them."""

from __future__ import annotations

import dataclasses
import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.receipts import Receipt
from airflow_provider_ollang.exceptions import OllangOrderNotEligibleError
from airflow_provider_ollang.runtime.order_requests import EvaluationRequest, RerunRequest
from tests.unit.builders import AFTER, BEFORE, LONG_BEFORE, ORDER_ID, REQUESTED, evaluation, event, new_result, order

HOST = "https://ollang.example"
LOG = logging.getLogger("test")
SUBMITTED_AT, POLLED_AT = (datetime(2024, 3, 1, 12, minute, tzinfo=UTC) for minute in (0, 30))
RERUN = RerunRequest(ORDER_ID, stale_timeout=3600, log=LOG)
SUBMITTED = Receipt(
    HOST,
    None,
    REQUESTED,
    False,
    ORDER_ID,
    seen_running=False,
    last_status="completed",
    baseline=Baseline.from_order(order()),
)


def client(polled: Any, at: datetime | None = POLLED_AT) -> Any:
    """Return a client whose polls show this order."""
    return SimpleNamespace(
        settings=SimpleNamespace(base_url=HOST),
        get_order=lambda *_, **__: polled,
        get_dated_order=lambda *_: (polled, at),
    )


def evaluation_request(rerun: Receipt | None = None) -> EvaluationRequest:
    return EvaluationRequest(ORDER_ID, None, None, rerun=rerun, reconcile_timeout=300, log=LOG)


# --- Reruns -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "fail", "attach", "reconnect"),
    [
        # Whether it reconnects; None: the order is not eligible.
        ("completed", False, False, False),
        ("ongoing", None, True, True),
        ("review", None, None, True),
        ("revision", None, None, None),
        ("failed", None, None, None),
    ],
)
def test_rerun_is_prechecked_by_status(status: str, fail: Any, attach: Any, reconnect: Any) -> None:
    choices: Any = {"fail": fail, "attach": attach, "reconnect": reconnect}
    for on_running, reconnects in choices.items():
        if reconnects is None:
            with pytest.raises(OllangOrderNotEligibleError, match=r"Nothing was sent\."):
                RERUN.precheck(client(order(status)), on_running=on_running)
            continue
        receipt = RERUN.precheck(client(order(status)), on_running=on_running)
        assert (receipt.reconnected, receipt.seen_running, receipt.last_status) == (reconnects, reconnects, status)
        assert (receipt.baseline, receipt.host) == (Baseline.from_order(order(status)), HOST)
        assert receipt.requested_at == POLLED_AT.isoformat()


HIDDEN = order(deliveryEvents=[*order()["deliveryEvents"], event(at="2024-03-01T11:59:00Z")])


@pytest.mark.parametrize(
    ("polled", "is_shown", "is_likely"),
    [
        (order(), False, False),
        (order("ongoing"), True, False),
        (new_result(), True, False),
        # Dated before the request: only clocks that differ make it this one's.
        (HIDDEN, False, True),
    ],
)
def test_effect_of_a_rerun_is_running_or_evidence(polled: Any, is_shown: bool, is_likely: bool) -> None:
    effect = RERUN.find_effect(client(polled), SUBMITTED)
    assert ((effect.receipt is not None), effect.is_likely) == (is_shown, is_likely)
    if effect.receipt is not None:
        assert effect.receipt.seen_running is (polled["status"] == "ongoing")


@pytest.mark.parametrize(
    ("polled", "age", "changes", "is_running"),
    [
        (order("ongoing"), 1800, {}, True),
        (order("revision"), 1800, {}, False),
        (new_result(), 1800, {}, False),
        (order(), 3599, {}, True),
        (order(), 3600, {}, False),
        (order(), None, {}, False),
        (order("ongoing"), 1800, {"result": {"order_id": ORDER_ID}}, False),
        # A lagging replica shows the previous run.
        (order("ongoing", deliveryEvents=[event(at=LONG_BEFORE)]), 1800, {}, True),
        (order("ongoing", deliveryEvents=[event(at=LONG_BEFORE)]), 3600, {}, False),
    ],
)
def test_rerun_runs_unless_done_or_unseen_for_too_long(
    polled: Any, age: float | None, changes: Any, is_running: bool
) -> None:
    at = None if age is None else SUBMITTED_AT + timedelta(seconds=age)
    found = RERUN.find_running(client(polled, at), dataclasses.replace(SUBMITTED, **changes))
    assert (found is not None) is is_running


# --- Evaluations --------------------------------------------------------------------------------------------------


def evaluated(**changes: Any) -> Any:
    return order(latestEvaluation=evaluation(**changes))


@pytest.mark.parametrize(
    ("polled", "is_running"),
    [
        (order(), False),
        (evaluated(), False),
        (evaluated(isLoading=True, createdAt=None), True),
        (evaluated(isLoading=True, createdAt="2024-03-01T11:30:00.001Z"), True),
        # One that never ends must not forbid another one.
        (evaluated(isLoading=True, createdAt="2024-03-01T11:30:00Z"), False),
        (evaluated(isLoading=True, createdAt=BEFORE), False),
    ],
)
def test_evaluation_attaches_to_a_running_one_of_an_hour_at_most(polled: Any, is_running: bool) -> None:
    receipt = evaluation_request().precheck(client(polled), on_running="attach")
    assert (receipt.attached, receipt.reconnected) == (is_running, is_running)
    assert (receipt.evaluation_id == "eval_1") is is_running
    if is_running:
        with pytest.raises(OllangOrderNotEligibleError, match="is being evaluated already"):
            evaluation_request().precheck(client(polled), on_running="fail")


@pytest.mark.parametrize(
    ("polled", "rerun"),
    [*((order(status), None) for status in ("ongoing", "qualityCheck", "failed", "pondering")), (order(), SUBMITTED)],
    ids=["ongoing", "qualityCheck", "failed", "unknown status", "old result"],
)
def test_evaluation_needs_a_done_order_with_the_new_result(polled: Any, rerun: Receipt | None) -> None:
    with pytest.raises(OllangOrderNotEligibleError, match=r"Nothing was sent\."):
        evaluation_request(rerun).precheck(client(polled), on_running="attach")
    evaluation_request(SUBMITTED).precheck(client(new_result()), on_running="attach")


@pytest.mark.parametrize(
    ("now", "is_shown", "is_likely"),
    [
        (evaluation(), False, False),
        (evaluation(id="eval_2", createdAt=AFTER), True, False),
        (evaluation(id="eval_2", createdAt="2024-03-01T11:59:00Z"), False, True),
    ],
)
def test_effect_of_an_evaluation_is_a_newer_one(now: Any, is_shown: bool, is_likely: bool) -> None:
    request = evaluation_request()
    receipt = request.precheck(client(evaluated(), SUBMITTED_AT), on_running="fail")
    effect = request.find_effect(client(order(latestEvaluation=now)), receipt)
    assert ((effect.receipt is not None), effect.is_likely) == (is_shown, is_likely)
    assert effect.receipt is None or effect.receipt.evaluation_id == "eval_2"


@pytest.mark.parametrize(
    ("now", "age", "is_running"),
    [
        (evaluation(), 299, True),
        (evaluation(), 300, False),
        (evaluation(id="eval_2", createdAt=AFTER, isLoading=True), 900, True),
        (evaluation(id="eval_2", createdAt=AFTER), 900, False),
    ],
)
def test_evaluation_runs_while_loading_or_not_shown_yet(now: Any, age: float, is_running: bool) -> None:
    request = evaluation_request()
    receipt = request.precheck(client(evaluated(), SUBMITTED_AT), on_running="fail")
    polled = client(order(latestEvaluation=now), SUBMITTED_AT + timedelta(seconds=age))
    assert (request.find_running(polled, receipt) is not None) is is_running
