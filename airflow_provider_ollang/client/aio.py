"""Sends calls of the protocol with ``aiohttp``: the half of the hook that the triggerer uses, which only reads."""

from __future__ import annotations

import asyncio
import functools
import ssl
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from yarl import URL

from airflow_provider_ollang import _clock
from airflow_provider_ollang.client.requests import CONNECT_TIMEOUT, Call
from airflow_provider_ollang.client.responses import MAX_ANSWER_BYTES, Answer, host_not_found, not_answered
from airflow_provider_ollang.domain.polling import LONGEST_FAILURE_PAUSE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.connector import Connection

    from airflow_provider_ollang.client.settings import Settings


_POOL_SIZE = 100
# As long as the other half of the hook reads.
_LONGEST_HEADER = 65536


@dataclass
class _Attempt:
    """What one attempt did so far, and when it has to end."""

    limit: asyncio.Timeout
    timeout: float
    connected: bool = False


_ATTEMPT: ContextVar[_Attempt] = ContextVar("attempt")


class _Connector(aiohttp.TCPConnector):
    """Begins an attempt's time for the answer when a connection is had, for less than aiohttp's traces cost."""

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        connection = await super().connect(*args, **kwargs)
        attempt = _ATTEMPT.get()
        attempt.connected = True
        attempt.limit.reschedule(asyncio.get_running_loop().time() + attempt.timeout)
        return connection


class AiohttpTransport:
    """
    Sends calls over one session, whose connections are shared by all who use it in one event loop.

    :param settings: where to, with which key, proxy and certificates; nothing is looked up elsewhere.
    :param user_agent: the ``User-Agent`` of every request.
    """

    def __init__(self, settings: Settings, user_agent: str) -> None:
        self._settings = settings
        self._headers = settings.headers(user_agent)
        self._session: aiohttp.ClientSession | None = None
        self._turns = asyncio.Semaphore(_POOL_SIZE)
        self._probe = asyncio.Lock()
        self._throttled = False
        self._throttled_until = 0.0

    @asynccontextmanager
    async def turn(self, *, ignore_throttle: bool = False) -> AsyncIterator[float]:
        """
        Take a turn, for the time of a ``with`` block, to send a request and have its response.

        A request that waits for a connection also obeys a throttle that begins meanwhile. When a throttle ends, the
        first request goes alone: all others wait until it has told whether the server still limits them.

        :param ignore_throttle: send even while the rate limit throttles the connection.
        :return: a context manager; inside, the seconds for which nothing may be sent yet.
        """
        async with self._turns:
            if self._throttled and not ignore_throttle:
                async with self._probe:
                    if self._throttled:
                        try:
                            yield self._throttle_left
                        finally:
                            self._throttled = self._throttle_left > 0
                        return
            yield 0.0

    def throttle(self, seconds: float) -> None:
        """Keep everybody from sending for a while, as the server asked, but not for longer than a worker would."""
        self._throttled = True
        until = _clock.monotonic() + min(seconds, LONGEST_FAILURE_PAUSE)
        self._throttled_until = max(self._throttled_until, until)

    @property
    def _throttle_left(self) -> float:
        return max(self._throttled_until - _clock.monotonic(), 0.0)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, call: Call, *, timeout: float | None = None) -> Answer:  # noqa: ASYNC109 - begins later
        """
        Send a call once.

        :param call: what to send.
        :param timeout: seconds for the whole answer, if not those of the settings.
        :return: the answer, whatever its status.
        :raises OllangUnavailableError: there was none.
        """
        seconds = timeout or self._settings.timeout
        # Who has one of the turns finds room in the pool, so this is no time in a queue.
        attempt = _Attempt(asyncio.timeout(min(CONNECT_TIMEOUT, seconds)), seconds)
        token = _ATTEMPT.set(attempt)
        try:
            async with attempt.limit:
                return await self._send(call)
        except TimeoutError:
            reason = (
                f"no whole answer within {seconds:g} s"
                if attempt.connected
                else f"no connection to {self._settings.base_url} within {min(CONNECT_TIMEOUT, seconds):g} s"
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = self._reason(error, attempt)
        finally:
            # A context that keeps its own task's timeout would live until somebody looks for circles.
            _ATTEMPT.reset(token)
        # Errors of the library show request headers, so none of them goes on as a cause.
        raise not_answered(call, reason)

    async def _send(self, call: Call) -> Answer:
        session = self._get_session()
        async with session.request(
            call.method,
            _url(call.url(self._settings)),
            # Those of the session would go to the proxy, too.
            headers=self._headers,
            proxy=self._settings.proxy,
            allow_redirects=False,
        ) as response:
            body = bytearray()
            while chunk := await response.content.readany():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise ValueError(f"the answer is larger than {MAX_ANSWER_BYTES >> 20} MB")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, headers, bytes(body))

    def _get_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = session = aiohttp.ClientSession(
                connector=_Connector(limit=_POOL_SIZE, ssl=_tls(self._settings)),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                max_line_size=_LONGEST_HEADER,
                max_field_size=_LONGEST_HEADER,
            )
            # It would send a request whose connection broke a second time, unasked: the wait is the retry.
            session._retry_connection = False
        return self._session

    def _reason(self, error: BaseException, attempt: _Attempt) -> str:
        """Say in words why there was no whole answer."""
        base_url = self._settings.base_url
        peer = "the proxy" if self._settings.proxy else base_url
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return host_not_found(self._settings)
        cause: BaseException = error
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            # Before aiohttp 3.14 it has no os_error, though it is a ClientConnectorError.
            cause = error.certificate_error
        elif isinstance(error, aiohttp.ClientConnectorError):
            cause = error.os_error
        if isinstance(cause, ConnectionRefusedError):
            return f"{peer} refused the connection"
        words = (cause.strerror if isinstance(cause, OSError) else None) or _words(cause)
        through = "through the proxy " if self._settings.proxy else ""
        stage = "the connection broke" if attempt.connected else f"no connection {through}to {base_url}"
        return f"{stage} ({self._settings.clean(words)})"


@functools.lru_cache(maxsize=4096)
def _url(text: str) -> URL:
    return URL(text, encoded=True)


def _tls(settings: Settings) -> ssl.SSLContext | bool:
    if not settings.verify:
        return False
    if not settings.is_encrypted and not (settings.proxy or "").startswith("https:"):
        return True
    path = settings.ca_bundle or DEFAULT_CA_BUNDLE_PATH
    in_folder = Path(path).is_dir()
    return ssl.create_default_context(cafile=None if in_folder else path, capath=path if in_folder else None)


def _words(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status} {error.message}"
    # The text of these shows a request or an answer with its headers.
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ServerDisconnectedError):
        return "Server disconnected" if isinstance(error, aiohttp.ServerDisconnectedError) else type(error).__name__
    return str(error) or type(error).__name__
