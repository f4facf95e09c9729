"""What is stored of a wait, and what the next process makes of it."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest

from airflow_provider_ollang.domain.goals import StatusGoal
from airflow_provider_ollang.domain.polling import PollConfig, PollState
from airflow_provider_ollang.domain.result_goals import goal_from_json
from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangRateLimitError, OllangUnavailableError
from tests.unit.builders import ORDER_ID, START, Setup, in_turn, one_poll, order, rerun_of, setup, wait_through

DAY = 86_400.0
FULL = PollState(
    last_status="review",
    was_seen=True,
    seen_running=True,
    warned_at={"review": START},
    unknown_statuses=["transcoding"],
    poll_count=3,
    consecutive_failures=2,
    denied_since=START + 1,
    unverified_since=START + 2,
    verified_since=START + 3,
    baseline_confirmed=True,
    evaluation_announced=True,
)

# --- The state ----------------------------------------------------------------------------------------------------


def test_full_state_has_no_default_left_in_it() -> None:
    fresh = PollState()
    for item in dataclasses.fields(PollState):
        assert getattr(FULL, item.name) != getattr(fresh, item.name), item.name


def test_state_survives_json_of_this_or_another_version() -> None:
    for state in (PollState(), FULL):
        assert PollState.from_json(json.loads(json.dumps(state.to_json()))) == state
    assert PollState.from_json({}) == PollState()
    assert PollState.from_json({"consecutive_failures": 4, "mood": "hopeful"}) == PollState(consecutive_failures=4)


def test_state_is_read_under_earlier_names() -> None:
    old_names = {
        "warned_at": "reminded",
        "unknown_statuses": "unknown",
        "poll_count": "looks",
        "consecutive_failures": "failures",
        "denied_since": "doubted_since",
        "unverified_since": "done_since",
        "verified_since": "proven_since",
        "evaluation_announced": "evaluating",
    }
    assert PollState.from_json({old_names.get(name, name): value for name, value in FULL.to_json().items()}) == FULL


def test_state_is_copied_when_read_and_written() -> None:
    """Else what was stored would seem to hold already what is to be stored now."""
    stored = FULL.to_json()
    for state in (PollState.from_json(stored), copy.deepcopy(FULL).for_new_try()):
        state.warned_at["delayed"] = START
        state.unknown_statuses.append("uploading")
        assert stored == FULL.to_json()
        written = state.to_json()
        state.warned_at.clear()
        state.unknown_statuses.clear()
        assert set(written["warned_at"]) == {"review", "delayed"}
        assert written["unknown_statuses"] == ["transcoding", "uploading"]


def test_new_try_keeps_facts_and_drops_clocks() -> None:
    original = copy.deepcopy(FULL)
    assert FULL.for_new_try() == PollState(
        last_status="review",
        was_seen=True,
        seen_running=True,
        warned_at={"review": START},
        unknown_statuses=["transcoding"],
        baseline_confirmed=True,
    )
    assert original == FULL


def test_new_try_waits_for_as_long_as_the_first() -> None:
    old = PollState(last_status="completed", unverified_since=START - 7000, consecutive_failures=9, poll_count=1)
    outcome = wait_through(in_turn(order()), setup(rerun=rerun_of(order())), state=old.for_new_try())
    assert outcome.polls[-1] == 7200


def test_new_try_believes_what_the_first_has_observed() -> None:
    state, wait = PollState(), setup(rerun=rerun_of(order()))
    one_poll(order("ongoing"), wait, state)
    outcome = wait_through(in_turn(order()), wait, state=state.for_new_try())
    assert outcome.result is not None
    assert outcome.result["evidence"] == ["running"]


def test_new_try_warns_of_nothing_twice() -> None:
    polls = in_turn(order("review"), order("transcoding"), order())
    assert wait_through(polls, setup(), state=FULL.for_new_try()).log.of("warning") == []


@pytest.mark.parametrize("status", ["ongoing", "review", "transcoding", "completed"])
@pytest.mark.parametrize("before", [None, order()], ids=["any result", "after a rerun"])
def test_equal_poll_changes_only_the_confirmed_baseline(status: str, before: dict[str, Any] | None) -> None:
    """A changed state has to be stored."""
    wait = setup(target_statuses=frozenset({"delivered"}), rerun=rerun_of(before) if before else None)
    outcome = wait_through(in_turn(*[order(status)] * 13, order("failed")), wait)
    confirmed = {"baseline_confirmed": True if before and status == "completed" else None}
    assert outcome.states[0] == outcome.states[1] == outcome.states[9]
    assert {**outcome.states[9], **confirmed} == outcome.states[10] == outcome.states[12]


def test_failed_poll_changes_the_state_and_rate_limit_does_not() -> None:
    state = PollState()
    one_poll(OllangRateLimitError("429.", retry_after=60.0), setup(), state)
    assert state == PollState()
    one_poll(OllangUnavailableError("503."), setup(), state)
    assert state == PollState(consecutive_failures=1)


# --- Config and goal ----------------------------------------------------------------------------------------------

ALL_ELSE: dict[str, Any] = {
    "exponential_backoff": True,
    "max_interval": 5.5,
    "timeout": 0.0,
    "ignore_poll_failures": True,
}


@pytest.mark.parametrize(
    "wait",
    [
        setup(),
        setup(target_statuses=frozenset({"delivered"}), failure_statuses=frozenset()),
        setup(rerun=rerun_of(order(), seen_running=True)),
        setup(rerun=dataclasses.replace(rerun_of(order()), baseline_confirmed=True)),
        setup(rerun=rerun_of({}, requested_at=None)),
        setup(rerun=rerun_of(order()), on_no_evidence="accept", **ALL_ELSE),
    ],
    ids=["default", "statuses", "rerun", "confirmed baseline", "nothing known", "all else"],
)
def test_config_and_goal_survive_json(wait: Setup) -> None:
    assert wait.stored() == wait


def test_config_and_goal_of_a_newer_version_are_read() -> None:
    config, goal = setup(rerun=rerun_of(order()))
    stored = goal.to_json()
    assert PollConfig.from_json({**config.to_json(), "mood": "hopeful"}) == config
    assert goal_from_json({**stored, "rerun": {**stored["rerun"], "mood": "hopeful"}, "mood": "hopeful"}) == goal


def test_config_and_goal_are_read_under_earlier_names() -> None:
    statuses: dict[str, Any] = {"target_statuses": ["review"], "failure_statuses": [], "rerun": None}
    rules = {"order_id": ORDER_ID, "poke_interval": 7.0, "exponential_backoff": True, "max_wait": 5.5, **statuses}
    assert PollConfig.from_json({**rules, "outlast_failures": True}) == PollConfig(
        order_id=ORDER_ID, poll_interval=7.0, exponential_backoff=True, max_interval=5.5, ignore_poll_failures=True
    )
    assert goal_from_json(rules) == StatusGoal(target_statuses=frozenset({"review"}), failure_statuses=frozenset())


@pytest.mark.parametrize(
    "changes",
    [
        {"target_statuses": None},
        {"failure_statuses": 5},
        *({"rerun": rerun} for rerun in ({}, "1", {"baseline": None}, {"baseline": {"evaluation": 1}})),
        *({"evaluation": evaluation} for evaluation in (5, "x", [1])),
    ],
    ids=repr,
)
def test_broken_goal_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(OllangConfigurationError):
        goal_from_json({**setup().goal.to_json(), **changes})


def test_empty_goal_or_config_is_refused() -> None:
    for read in (goal_from_json, PollConfig.from_json):
        with pytest.raises(OllangConfigurationError):
            read({})
