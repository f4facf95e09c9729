"""Delivers to every kind of store, by Airflow's own ``dag.test()``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, ObjectStoragePath
from airflow.sdk.io import store

from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.transfers.ollang_to_object_storage import OllangToObjectStorageOperator
from tests.integration.conftest import Run, RunDag
from tests.integration.transfers.places import Place, make_place
from tests.integration.transfers.stores import s3_process

START = datetime(2026, 1, 1)  # noqa: DTZ001 - Airflow adds the zone
STORES = ("local", "memory", "strict", "s3")


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of a server that speaks S3."""
    with s3_process() as (url, _):
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
