"""A wait for the result of a human review: the old result is never taken for it, and its cancelling is no result."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_ollang.domain.result_goals import RerunGoal, ReviewGoal, goal_from_json
from airflow_provider_ollang.exceptions import OllangOrderFailedError, OllangStaleResultError, OllangTimeoutError
from tests.unit.builders import (
    ORDER_ID,
    Setup,
    by_time,
    document,
    event,
    in_turn,
    new_document,
    new_result,
    order,
    rerun_of,
    review_of,
    setup,
    wait_through,
)

HOUR = 3600.0
OLD, DONE = order(), order(level=1)
ONGOING, NEW = order("ongoing", level=1), new_result(level=1)
DELIVERED = order(level=1, deliveryEvents=[*OLD["deliveryEvents"], event()])
TRANSLATED = order(level=1, deliveryEvents=[*OLD["deliveryEvents"], event("translator_delivered")])
CANCELLED = order("completed", level=0)
TRANSLATION = document(id="doc_translation", type="translation")
BOTH = order(orderDocs=[document(), TRANSLATION])
ONE_OF_BOTH = order(level=1, orderDocs=[new_document(), TRANSLATION])


def for_review(*, before: Any = OLD, seen_running: bool = False, **changes: Any) -> Setup:
    return setup(rerun=review_of(before, seen_running=seen_running), **changes).stored()


#: The order before, the polls by their seconds, when the wait ends, its evidence, whether its outputs changed.
ENDINGS: dict[str, tuple[Any, dict[int, Any], float, list[str], bool]] = {
    "reviewed": (OLD, {0: OLD, 60: ONGOING, 600: NEW}, 600, ["level", "documents", "running"], True),
    "never observed": (OLD, {0: NEW}, 0, ["level", "documents"], True),
    "approved unchanged": (OLD, {0: ONGOING, 600: DONE}, 720, ["level", "running"], False),
    "approved, told by its event": (OLD, {0: DELIVERED}, 120, ["level", "event"], False),
    # The status may be the old one still, so that what shows only the begin takes longer.
    "only the level": (OLD, {0: DONE}, 2 * HOUR, ["level"], False),
    "only a step": (OLD, {0: TRANSLATED}, 2 * HOUR, ["level", "step"], False),
    "status later than the level": (
        OLD,
        {0: DONE, 600: ONGOING, 1800: NEW},
        1800,
        ["level", "documents", "running"],
        True,
    ),
    "documents late": (OLD, {0: ONGOING, 60: DONE, 120: NEW}, 120, ["level", "documents", "running"], True),
    "one of two changed": (BOTH, {0: ONGOING, 60: ONE_OF_BOTH}, 180, ["level", "running"], False),
    "at level 1 before": (DONE, {0: DONE, 60: ONGOING, 120: NEW}, 120, ["documents", "running"], True),
    "at level 1 before, approved": (DONE, {0: ONGOING, 60: DONE}, 180, ["running"], False),
    "level unknown": (order(level=None), {0: new_result(level=None)}, 0, ["documents"], True),
    "lagging replica": (OLD, {0: ONGOING, 60: OLD, 120: ONGOING, 180: OLD, 240: NEW}, 240, [], True),
    "lagging replica at the end": (OLD, {0: ONGOING, 60: DONE, 120: OLD, 600: NEW}, 600, [], True),
}


@pytest.mark.parametrize(("before", "polls", "ended_at", "evidence", "changed"), ENDINGS.values(), ids=ENDINGS)
def test_wait_for_a_review_ends(
    before: Any, polls: dict[int, Any], ended_at: float, evidence: list[str], changed: bool
) -> None:
    outcome = wait_through(by_time(polls), for_review(before=before))
    assert outcome.result is not None, outcome.error
    assert (outcome.polls[-1], outcome.result["outputs_changed"]) == (ended_at, changed)
    assert outcome.result["evidence"] == (evidence or ["level", "documents", "running"])
    assert outcome.log.of("warning") == []
    assert not any("rerun" in text for _, text in outcome.log.lines)


@pytest.mark.parametrize(
    ("before", "last", "said"),
    [
        (OLD, DONE, "the human review has approved its outputs as they were; outputs_changed is false."),
        (BOTH, ONE_OF_BOTH, "the human review has replaced only some of its outputs; outputs_changed is false."),
    ],
)
def test_unchanged_outputs_are_explained(before: Any, last: Any, said: str) -> None:
    outcome = wait_through(in_turn(ONGOING, last), for_review(before=before))
    assert outcome.log.of("info")[-1].endswith(said)


#: The order before, and polls that show that its review was cancelled; when that is certain.
CANCELLATIONS: dict[str, tuple[Any, dict[int, Any], float]] = {
    "observed running": (OLD, {0: ONGOING, 60: CANCELLED}, 660),
    "seen at level 1": (OLD, {0: DONE, 60: CANCELLED}, 660),
    "at level 1 before": (DONE, {0: CANCELLED}, 600),
    "with a rerun's result": (OLD, {0: ONGOING, 60: new_result(level=0)}, 660),
    "rerun after it": (OLD, {0: ONGOING, 60: order("ongoing", level=0), 120: new_result(level=0)}, 720),
}


@pytest.mark.parametrize("on_no_evidence", ["fail", "accept"])
@pytest.mark.parametrize(("before", "polls", "failed_at"), CANCELLATIONS.values(), ids=CANCELLATIONS)
def test_cancelled_review_fails_the_wait(
    before: Any, polls: dict[int, Any], failed_at: float, on_no_evidence: str
) -> None:
    outcome = wait_through(by_time(polls), for_review(before=before, on_no_evidence=on_no_evidence))
    assert outcome.polls[-1] == failed_at
    assert type(outcome.error) is OllangOrderFailedError
    assert outcome.error.order_id == ORDER_ID
    for part in (f"The human review of order {ORDER_ID} was cancelled", "the order shows its old result"):
        assert part in str(outcome.error)


def test_review_observed_by_its_own_task_is_found_cancelled() -> None:
    assert isinstance(wait_through(in_turn(OLD), for_review(seen_running=True)).error, OllangOrderFailedError)


def test_last_poll_tells_a_cancelled_review() -> None:
    outcome = wait_through(by_time({0: ONGOING, 60: CANCELLED}), for_review(timeout=120))
    assert isinstance(outcome.error, OllangOrderFailedError)


def test_review_that_never_shows_is_stale() -> None:
    outcome = wait_through(in_turn(OLD), for_review(stale_timeout=HOUR))
    assert outcome.polls[-1] == HOUR
    assert type(outcome.error) is OllangStaleResultError
    for part in (
        "nothing shows that its result is the human review's: before the human review it was 'completed'",
        "its level was 0, and is 0",
        "if the human review never ran, clear the task that requests it",
    ):
        assert part in str(outcome.error)
    assert "rerun" not in str(outcome.error)
    assert outcome.log.of("info")[-1].endswith("with its previous result; waiting for the human review.")


def test_review_that_never_shows_may_be_accepted() -> None:
    outcome = wait_through(in_turn(OLD), for_review(stale_timeout=HOUR, on_no_evidence="accept"))
    assert outcome.result is not None
    assert (outcome.result["evidence"], outcome.result["outputs_changed"]) == ([], False)
    assert "accepted without evidence of the human review" in outcome.log.of("warning")[-1]


def test_timeout_names_the_review() -> None:
    outcome = wait_through(in_turn(OLD), for_review(timeout=HOUR))
    assert isinstance(outcome.error, OllangTimeoutError)
    for part in ("'completed' or 'delivered' with the result of its human review", "the human review's"):
        assert part in str(outcome.error)


def test_failed_order_fails_the_wait() -> None:
    assert isinstance(
        wait_through(in_turn(ONGOING, order("failed", level=1)), for_review()).error, OllangOrderFailedError
    )


@pytest.mark.parametrize("rerun", [review_of(OLD, seen_running=True), rerun_of(OLD, seen_running=True)])
def test_goal_is_read_as_what_it_was(rerun: Any) -> None:
    goal = setup(rerun=rerun, stale_timeout=5.0).goal
    read = goal_from_json(json.loads(json.dumps(goal.to_json())))
    assert read == goal
    assert isinstance(read, RerunGoal)
    assert type(read.rerun) is type(rerun)


def test_goal_of_an_earlier_version_is_a_reruns() -> None:
    goal = setup(rerun=rerun_of(OLD)).goal
    assert "kind" not in goal.to_json()
    assert not isinstance(goal_from_json(goal.to_json()), ReviewGoal)
