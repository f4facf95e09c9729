"""The asynchronous client, for triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.client.requests import get_order
from airflow_provider_ollang.client.responses import rate_limited, read_order

if TYPE_CHECKING:
    from airflow_provider_ollang.client.aio import AiohttpTransport
    from airflow_provider_ollang.client.settings import Settings


class OllangAsyncClient:
    """
    Reads orders without blocking the event loop; made by :meth:`OllangHook.waiting`.

    :param settings: what the connection says.
    :param transport: the session shared by all who wait on it.
    """

    def __init__(self, settings: Settings, transport: AiohttpTransport) -> None:
        self.settings = settings
        self._transport = transport

    async def get_order(self, order_id: object, *, ignore_throttle: bool = False) -> dict[str, Any]:
        """
        Get an order with all its details, in one attempt: a wait looks again anyway.

        :param order_id: its id, or a mapping with ``order_id`` or ``id``.
        :param ignore_throttle: send even while the server's rate limit throttles this connection; default ``False``:
            send nothing for as long as it asked, at most 5 minutes, after which one request finds out for all.
        :return: the order as the API gave it.
        :raises OllangRateLimitError: the server answered so, to this request, or lately to that of another wait on this
            connection: then nothing was sent.
        :raises OllangError: as :meth:`OllangHook.get_order`.
        """
        call = get_order(order_id)
        async with self._transport.turn(ignore_throttle=ignore_throttle) as throttle_left:
            if throttle_left > 0:
                raise rate_limited(call, throttle_left)
            answer = await self._transport.send(call)
            if answer.status == 429 and answer.retry_after:
                self._transport.throttle(answer.retry_after)
        return read_order(self.settings, call, answer)
