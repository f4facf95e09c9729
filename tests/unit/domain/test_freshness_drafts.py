"""What of a reviewed order is the rerun's result, and what a draft that is still under review."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import (
    AFTER,
    BEFORE,
    by_time,
    document,
    event,
    new_document,
    order,
    rerun_of,
    setup,
    wait_through,
)

OLD_EVENTS = order()["deliveryEvents"]
DRAFTED = "2024-03-01T12:04:00Z"
DRAFT = new_document(createdAt=DRAFTED, updatedAt=DRAFTED)
DRAFT_IN_PLACE = document(updatedAt=DRAFTED)
DRAFT_2 = new_document(id="doc_new_2", createdAt=DRAFTED, updatedAt=DRAFTED)
EARLY_DRAFT = new_document(createdAt="2024-03-01T12:03:59Z", updatedAt=None)
LATE = new_document(id="doc_late", createdAt="2024-03-01T12:05:00Z", updatedAt=None)
REVIEWED = new_document(id="doc_reviewed")
OTHER, OTHER_DRAFT = ({**each, "id": f"{each['id']}_other", "type": "translation"} for each in (document(), DRAFT))
AI_DELIVERED = event("ai_delivered", DRAFTED)
REVIEWING = (AI_DELIVERED, event("translator_delivered"))
APPROVED = (AI_DELIVERED, event())


def reviewed(*documents: Any, events: tuple[Any, ...] = (), status: str = "completed", level: Any = 1) -> Any:
    """Return an order at level 1."""
    documents = documents or (document(),)
    return order(status, level=level, orderDocs=list(documents), deliveryEvents=[*OLD_EVENTS, *events], vttUrl=None)


RERUN = rerun_of(reviewed())
BOTH, TWO = (document(), OTHER), (document(), document(id="doc_old_2"))
#: The table of drafts that :class:`Rerun` has: before, now, events, and which documents count.
ROWS: dict[str, tuple[tuple[Any, ...], tuple[Any, ...], Any, list[str]]] = {
    "under review": ((), (DRAFT,), REVIEWING, []),
    "under review, in place": ((), (DRAFT_IN_PLACE,), REVIEWING, []),
    "under review, dated before its event": ((), (EARLY_DRAFT,), REVIEWING, []),
    "under review, one is there": ((), (DRAFT, REVIEWED), REVIEWING, ["doc_reviewed"]),
    "approved": ((), (DRAFT,), APPROVED, ["doc_new"]),
    "approved, in place": ((), (DRAFT_IN_PLACE,), APPROVED, ["doc_old"]),
    "approved, an old one alongside": ((), (document(), DRAFT), APPROVED, ["doc_new"]),
    "approved, none before": ((None,), (DRAFT,), APPROVED, ["doc_new"]),
    "approved, none before, replaced": ((None,), (DRAFT, REVIEWED), APPROVED, ["doc_reviewed"]),
    "replaced": ((), (DRAFT, REVIEWED), APPROVED, ["doc_reviewed"]),
    "replaced by an earlier one": ((), (DRAFT, LATE), APPROVED, ["doc_late"]),
    "both approved": (BOTH, (DRAFT, OTHER_DRAFT), APPROVED, ["doc_new", "doc_new_other"]),
    "one of two types replaced": (BOTH, (REVIEWED, OTHER_DRAFT), APPROVED, ["doc_reviewed", "doc_new_other"]),
    "one of two of a type replaced": (TWO, (REVIEWED, DRAFT_2), APPROVED, ["doc_reviewed", "doc_new_2"]),
    "both of a type replaced": (TWO, (REVIEWED, new_document(), DRAFT_2), APPROVED, ["doc_reviewed", "doc_new"]),
    "never made": ((), (document(),), APPROVED, []),
}


@pytest.mark.parametrize(("before", "now", "events", "counts"), ROWS.values(), ids=ROWS)
def test_draft_counts_by_the_table(before: Any, now: Any, events: Any, counts: list[str]) -> None:
    rerun, polled = rerun_of(reviewed(*before)), reviewed(*now, events=events)
    new = rerun.new_outputs(polled)
    assert sorted(str(output.id) for output in new) == sorted(counts)
    assert rerun.evidence(polled) == ["event"] * (events is APPROVED) + ["documents"] * bool(counts)
    has_drafts = any(DRAFTED in (output.created_at, output.updated_at) for output in new)
    is_one_missing = len(counts) < len([each for each in before if each] or [None])
    assert rerun.outputs_complete(polled) is not (has_drafts or is_one_missing)


def test_event_no_later_than_the_draft_approves_nothing() -> None:
    polled = reviewed(DRAFT, events=(AI_DELIVERED, event(at=DRAFTED)))
    assert (RERUN.evidence(polled), RERUN.new_outputs(polled)) == (["event"], [])


def test_draft_changed_in_place_by_people_counts() -> None:
    polled = reviewed({**DRAFT, "updatedAt": AFTER}, events=(AI_DELIVERED,))
    assert RERUN.evidence(polled) == ["documents"]


@pytest.mark.parametrize(
    ("level_before", "level_now", "counts"),
    [
        *((level, level, True) for level in (0, None, "1", ...)),
        # The level is not said again.
        *((1, level, False) for level in (None, "1", ...)),
        # The review was cancelled.
        (1, 0, True),
    ],
)
def test_draft_is_the_result_without_human_review(level_before: Any, level_now: Any, counts: bool) -> None:
    polled = reviewed(DRAFT, events=(AI_DELIVERED,), level=level_now)
    assert ("documents" in rerun_of(order(level=level_before)).evidence(polled)) is counts


@pytest.mark.parametrize("events", [[event("ai_delivered", BEFORE)], [], None], ids=["earlier run", "none", "no list"])
@pytest.mark.parametrize("level", [1, None, ...])
def test_documents_before_ai_delivered_prove_nothing_alone(events: Any, level: object) -> None:
    before = order(level=1, deliveryEvents=events)
    rerun = rerun_of(before)
    assert rerun.evidence({**before, "level": level, "orderDocs": [DRAFT]}) == []
    # What the order was observed to do, or reports, proves its documents as well.
    observed = rerun_of(before, seen_running=True)
    assert observed.evidence({**before, "orderDocs": [DRAFT]}) == ["documents", "running"]
    delivered = {**before, "orderDocs": [DRAFT], "deliveryEvents": [*(events or []), event()]}
    assert rerun.evidence(delivered) == ["event", "documents"]


def test_drafts_of_another_users_later_rerun_do_not_count() -> None:
    again = event("ai_delivered", "2024-03-01T13:00:00Z")
    newer = new_document(createdAt=again["occurredAt"], updatedAt=again["occurredAt"])
    assert RERUN.new_outputs(reviewed(newer, events=(*APPROVED, again))) == []


def test_draft_of_a_review_that_was_requested_since_counts() -> None:
    assert rerun_of(order(level=0)).evidence(reviewed(DRAFT, events=APPROVED)) == ["event", "documents"]


@pytest.mark.parametrize(
    ("polls", "ended_at", "output"),
    [
        # No reviewed documents come: the drafts are taken.
        (
            {0: reviewed(DRAFT, status="review", events=REVIEWING), 600: reviewed(DRAFT, events=APPROVED)},
            720,
            "doc_new",
        ),
        ({0: reviewed(DRAFT, events=APPROVED), 60: reviewed(REVIEWED, events=APPROVED)}, 60, "doc_reviewed"),
    ],
    ids=["approved as they are", "replaced late"],
)
def test_wait_takes_drafts_only_after_outputs_timeout(polls: dict[int, Any], ended_at: int, output: str) -> None:
    outcome = wait_through(by_time(polls), setup(rerun=RERUN))
    assert outcome.polls[-1] == ended_at
    assert outcome.result is not None
    assert outcome.result["outputs_changed"] is True
    assert [each["id"] for each in outcome.result["outputs"]] == [output]
