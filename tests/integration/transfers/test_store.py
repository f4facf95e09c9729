"""What a store of files promises the deliveries that use it."""

from __future__ import annotations

from collections.abc import Sequence
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


def test_what_a_system_left_that_may_have_died_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may not have written all of it to a disk that others share."""
    abandoned(f"file://{tmp_path}/out", b"hello", "a-1")
    monkeypatch.setattr(_store, "_running_system", lambda: "another")
    store = store_at(f"file://{tmp_path}/out")
    store.prepare()
    assert store.left("a-") is None
    store.tidy()
    assert list((tmp_path / "out").iterdir()) == []


class Uploads(StrictFileSystem):
    """One upload of many parts, which no real S3 in a test could hold: each has 5 MiB at least."""

    list_multipart_uploads = True

    def __init__(self, numbers: Sequence[int], *, heeds_marker: bool) -> None:
        super().__init__()
        self._numbers, self._heeds_marker = numbers, heeds_marker
        self.completed: list[dict[str, Any]] | None = None
        self.ended = False

    def split_path(self, path: str) -> tuple[str, str, None]:
        return "bucket", path, None

    def call_s3(self, method: str, **given: Any) -> dict[str, Any]:
        if method == "list_multipart_uploads":
            return {"Uploads": [{"Key": f"{given['Prefix']}0-0.a-1.system", "UploadId": "u"}]}
        if method == "list_parts":
            rest = [one for one in self._numbers if one > given["PartNumberMarker"] or not self._heeds_marker]
            parts = [
                {"PartNumber": one, "ETag": f"e{one}", "ChecksumCRC32": f"c{one}", "Size": 8, "LastModified": "now"}
                for one in rest[:1000]
            ]
            return {"Parts": parts, "IsTruncated": len(rest) > 1000}
        if method == "complete_multipart_upload":
            self.completed = given["MultipartUpload"]["Parts"]
        else:
            self.ended = True
        return {}


@pytest.mark.parametrize(
    ("numbers", "heeds_marker", "first"),
    [
        (range(1, 2501), True, 2500),
        (range(1, 2501), False, 1000),
        (range(1, 1001), True, 1000),
        ([one for one in range(1, 1501) if one != 5], True, 4),
        ([one for one in range(1, 1501) if one != 1400], True, 1399),
        ([2, 3], True, 0),
    ],
)
def test_the_parts_of_an_upload_are_kept_up_to_a_gap(numbers: Sequence[int], heeds_marker: bool, first: int) -> None:
    fs = Uploads(numbers, heeds_marker=heeds_marker)
    register_implementation("strict", StrictFileSystem, clobber=True)
    attach("strict", fs=fs)
    store_at("strict://delivered/here").prepare()
    expected = [{"PartNumber": one, "ETag": f"e{one}", "ChecksumCRC32": f"c{one}"} for one in range(1, first + 1)]
    assert fs.completed == expected
    assert not fs.ended


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
