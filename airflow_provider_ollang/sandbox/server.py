"""The API's host: its routes, and those of the control."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_provider_ollang.sandbox import answers, wire
from airflow_provider_ollang.sandbox.answers import Answer
from airflow_provider_ollang.sandbox.control import control_routes
from airflow_provider_ollang.sandbox.wire import authorized

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ollang.sandbox.core import Service


def application(service: Service) -> web.Application:
    """Make the application that serves a sandbox's API."""
    app = wire.application(service, "api")
    api = _Api(service)
    app.router.add_get("/health", api.health)
    app.router.add_get("/integration/orders", api.list_orders)
    app.router.add_get("/integration/orders/{order_id}", api.get_order)
    app.router.add_post("/integration/orders/{order_id}/rerun", api.rerun)
    app.router.add_post("/integration/orders/{order_id}/qc", api.evaluate)
    app.router.add_routes(control_routes(service))
    app.router.add_route("*", "/{anything:.*}", api.unknown)
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
        return await self._post(request, lambda order_id, _: self.service.rerun_order(order_id))

    async def evaluate(self, request: web.Request) -> web.Response:
        return await self._post(request, self.service.evaluate_order)

    async def _post(self, request: web.Request, act: Callable[[str, dict[str, Any]], Answer]) -> web.Response:
        body = await request.read()
        if not authorized(self.service, request):
            return self._unauthorized()
        try:
            said = _object(body)
        except ValueError as problem:
            return _respond(Answer(400, answers.unknown_error(str(problem))))
        return _respond(act(request.match_info["order_id"], said))

    async def unknown(self, request: web.Request) -> web.Response:
        return _respond(Answer(404, answers.unknown_error(f"Cannot {request.method} {request.rel_url.raw_path}")))

    def _unauthorized(self) -> web.Response:
        return _respond(answers.UNAUTHORIZED.answer(self.service.behaviour))


def _object(body: bytes) -> dict[str, Any]:
    """Read the body of a request.

    :raises ValueError: if it is neither empty nor a JSON object; with what the answer's `detail` says.
    """
    if not body.strip():
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError(f"Unexpected token in JSON: {body[:40].decode(errors='replace')!r}") from None
    if not isinstance(value, dict):
        raise ValueError("The body must be a JSON object")  # noqa: TRY004 - of what was sent, not of a caller's type
    return value


def _respond(answer: Answer) -> web.Response:
    text = json.dumps(answer.body, ensure_ascii=False, separators=(",", ":"))
    return web.Response(
        status=answer.status,
        body=text.encode("utf-8", "surrogatepass"),
        content_type="application/json",
        charset="utf-8",
    )
