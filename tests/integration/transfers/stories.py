"""What every store has to do: stories that are told of each of them."""

from __future__ import annotations

import gc
import hashlib
import logging
import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangTransientError
from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.transfers._store import Store
from airflow_provider_ollang.transfers.ollang_to_object_storage import OllangToObjectStorageOperator
from tests.integration.transfers.places import Place

#: More than is held back before it is sent on, so that it goes up in parts.
LARGE = bytes(range(256)) * (9 << 12)
FILES = [
    {"id": "one", "name": "Episode 1 [final] #1 100%.srt", "size": 5000},
    {"id": "two", "name": "Episode *.mp4", "size": 9_000_003},
]
Story = Callable[[Place], None]


def store_at(url: str) -> Store:
    return Store(ObjectStoragePath(url), redact=str, log=logging.getLogger(__name__))


def write(store: Store, content: bytes, name: str = "a.txt") -> None:
    staged = store.open(name, len(content))
    staged.write(content)
    staged.publish()


class StateStore(dict[str, Any]):
    """Stands for Airflow's task state store."""

    def set(self, key: str, value: Any, **_: object) -> None:
        self[key] = value


def context_of(state: StateStore | None = None) -> Any:
    """Return the context of a task's only try."""
    return {
        "ti": SimpleNamespace(try_number=1, max_tries=0),
        "task": SimpleNamespace(retries=0),
        "dag_run": SimpleNamespace(clear_number=0),
        "task_state_store": state,
    }


def execute(ollang: Sandbox, state: StateStore | None = None, **arguments: Any) -> dict[str, Any]:
    """Run a delivery as one try of a task does."""
    with mock.patch.dict(os.environ, AIRFLOW_CONN_OLLANG_DEFAULT=ollang.connection_json):
        return OllangToObjectStorageOperator(task_id="deliver", **arguments).execute(context_of(state))


def order_is_delivered_twice(place: Place) -> None:
    """Into a folder whose name is a pattern to some; the second delivery replaces the files of the first."""
    url = f"{place.url}/x [1] #2"
    with Sandbox() as ollang:
        order_id = ollang.add_order(type="document", files=FILES)
        # Where a download breaks off, it goes on.
        ollang.add_fault("GET", "/files/*/two/*", drop="body")
        for _ in range(2):
            manifest = execute(ollang, order_id=order_id, destination=url)
            files = {path.rpartition("/")[2]: content for path, content in place.files().items()}
            assert {name: hashlib.sha256(content).hexdigest() for name, content in files.items()} == {
                "Episode 1 [final] #1 100%.srt": ollang.content(order_id, "one").sha256(),
                "Episode _.mp4": ollang.content(order_id, "two").sha256(),
            }
    for file in manifest["files"]:
        with ObjectStoragePath(file["path"]).open("rb") as opened:  # type: ignore[no-untyped-call]
            assert hashlib.sha256(opened.read()).hexdigest() == file["sha256"]


def unfinished_file_is_not_there(place: Place) -> None:
    """Neither while it is written, nor after it is discarded, nor when what wrote it is forgotten."""
    store = store_at(place.url)
    store.prepare(["a.txt"])
    write(store, b"old")
    staged = store.open("a.txt", len(LARGE))
    staged.write(LARGE)
    assert place.final() == {"a.txt": b"old"}
    staged.discard()
    small = store.open("a.txt", None)
    small.write(b"small")
    small.discard()
    del staged, small
    gc.collect()
    assert place.files() == {"a.txt": b"old"}
    write(store, LARGE)
    assert place.files() == {"a.txt": LARGE}


def two_tasks_write_the_same_file(place: Place) -> None:
    stores = [store_at(place.url) for _ in range(2)]
    for store in stores:
        store.prepare(["a.txt"])
    contents = LARGE, LARGE[::-1]
    staged = [store.open("a.txt", len(LARGE)) for store in stores]
    for file, content in zip(staged, contents, strict=True):
        file.write(content)
    staged[0].publish()
    try:
        staged[1].publish()
    except OllangTransientError:
        # Azure drops what others have uploaded when one is complete; so the other task is retried.
        assert place.url.startswith("abfs:")
        staged[1].discard()
    assert place.files() in ({"a.txt": contents[0]}, {"a.txt": contents[1]})


def empty_file_is_there(place: Place) -> None:
    store = store_at(place.url)
    store.prepare(["a.txt"])
    write(store, b"")
    assert place.files() == {"a.txt": b""}
    assert store.holds("a.txt", 0)


def missing_bucket_is_a_configuration_error(place: Place) -> None:
    if place.missing is None:
        return
    store = store_at(place.missing)
    store.prepare(["a.txt"])
    with pytest.raises(OllangConfigurationError):
        write(store, b"content")
    assert not place.fs.exists(ObjectStoragePath(place.missing).bucket)


STORIES: list[Story] = [
    order_is_delivered_twice,
    unfinished_file_is_not_there,
    two_tasks_write_the_same_file,
    empty_file_is_there,
    missing_bucket_is_a_configuration_error,
]
