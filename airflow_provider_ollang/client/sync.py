"""Sends calls of the protocol with ``requests``: one whole answer within its time, or an error in our words."""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import suppress
from contextvars import ContextVar
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from airflow_provider_ollang import _clock
from airflow_provider_ollang.client.requests import CONNECT_TIMEOUT, Call
from airflow_provider_ollang.client.responses import (
    MAX_ANSWER_BYTES,
    Answer,
    host_not_found,
    not_answered,
    unknown_outcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_ollang.client.settings import Settings


_CHUNK = 64 * 1024


class InterruptedBeforeSending(BaseException):
    """
    A paid request was interrupted while it had no connection yet, so that it surely was not sent.

    Its cause is the interruption, such as Airflow's ``execution_timeout``, which is no ``Exception`` either.
    """


class _Attempt:
    """What one attempt did so far, and the time that it has."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.connect_timeout = min(CONNECT_TIMEOUT, timeout)
        self.connected = False
        self.out_of_time = False
        self._lock = threading.Lock()
        self._socket: Callable[[], socket.socket | None] | None = None
        self._timer: threading.Timer | None = None

    def begin(self, seconds: float, sock: Callable[[], socket.socket | None]) -> None:
        """Break off what goes on on a socket when the time is over: what comes byte by byte never times out."""
        self.end()
        self._socket = sock
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """Let go of the socket: from now on it may be another attempt's."""
        with self._lock:
            self._socket = None
        if self._timer is not None:
            self._timer.cancel()

    def _cut(self) -> None:
        with self._lock:
            if self._socket is None:
                return
            self.out_of_time = True
            sock = self._socket()
            with suppress(OSError):
                if sock is not None:
                    sock.shutdown(socket.SHUT_RDWR)


_attempt: ContextVar[_Attempt] = ContextVar("_attempt")


class _FinalResponse(http.client.HTTPResponse):
    """A response that is read past interim ones, such as 102 and 103: http.client skips only 100."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            # RFC 9110 section 15.2: any number of 1xx may come first. 101 is final, for a request that asks for no
            # other protocol.
            if not http.client.CONTINUE < status < http.client.OK or status == http.client.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)


class _Limited(HTTPConnection):
    """A connection that each attempt uses within its own time."""

    response_class = _FinalResponse

    def connect(self) -> None:
        super().connect()
        _attempt.get().end()
        _attempt.get().connected = True

    def _new_conn(self) -> socket.socket:
        # Of several addresses the first may be dead: each has its own time, and only what follows can be cut off.
        sock: socket.socket = super()._new_conn()
        _attempt.get().begin(_attempt.get().connect_timeout, lambda: self.sock or sock)
        return sock

    def getresponse(self) -> Any:
        sock = self.sock
        _attempt.get().begin(_attempt.get().timeout, lambda: sock)
        return super().getresponse()


class _LimitedTLS(_Limited, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Limited

    def _put_conn(self, conn: Any) -> None:
        _attempt.get().end()
        super()._put_conn(conn)


class _TLSPool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _LimitedTLS


class _Adapter(HTTPAdapter):
    """The adapter of ``requests``, over connections that know the attempt they serve."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        return manager


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Know of none: ``requests`` prepares the next request, and reads the whole body, even if it may not follow."""


class RequestsTransport:
    """
    Sends calls over a pool of kept-alive connections.

    :param settings: where to, with which key, proxy and certificates; nothing is looked up elsewhere.
    :param user_agent: the ``User-Agent`` of every request.
    """

    def __init__(self, settings: Settings, user_agent: str) -> None:
        self._settings = settings
        self._headers = settings.headers(user_agent)
        self._session = self._new_session()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def send(self, call: Call, *, timeout: float | None = None) -> Answer:
        """
        Send a call once.

        :param timeout: seconds for the whole answer, if not those of the settings.
        :return: the answer, whatever its status.
        :raises OllangUnavailableError: there was none; for a paid call: it surely was not sent.
        :raises OllangOutcomeUnknownError: a paid call was, or may have been, sent; its cause is what interrupted
            the call, if something did.
        :raises InterruptedBeforeSending: a paid call was interrupted, and surely was not sent.
        """
        if not call.paid:
            return self._send(self._session, call, timeout)
        # On a kept-alive connection that the server has closed, a request never sent looks like a lost answer.
        with self._new_session() as session:
            return self._send(session, call, timeout)

    def _send(self, session: requests.Session, call: Call, timeout: float | None) -> Answer:
        attempt = _Attempt(timeout or self._settings.timeout)
        token = _attempt.set(attempt)
        started = _clock.monotonic()
        try:
            with session.request(
                call.method,
                call.url(self._settings),
                headers=self._headers if call.body is None else {**self._headers, "Content-Type": "application/json"},
                data=call.body,
                timeout=(attempt.connect_timeout, attempt.timeout),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._read(response, attempt)
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status_code, headers, body, _clock.monotonic() - started)
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            http.client.HTTPException,
            OSError,
            ValueError,
        ) as error:
            reason = self._reason(error, attempt)
            if call.paid and attempt.connected:
                raise unknown_outcome(call, reason) from None
            # Errors of the libraries may show request headers, so none of them goes on as a cause.
            raise not_answered(call, reason) from None
        except BaseException as error:
            if not call.paid:
                raise
            if attempt.connected:
                # Airflow's execution_timeout is no Exception, and the task's retry must not send this again.
                interruption = None if isinstance(error, Exception) else error
                raise unknown_outcome(call, f"the task was interrupted ({type(error).__name__})") from interruption
            raise InterruptedBeforeSending from error
        finally:
            attempt.end()
            _attempt.reset(token)

    def _read(self, response: requests.Response, attempt: _Attempt) -> bytes:
        body = bytearray()
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise ValueError(f"the answer is larger than {MAX_ANSWER_BYTES >> 20} MB")
        attempt.end()
        if attempt.out_of_time:
            # Where the length was not known yet, what was cut off looks whole.
            raise TimeoutError
        return bytes(body)

    def _new_session(self) -> requests.Session:
        session = _Session()
        # The environment is read once, into the settings: its .netrc would replace the headers of every request.
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        session.verify = (self._settings.ca_bundle or True) if self._settings.verify else False
        if self._settings.proxy:
            session.proxies = {"http": self._settings.proxy, "https": self._settings.proxy}
        for prefix in ("http://", "https://"):
            session.mount(prefix, _Adapter())
        return session

    def _reason(self, error: BaseException, attempt: _Attempt) -> str:
        """Say in words why there was no whole answer."""
        if isinstance(error, requests.ConnectTimeout) or (attempt.out_of_time and not attempt.connected):
            return f"no connection to {self._settings.base_url} within {attempt.connect_timeout:g} s"
        if attempt.out_of_time or isinstance(error, requests.ReadTimeout | urllib3.exceptions.ReadTimeoutError):
            return f"no whole answer within {attempt.timeout:g} s"
        peer = "the proxy" if self._settings.proxy else self._settings.base_url
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, urllib3.exceptions.NameResolutionError | socket.gaierror):
                return host_not_found(self._settings)
            if isinstance(cause, ConnectionRefusedError):
                return f"{peer} refused the connection"
        last = causes[-1]
        words = (last.strerror if isinstance(last, OSError) else None) or str(last) or type(last).__name__
        through = "through the proxy " if self._settings.proxy else ""
        stage = "the connection broke" if attempt.connected else f"no connection {through}to {self._settings.base_url}"
        return f"{stage} ({self._settings.clean(words)})"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk from a library's error down to the one that started it."""
    found: BaseException | None = error
    while found is not None:
        yield found
        inner = [getattr(found, "reason", None), *found.args, found.__cause__, found.__context__]
        found = next((one for one in inner if isinstance(one, BaseException)), None)
