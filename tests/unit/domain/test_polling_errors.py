"""What a failed poll does to a wait: transient failures, rate limits, and denials."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang.domain.polling import PollState
from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangAuthenticationError,
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangOrderNotFoundError,
    OllangPermanentError,
    OllangRateLimitError,
    OllangTimeoutError,
    OllangUnavailableError,
)
from tests.unit.builders import ORDER_ID, START, by_time, in_turn, one_poll, order, setup, wait_through

HOUR = 3600.0
ONGOING = order("ongoing")


def down(message: str = "Could not get order 1: 503.", **fields: Any) -> OllangUnavailableError:
    return OllangUnavailableError(message, **fields)


def limited(retry_after: float | None) -> OllangRateLimitError:
    return OllangRateLimitError("Could not get order 1: 429.", retry_after=retry_after, status_code=429)


# --- Transient failures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("interval", "pauses"),
    [
        (60, [60, 120, 240, 300, 300, 300, 300, 300, 300]),
        (1, [5, 5, 5, 8, 16, 32, 64, 128, 256]),
        (0, [5, 5, 5, 5, 5, 5, 5, 5, 5]),
        (600, [300] * 9),
    ],
)
def test_ten_failures_in_a_row_end_the_wait(interval: float, pauses: list[float]) -> None:
    last = down("Could not get it: 503.", status_code=503, code="BUSY", method="GET", path="/x", detail="busy")
    outcome = wait_through(in_turn(*[down()] * 9, last), setup(poll_interval=interval))
    assert outcome.pauses == pauses
    assert len(outcome.polls) == 10
    assert type(outcome.error) is OllangUnavailableError
    for part in ("10 consecutive polls", ORDER_ID, str(last)):
        assert part in str(outcome.error)
    fields = ("status_code", "code", "method", "path", "detail", "retry_after")
    assert [getattr(outcome.error, name) for name in fields] == [getattr(last, name) for name in fields]
    assert outcome.error.order_id == ORDER_ID


def test_number_of_failures_can_be_chosen() -> None:
    for allowed in (1, 2):
        assert len(wait_through(in_turn(down()), setup(max_poll_failures=allowed)).polls) == allowed


def test_success_resets_the_count_of_failures() -> None:
    nine = [down()] * 9
    outcome = wait_through(in_turn(*nine, ONGOING, *nine, ONGOING, *nine, order()), setup())
    assert outcome.result is not None
    assert outcome.pauses[9:11] == [60, 60]


def test_count_of_failures_is_in_the_state() -> None:
    assert "10 consecutive polls" in str(one_poll(down(), setup(), PollState(consecutive_failures=9)).error)
    assert one_poll(down(), setup(), PollState(consecutive_failures=8)).pause == 300


def test_deadline_beats_too_many_failures() -> None:
    outcome = wait_through(in_turn(down()), setup(timeout=100, max_poll_failures=3))
    assert outcome.polls == [0, 60, 100]
    assert isinstance(outcome.error, OllangTimeoutError)


def test_ignored_failures_go_on_until_the_deadline() -> None:
    outcome = wait_through(in_turn(down()), setup(timeout=HOUR, ignore_poll_failures=True))
    assert isinstance(outcome.error, OllangTimeoutError)
    assert outcome.polls[-1] == HOUR
    assert len(outcome.polls) > 10
    assert len(outcome.log.of("warning")) == 9 + 1
    assert all("silent_fail" in line for line in outcome.log.of("error"))
    assert len(outcome.log.of("error")) == len(outcome.polls) - 10
    assert wait_through(by_time({0: down(), 2 * HOUR: order()}), setup(ignore_poll_failures=True)).result is not None


def test_failure_is_a_warning_that_says_why() -> None:
    outcome = wait_through(in_turn(down("Could not get it: 502."), down(), order()), setup())
    first, second = outcome.log.of("warning")
    assert "502" in first
    assert "failures: 1 of 10" in first
    assert "failures: 2 of 10" in second


def test_pause_of_a_very_long_streak_is_finite() -> None:
    state = PollState(consecutive_failures=100_000)
    assert one_poll(down(), setup(ignore_poll_failures=True), state).pause == 300


@pytest.mark.parametrize(("retry_after", "pause"), [(290.0, 290), (7.0, 60)])
def test_failure_with_retry_after_is_not_polled_earlier(retry_after: float, pause: float) -> None:
    assert one_poll(down(retry_after=retry_after, status_code=503), setup()).pause == pause


# --- Rate limits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("retry_after", "pause"), [(61.0, 61), (300.0, 300), (0.0, 5), (1.0, 5), (301.0, 300), (366 * 86400.0, 300)]
)
def test_rate_limit_is_a_pause_and_no_failure(retry_after: float, pause: float) -> None:
    """A clock that is off asks for a year, and nothing but a poll shows that it was wrong."""
    state = PollState(consecutive_failures=9)
    decision = one_poll(limited(retry_after), setup(), state)
    assert (decision.pause, decision.is_final, state.consecutive_failures) == (pause, False, 9)
    if pause == 300:
        assert one_poll(down(retry_after=retry_after, status_code=503), setup()).pause == 300


def test_rate_limit_may_go_on_for_ever() -> None:
    outcome = wait_through(by_time({0: limited(100.0), 50_000: order()}), setup())
    assert outcome.result is not None
    assert set(outcome.pauses) == {100}
    assert outcome.log.of("warning") == []
    assert "100 s" in outcome.log.of("info")[0]


def test_rate_limit_without_retry_after_is_a_failure() -> None:
    outcome = wait_through(in_turn(limited(None)), setup())
    assert len(outcome.polls) == 10
    assert isinstance(outcome.error, OllangRateLimitError)


def test_rate_limit_does_not_reset_the_count_of_failures() -> None:
    outcome = wait_through(in_turn(*[down()] * 9, limited(100.0), down()), setup())
    assert len(outcome.polls) == 11
    assert isinstance(outcome.error, OllangUnavailableError)


def test_rate_limit_never_outlasts_the_deadline() -> None:
    outcome = wait_through(in_turn(limited(200.0)), setup(timeout=300.0))
    assert outcome.polls == [0, 200, 300]
    assert isinstance(outcome.error, OllangTimeoutError)
    assert "429" in str(outcome.error)


# --- Permanent errors ---------------------------------------------------------------------------------------------

DENIALS = [
    OllangAuthenticationError("The key is wrong.", status_code=401),
    OllangAccessDeniedError("Not yours.", status_code=403),
    OllangOrderNotFoundError("No such order.", status_code=404),
    OllangConfigurationError("Not Ollang's API: 404 with HTML.", status_code=404),
]
NOT_FOUND = DENIALS[2]
each_denial = pytest.mark.parametrize("denial", DENIALS, ids=lambda error: f"{type(error).__name__}")


@pytest.mark.parametrize("kind", [OllangPermanentError, *OllangPermanentError.__subclasses__()])
def test_permanent_error_before_a_success_ends_the_wait(kind: type[OllangPermanentError]) -> None:
    error = kind("No.", status_code=400)
    outcome = wait_through(in_turn(down(), limited(60.0), error), setup())
    assert outcome.error is error
    assert len(outcome.polls) == 3


@pytest.mark.parametrize(
    "error", [OllangBadRequestError("Bad.", status_code=400), OllangConfigurationError("The connection is gone.")]
)
def test_permanent_error_that_no_gateway_sends_ends_the_wait(error: OllangError) -> None:
    outcome = wait_through(in_turn(ONGOING, error), setup())
    assert outcome.error is error
    assert outcome.polls == [0, 60]


@each_denial
@pytest.mark.parametrize("ignore_poll_failures", [False, True])
def test_denial_after_a_success_has_to_persist(denial: OllangError, ignore_poll_failures: bool) -> None:
    outcome = wait_through(in_turn(ONGOING, denial), setup(ignore_poll_failures=ignore_poll_failures))
    assert outcome.polls == [0, 60, 90]
    assert outcome.error is denial
    (warning,) = outcome.log.of("warning")
    assert str(denial) in warning
    assert "30 s" in warning


def test_denial_of_an_order_that_was_seen_has_to_persist() -> None:
    outcome = wait_through(in_turn(NOT_FOUND, ONGOING, order()), setup(), state=PollState(was_seen=True))
    assert (outcome.polls, outcome.result is not None) == ([0, 30, 90], True)
    outcome = wait_through(in_turn(NOT_FOUND), setup(), state=PollState(was_seen=True))
    assert (outcome.polls, outcome.error) == ([0, 30], NOT_FOUND)


def test_denial_may_persist_as_another_one() -> None:
    for first, second in zip(DENIALS, [*DENIALS[1:], DENIALS[0]], strict=True):
        outcome = wait_through(in_turn(ONGOING, first, second), setup())
        assert outcome.polls == [0, 60, 90]
        assert outcome.error is second


@each_denial
def test_success_clears_a_denial(denial: OllangError) -> None:
    outcome = wait_through(in_turn(ONGOING, denial, ONGOING, denial, ONGOING, denial, order()), setup())
    assert outcome.result is not None
    assert outcome.pauses == [60, 30, 60, 30, 60, 30]
    assert len(outcome.log.of("warning")) == 3


def test_transient_failure_does_not_clear_a_denial() -> None:
    outcome = wait_through(in_turn(ONGOING, NOT_FOUND, down(), NOT_FOUND), setup())
    assert outcome.polls == [0, 60, 90, 150]
    assert outcome.error is NOT_FOUND


def test_early_driver_waits_for_the_rest_of_a_denial() -> None:
    poller = setup().poller(PollState(poll_count=1, last_status="ongoing"))
    for seconds, pause in ((0, 30), (10, 20), (29.5, 0.5)):
        assert poller.on_error(NOT_FOUND, START + seconds).pause == pause
    assert poller.on_error(NOT_FOUND, START + 30).error is NOT_FOUND


def test_deadline_does_not_wait_for_a_denial_to_persist() -> None:
    outcome = wait_through(in_turn(ONGOING, NOT_FOUND), setup(timeout=70))
    assert outcome.polls == [0, 60, 70]
    assert isinstance(outcome.error, OllangTimeoutError)
    assert str(NOT_FOUND).rstrip(".") in str(outcome.error)
