"""Readers of one connection share one session, which closes with the last of them."""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import Any

import aiohttp
import pytest

from airflow_provider_ollang.client import aio
from airflow_provider_ollang.exceptions import (
    OllangError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox
from tests.integration.hook.readers import look, run, until
from tests.integration.leaks import nothing_left_open

from .conftest import KEY, ORDER, Connect
from .servers import Peer, RawServer, http

BODY = f'{{"id": "{ORDER}", "status": "completed"}}'.encode()


def test_readers_share_one_pool(ollang: Sandbox, hook: OllangHook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aio, "_POOL_SIZE", 4)
    ollang.add_fault(times=None, delay=0.01)

    async def main() -> None:
        async def reader() -> None:
            async with OllangHook(hook.ollang_conn_id).async_client() as one:
                await ready.wait()
                for _ in range(3):
                    await one.get_order(ORDER)

        ready = asyncio.Barrier(30)
        await asyncio.gather(*(reader() for _ in range(30)))

    with nothing_left_open():
        run(main())
    assert [entry.status for entry in ollang.request_log] == [200] * 90
    assert len({entry.connection for entry in ollang.request_log}) <= 4


def test_pool_is_of_a_hundred(ollang: Sandbox, hook: OllangHook) -> None:
    ollang.add_fault(times=None, delay=0.05)

    async def main() -> None:
        async with hook.async_client() as reader:
            await asyncio.gather(*(reader.get_order(ORDER) for _ in range(250)))

    run(main())
    assert len(ollang.request_log) == 250
    assert 10 < len({entry.connection for entry in ollang.request_log}) <= 100


def test_connection_lives_as_long_as_somebody_uses_it(ollang: Sandbox, hook: OllangHook) -> None:
    async def main() -> None:
        async with hook.async_client() as first:
            await first.get_order(ORDER)
            await look(hook)
            await first.get_order(ORDER)
        await look(hook)

    with nothing_left_open():
        run(main())
    assert [entry.connection for entry in ollang.request_log] == [1, 1, 1, 2]


def test_last_one_to_leave_hangs_up(connect: Connect) -> None:
    ended = threading.Event()

    def script(peer: Peer, request: bytes) -> None:
        peer.send(http("200 OK", BODY))
        if peer.hung_up(5):
            ended.set()

    async def main() -> None:
        async with hook.async_client() as reader:
            async with hook.async_client() as other:
                await other.get_order(ORDER)
            assert not ended.is_set()
            del reader
        await until(ended.is_set)

    with RawServer(script) as server:
        hook = connect(server.url)
        run(main())
        assert server.connections == 1


def test_waiting_for_a_connection_takes_none_of_the_time(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aio, "_POOL_SIZE", 1)

    def script(peer: Peer, request: bytes) -> None:
        if not peer.hung_up(0.4):
            peer.send(http("200 OK", BODY))

    async def main() -> None:
        async with hook.async_client() as reader:
            await asyncio.gather(*(reader.get_order(ORDER) for _ in range(4)))

    with RawServer(script) as server:
        hook = connect(server.url, timeout=1)
        run(main())
        assert (server.connections, len(server.requests)) == (1, 4)


def test_second_answer_has_its_whole_time(connect: Connect) -> None:
    """The clock of a kept-alive connection begins anew with each request."""

    def script(peer: Peer, request: bytes) -> None:
        if not peer.hung_up(0.6):
            peer.send(http("200 OK", BODY))

    async def main() -> None:
        async with hook.async_client() as reader:
            await reader.get_order(ORDER)
            await reader.get_order(ORDER)

    with RawServer(script) as server:
        hook = connect(server.url, timeout=1)
        run(main())
        assert (server.connections, len(server.requests)) == (1, 2)


@pytest.mark.parametrize("fault", [{"drop": "before"}, {"drop": "after"}])
def test_one_poll_is_one_request(ollang: Sandbox, hook: OllangHook, fault: dict[str, Any]) -> None:
    """The wait is the retry: a library's own would double the load of an outage, and the time of a look."""

    async def main() -> None:
        async with hook.async_client() as reader:
            await reader.get_order(ORDER)
            ollang.add_fault(**fault)
            with pytest.raises(OllangUnavailableError):
                await reader.get_order(ORDER)
            assert (await reader.get_order(ORDER))["id"] == ORDER

    run(main())
    assert [entry.status for entry in ollang.request_log] == [200, None, 200]


def test_certificates_are_not_read_again_for_each_wait(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle of all the world's authorities takes longer to parse than a poll, and the loop stands still."""
    read: list[object] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(self: ssl.SSLContext, *args: Any, **kwargs: Any) -> None:
        read.append(args or kwargs)
        load(self, *args, **kwargs)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)

    async def main() -> None:
        async with hook.async_client() as reader:
            await asyncio.gather(*(look(hook) for _ in range(30)))
            for _ in range(5):
                assert not await hook.key_changed(reader)

    with Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        hook = connect(ollang.url, ca_bundle=ollang.ca_bundle)
        run(main())
        assert len(ollang.request_log) == 30
    assert len(read) <= 3


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("stage", ["in flight", "queued", "idle", "before the first request"])
def test_cancelled_readers_leave_nothing_behind(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, stage: str, *, tls: bool
) -> None:
    if stage == "queued":
        monkeypatch.setattr(aio, "_POOL_SIZE", 1)
    said: list[dict[str, Any]] = []

    async def main(ollang: Sandbox) -> None:
        async def reader() -> None:
            async with hook.async_client() as one:
                if stage == "idle":
                    await one.get_order(ORDER)
                if stage in {"idle", "before the first request"}:
                    ready.append(True)
                    await asyncio.Event().wait()
                await one.get_order(ORDER)

        ready: list[bool] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
        tasks = [asyncio.create_task(reader()) for _ in range(5)]
        there = {"in flight": lambda: len(ollang.request_log) == 5, "queued": lambda: len(ollang.request_log) == 1}
        await until(there.get(stage, lambda: len(ready) == 5))
        sent = len(ollang.request_log)
        for task in tasks:
            task.cancel()
        assert [type(end) for end in await asyncio.gather(*tasks, return_exceptions=True)] == [
            asyncio.CancelledError
        ] * 5
        # The next one begins anew, with a session of its own.
        ollang.remove_faults()
        await look(hook)
        assert len(ollang.request_log) == sent + 1
        assert ollang.request_log[-1].connection == max(entry.connection for entry in ollang.request_log)

    with Sandbox(api_key=KEY, speed=0, tls=tls) as ollang:
        if stage in {"in flight", "queued"}:
            ollang.add_fault(times=None, delay=3.0)
        hook = connect(ollang.url, **({"ca_bundle": ollang.ca_bundle} if tls else {}))
        with nothing_left_open():
            run(main(ollang))
    assert said == []


def test_reader_cancelled_while_it_closes_leaves_nothing_behind(
    ollang: Sandbox, hook: OllangHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A triggerer that stops cancels twice."""
    close = aiohttp.ClientSession.close
    begun: list[bool] = []
    closed: list[bool] = []

    async def slowly(self: aiohttp.ClientSession) -> None:
        begun.append(True)
        await asyncio.sleep(0.02)
        await close(self)
        closed.append(True)

    monkeypatch.setattr(aiohttp.ClientSession, "close", slowly)

    async def main() -> None:
        task = asyncio.create_task(look(hook))
        await until(lambda: begun)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: closed)

    with nothing_left_open():
        run(main())


@pytest.mark.parametrize(
    "fault", [{"status": 404, "body": {}}, {"drop": "body"}, {"generate": "huge"}, {"delay": 3.0}], ids=str
)
def test_failed_readers_leave_nothing_behind(ollang: Sandbox, connect: Connect, fault: dict[str, Any]) -> None:
    ollang.add_fault(times=None, **fault)
    hook = connect(ollang.url, timeout=1)
    with nothing_left_open(), pytest.raises(OllangError):
        run(look(hook))
