"""What the tests of uploads share: files in each kind of store, the DAG of an upload, and what came of it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, ObjectStoragePath

from airflow_provider_ollang.transfers.object_storage_to_ollang import ObjectStorageToOllangOperator

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.transfers.places import Place

NAME = "Épisode 1 [final] #1 100%.mp4"
#: More than a store is asked for at a time.
CONTENT = bytes(range(256)) * (9 << 12)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
POSTS = "/integration/upload/*"


def put(place: Place, content: bytes = CONTENT, name: str = NAME) -> str:
    """Put a file into a place, and return its address."""
    folder = ObjectStoragePath(place.url)
    place.fs.makedirs(folder.path, exist_ok=True)
    place.fs.pipe_file(f"{folder.path}/{name}", content)
    return f"{place.url}/{name}"


def upload_dag(**arguments: Any) -> DAG:
    """Return a DAG with one upload, named `upload`."""
    given = {"source_language": "en", "retries": 0, "retry_delay": 0, **arguments}
    with DAG("uploading", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001 - Airflow adds the zone
        ObjectStorageToOllangOperator(task_id="upload", **given)
    return dag


def made(ollang: Sandbox) -> list[dict[str, Any]]:
    """Return the projects that uploads have made."""
    return [
        project for project in ollang.projects() if project["id"] not in {"proj_xyz789", "proj_abc456", "proj_foreign"}
    ]


def posts(ollang: Sandbox) -> list[int | None]:
    """Return the status of each upload."""
    return [entry.status for entry in ollang.requests("POST", POSTS)]
