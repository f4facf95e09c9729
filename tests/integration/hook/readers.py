"""Readers of the async client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from airflow_provider_ollang.client.aio import OllangAsyncClient
from airflow_provider_ollang.exceptions import OllangRateLimitError
from airflow_provider_ollang.hooks.ollang import OllangHook

from .conftest import ORDER

#: A test that hangs must not hang for ever.
LONGEST = 20


def run(main: Coroutine[Any, Any, Any], **options: Any) -> Any:
    async def in_time() -> Any:
        async with asyncio.timeout(LONGEST):
            return await main

    return asyncio.run(in_time(), **options)


async def look(hook: OllangHook) -> dict[str, Any]:
    async with hook.async_client() as reader:
        return await reader.get_order(ORDER)


async def refused(reader: OllangAsyncClient) -> float | None:
    with pytest.raises(OllangRateLimitError) as caught:
        await reader.get_order(ORDER)
    assert caught.value.status_code == 429
    return caught.value.retry_after


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for happens in another thread
        await asyncio.sleep(0.005)
