"""The cells that are asked for, and what became of them as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

import pytest

from tests.crash.account_cells import POINTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.crash.cells import End, Mode
    from tests.crash.runner import Outcome


class ShownCell(Protocol):
    """What the table says of a cell."""

    @property
    def point(self) -> int: ...

    @property
    def mode(self) -> Mode | None: ...

    @property
    def evidence(self) -> str: ...

    @property
    def expected(self) -> End: ...


CellT = TypeVar("CellT")
ShownT = TypeVar("ShownT", bound=ShownCell)
#: By what is submitted.
PLAYED = pytest.StashKey[dict[str, "list[tuple[ShownCell, Outcome]]"]]()


def wanted_cells(session: pytest.Session, cells: Sequence[CellT]) -> list[CellT]:
    """Return those of some cells that are asked for."""
    found = [
        item.callspec.params.get("cell")
        for item in session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
    ]
    return [cell for cell in cells if cell in found]


def note_played(config: pytest.Config, operator: str, found: Mapping[ShownT, Outcome]) -> None:
    """Keep what became of an operator's cells for the table."""
    config.stash.setdefault(PLAYED, {})[operator] = list(found.items())


def table(found: Sequence[tuple[ShownCell, Outcome]]) -> list[str]:
    columns = list(dict.fromkeys(cell.evidence for cell, _ in found))
    places = sorted(
        {(cell.point, cell.mode or "") for cell, _ in found}, key=lambda place: (place[0], place[1] != "sync")
    )
    texts = {(cell.point, cell.mode or "", cell.evidence): _text(cell, outcome) for cell, outcome in found}
    rows = [["killed", "mode", *columns]]
    for point, mode in places:
        rows.append([f"{point} {POINTS[point]}", mode, *(texts.get((point, mode, column), "-") for column in columns)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _text(cell: ShownCell, played: Outcome) -> str:
    return str(played.end) if played.end == cell.expected else f"{played.end} (NOT {cell.expected})"
