"""An evaluation task that is cleared, with its state kept (Airflow 3.3) or discarded (3.4 and newer)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.exceptions import OllangOrderNotEligibleError, OllangOutcomeUnknownError
from tests.installed_airflow import needs_task_state_store
from tests.integration.evaluations import ORDER, accepted_evaluations, evaluate_dag, shown
from tests.integration.submissions import posts

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import ClearRun, RunDag

pytestmark = needs_task_state_store

#: How the order looks when the task begins again: what it shows, how much later that is, its status if another one.
ORDERS: dict[str, tuple[dict[str, Any], float, str | None]] = {
    "at work": ({"qc_seconds": 1000}, 0, None),
    "old evaluation": ({"qc_seconds": 1000, "qc_meanwhile": "kept"}, 0, None),
    "new evaluation": ({"qc_seconds": 60}, 100, None),
    "failed": ({"qc_seconds": 60}, 100, "failed"),
}
#: Evaluations accepted in all, once the task was cleared: with its state kept, and gone.
ACCEPTED = {"at work": (1, 1), "old evaluation": (1, 2), "new evaluation": (2, 2), "failed": (1, 1)}


@pytest.mark.parametrize("state_kept", [True, False], ids=["state kept", "state gone"])
@pytest.mark.parametrize("order", ORDERS)
def test_cleared_task_submits_if_no_evaluation_is_running(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, order: str, state_kept: bool
) -> None:
    behaviour, later, status = ORDERS[order]
    ollang.change_order(ORDER, behaviour=behaviour)
    dag = evaluate_dag(retries=0)
    run = run_dag(dag)
    ollang.advance(later)
    if status:
        ollang.change_order(ORDER, status=status)
    again = clear_run(dag, run, keep_task_state=state_kept)
    accepted = ACCEPTED[order][0 if state_kept else 1]
    assert accepted_evaluations(ollang) == posts(ollang) == accepted
    if status:
        assert isinstance(again.errors["evaluate"], OllangOrderNotEligibleError)
        return
    receipt = again.results["evaluate"]
    assert (again.states, receipt["reconnected"]) == ({"evaluate": "success"}, accepted == 1)
    assert receipt["evaluation_id"] == shown(ollang)
    if accepted == 1 and state_kept:
        assert receipt == {**run.results["evaluate"], "reconnected": True}


def test_evaluation_dated_before_its_request_is_not_resubmitted(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.behaviour = dataclasses.replace(ollang.behaviour, date_ahead=3)
    ollang.add_fault("POST", drop="after")
    run = run_dag(evaluate_dag(on_unknown_outcome="resubmit"))
    assert isinstance(run.errors["evaluate"], OllangOutcomeUnknownError)
    assert accepted_evaluations(ollang) == posts(ollang) == 1
