"""What is the result of a rerun, and what is not, on a worker and deferred: one test of each kind of rule."""

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
        """Return the new result, which the first try has to return."""
        assert set(run.states.values()) == {"success"}, run.errors
        assert run.tries[self.task_id] == 1
        returned: dict[str, Any] = run.results[self.task_id]
        return returned["result"] if self.task_id == "rerun" else returned

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


@pytest.mark.parametrize("only", ["documents", "event"])
def test_result_made_before_a_slow_response_counts(ollang: Sandbox, wait: Wait, only: str) -> None:
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


def test_result_of_an_observed_run_within_the_skew_counts(ollang: Sandbox, wait: Wait) -> None:
    ollang.behaviour = dataclasses.replace(ollang.behaviour, date_ahead=1200)
    ollang.change_order(ORDER, behaviour={"run_seconds": 300})
    result = wait.result(wait.run())
    assert (result["outputs_changed"], names(result)) == (True, ["French Subtitles (run 2)"])


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


# --- A review that a user requests and cancels --------------------------------------------------------------------


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
