"""Clocks that differ by more than a run takes: its whole result is dated before the request, and still counts."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import pytest

from airflow_provider_ollang.domain.polling import PollState
from tests.unit.builders import (
    REQUESTED,
    Outcome,
    Setup,
    by_time,
    document,
    event,
    new_document,
    order,
    rerun_of,
    setup,
    wait_through,
)

EARLY = "2024-03-01T11:59:00Z"  # later than the baseline, and dated before the request
OLD = order()
RESULT = {"orderDocs": [new_document(createdAt=EARLY, updatedAt=EARLY)]}
REPORTED = {**RESULT, "deliveryEvents": [*OLD["deliveryEvents"], event(at=EARLY)]}
DONE, RUNNING = order(**RESULT), order("ongoing")


def for_rerun(before: Any = OLD, *, seen_running: bool = False, **changes: Any) -> Setup:
    return setup(rerun=rerun_of(before, requested_at=REQUESTED, seen_running=seen_running), **changes)


def facts(outcome: Outcome) -> tuple[list[str], bool]:
    assert outcome.result is not None, outcome.error
    return outcome.result["evidence"], outcome.result["outputs_changed"]


class TestSeenRunning:
    def test_makes_a_result_count_once_no_replica_would_still_hide_it(self) -> None:
        state = PollState()
        outcome = wait_through(by_time({0: OLD, 60: RUNNING, 120: DONE}), for_rerun(), state=state)
        assert outcome.polls == [0, 60, 120, 180, 240]
        assert facts(outcome) == (["documents", "running"], True)
        assert outcome.result is not None
        assert [one["id"] for one in outcome.result["outputs"]] == ["doc_new"]
        assert outcome.log.of("warning") == []
        # A receipt takes it along to a delivery.
        assert state.baseline_confirmed is True

    def test_makes_events_count_likewise(self) -> None:
        outcome = wait_through(by_time({0: RUNNING, 60: order(**REPORTED)}), for_rerun())
        assert facts(outcome) == (["event", "documents", "running"], True)

    def test_a_result_that_never_comes_is_none(self) -> None:
        assert facts(wait_through(by_time({0: RUNNING, 60: OLD}), for_rerun())) == (["running"], False)

    #: Polls by the second, and what they prove.
    STORIES: ClassVar[dict[str, tuple[dict[int, Any], bool]]] = {
        "running, done": ({0: RUNNING, 60: DONE}, True),
        "done and old, running, done": ({0: OLD, 60: RUNNING, 120: DONE}, True),
        "running, done and old, done": ({0: RUNNING, 60: OLD, 120: DONE}, True),
        # A baseline that missed them: they are the result of an earlier run.
        "they show before it runs": ({0: DONE, 60: RUNNING, 120: DONE}, False),
        "they show while it runs": ({0: order("ongoing", **RESULT), 60: DONE}, False),
        "they show while it runs, once": ({0: RUNNING, 60: order("ongoing", **RESULT), 120: RUNNING, 180: DONE}, False),
        # What runs is a review.
        "another level runs": ({0: order("ongoing", level=1, **RESULT), 60: DONE}, False),
    }

    @pytest.mark.parametrize(("story", "counts"), STORIES.values(), ids=STORIES)
    def test_confirms_a_baseline_that_missed_nothing(self, story: dict[int, Any], *, counts: bool) -> None:
        outcome = wait_through(by_time(story), for_rerun(stale_timeout=500, on_no_evidence="accept"))
        assert facts(outcome)[1] is counts

    def test_by_a_lagging_replica_ends_when_the_rerun_shows(self) -> None:
        # Somebody's earlier run, of which the baseline showed nothing, and then this task's.
        story = {0: RUNNING, 60: DONE, 120: order("ongoing", **RESULT), 300: DONE}
        assert facts(wait_through(by_time(story), for_rerun())) == (["running"], False)

    @pytest.mark.parametrize("seen_by", ["receipt", "this wait"])
    def test_by_an_earlier_task_does_not_tell_what_it_showed(self, seen_by: str) -> None:
        wanted = for_rerun(seen_running=seen_by == "receipt")
        outcome = wait_through(by_time({0: DONE}), wanted, state=PollState(seen_running=seen_by == "this wait"))
        assert facts(outcome)[1] is (seen_by == "this wait")

    def test_a_baseline_of_a_run_may_lack_old_documents_that_come_back(self) -> None:
        before = order("ongoing", orderDocs=[])
        outcome = wait_through(by_time({0: before, 60: order(orderDocs=[document()])}), for_rerun(before))
        assert facts(outcome) == (["running"], False)

    def test_not_at_a_deadline_before_patience_is_over(self) -> None:
        outcome = wait_through(by_time({0: RUNNING, 60: DONE}), for_rerun(timeout=100))
        assert outcome.polls == [0, 60, 100]
        assert facts(outcome) == (["running"], False)

    def test_is_remembered_by_the_next_try(self) -> None:
        state = dataclasses.replace(PollState(), seen_running=True).for_new_try()
        assert facts(wait_through(by_time({0: DONE}), for_rerun(), state=state)) == (["documents", "running"], True)
