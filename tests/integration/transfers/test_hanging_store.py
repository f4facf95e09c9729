"""A store that hangs, at whatever is asked of it, keeps no task from ending."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk.io import store as stores

from airflow_provider_ollang.runtime.cancellation import TaskCancelledError
from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.transfers import _manifest, _transfer
from airflow_provider_ollang.transfers._transfer import Workers
from airflow_provider_ollang.transfers.ollang_to_object_storage import OllangToObjectStorageOperator
from tests.integration.transfers.places import Place
from tests.integration.transfers.stories import context_of

#: Seconds.
LIMIT = 10.0
#: Each operation, and how often it works before the store hangs: the second file is the manifest.
HANGS = [
    *(("connect", 0), ("makedirs", 0), ("ls", 0)),
    *(("open", 0), ("write", 0), ("close", 0), ("cp_file", 0), ("rm", 0), ("info", 0)),
    *(("open", 1), ("write", 1), ("close", 1), ("cp_file", 1), ("info", 1)),
]


class HangingStore(stores.ObjectStore):
    """
    What Airflow knows a store as; it hangs from one operation on until the test is over.

    :param place: what is behind it.
    :param operation: where it begins to hang; `connect` is the making of its file system.
    :param works: how often the operation works before.
    """

    def __init__(self, place: Place, operation: str, works: int) -> None:
        super().__init__("strict", "conn")
        self._place, self._operation, self._works = place, operation, works
        self.hangs, self.over = threading.Event(), threading.Event()
        place.fs.fails = {operation: self._call}

    @property
    def fs(self) -> Any:
        self._place.fs._fail("connect")
        return self._place.fs

    def _call(self) -> None:
        if self._works:
            self._works -= 1
            return
        self._place.fs.fails = {operation: self.over.wait for operation, _ in HANGS}
        self.hangs.set()
        self.over.wait()


@pytest.fixture(params=HANGS, ids=lambda hang: "-".join(map(str, hang)))
def hanging_store(request: pytest.FixtureRequest, strict: Place) -> Iterator[HangingStore]:
    store = HangingStore(strict, *request.param)
    stores._STORE_CACHE["strict-conn"] = store
    yield store
    store.over.set()


class TimeIsOverError(BaseException):
    """What Airflow raises in a task's own thread when an `execution_timeout` is over."""


@pytest.mark.parametrize(("how", "kind"), [("execution_timeout", TimeIsOverError), ("on_kill", TaskCancelledError)])
def test_task_with_a_hung_store_ends(
    ollang: Sandbox,
    hanging_store: HangingStore,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    how: str,
    kind: type[BaseException],
) -> None:
    monkeypatch.setattr(_manifest, "LARGEST", 0)
    monkeypatch.setattr(_transfer, "_LAST_SECONDS", 0.5)
    order_id = ollang.add_order(type="document", files=[{"name": "a.docx", "size": 400}])
    operator = OllangToObjectStorageOperator(
        task_id="deliver", order_id=order_id, destination="strict://conn@delivered/here"
    )
    begun = 0.0

    def end(*_: object) -> None:
        if how == "on_kill":
            operator.on_kill()
        else:
            raise TimeIsOverError

    def end_when_it_hangs() -> None:
        nonlocal begun
        hanging_store.hangs.wait()
        begun = time.monotonic()
        os.kill(os.getpid(), signal.SIGALRM)
        # What still waits for the store then would wait for ever.
        hanging_store.over.wait(LIMIT)
        hanging_store.over.set()

    earlier = signal.signal(signal.SIGALRM, end)
    request.addfinalizer(lambda: signal.signal(signal.SIGALRM, earlier))
    threading.Thread(target=end_when_it_hangs, daemon=True).start()
    with pytest.raises(kind):
        operator.execute(context_of())
    assert time.monotonic() - begun < LIMIT


LEFT_BEHIND = """
import threading
from airflow_provider_ollang.runtime.cancellation import CancellationToken, TaskCancelledError
from airflow_provider_ollang.transfers._transfer import Workers
token, hangs = CancellationToken(), threading.Event()
def hang():
    hangs.set()
    threading.Event().wait()
threading.Thread(target=lambda: hangs.wait() and token.cancel()).start()
try:
    with Workers(2, token) as workers:
        workers.run(hang)
except TaskCancelledError:
    print("ended", flush=True)
"""


def test_process_exits_though_a_thread_hangs() -> None:
    """As ``dag.test()`` and ``airflow tasks test`` do, which have no supervisor to end them."""
    process = subprocess.run(
        [sys.executable, "-c", LEFT_BEHIND], capture_output=True, text=True, timeout=60, check=False
    )
    assert (process.returncode, process.stdout) == (0, "ended\n"), process.stderr


def test_downloads_end_with_a_task_that_ends_while_they_begin(
    ollang: Sandbox, strict: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = ollang.add_order(type="document", files=[{"name": f"{name}.mp4", "size": 9_000_000} for name in "ab"])
    ollang.add_fault("GET", "/files/*", rate=100_000, times=None)
    operator = OllangToObjectStorageOperator(task_id="deliver", order_id=order_id, destination=strict.url)
    submit, calls = Workers.submit, itertools.count()

    def submitted(self: Workers, *call: Any) -> Any:
        # The first makes the folder.
        if next(calls) == 2:
            raise TimeIsOverError
        return submit(self, *call)

    monkeypatch.setattr(Workers, "submit", submitted)
    with pytest.raises(TimeIsOverError):
        operator.execute(context_of())
    assert operator._token is not None
    assert operator._token.is_cancelled
    assert strict.files() == {}
