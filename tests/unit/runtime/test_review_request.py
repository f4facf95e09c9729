"""The request for a human review: when it makes sense, and what the order shows of it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_ollang.client.responses import Accepted
from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.exceptions import OllangOrderNotEligibleError
from airflow_provider_ollang.runtime.review_request import ReviewRequest
from tests.unit.builders import LONG_BEFORE, ORDER_ID, event, new_result, order
from tests.unit.runtime.test_order_requests import HIDDEN, LOG, SUBMITTED_AT, client
from tests.unit.runtime.test_order_requests import SUBMITTED as RERUN

REVIEW = ReviewRequest(ORDER_ID, stale_timeout=3600, log=LOG)
SUBMITTED = dataclasses.replace(RERUN, kind="review")


@pytest.mark.parametrize(
    ("status", "level", "fail", "attach", "reconnect"),
    [
        # Whether it reconnects; None: the order is not eligible.
        ("completed", 0, False, False, False),
        ("delivered", 1, False, False, False),
        ("ongoing", 1, None, True, True),
        ("review", 1, None, None, True),
        # What runs is no review.
        ("ongoing", 0, None, None, None),
        ("review", 0, None, None, None),
        ("ongoing", None, None, None, True),
        ("revision", 1, None, None, None),
        ("failed", 1, None, None, None),
    ],
)
def test_review_is_prechecked_by_status_and_level(
    status: str, level: Any, fail: Any, attach: Any, reconnect: Any
) -> None:
    polled, choices = order(status, level=level), {"fail": fail, "attach": attach, "reconnect": reconnect}
    for on_running, reconnects in choices.items():
        if reconnects is None:
            with pytest.raises(OllangOrderNotEligibleError, match=r"can be reviewed\. Nothing was sent\."):
                REVIEW.precheck(client(polled), on_running=on_running)  # type: ignore[arg-type]
            continue
        receipt = REVIEW.precheck(client(polled), on_running=on_running)  # type: ignore[arg-type]
        assert (receipt.reconnected, receipt.seen_running, receipt.kind) == (reconnects, reconnects, "review")
        assert receipt.baseline == Baseline.from_order(polled)


@pytest.mark.parametrize(
    ("status", "level", "advised"),
    [("ongoing", 1, True), ("ongoing", 0, False), ("ongoing", None, False), ("failed", 1, False)],
)
def test_only_a_running_review_is_to_be_attached_to(status: str, level: Any, advised: bool) -> None:
    with pytest.raises(OllangOrderNotEligibleError) as caught:
        REVIEW.precheck(client(order(status, level=level)), on_running="fail")
    assert ("on_running='attach'" in str(caught.value)) is advised


@pytest.mark.parametrize(
    ("polled", "is_shown", "is_likely"),
    [
        (order(), False, False),
        (order("ongoing", level=1), True, False),
        (order("revision", level=1), True, False),
        (order(level=1), True, False),
        (new_result(level=1), True, False),
        # A rerun's result, or a rerun at work; or the level is late.
        (new_result(), False, False),
        (order("ongoing"), False, True),
        (HIDDEN, False, True),
    ],
)
def test_effect_of_a_review_is_its_level_or_work(polled: Any, is_shown: bool, is_likely: bool) -> None:
    effect = REVIEW.find_effect(client(polled), SUBMITTED)
    assert ((effect.receipt is not None), effect.is_likely) == (is_shown, is_likely)


@pytest.mark.parametrize(
    ("polled", "age", "is_running"),
    [
        (order("ongoing", level=1), 1800, True),
        (order("ongoing"), 1800, False),
        (new_result(level=1), 1800, False),
        # At level 0 it is cancelled, once no replica can lag any more.
        (order(), 599, True),
        (order(), 600, False),
        (order(level=None), 1800, True),
        (order(level=None), 3600, False),
        # Only the level, so that the status may be the old one still.
        (order(level=1), 1800, True),
        (order(level=1), 3600, False),
        (order("ongoing", level=1, deliveryEvents=[event(at=LONG_BEFORE)]), 1800, True),
    ],
)
def test_review_runs_unless_done_or_unseen_for_too_long(polled: Any, age: float, is_running: bool) -> None:
    found = REVIEW.find_running(client(polled, SUBMITTED_AT + timedelta(seconds=age)), SUBMITTED)
    assert (found is not None) is is_running


@pytest.mark.parametrize(
    ("value", "message", "said", "credits_used"),
    [({}, None, "accepted without a message", None), ({"creditsUsed": 7}, "Begun", "Begun", 7)],
)
def test_receipt_has_what_the_answer_tells(value: Any, message: Any, said: str, credits_used: Any) -> None:
    sent: list[Any] = []

    def submit(request: Any) -> Accepted:
        sent.append((request.method, request.path, request.paid))
        return Accepted(value, message, None)

    answering = client(order())
    answering.submit = submit
    receipt = REVIEW.send(answering, SUBMITTED)
    assert sent == [("POST", f"/integration/orders/{ORDER_ID}/human-review", True)]
    assert (receipt.message, receipt.credits_used) == (said, credits_used)
    assert receipt.requested_at == SUBMITTED.requested_at


def test_explanation_is_about_the_review() -> None:
    assert "clear this task to request the review again" in REVIEW.explain()
    assert "rerun" not in REVIEW.explain()
