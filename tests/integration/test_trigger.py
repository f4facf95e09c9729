"""How a wait in the triggerer ends, besides what ``test_modes.py`` plays in every mode."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_ollang import _clock
from airflow_provider_ollang.domain.goals import StatusGoal
from airflow_provider_ollang.domain.polling import Poller
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangTimeoutError,
    OllangUnavailableError,
)
from airflow_provider_ollang.sandbox import Sandbox
from tests.integration.leaks import nothing_left_open
from tests.integration.triggers import (
    KEY,
    ORDER,
    config,
    error_of,
    event_of,
    events_of,
    trigger,
)


@pytest.mark.parametrize(
    "changes",
    [
        {"order_id": "None"},
        {"goal": {**StatusGoal().to_json(), "rerun": {"baseline": {}}}},
        {"goal": {name: value for name, value in StatusGoal().to_json().items() if name != "target_statuses"}},
    ],
    ids=["order id", "baseline", "no target"],
)
def test_bad_argument_is_refused_before_the_first_poll(ollang: Sandbox, changes: dict[str, Any]) -> None:
    assert type(error_of(trigger(**changes))) is OllangConfigurationError
    assert ollang.request_log == []


@pytest.mark.parametrize(
    "order_id",
    [
        "https://files.example/canary-path/a.vtt?Signature=canary-signature",
        {"id": "https://files.example/canary-path/a.vtt?Signature=canary-signature"},
        "canary?X-Amz-Signature=canary-signature",
    ],
    ids=["text", "mapping", "no scheme"],
)
def test_signed_url_as_order_id_is_in_no_event_and_no_log(
    ollang: Sandbox, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, order_id: Any
) -> None:
    event = event_of(trigger(order_id=order_id))
    assert event["error"]["class"] == "OllangConfigurationError"
    # A config that cannot be read ends in another way, which is logged.
    event_of(trigger(order_id=order_id, config=[1]))
    assert "canary" not in f"{event} {capfd.readouterr()} {caplog.text}"
    assert ollang.request_log == []


def test_missing_connection_is_a_configuration_error(ollang: Sandbox) -> None:
    error = error_of(trigger(ollang_conn_id="not_there"))
    assert type(error) is OllangConfigurationError
    assert "'not_there'" in str(error)


def test_bug_in_the_provider_is_a_transient_error(ollang: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> None:
        raise KeyError("some bug")

    monkeypatch.setattr(Poller, "on_order", bug)
    error = error_of(trigger())
    assert type(error) is OllangUnavailableError
    assert "KeyError" in str(error)


def test_bug_in_a_library_does_not_show_the_key(live: Sandbox, at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event goes to Airflow's database and its user interface, and nothing masks it on the way."""

    async def bug(*_: object, **__: object) -> None:
        raise RuntimeError(f"while sending {{'X-Api-Key': '{KEY}'}}")

    monkeypatch.setattr("aiohttp.ClientSession._request", bug)
    event = event_of(trigger())
    assert "RuntimeError" in event["error"]["message"]
    assert KEY not in json.dumps(event)


def test_deadline_in_the_past_ends_the_wait_after_one_poll(ollang: Sandbox) -> None:
    started = ollang.now
    ollang.change_order(ORDER, status="ongoing")
    error = error_of(trigger(deadline=ollang.now.timestamp() - 10 * 86400))
    assert type(error) is OllangTimeoutError
    assert "'ongoing'" in str(error)
    assert (len(ollang.request_log), ollang.now) == (1, started)


@pytest.mark.parametrize("behind", [None, 100, 10_000])
def test_wait_that_begins_in_the_triggerer_has_a_deadline(ollang: Sandbox, behind: float | None) -> None:
    started = ollang.now
    ollang.change_order(ORDER, status="ongoing")
    wait = trigger(deadline=None, state=None, config=config(timeout=600))
    if behind is not None:
        wait.timeout_after = started + timedelta(seconds=behind + 120)  # type: ignore[attr-defined]
    assert type(error_of(wait)) is OllangTimeoutError
    assert (ollang.now - started).total_seconds() == pytest.approx(100 if behind == 100 else 600, abs=0.1)


def test_first_poll_is_not_made_before_not_before(ollang: Sandbox) -> None:
    started = ollang.now
    event_of(trigger(not_before=started.timestamp() + 100))
    assert 99.9 <= (ollang.now - started).total_seconds() <= 160.1
    assert len(ollang.request_log) == 1


def test_first_polls_are_spread_over_one_interval(ollang: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def asleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(_clock, "asleep", asleep)
    for _ in range(60):
        asyncio.run(events_of(trigger()))
    assert 0 <= min(pauses) < 20
    assert 40 < max(pauses) <= 60


# --- A key that changes -------------------------------------------------------------------------------------------


def rotate(monkeypatch: pytest.MonkeyPatch, ollang: Sandbox, key: str) -> None:
    ollang.api_key = key
    monkeypatch.setenv("AIRFLOW_CONN_OLLANG_DEFAULT", ollang.connection_json)


def test_rotated_key_is_read_again(ollang: Sandbox, at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="completed", after=150)
    pauses: list[float] = []

    async def asleep(seconds: float) -> None:
        pauses.append(seconds)
        ollang.advance(seconds)
        if len(pauses) == 3:
            rotate(monkeypatch, ollang, "the-new-key")

    monkeypatch.setattr(_clock, "asleep", asleep)
    with nothing_left_open():
        assert event_of(trigger())["result"]["status"] == "completed"
    assert [entry.status for entry in ollang.request_log] == [200, 200, 401, 200, 200]
    # The poll with the new key is at once.
    assert pauses == [0, 60, 60, 0, 60]


def test_key_that_is_wrong_at_the_start_ends_the_wait(ollang: Sandbox) -> None:
    ollang.api_key = "another"
    assert error_of(trigger()).status_code == 401
    assert len(ollang.request_log) == 1


def test_deleted_connection_ends_the_wait(ollang: Sandbox, at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ollang.change_order(ORDER, status="ongoing")
    pauses: list[float] = []

    async def asleep(seconds: float) -> None:
        pauses.append(seconds)
        ollang.advance(seconds)
        if len(pauses) == 2:
            ollang.api_key = "another"
            monkeypatch.delenv("AIRFLOW_CONN_OLLANG_DEFAULT")

    monkeypatch.setattr(_clock, "asleep", asleep)
    assert type(error_of(trigger())) is OllangConfigurationError
