"""Delivers to every kind of store, by Airflow's own ``dag.test()``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, ObjectStoragePath
from airflow.sdk.io import attach, store
from fsspec import AbstractFileSystem, register_implementation  # type: ignore[import-untyped]
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.transfers.ollang_to_object_storage import OllangToObjectStorageOperator
from tests.integration.conftest import Run, RunDag
from tests.integration.transfers.stores import StrictFileSystem, s3_server

START = datetime(2026, 1, 1)  # noqa: DTZ001 - Airflow adds the zone
STORES = ("local", "memory", "strict", "s3")


@dataclass(frozen=True)
class Place:
    """
    Where to deliver to.

    :param url: the destination.
    :param fs: what is behind it.
    """

    url: str
    fs: AbstractFileSystem

    def files(self) -> dict[str, bytes]:
        """Return all that is there, by its path below the destination; hidden files too."""
        root = ObjectStoragePath(self.url).path.rstrip("/")
        self.fs.invalidate_cache()
        if isinstance(self.fs, StrictFileSystem):
            return {key.removeprefix(f"{root}/"): content for key, content in self.fs.objects.items()}
        found = self.fs.find(root) if self.fs.exists(root) else []
        return {path.removeprefix(f"{root}/"): self.fs.cat_file(path) for path in found}


def make_place(kind: str, tmp_path: Path, s3: str) -> Place:
    if kind == "local":
        return Place(f"file://{tmp_path}/out", ObjectStoragePath(f"file://{tmp_path}").fs)
    if kind == "s3":
        s3fs = pytest.importorskip("s3fs")
        fs = s3fs.S3FileSystem(key="k", secret="s", endpoint_url=s3, skip_instance_cache=True)
        bucket = f"bucket-{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}"
        fs.mkdir(bucket)
        attach("s3", "my_aws", fs=fs)
        return Place(f"s3://my_aws@{bucket}/delivered", fs)
    if kind == "memory":
        memory = MemoryFileSystem(skip_instance_cache=True)
        memory.store, memory.pseudo_dirs = {}, [""]
        attach("memory", fs=memory)
        return Place("memory://delivered/here", memory)
    register_implementation("strict", StrictFileSystem, clobber=True)
    strict = StrictFileSystem()
    attach("strict", fs=strict)
    return Place("strict://delivered/here", strict)


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a server that speaks S3; where its packages are not installed, the test is skipped."""
    pytest.importorskip("moto")
    with s3_server() as url:
        yield url


@pytest.fixture(autouse=True)
def forget_stores() -> Iterator[None]:
    yield
    store._STORE_CACHE.clear()


@pytest.fixture(params=STORES)
def any_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Each kind of store in turn."""
    return make_place(request.param, tmp_path, request.getfixturevalue("s3") if request.param == "s3" else "")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place("local", tmp_path, "")


@pytest.fixture
def strict(tmp_path: Path) -> Place:
    return make_place("strict", tmp_path, "")


Deliver = Callable[..., Run]


def delivery(destination: Any, **arguments: Any) -> DAG:
    """Return a DAG with one delivery, named `deliver`."""
    given = {"retries": 0, "retry_delay": 0, **arguments}
    with DAG("delivering", schedule=None, start_date=START) as dag:
        OllangToObjectStorageOperator(task_id="deliver", destination=destination, **given)
    return dag


@pytest.fixture
def deliver(run_dag: RunDag) -> Deliver:
    """Deliver in a run of its own."""

    def run(destination: Any, **arguments: Any) -> Run:
        return run_dag(delivery(destination, **arguments))

    return run


def expected(ollang: Sandbox, order_id: str, manifest: dict[str, Any]) -> dict[str, str]:
    """Return what must be where, as SHA-256 by path, from the sandbox's own knowledge."""
    return {one["path"]: ollang.content(order_id, one["document_id"] or "vttUrl").sha256() for one in manifest["files"]}


def found(place: Place) -> dict[str, str]:
    """Return what is where, likewise."""
    # The universal-pathlib of Airflow 3.1 writes memory:// with three slashes.
    url = str(ObjectStoragePath(place.url))
    return {f"{url}/{path}": hashlib.sha256(content).hexdigest() for path, content in place.files().items()}
