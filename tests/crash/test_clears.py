"""What a person sets off by clearing a rerun: a new one only if the last was finished, or said to be gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dev.processes import wait_until
from tests.crash.cells import End
from tests.crash.clears import Case, Seen, fail_as_told, forget, play
from tests.crash.reruns import Reruns, accepted, deliver
from tests.crash.task_runs import LIMIT

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack
    from tests.crash.task_runs import OrderRuns

#: Only events and documents tell of the rerun, and a second one would be billed.
SHOWN: dict[str, Any] = {"rerun_while_running": "accept", "status_hidden_for": None, "run_seconds": 10}
UNSEEN: dict[str, Any] = {**SHOWN, "end_status": None}
AT_WORK: dict[str, Any] = {"rerun_while_running": "accept", "end_status": None}
STALE, UNKNOWN, FAILED = "OllangStaleResultError", "OllangOutcomeUnknownError", "OllangOrderFailedError"
NOT_ELIGIBLE, TIMEOUT = "OllangOrderNotEligibleError", "OllangTimeoutError"
#: All tries die with the record at "accepted".
MORTAL = {"kill_at": ["after", "accepted"], "killed_tries": 3}


def _complete(reruns: OrderRuns, index: int) -> None:
    deliver(reruns.ollang, reruns[index].order_id)


def _process(reruns: OrderRuns, index: int) -> None:
    """Let Ollang process a request that it got, whatever its client was told."""
    order_id = reruns[index].order_id
    reruns.ollang.rerun_order(order_id)
    wait_until(lambda: not reruns.ollang.order(order_id)["running"], LIMIT, "the late rerun")


def _process_and_stumble(reruns: OrderRuns, index: int) -> None:
    """Let Ollang process the request, and the first look at the order fail."""
    _process(reruns, index)
    reruns.ollang.add_fault("GET", f"/integration/orders/{reruns[index].order_id}", status=503)


NO_WAIT = {"wait_for_completion": False}
SHORT = {"timeout": 5}
CASES = {
    "success": Case(SHOWN, End("success", 1, 1), "finished", End("success", 2, 2)),
    "unknown, nothing was sent": Case(
        SHOWN, End(UNKNOWN, 0, 1), "unknown", End("success", 1, 2), fault={"drop": "before"}
    ),
    "unknown, processed, no trace": Case(
        UNSEEN, End(UNKNOWN, 1, 1), "unknown", End(STALE, 2, 2), fault={"drop": "after"}
    ),
    "unknown, processed later": Case(
        SHOWN, End(UNKNOWN, 0, 1), "unknown", End("success", 1, 2), fault={"drop": "before"}, between=_process
    ),
    "unknown, processed later, first look fails": Case(
        SHOWN,
        End(UNKNOWN, 0, 1),
        "unknown",
        End("success", 1, 2),
        fault={"drop": "before"},
        between=_process_and_stumble,
    ),
    "stale": Case(UNSEEN, End(STALE, 1, 1), "unknown", End(STALE, 2, 2)),
    "stale, come after all": Case(UNSEEN, End(STALE, 1, 1), "unknown", End("success", 1, 2), between=_complete),
    "the order failed": Case({**SHOWN, "end_status": "failed"}, End(FAILED, 1, 1), "failed", End(NOT_ELIGIBLE, 1, 2)),
    "timeout": Case(
        AT_WORK, End("OllangTimeoutError", 1, 1), "accepted", End("success", 1, 2), {"timeout": 5}, between=_complete
    ),
    "retries exhausted": Case(
        AT_WORK, End("failed", 1, 3), "accepted", End("success", 1, 4), MORTAL, between=_complete
    ),
    # Whoever deletes the record says that nothing was sent.
    "retries exhausted, record deleted": Case(
        SHOWN, End("failed", 1, 3), "accepted", End("success", 2, 4), MORTAL, between=forget
    ),
    "success without waiting, at work": Case(AT_WORK, End("success", 1, 1), "finished", End("success", 1, 2), NO_WAIT),
    "success without waiting, finished": Case(
        AT_WORK, End("success", 1, 1), "finished", End("success", 2, 2), NO_WAIT, between=_complete
    ),
    # Airflow 3.4 discards the record when it clears. What is at work is reconnected to all the same.
    "state gone, success": Case(SHOWN, End("success", 1, 1), "finished", End("success", 2, 2), between=forget),
    "state gone, success without waiting, at work": Case(
        AT_WORK, End("success", 1, 1), "finished", End("success", 1, 2), NO_WAIT, between=forget
    ),
    "state gone, timeout, at work": Case(
        AT_WORK, End(TIMEOUT, 1, 1), "accepted", End(TIMEOUT, 1, 2), SHORT, between=forget
    ),
    "state gone, killed before it is sent": Case(
        AT_WORK,
        End(UNKNOWN, 0, 2),
        "unknown",
        End(TIMEOUT, 1, 3),
        {**SHORT, "kill_at": ["after", "sending"], "killed_tries": 1},
        between=forget,
    ),
    "state gone, killed before it is recorded": Case(
        AT_WORK,
        End("failed", 1, 3),
        "sending",
        End(TIMEOUT, 1, 4),
        {**SHORT, "kill_at": ["before", "accepted"], "killed_tries": 3},
        between=forget,
    ),
    "state gone, killed once it is recorded": Case(
        AT_WORK, End("failed", 1, 3), "accepted", End(TIMEOUT, 1, 4), {**SHORT, **MORTAL}, between=forget
    ),
}


@pytest.fixture(scope="module")
def before_and_after(airflow: AirflowStack, ollang: Sandbox) -> tuple[Seen, Seen]:
    orders = [ollang.add_order(type="subtitle", behaviour=case.behaviour) for case in CASES.values()]
    fail_as_told(ollang, Reruns, orders, CASES)
    options = [{"stale_timeout": 5, **case.options} for case in CASES.values()]
    return play(Reruns(airflow, ollang, list(zip(orders, options, strict=True))), CASES)


@pytest.mark.parametrize("name", CASES)
def test_clearing_a_task_that_has_ended(name: str, before_and_after: tuple[Seen, Seen]) -> None:
    first, second = before_and_after
    assert first[name] == (CASES[name].first, CASES[name].record)
    assert second[name][0] == CASES[name].second


def test_clearing_a_deferred_and_a_running_wait_sends_nothing(airflow: AirflowStack, ollang: Sandbox) -> None:
    orders = [ollang.add_order(type="subtitle", behaviour=AT_WORK) for _ in range(2)]
    reruns = Reruns(airflow, ollang, [(orders[0], {"deferrable": True}), (orders[1], {})])
    deferred, running = reruns.all
    reruns.until(
        lambda: deferred.stays_away and bool(running.posts) and running.looks_after(running.posts[0].n) >= 2,
        "one is deferred, one waits on its worker",
    )
    last = ollang.last_request
    reruns.clear()
    reruns.until(
        lambda: deferred.tries > 1 and deferred.stays_away and running.tries > 1 and running.looks_after(last) >= 2,
        "both wait again",
    )
    for order_id in orders:
        deliver(ollang, order_id)
    reruns.until_all_are_over()
    assert [reruns.outcome(index) for index in (0, 1)] == ["success"] * 2
    assert [accepted(ollang, order_id) for order_id in orders] == [1, 1]
    assert [len(one.posts) for one in reruns.all] == [1, 1]
    assert [reruns.result(index)["reconnected"] for index in (0, 1)] == [True, True]


WAITS = 200


@pytest.mark.parametrize("state_kept", [True, False], ids=["state kept", "state gone"])
def test_clearing_two_hundred_waits_at_once_sends_nothing(
    airflow: AirflowStack, ollang: Sandbox, state_kept: bool
) -> None:
    orders = [ollang.add_order(type="subtitle", behaviour=AT_WORK) for _ in range(WAITS)]
    options = {"deferrable": True, "poll_interval": 30}
    reruns = Reruns(airflow, ollang, [(order_id, options) for order_id in orders])
    reruns.until_all_stay_away(limit=1200)
    if not state_kept:
        for index in range(WAITS):
            forget(reruns, index)
    reruns.clear()
    # A busy Airflow loses the beginning of some and starts them once more.
    reruns.until(lambda: all(one.tries > 1 and one.stays_away for one in reruns.all), "all wait again", limit=1200)
    assert sum(len(one.posts) for one in reruns.all) == WAITS
    assert [accepted(ollang, order_id) for order_id in orders] == [1] * WAITS
    airflow.api("PATCH", f"/dags/{reruns.dag_id}/dagRuns/{reruns.run_id}", json={"state": "failed"})
