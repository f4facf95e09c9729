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


def abandoned(url: str, content: bytes, mark: str) -> None:
    """Leave what a killed try leaves."""
    store = store_at(url)
    store.prepare()
    part = store.begin(None, mark)
    part.write(content)
    part._handle.close()


def test_the_next_try_gets_the_longest_that_is_left_but_for_its_last_byte(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/out"
    for content, mark in (
        (b"he", "a-1"),
        (b"hello", "a-2"),
        (b"hel", "a-1"),
        (b"something else", "b-1"),
        (b"none", ""),
    ):
        abandoned(url, content, mark)
    store = store_at(url)
    store.prepare()
    left = store.left("a-")
    assert left is not None
    assert (left.mark, left.size, b"".join(left.pieces())) == ("a-2", 5, b"hell")
    assert store.left("c-") is None
    left.discard()
    assert list(left.pieces()) == []
    store.tidy()
    assert list((tmp_path / "out").iterdir()) == []


PAGE = 4096


@pytest.mark.parametrize(
    ("content", "good"),
    [
        (b"x" * PAGE + bytes(PAGE) + b"x", PAGE),
        (b"x" * ((1 << 20) + 7 * PAGE) + bytes(3 * PAGE), (1 << 20) + 7 * PAGE),
        (b"x" * ((1 << 20) - PAGE) + bytes(2 * PAGE) + b"x", (1 << 20) - PAGE),
        (bytes(PAGE + 1), 0),
        (b"x" + bytes(PAGE - 1) + b"x" * PAGE, 2 * PAGE - 1),
    ],
)
def test_pages_that_were_lost_with_a_machine_end_what_is_gone_on_with(
    tmp_path: Path, content: bytes, good: int
) -> None:
    url = f"file://{tmp_path}/out"
    abandoned(url, content, "a-1")
    store = store_at(url)
    store.prepare()
    left = store.left("a-")
    assert left is not None
    assert b"".join(left.pieces()) == content[:good]


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
