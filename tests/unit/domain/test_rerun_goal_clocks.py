"""Clocks that differ: a result that is dated before the request counts, unless a lagging replica may have hidden it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang.domain.polling import PollState
from airflow_provider_ollang.exceptions import OllangStaleResultError, OllangTimeoutError
from tests.unit.builders import (
    REQUESTED,
    Outcome,
    Setup,
    by_time,
    document,
    event,
    in_turn,
    new_document,
    order,
    rerun_of,
    setup,
    wait_through,
)

EARLY = "2024-03-01T11:59:00Z"  # later than the baseline, and dated before the request
OLD = order()
RESULT = {"orderDocs": [new_document(createdAt=EARLY, updatedAt=EARLY)]}
EVENTS = [*OLD["deliveryEvents"], event(at=EARLY)]
DONE, RUNNING, AHEAD = order(**RESULT), order("ongoing"), order(deliveryEvents=EVENTS)


def for_rerun(before: Any = OLD, *, seen_running: bool = False, **changes: Any) -> Setup:
    return setup(rerun=rerun_of(before, requested_at=REQUESTED, seen_running=seen_running), **changes)


def facts(outcome: Outcome) -> tuple[list[str], bool]:
    assert outcome.result is not None, outcome.error
    return outcome.result["evidence"], outcome.result["outputs_changed"]


# --- By ten minutes in which nothing was withheld -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("polls", "confirmed"),
    [
        ({0: OLD, 601: AHEAD}, True),
        *(({0: OLD, appears: AHEAD}, False) for appears in (0, 60, 600)),
        # A lagging replica.
        ({0: OLD, 60: AHEAD, 120: OLD, 300: AHEAD}, False),
        # It counts from the last time that the order was first done.
        ({0: OLD, 400: order("revision"), 700: OLD, 1250: AHEAD}, False),
    ],
)
def test_baseline_is_confirmed_after_ten_minutes(polls: dict[int, Any], confirmed: bool) -> None:
    outcome = wait_through(by_time(polls), for_rerun(stale_timeout=1500))
    if confirmed:
        assert outcome.polls[-3:] == [660, 720, 780]
        assert facts(outcome) == (["event"], False)
    else:
        assert isinstance(outcome.error, OllangStaleResultError)


def test_confirmed_baseline_is_known_to_the_next_try() -> None:
    state = PollState()
    first = wait_through(in_turn(OLD), for_rerun(timeout=700), state=state)
    assert isinstance(first.error, OllangTimeoutError)
    assert facts(wait_through(in_turn(AHEAD), for_rerun(), state=state.for_new_try())) == (["event"], False)


# --- By polls that showed the rerun running -----------------------------------------------------------------------

#: Polls by the second, and whether the result counts.
POLLS: dict[str, tuple[dict[int, Any], bool]] = {
    "running, done": ({0: RUNNING, 60: DONE}, True),
    "done and old, running, done": ({0: OLD, 60: RUNNING, 120: DONE}, True),
    "running, done and old, done": ({0: RUNNING, 60: OLD, 120: DONE}, True),
    # A baseline that missed them: they are the result of an earlier run.
    "they show before it runs": ({0: DONE, 60: RUNNING, 120: DONE}, False),
    "they show while it runs": ({0: order("ongoing", **RESULT), 60: DONE}, False),
    "they show while it runs, once": ({0: RUNNING, 60: order("ongoing", **RESULT), 120: RUNNING, 180: DONE}, False),
    "another user's run, then its own": ({0: RUNNING, 60: DONE, 120: order("ongoing", **RESULT), 300: DONE}, False),
    # What runs is a review.
    "another level runs": ({0: order("ongoing", level=1, **RESULT), 60: DONE}, False),
    "no result comes": ({0: RUNNING, 60: OLD}, False),
}


@pytest.mark.parametrize(("polls", "counts"), POLLS.values(), ids=POLLS)
def test_observed_run_confirms_a_complete_baseline(polls: dict[int, Any], counts: bool) -> None:
    outcome = wait_through(by_time(polls), for_rerun(stale_timeout=500, on_no_evidence="accept"))
    assert facts(outcome)[1] is counts


def test_confirmed_result_comes_after_outputs_timeout_silently() -> None:
    state = PollState()
    outcome = wait_through(by_time({0: OLD, 60: RUNNING, 120: DONE}), for_rerun(), state=state)
    assert outcome.polls == [0, 60, 120, 180, 240]
    assert facts(outcome) == (["documents", "running"], True)
    assert outcome.result is not None
    assert [output["id"] for output in outcome.result["outputs"]] == ["doc_new"]
    assert outcome.log.of("warning") == []
    # A receipt takes it along to a delivery.
    assert state.baseline_confirmed is True


def test_observed_run_makes_events_count_likewise() -> None:
    outcome = wait_through(by_time({0: RUNNING, 60: order(**RESULT, deliveryEvents=EVENTS)}), for_rerun())
    assert facts(outcome) == (["event", "documents", "running"], True)


@pytest.mark.parametrize("seen_by", ["receipt", "this wait", "an earlier try"])
def test_run_observed_by_an_earlier_task_confirms_nothing(seen_by: str) -> None:
    state = PollState(seen_running=seen_by != "receipt")
    state = state.for_new_try() if seen_by == "an earlier try" else state
    outcome = wait_through(by_time({0: DONE}), for_rerun(seen_running=seen_by == "receipt"), state=state)
    assert facts(outcome)[1] is (seen_by != "receipt")


def test_baseline_of_a_run_may_lack_old_documents() -> None:
    before = order("ongoing", orderDocs=[])
    outcome = wait_through(by_time({0: before, 60: order(orderDocs=[document()])}), for_rerun(before))
    assert facts(outcome) == (["running"], False)


def test_baseline_is_not_confirmed_at_an_early_deadline() -> None:
    outcome = wait_through(by_time({0: RUNNING, 60: DONE}), for_rerun(timeout=100))
    assert outcome.polls == [0, 60, 100]
    assert facts(outcome) == (["running"], False)
