"""JSON that can be read once and written everywhere: strict, finite, bounded."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

# Airflow writes an XCom of twice this depth, and of three times not.
_DEEPEST = 100


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("number too large")
    return number


def _whole(text: str) -> int | float:
    number = int(text)
    return number if -(2**63) <= number < 2**64 else _finite(text)


# Made once: to make it takes as long as to read a small answer.
_JSON = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole)


def _writable(value: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        return {_whole_characters(name): _writable(one, depth + 1) for name, one in value.items()}
    if isinstance(value, list):
        return [_writable(one, depth + 1) for one in value]
    return _whole_characters(value) if isinstance(value, str) else value


def _whole_characters(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()
