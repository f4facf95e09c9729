"""An upload whose process is killed, and the memory that one takes."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ollang.sandbox import Sandbox
from tests.integration.transfers.tries import Try, UploadTry, beginning
from tests.integration.transfers.uploads import made, posts

#: So much that no buffer of a socket takes it whole.
SIZE = 64 << 20
GIB = 1 << 30
Begin = Callable[..., Try]


@pytest.fixture
def ollang() -> Iterator[Sandbox]:
    """A sandbox in real time."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


@pytest.fixture
def begin(ollang: Sandbox, state: Path) -> Iterator[Begin]:
    with beginning(ollang, state, UploadTry) as begin:
        yield begin


def sparse(tmp_path: Path, size: int = SIZE) -> dict[str, Any]:
    """Return the arguments of an upload of so many zeros, which take no room on the disk."""
    path = tmp_path / "a.mp4"
    with path.open("wb") as file:
        file.truncate(size)
    return {"source": str(path)}


def state_of(path: Path) -> Any:
    stored = json.loads(path.read_text()).get("ollang_upload") if path.exists() else None
    return stored and stored["state"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_retry_of_an_upload_killed_in_its_body_uploads_once(
    ollang: Sandbox, begin: Begin, state: Path, tmp_path: Path, how: int
) -> None:
    """A try that dies before the last byte leaves nothing that a person would have to look at."""
    arguments = sparse(tmp_path, 2 * GIB)
    killed = begin(arguments)
    killed.wait_for(lambda: bool(ollang.requests("POST")))
    said = killed.end(how)
    assert ("The task was killed" in said) == (how == signal.SIGTERM)
    assert state_of(state) == (None if how == signal.SIGKILL else "refused")
    assert made(ollang) == []
    Path(arguments["source"]).write_bytes(b"now it is short")
    result = begin(arguments, TRY="2").result()["result"]
    (project,) = made(ollang)
    assert result["project_id"] == project["id"]
    assert result["sha256"] == project["sha256"] == hashlib.sha256(b"now it is short").hexdigest()


def test_retry_of_an_upload_killed_after_its_last_byte_finds_it(
    ollang: Sandbox, begin: Begin, state: Path, tmp_path: Path
) -> None:
    ollang.change_behaviour({"upload_answer_after": 60.0})
    arguments = sparse(tmp_path)
    killed = begin(arguments)
    killed.wait_for(lambda: bool(made(ollang)))
    killed.end(signal.SIGKILL)
    assert state_of(state) == "sending"
    result = begin(arguments, TRY="2").result()["result"]
    (project,) = made(ollang)
    assert (result["project_id"], result["bytes"], result["sha256"]) == (project["id"], SIZE, None)
    assert (len(posts(ollang)), state_of(state)) == (1, "finished")


def test_memory_does_not_grow_with_the_file(ollang: Sandbox, begin: Begin, tmp_path: Path) -> None:
    result = begin(sparse(tmp_path, GIB)).result()
    (project,) = made(ollang)
    assert (result["result"]["bytes"], result["result"]["sha256"]) == (GIB, project["sha256"])
    assert result["highest"] - result["idle"] < 50
