"""A wait for any result: when it looks, when it ends, what it tells."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from airflow_provider_ollang._compat import AirflowSensorTimeout
from airflow_provider_ollang.domain.polling import Decision, PollState
from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangAuthenticationError,
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangOrderFailedError,
    OllangOrderNotFoundError,
    OllangPermanentError,
    OllangRateLimitError,
    OllangTimeoutError,
    OllangTransientError,
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


def down(message: str = "Could not get order 1: 503.", **fields: Any) -> OllangUnavailableError:
    return OllangUnavailableError(message, **fields)


def limited(retry_after: float | None) -> OllangRateLimitError:
    return OllangRateLimitError("Could not get order 1: 429.", retry_after=retry_after, status_code=429)


class TestGoodLooks:
    def test_a_finished_order_ends_the_wait_at_the_first_look(self) -> None:
        outcome = wait_through(in_turn(order()), setup())
        assert outcome.polls == [0]
        assert outcome.result is not None
        assert (outcome.result["order_id"], outcome.result["status"]) == (ORDER_ID, "completed")
        assert (outcome.result["evidence"], outcome.result["outputs_changed"]) == (None, None)
        assert SIGNATURE not in str(outcome.result)

    @pytest.mark.parametrize(
        "status", ["pending", "ongoing", "review", "waitingForApprove", "revision", "delayed", "readyToSent", "new", ""]
    )
    def test_any_other_status_goes_on(self, status: str) -> None:
        assert one_poll(order(status), setup(poll_interval=45)) == Decision(pause=45)

    def test_looks_at_the_interval(self) -> None:
        outcome = wait_through(by_time({0: order("pending"), 150: order("ongoing"), 400: order("delivered")}), setup())
        assert outcome.polls == [0, 60, 120, 180, 240, 300, 360, 420]
        assert outcome.result is not None
        assert outcome.result["status"] == "delivered"

    @pytest.mark.parametrize(
        "changes",
        [{"poll_interval": 0.0}, {"poll_interval": 0.001}, {"exponential_backoff": True, "max_interval": 0.0}],
        ids=str,
    )
    def test_interval_is_at_least_a_second(self, changes: dict[str, Any]) -> None:
        """Without a pause a wait of 7 days would hold a processor, and in the triggerer every other wait."""
        outcome = wait_through(by_time({0: order("ongoing"), 3: order()}), setup(**changes))
        assert outcome.polls == [0, 1, 2, 3]

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    def test_a_failure_status_ends_it_badly(self, status: str) -> None:
        error = one_poll(order(status), setup()).error
        assert isinstance(error, OllangOrderFailedError)
        assert error.order_id == ORDER_ID
        for part in (ORDER_ID, repr(status), "'completed' or 'delivered'"):
            assert part in str(error)

    def test_targets_and_failures_are_what_the_rules_say(self) -> None:
        wanted = setup(target_statuses=frozenset({"review", "published"}), failure_statuses=frozenset({"delayed"}))
        assert one_poll(order("review"), wanted).result is not None
        assert one_poll(order("published"), wanted).result is not None
        assert isinstance(one_poll(order("delayed"), wanted).error, OllangOrderFailedError)
        for status in ("completed", "delivered", "failed", "cancelled"):
            assert one_poll(order(status), wanted) == Decision(pause=60)

    @pytest.mark.parametrize("status", [None, 5, [], {}])
    def test_a_status_that_is_no_text_is_not_done(self, status: object) -> None:
        assert one_poll(order(status), setup()) == Decision(pause=60)


class TestSteps:
    """What a driver is told besides the pause."""

    @pytest.mark.parametrize(
        ("sight", "after_error", "after_rate_limit"),
        [
            pytest.param(order("ongoing"), False, False, id="a good look"),
            pytest.param(down(), True, False, id="a failed look"),
            pytest.param(
                OllangOrderNotFoundError("No such order.", status_code=404), True, False, id="a doubted denial"
            ),
            pytest.param(limited(60.0), True, True, id="a rate limit"),
            pytest.param(limited(None), True, True, id="a rate limit without a time"),
        ],
    )
    def test_whether_the_look_failed_and_the_server_asked_for_the_pause(
        self, sight: Any, *, after_error: bool, after_rate_limit: bool
    ) -> None:
        step = one_poll(sight, setup(), PollState(last_status="ongoing", poll_count=1))
        assert (step.after_error, step.after_rate_limit) == (after_error, after_rate_limit)
        assert not step.is_final

    @pytest.mark.parametrize(
        "sight", [order(), order("failed"), OllangBadRequestError("Bad.")], ids=["ok", "bad", "no"]
    )
    def test_whether_it_is_the_end(self, sight: Any) -> None:
        assert one_poll(sight, setup()).is_final


class TestDeadline:
    def test_the_last_sleep_is_clipped_and_followed_by_one_last_look(self) -> None:
        outcome = wait_through(in_turn(order("ongoing")), setup(timeout=150))
        assert outcome.polls == [0, 60, 120, 150]
        assert isinstance(outcome.error, OllangTimeoutError)
        assert isinstance(outcome.error, AirflowSensorTimeout)
        assert not isinstance(outcome.error, OllangPermanentError)
        assert outcome.error.order_id == ORDER_ID

    def test_an_interval_that_meets_the_deadline_looks_there_once(self) -> None:
        assert wait_through(in_turn(order("ongoing")), setup(timeout=120)).polls == [0, 60, 120]

    def test_the_last_look_may_still_find_the_result(self) -> None:
        outcome = wait_through(by_time({0: order("ongoing"), 150: order()}), setup(timeout=150))
        assert outcome.polls[-1] == 150
        assert outcome.result is not None

    def test_the_last_look_may_still_find_the_failure(self) -> None:
        outcome = wait_through(by_time({0: order("ongoing"), 150: order("failed")}), setup(timeout=150))
        assert isinstance(outcome.error, OllangOrderFailedError)

    @pytest.mark.parametrize(("status", "found"), [("completed", True), ("ongoing", False)])
    def test_a_timeout_of_nothing_is_one_look(self, status: str, *, found: bool) -> None:
        outcome = wait_through(in_turn(order(status)), setup(timeout=0))
        assert outcome.polls == [0]
        assert (outcome.result is not None) is found
        assert isinstance(outcome.error, OllangTimeoutError) is not found

    def test_a_driver_that_comes_late_still_gets_one_look(self) -> None:
        late = START + 1000
        for sight, found in ((order(), True), (order("ongoing"), False)):
            step = setup(timeout=10).poller().on_order(sight, late)
            assert (step.result is not None) is found
            assert isinstance(step.error, OllangTimeoutError) is not found

    def test_the_error_says_what_was_seen_last_and_how_long_it_took(self) -> None:
        error = wait_through(by_time({0: order("pending"), 60: order("ongoing")}), setup(timeout=5400)).error
        for part in (ORDER_ID, "'completed' or 'delivered'", "90 min", "last status was 'ongoing'"):
            assert part in str(error)
        assert "failed:" not in str(error)

    def test_the_error_says_that_the_order_was_never_seen(self) -> None:
        error = wait_through(in_turn(down()), setup(timeout=100)).error
        assert isinstance(error, OllangTimeoutError)
        assert "no poll succeeded" in str(error)

    def test_the_error_says_what_the_last_look_failed_of(self) -> None:
        error = wait_through(in_turn(order("ongoing"), down("Could not get it: 503.")), setup(timeout=100)).error
        assert "last status was 'ongoing'" in str(error)
        assert "The last poll failed: Could not get it: 503. Check" in str(error)

    @pytest.mark.parametrize(
        ("timeout", "said"),
        [
            (0, "within 0 s:"),
            (1.5, "within 1.5 s:"),
            (45, "within 45 s:"),
            (119, "within 119 s:"),
            (120, "within 2 min:"),
            (150, "within 2.5 min:"),
            (HOUR, "within 60 min:"),
            (2 * HOUR, "within 2 h:"),
            (DAY, "within 24 h:"),
            (2 * DAY, "within 2 d:"),
            (7 * DAY, "within 7 d:"),
            (1095 * DAY, "within 1095 d:"),
        ],
    )
    def test_durations_are_said_the_way_people_say_them(self, timeout: float, said: str) -> None:
        error = setup(timeout=timeout).poller().on_order(order("ongoing"), START + timeout).error
        assert said in str(error)


class TestFailedLooks:
    @pytest.mark.parametrize(
        ("interval", "pauses"),
        [
            (60, [60, 120, 240, 300, 300, 300, 300, 300, 300]),
            (1, [5, 5, 5, 8, 16, 32, 64, 128, 256]),
            (0, [5, 5, 5, 5, 5, 5, 5, 5, 5]),
            (7, [7, 14, 28, 56, 112, 224, 300, 300, 300]),
            (600, [300] * 9),
        ],
    )
    def test_ten_in_a_row_end_the_wait_after_growing_pauses(self, interval: float, pauses: list[float]) -> None:
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

    @pytest.mark.parametrize("allowed", [1, 2, 5])
    def test_how_many_is_a_matter_of_the_rules(self, allowed: int) -> None:
        outcome = wait_through(in_turn(down()), setup(max_poll_failures=allowed))
        assert len(outcome.polls) == allowed
        assert isinstance(outcome.error, OllangTransientError)

    def test_a_good_look_starts_the_count_anew(self) -> None:
        nine = [down()] * 9
        outcome = wait_through(in_turn(*nine, order("ongoing"), *nine, order("ongoing"), *nine, order()), setup())
        assert outcome.result is not None
        assert outcome.pauses[9:11] == [60, 60]

    def test_the_count_is_in_the_memory(self) -> None:
        step = one_poll(down(), setup(), PollState(consecutive_failures=9))
        assert "10 consecutive polls" in str(step.error)
        assert one_poll(down(), setup(), PollState(consecutive_failures=8)).pause == 300

    def test_a_deadline_comes_first(self) -> None:
        outcome = wait_through(in_turn(down()), setup(timeout=100, max_poll_failures=3))
        assert outcome.polls == [0, 60, 100]
        assert isinstance(outcome.error, OllangTimeoutError)

    def test_they_may_be_outlasted_up_to_the_deadline(self) -> None:
        outcome = wait_through(in_turn(down()), setup(timeout=HOUR, ignore_poll_failures=True))
        assert isinstance(outcome.error, OllangTimeoutError)
        assert outcome.polls[-1] == HOUR
        assert len(outcome.polls) > 10
        assert len(outcome.log.of("warning")) == 9 + 1
        assert all("silent_fail" in line for line in outcome.log.of("error"))
        assert len(outcome.log.of("error")) == len(outcome.polls) - 10

    def test_outlasting_ends_well_when_the_order_comes_back(self) -> None:
        outcome = wait_through(by_time({0: down(), 2 * HOUR: order()}), setup(ignore_poll_failures=True))
        assert outcome.result is not None

    def test_each_is_a_warning_that_says_why(self) -> None:
        outcome = wait_through(in_turn(down("Could not get it: 502."), down(), order()), setup())
        first, second = outcome.log.of("warning")
        assert "502" in first
        assert "failures: 1 of 10" in first
        assert "failures: 2 of 10" in second

    def test_the_first_pause_of_a_very_long_streak_is_still_finite(self) -> None:
        step = one_poll(down(), setup(ignore_poll_failures=True), PollState(consecutive_failures=100_000))
        assert step.pause == 300

    def test_a_server_that_says_when_it_is_back_is_not_asked_earlier(self) -> None:
        assert one_poll(down(retry_after=290.0, status_code=503), setup()).pause == 290
        assert one_poll(down(retry_after=7.0, status_code=503), setup()).pause == 60


class TestRateLimit:
    @pytest.mark.parametrize("error", [limited, lambda seconds: down(retry_after=seconds, status_code=503)])
    def test_longer_retry_after_is_polled_again_after_5_minutes(self, error: Any) -> None:
        """A clock that is off asks for a year, and nothing but a poll shows that it was wrong."""
        for seconds in (301.0, 7200.0, 366 * DAY):
            assert one_poll(error(seconds), setup()).pause == 300

    @pytest.mark.parametrize("retry_after", [5.0, 61.0, 300.0])
    def test_with_a_time_is_a_pause_and_no_failure(self, retry_after: float) -> None:
        state = PollState(consecutive_failures=9)
        step = one_poll(limited(retry_after), setup(), state)
        assert (step.pause, step.is_final) == (retry_after, False)
        assert state.consecutive_failures == 9

    @pytest.mark.parametrize("retry_after", [0.0, 0.001, 1.0])
    def test_with_next_to_no_time_does_not_hammer_the_server(self, retry_after: float) -> None:
        assert one_poll(limited(retry_after), setup()).pause >= 5

    def test_may_go_on_for_ever(self) -> None:
        outcome = wait_through(by_time({0: limited(100.0), 50_000: order()}), setup())
        assert outcome.result is not None
        assert set(outcome.pauses) == {100}
        assert len(outcome.polls) == 501

    def test_without_a_time_is_a_failure_like_others(self) -> None:
        outcome = wait_through(in_turn(limited(None)), setup())
        assert len(outcome.polls) == 10
        assert isinstance(outcome.error, OllangRateLimitError)

    def test_does_not_take_back_earlier_failures(self) -> None:
        outcome = wait_through(in_turn(*[down()] * 9, limited(100.0), down()), setup())
        assert len(outcome.polls) == 11
        assert isinstance(outcome.error, OllangUnavailableError)

    def test_never_outlasts_the_deadline(self) -> None:
        outcome = wait_through(in_turn(limited(200.0)), setup(timeout=300.0))
        assert outcome.polls == [0, 200, 300]
        assert isinstance(outcome.error, OllangTimeoutError)
        assert "429" in str(outcome.error)

    def test_is_told_as_information(self) -> None:
        outcome = wait_through(in_turn(limited(100.0), order()), setup())
        assert outcome.log.of("warning") == []
        assert "100 s" in outcome.log.of("info")[0]


PERMANENT = [OllangPermanentError, *OllangPermanentError.__subclasses__()]
DENIALS = [
    OllangAuthenticationError("The key is wrong.", status_code=401),
    OllangAccessDeniedError("Not yours.", status_code=403),
    OllangOrderNotFoundError("No such order.", status_code=404),
    OllangConfigurationError("Not Ollang's API: 404 with HTML.", status_code=404),
    OllangConfigurationError("It redirects to a page about maintenance.", status_code=302),
]


def _name(error: OllangError) -> str:
    return f"{type(error).__name__}-{error.status_code}"


class TestPermanentErrors:
    @pytest.mark.parametrize("kind", PERMANENT)
    def test_before_a_good_look_end_the_wait_at_once(self, kind: type[OllangPermanentError]) -> None:
        error = kind("No.", status_code=400)
        assert one_poll(error, setup()).error is error

    @pytest.mark.parametrize("error", DENIALS, ids=_name)
    def test_before_a_good_look_denials_do_too(self, error: OllangError) -> None:
        assert one_poll(error, setup()).error is error
        outcome = wait_through(in_turn(down(), limited(60.0), error), setup())
        assert outcome.error is error
        assert len(outcome.polls) == 3

    @pytest.mark.parametrize(
        "error", [OllangBadRequestError("Bad.", status_code=400), OllangConfigurationError("The connection is gone.")]
    )
    def test_after_a_good_look_others_still_end_it_at_once(self, error: OllangError) -> None:
        outcome = wait_through(in_turn(order("ongoing"), error), setup())
        assert outcome.error is error
        assert outcome.polls == [0, 60]

    @pytest.mark.parametrize("ignore_poll_failures", [False, True])
    @pytest.mark.parametrize("error", DENIALS, ids=_name)
    def test_after_a_good_look_denials_need_a_second_opinion(
        self, error: OllangError, *, ignore_poll_failures: bool
    ) -> None:
        outcome = wait_through(in_turn(order("ongoing"), error), setup(ignore_poll_failures=ignore_poll_failures))
        assert outcome.polls == [0, 60, 90]
        assert outcome.error is error
        (warning,) = outcome.log.of("warning")
        assert str(error) in warning
        assert "30 s" in warning

    @pytest.mark.parametrize(("first", "second"), [*itertools.permutations(DENIALS[:3], 2)], ids=_name)
    def test_the_second_opinion_may_be_another_denial(self, first: OllangError, second: OllangError) -> None:
        outcome = wait_through(in_turn(order("ongoing"), first, second), setup())
        assert outcome.polls == [0, 60, 90]
        assert outcome.error is second

    @pytest.mark.parametrize("error", DENIALS, ids=_name)
    def test_a_good_look_clears_the_doubt(self, error: OllangError) -> None:
        ongoing = order("ongoing")
        outcome = wait_through(in_turn(ongoing, error, ongoing, error, ongoing, error, order()), setup())
        assert outcome.result is not None
        assert outcome.pauses == [60, 30, 60, 30, 60, 30]
        assert len(outcome.log.of("warning")) == 3

    def test_a_passing_failure_in_between_does_not(self) -> None:
        denial = DENIALS[2]
        outcome = wait_through(in_turn(order("ongoing"), denial, down(), denial), setup())
        assert outcome.polls == [0, 60, 90, 150]
        assert outcome.error is denial

    def test_a_driver_that_comes_early_waits_for_the_rest(self) -> None:
        state, denial = PollState(poll_count=1, last_status="ongoing"), DENIALS[2]
        poller = setup().poller(state)
        assert poller.on_error(denial, START).pause == 30
        assert poller.on_error(denial, START + 10).pause == 20
        assert poller.on_error(denial, START + 29.5).pause == 0.5
        assert poller.on_error(denial, START + 30).error is denial

    def test_the_deadline_does_not_wait_for_the_second_opinion(self) -> None:
        outcome = wait_through(in_turn(order("ongoing"), DENIALS[2]), setup(timeout=70))
        assert outcome.polls == [0, 60, 70]
        assert isinstance(outcome.error, OllangTimeoutError)
        assert str(DENIALS[2]).rstrip(".") in str(outcome.error)


class TestExponentialBackoff:
    def test_doubles_the_pause_with_each_look(self) -> None:
        outcome = wait_through(in_turn(order("ongoing")), setup(exponential_backoff=True, timeout=HOUR))
        assert outcome.pauses == [60, 120, 240, 480, 960, 1740]
        assert outcome.polls[-1] == HOUR

    def test_up_to_a_longest_pause(self) -> None:
        outcome = wait_through(
            in_turn(order("ongoing")), setup(exponential_backoff=True, max_interval=200.0, timeout=900)
        )
        assert outcome.pauses == [60, 120, 200, 200, 200, 120]

    def test_counts_good_looks_only(self) -> None:
        outcome = wait_through(
            in_turn(order("ongoing"), down(), order("ongoing"), order()), setup(exponential_backoff=True)
        )
        assert outcome.pauses == [60, 60, 120]

    def test_of_a_very_long_wait_is_finite(self) -> None:
        wanted = setup(exponential_backoff=True, timeout=1e15)
        assert 60 <= one_poll(order("ongoing"), wanted, PollState(poll_count=100_000)).pause < 1e12

    def test_without_it_a_longest_pause_means_nothing(self) -> None:
        assert one_poll(order("ongoing"), setup(max_interval=10.0)).pause == 60


class TestStory:
    """What is logged."""

    def test_a_change_is_information_and_the_rest_is_not(self) -> None:
        outcome = wait_through(by_time({0: order("pending"), 120: order("ongoing"), 240: order()}), setup())
        assert outcome.log.of("info") == [
            f"Order {ORDER_ID} is pending.",
            f"Order {ORDER_ID} went from pending to ongoing.",
            f"Order {ORDER_ID} went from ongoing to completed.",
        ]
        assert outcome.log.of("debug") == [f"Order {ORDER_ID} is still {status}." for status in ("pending", "ongoing")]
        assert outcome.log.of("warning") == []

    @pytest.mark.parametrize("status", ["review", "waitingForApprove", "revision", "delayed"])
    def test_a_status_that_needs_a_person_is_a_warning_each_day(self, status: str) -> None:
        outcome = wait_through(by_time({0: order(status), 49 * HOUR: order()}), setup(poll_interval=HOUR))
        warnings = [line for line in outcome.log.of("warning") if status in line and "person" in line]
        assert len(warnings) == len(outcome.log.of("warning")) == 3

    def test_just_before_a_day_has_passed_it_is_not_said_again(self) -> None:
        outcome = wait_through(in_turn(order("review"), order("review"), order()), setup(poll_interval=DAY - 1))
        assert len(outcome.log.of("warning")) == 1
        outcome = wait_through(in_turn(order("review"), order("review"), order()), setup(poll_interval=DAY))
        assert len(outcome.log.of("warning")) == 2

    def test_each_such_status_is_said(self) -> None:
        outcome = wait_through(in_turn(order("review"), order("delayed"), order("review"), order()), setup())
        assert len([line for line in outcome.log.of("warning") if "delayed" in line]) == 1

    @pytest.mark.parametrize("status", ["pending", "ongoing", "qualityCheck", "waitingForCC", "readyToSent"])
    def test_other_known_statuses_are_no_warning(self, status: str) -> None:
        assert wait_through(in_turn(order(status), order()), setup()).log.of("warning") == []

    def test_an_unknown_status_is_one_warning_however_often_it_comes(self) -> None:
        odd, ongoing = order("transcoding"), order("ongoing")
        outcome = wait_through(in_turn(odd, odd, ongoing, odd, order("uploading"), odd, order()), setup())
        assert [("transcoding" in line, "uploading" in line) for line in outcome.log.of("warning")] == [
            (True, False),
            (False, True),
        ]

    def test_an_unknown_status_that_another_task_saw_first_is_warned_of_too(self) -> None:
        story = in_turn(order("transcoding"), order())
        outcome = wait_through(story, setup(), state=PollState(last_status="transcoding"))
        (line,) = outcome.log.of("warning")
        assert "transcoding" in line

    def test_unknown_statuses_named_in_the_rules_are_said_once_and_before_all(self) -> None:
        wanted = setup(target_statuses=frozenset({"published"}), failure_statuses=frozenset({"canceled"}))
        said = wait_through(in_turn(order("ongoing"), order("published")), wanted).log.of("warning")
        assert sorted(said) == [
            "Unknown status 'canceled' (did you mean 'cancelled'?); using it anyway.",
            "Unknown status 'published'; using it anyway.",
        ]
