"""Faults of the wire: what happens to chosen requests in place of, or on top of, their answer."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_ollang.sandbox.errors import SandboxError
from airflow_provider_ollang.sandbox.knobs import as_json, knob, read

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Generator = Literal[
    "array",
    "bad_utf8",
    "cut_json",
    "html",
    "huge",
    "long_number",
    "nested_arrays",
    "nested_objects",
    "not_a_number",
    "not_json",
]
#: How a body is made from a size.
_GENERATORS: dict[str, tuple[int, Callable[[int], bytes]]] = {
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


def generators() -> list[tuple[str, str, str]]:
    """Return name, usual size and first bytes of each body that can be made on the fly."""
    return [
        (f"`{name}`", f"{usual:,}", f"`{make(2)[:40].decode(errors='backslashreplace')}`")
        for name, (usual, make) in _GENERATORS.items()
    ]


@dataclass(frozen=True)
class Do:
    """What a fault does. Seconds are real ones: a client's timeouts count in those.

    :raises SandboxError: if nothing is to be done, or a value is out of range.
    """

    status: int | None = knob(None, "answer with this status in place of the real answer")
    headers: dict[str, str] | None = knob(None, "headers of the answer, `Retry-After` say")  # noqa: RUF009 - makes a field
    body: Any = knob(None, "body of that answer: text as it is, anything else as JSON")  # noqa: RUF009 - makes a field
    body_base64: str | None = knob(None, "body of that answer, as bytes in base64")
    generate: Generator | None = knob(None, "body of that answer, made on the fly")  # noqa: RUF009 - makes a field
    size: int | None = knob(
        None, "how deep, long or often `generate` makes it; by itself 100,000 deep, 5,000 digits, 25 MB"
    )
    processed: bool = knob(False, "the request has its effect first, before a delay or the answer in place of its own")
    delay: float | None = knob(None, "wait so many seconds, then go on")
    advance: float | None = knob(
        None, "like `delay`, but move the sandbox's clock on by so many sandbox seconds and wait for nothing"
    )
    drop: Literal["before", "after", "body"] | None = knob(
        None,
        "close the connection: `before` the request has any effect, `after` it was processed but before any answer, "
        "or half way through the `body`",
    )
    drip: float | None = knob(None, "send the body byte by byte, so many seconds apart")
    rate: int | None = knob(None, "send the body at so many bytes a second")
    redirect: str | None = knob(None, "redirect there, with 302 or the given `status`")

    def __post_init__(self) -> None:
        if all(getattr(self, each.name) == each.default for each in fields(self) if each.name != "size"):
            raise SandboxError(f"A fault needs something to do: {', '.join(each.name for each in fields(self))}.")
        if sum(given is not None for given in (self.body, self.body_base64, self.generate)) > 1:
            raise SandboxError("A fault has one body: body, body_base64 or generate.")
        if self.status is not None and not 200 <= self.status <= 999:
            raise SandboxError(f"Do.status is {self.status}; it must be within 200 and 999.")
        if self.processed and self.drop == "before":
            raise SandboxError("A fault cannot drop a request before it is processed and process it first.")
        if self.rate is not None and (self.rate < 1 or self.drip is not None):
            raise SandboxError("Do.rate must be at least 1, and does not go with drip.")
        for name in ("delay", "advance", "drip", "size"):
            if (getattr(self, name) or 0) < 0:
                raise SandboxError(f"Do.{name} cannot be negative.")
        for name, value in (self.headers or {}).items():
            if not f"{name}{value}".isprintable():
                raise SandboxError(f"The header {name!r} holds a character that no header can.")
        if self.body_base64 is not None:
            try:
                base64.b64decode(self.body_base64, validate=True)
            except ValueError:
                raise SandboxError("Do.body_base64 is not base64.") from None

    @property
    def answers(self) -> bool:
        """Whether the real answer is replaced."""
        given = (self.status, self.body, self.body_base64, self.generate, self.redirect)
        return any(each is not None for each in given)

    @property
    def processes(self) -> bool:
        """Whether the request has its effect."""
        if self.processed or self.drop == "after":
            return True
        return self.drop != "before" and not self.answers

    def payload(self) -> tuple[bytes, str]:
        """Return the body of the answer in place of the real one, and its content type."""
        if self.generate is not None:
            usual, make = _GENERATORS[self.generate]
            kind = {"html": "text/html", "not_json": "text/plain"}.get(self.generate, "application/json")
            return make(usual if self.size is None else self.size), kind
        if self.body_base64 is not None:
            return base64.b64decode(self.body_base64), "application/json"
        if isinstance(self.body, str):
            return self.body.encode(), "text/html" if self.body.lstrip().startswith("<") else "application/json"
        return b"" if self.body is None else json.dumps(self.body).encode(), "application/json"


@dataclass(frozen=True)
class Fault:
    """Which requests a fault hits.

    :raises SandboxError: if a count is negative.
    """

    method: str = knob("*", "HTTP method; `*`: any")
    path: str = knob("*", "glob over the path as it is sent, without the query; `*` matches slashes too")
    skip: int = knob(0, "so many matching requests go through first")
    times: int | None = knob(1, "how many are hit then; null: all")
    do: Any = knob(None, "what happens to them: the next table")  # noqa: RUF009 - makes a field

    def __post_init__(self) -> None:
        if self.skip < 0 or (self.times is not None and self.times < 0):
            raise SandboxError("Fault.skip and Fault.times cannot be negative.")


@dataclass(slots=True)
class Armed:
    """A fault that is in force.

    :param seen: matching requests so far.
    :param hits: how many of them it hit.
    """

    id: int
    fault: Fault
    do: Do
    seen: int = 0
    hits: int = 0

    def takes(self, method: str, path: str) -> bool:
        """Tell whether it hits this request, and count it."""
        if self.fault.method not in ("*", method) or not fnmatchcase(path, self.fault.path):
            return False
        if self.fault.times is not None and self.hits >= self.fault.times:
            return False
        self.seen += 1
        if self.seen <= self.fault.skip:
            return False
        self.hits += 1
        return True

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object, with the parts of `do` that were given."""
        done = {each.name: getattr(self.do, each.name) for each in fields(self.do)}
        given = {each.name: done[each.name] for each in fields(self.do) if done[each.name] != each.default}
        return {"id": self.id, **as_json(self.fault), "do": given, "hits": self.hits}


class Faults:
    """The faults in force; of several that match a request the one added first hits it."""

    def __init__(self) -> None:
        self._armed: list[Armed] = []
        self._last = 0

    def add(self, values: Mapping[str, Any]) -> Armed:
        """Put a fault in force, given as the control takes it.

        :raises SandboxError: for unknown names and values that make no sense.
        """
        fault = read(Fault, values)
        if not isinstance(fault.do, dict):
            raise SandboxError("A fault needs `do`: an object that says what happens.")
        armed = Armed(self._last + 1, fault, read(Do, fault.do))
        self._last += 1
        self._armed.append(armed)
        return armed

    def match(self, method: str, path: str) -> Armed | None:
        """Return the fault that hits this request, if one does."""
        return next((armed for armed in self._armed if armed.takes(method, path)), None)

    def all(self) -> list[Armed]:
        """Return the faults added, those that have had their hits too."""
        return list(self._armed)

    def remove(self, fault_id: int | None = None) -> int:
        """Take away one fault, or all; return how many went."""
        kept = [armed for armed in self._armed if fault_id is not None and armed.id != fault_id]
        gone = len(self._armed) - len(kept)
        self._armed = kept
        return gone
