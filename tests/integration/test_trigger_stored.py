"""What Airflow stores of a trigger, and what becomes of it when it is read back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from airflow.models.trigger import Trigger

from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.freshness import Rerun
from airflow_provider_ollang.domain.goals import StatusGoal
from airflow_provider_ollang.domain.polling import PollConfig, PollState
from airflow_provider_ollang.domain.result_goals import RerunGoal, goal_from_json
from airflow_provider_ollang.exceptions import (
    error_from_json,
)
from airflow_provider_ollang.runtime.wait import read_event
from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger
from tests.installed_airflow import deserialize, serialize, smart_decode_trigger_kwargs
from tests.integration.triggers import (
    KEY,
    ORDER,
    config,
    event_of,
    events_of,
    trigger,
)

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("trigger_v*.json"))
NAMES = ["ollang_conn_id", "order_id", "config", "goal", "deadline", "state", "not_before", "pause"]


def stored_trigger() -> OllangOrderStatusTrigger:
    """Make the trigger that the fixture was written from, with every kind of argument."""
    order = {
        "id": ORDER,
        "status": "completed",
        "level": 1,
        "deliveryEvents": [{"type": "order_delivered", "occurredAt": "2024-01-16T14:20:00Z"}],
        "orderDocs": [
            {
                "id": "doc_1",
                "type": "vtt",
                "size": 10,
                "updatedAt": "2024-01-16T14:20:00Z",
                "url": "https://a/?Signature=s",
            }
        ],
        "latestEvaluation": {"id": "evaluation_1", "createdAt": "2024-01-16T14:25:00Z"},
    }
    return trigger(
        config=config(exponential_backoff=True, max_interval=600.0, ignore_poll_failures=True),
        goal=RerunGoal(
            rerun=Rerun(Baseline.from_order(order), "2024-01-17T00:00:00+00:00", seen_running=True),
            on_no_evidence="accept",
        ).to_json(),
        state=PollState(
            last_status="ongoing",
            seen_running=True,
            warned_at={"review": 1705400000.0},
            unknown_statuses=["pondering"],
            poll_count=3,
            consecutive_failures=1,
            denied_since=1705400001.0,
            unverified_since=1705400002.0,
            verified_since=1705400003.0,
        ).to_json(),
        not_before=1705400004.0,
        pause=30.0,
    )


def test_trigger_is_stored_as_the_newest_fixture() -> None:
    """What a newer version stores may change on purpose only: triggerers of both may run for a while."""
    path, arguments = stored_trigger().serialize()
    assert {"classpath": path, "kwargs": arguments} == json.loads(FIXTURES[-1].read_text())


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.stem)
def test_stored_trigger_runs(ollang: Sandbox, at_once: None, fixture: Path) -> None:
    stored = json.loads(fixture.read_text())
    delivered = {"type": "order_delivered", "occurredAt": "2024-01-16T14:20:00Z"}
    ollang.change_order(ORDER, orderDocs=[{"id": "doc_2", "type": "vtt", "name": "New"}], deliveryEvents=[delivered])
    event = event_of(resolve_name(stored["classpath"])(**stored["kwargs"]))
    assert event["error"] is None
    assert [output["id"] for output in event["result"]["outputs"]] == ["doc_2"]
    assert "documents" in event["result"]["evidence"]
    assert event["state"]["unknown_statuses"] == ["pondering"]


def test_stored_arguments_are_json_without_a_secret(live: Sandbox) -> None:
    stored = stored_trigger()
    path, arguments = stored.serialize()
    text = json.dumps(arguments, allow_nan=False)
    assert json.loads(text) == arguments
    for secret in (KEY, live.url, "Signature", "https://"):
        assert secret not in text
        assert secret not in repr(stored)
    assert resolve_name(path) is OllangOrderStatusTrigger


def through_serde(arguments: dict[str, Any]) -> Any:
    """What the task's process does when it defers."""
    return deserialize(json.loads(json.dumps(serialize(arguments))))


def through_the_database(arguments: dict[str, Any]) -> Any:
    """What the triggerer gets: encrypted in Airflow's table, and decoded as its runner does."""
    row = Trigger(classpath="x", kwargs=through_serde(arguments))
    stored = Trigger._decrypt_kwargs(row.encrypted_kwargs)
    return {
        name: smart_decode_trigger_kwargs(value)  # type: ignore[no-untyped-call]
        for name, value in stored.items()
    }


@pytest.mark.parametrize("way", [through_serde, through_the_database])
def test_trigger_survives_airflows_serialization(way: Callable[[dict[str, Any]], Any]) -> None:
    stored = stored_trigger()
    path, arguments = stored.serialize()
    again = OllangOrderStatusTrigger(**way(arguments))
    assert again.serialize() == (path, arguments)
    assert read(again) == read(stored)


def read(stored: OllangOrderStatusTrigger) -> Any:
    assert stored.config is not None
    assert stored.goal is not None
    assert stored.state is not None
    return PollConfig.from_json(stored.config), goal_from_json(stored.goal), PollState.from_json(stored.state)


NONSENSE: list[Any] = [float("nan"), 10**400, {"order_id": None}]


@pytest.mark.parametrize("value", NONSENSE, ids=["nan", "huge", "mapping"])
@pytest.mark.parametrize("name", NAMES)
def test_nonsense_as_an_argument_ends_in_an_event(ollang: Sandbox, at_once: None, name: str, value: Any) -> None:
    """An error of a constructor takes the triggerer down, and every other wait with it."""
    ollang.add_fault("GET", times=None, status=404, body={"code": "ORDER_NOT_FOUND"})
    nonsense = trigger(**{name: value})
    assert nonsense.serialize()[1][name] is value
    (event,) = asyncio.run(events_of(nonsense))
    assert event["result"] is None
    assert str(error_from_json(event["error"]))
    # The sensor must be able to read what it gets.
    assert isinstance(read_event(event)[1], PollState | None)


def test_unknown_arguments_are_ignored(ollang: Sandbox) -> None:
    first = trigger(a_later_argument={"x": 1}, task_id="x", config={**config(), "a_later_field": 1})
    second = trigger(state={**PollState().to_json(), "later": 1}, goal={**StatusGoal().to_json(), "later": 1})
    for each in (first, second):
        assert event_of(each)["result"]["order_id"] == ORDER
    assert set(first.serialize()[1]) == set(NAMES)


def test_running_trigger_is_stored_as_before(ollang: Sandbox, at_once: None) -> None:
    """Airflow may store it again while it runs, and an earlier fingerprint must still fit."""
    ollang.change_order(ORDER, status="pondering")
    ollang.change_order(ORDER, status="completed", after=90)
    running = trigger()
    before = json.dumps(running.serialize())
    assert event_of(running)["state"]["unknown_statuses"] == ["pondering"]
    assert json.dumps(running.serialize()) == before
