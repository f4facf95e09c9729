"""Triggers as a worker makes them, and what they end in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ollang.domain.goals import StatusGoal
from airflow_provider_ollang.domain.polling import PollConfig, PollState
from airflow_provider_ollang.exceptions import (
    OllangError,
    error_from_json,
)
from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger
from tests.installed_airflow import deserialize, serialize

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
KEY = "canary-7f3a-api-key"
YEAR_2100 = 4102444800.0
#: A test that hangs must not hang for ever.
LONGEST = 20


def config(**changes: Any) -> dict[str, Any]:
    return PollConfig(order_id=ORDER, **changes).to_json()


def trigger(**changes: Any) -> OllangOrderStatusTrigger:
    usual: dict[str, Any] = {
        "ollang_conn_id": "ollang_default",
        "order_id": ORDER,
        "config": config(),
        "goal": StatusGoal().to_json(),
        "deadline": YEAR_2100,
        "state": PollState().to_json(),
    }
    return OllangOrderStatusTrigger(**{**usual, **changes})


def collected_triggers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Return a list that gets each trigger that a task defers with, as it is stored."""
    stored: list[tuple[str, dict[str, Any]]] = []
    serialize_trigger = OllangOrderStatusTrigger.serialize

    def noted(self: OllangOrderStatusTrigger) -> tuple[str, dict[str, Any]]:
        stored.append(serialize_trigger(self))
        return stored[-1]

    monkeypatch.setattr(OllangOrderStatusTrigger, "serialize", noted)
    return stored


async def events_of(one: OllangOrderStatusTrigger) -> list[dict[str, Any]]:
    async with asyncio.timeout(LONGEST):
        return [event.payload async for event in one.run()]


def event_of(one: OllangOrderStatusTrigger) -> dict[str, Any]:
    """Run it to its end, which is one event, and plain JSON."""
    (event,) = asyncio.run(events_of(one))
    assert set(event) == {"result", "error", "state", "waited"}
    assert (event["result"] is None) != (event["error"] is None)
    assert json.loads(json.dumps(event)) == event
    assert deserialize(json.loads(json.dumps(serialize(event)))) == event
    return event


def error_of(one: OllangOrderStatusTrigger) -> OllangError:
    error = event_of(one)["error"]
    assert error is not None
    return error_from_json(error)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LONGEST):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another thread
            await asyncio.sleep(0.005)
