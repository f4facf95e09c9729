"""The file of any store that an upload reads: once, in pieces, and only as long as it stays the same."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_ollang import _clock
from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangError, OllangTransientError
from airflow_provider_ollang.runtime.stores import BLOCK, BUCKETS, StoreErrors, open_address, require_address

if TYPE_CHECKING:
    from collections.abc import Callable


#: What stores tell of the version of a file; a few of them each.
_VERSION_KEYS = ("ETag", "etag", "generation", "mtime", "LastModified", "last_modified", "updated", "modified")
_LONGEST_SILENCE = 60.0


class SourceFile:
    """
    A file to upload.

    :param argument: the argument that names it, for messages.
    :param given: a URL, an absolute path or an ``ObjectStoragePath``.
    :param redact: makes a library's text fit for a message.
    :param log: where the progress is logged.
    :param check: called before each piece; what it raises ends the reading.
    :param earlier_size: returns the bytes that an earlier try found, if there was one: then a file that cannot be read
        any more is an error only where it is opened.
    :raises OllangConfigurationError: it is no address, or there is no file.
    :raises OllangTransientError: the store cannot be read now.
    """

    def __init__(
        self,
        argument: str,
        given: Any,
        *,
        redact: Callable[[str], str],
        log: Any,
        check: Callable[[], None] = lambda: None,
        earlier_size: Callable[[], int | None] = lambda: None,
    ) -> None:
        require_address(argument, given)
        self.path = open_address(argument, given)
        self.address = str(self.path)
        self.name = self.path.name
        #: Of the content that was read last, once it was read whole.
        self.sha256: str | None = None
        self.log = log
        self.check = check
        self._protocol = self.path.protocol or "file"
        advice = f"Check that the file exists and that the {argument}'s connection may read it."
        errors = StoreErrors(argument, self.address, self._protocol, f"{advice} Nothing was sent.", redact)
        self.translated = errors.translated
        self.translated_midway = replace(errors, advice=f"{advice} Ollang has nothing of it.").translated
        self.size = 0
        self.version: dict[str, str] = {}
        self._error: OllangError | None = None
        try:
            self._look(argument)
        except OllangError as error:
            size = earlier_size()
            if size is None:
                raise
            log.warning("%s An earlier try may have uploaded it.", error)
            self.size, self._error = size, error

    def _look(self, argument: str) -> None:
        with self.translated("be read"):
            info = self._info()
        if info.get("type") == "directory":
            raise OllangConfigurationError(f"{argument} {self.address} is a folder, not a file. Nothing was sent.")
        if not isinstance(info.get("size"), int):
            raise OllangConfigurationError(
                f"The store of {argument} {self.address} does not tell the size of the file, and Ollang takes none "
                "without. Nothing was sent."
            )
        self.size, self.version = info["size"], _version_of(info)

    def open(self) -> SourceReader:
        """Open it from its start."""
        if self._error is not None:
            raise self._error
        # As it comes, a store of buckets is asked for 50 MB at a time.
        options = {"block_size": BLOCK} if self._protocol in BUCKETS else {}
        with self.translated("be read"):
            return SourceReader(self, self.path.fs.open(self.path.path, "rb", **options))

    def require_unchanged(self, read: int) -> None:
        """
        Check that the file is the one that it was.

        :param read: how many bytes it had.
        :raises OllangTransientError: it is another one.
        """
        if read != self.size or self.version != _version_of(self._info()):
            raise self.changed()

    def changed(self) -> OllangTransientError:
        """Return the error of a file that is another one now."""
        return OllangTransientError(
            f"The file {self.address} has changed while it was sent, so Ollang was not given the end of it, and has "
            "nothing of it. Upload a file only when nothing writes to it any more."
        )

    def _info(self) -> dict[str, Any]:
        self.path.fs.invalidate_cache(self.path.path)
        info: dict[str, Any] = self.path.fs.info(self.path.path)
        return info


class SourceReader:
    """An open :class:`SourceFile`; at its end it says whether it is still the same."""

    def __init__(self, source: SourceFile, handle: Any) -> None:
        self._source = source
        self._handle = handle
        self._digest = hashlib.sha256()
        self._read = 0
        self._logged_at = _clock.monotonic()
        self._tenths = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):
            self._handle.close()

    def read(self, size: int, /) -> bytes:
        """
        Read no more than so many bytes.

        :raises OllangError: the store fails, or the file has changed.
        """
        source = self._source
        source.check()
        with source.translated_midway("be read"):
            try:
                piece: bytes = self._handle.read(size)
                self._read += len(piece)
                if not piece or self._read > source.size:
                    source.require_unchanged(self._read)
            except Exception as error:
                # With the second, s3fs says that an object is not the one that was opened.
                if isinstance(error, FileNotFoundError) or type(error).__name__ == "FileExpired":
                    raise source.changed() from None
                raise
        self._digest.update(piece)
        if not piece:
            source.sha256 = self._digest.hexdigest()
        self._tell_progress()
        return piece

    def _tell_progress(self) -> None:
        """Log each tenth, though not more than one a second, and once a minute at least."""
        source, silence = self._source, _clock.monotonic() - self._logged_at
        tenths = self._read * 10 // source.size
        if silence < 1 or (tenths == self._tenths and silence < _LONGEST_SILENCE):
            return
        self._logged_at, self._tenths = _clock.monotonic(), tenths
        source.log.info(
            "File %s: %.0f %% of %.1f MB are sent.", source.name, self._read * 100 / source.size, source.size / 1e6
        )


def _version_of(info: dict[str, Any]) -> dict[str, str]:
    return {key: str(info[key]) for key in _VERSION_KEYS if info.get(key) is not None}
