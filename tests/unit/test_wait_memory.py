"""What a wait remembers, and that a wait moved from process to process goes as one that stays."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_ollang.domain.goals import StatusGoal, goal_from_json
from airflow_provider_ollang.domain.polling import PollConfig, PollState
from airflow_provider_ollang.exceptions import (
    OllangAuthenticationError,
    OllangBadRequestError,
    OllangConfigurationError,
    OllangOrderNotFoundError,
    OllangRateLimitError,
    OllangUnavailableError,
)
from tests.unit.builders import (
    AFTER,
    ORDER_ID,
    START,
    Outcome,
    PollResult,
    Setup,
    document,
    event,
    in_turn,
    new_result,
    one_poll,
    order,
    rerun_of,
    setup,
    source_document,
    wait_through,
)

DAY = 86_400.0
FULL = PollState(
    last_status="review",
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


class TestStoredState:
    def test_the_full_state_has_no_default_left_in_it(self) -> None:
        fresh = PollState()
        for item in dataclasses.fields(PollState):
            assert getattr(FULL, item.name) != getattr(fresh, item.name), item.name

    @pytest.mark.parametrize("state", [PollState(), FULL], ids=["empty", "full"])
    def test_it_survives_json(self, state: PollState) -> None:
        assert PollState.from_json(json.loads(json.dumps(state.to_json()))) == state

    def test_another_version_is_read_as_far_as_it_is_known(self) -> None:
        assert PollState.from_json({}) == PollState()
        assert PollState.from_json({"consecutive_failures": 4, "mood": "hopeful"}) == PollState(consecutive_failures=4)

    def test_names_of_earlier_versions_are_read(self) -> None:
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
        stored = {old_names.get(name, name): value for name, value in FULL.to_json().items()}
        assert PollState.from_json(stored) == FULL

    def test_reading_and_writing_it_copy(self) -> None:
        """Else what was stored would seem to hold already what is to be stored now."""
        stored = FULL.to_json()
        state = PollState.from_json(stored)
        state.warned_at["delayed"] = START
        state.unknown_statuses.append("uploading")
        assert stored == FULL.to_json()
        written = state.to_json()
        state.warned_at.clear()
        state.unknown_statuses.clear()
        assert set(written["warned_at"]) == {"review", "delayed"}
        assert written["unknown_statuses"] == ["transcoding", "uploading"]

    def test_warning_after_a_round_trip_differs_from_what_was_stored(self) -> None:
        stored = state_after(order("review"), PollState(), START)
        later = state_after(order("review"), PollState.from_json(stored), START + DAY)
        assert later["warned_at"] == {"review": START + DAY}
        assert stored["warned_at"] == {"review": START}


def state_after(poll_result: dict[str, Any], state: PollState, now: float) -> dict[str, Any]:
    setup().poller(state).on_order(poll_result, now)
    return state.to_json()


class TestStoredSetup:
    @pytest.mark.parametrize(
        "wait",
        [
            pytest.param(setup(), id="by default"),
            pytest.param(setup(target_statuses=frozenset({"delivered"}), failure_statuses=frozenset()), id="statuses"),
            pytest.param(setup(rerun=rerun_of(order(), seen_running=True)), id="of a rerun"),
            pytest.param(
                setup(rerun=dataclasses.replace(rerun_of(order()), baseline_confirmed=True)),
                id="of a confirmed baseline",
            ),
            pytest.param(setup(rerun=rerun_of({}, requested_at=None)), id="of a rerun of which nothing is known"),
            pytest.param(
                setup(
                    rerun=rerun_of(order()),
                    exponential_backoff=True,
                    max_interval=5.5,
                    timeout=0.0,
                    ignore_poll_failures=True,
                    on_no_evidence="accept",
                ),
                id="all else",
            ),
        ],
    )
    def test_it_survives_json(self, wait: Setup) -> None:
        assert wait.stored() == wait

    def test_unknown_fields_of_a_newer_version_are_ignored(self) -> None:
        config, goal = setup(rerun=rerun_of(order()))
        stored = goal.to_json()
        assert PollConfig.from_json({**config.to_json(), "mood": "hopeful"}) == config
        assert goal_from_json({**stored, "rerun": {**stored["rerun"], "mood": "hopeful"}, "mood": "hopeful"}) == goal

    def test_names_of_earlier_versions_are_read(self) -> None:
        rules = {
            "order_id": ORDER_ID,
            "target_statuses": ["review"],
            "failure_statuses": [],
            "rerun": None,
            "poke_interval": 7.0,
            "exponential_backoff": True,
            "max_wait": 5.5,
            "outlast_failures": True,
        }
        assert PollConfig.from_json(rules) == PollConfig(
            order_id=ORDER_ID, poll_interval=7.0, exponential_backoff=True, max_interval=5.5, ignore_poll_failures=True
        )
        assert goal_from_json(rules) == StatusGoal(target_statuses=frozenset({"review"}), failure_statuses=frozenset())

    @pytest.mark.parametrize(
        "changes",
        [
            {"target_statuses": None},
            {"failure_statuses": 5},
            {"rerun": {}},
            {"rerun": "1"},
            {"rerun": {"baseline": None}},
            {"rerun": {"baseline": {"evaluation": 1}}},
        ],
        ids=repr,
    )
    def test_anything_else_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(OllangConfigurationError):
            goal_from_json({**setup().goal.to_json(), **changes})
        with pytest.raises(OllangConfigurationError):
            goal_from_json({})
        with pytest.raises(OllangConfigurationError):
            PollConfig.from_json({})


class TestForNewTry:
    def test_facts_stay_and_clocks_go(self) -> None:
        assert FULL.for_new_try() == PollState(
            last_status="review",
            seen_running=True,
            warned_at={"review": START},
            unknown_statuses=["transcoding"],
            baseline_confirmed=True,
        )

    def test_the_old_try_is_left_as_it_was(self) -> None:
        state = copy.deepcopy(FULL)
        new = state.for_new_try()
        new.warned_at["delayed"] = START
        new.unknown_statuses.append("uploading")
        assert state == FULL

    def test_what_was_seen_running_still_proves_the_result(self) -> None:
        state = PollState()
        wait = setup(rerun=rerun_of(order()))
        one_poll(order("ongoing"), wait, state)
        outcome = wait_through(in_turn(order()), wait, state=state.for_new_try())
        assert outcome.result is not None
        assert outcome.result["evidence"] == ["running"]

    def test_patience_begins_anew(self) -> None:
        old = PollState(last_status="completed", unverified_since=START - 7000, consecutive_failures=9, poll_count=1)
        outcome = wait_through(in_turn(order()), setup(rerun=rerun_of(order())), state=old.for_new_try())
        assert outcome.polls[-1] == 7200

    def test_nothing_is_said_twice(self) -> None:
        state = PollState(last_status="review", warned_at={"review": START}, unknown_statuses=["transcoding"])
        outcome = wait_through(
            in_turn(order("review"), order("transcoding"), order()), setup(), state=state.for_new_try()
        )
        assert outcome.log.of("warning") == []


class TestWhatChangesIt:
    """A changed state has to be stored, so that an uneventful poll should not change it."""

    @pytest.mark.parametrize("status", ["ongoing", "review", "transcoding", "completed"])
    @pytest.mark.parametrize("before", [None, order()], ids=["any result", "after a rerun"])
    def test_equal_poll_changes_only_the_confirmed_baseline(self, status: str, before: dict[str, Any] | None) -> None:
        wait = setup(target_statuses=frozenset({"delivered"}), rerun=rerun_of(before) if before else None)
        outcome = wait_through(in_turn(*[order(status)] * 13, order("failed")), wait)
        confirmed = {"baseline_confirmed": True if before and status == "completed" else None}
        assert outcome.states[0] == outcome.states[1] == outcome.states[9]
        assert {**outcome.states[9], **confirmed} == outcome.states[10] == outcome.states[12]

    def test_failed_poll_changes_it_and_rate_limit_does_not(self) -> None:
        state = PollState()
        one_poll(OllangRateLimitError("429.", retry_after=60.0), setup(), state)
        assert state == PollState()
        one_poll(OllangUnavailableError("503."), setup(), state)
        assert state == PollState(consecutive_failures=1)


# --- Any story, with any setup ------------------------------------------------------------------------------------

OLD, NEW = order(), new_result()
REPORTED = order(deliveryEvents=[*OLD["deliveryEvents"], event()])
OLD_RESULTS: list[PollResult] = [
    OLD,
    order("delivered"),
    order("revision"),
    order(level=1, name="Renamed"),
    order(orderDocs=[]),
    order(orderDocs=None, deliveryEvents=None),
    order(orderDocs=[document(), document(), source_document(updatedAt=AFTER), document(id="i", type="invoice")]),
    OllangUnavailableError("Could not get it: 503.", status_code=503),
    OllangRateLimitError("Could not get it: 429.", retry_after=100.0),
    OllangRateLimitError("Could not get it: 429."),
]
RUNNING_RESULTS: list[PollResult] = [
    order("pending"),
    order("ongoing", orderDocs=None),
    order("review"),
    order("delayed"),
    order("transcoding"),
]
ALL_RESULTS: list[PollResult] = [
    *OLD_RESULTS,
    *RUNNING_RESULTS,
    REPORTED,
    NEW,
    new_result("delivered"),
    order("failed"),
    OllangAuthenticationError("The key is wrong.", status_code=401),
    OllangOrderNotFoundError("No such order.", status_code=404),
    OllangBadRequestError("Bad.", status_code=400),
]

setups = {
    "rerun": st.sampled_from([None, rerun_of(OLD), rerun_of(OLD), rerun_of(OLD, seen_running=True)]),
    "target_statuses": st.sampled_from([frozenset({"completed", "delivered"}), frozenset({"delivered"})]),
    "poll_interval": st.sampled_from([30.0, 60.0, 500.0]),
    "exponential_backoff": st.booleans(),
    "max_interval": st.sampled_from([None, 200.0]),
    "timeout": st.sampled_from([0.0, 250.0, 3000.0]),
    "max_poll_failures": st.sampled_from([1, 3, 10]),
    "ignore_poll_failures": st.booleans(),
    "outputs_timeout": st.sampled_from([0.0, 100.0]),
    "stale_timeout": st.sampled_from([0.0, 150.0, 1000.0, 7200.0]),
    "on_no_evidence": st.sampled_from(["fail", "accept"]),
}
any_setup = st.fixed_dictionaries(setups)
#: Just after the request for the rerun, and an hour later.
any_start = st.sampled_from([START - 3600, START])
some = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def stories(results: list[PollResult]) -> st.SearchStrategy[list[PollResult]]:
    return st.lists(st.sampled_from(results), min_size=1, max_size=12)


def through_json(state: PollState) -> PollState:
    return PollState.from_json(json.loads(json.dumps(state.to_json())))


def facts(outcome: Outcome) -> tuple[Any, ...]:
    error = (type(outcome.error), str(outcome.error)) if outcome.error else None
    return outcome.result, error, outcome.polls, outcome.pauses, outcome.states, outcome.log.lines


@some
@given(story=stories(ALL_RESULTS), changes=any_setup, start=any_start)
def test_wait_that_moves_after_each_poll_ends_as_one_that_stays(
    story: list[PollResult], changes: dict[str, Any], start: float
) -> None:
    wait = setup(**changes)
    stays = wait_through(in_turn(*story), wait, start=start)
    moves = wait_through(in_turn(*story), wait, start=start, round_trip=through_json)
    assert facts(moves) == facts(stays)
    assert (stays.result is None) is not (stays.error is None)


@some
@given(story=stories(ALL_RESULTS), changes=any_setup, start=any_start)
def test_wait_never_polls_after_its_deadline(story: list[PollResult], changes: dict[str, Any], start: float) -> None:
    timeout = changes["timeout"]
    outcome = wait_through(in_turn(*story), setup(**changes), start=start)
    assert all(pause > 0 for pause in outcome.pauses)
    assert outcome.polls[-1] <= timeout
    for at, pause in zip(outcome.polls, outcome.pauses, strict=False):
        assert at + pause <= timeout


@some
@given(story=stories(OLD_RESULTS), changes=any_setup, start=any_start)
def test_previous_result_is_never_returned(story: list[PollResult], changes: dict[str, Any], start: float) -> None:
    wait = setup(**{**changes, "rerun": rerun_of(OLD), "on_no_evidence": "fail"})
    assert wait_through(in_turn(*story), wait, start=start).error is not None


@some
@given(story=stories([*OLD_RESULTS, *RUNNING_RESULTS, REPORTED]), changes=any_setup, start=any_start)
def test_new_result_is_never_refused(story: list[PollResult], changes: dict[str, Any], start: float) -> None:
    patient = {
        "rerun": rerun_of(OLD),
        "timeout": 1e9,
        "exponential_backoff": False,
        "max_poll_failures": 100,
        "outputs_timeout": 1e9,
        "stale_timeout": 1e9,
    }
    outcome = wait_through(in_turn(*story, new_result("delivered")), setup(**{**changes, **patient}), start=start)
    assert outcome.result is not None
    assert [output["id"] for output in outcome.result["outputs"]] == ["doc_new"]
    assert outcome.result["outputs_changed"] is True
    assert len(outcome.polls) == len(story) + 1
