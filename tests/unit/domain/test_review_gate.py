"""What is logged of a review gate, and when a wait asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang.domain.review_gate import describe_review_gate
from airflow_provider_ollang.exceptions import OllangAccessDeniedError
from tests.unit.builders import ORDER_ID, SIGNATURE, START, order, setup

ENTERED = "2024-03-01T12:00:00Z"
GATE = {"inReview": True, "tag": "Subtitles", "reviewType": "assignment", "enteredReviewAt": ENTERED}


def line_of(answer: Any) -> tuple[str, str]:
    line = describe_review_gate(ORDER_ID, answer)
    return line.level, line.message % line.args


def test_gate_is_told_with_its_reviewers() -> None:
    assert line_of({**GATE, "reviewers": ["Ada", "Bo"]}) == (
        "info",
        f"Order {ORDER_ID}: its review: tag: Subtitles; type: assignment; since: {ENTERED}; reviewers: Ada, Bo.",
    )


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({**GATE, "reviewers": None}, f"tag: Subtitles; type: assignment; since: {ENTERED}"),
        ({"tag": "Subtitles"}, "tag: Subtitles"),
        ({"inReview": None, "reviewers": ["Ada", 5, None, {}]}, "reviewers: Ada, 5"),
        ({"reviewers": [f"r{number}" for number in range(7)]}, "reviewers: r0, r1, r2, r3, r4 and 2 more"),
    ],
)
def test_what_is_missing_is_left_out(answer: Any, told: str) -> None:
    assert line_of(answer) == ("info", f"Order {ORDER_ID}: its review: {told}.")


@pytest.mark.parametrize("answer", [{}, {"inReview": True}, {**GATE, "inReview": False}, {"tag": []}])
def test_answer_that_tells_nothing_is_a_line_for_debugging(answer: Any) -> None:
    assert line_of(answer)[0] == "debug"


def test_error_is_a_line_for_debugging() -> None:
    level, text = line_of(OllangAccessDeniedError("Could not get it: 403."))
    assert (level, "403" in text) == ("debug", True)


def test_foreign_text_is_cut_off_and_readable() -> None:
    answer = {"tag": f"https://storage.ollang.com/a?{SIGNATURE}\nFATAL", "reviewers": ["x" * 10_000] * 100}
    _, text = line_of(answer)
    assert len(text) < 700
    assert "\n" not in text
    assert SIGNATURE not in text


# --- When -------------------------------------------------------------------------------------------------------------

DAY = 86400.0


def test_wait_asks_once_with_each_warning() -> None:
    poller = setup(timeout=7 * DAY).poller()
    asked = [
        at for at in range(0, int(3 * DAY), 3600) if poller.on_order(order("review"), START + at).asks_about_review
    ]
    assert asked == [0, DAY, 2 * DAY]


@pytest.mark.parametrize("status", ["waitingForApprove", "revision", "delayed", "ongoing", "completed", "failed"])
def test_wait_asks_about_no_other_status(status: str) -> None:
    assert not setup().poller().on_order(order(status), START).asks_about_review


def test_wait_that_ends_in_review_asks_nothing() -> None:
    poller = setup(target_statuses=frozenset({"review"})).poller()
    assert not poller.on_order(order("review"), START).asks_about_review
