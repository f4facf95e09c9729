"""The hosts of the files: links that are signed for everybody, so nothing of ours goes there but the request."""

from __future__ import annotations

import dataclasses
import functools
import logging
import re
import threading
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import requests

from airflow_provider_ollang.client.requests import CONNECT_TIMEOUT
from airflow_provider_ollang.client.session import causes, new_session, proxies
from airflow_provider_ollang.client.settings import resolve_environment, user_agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_provider_ollang.client.settings import Settings

_MOST_REDIRECTS = 5
#: How the names of the threads begin in which files are fetched, and in no others.
THREADS = "ollang-delivery"
#: What is unpacked at a time at most.
_UNPACKED = 256 << 10
_WEB_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)[\s>]", re.IGNORECASE)
_WEB_PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
#: Encodings that are none: S3 keeps `aws-chunked` from how an object was uploaded, and charsets are a common slip.
_NOT_PACKED = re.compile(r"|identity|aws-chunked|utf-?(8|16|32)([lb]e)?|us-ascii|ascii|(iso-8859|windows|latin)-?\d+")


class RefusedLinkError(Exception):
    """A link leads to where nothing is fetched from."""


class _NotInDeliveries(logging.Filter):
    """
    Drops what ``urllib3`` logs of the requests for files: signed URLs, at DEBUG, and at WARNING for a malformed header.

    It stays for as long as the process runs, since a thread that hangs may be left behind. Other threads log as ever.
    """

    def filter(self, _: logging.LogRecord) -> bool:
        return not threading.current_thread().name.startswith(THREADS)


_FILTER = _NotInDeliveries()


class _Adapter(requests.adapters.HTTPAdapter):
    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:
        """Keep a path that begins with two slashes, as keys of S3 may: older versions of ``requests`` drop one."""
        url = str(super().request_url(request, proxies))
        return request.path_url if url.startswith("/") else url


class FileHost:
    """
    Opens links, over kept-alive connections that several threads share.

    :param settings: whose timeouts, certificates and proxy hold here too; the key is not used.
    :param connections: how many are kept.
    """

    def __init__(self, settings: Settings, connections: int) -> None:
        self._settings = settings
        self._session = new_session(settings, _Adapter(pool_maxsize=connections))
        self._proxy_of: Callable[[str], str | None] = functools.cache(_proxies(settings))
        for name in ("urllib3.connection", "urllib3.connectionpool"):
            logging.getLogger(name).addFilter(_FILTER)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def open(self, link: str, headers: dict[str, str]) -> requests.Response:
        """
        Ask for what a link leads to, through redirects; the body is not read yet.

        :param headers: sent beside the usual ones.
        :raises RefusedLinkError: the link leads to where nothing may be fetched from.
        :raises requests.RequestException, OSError, ValueError: no answer; its words may show the link.
        """
        for _ in range(_MOST_REDIRECTS + 1):
            origin = self._origin(link)
            proxy = self._proxy_of(origin)
            response = self._session.get(
                link,
                headers={"User-Agent": user_agent(), "Accept": "*/*", "Accept-Encoding": "identity", **headers},
                timeout=(min(CONNECT_TIMEOUT, self._settings.timeout), self._settings.timeout),
                proxies=proxies(proxy),
                allow_redirects=False,
                stream=True,
            )
            target = response.headers.get("Location")
            if response.status_code not in {301, 302, 303, 307, 308} or not target:
                return response
            response.close()
            # Headers are read as Latin-1, and addresses are written as UTF-8.
            link = urljoin(link, target.encode("latin-1").decode(errors="replace"))
        raise ValueError("too many redirects")

    def _origin(self, link: str) -> str:
        url = urlsplit(link)
        origin = dataclasses.replace(self._settings, base_url=f"{url.scheme}://{url.netloc.rpartition('@')[2]}")
        # Whoever trusts an API without encryption, on this machine or by allow_http, gets such links from it.
        allowed = origin.is_encrypted or (
            url.scheme == "http"
            and not self._settings.is_encrypted
            and (origin.is_loopback or not self._settings.is_loopback)
        )
        if not allowed or not url.hostname:
            raise RefusedLinkError(
                f"its link leads to {self._settings.redact(origin.base_url)!r:.120}, and files are fetched by https "
                "only, or by http where the API itself is reached so"
            )
        return origin.base_url


def validator_of(headers: Mapping[str, str]) -> str:
    """Return what tells one version of a file from another, for ``If-Range``; empty if its host does not say."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') and etag != '""' else headers.get("Last-Modified", "")


def is_web_page(media_type: str, head: bytes) -> bool:
    """Tell whether a response is a web page, by its ``Content-Type`` or by how it begins."""
    return media_type.partition(";")[0].strip().casefold() in _WEB_PAGE_TYPES or bool(_WEB_PAGE.match(head))


def innermost(error: BaseException) -> str:
    """Return the reason of a failed request without the words of the libraries, which show URLs."""
    *_, cause = causes(error)
    return cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__


def is_packed(encoding: str) -> bool | None:
    """
    Tell whether a ``Content-Encoding`` is one that :func:`unpacked` undoes.

    :param encoding: in lower case.
    :return: ``None`` if nobody here knows it.
    """
    if encoding in _PACKED:
        return True
    return False if _NOT_PACKED.fullmatch(encoding) else None


def unpacked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """
    Undo gzip or deflate; unlike ``urllib3``, which takes what was cut short for the end.

    :raises ValueError: it is cut short, or not packed.
    """
    decoder: Any = None
    try:
        for piece in pieces:
            rest = piece
            while rest:
                if decoder is None:
                    decoder = _decoder(rest)
                elif decoder.eof:
                    # Several members may follow each other (RFC 1952, 2.2), and zeros may fill up a block.
                    rest = rest.lstrip(b"\0")
                    decoder = _decoder(rest) if rest else decoder
                if rest:
                    yield from filter(None, [decoder.decompress(rest, _UNPACKED)])
                    rest = decoder.unused_data or decoder.unconsumed_tail
        if decoder is not None:
            yield from filter(None, [decoder.flush()])
    except zlib.error:
        raise ValueError("not what its encoding says") from None
    if decoder is not None and not decoder.eof:
        raise ValueError("cut short")


def _decoder(begin: bytes) -> Any:
    """Return what undoes gzip, deflate with its header, or, as some hosts have it, without (RFC 9110, 8.4.1.2)."""
    has_header = begin[0] == 0x1F or begin[0] & 0x0F == 8
    return zlib.decompressobj(zlib.MAX_WBITS | 32 if has_header else -zlib.MAX_WBITS)


def _proxies(settings: Settings) -> Callable[[str], str | None]:
    """Return what tells the proxy for an origin: the connection's, or else the environment's for that host."""
    usual = resolve_environment(dataclasses.replace(settings, proxy=None)).proxy
    own = None if settings.proxy == usual else settings.proxy

    def proxy_of(origin: str) -> str | None:
        return resolve_environment(dataclasses.replace(settings, base_url=origin, proxy=own)).proxy

    return proxy_of
