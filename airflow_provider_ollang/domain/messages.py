"""Log lines as values, which rules return and drivers log; how durations and statuses are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


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


def describe_end(result: Mapping[str, Any], seconds: float | None) -> str:
    """Return a line for the log: what a wait found, by which evidence, and in how many seconds, if that is known."""
    waited = "Waited" if seconds is None else f"Waited {format_duration(max(seconds, 0.0))}"
    if "status" not in result:
        outcome = "its evaluation is finished" if result.get("evaluation") else "it has no evaluation that counts"
        return f"{waited} for order {result['order_id']}: {outcome}."
    evidence = result.get("evidence")
    reason = "" if evidence is None else f" (evidence: {', '.join(evidence) or 'none'})"
    return f"{waited} for order {result['order_id']}: it is {result['status']}{reason}."
