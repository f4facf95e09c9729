"""One try of a delivery in a process of its own, to be killed: see `tries.py`."""

from __future__ import annotations

import concurrent.futures
import importlib
import json
import os
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk.io import attach

from airflow_provider_ollang.transfers import _transfer
from airflow_provider_ollang.transfers.ollang_to_object_storage import OllangToObjectStorageOperator


class FileStore:
    """Stands for Airflow's task state store: it, too, outlives the process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> Any:
        return json.loads(self._path.read_text()).get(key) if self._path.exists() else None

    def set(self, key: str, value: Any, **_: object) -> None:
        new = self._path.with_suffix(".new")
        stored = json.loads(self._path.read_text()) if self._path.exists() else {}
        new.write_text(json.dumps({**stored, key: value}))
        new.rename(self._path)


def end_at_rename() -> None:
    """Let Airflow end this task when a file is being renamed, which is done when the task waits for no other."""
    replace, wait, last = os.replace, concurrent.futures.wait, threading.Event()

    def renamed(*paths: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        last.wait()
        os.replace = replace
        replace(*paths)

    def waiting(pending: Any, *, timeout: float, **named: Any) -> Any:
        if timeout == _transfer._LAST_SECONDS:
            last.set()
        return wait(pending, timeout=timeout, **named)

    os.replace = renamed  # type: ignore[assignment]
    concurrent.futures.wait = waiting  # type: ignore[assignment]


def attach_s3(address: str) -> None:
    """
    Let Airflow know a store as it would by a connection.

    :param address: of the server.
    """
    s3fs = importlib.import_module("s3fs")
    attach("s3", "conn", fs=s3fs.S3FileSystem(key="k", secret="s", endpoint_url=address))


def time_is_over(*_: object) -> None:
    """Do what Airflow does when an execution_timeout is over."""
    raise TimeoutError("time is over")


def highest_memory() -> int:
    """Return the most memory this process has had, in MiB."""
    found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(found.split()[1]) >> 10


def main(state: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    if "END_AT_RENAME" in os.environ:
        end_at_rename()
    if "S3" in os.environ:
        attach_s3(os.environ["S3"])
    operator = OllangToObjectStorageOperator(task_id="deliver", **arguments)
    signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    signal.signal(signal.SIGALRM, time_is_over)
    context: Any = {
        "ti": SimpleNamespace(try_number=1, max_tries=3),
        "task": SimpleNamespace(retries=3),
        "dag_run": SimpleNamespace(clear_number=0),
        "task_state_store": FileStore(state),
    }
    before = highest_memory()
    manifest = operator.execute(context)
    return {"manifest": manifest, "idle": before, "highest": highest_memory()}
