"""
The client of triggers, over ``aiohttp``: it gets orders, and what their reviews are about; it cancels orders.

All waits on one connection in one event loop share one session, and a 429 throttles all of them.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import aiohttp
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from yarl import URL

from airflow_provider_ollang import _clock
from airflow_provider_ollang.client.backoff import MAX_RETRY_AFTER
from airflow_provider_ollang.client.errors import broken, host_not_found, no_response, rate_limited, timed_out
from airflow_provider_ollang.client.requests import CONNECT_TIMEOUT, Request, cancel_order, get_order, get_review_info
from airflow_provider_ollang.client.responses import Response, add_chunk, parse_cancelled, parse_object, parse_order

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.connector import Connection

    from airflow_provider_ollang.client.settings import Settings


_POOL_SIZE = 100
# As long as http.client reads.
_MAX_HEADER = 65536


@dataclass
class _Attempt:
    """One attempt of a request; ``limit`` ends it: first for want of a connection, then ``timeout`` seconds later."""

    limit: asyncio.Timeout
    timeout: float
    connected: bool = False


_ATTEMPT: ContextVar[_Attempt] = ContextVar("ollang_async_attempt")


class _Connector(aiohttp.TCPConnector):
    """Begins an attempt's time for the response when there is a connection; aiohttp's traces could, but cost more."""

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        connection = await super().connect(*args, **kwargs)
        attempt = _ATTEMPT.get()
        attempt.connected = True
        attempt.limit.reschedule(asyncio.get_running_loop().time() + attempt.timeout)
        return connection


class OllangAsyncClient:
    """
    Ollang's API for triggers; made by :meth:`.OllangHook.async_client`.

    :param settings: what the connection says; nothing is looked up elsewhere.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._headers = settings.headers()
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(_POOL_SIZE)
        self._probe = asyncio.Lock()
        self._throttled = False
        self._throttled_until = 0.0

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get_order(self, order_id: object, *, ignore_throttle: bool = False) -> dict[str, Any]:
        """
        Get an order with all its details, in one attempt: a wait polls again anyway.

        :param ignore_throttle: send even while the server's rate limit throttles this connection; default ``False``:
            send nothing for as long as it asked, at most 5 minutes, after which one request finds out for all.
        :raises OllangRateLimitError: the server answered so, to this request, or lately to that of another wait on this
            connection: then nothing was sent.
        :raises OllangError: as :meth:`.OllangHook.get_order`.
        """
        request = get_order(order_id)
        return parse_order(self.settings, request, await self._send_throttled(request, ignore_throttle=ignore_throttle))

    async def get_review_info(self, order_id: object) -> dict[str, Any]:
        """Tell what an order in ``review`` is paused for, in one attempt: see :meth:`.OllangHook.get_review_info`."""
        request = get_review_info(order_id)
        return parse_object(self.settings, request, await self._send_throttled(request))

    async def cancel_order(self, order_id: object) -> bool:
        """Cancel an order, in one attempt, whatever the rate limit: see :meth:`.OllangHook.cancel_order`."""
        request = cancel_order(order_id)
        response = await self._send_throttled(request, ignore_throttle=True)
        return parse_cancelled(self.settings, request, response)

    async def _send_throttled(self, request: Request, *, ignore_throttle: bool = False) -> Response:
        async with self._slot(ignore_throttle=ignore_throttle) as throttled_for:
            if throttled_for > 0:
                raise rate_limited(request, throttled_for)
            response = await self.send(request)
            if response.status == 429 and response.retry_after:
                # No longer than a worker would sleep.
                until = _clock.monotonic() + min(response.retry_after, MAX_RETRY_AFTER)
                self._throttled = True
                self._throttled_until = max(self._throttled_until, until)
        return response

    @asynccontextmanager
    async def _slot(self, *, ignore_throttle: bool) -> AsyncIterator[float]:
        """
        Hold a slot to send a request and have its response; yield the seconds for which nothing may be sent yet.

        A request that waits for a slot also obeys a throttle that begins meanwhile. When a throttle ends, the first
        request goes alone: all others wait until it has told whether the server still limits them.
        """
        async with self._slots:
            if self._throttled and not ignore_throttle:
                async with self._probe:
                    if self._throttled:
                        try:
                            yield self._throttled_for
                        finally:
                            self._throttled = self._throttled_for > 0
                        return
            yield 0.0

    @property
    def _throttled_for(self) -> float:
        return max(self._throttled_until - _clock.monotonic(), 0.0)

    async def send(self, request: Request) -> Response:
        """
        Send a request once, and return the response, whatever its status.

        :raises OllangUnavailableError: there was none.
        """
        seconds = self.settings.timeout
        connect_seconds = min(CONNECT_TIMEOUT, seconds)
        # Who holds a slot finds room in the pool, so this is no time in a queue.
        attempt = _Attempt(asyncio.timeout(connect_seconds), seconds)
        token = _ATTEMPT.set(attempt)
        try:
            async with attempt.limit:
                return await self._send(request)
        except TimeoutError:
            seconds = seconds if attempt.connected else connect_seconds
            reason = timed_out(self.settings, seconds, connected=attempt.connected)
        except aiohttp.ClientConnectorDNSError:
            reason = host_not_found(self.settings)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            cause, text = _cause_and_text(error)
            reason = broken(self.settings, cause, connected=attempt.connected, text=text)
        finally:
            # A context that keeps its own task's timeout would live until the garbage collector looks for cycles.
            _ATTEMPT.reset(token)
        # Errors of the library show request headers, so none of them goes on as a cause.
        raise no_response(request, reason)

    async def _send(self, request: Request) -> Response:
        session = self._get_session()
        async with session.request(
            request.method,
            URL(request.url(self.settings), encoded=True),
            # Those of the session would go to the proxy, too (https://github.com/aio-libs/aiohttp/pull/9368).
            headers=self._headers,
            proxy=self.settings.proxy,
            allow_redirects=False,
        ) as response:
            body = bytearray()
            while chunk := await response.content.readany():
                add_chunk(body, chunk)
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Response(response.status, headers, bytes(body))

    def _get_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = session = aiohttp.ClientSession(
                connector=_Connector(limit=_POOL_SIZE, ssl=_tls(self.settings)),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                max_line_size=_MAX_HEADER,
                max_field_size=_MAX_HEADER,
            )
            # It would send a request whose connection broke a second time, unasked: the wait is the retry. There is
            # no other way to switch that off (https://github.com/aio-libs/aiohttp/issues/10790).
            session._retry_connection = False
        return self._session


def _tls(settings: Settings) -> ssl.SSLContext | bool:
    if not settings.verify:
        return False
    if not settings.is_encrypted and not (settings.proxy or "").startswith("https:"):
        return True
    path = settings.ca_bundle or DEFAULT_CA_BUNDLE_PATH
    is_folder = Path(path).is_dir()
    return ssl.create_default_context(cafile=None if is_folder else path, capath=path if is_folder else None)


def _cause_and_text(error: Exception) -> tuple[BaseException, str | None]:
    """Return what is below an error of the library, and what to say of it where its own text shows headers."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return error, f"the proxy answered {error.status} {error.message}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return error, "Server disconnected"
    if isinstance(error, aiohttp.ClientResponseError):
        return error, type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        # Before aiohttp 3.14 it has no os_error (https://github.com/aio-libs/aiohttp/pull/12136).
        return error.certificate_error, None
    return error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error, None


# --- One client for all waits on one connection -------------------------------------------------------------------


@dataclass
class _Shared:
    client: OllangAsyncClient
    users: int = 0


# A session belongs to the loop it was made in, and one process may run several, one after another or at once.
_in_use: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Settings, _Shared]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_client(settings: Settings) -> AsyncIterator[OllangAsyncClient]:
    """
    Lend the client of these settings for the time of a ``with`` block; the last user to leave closes it.

    :param settings: equal settings share one client; a changed key gets another.
    """
    clients = _in_use.setdefault(asyncio.get_running_loop(), {})
    shared = clients.get(settings)
    if shared is None:
        shared = clients[settings] = _Shared(OllangAsyncClient(settings))
    shared.users += 1
    try:
        yield shared.client
    finally:
        shared.users -= 1
        if not shared.users:
            del clients[settings]
            # A cancelled wait is closing it, too, and must not leave it half closed.
            await asyncio.shield(shared.client.close())
