"""What a 429 does to all waits on one connection in the triggerer: it throttles them, until one poll tells better."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airflow_provider_ollang.client.aio import OllangAsyncClient
from airflow_provider_ollang.exceptions import OllangRateLimitError, OllangUnavailableError
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox

from .conftest import ORDER, Clock
from .readers import refused, run, until

YEAR_9999 = {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}
BEYOND_THE_CAP = 301


async def poll(reader: OllangAsyncClient) -> str:
    try:
        await reader.get_order(ORDER)
    except OllangRateLimitError:
        return "throttled"
    except OllangUnavailableError:
        return "failed"
    return "polled"


@pytest.mark.parametrize("headers", [YEAR_9999, {"Retry-After": "99999999999"}, {"Retry-After": "7200"}], ids=str)
def test_absurd_retry_after_throttles_for_5_minutes(
    ollang: Sandbox, hook: OllangHook, clock: Clock, headers: dict[str, str]
) -> None:
    async def main() -> None:
        async with hook.async_client() as reader:
            ollang.add_fault(status=429, headers=headers)
            assert await poll(reader) == "throttled"
            clock.sleep(290)
            assert await refused(reader) == pytest.approx(10, abs=1)
            assert len(ollang.request_log) == 1
            clock.sleep(BEYOND_THE_CAP - 290)
            assert await poll(reader) == "polled"

    run(main())


@pytest.mark.parametrize(
    ("fault", "rest"),
    [({"status": 429, "headers": YEAR_9999}, "throttled"), ({"status": 503}, "polled"), ({}, "polled")],
    ids=["still limited", "failed", "fine"],
)
def test_one_probe_decides_for_all_after_a_throttle(
    ollang: Sandbox, hook: OllangHook, clock: Clock, fault: dict[str, Any], rest: str
) -> None:
    """Thousands that are throttled together must not all ask whether they still are."""

    async def main() -> list[str]:
        async with hook.async_client() as reader:
            ollang.add_fault(status=429, headers=YEAR_9999)
            await poll(reader)
            clock.sleep(BEYOND_THE_CAP)
            ollang.add_fault(delay=0.2, **fault)
            return await asyncio.gather(*(poll(reader) for _ in range(20)))

    ends = run(main())
    assert ends[1:] == [rest] * 19
    assert len(ollang.request_log) == (2 if rest == "throttled" else 21)


def test_cancelled_probe_does_not_hold_up_the_next(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    async def main() -> None:
        async with hook.async_client() as reader:
            ollang.add_fault(status=429, headers=YEAR_9999)
            await poll(reader)
            clock.sleep(BEYOND_THE_CAP)
            ollang.add_fault(delay=3.0)
            probe = asyncio.create_task(poll(reader))
            await until(lambda: len(ollang.request_log) == 2)
            probe.cancel()
            assert await poll(reader) == "polled"

    run(main())


def test_poll_that_must_be_sent_is_sent_while_throttled(ollang: Sandbox, hook: OllangHook) -> None:
    async def main() -> None:
        async with hook.async_client() as reader:
            ollang.add_fault(status=429, headers={"Retry-After": "60"})
            await poll(reader)
            assert await poll(reader) == "throttled"
            assert (await reader.get_order(ORDER, ignore_throttle=True))["id"] == ORDER
            assert await poll(reader) == "throttled"

    run(main())
    assert [entry.status for entry in ollang.request_log] == [429, 200]
