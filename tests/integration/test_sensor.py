"""The sensor as Airflow runs it: how each story ends, under each way of failing softly."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangOrderFailedError,
    OllangStaleResultError,
    OllangTimeoutError,
)
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.sensors.ollang import LONG_TIMEOUT, OllangOrderStatusSensor
from tests.installed_airflow import needs_task_state_store
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


def looks(ollang: Sandbox) -> int:
    return len(ollang.requests("GET", "/integration/orders/*"))


def done_later(ollang: Sandbox) -> None:
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="completed", after=150)


def never_done(ollang: Sandbox) -> None:
    ollang.change_order(ORDER, status="ongoing")


def test_the_result_is_small_complete_and_without_links(ollang: Sandbox, run_dag: RunDag) -> None:
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


def test_looks_once_an_interval_and_once_at_the_very_end(ollang: Sandbox, run_dag: RunDag) -> None:
    never_done(ollang)
    started = ollang.now
    run = wait_for(run_dag, timeout=150, retries=0)
    assert run.states == {"wait": "failed"}
    assert isinstance(run.errors["wait"], OllangTimeoutError)
    assert "its last status was 'ongoing'" in str(run.errors["wait"])
    assert looks(ollang) == 4
    assert (ollang.now - started).total_seconds() == 150


ADVICE = "with deferrable=True the wait holds none"


@pytest.mark.parametrize(
    ("level", "arguments", "times"),
    [
        (1, {}, 1),
        (1, {"retries": 2, "max_poll_failures": 1}, 2),
        (0, {}, 0),
        (1, {"timeout": LONG_TIMEOUT}, 0),
        (1, {"mode": "reschedule"}, 0),
        (1, {"deferrable": True}, 0),
    ],
    ids=str,
)
def test_a_long_wait_for_people_in_poke_mode_is_told_once_a_try_what_is_better(
    ollang: Sandbox,
    run_dag: RunDag,
    capfd: pytest.CaptureFixture[str],
    level: int,
    arguments: dict[str, Any],
    times: int,
) -> None:
    ollang.change_order(ORDER, status="ongoing", level=level)
    ollang.change_order(ORDER, status="completed", after=150)
    # Where one failed look ends a try, the third look begins the next one.
    ollang.add_fault("GET", "/integration/orders/*", skip=1, status=503)
    run = wait_for(run_dag, **{"timeout": 2 * LONG_TIMEOUT, **arguments})
    assert run.states == {"wait": "success"}
    told = [line for line in capfd.readouterr().out.splitlines() if ADVICE in line]
    assert len([line for line in told if "[warning" in line]) == len(told) == times


def test_target_and_failure_statuses_are_the_users_choice(ollang: Sandbox, run_dag: RunDag) -> None:
    done_later(ollang)
    run = wait_for(run_dag, target_statuses="delivered, review", failure_statuses=["completed"])
    assert run.states == {"wait": "failed"}
    assert run.tries == {"wait": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        {"order_id": "None"},
        {"order_id": "{{ '{{ order_id }}' }}"},
        {"order_id": None, "rerun": None},
        {"order_id": None, "rerun": {"order_id": ORDER}},
        {"target_statuses": "completed", "failure_statuses": "completed"},
        {"target_statuses": []},
        {"ollang_conn_id": "not_there"},
    ],
    ids=str,
)
def test_bad_input_fails_at_once_and_sends_nothing(ollang: Sandbox, run_dag: RunDag, arguments: dict[str, Any]) -> None:
    run = wait_for(run_dag, **arguments)
    assert run.states == {"wait": "failed"}
    assert run.tries == {"wait": 1}
    assert isinstance(run.errors["wait"], OllangConfigurationError)
    assert ollang.request_log == []


BELIEVED = {
    "replaced": {},
    "in_place": {"outputs": "in_place"},
    "added beside the old": {"outputs": "added"},
    "status late": {"status_hidden_for": 25},
    "status never visible": {"status_hidden_for": None},
    "status never visible, no events": {"status_hidden_for": None, "delivery_events": "absent"},
    "only events": {"status_hidden_for": None, "outputs": "unchanged"},
    "outputs one by one": {"output_interval": 10},
    "outputs late": {"outputs_after": 60},
    "no documents meanwhile": {"outputs_during_run": "removed"},
    "null documents meanwhile": {"outputs_during_run": "null"},
    "auxiliary documents at once": {"auxiliary_documents": True},
    "links signed anew": {"sign_links": True},
    "a lagging replica": {"stale_every": 2, "stale_by": 20},
    "ends delivered": {"end_status": "delivered"},
    "no delivery events": {"delivery_events": "absent"},
}


@pytest.mark.parametrize("interval", [5, 60], ids=str)
@pytest.mark.parametrize("options", BELIEVED.values(), ids=BELIEVED)
def test_only_the_result_of_the_rerun_is_believed(
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
    if options.get("outputs") == "unchanged":
        assert result["outputs_changed"] is False
    else:
        assert result["outputs_changed"] is True
        assert [output["name"] for output in result["outputs"]] == ["French Subtitles (run 2)"]
    assert ollang.order(ORDER)["reruns_accepted"] == 1


def test_without_any_evidence_the_old_result_is_refused(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(
        ORDER, behaviour={"status_hidden_for": None, "outputs": "unchanged", "delivery_events": "absent"}
    )
    run = rerun_and_wait_for(run_dag, retries=2, stale_timeout=600)
    assert run.states == {"rerun": "success", "wait": "failed"}
    assert isinstance(run.errors["wait"], OllangStaleResultError)
    assert "doc_456def" in str(run.errors["wait"])
    assert run.tries["wait"] == 1


def test_without_any_evidence_the_result_can_be_accepted_on_request(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(
        ORDER, behaviour={"status_hidden_for": None, "outputs": "unchanged", "delivery_events": "absent"}
    )
    run = rerun_and_wait_for(run_dag, stale_timeout=600, on_no_evidence="accept")
    assert run.states == {"rerun": "success", "wait": "success"}
    assert run.results["wait"]["evidence"] == []
    assert run.results["wait"]["outputs_changed"] is False


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_rerun_that_fails_fails_the_wait(ollang: Sandbox, run_dag: RunDag, end: str) -> None:
    ollang.change_order(ORDER, behaviour={"end_status": end})
    run = rerun_and_wait_for(run_dag, retries=2)
    assert isinstance(run.errors["wait"], OllangOrderFailedError)
    assert run.states == {"rerun": "success", "wait": "failed"}
    assert run.tries["wait"] == 1


@needs_task_state_store
def test_reschedule_mode_remembers_across_its_starts(
    fast_ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a remembered sight of the order at work can prove this rerun: nothing else about it changes."""
    fast_ollang.set_speed(15)
    fast_ollang.change_order(ORDER, behaviour={"outputs": "unchanged", "delivery_events": "absent"})
    with DAG("rescheduled", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001
        rerun = OllangRerunOperator(task_id="rerun", order_id=ORDER)
        OllangOrderStatusSensor(
            task_id="wait", rerun=rerun.output, mode="reschedule", poke_interval=0.3, outputs_timeout=1
        )
    run = run_dag(dag)
    assert run.states == {"rerun": "success", "wait": "success"}
    assert run.results["wait"]["evidence"] == ["running"]
    assert run.results["wait"]["outputs_changed"] is False


def test_a_rerun_is_waited_for_only_where_it_was_accepted(ollang: Sandbox, run_dag: RunDag) -> None:
    with DAG("elsewhere", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001

        @task
        def of_another_service(receipt: dict[str, Any]) -> dict[str, Any]:
            return {**receipt, "host": "https://elsewhere.example"}

        rerun = OllangRerunOperator(task_id="rerun", order_id=ORDER)
        OllangOrderStatusSensor(task_id="wait", rerun=of_another_service(rerun.output))  # type: ignore[arg-type]
    run = run_dag(dag)
    assert run.states["wait"] == "failed"
    assert "receipt is of https://elsewhere.example" in str(run.errors["wait"])
