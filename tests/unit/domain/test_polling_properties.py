"""Any wait: it ends alike in one process and in many, in time, with no old result and with any new one."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_ollang.domain.polling import PollState
from airflow_provider_ollang.exceptions import (
    OllangAuthenticationError,
    OllangBadRequestError,
    OllangOrderNotFoundError,
    OllangRateLimitError,
    OllangUnavailableError,
)
from tests.unit.builders import (
    AFTER,
    START,
    Outcome,
    PollResult,
    document,
    event,
    in_turn,
    new_result,
    order,
    rerun_of,
    setup,
    source_document,
    wait_through,
)

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


def polls_of(results: list[PollResult]) -> st.SearchStrategy[list[PollResult]]:
    return st.lists(st.sampled_from(results), min_size=1, max_size=12)


def through_json(state: PollState) -> PollState:
    return PollState.from_json(json.loads(json.dumps(state.to_json())))


def facts(outcome: Outcome) -> tuple[Any, ...]:
    error = (type(outcome.error), str(outcome.error)) if outcome.error else None
    return outcome.result, error, outcome.polls, outcome.pauses, outcome.states, outcome.log.lines


@some
@given(polls=polls_of(ALL_RESULTS), changes=any_setup, start=any_start)
def test_wait_that_moves_ends_as_one_that_stays(polls: list[PollResult], changes: dict[str, Any], start: float) -> None:
    wait = setup(**changes)
    stays = wait_through(in_turn(*polls), wait, start=start)
    moves = wait_through(in_turn(*polls), wait, start=start, round_trip=through_json)
    assert facts(moves) == facts(stays)
    assert (stays.result is None) is not (stays.error is None)


@some
@given(polls=polls_of(ALL_RESULTS), changes=any_setup, start=any_start)
def test_wait_never_polls_after_its_deadline(polls: list[PollResult], changes: dict[str, Any], start: float) -> None:
    timeout = changes["timeout"]
    outcome = wait_through(in_turn(*polls), setup(**changes), start=start)
    assert all(pause > 0 for pause in outcome.pauses)
    assert outcome.polls[-1] <= timeout
    for at, pause in zip(outcome.polls, outcome.pauses, strict=False):
        assert at + pause <= timeout


@some
@given(polls=polls_of(OLD_RESULTS), changes=any_setup, start=any_start)
def test_previous_result_is_never_returned(polls: list[PollResult], changes: dict[str, Any], start: float) -> None:
    wait = setup(**{**changes, "rerun": rerun_of(OLD), "on_no_evidence": "fail"})
    assert wait_through(in_turn(*polls), wait, start=start).error is not None


@some
@given(polls=polls_of([*OLD_RESULTS, *RUNNING_RESULTS, REPORTED]), changes=any_setup, start=any_start)
def test_new_result_is_never_refused(polls: list[PollResult], changes: dict[str, Any], start: float) -> None:
    patient = {
        "rerun": rerun_of(OLD),
        "timeout": 1e9,
        "exponential_backoff": False,
        "max_poll_failures": 100,
        "outputs_timeout": 1e9,
        "stale_timeout": 1e9,
    }
    outcome = wait_through(in_turn(*polls, new_result("delivered")), setup(**{**changes, **patient}), start=start)
    assert outcome.result is not None
    assert [output["id"] for output in outcome.result["outputs"]] == ["doc_new"]
    assert outcome.result["outputs_changed"] is True
    assert len(outcome.polls) == len(polls) + 1
