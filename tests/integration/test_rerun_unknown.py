"""A rerun request with an unknown outcome, refused or rate limited: what is sent again, and what never is."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.exceptions import (
    OllangBadRequestError,
    OllangOutcomeUnknownError,
    OllangRateLimitError,
    OllangUnavailableError,
)
from tests.installed_airflow import (
    OllangRetryPolicy,
    RetryDecision,
    needs_retry_policies,
    needs_task_state_store,
)
from tests.integration.submissions import (
    NO_TRACE,
    ORDER,
    WAITING,
    accepted_reruns,
    first_output,
    is_refused,
    kill_while_sending,
    posts,
    record,
    rerun_dag,
    state_on_record,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import ClearRun, RunDag

#: Responses that say nothing about the request; tests/integration/hook/test_rerun_once.py has all of them.
UNCLEAR: dict[str, dict[str, Any]] = {
    "502 of a proxy": {"status": 502, "body": "<html>Bad gateway</html>", "processed": True},
    "another order": {"status": 200, "body": {"success": True, "orderId": "77"}, "processed": True},
    "no response": {"drop": "after"},
}


@needs_task_state_store
@pytest.mark.parametrize("fault", UNCLEAR.values(), ids=UNCLEAR)
def test_processed_request_is_reconnected_to(ollang: Sandbox, run_dag: RunDag, fault: dict[str, Any]) -> None:
    ollang.change_order(ORDER, behaviour={"rerun_while_running": "accept"})
    ollang.add_fault("POST", **fault)
    run = run_dag(rerun_dag(on_unknown_outcome="resubmit"))
    receipt = run.results["rerun"]
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 1})
    assert (receipt["reconnected"], receipt["seen_running"], receipt["message"]) == (True, True, None)
    assert accepted_reruns(ollang) == posts(ollang) == 1
    assert state_on_record() == "finished"


@needs_task_state_store
def test_request_without_a_trace_is_never_sent_again(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", drop="before")
    run = run_dag(rerun_dag(reconcile_timeout=timedelta(seconds=45)))
    assert (run.states, run.tries) == ({"rerun": "failed"}, {"rerun": 1})
    error = run.errors["rerun"]
    assert isinstance(error, OllangOutcomeUnknownError)
    assert "the connection broke" in str(error.reason)
    assert str(error).startswith(f"The outcome of the rerun request for order {ORDER} is unknown: {error.reason}.")
    assert "Within 45 s Ollang has not shown it" in str(error)
    assert (error.order_id, error.method, error.path) == (ORDER, "POST", f"/integration/orders/{ORDER}/rerun")
    assert (posts(ollang), state_on_record()) == (1, "unknown")
    receipt = run.results["rerun"]
    assert receipt == record()["receipt"]
    assert (receipt["reconnected"], receipt["message"], receipt["result"]) == (False, None, None)
    assert receipt["baseline"]["outputs"][0]["id"] == "doc_456def"


def test_request_that_starts_two_runs_is_sent_once(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={"processed_twice": True})
    run = run_dag(rerun_dag(**WAITING))
    assert "(run 3)" in first_output(run.results["rerun"])
    assert posts(ollang) == 1


def test_failed_polls_do_not_end_the_reconciling(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", status=502, processed=True)
    ollang.add_fault("GET", "/integration/orders/*", skip=1, times=8, status=502)
    run = run_dag(rerun_dag())
    assert (run.states, accepted_reruns(ollang), posts(ollang)) == ({"rerun": "success"}, 1, 1)


# --- Resubmission -------------------------------------------------------------------------------------------------


@pytest.fixture
def resubmitting() -> dict[str, Any]:
    return {"on_unknown_outcome": "resubmit", "reconcile_timeout": 10}


def test_resubmission_is_logged_and_accepted(
    ollang: Sandbox, run_dag: RunDag, resubmitting: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    ollang.add_fault("POST", status=500)
    started = ollang.now
    run = run_dag(rerun_dag(**resubmitting))
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 1})
    assert (accepted_reruns(ollang), posts(ollang)) == (1, 2)
    assert (ollang.now - started).total_seconds() == 10
    assert run.results["rerun"]["reconnected"] is False
    (warning,) = [line for line in capfd.readouterr().out.splitlines() if "Resubmitting it once" in line]
    assert "[warning" in warning


@needs_task_state_store
def test_failed_polls_resubmit_nothing(ollang: Sandbox, run_dag: RunDag, resubmitting: dict[str, Any]) -> None:
    ollang.add_fault("POST", status=500, processed=True)
    ollang.add_fault("GET", "/integration/orders/*", skip=1, times=None, status=503)
    run = run_dag(rerun_dag(**resubmitting))
    # A failed poll decides nothing: the next try reconciles again.
    assert isinstance(run.errors["rerun"], OllangUnavailableError)
    assert (run.tries["rerun"], posts(ollang), state_on_record()) == (3, 1, "sending")


@needs_task_state_store
def test_refused_resubmission_restores_the_record(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, resubmitting: dict[str, Any]
) -> None:
    ollang.add_fault("POST", status=500)
    ollang.add_fault("POST", status=402, body={"message": "no credits"})
    dag = rerun_dag(**resubmitting)
    run = run_dag(dag)
    assert isinstance(run.errors["rerun"], OllangBadRequestError)
    stored = record()
    assert (stored["state"], stored["resubmitted"], posts(ollang)) == ("sending", False, 2)
    # Paid for meanwhile: the second request is still open, a third is not.
    assert clear_run(dag, run).states == {"rerun": "success"}
    assert (accepted_reruns(ollang), posts(ollang)) == (1, 3)


@needs_task_state_store
def test_try_that_died_resubmitting_is_the_last_request(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, resubmitting: dict[str, Any]
) -> None:
    ollang.change_order(ORDER, behaviour={**NO_TRACE, "rerun_while_running": "accept"})
    kill_while_sending(monkeypatch, processed=True, times=99)
    run = run_dag(rerun_dag(**resubmitting, retries=4))
    # Try 1 died sending, try 2 resubmitting; the third only polled.
    assert (run.states, run.tries) == ({"rerun": "failed"}, {"rerun": 3})
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    assert accepted_reruns(ollang) == posts(ollang) == 2
    assert (state_on_record(), record()["resubmitted"]) == ("unknown", True)


# --- Refusals and rate limits -------------------------------------------------------------------------------------


def test_refused_request_may_be_submitted_again(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    ollang.change_order(ORDER, behaviour={"no_credits": 402})
    dag = rerun_dag()
    run = run_dag(dag)
    assert (run.states, run.tries) == ({"rerun": "failed"}, {"rerun": 1})
    assert isinstance(run.errors["rerun"], OllangBadRequestError)
    assert posts(ollang) == 1
    assert is_refused(record())
    ollang.change_order(ORDER, behaviour={"no_credits": None})
    assert clear_run(dag, run).states == {"rerun": "success"}
    assert accepted_reruns(ollang) == 1


@needs_retry_policies
def test_retry_waits_as_long_as_the_server_says(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[BaseException, Any]] = []
    decide = OllangRetryPolicy.evaluate

    def listen(self: Any, exception: BaseException, *arguments: Any, **options: Any) -> Any:
        asked.append((exception, decide(self, exception, *arguments, **options)))
        # The run ends here, or Airflow 3.4 waits for that hour.
        return RetryDecision.fail()

    monkeypatch.setattr(OllangRetryPolicy, "evaluate", listen)
    ollang.add_fault("POST", status=429, headers={"Retry-After": "3600"})
    run_dag(rerun_dag(retries=0, retry_policy=OllangRetryPolicy()))
    [(error, decision)] = asked
    assert isinstance(error, OllangRateLimitError)
    assert (error.retry_after, decision.retry_delay) == (3600, timedelta(hours=1))
    assert state_on_record() == "refused"


def test_result_dated_before_its_request_forbids_resubmission(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.behaviour = dataclasses.replace(ollang.behaviour, date_ahead=40)
    ollang.change_order(ORDER, behaviour={"status_hidden_for": None, "run_seconds": 10})
    ollang.add_fault("POST", drop="after")
    run = run_dag(rerun_dag(on_unknown_outcome="resubmit"))
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    assert accepted_reruns(ollang) == 1
