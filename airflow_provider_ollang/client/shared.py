"""One :class:`AiohttpTransport` for all waits on one connection in one event loop, closed when the last one leaves."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from airflow_provider_ollang.client.aio import AiohttpTransport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_provider_ollang.client.settings import Settings


@dataclass
class _Shared:
    transport: AiohttpTransport
    users: int = 0


# A session belongs to the loop it was made in, and one process may run several, one after another or at once.
_in_use: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Settings, _Shared]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_transport(settings: Settings, user_agent: str) -> AsyncIterator[AiohttpTransport]:
    """
    Lend the transport of these settings for the time of a ``with`` block.

    :param settings: equal settings share one transport; a changed key gets another.
    :param user_agent: the ``User-Agent`` of every request.
    """
    here = _in_use.setdefault(asyncio.get_running_loop(), {})
    shared = here.get(settings)
    if shared is None:
        shared = here[settings] = _Shared(AiohttpTransport(settings, user_agent))
    shared.users += 1
    try:
        yield shared.transport
    finally:
        shared.users -= 1
        if not shared.users:
            del here[settings]
            # A cancelled wait is closing it, too, and must not leave it half closed.
            await asyncio.shield(shared.transport.close())
