"""What both clients make of the same response."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from airflow_provider_ollang.exceptions import OllangError
from airflow_provider_ollang.hooks.ollang import OllangHook

from .conftest import ORDER
from .wire import send

#: What the libraries say in brackets about a connection that broke is theirs, and they have different words for it.
LIBRARY_WORDS = re.compile(r"(the connection broke|no connection (?:through the proxy )?to \S+) \(.*\)\.$")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a GET; users cannot tell equal outcomes apart."""

    order: dict[str, Any] | None = None
    error: type[OllangError] | None = None
    fields: dict[str, Any] | None = None
    text: str = ""
    full_text: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Outcome) and self._compared() == other._compared()

    __hash__ = None  # type: ignore[assignment]

    def _compared(self) -> tuple[object, ...]:
        return self.order, self.error, self.fields, self.text


def _failure(error: OllangError) -> Outcome:
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    text = str(error)
    return Outcome(None, type(error), dict(vars(error)), LIBRARY_WORDS.sub(r"\1 (*).", text), text)


def outcome(hook: OllangHook, what: str, order_id: object = ORDER) -> Outcome:
    """Send a request and return its outcome."""
    try:
        return Outcome(send(hook, what, order_id))
    except OllangError as error:
        return _failure(error)


def alike(hook: OllangHook, order_id: object = ORDER) -> Outcome:
    """Return the outcome of a GET, which is the same with both clients."""
    sync_outcome, async_outcome = (outcome(hook, what, order_id) for what in ("get", "async get"))
    assert async_outcome == sync_outcome
    hook.close()
    return async_outcome
