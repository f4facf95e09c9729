"""The hosts of the files: links that are signed for everybody, so nothing of ours goes there but the request."""

from __future__ import annotations

import dataclasses
import functools
import logging
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from requests.adapters import HTTPAdapter

from airflow_provider_ollang.client.environment import resolve_environment, user_agent
from airflow_provider_ollang.client.requests import CONNECT_TIMEOUT
from airflow_provider_ollang.client.session import NETWORK_ERRORS, new_session, proxies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

    from airflow_provider_ollang.client.settings import Settings

_MOST_REDIRECTS = 5
#: How the names of the threads begin in which files are fetched, and in no others.
THREADS = "ollang-delivery"
#: What is read at a time at most, and what is put together. To ask for much more at a time than comes is slow.
_READ, _ENOUGH = 64 * 1024, 256 * 1024


class RefusedLinkError(Exception):
    """A link leads to where nothing is fetched from."""


class _NoQueries(logging.Filter):
    """Keeps signatures out of what ``urllib3`` writes at DEBUG: the path of each request, query and all."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and (record.threadName or THREADS).startswith(THREADS):
            record.args = tuple(
                f"{one.partition('?')[0]}?…" if isinstance(one, str) and "?" in one else one for one in record.args
            )
        return True


logging.getLogger("urllib3.connectionpool").addFilter(_NoQueries())


class FileHost:
    """
    Opens links, over kept-alive connections that several threads share.

    :param settings: whose timeouts, certificates and proxy hold here too; the key is not used.
    :param connections: how many are kept.
    """

    def __init__(self, settings: Settings, connections: int) -> None:
        self._settings = settings
        self._session = new_session(settings, HTTPAdapter(pool_maxsize=connections))
        self._proxy_of: Callable[[str], str | None] = functools.cache(_proxies(settings))

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


def gathered(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """
    Put together what comes: TLS brings it in records of 16 KiB, and to handle each of them alone is slow.

    :param read: reads so many bytes at most, none at the end; if it fails, what came before is yielded before that.
    """
    came: list[bytes] = []
    size = 0
    try:
        while piece := read(_READ):
            came.append(piece)
            size += len(piece)
            if size >= _ENOUGH:
                yield b"".join(came)
                came, size = [], 0
    except NETWORK_ERRORS:
        if came:
            yield b"".join(came)
        raise
    if came:
        yield b"".join(came)


def _proxies(settings: Settings) -> Callable[[str], str | None]:
    """Return what tells the proxy for an origin: the connection's, or else the environment's for that host."""
    usual = resolve_environment(dataclasses.replace(settings, proxy=None)).proxy
    own = None if settings.proxy == usual else settings.proxy

    def proxy_of(origin: str) -> str | None:
        return resolve_environment(dataclasses.replace(settings, base_url=origin, proxy=own)).proxy

    return proxy_of
