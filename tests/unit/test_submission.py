"""What is stored about a request that may be billed, and what a later try does about it."""

from __future__ import annotations

import json
from itertools import product
from typing import Any, get_args

import pytest

from airflow_provider_ollang.domain.submission import (
    FIRST_DELAYS,
    POLL_FIRST_TIMEOUT,
    Record,
    State,
    Tries,
    decide,
    reconcile_delays,
)
from airflow_provider_ollang.exceptions import OllangConfigurationError

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
HOST = "https://api-integration.ollang.com"
STATES = get_args(State)


def record(state: Any = "accepted", **changes: Any) -> Record:
    """Return what the first of three tries leaves."""
    usual = {"subject": ORDER, "host": HOST, "max_tries": 2, "receipt": {}, "try_number": 1, "clear_number": 0}
    return Record(**{**usual, "state": state, **changes})


#: What a try does that finds this state: as a retry, and after the task was cleared.
ACTIONS = {
    "sending": ("reconcile", "reconcile"),
    "accepted": ("reconnect", "reconnect"),
    "failed": ("reconnect", "submit"),
    "unknown": ("reconcile", "reconnect or submit"),
    "finished": ("return", "reconnect or submit"),
    "refused": ("submit", "submit"),
}
RETRIES = {
    "retry": Tries(try_number=2, max_tries=2, retries=2, clear_number=0),
    "last retry": Tries(try_number=3, max_tries=2, retries=2, clear_number=0),
    "retry with fewer retries now": Tries(try_number=2, max_tries=2, retries=1, clear_number=0),
    "retry after another task was cleared": Tries(try_number=2, max_tries=2, retries=2, clear_number=1),
    "retry where Airflow counts no clears": Tries(try_number=2, max_tries=2, retries=2),
}
CLEARS = {
    "clear": Tries(try_number=2, max_tries=3, retries=2, clear_number=1),
    "clear where Airflow counts no clears": Tries(try_number=2, max_tries=3, retries=2),
    "clear with fewer retries": Tries(try_number=2, max_tries=1, retries=0, clear_number=1),
    "clear with as many fewer retries as there were tries": Tries(2, max_tries=2, retries=1, clear_number=1),
    "retry after such a clear": Tries(3, max_tries=2, retries=1, clear_number=1),
    "clear with more retries": Tries(try_number=2, max_tries=6, retries=5, clear_number=1),
}


def test_table_names_every_state() -> None:
    assert ACTIONS.keys() == set(STATES)


@pytest.mark.parametrize("resubmitted", [False, True])
@pytest.mark.parametrize(("state", "how"), list(product(ACTIONS, [*RETRIES, *CLEARS])))
def test_record_and_tries_decide(state: str, how: str, resubmitted: bool) -> None:
    found = record(state, resubmitted=resubmitted)
    expected = ACTIONS[state][how in CLEARS]
    assert decide(found, subject=ORDER, host=HOST, tries={**RETRIES, **CLEARS}[how]) == expected


@pytest.mark.parametrize(("how", "cleared"), [("clear", True), ("retry", False), ("clear with fewer retries", True)])
def test_record_of_older_version_tells_clear_by_max_tries(how: str, cleared: bool) -> None:
    found = record("finished", try_number=None, clear_number=None)
    expected = "reconnect or submit" if cleared else "return"
    assert decide(found, subject=ORDER, host=HOST, tries={**RETRIES, **CLEARS}[how]) == expected


@pytest.mark.parametrize("how", [*RETRIES, *CLEARS])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    "other",
    [{"subject": "77"}, {"host": "http://localhost:8000"}, {"subject": "77", "host": "http://localhost:8000"}],
    ids=["another order", "another host", "both"],
)
def test_record_of_another_subject_or_host_is_ignored(state: str, other: dict[str, str], how: str) -> None:
    found = record(state, **other)
    assert decide(found, subject=ORDER, host=HOST, tries={**RETRIES, **CLEARS}[how]) == "submit"


NOTHING_FOUND = {
    "first try": (Tries(try_number=1, max_tries=2, retries=2, clear_number=0), "submit"),
    "retry": (Tries(try_number=2, max_tries=2, retries=2, clear_number=0), "submit"),
    "first try after another task was cleared": (Tries(1, max_tries=2, retries=2, clear_number=1), "submit"),
    "clear": (Tries(try_number=2, max_tries=3, retries=2, clear_number=1), "poll first"),
    "retry after a clear": (Tries(try_number=3, max_tries=3, retries=2, clear_number=1), "poll first"),
    "clear that leaves the run alone": (Tries(2, max_tries=3, retries=2, clear_number=0), "poll first"),
    "clear with fewer retries": (Tries(try_number=2, max_tries=2, retries=1, clear_number=1), "poll first"),
    "clear with more retries": (Tries(try_number=2, max_tries=6, retries=5, clear_number=1), "poll first"),
    "first try where Airflow counts no clears": (Tries(try_number=1, max_tries=2, retries=2), "submit"),
    "retry where Airflow counts no clears": (Tries(try_number=2, max_tries=2, retries=2), "poll first"),
}


@pytest.mark.parametrize(("tries", "expected"), NOTHING_FOUND.values(), ids=NOTHING_FOUND)
def test_missing_record_polls_first_only_after_a_clear(tries: Tries, expected: str) -> None:
    assert decide(None, subject=ORDER, host=HOST, tries=tries) == expected


@pytest.mark.parametrize("state", [None, *STATES])
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("retry", "reconnect or ask"),
        ("last retry", "reconnect or ask"),
        ("clear", "poll first"),
        ("retry after such a clear", "reconnect or ask"),
    ],
)
def test_without_store_only_the_number_of_the_try_decides(state: str | None, how: str, expected: str) -> None:
    found = None if state is None else record(state)
    tries = {**RETRIES, **CLEARS}[how]
    assert decide(found, subject=ORDER, host=HOST, tries=tries, has_store=False) == expected


@pytest.mark.parametrize("how", ["retry", "clear"])
def test_order_id_in_another_case_is_the_same_order(how: str) -> None:
    actions = [
        decide(record("accepted"), subject=subject, host=HOST, tries={**RETRIES, **CLEARS}[how])
        for subject in (ORDER, ORDER.upper())
    ]
    assert actions == ["reconnect", "reconnect"]


def test_subject_may_be_a_fingerprint() -> None:
    first = Tries(try_number=2, max_tries=2, retries=2, clear_number=0)
    fingerprints = ("sha256:0a", "sha256:0b")
    actions = [
        decide(record("accepted", subject=fingerprints[0]), subject=each, host=HOST, tries=first)
        for each in fingerprints
    ]
    assert actions == ["reconnect", "submit"]


@pytest.mark.parametrize("resubmitted", [False, True])
@pytest.mark.parametrize("state", STATES)
def test_record_survives_the_store(state: str, resubmitted: bool) -> None:
    one = record(state, receipt={"order_id": ORDER, "baseline": {"outputs": []}}, resubmitted=resubmitted)
    value = json.loads(json.dumps(one.to_json()))
    assert Record.from_json(value) == one
    assert list(value) == [
        "subject",
        "host",
        "max_tries",
        "state",
        "receipt",
        "resubmitted",
        "try_number",
        "clear_number",
        "unknown_since",
    ]


def test_record_of_another_version_is_read() -> None:
    value = record().to_json()
    assert Record.from_json({**value, "weather": "fine"}) == record()
    for name in ("resubmitted", "try_number", "clear_number", "unknown_since"):
        del value[name]
    assert Record.from_json(value) == record(try_number=None, clear_number=None)


GARBAGE = {
    "nothing": None,
    "a text": "accepted",
    "a number": 3,
    "a list": [record().to_json()],
    "an empty object": {},
    "an unknown state": record("pondering").to_json(),
    "a state that is a list": record(["accepted"]).to_json(),
    "no state at all": record(None).to_json(),
    "no receipt": record(receipt=None).to_json(),
    "a receipt that is a list": record(receipt=[]).to_json(),
    **{
        f"without {name}": {key: value for key, value in record().to_json().items() if key != name}
        for name in ("subject", "host", "max_tries", "state", "receipt")
    },
}


@pytest.mark.parametrize("value", GARBAGE.values(), ids=GARBAGE)
def test_unreadable_record_is_refused_with_advice(value: object) -> None:
    with pytest.raises(OllangConfigurationError, match=r"cannot be read\. Look at the order .* delete the record"):
        Record.from_json(value)


# --- Tries --------------------------------------------------------------------------------------------------------


def tries(retries: int, chains: int) -> list[tuple[int, int, bool]]:
    """
    Let a task use up its tries, be cleared, and so on, by Airflow's arithmetic.

    :return: number of each try, ``max_tries`` then, and whether it is the first since the task began or was cleared.
    """
    found, try_number, max_tries = [], 0, retries
    for _ in range(chains):
        for one in range(retries + 1):
            try_number += 1
            found.append((try_number, max_tries, one == 0))
        max_tries = try_number + retries
    return found


@pytest.mark.parametrize("retries", [0, 1, 2, 5])
def test_first_try_is_known_by_its_numbers(retries: int) -> None:
    for try_number, max_tries, first in tries(retries, 3):
        assert (Tries(try_number, max_tries, retries).first_try == try_number) is first


def test_clear_with_tries_left_begins_again() -> None:
    # It succeeded at its second of three tries.
    assert Tries(try_number=3, max_tries=4, retries=2).first_try == 3


@pytest.mark.parametrize(
    ("tries", "number"),
    [
        (Tries(try_number=1, max_tries=2, retries=2, clear_number=0), 1),
        (Tries(try_number=2, max_tries=2, retries=2, clear_number=0), 2),
        (Tries(try_number=2, max_tries=3, retries=2, clear_number=1), 1),
        (Tries(try_number=3, max_tries=3, retries=2, clear_number=1), 2),
        # Without a clear an edit of retries makes no try the first, and the first none other.
        (Tries(try_number=2, max_tries=2, retries=1, clear_number=0), 2),
        (Tries(try_number=2, max_tries=2, retries=4, clear_number=0), 2),
        (Tries(try_number=1, max_tries=2, retries=4, clear_number=0), 1),
        (Tries(try_number=1, max_tries=2, retries=0, clear_number=1), 1),
        (Tries(try_number=1, max_tries=2, retries=4), 1),
    ],
)
def test_tries_are_counted_since_the_last_clear(tries: Tries, number: int) -> None:
    assert tries.tries_since_clear == number


# --- Delays -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0.0, 0.5, 1.0, 1.5, 29.0, 30.0, 31.0, 299.9, 300.0, 3600.0])
def test_first_poll_is_at_once_and_last_at_the_end(timeout: float) -> None:
    pauses = list(reconcile_delays(timeout))
    assert pauses[0] == 0
    assert sum(pauses) == pytest.approx(timeout)
    # No two polls at one time, and none long after the one before.
    assert all(0 < pause <= 30 for pause in pauses[1:])


def test_first_polls_are_dense() -> None:
    assert list(reconcile_delays(300)) == [0, *FIRST_DELAYS, *[30] * 9]
    assert sum(FIRST_DELAYS) == POLL_FIRST_TIMEOUT == 30
    assert list(reconcile_delays(4)) == [0, 1, 2, 1]
