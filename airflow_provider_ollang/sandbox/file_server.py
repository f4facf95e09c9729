"""The host of the files: another origin than the API. It takes signed links and no key, and responds as S3 does."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from aiohttp import web

from airflow_provider_ollang.sandbox.clock import parse_iso, to_http_date, to_iso
from airflow_provider_ollang.sandbox.faults import Streamed
from airflow_provider_ollang.sandbox.files import FILES, is_signed, path_of
from airflow_provider_ollang.sandbox.request_log import logged_application

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_ollang.sandbox.files import Content, File
    from airflow_provider_ollang.sandbox.service import Service

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
#: Up to this size a compressed file is made at once, and sent with its length.
_COMPRESSED_AT_ONCE = 8 * 1024 * 1024
_WRONG_SIGNATURE = (
    "The request signature we calculated does not match the signature you provided. Check your key and signing method."
)


def file_application(service: Service) -> web.Application:
    """Make the application that serves a sandbox's files."""

    async def get(request: web.Request) -> web.StreamResponse:
        place = (request.match_info["order"], request.match_info["document"], request.match_info["name"])
        path = path_of(*place)
        expires, signature = request.query.get("Expires", ""), request.query.get("Signature", "")
        if not expires or not signature:
            return _refuse(403, "AccessDenied", "Access Denied")
        # As on S3, a link is signed for one method.
        if request.method != "GET" or not is_signed(path, expires, signature):
            return _refuse(403, "SignatureDoesNotMatch", _WRONG_SIGNATURE)
        now, end = service.clock.now(), int(expires) * 1000
        if now >= end:
            times = {"Expires": _xml_time(end), "ServerTime": _xml_time(now)}
            return _refuse(403, "AccessDenied", "Request has expired", **times)
        file = service.find_file(*place)
        return _no_file(path) if file is None else _send(request, file, now)

    async def unknown(request: web.Request) -> web.StreamResponse:
        return _no_file(request.rel_url.raw_path)

    app = logged_application(service, "files")
    app.router.add_route("*", f"{FILES}/{{order}}/{{document}}/{{name}}", get)
    app.router.add_route("*", "/{rest:.*}", unknown)
    return app


def _send(request: web.Request, file: File, now: int) -> web.StreamResponse:
    content = file.content
    modified = parse_iso(file.modified)
    headers = {
        "Content-Type": content.media_type,
        "ETag": content.etag,
        "Last-Modified": to_http_date(now if modified is None else modified),
    }
    if file.gzipped:
        return _gzipped(content, headers)
    part = None
    if file.ranges:
        headers["Accept-Ranges"] = "bytes"
        part = _parse_range(request, content, headers["Last-Modified"])
    if part is None:
        return Streamed(content.pieces(), content.size, status=200, headers=headers)
    start, stop = part
    if start >= stop:
        size = str(content.size)
        refusal = _refuse(416, "InvalidRange", "The requested range is not satisfiable", ActualObjectSize=size)
        refusal.headers["Content-Range"] = f"bytes */{size}"
        return refusal
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
    return Streamed(content.pieces(start, stop), stop - start, status=206, headers=headers)


def _parse_range(request: web.Request, content: Content, modified: str) -> tuple[int, int] | None:
    """Return which bytes are requested, none if there are none such; None: all."""
    match = _RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    if match is None or match[0] == "bytes=-":
        return None
    if request.headers.get("If-Range", content.etag) not in (content.etag, modified):
        return None
    if not match[1]:
        return max(content.size - int(match[2]), 0), content.size
    start, last = int(match[1]), int(match[2] or max(int(match[1]), content.size))
    return None if last < start else (start, min(last + 1, content.size))


def _gzipped(content: Content, headers: dict[str, str]) -> Streamed:
    headers = {**headers, "Content-Encoding": "gzip"}
    if content.size > _COMPRESSED_AT_ONCE:
        return Streamed(_compress(content), None, status=200, headers=headers)
    body = b"".join(_compress(content))
    return Streamed([body], len(body), status=200, headers=headers)


def _compress(content: Content) -> Iterator[bytes]:
    compressor = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    for piece in content.pieces():
        yield compressor.compress(piece)
    yield compressor.flush()


def _xml_time(moment: int) -> str:
    return to_iso(moment // 1000 * 1000).replace(".000Z", "Z")


def _no_file(path: str) -> web.Response:
    return _refuse(404, "NoSuchKey", "The specified key does not exist.", Key=path)


def _refuse(status: int, code: str, message: str, **more: str) -> web.Response:
    fields = {"Code": code, "Message": message, **more}
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inner}</Error>'
    return web.Response(status=status, body=text.encode(), content_type="application/xml")
