"""What a store of files promises the deliveries that use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from fsspec import register_implementation  # type: ignore[import-untyped]
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]

from airflow_provider_ollang.exceptions import OllangTransientError
from airflow_provider_ollang.transfers import _store
from airflow_provider_ollang.transfers._store import Store
from tests.integration.transfers.stores import StrictFileSystem


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
    assert (left.mark, b"".join(left.pieces())) == ("a-2", b"hell")
    assert store.left("c-") is None
    # What nobody can go on with is not kept until the end.
    assert len(list((tmp_path / "out").glob(".ollang-*/*"))) == 4
    store.tidy()
    assert list(left.pieces()) == []
    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_aside_outlives_a_try_that_may_not_list() -> None:
    """Or that writes longer than it is waited for."""
    fs = StrictFileSystem()
    register_implementation("strict", StrictFileSystem, clobber=True)
    attach("strict", fs=fs)
    fs.fails["ls"] = PermissionError("no")
    store = store_at("strict://delivered/here")
    store.prepare()
    for number in range(3):
        if number == 2:
            store.tidy()
        part = store.begin(5, "a-1")
        part.write(b"hello")
        part.publish(f"{number}.txt", 5)
    assert sorted(fs.objects) == [f"delivered/here/{number}.txt" for number in range(3)]


PAGE = 4096


@pytest.mark.parametrize(
    ("content", "good"),
    [
        (b"x" * PAGE + bytes(PAGE) + b"x", PAGE),
        (b"x" * ((1 << 20) + 7 * PAGE) + bytes(3 * PAGE), (1 << 20) + 7 * PAGE),
        (b"x" * ((1 << 20) - PAGE) + bytes(2 * PAGE) + b"x", (1 << 20) - PAGE),
        (bytes(PAGE + 1), 0),
        (b"x" + bytes(PAGE - 1) + b"x" * PAGE, 2 * PAGE - 1),
        (b"x" * PAGE + bytes(PAGE - 1), PAGE),
        (b"x" * (1 << 20) + b"x" + bytes(PAGE), (1 << 20) + 1),
    ],
)
@pytest.mark.parametrize("died", [True, False])
def test_what_was_lost_with_a_machine_ends_what_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, good: int, died: bool
) -> None:
    url = f"file://{tmp_path}/out"
    abandoned(url, content, "a-1")
    if died:
        monkeypatch.setattr(_store, "_running_system", lambda: "another")
    store = store_at(url)
    store.prepare()
    left = store.left("a-")
    assert left is not None
    assert b"".join(left.pieces()) == (content[:good] if died else content[:-1])


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
