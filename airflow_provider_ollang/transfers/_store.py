"""The place that files are delivered to: whole files under their final names, or nothing."""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from fsspec import AbstractFileSystem  # type: ignore[import-untyped]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from fsspec.spec import AbstractBufferedFile  # type: ignore[import-untyped]

from airflow_provider_ollang import _clock
from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangTransientError
from airflow_provider_ollang.runtime.stores import BLOCK, BUCKETS, OBJECT_STORES, StoreErrors

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Iterator

    from airflow.sdk import ObjectStoragePath

#: The most blocks a file may have: S3 takes 10,000.
_BLOCKS = 9000
#: Elsewhere how the name of a file begins until it is whole.
_STAGED = ".ollang-"
#: What a killed try has left is removed then: no other task still writes to it.
_ABANDONED_AFTER = timedelta(days=2)


class Store:
    """
    A folder of any store that Airflow's ``ObjectStoragePath`` reaches.

    On stores of objects a file is uploaded under its final name: the object does not exist before its upload is
    complete, and an upload that is not completed is aborted. Elsewhere a file is written under a hidden name beside its
    final one, and then renamed.

    :param folder: where the final names go.
    :param redact: makes a library's text fit for a message.
    :param log: where is told what stays behind.
    :raises OllangError: the store cannot be reached; the message says what to do.
    """

    def __init__(self, folder: ObjectStoragePath, *, redact: Callable[[str], str], log: logging.Logger | Any) -> None:
        self._log = log
        self.folder = folder
        self.address = str(folder).rstrip("/")
        self._protocol = folder.protocol or "file"
        advice = "Check that the bucket or folder exists and that the destination's connection may write there."
        self.translated = StoreErrors("destination", self.address, self._protocol, advice, redact).translated
        with self.translated("be opened"):
            self._fs: AbstractFileSystem = folder.fs
        self._folder = folder.path.rstrip("/")

    def prepare(self, names: Collection[str]) -> None:
        """
        Make the folder, and remove what killed tries left there at least two days ago.

        :param names: final names of the files that will be delivered; one without a suffix may still get one.
        """
        if self._protocol not in BUCKETS:
            with self.translated("be made"):
                self._fs.makedirs(self._folder, exist_ok=True)
        if self._protocol not in OBJECT_STORES:
            self._remove_abandoned()
        elif hasattr(self._fs, "list_multipart_uploads"):
            self._abort_abandoned({f"{self._folder}/{name}" for name in names})

    def path_of(self, name: str) -> str:
        """Return the address of a delivered file, as ``ObjectStoragePath`` takes it."""
        return f"{self.address}/{name}"

    def holds(self, name: str, size: int) -> bool:
        """Tell whether there is a file of this size under a final name."""
        try:
            return bool(self._fs.info(f"{self._folder}/{name}")["size"] == size)
        except Exception:  # noqa: BLE001 - what cannot be looked at is delivered again
            return False

    def open(self, name: str, size: int | None) -> StagedFile:
        """
        Open a file to write to; it appears under its final name when it is published.

        :param name: its final name.
        :param size: bytes it will have, if that is known.
        """
        final = f"{self._folder}/{name}"
        direct = self._protocol in OBJECT_STORES
        path = final if direct else f"{self._folder}/{_STAGED}{secrets.token_hex(8)}"
        # Elsewhere a block may be what is sent at a time, of which SFTP allows much less.
        options = {"block_size": max(BLOCK, -(-(size or 0) // _BLOCKS))} if self._protocol in BUCKETS else {}
        with self.translated("be written to"):
            handle = self._fs.open(path, "wb", **options)
        if type(handle).__name__ == "ZonalFile":
            # Closing it, or forgetting it, would make an empty object.
            handle.closed = True
            raise OllangConfigurationError(
                f"destination {self.address} is in a zonal bucket of Google's, where a file is there before it is "
                "complete. Deliver to a bucket of another kind."
            )
        return StagedFile(self, name, path, handle)

    def _publish(self, path: str, name: str, size: int) -> None:
        final = f"{self._folder}/{name}"
        with self.translated(f"take {name!r}"):
            if path != final:
                self._rename(path, final)
            self._fs.invalidate_cache(self._folder)
            stored = self._fs.info(final)["size"]
        if stored != size:
            raise OllangTransientError(f"{self.address}/{name} has {stored} bytes after {size} were written to it.")

    def _rename(self, path: str, final: str) -> None:
        if isinstance(self._fs, LocalFileSystem):
            # Its own way of moving falls back to copying, and moves into a folder of that name.
            os.replace(path, final)  # noqa: PTH105 - as the store has it
        elif getattr(self._fs.mv, "__func__", None) is AbstractFileSystem.mv:
            # The general way takes brackets in a path for a pattern.
            self._fs.cp_file(path, final)
            try:
                self._fs.rm_file(path)
            except Exception as error:  # noqa: BLE001 - the file is there all the same
                self._log.warning(
                    "%s stays beside %s: it could not be removed (%s).", path, final, type(error).__name__
                )
        else:
            self._fs.mv(path, final)
            self._fs.invalidate_cache(self._folder)
            # WebHDFS answers "false" to a rename to where a file is, and fsspec does not look at it.
            if self._fs.exists(path):
                raise OllangTransientError(
                    f"destination {self.address} did not rename {path} to {final.rpartition('/')[2]}. If that file is "
                    "there from before, remove it: this store may not replace files."
                )

    def _remove(self, path: str) -> None:
        with suppress(Exception):
            self._fs.rm_file(path)

    def _remove_abandoned(self) -> None:
        """Remove staged files that no task still writes to; of a store that tells their age."""
        # Whoever may write need not be allowed to list.
        with suppress(Exception):
            self._fs.invalidate_cache(self._folder)
            for path in self._fs.ls(self._folder, detail=False):
                if path.rpartition("/")[2].startswith(_STAGED):
                    with suppress(Exception):
                        if _is_abandoned(self._fs.modified(path)):
                            self._fs.rm_file(path)

    def _abort_abandoned(self, paths: Collection[str]) -> None:
        """Abort uploads to S3 that no task still writes to: they are not listed, and billed until then."""
        # Whoever may write need not be allowed to do this either.
        with suppress(Exception):
            bucket, prefix, _ = self._fs.split_path(f"{self._folder}/")
            for upload in self._uploads(bucket, prefix):
                path = f"{bucket}/{upload['Key']}"
                ours = path in paths or str(PurePosixPath(path).with_suffix("")) in paths
                if ours and _is_abandoned(upload["Initiated"]):
                    self._fs.call_s3(
                        "abort_multipart_upload", Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )

    def _uploads(self, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
        markers: dict[str, str] = {}
        while True:
            page = self._fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix, **markers)
            yield from page.get("Uploads", [])
            if not page.get("IsTruncated"):
                return
            markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


class Delivered(NamedTuple):
    """A file that is in the store, complete."""

    file_name: str
    size: int
    sha256: str


class StagedFile:
    """A file that is being written, `size` bytes so far, and is not there yet; an error in its context discards it."""

    def __init__(self, store: Store, name: str, path: str, handle: Any) -> None:
        self.size = 0
        self._digest = hashlib.sha256()
        self._name = name
        self._store = store
        self._path = path
        self._handle = handle

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self.discard()

    def write(self, piece: bytes) -> None:
        """Write a piece."""
        with self._store.translated("be written to"):
            self._handle.write(piece)
        self._digest.update(piece)
        self.size += len(piece)

    def publish(self) -> Delivered:
        """Let the file appear under its final name, now that it is whole."""
        with self._store.translated("be written to"):
            self._handle.close()
        self._store._publish(self._path, self._name, self.size)
        return Delivered(self._name, self.size, self._digest.hexdigest())

    def discard(self) -> None:
        """Throw away what was written."""
        with suppress(Exception):
            if isinstance(self._handle, AbstractBufferedFile):
                # An open one commits itself when it is closed, and even when it is forgotten.
                self._handle.closed = True
                self._handle.discard()
            else:
                self._handle.close()
        if self._path.rpartition("/")[2].startswith(_STAGED):
            self._store._remove(self._path)


def _is_abandoned(modified: datetime) -> bool:
    # Some stores tell a time without a zone: UTC.
    at = modified if modified.tzinfo else modified.replace(tzinfo=UTC)
    return at < datetime.fromtimestamp(_clock.now(), UTC) - _ABANDONED_AFTER
