"""The files of an order: their bytes, the links that lead to them, and which file a link leads to.

The bytes depend on nothing but the document and its run, and are made as they are sent. A link is signed, and valid for
a time.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from airflow_provider_ollang.sandbox.documents import documents_of, latest_run, run_label
from airflow_provider_ollang.sandbox.order import EXAMPLE_ID, Json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_ollang.sandbox.order import Order

#: Every signed link has this word, so that one can search for leaks.
SIGNATURE = "sandbox-signature"
#: First part of the path of every file.
FILES = "/files"
#: In place of a document's id: the file of the order's `vttUrl`.
VTT = "vttUrl"
#: Links that begin so are the sandbox's own; any other one is left as it is.
OWN_LINKS = "https://example.com/"
_VTT_SIZE = 4096
_USUAL_SIZE = 6144
_RUN_IN_NAME = re.compile(r"_run(\d{1,9})(_draft)?(\.\w+)?$")
_numbers = itertools.count(1)
#: Content repeats after so many bytes: a prime, so that a piece in a wrong place is noticed.
_PERIOD = 1_048_573
_TYPES = {
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
    ".srt": "application/x-subrip",
    ".vtt": "text/vtt",
    ".wav": "audio/wav",
    ".zip": "application/zip",
}
_SUBTITLES = (".srt", ".vtt")


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file: its bytes depend on the key, and on the suffix of the name; the size is in bytes."""

    key: str
    name: str
    size: int

    @property
    def suffix(self) -> str:
        """Suffix of the name, in lower case."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def media_type(self) -> str:
        """The `Content-Type` of the file."""
        return _TYPES.get(self.suffix, "binary/octet-stream")

    @property
    def etag(self) -> str:
        """The `ETag` of the file, in quotes."""
        return f'"{hashlib.sha256(f"{self.key} {self.suffix} {self.size}".encode()).hexdigest()[:32]}"'

    def pieces(self, start: int = 0, stop: int | None = None) -> Iterator[memoryview]:
        """Make the bytes from `start` up to `stop` (default: the end), a megabyte at most at a time."""
        block = memoryview(_block(self.key, self.suffix if self.suffix in _SUBTITLES else "", min(self.size, _PERIOD)))
        end = self.size if stop is None else min(stop, self.size)
        while start < end:
            offset = start % _PERIOD
            piece = block[offset : offset + end - start]
            yield piece
            start += len(piece)

    def read(self) -> bytes:
        """Return all bytes of a file that fits into memory."""
        return b"".join(self.pieces())

    def sha256(self) -> str:
        """Return the SHA-256 of the file, in hexadecimal."""
        digest = hashlib.sha256()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()


@lru_cache(maxsize=32)
def _block(key: str, kind: str, length: int) -> bytes:
    seed = key.encode("utf-8", "surrogatepass")
    if not kind:
        return hashlib.shake_256(seed).digest(length)
    mark, name = "." if kind == ".vtt" else ",", hashlib.sha256(seed).hexdigest()[:12]
    text = ["WEBVTT\n\n" if kind == ".vtt" else ""]
    for number in range(length // 40 + 1):
        time = f"{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}{mark}"
        text.append(f"{number + 1}\n{time}000 --> {time}800\nLine {number + 1} of {name}\n\n")
    return "".join(text)[:length].encode()


# Links


class File(NamedTuple):
    """What is behind a link: its content, when it was made, and whether it is sent compressed and in parts."""

    content: Content
    modified: object
    gzipped: bool
    ranges: bool


def with_links(order: Order, body: Json, files_url: str | None, now: int) -> Json:
    """Return the body of an order with links as its options ask for, without altering it."""
    links = order.behaviour.links
    is_served = links == "served" or (links is None and order.id != EXAMPLE_ID)
    host = files_url if is_served else None
    if host is None and not order.behaviour.sign_links:
        return body

    def link_to(link: Any, document_id: object) -> Any:
        if not isinstance(link, str) or not link:
            return link
        if host is not None and link.startswith(OWN_LINKS) and isinstance(document_id, str) and document_id:
            path = path_of(order.id, document_id, file_name(link))
            return f"{host}{path}?{_query(path, order, now)}"
        if not order.behaviour.sign_links:
            return link
        return f"{link}{'&' if '?' in link else '?'}{_query(link, order, now)}"

    def with_link(document: Any) -> Any:
        has_link = isinstance(document, dict) and "url" in document
        return {**document, "url": link_to(document["url"], document.get("id"))} if has_link else document

    new = dict(body)
    if VTT in new:
        new[VTT] = link_to(new[VTT], VTT)
    if isinstance(new.get("orderDocs"), list):
        new["orderDocs"] = [with_link(document) for document in new["orderDocs"]]
    return new


def file_name(link: str) -> str:
    """Return the last part of a link's path."""
    return urlsplit(link).path.rpartition("/")[2] or "file"


def path_of(order_id: str, document_id: str, name: str) -> str:
    """Return the path of a file."""
    return "/".join([FILES, *(quote(part, safe="", errors="surrogatepass") for part in (order_id, document_id, name))])


def _query(path: str, order: Order, now: int) -> str:
    life = order.behaviour.link_lifetime
    second = now // 1000
    if order.behaviour.sign_links:
        expires, number = second + life, next(_numbers)
    else:
        # The same link for every client until it expires, as if the server kept the links it has signed.
        created = order.snapshots[0].at // 1000
        expires, number = created + ((second - created) // life + 1) * life, 0
    return f"Expires={expires}&Signature={_signature(path, expires, number)}"


def _signature(path: str, expires: int, number: int) -> str:
    digest = hashlib.sha256(f"{path} {expires} {number}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{SIGNATURE}-{number:08x}{digest}"


def is_signed(path: str, expires: str, signature: str) -> bool:
    """Tell whether the sandbox has signed a link, expired or not."""
    match = re.fullmatch(re.escape(SIGNATURE) + r"-([0-9a-f]{8,16})[0-9a-f]{16}", signature)
    if match is None or re.fullmatch(r"\d{1,15}", expires, re.ASCII) is None:
        return False
    return signature == _signature(path, int(expires), int(match[1], 16))


def file_of(order: Order, document_id: str, name: str | None = None) -> File | None:
    """Return what is, or was, behind the link of an order that ends in a name, or in any if that is None."""
    for snapshot in reversed(order.snapshots):
        if document_id == VTT:
            file = _vtt(order, snapshot.order, name, is_latest=snapshot is order.snapshots[-1])
        else:
            file = _document(order, snapshot.order, document_id, name)
        if file is not None:
            return file
    return None


def _document(order: Order, body: Json, document_id: str, name: str | None) -> File | None:
    for document in documents_of(body):
        if not isinstance(document, dict) or document.get("id") != document_id:
            continue
        link = document.get("url")
        if isinstance(link, str) and link.startswith(OWN_LINKS) and name in (None, file_name(link)):
            content = Content(f"{document_id} run {run_label(document)}", file_name(link), size_of(document))
            modified = document.get("updatedAt") or document.get("createdAt")
            return _file(order, content, modified, document_id, document.get("name"))
    return None


def _vtt(order: Order, body: Json, name: str | None, *, is_latest: bool) -> File | None:
    link = body.get(VTT)
    if not isinstance(link, str) or not link.startswith(OWN_LINKS) or name not in (None, file_name(link)):
        return None
    match = _RUN_IN_NAME.search(file_name(link))
    run = int(match[1]) if match else 1
    # Where outputs are renewed in place, the link stays and leads to the newest.
    run = max(run, latest_run(body)) if is_latest else run
    content = Content(f"{body.get('id')} {VTT} run {run}", file_name(link), _VTT_SIZE + 7 * run)
    return _file(order, content, body.get("createdAt"), VTT, VTT)


def _file(order: Order, content: Content, modified: object, document_id: str, name: object) -> File:
    options = order.behaviour
    gzipped, no_ranges = (is_among(globs, document_id, name) for globs in (options.gzipped, options.no_ranges))
    return File(content, modified, gzipped=gzipped, ranges=not no_ranges)


def size_of(document: Json) -> int:
    """Return the size of a document's file."""
    size = document.get("size")
    is_size = isinstance(size, int | float) and not isinstance(size, bool) and 0 <= size < 2**60 and size == int(size)
    return int(size) if is_size and size is not None else _USUAL_SIZE


def is_among(globs: Iterable[str], document_id: object, name: object) -> bool:
    """Tell whether one of the globs over ids and names matches a document."""
    return any(fnmatchcase(str(each), glob) for glob in globs for each in (document_id, name))
