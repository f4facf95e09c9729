"""``OllangEvaluateOrderOperator``: what it sends and returns."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangOrderNotEligibleError,
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
def test_evaluation_polls_and_submits_once(ollang: Sandbox, run_dag: RunDag) -> None:
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


def test_order_without_evaluation_had_none_before(ollang: Sandbox, run_dag: RunDag) -> None:
    order_id = ollang.add_order(type="subtitle", status="delivered")
    run = run_dag(evaluate_dag(order_id={"order_id": order_id}))
    assert (run.results["evaluate"]["before"], run.results["evaluate"]["order_id"]) == (None, order_id)
    assert ollang.order(order_id)["evaluations_accepted"] == 1


@pytest.mark.parametrize("criteria", [["Accuracy", "culturalFit"], "{{ params.criteria }}"])
def test_criteria_and_prompt_of_templates_are_sent(ollang: Sandbox, run_dag: RunDag, criteria: Any) -> None:
    dag = evaluate_dag(criteria=criteria, custom_prompt="Mind the {{ params.what }}")
    dag.params.update({"criteria": "ACCURACY, cultural_fit", "what": "puns"})
    assert run_dag(dag).states == {"evaluate": "success"}
    assert ollang.order(ORDER)["evaluations"][0]["asked"] == {
        "accuracy": True,
        "fluency": False,
        "tone": False,
        "culturalFit": True,
        "customPrompt": "Mind the puns",
        "callbackUrl": None,
    }


def test_unknown_criterion_is_refused_before_the_first_poll(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, status="ongoing")
    run = run_dag(evaluate_dag(criteria="Style"))
    assert (run.states, run.tries) == ({"evaluate": "failed"}, {"evaluate": 1})
    assert isinstance(run.errors["evaluate"], OllangConfigurationError)
    assert (ollang.request_log, state_on_record()) == ([], None)


def test_unfinished_order_is_not_evaluated(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, status="pondering")
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries, posts(ollang)) == ({"evaluate": "failed"}, {"evaluate": 1}, 0)
    error = run.errors["evaluate"]
    assert isinstance(error, OllangOrderNotEligibleError)
    assert f"Order {ORDER} is 'pondering', and only completed or delivered orders can be evaluated" in str(error)


def test_running_evaluation_forbids_another(ollang: Sandbox, run_dag: RunDag) -> None:
    run_dag(evaluate_dag())
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries, accepted_evaluations(ollang)) == ({"evaluate": "failed"}, {"evaluate": 1}, 1)
    error = run.errors["evaluate"]
    assert isinstance(error, OllangOrderNotEligibleError)
    assert "is being evaluated already. Nothing was sent." in str(error)


def test_running_evaluation_is_attached_to_on_request(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={"qc_id": "other"})
    run_dag(evaluate_dag())
    receipt = run_dag(evaluate_dag(on_running="attach")).results["evaluate"]
    assert (receipt["reconnected"], receipt["evaluation_id"], receipt["message"]) == (True, shown(ollang), None)
    assert (accepted_evaluations(ollang), posts(ollang)) == (1, 1)


@needs_task_state_store
@pytest.mark.parametrize("on_unknown_outcome", ["fail", "resubmit"])
def test_unprocessed_request_is_resubmitted_only_on_request(
    ollang: Sandbox, run_dag: RunDag, on_unknown_outcome: str
) -> None:
    ollang.add_fault("POST", status=500)
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
        # Marked as success by hand, the task has a receipt.
        assert run.results["evaluate"].keys() == RECEIPT_KEYS
    else:
        assert (run.states, accepted_evaluations(ollang), posts(ollang)) == ({"evaluate": "success"}, 1, 2)


LOST = itertools.cycle([{"drop": "after"}, {"drop": "body"}, {"status": 500, "processed": True}])


@needs_task_state_store
@pytest.mark.parametrize(("trace", "fault"), list(zip(TRACES, LOST, strict=False)))
def test_processed_request_is_reconciled_by_any_trace(
    ollang: Sandbox, run_dag: RunDag, fault: dict[str, Any], trace: str
) -> None:
    ollang.change_order(ORDER, behaviour=TRACES[trace])
    ollang.add_fault("POST", **fault)
    run = run_dag(evaluate_dag(on_unknown_outcome="resubmit"))
    receipt = run.results["evaluate"]
    assert (run.states, run.tries) == ({"evaluate": "success"}, {"evaluate": 1})
    assert (receipt["reconnected"], receipt["evaluation_id"], receipt["before"]) == (True, shown(ollang), OLD)
    assert (accepted_evaluations(ollang), posts(ollang), state_on_record()) == (1, 1, "finished")


@pytest.mark.parametrize(("lost", "on_unknown_outcome"), [("before", "fail"), ("after", "resubmit")])
def test_evaluation_that_baseline_missed_is_not_the_lost_one(
    ollang: Sandbox, run_dag: RunDag, lost: str, on_unknown_outcome: str
) -> None:
    # Another user's evaluation is there ten seconds before the baseline poll, which a lagging replica answers.
    ollang.change_order(ORDER, behaviour={**KEPT, "qc_seconds": 0})
    OllangHook().evaluate_order(ORDER)
    ollang.advance(10)
    ollang.change_order(ORDER, behaviour={"qc_seconds": None, "stale_every": 2, "stale_by": 60})
    OllangHook().get_order(ORDER)
    ollang.add_fault("POST", drop=lost)
    run = run_dag(evaluate_dag(on_unknown_outcome=on_unknown_outcome, retries=0))
    assert run.states == {"evaluate": "failed"}
    assert isinstance(run.errors["evaluate"], OllangOutcomeUnknownError)
    assert run.results["evaluate"]["evaluation_id"] is None
    assert posts(ollang) == 2


def test_request_without_a_trace_is_not_resubmitted(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour=NO_TRACE)
    ollang.add_fault("POST", drop="after")
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries) == ({"evaluate": "failed"}, {"evaluate": 1})
    assert "before the request its evaluation was" not in str(run.errors["evaluate"])
    assert isinstance(run.errors["evaluate"], OllangOutcomeUnknownError)
    assert (accepted_evaluations(ollang), posts(ollang)) == (1, 1)


def test_refused_resubmission_proves_no_evaluation(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", status=500)
    ollang.add_fault("POST", status=400, body={"code": "ORDER_NOT_ELIGIBLE"})
    run = run_dag(evaluate_dag(on_unknown_outcome="resubmit"))
    assert (run.states, run.tries, posts(ollang)) == ({"evaluate": "failed"}, {"evaluate": 1}, 2)
    assert isinstance(run.errors["evaluate"], OllangOrderNotEligibleError)


def test_refusal_fails_the_task_at_once(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={"qc_success": False})
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries) == ({"evaluate": "failed"}, {"evaluate": 1})
    assert isinstance(run.errors["evaluate"], OllangRequestRefusedError)
    assert (posts(ollang), accepted_evaluations(ollang), ollang.order(ORDER)["evaluations_refused"]) == (1, 0, 1)
    assert is_refused(record(key=OllangEvaluateOrderOperator.record_key))


@needs_task_state_store
def test_long_rate_limit_is_left_to_the_retries(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", status=429, headers={"Retry-After": "3600"})
    run = run_dag(evaluate_dag())
    assert (run.states, run.tries) == SECOND_TRY
    assert accepted_evaluations(ollang) == 1
