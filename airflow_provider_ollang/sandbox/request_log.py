"""Every request to the sandbox: its connection is numbered, it is logged, and a fault or its handler responds.

The log has no header values, so that no key is ever kept.
"""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from aiohttp import web

from airflow_provider_ollang.sandbox.clock import to_iso
from airflow_provider_ollang.sandbox.faults import apply_fault, hang_up, send

if TYPE_CHECKING:
    import asyncio

    from airflow_provider_ollang.sandbox.faults import Handler
    from airflow_provider_ollang.sandbox.service import Service

ADMIN = "/_sandbox"
#: Older requests are dropped; a sandbox may run for weeks.
KEPT = 200_000
_KEY = "X-Api-Key"
_LARGEST_REQUEST = 64 * 1024 * 1024


@dataclass(slots=True)
class LoggedRequest:
    """One request.

    :param time: when it arrived by the sandbox's clock, ISO 8601.
    :param path: as it was sent, with the query.
    :param authorized: whether it had the right key; `key_sent`: whether it had any.
    :param host: which of the sandbox's two hosts it was sent to.
    :param status: status of the response; None while there is none, or if none was sent.
    :param fault: number of the fault that hit it.
    """

    n: int
    time: str
    method: str
    path: str
    connection: int
    authorized: bool
    host: Literal["api", "files"] = "api"
    key_sent: bool = False
    status: int | None = None
    fault: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)


class RequestLog:
    """The last requests, oldest first."""

    def __init__(self, kept: int = KEPT) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=kept)
        self.last = 0

    def add(self, **fields: Any) -> LoggedRequest:
        """Log a request that has arrived, given as the fields of `LoggedRequest` without its number."""
        self.last += 1
        request = LoggedRequest(self.last, **fields)
        self._requests.append(request)
        return request

    def after(self, n: int = 0) -> list[LoggedRequest]:
        """Return the requests with a number above `n`."""
        return [request for request in self._requests if request.n > n]

    def clear(self) -> None:
        """Drop all requests, and count from 1 again."""
        self._requests.clear()
        self.last = 0


def is_authorized(service: Service, request: web.Request) -> bool:
    """Tell whether a request has the right key."""
    key = request.headers.get(_KEY, "")
    return secrets.compare_digest(key.encode("utf-8", "surrogateescape"), service.api_key.encode())


def logged_application(service: Service, host: Literal["api", "files"]) -> web.Application:
    """Make an application without routes, whose requests are logged, as those of `host`, and can be hit by faults."""
    connections: WeakKeyDictionary[asyncio.BaseTransport, int] = WeakKeyDictionary()

    @web.middleware
    async def log(request: web.Request, handler: Handler) -> web.StreamResponse:
        if host == "api" and request.path.startswith(ADMIN):
            return await handler(request)
        with service.lock:
            logged = service.log.add(
                time=to_iso(service.clock.now()),
                method=request.method,
                path=request.raw_path,
                connection=number_of(request.transport),
                authorized=is_authorized(service, request),
                host=host,
                key_sent=_KEY in request.headers,
            )
            fault = service.faults.match(request.method, request.rel_url.raw_path)
        if fault is None:
            response: web.StreamResponse | None = await handler(request)
        else:
            logged.fault = fault.id
            response = await apply_fault(fault.do, request, handler, service.advance)
        if response is None:
            return hang_up(request)
        logged.status = response.status
        return await send(request, response, None if fault is None else fault.do)

    def number_of(transport: asyncio.BaseTransport | None) -> int:
        if transport is None:
            return 0
        if transport not in connections:
            service.connections += 1
            connections[transport] = service.connections
        return connections[transport]

    async def date(_: web.Request, response: web.StreamResponse) -> None:
        # Clients measure the dates of documents against this header.
        response.headers["Date"] = service.http_date()

    app = web.Application(middlewares=[log], client_max_size=_LARGEST_REQUEST)
    app.on_response_prepare.append(date)
    return app
