"""What of a reviewed order is the rerun's result, and what a draft that people are still working on."""

from __future__ import annotations

from typing import Any, ClassVar

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
AI_DELIVERED = event("ai_delivered", DRAFTED)
DRAFTS = {
    "replaced": DRAFT,
    "in place": document(updatedAt=DRAFTED),
    "written before its event": new_document(createdAt="2024-03-01T12:03:59Z", updatedAt=None),
}
REVIEWED = new_document(id="doc_reviewed")
OTHER, OTHER_DRAFT, OTHER_REVIEWED = (
    {**one, "id": f"{one['id']}_other", "type": "translation"} for one in (document(), DRAFT, REVIEWED)
)


class TestDrafts:
    """At level 1 the AI's documents are what people then review."""

    @pytest.mark.parametrize("delivered", [[], [event(at=DRAFTED)]], ids=["not delivered", "no later than the draft"])
    @pytest.mark.parametrize("draft", DRAFTS.values(), ids=DRAFTS)
    def test_are_no_new_documents(self, draft: dict[str, Any], delivered: list[Any]) -> None:
        seen = order(level=1, orderDocs=[draft], deliveryEvents=[*OLD_EVENTS, AI_DELIVERED, *delivered])
        rerun = rerun_of(order(level=1))
        assert rerun.evidence(seen) == (["event"] if delivered else [])
        assert rerun.new_outputs(seen) == []

    @pytest.mark.parametrize(
        "reviewed", [new_document(id="doc_reviewed"), {**DRAFT, "updatedAt": AFTER}], ids=["replaced", "in place"]
    )
    def test_are_told_from_what_people_made_of_them(self, reviewed: dict[str, Any]) -> None:
        seen = order(level=1, orderDocs=[DRAFT, reviewed], deliveryEvents=[*OLD_EVENTS, AI_DELIVERED])
        rerun = rerun_of(order(level=1))
        assert rerun.evidence(seen) == ["documents"]
        assert [one.id for one in rerun.new_outputs(seen)] == [reviewed["id"]]

    def test_are_told_from_what_was_written_before_it_was_delivered(self) -> None:
        reviewed = new_document(createdAt="2024-03-01T12:05:00Z", updatedAt=None)
        seen = order(level=1, orderDocs=[reviewed], deliveryEvents=[*OLD_EVENTS, AI_DELIVERED, event()])
        assert rerun_of(order(level=1)).evidence(seen) == ["event", "documents"]

    @pytest.mark.parametrize("level", [0, None, "1", ...])
    def test_are_the_result_without_human_review(self, level: object) -> None:
        seen = order(level=level, orderDocs=[DRAFT], deliveryEvents=[*OLD_EVENTS, AI_DELIVERED])
        assert "documents" in rerun_of(order(level=level)).evidence(seen)

    @pytest.mark.parametrize("level", [None, "1", ...])
    def test_are_drafts_still_when_the_level_is_not_said_again(self, level: object) -> None:
        seen = order(level=level, orderDocs=[DRAFT], deliveryEvents=[*OLD_EVENTS, AI_DELIVERED])
        assert rerun_of(order(level=1)).evidence(seen) == []

    def test_are_the_result_when_the_review_is_cancelled(self) -> None:
        seen = order(level=0, orderDocs=[DRAFT], deliveryEvents=[*OLD_EVENTS, AI_DELIVERED])
        assert rerun_of(order(level=1)).evidence(seen) == ["documents"]

    @pytest.mark.parametrize(
        "events", [[event("ai_delivered", BEFORE)], [], None], ids=["earlier run", "none", "no list"]
    )
    @pytest.mark.parametrize("level", [1, None, ...])
    def test_drafts_alone_prove_nothing_without_ai_delivered(self, events: Any, level: object) -> None:
        before = order(level=1, deliveryEvents=events)
        rerun = rerun_of(before)
        assert rerun.evidence({**before, "level": level, "orderDocs": [DRAFT]}) == []
        # What the order was seen to do, or reports, proves its documents as well.
        seen_running = rerun_of(before, seen_running=True)
        assert seen_running.evidence({**before, "orderDocs": [DRAFT]}) == ["documents", "running"]
        delivered = {**before, "orderDocs": [DRAFT], "deliveryEvents": [*(events or []), event()]}
        assert rerun.evidence(delivered) == ["event", "documents"]


def at_level_1(*documents: dict[str, Any], events: tuple[Any, ...] = (), status: str = "completed") -> dict[str, Any]:
    return order(status, level=1, orderDocs=list(documents), deliveryEvents=[*OLD_EVENTS, *events], vttUrl=None)


REVIEWING, APPROVED = (AI_DELIVERED, event("translator_delivered")), (AI_DELIVERED, event())


class TestApprovedDrafts:
    """Each row of the table of drafts that :class:`Rerun` has."""

    BOTH = (document(), OTHER)
    TWO = (document(), document(id="doc_old_2"))
    DRAFT_2 = new_document(id="doc_new_2", createdAt=DRAFTED, updatedAt=DRAFTED)
    #: (before, now, events, what counts).
    ROWS: ClassVar[dict[str, tuple[Any, ...]]] = {
        "under review": ((document(),), (DRAFT,), REVIEWING, []),
        "under review, one is there": ((document(),), (DRAFT, REVIEWED), REVIEWING, ["doc_reviewed"]),
        "approved": ((document(),), (DRAFT,), APPROVED, ["doc_new"]),
        "approved, in place": ((document(),), (DRAFTS["in place"],), APPROVED, ["doc_old"]),
        "approved, an old one beside it": ((document(),), (document(), DRAFT), APPROVED, ["doc_new"]),
        "approved, none before": ((), (DRAFT,), APPROVED, ["doc_new"]),
        "approved, none before, replaced": ((), (DRAFT, REVIEWED), APPROVED, ["doc_reviewed"]),
        "replaced": ((document(),), (DRAFT, REVIEWED), APPROVED, ["doc_reviewed"]),
        "both approved": (BOTH, (DRAFT, OTHER_DRAFT), APPROVED, ["doc_new", "doc_new_other"]),
        "one of two types replaced": (BOTH, (REVIEWED, OTHER_DRAFT), APPROVED, ["doc_reviewed", "doc_new_other"]),
        "one of two of a type replaced": (TWO, (REVIEWED, DRAFT_2), APPROVED, ["doc_reviewed", "doc_new_2"]),
        "both of a type replaced": (TWO, (REVIEWED, new_document(), DRAFT_2), APPROVED, ["doc_reviewed", "doc_new"]),
        "never made": ((document(),), (document(),), APPROVED, []),
    }

    @pytest.mark.parametrize(("before", "now", "events", "counts"), ROWS.values(), ids=ROWS)
    def test_count(self, before: Any, now: Any, events: Any, counts: list[str]) -> None:
        rerun, seen = rerun_of(at_level_1(*before)), at_level_1(*now, events=events)
        assert sorted(str(one.id) for one in rerun.new_outputs(seen)) == sorted(counts)
        is_done = events is APPROVED
        assert rerun.evidence(seen) == ["event"] * is_done + ["documents"] * bool(counts)
        has_drafts = any(DRAFTED in (one.created_at, one.updated_at) for one in rerun.new_outputs(seen))
        is_one_missing = len(counts) < len(before)
        assert rerun.outputs_complete(seen) is not (has_drafts or is_one_missing)

    def test_of_the_run_before_last_do_not_count_for_the_last(self) -> None:
        # Somebody else's rerun after the review: its drafts are under review now.
        again = event("ai_delivered", "2024-03-01T13:00:00Z")
        newer = new_document(createdAt=again["occurredAt"], updatedAt=again["occurredAt"])
        assert rerun_of(at_level_1(document())).new_outputs(at_level_1(newer, events=(*APPROVED, again))) == []

    def test_of_a_review_that_was_asked_for_since(self) -> None:
        seen = at_level_1(DRAFT, events=APPROVED)
        assert rerun_of(order(level=0)).evidence(seen) == ["event", "documents"]

    def test_are_taken_once_no_reviewed_documents_come(self) -> None:
        story = {0: at_level_1(DRAFT, status="review", events=REVIEWING), 600: at_level_1(DRAFT, events=APPROVED)}
        outcome = wait_through(by_time(story), setup(rerun=rerun_of(at_level_1(document()))))
        assert outcome.polls[-1] == 720
        assert outcome.result is not None
        assert (outcome.result["outputs_changed"], [one["id"] for one in outcome.result["outputs"]]) == (
            True,
            ["doc_new"],
        )
        assert outcome.result["evidence"] == ["event", "documents", "running"]

    def test_are_not_taken_before_the_reviewed_documents_that_come(self) -> None:
        story = {0: at_level_1(DRAFT, events=APPROVED), 60: at_level_1(REVIEWED, events=APPROVED)}
        outcome = wait_through(by_time(story), setup(rerun=rerun_of(at_level_1(document()))))
        assert outcome.polls == [0, 60]
        assert outcome.result is not None
        assert [one["id"] for one in outcome.result["outputs"]] == ["doc_reviewed"]
        assert outcome.log.of("warning") == []
