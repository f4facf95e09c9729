"""A wait for an evaluation: which one ends it, and how else it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_ollang.domain.goals import EvaluationGoal, StatusGoal, goal_from_json
from airflow_provider_ollang.domain.polling import PollState
from airflow_provider_ollang.exceptions import (
    OllangAuthenticationError,
    OllangConfigurationError,
    OllangOrderFailedError,
    OllangOrderNotFoundError,
    OllangPermanentError,
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


def evaluated(status: str = "completed", **changes: Any) -> JsonObject:
    return order(status, latestEvaluation=evaluation(**changes))


def loading(**changes: Any) -> JsonObject:
    """Return an order whose new evaluation is being made."""
    return evaluated(**{"id": "eval_2", "createdAt": AFTER, "isLoading": True, "scores": None, **changes})


def new(**changes: Any) -> JsonObject:
    """Return an order with its new evaluation."""
    return evaluated(**{"id": "eval_2", "createdAt": AFTER, **changes})


def wanting(timeout: float = HOUR, **goal: Any) -> Setup:
    """Return the rules by way of JSON, as a trigger gets them."""
    wanted = setup(goal=EvaluationGoal(**goal), timeout=timeout)
    assert wanted.stored() == wanted
    return wanted.stored()


def ended_with(outcome: Outcome) -> str | None:
    """Return the id of the evaluation that outcome the wait."""
    assert outcome.error is None
    assert outcome.result is not None
    assert outcome.result.keys() == {"order_id", "evaluation"}
    assert outcome.result["order_id"] == ORDER_ID
    found = outcome.result["evaluation"]
    assert found is None or found["is_loading"] is False
    return None if found is None else str(found["id"])


REQUEST: JsonObject = {"on_missing": "wait", "before": OLD, "evaluation_id": "eval_2"}


class TestWhichOne:
    def test_one_that_is_there_ends_it_at_once(self) -> None:
        outcome = wait_through(in_turn(evaluated()), wanting())
        assert (ended_with(outcome), outcome.polls) == ("eval_1", [0])
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

    @pytest.mark.parametrize("on_missing", ["fail", "wait", "pass"])
    def test_one_that_is_being_made_is_waited_for(self, on_missing: Any) -> None:
        outcome = wait_through(by_time({0: loading(), 130: new()}), wanting(on_missing=on_missing))
        assert (ended_with(outcome), outcome.polls) == ("eval_2", [0, 60, 120, 180])

    @pytest.mark.parametrize("on_missing", ["fail", "pass"])
    @pytest.mark.parametrize("status", ["completed", "ongoing", "pondering"])
    def test_none_ends_it_at_once(self, on_missing: Any, status: str) -> None:
        outcome = wait_through(in_turn(order(status)), wanting(on_missing=on_missing))
        assert (ended_with(outcome), outcome.polls) == (None, [0])

    def test_none_is_waited_for_if_so_asked(self) -> None:
        outcome = wait_through(by_time({0: order(), 70: loading(), 200: new()}), wanting(on_missing="wait"))
        assert (ended_with(outcome), outcome.polls) == ("eval_2", [0, 60, 120, 180, 240])

    @pytest.mark.parametrize("shown", ["eval_2", "shown_2", None, 2], ids=str)
    @pytest.mark.parametrize(
        "meanwhile", [evaluated(), order(), loading(), loading(id="shown_2"), order(latestEvaluation=None)]
    )
    def test_the_one_asked_for_is_waited_for_whatever_is_shown_meanwhile(
        self, meanwhile: JsonObject, shown: str | None
    ) -> None:
        story = by_time({0: meanwhile, 130: new(id=shown)})
        outcome = wait_through(story, wanting(**REQUEST))
        assert (ended_with(outcome), outcome.polls) == (str(shown), [0, 60, 120, 180])

    def test_one_that_has_no_scores_and_does_not_say_that_it_is_finished_is_waited_for(self) -> None:
        begun = order(latestEvaluation={"id": "eval_2", "createdAt": AFTER})
        outcome = wait_through(by_time({0: begun, 130: new()}), wanting(**REQUEST))
        assert (ended_with(outcome), outcome.polls) == ("eval_2", [0, 60, 120, 180])

    def test_the_one_asked_for_counts_though_clocks_differ(self) -> None:
        outcome = wait_through(
            by_time({0: evaluated(), 130: new(createdAt="2020-01-01T00:00:00Z")}), wanting(**REQUEST)
        )
        assert ended_with(outcome) == "eval_2"

    def test_an_old_one_is_never_the_one_asked_for(self) -> None:
        outcome = wait_through(in_turn(evaluated()), wanting(**REQUEST))
        assert isinstance(outcome.error, OllangTimeoutError)
        assert outcome.polls[-1] == HOUR

    @pytest.mark.parametrize("on_missing", ["fail", "pass"])
    def test_after_a_rerun_an_old_one_is_none(self, on_missing: Any) -> None:
        goal: JsonObject = {"on_missing": on_missing, "before": OLD, "since": REQUESTED}
        assert ended_with(wait_through(in_turn(evaluated()), wanting(**goal))) is None
        assert ended_with(wait_through(in_turn(new()), wanting(**goal))) == "eval_2"

    def test_after_a_rerun_one_that_loads_from_before_is_none(self) -> None:
        goal: JsonObject = {"before": OLD, "since": REQUESTED}
        early = evaluated(id="eval_2", createdAt="2024-03-01T11:59:59Z", isLoading=True)
        assert ended_with(wait_through(in_turn(early), wanting(**goal))) is None


class TestOtherEnds:
    @pytest.mark.parametrize(
        ("sight", "goal"),
        [(loading(), {}), (order(), {"on_missing": "wait"}), (evaluated(), REQUEST), (evaluated("ongoing"), REQUEST)],
        ids=["loads", "none", "old", "running"],
    )
    def test_the_deadline(self, sight: JsonObject, goal: JsonObject) -> None:
        outcome = wait_through(in_turn(sight), wanting(timeout=150, **goal))
        assert (outcome.result, outcome.polls) == (None, [0, 60, 120, 150])
        assert isinstance(outcome.error, OllangTimeoutError)
        assert f"Order {ORDER_ID} did not reach a finished evaluation within 2.5 min" in str(outcome.error)
        assert outcome.error.order_id == ORDER_ID

    def test_one_in_the_last_second_is_in_time(self) -> None:
        outcome = wait_through(by_time({0: loading(), 149.5: new()}), wanting(timeout=150))
        assert (ended_with(outcome), outcome.polls) == ("eval_2", [0, 60, 120, 150])

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    @pytest.mark.parametrize("goal", [{}, {"on_missing": "pass"}, {"on_missing": "wait"}, REQUEST], ids=str)
    def test_an_order_that_fails_meanwhile(self, status: str, goal: JsonObject) -> None:
        outcome = wait_through(by_time({0: loading(), 70: loading() | {"status": status}}), wanting(**goal))
        assert isinstance(outcome.error, OllangOrderFailedError)
        assert outcome.polls == [0, 60, 120]
        for part in (repr(status), "will not reach a finished evaluation"):
            assert part in str(outcome.error)

    @pytest.mark.parametrize("on_missing", ["fail", "pass", "wait"])
    def test_an_order_that_has_failed_without_one_is_no_missing_evaluation(self, on_missing: Any) -> None:
        assert isinstance(
            wait_through(in_turn(order("failed")), wanting(on_missing=on_missing)).error, OllangOrderFailedError
        )

    def test_scores_that_are_there_count_whatever_becomes_of_the_order(self) -> None:
        assert ended_with(wait_through(in_turn(evaluated("failed")), wanting())) == "eval_1"

    @pytest.mark.parametrize("status", ["pending", "ongoing", "review", "revision", "pondering", ""])
    def test_no_status_ends_it(self, status: str) -> None:
        outcome = wait_through(in_turn(loading() | {"status": status}), wanting(timeout=150))
        assert isinstance(outcome.error, OllangTimeoutError)

    def test_passing_failures_are_outlived(self) -> None:
        down = OllangUnavailableError("503.")
        outcome = wait_through(in_turn(down, loading(), down, down, new()), wanting())
        assert ended_with(outcome) == "eval_2"
        # 60 s after each first failure and good look, 120 s after a second failure.
        assert outcome.pauses == [60, 60, 60, 120]

    def test_too_many_failures_end_it(self) -> None:
        outcome = wait_through(in_turn(loading(), OllangUnavailableError("503.")), wanting())
        assert isinstance(outcome.error, OllangUnavailableError)
        assert "10 consecutive polls" in str(outcome.error)

    def test_a_rate_limit_is_a_pause(self) -> None:
        limited = OllangRateLimitError("429.", retry_after=200.0, status_code=429)
        outcome = wait_through(in_turn(loading(), *[limited] * 12, new()), wanting())
        assert ended_with(outcome) == "eval_2"

    @pytest.mark.parametrize("kind", [OllangAuthenticationError, OllangOrderNotFoundError])
    def test_a_denial_ends_it(self, kind: type[OllangPermanentError]) -> None:
        denied = kind("No.", status_code=401)
        assert type(wait_through(in_turn(denied), wanting()).error) is kind
        assert type(wait_through(in_turn(loading(), denied), wanting()).error) is kind
        assert ended_with(wait_through(in_turn(loading(), denied, new()), wanting())) == "eval_2"


class TestMemoryAndLog:
    def test_a_change_of_process_changes_nothing(self) -> None:
        def elsewhere(state: PollState) -> PollState:
            return PollState.from_json(json.loads(json.dumps(state.to_json())))

        story = by_time({0: evaluated(), 70: OllangUnavailableError("503."), 130: loading(), 250: new()})
        here, there = (
            wait_through(story, wanting(**REQUEST)),
            wait_through(story, wanting(**REQUEST), round_trip=elsewhere),
        )
        assert (there.result, there.polls, there.log.lines) == (here.result, here.polls, here.log.lines)

    @pytest.mark.parametrize(("sight", "words"), [(loading(), "in progress"), (evaluated(), "not available yet")])
    def test_that_it_waits_is_said_once(self, sight: JsonObject, words: str) -> None:
        outcome = wait_through(by_time({0: sight, 1000: new()}), wanting(**REQUEST))
        said = [line for line in outcome.log.of("info") if "its evaluation is" in line]
        assert said == [f"Order {ORDER_ID}: its evaluation is {words}."]

    def test_nothing_is_said_where_nothing_is_waited_for(self) -> None:
        outcome = wait_through(in_turn(evaluated()), wanting())
        assert outcome.log.lines == [("info", f"Order {ORDER_ID} is completed.")]

    def test_no_link_is_remembered_told_or_logged(self) -> None:
        link = f"https://storage.ollang.com/a.srt?{SIGNATURE}"
        segments = [{"id": f"seg_{number}", "explain": f"See {link}"} for number in range(9)]
        outcome = wait_through(by_time({0: loading(segmentEvals=segments), 70: new(segmentEvals=segments)}), wanting())
        told = json.dumps([outcome.result, outcome.states, outcome.log.lines])
        assert "https://storage.ollang.com/a.srt" in told
        assert SIGNATURE not in told
        assert "c4na7y" not in told

    def test_nothing_grows_with_the_evaluation(self) -> None:
        words = "word " * 2_000
        segments = [{"id": f"seg_{number}", "explain": words, "suggestedNewValue": words} for number in range(3_000)]
        outcome = wait_through(
            by_time({0: loading(segmentEvals=segments, textSummary=words), 70: new(segmentEvals=segments)}), wanting()
        )
        assert len(json.dumps([outcome.result, outcome.states[-1]])) < 5_000


def test_stored_rules_without_evaluation_are_a_status_goal() -> None:
    stored = setup().goal.to_json()
    assert goal_from_json(stored) == goal_from_json({**stored, "evaluation": None}) == StatusGoal()


@pytest.mark.parametrize("broken", [5, "x", [1]])
def test_broken_stored_evaluation_goal_is_refused(broken: object) -> None:
    with pytest.raises(OllangConfigurationError):
        goal_from_json({**setup().goal.to_json(), "evaluation": broken})
