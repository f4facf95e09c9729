"""What a wait logs of the review gate that its order is paused at, in every mode."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_ollang.runtime import wait
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from airflow_provider_ollang.triggers import ollang as triggers
from tests.installed_airflow import TaskStateStoreAccessor
from tests.integration.reviews import START
from tests.integration.submissions import ORDER

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag

MODES: dict[str, dict[str, Any]] = {
    "poke": {},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
#: Without a store, reschedule mode warns at each poll, for it remembers nothing.
in_every_mode = pytest.mark.parametrize(
    "mode", [mode for mode in MODES if mode != "reschedule" or TaskStateStoreAccessor is not None]
)
HOUR = 3600.0


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Record what is logged of review gates, on a worker and in the triggerer."""
    found: list[tuple[str, str]] = []
    log_review = wait.log_review

    def recording(log: Any, order_id: str, answer: Any) -> None:
        def write_as(level: str) -> Callable[..., None]:
            def write(message: str, *arguments: object) -> None:
                found.append((level, message % arguments))
                getattr(log, level)(message, *arguments)

            return write

        log_review(
            SimpleNamespace(**{level: write_as(level) for level in ("debug", "info", "warning")}), order_id, answer
        )

    monkeypatch.setattr(wait, "log_review", recording)
    monkeypatch.setattr(triggers, "log_review", recording)
    return found


def play(ollang: Sandbox, run_dag: RunDag, mode: str, *, enters: float, leaves: float, **arguments: Any) -> None:
    """Wait for an order that is at the gate for some hours."""
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="review", after=enters)
    ollang.change_order(ORDER, status="completed", after=leaves)
    with DAG("waiting", schedule=None, start_date=START) as dag:
        OllangOrderStatusSensor(
            task_id="wait", order_id=ORDER, poke_interval=4 * HOUR, retries=0, **MODES[mode], **arguments
        )
    run = run_dag(dag)
    assert run.states == {"wait": "success"}, run.errors


@in_every_mode
@pytest.mark.parametrize("enters", [0, HOUR], ids=["first poll", "later"])
def test_gate_is_told_once_a_day(
    ollang: Sandbox, run_dag: RunDag, at_once: None, lines: list[Any], mode: str, enters: float
) -> None:
    play(ollang, run_dag, mode, enters=enters, leaves=30 * HOUR)
    assert [level for level, _ in lines] == ["info", "info"]
    for part in ("its review: tag: Reviewers; type: assignment; since: ", "reviewers: Robin Reviewer."):
        assert part in lines[0][1]
    assert len(ollang.requests("GET", "*/review/info")) == 2


#: What the endpoint does where it does not answer.
SILENT: dict[str, dict[str, Any]] = {
    "404": {"status": 404, "body": {"message": "Cannot GET /integration/orders/x/review/info"}},
    "403": {"status": 403, "body": {"error": "Access denied"}},
    "401": {"status": 401, "body": {"error": "Unauthorized"}},
    "429": {"status": 429, "body": {"message": "Slow down"}},
    "500": {"status": 500},
    "no response": {"drop": "before"},
    "no JSON": {"status": 200, "body": "<html>"},
    "a list": {"status": 200, "body": []},
}


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
@pytest.mark.parametrize("fault", SILENT.values(), ids=SILENT)
def test_silent_endpoint_is_one_line_for_debugging(
    ollang: Sandbox, run_dag: RunDag, at_once: None, lines: list[Any], mode: str, fault: dict[str, Any]
) -> None:
    ollang.add_fault("GET", "*/review/info", times=None, **fault)
    play(ollang, run_dag, mode, enters=HOUR, leaves=10 * HOUR)
    assert [level for level, _ in lines] == ["debug"]
    assert len(ollang.requests("GET", "*/review/info")) == 1
