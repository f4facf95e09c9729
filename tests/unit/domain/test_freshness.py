"""What proves that a finished order shows the result of its rerun: events, running, and what only looks like it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_ollang.domain.freshness import Rerun
from tests.unit.builders import (
    AFTER,
    BEFORE,
    LONG_BEFORE,
    REQUESTED,
    document,
    event,
    new_document,
    new_result,
    order,
    rerun_of,
)

OLD_EVENTS = order()["deliveryEvents"]
#: Later than the baseline, and older than the request: a lagging replica hid it, or the clocks differ.
MISSED = "2024-02-20T09:00:00Z"
NO_LISTS: list[Any] = [..., None, {}, "none"]
IN_ITS_SECOND = "2024-03-01T12:00:00Z"


def with_events(*events: object, **changes: Any) -> dict[str, Any]:
    """Return the order with more delivery events."""
    return order(**{"deliveryEvents": [*OLD_EVENTS, *events], **changes})


def evidence_of(rerun: Rerun, polled: dict[str, Any]) -> list[str]:
    """Return the evidence, and check that all that a rerun says about an order agrees."""
    evidence = rerun.evidence(polled)
    assert ("event" in evidence) is bool(rerun.new_events(polled))
    assert "documents" not in evidence or rerun.outputs_changed(polled)
    assert rerun.describe_comparison(polled)
    return evidence


def test_evidence_of_all_kinds_at_once() -> None:
    polled = new_result(deliveryEvents=[*OLD_EVENTS, event()])
    assert evidence_of(rerun_of(order(), seen_running=True), polled) == ["event", "documents", "running"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"status": "delivered"},
        {"createdAt": AFTER, "updatedAt": AFTER},
        {"vttUrl": "https://storage.ollang.com/another.vtt?sign=2"},
        {"vttUrl": None},
        {"finance": {"paymentAmount": 301.5}, "rate": 0.2, "folderId": "another", "comments": [{"createdAt": AFTER}]},
        {"name": "Renamed"},
        {"latestEvaluation": {"id": "eval_new", "createdAt": AFTER}},
        {"level": 1},
        {"level": None},
        # The events may be gone, and listed again.
        *({"deliveryEvents": events} for events in [*NO_LISTS, [], [None, 5, []]]),
        {"deliveryEvents": [*OLD_EVENTS, *OLD_EVENTS]},
    ],
    ids=",".join,
)
def test_other_change_of_the_order_is_no_evidence(changes: dict[str, Any]) -> None:
    assert evidence_of(rerun_of(order()), order(**changes)) == []


# --- Events -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "level_before", "level_now", "counts"),
    [
        *(("order_delivered", level, level, True) for level in (0, 1, None)),
        # Steps of a review.
        *((kind, level, level, False) for kind in ("lsp_approved", "translator_delivered") for level in (0, 1, None)),
        ("ai_delivered", 0, 0, True),
        ("ai_delivered", 0.0, 0, True),
        # Drafts for a review, or what is left of a cancelled one.
        *(("ai_delivered", before, now, False) for before, now in ((1, 1), (2, 2), (1, 0), (0, 1), (None, 0))),
        *(("ai_delivered", before, now, False) for before, now in (("0", 0), (False, False), (..., 0))),
        # A review that was requested since may have been of the old result.
        ("order_delivered", 0, 1, False),
    ],
)
def test_event_counts_by_kind_and_level(kind: str, level_before: Any, level_now: Any, counts: bool) -> None:
    rerun = rerun_of(order(level=level_before))
    assert evidence_of(rerun, with_events(event(kind), level=level_now)) == ["event"] * counts


def test_review_of_what_the_ai_has_delivered_since_counts() -> None:
    polled = with_events(event("ai_delivered"), event("order_delivered"), level=1)
    assert evidence_of(rerun_of(order(level=0)), polled) == ["event"]


@pytest.mark.parametrize(
    "odd",
    [
        *(event(kind) for kind in ("assigned", "Order_Delivered", None, 5, ["order_delivered"])),
        *(event(at=at) for at in (None, "soon", 1709295000, [AFTER], BEFORE, LONG_BEFORE)),
        *(event(at=at) for at in ("2024-01-16T14:20:00", "2024-01-16T16:20:00+02:00")),
        *({}, None, "order_delivered", [event()]),
    ],
    ids=repr,
)
def test_odd_or_old_event_is_no_evidence(odd: object) -> None:
    assert evidence_of(rerun_of(order()), with_events(odd)) == []


def test_new_events_are_found_anywhere_in_the_list() -> None:
    first, second = event(at="2024-03-01T12:05:00Z"), event(at=AFTER)
    polled = order(deliveryEvents=[first, None, *OLD_EVENTS, second])
    assert rerun_of(order()).new_events(polled) == [first, second]


def test_event_a_millisecond_later_counts() -> None:
    rerun = rerun_of(order(deliveryEvents=[event(at="2024-03-01T12:00:01.000Z")]))
    assert evidence_of(rerun, order(deliveryEvents=[event(at="2024-03-01T12:00:01.001Z")])) == ["event"]


#: The table of :class:`Rerun`: whether it is later than the baseline's, dated after the request, the baseline
#: confirmed, and whether it counts; what the baseline listed, when the event occurred, when the request was made.
EVENTS: list[tuple[str, str, bool, bool, Any, str, str | None]] = [
    ("no", "no", False, False, OLD_EVENTS, BEFORE, REQUESTED),
    ("no", "no", True, False, OLD_EVENTS, BEFORE, REQUESTED),
    ("no", "unknown", True, False, OLD_EVENTS, BEFORE, None),
    ("yes", "yes", False, True, OLD_EVENTS, AFTER, REQUESTED),
    ("yes", "yes", True, True, OLD_EVENTS, AFTER, REQUESTED),
    ("yes", "unknown", False, True, OLD_EVENTS, MISSED, None),
    ("yes", "no", False, False, OLD_EVENTS, MISSED, REQUESTED),
    ("yes", "no", False, False, OLD_EVENTS, IN_ITS_SECOND, REQUESTED),
    ("yes", "no", True, True, OLD_EVENTS, MISSED, REQUESTED),
    ("yes, none listed", "yes", False, True, [], AFTER, REQUESTED),
    ("yes, none listed", "unknown", False, True, [], AFTER, None),
    ("yes, none listed", "no", False, False, [], MISSED, REQUESTED),
    ("yes, none listed", "no", True, True, [], MISSED, REQUESTED),
    *(("no list", "yes", False, True, before, AFTER, REQUESTED) for before in NO_LISTS),
    ("no list", "yes", False, True, None, "2024-03-01T12:00:00.100Z", REQUESTED),
    ("no list", "no", True, False, None, MISSED, REQUESTED),
    ("no list", "no", False, False, None, IN_ITS_SECOND, REQUESTED),
    ("no list", "unknown", True, False, None, AFTER, None),
    ("no list", "unknown", True, False, None, AFTER, "Fri, 01 Mar 2024"),
    ("undated list", "yes", False, True, [event(at=None), event(at="soon")], AFTER, REQUESTED),
    ("undated list", "no", True, False, [event(at=None)], MISSED, REQUESTED),
    ("undated list", "unknown", True, False, [event(at=None)], MISSED, None),
]


@pytest.mark.parametrize(("later", "dated_after", "confirmed", "counts", "before", "at", "requested_at"), EVENTS)
def test_event_counts_by_the_table(
    later: str, dated_after: str, before: Any, at: str, requested_at: str | None, confirmed: bool, counts: bool
) -> None:
    rerun = replace(rerun_of(order(deliveryEvents=before), requested_at=requested_at), baseline_confirmed=confirmed)
    listed = before if isinstance(before, list) else []
    polled = order(deliveryEvents=[*listed, event(at=at)])
    assert evidence_of(rerun, polled) == ["event"] * counts
    assert rerun.withholds(polled) is (later.startswith("yes") and dated_after == "no" and not confirmed)


# --- Running ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level_before", "level_now", "counts"),
    [
        *((before, now, True) for before, now in ((1, 1), (0, 0), (0, 1), (1, None), (1, ...), (1, "0"), (None, 0))),
        # Cancelling a review completes the order without a result.
        *((before, now, False) for before, now in ((1, 0), (2, 1), (1, 0.0))),
    ],
)
def test_observed_running_counts_unless_the_level_dropped(level_before: Any, level_now: Any, counts: bool) -> None:
    rerun = rerun_of(order(level=level_before), seen_running=True)
    assert evidence_of(rerun, order(level=level_now)) == ["running"] * counts


def test_dropped_level_leaves_other_evidence() -> None:
    rerun = rerun_of(order(level=1), seen_running=True)
    assert evidence_of(rerun, new_result(level=0, deliveryEvents=[event()])) == ["event", "documents"]


@pytest.mark.parametrize(
    ("level_before", "level_now", "shown"),
    [
        *((before, now, True) for before, now in ((0, 0), (1, 1), (0, 0.0), (None, 1), (0, None), (..., 1), (0, "1"))),
        *((before, now, False) for before, now in ((0, 1), (1, 0), (1, 2))),
    ],
)
def test_running_at_another_level_is_something_else(level_before: Any, level_now: Any, shown: bool) -> None:
    assert rerun_of(order(level=level_before)).shows_running(order("ongoing", level=level_now)) is shown


@pytest.mark.parametrize("status", ["completed", "delivered", "failed", "cancelled", "revision"])
def test_status_without_work_shows_no_running(status: str) -> None:
    assert not rerun_of(order()).shows_running(order(status))


# --- A poll that is older than the baseline -----------------------------------------------------------------------


@pytest.mark.parametrize("events", [[], [event("order_delivered", LONG_BEFORE)]], ids=["none", "earlier"])
def test_poll_without_the_newest_event_proves_nothing(events: Any) -> None:
    """A lagging replica shows the previous run, at work or done."""
    assert not rerun_of(order()).shows_running(order("ongoing", deliveryEvents=events))
    assert evidence_of(rerun_of(order(), seen_running=True), new_result(deliveryEvents=events)) == []


@pytest.mark.parametrize("events", [..., None], ids=["absent", "null"])
def test_poll_without_events_proves_no_running_and_may_have_documents(events: Any) -> None:
    rerun = rerun_of(order())
    assert rerun.shows_running(order("ongoing", deliveryEvents=events))
    assert not rerun.proves_running(order("ongoing", deliveryEvents=events))
    assert evidence_of(rerun, new_result(deliveryEvents=events)) == ["documents"]


@pytest.mark.parametrize("events", [OLD_EVENTS, [event("order_delivered", BEFORE)], [event()]])
def test_poll_with_the_newest_event_counts(events: Any) -> None:
    assert rerun_of(order()).proves_running(order("ongoing", deliveryEvents=events))
    assert "documents" in evidence_of(rerun_of(order()), new_result(deliveryEvents=events))


@pytest.mark.parametrize("events", [..., None, [], [event(at=None)]])
def test_baseline_without_dated_events_proves_no_age(events: Any) -> None:
    assert rerun_of(order(deliveryEvents=events)).shows_running(order("ongoing", deliveryEvents=[]))


# --- What is said of the comparison -------------------------------------------------------------------------------

TRANSLATION = document(id="doc_translation", type="translation")
UNCHANGED = ["'completed'", "2 delivery events", BEFORE, "'delivered'", "subtitle doc_old", "never observed running"]


@pytest.mark.parametrize(
    ("rerun", "polled", "parts"),
    [
        (rerun_of(order()), order("delivered"), UNCHANGED),
        (rerun_of({}), {}, ["no delivery events listed", "None"]),
        (rerun_of(order(level=1), seen_running=True), order(level=0), ["was observed running", "dropped from 1 to 0"]),
        (rerun_of(order(level=10**400)), order(level=0), ["level dropped"]),
        (
            rerun_of(order(orderDocs=[document(), TRANSLATION])),
            order(orderDocs=[new_document()]),
            ["no longer there: translation"],
        ),
    ],
    ids=["unchanged", "unknown", "level", "absurd level", "missing type"],
)
def test_comparison_says_what_was_compared(rerun: Rerun, polled: dict[str, Any], parts: list[str]) -> None:
    text = rerun.describe_comparison(polled)
    for part in parts:
        assert part in text
    assert "http" not in text


@pytest.mark.parametrize(("count", "left_out"), [(5, None), (6, "and 1 more"), (200, "and 195 more")])
def test_comparison_names_five_documents_at_most(count: int, left_out: str | None) -> None:
    documents = [document(id=f"doc_{number}") for number in range(count)]
    text = rerun_of(order(orderDocs=documents)).describe_comparison(order(orderDocs=documents))
    assert "doc_4" in text
    assert "doc_5" not in text
    assert (left_out or "doc_4") in text
    assert ("more" in text) is bool(left_out)
    assert len(text) < 800
