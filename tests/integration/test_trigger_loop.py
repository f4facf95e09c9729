"""Waits share the triggerer's event loop: nothing blocks it, and what is cancelled leaves nothing behind."""

from __future__ import annotations

import asyncio
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from itertools import pairwise
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


@pytest.mark.parametrize("stage", ["before the first poll", "in flight", "between polls", "paused by a 429"])
def test_cancelled_wait_sends_nothing_more(live: Sandbox, monkeypatch: pytest.MonkeyPatch, stage: str) -> None:
    live.change_order(ORDER, status="ongoing")
    sleeping: list[float] = []
    faults = {"in flight": {"delay": 3.0}, "paused by a 429": {"status": 429, "headers": {"Retry-After": "60"}}}
    if stage in faults:
        live.add_fault(times=None, **faults[stage])  # type: ignore[arg-type]
    sleeps = {"before the first poll": 1, "in flight": 1, "between polls": 2, "paused by a 429": 2}[stage]

    async def asleep(seconds: float) -> None:
        sleeping.append(seconds)
        # The first three are those before each wait's first poll.
        if stage == "before the first poll" or len(sleeping) > 3:
            await asyncio.Event().wait()

    monkeypatch.setattr(_clock, "asleep", asleep)
    problems: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        tasks = [asyncio.create_task(events_of(trigger())) for _ in range(3)]
        await until(lambda: len(sleeping) == 3 * sleeps and (stage != "in flight" or len(live.request_log) == 3))
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


def test_closed_generator_closes_its_connection(live: Sandbox, at_once: None) -> None:
    """A triggerer that has its event closes the generator instead of exhausting it."""

    async def main() -> None:
        events: Any = trigger().run()
        assert (await anext(events)).payload["error"] is None
        await events.aclose()

    with nothing_left_open():
        asyncio.run(main())


# --- Nothing blocks the loop --------------------------------------------------------------------------------------


def test_connection_is_read_without_blocking(ollang: Sandbox, at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def trap(*_: object, **__: object) -> None:
        raise AssertionError("the triggerer would wait for itself")

    monkeypatch.setattr(BaseHook, "get_connection", classmethod(trap))
    monkeypatch.setattr(BaseHook, "get_hook", classmethod(trap))
    monkeypatch.setattr(OllangHook, "get_connection", classmethod(trap))
    monkeypatch.setattr(Connection, "get", classmethod(trap))
    if hasattr(Connection, "aget_uri"):  # before Airflow 3.3 its own asynchronous getter uses these
        monkeypatch.setattr(Connection, "get_uri", trap)
        monkeypatch.setattr(Connection, "extra_dejson", property(trap))
    ollang.add_fault(status=401, body={"code": "UNAUTHORIZED"}, skip=1)
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="completed", after=150)
    assert event_of(trigger())["result"]["status"] == "completed"


@pytest.fixture
def blocking_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note what blocks in a thread that runs an event loop."""
    calls: list[str] = []

    def in_loop() -> bool:
        here = threading.current_thread() is threading.main_thread()
        return here and asyncio._get_running_loop() is not None

    def watch(owner: Any, name: str, blocks: Callable[..., bool]) -> None:
        original = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            if in_loop() and blocks(*args):
                calls.append(f"{owner.__name__}.{name}")
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
    return calls


def test_watch_notes_blocking_calls(live: Sandbox, blocking_calls: list[str]) -> None:
    async def main() -> None:
        hook = OllangHook()
        hook.get_order(ORDER)
        hook.close()
        _clock.sleep(0)

    asyncio.run(main())
    assert {"socket.getaddrinfo", "time.sleep"} <= set(blocking_calls)
    assert {"socket.connect", "socket.recv_into"} & set(blocking_calls)


class Selector(selectors.DefaultSelector):
    """Note, at each turn of an event loop, how many polls there have been."""

    def __init__(self, polls: list[float]) -> None:
        super().__init__()
        self.polls = polls
        self.counts = [0]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.counts.append(len(self.polls))
        return super().select(timeout)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_polls_do_not_block_the_loop(
    monkeypatch: pytest.MonkeyPatch, at_once: None, blocking_calls: list[str], *, tls: bool
) -> None:
    """Two hundred waits poll several times; the loop turns between the request and the response of each poll."""
    polls: list[float] = []
    begun: set[asyncio.Task[Any] | None] = set()

    async def asleep(seconds: float) -> None:
        # The first pause of each wait is before its first poll.
        if asyncio.current_task() in begun:
            polls.append(seconds)
        begun.add(asyncio.current_task())
        await asyncio.sleep(0.01)

    monkeypatch.setattr(_clock, "asleep", asleep)

    async def main(ollang: Sandbox) -> None:
        waits = [asyncio.create_task(events_of(trigger())) for _ in range(200)]
        await until(lambda: len(polls) >= 400)
        ollang.change_order(ORDER, status="completed")
        ends = await asyncio.gather(*waits)
        assert [len(events) for events in ends] == [1] * 200
        assert all(events[0]["result"] for events in ends)

    selector = Selector(polls)
    with Sandbox(api_key=KEY, speed=0, tls=tls) as ollang:
        ollang.change_order(ORDER, status="ongoing")
        monkeypatch.setenv("AIRFLOW_CONN_OLLANG_DEFAULT", ollang.connection_json)
        with (
            nothing_left_open(),
            asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner,
        ):
            runner.run(main(ollang))
        connections = len({entry.connection for entry in ollang.request_log})
    # Polls that end in one turn had a connection each; one that blocks the loop shares its turn with all others.
    assert max(after - before for before, after in pairwise(selector.counts)) <= connections <= 100
    assert blocking_calls == []
