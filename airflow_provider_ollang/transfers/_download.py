"""Brings one file from its host into the store: whole, checked, or not at all."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang import _clock
from airflow_provider_ollang.client.backoff import retrying
from airflow_provider_ollang.client.responses import Response
from airflow_provider_ollang.client.session import NETWORK_ERRORS, causes
from airflow_provider_ollang.exceptions import (
    OllangError,
    OllangPermanentError,
    OllangRateLimitError,
    OllangUnavailableError,
)
from airflow_provider_ollang.transfers._file_host import RefusedLinkError, gathered
from airflow_provider_ollang.transfers._links import Linked, NotListedError
from airflow_provider_ollang.transfers._names import suffix_of, with_suffix

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    import requests
    import tenacity

    from airflow_provider_ollang.client.settings import Settings
    from airflow_provider_ollang.runtime.cancellation import CancellationToken
    from airflow_provider_ollang.transfers._file_host import FileHost
    from airflow_provider_ollang.transfers._links import Links
    from airflow_provider_ollang.transfers._plan import File
    from airflow_provider_ollang.transfers._store import PartFile, Store

#: So many more bytes than ever before make up for failures.
_PROGRESS = 1 << 20
#: What is looked at to tell a web page from a file.
_HEAD = 512
_TELL_SECONDS, _TELL_BYTES = 30.0, 256 << 20
_WEB_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)[\s>]", re.IGNORECASE)
_WEB_PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})
#: Names of an encoding that is none: S3 keeps the second from how an object was uploaded.
_NOT_ENCODED = frozenset({"", "identity", "aws-chunked"})
_ENCODED = frozenset({"gzip", "x-gzip", "deflate"})
#: What is in the name of a file aside must leave room for the rest of that.
_LONGEST_VALIDATOR = 44
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class Delivered:
    """A file that is in the store, whole."""

    file_name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Tools:
    """What the downloads of a task share."""

    order_id: str
    settings: Settings
    host: FileHost
    links: Links
    store: Store
    stop: CancellationToken
    log: logging.Logger | Any
    size_must_agree: bool = True


class _AgainError(Exception):
    """Another attempt may do."""

    def __init__(self, reason: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


class _LookAgainError(Exception):
    """What came is not what the order said; the order has been got anew, and may say otherwise."""


class Download:
    """
    One file on its way.

    :param file: what to bring.
    :param tools: where from, where to.
    """

    def __init__(self, file: File, tools: Tools) -> None:
        self._tools = tools
        self._linked = Linked(file, 0)
        self._renewed_at: int | None = None
        self._disagreed: tuple[int, int] | None = None
        self._accepted = False
        self._failures = 0
        self._most = self._paid_for = 0
        self._told_at, self._told_bytes = _clock.monotonic(), 0
        self._part: PartFile | None = None
        self._forget()

    @property
    def _file(self) -> File:
        return self._linked.file

    def run(self) -> Delivered:
        """
        Bring it.

        :raises OllangError: it cannot be had, or not be stored; nothing is left of it.
        :raises TaskCancelledError: somebody said to end; likewise.
        """
        try:
            # Somebody else may have got the order anew meanwhile.
            self._linked = self._tools.links.of(self._file)
            self._take_over()
            return self._with_retries()(self._attempt)
        except _AgainError as error:
            kind = OllangRateLimitError if error.status == 429 else OllangUnavailableError
            raise kind(
                self._words(f"{error}; {self._failures} attempts failed in a row"),
                retry_after=error.retry_after,
                status_code=error.status,
                order_id=self._tools.order_id,
            ) from None
        except (RefusedLinkError, NotListedError) as error:
            gone = isinstance(error, NotListedError)
            raise self._error(OllangUnavailableError if gone else OllangPermanentError, str(error)) from None
        finally:
            self._forget()

    def _take_over(self) -> None:
        """Begin with what a killed try left, if the file's host says then that the rest belongs to it."""
        left = self._tools.store.left(self._mark(""))
        if left is None:
            return
        validator = _validator_in(left.mark)
        for piece in left.pieces():
            self._tools.stop.raise_if_cancelled()
            self._append(piece, validator)
        if self._received:
            self._validator = validator
            self._tools.log.info("%s: an earlier try left %d bytes of it.", self._title, self._received)

    def _mark(self, validator: str) -> str:
        """Name this version of the file for the next try; the beginning of that name without a validator."""
        order = (self._tools.order_id, self._tools.settings.base_url, self._file.key, self._file.state)
        name = hashlib.sha256("\0".join(order).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return f"{name}-{validator.encode('latin-1').hex()}"

    # --- One attempt ------------------------------------------------------------------------------------------

    def _attempt(self) -> Delivered:
        while True:
            try:
                response = self._tools.host.open(self._file.link, self._range())
            except NETWORK_ERRORS as error:
                raise _AgainError(self._trouble(error)) from None
            with response:
                if not self._is_refused(response):
                    try:
                        return self._take(response)
                    except _LookAgainError as error:
                        # Not one of the attempts: nothing was wrong with the connection.
                        self._tools.log.warning("%s: %s. Getting it anew.", self._title, error)
                        continue
            self._renew(response.status_code)

    def _range(self) -> dict[str, str]:
        return {"Range": f"bytes={self._received}-", "If-Range": self._validator} if self._validator else {}

    def _is_refused(self, response: requests.Response) -> bool:
        """Tell whether the link may have expired; 401, 403, 404, 410 say so, and some hosts 400."""
        status = response.status_code
        answer = Response(status, {name.lower(): value for name, value in response.headers.items()}, b"")
        if status in {408, 429} or status >= 500:
            raise _AgainError(f"the file host answered {status}", status=status, retry_after=answer.retry_after)
        if status == 416:
            self._forget()
            raise _AgainError("the file host no longer has the rest of it", status=status)
        if status >= 400:
            return True
        if status not in {200, 206}:
            raise _AgainError(f"the file host answered {status}", status=status)
        return False

    def _renew(self, status: int) -> None:
        """Get a fresh link, once unless the last one has brought something."""
        if self._renewed_at is not None and self._most <= self._renewed_at:
            raise self._error(
                OllangUnavailableError,
                f"the file host refuses a fresh link, too ({status}), so the file may not be there",
                status,
            )
        self._tools.log.info(
            "The link to %s is refused (%d), so it may have expired: getting the order anew.", self._title, status
        )
        self._relink()
        self._renewed_at = self._most

    def _relink(self) -> None:
        self._tools.stop.raise_if_cancelled()
        before = self._file
        self._linked = self._tools.links.renew(self._linked)
        if self._file.state != before.state:
            self._forget()

    def _take(self, response: requests.Response) -> Delivered:
        headers = response.headers
        encoding = headers.get("Content-Encoding", "").strip().casefold()
        if encoding not in _NOT_ENCODED | _ENCODED:
            raise self._error(OllangPermanentError, f"the file host sends it encoded as {encoding!r:.40}, unasked")
        encoded = encoding in _ENCODED
        whole = self._whole(response)
        self._refuse_web_page(headers.get("Content-Type", ""), b"")
        if whole is not None and not encoded:
            self._compare(whole)
        validator = "" if encoded else _validator_of(headers)
        with self._tools.stop.reading(response):
            try:
                for piece in self._pieces(response, encoded=encoded):
                    self._write(piece, validator, encoded=encoded)
            except NETWORK_ERRORS as error:
                self._tools.stop.raise_if_cancelled()
                self._keep(validator)
                raise _AgainError(self._trouble(error)) from None
        self._tools.stop.raise_if_cancelled()
        if whole is not None and not encoded and self._received < whole:
            self._keep(validator)
            raise _AgainError(f"only {self._received} of {whole} bytes came")
        if not self._received or not encoded or self._received != self._file.size != response.raw.tell():
            self._compare(self._received)
        return self._finish(headers.get("Content-Type"))

    def _whole(self, response: requests.Response) -> int | None:
        """Return the length of the whole file, as its host tells it; what is there is kept if this is the rest."""
        if response.status_code == 200:
            self._forget()
            length = response.headers.get("Content-Length", "")
            return int(length) if length.isdecimal() else None
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if not self._received or found is None or int(found[1]) != self._received:
            self._forget()
            raise _AgainError("the file host sent another part than the one asked for")
        told = _validator_of(response.headers)
        # Not every host heeds the condition. A date it may leave out of such an answer, but no ETag.
        if told != self._validator and (told or self._validator.startswith('"')):
            self._forget()
            raise _AgainError("the file host sent the rest of another version of it")
        return int(found[2]) if found[2] != "*" else None

    def _pieces(self, response: requests.Response, *, encoded: bool) -> Iterator[bytes]:
        head = b""
        reading = not self._received

        def read(size: int) -> bytes:
            self._tools.stop.raise_if_cancelled()
            return bytes(response.raw.read1(size, decode_content=encoded))

        for piece in gathered(read):
            if not reading:
                yield piece
                continue
            head += piece
            if len(head) >= _HEAD:
                reading = False
                self._refuse_web_page("", head)
                yield head
        if reading and head:
            self._refuse_web_page("", head)
            yield head

    def _append(self, piece: bytes, validator: str) -> None:
        if self._part is None:
            marked = 0 < len(validator) <= _LONGEST_VALIDATOR
            self._part = self._tools.store.begin(self._file.size, self._mark(validator) if marked else "")
        self._part.write(piece)
        self._digest.update(piece)
        self._received += len(piece)

    def _write(self, piece: bytes, validator: str, *, encoded: bool) -> None:
        self._append(piece, validator)
        size = self._file.size
        self._most = max(self._most, self._received)
        if size is not None and self._received > size and not encoded:
            self._compare(self._received)
        self._tell()

    def _finish(self, media_type: str | None) -> Delivered:
        if self._part is None:
            raise AssertionError("bytes were received")
        name = with_suffix(self._file.file_name, media_type)
        # From here on it is whole, and nothing is left to throw away but what has no final name.
        self._part.publish(name, self._received)
        self._part = None
        delivered = Delivered(name, self._received, self._digest.hexdigest())
        self._tools.log.info("Delivered %s: %s, %d bytes.", self._title, name, delivered.size)
        return delivered

    # --- What may be wrong with it ----------------------------------------------------------------------------

    def _refuse_web_page(self, media_type: str, head: bytes) -> None:
        kind = media_type.partition(";")[0].strip().casefold()
        if kind not in _WEB_PAGE_TYPES and not _WEB_PAGE.match(head):
            return
        if (
            suffix_of(self._file.file_name) in {".html", ".htm", ".xhtml"}
            or "html" in (self._file.type or "").casefold()
        ):
            return
        self._forget()
        if self._renewed_at is None:
            # Some hosts answer to an expired link with a page that says so.
            self._relink()
            self._renewed_at = self._most
        raise _AgainError("the file host sent a web page in place of the file")

    def _compare(self, found: int) -> None:
        """Compare a length with the one the order tells."""
        size = self._file.size
        if not found:
            raise _AgainError("the file is empty")
        if size is None or found == size:
            return
        words = f"the order says it has {size} bytes, but the file host sends {found}"
        if not self._tools.size_must_agree and self._disagreed is not None:
            # Told once: what comes piece by piece is compared again and again.
            if not self._accepted:
                self._accepted = True
                self._tools.log.warning(
                    "%s: %s, with a fresh order too. Delivering it all the same (on_size_mismatch='deliver').",
                    self._title,
                    words,
                )
            return
        self._forget()
        if self._disagreed == (found, size):
            raise self._error(
                OllangPermanentError,
                f"{words}, and so it did again with a fresh order. Look at the document in Ollang; to deliver it as it "
                "is, set on_size_mismatch='deliver'",
            )
        first = self._disagreed is None
        self._disagreed = (found, size)
        self._relink()
        raise (_LookAgainError if first else _AgainError)(words)

    def _keep(self, validator: str) -> None:
        """Keep what came for the next attempt, if that can make sure that the rest belongs to it."""
        if not validator or not self._received:
            self._forget()
        else:
            self._validator = validator

    def _forget(self) -> None:
        part, self._part = self._part, None
        self._digest = hashlib.sha256()
        self._received = 0
        self._validator = ""
        if part is not None:
            part.discard()

    # --- Attempts, and words ----------------------------------------------------------------------------------

    def _with_retries(self) -> tenacity.Retrying:
        return retrying(
            self._tools.settings.max_attempts,
            retry_if=lambda error: isinstance(error, _AgainError),
            log=self._tools.log,
            sleep=self._tools.stop.sleep,
            max_total=math.inf,
            count_failures=self._count_failures,
            describe=lambda error: f"{self._title}: {error}. {self._received} bytes so far.",
        )

    def _count_failures(self, _attempt: int) -> int:
        """Count again where the download got ahead: what counts is failures in a row."""
        self._failures = 1 if self._most >= self._paid_for + _PROGRESS else self._failures + 1
        self._paid_for = self._most
        return self._failures

    def _tell(self) -> None:
        now = _clock.monotonic()
        if now - self._told_at < _TELL_SECONDS and self._received - self._told_bytes < _TELL_BYTES:
            return
        self._told_at, self._told_bytes = now, self._received
        size = self._file.size
        whole = f" of {size >> 20}" if size else ""
        self._tools.log.info("%s: %d%s MiB so far.", self._title, self._received >> 20, whole)

    @property
    def _title(self) -> str:
        return self._tools.settings.redact(self._file.title)

    def _words(self, reason: str) -> str:
        return f"Order {self._tools.order_id}: {self._title} was not delivered: {reason}."

    def _error(self, kind: type[OllangError], reason: str, status: int | None = None) -> OllangError:
        return kind(self._words(reason), status_code=status, order_id=self._tools.order_id)

    def _trouble(self, error: BaseException) -> str:
        """Say why an answer did not come whole; the words of the libraries show links."""
        return f"the connection to the file host failed or broke off ({_innermost(error, self._tools.settings)})"


def _validator_of(headers: Any) -> str:
    """Return what tells one version of a file from another, for ``If-Range``; empty if its host does not say."""
    etag = str(headers.get("ETag", ""))
    return etag if etag.startswith('"') and etag != '""' else str(headers.get("Last-Modified", ""))


def _validator_in(mark: str) -> str:
    return bytes.fromhex(mark.partition("-")[2]).decode("latin-1")


def _innermost(error: BaseException, settings: Settings) -> str:
    *_, cause = causes(error)
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__
    return settings.redact(text)
