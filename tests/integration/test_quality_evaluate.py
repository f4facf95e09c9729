"""``OllangEvaluateOrderOperator`` as Airflow runs it: what it submits, at most once, and what it returns."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangAuthenticationError,
    OllangBadRequestError,
    OllangConfigurationError,
    OllangOrderNotEligibleError,
    OllangOrderNotFoundError,
    OllangOutcomeUnknownError,
    OllangRequestRefusedError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.operators.quality import OllangEvaluateOrderOperator, OllangQualityGateOperator
from tests.installed_airflow import needs_task_state_store
from tests.integration import submissions
from tests.integration.submissions import (
    ProcessKilled,
    at_store,
    die,
    during_sleep,
    fail,
    is_refused,
    kill_while_sending,
    posts,
    record,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import ClearRun, Run, RunDag

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
START = datetime(2026, 1, 1)  # noqa: DTZ001 - Airflow adds the zone
RECEIPT_KEYS = {
    "order_id",
    "host",
    "message",
    "requested_at",
    "reconnected",
    "evaluation_id",
    "credits_used",
    "before",
    "attached",
}
OLD = {"id": "eval_abc123def456", "created_at": "2024-01-17T09:00:00Z"}
SECOND_TRY = ({"evaluate": "success"}, {"evaluate": 2})
#: An evaluation that shows only once it is finished, and that late; that never shows.
KEPT = {"qc_meanwhile": "kept"}
NO_TRACE = {"qc_meanwhile": "kept", "qc_seconds": None}
TRACES: dict[str, dict[str, Any]] = {
    "loading": {},
    "loading under another id": {"qc_id": "other"},
    "loading for ever": {"qc_seconds": None},
    "kept": KEPT,
    "kept, another id": {**KEPT, "qc_id": "other"},
    "cleared": {"qc_meanwhile": "cleared"},
    "at once": {"qc_seconds": 0},
    "the other shape": {"evaluation_shape": "callback", "evaluation_field": "qcEvaluation"},
}


def evaluate_dag(**arguments: Any) -> DAG:
    with DAG("judging", schedule=None, start_date=START) as dag:
        OllangEvaluateOrderOperator(
            task_id="evaluate", **{"order_id": ORDER, "retries": 2, "retry_delay": 0, **arguments}
        )
    return dag


def accepted_evaluations(ollang: Sandbox) -> int:
    return int(ollang.order(ORDER)["evaluations_accepted"])


def shown(ollang: Sandbox, number: int = -1) -> str:
    """Return the id under which the order shows one of its evaluations."""
    return str(ollang.order(ORDER)["evaluations"][number]["shown_id"])


def state_on_record() -> str | None:
    return submissions.state_on_record(key=OllangEvaluateOrderOperator.record_key)


# --- What it sends, and hands on ------------------------------------------------------------------------------------


@needs_task_state_store
def test_it_looks_and_asks_once(ollang: Sandbox, run_dag: RunDag) -> None:
    run = run_dag(evaluate_dag())
    receipt = run.results["evaluate"]
    assert receipt.keys() == RECEIPT_KEYS
    assert receipt == {
        "order_id": ORDER,
        "host": ollang.url,
        "message": "QC evaluation started. You will be notified when it's completed.",
        "requested_at": ollang.now.replace(microsecond=0).isoformat(),
        "reconnected": False,
        "evaluation_id": shown(ollang),
        "credits_used": 5,
        "before": OLD,
        "attached": False,
    }
    assert [entry.method for entry in ollang.request_log] == ["GET", "POST"]
    assert (run.states, accepted_evaluations(ollang), state_on_record()) == ({"evaluate": "success"}, 1, "finished")


def test_an_order_without_evaluation_had_none_before(ollang: Sandbox, run_dag: RunDag) -> None:
    order_id = ollang.add_order(type="subtitle", status="delivered")
    run = run_dag(evaluate_dag(order_id={"order_id": order_id}))
    assert (run.results["evaluate"]["before"], run.results["evaluate"]["order_id"]) == (None, order_id)
    assert ollang.order(order_id)["evaluations_accepted"] == 1


@pytest.mark.parametrize("criteria", [["Accuracy", "culturalFit"], "accuracy, Cultural Fit", "{{ params.criteria }}"])
def test_criteria_and_prompt_are_sent_as_given(ollang: Sandbox, run_dag: RunDag, criteria: Any) -> None:
    dag = evaluate_dag(criteria=criteria, custom_prompt="Mind the {{ params.what }}")
    dag.params.update({"criteria": "ACCURACY,cultural_fit", "what": "puns"})
    assert run_dag(dag).states == {"evaluate": "success"}
    assert ollang.order(ORDER)["evaluations"][0]["asked"] == {
        "accuracy": True,
        "fluency": False,
        "tone": False,
        "culturalFit": True,
        "customPrompt": "Mind the puns",
        "callbackUrl": None,
    }


@pytest.mark.parametrize("criteria", [["Style"], "Accuracy, Style", [], "", [None], 5], ids=repr)
def test_an_unknown_criterion_is_refused_and_nothing_sent(ollang: Sandbox, run_dag: RunDag, criteria: Any) -> None:
    run = run_dag(evaluate_dag(criteria=criteria))
    assert (run.states, run.tries) == ({"evaluate": "failed"}, {"evaluate": 1})
    assert isinstance(run.errors["evaluate"], OllangConfigurationError)
    assert (posts(ollang), state_on_record()) == (0, None)


def test_an_unknown_criterion_is_refused_before_anybody_looks(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, status="ongoing")
    run = run_dag(evaluate_dag(criteria="Style"))
    assert isinstance(run.errors["evaluate"], OllangConfigurationError)
    assert ollang.request_log == []


@pytest.mark.parametrize("status", ["pending", "ongoing", "qualityCheck", "revision", "review", "failed", "pondering"])
def test_an_order_that_is_not_done_is_not_evaluated(ollang: Sandbox, run_dag: RunDag, status: str) -> None:
    ollang.change_order(ORDER, status=status)
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries, posts(ollang)) == ({"evaluate": "failed"}, {"evaluate": 1}, 0)
    error = run.errors["evaluate"]
    assert isinstance(error, OllangOrderNotEligibleError)
    assert f"Order {ORDER} is {status!r}, and only completed or delivered orders can be evaluated" in str(error)


def test_one_that_is_being_made_is_not_asked_for_again(ollang: Sandbox, run_dag: RunDag) -> None:
    run_dag(evaluate_dag())
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries, accepted_evaluations(ollang)) == ({"evaluate": "failed"}, {"evaluate": 1}, 1)
    error = run.errors["evaluate"]
    assert isinstance(error, OllangOrderNotEligibleError)
    assert "is being evaluated already. Nothing was sent." in str(error)


def test_one_that_is_being_made_is_joined_if_so_asked(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={"qc_id": "other"})
    run_dag(evaluate_dag())
    receipt = run_dag(evaluate_dag(on_running="attach")).results["evaluate"]
    assert (receipt["reconnected"], receipt["evaluation_id"], receipt["message"]) == (True, shown(ollang), None)
    assert (accepted_evaluations(ollang), posts(ollang)) == (1, 1)


def test_one_that_never_ends_does_not_forbid_another_for_ever(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={"qc_seconds": None})
    run_dag(evaluate_dag())
    ollang.advance(3599)
    assert run_dag(evaluate_dag()).states == {"evaluate": "failed"}
    ollang.advance(2)
    run = run_dag(evaluate_dag())
    assert (run.states, accepted_evaluations(ollang)) == ({"evaluate": "success"}, 2)
    assert run.results["evaluate"]["before"]["id"] == shown(ollang, 0)


# --- Answers ------------------------------------------------------------------------------------------------------

UNKNOWN_OUTCOMES = {
    "500": {"status": 500},
    "502 of a proxy": {"status": 502, "body": "<html>Bad gateway</html>"},
    "408": {"status": 408},
    "no JSON": {"status": 200, "body": "OK"},
    "an array": {"status": 200, "body": []},
    "empty": {"status": 204, "body": ""},
    "cut": {"generate": "cut_json"},
}


@needs_task_state_store
@pytest.mark.parametrize("fault", UNKNOWN_OUTCOMES.values(), ids=UNKNOWN_OUTCOMES)
@pytest.mark.parametrize("on_unknown_outcome", ["fail", "resubmit"])
def test_what_was_not_processed_and_not_answered(
    ollang: Sandbox, run_dag: RunDag, fault: dict[str, Any], on_unknown_outcome: str
) -> None:
    ollang.add_fault("POST", **fault)
    started = ollang.now
    run = run_dag(evaluate_dag(on_unknown_outcome=on_unknown_outcome))
    assert run.tries == {"evaluate": 1}
    assert ollang.now - started == timedelta(seconds=300)
    if on_unknown_outcome == "fail":
        assert (run.states, accepted_evaluations(ollang), posts(ollang)) == ({"evaluate": "failed"}, 0, 1)
        error = run.errors["evaluate"]
        assert isinstance(error, OllangOutcomeUnknownError)
        assert f"The outcome of the evaluation request for order {ORDER} is unknown" in str(error)
        assert state_on_record() == "unknown"
        # Marked as success by hand, the task hands on what it knows.
        assert run.results["evaluate"].keys() == RECEIPT_KEYS
    else:
        assert (run.states, accepted_evaluations(ollang), posts(ollang)) == ({"evaluate": "success"}, 1, 2)


LOST = {"lost": {"drop": "after"}, "half": {"drop": "body"}, "500": {"status": 500, "processed": True}}


@needs_task_state_store
@pytest.mark.parametrize("trace", TRACES)
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
@pytest.mark.parametrize("on_unknown_outcome", ["fail", "resubmit"])
def test_what_was_processed_and_not_answered_is_found(
    ollang: Sandbox, run_dag: RunDag, fault: dict[str, Any], trace: str, on_unknown_outcome: str
) -> None:
    ollang.change_order(ORDER, behaviour=TRACES[trace])
    ollang.add_fault("POST", **fault)
    run = run_dag(evaluate_dag(on_unknown_outcome=on_unknown_outcome))
    receipt = run.results["evaluate"]
    assert (run.states, run.tries) == ({"evaluate": "success"}, {"evaluate": 1})
    assert (receipt["reconnected"], receipt["evaluation_id"], receipt["before"]) == (True, shown(ollang), OLD)
    assert (accepted_evaluations(ollang), posts(ollang), state_on_record()) == (1, 1, "finished")


@pytest.mark.parametrize("on_unknown_outcome", ["fail", "resubmit"])
@pytest.mark.parametrize("lost", ["before", "after"])
def test_evaluation_that_baseline_missed_is_not_the_lost_one(
    ollang: Sandbox, run_dag: RunDag, lost: str, on_unknown_outcome: str
) -> None:
    # Somebody's evaluation is there ten seconds before the baseline poll, which a lagging replica answers.
    ollang.change_order(ORDER, behaviour={**KEPT, "qc_seconds": 0})
    OllangHook().evaluate_order(ORDER)
    ollang.advance(10)
    ollang.change_order(ORDER, behaviour={"qc_seconds": None, "stale_every": 2, "stale_by": 60})
    OllangHook().get_order(ORDER)
    ollang.add_fault("POST", drop=lost)
    run = run_dag(evaluate_dag(on_unknown_outcome=on_unknown_outcome, retries=0))
    assert run.states == {"evaluate": "failed"}
    assert isinstance(run.errors["evaluate"], OllangOutcomeUnknownError)
    assert posts(ollang) == 2


def test_what_leaves_no_trace_is_not_asked_for_again(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    ollang.add_fault("POST", drop="after")
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries) == ({"evaluate": "failed"}, {"evaluate": 1})
    assert "before the request its evaluation was" not in str(run.errors["evaluate"])
    assert isinstance(run.errors["evaluate"], OllangOutcomeUnknownError)
    assert (accepted_evaluations(ollang), posts(ollang)) == (1, 1)


def test_a_second_request_is_sent_once_only(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", status=500, times=None)
    run = run_dag(evaluate_dag(on_unknown_outcome="resubmit"))
    assert (run.states, run.tries, posts(ollang)) == ({"evaluate": "failed"}, {"evaluate": 1}, 2)


def test_a_second_request_that_is_refused_shows_no_evaluation(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", status=500)
    ollang.add_fault("POST", status=400, body={"code": "ORDER_NOT_ELIGIBLE"})
    run = run_dag(evaluate_dag(on_unknown_outcome="resubmit"))
    assert (run.states, run.tries, posts(ollang)) == ({"evaluate": "failed"}, {"evaluate": 1}, 2)
    assert isinstance(run.errors["evaluate"], OllangOrderNotEligibleError)


REFUSALS = {
    "400": ({"status": 400, "body": {"code": "ORDER_NOT_ELIGIBLE"}}, OllangOrderNotEligibleError),
    "402": ({"status": 402, "body": {"message": "no credits"}}, OllangBadRequestError),
    "403": ({"status": 403, "body": {"code": "ACCESS_DENIED"}}, OllangAccessDeniedError),
    "404": ({"status": 404, "body": {"code": "ORDER_NOT_FOUND"}}, OllangOrderNotFoundError),
    "401": ({"status": 401, "body": {"code": "UNAUTHORIZED"}}, OllangAuthenticationError),
    "success: false": ({"status": 200, "body": {"success": False}}, OllangRequestRefusedError),
    "a redirect": ({"redirect": "https://example.com/"}, OllangConfigurationError),
}


@pytest.mark.parametrize(("fault", "error"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_fails_at_once(
    ollang: Sandbox, run_dag: RunDag, fault: dict[str, Any], error: type[Exception]
) -> None:
    ollang.add_fault("POST", **fault)
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries) == ({"evaluate": "failed"}, {"evaluate": 1})
    assert isinstance(run.errors["evaluate"], error)
    assert (posts(ollang), accepted_evaluations(ollang)) == (1, 0)
    assert is_refused(record(key=OllangEvaluateOrderOperator.record_key))


@pytest.mark.parametrize("behaviour", [{"qc_success": False}, {"qc_no_credits": 402}], ids=str)
def test_a_refusal_of_the_sandbox(ollang: Sandbox, run_dag: RunDag, behaviour: dict[str, Any]) -> None:
    ollang.change_order(ORDER, behaviour=behaviour)
    run = run_dag(evaluate_dag())
    assert (run.states, accepted_evaluations(ollang), ollang.order(ORDER)["evaluations_refused"]) == (
        {"evaluate": "failed"},
        0,
        1,
    )


def test_a_rate_limit_is_waited_out(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", times=2, status=429, headers={"Retry-After": "40"})
    started = ollang.now
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries, posts(ollang), accepted_evaluations(ollang)) == (
        {"evaluate": "success"},
        {"evaluate": 1},
        3,
        1,
    )
    assert (ollang.now - started).total_seconds() == 80


@needs_task_state_store
def test_a_rate_limit_beyond_patience_is_left_to_the_retries(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", status=429, headers={"Retry-After": "3600"})
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries) == SECOND_TRY
    assert accepted_evaluations(ollang) == 1


# --- Crashes: at most one request -----------------------------------------------------------------------------------


@needs_task_state_store
@pytest.mark.parametrize("trace", TRACES)
def test_died_sending_what_was_processed(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, trace: str
) -> None:
    ollang.change_order(ORDER, behaviour=TRACES[trace])
    kill_while_sending(monkeypatch, processed=True)
    run = run_dag(evaluate_dag())
    receipt = run.results["evaluate"]
    assert (run.states, run.tries) == SECOND_TRY
    assert (receipt["reconnected"], receipt["evaluation_id"], receipt["before"]) == (True, shown(ollang), OLD)
    assert (accepted_evaluations(ollang), posts(ollang)) == (1, 1)


@pytest.mark.parametrize("processed", [False, True])
def test_died_sending_without_a_trace(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, processed: bool
) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    kill_while_sending(monkeypatch, processed=processed)
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries) == ({"evaluate": "failed"}, {"evaluate": 2})
    assert isinstance(run.errors["evaluate"], OllangOutcomeUnknownError)
    assert accepted_evaluations(ollang) == posts(ollang) == int(processed)


@needs_task_state_store
@pytest.mark.parametrize(("state", "written"), [("accepted", False), ("accepted", True), ("finished", False)])
def test_died_once_it_was_accepted(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, state: str, written: bool
) -> None:
    ollang.change_order(ORDER, behaviour=KEPT)
    at_store(monkeypatch, "set", die, state=state, written=written)
    run = run_dag(evaluate_dag())
    receipt = run.results["evaluate"]
    assert (run.states, run.tries) == SECOND_TRY
    assert (receipt["reconnected"], receipt["evaluation_id"], receipt["before"]) == (True, shown(ollang), OLD)
    assert (accepted_evaluations(ollang), posts(ollang)) == (1, 1)


@needs_task_state_store
def test_died_at_the_very_end(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> None:
    at_store(monkeypatch, "set", die, state="finished", written=True)
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries, run.results["evaluate"]["reconnected"]) == (*SECOND_TRY, False)
    # It has its receipt on record, and asks nobody for it.
    assert [entry.method for entry in ollang.request_log] == ["GET", "POST"]


@needs_task_state_store
@pytest.mark.parametrize(("method", "state"), [("get", None), ("set", "sending")], ids=["unreadable", "unwritable"])
def test_nothing_is_sent_without_the_store(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, method: str, state: str | None
) -> None:
    at_store(monkeypatch, method, fail, state=state, times=3)
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries, posts(ollang)) == ({"evaluate": "failed"}, {"evaluate": 3}, 0)
    assert "so nothing was sent" in str(run.errors["evaluate"])
    assert "ConnectionError" in str(run.errors["evaluate"])


@needs_task_state_store
def test_died_while_it_looked_for_what_was_lost(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_order(ORDER, behaviour=KEPT)
    ollang.add_fault("POST", drop="after")
    during_sleep(monkeypatch, die)
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries, accepted_evaluations(ollang), posts(ollang)) == (*SECOND_TRY, 1, 1)


# --- Clears: another evaluation, or not -----------------------------------------------------------------------------


@needs_task_state_store
def test_clearing_it_while_the_evaluation_is_being_made_joins_it(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    ollang.change_order(ORDER, behaviour={"qc_seconds": 1000})
    dag = evaluate_dag()
    run = run_dag(dag)
    ollang.advance(999)
    again = clear_run(dag, run)
    assert (again.states, accepted_evaluations(ollang), posts(ollang)) == ({"evaluate": "success"}, 1, 1)
    assert again.results["evaluate"] == {**run.results["evaluate"], "reconnected": True}


@needs_task_state_store
@pytest.mark.parametrize(("after", "sent"), [(299, 1), (301, 2)])
def test_clearing_it_before_the_order_shows_it(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, after: float, sent: int
) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    dag = evaluate_dag()
    run = run_dag(dag)
    ollang.advance(after)
    assert clear_run(dag, run).states == {"evaluate": "success"}
    assert accepted_evaluations(ollang) == posts(ollang) == sent


@pytest.mark.parametrize("behaviour", [{}, {"qc_id": "other"}, KEPT], ids=str)
def test_clearing_it_when_the_scores_are_there_is_another_wish(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, behaviour: dict[str, Any]
) -> None:
    ollang.change_order(ORDER, behaviour=behaviour)
    dag = evaluate_dag()
    run = run_dag(dag)
    ollang.advance(10)
    again = clear_run(dag, run)
    assert (again.states, accepted_evaluations(ollang), posts(ollang)) == ({"evaluate": "success"}, 2, 2)
    assert again.results["evaluate"]["before"]["id"] == shown(ollang, 0)
    assert again.results["evaluate"]["reconnected"] is False


def test_another_run_is_another_wish(ollang: Sandbox, run_dag: RunDag) -> None:
    run_dag(evaluate_dag())
    ollang.advance(10)
    run_dag(evaluate_dag())
    assert accepted_evaluations(ollang) == posts(ollang) == 2


@needs_task_state_store
@pytest.mark.parametrize("processed", [False, True])
def test_clearing_it_after_an_unknown_outcome_looks_first(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, processed: bool
) -> None:
    ollang.change_order(ORDER, behaviour={**KEPT, "qc_seconds": 400})
    ollang.add_fault("POST", status=500, processed=processed)
    dag = evaluate_dag()
    run = run_dag(dag)
    assert run.states == {"evaluate": "failed"}
    ollang.advance(150)
    again = clear_run(dag, run)
    assert (again.states, accepted_evaluations(ollang)) == ({"evaluate": "success"}, 1)
    assert again.results["evaluate"]["reconnected"] is processed
    assert posts(ollang) == (1 if processed else 2)


def test_the_receipt_leads_to_the_scores_it_bought(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={**KEPT, "qc_scores": [{"Accuracy": 60}], "qc_seconds": 200})
    with DAG("judging", schedule=None, start_date=START) as dag:
        evaluate = OllangEvaluateOrderOperator(task_id="evaluate", order_id=ORDER)
        OllangQualityGateOperator(
            task_id="gate", evaluation=evaluate.output, min_scores={"Accuracy": 61}, on_below="report"
        )
    report = run_dag(dag).results["gate"]
    assert report["criteria"] == [{"name": "Accuracy", "score": 60.0, "minimum": 61.0, "passed": False}]
    assert report["evaluation"]["id"] == shown(ollang)


def test_only_deaths_of_ours_are_played(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_while_sending(monkeypatch, processed=False)
    assert isinstance(run_dag(evaluate_dag(retries=0)).errors["evaluate"], ProcessKilled)


# --- Behind a rerun -------------------------------------------------------------------------------------------------


def rerun_and_evaluate(run_dag: RunDag, **arguments: Any) -> Run:
    with DAG("judging", schedule=None, start_date=START) as dag:
        rerun = OllangRerunOperator(task_id="rerun", order_id=ORDER, poll_interval=10, **arguments)
        OllangEvaluateOrderOperator(task_id="evaluate", order_id=rerun.output)
    return run_dag(dag)


def test_the_old_result_of_a_rerun_that_was_not_waited_for_is_not_evaluated(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={"status_hidden_for": None, "run_seconds": 600})
    run = rerun_and_evaluate(run_dag)
    assert isinstance(run.errors["evaluate"], OllangOrderNotEligibleError)
    assert "the old one would be evaluated" in str(run.errors["evaluate"])
    assert (accepted_evaluations(ollang), len(ollang.requests("POST", "*/qc"))) == (0, 0)


@pytest.mark.parametrize("waited", [True, False], ids=["waited for", "done meanwhile"])
def test_the_new_result_of_a_rerun_is_evaluated(ollang: Sandbox, run_dag: RunDag, waited: bool) -> None:
    seconds = 20 if waited else 0
    ollang.change_order(ORDER, behaviour={"status_hidden_for": None, "run_seconds": seconds, "outputs_after": 0})
    run = rerun_and_evaluate(run_dag, wait_for_completion=waited)
    assert run.states == {"rerun": "success", "evaluate": "success"}
    (one,) = ollang.order(ORDER)["evaluations"]
    assert one["run"] == 2
