"""A rerun task that dies on the way: the record it left decides what its retry does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangOutcomeUnknownError
from tests.installed_airflow import needs_task_state_store
from tests.integration.submissions import (
    NO_TRACE,
    ORDER,
    RESULT_ONLY,
    STATUS_ONLY,
    WAITING,
    ProcessKilled,
    accepted_reruns,
    at_store,
    during_sleep,
    fail,
    first_output,
    kill_while_sending,
    posts,
    record,
    replace_record,
    rerun_dag,
    state_on_record,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag

SECOND_TRY = ({"rerun": "success"}, {"rerun": 2})


@pytest.fixture(autouse=True)
def _bills_every_request(ollang: Sandbox) -> None:
    """Accept a rerun even while one goes on, so that nothing but the client prevents a second one."""
    ollang.change_order(ORDER, behaviour={"rerun_while_running": "accept"})


@needs_task_state_store
@pytest.mark.parametrize("trace", [RESULT_ONLY, STATUS_ONLY], ids=["result", "status only"])
def test_retry_reconnects_to_what_a_dead_try_sent(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, trace: dict[str, Any]
) -> None:
    ollang.change_order(ORDER, behaviour=trace)
    kill_while_sending(monkeypatch, processed=True)
    run = run_dag(rerun_dag(on_unknown_outcome="resubmit"))
    receipt = run.results["rerun"]
    assert (run.states, run.tries, state_on_record()) == (*SECOND_TRY, "finished")
    assert (receipt["reconnected"], receipt["seen_running"]) == (True, trace is STATUS_ONLY)
    assert posts(ollang) == accepted_reruns(ollang) == 1


@needs_task_state_store
def test_retry_of_a_dead_try_without_a_trace_is_unknown(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    kill_while_sending(monkeypatch, processed=True)
    run = run_dag(rerun_dag())
    receipt = run.results["rerun"]
    assert (run.states, run.tries, state_on_record()) == ({"rerun": "failed"}, {"rerun": 2}, "unknown")
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    assert "an earlier try of this task ended around the request" in str(run.errors["rerun"])
    # Marked as success by hand, the task hands on what it had.
    assert (receipt["reconnected"], receipt["message"]) == (False, None)
    assert posts(ollang) == accepted_reruns(ollang) == 1


@needs_task_state_store
def test_what_a_dead_try_observed_is_evidence_for_the_next(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At work only after the first polls, and in its old status again when the retry polls.
    path = [[100, "ongoing"], [200, "completed"]]
    ollang.change_order(ORDER, behaviour={**STATUS_ONLY, "status_path": path, "run_seconds": 250})

    def sleep_and_die() -> None:
        ollang.advance(300)
        raise ProcessKilled

    during_sleep(monkeypatch, sleep_and_die, after=155)
    run = run_dag(rerun_dag(**WAITING))
    assert (run.states, run.tries) == SECOND_TRY
    assert run.results["rerun"]["result"]["evidence"] == ["running"]
    assert accepted_reruns(ollang) == 1


@needs_task_state_store
def test_retry_of_a_finished_try_returns_its_result(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[int] = []

    def die_at_the_end() -> None:
        requests.append(len(ollang.request_log))
        raise ProcessKilled

    at_store(monkeypatch, "set", die_at_the_end, state="finished", written=True)
    run = run_dag(rerun_dag(**WAITING, deferrable=True))
    assert (run.states, run.tries, state_on_record()) == (*SECOND_TRY, "finished")
    assert "(run 2)" in first_output(run.results["rerun"])
    assert run.results["rerun"]["reconnected"] is False
    assert [len(ollang.request_log)] == requests


@needs_task_state_store
def test_record_is_stored_before_the_request_is_sent(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_while_sending(monkeypatch, processed=False, times=1)
    run_dag(rerun_dag(retries=0))
    stored = record()
    assert {name: stored[name] for name in stored if name != "receipt"} == {
        "subject": ORDER,
        "host": ollang.url,
        "max_tries": 0,
        "state": "sending",
        "resubmitted": False,
        "try_number": 1,
        "clear_number": 0,
        "unknown_since": None,
    }
    # A lower bound of the time of acceptance, which is unknown.
    assert (stored["receipt"]["message"], stored["receipt"]["requested_at"]) == (
        None,
        ollang.now.replace(microsecond=0).isoformat(),
    )
    assert stored["receipt"]["baseline"]["outputs"][0]["id"] == "doc_456def"


# --- The store --------------------------------------------------------------------------------------------------


@needs_task_state_store
@pytest.mark.parametrize(
    ("method", "state", "times"),
    [("get", None, 3), ("set", "sending", 1)],
    ids=["unreadable", "unwritable"],
)
def test_store_failure_before_the_request_sends_nothing(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, method: str, state: str | None, times: int
) -> None:
    at_store(monkeypatch, method, fail, state=state, times=times)
    run = run_dag(rerun_dag())
    assert "so nothing was sent" in str(run.errors["rerun"])
    assert "ConnectionError" in str(run.errors["rerun"])
    expected = ("success", 2, 1) if times == 1 else ("failed", 3, 0)
    assert (run.states["rerun"], run.tries["rerun"], posts(ollang)) == expected


@needs_task_state_store
@pytest.mark.parametrize(
    ("state", "wait"),
    [("accepted", {**WAITING, "deferrable": True}), ("finished", WAITING), ("finished", {})],
    ids=["accepted, deferrable", "finished", "finished, no wait"],
)
def test_store_failure_after_the_request_loses_nothing(
    ollang: Sandbox,
    run_dag: RunDag,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    state: str,
    wait: dict[str, Any],
) -> None:
    at_store(monkeypatch, "set", fail, state=state, times=99)
    run = run_dag(rerun_dag(**wait))
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 1})
    assert accepted_reruns(ollang) == 1
    assert f"Could not store that the submission about {ORDER} is {state}" in capfd.readouterr().out
    assert run.results["rerun"]["message"] == "Order rerun initiated successfully"
    if wait:
        assert "(run 2)" in first_output(run.results["rerun"])


@needs_task_state_store
def test_record_that_is_not_taken_back_sends_nothing_later(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ollang.add_fault("POST", status=429, headers={"Retry-After": "3600"})
    at_store(monkeypatch, "set", fail, state="refused")
    run = run_dag(rerun_dag())
    assert (run.states, run.tries, posts(ollang)) == ({"rerun": "failed"}, {"rerun": 2}, 1)
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    assert "record could not be taken back" in capfd.readouterr().out


@needs_task_state_store
def test_unreadable_record_sends_nothing(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil() -> None:
        stored = record()
        replace_record({**stored, "receipt": {**stored["receipt"], "baseline": {"events": 1}}})
        raise ProcessKilled

    during_sleep(monkeypatch, spoil)
    run = run_dag(rerun_dag(**WAITING))
    assert (run.states, run.tries) == ({"rerun": "failed"}, {"rerun": 2})
    assert isinstance(run.errors["rerun"], OllangConfigurationError)
    assert accepted_reruns(ollang) == posts(ollang) == 1


@needs_task_state_store
def test_record_may_have_fields_of_a_later_version(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_fields() -> None:
        stored = record()
        replace_record({**stored, "weather": "fine", "receipt": {**stored["receipt"], "mood": "good"}})
        raise ProcessKilled

    during_sleep(monkeypatch, add_fields)
    run = run_dag(rerun_dag(**WAITING))
    assert (run.states, run.tries, accepted_reruns(ollang)) == (*SECOND_TRY, 1)
