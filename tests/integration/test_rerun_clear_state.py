"""
A rerun task that is retried or cleared, with its state kept (Airflow 3.3) or discarded (3.4 and newer).

A second rerun is accepted and billed, so that nothing but the task prevents one.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.exceptions import OllangOrderNotEligibleError
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from tests.installed_airflow import needs_task_state_store
from tests.integration.submissions import (
    ORDER,
    WAITING,
    ProcessKilled,
    accepted_reruns,
    at_store,
    during_sleep,
    first_output,
    kill_while_sending,
    no_triggerer,
    posts,
    rerun_dag,
    state_on_record,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import ClearRun, RunDag

pytestmark = needs_task_state_store

MODES: dict[str, dict[str, Any]] = {
    "sync": WAITING,
    "deferred": {**WAITING, "deferrable": True},
    "not waiting": {},
}
#: The order when the task begins again: what its rerun shows, and how much later that is.
ORDERS: dict[str, tuple[dict[str, Any], float]] = {
    "at work": ({"run_seconds": 5000, "status_path": [[1, "ongoing"]]}, 0),
    "in review": ({"run_seconds": 5000, "status_path": [[1, "review"]]}, 0),
    "old result": ({"run_seconds": 5000, "status_hidden_for": None}, 0),
    "new result": ({"run_seconds": 5000}, 6000),
    "failed": ({"run_seconds": 5000, "end_status": "failed"}, 6000),
}


def expected_accepted(order: str, mode: str, *, state_kept: bool) -> int:
    """Return how many reruns are accepted in all, once the task was cleared."""
    if order in {"at work", "in review", "failed"}:
        return 1
    if not state_kept:
        return 2
    # Without waiting the task was done: a clear of it asks for another rerun, if the last one has shown its result.
    return 2 if mode == "not waiting" and order == "new result" else 1


def _die_in_the_wait(ollang: Sandbox, monkeypatch: pytest.MonkeyPatch, later: float) -> None:
    def die() -> None:
        ollang.advance(later)
        raise ProcessKilled

    during_sleep(monkeypatch, die, after=100)


@pytest.mark.parametrize("state_kept", [True, False], ids=["state kept", "state gone"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", ORDERS)
def test_cleared_rerun_is_submitted_only_if_none_is_at_work(
    ollang: Sandbox,
    run_dag: RunDag,
    clear_run: ClearRun,
    monkeypatch: pytest.MonkeyPatch,
    order: str,
    mode: str,
    state_kept: bool,
) -> None:
    behaviour, later = ORDERS[order]
    ollang.change_order(ORDER, behaviour={"rerun_while_running": "accept", **behaviour})
    dag = rerun_dag(**MODES[mode], retries=0)
    if mode == "deferred":
        with no_triggerer(monkeypatch):
            run = run_dag(dag)
    else:
        if mode == "sync":
            _die_in_the_wait(ollang, monkeypatch, 0)
        run = run_dag(dag)
    assert (run.states["rerun"], accepted_reruns(ollang)) == (
        {"sync": "failed", "deferred": "deferred", "not waiting": "success"}[mode],
        1,
    )
    ollang.advance(later)
    again = clear_run(dag, run, keep_task_state=state_kept)
    accepted = expected_accepted(order, mode, state_kept=state_kept)
    assert accepted_reruns(ollang) == posts(ollang) == accepted
    if order == "failed":
        assert again.states == {"rerun": "failed"}
        if not state_kept:
            assert isinstance(again.errors["rerun"], OllangOrderNotEligibleError)
        return
    assert (again.states, again.results["rerun"]["reconnected"]) == ({"rerun": "success"}, accepted == 1)
    if mode != "not waiting":
        assert f"(run {accepted + 1})" in first_output(again.results["rerun"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("order", ORDERS)
def test_retried_rerun_is_never_submitted_again(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, order: str, mode: str
) -> None:
    behaviour, later = ORDERS[order]
    ollang.change_order(ORDER, behaviour={"rerun_while_running": "accept", **behaviour})

    def die() -> None:
        ollang.advance(later)
        raise ProcessKilled

    if mode == "sync":
        _die_in_the_wait(ollang, monkeypatch, later)
    elif mode == "not waiting":
        at_store(monkeypatch, "set", die, state="finished", written=True)
    else:
        _die_on_resume(monkeypatch)
    run = run_dag(rerun_dag(**MODES[mode]))
    assert accepted_reruns(ollang) == posts(ollang) == 1
    succeeds = order != "failed" or mode == "not waiting"
    assert (run.states, run.tries) == ({"rerun": "success" if succeeds else "failed"}, {"rerun": 2})


def _die_on_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    complete, left = OllangRerunOperator.execute_complete, [None]

    def dying(self: OllangRerunOperator, context: Any, event: Any) -> Any:
        if left:
            left.pop()
            raise ProcessKilled
        return complete(self, context, event)

    monkeypatch.setattr(OllangRerunOperator, "execute_complete", dying)


# --- State gone: what the 30 s of polling are good for ---------------------------------------------------------------


def test_rerun_that_shows_within_30_s_is_reconnected_to(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    behaviour = {"run_seconds": 5000, "status_path": [[25, "ongoing"]]}
    ollang.change_order(ORDER, behaviour={"rerun_while_running": "accept", **behaviour})
    dag = rerun_dag()
    run = run_dag(dag)
    assert clear_run(dag, run, keep_task_state=False).results["rerun"]["reconnected"] is True
    assert accepted_reruns(ollang) == posts(ollang) == 1


def test_clear_without_state_polls_and_says_so_before_it_submits(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, capfd: pytest.CaptureFixture[str]
) -> None:
    dag = rerun_dag(**WAITING)
    run = run_dag(dag)
    last, cleared_at = ollang.last_request, ollang.now
    again = clear_run(dag, run, keep_task_state=False)
    assert "has no record of an earlier rerun. Polling for up to 30 s" in capfd.readouterr().out
    submission = ollang.requests("POST")[-1]
    polls = [entry for entry in ollang.requests(after=last) if entry.n < submission.n]
    assert [entry.method for entry in polls] == ["GET"] * 7
    assert (datetime.fromisoformat(submission.time) - cleared_at).total_seconds() == pytest.approx(30)
    assert "(run 3)" in first_output(again.results["rerun"])


def test_retry_after_clear_without_state_does_not_resubmit(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_order(ORDER, behaviour={"rerun_while_running": "accept"})
    dag = rerun_dag(**WAITING)
    run = run_dag(dag)
    kill_while_sending(monkeypatch, processed=True)
    again = clear_run(dag, run, keep_task_state=False)
    assert (again.states, again.tries) == ({"rerun": "success"}, {"rerun": 3})
    assert "(run 3)" in first_output(again.results["rerun"])
    assert accepted_reruns(ollang) == posts(ollang) == 2


def test_failed_poll_after_clear_without_state_submits_nothing(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    ollang.change_order(ORDER, behaviour={"rerun_while_running": "accept", **ORDERS["at work"][0]})
    dag = rerun_dag()
    run = run_dag(dag)
    ollang.add_fault("GET", times=5, status=503)
    again = clear_run(dag, run, keep_task_state=False)
    assert (again.states, again.tries) == ({"rerun": "success"}, {"rerun": 3})
    assert accepted_reruns(ollang) == posts(ollang) == 1


# --- `retries` edited between the run and the clear ------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [(1, 0), (0, 1), (3, 3)])
def test_clear_is_no_retry_though_retries_were_edited(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, before: int, after: int
) -> None:
    run = run_dag(rerun_dag(**WAITING, retries=before))
    assert "(run 2)" in first_output(run.results["rerun"])
    again = clear_run(rerun_dag(**WAITING, retries=after), run)
    assert "(run 3)" in first_output(again.results["rerun"])
    assert (accepted_reruns(ollang), again.results["rerun"]["reconnected"]) == (2, False)


def test_retry_is_no_clear_though_another_task_was_cleared(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = rerun_dag(**WAITING)
    run = run_dag(dag)
    # From here on the run counts one clear.
    at_store(monkeypatch, "set", _die, state="finished", written=True)
    again = clear_run(dag, run)
    assert (again.tries, state_on_record()) == ({"rerun": 3}, "finished")
    assert "(run 3)" in first_output(again.results["rerun"])
    assert accepted_reruns(ollang) == 2


def _die() -> None:
    raise ProcessKilled


# --- What was refused -------------------------------------------------------------------------------------------------


def test_cleared_refused_task_attaches_to_no_other_run(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    ollang.change_order(ORDER, status="ongoing")
    dag = rerun_dag(**WAITING)
    run = run_dag(dag)
    assert isinstance(run.errors["rerun"], OllangOrderNotEligibleError)
    again = clear_run(dag, run)
    assert isinstance(again.errors["rerun"], OllangOrderNotEligibleError)
    assert (again.states, posts(ollang)) == ({"rerun": "failed"}, 0)


def test_rerun_that_refuses_a_second_is_reconnected_to(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_order(ORDER, behaviour={"rerun_while_running": "400", "run_seconds": 5000, "status_hidden_for": 120})
    dag = rerun_dag(**MODES["deferred"])
    with no_triggerer(monkeypatch):
        run = run_dag(dag)
    again = clear_run(dag, run, keep_task_state=False)
    assert (again.states, again.results["rerun"]["reconnected"]) == ({"rerun": "success"}, True)
    assert "(run 2)" in first_output(again.results["rerun"])
    assert (accepted_reruns(ollang), posts(ollang)) == (1, 2)
