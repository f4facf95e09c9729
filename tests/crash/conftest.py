"""One Airflow and one sandbox for the whole session, and the matrix as a table at its end.

The sandbox's time passes ten times as fast. Airflow gets more workers than usual, since most of them sleep.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from airflow_provider_ollang.sandbox import Sandbox
from dev.stack import AirflowStack
from tests.crash.cells import EVIDENCE, EXPECTED, POINTS, Cell
from tests.crash.runner import Outcome, RerunRunner

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
CellT = TypeVar("CellT")
_PLAYED = pytest.StashKey[dict[Cell, Outcome]]()
#: A connection whose requests are given up soon.
HASTY = "ollang_hasty"


@pytest.fixture(scope="session")
def ollang() -> Iterator[Sandbox]:
    with Sandbox(speed=10) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def airflow(ollang: Sandbox) -> Iterator[AirflowStack]:
    env = {
        "AIRFLOW_CONN_OLLANG_DEFAULT": ollang.connection_json,
        f"AIRFLOW_CONN_{HASTY.upper()}": json.dumps({**ollang.connection, "extra": {"timeout": 3}}),
        "AIRFLOW__CORE__PARALLELISM": "12",
        "AIRFLOW__SCHEDULER__MAX_TIS_PER_QUERY": "64",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "tests.crash.database.CONNECT_ARGS",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": "tests.crash.database.CONNECT_ARGS",
        # How soon a triggerer takes over the waits of one that died.
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
        # The provider beside these tests, wherever another one may be installed.
        "PYTHONPATH": str(HERE.parents[1]),
    }
    with AirflowStack(dags_folders=[HERE / "dags"], env=env) as stack:
        yield stack


def wanted_cells(session: pytest.Session, kind: type[CellT]) -> list[CellT]:
    """Return the cells of a kind that are asked for."""
    found = [
        item.callspec.params.get("cell")
        for item in session.items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
    ]
    return [cell for cell in found if isinstance(cell, kind)]


@pytest.fixture(scope="session")
def played(airflow: AirflowStack, ollang: Sandbox, request: pytest.FixtureRequest) -> dict[Cell, Outcome]:
    """Play the cells that are asked for, all side by side, but those that lose their triggerer."""
    wanted = wanted_cells(request.session, Cell)
    found: dict[Cell, Outcome] = {}
    for loses_triggerer in (False, True):
        cells = [cell for cell in wanted if cell.loses_triggerer == loses_triggerer]
        if cells:
            found |= RerunRunner(airflow, ollang, cells).play()
    request.config.stash[_PLAYED] = found
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the matrix, and beside each surprise what was expected."""
    found = config.stash.get(_PLAYED, None)
    if not found:
        return
    terminalreporter.section("at most one rerun is submitted, whatever dies")
    for line in table(found):
        terminalreporter.write_line(line)


def table(found: dict[Cell, Outcome]) -> list[str]:
    rows = [["killed", "mode", *EVIDENCE]]
    for point, mode in EXPECTED:
        cells = [Cell(point, mode, evidence) for evidence in EVIDENCE]
        if any(cell in found for cell in cells):
            rows.append([f"{point} {POINTS[point]}", mode, *(_text(cell, found.get(cell)) for cell in cells)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _text(cell: Cell, played: Outcome | None) -> str:
    if played is None:
        return "-"
    return str(played.end) if played.end == cell.expected else f"{played.end} (NOT {cell.expected})"
