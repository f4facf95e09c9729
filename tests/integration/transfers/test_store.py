"""What a store of files promises the deliveries that use it."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.io import attach
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from fsspec.spec import AbstractBufferedFile  # type: ignore[import-untyped]

from airflow_provider_ollang import _clock
from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangTransientError
from airflow_provider_ollang.sandbox import Sandbox
from tests.integration.transfers.places import Place, make_place
from tests.integration.transfers.stories import LARGE, execute, store_at, write


@pytest.fixture
def bucket(tmp_path: Path, s3: str) -> Place:
    return make_place("s3", tmp_path, s3)


def uploads(bucket: Place) -> list[str]:
    """Return the keys of the uploads that nobody has ended."""
    name = bucket.url.partition("@")[2].partition("/")[0]
    return [upload["Key"] for upload in bucket.fs.list_multipart_uploads(name)]


def set_time(monkeypatch: pytest.MonkeyPatch, at: datetime) -> None:
    monkeypatch.setattr(_clock, "now", at.timestamp)


def test_discarded_s3_upload_is_aborted(bucket: Place) -> None:
    staged = store_at(bucket.url).open("a.txt", None)
    staged.write(LARGE)
    assert uploads(bucket) == ["delivered/a.txt"]
    staged.discard()
    assert uploads(bucket) == []


def test_old_s3_uploads_to_these_keys_are_aborted(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    abandoned = [store_at(bucket.url).open(name, None) for name in ("a.srt", "b.mp4", "foreign.mp4")]
    for staged in abandoned:
        staged.write(LARGE)
    # What moto says of every upload.
    initiated = datetime(2010, 11, 10, 20, 48, 33, tzinfo=UTC)
    set_time(monkeypatch, initiated + timedelta(days=2))
    store_at(bucket.url).prepare(["a.srt", "b"])
    assert len(uploads(bucket)) == 3
    set_time(monkeypatch, initiated + timedelta(days=2, seconds=1))
    store_at(bucket.url).prepare(["a.srt", "b"])
    assert uploads(bucket) == ["delivered/foreign.mp4"]
    for staged in abandoned:
        staged.discard()


def test_old_s3_uploads_on_all_pages_are_aborted(bucket: Place) -> None:
    """S3 lists a thousand at a time, and the emulator all of them."""
    names = ["a.srt", "b.srt", "c.srt"]
    abandoned = [store_at(bucket.url).open(name, None) for name in names]
    for staged in abandoned:
        staged.write(LARGE)
    events = bucket.fs.s3.meta.events
    markers: list[str] = []

    def one_a_page(parsed: dict[str, Any], **_: object) -> None:
        later = [upload for upload in parsed["Uploads"] if upload["Key"] > markers[-1]]
        parsed["Uploads"], parsed["IsTruncated"] = later[:1], len(later) > 1
        parsed["NextKeyMarker"], parsed["NextUploadIdMarker"] = later[0]["Key"], later[0]["UploadId"]

    events.register(
        "before-parameter-build.s3.ListMultipartUploads",
        lambda params, **_: markers.append(params.get("KeyMarker", "")),
    )
    events.register("after-call.s3.ListMultipartUploads", one_a_page, unique_id="pages")
    store_at(bucket.url).prepare(names)
    events.unregister("after-call.s3.ListMultipartUploads", unique_id="pages")
    assert markers == ["", "delivered/a.srt", "delivered/b.srt"]
    markers.append("")
    assert uploads(bucket) == []
    for staged in abandoned:
        staged.discard()


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_old_staged_files_are_removed(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = make_place(kind, tmp_path, "")
    store = store_at(place.url)
    store.prepare([])
    write(store, b"other", ".hidden")
    abandoned = store.open("a.txt", None)
    abandoned.write(b"half")
    store_at(place.url).prepare([])
    assert len(place.files()) == 2
    set_time(monkeypatch, datetime.now(UTC) + timedelta(days=2, minutes=1))
    store_at(place.url).prepare([])
    assert list(place.files()) == [".hidden"]
    abandoned.discard()


def test_delivery_to_s3_needs_no_right_to_delete(bucket: Place) -> None:
    """And leaves one version of each object where a bucket keeps them all."""
    name = bucket.url.partition("@")[2].partition("/")[0]
    bucket.fs.call_s3("put_bucket_versioning", Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    bucket.fs.s3.meta.events.register("before-call.s3.DeleteObject", refuse)
    bucket.fs.s3.meta.events.register("before-call.s3.DeleteObjects", refuse)
    store = store_at(bucket.url)
    store.prepare(["a.txt", "b.txt"])
    write(store, LARGE)
    write(store, b"small", "b.txt")
    versions = bucket.fs.call_s3("list_object_versions", Bucket=name)
    assert [version["Key"] for version in versions["Versions"]] == ["delivered/a.txt", "delivered/b.txt"]
    assert "DeleteMarkers" not in versions


def test_fifty_small_files_take_two_requests_each(bucket: Place) -> None:
    """One to upload it, and one to see that it is there."""
    requests: list[str] = []
    bucket.fs.s3.meta.events.register("before-call.s3", lambda model, **_: requests.append(model.name))
    with Sandbox() as ollang:
        order_id = ollang.add_order(type="document", files=[{"name": f"{n}.srt", "size": 900} for n in range(50)])
        manifest = execute(ollang, order_id=order_id, destination=bucket.url)
    assert manifest["file_count"] == 50
    assert Counter(requests) == {"ListMultipartUploads": 1, "PutObject": 50, "HeadObject": 50}


def refuse(**_: object) -> None:
    raise PermissionError("AccessDenied")


def test_staged_file_that_cannot_be_removed_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = make_place("strict", tmp_path, "")
    place.fs.fails = {"rm": PermissionError("no")}
    write(store_at(place.url), b"content")
    assert place.files()["a.txt"] == b"content"
    assert "stays beside" in caplog.text


class Stubborn(MemoryFileSystem):  # type: ignore[misc]
    """Moves nothing to where something is, and says nothing of it, as some do."""

    def mv(self, path1: str, path2: str, **kwargs: Any) -> None:
        if not self.exists(path2):
            super().mv(path1, path2, **kwargs)


@pytest.mark.parametrize("content", [b"version two", b"version two!"])
def test_file_that_was_not_replaced_is_no_success(content: bytes) -> None:
    """Of the same length, too."""
    fs = Stubborn(skip_instance_cache=True)
    fs.store, fs.pseudo_dirs = {}, [""]
    attach("memory", fs=fs)
    store = store_at("memory://delivered/stubborn")
    store.prepare(["a.txt"])
    write(store, b"version one")
    with pytest.raises(OllangTransientError, match=r"did not rename .* to a\.txt"):
        write(store, content)


class ZonalFile(AbstractBufferedFile):  # type: ignore[misc]
    """What gcsfs writes to a zonal bucket with: it appends to the object, and cannot be discarded."""

    def _initiate_upload(self) -> None:
        self.fs.store[self.path] = b""

    def _upload_chunk(self, final: bool = False) -> bool:  # noqa: ARG002 - as fsspec calls it
        self.fs.store[self.path] += self.buffer.getvalue()
        return True


class ZonalBucket(MemoryFileSystem):  # type: ignore[misc]
    protocol = "gs"

    def _open(self, path: str, mode: str = "rb", **_: Any) -> ZonalFile:
        return ZonalFile(self, path, mode)


def test_zonal_bucket_is_refused_before_anything_is_written() -> None:
    fs = ZonalBucket(skip_instance_cache=True)
    fs.store, fs.pseudo_dirs = {}, [""]
    attach("gs", fs=fs)
    with pytest.raises(OllangConfigurationError, match="zonal"):
        store_at("gs://bucket/delivered").open("a.txt", 7)
    gc.collect()
    assert fs.store == {}


class WordlessError(Exception):
    def __str__(self) -> str:
        raise TypeError


@pytest.mark.parametrize("error", [asyncio.CancelledError(), WordlessError()])
def test_odd_error_of_a_store_is_an_error_of_ours(error: BaseException, tmp_path: Path) -> None:
    place = make_place("strict", tmp_path, "")
    place.fs.fails = {"open": error}
    with pytest.raises(OllangTransientError, match=type(error).__name__):
        store_at(place.url).open("a.txt", 7)
