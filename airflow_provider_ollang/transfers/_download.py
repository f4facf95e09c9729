"""Downloads one file from its host into the store: complete, checked, or not at all."""

from __future__ import annotations

import math
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang import _clock
from airflow_provider_ollang.client.backoff import retrying
from airflow_provider_ollang.client.responses import Response
from airflow_provider_ollang.client.session import NETWORK_ERRORS
from airflow_provider_ollang.exceptions import (
    OllangError,
    OllangPermanentError,
    OllangRateLimitError,
    OllangUnavailableError,
)
from airflow_provider_ollang.transfers._file_host import (
    RefusedLinkError,
    innermost,
    is_packed,
    is_web_page,
    unpacked,
    validator_of,
)
from airflow_provider_ollang.transfers._names import suffix_of, with_suffix

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    import requests
    from tenacity import Retrying

    from airflow_provider_ollang.client.settings import Settings
    from airflow_provider_ollang.runtime.cancellation import CancellationToken
    from airflow_provider_ollang.transfers._file_host import FileHost
    from airflow_provider_ollang.transfers._plan import File
    from airflow_provider_ollang.transfers._store import Delivered, StagedFile, Store
    from airflow_provider_ollang.transfers._transfer import SignedUrls

#: What is read at a time: less costs more CPU, and more is lost if the connection breaks off.
_PIECE = 128 << 10
#: What is looked at to tell a web page from a file.
_HEAD = 512
#: So many more bytes than ever before make up for failures.
_PROGRESS = 1 << 20
_LOG_SECONDS, _LOG_BYTES = 30.0, 256 << 20
#: No byte of deflate unpacks to more (https://zlib.net/zlib_tech.html).
_MOST_UNPACKED = 1032
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


class NotListedError(Exception):
    """The order no longer has a file."""


@dataclass(frozen=True)
class Delivery:
    """What the downloads of a task share: where from, where to."""

    order_id: str
    settings: Settings
    host: FileHost
    urls: SignedUrls
    store: Store
    token: CancellationToken
    log: logging.Logger | Any
    size_must_agree: bool = True


class AttemptError(Exception):
    """An attempt failed; another one may do."""

    def __init__(self, reason: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


class StaleOrderError(Exception):
    """The response contradicts the order, or refuses its URL; a fresh order may agree with it."""

    def __init__(
        self,
        reason: str,
        kind: type[OllangError] = OllangUnavailableError,
        *,
        status: int | None = None,
        advice: str = "",
    ) -> None:
        super().__init__(reason)
        self.kind = kind
        self.status = status
        self.advice = advice


class Download:
    """
    One file on its way.

    :param file: what to download.
    :param delivery: where from, where to.
    """

    def __init__(self, file: File, delivery: Delivery) -> None:
        self._delivery = delivery
        self._file = file
        #: What has come so far, and what a request for the rest goes by (``If-Range``): empty if there can be none.
        self._staged: StagedFile | None = None
        self._validator = ""
        #: Attempts that failed in a row; the most bytes there ever were; those that have made up for failures.
        self._failures, self._most, self._paid_for = 0, 0, 0
        #: What the last fresh order was got for, unless something new has come since.
        self._refreshed_for = ""
        #: The size it must have; ``None`` if the order does not say. Another one that is accepted.
        self._size: int | None = file.size
        self._accepted: int | None = None
        self._logged_at, self._logged_bytes = _clock.monotonic(), 0

    @property
    def _received(self) -> int:
        return self._staged.size if self._staged is not None else 0

    def run(self) -> Delivered:
        """
        Download it.

        :raises OllangError: it cannot be had, or not be stored; nothing is left of it.
        :raises TaskCancelledError: the task was ended; likewise.
        """
        try:
            # Another download may have got a fresh order meanwhile.
            self._file = self._delivery.urls.latest(self._file)
            return self._retrying()(self._attempt)
        except AttemptError as error:
            raise (OllangRateLimitError if error.status == 429 else OllangUnavailableError)(
                self._message(f"{error}; {self._failures} attempts failed in a row"),
                retry_after=error.retry_after,
                status_code=error.status,
                order_id=self._delivery.order_id,
            ) from None
        except (RefusedLinkError, NotListedError) as error:
            kind = OllangPermanentError if isinstance(error, RefusedLinkError) else OllangUnavailableError
            raise self._error(kind, str(error)) from None
        finally:
            self._discard()

    def _retrying(self) -> Retrying:
        """Return the client's policy, but progress makes up for failures."""

        def count_failures(_attempt: int) -> int:
            self._failures = 1 if self._most >= self._paid_for + _PROGRESS else self._failures + 1
            self._paid_for = self._most
            return self._failures

        return retrying(
            self._delivery.settings.max_attempts,
            retry_if=lambda error: isinstance(error, AttemptError),
            log=self._delivery.log,
            sleep=self._delivery.token.sleep,
            max_total=math.inf,
            count_failures=count_failures,
            describe=lambda error: f"{self._title}: {error}. {self._received} bytes so far.",
        )

    # --- One attempt ------------------------------------------------------------------------------------------

    def _attempt(self) -> Delivered:
        """Fetch it, and once more with a fresh order if the response contradicts the order at hand."""
        for _ in range(2):
            try:
                with self._network_errors(), self._delivery.host.open(self._file.link, self._range()) as response:
                    self._require_content(response)
                    return self._receive(response)
            except StaleOrderError as error:
                self._refresh(error)
                stale = error
        raise AttemptError(str(stale), status=stale.status)

    def _refresh(self, error: StaleOrderError) -> None:
        """Get a fresh order; fail if that was done for the same reason, and nothing new has come since."""
        self._delivery.token.raise_if_cancelled()
        if str(error) == self._refreshed_for:
            reason = f"{error}, and so it was again with a fresh order{error.advice}"
            raise self._error(error.kind, reason, error.status) from None
        self._refreshed_for = str(error)
        self._delivery.log.info("%s: %s. Getting a fresh order.", self._title, error)
        state = self._file.state
        self._file = self._delivery.urls.latest(self._file, refresh=True)
        if self._file.state != state:
            self._discard()

    def _range(self) -> dict[str, str]:
        if not self._validator or not self._received:
            return {}
        return {"Range": f"bytes={self._received}-", "If-Range": self._validator}

    def _require_content(self, response: requests.Response) -> None:
        status = response.status_code
        if status in {200, 206}:
            return
        if status in {408, 429} or status >= 500:
            answer = Response(status, {name.lower(): value for name, value in response.headers.items()}, b"")
            raise AttemptError(f"the file host answered {status}", status=status, retry_after=answer.retry_after)
        if status == 416:
            self._discard()
            raise AttemptError("the file host no longer has the rest of it", status=status)
        if status >= 400:
            # 401, 403, 404 and 410 say that a signed URL has expired, and some hosts 400.
            raise StaleOrderError(
                f"the file host refuses its URL ({status}), so the file may not be there", status=status
            )
        raise AttemptError(f"the file host answered {status}", status=status)

    def _receive(self, response: requests.Response) -> Delivered:
        headers = response.headers
        encoding = headers.get("Content-Encoding", "").strip().casefold()
        packed = is_packed(encoding)
        if packed is None:
            raise self._error(OllangPermanentError, f"the file host sends it encoded as {encoding!r:.40}, unasked")
        length = self._length(response)
        # Some orders tell the size of what is stored, which is packed. Any other size bounds what is unpacked.
        self._size = None if packed and length in {None, self._file.size} else self._file.size
        self._refuse_web_page(headers.get("Content-Type", ""), b"")
        if length is not None and not packed:
            self._require_size(length)
        if self._staged is None:
            name = with_suffix(self._file.file_name, headers.get("Content-Type"))
            self._staged = self._delivery.store.open(name, self._file.size)
        self._validator = "" if packed else validator_of(headers)
        with self._delivery.token.reading(response):
            for piece in self._pieces(response, packed=packed):
                self._write(self._staged, piece)
        self._delivery.token.raise_if_cancelled()
        received = self._received
        if packed and length is None and response.raw.tell() != self._file.size:
            self._size = self._file.size
        if length is not None and not packed and received != length:
            if received > length or not self._validator:
                self._discard()
            raise AttemptError(f"{received} of {length} bytes came")
        self._require_size(received)
        return self._publish(self._staged)

    def _length(self, response: requests.Response) -> int | None:
        """Return the length of the complete file, as its host tells it; what came is kept if this is the rest."""
        if response.status_code == 200:
            self._discard()
            length = response.headers.get("Content-Length", "")
            return int(length) if length.isdecimal() else None
        part = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        if not self._received or part is None or int(part[1]) != self._received:
            self._discard()
            raise AttemptError("the file host sent another part than the one asked for")
        validator = validator_of(response.headers)
        # Not every host heeds the condition. A date it may leave out of such an answer (RFC 9110, 15.3.7), but no ETag.
        if validator != self._validator and (validator or self._validator.startswith('"')):
            self._discard()
            raise AttemptError("the file host sent the rest of another version of it")
        return int(part[2])

    def _pieces(self, response: requests.Response, *, packed: bool) -> Iterator[bytes]:
        def read() -> bytes:
            self._delivery.token.raise_if_cancelled()
            return bytes(response.raw.read(_PIECE, decode_content=False))

        pieces = iter(read, b"")
        if packed:
            pieces = unpacked(pieces)
        if self._received:
            yield from pieces
            return
        head = b""
        for piece in pieces:
            head += piece
            if len(head) >= _HEAD:
                break
        if head:
            self._refuse_web_page("", head)
            yield head
        yield from pieces

    def _write(self, staged: StagedFile, piece: bytes) -> None:
        staged.write(piece)
        if staged.size > self._most_bytes and self._delivery.size_must_agree:
            self._discard()
            raise self._size_mismatch("more")
        if staged.size > self._most:
            # There is something new, so a fresh order may help again.
            self._most, self._refreshed_for = staged.size, ""
        self._log_progress()

    @property
    def _most_bytes(self) -> float:
        """How many bytes may come."""
        if self._size is not None:
            return self._size
        return math.inf if self._file.size is None else self._file.size * _MOST_UNPACKED

    def _publish(self, staged: StagedFile) -> Delivered:
        delivered = staged.publish()
        # Now it is complete and there, and nothing is left to discard.
        self._staged = None
        self._delivery.log.info("Delivered %s: %s, %d bytes.", self._title, delivered.file_name, delivered.size)
        return delivered

    # --- What may be wrong with it ----------------------------------------------------------------------------

    def _refuse_web_page(self, media_type: str, head: bytes) -> None:
        is_html = suffix_of(self._file.file_name) in {".html", ".htm", ".xhtml"}
        if is_html or "html" in (self._file.type or "").casefold() or not is_web_page(media_type, head):
            return
        self._discard()
        # Some hosts answer to an expired URL with a page that says so.
        raise StaleOrderError("the file host sent a web page in place of the file")

    def _require_size(self, length: int) -> None:
        """Compare a length with the one that the order tells."""
        if length in {self._size, self._accepted} or (self._size is None and length):
            return
        if not length:
            self._discard()
            raise AttemptError("the file is empty")
        mismatch = self._size_mismatch(length)
        if not self._delivery.size_must_agree and self._refreshed_for == str(mismatch):
            self._accepted = length
            self._delivery.log.warning(
                "%s: %s. Delivering it all the same (on_size_mismatch='deliver').", self._title, mismatch
            )
            return
        self._discard()
        raise mismatch

    def _size_mismatch(self, sent: int | str) -> StaleOrderError:
        return StaleOrderError(
            f"the order says it has {self._file.size} bytes, but the file host sends {sent}",
            OllangPermanentError,
            advice=". Look at the document in Ollang; to deliver it as it is, set on_size_mismatch='deliver'",
        )

    def _discard(self) -> None:
        staged, self._staged = self._staged, None
        if staged is not None:
            staged.discard()

    # --- Attempts, and messages -------------------------------------------------------------------------------

    @contextmanager
    def _network_errors(self) -> Iterator[None]:
        """Let another attempt go on from what came, if that can make sure that the rest belongs to it."""
        try:
            yield
        except NETWORK_ERRORS as error:
            self._delivery.token.raise_if_cancelled()
            if not self._validator:
                self._discard()
            reason = self._delivery.settings.redact(innermost(error))
            raise AttemptError(f"the connection to the file host failed or broke off ({reason})") from None

    def _log_progress(self) -> None:
        now = _clock.monotonic()
        if now - self._logged_at < _LOG_SECONDS and self._received - self._logged_bytes < _LOG_BYTES:
            return
        self._logged_at, self._logged_bytes = now, self._received
        total = f" of {self._file.size >> 20}" if self._file.size else ""
        self._delivery.log.info("%s: %d%s MiB so far.", self._title, self._received >> 20, total)

    @property
    def _title(self) -> str:
        return self._delivery.settings.redact(self._file.title)

    def _message(self, reason: str) -> str:
        return f"Order {self._delivery.order_id}: {self._title} was not delivered: {reason}."

    def _error(self, kind: type[OllangError], reason: str, status: int | None = None) -> OllangError:
        return kind(self._message(reason), status_code=status, order_id=self._delivery.order_id)
