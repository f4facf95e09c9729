"""Log lines as values, which rules return and drivers log; how durations and statuses are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class LogLine(NamedTuple):
    """A line to log: the method of a logger, a text with ``%`` placeholders, and what fills them."""

    level: Literal["debug", "info", "warning", "error"]
    message: str
    args: tuple[object, ...] = ()


def debug(message: str, *args: object) -> LogLine:
    """Return a line for debugging."""
    return LogLine("debug", message, args)


def info(message: str, *args: object) -> LogLine:
    """Return a line about ordinary progress."""
    return LogLine("info", message, args)


def warning(message: str, *args: object) -> LogLine:
    """Return a line that a user should read."""
    return LogLine("warning", message, args)


def format_duration(seconds: float) -> str:
    """Return a duration in the largest unit of which there are two, such as ``"90 min"``."""
    rounded = round(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if rounded >= 2 * size:
            return f"{round(rounded / size, 1):g} {unit}"
    return f"{seconds:.3g} s"


def format_statuses(statuses: Iterable[str]) -> str:
    """Return statuses as alternatives, such as ``"'completed' or 'delivered'"``."""
    return " or ".join(repr(status) for status in sorted(statuses))
