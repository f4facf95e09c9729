"""How an order is polled: the pauses, the deadline, and what is logged."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang._compat import AirflowSensorTimeout
from airflow_provider_ollang.domain.messages import format_duration
from airflow_provider_ollang.domain.polling import Decision, PollState
from airflow_provider_ollang.exceptions import (
    OllangBadRequestError,
    OllangOrderFailedError,
    OllangOrderNotFoundError,
    OllangPermanentError,
    OllangRateLimitError,
    OllangTimeoutError,
    OllangUnavailableError,
)
from tests.unit.builders import (
    ORDER_ID,
    SIGNATURE,
    START,
    by_time,
    in_turn,
    one_poll,
    order,
    setup,
    wait_through,
)

HOUR = 3600.0
DAY = 24 * HOUR
DOWN = OllangUnavailableError("Could not get it: 503.")

# --- Statuses -----------------------------------------------------------------------------------------------------


def test_finished_order_ends_the_wait_at_the_first_poll() -> None:
    outcome = wait_through(in_turn(order()), setup())
    assert outcome.polls == [0]
    assert outcome.result is not None
    assert (outcome.result["order_id"], outcome.result["status"]) == (ORDER_ID, "completed")
    assert (outcome.result["evidence"], outcome.result["outputs_changed"]) == (None, None)
    assert SIGNATURE not in str(outcome.result)


@pytest.mark.parametrize("status", ["pending", "review", "revision", "readyToSent", "new", "", None, 5, [], {}])
def test_other_status_is_polled_again_after_the_interval(status: object) -> None:
    expected = Decision(pause=45, asks_about_review=status == "review")
    assert one_poll(order(status), setup(poll_interval=45)) == expected


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_failure_status_fails_the_wait(status: str) -> None:
    error = one_poll(order(status), setup()).error
    assert isinstance(error, OllangOrderFailedError)
    assert error.order_id == ORDER_ID
    for part in (ORDER_ID, repr(status), "'completed' or 'delivered'"):
        assert part in str(error)


def test_target_and_failure_statuses_can_be_chosen() -> None:
    wait = setup(target_statuses=frozenset({"review", "published"}), failure_statuses=frozenset({"delayed"}))
    assert one_poll(order("review"), wait).result is not None
    assert one_poll(order("published"), wait).result is not None
    assert isinstance(one_poll(order("delayed"), wait).error, OllangOrderFailedError)
    for status in ("completed", "failed"):
        assert one_poll(order(status), wait) == Decision(pause=60)


# --- Pauses -------------------------------------------------------------------------------------------------------


def test_order_is_polled_at_the_interval() -> None:
    outcome = wait_through(by_time({0: order("pending"), 150: order("ongoing"), 400: order("delivered")}), setup())
    assert outcome.polls == [0, 60, 120, 180, 240, 300, 360, 420]
    assert outcome.result is not None
    assert outcome.result["status"] == "delivered"


@pytest.mark.parametrize("changes", [{"poll_interval": 0.001}, {"exponential_backoff": True, "max_interval": 0.0}])
def test_interval_is_at_least_a_second(changes: dict[str, Any]) -> None:
    """Without a pause a wait of 7 days would hold a processor, and in the triggerer every other wait."""
    outcome = wait_through(by_time({0: order("ongoing"), 3: order()}), setup(**changes))
    assert outcome.polls == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "polls", "pauses"),
    [
        ({"timeout": HOUR}, [order("ongoing")], [60, 120, 240, 480, 960, 1740]),
        ({"timeout": 900, "max_interval": 200.0}, [order("ongoing")], [60, 120, 200, 200, 200, 120]),
        # Only successful polls count.
        ({}, [order("ongoing"), DOWN, order("ongoing"), order()], [60, 60, 120]),
    ],
)
def test_exponential_backoff_doubles_the_interval(changes: Any, polls: Any, pauses: list[float]) -> None:
    assert wait_through(in_turn(*polls), setup(exponential_backoff=True, **changes)).pauses == pauses


def test_backoff_of_a_very_long_wait_is_finite() -> None:
    wait = setup(exponential_backoff=True, timeout=1e15)
    assert 60 <= one_poll(order("ongoing"), wait, PollState(poll_count=100_000)).pause < 1e12


def test_max_interval_means_nothing_without_backoff() -> None:
    assert one_poll(order("ongoing"), setup(max_interval=10.0)).pause == 60


@pytest.mark.parametrize(
    ("poll_result", "after_error", "after_rate_limit"),
    [
        (order("ongoing"), False, False),
        (DOWN, True, False),
        (OllangOrderNotFoundError("No such order.", status_code=404), True, False),
        (OllangRateLimitError("429.", retry_after=60.0), True, True),
        (OllangRateLimitError("429."), True, True),
    ],
    ids=["success", "failure", "denial", "rate limit", "rate limit without a time"],
)
def test_decision_tells_what_a_pause_is_for(poll_result: Any, after_error: bool, after_rate_limit: bool) -> None:
    decision = one_poll(poll_result, setup(), PollState(last_status="ongoing", poll_count=1))
    assert (decision.after_error, decision.after_rate_limit) == (after_error, after_rate_limit)
    assert not decision.is_final


@pytest.mark.parametrize("poll_result", [order(), order("failed"), OllangBadRequestError("Bad.")], ids=["", "f", "b"])
def test_decision_with_result_or_error_is_final(poll_result: Any) -> None:
    assert one_poll(poll_result, setup()).is_final


# --- The deadline -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timeout", "polls"), [(150, [0, 60, 120, 150]), (120, [0, 60, 120]), (0, [0])], ids=["cut short", "met", "none"]
)
def test_last_poll_is_at_the_deadline(timeout: float, polls: list[float]) -> None:
    outcome = wait_through(in_turn(order("ongoing")), setup(timeout=timeout))
    assert outcome.polls == polls
    assert isinstance(outcome.error, OllangTimeoutError)
    assert isinstance(outcome.error, AirflowSensorTimeout)
    assert not isinstance(outcome.error, OllangPermanentError)
    assert outcome.error.order_id == ORDER_ID


@pytest.mark.parametrize("timeout", [150, 0])
def test_last_poll_may_still_find_the_end(timeout: float) -> None:
    done, failed = (
        wait_through(by_time({-1: order("ongoing"), timeout: last}), setup(timeout=timeout))
        for last in (order(), order("failed"))
    )
    assert done.result is not None
    assert isinstance(failed.error, OllangOrderFailedError)
    assert done.polls[-1] == failed.polls[-1] == timeout


def test_late_driver_still_gets_one_poll() -> None:
    for poll_result, is_done in ((order(), True), (order("ongoing"), False)):
        decision = setup(timeout=10).poller().on_order(poll_result, START + 1000)
        assert (decision.result is not None) is is_done
        assert isinstance(decision.error, OllangTimeoutError) is not is_done


@pytest.mark.parametrize(
    ("polls", "parts"),
    [
        ([order("pending"), order("ongoing")], [ORDER_ID, "'completed' or 'delivered'", "last status was 'ongoing'"]),
        ([DOWN], ["no poll succeeded", "within 3 min"]),
        ([order("ongoing"), DOWN], ["last status was 'ongoing'. The last poll failed: Could not get it: 503. Check"]),
    ],
    ids=["status", "never", "failure"],
)
def test_timeout_says_what_was_last(polls: list[Any], parts: list[str]) -> None:
    error = wait_through(in_turn(*polls), setup(timeout=180)).error
    assert isinstance(error, OllangTimeoutError)
    for part in parts:
        assert part in str(error)
    assert ("failed:" in str(error)) is (DOWN in polls)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (1.5, "1.5 s"),
        (119, "119 s"),
        (120, "2 min"),
        (150, "2.5 min"),
        (HOUR, "60 min"),
        (2 * HOUR, "2 h"),
        (DAY, "24 h"),
        (2 * DAY, "2 d"),
        (1095 * DAY, "1095 d"),
    ],
)
def test_duration_is_in_the_largest_unit_of_which_there_are_two(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


# --- The log ------------------------------------------------------------------------------------------------------


def test_change_of_status_is_logged_as_information() -> None:
    outcome = wait_through(by_time({0: order("pending"), 120: order("ongoing"), 240: order()}), setup())
    assert outcome.log.of("info") == [
        f"Order {ORDER_ID} is pending.",
        f"Order {ORDER_ID} went from pending to ongoing.",
        f"Order {ORDER_ID} went from ongoing to completed.",
    ]
    assert outcome.log.of("debug") == [f"Order {ORDER_ID} is still {status}." for status in ("pending", "ongoing")]
    assert outcome.log.of("warning") == []


@pytest.mark.parametrize("status", ["review", "waitingForApprove", "revision", "delayed"])
def test_status_that_needs_a_person_is_a_warning_each_day(status: str) -> None:
    outcome = wait_through(by_time({0: order(status), 49 * HOUR: order()}), setup(poll_interval=HOUR))
    warnings = [line for line in outcome.log.of("warning") if status in line and "person" in line]
    assert len(warnings) == len(outcome.log.of("warning")) == 3


@pytest.mark.parametrize(("interval", "count"), [(DAY - 1, 1), (DAY, 2)])
def test_warning_is_repeated_after_a_day(interval: float, count: int) -> None:
    outcome = wait_through(in_turn(order("review"), order("review"), order()), setup(poll_interval=interval))
    assert len(outcome.log.of("warning")) == count


def test_each_status_that_needs_a_person_is_warned_of() -> None:
    outcome = wait_through(in_turn(order("review"), order("delayed"), order("review"), order()), setup())
    assert ["delayed" in line for line in outcome.log.of("warning")] == [False, True]


def test_unknown_status_is_one_warning_however_often_it_comes() -> None:
    odd, ongoing = order("transcoding"), order("ongoing")
    outcome = wait_through(in_turn(odd, odd, ongoing, odd, order("uploading"), odd, order()), setup())
    warnings = outcome.log.of("warning")
    assert [("transcoding" in line, "uploading" in line) for line in warnings] == [(True, False), (False, True)]
    # One that another task has seen first is warned of, too.
    outcome = wait_through(in_turn(odd, order()), setup(), state=PollState(last_status="transcoding"))
    assert len(outcome.log.of("warning")) == 1


def test_unknown_target_status_is_warned_of_at_the_start() -> None:
    wait = setup(target_statuses=frozenset({"published"}), failure_statuses=frozenset({"canceled"}))
    warnings = wait_through(in_turn(order("ongoing"), order("published")), wait).log.of("warning")
    assert sorted(warnings) == [
        "Unknown status 'canceled' (did you mean 'cancelled'?); using it anyway.",
        "Unknown status 'published'; using it anyway.",
    ]
