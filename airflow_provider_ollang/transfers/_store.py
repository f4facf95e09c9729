"""The place that files are delivered to: whole files under their final names, or nothing."""

from __future__ import annotations

import errno
import functools
import hashlib
import itertools
import os
import platform
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsspec import AbstractFileSystem  # type: ignore[import-untyped]
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from fsspec.spec import AbstractBufferedFile  # type: ignore[import-untyped]

from airflow_provider_ollang._compat import AirflowNotFoundException
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangTransientError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow.sdk import ObjectStoragePath

#: What a store holds of a file before it sends it on; several files are written at once.
_BLOCK = 8 << 20
#: The most blocks a file may have: S3 takes 10,000.
_BLOCKS = 9000
#: What is read at a time of what an earlier try left.
_READ = 1 << 20
#: Stores of buckets have no folders to make, and making one would make a missing bucket.
_BUCKETS = frozenset(
    {"s3", "s3a", "gs", "gcs", "az", "adl", "abfs", "abfss", "wasb", "wasbs", "oss", "cos", "obs", "oci", "r2"}
)
_PROVIDERS = {
    "s3": "apache-airflow-providers-amazon[s3fs]",
    "s3a": "apache-airflow-providers-amazon[s3fs]",
    "gs": "apache-airflow-providers-google",
    "gcs": "apache-airflow-providers-google",
    "abfs": "apache-airflow-providers-microsoft-azure",
    "abfss": "apache-airflow-providers-microsoft-azure",
    "adl": "apache-airflow-providers-microsoft-azure",
}
#: Failures that the next try would meet again.
_LASTING = (PermissionError, FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError)
_LASTING_NUMBERS = frozenset({errno.EROFS, errno.ENAMETOOLONG, errno.EINVAL, errno.EPERM})
_LASTING_NAMES = frozenset({"NoCredentialsError", "PartialCredentialsError", "ParamValidationError"})


class Store:
    """
    A folder of any store that Airflow's ``ObjectStoragePath`` reaches.

    A file is written under a name of its own in a hidden folder beside its final place, and then renamed; stores of
    objects cannot rename, but a copy appears there whole or not at all. Whatever has a mark stays in the hidden folder,
    too, until it is released: if the process is killed before that, the next try goes on from it.

    :param folder: where the final names go.
    :param owner: names the task instance; what its earlier tries left is removed.
    :param clean: makes a library's words fit for a message.
    :raises OllangError: the store cannot be reached; the message says what to do.
    """

    def __init__(self, folder: ObjectStoragePath, *, owner: str, clean: Callable[[str], str]) -> None:
        self.address = str(folder).rstrip("/")
        self._clean = clean
        self._protocol = folder.protocol or "file"
        with self._in_words("be opened"):
            self._fs: AbstractFileSystem = folder.fs
        self._folder = folder.path.rstrip("/")
        self._aside = f"{self._folder}/.ollang-{owner}"
        # A try that was superseded may end while the next one is at work already.
        self._mine = f"{self._aside}/{secrets.token_hex(8)}-"
        self._numbers = itertools.count()
        self._left: dict[str, int] = {}
        self._published: dict[str, str] = {}
        self._is_over = False

    def prepare(self) -> None:
        """Make the folders, and see what earlier tries of this task instance left; what is of no use is removed."""
        if self._protocol not in _BUCKETS:
            with self._in_words("be made"):
                self._fs.makedirs(self._aside, exist_ok=True)
        self._end_uploads(f"{self._aside}/", save=True)
        for path, size in self._listed(f"{self._aside}/").items():
            if _mark_of(path):
                self._left[path] = size
            else:
                self._remove(path)

    def tidy(self) -> None:
        """Remove what this try and earlier ones left, and the hidden folder if nothing else is in it."""
        self._is_over = True
        self.release([*self._published])
        for path in {**self._left, **self._listed(self._mine)}:
            self._remove(path)
        self._end_uploads(self._mine)
        if self._protocol not in _BUCKETS:
            with suppress(Exception):
                self._fs.rmdir(self._aside)

    def path_of(self, name: str) -> str:
        """Return the address of a delivered file, as ``ObjectStoragePath`` takes it."""
        return f"{self.address}/{name}"

    def holds(self, name: str, size: int) -> bool:
        """Tell whether there is a file of this size under a final name."""
        try:
            return bool(self._fs.info(f"{self._folder}/{name}")["size"] == size)
        except Exception:  # noqa: BLE001 - what cannot be looked at is delivered again
            return False

    def begin(self, size: int | None, mark: str = "") -> PartFile:
        """
        Open a file aside.

        :param size: bytes it will have, if that is known.
        :param mark: by which the next try finds it; letters, digits and hyphens.
        """
        path = self._new_path(mark)
        with self._in_words("be written to"):
            if self._protocol not in _BUCKETS:
                self._fs.makedirs(self._aside, exist_ok=True)
            handle = self._fs.open(path, "wb", block_size=max(_BLOCK, -(-(size or 0) // _BLOCKS)))
        return PartFile(self, path, handle)

    def left(self, mark: str) -> Leftover | None:
        """Return the longest that earlier tries left, of those whose mark begins so."""
        found = [path for path in self._left if _mark_of(path).startswith(mark)]
        if isinstance(self._fs, LocalFileSystem):
            # What another system had not written to a shared disk when it died is missing there.
            found = [path for path in found if path.endswith(f".{_running_system()}")]
        path = max(found, key=self._left.__getitem__, default=None)
        return None if path is None else Leftover(self, path, self._left[path])

    def release(self, names: Iterable[str]) -> None:
        """
        Leave only the final ones of these files: that they are there is on record now.

        :param names: final names.
        """
        for name in names:
            if name in self._published:
                self._remove(self._published.pop(name))

    def _new_path(self, mark: str) -> str:
        path = f"{self._mine}{next(self._numbers)}"
        return f"{path}.{mark}.{_running_system()}" if mark else path

    def _is_kept(self, path: str) -> bool:
        return bool(_mark_of(path)) and not self._is_over

    def _publish(self, path: str, name: str, size: int) -> None:
        with self._in_words("be written to"):
            written = self._fs.info(path)["size"]
        if written != size:
            raise OllangTransientError(
                f"{self.address} holds {written} bytes of a file of which {size} were written to it."
            )
        final = f"{self._folder}/{name}"
        with self._in_words(f"take {name!r}"):
            if isinstance(self._fs, LocalFileSystem):
                self._link(path, name)
                # Its own way of moving falls back to copying, and moves into a folder of that name.
                os.replace(path, final)  # noqa: PTH105 - as the store has it
            elif type(self._fs).mv is AbstractFileSystem.mv:
                self._copy(path, final)
                if self._is_kept(path):
                    self._published[name] = path
                else:
                    self._remove(path)
            else:
                self._fs.mv(path, final)
            self._fs.invalidate_cache(self._folder)
            there = self._fs.info(final)["size"]
        if there != size:
            raise OllangTransientError(f"{self.address}/{name} has {there} bytes after {size} were moved there.")

    def _link(self, path: str, name: str) -> None:
        """Let what is about to be renamed be there twice, until it is released, where the disk can."""
        if self._is_kept(path):
            with suppress(OSError):
                other = self._new_path(_mark_of(path))
                os.link(path, other)
                self._published[name] = other

    def _copy(self, path: str, final: str) -> None:
        """Copy within the store; its usual way of moving takes brackets in a name for a pattern."""
        try:
            # A copy of a large file within S3 is an upload, too, which a try may have left that was killed in it.
            self._end_uploads(final, exactly=True)
            self._fs.cp_file(path, final)
        except BaseException:
            self._end_uploads(final, exactly=True)
            raise

    def _remove(self, path: str) -> None:
        with suppress(Exception):
            self._fs.rm_file(path)

    def _listed(self, prefix: str) -> dict[str, int]:
        # Whoever may write need not be allowed to list; then the leftovers stay.
        with suppress(Exception):
            self._fs.invalidate_cache(self._aside)
            listed = self._fs.ls(self._aside, detail=True)
            # Some do not tell the size of what they list.
            found = {one["name"]: one["size"] or 0 for one in listed if one["type"] == "file"}
            return {path: size for path, size in found.items() if path.lstrip("/").startswith(prefix.lstrip("/"))}
        return {}

    def _end_uploads(self, prefix: str, *, exactly: bool = False, save: bool = False) -> None:
        """End the uploads to S3 that a killed try left there: nobody sees them, and they are billed until then."""
        if not hasattr(self._fs, "list_multipart_uploads"):
            return
        # Whoever may write need not be allowed to do this either.
        with suppress(Exception):
            bucket, begin, _ = self._fs.split_path(prefix)
            found = self._fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=begin)
            for one in found.get("Uploads", []):
                if one["Key"] == begin or not exactly:
                    upload = {"Bucket": bucket, "Key": one["Key"], "UploadId": one["UploadId"]}
                    if not (save and self._save_upload(upload)):
                        self._fs.call_s3("abort_multipart_upload", **upload)

    def _save_upload(self, upload: dict[str, str]) -> bool:
        """Make the parts up to a gap an object, of use as the beginning of a file; tell whether they are one now."""
        if not _mark_of(upload["Key"]):
            return False
        with suppress(Exception):
            parts: list[dict[str, Any]] = []
            more = True
            while more:
                answer = self._fs.call_s3("list_parts", **upload, PartNumberMarker=len(parts))
                numbered = enumerate(answer["Parts"], len(parts) + 1)
                found = [part for number, part in numbered if part["PartNumber"] == number]
                parts += found
                more = bool(found) and answer["IsTruncated"]
            # Those of checksums have to be given back, too.
            first = [{key: part[key] for key in part.keys() - {"LastModified", "Size"}} for part in parts]
            self._fs.call_s3("complete_multipart_upload", **upload, MultipartUpload={"Parts": first})
            return True
        return False

    @contextmanager
    def _in_words(self, what: str) -> Iterator[None]:
        try:
            yield
        except OllangError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a store raises
            # The words of the libraries may show signed addresses, so none of them goes on as a cause.
            raise self._error(what, error) from None

    def _error(self, what: str, error: Exception) -> OllangError:
        said = self._clean(f"{type(error).__name__}: {error}")
        number = getattr(error, "errno", None)
        if isinstance(error, ValueError) and "No filesystem registered" in str(error):
            package = _PROVIDERS.get(self._protocol)
            advice = f"install {package}" if package else "install the provider that brings it, or attach() one"
            return OllangConfigurationError(
                f"destination {self.address} cannot {what}: Airflow has no file system for {self._protocol}://; "
                f"{advice}, on every worker."
            )
        if isinstance(error, ImportError):
            return OllangConfigurationError(
                f"destination {self.address} cannot {what}: a package is missing on this worker ({said})."
            )
        if isinstance(error, AirflowNotFoundException):
            return OllangConfigurationError(
                f"destination {self.address} cannot {what}: {said}. Create that connection, or name another before "
                "the @ of the destination."
            )
        lasting = isinstance(error, _LASTING) or number in _LASTING_NUMBERS or type(error).__name__ in _LASTING_NAMES
        if lasting:
            advice = "Check that the bucket or folder exists and that the destination's connection may write there."
            return OllangConfigurationError(f"destination {self.address} cannot {what} ({said}). {advice}")
        return OllangTransientError(f"destination {self.address} could not {what} ({said}).")


class Leftover:
    """
    What an earlier try left of a file: its beginning, or all of it.

    :param size: bytes there are.
    """

    def __init__(self, store: Store, path: str, size: int) -> None:
        self._fs = store._fs
        self._path = path
        self._size = size
        self.mark = _mark_of(path)

    def pieces(self) -> Iterator[bytes]:
        """
        Yield it, but for its last byte; less, if the store fails.

        That byte is left to be asked for: so the file's host has to say once more that this is the file.
        """
        rest = self._size - 1
        with suppress(Exception), self._fs.open(self._path, "rb", block_size=_READ) as file:
            while rest > 0 and (piece := file.read(min(_READ, rest))):
                yield piece
                rest -= len(piece)


class PartFile:
    """A file that is being written aside."""

    def __init__(self, store: Store, path: str, handle: Any) -> None:
        self._store = store
        self._path = path
        self._handle = handle

    def write(self, piece: bytes) -> None:
        """Write a piece."""
        with self._store._in_words("be written to"):
            self._handle.write(piece)

    def publish(self, name: str, size: int) -> None:
        """
        Give the file its final name, now that it is whole.

        :param size: bytes that were written.
        """
        with self._store._in_words("be written to"):
            self._handle.close()
        self._store._publish(self._path, name, size)

    def discard(self) -> None:
        """Throw away what was written; leaves nothing behind that could be taken for a file."""
        with suppress(Exception):
            if isinstance(self._handle, AbstractBufferedFile):
                self._handle.discard()
                # Even to forget an open one would commit it.
                self._handle.closed = True
            else:
                self._handle.close()
        self._store._remove(self._path)


def _mark_of(path: str) -> str:
    """Return the mark in the name of a file aside; empty if it has none."""
    return path.rpartition("/")[2].partition(".")[2].partition(".")[0]


@functools.cache
def _running_system() -> str:
    """Name the system that runs here, from its start to its end; where it has no such name, its machine's must do."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        name = platform.node()
    return hashlib.sha256(name.encode()).hexdigest()[:8]
