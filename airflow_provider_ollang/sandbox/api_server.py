"""The host of the API: its routes, and what every request must have. What each responds is in `service`.

To add a route, add a line to `ROUTES`, and a method to `Service` that a test can call without HTTP.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_provider_ollang.sandbox.admin_api import admin_routes
from airflow_provider_ollang.sandbox.request_log import is_authorized, logged_application
from airflow_provider_ollang.sandbox.responses import UNAUTHORIZED, Response, unknown_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_ollang.sandbox.faults import Handler
    from airflow_provider_ollang.sandbox.service import Service

    Respond = Callable[[Service, web.Request], Awaitable[Response]]


async def _list_orders(service: Service, request: web.Request) -> Response:
    return service.list_orders(request.rel_url.raw_query_string)


async def _get_order(service: Service, request: web.Request) -> Response:
    return service.get_order(request.match_info["id"])


async def _rerun_order(service: Service, request: web.Request) -> Response:
    await _read_object(request)
    return service.rerun_order(request.match_info["id"])


async def _evaluate_order(service: Service, request: web.Request) -> Response:
    return service.evaluate_order(request.match_info["id"], await _read_object(request))


#: Method, path, and what responds to a request with the right key.
ROUTES: tuple[tuple[str, str, Respond], ...] = (
    ("GET", "/integration/orders", _list_orders),
    ("GET", "/integration/orders/{id}", _get_order),
    ("POST", "/integration/orders/{id}/rerun", _rerun_order),
    ("POST", "/integration/orders/{id}/qc", _evaluate_order),
)


def api_application(service: Service) -> web.Application:
    """Make the application that serves a sandbox's API, and its admin API."""
    app = logged_application(service, "api")

    def with_key(respond: Respond) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            if not is_authorized(service, request):
                await request.read()
                return _to_http(UNAUTHORIZED.response(service.behaviour))
            try:
                return _to_http(await respond(service, request))
            except _BodyError as error:
                return _to_http(unknown_error(400, str(error)))

        return handler

    async def health(_: web.Request) -> web.Response:
        return _to_http(Response(200, {"status": "OK", "time": service.clock.now()}))

    async def unknown(request: web.Request) -> web.Response:
        return _to_http(unknown_error(404, f"Cannot {request.method} {request.rel_url.raw_path}"))

    app.router.add_get("/health", health)
    for method, path, respond in ROUTES:
        add = app.router.add_get if method == "GET" else app.router.add_post
        add(path, with_key(respond))
    app.router.add_routes(admin_routes(service))
    app.router.add_route("*", "/{anything:.*}", unknown)
    return app


class _BodyError(ValueError):
    """A body that is neither empty nor a JSON object; the message is the `detail` of the response."""


async def _read_object(request: web.Request) -> dict[str, Any]:
    body = await request.read()
    if not body.strip():
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise _BodyError(f"Unexpected token in JSON: {body[:40].decode(errors='replace')!r}") from None
    if not isinstance(value, dict):
        raise _BodyError("The body must be a JSON object")
    return value


def _to_http(response: Response) -> web.Response:
    text = json.dumps(response.body, ensure_ascii=False, separators=(",", ":"))
    return web.Response(
        status=response.status,
        body=text.encode("utf-8", "surrogatepass"),
        content_type="application/json",
        charset="utf-8",
    )
