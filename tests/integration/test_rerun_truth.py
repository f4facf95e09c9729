"""Right results that used to be refused, and wrong ones that used to pass, on a worker and deferred."""

from __future__ import annotations

import dataclasses
import random
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_ollang.exceptions import OllangStaleResultError
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from tests.installed_airflow import TaskStateStoreAccessor, needs_task_state_store
from tests.integration.submissions import (
    NO_TRACE,
    ORDER,
    RESULT_ONLY,
    STATUS_ONLY,
    accepted_reruns,
    during_sleep,
    state_on_record,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import Run, RunDag

#: Who waits for the rerun's result, and where.
WAITS: dict[str, tuple[str, dict[str, Any]]] = {
    "operator": ("rerun", {}),
    "operator, deferrable": ("rerun", {"deferrable": True}),
    "poke": ("wait", {}),
    "reschedule": ("wait", {"mode": "reschedule"}),
    "deferrable": ("wait", {"deferrable": True}),
}


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll in the triggerer when the worker would."""
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)


#: That all end alike, tests/integration/test_modes.py proves: most tests need one wait on a worker and one deferred.
# Without a store, reschedule mode remembers nothing from poll to poll.
in_every_mode = pytest.mark.parametrize(
    "wait", [mode for mode in WAITS if mode != "reschedule" or TaskStateStoreAccessor is not None], indirect=True
)


@pytest.fixture(params=["operator", "deferrable"])
def wait(request: pytest.FixtureRequest, ollang: Sandbox, run_dag: RunDag) -> Wait:
    return Wait(*WAITS[request.param], ollang, run_dag)


@dataclasses.dataclass
class Wait:
    """One rerun of the order and one wait for its result."""

    task_id: str
    arguments: dict[str, Any]
    ollang: Sandbox
    run_dag: RunDag

    def run(self, poll: float = 60, **rerun: Any) -> Run:
        retries: dict[str, Any] = {"retries": 1, "retry_delay": 0, "stale_timeout": 900}
        with DAG("evidence", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001
            if self.task_id == "rerun":
                waiting: dict[str, Any] = {"wait_for_completion": True, "timeout": 4 * 3600, "poll_interval": poll}
                OllangRerunOperator(
                    task_id="rerun", order_id=ORDER, **{**retries, **waiting, **self.arguments, **rerun}
                )
            else:
                before = OllangRerunOperator(task_id="rerun", order_id=ORDER, **rerun)
                OllangOrderStatusSensor(
                    task_id="wait", rerun=before.output, poke_interval=poll, **retries, **self.arguments
                )
        return self.run_dag(dag)

    def result(self, run: Run) -> dict[str, Any]:
        """Return the facts of the new result, found in the first try."""
        assert set(run.states.values()) == {"success"}, run.errors
        assert run.tries[self.task_id] == 1
        found: dict[str, Any] = run.results[self.task_id]
        return found["result"] if self.task_id == "rerun" else found

    def is_stale(self, run: Run) -> bool:
        return isinstance(run.errors.get(self.task_id), OllangStaleResultError)


def names(result: dict[str, Any]) -> list[str]:
    return [output["name"] for output in result["outputs"]]


def test_stale_replica_that_shows_an_earlier_run_proves_nothing(ollang: Sandbox, wait: Wait) -> None:
    # An earlier run ends, whose event is in the baseline; the rerun leaves no trace.
    ollang.change_order(ORDER, behaviour={"run_seconds": 30})
    OllangHook().rerun_order(ORDER)
    ollang.advance(40)
    behaviour = {"status_hidden_for": None, "outputs": "unchanged", "delivery_events_delay": 1e6}
    ollang.change_order(ORDER, behaviour={**behaviour, "stale_every": 3, "stale_by": 35})
    assert wait.is_stale(wait.run())


# --- Results made before the response to the POST -----------------------------------------------------------------


@in_every_mode
@pytest.mark.parametrize("only", ["documents", "event"])
def test_result_made_before_the_response_of_a_slow_gateway(ollang: Sandbox, wait: Wait, only: str) -> None:
    hidden = {"delivery_events": "absent"} if only == "documents" else {"outputs": "unchanged"}
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, **hidden, "run_seconds": 20})
    ollang.add_fault("POST", "*/rerun", processed=True, advance=40)
    result = wait.result(wait.run())
    assert result["evidence"] == [only]
    assert names(result) == (["French Subtitles (run 2)"] if only == "documents" else ["French Subtitles"])


def test_attempt_after_429_counts_its_own_time_only(ollang: Sandbox, wait: Wait) -> None:
    # The first attempt takes its time and is refused; an old result shows up that the baseline did not show.
    ollang.change_order(ORDER, behaviour={**NO_TRACE, "stale_every": 2})
    ollang.add_fault("POST", "*/rerun", status=429, headers={"Retry-After": "5"}, advance=50)
    replaced = [{"id": "doc_hidden", "type": "subtitle", "createdAt": ollang.now.isoformat()}]
    ollang.change_order(ORDER, orderDocs=replaced, after=10)
    run = wait.run()
    assert wait.is_stale(run)
    assert accepted_reruns(ollang) == 1


# --- A front whose clock runs ahead ---------------------------------------------------------------------------------


@pytest.mark.parametrize("only", ["documents", "event"])
def test_result_dated_before_request_of_fast_gateway_counts(ollang: Sandbox, wait: Wait, only: str) -> None:
    hidden = {"delivery_events": "absent"} if only == "documents" else {"outputs": "unchanged"}
    ollang.behaviour = dataclasses.replace(ollang.behaviour, date_ahead=1200)
    # Without a list of events in the baseline only their dates could tell.
    ollang.change_order(ORDER, deliveryEvents=[], behaviour={**RESULT_ONLY, **hidden, "run_seconds": 700})
    result = wait.result(wait.run())
    assert result["evidence"] == [only]
    assert result["outputs_changed"] is (only == "documents")


def test_result_of_run_shorter_than_the_skew_counts_once_it_was_at_work(ollang: Sandbox, wait: Wait) -> None:
    ollang.behaviour = dataclasses.replace(ollang.behaviour, date_ahead=1200)
    ollang.change_order(ORDER, behaviour={"run_seconds": 300})
    result = wait.result(wait.run())
    assert (result["outputs_changed"], names(result)) == (True, ["French Subtitles (run 2)"])


@pytest.mark.parametrize("when", ["before the rerun", "while it is at work"])
def test_result_of_somebody_else_that_shows_late_is_not_the_reruns(ollang: Sandbox, wait: Wait, when: str) -> None:
    # The rerun leaves the files as they were, and the baseline did not show those that are there.
    ollang.change_order(ORDER, behaviour={**STATUS_ONLY, "run_seconds": 300})
    hidden = [{"id": "doc_hidden", "type": "subtitle", "createdAt": ollang.now.isoformat()}]
    ollang.advance(10)
    ollang.change_order(ORDER, orderDocs=hidden, after=0.5 if when == "before the rerun" else 100)
    result = wait.result(wait.run())
    assert (result["outputs_changed"], result["evidence"]) == (False, ["running"])


def test_result_within_ten_minutes_of_fast_gateway_is_stale(ollang: Sandbox, wait: Wait) -> None:
    ollang.behaviour = dataclasses.replace(ollang.behaviour, date_ahead=1200)
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, "run_seconds": 500})
    assert wait.is_stale(wait.run())


@pytest.mark.parametrize(("lag", "every"), [(60, 2), (3600, 3), (300, 1)])
def test_old_result_that_a_lagging_baseline_hid_stays_old(ollang: Sandbox, wait: Wait, lag: float, every: int) -> None:
    # Somebody's result is there ten seconds before the baseline poll, which does not see it, and the rerun never ends.
    ollang.change_order(ORDER, behaviour={**NO_TRACE, "end_status": None})
    ollang.advance(lag)
    hidden = [{"id": "doc_hidden", "type": "subtitle", "createdAt": ollang.now.isoformat()}]
    ollang.change_order(ORDER, orderDocs=hidden)
    ollang.advance(10)
    ollang.change_order(ORDER, behaviour={"stale_every": every, "stale_by": lag})
    for _ in range(every - 1):
        ollang.get_order(ORDER)
    assert wait.is_stale(wait.run())


@in_every_mode
@needs_task_state_store
def test_confirmed_baseline_outlives_the_try(ollang: Sandbox, wait: Wait) -> None:
    ollang.behaviour = dataclasses.replace(ollang.behaviour, date_ahead=1200)
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, "run_seconds": 900})
    # The polls of ten minutes confirm the baseline; the outage ends the try, and the next one finds the result.
    ollang.add_fault("GET", "/integration/orders/*", skip=19, times=10, status=503)
    run = wait.run()
    assert run.tries[wait.task_id] == 2
    assert run.states[wait.task_id] == "success"


# --- A review that somebody asks for and cancels --------------------------------------------------------------------


def test_review_asked_for_and_cancelled_is_no_rerun_at_work(ollang: Sandbox, wait: Wait) -> None:
    ollang.change_order(ORDER, behaviour={**NO_TRACE, "end_status": None})
    ollang.change_order(ORDER, status="ongoing", level=1, after=70)
    ollang.change_order(ORDER, status="completed", level=0, after=200)
    assert wait.is_stale(wait.run())


def test_review_requested_during_confirmation_is_no_rerun(ollang: Sandbox, wait: Wait) -> None:
    ollang.change_order(ORDER, behaviour={**NO_TRACE, "end_status": None})
    ollang.change_order(ORDER, status="ongoing", level=1, after=5)
    ollang.change_order(ORDER, status="completed", level=0, after=20)
    run = wait.run()
    assert run.results["rerun"]["seen_running"] is False
    assert wait.is_stale(run)


@needs_task_state_store
def test_requested_review_is_no_evidence_of_a_lost_request(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.add_fault("POST", "*/rerun", drop="before")
    during_sleep(monkeypatch, lambda: ollang.change_order(ORDER, status="ongoing", level=1))
    with DAG("evidence", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001
        OllangRerunOperator(task_id="rerun", order_id=ORDER)
    run = run_dag(dag)
    assert (run.states, state_on_record()) == ({"rerun": "failed"}, "unknown")


# --- Drafts ---------------------------------------------------------------------------------------------------------

REVIEWED = {
    "draft_documents": True,
    "status_hidden_for": None,
    "run_seconds": 600,
}


def test_drafts_are_not_the_result_while_their_event_is_late(ollang: Sandbox, wait: Wait) -> None:
    ollang.change_order(ORDER, level=1, behaviour={**REVIEWED, "delivery_events_delay": 20})
    result = wait.result(wait.run(poll=5))
    assert names(result) == ["French Subtitles (run 2)"]
    assert result["outputs_changed"] is True


@pytest.mark.parametrize("events", ["absent", "unchanged"])
def test_drafts_are_never_the_result_without_their_event(ollang: Sandbox, wait: Wait, events: str) -> None:
    ollang.change_order(ORDER, level=1, behaviour={**REVIEWED, "delivery_events": events})
    assert wait.is_stale(wait.run(poll=30))


@pytest.mark.parametrize("events", ["absent", "unchanged"])
def test_reviewed_documents_count_once_the_rerun_was_at_work(ollang: Sandbox, wait: Wait, events: str) -> None:
    ollang.change_order(
        ORDER, level=1, behaviour={**REVIEWED, "delivery_events": events, "status_hidden_for": 0, "outputs_after": 0}
    )
    result = wait.result(wait.run(poll=30))
    assert result["evidence"] == ["documents", "running"]
    assert names(result) == ["French Subtitles (run 2)"]


def test_drafts_that_people_approve_unchanged_are_the_result(ollang: Sandbox, wait: Wait) -> None:
    ollang.change_order(ORDER, level=1, behaviour={**REVIEWED, "outputs": "unchanged"})
    started = ollang.now
    result = wait.result(wait.run(poll=30))
    assert "event" in result["evidence"]
    assert (names(result), result["outputs_changed"]) == (["French Subtitles (run 2, draft)"], True)
    # Not before new files could have taken their place.
    assert (ollang.now - started).total_seconds() >= 600 + 120


def test_drafts_are_not_the_result_while_reviewed_documents_lag(ollang: Sandbox, wait: Wait) -> None:
    # They come a minute and a half after the event that reports them.
    ollang.change_order(ORDER, level=1, behaviour={**REVIEWED, "outputs_after": 90})
    assert names(wait.result(wait.run(poll=30))) == ["French Subtitles (run 2)"]
