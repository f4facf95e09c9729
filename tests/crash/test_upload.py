"""A process dies at each point of an upload: one project is made, of the whole file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.crash.account_cells import ACCOUNT_CELLS, AccountCell
from tests.crash.accounts import AccountRunner, Uploads, sandboxes_of
from tests.crash.matrices import note_played, wanted_cells

if TYPE_CHECKING:
    from pathlib import Path

    from dev.stack import AirflowStack
    from tests.crash.runner import Outcome

CELLS = [cell for cell in ACCOUNT_CELLS if cell.operator == "upload"]
#: So much has a middle; so much is sent whole, whatever becomes of it.
LONG, SHORT = 16 << 20, 1000


@pytest.fixture(scope="module")
def played(
    airflow: AirflowStack, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[AccountCell, Outcome]:
    cells = wanted_cells(request.session, CELLS)
    folder = tmp_path_factory.mktemp("uploads")
    arguments = [{"source": str(_file(folder, cell))} for cell in cells]
    with sandboxes_of(cells) as sandboxes:
        found = AccountRunner(airflow, Uploads, sandboxes, cells, arguments).play()
    note_played(request.config, "upload", found)
    return found


def _file(folder: Path, cell: AccountCell) -> Path:
    path = folder / f"{cell}.mp4"
    path.write_bytes(_content(cell))
    return path


def _content(cell: AccountCell) -> bytes:
    return str(cell).ljust(LONG if cell.point == 0 else SHORT, ".").encode()


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_file_makes_one_project(cell: AccountCell, played: dict[AccountCell, Outcome]) -> None:
    seen = played[cell]
    assert seen.end == cell.expected, seen.error
    assert seen.posts == cell.posts
    assert seen.died_once()
    name = f"{cell}.mp4"
    projects = [project for project in seen.ollang.projects() if project["name"] == name]
    assert len(projects) == cell.expected.accepted
    assert seen.ollang.counts()["uploads_refused"] == 0
    if cell.expected.outcome == "success":
        sha256, size = hashlib.sha256(_content(cell)).hexdigest(), len(_content(cell))
        assert [(project["sha256"], project["bytes"]) for project in projects] == [(sha256, size)]
        assert seen.result == {
            "project_id": projects[0]["id"],
            "name": name,
            "source_language": "en",
            "folder_id": None,
            "bytes": size,
            # The try that knew it has died before it was on record.
            "sha256": None if cell.point in (4, 5) else sha256,
        }
    else:
        assert f"Look in Ollang for a new project named {name!r}" in seen.error
        assert "clear" in seen.error
