"""One try of a delivery in a process of its own, to be killed: `python -m tests.integration.transfers.one_try FILE`."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow.sdk.io import attach

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
        new.replace(self._path)


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
                os.kill(os.getpid(), signal.SIGKILL)

        fs.connect()
        fs.s3.meta.events.register(death["at"], perhaps_die)


def highest_memory() -> int:
    """Return the most memory this process has had, in MiB."""
    found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(found.split()[1]) >> 10


def main(state: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    if "S3" in os.environ:
        attach_s3(os.environ["S3"], json.loads(os.environ.get("DEATH", "null")))
    operator = OllangToObjectStorageOperator(task_id="deliver", **arguments)
    signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    ti = SimpleNamespace(dag_id="dag", run_id="run", task_id="deliver", map_index=-1, max_tries=3)
    before = highest_memory()
    manifest = operator.execute({"ti": ti, "task_state_store": FileStore(state)})  # type: ignore[typeddict-item]
    return {"manifest": manifest, "idle": before, "highest": highest_memory()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), json.loads(os.environ["DELIVERY"]))))
