"""A wait for the result of a rerun: the old result is never believed, the new one never refused."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang.domain.polling import Decision, PollState
from airflow_provider_ollang.exceptions import (
    OllangOrderFailedError,
    OllangStaleResultError,
    OllangTimeoutError,
    OllangUnavailableError,
)
from tests.unit.builders import (
    ORDER_ID,
    SIGNATURE,
    START,
    Outcome,
    Setup,
    by_time,
    document,
    event,
    in_turn,
    new_document,
    new_result,
    one_poll,
    order,
    rerun_of,
    setup,
    source_document,
    wait_through,
)

HOUR = 3600.0
OLD = order()
NEW = new_result()
#: Reported by an event, with the old files still in place.
REPORTED = order(deliveryEvents=[*OLD["deliveryEvents"], event()])
ONGOING = order("ongoing")
DOWN = OllangUnavailableError("Could not get it: 503.")


def for_rerun(*, before: Any = OLD, seen_running: bool = False, **changes: Any) -> Setup:
    return setup(rerun=rerun_of(before, seen_running=seen_running), **changes)


def outputs_of(outcome: Outcome) -> list[str]:
    assert outcome.result is not None, outcome.error
    return [one["id"] for one in outcome.result["outputs"]]


class TestTheWholeStory:
    def test_from_the_old_result_to_the_new_one(self) -> None:
        story = {0: OLD, 120: order("pending"), 180: ONGOING, 600: OLD, 660: NEW}
        outcome = wait_through(by_time(story), for_rerun())
        assert outcome.polls[-1] == 660
        assert outputs_of(outcome) == ["doc_new"]
        assert outcome.result is not None
        assert (outcome.result["evidence"], outcome.result["outputs_changed"]) == (["documents", "running"], True)
        assert SIGNATURE not in str(outcome.result)
        assert outcome.log.of("warning") == []
        assert outcome.log.of("info") == [
            f"Order {ORDER_ID} is completed.",
            f"Order {ORDER_ID} is still completed with its previous result; waiting for the rerun.",
            f"Order {ORDER_ID} went from completed to pending.",
            f"Order {ORDER_ID} went from pending to ongoing.",
            f"Order {ORDER_ID} went from ongoing to completed.",
            f"Order {ORDER_ID} is completed (evidence: running); its outputs are still the previous ones.",
        ]

    @pytest.mark.parametrize(
        ("sight", "evidence"),
        [
            pytest.param(NEW, ["documents"], id="documents"),
            pytest.param(
                new_result(deliveryEvents=[*OLD["deliveryEvents"], event()]), ["event", "documents"], id="both"
            ),
            pytest.param(new_result("delivered"), ["documents"], id="delivered"),
        ],
    )
    def test_a_run_too_fast_to_be_seen(self, sight: dict[str, Any], evidence: list[str]) -> None:
        outcome = wait_through(in_turn(OLD, sight), for_rerun())
        assert outcome.polls == [0, 60]
        assert outputs_of(outcome) == ["doc_new"]
        assert outcome.result is not None
        assert outcome.result["evidence"] == evidence

    def test_a_status_that_changes_late(self) -> None:
        outcome = wait_through(by_time({0: OLD, 7000: ONGOING, 9000: NEW}), for_rerun())
        assert outputs_of(outcome) == ["doc_new"]

    def test_the_old_result_taken_back_while_it_runs(self) -> None:
        empty, null = order("ongoing", orderDocs=[], vttUrl=None), order("ongoing", orderDocs=None)
        outcome = wait_through(in_turn(OLD, empty, null, order(orderDocs=[]), NEW), for_rerun())
        assert outcome.polls == [0, 60, 120, 180, 240]
        assert outputs_of(outcome) == ["doc_new"]

    def test_outputs_that_come_one_by_one(self) -> None:
        translation = document(id="doc_translation", type="translation")
        new_translation = new_document(id="doc_translation_new", type="translation")
        before = order(orderDocs=[source_document(), document(), translation])
        first = order(orderDocs=[source_document(), new_document(), translation])
        both = order(orderDocs=[source_document(), new_document(), new_translation])
        outcome = wait_through(in_turn(before, first, both), for_rerun(before=before))
        assert outcome.polls == [0, 60, 120]
        assert outputs_of(outcome) == ["doc_new", "doc_translation_new"]

    def test_a_replica_that_answers_the_past_now_and_then(self) -> None:
        outcome = wait_through(in_turn(OLD, ONGOING, OLD, ONGOING, OLD, ONGOING, NEW), for_rerun())
        assert outcome.polls == [0, 60, 120, 180, 240, 300, 360]
        assert outputs_of(outcome) == ["doc_new"]

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    def test_a_run_that_fails(self, status: str) -> None:
        outcome = wait_through(in_turn(OLD, ONGOING, order(status)), for_rerun())
        assert outcome.polls == [0, 60, 120]
        assert isinstance(outcome.error, OllangOrderFailedError)
        assert repr(status) in str(outcome.error)

    def test_a_human_review_cancelled_half_way(self) -> None:
        before, running = order(level=1), order("ongoing", level=1)
        outcome = wait_through(in_turn(before, running, order(level=0)), for_rerun(before=before))
        assert isinstance(outcome.error, OllangStaleResultError)
        assert "level" in str(outcome.error)

    def test_the_draft_of_the_ai_is_not_the_result(self) -> None:
        before = order(level=1)
        draft = [*OLD["deliveryEvents"], event("ai_delivered", "2024-03-01T12:01:00Z")]
        sights = (order(level=1, deliveryEvents=draft), new_result(level=1, deliveryEvents=[*draft, event()]))
        outcome = wait_through(in_turn(before, *sights), for_rerun(before=before))
        assert outcome.polls == [0, 60, 120]
        assert outputs_of(outcome) == ["doc_new"]

    def test_evaluation_of_the_old_result_is_not_handed_on(self) -> None:
        old = {"id": "eval_1", "createdAt": "2024-01-20T00:00:00Z", "scores": []}
        before = order(latestEvaluation=old)
        outcome = wait_through(in_turn(new_result(latestEvaluation=old)), for_rerun(before=before))
        assert outcome.result is not None
        assert outcome.result["evaluation"] is None


class TestDenseStart:
    """Just after the request a rerun is polled often, so that a short run is observed running, too."""

    JUST_REQUESTED = START - HOUR

    def test_polls_after_1_3_6_11_19_and_30_seconds(self) -> None:
        outcome = wait_through(in_turn(OLD), for_rerun(timeout=200), start=self.JUST_REQUESTED)
        assert outcome.polls == [0, 1, 3, 6, 11, 19, 30, 90, 150, 200]

    def test_ends_when_the_order_is_observed_running(self) -> None:
        outcome = wait_through(by_time({0: OLD, 3: ONGOING, 123: NEW}), for_rerun(), start=self.JUST_REQUESTED)
        assert outcome.polls == [0, 1, 3, 63, 123]

    def test_takes_up_where_another_process_left_off(self) -> None:
        outcome = wait_through(in_turn(OLD), for_rerun(timeout=100), start=self.JUST_REQUESTED + 7)
        assert outcome.polls == [0, 4, 12, 23, 83, 100]

    @pytest.mark.parametrize("ahead", [5.0, 86_400.0])
    def test_counts_from_the_start_where_the_server_is_ahead(self, ahead: float) -> None:
        outcome = wait_through(in_turn(OLD), for_rerun(timeout=100), start=self.JUST_REQUESTED - ahead)
        assert outcome.polls[:4] == [0, 1, 3, 6]

    @pytest.mark.parametrize("since", [30.0, 86_400.0])
    def test_needs_a_rerun_that_is_new(self, since: float) -> None:
        outcome = wait_through(in_turn(OLD), for_rerun(timeout=100), start=self.JUST_REQUESTED + since)
        assert outcome.polls == [0, 60, 100]

    @pytest.mark.parametrize(
        "wait",
        [
            setup(timeout=100),
            setup(rerun=rerun_of(OLD, requested_at=None), timeout=100),
            setup(rerun=rerun_of(OLD, seen_running=True), target_statuses=frozenset({"published"}), timeout=100),
        ],
        ids=["no rerun", "no time of the request", "observed running before"],
    )
    def test_is_for_new_reruns_only(self, wait: Setup) -> None:
        assert wait_through(in_turn(order("review")), wait, start=self.JUST_REQUESTED).polls == [0, 60, 100]

    def test_is_never_slower_than_the_interval(self) -> None:
        outcome = wait_through(in_turn(OLD), for_rerun(poll_interval=4, timeout=20), start=self.JUST_REQUESTED)
        assert outcome.polls == [0, 1, 3, 6, 10, 11, 15, 19, 20]

    def test_does_not_count_for_exponential_backoff(self) -> None:
        wait = for_rerun(exponential_backoff=True, timeout=400)
        outcome = wait_through(in_turn(OLD), wait, start=self.JUST_REQUESTED)
        assert outcome.polls == [0, 1, 3, 6, 11, 19, 30, 90, 210, 400]


class TestNothingNew:
    """The order says that it is done, and nothing shows that this is the rerun's doing."""

    def test_for_two_hours_is_a_stale_result(self) -> None:
        outcome = wait_through(in_turn(OLD), for_rerun())
        assert outcome.polls == [60.0 * number for number in range(121)]
        assert isinstance(outcome.error, OllangStaleResultError)
        assert outcome.error.order_id == ORDER_ID
        for part in (ORDER_ID, "'completed'", "2 h", "2 delivery events", "doc_old", "never observed running"):
            assert part in str(outcome.error)
        assert SIGNATURE not in str(outcome.error)

    @pytest.mark.parametrize("status", ["completed", "delivered"])
    def test_is_looked_at_once_more_at_the_end(self, status: str) -> None:
        outcome = wait_through(in_turn(order(status)), for_rerun(stale_timeout=100))
        assert outcome.polls == [0, 60, 100]
        assert isinstance(outcome.error, OllangStaleResultError)

    def test_that_last_look_may_find_the_result(self) -> None:
        outcome = wait_through(by_time({0: OLD, 100: NEW}), for_rerun(stale_timeout=100))
        assert outcome.polls == [0, 60, 100]
        assert outputs_of(outcome) == ["doc_new"]

    def test_is_said_once_and_then_only_for_debugging(self) -> None:
        outcome = wait_through(in_turn(OLD), for_rerun(stale_timeout=300))
        assert len([line for line in outcome.log.of("info") if "its previous result" in line]) == 1
        assert len([line for line in outcome.log.of("debug") if "its previous result" in line]) == 5

    def test_counts_from_the_first_such_look(self) -> None:
        outcome = wait_through(by_time({0: order("pending"), 600: order("revision"), 1200: OLD}), for_rerun())
        assert outcome.result is not None
        outcome = wait_through(by_time({0: order("revision"), 1200: OLD}), for_rerun(stale_timeout=100))
        assert outcome.polls[-1] == 1300
        assert isinstance(outcome.error, OllangStaleResultError)

    def test_counts_anew_after_any_other_status(self) -> None:
        story = {0: OLD, 90: order("revision"), 150: OLD, 1000: NEW}
        outcome = wait_through(by_time(story), for_rerun(stale_timeout=100))
        assert outcome.polls == [0, 60, 100, 160, 220, 260]
        assert isinstance(outcome.error, OllangStaleResultError)

    def test_goes_on_counting_through_a_change_of_done_status_and_failed_looks(self) -> None:
        story = {0: OLD, 60: order("delivered"), 120: DOWN, 180: OLD}
        outcome = wait_through(by_time(story), for_rerun(stale_timeout=240))
        assert outcome.polls == [0, 60, 120, 180, 240]
        assert isinstance(outcome.error, OllangStaleResultError)

    def test_of_no_time_at_all_ends_at_the_first_look(self) -> None:
        assert isinstance(one_poll(OLD, for_rerun(stale_timeout=0)).error, OllangStaleResultError)

    def test_may_be_accepted(self) -> None:
        outcome = wait_through(in_turn(OLD), for_rerun(stale_timeout=100, on_no_evidence="accept"))
        assert outcome.polls == [0, 60, 100]
        assert outputs_of(outcome) == ["doc_old"]
        assert outcome.result is not None
        assert (outcome.result["evidence"], outcome.result["outputs_changed"]) == ([], False)
        (warning,) = outcome.log.of("warning")
        for part in (ORDER_ID, "without evidence", "on_no_evidence='accept'", "doc_old"):
            assert part in warning

    def test_is_accepted_only_in_a_target_status(self) -> None:
        wanted = for_rerun(
            target_statuses=frozenset({"delivered"}), stale_timeout=100, on_no_evidence="accept", timeout=HOUR
        )
        outcome = wait_through(in_turn(OLD), wanted)
        assert isinstance(outcome.error, OllangTimeoutError)
        assert outcome.polls[-1] == HOUR
        outcome = wait_through(by_time({0: OLD, 1000: order("delivered")}), wanted)
        assert outcome.result is not None
        assert outcome.result["evidence"] == []

    def test_fails_in_any_done_status(self) -> None:
        wanted = for_rerun(target_statuses=frozenset({"delivered"}), stale_timeout=100)
        assert isinstance(wait_through(in_turn(OLD), wanted).error, OllangStaleResultError)

    def test_until_the_deadline_is_a_timeout_that_says_so(self) -> None:
        outcome = wait_through(in_turn(OLD), for_rerun(timeout=HOUR))
        assert outcome.polls[-1] == HOUR
        assert isinstance(outcome.error, OllangTimeoutError)
        for part in ("60 min", "last status was 'completed'", "nothing shows that its result is the rerun's"):
            assert part in str(outcome.error)
        unfinished = wait_through(in_turn(OLD, ONGOING), for_rerun(timeout=HOUR)).error
        assert isinstance(unfinished, OllangTimeoutError)
        assert "nothing shows" not in str(unfinished)

    def test_at_a_deadline_that_is_also_the_end_of_patience_is_stale(self) -> None:
        assert isinstance(wait_through(in_turn(OLD), for_rerun(timeout=7200)).error, OllangStaleResultError)


class TestConfirmedBaseline:
    """Clocks that differ: the new result looks older than the request, and so does what a lagging replica hid."""

    AHEAD = order(deliveryEvents=[*OLD["deliveryEvents"], event(at="2024-03-01T11:59:00Z")])

    def test_lets_a_result_count_that_looks_older_than_the_request(self) -> None:
        outcome = wait_through(by_time({0: OLD, 601: self.AHEAD}), for_rerun())
        assert outcome.polls[-3:] == [660, 720, 780]
        assert outcome.result is not None
        assert outcome.result["evidence"] == ["event"]

    @pytest.mark.parametrize("appears", [0, 60, 600])
    def test_takes_ten_minutes_without_withheld_changes(self, appears: float) -> None:
        story: dict[float, Any] = {0: OLD} | {appears: self.AHEAD}
        assert isinstance(wait_through(by_time(story), for_rerun()).error, OllangStaleResultError)

    def test_does_not_come_from_a_lagging_replica(self) -> None:
        outcome = wait_through(in_turn(OLD, self.AHEAD, OLD, OLD, OLD, self.AHEAD), for_rerun())
        assert isinstance(outcome.error, OllangStaleResultError)

    def test_is_remembered_by_the_next_try(self) -> None:
        state = PollState()
        first = wait_through(in_turn(OLD), for_rerun(timeout=700), state=state)
        assert isinstance(first.error, OllangTimeoutError)
        again = wait_through(in_turn(self.AHEAD), for_rerun(), state=state.for_new_try())
        assert again.result is not None
        assert again.result["evidence"] == ["event"]

    def test_counts_from_the_last_time_the_order_was_first_seen_done(self) -> None:
        story = {0: OLD, 400: order("revision"), 700: OLD, 1250: self.AHEAD}
        outcome = wait_through(by_time(story), for_rerun(poll_interval=10, stale_timeout=900))
        assert isinstance(outcome.error, OllangStaleResultError)


class TestMovedLevel:
    def test_is_not_the_rerun_at_work(self) -> None:
        review = order("ongoing", level=1)
        outcome = wait_through(in_turn(OLD, review, OLD), for_rerun(stale_timeout=600))
        assert isinstance(outcome.error, OllangStaleResultError)
        assert "never observed running" in str(outcome.error)


class TestLateOutputs:
    """The status is proven to be the rerun's, the outputs are still the old ones."""

    @pytest.mark.parametrize(
        ("story", "evidence"),
        [
            pytest.param([OLD, REPORTED], ["event"], id="event"),
            pytest.param([ONGOING, OLD], ["running"], id="running"),
            pytest.param([ONGOING, REPORTED], ["event", "running"], id="both"),
        ],
    )
    def test_are_waited_for_and_then_the_result_says_that_they_never_came(
        self, story: list[Any], evidence: list[str]
    ) -> None:
        outcome = wait_through(in_turn(*story), for_rerun())
        assert outcome.polls == [0, 60, 120, 180]
        assert outputs_of(outcome) == ["doc_old"]
        assert outcome.result is not None
        assert (outcome.result["evidence"], outcome.result["outputs_changed"]) == (evidence, False)
        (warning,) = outcome.log.of("warning")
        for part in (ORDER_ID, "completed", ", ".join(evidence), "outputs_changed"):
            assert part in warning

    def test_of_one_type_are_waited_for_until_as_many_are_new_as_there_were(self) -> None:
        two = order(orderDocs=[document(id="a"), document(id="b")])
        first, both = (order(orderDocs=[new_document(id=name) for name in names]) for names in ("c", "cd"))
        outcome = wait_through(by_time({0: first, 60: both}), for_rerun(before=two))
        assert outcome.polls == [0, 60]
        assert sorted(outputs_of(outcome)) == ["c", "d"]
        assert outcome.log.of("warning") == []

    def test_of_one_type_that_stay_fewer_are_a_warning(self) -> None:
        two = order(orderDocs=[document(id="a"), document(id="b")])
        outcome = wait_through(in_turn(order(orderDocs=[new_document(id="c")])), for_rerun(before=two))
        assert outcome.polls == [0, 60, 120]
        assert outputs_of(outcome) == ["c"]
        assert outcome.result is not None
        assert outcome.result["outputs_changed"] is True
        (warning,) = outcome.log.of("warning")
        assert "some of its new outputs may be missing" in warning

    def test_end_the_wait_when_they_come(self) -> None:
        new = new_result(deliveryEvents=REPORTED["deliveryEvents"])
        outcome = wait_through(by_time({0: REPORTED, 60: new}), for_rerun())
        assert outcome.polls == [0, 60]
        assert outputs_of(outcome) == ["doc_new"]
        assert outcome.log.of("warning") == []

    def test_are_looked_for_once_more_at_the_end(self) -> None:
        wanted = for_rerun(outputs_timeout=100)
        assert wait_through(in_turn(REPORTED), wanted).polls == [0, 60, 100]
        new = new_result(deliveryEvents=REPORTED["deliveryEvents"])
        assert outputs_of(wait_through(by_time({0: REPORTED, 100: new}), wanted)) == ["doc_new"]

    def test_are_not_waited_for_without_patience(self) -> None:
        outcome = wait_through(in_turn(REPORTED), for_rerun(outputs_timeout=0))
        assert outcome.polls == [0]
        assert outputs_of(outcome) == ["doc_old"]

    def test_are_announced_once(self) -> None:
        outcome = wait_through(in_turn(REPORTED), for_rerun(poll_interval=10))
        assert len([line for line in outcome.log.of("info") if "still the previous ones" in line]) == 1

    def test_are_waited_for_anew_after_any_unfinished_look(self) -> None:
        outcome = wait_through(by_time({0: REPORTED, 100: ONGOING, 160: REPORTED}), for_rerun())
        assert outcome.polls == [0, 60, 120, 180, 240, 300]
        assert outputs_of(outcome) == ["doc_old"]

    def test_are_waited_for_through_failed_looks(self) -> None:
        outcome = wait_through(by_time({0: REPORTED, 60: DOWN, 200: REPORTED}), for_rerun())
        assert outcome.polls == [0, 60, 120, 240]
        assert outputs_of(outcome) == ["doc_old"]

    def test_are_no_reason_to_miss_the_deadline(self) -> None:
        outcome = wait_through(in_turn(OLD, REPORTED), for_rerun(timeout=100))
        assert outcome.polls == [0, 60, 100]
        assert outputs_of(outcome) == ["doc_old"]
        assert len(outcome.log.of("warning")) == 1

    def test_follow_what_the_receipt_has_seen(self) -> None:
        outcome = wait_through(in_turn(OLD), for_rerun(seen_running=True))
        assert outcome.polls == [0, 60, 120]
        assert outcome.result is not None
        assert outcome.result["evidence"] == ["running"]

    def test_follow_what_the_memory_has_seen(self) -> None:
        outcome = wait_through(in_turn(OLD), for_rerun(), state=PollState(seen_running=True))
        assert outcome.polls == [0, 60, 120]

    @pytest.mark.parametrize("status", ["revision", "failed", "cancelled"])
    def test_do_not_follow_a_status_that_shows_no_work(self, status: str) -> None:
        wanted = for_rerun(failure_statuses=frozenset(), stale_timeout=600)
        outcome = wait_through(in_turn(OLD, order(status), OLD), wanted)
        assert isinstance(outcome.error, OllangStaleResultError)

    def test_of_an_order_that_never_had_any(self) -> None:
        before = order(orderDocs=[])
        seen = order(orderDocs=[], deliveryEvents=REPORTED["deliveryEvents"])
        outcome = wait_through(in_turn(seen), for_rerun(before=before))
        assert outcome.polls == [0, 60, 120]
        assert outputs_of(outcome) == []

    def test_evidence_that_a_replica_hides_for_a_while_is_no_less_evidence(self) -> None:
        outcome = wait_through(in_turn(REPORTED, OLD, REPORTED), for_rerun())
        assert outcome.polls == [0, 60, 120]
        assert outputs_of(outcome) == ["doc_old"]


class TestTargets:
    DELIVERED = frozenset({"delivered"})

    def test_a_new_result_in_another_done_status_is_waited_on(self) -> None:
        story = {0: OLD, 120: NEW, 9000: new_result("delivered")}
        outcome = wait_through(by_time(story), for_rerun(target_statuses=self.DELIVERED))
        assert outcome.polls[-1] == 9000
        assert outputs_of(outcome) == ["doc_new"]
        assert outcome.log.of("warning") == []

    def test_late_outputs_count_from_the_target_status(self) -> None:
        reported = REPORTED["deliveryEvents"]
        story = {0: REPORTED, 600: order("delivered", deliveryEvents=reported)}
        outcome = wait_through(by_time(story), for_rerun(target_statuses=self.DELIVERED))
        assert outcome.polls[-1] == 720

    def test_a_new_result_in_another_done_status_up_to_the_deadline(self) -> None:
        outcome = wait_through(in_turn(OLD, NEW), for_rerun(target_statuses=self.DELIVERED, timeout=HOUR))
        assert isinstance(outcome.error, OllangTimeoutError)
        assert "reach 'delivered' with a new result within" in str(outcome.error)
        assert "nothing shows" not in str(outcome.error)

    @pytest.mark.parametrize("status", ["ongoing", "review", "qualityCheck", "published"])
    def test_an_unfinished_status_may_be_the_target(self, status: str) -> None:
        outcome = wait_through(in_turn(OLD, order(status)), for_rerun(target_statuses=frozenset({status})))
        assert outcome.polls == [0, 60]
        assert outcome.result is not None
        assert (outcome.result["status"], outcome.result["evidence"]) == (status, ["running"])
        assert outcome.result["outputs_changed"] is False

    @pytest.mark.parametrize("status", ["failed", "cancelled", "revision"])
    @pytest.mark.parametrize(("story", "evidence"), [([OLD], []), ([OLD, ONGOING], ["running"])])
    def test_so_may_a_status_that_shows_no_work(self, status: str, story: list[Any], evidence: list[str]) -> None:
        wanted = for_rerun(target_statuses=frozenset({"completed", status}), failure_statuses=frozenset(), timeout=HOUR)
        outcome = wait_through(in_turn(*story, order(status)), wanted)
        assert len(outcome.polls) == len(story) + 1
        assert outcome.result is not None
        assert (outcome.result["status"], outcome.result["evidence"]) == (status, evidence)

    def test_a_done_status_that_means_failure_must_be_new_as_well(self) -> None:
        wanted = for_rerun(target_statuses=self.DELIVERED, failure_statuses=frozenset({"completed"}))
        assert one_poll(OLD, wanted) == Decision(pause=60)
        assert isinstance(one_poll(NEW, wanted).error, OllangOrderFailedError)
