"""What is remembered of a request that may cost money, and what a later try does about it."""

from __future__ import annotations

import json
from itertools import product
from typing import Any, get_args

import pytest

from airflow_provider_ollang.domain.submission import (
    CONFIRM_PAUSES,
    POLL_FIRST_TIMEOUT,
    Record,
    State,
    Tries,
    plan,
    reconcile_pauses,
)
from airflow_provider_ollang.exceptions import OllangConfigurationError

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
HOST = "https://api-integration.ollang.com"
STATES = get_args(State)


def record(state: Any = "accepted", **changes: Any) -> Record:
    """Return what the first of three tries leaves."""
    usual = {"order_id": ORDER, "host": HOST, "max_tries": 2, "receipt": {}, "try_number": 1, "clear_number": 0}
    return Record(**{**usual, "state": state, **changes})


#: What a try does that finds this state: as a retry, and after the task was cleared.
PLANS = {
    "sending": ("settle", "settle"),
    "accepted": ("join", "join"),
    "failed": ("join", "send"),
    "unknown": ("settle", "ask"),
    "finished": ("return", "renew"),
    "refused": ("send", "send"),
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


def test_the_table_is_about_every_state() -> None:
    assert PLANS.keys() == set(STATES)


@pytest.mark.parametrize("resubmitted", [False, True])
@pytest.mark.parametrize(("state", "how"), list(product(PLANS, [*RETRIES, *CLEARS])))
def test_what_is_found_decides(state: str, how: str, resubmitted: bool) -> None:
    found = record(state, resubmitted=resubmitted)
    expected = PLANS[state][how in CLEARS]
    assert plan(found, order_id=ORDER, host=HOST, tries={**RETRIES, **CLEARS}[how]) == expected


@pytest.mark.parametrize(("how", "cleared"), [("clear", True), ("retry", False), ("clear with fewer retries", True)])
def test_a_record_of_an_older_version_tells_a_clear_by_max_tries(how: str, cleared: bool) -> None:
    found = record("finished", try_number=None, clear_number=None)
    expected = "renew" if cleared else "return"
    assert plan(found, order_id=ORDER, host=HOST, tries={**RETRIES, **CLEARS}[how]) == expected


@pytest.mark.parametrize("how", [*RETRIES, *CLEARS])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    "other",
    [{"order_id": "77"}, {"host": "http://localhost:8000"}, {"order_id": "77", "host": "http://localhost:8000"}],
    ids=["another order", "another host", "both"],
)
def test_what_is_about_another_order_or_host_says_nothing(state: str, other: dict[str, str], how: str) -> None:
    found = record(state, **other)
    assert plan(found, order_id=ORDER, host=HOST, tries={**RETRIES, **CLEARS}[how]) == "send"


NOTHING_FOUND = {
    "first try": (Tries(try_number=1, max_tries=2, retries=2, clear_number=0), "send"),
    "retry": (Tries(try_number=2, max_tries=2, retries=2, clear_number=0), "send"),
    "first try after another task was cleared": (Tries(1, max_tries=2, retries=2, clear_number=1), "send"),
    "clear": (Tries(try_number=2, max_tries=3, retries=2, clear_number=1), "poll first"),
    "retry after a clear": (Tries(try_number=3, max_tries=3, retries=2, clear_number=1), "poll first"),
    "clear that leaves the run alone": (Tries(2, max_tries=3, retries=2, clear_number=0), "poll first"),
    "clear with fewer retries": (Tries(try_number=2, max_tries=2, retries=1, clear_number=1), "poll first"),
    "clear with more retries": (Tries(try_number=2, max_tries=6, retries=5, clear_number=1), "poll first"),
    "first try where Airflow counts no clears": (Tries(try_number=1, max_tries=2, retries=2), "send"),
    "retry where Airflow counts no clears": (Tries(try_number=2, max_tries=2, retries=2), "poll first"),
}


@pytest.mark.parametrize(("tries", "expected"), NOTHING_FOUND.values(), ids=NOTHING_FOUND)
def test_missing_record_polls_first_only_after_a_clear(tries: Tries, expected: str) -> None:
    assert plan(None, order_id=ORDER, host=HOST, tries=tries) == expected


@pytest.mark.parametrize("resubmitted", [False, True])
@pytest.mark.parametrize("state", STATES)
def test_a_record_survives_the_store(state: str, resubmitted: bool) -> None:
    one = record(state, receipt={"order_id": ORDER, "baseline": {"outputs": []}}, resubmitted=resubmitted)
    value = json.loads(json.dumps(one.to_json()))
    assert Record.from_json(value) == one
    assert list(value) == [
        "order_id",
        "host",
        "max_tries",
        "state",
        "receipt",
        "resubmitted",
        "try_number",
        "clear_number",
        "unknown_since",
    ]


def test_a_record_of_another_version_is_read() -> None:
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
    "a state nobody knows": record("pondering").to_json(),
    "a state that is a list": record(["accepted"]).to_json(),
    "no state at all": record(None).to_json(),
    "no receipt": record(receipt=None).to_json(),
    "a receipt that is a list": record(receipt=[]).to_json(),
    **{
        f"without {name}": {key: value for key, value in record().to_json().items() if key != name}
        for name in ("order_id", "host", "max_tries", "state", "receipt")
    },
}


@pytest.mark.parametrize("value", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_record_is_refused_with_advice(value: object) -> None:
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
def test_the_first_try_of_a_chain_is_known_by_its_numbers(retries: int) -> None:
    for try_number, max_tries, first in tries(retries, 3):
        assert (Tries(try_number, max_tries, retries).first_try == try_number) is first


def test_a_task_cleared_before_its_tries_were_used_up_begins_anew() -> None:
    # It succeeded at its second of three tries.
    assert Tries(try_number=3, max_tries=4, retries=2).first_try == 3


@pytest.mark.parametrize(
    ("tries", "number"),
    [
        (Tries(try_number=1, max_tries=2, retries=2, clear_number=0), 1),
        (Tries(try_number=2, max_tries=2, retries=2, clear_number=0), 2),
        (Tries(try_number=2, max_tries=3, retries=2, clear_number=1), 1),
        (Tries(try_number=3, max_tries=3, retries=2, clear_number=1), 2),
    ],
)
def test_tries_are_counted_since_the_last_clear(tries: Tries, number: int) -> None:
    assert tries.tries_since_clear == number


# --- Pauses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0.0, 0.5, 1.0, 1.5, 29.0, 30.0, 31.0, 299.9, 300.0, 3600.0])
def test_the_looks_begin_at_once_and_end_at_the_very_end(timeout: float) -> None:
    pauses = list(reconcile_pauses(timeout))
    assert pauses[0] == 0
    assert sum(pauses) == pytest.approx(timeout)
    # No look twice at one time, and none long after the one before.
    assert all(0 < pause <= 30 for pause in pauses[1:])


def test_the_looks_are_many_early() -> None:
    assert list(reconcile_pauses(300)) == [0, *CONFIRM_PAUSES, *[30] * 9]
    assert sum(CONFIRM_PAUSES) == POLL_FIRST_TIMEOUT == 30
    assert list(reconcile_pauses(4)) == [0, 1, 2, 1]
