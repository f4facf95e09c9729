"""A delivery that is ended from outside, anywhere, and tried again."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ollang._compat import AirflowTaskTimeout
from airflow_provider_ollang.sandbox import Sandbox
from tests.integration.transfers.conftest import Deliver
from tests.integration.transfers.places import Place, make_place
from tests.integration.transfers.stores import s3_process
from tests.integration.transfers.tries import LIMIT, Try, asked_for, beginning, order_of, told, wanted_of

#: More than a store holds back before it sends anything on, so that each file goes up in parts.
SIZE = 9_000_000
NAMES = ("a", "b", "c", "d")
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
def begin(ollang: Sandbox, tmp_path: Path, state: Path) -> Iterator[Begin]:
    with beginning(ollang, state) as begin:

        def begin_one(order_id: str, *, env: dict[str, str] | None = None, **given: Any) -> Try:
            arguments = {"order_id": order_id, "destination": f"file://{tmp_path}/out", **given}
            return begin(arguments, **(env or {}))

        yield begin_one


def written(folder: Path) -> int:
    """Return how many bytes there are, under whichever names."""
    sizes = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            status = path.stat()
            sizes += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return sizes


def on_record(state: Path) -> set[str]:
    """Return the names of the files that the task state store has on record as delivered."""
    stored = json.loads(state.read_text()) if state.exists() else {}
    return {file_name for batch in stored.values() for _, file_name, *_ in batch["value"].values()}


def sums(place: Place, order_id: str) -> dict[str, str]:
    """Return the SHA-256 of each file under a final name."""
    files = {path.removeprefix(f"{order_id}/"): content for path, content in place.files().items()}
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items() if not name.startswith(".")}


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_files_on_record_are_not_fetched_again_after_a_kill(
    ollang: Sandbox, tmp_path: Path, begin: Begin, state: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    address = request.getfixturevalue("s3") if kind == "s3" else ""
    place = make_place(kind, tmp_path, address)
    order_id = order_of(ollang, SIZE, names=NAMES, rate=9_000_000)
    expected = wanted_of(ollang, order_id, NAMES)

    def try_delivery() -> Try:
        return begin(order_id, destination=place.url, env={"S3": address} if address else {})

    killed = try_delivery()
    killed.wait_for(lambda: len(on_record(state)) >= 1)
    killed.end(signal.SIGKILL)
    recorded, requested = on_record(state), len(asked_for(ollang))
    assert sums(place, order_id).items() <= expected.items()
    ollang.remove_faults()
    manifest = try_delivery().result()["manifest"]
    assert told(manifest) == sums(place, order_id) == expected
    again = asked_for(ollang)[requested:]
    assert sorted(f"{name}.mp4" for name in again) == sorted(expected.keys() - recorded)


def test_staged_files_of_a_killed_try_are_removed_once_old(ollang: Sandbox, tmp_path: Path, begin: Begin) -> None:
    """Until then another task may still write to them; it may be one of another run that removes them."""
    order_id = order_of(ollang, SIZE, names=("a", "b"), rate=100_000)
    folder = tmp_path / "out" / order_id
    killed = begin(order_id)
    killed.wait_for(lambda: folder.exists() and len(list(folder.iterdir())) == 2)
    killed.end(signal.SIGKILL)
    staged = sorted(folder.iterdir())
    assert all(path.name.startswith(".ollang-") for path in staged)
    days_ago = time.time() - 3 * 24 * 3600
    os.utime(staged[0], (days_ago, days_ago))
    ollang.remove_faults()
    begin(order_id).result()
    assert sorted(path.name for path in folder.iterdir()) == [staged[1].name, "a.mp4", "b.mp4"]


def test_task_ended_by_hand_leaves_nothing(ollang: Sandbox, tmp_path: Path, begin: Begin) -> None:
    """As Airflow does it: its handler of SIGTERM calls `on_kill`, and the task goes on."""
    order_id = order_of(ollang, SIZE, names=NAMES, rate=100_000)
    ended = begin(order_id)
    ended.wait_for(lambda: written(tmp_path / "out") > 0)
    said = ended.end(signal.SIGTERM)
    assert "The task was killed" in said
    assert ended.process.exitcode == 1
    assert list((tmp_path / "out").rglob("*")) == [tmp_path / "out" / order_id]


def test_task_ends_soon_though_its_store_hangs(ollang: Sandbox, tmp_path: Path, begin: Begin) -> None:
    """By execution_timeout, in the middle of an upload; s3fs alone would try for a quarter of an hour."""
    order_id = order_of(ollang, 10 * SIZE, names=("a", "b"), rate=SIZE // 2)
    with s3_process() as (address, server):
        place = make_place("s3", tmp_path, address)
        bucket = place.url.partition("@")[2].partition("/")[0]
        task = begin(order_id, destination=place.url, env={"S3": address})
        task.wait_for(lambda: bool(place.fs.list_multipart_uploads(bucket)))
        os.kill(server, signal.SIGSTOP)
        begun = time.monotonic()
        try:
            assert "time is over" in task.end(signal.SIGALRM)
            assert time.monotonic() - begun < 15
        finally:
            os.kill(server, signal.SIGCONT)
        assert place.files() == {}


def test_file_being_renamed_when_the_task_ends_is_recorded(ollang: Sandbox, tmp_path: Path, begin: Begin) -> None:
    order_id = order_of(ollang, SIZE, names=("a", "b"))
    ollang.add_fault("GET", f"/files/{order_id}/b/*", rate=100_000, times=None)
    ended = begin(order_id, env={"END_AT_RENAME": "1"})
    assert "The task was killed" in ended.end()
    assert {path.name for path in (tmp_path / "out" / order_id).iterdir()} == {"a.mp4"}
    ollang.remove_faults()
    assert told(begin(order_id).result()["manifest"]) == wanted_of(ollang, order_id, ("a", "b"))
    assert sorted(asked_for(ollang)) == ["a", "b", "b"]


def test_execution_timeout_leaves_nothing(
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


def test_memory_does_not_grow_with_the_files(ollang: Sandbox, begin: Begin) -> None:
    order_id = order_of(ollang, 100_000_000, names=NAMES)
    result = begin(order_id, max_files_at_once=4).result()
    assert result["manifest"]["bytes"] == 400_000_000
    assert result["highest"] - result["idle"] < 50
