"""What a wait remembers, and that a wait moved from process to process goes as one that stays."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_ollang.domain.polling import Wait, WaitMemory, WaitRules
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
    START,
    Ended,
    RecordingLog,
    Sight,
    document,
    event,
    in_turn,
    new_result,
    one_look,
    order,
    rerun_of,
    rules,
    source_document,
    wait_through,
)

DAY = 86_400.0
FULL = WaitMemory(
    last_status="review",
    seen_running=True,
    reminded={"review": START},
    unknown=["transcoding"],
    looks=3,
    failures=2,
    doubted_since=START + 1,
    done_since=START + 2,
    proven_since=START + 3,
    baseline_confirmed=True,
    evaluating=True,
)


class TestJson:
    def test_the_full_memory_has_no_default_left_in_it(self) -> None:
        fresh = WaitMemory()
        for one in dataclasses.fields(WaitMemory):
            assert getattr(FULL, one.name) != getattr(fresh, one.name), one.name

    @pytest.mark.parametrize("memory", [WaitMemory(), FULL], ids=["empty", "full"])
    def test_it_survives_json(self, memory: WaitMemory) -> None:
        assert WaitMemory.from_json(json.loads(json.dumps(memory.to_json()))) == memory

    def test_what_another_version_wrote_is_read_as_far_as_it_is_known(self) -> None:
        assert WaitMemory.from_json({}) == WaitMemory()
        assert WaitMemory.from_json({"failures": 4, "mood": "hopeful"}) == WaitMemory(failures=4)

    def test_reading_and_writing_it_copy(self) -> None:
        """Else what was stored would seem to hold already what is to be stored now."""
        stored = FULL.to_json()
        memory = WaitMemory.from_json(stored)
        memory.reminded["delayed"] = START
        memory.unknown.append("uploading")
        assert stored == FULL.to_json()
        written = memory.to_json()
        memory.reminded.clear()
        memory.unknown.clear()
        assert set(written["reminded"]) == {"review", "delayed"}
        assert written["unknown"] == ["transcoding", "uploading"]

    def test_a_reminder_given_after_a_round_trip_can_be_told_from_what_was_stored(self) -> None:
        stored = one_memory_after(order("review"), WaitMemory(), START)
        memory = WaitMemory.from_json(stored)
        now_known = one_memory_after(order("review"), memory, START + DAY)
        assert now_known["reminded"] == {"review": START + DAY}
        assert stored["reminded"] == {"review": START}


def one_memory_after(sight: dict[str, Any], memory: WaitMemory, now: float) -> dict[str, Any]:
    Wait(rules(), memory, START + 7 * DAY, RecordingLog()).saw(sight, now)
    return memory.to_json()


class TestRulesAsJson:
    @pytest.mark.parametrize(
        "wanted",
        [
            pytest.param(rules(), id="by default"),
            pytest.param(rules(target_statuses=frozenset({"delivered"}), failure_statuses=frozenset()), id="statuses"),
            pytest.param(rules(rerun=rerun_of(order(), seen_running=True)), id="of a rerun"),
            pytest.param(
                rules(rerun=dataclasses.replace(rerun_of(order()), baseline_confirmed=True)),
                id="of a confirmed baseline",
            ),
            pytest.param(rules(rerun=rerun_of({}, requested_at=None)), id="of a rerun of which nothing is known"),
            pytest.param(
                rules(
                    exponential_backoff=True, max_wait=5.5, timeout=0.0, outlast_failures=True, on_no_evidence="accept"
                ),
                id="all else",
            ),
        ],
    )
    def test_they_survive_it(self, wanted: WaitRules) -> None:
        assert WaitRules.from_json(json.loads(json.dumps(wanted.to_json()))) == wanted

    def test_unknown_fields_of_a_newer_rerun_are_ignored(self) -> None:
        wanted = rules(rerun=rerun_of(order()))
        told = wanted.to_json()
        assert WaitRules.from_json({**told, "rerun": {**told["rerun"], "mood": "hopeful"}}) == wanted

    def test_what_another_version_wrote_is_read_as_far_as_it_is_known(self) -> None:
        assert WaitRules.from_json({**rules().to_json(), "mood": "hopeful"}) == rules()
        least = ("order_id", "target_statuses", "failure_statuses")
        assert WaitRules.from_json({name: rules().to_json()[name] for name in least}) == rules()

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
    def test_what_is_none_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(OllangConfigurationError):
            WaitRules.from_json({**rules().to_json(), **changes})
        with pytest.raises(OllangConfigurationError):
            WaitRules.from_json({})


class TestForNewTry:
    def test_facts_stay_and_clocks_go(self) -> None:
        assert FULL.for_new_try() == WaitMemory(
            last_status="review",
            seen_running=True,
            reminded={"review": START},
            unknown=["transcoding"],
            baseline_confirmed=True,
        )

    def test_the_old_try_is_left_as_it_was(self) -> None:
        memory = copy.deepcopy(FULL)
        new = memory.for_new_try()
        new.reminded["delayed"] = START
        new.unknown.append("uploading")
        assert memory == FULL

    def test_what_was_seen_running_still_proves_the_result(self) -> None:
        memory = WaitMemory()
        wanted = rules(rerun=rerun_of(order()))
        one_look(order("ongoing"), wanted, memory)
        ended = wait_through(in_turn(order()), wanted, memory=memory.for_new_try())
        assert ended.result is not None
        assert ended.result["evidence"] == ["running"]

    def test_patience_begins_anew(self) -> None:
        old = WaitMemory(last_status="completed", done_since=START - 7000, failures=9, looks=1)
        ended = wait_through(in_turn(order()), rules(rerun=rerun_of(order())), memory=old.for_new_try())
        assert ended.looks[-1] == 7200

    def test_nothing_is_said_twice(self) -> None:
        memory = WaitMemory(last_status="review", reminded={"review": START}, unknown=["transcoding"])
        ended = wait_through(
            in_turn(order("review"), order("transcoding"), order()), rules(), memory=memory.for_new_try()
        )
        assert ended.log.of("warning") == []


class TestWhatChangesIt:
    """A changed memory has to be stored, so that an uneventful look should not change it."""

    @pytest.mark.parametrize("status", ["ongoing", "review", "transcoding", "completed"])
    @pytest.mark.parametrize("before", [None, order()], ids=["any result", "after a rerun"])
    def test_an_equal_poll_does_not_but_for_confirming_the_baseline(
        self, status: str, before: dict[str, Any] | None
    ) -> None:
        wanted = rules(target_statuses=frozenset({"delivered"}), rerun=rerun_of(before) if before else None)
        ended = wait_through(in_turn(*[order(status)] * 13, order("failed")), wanted)
        confirmed = {"baseline_confirmed": True if before and status == "completed" else None}
        assert ended.memories[0] == ended.memories[1] == ended.memories[9]
        assert {**ended.memories[9], **confirmed} == ended.memories[10] == ended.memories[12]

    def test_a_failed_look_does_and_a_pause_does_not(self) -> None:
        memory = WaitMemory()
        one_look(OllangRateLimitError("429.", retry_after=60.0), rules(), memory)
        assert memory == WaitMemory()
        one_look(OllangUnavailableError("503."), rules(), memory)
        assert memory == WaitMemory(failures=1)


# --- Any story, with any rules ----------------------------------------------------------------------------------

OLD, NEW = order(), new_result()
REPORTED = order(deliveryEvents=[*OLD["deliveryEvents"], event()])
OLD_SIGHTS: list[Sight] = [
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
RUNNING_SIGHTS: list[Sight] = [
    order("pending"),
    order("ongoing", orderDocs=None),
    order("review"),
    order("delayed"),
    order("transcoding"),
]
ALL_SIGHTS: list[Sight] = [
    *OLD_SIGHTS,
    *RUNNING_SIGHTS,
    REPORTED,
    NEW,
    new_result("delivered"),
    order("failed"),
    OllangAuthenticationError("The key is wrong.", status_code=401),
    OllangOrderNotFoundError("No such order.", status_code=404),
    OllangBadRequestError("Bad.", status_code=400),
]

any_rules = st.builds(
    rules,
    rerun=st.sampled_from([None, rerun_of(OLD), rerun_of(OLD), rerun_of(OLD, seen_running=True)]),
    target_statuses=st.sampled_from([frozenset({"completed", "delivered"}), frozenset({"delivered"})]),
    poke_interval=st.sampled_from([30.0, 60.0, 500.0]),
    exponential_backoff=st.booleans(),
    max_wait=st.sampled_from([None, 200.0]),
    timeout=st.sampled_from([0.0, 250.0, 3000.0]),
    max_poll_failures=st.sampled_from([1, 3, 10]),
    outlast_failures=st.booleans(),
    outputs_timeout=st.sampled_from([0.0, 100.0]),
    stale_timeout=st.sampled_from([0.0, 150.0, 1000.0, 7200.0]),
    on_no_evidence=st.sampled_from(["fail", "accept"]),
)
some = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def stories(sights: list[Sight]) -> st.SearchStrategy[list[Sight]]:
    return st.lists(st.sampled_from(sights), min_size=1, max_size=12)


def through_json(memory: WaitMemory) -> WaitMemory:
    return WaitMemory.from_json(json.loads(json.dumps(memory.to_json())))


def told(ended: Ended) -> tuple[Any, ...]:
    error = (type(ended.error), str(ended.error)) if ended.error else None
    return ended.result, error, ended.looks, ended.pauses, ended.memories, ended.log.lines


@some
@given(story=stories(ALL_SIGHTS), wanted=any_rules)
def test_a_wait_that_moves_after_each_look_ends_as_one_that_stays(story: list[Sight], wanted: WaitRules) -> None:
    stays = wait_through(in_turn(*story), wanted)
    assert told(wait_through(in_turn(*story), wanted, round_trip=through_json)) == told(stays)
    assert (stays.result is None) is not (stays.error is None)


@some
@given(story=stories(ALL_SIGHTS), wanted=any_rules)
def test_a_wait_never_looks_after_its_deadline_nor_pauses_without_need(story: list[Sight], wanted: WaitRules) -> None:
    ended = wait_through(in_turn(*story), wanted)
    assert all(pause > 0 for pause in ended.pauses)
    assert ended.looks[-1] <= wanted.timeout
    for at, pause in zip(ended.looks, ended.pauses, strict=False):
        assert at + pause <= wanted.timeout


@some
@given(story=stories(OLD_SIGHTS), wanted=any_rules)
def test_the_old_result_is_never_believed(story: list[Sight], wanted: WaitRules) -> None:
    wanted = dataclasses.replace(wanted, rerun=rerun_of(OLD), on_no_evidence="fail")
    assert wait_through(in_turn(*story), wanted).error is not None


@some
@given(story=stories([*OLD_SIGHTS, *RUNNING_SIGHTS, REPORTED]), wanted=any_rules)
def test_the_new_result_is_never_refused(story: list[Sight], wanted: WaitRules) -> None:
    patient = dataclasses.replace(
        wanted,
        rerun=rerun_of(OLD),
        timeout=1e9,
        exponential_backoff=False,
        max_poll_failures=100,
        outputs_timeout=1e9,
        stale_timeout=1e9,
    )
    ended = wait_through(in_turn(*story, new_result("delivered")), patient)
    assert ended.result is not None
    assert [one["id"] for one in ended.result["outputs"]] == ["doc_new"]
    assert ended.result["outputs_changed"] is True
    assert len(ended.looks) == len(story) + 1
