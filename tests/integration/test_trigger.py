"""The trigger by itself: what Airflow stores of it, how every wait ends, and that it never blocks the loop."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk import BaseHook, Connection
from airflow.serialization.serialized_objects import BaseSerialization

from airflow_provider_ollang import _clock
from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.freshness import Rerun
from airflow_provider_ollang.domain.goals import RerunGoal, StatusGoal, goal_from_json
from airflow_provider_ollang.domain.polling import PollConfig, Poller, PollState
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangOrderFailedError,
    OllangOrderNotFoundError,
    OllangTimeoutError,
    OllangUnavailableError,
    error_from_json,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.runtime.wait import read_event
from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger
from tests.installed_airflow import deserialize, serialize, smart_decode_trigger_kwargs

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
KEY = "canary-7f3a-api-key"
FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("trigger_v*.json"))
YEAR_2100 = 4102444800.0
NAMES = ["ollang_conn_id", "order_id", "config", "goal", "deadline", "state", "not_before", "pause"]
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


@contextmanager
def nothing_left_open() -> Iterator[None]:
    gc.collect()
    # What is there already need not be looked through again; it is Airflow for the most part.
    gc.freeze()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield
        gc.collect()
    assert [str(one.message) for one in found if issubclass(one.category, ResourceWarning)] == []


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the spread of the first look."""
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox, and the real clock."""
    with Sandbox(api_key=KEY, speed=0) as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_OLLANG_DEFAULT", sandbox.connection_json)
        yield sandbox


# --- What Airflow stores ------------------------------------------------------------------------------------------


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


def test_todays_trigger_is_the_stored_one() -> None:
    """What a newer version stores may change on purpose only: triggerers of both may run for a while."""
    path, arguments = stored_trigger().serialize()
    assert {"classpath": path, "kwargs": arguments} == json.loads(FIXTURES[-1].read_text())


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.stem)
def test_stored_trigger_runs(ollang: Sandbox, at_once: None, fixture: Path) -> None:
    stored = json.loads(fixture.read_text())
    ollang.change_order(ORDER, orderDocs=[{"id": "doc_2", "type": "vtt", "name": "New"}])
    event = event_of(resolve_name(stored["classpath"])(**stored["kwargs"]))
    assert event["error"] is None
    assert [output["id"] for output in event["result"]["outputs"]] == ["doc_2"]
    assert "documents" in event["result"]["evidence"]
    assert event["state"]["unknown_statuses"] == ["pondering"]


def test_arguments_are_plain_json_without_a_secret(live: Sandbox) -> None:
    one = stored_trigger()
    path, arguments = one.serialize()
    text = json.dumps(arguments, allow_nan=False)
    assert json.loads(text) == arguments
    for secret in (KEY, live.url, "Signature", "https://"):
        assert secret not in text
        assert secret not in repr(one)
    assert resolve_name(path) is OllangOrderStatusTrigger


def through_json(arguments: dict[str, Any]) -> Any:
    return json.loads(json.dumps(arguments))


def through_serde(arguments: dict[str, Any]) -> Any:
    """What the task's process does when it defers."""
    return deserialize(json.loads(json.dumps(serialize(arguments))))


def through_base_serialization(arguments: dict[str, Any]) -> Any:
    return BaseSerialization.deserialize(json.loads(json.dumps(BaseSerialization.serialize(arguments))))


def through_the_database(arguments: dict[str, Any]) -> Any:
    """What the triggerer gets: encrypted in Airflow's table, and decoded as its runner does."""
    row = Trigger(classpath="x", kwargs=through_serde(arguments))
    found = Trigger._decrypt_kwargs(row.encrypted_kwargs)
    return {
        name: smart_decode_trigger_kwargs(value)  # type: ignore[no-untyped-call]
        for name, value in found.items()
    }


@pytest.mark.parametrize("way", [through_json, through_serde, through_base_serialization, through_the_database])
def test_round_trip(way: Callable[[dict[str, Any]], Any]) -> None:
    one = stored_trigger()
    path, arguments = one.serialize()
    again = OllangOrderStatusTrigger(**way(arguments))
    assert again.serialize() == (path, arguments)
    assert read(again) == read(one)


def read(one: OllangOrderStatusTrigger) -> Any:
    assert one.config is not None
    assert one.goal is not None
    assert one.state is not None
    return PollConfig.from_json(one.config), goal_from_json(one.goal), PollState.from_json(one.state)


def test_row_of_a_trigger() -> None:
    one = stored_trigger()
    row = Trigger.from_object(one)
    assert (row.classpath, row.kwargs) == one.serialize()


NONSENSE: list[Any] = [
    None,
    "",
    "x",
    -1,
    float("nan"),
    float("inf"),
    10**400,
    [],
    {},
    {"order_id": None},
    object(),
    b"x",
]


@pytest.mark.parametrize("value", NONSENSE, ids=lambda one: repr(one)[:20])
@pytest.mark.parametrize("name", NAMES)
def test_nonsense_raises_nothing_and_ends_in_an_event(ollang: Sandbox, at_once: None, name: str, value: Any) -> None:
    """An error of a constructor takes the triggerer down, and every other wait with it."""
    ollang.add_fault("GET", times=None, status=404, body={"code": "ORDER_NOT_FOUND"})
    one = trigger(**{name: value})
    assert one.serialize()[1][name] is value
    (event,) = asyncio.run(events_of(one))
    assert event["result"] is None
    assert str(error_from_json(event["error"]))
    # The sensor must be able to read what it gets.
    assert isinstance(read_event(event)[1], PollState | None)


def test_unknown_arguments_are_ignored(ollang: Sandbox) -> None:
    one = trigger(a_later_argument={"x": 1}, task_id="x", config={**config(), "a_later_field": 1})
    later = trigger(state={**PollState().to_json(), "later": 1}, goal={**StatusGoal().to_json(), "later": 1})
    for each in (one, later):
        assert event_of(each)["result"]["order_id"] == ORDER
    names = set(NAMES)
    assert set(one.serialize()[1]) == names


def test_running_changes_nothing_of_what_is_stored(ollang: Sandbox, at_once: None) -> None:
    """Airflow may store it again while it runs, and an earlier fingerprint must still fit."""
    ollang.change_order(ORDER, status="pondering")
    ollang.change_order(ORDER, status="completed", after=90)
    one = trigger()
    before = json.dumps(one.serialize())
    assert event_of(one)["state"]["unknown_statuses"] == ["pondering"]
    assert json.dumps(one.serialize()) == before


# --- How it ends --------------------------------------------------------------------------------------------------


def test_done(ollang: Sandbox) -> None:
    event = event_of(trigger())
    assert event["result"]["order_id"] == ORDER
    assert event["state"]["last_status"] == "completed"
    assert "http" not in json.dumps(event)


def test_done_later(ollang: Sandbox, at_once: None) -> None:
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="delivered", after=150)
    assert event_of(trigger())["result"]["status"] == "delivered"
    assert len(ollang.request_log) == 4


def test_failure_status(ollang: Sandbox) -> None:
    ollang.change_order(ORDER, status="failed")
    error = error_of(trigger())
    assert type(error) is OllangOrderFailedError
    assert error.order_id == ORDER


def test_permanent_error(ollang: Sandbox) -> None:
    unknown = "60b8d6f1e1b9b1d8c6c0dead"
    error = error_of(trigger(order_id=unknown))
    assert type(error) is OllangOrderNotFoundError
    assert (error.status_code, error.code, error.order_id) == (404, "ORDER_NOT_FOUND", unknown)


@pytest.mark.parametrize("changes", [{"rerun": {}}, {"rerun": {"baseline": {}}}], ids=str)
def test_bad_goal(ollang: Sandbox, changes: dict[str, Any]) -> None:
    error = error_of(trigger(goal={**StatusGoal().to_json(), **changes}))
    assert type(error) is OllangConfigurationError
    assert ollang.request_log == []


@pytest.mark.parametrize("order_id", ["", None, "None", "{{ params.order }}", {}, True], ids=repr)
def test_bad_order_id(ollang: Sandbox, order_id: object) -> None:
    assert type(error_of(trigger(order_id=order_id))) is OllangConfigurationError
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


def test_goal_that_misses_something(ollang: Sandbox) -> None:
    without = {name: value for name, value in StatusGoal().to_json().items() if name != "target_statuses"}
    assert type(error_of(trigger(goal=without))) is OllangConfigurationError


def test_missing_connection(ollang: Sandbox) -> None:
    error = error_of(trigger(ollang_conn_id="not_there"))
    assert type(error) is OllangConfigurationError
    assert "'not_there'" in str(error)


def test_bug_of_ours_is_an_event_that_is_tried_again(ollang: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> None:
        raise KeyError("some bug")

    monkeypatch.setattr(Poller, "on_order", bug)
    error = error_of(trigger())
    assert type(error) is OllangUnavailableError
    assert "KeyError" in str(error)


def test_bug_of_a_library_does_not_show_the_key(live: Sandbox, at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event goes to Airflow's database and its user interface, and nothing masks it on the way."""

    async def bug(*_: object, **__: object) -> None:
        raise RuntimeError(f"while sending {{'X-Api-Key': '{KEY}'}}")

    monkeypatch.setattr("aiohttp.ClientSession._request", bug)
    event = event_of(trigger())
    assert "RuntimeError" in event["error"]["message"]
    assert KEY not in json.dumps(event)


def test_outage_ends_the_wait(ollang: Sandbox, at_once: None) -> None:
    ollang.add_fault(times=None, status=503)
    event = event_of(trigger())
    assert type(error_from_json(event["error"])) is OllangUnavailableError
    assert event["state"]["consecutive_failures"] == len(ollang.request_log) == 10


@pytest.mark.parametrize("late", [0.0, 1.0, 10 * 86400.0])
def test_deadline_in_the_past_ends_with_one_last_look(ollang: Sandbox, late: float) -> None:
    started = ollang.now
    ollang.change_order(ORDER, status="ongoing")
    error = error_of(trigger(deadline=ollang.now.timestamp() - late))
    assert type(error) is OllangTimeoutError
    assert "'ongoing'" in str(error)
    assert (len(ollang.request_log), ollang.now) == (1, started)


def test_last_look_may_find_it_done(ollang: Sandbox) -> None:
    assert event_of(trigger(deadline=0.0))["result"]["status"] == "completed"


def test_deadline_ends_the_wait_with_a_last_look(ollang: Sandbox, at_once: None) -> None:
    started = ollang.now
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="completed", after=149.5)
    assert event_of(trigger(deadline=started.timestamp() + 150))["result"]["status"] == "completed"
    assert (ollang.now - started).total_seconds() == pytest.approx(150, abs=0.01)


@pytest.mark.parametrize("behind", [None, 100, 10_000])
def test_deadline_of_a_wait_that_begins_in_the_triggerer(ollang: Sandbox, behind: float | None) -> None:
    started = ollang.now
    ollang.change_order(ORDER, status="ongoing")
    one = trigger(deadline=None, state=None, config=config(timeout=600))
    if behind is not None:
        one.timeout_after = started + timedelta(seconds=behind + 120)  # type: ignore[attr-defined]
    assert type(error_of(one)) is OllangTimeoutError
    assert (ollang.now - started).total_seconds() == pytest.approx(100 if behind == 100 else 600, abs=0.1)


def test_not_before(ollang: Sandbox) -> None:
    started = ollang.now
    event_of(trigger(not_before=started.timestamp() + 100))
    assert 99.9 <= (ollang.now - started).total_seconds() <= 160.1
    assert len(ollang.request_log) == 1


def test_first_looks_are_spread_over_one_interval(ollang: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_key_rotated_half_way(ollang: Sandbox, at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
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
    # The look with the new key is at once.
    assert pauses == [0, 60, 60, 0, 60]


def test_key_that_is_wrong_from_the_start(ollang: Sandbox) -> None:
    ollang.api_key = "another"
    assert error_of(trigger()).status_code == 401
    assert len(ollang.request_log) == 1


def test_connection_deleted_half_way(ollang: Sandbox, at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ollang.change_order(ORDER, status="ongoing")
    looks: list[float] = []

    async def asleep(seconds: float) -> None:
        looks.append(seconds)
        ollang.advance(seconds)
        if len(looks) == 2:
            ollang.api_key = "another"
            monkeypatch.delenv("AIRFLOW_CONN_OLLANG_DEFAULT")

    monkeypatch.setattr(_clock, "asleep", asleep)
    assert type(error_of(trigger())) is OllangConfigurationError


# --- Cancelled ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["before the first look", "in flight", "between looks", "paused by a 429"])
def test_cancelled_it_sends_nothing_more(live: Sandbox, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    live.change_order(ORDER, status="ongoing")
    sleeping: list[float] = []
    faults = {"in flight": {"delay": 3.0}, "paused by a 429": {"status": 429, "headers": {"Retry-After": "60"}}}
    if stage in faults:
        live.add_fault(times=None, **faults[stage])  # type: ignore[arg-type]
    wanted = {"before the first look": 1, "in flight": 1, "between looks": 2, "paused by a 429": 2}[stage]

    async def asleep(seconds: float) -> None:
        sleeping.append(seconds)
        # The first three are those before each one's first look.
        if stage == "before the first look" or len(sleeping) > 3:
            await asyncio.Event().wait()

    monkeypatch.setattr(_clock, "asleep", asleep)
    problems: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        tasks = [asyncio.create_task(events_of(trigger())) for _ in range(3)]
        await until(lambda: len(sleeping) == 3 * wanted and (stage != "in flight" or len(live.request_log) == 3))
        sent = len(live.request_log)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError] * 3
        await asyncio.sleep(0.05)
        assert len(live.request_log) == sent

    with nothing_left_open():
        asyncio.run(main())
    assert problems == []


def test_generator_that_is_closed_hangs_up(live: Sandbox, at_once: None) -> None:
    """A triggerer that has its event closes the generator instead of exhausting it."""

    async def main() -> None:
        events: Any = trigger().run()
        assert (await anext(events)).payload["error"] is None
        await events.aclose()

    with nothing_left_open():
        asyncio.run(main())


# --- Nothing blocks the loop --------------------------------------------------------------------------------------


def test_connection_is_read_by_the_asynchronous_helpers_only(
    ollang: Sandbox, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trap(*_: object, **__: object) -> None:
        raise AssertionError("the triggerer would wait for itself")

    monkeypatch.setattr(BaseHook, "get_connection", classmethod(trap))
    monkeypatch.setattr(BaseHook, "get_hook", classmethod(trap))
    monkeypatch.setattr(OllangHook, "get_connection", classmethod(trap))
    monkeypatch.setattr(Connection, "get", classmethod(trap))
    if hasattr(Connection, "aget_uri"):  # before Airflow 3.3 its own asynchronous look-up uses these
        monkeypatch.setattr(Connection, "get_uri", trap)
        monkeypatch.setattr(Connection, "extra_dejson", property(trap))
    ollang.add_fault(status=401, body={"code": "UNAUTHORIZED"}, skip=1)
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="completed", after=150)
    assert event_of(trigger())["result"]["status"] == "completed"


@pytest.fixture
def blocking_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note what blocks in a thread that runs an event loop."""
    found: list[str] = []

    def in_loop() -> bool:
        here = threading.current_thread() is threading.main_thread()
        return here and asyncio._get_running_loop() is not None

    def watch(owner: Any, name: str, blocks: Callable[..., bool]) -> None:
        original = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            if in_loop() and blocks(*args):
                found.append(f"{owner.__name__}.{name}")
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, watched)

    def is_blocking(sock: socket.socket, *_: object) -> bool:
        return sock.gettimeout() != 0

    for name in ("connect", "connect_ex", "recv", "recv_into", "send", "sendall", "accept"):
        watch(socket.socket, name, is_blocking)
    for name in ("do_handshake", "recv", "read", "send", "write"):
        watch(ssl.SSLSocket, name, is_blocking)
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        watch(socket, name, lambda *_: True)
    watch(time, "sleep", lambda *_: True)
    return found


def test_watch_on_the_loop_sees_what_blocks(live: Sandbox, blocking_calls: list[str]) -> None:
    async def main() -> None:
        hook = OllangHook()
        hook.get_order(ORDER)
        hook.close()
        _clock.sleep(0)

    asyncio.run(main())
    assert {"socket.getaddrinfo", "time.sleep"} <= set(blocking_calls)
    assert {"socket.connect", "socket.recv_into"} & set(blocking_calls)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_nothing_blocks_the_loop(
    monkeypatch: pytest.MonkeyPatch, at_once: None, blocking_calls: list[str], *, tls: bool
) -> None:
    """Two hundred waits, each of several looks, while a watchdog measures how late it is woken."""
    lags: list[float] = []
    looks: list[float] = []

    async def asleep(seconds: float) -> None:
        looks.append(seconds)
        await asyncio.sleep(0.01)

    monkeypatch.setattr(_clock, "asleep", asleep)

    async def watchdog() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            lags.append(time.monotonic() - before - 0.01)

    async def main(ollang: Sandbox) -> None:
        dog = asyncio.create_task(watchdog())
        waits = [asyncio.create_task(events_of(trigger())) for _ in range(200)]
        await until(lambda: len(looks) >= 600)
        ollang.change_order(ORDER, status="completed")
        ends = await asyncio.gather(*waits)
        dog.cancel()
        assert [len(events) for events in ends] == [1] * 200
        assert all(events[0]["result"] for events in ends)

    with Sandbox(api_key=KEY, speed=0, tls=tls) as ollang:
        ollang.change_order(ORDER, status="ongoing")
        monkeypatch.setenv("AIRFLOW_CONN_OLLANG_DEFAULT", ollang.connection_json)
        with nothing_left_open():
            asyncio.run(main(ollang))
        assert len({entry.connection for entry in ollang.request_log}) <= 100
    assert blocking_calls == []
    # The loop is busy, on a machine that is; a wait that blocks it stops it for as long as a look takes, 200 times.
    assert max(lags) < 2
    assert sorted(lags)[len(lags) // 2] < 0.5
