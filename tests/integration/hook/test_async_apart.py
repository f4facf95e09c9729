"""Readers that do not share a session, are throttled, or fail."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Awaitable

import aiohttp
import pytest
from yarl import URL

from airflow_provider_ollang.client import aio
from airflow_provider_ollang.exceptions import (
    OllangAuthenticationError,
    OllangError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox
from tests.integration.hook.readers import LONGEST, look, refused, run
from tests.integration.leaks import nothing_left_open

from .conftest import KEY, LINK_SIGNATURE, ORDER, PROXY_PASSWORD, Canaries, Clock, Connect
from .servers import Peer, RawServer, closed_port, http, stalls


def alias(monkeypatch: pytest.MonkeyPatch, conn_id: str, url: str, key: str = KEY) -> OllangHook:
    """Make another connection to the same server, or change one."""
    fields = {"conn_type": "ollang", "host": url, "password": key}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
    return OllangHook(conn_id)


def test_two_event_loops_do_not_share(ollang: Sandbox, hook: OllangHook) -> None:
    together = threading.Barrier(2, timeout=LONGEST)
    problems: list[BaseException] = []

    async def main() -> None:
        async with hook.async_client() as reader:
            for _ in range(3):
                # Blocks its own loop only, so that both are in the middle of it at once.
                together.wait()
                await reader.get_order(ORDER)
                together.wait()

    def thread() -> None:
        try:
            run(main())
        except BaseException as error:  # noqa: BLE001 - shown by the test
            together.abort()
            problems.append(error)

    threads = [threading.Thread(target=thread) for _ in range(2)]
    with nothing_left_open():
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert problems == []
    assert sorted(entry.connection for entry in ollang.request_log) == [1, 1, 1, 2, 2, 2]


def test_loops_one_after_another_do_not_share(ollang: Sandbox, hook: OllangHook) -> None:
    for _ in range(3):
        run(look(hook))
    assert [entry.connection for entry in ollang.request_log] == [1, 2, 3]


def test_changed_key_gets_another_session(ollang: Sandbox, hook: OllangHook, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with hook.async_client() as old:
            await old.get_order(ORDER)
            assert not await hook.key_changed(old)
            ollang.api_key = f"{KEY}-new"
            alias(monkeypatch, hook.ollang_conn_id, ollang.url, f"{KEY}-new")
            assert await hook.key_changed(old)
            async with hook.async_client() as new:
                await new.get_order(ORDER)
                with pytest.raises(OllangAuthenticationError):
                    await old.get_order(ORDER)
                assert not await hook.key_changed(new)

    with nothing_left_open():
        run(main())
    assert [(entry.connection, entry.status) for entry in ollang.request_log] == [(1, 200), (2, 200), (1, 401)]


def test_429_pauses_all_on_the_connection_and_nobody_else(
    ollang: Sandbox, hook: OllangHook, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        other = alias(monkeypatch, "ollang_other", ollang.url)
        async with (
            hook.async_client() as one,
            OllangHook(hook.ollang_conn_id).async_client() as two,
            other.async_client() as apart,
        ):
            await asyncio.gather(one.get_order(ORDER), two.get_order(ORDER))
            ollang.add_fault(status=429, headers={"Retry-After": "60"})
            assert await refused(one) == 60
            assert len(ollang.request_log) == 3
            for reader in (one, two):
                assert await refused(reader) == pytest.approx(60, abs=1)
            async with hook.async_client() as late:
                await refused(late)
            clock.sleep(55)
            assert await refused(two) == pytest.approx(5, abs=1)
            assert len(ollang.request_log) == 3
            await apart.get_order(ORDER)
            clock.sleep(6)
            await asyncio.gather(one.get_order(ORDER), two.get_order(ORDER))

    run(main())
    assert [entry.status for entry in ollang.request_log] == [200, 200, 429, 200, 200, 200]


def test_shorter_429_does_not_end_a_longer_one(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    async def main() -> None:
        async with hook.async_client() as reader:
            for seconds in ("60", "5"):
                ollang.add_fault(status=429, delay=0.1, headers={"Retry-After": seconds})
            ends = await asyncio.gather(refused(reader), refused(reader))
            assert sorted(ends) == [5, 60]  # type: ignore[type-var]
            clock.sleep(10)
            assert await refused(reader) == pytest.approx(50, abs=1)

    run(main())
    assert len(ollang.request_log) == 2


@pytest.mark.parametrize("asked", [None, "0", "-1", "soon"])
def test_429_that_asks_for_no_time_pauses_nobody(ollang: Sandbox, hook: OllangHook, asked: str | None) -> None:
    async def main() -> None:
        async with hook.async_client() as reader:
            ollang.add_fault(status=429, headers={} if asked is None else {"Retry-After": asked})
            await refused(reader)
            await reader.get_order(ORDER)

    run(main())
    assert len(ollang.request_log) == 2


def test_those_who_wait_for_a_connection_do_not_send_after_a_429(
    ollang: Sandbox, hook: OllangHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In flight are only the requests that had a connection when the answer came."""
    monkeypatch.setattr(aio, "_POOL_SIZE", 3)
    ollang.add_fault(times=None, status=429, delay=0.1, headers={"Retry-After": "60"})

    async def main() -> None:
        async with hook.async_client() as reader:
            await asyncio.gather(*(refused(reader) for _ in range(20)))

    run(main())
    assert len(ollang.request_log) == 3


def closes_in_the_head(peer: Peer, request: bytes) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nX-Echo: " + KEY.encode())
    peer.sock.close()


def echoes(peer: Peer, request: bytes) -> None:
    """Say everything that was sent, in an error."""
    peer.send(http("400 Bad", json.dumps({"message": request.decode("latin-1")}).encode()))


def test_key_is_shown_nowhere(connect: Connect, canaries: Canaries, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fixture looks through every log line of every library, and every error; here is what provokes them."""
    monkeypatch.setattr(aio, "CONNECT_TIMEOUT", 0.5)

    async def main(hooks: list[OllangHook]) -> None:
        loop = asyncio.get_running_loop()
        loop.slow_callback_duration = 0.0
        for hook in hooks:
            with pytest.raises(OllangError):
                await look(hook)
        # A task that is shown in the middle of a request.
        task = asyncio.create_task(look(hooks[0]))
        await asyncio.sleep(0)
        logging.getLogger("somebody").debug("%r %r", task, task.get_stack())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(lambda: None)

    with RawServer(closes_in_the_head) as cut, RawServer(echoes) as echo, RawServer(stalls(3)) as slow:
        nobody = f"127.0.0.1:{closed_port()}"
        hooks = [
            connect(slow.url, timeout=1),
            connect(cut.url),
            connect(echo.url),
            connect(f"http://{nobody}"),
            connect(echo.url.replace("http:", "https:")),
            connect(echo.url, proxy=f"http://user:{PROXY_PASSWORD}@{nobody}"),
            connect("https://ollang.example", proxy=echo.url.replace("//", f"//user:{PROXY_PASSWORD}@")),
        ]
        run(main(hooks), debug=True)
    assert any("asyncio" in text for text in canaries.texts)
    assert len(canaries.errors) >= len(hooks)


HEADERS = {"X-Api-Key": KEY, "Proxy-Authorization": PROXY_PASSWORD}


LIBRARY_ERRORS: list[Exception] = [
    aiohttp.ClientResponseError(
        aiohttp.RequestInfo(URL(f"https://a.example/?Signature={LINK_SIGNATURE}"), "GET", HEADERS, URL("https://a")),  # type: ignore[arg-type]
        (),
        message=str(HEADERS),
        headers=HEADERS,  # type: ignore[arg-type]
    ),
    aiohttp.InvalidURL(f"https://a.example/?Signature={LINK_SIGNATURE}", KEY),
    aiohttp.ClientPayloadError(KEY),
    aiohttp.ServerDisconnectedError(f"{HEADERS}".replace(PROXY_PASSWORD, "")),
    aiohttp.ClientConnectionError(f"while sending {KEY}"),
    aiohttp.ServerTimeoutError(KEY),
    OSError(5, f"Input/output error {KEY}"),
    ValueError(f"Newline or carriage return in headers: {KEY}"),
    TimeoutError(KEY),
]


@pytest.mark.parametrize("error", LIBRARY_ERRORS, ids=lambda one: type(one).__name__)
def test_errors_of_the_library_do_not_go_on(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def send(*_: object, **__: object) -> Awaitable[None]:
        raise error

    monkeypatch.setattr(aiohttp.ClientSession, "_request", send)
    hook = connect("https://ollang.example", proxy=f"http://user:{PROXY_PASSWORD}@proxy.example")
    with nothing_left_open(), pytest.raises(OllangUnavailableError) as caught:
        run(look(hook))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
