"""Faults: what happens to chosen requests in place of, or on top of, their response."""

from __future__ import annotations

import asyncio
import json
import math
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from aiohttp import web

from airflow_provider_ollang.sandbox.options import SandboxError, option, parse_options, require_ranges

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


#: The usual size of a generated body, and how it is made from a size.
GENERATORS: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "array": (2, lambda size: json.dumps([{"id": str(n)} for n in range(size)]).encode()),
    "bad_utf8": (1, lambda size: b'{"status": "completed", "name": "' + b"\xff\xfe\x80" * size + b'"}'),
    "cut_json": (1, lambda size: b'{"status": "completed", "orderDocs": [' + b'{"id": "doc"},' * size),
    "html": (1, lambda size: b"<html><body>" + b"<h1>502 Bad Gateway</h1>" * size + b"</body></html>"),
    "huge": (25_000_000, lambda size: b'{"status": "completed", "name": "' + b"a" * size + b'"}'),
    "long_number": (5_000, lambda size: b'{"status": "completed", "rate": ' + b"9" * size + b"}"),
    "nested_arrays": (100_000, lambda size: b'{"status": ' + b"[" * size + b"]" * size + b"}"),
    "nested_objects": (100_000, lambda size: b'{"status":' * size + b"null" + b"}" * size),
    "not_a_number": (1, lambda size: b'{"status": "completed", "rate": ' + b"NaN" * size + b"}"),
    "not_json": (1, lambda size: b"upstream request timeout " * size),
}


@dataclass(frozen=True)
class Do:
    """What a fault does. Seconds are real ones, as a client's timeouts are.

    :raises SandboxError: if nothing is to be done, or a value is out of range.
    """

    status: int | None = option(None, "respond with this status in place of the real response", within=(200, 999))
    headers: dict[str, str] | None = option(None, "headers of the response, `Retry-After` for example")  # noqa: RUF009 - makes a field
    body: Any = option(None, "body of that response: text as it is, anything else as JSON")  # noqa: RUF009 - makes a field
    generate: str | None = option(
        None, f"body of that response, generated: {', '.join(f'`{name}`' for name in GENERATORS)}"
    )
    size: int | None = option(
        None, "how deep, long or often `generate` makes it; usually 100,000, 5,000 and 25 MB", within=(0, None)
    )
    processed: bool = option(
        False, "the request has its effect first, before a delay or the response in place of its own"
    )
    delay: float | None = option(None, "wait so many seconds first", within=(0, None))
    advance: float | None = option(
        None, "like `delay`, but advance the sandbox's clock instead of waiting", within=(0, None)
    )
    drop: Literal["before", "after", "body"] | None = option(
        None,
        "close the connection: `before` the request has any effect, `after` it was processed but before any response, "
        "or half-way through the `body`",
    )
    rate: float | None = option(None, "send the body at so many bytes a second; 0.1: a byte every ten seconds")
    redirect: str | None = option(None, "redirect there, with 302 or the given `status`")

    def __post_init__(self) -> None:
        require_ranges(self)
        if all(getattr(self, each.name) == each.default for each in fields(self) if each.name != "size"):
            raise SandboxError(f"A fault needs something to do: {', '.join(each.name for each in fields(self))}.")
        if self.body is not None and self.generate is not None:
            raise SandboxError("A fault has one body: body or generate.")
        if self.generate is not None and self.generate not in GENERATORS:
            raise SandboxError(f"Do.generate takes {', '.join(GENERATORS)}, not {self.generate!r}.")
        if self.processed and self.drop == "before":
            raise SandboxError("A fault cannot drop a request before it is processed and process it first.")
        if self.rate is not None and self.rate <= 0:
            raise SandboxError("Do.rate must be above 0.")
        for name, value in (self.headers or {}).items():
            if not f"{name}{value}".isprintable():
                raise SandboxError(f"The header {name!r} has a character that no header can have.")

    @property
    def answers(self) -> bool:
        """Whether the real response is replaced."""
        return (self.status, self.body, self.generate, self.redirect) != (None, None, None, None)

    @property
    def processes(self) -> bool:
        """Whether the request has its effect."""
        return self.processed or self.drop == "after" or (self.drop != "before" and not self.answers)

    def payload(self) -> tuple[bytes, str]:
        """Return the body of the response in place of the real one, and its content type."""
        if self.generate is not None:
            usual, make = GENERATORS[self.generate]
            kind = {"html": "text/html", "not_json": "text/plain"}.get(self.generate, "application/json")
            return make(usual if self.size is None else self.size), kind
        if isinstance(self.body, str):
            kind = "text/html" if self.body.lstrip().startswith("<") else "application/json"
            return self.body.encode(errors="surrogateescape"), kind
        return b"" if self.body is None else json.dumps(self.body).encode(), "application/json"


@dataclass(frozen=True)
class Fault:
    """Which requests a fault hits.

    :raises SandboxError: if a count is negative.
    """

    method: str = option("*", "HTTP method; `*`: any")
    path: str = option("*", "glob over the path as it is sent, without the query; `*` matches slashes too")
    skip: int = option(0, "so many matching requests are spared first", within=(0, None))
    times: int | None = option(1, "how many are hit then; null: all", within=(0, None))
    do: Any = option(None, "what happens to them: the next table")  # noqa: RUF009 - makes a field

    def __post_init__(self) -> None:
        require_ranges(self)


@dataclass(slots=True)
class ActiveFault:
    """A fault, how many requests have matched it, and how many of them it hit."""

    id: int
    fault: Fault
    do: Do
    matches: int = 0
    hits: int = 0

    def hit(self, method: str, path: str) -> bool:
        """Count a request, and tell whether it is hit."""
        if self.fault.method not in ("*", method) or not fnmatchcase(path, self.fault.path):
            return False
        if self.fault.times is not None and self.hits >= self.fault.times:
            return False
        self.matches += 1
        if self.matches <= self.fault.skip:
            return False
        self.hits += 1
        return True

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object, with the parts of `do` that were given."""
        do = {each.name: getattr(self.do, each.name) for each in fields(self.do)}
        given = {each.name: do[each.name] for each in fields(self.do) if do[each.name] != each.default}
        return {"id": self.id, **asdict(self.fault), "do": given, "hits": self.hits}


class Faults:
    """The faults, also those that have had their hits; of several that match a request, the first added hits it."""

    def __init__(self) -> None:
        self.active: list[ActiveFault] = []
        self._last = 0

    def add(self, values: Mapping[str, Any]) -> ActiveFault:
        """Add a fault, given as the admin API takes it.

        :raises SandboxError: for unknown names and values that make no sense.
        """
        fault = parse_options(Fault, values)
        if not isinstance(fault.do, dict):
            raise SandboxError("A fault needs `do`: an object that says what happens.")
        do = parse_options(Do, fault.do)
        self._last += 1
        self.active.append(ActiveFault(self._last, fault, do))
        return self.active[-1]

    def match(self, method: str, path: str) -> ActiveFault | None:
        """Return the fault that hits this request, if one does."""
        return next((fault for fault in self.active if fault.hit(method, path)), None)

    def remove(self, fault_id: int | None = None) -> int:
        """Remove one fault, or all; return how many were removed."""
        kept = [fault for fault in self.active if fault_id is not None and fault.id != fault_id]
        removed = len(self.active) - len(kept)
        self.active = kept
        return removed


# What they do to a request


class Streamed(web.StreamResponse):
    """A response whose body is made while it is sent; without a length it is sent in chunks."""

    def __init__(
        self, pieces: Iterable[bytes | memoryview], length: int | None, *, status: int, headers: dict[str, str]
    ) -> None:
        super().__init__(status=status, headers=headers)
        self.pieces = pieces
        self.length = length
        if length is not None:
            self.content_length = length


async def apply_fault(
    do: Do, request: web.Request, handler: Handler, advance: Callable[[float], None]
) -> web.StreamResponse | None:
    """Do what a fault does before anything is sent, and return the response to send; None: hang up.

    :param advance: moves the sandbox's clock.
    """
    response = await handler(request) if do.processed else None
    if do.delay:
        # A client that gives up during the delay would otherwise take the rest of its request with it. Of an upload,
        # which may be larger than the memory, it takes it.
        if not request.content_type.startswith("multipart/"):
            await request.read()
        await asyncio.sleep(do.delay)
    if do.advance:
        advance(do.advance)
    if response is None and do.processes:
        response = await handler(request)
    if do.drop in ("before", "after"):
        return None
    if do.answers or response is None:
        body, kind = do.payload()
        location = {} if do.redirect is None else {"Location": do.redirect}
        status = do.status or (200 if do.redirect is None else 302)
        response = web.Response(status=status, body=body, headers={**location, "Content-Type": kind})
    response.headers.update(do.headers or {})
    return response


def hang_up(request: web.Request) -> web.Response:
    """Close the connection."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def send(request: web.Request, response: web.StreamResponse, do: Do | None = None) -> web.StreamResponse:
    """Send a response as a fault wants it, or leave it to aiohttp where nothing is special about it."""
    cut = do is not None and do.drop == "body"
    rate = None if do is None else do.rate
    if not isinstance(response, Streamed):
        if not cut and rate is None:
            return response
        body: Any = response.body if isinstance(response, web.Response) else b""
        body = body if isinstance(body, bytes) else b""
        response = Streamed([body], len(body), status=response.status, headers=dict(response.headers))
    # A client may leave half-way.
    with suppress(ConnectionError):
        await _write(request, response, cut=cut, rate=rate)
    return response


async def _write(request: web.Request, response: Streamed, *, cut: bool, rate: float | None) -> None:
    limit = None if not cut or response.length is None else response.length // 2
    await response.prepare(request)
    for piece in _split(response.pieces, None if rate is None else math.ceil(rate / 20), limit):
        await response.write(piece)
        if rate is not None:
            await asyncio.sleep(len(piece) / rate)
        if cut and limit is None:
            break
    if cut:
        hang_up(request)
    else:
        await response.write_eof()


def _split(pieces: Iterable[bytes | memoryview], size: int | None, limit: int | None) -> Iterator[bytes | memoryview]:
    for piece in pieces:
        limited = piece if limit is None else piece[:limit]
        if limit is not None:
            limit -= len(limited)
        step = size or len(limited) or 1
        for begin in range(0, len(limited), step):
            yield limited[begin : begin + step]
        if limit == 0:
            return
