"""The admin API, under `/_sandbox/`: what Python can do, for clients on the same machine, without a key."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_provider_ollang import __version__
from airflow_provider_ollang.sandbox.options import SandboxError, is_number
from airflow_provider_ollang.sandbox.request_log import ADMIN

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_ollang.sandbox.faults import Handler
    from airflow_provider_ollang.sandbox.service import Service

    Act = Callable[[Service, web.Request], Awaitable[dict[str, Any]]]


_KINDS = {dict: "a JSON object", str: "a text", bool: "true or false", float: "a number"}


async def _overview(service: Service, _: web.Request) -> dict[str, Any]:
    calls = [{"method": method, "path": path, "about": about} for method, path, _, about in ROUTES]
    return {"sandbox": "Ollang", "version": __version__, "admin_api": calls, **service.overview()}


async def _put_order(service: Service, request: web.Request) -> dict[str, Any]:
    body = await _read_object(request, order=dict, files=object, behaviour=dict, owner=str, exact=bool)
    order_id, order = request.match_info["id"], body.pop("order", {})
    if order.get("id", order_id) != order_id and not body.get("exact"):
        raise SandboxError(f"The path says order {order_id}, the body {order['id']!r}.")
    service.add_order({**order, "id": order_id}, **body)
    return service.order(order_id)


async def _patch_order(service: Service, request: web.Request) -> dict[str, Any]:
    body = await _read_object(request, order=dict, behaviour=dict, owner=str, after=float)
    service.change_order(request.match_info["id"], **body)
    return service.order(request.match_info["id"])


async def _get_order(service: Service, request: web.Request) -> dict[str, Any]:
    return service.order(request.match_info["id"])


async def _get_file(service: Service, request: web.Request) -> dict[str, Any]:
    content = service.content(request.match_info["id"], request.match_info["document"])
    # Gigabytes take seconds, in which other requests are served.
    sha256 = await asyncio.to_thread(content.sha256)
    return {"name": content.name, "type": content.media_type, "size": content.size, "sha256": sha256}


async def _projects(service: Service, _: web.Request) -> dict[str, Any]:
    with service.lock:
        return {"projects": service.projects(), "counts": service.counts()}


async def _patch_behaviour(service: Service, request: web.Request) -> dict[str, Any]:
    service.change_behaviour(await _read_object(request))
    return asdict(service.behaviour)


async def _add_fault(service: Service, request: web.Request) -> dict[str, Any]:
    body = await _read_object(request)
    with service.lock:
        return service.faults.add(body).as_json()


async def _remove_faults(service: Service, request: web.Request) -> dict[str, Any]:
    fault_id = request.query.get("id")
    with service.lock:
        return {"removed": service.faults.remove(None if fault_id is None else _whole(fault_id, "id"))}


async def _requests(service: Service, request: web.Request) -> dict[str, Any]:
    after = _whole(request.query.get("after", "0"), "after")
    with service.lock:
        return {"requests": [logged.as_json() for logged in service.log.after(after)], "last": service.log.last}


async def _clock(service: Service, request: web.Request) -> dict[str, Any]:
    body = await _read_object(request, speed=float, advance=float)
    if "speed" in body:
        service.set_speed(body["speed"])
    if "advance" in body:
        service.advance(body["advance"])
    return service.time()


async def _reset(service: Service, _: web.Request) -> dict[str, Any]:
    service.reset()
    return service.time()


#: Method, path, what responds, and what it does: shown by `GET /_sandbox/` and in the docs.
ROUTES: tuple[tuple[str, str, Act, str], ...] = (
    ("GET", "/_sandbox/", _overview, "this list, orders, clock, faults, counts"),
    ("PUT", "/_sandbox/orders/{id}", _put_order, "add or replace an order: `{order, files, behaviour, owner, exact}`"),
    ("PATCH", "/_sandbox/orders/{id}", _patch_order, "change it, as a user does: `{order, behaviour, owner, after}`"),
    ("GET", "/_sandbox/orders/{id}", _get_order, "the order, behaviour, owner, counts, `history`, `evaluations`"),
    ("GET", "/_sandbox/orders/{id}/files/{document}", _get_file, "its file, or `vttUrl`: name, type, size, `sha256`"),
    ("GET", "/_sandbox/projects", _projects, "each project: name, `bytes`, `sha256`, what was `asked`; and the counts"),
    ("PATCH", "/_sandbox/behaviour", _patch_behaviour, "change options of the whole sandbox"),
    ("POST", "/_sandbox/faults", _add_fault, "add a fault: `{method, path, skip, times, do}`"),
    ("DELETE", "/_sandbox/faults", _remove_faults, "remove all faults, or `?id=N` one"),
    ("GET", "/_sandbox/requests", _requests, "the request log; `?after=N`: what has a number above N"),
    ("POST", "/_sandbox/clock", _clock, "`{speed}` or `{advance}` (seconds)"),
    ("POST", "/_sandbox/reset", _reset, "be as at the start"),
)


async def _unknown(_: Service, request: web.Request) -> dict[str, Any]:
    calls = ", ".join(f"{method} {path}" for method, path, *_ in ROUTES)
    raise SandboxError(f"No admin call {request.method} {request.path}; there are {calls}.", status=404)


def admin_routes(service: Service) -> list[web.RouteDef]:
    """Make the routes of the admin API."""

    def guarded(act: Act) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            if not is_local(request.transport and request.transport.get_extra_info("peername")):
                return _error("The admin API answers on the sandbox's own machine only.", 403)
            try:
                return web.json_response(await act(service, request))
            except SandboxError as error:
                return _error(str(error), error.status)

        return handler

    routes = [web.route(method, path, guarded(act)) for method, path, act, _ in ROUTES]
    return [web.get(ADMIN, guarded(_overview)), *routes, web.route("*", f"{ADMIN}{{rest:.*}}", guarded(_unknown))]


def _error(message: str, status: int) -> web.Response:
    return web.json_response({"error": message}, status=status)


def is_local(peer: Any) -> bool:
    """Tell whether a socket's peer (`(host, port, …)`) is on this machine."""
    if not peer:
        return False
    address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


async def _read_object(request: web.Request, **kinds: type) -> dict[str, Any]:
    """Return the fields of a JSON object; `kinds`: what each may be, or null, which is left out; none: any fields."""
    try:
        value = json.loads(await request.read() or b"{}")
    except (ValueError, RecursionError):
        raise SandboxError("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise SandboxError("The body must be a JSON object.")
    for name, field in value.items():
        if kinds and name not in kinds:
            raise SandboxError(f"Unknown name {name!r}; there are {', '.join(kinds)}.")
        kind = kinds.get(name, object)
        if field is not None and not (is_number(field) if kind is float else isinstance(field, kind)):
            raise SandboxError(f"{name} must be {_KINDS[kind]}.")
    return {name: field for name, field in value.items() if field is not None or not kinds}


def _whole(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise SandboxError(f"{name} must be a whole number.")
    return int(text[:18])
