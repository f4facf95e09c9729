"""One try of an upload in a process of its own, to be killed: as `one_try.py` for deliveries."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from airflow_provider_ollang.transfers.object_storage_to_ollang import ObjectStorageToOllangOperator
from tests.integration.transfers.one_try import FileStore, highest_memory


class Store(FileStore):
    """Forgets, too."""

    def delete(self, key: str) -> None:
        self.set(key, None)


def main(state: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """Upload as one try of a task does, and return what came of it and what it took."""
    operator = ObjectStorageToOllangOperator(task_id="upload", **arguments)
    signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
    context: Any = {
        "ti": SimpleNamespace(try_number=int(os.environ.get("TRY", "1")), max_tries=3, xcom_push=lambda **_: None),
        "task": SimpleNamespace(retries=3),
        "dag_run": SimpleNamespace(clear_number=0),
        "task_state_store": Store(state),
    }
    before = highest_memory()
    result = operator.execute(context)
    return {"result": result, "idle": before, "highest": highest_memory()}
