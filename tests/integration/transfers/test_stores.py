"""Every story on every store that needs nothing but Python; `tests/azurite` has the one that needs more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.transfers.places import make_place
from tests.integration.transfers.stores import SftpServer, google_server
from tests.integration.transfers.stories import STORIES, Story

KINDS = ("local", "memory", "strict", "s3", "gs", "sftp")


@pytest.fixture(scope="session")
def gs() -> Iterator[str]:
    """The address of a server that speaks Google's API."""
    server, port = google_server()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    server = SftpServer(tmp_path_factory.mktemp("sftp"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sftp(sftp_server: SftpServer) -> str:
    """The address of a server that speaks SFTP."""
    return f"127.0.0.1:{sftp_server.port}"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_store(kind: str, story: Story, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    address = request.getfixturevalue(kind) if kind in {"s3", "gs", "sftp"} else ""
    story(make_place(kind, tmp_path, address))


def test_sftp_needs_no_shell(sftp_server: SftpServer, sftp: str, tmp_path: Path) -> None:
    """A copy made by a shell would be seen half."""
    before = len(sftp_server.commands)
    STORIES[1](make_place("sftp", tmp_path, sftp))
    assert sftp_server.commands[before:] == []
