"""What a store of files promises the deliveries that use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airflow_provider_ollang.exceptions import OllangTransientError
from airflow_provider_ollang.transfers._store import Store


def store_at(url: str) -> Store:
    return Store(ObjectStoragePath(url), owner="abc", clean=str)


def deliver(store: Store, content: bytes) -> None:
    part = store.begin(len(content))
    part.write(content)
    part.publish("a.txt", len(content))


def test_a_try_that_was_superseded_takes_nothing_from_the_next(tmp_path: Path) -> None:
    old, new = (store_at(f"file://{tmp_path}/out") for _ in range(2))
    old.prepare()
    abandoned = old.begin(5)
    abandoned.write(b"he")
    new.prepare()
    part = new.begin(5)
    part.write(b"hello")
    abandoned.discard()
    old.tidy()
    part.publish("a.txt", 5)
    new.tidy()
    old.tidy()
    deliver(new, b"again")
    new.tidy()
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == {"a.txt": b"again"}


class Stubborn(MemoryFileSystem):  # type: ignore[misc]
    """Moves nothing to where something is, and says nothing of it, as some do."""

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        if not self.exists(path2):
            super().mv(path1, path2, **kwargs)


def test_a_file_that_was_not_replaced_is_no_success() -> None:
    fs = Stubborn(skip_instance_cache=True)
    fs.store, fs.pseudo_dirs = {}, [""]
    attach("memory", fs=fs)
    store = store_at("memory://delivered/stubborn")
    store.prepare()
    deliver(store, b"version one")
    with pytest.raises(OllangTransientError, match="has 11 bytes after 12 were moved there"):
        deliver(store, b"version two!")
