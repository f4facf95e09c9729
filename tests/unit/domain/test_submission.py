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
TRIES = {**RETRIES, **CLEARS}


def test_table_names_every_state() -> None:
    assert ACTIONS.keys() == set(STATES)


@pytest.mark.parametrize("resubmitted", [False, True])
@pytest.mark.parametrize(("state", "how"), list(product(ACTIONS, TRIES)))
def test_record_and_tries_decide(state: str, how: str, resubmitted: bool) -> None:
    found = record(state, resubmitted=resubmitted)
    expected = ACTIONS[state][how in CLEARS]
    assert decide(found, subject=ORDER, host=HOST, tries=TRIES[how]) == expected


@pytest.mark.parametrize(("how", "cleared"), [("clear", True), ("retry", False), ("clear with fewer retries", True)])
def test_record_of_older_version_tells_clear_by_max_tries(how: str, cleared: bool) -> None:
    found = record("finished", try_number=None, clear_number=None)
    expected = "reconnect or submit" if cleared else "return"
    assert decide(found, subject=ORDER, host=HOST, tries=TRIES[how]) == expected


@pytest.mark.parametrize("how", ["retry", "clear"])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("other", [{"subject": "77"}, {"host": "http://localhost:8000"}], ids=["order", "host"])
def test_record_of_another_subject_or_host_is_ignored(state: str, other: dict[str, str], how: str) -> None:
    assert decide(record(state, **other), subject=ORDER, host=HOST, tries=TRIES[how]) == "submit"


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
    tries = TRIES[how]
    assert decide(found, subject=ORDER, host=HOST, tries=tries, has_store=False) == expected


@pytest.mark.parametrize(
    ("stored", "subject", "action"),
    [
        (ORDER, ORDER.upper(), "reconnect"),
        # A fingerprint.
        ("sha256:0a", "sha256:0a", "reconnect"),
        ("sha256:0a", "sha256:0b", "submit"),
    ],
)
def test_subject_is_compared_as_order_ids_are(stored: str, subject: str, action: str) -> None:
    assert decide(record("accepted", subject=stored), subject=subject, host=HOST, tries=TRIES["retry"]) == action


@pytest.mark.parametrize("state", STATES)
def test_record_survives_the_store(state: str) -> None:
    stored = record(state, receipt={"order_id": ORDER, "baseline": {}}, resubmitted=True, unknown_since=5.0)
    assert Record.from_json(json.loads(json.dumps(stored.to_json()))) == stored
    assert Record.from_json({**stored.to_json(), "weather": "fine"}) == stored


def test_record_has_these_keys_and_an_older_version_fewer() -> None:
    value = record().to_json()
    added_later = ["resubmitted", "try_number", "clear_number", "unknown_since"]
    assert list(value) == ["subject", "host", "max_tries", "state", "receipt", *added_later]
    for name in added_later:
        del value[name]
    assert Record.from_json(value) == record(try_number=None, clear_number=None)


NO_RECORDS: list[Any] = [None, "accepted", 3, [record().to_json()], {}]
NO_RECEIPTS: list[Any] = [None, []]
GARBAGE = {
    **{repr(value): value for value in NO_RECORDS},
    **{f"state {state!r}": record(state).to_json() for state in ("pondering", ["accepted"], None)},
    **{f"receipt {receipt!r}": record(receipt=receipt).to_json() for receipt in NO_RECEIPTS},
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


@pytest.mark.parametrize("retries", [0, 1, 2, 5])
def test_first_try_is_known_by_its_numbers(retries: int) -> None:
    """A task uses up its tries, is cleared, and so on, by Airflow's arithmetic."""
    try_number, max_tries = 0, retries
    for _ in range(3):
        for number in range(retries + 1):
            try_number += 1
            assert (Tries(try_number, max_tries, retries).first_try == try_number) is (number == 0)
        max_tries = try_number + retries
    # One that succeeded at its second of three tries.
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
    delays = list(reconcile_delays(timeout))
    assert delays[0] == 0
    assert sum(delays) == pytest.approx(timeout)
    # No two polls at one time, and none long after the one before.
    assert all(0 < delay <= 30 for delay in delays[1:])


def test_first_polls_are_dense() -> None:
    assert list(reconcile_delays(300)) == [0, *FIRST_DELAYS, *[30] * 9]
    assert sum(FIRST_DELAYS) == POLL_FIRST_TIMEOUT == 30
    assert list(reconcile_delays(4)) == [0, 1, 2, 1]
