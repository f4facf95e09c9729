"""
The sensor in poke, reschedule and deferrable mode: the same story ends the same way.

Compared are the final state, the number of tries, the XCom, the error's class and text, and what was logged.
"""

from __future__ import annotations

import random
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_provider_ollang.domain.polling import Poller
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from tests.installed_airflow import MISSING, TaskStateStoreAccessor
from tests.integration.conftest import Run
from tests.stories import (
    ENDS,
    FLAGS,
    RETRIED,
    STORIES,
    Stage,
    endless_outage,
    failing,
    never_done,
    short_outage,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.domain.polling import Decision
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag
    from tests.stories import Story

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
TIMEOUT = 1800
#: Few, for each is a process in reschedule mode; the rules themselves are in tests/unit/domain/test_polling_errors.py.
POLL_FAILURES = 4
MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
#: Without a store, reschedule mode remembers nothing from poll to poll, and cannot but differ.
COMPARED = [mode for mode in MODES if mode != "reschedule" or TaskStateStoreAccessor is not None]


class Act(Stage):
    """A story whose time is moved by the waits themselves."""

    patience = POLL_FAILURES
    asked_pause = 30

    def later(self, status: str) -> None:
        self.ollang.change_order(self.order_id, status=status, after=150)

    def in_the_last_second(self, status: str) -> None:
        self.ollang.change_order(self.order_id, status=status, after=TIMEOUT - 0.5)


RERUN_STORIES: dict[str, tuple[dict[str, Any], str]] = {
    "replaced": ({}, "success"),
    "status late": ({"status_hidden_for": 25}, "success"),
    "status never visible": ({"status_hidden_for": None}, "success"),
    "only seen running": ({"outputs": "unchanged", "delivery_events": "absent"}, "success"),
    "only events": ({"status_hidden_for": None, "outputs": "unchanged"}, "success"),
    "outputs late": ({"outputs_after": 60}, "success"),
    "outputs one by one": ({"output_interval": 40}, "success"),
    "no evidence": ({"status_hidden_for": None, "outputs": "unchanged", "delivery_events": "absent"}, "failed"),
    "fails": ({"end_status": "failed"}, "failed"),
    "never ends": ({"end_status": None}, "failed"),
}


class Records:
    """What waits logged at INFO and above, times masked."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, decision: Decision) -> None:
        self.lines += [masked(line.message % line.args) for line in decision.log if line.level != "debug"]


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> Records:
    """Record the log lines of every decision, on a worker or in a trigger."""
    records = Records()

    def recording(method: Any) -> Any:
        def record(self: Poller, *arguments: Any) -> Decision:
            decision: Decision = method(self, *arguments)
            records.add(decision)
            return decision

        return record

    monkeypatch.setattr(Poller, "on_order", recording(Poller.on_order))
    monkeypatch.setattr(Poller, "on_error", recording(Poller.on_error))
    # Spread over the triggerer's time, polls would come at other moments of a story than in the other modes.
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)
    return records


def masked(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.+Z]+|\bdoc_\w+|:\d{4,5}\b", "*", text)


def outcome(run: Run, records: Records) -> dict[str, Any]:
    error = run.errors.get("wait")
    result = run.results["wait"]
    return {
        "states": run.states,
        "tries": run.tries["wait"],
        "result": result and {**result, "outputs": [output["name"] for output in result["outputs"]]},
        "error": error and (type(error), masked(str(error))),
        "lines": sorted(records.lines),
    }


def dag_of(mode: str, *, rerun: bool = False, **arguments: Any) -> DAG:
    with DAG("modes", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001 - Airflow adds the zone
        source: dict[str, Any] = {"order_id": ORDER}
        if rerun:
            source = {"rerun": OllangRerunOperator(task_id="rerun", order_id=ORDER).output}
        OllangOrderStatusSensor(
            task_id="wait",
            **{
                "retries": 1,
                "retry_delay": 0,
                "timeout": TIMEOUT,
                "poke_interval": 600,
                "max_poll_failures": POLL_FAILURES,
                **source,
                **MODES[mode],
                **arguments,
            },
        )
    return dag


def compare(ends: dict[str, Any]) -> None:
    assert ends["deferrable"] == ends["poke"]
    if "reschedule" not in ends:
        pytest.skip(f"{MISSING}a memory from poll to poll in reschedule mode (Airflow 3.3)")
    assert ends["reschedule"] == ends["poke"]


#: A flag acts on the kind of the error: none that lasts, a permanent one, a timeout, a transient one.
CELLS = [
    pytest.param(story, flag, id=f"{name}-{flag}")
    for name, story in STORIES.items()
    for flag in FLAGS
    if flag == "plain" or story in (short_outage, failing, never_done, endless_outage)
]


@pytest.mark.parametrize(("story", "flag"), CELLS)
def test_story_ends_the_same_way_in_every_mode(
    ollang: Sandbox, run_dag: RunDag, records: Records, story: Story, flag: str
) -> None:
    ends = {}
    for mode in COMPARED:
        ollang.reset()
        ollang.remove_faults()
        records.lines.clear()
        story(Act(ollang, ORDER))
        ends[mode] = outcome(run_dag(dag_of(mode, **FLAGS[flag])), records)
    assert ends["poke"]["states"] == {"wait": ENDS[story][flag]}
    assert ends["poke"]["tries"] == (2 if (story, flag) in RETRIED else 1)
    compare(ends)


RERUN_CELLS = [
    pytest.param(options, end, flag, id=f"{name}-{flag}")
    for name, (options, end) in RERUN_STORIES.items()
    for flag in ("plain", "soft_fail")
    if flag == "plain" or name == "no evidence"
]


@pytest.mark.parametrize(("options", "end", "flag"), RERUN_CELLS)
def test_rerun_ends_the_same_way_in_every_mode(
    ollang: Sandbox, run_dag: RunDag, records: Records, options: dict[str, Any], end: str, flag: str
) -> None:
    ends = {}
    for mode in COMPARED:
        ollang.reset()
        records.lines.clear()
        ollang.change_order(ORDER, behaviour=options)
        dag = dag_of(mode, rerun=True, poke_interval=40, timeout=240, stale_timeout=150, **FLAGS[flag])
        ends[mode] = outcome(run_dag(dag), records)
    expected = "skipped" if end == "failed" and flag == "soft_fail" else end
    assert ends["poke"]["states"] == {"rerun": "success", "wait": expected}
    assert ends["poke"]["tries"] == 1
    if end == "success":
        result = ends["poke"]["result"]
        assert result["evidence"]
        assert (result["outputs"] == ["French Subtitles (run 2)"]) is (options.get("outputs") != "unchanged")
    compare(ends)
