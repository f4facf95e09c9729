"""A wait for an evaluation: which one ends it, and how else it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_ollang.domain.goals import EvaluationGoal, StatusGoal
from airflow_provider_ollang.domain.polling import PollState
from airflow_provider_ollang.domain.result_goals import goal_from_json
from airflow_provider_ollang.exceptions import (
    OllangAuthenticationError,
    OllangOrderFailedError,
    OllangRateLimitError,
    OllangTimeoutError,
    OllangUnavailableError,
)
from tests.unit.builders import (
    AFTER,
    BEFORE,
    ORDER_ID,
    REQUESTED,
    SIGNATURE,
    Outcome,
    Setup,
    by_time,
    evaluation,
    in_turn,
    order,
    setup,
    wait_through,
)

JsonObject = dict[str, Any]
HOUR = 3600.0
OLD = {"id": "eval_1", "created_at": BEFORE}
#: For the evaluation that was requested; and for any of the result of a rerun.
REQUEST: JsonObject = {"on_missing": "wait", "before": OLD, "evaluation_id": "eval_2"}
RERUN: JsonObject = {"before": OLD, "since": REQUESTED}
DOWN = OllangUnavailableError("503.")


def evaluated(status: str = "completed", **changes: Any) -> JsonObject:
    return order(status, latestEvaluation=evaluation(**changes))


def new(**changes: Any) -> JsonObject:
    """Return an order with its new evaluation."""
    return evaluated(**{"id": "eval_2", "createdAt": AFTER, **changes})


def loading(**changes: Any) -> JsonObject:
    """Return an order whose new evaluation is in progress."""
    return new(**{"isLoading": True, "scores": None, **changes})


def waiting(timeout: float = HOUR, **goal: Any) -> Setup:
    """Return a wait by way of JSON, as a trigger gets it."""
    wait = setup(goal=EvaluationGoal(**goal), timeout=timeout)
    assert wait.stored() == wait
    return wait.stored()


def found(outcome: Outcome) -> str | None:
    """Return the id of the evaluation that a wait ended with."""
    assert outcome.error is None
    assert outcome.result is not None
    assert outcome.result.keys() == {"order_id", "evaluation"}
    assert outcome.result["order_id"] == ORDER_ID
    ended_with = outcome.result["evaluation"]
    assert ended_with is None or ended_with["is_loading"] is False
    return None if ended_with is None else str(ended_with["id"])


def test_finished_evaluation_ends_the_wait_at_once() -> None:
    outcome = wait_through(in_turn(evaluated()), waiting())
    assert outcome.polls == [0]
    assert outcome.result == {
        "order_id": ORDER_ID,
        "evaluation": {
            "id": "eval_1",
            "created_at": BEFORE,
            "is_loading": False,
            "scores": [{"name": "Accuracy", "score": 92.5}],
            "segments": [{"id": "seg_001", "explanation": "Minor -> Better"}],
        },
    }
    assert outcome.log.lines == [("info", f"Order {ORDER_ID} is completed.")]


#: The goal, the polls, which evaluation ends the wait, and when.
ENDINGS: list[Any] = [
    *(
        ({"on_missing": on_missing}, {0: loading(), 130: new()}, "eval_2", 180)
        for on_missing in ("fail", "wait", "pass")
    ),
    *(({"on_missing": on_missing}, {0: order("ongoing")}, None, 0) for on_missing in ("fail", "pass")),
    ({"on_missing": "wait"}, {0: order(), 70: loading(), 200: new()}, "eval_2", 240),
    # The one that was requested, whatever is shown meanwhile, and under whichever id.
    *((REQUEST, {0: shown, 130: new()}, "eval_2", 180) for shown in (evaluated(), order(), loading(id="shown_2"))),
    *((REQUEST, {0: loading(), 130: new(id=name)}, str(name), 180) for name in ("shown_2", None, 2)),
    (REQUEST, {0: order(latestEvaluation={"id": "eval_2", "createdAt": AFTER}), 130: new()}, "eval_2", 180),
    (REQUEST, {0: evaluated(), 130: new(createdAt="2020-01-01T00:00:00Z")}, "eval_2", 180),
    # After a rerun an old one is none.
    *(({**RERUN, "on_missing": on_missing}, {0: evaluated()}, None, 0) for on_missing in ("fail", "pass")),
    (RERUN, {0: new()}, "eval_2", 0),
    (RERUN, {0: evaluated(id="eval_2", createdAt="2024-03-01T11:59:59Z", isLoading=True)}, None, 0),
    # Scores count whatever becomes of the order.
    ({}, {0: evaluated("failed")}, "eval_1", 0),
    # Transient failures, rate limits and denials that pass.
    ({}, {0: DOWN, 60: loading(), 120: DOWN, 300: new()}, "eval_2", 300),
    (
        {},
        {0: loading(), 60: OllangRateLimitError("429.", retry_after=200.0, status_code=429), 2400: new()},
        "eval_2",
        2460,
    ),
    ({}, {0: loading(), 60: OllangAuthenticationError("No.", status_code=401), 80: new()}, "eval_2", 90),
]


@pytest.mark.parametrize(("goal", "polls", "expected", "ended_at"), ENDINGS)
def test_wait_ends_with_the_evaluation(goal: Any, polls: Any, expected: str | None, ended_at: float) -> None:
    outcome = wait_through(by_time(polls), waiting(**goal))
    assert (found(outcome), outcome.polls[-1]) == (expected, ended_at)


@pytest.mark.parametrize(
    ("poll", "goal"),
    [
        *((loading() | {"status": status}, {}) for status in ("completed", "ongoing", "revision", "pondering", "")),
        (order(), {"on_missing": "wait"}),
        (evaluated(), REQUEST),
        (evaluated("ongoing"), REQUEST),
    ],
)
def test_deadline_ends_the_wait_with_a_timeout(poll: JsonObject, goal: JsonObject) -> None:
    outcome = wait_through(in_turn(poll), waiting(timeout=150, **goal))
    assert (outcome.result, outcome.polls) == (None, [0, 60, 120, 150])
    assert isinstance(outcome.error, OllangTimeoutError)
    assert f"Order {ORDER_ID} did not reach a finished evaluation within 2.5 min" in str(outcome.error)
    assert outcome.error.order_id == ORDER_ID


def test_evaluation_in_the_last_second_is_in_time() -> None:
    outcome = wait_through(by_time({0: loading(), 149.5: new()}), waiting(timeout=150))
    assert (found(outcome), outcome.polls[-1]) == ("eval_2", 150)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
@pytest.mark.parametrize("goal", [{}, {"on_missing": "pass"}, {"on_missing": "wait"}, REQUEST], ids=str)
def test_failed_order_fails_the_wait(status: str, goal: JsonObject) -> None:
    for last in (loading() | {"status": status}, order(status)):
        outcome = wait_through(by_time({0: loading(), 70: last}), waiting(**goal))
        assert isinstance(outcome.error, OllangOrderFailedError)
        assert outcome.polls == [0, 60, 120]
        for part in (repr(status), "will not reach a finished evaluation"):
            assert part in str(outcome.error)


@pytest.mark.parametrize(("poll", "words"), [(loading(), "in progress"), (evaluated(), "not available yet")])
def test_missing_evaluation_is_announced_once(poll: JsonObject, words: str) -> None:
    outcome = wait_through(by_time({0: poll, 1000: new()}), waiting(**REQUEST))
    lines = [line for line in outcome.log.of("info") if "its evaluation is" in line]
    assert lines == [f"Order {ORDER_ID}: its evaluation is {words}."]


def test_wait_that_moves_ends_as_one_that_stays() -> None:
    def elsewhere(state: PollState) -> PollState:
        return PollState.from_json(json.loads(json.dumps(state.to_json())))

    polls = by_time({0: evaluated(), 70: DOWN, 130: loading(), 250: new()})
    stays = wait_through(polls, waiting(**REQUEST))
    moves = wait_through(polls, waiting(**REQUEST), round_trip=elsewhere)
    assert (moves.result, moves.polls, moves.log.lines) == (stays.result, stays.polls, stays.log.lines)


def test_wait_shows_no_link_and_stores_little() -> None:
    link, words = f"https://storage.ollang.com/a.srt?{SIGNATURE}", "word " * 2_000
    segments = [{"id": f"seg_{number}", "explain": f"See {link} {words}"} for number in range(300)]
    polls = {0: loading(segmentEvals=segments, textSummary=words), 70: new(segmentEvals=segments)}
    outcome = wait_through(by_time(polls), waiting())
    told = json.dumps([outcome.result, outcome.states, outcome.log.lines])
    assert "https://storage.ollang.com/a.srt" in told
    assert "c4na7y" not in told
    assert len(told) < 5_000


def test_stored_goal_without_evaluation_is_a_status_goal() -> None:
    stored = setup().goal.to_json()
    assert goal_from_json(stored) == goal_from_json({**stored, "evaluation": None}) == StatusGoal()
