"""The sandbox's web application: the API's routes, the faults of the wire, the journal."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from aiohttp import web

from airflow_provider_ollang.sandbox import answers
from airflow_provider_ollang.sandbox.answers import Answer
from airflow_provider_ollang.sandbox.clock import http_date, iso
from airflow_provider_ollang.sandbox.control import CONTROL, control_routes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_ollang.sandbox.core import Service
    from airflow_provider_ollang.sandbox.faults import Do

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LARGEST_REQUEST = 64 * 1024 * 1024


def application(service: Service) -> web.Application:
    """Make the application that serves a sandbox."""
    app = web.Application(middlewares=[_Wire(service).middleware], client_max_size=_LARGEST_REQUEST)
    api = _Api(service)
    app.router.add_get("/health", api.health)
    app.router.add_get("/integration/orders", api.list_orders)
    app.router.add_get("/integration/orders/{order_id}", api.get_order)
    app.router.add_post("/integration/orders/{order_id}/rerun", api.rerun)
    app.router.add_routes(control_routes(service))
    app.router.add_route("*", "/{anything:.*}", api.unknown)

    async def date(_: web.Request, response: web.StreamResponse) -> None:
        # The sandbox must agree with itself: clients measure its documents against its `Date`.
        response.headers["Date"] = http_date(service.clock.now())

    app.on_response_prepare.append(date)
    return app


class _Api:
    def __init__(self, service: Service) -> None:
        self.service = service

    async def health(self, _: web.Request) -> web.Response:
        return _respond(Answer(200, {"status": "OK", "time": self.service.clock.now()}))

    async def get_order(self, request: web.Request) -> web.Response:
        if not authorized(self.service, request):
            return self._unauthorized()
        return _respond(self.service.get_order(request.match_info["order_id"]))

    async def list_orders(self, request: web.Request) -> web.Response:
        if not authorized(self.service, request):
            return self._unauthorized()
        return _respond(self.service.list_orders(request.rel_url.raw_query_string))

    async def rerun(self, request: web.Request) -> web.Response:
        body = await request.read()
        if not authorized(self.service, request):
            return self._unauthorized()
        problem = _body_problem(body)
        if problem is not None:
            return _respond(Answer(400, answers.unknown_error(problem)))
        return _respond(self.service.rerun_order(request.match_info["order_id"]))

    async def unknown(self, request: web.Request) -> web.Response:
        return _respond(Answer(404, answers.unknown_error(f"Cannot {request.method} {request.rel_url.raw_path}")))

    def _unauthorized(self) -> web.Response:
        return _respond(answers.UNAUTHORIZED.answer(self.service.behaviour))


def authorized(service: Service, request: web.Request) -> bool:
    """Tell whether a request brings the right key."""
    given = request.headers.get("X-Api-Key", "")
    return secrets.compare_digest(given.encode("utf-8", "surrogateescape"), service.api_key.encode())


def _body_problem(body: bytes) -> str | None:
    if not body.strip():
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return f"Unexpected token in JSON: {body[:40].decode(errors='replace')!r}"
    return None if isinstance(value, dict) else "The body must be a JSON object"


def _respond(answer: Answer) -> web.Response:
    text = json.dumps(answer.body, ensure_ascii=False, separators=(",", ":"))
    return web.Response(
        status=answer.status,
        body=text.encode("utf-8", "surrogatepass"),
        content_type="application/json",
        charset="utf-8",
    )


class _Wire:
    """Between the socket and the API: numbers connections, writes the journal, does what faults ask for."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._numbers: WeakKeyDictionary[asyncio.BaseTransport, int] = WeakKeyDictionary()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROL):
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
            )
            armed = service.faults.match(request.method, path)
        if armed is None:
            response: web.StreamResponse = await handler(request)
            entry.status = response.status
            return response
        entry.fault = armed.id
        do = armed.do
        answer = await handler(request) if do.processed else None
        if do.delay:
            await asyncio.sleep(do.delay)
        if answer is None and do.processes:
            answer = await handler(request)
        if do.drop in ("before", "after"):
            return _hang_up(request)
        answer = _false_answer(do) if do.answers or answer is None else answer
        answer.headers.update(do.headers or {})
        entry.status = answer.status
        if do.drop == "body" or do.drip is not None:
            return await _send_badly(request, answer, do)
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


async def _send_badly(request: web.Request, answer: web.StreamResponse, do: Do) -> web.StreamResponse:
    body: Any = answer.body if isinstance(answer, web.Response) else b""
    body = body if isinstance(body, bytes) else b""
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_length = len(body)
    await response.prepare(request)
    sent = body[: len(body) // 2] if do.drop == "body" else body
    if do.drip is None:
        await response.write(sent)
    else:
        for index in range(len(sent)):
            await response.write(sent[index : index + 1])
            await asyncio.sleep(do.drip)
    if do.drop == "body":
        _hang_up(request)
    return response
