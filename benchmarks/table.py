"""The table: what was measured, the bar it has to meet, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Row:
    """One measured number.

    :param what: what it is.
    :param value: the number.
    :param at_most: the bar; None: there is none, the number is only told.
    :param note: what it was made from.
    """

    what: str
    value: float
    at_most: float | None = None
    note: str = ""

    @property
    def missed(self) -> bool:
        """Whether the bar is missed; a number that is none misses every bar."""
        return self.at_most is not None and not self.value <= self.at_most

    def cells(self) -> tuple[str, str, str, str, str]:
        """Return the row's cells."""
        bar = "" if self.at_most is None else f"≤ {number(self.at_most)}"
        verdict = "" if self.at_most is None else "MISSED" if self.missed else "ok"
        return self.what, number(self.value), bar, verdict, self.note


HEAD = ("what", "measured", "bar", "", "made from")


def number(value: float) -> str:
    """Write a number with the three digits that a measurement is good for."""
    return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:.3g}"


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table that can be read as it is."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    written = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([written[0], rule, *written[1:]])
