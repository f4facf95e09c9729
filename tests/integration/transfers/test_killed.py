"""A delivery that is ended from outside, anywhere, and tried again."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ollang._compat import AirflowTaskTimeout
from airflow_provider_ollang.sandbox import Sandbox
from tests.integration.transfers.conftest import Deliver, Place

ROOT = Path(__file__).parents[3]
LIMIT = 60.0
SIZE = 12_000_000
NAMES = ("a", "b", "c", "d")


@pytest.fixture
def ollang() -> Iterator[Sandbox]:
    """A sandbox in real time."""
    with Sandbox() as sandbox:
        yield sandbox


class Try:
    """One try of the task in a process of its own."""

    def __init__(self, ollang: Sandbox, folder: Path, order_id: str, **arguments: Any) -> None:
        given = {"order_id": order_id, "destination": f"file://{folder}/out", "max_files_at_once": 2, **arguments}
        env = {
            **os.environ,
            "AIRFLOW_CONN_OLLANG_DEFAULT": ollang.connection_json,
            "DELIVERY": json.dumps(given),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.transfers.one_try", str(folder / "state.json")],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + LIMIT
        while not condition():
            if self.process.poll() is not None:
                raise AssertionError(f"ended before that: {self.process.communicate()[0]}")
            if time.monotonic() > end:
                raise AssertionError("never came")
            time.sleep(0.002)

    def end(self, how: int | None = None) -> str:
        if how is not None:
            self.process.send_signal(how)
        return str(self.process.communicate(timeout=LIMIT)[0])


@pytest.fixture
def begin(ollang: Sandbox, tmp_path: Path) -> Iterator[Callable[..., Try]]:
    tries: list[Try] = []

    def start(order_id: str, **arguments: Any) -> Try:
        tries.append(Try(ollang, tmp_path, order_id, **arguments))
        return tries[-1]

    yield start
    for one in tries:
        one.process.kill()
        one.process.communicate()


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


def asked_for(ollang: Sandbox) -> list[str]:
    return [entry.path.split("/")[3] for entry in ollang.journal if entry.host == "files"]


def order_of(ollang: Sandbox, rate: int = 12_000_000) -> str:
    ollang.add_fault("GET", "/files/*", rate=rate, times=None)
    files = [{"id": name, "name": f"{name}.mp4", "size": SIZE} for name in NAMES]
    return ollang.add_order(type="document", files=files)


@pytest.mark.parametrize("at", [0, 0.3, 0.6, 0.999])
def test_killed_at_once(ollang: Sandbox, tmp_path: Path, begin: Callable[..., Try], at: float) -> None:
    """With SIGKILL, when so much of it all has been written."""
    order_id = order_of(ollang)
    whole = {f"{name}.mp4": ollang.expected_sha256(order_id, name) for name in NAMES}
    killed = begin(order_id)
    killed.wait_for(lambda: written(tmp_path / "out") > at * SIZE * len(NAMES))
    killed.end(signal.SIGKILL)
    there = final(tmp_path / "out")
    assert there.items() <= whole.items()
    asked = len(asked_for(ollang))
    ollang.remove_faults()
    manifest = json.loads(begin(order_id).end().splitlines()[-1])["manifest"]
    assert final(tmp_path / "out") == whole
    assert {one["path"].rpartition("/")[2]: one["sha256"] for one in manifest["files"]} == whole
    assert written(tmp_path / "out") == SIZE * len(NAMES)
    # What was noted is not brought again; a file that was renamed just before the end may not have been.
    again = asked_for(ollang)[asked:]
    assert {f"{name}.mp4" for name in again} >= whole.keys() - there.keys()
    assert len(again) <= len(whole.keys() - there.keys()) + 2
    assert len(set(again)) == len(again)
    assert not list((tmp_path / "out").rglob(".ollang-*"))


def test_ended_by_hand(ollang: Sandbox, tmp_path: Path, begin: Callable[..., Try]) -> None:
    """As Airflow does it: its handler of SIGTERM calls `on_kill`, and the task goes on."""
    order_id = order_of(ollang, rate=100_000)
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
    order_id = order_of(ollang, rate=100_000)

    def time_is_over() -> None:
        while not written(tmp_path / "out"):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGALRM)

    threading.Thread(target=time_is_over, daemon=True).start()
    run = deliver(place.url, order_id=order_id, execution_timeout=timedelta(seconds=LIMIT))
    assert isinstance(run.errors["deliver"], AirflowTaskTimeout)
    assert place.files() == {}


def test_memory_does_not_grow_with_the_files(ollang: Sandbox, tmp_path: Path, begin: Callable[..., Try]) -> None:
    files = [{"id": name, "name": f"{name}.mp4", "size": 100_000_000} for name in NAMES]
    order_id = ollang.add_order(type="document", files=files)
    result = json.loads(begin(order_id, max_files_at_once=4).end().splitlines()[-1])
    assert result["manifest"]["bytes"] == 400_000_000
    assert result["highest"] - result["idle"] < 50
