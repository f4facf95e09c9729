"""The host of the files: another origin than the API, that takes signed links and no key, and answers as S3 does."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from aiohttp import web

from airflow_provider_ollang.sandbox import wire
from airflow_provider_ollang.sandbox.clock import http_date, iso, parse_iso
from airflow_provider_ollang.sandbox.links import FILES, is_signed, path_of
from airflow_provider_ollang.sandbox.wire import Streamed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ollang.sandbox.content import Content
    from airflow_provider_ollang.sandbox.core import Found, Service

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
#: Up to this size a compressed file is made whole, and its length told.
_COMPRESSED_WHOLE = 8 * 1024 * 1024
_EXPIRED = ("AccessDenied", "Request has expired")
_NO_SIGNATURE = ("AccessDenied", "Access Denied")
_WRONG_SIGNATURE = (
    "SignatureDoesNotMatch",
    "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
)
_NO_FILE = ("NoSuchKey", "The specified key does not exist.")
_NO_RANGE = ("InvalidRange", "The requested range is not satisfiable")
_CHANGED = ("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")


def file_host(service: Service) -> web.Application:
    """Make the application that serves a sandbox's files."""
    app = wire.application(service, "files")
    host = _Host(service)
    app.router.add_route("*", f"{FILES}/{{order_id}}/{{document_id}}/{{name}}", host.get)
    app.router.add_route("*", "/{anything:.*}", host.unknown)
    return app


class _Host:
    def __init__(self, service: Service) -> None:
        self.service = service

    async def get(self, request: web.Request) -> web.StreamResponse:
        parts = request.match_info
        path = path_of(parts["order_id"], parts["document_id"], parts["name"])
        expires, signature = request.query.get("Expires", ""), request.query.get("Signature", "")
        if not expires or not signature:
            return _refuse(403, *_NO_SIGNATURE)
        # As S3's, a link is signed for one method.
        if request.method != "GET" or not is_signed(path, expires, signature):
            return _refuse(403, *_WRONG_SIGNATURE)
        now = self.service.clock.now()
        if now >= int(expires) * 1000:
            return _refuse(403, *_EXPIRED, Expires=_xml_time(int(expires) * 1000), ServerTime=_xml_time(now))
        found = self.service.find_file(parts["order_id"], parts["document_id"], parts["name"])
        if found is None:
            return _refuse(404, *_NO_FILE, Key=path)
        return _answer(request, found, now)

    async def unknown(self, request: web.Request) -> web.StreamResponse:
        return _refuse(404, *_NO_FILE, Key=request.rel_url.raw_path)


def _answer(request: web.Request, found: Found, now: int) -> web.StreamResponse:
    content = found.file.content
    changed = parse_iso(found.file.changed)
    headers = {
        "Content-Type": content.media_type,
        "ETag": content.etag,
        "Last-Modified": http_date(now if changed is None else changed),
    }
    if request.headers.get("If-Match", content.etag) not in (content.etag, "*"):
        return _refuse(412, *_CHANGED, Condition="If-Match")
    if found.gzipped:
        return _gzipped(content, headers)
    if not found.ranges:
        return Streamed(content.pieces(), content.size, status=200, headers=headers)
    headers["Accept-Ranges"] = "bytes"
    part = _part(request, content, headers["Last-Modified"])
    if part is None:
        return Streamed(content.pieces(), content.size, status=200, headers=headers)
    start, stop = part
    if start >= stop:
        refused = _refuse(416, *_NO_RANGE, ActualObjectSize=str(content.size))
        refused.headers["Content-Range"] = f"bytes */{content.size}"
        return refused
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
    return Streamed(content.pieces(start, stop), stop - start, status=206, headers=headers)


def _part(request: web.Request, content: Content, changed: str) -> tuple[int, int] | None:
    """Return which bytes are asked for, empty if there are none such; None: all."""
    found = _RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    if found is None or found[0] == "bytes=-":
        return None
    if request.headers.get("If-Range", content.etag) not in (content.etag, changed):
        return None
    if not found[1]:
        return max(content.size - int(found[2]), 0), content.size
    start, last = int(found[1]), int(found[2] or max(int(found[1]), content.size))
    if last < start:
        return None
    return start, min(last + 1, content.size)


def _gzipped(content: Content, headers: dict[str, str]) -> Streamed:
    headers = {**headers, "Content-Encoding": "gzip"}
    if content.size > _COMPRESSED_WHOLE:
        return Streamed(_compressed(content), None, status=200, headers=headers)
    whole = b"".join(_compressed(content))
    return Streamed([whole], len(whole), status=200, headers=headers)


def _compressed(content: Content) -> Iterator[bytes]:
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for piece in content.pieces():
        yield packer.compress(piece)
    yield packer.flush()


def _xml_time(moment: int) -> str:
    return iso(moment // 1000 * 1000).replace(".000Z", "Z")


def _refuse(status: int, code: str, message: str, **more: str) -> web.Response:
    fields = {"Code": code, "Message": message, **more}
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'
    return web.Response(status=status, body=text.encode(), content_type="application/xml")
