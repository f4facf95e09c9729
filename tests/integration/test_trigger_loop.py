"""Waits share the triggerer's event loop: nothing blocks it, and what is cancelled leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import BaseHook, Connection

from airflow_provider_ollang import _clock
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox
from tests.integration.leaks import nothing_left_open
from tests.integration.triggers import (
    KEY,
    ORDER,
    event_of,
    events_of,
    trigger,
    until,
)

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
