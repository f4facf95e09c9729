"""Between a socket and what answers: numbers connections, writes the journal, does what faults ask for."""

from __future__ import annotations

import asyncio
import math
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from aiohttp import web

from airflow_provider_ollang.sandbox.clock import iso

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from airflow_provider_ollang.sandbox.core import Service
    from airflow_provider_ollang.sandbox.faults import Do

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KEY = "X-Api-Key"
CONTROL = "/_sandbox"
_LARGEST_REQUEST = 64 * 1024 * 1024


def application(service: Service, host: Literal["api", "files"]) -> web.Application:
    """Make an application without routes."""
    app = web.Application(middlewares=[_Wire(service, host).middleware], client_max_size=_LARGEST_REQUEST)

    async def date(_: web.Request, response: web.StreamResponse) -> None:
        # The sandbox must agree with itself: clients measure its documents against its `Date`.
        response.headers["Date"] = service.http_date()

    app.on_response_prepare.append(date)
    return app


def authorized(service: Service, request: web.Request) -> bool:
    """Tell whether a request brings the right key."""
    given = request.headers.get(KEY, "")
    return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), service.api_key.encode())


class Streamed(web.StreamResponse):
    """An answer whose body is made while it is sent.

    :param pieces: the body.
    :param length: its length, for `Content-Length`; None: not told, it is sent in chunks.
    """

    def __init__(
        self, pieces: Iterable[bytes | memoryview], length: int | None, *, status: int, headers: dict[str, str]
    ) -> None:
        super().__init__(status=status, headers=headers)
        self.pieces = pieces
        self.length = length
        if length is not None:
            self.content_length = length


class _Wire:
    def __init__(self, service: Service, host: Literal["api", "files"]) -> None:
        self.service = service
        self.host = host
        self._numbers: WeakKeyDictionary[asyncio.BaseTransport, int] = WeakKeyDictionary()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.host == "api" and request.path.startswith(CONTROL):
            return await handler(request)
        service = self.service
        path = request.rel_url.raw_path
        with service.lock:
            entry = service.log.open(
                time=iso(service.clock.now()),
                method=request.method,
                path=request.raw_path,
                connection=self._number(request.transport),
                authorized=authorized(service, request),
                host=self.host,
                key_sent=KEY in request.headers,
            )
            armed = service.faults.match(request.method, path)
        if armed is None:
            response: web.StreamResponse = await handler(request)
            entry.status = response.status
            return await _send(request, response) if isinstance(response, Streamed) else response
        entry.fault = armed.id
        do = armed.do
        answer = await handler(request) if do.processed else None
        if do.delay:
            # A client that gives up meanwhile would take what it has sent along.
            await request.read()
            await asyncio.sleep(do.delay)
        if do.advance:
            with service.lock:
                service.clock.advance(do.advance)
        if answer is None and do.processes:
            answer = await handler(request)
        if do.drop in ("before", "after"):
            return _hang_up(request)
        answer = _false_answer(do) if do.answers or answer is None else answer
        answer.headers.update(do.headers or {})
        entry.status = answer.status
        if isinstance(answer, Streamed):
            return await _send(request, answer, do)
        if do.drop == "body" or do.drip is not None or do.rate is not None:
            return await _send(request, _streamed(answer), do)
        return answer

    def _number(self, transport: asyncio.BaseTransport | None) -> int:
        if transport is None:
            return 0
        if transport not in self._numbers:
            self.service.connections += 1
            self._numbers[transport] = self.service.connections
        return self._numbers[transport]


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def _false_answer(do: Do) -> web.Response:
    body, kind = do.payload()
    headers = {} if do.redirect is None else {"Location": do.redirect}
    headers["Content-Type"] = kind
    status = do.status or (200 if do.redirect is None else 302)
    return web.Response(status=status, body=body, headers=headers)


def _streamed(answer: web.StreamResponse) -> Streamed:
    body: Any = answer.body if isinstance(answer, web.Response) else b""
    body = body if isinstance(body, bytes) else b""
    return Streamed([body], len(body), status=answer.status, headers=dict(answer.headers))


async def _send(request: web.Request, answer: Streamed, do: Do | None = None) -> web.StreamResponse:
    with suppress(ConnectionError):
        # A client may leave in the middle; that is its own affair.
        await _write(request, answer, do)
    return answer


async def _write(request: web.Request, answer: Streamed, do: Do | None) -> None:
    cut = do is not None and do.drop == "body"
    most = None if not cut or answer.length is None else answer.length // 2
    await answer.prepare(request)
    size, pause = _pace(do)
    for piece in _in_small(answer.pieces, size, most):
        await answer.write(piece)
        if pause:
            await asyncio.sleep(pause * len(piece))
        if cut and most is None:
            break
    if cut:
        _hang_up(request)
    else:
        await answer.write_eof()


def _pace(do: Do | None) -> tuple[int | None, float]:
    """Return how much to send at a time, and the seconds to pause for each byte of it."""
    if do is not None and do.drip is not None:
        return 1, do.drip
    if do is not None and do.rate is not None:
        return math.ceil(do.rate / 20), 1 / do.rate
    return None, 0


def _in_small(pieces: Iterable[bytes | memoryview], size: int | None, most: int | None) -> Iterator[bytes | memoryview]:
    for piece in pieces:
        whole = piece if most is None else piece[:most]
        if most is not None:
            most -= len(whole)
        step = size or len(whole) or 1
        for begin in range(0, len(whole), step):
            yield whole[begin : begin + step]
        if most == 0:
            return
