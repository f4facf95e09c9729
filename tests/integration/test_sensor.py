"""The sensor as Airflow runs it; how a wait ends in each mode is in ``test_modes.py``."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangTimeoutError,
)
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.sensors.ollang import LONG_TIMEOUT, OllangOrderStatusSensor
from tests.integration.conftest import Run, RunDag

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"


def wait_for(run_dag: RunDag, **arguments: Any) -> Run:
    with DAG("waiting", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001 - Airflow adds the zone
        OllangOrderStatusSensor(
            task_id="wait", **{"order_id": ORDER, "retries": 1, "retry_delay": 0, "timeout": 3600, **arguments}
        )
    return run_dag(dag)


def rerun_and_wait_for(run_dag: RunDag, **arguments: Any) -> Run:
    with DAG("rerunning", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001
        rerun = OllangRerunOperator(task_id="rerun", order_id=ORDER)
        OllangOrderStatusSensor(task_id="wait", rerun=rerun.output, poke_interval=5, **arguments)
    return run_dag(dag)


def polls(ollang: Sandbox) -> int:
    return len(ollang.requests("GET", "/integration/orders/*"))


def done_later(ollang: Sandbox) -> None:
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="completed", after=150)


def never_done(ollang: Sandbox) -> None:
    ollang.change_order(ORDER, status="ongoing")


def test_result_is_small_and_without_links(ollang: Sandbox, run_dag: RunDag) -> None:
    result = wait_for(run_dag).results["wait"]
    assert {key: result[key] for key in ("order_id", "status", "type", "target_language", "outputs_changed")} == {
        "order_id": ORDER,
        "status": "completed",
        "type": "cc",
        "target_language": "fr",
        "outputs_changed": None,
    }
    assert [output["id"] for output in result["outputs"]] == ["doc_456def"]
    assert result["evaluation"]["scores"][0] == {"name": "Accuracy", "score": 92.5}
    assert "http" not in json.dumps(result)


def test_sensor_polls_at_the_interval_and_at_the_deadline(ollang: Sandbox, run_dag: RunDag) -> None:
    never_done(ollang)
    started = ollang.now
    run = wait_for(run_dag, timeout=150, retries=0)
    assert run.states == {"wait": "failed"}
    assert isinstance(run.errors["wait"], OllangTimeoutError)
    assert "its last status was 'ongoing'" in str(run.errors["wait"])
    assert polls(ollang) == 4
    assert (ollang.now - started).total_seconds() == 150


ADVICE = "with deferrable=True the wait holds none"


@pytest.mark.parametrize(
    ("level", "arguments", "times"),
    [
        (1, {"retries": 2, "max_poll_failures": 1}, 2),
        (0, {}, 0),
        (1, {"timeout": LONG_TIMEOUT}, 0),
        (1, {"mode": "reschedule"}, 0),
        (1, {"deferrable": True}, 0),
    ],
    ids=str,
)
def test_long_wait_in_poke_mode_logs_advice_once_a_try(
    ollang: Sandbox,
    run_dag: RunDag,
    capfd: pytest.CaptureFixture[str],
    level: int,
    arguments: dict[str, Any],
    times: int,
) -> None:
    ollang.change_order(ORDER, status="ongoing", level=level)
    ollang.change_order(ORDER, status="completed", after=150)
    # Where one failed poll ends a try, the third poll begins the next one.
    ollang.add_fault("GET", "/integration/orders/*", skip=1, status=503)
    run = wait_for(run_dag, **{"timeout": 2 * LONG_TIMEOUT, **arguments})
    assert run.states == {"wait": "success"}
    lines = [line for line in capfd.readouterr().out.splitlines() if ADVICE in line]
    assert len([line for line in lines if "[warning" in line]) == len(lines) == times


def test_target_and_failure_statuses_can_be_chosen(ollang: Sandbox, run_dag: RunDag) -> None:
    done_later(ollang)
    run = wait_for(run_dag, target_statuses="delivered, review", failure_statuses=["completed"])
    assert run.states == {"wait": "failed"}
    assert run.tries == {"wait": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        {"order_id": "None"},
        {"order_id": None, "rerun": None},
        {"order_id": None, "rerun": {"order_id": ORDER}},
        {"target_statuses": "completed", "failure_statuses": "completed"},
        {"ollang_conn_id": "not_there"},
    ],
    ids=str,
)
def test_bad_argument_fails_at_once_and_sends_nothing(
    ollang: Sandbox, run_dag: RunDag, arguments: dict[str, Any]
) -> None:
    run = wait_for(run_dag, **arguments)
    assert run.states == {"wait": "failed"}
    assert run.tries == {"wait": 1}
    assert isinstance(run.errors["wait"], OllangConfigurationError)
    assert ollang.request_log == []


#: How the order changes besides what ``test_modes.py`` plays, and the interval.
CHANGES: dict[str, tuple[dict[str, Any], int]] = {
    "in_place": ({"outputs": "in_place"}, 60),
    "added beside the old": ({"outputs": "added"}, 60),
    "status never visible, no events": ({"status_hidden_for": None, "delivery_events": "absent"}, 5),
    "no documents meanwhile": ({"outputs_during_run": "removed"}, 5),
    "auxiliary documents at once": ({"auxiliary_documents": True}, 5),
    "signed URLs": ({"sign_links": True}, 60),
    "a lagging replica": ({"stale_every": 2, "stale_by": 20}, 5),
    "ends delivered": ({"end_status": "delivered"}, 60),
}


@pytest.mark.parametrize(("options", "interval"), CHANGES.values(), ids=CHANGES)
def test_only_the_result_of_the_rerun_ends_the_wait(
    ollang: Sandbox, run_dag: RunDag, options: dict[str, Any], interval: int
) -> None:
    ollang.change_order(ORDER, behaviour=options)
    with DAG("rerunning", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001
        rerun = OllangRerunOperator(task_id="rerun", order_id=ORDER)
        OllangOrderStatusSensor(task_id="wait", rerun=rerun.output, poke_interval=interval)
    run = run_dag(dag)
    result = run.results["wait"]
    assert result is not None
    assert result["evidence"]
    assert result["outputs_changed"] is True
    assert [output["name"] for output in result["outputs"]] == ["French Subtitles (run 2)"]
    assert ollang.order(ORDER)["reruns_accepted"] == 1


def test_result_without_evidence_is_accepted_on_request(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(
        ORDER, behaviour={"status_hidden_for": None, "outputs": "unchanged", "delivery_events": "absent"}
    )
    run = rerun_and_wait_for(run_dag, stale_timeout=600, on_no_evidence="accept")
    assert run.states == {"rerun": "success", "wait": "success"}
    assert run.results["wait"]["evidence"] == []
    assert run.results["wait"]["outputs_changed"] is False


def test_receipt_of_another_host_is_refused(ollang: Sandbox, run_dag: RunDag) -> None:
    with DAG("elsewhere", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001

        @task
        def of_another_service(receipt: dict[str, Any]) -> dict[str, Any]:
            return {**receipt, "host": "https://elsewhere.example"}

        rerun = OllangRerunOperator(task_id="rerun", order_id=ORDER)
        OllangOrderStatusSensor(task_id="wait", rerun=of_another_service(rerun.output))  # type: ignore[arg-type]
    run = run_dag(dag)
    assert run.states["wait"] == "failed"
    assert "receipt is of https://elsewhere.example" in str(run.errors["wait"])
