"""Both clients, and what they make of a request."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from airflow_provider_ollang.exceptions import (
    OllangError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook

from .conftest import ORDER

BODY = f'{{"id": "{ORDER}", "status": "completed", "success": true}}'.encode()


#: What the libraries say in brackets about a connection that broke is theirs, and they have different words for it.
LIBRARY_WORDS = re.compile(r"(the connection broke|no connection (?:through the proxy )?to \S+) \(.*\)\.$")


@dataclass(frozen=True)
class End:
    """What a call came to; equal ends cannot be told apart by their user."""

    order: dict[str, Any] | None = None
    error: type[OllangError] | None = None
    fields: dict[str, Any] | None = None
    text: str = ""
    whole_text: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, End) and self._compared() == other._compared()

    __hash__ = None  # type: ignore[assignment]

    def _compared(self) -> tuple[object, ...]:
        return self.order, self.error, self.fields, self.text


def _failed(error: OllangError) -> End:
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    text = str(error)
    return End(None, type(error), dict(vars(error)), LIBRARY_WORDS.sub(r"\1 (*).", text), text)


def sync_end(hook: OllangHook, order_id: object = ORDER) -> End:
    try:
        return End(hook.get_order(order_id, max_attempts=1))
    except OllangError as error:
        return _failed(error)


def async_end(hook: OllangHook, order_id: object = ORDER) -> End:
    async def read() -> End:
        async with hook.async_client() as reader:
            return End(await reader.get_order(order_id))

    try:
        return asyncio.run(read())
    except OllangError as error:
        return _failed(error)


def alike(hook: OllangHook, order_id: object = ORDER) -> End:
    """Return the end that both clients come to."""
    one, other = sync_end(hook, order_id), async_end(hook, order_id)
    assert other == one
    hook.close()
    return other
