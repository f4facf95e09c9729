"""A wait for the result of a rerun: the old result is never believed, the new one never refused."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang.domain.polling import Step, WaitMemory, WaitRules
from airflow_provider_ollang.exceptions import (
    OllangOrderFailedError,
    OllangStaleResultError,
    OllangTimeoutError,
    OllangUnavailableError,
)
from tests.unit.builders import (
    ORDER_ID,
    SIGNATURE,
    Ended,
    by_time,
    document,
    event,
    in_turn,
    new_document,
    new_result,
    one_look,
    order,
    rerun_of,
    rules,
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


def for_rerun(*, before: Any = OLD, seen_running: bool = False, **changes: Any) -> WaitRules:
    return rules(rerun=rerun_of(before, seen_running=seen_running), **changes)


def outputs_of(ended: Ended) -> list[str]:
    assert ended.result is not None, ended.error
    return [one["id"] for one in ended.result["outputs"]]


class TestTheWholeStory:
    def test_from_the_old_result_to_the_new_one(self) -> None:
        story = {0: OLD, 120: order("pending"), 180: ONGOING, 600: OLD, 660: NEW}
        ended = wait_through(by_time(story), for_rerun())
        assert ended.looks[-1] == 660
        assert outputs_of(ended) == ["doc_new"]
        assert ended.result is not None
        assert (ended.result["evidence"], ended.result["outputs_changed"]) == (["documents", "running"], True)
        assert SIGNATURE not in str(ended.result)
        assert ended.log.of("warning") == []
        assert ended.log.of("info") == [
            f"Order {ORDER_ID} is completed.",
            f"Order {ORDER_ID} still says completed, and nothing shows that this is the rerun's result: not believed.",
            f"Order {ORDER_ID} went from completed to pending.",
            f"Order {ORDER_ID} went from pending to ongoing.",
            f"Order {ORDER_ID} went from ongoing to completed.",
            f"Order {ORDER_ID} is completed (evidence: running); its outputs are still the old ones.",
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
        ended = wait_through(in_turn(OLD, sight), for_rerun())
        assert ended.looks == [0, 60]
        assert outputs_of(ended) == ["doc_new"]
        assert ended.result is not None
        assert ended.result["evidence"] == evidence

    def test_a_status_that_changes_late(self) -> None:
        ended = wait_through(by_time({0: OLD, 7000: ONGOING, 9000: NEW}), for_rerun())
        assert outputs_of(ended) == ["doc_new"]

    def test_the_old_result_taken_back_while_it_runs(self) -> None:
        empty, null = order("ongoing", orderDocs=[], vttUrl=None), order("ongoing", orderDocs=None)
        ended = wait_through(in_turn(OLD, empty, null, order(orderDocs=[]), NEW), for_rerun())
        assert ended.looks == [0, 60, 120, 180, 240]
        assert outputs_of(ended) == ["doc_new"]

    def test_outputs_that_come_one_by_one(self) -> None:
        translation = document(id="doc_translation", type="translation")
        new_translation = new_document(id="doc_translation_new", type="translation")
        before = order(orderDocs=[source_document(), document(), translation])
        first = order(orderDocs=[source_document(), new_document(), translation])
        both = order(orderDocs=[source_document(), new_document(), new_translation])
        ended = wait_through(in_turn(before, first, both), for_rerun(before=before))
        assert ended.looks == [0, 60, 120]
        assert outputs_of(ended) == ["doc_new", "doc_translation_new"]

    def test_a_replica_that_answers_the_past_now_and_then(self) -> None:
        ended = wait_through(in_turn(OLD, ONGOING, OLD, ONGOING, OLD, ONGOING, NEW), for_rerun())
        assert ended.looks == [0, 60, 120, 180, 240, 300, 360]
        assert outputs_of(ended) == ["doc_new"]

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    def test_a_run_that_fails(self, status: str) -> None:
        ended = wait_through(in_turn(OLD, ONGOING, order(status)), for_rerun())
        assert ended.looks == [0, 60, 120]
        assert isinstance(ended.error, OllangOrderFailedError)
        assert repr(status) in str(ended.error)

    def test_a_human_review_cancelled_half_way(self) -> None:
        before, running = order(level=1), order("ongoing", level=1)
        ended = wait_through(in_turn(before, running, order(level=0)), for_rerun(before=before))
        assert isinstance(ended.error, OllangStaleResultError)
        assert "level" in str(ended.error)

    def test_the_draft_of_the_ai_is_not_the_result(self) -> None:
        before = order(level=1)
        draft = [*OLD["deliveryEvents"], event("ai_delivered", "2024-03-01T12:01:00Z")]
        sights = (order(level=1, deliveryEvents=draft), new_result(level=1, deliveryEvents=[*draft, event()]))
        ended = wait_through(in_turn(before, *sights), for_rerun(before=before))
        assert ended.looks == [0, 60, 120]
        assert outputs_of(ended) == ["doc_new"]

    def test_evaluation_of_the_old_result_is_not_handed_on(self) -> None:
        old = {"id": "eval_1", "createdAt": "2024-01-20T00:00:00Z", "scores": []}
        before = order(latestEvaluation=old)
        ended = wait_through(in_turn(new_result(latestEvaluation=old)), for_rerun(before=before))
        assert ended.result is not None
        assert ended.result["evaluation"] is None


class TestNothingNew:
    """The order says that it is done, and nothing shows that this is the rerun's doing."""

    def test_for_two_hours_is_a_stale_result(self) -> None:
        ended = wait_through(in_turn(OLD), for_rerun())
        assert ended.looks == [60.0 * number for number in range(121)]
        assert isinstance(ended.error, OllangStaleResultError)
        assert ended.error.order_id == ORDER_ID
        for part in (ORDER_ID, "'completed'", "2 h", "2 delivery events", "doc_old", "never seen at work"):
            assert part in str(ended.error)
        assert SIGNATURE not in str(ended.error)

    @pytest.mark.parametrize("status", ["completed", "delivered"])
    def test_is_looked_at_once_more_at_the_end(self, status: str) -> None:
        ended = wait_through(in_turn(order(status)), for_rerun(stale_timeout=100))
        assert ended.looks == [0, 60, 100]
        assert isinstance(ended.error, OllangStaleResultError)

    def test_that_last_look_may_find_the_result(self) -> None:
        ended = wait_through(by_time({0: OLD, 100: NEW}), for_rerun(stale_timeout=100))
        assert ended.looks == [0, 60, 100]
        assert outputs_of(ended) == ["doc_new"]

    def test_is_said_once_and_then_only_for_debugging(self) -> None:
        ended = wait_through(in_turn(OLD), for_rerun(stale_timeout=300))
        assert len([line for line in ended.log.of("info") if "not believed" in line]) == 1
        assert len([line for line in ended.log.of("debug") if "not believed" in line]) == 5

    def test_counts_from_the_first_such_look(self) -> None:
        ended = wait_through(by_time({0: order("pending"), 600: order("revision"), 1200: OLD}), for_rerun())
        assert ended.result is not None
        ended = wait_through(by_time({0: order("revision"), 1200: OLD}), for_rerun(stale_timeout=100))
        assert ended.looks[-1] == 1300
        assert isinstance(ended.error, OllangStaleResultError)

    def test_counts_anew_after_any_other_status(self) -> None:
        story = {0: OLD, 90: order("revision"), 150: OLD, 1000: NEW}
        ended = wait_through(by_time(story), for_rerun(stale_timeout=100))
        assert ended.looks == [0, 60, 100, 160, 220, 260]
        assert isinstance(ended.error, OllangStaleResultError)

    def test_goes_on_counting_through_a_change_of_done_status_and_failed_looks(self) -> None:
        story = {0: OLD, 60: order("delivered"), 120: DOWN, 180: OLD}
        ended = wait_through(by_time(story), for_rerun(stale_timeout=240))
        assert ended.looks == [0, 60, 120, 180, 240]
        assert isinstance(ended.error, OllangStaleResultError)

    def test_of_no_time_at_all_ends_at_the_first_look(self) -> None:
        assert isinstance(one_look(OLD, for_rerun(stale_timeout=0)).error, OllangStaleResultError)

    def test_may_be_accepted(self) -> None:
        ended = wait_through(in_turn(OLD), for_rerun(stale_timeout=100, on_no_evidence="accept"))
        assert ended.looks == [0, 60, 100]
        assert outputs_of(ended) == ["doc_old"]
        assert ended.result is not None
        assert (ended.result["evidence"], ended.result["outputs_changed"]) == ([], False)
        (warning,) = ended.log.of("warning")
        for part in (ORDER_ID, "without evidence", "on_no_evidence='accept'", "doc_old"):
            assert part in warning

    def test_is_accepted_only_in_a_target_status(self) -> None:
        wanted = for_rerun(
            target_statuses=frozenset({"delivered"}), stale_timeout=100, on_no_evidence="accept", timeout=HOUR
        )
        ended = wait_through(in_turn(OLD), wanted)
        assert isinstance(ended.error, OllangTimeoutError)
        assert ended.looks[-1] == HOUR
        ended = wait_through(by_time({0: OLD, 1000: order("delivered")}), wanted)
        assert ended.result is not None
        assert ended.result["evidence"] == []

    def test_fails_in_any_done_status(self) -> None:
        wanted = for_rerun(target_statuses=frozenset({"delivered"}), stale_timeout=100)
        assert isinstance(wait_through(in_turn(OLD), wanted).error, OllangStaleResultError)

    def test_until_the_deadline_is_a_timeout_that_says_so(self) -> None:
        ended = wait_through(in_turn(OLD), for_rerun(timeout=HOUR))
        assert ended.looks[-1] == HOUR
        assert isinstance(ended.error, OllangTimeoutError)
        for part in ("60 min", "last status was 'completed'", "not believed"):
            assert part in str(ended.error)
        unfinished = wait_through(in_turn(OLD, ONGOING), for_rerun(timeout=HOUR)).error
        assert isinstance(unfinished, OllangTimeoutError)
        assert "believed" not in str(unfinished)

    def test_at_a_deadline_that_is_also_the_end_of_patience_is_stale(self) -> None:
        assert isinstance(wait_through(in_turn(OLD), for_rerun(timeout=7200)).error, OllangStaleResultError)


class TestConfirmedBaseline:
    """Clocks that differ: the new result looks older than the request, and so does what a lagging replica hid."""

    AHEAD = order(deliveryEvents=[*OLD["deliveryEvents"], event(at="2024-03-01T11:59:00Z")])

    def test_lets_a_result_count_that_looks_older_than_the_request(self) -> None:
        ended = wait_through(by_time({0: OLD, 601: self.AHEAD}), for_rerun())
        assert ended.looks[-3:] == [660, 720, 780]
        assert ended.result is not None
        assert ended.result["evidence"] == ["event"]

    @pytest.mark.parametrize("appears", [0, 60, 600])
    def test_takes_ten_minutes_without_withheld_changes(self, appears: float) -> None:
        story: dict[float, Any] = {0: OLD} | {appears: self.AHEAD}
        assert isinstance(wait_through(by_time(story), for_rerun()).error, OllangStaleResultError)

    def test_does_not_come_from_a_lagging_replica(self) -> None:
        ended = wait_through(in_turn(OLD, self.AHEAD, OLD, OLD, OLD, self.AHEAD), for_rerun())
        assert isinstance(ended.error, OllangStaleResultError)

    def test_is_remembered_by_the_next_try(self) -> None:
        memory = WaitMemory()
        first = wait_through(in_turn(OLD), for_rerun(timeout=700), memory=memory)
        assert isinstance(first.error, OllangTimeoutError)
        again = wait_through(in_turn(self.AHEAD), for_rerun(), memory=memory.for_new_try())
        assert again.result is not None
        assert again.result["evidence"] == ["event"]

    def test_counts_from_the_last_time_the_order_was_first_seen_done(self) -> None:
        story = {0: OLD, 400: order("revision"), 700: OLD, 1250: self.AHEAD}
        ended = wait_through(by_time(story), for_rerun(poke_interval=10, stale_timeout=900))
        assert isinstance(ended.error, OllangStaleResultError)


class TestMovedLevel:
    def test_is_not_the_rerun_at_work(self) -> None:
        review = order("ongoing", level=1)
        ended = wait_through(in_turn(OLD, review, OLD), for_rerun(stale_timeout=600))
        assert isinstance(ended.error, OllangStaleResultError)
        assert "never seen at work" in str(ended.error)


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
        ended = wait_through(in_turn(*story), for_rerun())
        assert ended.looks == [0, 60, 120, 180]
        assert outputs_of(ended) == ["doc_old"]
        assert ended.result is not None
        assert (ended.result["evidence"], ended.result["outputs_changed"]) == (evidence, False)
        (warning,) = ended.log.of("warning")
        for part in (ORDER_ID, "completed", ", ".join(evidence), "outputs_changed"):
            assert part in warning

    def test_of_one_type_are_waited_for_until_as_many_are_new_as_there_were(self) -> None:
        two = order(orderDocs=[document(id="a"), document(id="b")])
        first, both = (order(orderDocs=[new_document(id=name) for name in names]) for names in ("c", "cd"))
        ended = wait_through(by_time({0: first, 60: both}), for_rerun(before=two))
        assert ended.looks == [0, 60]
        assert sorted(outputs_of(ended)) == ["c", "d"]
        assert ended.log.of("warning") == []

    def test_of_one_type_that_stay_fewer_are_a_warning(self) -> None:
        two = order(orderDocs=[document(id="a"), document(id="b")])
        ended = wait_through(in_turn(order(orderDocs=[new_document(id="c")])), for_rerun(before=two))
        assert ended.looks == [0, 60, 120]
        assert outputs_of(ended) == ["c"]
        assert ended.result is not None
        assert ended.result["outputs_changed"] is True
        (warning,) = ended.log.of("warning")
        assert "some of its new outputs may be missing" in warning

    def test_end_the_wait_when_they_come(self) -> None:
        new = new_result(deliveryEvents=REPORTED["deliveryEvents"])
        ended = wait_through(by_time({0: REPORTED, 60: new}), for_rerun())
        assert ended.looks == [0, 60]
        assert outputs_of(ended) == ["doc_new"]
        assert ended.log.of("warning") == []

    def test_are_looked_for_once_more_at_the_end(self) -> None:
        wanted = for_rerun(outputs_timeout=100)
        assert wait_through(in_turn(REPORTED), wanted).looks == [0, 60, 100]
        new = new_result(deliveryEvents=REPORTED["deliveryEvents"])
        assert outputs_of(wait_through(by_time({0: REPORTED, 100: new}), wanted)) == ["doc_new"]

    def test_are_not_waited_for_without_patience(self) -> None:
        ended = wait_through(in_turn(REPORTED), for_rerun(outputs_timeout=0))
        assert ended.looks == [0]
        assert outputs_of(ended) == ["doc_old"]

    def test_are_announced_once(self) -> None:
        ended = wait_through(in_turn(REPORTED), for_rerun(poke_interval=10))
        assert len([line for line in ended.log.of("info") if "still the old ones" in line]) == 1

    def test_are_waited_for_anew_after_any_unfinished_look(self) -> None:
        ended = wait_through(by_time({0: REPORTED, 100: ONGOING, 160: REPORTED}), for_rerun())
        assert ended.looks == [0, 60, 120, 180, 240, 300]
        assert outputs_of(ended) == ["doc_old"]

    def test_are_waited_for_through_failed_looks(self) -> None:
        ended = wait_through(by_time({0: REPORTED, 60: DOWN, 200: REPORTED}), for_rerun())
        assert ended.looks == [0, 60, 120, 240]
        assert outputs_of(ended) == ["doc_old"]

    def test_are_no_reason_to_miss_the_deadline(self) -> None:
        ended = wait_through(in_turn(OLD, REPORTED), for_rerun(timeout=100))
        assert ended.looks == [0, 60, 100]
        assert outputs_of(ended) == ["doc_old"]
        assert len(ended.log.of("warning")) == 1

    def test_follow_what_the_receipt_has_seen(self) -> None:
        ended = wait_through(in_turn(OLD), for_rerun(seen_running=True))
        assert ended.looks == [0, 60, 120]
        assert ended.result is not None
        assert ended.result["evidence"] == ["running"]

    def test_follow_what_the_memory_has_seen(self) -> None:
        ended = wait_through(in_turn(OLD), for_rerun(), memory=WaitMemory(seen_running=True))
        assert ended.looks == [0, 60, 120]

    @pytest.mark.parametrize("status", ["revision", "failed", "cancelled"])
    def test_do_not_follow_a_status_that_shows_no_work(self, status: str) -> None:
        wanted = for_rerun(failure_statuses=frozenset(), stale_timeout=600)
        ended = wait_through(in_turn(OLD, order(status), OLD), wanted)
        assert isinstance(ended.error, OllangStaleResultError)

    def test_of_an_order_that_never_had_any(self) -> None:
        before = order(orderDocs=[])
        seen = order(orderDocs=[], deliveryEvents=REPORTED["deliveryEvents"])
        ended = wait_through(in_turn(seen), for_rerun(before=before))
        assert ended.looks == [0, 60, 120]
        assert outputs_of(ended) == []

    def test_evidence_that_a_replica_hides_for_a_while_is_no_less_evidence(self) -> None:
        ended = wait_through(in_turn(REPORTED, OLD, REPORTED), for_rerun())
        assert ended.looks == [0, 60, 120]
        assert outputs_of(ended) == ["doc_old"]


class TestTargets:
    DELIVERED = frozenset({"delivered"})

    def test_a_new_result_in_another_done_status_is_waited_on(self) -> None:
        story = {0: OLD, 120: NEW, 9000: new_result("delivered")}
        ended = wait_through(by_time(story), for_rerun(target_statuses=self.DELIVERED))
        assert ended.looks[-1] == 9000
        assert outputs_of(ended) == ["doc_new"]
        assert ended.log.of("warning") == []

    def test_late_outputs_count_from_the_target_status(self) -> None:
        reported = REPORTED["deliveryEvents"]
        story = {0: REPORTED, 600: order("delivered", deliveryEvents=reported)}
        ended = wait_through(by_time(story), for_rerun(target_statuses=self.DELIVERED))
        assert ended.looks[-1] == 720

    def test_a_new_result_in_another_done_status_up_to_the_deadline(self) -> None:
        ended = wait_through(in_turn(OLD, NEW), for_rerun(target_statuses=self.DELIVERED, timeout=HOUR))
        assert isinstance(ended.error, OllangTimeoutError)
        assert "to 'delivered' within" in str(ended.error)
        assert "believed" not in str(ended.error)

    @pytest.mark.parametrize("status", ["ongoing", "review", "qualityCheck", "published"])
    def test_an_unfinished_status_may_be_the_target(self, status: str) -> None:
        ended = wait_through(in_turn(OLD, order(status)), for_rerun(target_statuses=frozenset({status})))
        assert ended.looks == [0, 60]
        assert ended.result is not None
        assert (ended.result["status"], ended.result["evidence"]) == (status, ["running"])
        assert ended.result["outputs_changed"] is False

    @pytest.mark.parametrize("status", ["failed", "cancelled", "revision"])
    @pytest.mark.parametrize(("story", "evidence"), [([OLD], []), ([OLD, ONGOING], ["running"])])
    def test_so_may_a_status_that_shows_no_work(self, status: str, story: list[Any], evidence: list[str]) -> None:
        wanted = for_rerun(target_statuses=frozenset({"completed", status}), failure_statuses=frozenset(), timeout=HOUR)
        ended = wait_through(in_turn(*story, order(status)), wanted)
        assert len(ended.looks) == len(story) + 1
        assert ended.result is not None
        assert (ended.result["status"], ended.result["evidence"]) == (status, evidence)

    def test_a_done_status_that_means_failure_must_be_new_as_well(self) -> None:
        wanted = for_rerun(target_statuses=self.DELIVERED, failure_statuses=frozenset({"completed"}))
        assert one_look(OLD, wanted) == Step(pause=60)
        assert isinstance(one_look(NEW, wanted).error, OllangOrderFailedError)
