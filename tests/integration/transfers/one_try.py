"""One try of a delivery in a process of its own, to be killed: `python -m tests.integration.transfers.one_try FILE`."""

from __future__ import annotations

import concurrent.futures
import errno
import importlib
import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk.io import attach

from airflow_provider_ollang.transfers import _delivery
from airflow_provider_ollang.transfers.ollang_to_object_storage import OllangToObjectStorageOperator


class FileStore:
    """Stands for Airflow's task state store: it, too, outlives the process."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> Any:
        return json.loads(self._path.read_text()).get(key) if self._path.exists() else None

    def set(self, key: str, value: Any, **_: object) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps({key: value}))
        new.rename(self._path)


def die() -> None:
    """End this process as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(owner: object, name: str, number: int, *, after: bool) -> None:
    """Let this process kill itself in a call of a function, of which so many came, before or after what that does."""
    function, calls = getattr(owner, name), itertools.count(1)

    def deadly(*arguments: Any, **named: Any) -> None:
        last = next(calls) == number
        if last and not after:
            die()
        function(*arguments, **named)
        if last:
            die()

    setattr(owner, name, deadly)


def end_at_rename() -> None:
    """Let Airflow end this task when a file is being renamed, which is done when the task waits for no other."""
    replace, wait, last = os.replace, concurrent.futures.wait, threading.Event()

    def renamed(*paths: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        last.wait()
        os.replace = replace
        replace(*paths)

    def waiting(pending: Any, *, timeout: float, **named: Any) -> Any:
        if timeout == _delivery._LAST_SECONDS:
            last.set()
        return wait(pending, timeout=timeout, **named)

    os.replace = renamed  # type: ignore[assignment]
    concurrent.futures.wait = waiting  # type: ignore[assignment]


def refuse_links() -> None:
    """Let the disk be one without hard links; what a task may write to has them on the machines of developers."""

    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    os.link = link  # type: ignore[assignment]


#: Where a try may die, beside the events of botocore.
DEATHS: dict[str, Callable[[int], None]] = {
    "before it is renamed": lambda number: die_at(os, "replace", number, after=False),
    "before the note": lambda number: die_at(FileStore, "set", number, after=False),
    "after the note": lambda number: die_at(FileStore, "set", number, after=True),
    "ended by Airflow": lambda _: end_at_rename(),
}


def attach_s3(address: str, death: dict[str, Any] | None) -> None:
    """
    Let Airflow know a store as it would by a connection.

    :param address: of the server.
    :param death: ``{"at": ..., "number": ...}``: this process kills itself when this event of botocore has happened so
        many times.
    """
    s3fs = importlib.import_module("s3fs")
    if "LARGE_COPY" in os.environ:
        # Larger ones it copies in parts; 150 MiB would take the tests too long.
        client: Any = importlib.import_module("s3fs.core")
        client.MANAGED_COPY_THRESHOLD = int(os.environ["LARGE_COPY"])
    fs = s3fs.S3FileSystem(key="k", secret="s", endpoint_url=address)
    attach("s3", "my_aws", fs=fs)
    if death is not None:
        seen = itertools.count(1)

        def perhaps_die(**_: object) -> None:
            if next(seen) == death["number"]:
                die()

        # As long as it has no connection, some versions make another client for each request.
        fs.ls("")
        fs.s3.meta.events.register(death["at"], perhaps_die)


def highest_memory() -> int:
    """Return the most memory this process has had, in MiB."""
    found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(found.split()[1]) >> 10


def main(state: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    death = json.loads(os.environ.get("DEATH", "null"))
    if death is not None and death["at"] in DEATHS:
        DEATHS[death["at"]](death["number"])
        death = None
    if "NO_LINKS" in os.environ:
        refuse_links()
    if "S3" in os.environ:
        attach_s3(os.environ["S3"], death)
    operator = OllangToObjectStorageOperator(task_id="deliver", **arguments)
    signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    ti = SimpleNamespace(dag_id="dag", run_id="run", task_id="deliver", map_index=-1, max_tries=3)
    before = highest_memory()
    manifest = operator.execute({"ti": ti, "task_state_store": FileStore(state)})  # type: ignore[typeddict-item]
    return {"manifest": manifest, "idle": before, "highest": highest_memory()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), json.loads(os.environ["DELIVERY"]))))
