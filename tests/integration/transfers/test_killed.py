"""A delivery that is ended from outside, anywhere, and tried again."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from airflow_provider_ollang._compat import AirflowTaskTimeout
from airflow_provider_ollang.sandbox import Sandbox
from tests.integration.transfers.conftest import Deliver, Place
from tests.integration.transfers.tries import LIMIT, Try, asked_for, beginning, order_of, told, wanted_of

SIZE = 12_000_000
NAMES = ("a", "b", "c", "d")
Begin = Callable[..., Try]


@pytest.fixture
def ollang() -> Iterator[Sandbox]:
    """A sandbox in real time."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def begin(ollang: Sandbox, tmp_path: Path) -> Iterator[Begin]:
    with beginning(ollang, tmp_path / "state.json") as begin:
        yield lambda order_id, **given: begin({"order_id": order_id, "destination": f"file://{tmp_path}/out", **given})


def written(folder: Path) -> int:
    """Return how many bytes there are, under whichever names."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def final(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of what is there under a final name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.parent.name.startswith(".ollang-")
    }


@pytest.mark.parametrize("at", [0, 0.3, 0.6, 0.999])
def test_killed_at_once(ollang: Sandbox, tmp_path: Path, begin: Begin, at: float) -> None:
    """With SIGKILL, when so much of it all has been written."""
    order_id = order_of(ollang, SIZE, names=NAMES, rate=12_000_000)
    whole = wanted_of(ollang, order_id, NAMES)
    killed = begin(order_id)
    killed.wait_for(lambda: written(tmp_path / "out") > at * SIZE * len(NAMES))
    killed.end(signal.SIGKILL)
    there = final(tmp_path / "out")
    assert there.items() <= whole.items()
    asked = len(asked_for(ollang))
    ollang.remove_faults()
    manifest = begin(order_id).result()["manifest"]
    assert final(tmp_path / "out") == whole
    assert told(manifest) == whole
    assert written(tmp_path / "out") == SIZE * len(NAMES)
    # What was noted is not brought again; a file that was renamed just before the end may not have been.
    again = asked_for(ollang)[asked:]
    assert {f"{name}.mp4" for name in again} >= whole.keys() - there.keys()
    assert len(again) <= len(whole.keys() - there.keys()) + 2
    assert len(set(again)) == len(again)
    assert not list((tmp_path / "out").rglob(".ollang-*"))


def test_ended_by_hand(ollang: Sandbox, tmp_path: Path, begin: Begin) -> None:
    """As Airflow does it: its handler of SIGTERM calls `on_kill`, and the task goes on."""
    order_id = order_of(ollang, SIZE, names=NAMES, rate=100_000)
    ended = begin(order_id)
    ended.wait_for(lambda: written(tmp_path / "out") > 0)
    said = ended.end(signal.SIGTERM)
    assert "was ended before all files" in said
    assert ended.process.returncode == 1
    assert list((tmp_path / "out").rglob("*")) == [tmp_path / "out" / order_id]


def test_execution_timeout(
    ollang: Sandbox, deliver: Deliver, place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OLLANG_DEFAULT", ollang.connection_json)
    order_id = order_of(ollang, SIZE, names=NAMES, rate=100_000)

    def time_is_over() -> None:
        while not written(tmp_path / "out"):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGALRM)

    threading.Thread(target=time_is_over, daemon=True).start()
    run = deliver(place.url, order_id=order_id, execution_timeout=timedelta(seconds=LIMIT))
    assert isinstance(run.errors["deliver"], AirflowTaskTimeout)
    assert place.files() == {}


def test_memory_does_not_grow_with_the_files(ollang: Sandbox, tmp_path: Path, begin: Begin) -> None:
    order_id = order_of(ollang, 100_000_000, names=NAMES)
    result = begin(order_id, max_files_at_once=4).result()
    assert result["manifest"]["bytes"] == 400_000_000
    assert result["highest"] - result["idle"] < 50
