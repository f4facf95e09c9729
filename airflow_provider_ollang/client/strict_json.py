"""
JSON that can be read once and written everywhere: strict, finite, bounded.

An order is handed on as XCom and shown in logs, and what Python's parser takes is more than those can write: numbers
beyond 64 bits, half of a surrogate pair, a hundred levels. It is better refused or mended here, where a failure is one
error with a request in it, than after a paid request, in Airflow's serializer.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

# Airflow writes an XCom of twice this depth, and of three times not.
_MAX_DEPTH = 100


def parse_json(body: bytes) -> Any:
    """
    Parse a body strictly.

    What no XCom or log could be written with is mended: half a character is replaced, a whole number beyond 64 bits
    becomes a float.

    :raises ValueError: it is no JSON, or nested or sized beyond what can be read and written.
    """
    # RFC 8259 section 8.1: a byte order mark may be ignored.
    text = body.decode("utf-8-sig")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    # Only an escape can bring half a character, and only brackets depth: for most bodies half the time is saved.
    is_plain = b"\\u" not in body and body.count(b"{") + body.count(b"[") <= _MAX_DEPTH
    return value if is_plain else _to_writable(value)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("number too large")
    return number


def _parse_int(text: str) -> int | float:
    number = int(text)
    return number if -(2**63) <= number < 2**64 else _parse_float(text)


# Made once: to make it takes as long as to read a small body.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_parse_float, parse_int=_parse_int)


def _to_writable(value: Any, depth: int = 0) -> Any:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        return {_to_whole_characters(name): _to_writable(item, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [_to_writable(item, depth + 1) for item in value]
    return _to_whole_characters(value) if isinstance(value, str) else value


def _to_whole_characters(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()
