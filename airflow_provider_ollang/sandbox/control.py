"""The control of the sandbox over HTTP, under `/_sandbox/`: for peers on the same machine, without a key."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from airflow_provider_ollang import __version__
from airflow_provider_ollang.sandbox.errors import SandboxError
from airflow_provider_ollang.sandbox.knobs import is_number
from airflow_provider_ollang.sandbox.wire import CONTROL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_ollang.sandbox.core import Service

#: Method, path and what it does: shown by `GET /_sandbox/` and in the docs.
CALLS: tuple[tuple[str, str, str], ...] = (
    ("GET", "/_sandbox/", "this list, the orders, the clock, the faults, and how many requests and connections"),
    ("PUT", "/_sandbox/orders/{id}", "create or replace an order: `{order, files, behaviour, owner, exact}`"),
    (
        "PATCH",
        "/_sandbox/orders/{id}",
        "change it as another person would: `{order, behaviour, owner, after}`, or `at` in place of `after`",
    ),
    (
        "GET",
        "/_sandbox/orders/{id}",
        "the order, behaviour, owner, counts (`reruns_accepted`, `evaluations_refused`, …), `history`, `evaluations`",
    ),
    (
        "GET",
        "/_sandbox/orders/{id}/files/{document}",
        "what is behind a document's link (`vttUrl`: behind that one): name, type, size and `sha256`",
    ),
    ("POST", "/_sandbox/faults", "put a fault in force: `{method, path, skip, times, do}`"),
    ("DELETE", "/_sandbox/faults", "take all faults away, or `?id=N` one"),
    ("GET", "/_sandbox/journal?after=N", "the requests with a number above N"),
    ("POST", "/_sandbox/clock", "`{speed}`, `{advance}` (seconds) or `{stop: true}`"),
    ("POST", "/_sandbox/reset", "as at the start"),
)


def control_routes(service: Service) -> list[web.RouteDef]:
    """Make the routes of the control."""
    control = _Control(service)
    order = f"{CONTROL}/orders/{{order_id}}"
    return [
        web.get(CONTROL, _guarded(control.overview)),
        web.get(f"{CONTROL}/", _guarded(control.overview)),
        web.put(order, _guarded(control.put)),
        web.patch(order, _guarded(control.patch)),
        web.get(order, _guarded(control.get)),
        web.get(f"{order}/files/{{document_id}}", _guarded(control.file)),
        web.post(f"{CONTROL}/faults", _guarded(control.add_fault)),
        web.delete(f"{CONTROL}/faults", _guarded(control.remove_faults)),
        web.get(f"{CONTROL}/journal", _guarded(control.journal)),
        web.post(f"{CONTROL}/clock", _guarded(control.clock)),
        web.post(f"{CONTROL}/reset", _guarded(control.reset)),
        web.route("*", f"{CONTROL}{{anything:.*}}", _guarded(control.unknown)),
    ]


def _guarded(
    call: Callable[[web.Request], Awaitable[dict[str, Any]]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        try:
            _check_peer(request)
            return web.json_response(await call(request))
        except SandboxError as error:
            return web.json_response({"error": str(error)}, status=error.status)

    return handler


def _check_peer(request: web.Request) -> None:
    if not is_local(request.transport and request.transport.get_extra_info("peername")):
        raise SandboxError("The control answers on the sandbox's own machine only.", status=403)


def is_local(peer: Any) -> bool:
    """Tell whether a socket's peer (`(host, port, …)`) is on this machine."""
    if not peer:
        return False
    address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


async def _body(request: web.Request, *known: str) -> dict[str, Any]:
    try:
        value = json.loads(await request.read() or b"{}")
    except (ValueError, RecursionError):
        raise SandboxError("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise SandboxError("The body must be a JSON object.")
    for name in value:
        if known and name not in known:
            raise SandboxError(f"Unknown name {name!r}; known are {', '.join(known)}.")
    return value


class _Control:
    def __init__(self, service: Service) -> None:
        self.service = service

    async def overview(self, _: web.Request) -> dict[str, Any]:
        calls = [{"method": method, "path": path, "about": about} for method, path, about in CALLS]
        return {"sandbox": "Ollang", "version": __version__, "control": calls, **self.service.overview()}

    async def put(self, request: web.Request) -> dict[str, Any]:
        body = await _body(request, "order", "files", "behaviour", "owner", "exact")
        order_id = request.match_info["order_id"]
        order = _object(body, "order")
        if order.setdefault("id", order_id) != order_id and not body.get("exact"):
            raise SandboxError(f"The path says order {order_id}, the body {order['id']!r}.")
        self.service.add_order(
            {**order, "id": order_id},
            owner=_text(body, "owner") or "own",
            behaviour=_object(body, "behaviour"),
            exact=body.get("exact") is True,
            files=body.get("files"),
        )
        return self.service.order(order_id)

    async def patch(self, request: web.Request) -> dict[str, Any]:
        body = await _body(request, "order", "behaviour", "owner", "after", "at")
        order_id = request.match_info["order_id"]
        self.service.change_order(
            order_id,
            _object(body, "order"),
            owner=_text(body, "owner"),
            behaviour=_object(body, "behaviour"),
            after=_number(body.get("after", 0), "after"),
            at=_text(body, "at"),
        )
        return self.service.order(order_id)

    async def get(self, request: web.Request) -> dict[str, Any]:
        return self.service.order(request.match_info["order_id"])

    async def file(self, request: web.Request) -> dict[str, Any]:
        content = self.service.content(request.match_info["order_id"], request.match_info["document_id"])
        # Gigabytes take seconds, in which the others are served.
        sha256 = await asyncio.to_thread(content.sha256)
        return {"name": content.name, "type": content.media_type, "size": content.size, "sha256": sha256}

    async def add_fault(self, request: web.Request) -> dict[str, Any]:
        body = await _body(request)
        with self.service.lock:
            return self.service.faults.add(body).as_json()

    async def remove_faults(self, request: web.Request) -> dict[str, Any]:
        wanted = request.query.get("id")
        with self.service.lock:
            return {"removed": self.service.faults.remove(None if wanted is None else _whole(wanted, "id"))}

    async def journal(self, request: web.Request) -> dict[str, Any]:
        after = _whole(request.query.get("after", "0"), "after")
        with self.service.lock:
            entries = self.service.log.after(after)
            return {"requests": [entry.as_json() for entry in entries], "last": self.service.log.last}

    async def clock(self, request: web.Request) -> dict[str, Any]:
        body = await _body(request, "speed", "advance", "stop")
        with self.service.lock:
            if body.get("stop"):
                self.service.clock.set_speed(0)
            if "speed" in body:
                self.service.clock.set_speed(_number(body["speed"], "speed"))
            if "advance" in body:
                self.service.clock.advance(_number(body["advance"], "advance"))
            return self.service.time()

    async def reset(self, _: web.Request) -> dict[str, Any]:
        self.service.reset()
        return self.service.time()

    async def unknown(self, request: web.Request) -> dict[str, Any]:
        known = ", ".join(f"{method} {path}" for method, path, _ in CALLS)
        raise SandboxError(f"No control {request.method} {request.path}; there are {known}.", status=404)


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise SandboxError(f"{name} must be a JSON object.")
    return value or {}


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise SandboxError(f"{name} must be a text.")
    return value


def _number(value: Any, name: str) -> float:
    if not is_number(value):
        raise SandboxError(f"{name} must be a number.")
    return float(value)


def _whole(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise SandboxError(f"{name} must be a whole number.")
    return int(text[:18])
