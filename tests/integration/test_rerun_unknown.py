"""A rerun request whose fate is unclear, refused or put off: what is sent again, and what never is."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.exceptions import (
    OllangBadRequestError,
    OllangOutcomeUnknownError,
    OllangRateLimitError,
    OllangRequestRefusedError,
    OllangUnavailableError,
)
from tests.installed_airflow import OllangRetryPolicy, needs_retry_policies, needs_task_state_store
from tests.integration.submissions import (
    NO_TRACE,
    ORDER,
    RESULT_ONLY,
    WAITING,
    accepted_reruns,
    during_sleep,
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

#: Answers that say nothing about the request, and what they say to the user.
UNCLEAR: dict[str, tuple[dict[str, Any], str]] = {
    "500": ({"status": 500}, "the server answered 500"),
    "502 of a proxy": ({"status": 502, "body": "<html>Bad gateway</html>"}, "the server answered 502"),
    "503": ({"status": 503, "headers": {"Retry-After": "1"}}, "the server answered 503"),
    "408": ({"status": 408}, "the server answered 408"),
    "no JSON": ({"status": 200, "body": "OK"}, "the server answered 200 without a JSON object"),
    "HTML": ({"status": 200, "body": "<html>Sign in</html>"}, "the server answered 200 without a JSON object"),
    "an array": ({"status": 200, "body": []}, "the server answered 200 without a JSON object"),
    "empty": ({"status": 204, "body": ""}, "the server answered 204 without a JSON object"),
    "doubled": ({"status": 200, "body": '{"success": true}{"success": true}'}, "200 without a JSON object"),
    "another order": ({"status": 200, "body": {"success": True, "orderId": "77"}}, "about another order"),
    "half an answer": ({"drop": "body"}, "the connection broke"),
    "no answer": ({"drop": "after"}, "the connection broke"),
}


@needs_task_state_store
@pytest.mark.parametrize(("fault", "reason"), UNCLEAR.values(), ids=UNCLEAR)
def test_what_was_processed_without_a_clear_answer_is_found_and_joined(
    ollang: Sandbox, run_dag: RunDag, fault: dict[str, Any], reason: str
) -> None:
    processed: dict[str, Any] = {} if "drop" in fault else {"processed": True}
    ollang.add_fault("POST", **fault, **processed)
    run = run_dag(rerun_dag())
    receipt = run.results["rerun"]
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 1})
    assert (receipt["reconnected"], receipt["seen_running"], receipt["message"]) == (True, True, None)
    assert accepted_reruns(ollang) == posts(ollang) == 1
    assert state_on_record() == "finished"


NOT_PROCESSED = {name: one for name, one in UNCLEAR.items() if one[0].get("drop") is None}
NOT_PROCESSED["closed unread"] = ({"drop": "before"}, "the connection broke")


@needs_task_state_store
@pytest.mark.parametrize(("fault", "reason"), NOT_PROCESSED.values(), ids=NOT_PROCESSED)
def test_what_left_no_trace_is_never_sent_again(
    ollang: Sandbox, run_dag: RunDag, fault: dict[str, Any], reason: str
) -> None:
    ollang.add_fault("POST", **fault)
    run = run_dag(rerun_dag(reconcile_timeout=timedelta(seconds=45)))
    assert (run.states, run.tries) == ({"rerun": "failed"}, {"rerun": 1})
    error = run.errors["rerun"]
    assert isinstance(error, OllangOutcomeUnknownError)
    assert reason in str(error.reason)
    assert str(error).startswith(f"The outcome of the rerun request for order {ORDER} is unknown: {error.reason}.")
    assert "Within 45 s Ollang has not shown it" in str(error)
    assert (error.order_id, error.method, error.path) == (ORDER, "POST", f"/integration/orders/{ORDER}/rerun")
    assert (posts(ollang), state_on_record()) == (1, "unknown")


def test_an_answer_that_comes_too_late_is_none(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {**ollang.connection, "extra": {"timeout": 1}}
    monkeypatch.setenv("AIRFLOW_CONN_OLLANG_DEFAULT", json.dumps(connection))
    ollang.add_fault("POST", delay=2, processed=True)
    run = run_dag(rerun_dag(**WAITING))
    assert "(run 2)" in first_output(run.results["rerun"])
    assert (run.tries["rerun"], accepted_reruns(ollang), posts(ollang)) == (1, 1, 1)


def test_a_request_that_starts_two_runs_is_sent_once(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={"processed_twice": True})
    run = run_dag(rerun_dag(**WAITING))
    assert "(run 3)" in first_output(run.results["rerun"])
    assert posts(ollang) == 1


def test_looks_that_fail_do_not_end_the_settling(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", status=502, processed=True)
    ollang.add_fault("GET", "/integration/orders/*", skip=1, times=8, status=502)
    run = run_dag(rerun_dag())
    assert (run.states, accepted_reruns(ollang), posts(ollang)) == ({"rerun": "success"}, 1, 1)


@needs_task_state_store
def test_a_task_whose_outcome_is_unknown_hands_on_its_baseline(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", status=500)
    receipt = run_dag(rerun_dag()).results["rerun"]
    assert receipt == record()["receipt"]
    assert (receipt["reconnected"], receipt["message"], receipt["result"]) == (False, None, None)
    assert receipt["baseline"]["outputs"][0]["id"] == "doc_456def"


# --- Resubmission -------------------------------------------------------------------------------------------------


@pytest.fixture
def resubmitting() -> dict[str, Any]:
    return {"on_unknown_outcome": "resubmit", "reconcile_timeout": 10}


def test_a_resubmission_is_announced_and_accepted(
    ollang: Sandbox, run_dag: RunDag, resubmitting: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    ollang.add_fault("POST", status=500)
    started = ollang.now
    run = run_dag(rerun_dag(**resubmitting))
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 1})
    assert (accepted_reruns(ollang), posts(ollang)) == (1, 2)
    assert (ollang.now - started).total_seconds() == 10
    assert run.results["rerun"]["reconnected"] is False
    told = [line for line in capfd.readouterr().out.splitlines() if "Resubmitting it once" in line]
    assert len(told) == 1
    assert "[warning" in told[0]


def test_nothing_is_resubmitted_once_there_is_evidence(
    ollang: Sandbox, run_dag: RunDag, resubmitting: dict[str, Any]
) -> None:
    ollang.change_order(ORDER, behaviour={"rerun_while_running": "accept"})
    ollang.add_fault("POST", status=500, processed=True)
    run = run_dag(rerun_dag(**resubmitting))
    assert (run.states, accepted_reruns(ollang), posts(ollang)) == ({"rerun": "success"}, 1, 1)


@needs_task_state_store
def test_nothing_is_resubmitted_by_who_could_not_look(
    ollang: Sandbox, run_dag: RunDag, resubmitting: dict[str, Any]
) -> None:
    ollang.add_fault("POST", status=500, processed=True)
    ollang.add_fault("GET", "/integration/orders/*", skip=1, times=None, status=503)
    run = run_dag(rerun_dag(**resubmitting))
    # What nobody could look at is no answer to the question: the next try, or who clears the task, asks it again.
    assert isinstance(run.errors["rerun"], OllangUnavailableError)
    assert (run.tries["rerun"], posts(ollang), state_on_record()) == (3, 1, "sending")


@needs_task_state_store
@pytest.mark.parametrize("refusal", ["400", "409"])
def test_a_resubmission_refused_because_it_runs_proves_the_first(
    ollang: Sandbox, run_dag: RunDag, resubmitting: dict[str, Any], refusal: str
) -> None:
    ollang.change_order(ORDER, behaviour={**RESULT_ONLY, "rerun_while_running": refusal})
    ollang.add_fault("POST", status=500, processed=True)
    run = run_dag(rerun_dag(**WAITING, **resubmitting))
    assert "(run 2)" in first_output(run.results["rerun"])
    assert run.results["rerun"]["reconnected"] is True
    assert (run.tries["rerun"], accepted_reruns(ollang), posts(ollang)) == (1, 1, 2)


@needs_task_state_store
def test_a_refused_resubmission_restores_what_was_known(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, resubmitting: dict[str, Any]
) -> None:
    ollang.add_fault("POST", status=500)
    ollang.add_fault("POST", status=402, body={"message": "no credits"})
    dag = rerun_dag(**resubmitting)
    run = run_dag(dag)
    assert isinstance(run.errors["rerun"], OllangBadRequestError)
    found = record()
    assert (found["state"], found["resubmitted"], posts(ollang)) == ("sending", False, 2)
    # Paid for meanwhile: the second request is still open, a third is not.
    assert clear_run(dag, run).states == {"rerun": "success"}
    assert (accepted_reruns(ollang), posts(ollang)) == (1, 3)


@needs_task_state_store
def test_a_resubmission_without_an_answer_is_the_last(
    ollang: Sandbox, run_dag: RunDag, resubmitting: dict[str, Any]
) -> None:
    ollang.add_fault("POST", times=None, status=500)
    run = run_dag(rerun_dag(**resubmitting))
    assert (run.states, run.tries) == ({"rerun": "failed"}, {"rerun": 1})
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    found = record()
    assert (posts(ollang), found["state"], found["resubmitted"]) == (2, "unknown", True)


@needs_task_state_store
@pytest.mark.parametrize("processed", [False, True], ids=["lost", "processed without a trace"])
def test_a_try_that_died_resubmitting_is_not_followed_by_a_third_request(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, resubmitting: dict[str, Any], processed: bool
) -> None:
    ollang.change_order(ORDER, behaviour={**NO_TRACE, "rerun_while_running": "accept"})
    kill_while_sending(monkeypatch, processed=processed, times=99)
    run = run_dag(rerun_dag(**resubmitting, retries=4))
    # Try 1 died sending, try 2 resubmitting; the third only looked.
    assert (run.states, run.tries) == ({"rerun": "failed"}, {"rerun": 3})
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    assert accepted_reruns(ollang) == posts(ollang) == (2 if processed else 0)
    assert (state_on_record(), record()["resubmitted"]) == ("unknown", True)


def test_a_rate_limited_resubmission_leaves_its_one_chance(
    ollang: Sandbox, run_dag: RunDag, resubmitting: dict[str, Any]
) -> None:
    ollang.add_fault("POST", status=500)
    ollang.add_fault("POST", status=429, headers={"Retry-After": "3600"})
    run = run_dag(rerun_dag(**resubmitting))
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 2})
    assert (accepted_reruns(ollang), posts(ollang)) == (1, 3)


# --- Refusals and rate limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [({"no_credits": 402}, OllangBadRequestError), ({"rerun_success": False}, OllangRequestRefusedError)],
    ids=["402", "success: false"],
)
def test_a_refused_request_leaves_no_record(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, behaviour: dict[str, Any], error: type[Exception]
) -> None:
    ollang.change_order(ORDER, behaviour=behaviour)
    dag = rerun_dag()
    run = run_dag(dag)
    assert (run.states, run.tries) == ({"rerun": "failed"}, {"rerun": 1})
    assert isinstance(run.errors["rerun"], error)
    assert posts(ollang) == 1
    assert is_refused(record())
    ollang.change_order(ORDER, behaviour={"no_credits": None, "rerun_success": True})
    assert clear_run(dag, run).states == {"rerun": "success"}
    assert accepted_reruns(ollang) == 1


def test_the_record_is_taken_back_while_the_rate_limit_is_sat_out(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.add_fault("POST", status=429, headers={"Retry-After": "40"})
    found: list[Any] = []
    during_sleep(monkeypatch, lambda: found.append((posts(ollang), state_on_record())))
    run = run_dag(rerun_dag())
    assert found == [(1, "refused")]
    assert (run.states, run.tries, accepted_reruns(ollang)) == ({"rerun": "success"}, {"rerun": 1}, 1)


@needs_task_state_store
def test_a_try_that_dies_sitting_out_the_rate_limit_leaves_no_doubt(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        raise KeyboardInterrupt

    ollang.add_fault("POST", status=429, headers={"Retry-After": "40"})
    during_sleep(monkeypatch, die)
    run = run_dag(rerun_dag())
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 2})
    assert (accepted_reruns(ollang), posts(ollang)) == (1, 2)


@needs_retry_policies
def test_the_retry_comes_when_the_server_said(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[BaseException, Any]] = []
    decide = OllangRetryPolicy.evaluate

    def listen(self: Any, exception: BaseException, *arguments: Any, **options: Any) -> Any:
        asked.append((exception, decide(self, exception, *arguments, **options)))
        return asked[-1][1]

    monkeypatch.setattr(OllangRetryPolicy, "evaluate", listen)
    ollang.add_fault("POST", status=429, headers={"Retry-After": "3600"})
    run_dag(rerun_dag(retries=0, retry_policy=OllangRetryPolicy()))
    [(error, decision)] = asked
    assert isinstance(error, OllangRateLimitError)
    assert (error.retry_after, decision.retry_delay) == (3600, timedelta(hours=1))
    assert state_on_record() == "refused"


def test_result_that_only_its_date_speaks_against_is_not_resubmitted(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.behaviour = dataclasses.replace(ollang.behaviour, date_ahead=40)
    ollang.change_order(ORDER, behaviour={"status_hidden_for": None, "run_seconds": 10})
    ollang.add_fault("POST", drop="after")
    run = run_dag(rerun_dag(on_unknown_outcome="resubmit"))
    assert isinstance(run.errors["rerun"], OllangOutcomeUnknownError)
    assert accepted_reruns(ollang) == 1
