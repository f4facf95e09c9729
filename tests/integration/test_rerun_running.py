"""An order that is being processed already, or that another user reruns at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest
import requests
from airflow.sdk import DAG

from airflow_provider_ollang.exceptions import OllangOrderNotEligibleError
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.runtime.order_requests import RerunRequest
from tests.installed_airflow import needs_task_state_store
from tests.integration.submissions import (
    ORDER,
    RESULT_ONLY,
    WAITING,
    accepted_reruns,
    during_sleep,
    first_output,
    is_refused,
    posts,
    record,
    rerun_dag,
    state_on_record,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag


def test_on_running_fail_submits_nothing_and_says_what_to_do(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, status="ongoing")
    run = run_dag(rerun_dag())
    assert isinstance(run.errors["rerun"], OllangOrderNotEligibleError)
    assert "on_running='attach'" in str(run.errors["rerun"])
    assert (run.tries["rerun"], posts(ollang)) == (1, 0)
    assert is_refused(record())


@pytest.mark.parametrize("status", ["ongoing", "pondering"])
def test_on_running_attach_waits_for_the_run(ollang: Sandbox, run_dag: RunDag, status: str) -> None:
    ollang.change_order(ORDER, status=status)
    ollang.change_order(ORDER, status="completed", after=100)
    run = run_dag(rerun_dag(on_running="attach", **WAITING))
    receipt = run.results["rerun"]
    assert (receipt["reconnected"], receipt["seen_running"], receipt["message"]) == (True, True, None)
    assert receipt["result"]["evidence"] == ["running"]
    assert posts(ollang) == 0


def test_on_running_attach_refuses_an_order_in_review(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, status="review")
    run = run_dag(rerun_dag(on_running="attach"))
    assert isinstance(run.errors["rerun"], OllangOrderNotEligibleError)
    assert "A person has to act on it in Ollang" in str(run.errors["rerun"])
    assert posts(ollang) == 0


def rerun_as_another_user(ollang: Sandbox) -> int:
    """Rerun the order at the same time as the task; return the status of the response."""
    headers = {"X-Api-Key": ollang.api_key}
    return requests.post(f"{ollang.url}/integration/orders/{ORDER}/rerun", headers=headers, timeout=10).status_code


@pytest.fixture
def quicker_user(ollang: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another user rerun the order between the task's poll and its request."""
    send = RerunRequest.send

    def late(self: RerunRequest, *arguments: Any, **options: Any) -> Any:
        assert rerun_as_another_user(ollang) == 200
        ollang.advance(3)
        return send(self, *arguments, **options)

    monkeypatch.setattr(RerunRequest, "send", late)


@needs_task_state_store
@pytest.mark.usefixtures("quicker_user")
@pytest.mark.parametrize("on_running", ["fail", "attach"])
def test_rerun_of_a_quicker_user(ollang: Sandbox, run_dag: RunDag, on_running: str) -> None:
    ollang.change_order(ORDER, behaviour={"status_hidden_for": 10})
    run = run_dag(rerun_dag(on_running=on_running, **WAITING))
    if on_running == "fail":
        assert isinstance(run.errors["rerun"], OllangOrderNotEligibleError)
        assert is_refused(record())
    else:
        assert run.results["rerun"]["reconnected"] is True
        assert "(run 2)" in first_output(run.results["rerun"])
        assert state_on_record() == "finished"
    assert (run.tries["rerun"], accepted_reruns(ollang)) == (1, 1)
    assert ollang.order(ORDER)["reruns_refused"] == 1


@pytest.mark.usefixtures("quicker_user")
def test_rerun_of_a_quicker_user_that_only_its_result_shows(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour=RESULT_ONLY)
    run = run_dag(rerun_dag(on_running="attach", **WAITING))
    assert run.results["rerun"]["reconnected"] is True
    assert "(run 2)" in first_output(run.results["rerun"])
    assert accepted_reruns(ollang) == 1


@pytest.mark.parametrize("on_running", ["fail", "attach"])
def test_two_tasks_rerun_the_same_order(
    ollang: Sandbox, run_dag: RunDag, on_running: Literal["fail", "attach"]
) -> None:
    behaviour = {"rerun_while_running": "accept", "run_seconds": 1000, "status_path": [[0, "ongoing"]]}
    ollang.change_order(ORDER, behaviour=behaviour)
    with DAG("rerunning", schedule=None, start_date=ollang.now) as dag:
        tasks = [
            OllangRerunOperator(task_id=name, order_id=ORDER, on_running=on_running) for name in ("first", "second")
        ]
        tasks[0] >> tasks[1]
    run = run_dag(dag)
    # The second observes the order running and submits nothing, though Ollang would accept it.
    assert run.states == {"first": "success", "second": "success" if on_running == "attach" else "failed"}
    assert accepted_reruns(ollang) == posts(ollang) == 1
    if on_running == "attach":
        assert (run.results["second"]["reconnected"], run.results["second"]["message"]) == (True, None)


def test_other_users_rerun_during_the_wait_gives_its_result(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_order(ORDER, behaviour={"rerun_while_running": "accept", "run_seconds": 600})
    responses: list[int] = []
    during_sleep(monkeypatch, lambda: responses.append(rerun_as_another_user(ollang)), after=120)
    run = run_dag(rerun_dag(**WAITING))
    assert (run.states, responses) == ({"rerun": "success"}, [200])
    # Nothing tells the runs of an order apart: in the end it has the newest one's result.
    assert "(run 3)" in first_output(run.results["rerun"])
    assert accepted_reruns(ollang) == 2


def test_refusal_without_a_run_to_attach_to_is_raised(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", status=400, body={"code": "ORDER_NOT_ELIGIBLE"})
    ollang.add_fault("GET", "/integration/orders/*", skip=1, times=2, status=503)
    run = run_dag(rerun_dag(on_running="attach", reconcile_timeout=60))
    assert isinstance(run.errors["rerun"], OllangOrderNotEligibleError)
    assert (run.tries["rerun"], posts(ollang)) == (1, 1)
    assert is_refused(record())
