"""Dataclasses as the only list of what can be set: read from JSON, and shown as a table, from their fields.

A field made with `knob` carries its one-line description; nothing else describes it anywhere.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import math
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from airflow_provider_ollang.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import DataclassInstance

    D = TypeVar("D", bound=DataclassInstance)


def knob(default: Any, about: str) -> Any:
    """Make a dataclass field with a default and its one-line description."""
    return dataclasses.field(default=default, metadata={"about": about})


def read(cls: type[D], values: Mapping[str, Any], base: D | None = None) -> D:
    """Make a `cls` from JSON values; what they leave out comes from `base` (default: the defaults).

    :raises SandboxError: for an unknown name, with the nearest known one, or a value of the wrong kind.
    """
    hints = _hints(cls)
    known = [field.name for field in dataclasses.fields(cls)]
    given = {}
    for name, value in values.items():
        if name not in known:
            raise SandboxError(f"{cls.__name__} has no {name!r}{_nearest(name, known)}")
        try:
            given[name] = _value(hints[name], value)
        except _Refused:
            raise SandboxError(f"{cls.__name__}.{name} takes {kind(hints[name])}, not {value!r}.") from None
    return dataclasses.replace(base, **given) if base is not None else cls(**given)


@functools.cache
def _hints(cls: type[Any]) -> dict[str, Any]:
    return get_type_hints(cls)


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known)}."


class _Refused(Exception):  # noqa: N818 - never leaves this module
    pass


def _value(hint: Any, value: Any) -> Any:  # noqa: PLR0911 - one return for each kind of hint
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (UnionType, Union):
        if value is None and NoneType in arguments:
            return None
        (hint,) = (argument for argument in arguments if argument is not NoneType)
        return _value(hint, value)
    if origin is Literal and value in arguments and not isinstance(value, bool):
        return value
    if origin is dict and isinstance(value, dict):
        of = str if arguments[1] is str else functools.partial(_value, arguments[1])
        return {str(key): of(item) for key, item in value.items()}
    if origin is tuple and isinstance(value, list | tuple):
        if arguments[-1] is Ellipsis:
            return tuple(_value(arguments[0], item) for item in value)
        if len(arguments) == len(value):
            return tuple(_value(*pair) for pair in zip(arguments, value, strict=True))
    if hint is float and is_number(value):
        return float(value)
    if hint in (bool, int, str) and type(value) is hint:
        return value
    raise _Refused


def is_number(value: object) -> bool:
    """Tell whether a JSON value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def kind(hint: Any) -> str:
    """Say in words which values a type hint allows."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        return " or ".join("null" if argument is NoneType else kind(argument) for argument in arguments)
    if origin is Literal:
        return ", ".join(f"`{json.dumps(argument)}`" for argument in arguments)
    if origin is tuple:
        inner = arguments[0] if arguments[-1] is Ellipsis else None
        return f"list of {kind(inner)}" if inner else f"[{', '.join(kind(each) for each in arguments)}]"
    if origin is dict:
        return "object" if arguments[1] is str else f"object of {kind(arguments[1])}"
    return {bool: "true or false", int: "whole number", float: "number", str: "text", Any: "any JSON"}[hint]


def table(cls: type[DataclassInstance]) -> str:
    """Render the knobs of a dataclass as a Markdown table."""
    hints = _hints(cls)
    lines = ["| name | values | default | what it does |", "|---|---|---|---|"]
    for field in dataclasses.fields(cls):
        default = json.dumps(field.default)
        about = field.metadata["about"]
        lines.append(f"| `{field.name}` | {kind(hints[field.name])} | `{default}` | {about} |")
    return "\n".join(lines)


def as_json(instance: DataclassInstance) -> dict[str, Any]:
    """Return a dataclass as a JSON object."""
    return dataclasses.asdict(instance)
