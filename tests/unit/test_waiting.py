"""A wait for any result: when it looks, when it ends, what it tells."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from airflow_provider_ollang._compat import AirflowSensorTimeout
from airflow_provider_ollang.domain.polling import Step, Wait, WaitMemory
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
    RecordingLog,
    by_time,
    in_turn,
    one_look,
    order,
    rules,
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
        ended = wait_through(in_turn(order()), rules())
        assert ended.looks == [0]
        assert ended.result is not None
        assert (ended.result["order_id"], ended.result["status"]) == (ORDER_ID, "completed")
        assert (ended.result["evidence"], ended.result["outputs_changed"]) == (None, None)
        assert SIGNATURE not in str(ended.result)

    @pytest.mark.parametrize(
        "status", ["pending", "ongoing", "review", "waitingForApprove", "revision", "delayed", "readyToSent", "new", ""]
    )
    def test_any_other_status_goes_on(self, status: str) -> None:
        assert one_look(order(status), rules(poke_interval=45)) == Step(pause=45)

    def test_looks_at_the_interval(self) -> None:
        ended = wait_through(by_time({0: order("pending"), 150: order("ongoing"), 400: order("delivered")}), rules())
        assert ended.looks == [0, 60, 120, 180, 240, 300, 360, 420]
        assert ended.result is not None
        assert ended.result["status"] == "delivered"

    @pytest.mark.parametrize(
        "changes",
        [{"poke_interval": 0.0}, {"poke_interval": 0.001}, {"exponential_backoff": True, "max_wait": 0.0}],
        ids=str,
    )
    def test_interval_is_at_least_a_second(self, changes: dict[str, Any]) -> None:
        """Without a pause a wait of 7 days would hold a processor, and in the triggerer every other wait."""
        ended = wait_through(by_time({0: order("ongoing"), 3: order()}), rules(**changes))
        assert ended.looks == [0, 1, 2, 3]

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    def test_a_failure_status_ends_it_badly(self, status: str) -> None:
        error = one_look(order(status), rules()).error
        assert isinstance(error, OllangOrderFailedError)
        assert error.order_id == ORDER_ID
        for part in (ORDER_ID, repr(status), "'completed' or 'delivered'"):
            assert part in str(error)

    def test_targets_and_failures_are_what_the_rules_say(self) -> None:
        wanted = rules(target_statuses=frozenset({"review", "published"}), failure_statuses=frozenset({"delayed"}))
        assert one_look(order("review"), wanted).result is not None
        assert one_look(order("published"), wanted).result is not None
        assert isinstance(one_look(order("delayed"), wanted).error, OllangOrderFailedError)
        for status in ("completed", "delivered", "failed", "cancelled"):
            assert one_look(order(status), wanted) == Step(pause=60)

    @pytest.mark.parametrize("status", [None, 5, [], {}])
    def test_a_status_that_is_no_text_is_not_done(self, status: object) -> None:
        assert one_look(order(status), rules()) == Step(pause=60)


class TestSteps:
    """What a driver is told besides the pause."""

    @pytest.mark.parametrize(
        ("sight", "after_failure", "after_rate_limit"),
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
        self, sight: Any, *, after_failure: bool, after_rate_limit: bool
    ) -> None:
        step = one_look(sight, rules(), WaitMemory(last_status="ongoing", looks=1))
        assert (step.after_failure, step.after_rate_limit) == (after_failure, after_rate_limit)
        assert not step.is_end

    @pytest.mark.parametrize(
        "sight", [order(), order("failed"), OllangBadRequestError("Bad.")], ids=["ok", "bad", "no"]
    )
    def test_whether_it_is_the_end(self, sight: Any) -> None:
        assert one_look(sight, rules()).is_end


class TestDeadline:
    def test_the_last_sleep_is_clipped_and_followed_by_one_last_look(self) -> None:
        ended = wait_through(in_turn(order("ongoing")), rules(timeout=150))
        assert ended.looks == [0, 60, 120, 150]
        assert isinstance(ended.error, OllangTimeoutError)
        assert isinstance(ended.error, AirflowSensorTimeout)
        assert not isinstance(ended.error, OllangPermanentError)
        assert ended.error.order_id == ORDER_ID

    def test_an_interval_that_meets_the_deadline_looks_there_once(self) -> None:
        assert wait_through(in_turn(order("ongoing")), rules(timeout=120)).looks == [0, 60, 120]

    def test_the_last_look_may_still_find_the_result(self) -> None:
        ended = wait_through(by_time({0: order("ongoing"), 150: order()}), rules(timeout=150))
        assert ended.looks[-1] == 150
        assert ended.result is not None

    def test_the_last_look_may_still_find_the_failure(self) -> None:
        ended = wait_through(by_time({0: order("ongoing"), 150: order("failed")}), rules(timeout=150))
        assert isinstance(ended.error, OllangOrderFailedError)

    @pytest.mark.parametrize(("status", "found"), [("completed", True), ("ongoing", False)])
    def test_a_timeout_of_nothing_is_one_look(self, status: str, *, found: bool) -> None:
        ended = wait_through(in_turn(order(status)), rules(timeout=0))
        assert ended.looks == [0]
        assert (ended.result is not None) is found
        assert isinstance(ended.error, OllangTimeoutError) is not found

    def test_a_driver_that_comes_late_still_gets_one_look(self) -> None:
        late = START + 1000
        for sight, found in ((order(), True), (order("ongoing"), False)):
            step = Wait(rules(timeout=10), WaitMemory(), START + 10, RecordingLog()).saw(sight, late)
            assert (step.result is not None) is found
            assert isinstance(step.error, OllangTimeoutError) is not found

    def test_the_error_says_what_was_seen_last_and_how_long_it_took(self) -> None:
        error = wait_through(by_time({0: order("pending"), 60: order("ongoing")}), rules(timeout=5400)).error
        for part in (ORDER_ID, "'completed' or 'delivered'", "90 min", "last status was 'ongoing'"):
            assert part in str(error)
        assert "failed:" not in str(error)

    def test_the_error_says_that_the_order_was_never_seen(self) -> None:
        error = wait_through(in_turn(down()), rules(timeout=100)).error
        assert isinstance(error, OllangTimeoutError)
        assert "never seen" in str(error)

    def test_the_error_says_what_the_last_look_failed_of(self) -> None:
        error = wait_through(in_turn(order("ongoing"), down("Could not get it: 503.")), rules(timeout=100)).error
        assert "last status was 'ongoing'" in str(error)
        assert "The last look failed: Could not get it: 503. Look at" in str(error)

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
        log = RecordingLog()
        error = Wait(rules(timeout=timeout), WaitMemory(), START, log).saw(order("ongoing"), START + timeout).error
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
        ended = wait_through(in_turn(*[down()] * 9, last), rules(poke_interval=interval))
        assert ended.pauses == pauses
        assert len(ended.looks) == 10
        assert type(ended.error) is OllangUnavailableError
        for part in ("10 looks in a row", ORDER_ID, str(last)):
            assert part in str(ended.error)
        fields = ("status_code", "code", "method", "path", "detail", "retry_after")
        assert [getattr(ended.error, name) for name in fields] == [getattr(last, name) for name in fields]
        assert ended.error.order_id == ORDER_ID

    @pytest.mark.parametrize("allowed", [1, 2, 5])
    def test_how_many_is_a_matter_of_the_rules(self, allowed: int) -> None:
        ended = wait_through(in_turn(down()), rules(max_poll_failures=allowed))
        assert len(ended.looks) == allowed
        assert isinstance(ended.error, OllangTransientError)

    def test_a_good_look_starts_the_count_anew(self) -> None:
        nine = [down()] * 9
        ended = wait_through(in_turn(*nine, order("ongoing"), *nine, order("ongoing"), *nine, order()), rules())
        assert ended.result is not None
        assert ended.pauses[9:11] == [60, 60]

    def test_the_count_is_in_the_memory(self) -> None:
        step = one_look(down(), rules(), WaitMemory(failures=9))
        assert "10 looks in a row" in str(step.error)
        assert one_look(down(), rules(), WaitMemory(failures=8)).pause == 300

    def test_a_deadline_comes_first(self) -> None:
        ended = wait_through(in_turn(down()), rules(timeout=100, max_poll_failures=3))
        assert ended.looks == [0, 60, 100]
        assert isinstance(ended.error, OllangTimeoutError)

    def test_they_may_be_outlasted_up_to_the_deadline(self) -> None:
        ended = wait_through(in_turn(down()), rules(timeout=HOUR, outlast_failures=True))
        assert isinstance(ended.error, OllangTimeoutError)
        assert ended.looks[-1] == HOUR
        assert len(ended.looks) > 10
        assert len(ended.log.of("warning")) == 9 + 1
        assert all("silent_fail" in line for line in ended.log.of("error"))
        assert len(ended.log.of("error")) == len(ended.looks) - 10

    def test_outlasting_ends_well_when_the_order_comes_back(self) -> None:
        ended = wait_through(by_time({0: down(), 2 * HOUR: order()}), rules(outlast_failures=True))
        assert ended.result is not None

    def test_each_is_a_warning_that_says_why(self) -> None:
        ended = wait_through(in_turn(down("Could not get it: 502."), down(), order()), rules())
        first, second = ended.log.of("warning")
        assert "502" in first
        assert "1 in a row" in first
        assert "2 in a row" in second

    def test_the_first_pause_of_a_very_long_streak_is_still_finite(self) -> None:
        step = one_look(down(), rules(outlast_failures=True), WaitMemory(failures=100_000))
        assert step.pause == 300

    def test_a_server_that_says_when_it_is_back_is_not_asked_earlier(self) -> None:
        assert one_look(down(retry_after=290.0, status_code=503), rules()).pause == 290
        assert one_look(down(retry_after=7.0, status_code=503), rules()).pause == 60


class TestRateLimit:
    @pytest.mark.parametrize("error", [limited, lambda seconds: down(retry_after=seconds, status_code=503)])
    def test_longer_retry_after_is_polled_again_after_5_minutes(self, error: Any) -> None:
        """A clock that is off asks for a year, and nothing but a poll shows that it was wrong."""
        for seconds in (301.0, 7200.0, 366 * DAY):
            assert one_look(error(seconds), rules()).pause == 300

    @pytest.mark.parametrize("retry_after", [5.0, 61.0, 300.0])
    def test_with_a_time_is_a_pause_and_no_failure(self, retry_after: float) -> None:
        memory = WaitMemory(failures=9)
        step = one_look(limited(retry_after), rules(), memory)
        assert (step.pause, step.is_end) == (retry_after, False)
        assert memory.failures == 9

    @pytest.mark.parametrize("retry_after", [0.0, 0.001, 1.0])
    def test_with_next_to_no_time_does_not_hammer_the_server(self, retry_after: float) -> None:
        assert one_look(limited(retry_after), rules()).pause >= 5

    def test_may_go_on_for_ever(self) -> None:
        ended = wait_through(by_time({0: limited(100.0), 50_000: order()}), rules())
        assert ended.result is not None
        assert set(ended.pauses) == {100}
        assert len(ended.looks) == 501

    def test_without_a_time_is_a_failure_like_others(self) -> None:
        ended = wait_through(in_turn(limited(None)), rules())
        assert len(ended.looks) == 10
        assert isinstance(ended.error, OllangRateLimitError)

    def test_does_not_take_back_earlier_failures(self) -> None:
        ended = wait_through(in_turn(*[down()] * 9, limited(100.0), down()), rules())
        assert len(ended.looks) == 11
        assert isinstance(ended.error, OllangUnavailableError)

    def test_never_outlasts_the_deadline(self) -> None:
        ended = wait_through(in_turn(limited(200.0)), rules(timeout=300.0))
        assert ended.looks == [0, 200, 300]
        assert isinstance(ended.error, OllangTimeoutError)
        assert "429" in str(ended.error)

    def test_is_told_as_information(self) -> None:
        ended = wait_through(in_turn(limited(100.0), order()), rules())
        assert ended.log.of("warning") == []
        assert "100 s" in ended.log.of("info")[0]


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
        assert one_look(error, rules()).error is error

    @pytest.mark.parametrize("error", DENIALS, ids=_name)
    def test_before_a_good_look_denials_do_too(self, error: OllangError) -> None:
        assert one_look(error, rules()).error is error
        ended = wait_through(in_turn(down(), limited(60.0), error), rules())
        assert ended.error is error
        assert len(ended.looks) == 3

    @pytest.mark.parametrize(
        "error", [OllangBadRequestError("Bad.", status_code=400), OllangConfigurationError("The connection is gone.")]
    )
    def test_after_a_good_look_others_still_end_it_at_once(self, error: OllangError) -> None:
        ended = wait_through(in_turn(order("ongoing"), error), rules())
        assert ended.error is error
        assert ended.looks == [0, 60]

    @pytest.mark.parametrize("outlast_failures", [False, True])
    @pytest.mark.parametrize("error", DENIALS, ids=_name)
    def test_after_a_good_look_denials_need_a_second_opinion(
        self, error: OllangError, *, outlast_failures: bool
    ) -> None:
        ended = wait_through(in_turn(order("ongoing"), error), rules(outlast_failures=outlast_failures))
        assert ended.looks == [0, 60, 90]
        assert ended.error is error
        (warning,) = ended.log.of("warning")
        assert str(error) in warning
        assert "30 s" in warning

    @pytest.mark.parametrize(("first", "second"), [*itertools.permutations(DENIALS[:3], 2)], ids=_name)
    def test_the_second_opinion_may_be_another_denial(self, first: OllangError, second: OllangError) -> None:
        ended = wait_through(in_turn(order("ongoing"), first, second), rules())
        assert ended.looks == [0, 60, 90]
        assert ended.error is second

    @pytest.mark.parametrize("error", DENIALS, ids=_name)
    def test_a_good_look_clears_the_doubt(self, error: OllangError) -> None:
        ongoing = order("ongoing")
        ended = wait_through(in_turn(ongoing, error, ongoing, error, ongoing, error, order()), rules())
        assert ended.result is not None
        assert ended.pauses == [60, 30, 60, 30, 60, 30]
        assert len(ended.log.of("warning")) == 3

    def test_a_passing_failure_in_between_does_not(self) -> None:
        denial = DENIALS[2]
        ended = wait_through(in_turn(order("ongoing"), denial, down(), denial), rules())
        assert ended.looks == [0, 60, 90, 150]
        assert ended.error is denial

    def test_a_driver_that_comes_early_waits_for_the_rest(self) -> None:
        memory, denial = WaitMemory(looks=1, last_status="ongoing"), DENIALS[2]
        wait = Wait(rules(), memory, START + DAY, RecordingLog())
        assert wait.failed_to_look(denial, START).pause == 30
        assert wait.failed_to_look(denial, START + 10).pause == 20
        assert wait.failed_to_look(denial, START + 29.5).pause == 0.5
        assert wait.failed_to_look(denial, START + 30).error is denial

    def test_the_deadline_does_not_wait_for_the_second_opinion(self) -> None:
        ended = wait_through(in_turn(order("ongoing"), DENIALS[2]), rules(timeout=70))
        assert ended.looks == [0, 60, 70]
        assert isinstance(ended.error, OllangTimeoutError)
        assert str(DENIALS[2]).rstrip(".") in str(ended.error)


class TestExponentialBackoff:
    def test_doubles_the_pause_with_each_look(self) -> None:
        ended = wait_through(in_turn(order("ongoing")), rules(exponential_backoff=True, timeout=HOUR))
        assert ended.pauses == [60, 120, 240, 480, 960, 1740]
        assert ended.looks[-1] == HOUR

    def test_up_to_a_longest_pause(self) -> None:
        ended = wait_through(in_turn(order("ongoing")), rules(exponential_backoff=True, max_wait=200.0, timeout=900))
        assert ended.pauses == [60, 120, 200, 200, 200, 120]

    def test_counts_good_looks_only(self) -> None:
        ended = wait_through(
            in_turn(order("ongoing"), down(), order("ongoing"), order()), rules(exponential_backoff=True)
        )
        assert ended.pauses == [60, 60, 120]

    def test_of_a_very_long_wait_is_finite(self) -> None:
        wanted = rules(exponential_backoff=True, timeout=1e15)
        assert 60 <= one_look(order("ongoing"), wanted, WaitMemory(looks=100_000)).pause < 1e12

    def test_without_it_a_longest_pause_means_nothing(self) -> None:
        assert one_look(order("ongoing"), rules(max_wait=10.0)).pause == 60


class TestStory:
    """What is logged."""

    def test_a_change_is_information_and_the_rest_is_not(self) -> None:
        ended = wait_through(by_time({0: order("pending"), 120: order("ongoing"), 240: order()}), rules())
        assert ended.log.of("info") == [
            f"Order {ORDER_ID} is pending.",
            f"Order {ORDER_ID} went from pending to ongoing.",
            f"Order {ORDER_ID} went from ongoing to completed.",
        ]
        assert ended.log.of("debug") == [f"Order {ORDER_ID} is still {status}." for status in ("pending", "ongoing")]
        assert ended.log.of("warning") == []

    @pytest.mark.parametrize("status", ["review", "waitingForApprove", "revision", "delayed"])
    def test_a_status_that_needs_a_person_is_a_warning_each_day(self, status: str) -> None:
        ended = wait_through(by_time({0: order(status), 49 * HOUR: order()}), rules(poke_interval=HOUR))
        warnings = [line for line in ended.log.of("warning") if status in line and "person" in line]
        assert len(warnings) == len(ended.log.of("warning")) == 3

    def test_just_before_a_day_has_passed_it_is_not_said_again(self) -> None:
        ended = wait_through(in_turn(order("review"), order("review"), order()), rules(poke_interval=DAY - 1))
        assert len(ended.log.of("warning")) == 1
        ended = wait_through(in_turn(order("review"), order("review"), order()), rules(poke_interval=DAY))
        assert len(ended.log.of("warning")) == 2

    def test_each_such_status_is_said(self) -> None:
        ended = wait_through(in_turn(order("review"), order("delayed"), order("review"), order()), rules())
        assert len([line for line in ended.log.of("warning") if "delayed" in line]) == 1

    @pytest.mark.parametrize("status", ["pending", "ongoing", "qualityCheck", "waitingForCC", "readyToSent"])
    def test_other_known_statuses_are_no_warning(self, status: str) -> None:
        assert wait_through(in_turn(order(status), order()), rules()).log.of("warning") == []

    def test_an_unknown_status_is_one_warning_however_often_it_comes(self) -> None:
        odd, ongoing = order("transcoding"), order("ongoing")
        ended = wait_through(in_turn(odd, odd, ongoing, odd, order("uploading"), odd, order()), rules())
        assert [("transcoding" in line, "uploading" in line) for line in ended.log.of("warning")] == [
            (True, False),
            (False, True),
        ]

    def test_an_unknown_status_that_another_task_saw_first_is_warned_of_too(self) -> None:
        story = in_turn(order("transcoding"), order())
        ended = wait_through(story, rules(), memory=WaitMemory(last_status="transcoding"))
        (line,) = ended.log.of("warning")
        assert "transcoding" in line

    def test_unknown_statuses_named_in_the_rules_are_said_once_and_before_all(self) -> None:
        wanted = rules(target_statuses=frozenset({"published"}), failure_statuses=frozenset({"canceled"}))
        said = wait_through(in_turn(order("ongoing"), order("published")), wanted).log.of("warning")
        assert sorted(said) == [
            "'canceled' is no status Ollang is known to have (did you mean 'cancelled'?); it is used all the same.",
            "'published' is no status Ollang is known to have; it is used all the same.",
        ]
