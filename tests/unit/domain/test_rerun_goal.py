"""A wait for the result of a rerun: the old result is never taken for it, the new one is never refused."""

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
    LONG_BEFORE,
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
EVENTS = [*OLD["deliveryEvents"], event()]
#: Reported by an event, with the old files still in place; and with the new ones.
REPORTED, REPORTED_NEW = order(deliveryEvents=EVENTS), new_result(deliveryEvents=EVENTS)
ONGOING = order("ongoing")
DOWN = OllangUnavailableError("Could not get it: 503.")


def for_rerun(*, before: Any = OLD, seen_running: bool = False, **changes: Any) -> Setup:
    return setup(rerun=rerun_of(before, seen_running=seen_running), **changes)


def outputs_of(outcome: Outcome) -> list[str]:
    assert outcome.result is not None, outcome.error
    return [output["id"] for output in outcome.result["outputs"]]


def test_wait_from_the_old_result_to_the_new() -> None:
    polls = {0: OLD, 120: order("pending"), 180: ONGOING, 600: OLD, 660: NEW}
    outcome = wait_through(by_time(polls), for_rerun())
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


DRAFTED = [*OLD["deliveryEvents"], event("ai_delivered", "2024-03-01T12:01:00Z")]
TRANSLATION = document(id="doc_translation", type="translation")
NEW_TRANSLATION = new_document(id="doc_translation_new", type="translation")
BOTH = order(orderDocs=[source_document(), document(), TRANSLATION])
TWO = order(orderDocs=[document(id="a"), document(id="b")])
NONE = order(orderDocs=[])
#: The order before, the polls, when the wait ends, the outputs it finds, and how many warnings it logs.
ENDINGS: dict[str, tuple[Any, dict[int, Any], float, list[str], int]] = {
    "too fast to be observed": (OLD, {0: OLD, 60: NEW}, 60, ["doc_new"], 0),
    "delivered": (OLD, {0: OLD, 60: new_result("delivered")}, 60, ["doc_new"], 0),
    "status changes late": (OLD, {0: OLD, 7000: ONGOING, 9000: NEW}, 9000, ["doc_new"], 0),
    "old result taken back": (
        OLD,
        {0: OLD, 60: order("ongoing", orderDocs=None), 180: NONE, 240: NEW},
        240,
        ["doc_new"],
        0,
    ),
    "outputs one by one": (
        BOTH,
        {
            0: BOTH,
            60: order(orderDocs=[new_document(), TRANSLATION]),
            120: order(orderDocs=[new_document(), NEW_TRANSLATION]),
        },
        120,
        ["doc_new", "doc_translation_new"],
        0,
    ),
    "lagging replica": (OLD, {0: OLD, 60: ONGOING, 120: OLD, 180: ONGOING, 240: OLD, 300: NEW}, 300, ["doc_new"], 0),
    "draft first": (
        order(level=1),
        {
            0: order(level=1),
            60: order(level=1, deliveryEvents=DRAFTED),
            120: new_result(level=1, deliveryEvents=[*DRAFTED, event()]),
        },
        120,
        ["doc_new"],
        0,
    ),
    # The status is verified, the outputs lag for up to 120 s.
    "event, outputs never": (OLD, {0: OLD, 60: REPORTED}, 180, ["doc_old"], 1),
    "running, outputs never": (OLD, {0: ONGOING, 60: OLD}, 180, ["doc_old"], 1),
    "outputs late": (OLD, {0: REPORTED, 60: REPORTED_NEW}, 60, ["doc_new"], 0),
    "outputs at the last poll": (OLD, {0: REPORTED, 120: REPORTED_NEW}, 120, ["doc_new"], 0),
    "unfinished in between": (OLD, {0: REPORTED, 100: ONGOING, 160: REPORTED}, 300, ["doc_old"], 1),
    "failed polls in between": (OLD, {0: REPORTED, 60: DOWN, 200: REPORTED}, 240, ["doc_old"], 3),
    "replica hides the evidence": (OLD, {0: REPORTED, 60: OLD, 120: REPORTED}, 120, ["doc_old"], 1),
    "order without outputs": (NONE, {0: order(orderDocs=[], deliveryEvents=EVENTS)}, 120, [], 1),
    "second of one type late": (
        TWO,
        {0: order(orderDocs=[new_document(id="c")]), 60: order(orderDocs=[new_document(id=name) for name in "cd"])},
        60,
        ["c", "d"],
        0,
    ),
    "second of one type never": (TWO, {0: order(orderDocs=[new_document(id="c")])}, 120, ["c"], 1),
}


@pytest.mark.parametrize(("before", "polls", "ended_at", "outputs", "warnings"), ENDINGS.values(), ids=ENDINGS)
def test_wait_ends_with_outputs(
    before: Any, polls: dict[int, Any], ended_at: float, outputs: list[str], warnings: int
) -> None:
    outcome = wait_through(by_time(polls), for_rerun(before=before))
    assert outcome.polls[-1] == ended_at
    assert sorted(outputs_of(outcome)) == outputs
    assert len(outcome.log.of("warning")) == warnings


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_wait_for_a_run_that_fails_fails(status: str) -> None:
    outcome = wait_through(in_turn(OLD, ONGOING, order(status)), for_rerun())
    assert outcome.polls == [0, 60, 120]
    assert isinstance(outcome.error, OllangOrderFailedError)
    assert repr(status) in str(outcome.error)


def test_poll_older_than_the_baseline_changes_nothing() -> None:
    """A lagging replica shows the previous run, which was running or failed."""
    events = [event("order_delivered", LONG_BEFORE)]
    older = {status: order(status, deliveryEvents=events) for status in ("failed", "ongoing")}
    assert one_poll(older["failed"], for_rerun()) == Decision(pause=60)
    state = PollState(unverified_since=START - 100, verified_since=START - 50)
    assert one_poll(older["ongoing"], for_rerun(), state) == Decision(pause=60)
    assert (state.unverified_since, state.verified_since, state.seen_running) == (START - 100, START - 50, False)


def test_wait_through_a_cancelled_review_is_stale() -> None:
    before, running = order(level=1), order("ongoing", level=1)
    outcome = wait_through(in_turn(before, running, order(level=0)), for_rerun(before=before))
    assert isinstance(outcome.error, OllangStaleResultError)
    assert "level" in str(outcome.error)


def test_running_at_another_level_is_not_the_rerun() -> None:
    outcome = wait_through(in_turn(OLD, order("ongoing", level=1), OLD), for_rerun(stale_timeout=600))
    assert isinstance(outcome.error, OllangStaleResultError)
    assert "never observed running" in str(outcome.error)


@pytest.mark.parametrize("status", ["revision", "failed", "cancelled"])
def test_status_without_work_is_no_running(status: str) -> None:
    wait = for_rerun(failure_statuses=frozenset(), stale_timeout=600)
    assert isinstance(wait_through(in_turn(OLD, order(status), OLD), wait).error, OllangStaleResultError)


# --- The dense start ----------------------------------------------------------------------------------------------

JUST_REQUESTED = START - HOUR
PUBLISHED = frozenset({"published"})


@pytest.mark.parametrize(
    ("wait", "start", "polls"),
    [
        (for_rerun(timeout=200), 0, [0, 1, 3, 6, 11, 19, 30, 90, 150, 200]),
        # Another process began it.
        (for_rerun(timeout=100), 7, [0, 4, 12, 23, 83, 100]),
        # Where the server's clock is ahead, it counts from the start.
        (for_rerun(timeout=6), -5, [0, 1, 3, 6]),
        (for_rerun(timeout=10), -86_400, [0, 1, 3, 6, 10]),
        # It needs a rerun that is new, has a time, and was not observed running.
        (for_rerun(timeout=100), 30, [0, 60, 100]),
        (for_rerun(timeout=100), 86_400, [0, 60, 100]),
        (setup(rerun=rerun_of(OLD, requested_at=None), timeout=100), 0, [0, 60, 100]),
        (for_rerun(seen_running=True, target_statuses=PUBLISHED, timeout=100), 0, [0, 60, 100]),
        (setup(target_statuses=PUBLISHED, timeout=100), 0, [0, 60, 100]),
        # It is never slower than the interval, and does not count for the backoff.
        (for_rerun(poll_interval=4, timeout=20), 0, [0, 1, 3, 6, 10, 11, 15, 19, 20]),
        (for_rerun(exponential_backoff=True, timeout=400), 0, [0, 1, 3, 6, 11, 19, 30, 90, 210, 400]),
    ],
)
def test_new_rerun_is_polled_densely_at_first(wait: Setup, start: float, polls: list[float]) -> None:
    assert wait_through(in_turn(OLD), wait, start=JUST_REQUESTED + start).polls == polls


def test_dense_start_ends_when_the_order_runs() -> None:
    outcome = wait_through(by_time({0: OLD, 3: ONGOING, 123: NEW}), for_rerun(), start=JUST_REQUESTED)
    assert outcome.polls == [0, 1, 3, 63, 123]


# --- Nothing new --------------------------------------------------------------------------------------------------


def test_old_result_for_two_hours_is_stale() -> None:
    outcome = wait_through(in_turn(OLD), for_rerun())
    assert outcome.polls == [60.0 * number for number in range(121)]
    assert isinstance(outcome.error, OllangStaleResultError)
    assert outcome.error.order_id == ORDER_ID
    for part in (ORDER_ID, "'completed'", "2 h", "2 delivery events", "doc_old", "never observed running"):
        assert part in str(outcome.error)
    assert SIGNATURE not in str(outcome.error)
    lines = [sum("its previous result" in line for line in outcome.log.of(level)) for level in ("info", "debug")]
    assert lines == [1, 120]


DELIVERED = frozenset({"delivered"})


@pytest.mark.parametrize(
    ("polls", "changes", "ended_at"),
    [
        ({0: OLD}, {"stale_timeout": 100}, 100),
        ({0: order("delivered")}, {"stale_timeout": 100}, 100),
        ({0: OLD}, {"stale_timeout": 0}, 0),
        # It counts from the first such poll, and again after any other status.
        ({0: order("revision"), 1200: OLD}, {"stale_timeout": 100}, 1300),
        ({0: OLD, 90: order("revision"), 150: OLD, 1000: NEW}, {"stale_timeout": 100}, 260),
        # But for a change of done status, and through failed polls.
        ({0: OLD, 60: order("delivered"), 120: DOWN, 180: OLD}, {"stale_timeout": 240}, 240),
        # In any done status, and if the deadline comes at the same time.
        ({0: OLD}, {"target_statuses": DELIVERED, "stale_timeout": 100}, 100),
        ({0: OLD}, {"timeout": 7200}, 7200),
    ],
)
def test_old_result_is_stale_after_stale_timeout(polls: Any, changes: dict[str, Any], ended_at: float) -> None:
    outcome = wait_through(by_time(polls), for_rerun(**changes))
    assert outcome.polls[-1] == ended_at
    assert isinstance(outcome.error, OllangStaleResultError)


def test_last_poll_of_stale_timeout_may_find_the_result() -> None:
    outcome = wait_through(by_time({0: OLD, 100: NEW}), for_rerun(stale_timeout=100))
    assert outcome.polls == [0, 60, 100]
    assert outputs_of(outcome) == ["doc_new"]


def test_old_result_may_be_accepted() -> None:
    outcome = wait_through(in_turn(OLD), for_rerun(stale_timeout=100, on_no_evidence="accept"))
    assert outcome.polls == [0, 60, 100]
    assert outputs_of(outcome) == ["doc_old"]
    assert outcome.result is not None
    assert (outcome.result["evidence"], outcome.result["outputs_changed"]) == ([], False)
    (warning,) = outcome.log.of("warning")
    for part in (ORDER_ID, "without evidence", "on_no_evidence='accept'", "doc_old"):
        assert part in warning


def test_old_result_is_accepted_only_in_a_target_status() -> None:
    wait = for_rerun(target_statuses=DELIVERED, stale_timeout=100, on_no_evidence="accept", timeout=HOUR)
    outcome = wait_through(in_turn(OLD), wait)
    assert isinstance(outcome.error, OllangTimeoutError)
    assert outcome.polls[-1] == HOUR
    outcome = wait_through(by_time({0: OLD, 1000: order("delivered")}), wait)
    assert outcome.result is not None
    assert outcome.result["evidence"] == []


def test_timeout_says_whether_anything_was_new() -> None:
    unverified = wait_through(in_turn(OLD), for_rerun(timeout=HOUR)).error
    for part in ("60 min", "last status was 'completed'", "nothing shows that its result is the rerun's"):
        assert part in str(unverified)
    for polls, wait in ((ONGOING, for_rerun(timeout=HOUR)), (NEW, for_rerun(target_statuses=DELIVERED, timeout=HOUR))):
        error = wait_through(in_turn(OLD, polls), wait).error
        assert isinstance(error, OllangTimeoutError)
        assert "nothing shows" not in str(error)


# --- Late outputs -------------------------------------------------------------------------------------------------


def test_missing_outputs_are_announced_once_and_warned_of() -> None:
    outcome = wait_through(in_turn(ONGOING, REPORTED), for_rerun(poll_interval=10))
    assert sum("still the previous ones" in line for line in outcome.log.of("info")) == 1
    assert outcome.result is not None
    assert (outcome.result["evidence"], outcome.result["outputs_changed"]) == (["event", "running"], False)
    (warning,) = outcome.log.of("warning")
    for part in (ORDER_ID, "completed", "event, running", "may be missing", "outputs_changed"):
        assert part in warning


@pytest.mark.parametrize(
    ("changes", "polls"),
    [({"outputs_timeout": 100}, [0, 60, 100]), ({"outputs_timeout": 0}, [0]), ({"timeout": 100}, [0, 60, 100])],
)
def test_missing_outputs_are_waited_for_in_bounds(changes: dict[str, Any], polls: list[float]) -> None:
    outcome = wait_through(in_turn(REPORTED), for_rerun(**changes))
    assert outcome.polls == polls
    assert outputs_of(outcome) == ["doc_old"]
    assert len(outcome.log.of("warning")) == 1


@pytest.mark.parametrize("by", ["receipt", "state"])
def test_earlier_observation_of_running_counts(by: str) -> None:
    state = PollState(seen_running=by == "state")
    outcome = wait_through(in_turn(OLD), for_rerun(seen_running=by == "receipt"), state=state)
    assert outcome.polls == [0, 60, 120]
    assert outcome.result is not None
    assert outcome.result["evidence"] == ["running"]


# --- Target statuses ----------------------------------------------------------------------------------------------


def test_new_result_in_another_done_status_is_polled_on() -> None:
    wait = for_rerun(target_statuses=DELIVERED)
    outcome = wait_through(by_time({0: OLD, 120: NEW, 9000: new_result("delivered")}), wait)
    assert outcome.polls[-1] == 9000
    assert outputs_of(outcome) == ["doc_new"]
    assert outcome.log.of("warning") == []
    # Missing outputs are waited for from the target status on.
    outcome = wait_through(by_time({0: REPORTED, 600: order("delivered", deliveryEvents=EVENTS)}), wait)
    assert outcome.polls[-1] == 720


@pytest.mark.parametrize(
    ("status", "polls", "evidence"),
    [
        *((status, [OLD], ["running"]) for status in ("ongoing", "review", "published")),
        *((status, [OLD], []) for status in ("failed", "revision")),
        *((status, [OLD, ONGOING], ["running"]) for status in ("cancelled", "revision")),
    ],
)
def test_unfinished_status_may_be_the_target(status: str, polls: list[Any], evidence: list[str]) -> None:
    wait = for_rerun(target_statuses=frozenset({"completed", status}), failure_statuses=frozenset(), timeout=HOUR)
    outcome = wait_through(in_turn(*polls, order(status)), wait)
    assert len(outcome.polls) == len(polls) + 1
    assert outcome.result is not None
    assert (outcome.result["status"], outcome.result["evidence"]) == (status, evidence)
    assert outcome.result["outputs_changed"] is False


@pytest.mark.parametrize("events", [..., None], ids=["absent", "null"])
def test_target_status_that_may_be_of_the_first_run_is_polled_on(events: Any) -> None:
    wait = for_rerun(target_statuses=frozenset({"review"}), timeout=HOUR)
    assert not one_poll(order("review", deliveryEvents=events), wait).is_final
    assert one_poll(order("review"), wait).is_final


def test_done_status_that_means_failure_must_be_new() -> None:
    wait = for_rerun(target_statuses=DELIVERED, failure_statuses=frozenset({"completed"}))
    assert one_poll(OLD, wait) == Decision(pause=60)
    assert isinstance(one_poll(NEW, wait).error, OllangOrderFailedError)
