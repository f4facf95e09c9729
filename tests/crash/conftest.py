"""One Airflow and one sandbox for the whole session, and the matrices as tables at its end.

The sandbox's time passes ten times as fast. Airflow gets more workers than usual, since most of them sleep.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_ollang.sandbox import Sandbox
from dev.stack import AirflowStack
from tests.crash.cells import CELLS, Cell
from tests.crash.matrices import PLAYED, note_played, table, wanted_cells
from tests.crash.reruns import KINDS
from tests.crash.runner import Outcome, RerunRunner

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
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
        # How soon it seems dead when its event loop is blocked.
        "AIRFLOW__TRIGGERER__RUNNER_HEALTH_CHECK_THRESHOLD": "4",
        # The provider beside these tests, wherever another one may be installed.
        "PYTHONPATH": str(HERE.parents[1]),
    }
    with AirflowStack(dags_folders=[HERE / "dags"], env=env) as stack:
        yield stack


@pytest.fixture(scope="session")
def played(airflow: AirflowStack, ollang: Sandbox, request: pytest.FixtureRequest) -> dict[Cell, Outcome]:
    """Play those that are asked for, all of a kind side by side, but those that lose their triggerer."""
    found: dict[Cell, Outcome] = {}
    wanted = wanted_cells(request.session, CELLS)
    for operator in KINDS:
        of_kind: dict[Cell, Outcome] = {}
        for loses_triggerer in (False, True):
            cells = [cell for cell in wanted if (cell.operator, cell.loses_triggerer) == (operator, loses_triggerer)]
            if cells:
                of_kind |= RerunRunner(airflow, ollang, cells).play()
        note_played(request.config, operator, of_kind)
        found |= of_kind
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the matrices, and beside each surprise what was expected."""
    for operator, found in config.stash.get(PLAYED, {}).items():
        if found:
            terminalreporter.section(f"{operator}: at most one is submitted, whatever dies")
            for line in table(found):
                terminalreporter.write_line(line)
