"""A human review in real task runs: requested once, and waited for until its result is there, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangInsufficientCreditsError,
    OllangOrderFailedError,
    OllangOrderNotEligibleError,
    OllangOutcomeUnknownError,
    OllangStaleResultError,
)
from airflow_provider_ollang.operators.quality import OllangEvaluateOrderOperator, OllangQualityGateOperator
from airflow_provider_ollang.operators.review import OllangHumanReviewOperator
from airflow_provider_ollang.transfers.ollang_to_object_storage import OllangToObjectStorageOperator
from tests.installed_airflow import needs_task_state_store
from tests.integration.reviews import (
    APPROVED,
    CANCELLED,
    RECORD,
    START,
    WAITING,
    WAITS,
    WORK,
    requests,
    review_dag,
    waiting_dag,
)
from tests.integration.submissions import ORDER, is_refused, kill_while_sending, record, state_on_record

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import ClearRun, Run, RunDag

in_every_wait = pytest.mark.parametrize("wait", WAITS)


def result_of(run: Run) -> dict[str, Any]:
    assert set(run.states.values()) == {"success"}, run.errors
    result: dict[str, Any] = run.results["wait"] if "wait" in run.results else run.results["review"]["result"]
    return result


def names(result: dict[str, Any]) -> list[str]:
    return [output["name"] for output in result["outputs"]]


# --- The result -----------------------------------------------------------------------------------------------------


@in_every_wait
def test_reviewed_result_is_waited_for(ollang: Sandbox, run_dag: RunDag, at_once: None, wait: str) -> None:
    ollang.change_order(ORDER, behaviour=WORK)
    began = ollang.now
    run = run_dag(waiting_dag(wait))
    result = result_of(run)
    assert (result["level"], result["outputs_changed"], names(result)) == (1, True, ["French Subtitles (run 2)"])
    assert set(result["evidence"]) >= {"level", "event", "documents"}
    assert (ollang.now - began).total_seconds() >= 600
    receipt = run.results["review"]
    assert (receipt["kind"], receipt["credits_used"], receipt["reconnected"]) == ("review", None, False)
    assert receipt["message"] == "accepted without a message"
    assert requests(ollang) == (1, 1)


@in_every_wait
def test_approval_of_the_old_documents_ends_the_wait(
    ollang: Sandbox, run_dag: RunDag, at_once: None, wait: str
) -> None:
    ollang.change_order(ORDER, behaviour=APPROVED)
    result = result_of(run_dag(waiting_dag(wait)))
    assert (result["level"], result["outputs_changed"], names(result)) == (1, False, ["French Subtitles"])
    assert result["evidence"] == ["level", "step", "event", "running"]
    assert requests(ollang) == (1, 1)


@in_every_wait
def test_cancelled_review_is_no_result(ollang: Sandbox, run_dag: RunDag, at_once: None, wait: str) -> None:
    ollang.change_order(ORDER, behaviour=CANCELLED)
    run = run_dag(waiting_dag(wait))
    waiting = "wait" if wait == "sensor" else "review"
    assert run.tries[waiting] == 1
    error = run.errors[waiting]
    assert type(error) is OllangOrderFailedError
    assert f"The human review of order {ORDER} was cancelled; the order shows its old result" in str(error)
    assert requests(ollang) == (1, 1)


#: What hides the review, or shows the old result in between.
HIDDEN: dict[str, dict[str, Any]] = {
    "status never shown": {"status_hidden_for": None},
    "status and events never shown": {"status_hidden_for": None, "delivery_events": "absent"},
    "status late": {"status_hidden_for": 400},
    "level late": {"review_level_after": 60},
    "lagging replica": {"stale_every": 2, "stale_by": 500},
    "events absent": {"delivery_events": "absent"},
    "documents late": {"outputs_after": 60},
}


@pytest.mark.parametrize("behaviour", HIDDEN.values(), ids=HIDDEN)
def test_old_result_is_never_taken(ollang: Sandbox, run_dag: RunDag, behaviour: dict[str, Any]) -> None:
    ollang.change_order(ORDER, behaviour={**WORK, **behaviour})
    result = result_of(run_dag(review_dag(**WAITING)))
    assert (result["outputs_changed"], names(result)) == (True, ["French Subtitles (run 2)"])
    assert requests(ollang) == (1, 1)


def test_result_without_any_trace_is_stale(ollang: Sandbox, run_dag: RunDag) -> None:
    no_trace = {"status_hidden_for": None, "outputs": "unchanged", "delivery_events": "absent"}
    ollang.change_order(ORDER, behaviour={**no_trace, "review_level_after": None})
    run = run_dag(review_dag(**WAITING))
    assert type(run.errors["review"]) is OllangStaleResultError
    assert run.results["review"]["result"]["evidence"] == []
    assert "rerun" not in str(run.errors["review"])


def test_review_of_a_reviewed_order_is_told_by_its_work(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, level=1, behaviour={**WORK, "review_at_level_1": "accept"})
    result = result_of(run_dag(review_dag(**WAITING)))
    assert result["evidence"] == ["step", "event", "documents", "running"]
    assert names(result) == ["French Subtitles (run 2)"]


# --- Once -----------------------------------------------------------------------------------------------------------


@needs_task_state_store
def test_lost_answer_is_found_by_the_level(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour={**WORK, "review_at_level_1": "accept"})
    ollang.add_fault("POST", drop="after")
    run = run_dag(review_dag(**WAITING))
    receipt = run.results["review"]
    assert (receipt["reconnected"], names(result_of(run))) == (True, ["French Subtitles (run 2)"])
    assert requests(ollang) == (1, 1)


@needs_task_state_store
def test_lost_request_without_a_trace_is_left_to_a_person(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    ollang.change_order(ORDER, behaviour=WORK)
    ollang.add_fault("POST", drop="before")
    dag = review_dag(**WAITING)
    run = run_dag(dag)
    assert (run.states, run.tries) == ({"review": "failed"}, {"review": 1})
    error = run.errors["review"]
    assert isinstance(error, OllangOutcomeUnknownError)
    assert str(error).startswith(f"The outcome of the human review request for order {ORDER} is unknown")
    assert "clear this task to request the review again" in str(error)
    assert (requests(ollang), state_on_record(key=RECORD)) == ((1, 0), "unknown")
    # Clearing it says that it never ran.
    assert names(result_of(clear_run(dag, run))) == ["French Subtitles (run 2)"]
    assert requests(ollang) == (2, 1)


@needs_task_state_store
@pytest.mark.parametrize("processed", [True, False])
def test_killed_request_is_reconciled_by_the_retry(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, processed: bool
) -> None:
    ollang.change_order(ORDER, behaviour={**WORK, "review_at_level_1": "accept"})
    kill_while_sending(monkeypatch, processed=processed)
    run = run_dag(review_dag(on_unknown_outcome="resubmit"))
    assert (run.states, run.tries) == ({"review": "success"}, {"review": 2})
    assert run.results["review"]["reconnected"] is processed
    assert requests(ollang) == (1, 1)


@needs_task_state_store
def test_cleared_task_reconnects_to_the_review_at_work(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    ollang.change_order(ORDER, behaviour={**WORK, "review_at_level_1": "accept"})
    dag = review_dag()
    run = run_dag(dag)
    for keep in (True, False):
        again = clear_run(dag, run, keep_task_state=keep)
        assert (again.states, again.results["review"]["reconnected"]) == ({"review": "success"}, True)
    assert requests(ollang) == (1, 1)


@needs_task_state_store
def test_cleared_task_requests_another_review_of_a_cancelled_one(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    ollang.change_order(ORDER, behaviour=CANCELLED)
    dag = review_dag(**WAITING)
    run = run_dag(dag)
    assert state_on_record(key=RECORD) == "failed"
    ollang.change_order(ORDER, behaviour={"review_cancelled_after": None})
    assert names(result_of(clear_run(dag, run))) == ["French Subtitles (run 3)"]
    assert requests(ollang) == (2, 2)


@pytest.mark.parametrize("level", [0, 1])
def test_on_running_attach_takes_a_review_only(ollang: Sandbox, run_dag: RunDag, level: int) -> None:
    ollang.change_order(ORDER, status="ongoing", level=level)
    ollang.change_order(ORDER, status="completed", after=100)
    run = run_dag(review_dag(on_running="attach", **WAITING))
    if level:
        assert result_of(run)["evidence"] == ["running"]
    else:
        assert isinstance(run.errors["review"], OllangOrderNotEligibleError)
        assert is_refused(record(key=RECORD))
    assert requests(ollang) == (0, 0)


def test_too_few_credits_request_nothing(ollang: Sandbox, run_dag: RunDag) -> None:
    run = run_dag(review_dag(min_credits=10_000_000))
    error = run.errors["review"]
    assert isinstance(error, OllangInsufficientCreditsError)
    assert f"the human review of order {ORDER} was not sent" in str(error)
    assert requests(ollang) == (0, 0)


def test_report_that_passed_skips_the_review(ollang: Sandbox, run_dag: RunDag) -> None:
    report = {"order_id": ORDER, "passed": True}
    run = run_dag(review_dag(skip_if_passed=report))
    assert (run.states, requests(ollang)) == ({"review": "skipped"}, (0, 0))


# --- Its receipt ----------------------------------------------------------------------------------------------------


def delivering_dag(folder: Path, **review: Any) -> DAG:
    with DAG("reviewing", schedule=None, start_date=START) as dag:
        reviewed = OllangHumanReviewOperator(task_id="review", order_id=ORDER, **review)
        OllangToObjectStorageOperator(
            task_id="deliver", rerun=reviewed.output, destination=str(folder), document_types="subtitle"
        )
    return dag


@pytest.mark.parametrize(
    ("behaviour", "changed", "name"),
    [(WORK, True, "French Subtitles (run 2)"), (APPROVED, False, "French Subtitles")],
    ids=["replaced", "approved"],
)
def test_delivery_takes_the_reviewed_files(
    ollang: Sandbox, run_dag: RunDag, tmp_path: Path, behaviour: Any, changed: bool, name: str
) -> None:
    ollang.change_order(ORDER, behaviour={**behaviour, "links": "served"})
    run = run_dag(delivering_dag(tmp_path, **WAITING))
    assert run.states["deliver"] == "success", run.errors
    manifest = run.results["deliver"]
    assert (manifest["outputs_changed"], [file["name"] for file in manifest["files"]]) == (changed, [name])


def test_delivery_takes_nothing_before_the_review_is_done(ollang: Sandbox, run_dag: RunDag, tmp_path: Path) -> None:
    ollang.change_order(ORDER, behaviour={**WORK, "status_hidden_for": None, "links": "served"})
    run = run_dag(delivering_dag(tmp_path))
    error = run.errors["deliver"]
    assert isinstance(error, OllangStaleResultError)
    assert "not every type of output is newer than before the human review" in str(error)
    assert list(tmp_path.iterdir()) == []


def test_evaluation_waits_for_the_reviews_result(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour=WORK)
    with DAG("reviewing", schedule=None, start_date=START) as dag:
        review = OllangHumanReviewOperator(task_id="review", order_id=ORDER, **WAITING)
        evaluation = OllangEvaluateOrderOperator(task_id="evaluate", order_id=review.output)
        OllangQualityGateOperator(
            task_id="gate", rerun=review.output, evaluation=evaluation.output, min_scores={"Accuracy": 1}
        )
    run = run_dag(dag)
    assert set(run.states.values()) == {"success"}, run.errors
    assert ollang.order(ORDER)["evaluations_accepted"] == 1


def test_old_result_is_not_evaluated(ollang: Sandbox, run_dag: RunDag) -> None:
    # The order says that it is done, at level 1 already.
    ollang.change_order(ORDER, behaviour={**WORK, "status_hidden_for": None})
    with DAG("reviewing", schedule=None, start_date=START) as dag:
        review = OllangHumanReviewOperator(task_id="review", order_id=ORDER)
        OllangEvaluateOrderOperator(task_id="evaluate", order_id=review.output)
    run = run_dag(dag)
    error = run.errors["evaluate"]
    assert isinstance(error, OllangOrderNotEligibleError)
    assert "the result of the human review of" in str(error)
    assert ollang.order(ORDER)["evaluations_accepted"] == 0


# --- Arguments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), [("on_running", "wait"), ("min_credits", -1), ("min_credits", "5")])
def test_bad_argument_is_named_when_the_dag_is_parsed(name: str, value: Any) -> None:
    with pytest.raises(OllangConfigurationError, match=f"^{name} must be "):
        review_dag(**{name: value})
