"""The host of the API: its routes, and what every request must have. What each responds is in `service`.

To add a route, add a line to `ROUTES`, and a method to `Service` that a test can call without HTTP.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_provider_ollang.sandbox import uploads
from airflow_provider_ollang.sandbox.admin_api import admin_routes
from airflow_provider_ollang.sandbox.request_log import is_authorized, logged_application
from airflow_provider_ollang.sandbox.responses import TOO_LARGE, UNAUTHORIZED, Response, unknown_error
from airflow_provider_ollang.sandbox.service import Service

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_ollang.sandbox.faults import Handler

    Respond = Callable[[Service, web.Request], Awaitable[Response]]

_CHUNKED = (
    "The first argument must be of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like "
    "Object. Received undefined"
)
#: So much of an upload may be the form around the file.
_FORM = 64 * 1024


def _by_id(respond: Callable[[Service, str], Response]) -> Respond:
    """Respond by the id in the path alone; a body is ignored."""

    async def by_id(service: Service, request: web.Request) -> Response:
        return respond(service, request.match_info["id"])

    return by_id


def _by_query(respond: Callable[[Service, str], Response]) -> Respond:
    """Respond by the query alone."""

    async def by_query(service: Service, request: web.Request) -> Response:
        return respond(service, request.rel_url.raw_query_string)

    return by_query


async def _rerun_order(service: Service, request: web.Request) -> Response:
    await _read_object(request)
    return service.rerun_order(request.match_info["id"])


async def _evaluate_order(service: Service, request: web.Request) -> Response:
    return service.evaluate_order(request.match_info["id"], await _read_object(request))


async def _create_orders(service: Service, request: web.Request) -> Response:
    await _require_length(request)
    return service.create_orders(await _read_object(request))


async def _credits(service: Service, _: web.Request) -> Response:
    return service.credits()


async def _upload(service: Service, request: web.Request) -> Response:
    await _require_length(request)
    behaviour = service.behaviour
    if behaviour.upload_refused_early and (request.content_length or 0) > uploads.largest(behaviour) + _FORM:
        return TOO_LARGE.response(behaviour)
    try:
        upload = await uploads.read_form(request)
    except uploads.FormError as error:
        raise _BodyError(str(error)) from None
    response = service.upload(upload)
    await asyncio.sleep(behaviour.upload_answer_after)
    return response


async def _upload_link(service: Service, request: web.Request) -> Response:
    await _require_length(request)
    return service.upload(uploads.from_link(await _read_object(request)))


#: Method, path, and what responds to a request with the right key.
ROUTES: tuple[tuple[str, str, Respond], ...] = (
    ("GET", "/integration/orders", _by_query(Service.list_orders)),
    ("GET", "/integration/orders/{id}", _by_id(Service.get_order)),
    ("POST", "/integration/orders/{id}/rerun", _rerun_order),
    ("POST", "/integration/orders/{id}/qc", _evaluate_order),
    ("POST", "/integration/orders/{id}/human-review", _by_id(Service.request_review)),
    ("POST", "/integration/orders/{id}/cancel-human-review", _by_id(Service.cancel_review)),
    ("GET", "/integration/orders/{id}/review/info", _by_id(Service.review_info)),
    ("POST", "/integration/orders/create", _create_orders),
    ("POST", "/integration/orders/cancel/{id}", _by_id(Service.cancel_order)),
    ("GET", "/integration/credits", _credits),
    ("POST", "/integration/upload/direct", _upload),
    ("POST", "/integration/upload/direct-url", _upload_link),
    ("GET", "/integration/project", _by_query(Service.list_projects)),
    ("GET", "/integration/project/{id}", _by_id(Service.get_project)),
    ("GET", "/integration/folder", _by_query(Service.list_folders)),
)


def api_application(service: Service) -> web.Application:
    """Make the application that serves a sandbox's API, and its admin API."""
    app = logged_application(service, "api")

    def with_key(respond: Respond) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            if not is_authorized(service, request):
                await uploads.drain(request)
                return _to_http(UNAUTHORIZED.response(service.behaviour))
            try:
                return _to_http(await respond(service, request))
            except _BodyError as error:
                return _to_http(unknown_error(error.status, str(error)))

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
    """A body that cannot be read; the message is the `detail` of the response."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


async def _require_length(request: web.Request) -> None:
    """Refuse a chunked body, as the vendor warns that some endpoints do."""
    if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
        await uploads.drain(request)
        raise _BodyError(_CHUNKED, 500)


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
    if response.status == 204:
        return web.Response(status=204)
    text = json.dumps(response.body, ensure_ascii=False, separators=(",", ":"))
    return web.Response(
        status=response.status,
        body=text.encode("utf-8", "surrogatepass"),
        content_type="application/json",
        charset="utf-8",
    )
