"""Reading single values of the API's JSON, of which every one may be missing, null or of another type."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

# Line and paragraph separators end a line of a log too; half a character can be written nowhere.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SIGNATURE = re.compile(
    r"(\b(?:[\w-]{0,40}(?:signature|credential|token)|sig|key|expires|policy)=)[^\s&\"'<>]+", re.IGNORECASE
)
_URL_QUERY = re.compile(r"(://[^\s?\"'<>]*)\?[^\s\"'<>]*")
_SEPARATORS = re.compile(r"[\s_-]+")


def parse_time(value: object) -> datetime | None:
    """Return a timestamp, ISO 8601, else ``None``; without a zone it is UTC, as the API documents."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def parse_text(value: object) -> str | None:
    """Return a text, else ``None``; ids are documented as texts, and a whole number in their place is the same id."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def parse_number(value: object) -> float | int | None:
    """Return a number, else ``None``."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def parse_score(value: object) -> float | None:
    """Return a finite number, given as such or as text, else ``None``."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def printable(text: str) -> str:
    """Return foreign text on one line, without control characters."""
    return _CONTROL.sub(" ", text)


def readable(text: str, max_length: int) -> str:
    """Return foreign text fit for a message: printable, without URL queries, cut to ``max_length`` characters."""
    # Cut first to what can be shown at all: on a whole response the search for links could take minutes.
    text = _URL_QUERY.sub(r"\1?…", printable(text)[: 8 * max_length])
    text = _SIGNATURE.sub(r"\1…", text)
    return text if len(text) <= max_length else f"{text[: max_length - 1]}…"


def plain_name(name: str) -> str:
    """Return the name of a criterion as it is compared: without case, spaces, ``_`` and ``-``."""
    return _SEPARATORS.sub("", name).casefold()


def only_mappings(value: object) -> Iterator[Mapping[str, Any]]:
    """Give the objects in a list; nothing for anything that is no list."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))


def known_fields(cls: type[Any], value: Mapping[str, Any], renamed: Mapping[str, str] | None = None) -> dict[str, Any]:
    """
    Return what a stored dict says about the fields of a dataclass, so that any version of the provider can read it.

    :param cls: the dataclass.
    :param value: what this or another version stored; what it has besides is left out.
    :param renamed: today's names of fields that earlier versions stored under another one.
    """
    names = {field.name for field in fields(cls)}
    current = {(renamed or {}).get(name, name): stored for name, stored in value.items()}
    return {name: stored for name, stored in current.items() if name in names}
