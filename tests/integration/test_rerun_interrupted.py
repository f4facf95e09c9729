"""A rerun whose task is interrupted: whatever was bought is not bought again, and nothing is lost."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_provider_ollang import _clock
from airflow_provider_ollang.exceptions import OllangPermanentError, OllangRerunOutcomeUnknownError
from airflow_provider_ollang.operators.ollang import OllangRerunOperator

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import Run, RunDag

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"


def rerun_once(run_dag: RunDag, **arguments: Any) -> Run:
    with DAG("interrupted", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001 - Airflow adds the zone
        OllangRerunOperator(task_id="rerun", order_id=ORDER, retries=2, retry_delay=0, **arguments)
    return run_dag(dag)


@pytest.fixture(autouse=True)
def _accepts_a_second_rerun(ollang: Sandbox) -> None:
    """Show the old status for ever and bill every request, so that nothing but the client prevents a second one."""
    ollang.change_order(ORDER, behaviour={"status_hidden_for": None, "rerun_while_running": "by_status"})


def test_execution_timeout_while_watching_it_begin(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_clock, "sleep", time.sleep)
    run = rerun_once(run_dag, execution_timeout=timedelta(seconds=2))
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 1})
    assert run.results["rerun"]["last_status"] == "completed"
    assert ollang.order(ORDER)["reruns_accepted"] == 1


def test_execution_timeout_while_the_answer_is_awaited(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", delay=20, processed=True)
    run = rerun_once(run_dag, execution_timeout=timedelta(seconds=2))
    assert (run.states, run.tries) == ({"rerun": "failed"}, {"rerun": 1})
    assert isinstance(run.errors["rerun"], OllangRerunOutcomeUnknownError)
    assert "AirflowTaskTimeout" in str(run.errors["rerun"])
    assert ollang.order(ORDER)["reruns_accepted"] == 1


def test_a_receipt_that_cannot_be_pushed_early_is_pushed_at_the_end(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: RuntimeTaskInstance, key: str, value: Any) -> None:
        raise ConnectionError("the API server hiccups")

    monkeypatch.setattr(RuntimeTaskInstance, "xcom_push", fail)
    run = rerun_once(run_dag, confirm_timeout=0)
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 1})
    assert run.results["rerun"]["order_id"] == ORDER
    assert ollang.order(ORDER)["reruns_accepted"] == 1


def test_a_task_ended_from_outside_sends_nothing(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_baseline = OllangRerunOperator._take_baseline

    def ended_meanwhile(self: OllangRerunOperator, *arguments: Any) -> Any:
        baseline = take_baseline(self, *arguments)
        self.on_kill()
        return baseline

    monkeypatch.setattr(OllangRerunOperator, "_take_baseline", ended_meanwhile)
    run = rerun_once(run_dag)
    assert isinstance(run.errors["rerun"], OllangPermanentError)
    assert ollang.requests("POST") == []


def test_what_the_server_says_is_shown_without_secrets(ollang: Sandbox, run_dag: RunDag) -> None:
    message = f"done {ollang.api_key} https://x/y?X-Amz-Signature=LEAK\nERROR forged line"
    ollang.add_fault("POST", status=200, processed=True, body={"success": True, "message": message})
    run = rerun_once(run_dag, confirm_timeout=0)
    assert run.results["rerun"]["message"] == "done *** https://x/y?… ERROR forged line"
