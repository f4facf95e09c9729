"""
HTTP connections for ``requests`` whose whole response has one deadline, and that know whether a request was sent.

``requests`` limits each read and not the response (https://requests.readthedocs.io/en/latest/user/quickstart/#timeouts),
so a server that sends a byte a second keeps a worker for ever. A check in the loop that reads the body would not see a
header that drips: ``http.client`` reads the head before there is a response to loop over. Here the file under both has
the deadline. Only names that ``http.client``, ``urllib3`` and ``requests`` document are replaced, but for one, where a
comment says why.
"""

from __future__ import annotations

import http.client
import io
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from airflow_provider_ollang.client.requests import Stream

if TYPE_CHECKING:
    import socket


@dataclass
class Attempt:
    """
    One attempt of a request.

    ``connected``: it has a connection; ``sent``: all of it may be on its way, so that the server may process it.
    """

    connected: bool = False
    sent: bool = False

    def mark_sent(self) -> None:
        """Note that the server may process the request from now on."""
        self.sent = True


#: The attempt that the connections of this thread serve.
ATTEMPT: ContextVar[Attempt] = ContextVar("ollang_attempt")


class _DeadlineFile(io.RawIOBase):
    """
    The file of a socket, with one deadline for all of its reads.

    :param raw: the socket's unbuffered file.
    :param sock: the socket; its timeout is the time that there is from now on.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._socket = sock
        seconds = sock.gettimeout()
        self._ends_at = None if seconds is None else time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._ends_at is not None:
            seconds = self._ends_at - time.monotonic()
            if seconds <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(seconds)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """A response that is read until its deadline, and past interim responses."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_DeadlineFile(self.fp.detach(), sock))

    # http.client skips 100 only, while any number of 1xx may come first (RFC 9110 section 15.2). `begin` could do that
    # for a server's response, but for a proxy's to CONNECT http.client calls nothing else.
    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            # 101 is final for a request that asks for no other protocol.
            if not http.client.CONTINUE < status < http.client.OK or status == http.client.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)


class _Connection(HTTPConnection):
    response_class = _Response

    def request(self, method: str, url: str, body: Any = None, *args: Any, **kwargs: Any) -> None:
        """Connect first: what fails until here was surely not sent; nor was a stream without its last piece."""
        if self.is_closed:
            self.connect()
        attempt = ATTEMPT.get()
        attempt.connected = True
        if isinstance(body, Stream):
            body = body.pieces(on_last=attempt.mark_sent)
        else:
            attempt.mark_sent()
        super().request(method, url, body, *args, **kwargs)


class _TLSConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


class DeadlineAdapter(HTTPAdapter):
    """
    The adapter of ``requests`` over these connections.

    In ``timeout=(connect, read)`` the second number limits the whole response, head and body.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Return the pools of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        return manager
