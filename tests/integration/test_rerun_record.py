"""A rerun task that dies on the way: the record it left decides what its retry does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.client.sync import OllangClient
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
    delete_record,
    die,
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
    from collections.abc import Callable

    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag

SECOND_TRY = ({"rerun": "success"}, {"rerun": 2})


@pytest.fixture(autouse=True)
def _bills_every_request(ollang: Sandbox) -> None:
    """Accept a rerun even while one goes on, so that nothing but the client prevents a second one."""
    ollang.change_order(ORDER, behaviour={"rerun_while_running": "accept"})


@needs_task_state_store
def test_died_before_the_record(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> None:
    look = OllangClient.get_dated_order
    deaths = iter([ProcessKilled()])

    def dying(self: OllangClient, *arguments: Any, **options: Any) -> Any:
        found = look(self, *arguments, **options)
        for death in deaths:
            raise death
        return found

    monkeypatch.setattr(OllangClient, "get_dated_order", dying)
    run = run_dag(rerun_dag())
    assert (run.states, run.tries) == SECOND_TRY
    assert accepted_reruns(ollang) == posts(ollang) == 1


@needs_task_state_store
@pytest.mark.parametrize("written", [False, True], ids=["not written", "written"])
def test_died_writing_that_it_sends(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    at_store(monkeypatch, "set", die, state="sending", written=written)
    run = run_dag(rerun_dag())
    # Nothing was sent either way, but who finds the record cannot know that.
    assert run.states == {"rerun": "failed" if written else "success"}
    assert accepted_reruns(ollang) == posts(ollang) == (0 if written else 1)


TRACES = {"result": RESULT_ONLY, "status only": STATUS_ONLY, "no trace": NO_TRACE}


@needs_task_state_store
@pytest.mark.parametrize("trace", TRACES)
@pytest.mark.parametrize("on_unknown_outcome", ["fail", "resubmit"])
def test_died_sending_what_was_processed(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, trace: str, on_unknown_outcome: str
) -> None:
    ollang.change_order(ORDER, behaviour=TRACES[trace])
    kill_while_sending(monkeypatch, processed=True)
    run = run_dag(rerun_dag(on_unknown_outcome=on_unknown_outcome))
    receipt = run.results["rerun"]
    assert run.tries == {"rerun": 2}
    if trace != "no trace":
        assert run.states == {"rerun": "success"}
        assert (accepted_reruns(ollang), receipt["reconnected"]) == (1, True)
        assert receipt["seen_running"] is (trace == "status only")
        assert state_on_record() == "finished"
    elif on_unknown_outcome == "fail":
        assert run.states == {"rerun": "failed"}
        assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
        assert "an earlier try of this task ended around the request" in str(run.errors["rerun"])
        # Marked as success by hand, the task hands on what it knew.
        assert (accepted_reruns(ollang), receipt["reconnected"], receipt["message"]) == (1, False, None)
        assert state_on_record() == "unknown"
    else:
        # The price that its user agreed to.
        assert (run.states, accepted_reruns(ollang)) == ({"rerun": "success"}, 2)
        assert receipt["message"] == "Order rerun initiated successfully"
    assert posts(ollang) == accepted_reruns(ollang)


@needs_task_state_store
@pytest.mark.parametrize("on_unknown_outcome", ["fail", "resubmit"])
def test_died_before_sending(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, on_unknown_outcome: str
) -> None:
    kill_while_sending(monkeypatch, processed=False)
    started = ollang.now
    run = run_dag(rerun_dag(on_unknown_outcome=on_unknown_outcome))
    assert run.tries == {"rerun": 2}
    assert (ollang.now - started).total_seconds() == 300
    if on_unknown_outcome == "fail":
        assert (run.states, accepted_reruns(ollang)) == ({"rerun": "failed"}, 0)
    else:
        assert (run.states, accepted_reruns(ollang)) == ({"rerun": "success"}, 1)
    assert posts(ollang) == accepted_reruns(ollang)


@needs_task_state_store
@pytest.mark.parametrize("trace", [RESULT_ONLY, STATUS_ONLY], ids=["result", "status only"])
def test_what_died_sending_is_waited_for_by_its_retry(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, trace: dict[str, Any]
) -> None:
    ollang.change_order(ORDER, behaviour=trace)
    kill_while_sending(monkeypatch, processed=True)
    run = run_dag(rerun_dag(**WAITING))
    assert (run.states, run.tries) == SECOND_TRY
    result = run.results["rerun"]["result"]
    if trace is STATUS_ONLY:
        assert (result["evidence"], result["outputs_changed"]) == (["running"], False)
    else:
        assert "(run 2)" in first_output(run.results["rerun"])
        assert result["evidence"] == ["event", "documents"]
    assert accepted_reruns(ollang) == 1


@needs_task_state_store
def test_died_with_the_answer_in_hand(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> None:
    at_store(monkeypatch, "set", die, state="accepted")
    run = run_dag(rerun_dag())
    assert (run.states, run.tries) == SECOND_TRY
    assert (accepted_reruns(ollang), posts(ollang), run.results["rerun"]["reconnected"]) == (1, 1, True)


@needs_task_state_store
@pytest.mark.parametrize("wait", [{}, WAITING, {**WAITING, "deferrable": True}], ids=["no wait", "wait", "deferrable"])
def test_died_once_it_was_accepted(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, wait: dict[str, Any]
) -> None:
    # Nothing shows the rerun when the retry looks, so only the record can tell it.
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, "run_seconds": 1000})
    at_store(monkeypatch, "set", die, state="accepted", written=True)
    run = run_dag(rerun_dag(**wait))
    assert (run.states, run.tries) == SECOND_TRY
    receipt = run.results["rerun"]
    assert (receipt["reconnected"], receipt["message"]) == (True, "Order rerun initiated successfully")
    assert (accepted_reruns(ollang), posts(ollang)) == (1, 1)
    if wait:
        assert "(run 2)" in first_output(receipt)


@needs_task_state_store
@pytest.mark.parametrize("after", [0, 20, 120, 600], ids=["first polls", "still dense", "waiting", "late"])
def test_died_in_a_pause(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, after: float) -> None:
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, "run_seconds": 1000})
    during_sleep(monkeypatch, die, after=after)
    run = run_dag(rerun_dag(**WAITING))
    assert (run.states, run.tries) == SECOND_TRY
    assert "(run 2)" in first_output(run.results["rerun"])
    assert (accepted_reruns(ollang), posts(ollang)) == (1, 1)


@needs_task_state_store
def test_what_a_dead_try_saw_is_evidence_for_the_next(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    # At work only after the first polls, and back to its old face by the time the retry looks.
    path = [[100, "ongoing"], [200, "completed"]]
    ollang.change_order(ORDER, behaviour={**STATUS_ONLY, "status_path": path, "run_seconds": 250})

    def fall_asleep_for_ever() -> None:
        ollang.advance(300)
        raise ProcessKilled

    during_sleep(monkeypatch, fall_asleep_for_ever, after=155)
    run = run_dag(rerun_dag(**WAITING))
    assert (run.states, run.tries) == SECOND_TRY
    assert run.results["rerun"]["result"]["evidence"] == ["running"]
    assert accepted_reruns(ollang) == 1


@needs_task_state_store
@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
@pytest.mark.parametrize("moment", ["before", "finished"])
def test_died_at_the_very_end(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, deferrable: bool, moment: str
) -> None:
    looks: list[int] = []

    def die_at_the_end() -> None:
        looks.append(len(ollang.request_log))
        raise ProcessKilled

    at_store(monkeypatch, "set", die_at_the_end, state="finished", written=moment == "finished")
    run = run_dag(rerun_dag(**WAITING, deferrable=deferrable))
    assert (run.states, run.tries) == SECOND_TRY
    receipt = run.results["rerun"]
    assert "(run 2)" in first_output(receipt)
    assert accepted_reruns(ollang) == 1
    assert state_on_record() == "finished"
    if moment == "finished":
        # It has its result, and asks nobody for it.
        assert len(ollang.request_log) == looks[0]
        assert receipt["reconnected"] is False
    else:
        assert receipt["reconnected"] is True


@needs_task_state_store
def test_died_when_it_had_concluded_without_waiting(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_store(monkeypatch, "set", die, state="finished", written=True)
    run = run_dag(rerun_dag())
    assert (run.states, run.tries) == SECOND_TRY
    assert run.results["rerun"] == record()["receipt"]
    assert [entry.method for entry in ollang.request_log] == ["GET", "POST"]


@needs_task_state_store
def test_the_record_is_there_while_the_request_is_on_its_way(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_while_sending(monkeypatch, processed=False, times=1)
    run_dag(rerun_dag(retries=0))
    found = record()
    assert {name: found[name] for name in found if name != "receipt"} == {
        "subject": ORDER,
        "host": ollang.url,
        "max_tries": 0,
        "state": "sending",
        "resubmitted": False,
        "try_number": 1,
        "clear_number": 0,
        "unknown_since": None,
    }
    # A lower bound of the time of acceptance, which nobody knows.
    assert (found["receipt"]["message"], found["receipt"]["requested_at"]) == (
        None,
        ollang.now.replace(microsecond=0).isoformat(),
    )
    assert found["receipt"]["baseline"]["outputs"][0]["id"] == "doc_456def"


# --- The store --------------------------------------------------------------------------------------------------


@needs_task_state_store
@pytest.mark.parametrize("times", [1, 3], ids=["once", "always"])
@pytest.mark.parametrize(("method", "state"), [("get", None), ("set", "sending")], ids=["unreadable", "unwritable"])
def test_nothing_is_sent_without_the_store(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, method: str, state: str | None, times: int
) -> None:
    at_store(monkeypatch, method, fail, state=state, times=times)
    run = run_dag(rerun_dag())
    assert "so nothing was sent" in str(run.errors["rerun"])
    assert "ConnectionError" in str(run.errors["rerun"])
    expected = ("success", 2, 1) if times == 1 else ("failed", 3, 0)
    assert (run.states["rerun"], run.tries["rerun"], posts(ollang)) == expected


@needs_task_state_store
@pytest.mark.parametrize("state", ["accepted", "finished"])
@pytest.mark.parametrize("wait", [{}, WAITING, {**WAITING, "deferrable": True}], ids=["no wait", "wait", "deferrable"])
def test_what_is_bought_is_not_lost_with_the_store(
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
    if wait:
        assert "(run 2)" in first_output(run.results["rerun"])


@needs_task_state_store
def test_a_try_that_could_not_note_the_answer_is_taken_over_by_evidence(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_store(monkeypatch, "set", fail, state="accepted", times=99)
    during_sleep(monkeypatch, die, after=20)
    ollang.change_order(ORDER, behaviour=RESULT_ONLY)
    run = run_dag(rerun_dag(**WAITING))
    assert (run.states, run.tries) == SECOND_TRY
    assert (accepted_reruns(ollang), run.results["rerun"]["reconnected"]) == (1, True)


@needs_task_state_store
def test_a_record_that_cannot_be_taken_back_sends_nothing_later(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ollang.add_fault("POST", status=429, headers={"Retry-After": "3600"})
    at_store(monkeypatch, "set", fail, state="refused")
    run = run_dag(rerun_dag())
    assert (run.states, run.tries, posts(ollang)) == ({"rerun": "failed"}, {"rerun": 2}, 1)
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    assert "record could not be taken back" in capfd.readouterr().out


GARBAGE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a text": lambda _: "accepted",
    "a list": lambda found: [found],
    "a state nobody knows": lambda found: {**found, "state": "pondering"},
    "no state": lambda found: {name: found[name] for name in found if name != "state"},
    "no receipt": lambda found: {**found, "receipt": None},
    "half a receipt": lambda found: {**found, "receipt": {"order_id": ORDER}},
    "a broken baseline": lambda found: {**found, "receipt": {**found["receipt"], "baseline": {"events": 1}}},
}


@needs_task_state_store
@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_a_record_that_cannot_be_read_sends_nothing(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, garbage: Callable[[dict[str, Any]], Any]
) -> None:
    def spoil() -> None:
        replace_record(garbage(record()))
        raise ProcessKilled

    during_sleep(monkeypatch, spoil)
    run = run_dag(rerun_dag(**WAITING))
    assert (run.states, run.tries) == ({"rerun": "failed"}, {"rerun": 2})
    assert isinstance(run.errors["rerun"], OllangConfigurationError)
    assert accepted_reruns(ollang) == posts(ollang) == 1


@needs_task_state_store
def test_fields_of_a_later_version_are_no_trouble(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add_fields() -> None:
        found = record()
        replace_record({**found, "weather": "fine", "receipt": {**found["receipt"], "mood": "good"}})
        raise ProcessKilled

    during_sleep(monkeypatch, add_fields)
    run = run_dag(rerun_dag(**WAITING))
    assert (run.states, run.tries, accepted_reruns(ollang)) == (*SECOND_TRY, 1)


@needs_task_state_store
def test_a_record_deleted_by_hand_is_a_wish_begun_anew(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget() -> None:
        delete_record()
        raise ProcessKilled

    during_sleep(monkeypatch, forget)
    run = run_dag(rerun_dag(**WAITING))
    assert (run.states, run.tries, accepted_reruns(ollang)) == (*SECOND_TRY, 2)
