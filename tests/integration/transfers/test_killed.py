"""A delivery that is ended from outside, anywhere, and tried again."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ollang._compat import AirflowTaskTimeout
from airflow_provider_ollang.sandbox import Sandbox
from benchmarks.proxy import CountingProxy
from tests.integration.transfers.conftest import Deliver, Place
from tests.integration.transfers.tries import LIMIT, Try, asked_for, beginning, order_of, statuses, told, wanted_of

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

        def begin_one(order_id: str, *, env: dict[str, str] | None = None, **given: Any) -> Try:
            arguments = {"order_id": order_id, "destination": f"file://{tmp_path}/out", **given}
            return begin(arguments, **(env or {}))

        yield begin_one


def written(folder: Path) -> int:
    """Return how many bytes there are, under whichever names."""
    sizes: dict[int, int] = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            found = path.stat()
            if stat.S_ISREG(found.st_mode):
                sizes[found.st_ino] = found.st_size
    return sum(sizes.values())


def final(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of what is there under a final name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.parent.name.startswith(".ollang-")
    }


@pytest.mark.parametrize("at", [0, 0.6])
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
    # Of what had begun only the rest; what was asked for just before the end may not have.
    assert Counter(statuses(ollang))[200] < 2 * len(NAMES)
    assert not list((tmp_path / "out").rglob(".ollang-*"))


@pytest.mark.parametrize("at", [0.02, 0.5, 1])
def test_a_single_file_goes_on_where_the_killed_try_was(tmp_path: Path, at: float) -> None:
    """Killed at one of its first bytes or at its last, it costs less than twice its bytes."""
    with Sandbox(tls=True) as ollang, beginning(ollang, tmp_path / "state.json") as begin:
        order_id = order_of(ollang, SIZE, names=("a",), rate=SIZE)
        arguments = {"order_id": order_id, "destination": f"file://{tmp_path}/out"}
        with CountingProxy(ollang.files_port) as proxy:
            connection = {**ollang.connection, "extra": {**ollang.connection["extra"], "proxy": proxy.url}}
            env = {"AIRFLOW_CONN_OLLANG_DEFAULT": json.dumps(connection)}
            killed = begin(arguments, **env)
            proxy.at(int(at * SIZE), killed.process.kill)
            killed.end()
            assert killed.process.returncode == -signal.SIGKILL
            assert final(tmp_path / "out") == {}
            manifest = begin(arguments, **env).result()["manifest"]
        assert told(manifest) == final(tmp_path / "out") == wanted_of(ollang, order_id, ("a",))
        assert SIZE <= proxy.received < 1.3 * SIZE


#: Where a try dies that has all bytes of its last file, how many names aside are left, and what the next try then gets
#: from the file's host. A disk without hard links has nothing left of a file that was renamed.
WHOLE = [
    ("before it is renamed", {}, 2, [206]),
    ("before the note", {}, 1, [206]),
    ("before the note", {"NO_LINKS": ""}, 0, [200]),
    ("after the note", {}, 1, []),
]


@pytest.mark.parametrize(("where", "env", "left", "answers"), WHOLE)
def test_a_file_that_was_whole_when_its_try_was_killed(
    ollang: Sandbox, tmp_path: Path, begin: Begin, where: str, env: dict[str, str], left: int, answers: list[int]
) -> None:
    """It is not brought again; and neither is the one before it, of which nothing is left beside the file."""
    order_id = order_of(ollang, SIZE, names=("a", "b"))
    env = {"DEATH": json.dumps({"at": where, "number": 2}), **env}
    killed = begin(order_id, env=env, max_files_at_once=1)
    killed.end()
    assert killed.process.returncode == -signal.SIGKILL
    there = {"a.mp4"} if where == "before it is renamed" else {"a.mp4", "b.mp4"}
    assert final(tmp_path / "out").keys() == there
    assert len(list((tmp_path / "out").rglob(".ollang-*/*"))) == left
    manifest = begin(order_id).result()["manifest"]
    assert told(manifest) == final(tmp_path / "out") == wanted_of(ollang, order_id, ("a", "b"))
    assert statuses(ollang) == [200, 200, *answers]
    assert {path.name for path in (tmp_path / "out" / order_id).iterdir()} == {"a.mp4", "b.mp4"}


def test_small_files_that_were_not_on_record_yet(ollang: Sandbox, tmp_path: Path, begin: Begin) -> None:
    """They are noted together, so that some may be there for seconds before that."""
    names = ("a", "b", "c")
    order_id = order_of(ollang, 100_000, names=names)
    begin(order_id, env={"DEATH": json.dumps({"at": "before the note", "number": 2})}, max_files_at_once=1).end()
    assert final(tmp_path / "out") == wanted_of(ollang, order_id, names)
    manifest = begin(order_id).result()["manifest"]
    assert told(manifest) == final(tmp_path / "out") == wanted_of(ollang, order_id, names)
    assert sorted(asked_for(ollang)) == ["a", "b", "b", "c", "c"]
    assert statuses(ollang) == [200, 200, 200, 206, 206]


@pytest.mark.parametrize(("changed", "answers"), [(False, [200, 206]), (True, [200, 200])])
def test_only_the_file_s_host_knows_whether_it_is_still_the_same(
    ollang: Sandbox, tmp_path: Path, begin: Begin, changed: bool, answers: list[int]
) -> None:
    """The order says nothing of the file behind its vttUrl."""
    order_id = ollang.add_order(type="subtitle", behaviour={"outputs": "in_place"})
    begin(order_id, document_types="vtt", env={"DEATH": json.dumps({"at": "before it is renamed", "number": 1})}).end()
    if changed:
        ollang.rerun_order(order_id)
        ollang.advance(3600)
    manifest = begin(order_id, document_types="vtt").result()["manifest"]
    assert list(final(tmp_path / "out").values()) == list(told(manifest).values())
    assert set(told(manifest).values()) == {ollang.content(order_id, "vttUrl").sha256()}
    assert statuses(ollang) == answers


def test_ended_by_hand(ollang: Sandbox, tmp_path: Path, begin: Begin) -> None:
    """As Airflow does it: its handler of SIGTERM calls `on_kill`, and the task goes on."""
    order_id = order_of(ollang, SIZE, names=NAMES, rate=100_000)
    ended = begin(order_id)
    ended.wait_for(lambda: written(tmp_path / "out") > 0)
    said = ended.end(signal.SIGTERM)
    assert "was ended before all files" in said
    assert ended.process.returncode == 1
    assert list((tmp_path / "out").rglob("*")) == [tmp_path / "out" / order_id]


def test_what_was_on_its_way_to_its_final_name_when_the_task_was_ended(
    ollang: Sandbox, tmp_path: Path, begin: Begin
) -> None:
    """It gets there, and the next try knows."""
    order_id = order_of(ollang, SIZE, names=("a", "b"))
    ollang.add_fault("GET", f"/files/{order_id}/b/*", rate=100_000, times=None)
    ended = begin(order_id, env={"DEATH": json.dumps({"at": "ended by Airflow", "number": 1})})
    assert "was ended before all files" in ended.end()
    assert final(tmp_path / "out").keys() == {"a.mp4"}
    ollang.remove_faults()
    assert told(begin(order_id).result()["manifest"]) == wanted_of(ollang, order_id, ("a", "b"))
    assert sorted(asked_for(ollang)) == ["a", "b", "b"]


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
