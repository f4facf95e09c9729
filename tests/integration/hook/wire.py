"""The three requests that a test sends over the wire: a GET of each client, and a paid request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airflow_provider_ollang.exceptions import OllangError
from airflow_provider_ollang.hooks.ollang import OllangHook

from .conftest import ORDER

BODY = f'{{"id": "{ORDER}", "status": "completed", "success": true}}'.encode()

REQUESTS = ("get", "async get", "rerun")
each_request = pytest.mark.parametrize("what", REQUESTS)


def send(hook: OllangHook, what: str = "get", order_id: object = ORDER) -> dict[str, Any]:
    """Send one request, in one attempt."""

    async def get() -> dict[str, Any]:
        async with hook.async_client() as client:
            return await client.get_order(order_id)

    if what == "async get":
        return asyncio.run(get())
    return hook.rerun_order(order_id) if what == "rerun" else hook.get_order(order_id, max_attempts=1)


def send_each(hook: OllangHook, order_id: object = ORDER) -> None:
    """Send one request of each kind."""
    for what in REQUESTS:
        send(hook, what, order_id)


def failing(hook: OllangHook, what: str = "get", order_id: object = ORDER) -> OllangError:
    """Return the error of a request, which shows no error of a library."""
    with pytest.raises(OllangError) as caught:
        send(hook, what, order_id)
    assert caught.value.__cause__ is None
    return caught.value
