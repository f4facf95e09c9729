"""``OllangEvaluateOrderOperator``: what it sends and returns."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

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
from airflow_provider_ollang.operators.quality import OllangEvaluateOrderOperator
from tests.installed_airflow import needs_task_state_store
from tests.integration import submissions
from tests.integration.submissions import (
    is_refused,
    posts,
    record,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag
from tests.integration.evaluations import (
    KEPT,
    NO_TRACE,
    OLD,
    ORDER,
    SECOND_TRY,
    TRACES,
    accepted_evaluations,
    evaluate_dag,
    shown,
)

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


def state_on_record() -> str | None:
    return submissions.state_on_record(key=OllangEvaluateOrderOperator.record_key)


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
