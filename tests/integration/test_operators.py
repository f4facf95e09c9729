"""The operators as Airflow runs them: what they return, what they send, and how they fail."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangOrderNotEligibleError,
    OllangRequestRefusedError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators.ollang import OllangGetOrderOperator, OllangRerunOperator
from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from tests.installed_airflow import needs_task_state_store
from tests.integration.conftest import Run, RunDag
from tests.integration.submissions import during_sleep, on_kill_of

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
START = datetime(2026, 1, 1)  # noqa: DTZ001 - Airflow adds the zone
RECEIPT_KEYS = {
    "order_id",
    "host",
    "message",
    "requested_at",
    "reconnected",
    "seen_running",
    "baseline_confirmed",
    "last_status",
    "baseline",
    "result",
    "kind",
    "credits_used",
}


def rerun_once(run_dag: RunDag, **arguments: Any) -> Run:
    with DAG("rerunning", schedule=None, start_date=START) as dag:
        OllangRerunOperator(task_id="rerun", **{"order_id": ORDER, "retries": 2, "retry_delay": 0, **arguments})
    return run_dag(dag)


def posts(ollang: Sandbox) -> int:
    return len(ollang.requests("POST"))


def test_get_order_returns_it_as_the_api_gave_it(ollang: Sandbox, run_dag: RunDag) -> None:
    with DAG("getting", schedule=None, start_date=START) as dag:
        OllangGetOrderOperator(task_id="all", order_id=ORDER)
        OllangGetOrderOperator(task_id="some", order_id=ORDER, fields="status, name,vttUrl, unheard")
    results = run_dag(dag).results
    assert results["all"] == ollang.order(ORDER)["order"]
    assert results["some"] == {
        "status": "completed",
        "name": "Sample Project - Episode 1",
        "vttUrl": "https://example.com/subtitles/sample_project_fr.vtt",
        "unheard": None,
    }


def test_order_id_may_come_in_every_way_airflow_has(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_order(id="77", status="completed", type="document")
    with DAG("naming", schedule=None, start_date=START, params={"order": ORDER}) as dag:

        @task
        def name_it() -> str:
            return f" {ORDER} "

        @task
        def use_the_hook(order: dict[str, Any]) -> str:
            return str(OllangHook().get_order(order)["status"])

        template = OllangGetOrderOperator(task_id="template", order_id="{{ params.order }}", fields="id")
        OllangGetOrderOperator(task_id="conf", order_id="{{ dag_run.conf['order'] }}", fields=["id"])
        OllangGetOrderOperator(task_id="argument", order_id=name_it(), fields="id")
        OllangGetOrderOperator(task_id="number", order_id=77, fields="id")
        wait = OllangOrderStatusSensor(task_id="wait", order_id=template.output)
        OllangGetOrderOperator(task_id="chained", order_id=wait.output, fields="id")
        OllangGetOrderOperator.partial(task_id="mapped", fields="id").expand(order_id=[ORDER, 77])
        use_the_hook(wait.output)  # type: ignore[arg-type]
    run = run_dag(dag, order=ORDER)
    assert run.state == "success"
    ids = {name: result["id"] for name, result in run.results.items() if isinstance(result, dict) and "id" in result}
    assert ids == {
        "template": ORDER,
        "conf": ORDER,
        "argument": ORDER,
        "number": "77",
        "chained": ORDER,
        "mapped[0]": ORDER,
        "mapped[1]": "77",
    }
    assert run.results["use_the_hook"] == "completed"


SIGNED = "https://files.example/canary-path/a.vtt?Signature=canary-signature"


def test_bad_order_id_sends_nothing_and_gives_advice(
    ollang: Sandbox, run_dag: RunDag, capfd: pytest.CaptureFixture[str]
) -> None:
    with DAG("naming", schedule=None, start_date=START, params={"url": SIGNED}) as dag:
        check = OllangGetOrderOperator(task_id="check", order_id=ORDER, fields="id")
        OllangGetOrderOperator(task_id="url", order_id="{{ params.url }}")
        OllangRerunOperator(task_id="rerun_url", order_id=SIGNED)
        OllangOrderStatusSensor(task_id="wait_url", order_id=SIGNED, deferrable=True)
        OllangRerunOperator(task_id="many", order_id=[ORDER, ORDER])
        OllangRerunOperator(task_id="task", order_id=check)
        OllangRerunOperator(task_id="name", order_id="Documentary - Episode 1")
        OllangRerunOperator(task_id="two", order_id=f"{ORDER},{ORDER}")
    run = run_dag(dag)
    wrong = {
        "url": "is a URL ('https://files.example/…')",
        "rerun_url": "is a URL",
        "wait_url": "is a URL",
        "many": ".expand(order_id=[...])",
        "task": "hand on its result, `task.output`",
        "name": "holds a space or a comma",
        "two": ".expand(order_id=[...])",
    }
    for name, words in wrong.items():
        assert (run.states[name], run.tries[name]) == ("failed", 1)
        assert isinstance(run.errors[name], OllangConfigurationError)
        assert words in str(run.errors[name])
        assert "canary" not in str(run.errors[name])
    assert "canary" not in "".join(capfd.readouterr())
    assert [entry.path for entry in ollang.request_log] == [f"/integration/orders/{ORDER}"]


def test_uppercase_order_id_matches_the_response(ollang: Sandbox, run_dag: RunDag) -> None:
    order_id = "60B8D6F1E1B9B1D8C6C0D8AA"
    ollang.add_order(id=order_id, type="subtitle", behaviour={"answered_id": order_id.lower()})
    with DAG("shouting", schedule=None, start_date=START) as dag:
        rerun = OllangRerunOperator(task_id="rerun", order_id=order_id)
        OllangOrderStatusSensor(task_id="wait", rerun=rerun.output)
    run = run_dag(dag)
    assert run.states == {"rerun": "success", "wait": "success"}
    assert run.tries == {"rerun": 1, "wait": 1}
    assert ollang.order(order_id)["reruns_accepted"] == 1


def test_killed_get_order_sends_nothing_more(ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch) -> None:
    ollang.add_fault("GET", status=429, headers={"Retry-After": "40"})
    during_sleep(monkeypatch, on_kill_of(monkeypatch, OllangGetOrderOperator))
    started = ollang.now
    with DAG("getting", schedule=None, start_date=START) as dag:
        OllangGetOrderOperator(task_id="get", order_id=ORDER)
    run = run_dag(dag)
    assert (run.states, len(ollang.request_log)) == ({"get": "failed"}, 1)
    assert (ollang.now - started).total_seconds() <= 1


def test_rerun_polls_once_submits_once_and_returns(ollang: Sandbox, run_dag: RunDag) -> None:
    started = ollang.now
    run = rerun_once(run_dag)
    receipt = run.results["rerun"]
    assert run.states == {"rerun": "success"}
    assert receipt.keys() == RECEIPT_KEYS
    assert receipt["order_id"] == ORDER
    assert receipt["host"] == ollang.url
    assert receipt["message"] == "Order rerun initiated successfully"
    assert (receipt["seen_running"], receipt["last_status"]) == (False, "completed")
    assert receipt["baseline"]["outputs"][0]["id"] == "doc_456def"
    assert [entry.method for entry in ollang.request_log] == ["GET", "POST"]
    assert ollang.now == started
    assert ollang.order(ORDER)["reruns_accepted"] == 1


#: One by its status, one by its body; tests/integration/test_quality_evaluate.py has the others.
REFUSALS = {
    "400": ({"status": 400, "body": {"code": "ORDER_NOT_ELIGIBLE"}}, OllangOrderNotEligibleError),
    "success: false": ({"status": 200, "body": {"success": False}}, OllangRequestRefusedError),
}


@pytest.mark.parametrize(("fault", "error"), REFUSALS.values(), ids=REFUSALS)
def test_refusal_fails_at_once(ollang: Sandbox, run_dag: RunDag, fault: dict[str, Any], error: type[Exception]) -> None:
    ollang.add_fault("POST", **fault)
    run = rerun_once(run_dag)
    assert run.states == {"rerun": "failed"}
    assert run.tries == {"rerun": 1}
    assert isinstance(run.errors["rerun"], error)
    assert posts(ollang) == 1
    assert ollang.order(ORDER)["reruns_accepted"] == 0


def test_rate_limited_rerun_is_sent_again(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", times=2, status=429, headers={"Retry-After": "40"})
    started = ollang.now
    run = rerun_once(run_dag)
    assert run.states == {"rerun": "success"}
    assert posts(ollang) == 3
    assert ollang.order(ORDER)["reruns_accepted"] == 1
    assert (ollang.now - started).total_seconds() == 80


@needs_task_state_store
def test_long_rate_limit_is_left_to_the_retries(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", status=429, headers={"Retry-After": "3600"})
    run = rerun_once(run_dag)
    assert run.states == {"rerun": "success"}
    assert run.tries == {"rerun": 2}
    assert ollang.order(ORDER)["reruns_accepted"] == 1
