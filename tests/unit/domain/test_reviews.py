"""What proves that a finished order shows the result of its human review: the level first, then all else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ollang.domain.freshness import summarize
from tests.unit.builders import (
    AFTER,
    BEFORE,
    LONG_BEFORE,
    ORDER_ID,
    document,
    event,
    new_document,
    new_result,
    order,
    review_of,
    source_document,
)
from tests.unit.domain.test_freshness_properties import JsonObject, many, orders, requests, wild_orders

OLD_EVENTS = order()["deliveryEvents"]
STEPS = ("translator_delivered", "lsp_approved", "order_delivered")
#: Dated before the request, though later than all that the baseline has.
WITHHELD = "2024-02-20T09:00:00Z"


def with_event(kind: str, at: str = AFTER, **changes: Any) -> JsonObject:
    return order(**{"deliveryEvents": [*OLD_EVENTS, event(kind, at)], **changes})


#: The level before, whether it was observed running, what a poll shows, and the evidence.
TRUTH: list[tuple[Any, bool, JsonObject, list[str]]] = [
    # At level 0 nothing is evidence: cancelled, or not begun.
    *((before, seen, order(level=0), []) for before in (0, 1, None) for seen in (False, True)),
    *((before, True, new_result(level=0), []) for before in (0, 1, None)),
    *((before, True, with_event(kind, level=0), []) for before in (0, 1, None) for kind in STEPS),
    (0, True, order("delivered", level=0.0), []),
    (0, True, order(level=0.5), []),
    # From level 0 to 1.
    (0, False, order(level=1), ["level"]),
    (0.0, False, order("delivered", level=2), ["level"]),
    (0, True, order(level=1), ["level", "running"]),
    # At level 1 before, or unknown: the level says nothing.
    *((before, False, order(level=1), []) for before in (1, 2, None, "0", ...)),
    *((before, True, order(level=1), ["running"]) for before in (1, None)),
    # The level is not told now: it may have been cancelled, so that running says nothing.
    *((before, seen, order(level=level), []) for before in (0, 1) for seen in (False, True) for level in (None, "1")),
    (0, True, order(level=...), []),
    # A later step of the review.
    *((1, False, with_event(kind, level=1), ["step"]) for kind in STEPS[:2]),
    *((0, False, with_event(kind, level=...), ["step"]) for kind in STEPS[:2]),
    *((before, False, with_event("order_delivered", level=1), ["event"]) for before in (1, None)),
    (0, False, with_event("order_delivered", level=...), ["event"]),
    *((1, False, with_event(kind, level=1), []) for kind in ("ai_delivered", "assigned")),
    *((1, False, with_event("order_delivered", at, level=1), []) for at in (BEFORE, LONG_BEFORE, WITHHELD)),
    # Newer documents; none are drafts, whatever the AI has delivered.
    (1, False, new_result(level=1), ["documents"]),
    (0, False, new_result(level=None), ["documents"]),
    (1, False, new_result(level=1, deliveryEvents=[*OLD_EVENTS, event("ai_delivered")]), ["documents"]),
    (1, False, order(level=1, orderDocs=[document(updatedAt=LONG_BEFORE)]), []),
    # All at once.
    (0, True, new_result(level=1, deliveryEvents=[*OLD_EVENTS, event()]), ["level", "event", "documents", "running"]),
    # A lagging replica shows an earlier time.
    (0, True, order(level=1, deliveryEvents=[event(at=LONG_BEFORE)]), []),
]


@pytest.mark.parametrize(("before", "seen", "polled", "expected"), TRUTH, ids=range(len(TRUTH)))
def test_evidence_of_a_review(before: Any, seen: bool, polled: JsonObject, expected: list[str]) -> None:
    review = review_of(order(level=before), seen_running=seen)
    assert review.evidence(polled) == expected
    assert review.is_proof(expected) is bool(set(expected) - {"level", "step"})
    assert review.describe_comparison(polled).startswith("before the human review it was")


@pytest.mark.parametrize(
    ("status", "level", "runs"),
    [
        ("ongoing", 1, True),
        ("review", 1, True),
        ("ongoing", None, True),
        # Somebody's rerun, or the level is late.
        ("ongoing", 0, False),
        ("completed", 1, False),
        ("cancelled", 1, False),
        ("revision", 1, False),
    ],
)
@pytest.mark.parametrize("before", [0, 1, None])
def test_review_runs_unfinished_and_not_at_level_0(status: str, level: Any, runs: bool, before: Any) -> None:
    review = review_of(order(level=before))
    assert (review.shows_running(order(status, level=level)), review.proves_running(order(status, level=level))) == (
        runs,
        runs,
    )


def test_comparison_tells_both_levels() -> None:
    review = review_of(order(level=0), seen_running=True)
    assert review.describe_comparison(order(level=0)).endswith("observed running; its level was 0, and is 0")
    assert review.describe_comparison(order(level=...)).endswith("its level was 0, and is unknown")


# --- Its outputs ---------------------------------------------------------------------------------------------------

TRANSLATION = document(id="doc_translation", type="translation")
BOTH = order(orderDocs=[source_document(), document(), TRANSLATION])


@pytest.mark.parametrize(
    ("before", "docs", "level", "changed", "complete"),
    [
        (order(), [new_document()], 1, True, True),
        (order(), [document()], 1, False, False),
        (order(), [new_document()], 0, False, False),
        (BOTH, [new_document(), TRANSLATION], 1, False, False),
        (BOTH, [new_document(), new_document(id="doc_t", type="translation")], 1, True, True),
        (order(orderDocs=[document(id="a"), document(id="b")]), [new_document()], 1, True, False),
    ],
)
def test_outputs_of_a_review(before: JsonObject, docs: list[Any], level: int, changed: bool, complete: bool) -> None:
    review, polled = review_of(before), order(orderDocs=docs, level=level)
    assert (review.outputs_changed(polled), review.outputs_complete(polled)) == (changed, complete)
    summary = summarize(ORDER_ID, polled, rerun=review, evidence=[])
    assert summary["outputs_changed"] is changed
    if not changed:
        assert len(summary["outputs"]) == len(docs)


# --- Properties ----------------------------------------------------------------------------------------------------


@many
@given(before=orders(), now=orders(), seen_running=st.booleans(), requested_at=requests)
def test_no_order_at_level_0_is_a_reviews_result(
    before: JsonObject, now: JsonObject, *, seen_running: bool, requested_at: str | None
) -> None:
    review = review_of(before, seen_running=seen_running, requested_at=requested_at)
    cancelled = {**now, "status": "completed", "level": 0}
    assert review.evidence(cancelled) == []
    assert review.new_outputs(cancelled) == []
    assert not review.outputs_changed(cancelled)
    assert not review.shows_running(cancelled)


@many
@given(before=orders(), requested_at=requests, confirmed=st.booleans())
def test_old_result_at_its_old_level_is_no_evidence(
    before: JsonObject, requested_at: str | None, *, confirmed: bool
) -> None:
    review = replace(review_of(before, requested_at=requested_at), baseline_confirmed=confirmed)
    assert review.evidence(before) == []


@many
@given(before=orders(), requested_at=requests, seen_running=st.booleans())
def test_old_result_at_another_level_is_never_new(
    before: JsonObject, requested_at: str | None, *, seen_running: bool
) -> None:
    review = review_of(before, requested_at=requested_at, seen_running=seen_running)
    polled = {**before, "level": 1}
    assert set(review.evidence(polled)) <= {"level", "running"}
    assert review.new_outputs(polled) == []


@many
@given(before=st.one_of(orders(), wild_orders), now=st.one_of(orders(), wild_orders), requested_at=requests)
def test_any_order_is_read(before: JsonObject, now: JsonObject, requested_at: str | None) -> None:
    review = review_of(before, requested_at=requested_at, seen_running=True)
    evidence = review.evidence(now)
    assert set(evidence) <= {"level", "step", "event", "documents", "running"}
    assert isinstance(review.describe_comparison(now), str)
    assert isinstance(review.outputs_complete(now), bool)
