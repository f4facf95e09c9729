"""Every story on Azure."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.sdk.io import store

from dev import azurite
from tests.integration.transfers.places import make_place
from tests.integration.transfers.stories import STORIES, Story

#: Azurite's well-known account and key: the same on every machine, and no secret.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@pytest.fixture(scope="session")
def abfs() -> Iterator[str]:
    """What reaches a server that speaks Azure's API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--blobPort", str(port)]
    with subprocess.Popen(["node", str(azurite.SCRIPT), *options], stdout=subprocess.PIPE, text=True) as server:
        if server.stdout is None:
            raise AssertionError("a pipe was asked for")
        try:
            while "successfully listens" not in (line := server.stdout.readline()):
                assert line, "Azurite did not start"
            yield (
                f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};"
                f"BlobEndpoint=http://127.0.0.1:{port}/{_ACCOUNT};"
            )
        finally:
            server.kill()


@pytest.fixture(autouse=True)
def forget_stores() -> Iterator[None]:
    yield
    store._STORE_CACHE.clear()


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_azure(story: Story, tmp_path: Path, abfs: str) -> None:
    story(make_place("abfs", tmp_path, abfs))
