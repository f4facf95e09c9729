"""An order that is being processed already, or that somebody else reruns at the same time."""

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


@pytest.mark.parametrize("status", ["pending", "ongoing", "delayed", "pondering"])
def test_on_running_attach_waits_for_the_run_there_is(ollang: Sandbox, run_dag: RunDag, status: str) -> None:
    ollang.change_order(ORDER, status=status)
    ollang.change_order(ORDER, status="completed", after=100)
    run = run_dag(rerun_dag(on_running="attach", **WAITING))
    receipt = run.results["rerun"]
    assert (receipt["reconnected"], receipt["seen_running"], receipt["message"]) == (True, True, None)
    assert receipt["result"]["evidence"] == ["running"]
    assert posts(ollang) == 0


@pytest.mark.parametrize("status", ["revision", "review", "waitingForApprove", "readyToSent", "failed", "cancelled"])
def test_on_running_attach_refuses_what_a_person_holds(ollang: Sandbox, run_dag: RunDag, status: str) -> None:
    ollang.change_order(ORDER, status=status)
    run = run_dag(rerun_dag(on_running="attach"))
    assert isinstance(run.errors["rerun"], OllangOrderNotEligibleError)
    assert "A person has to act on it in Ollang" in str(run.errors["rerun"])
    assert posts(ollang) == 0


def ask_for_it_oneself(ollang: Sandbox) -> int:
    """Rerun the order as a person does who is at it at the same time; return the status of the answer."""
    headers = {"X-Api-Key": ollang.api_key}
    return requests.post(f"{ollang.url}/integration/orders/{ORDER}/rerun", headers=headers, timeout=10).status_code


@pytest.fixture
def somebody_quicker(ollang: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another person rerun the order between the task's look and its request."""
    send = RerunRequest.send

    def late(self: RerunRequest, *arguments: Any, **options: Any) -> Any:
        assert ask_for_it_oneself(ollang) == 200
        ollang.advance(3)
        return send(self, *arguments, **options)

    monkeypatch.setattr(RerunRequest, "send", late)


@needs_task_state_store
@pytest.mark.usefixtures("somebody_quicker")
@pytest.mark.parametrize("hidden", [0, 10], ids=["shown", "shown later"])
@pytest.mark.parametrize("on_running", ["fail", "attach"])
def test_somebody_else_is_quicker(ollang: Sandbox, run_dag: RunDag, on_running: str, hidden: float) -> None:
    ollang.change_order(ORDER, behaviour={"status_hidden_for": hidden})
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


@pytest.mark.usefixtures("somebody_quicker")
def test_somebody_quicker_whose_run_only_its_result_shows(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour=RESULT_ONLY)
    run = run_dag(rerun_dag(on_running="attach", **WAITING))
    assert run.results["rerun"]["reconnected"] is True
    assert "(run 2)" in first_output(run.results["rerun"])
    assert accepted_reruns(ollang) == 1


@pytest.mark.parametrize("on_running", ["fail", "attach"])
@pytest.mark.parametrize("meanwhile", ["400", "accept", "by_status"])
def test_two_tasks_rerun_one_order(
    ollang: Sandbox, run_dag: RunDag, meanwhile: str, on_running: Literal["fail", "attach"]
) -> None:
    behaviour = {"rerun_while_running": meanwhile, "run_seconds": 1000, "status_path": [[0, "ongoing"]]}
    ollang.change_order(ORDER, behaviour=behaviour)
    with DAG("rerunning", schedule=None, start_date=ollang.now) as dag:
        tasks = [OllangRerunOperator(task_id=name, order_id=ORDER, on_running=on_running) for name in ("one", "two")]
        tasks[0] >> tasks[1]
    run = run_dag(dag)
    # The second sees that the order is at work and asks for nothing, whatever Ollang would accept.
    assert run.states == {"one": "success", "two": "success" if on_running == "attach" else "failed"}
    assert accepted_reruns(ollang) == posts(ollang) == 1
    if on_running == "attach":
        assert (run.results["two"]["reconnected"], run.results["two"]["message"]) == (True, None)


@pytest.mark.parametrize("meanwhile", ["400", "409", "accept"])
def test_a_person_reruns_it_while_the_task_waits(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    ollang.change_order(ORDER, behaviour={"rerun_while_running": meanwhile, "run_seconds": 600})

    answers: list[int] = []
    during_sleep(monkeypatch, lambda: answers.append(ask_for_it_oneself(ollang)), after=120)
    run = run_dag(rerun_dag(**WAITING))
    assert run.states == {"rerun": "success"}
    assert answers == [200 if meanwhile == "accept" else int(meanwhile)]
    # Nothing tells the runs of one order apart; the newest one's result is what the order has in the end.
    assert ("(run 3)" if meanwhile == "accept" else "(run 2)") in first_output(run.results["rerun"])
    assert accepted_reruns(ollang) == (2 if meanwhile == "accept" else 1)


@pytest.mark.parametrize("on_running", ["fail", "attach"])
def test_a_refusal_that_nothing_explains_is_one(ollang: Sandbox, run_dag: RunDag, on_running: str) -> None:
    ollang.add_fault("POST", status=400, body={"code": "ORDER_NOT_ELIGIBLE"})
    ollang.add_fault("GET", "/integration/orders/*", skip=1, times=2, status=503)
    run = run_dag(rerun_dag(on_running=on_running, reconcile_timeout=60))
    assert isinstance(run.errors["rerun"], OllangOrderNotEligibleError)
    assert (run.tries["rerun"], posts(ollang)) == (1, 1)
    assert is_refused(record())
