"""The base URL of a connection, in the one form that every library sends as it is."""

from __future__ import annotations

import ipaddress
import re
import string
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow_provider_ollang.get_provider_info import DEFAULT_HOST

if TYPE_CHECKING:
    from urllib.parse import SplitResult

_DEFAULT_PORTS = {"https": 443, "http": 80}
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(f"{string.ascii_letters}{string.digits}-._~")
_HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", re.IGNORECASE)


def parse_base_url(host: str | None, port: int | None, schema: str | None) -> str:
    """
    Read the base URL from a connection's fields.

    ========================== ====== ====== ===================================
    host                       port   schema base URL
    ========================== ====== ====== ===================================
    empty                      any    any    Ollang's own host, with the others
    ``ollang.example``         8443   none   ``https://ollang.example:8443``
    ``ollang.example``         none   http   ``http://ollang.example``
    ``http://ollang.example``  none   none   as it is
    ``http://ollang.example``  any    https  refused: they disagree
    ``https://o.example:8443`` 443    any    refused: they disagree
    ========================== ====== ====== ===================================

    A path is kept, but for ``/integration`` at its end.

    :param host: host name or base URL.
    :param port: its port.
    :param schema: ``https`` or ``http``.
    :raises ValueError: they are no base URL, or disagree; its text says what is wrong with them.
    """
    scheme = _parse_scheme(schema)
    if port and not 0 < port < 65536:
        raise ValueError(f"its port must be from 1 to 65535, not {port}")
    url = _split((host or "").strip() or DEFAULT_HOST, scheme or "https")
    if url.query or url.fragment or "@" in url.netloc:
        raise ValueError("its base URL (host) must hold no user, query or fragment")
    if scheme and scheme != url.scheme:
        raise ValueError(f"its base URL says {url.scheme}:// but its schema says {scheme}")
    if port and url.port and port != url.port:
        raise ValueError(f"its base URL says port {url.port} but its port says {port}")
    path = _normalize_path(url.path).rstrip("/").removesuffix("/integration").rstrip("/")
    return f"{url.scheme}://{_normalize_host(url, url.port or port)}{path}"


def is_host(name: str | None) -> bool:
    """
    Tell whether a URL's host is an address or could be a name.

    :raises ValueError: it is far from it.
    """
    if name and ":" in name:
        return bool(ipaddress.IPv6Address(name))
    return _HOST_NAME.fullmatch((name or "").encode("idna").decode()) is not None


def _parse_scheme(schema: str | None) -> str | None:
    scheme = (schema or "").strip().rstrip(":/").casefold() or None
    if scheme not in {None, *_DEFAULT_PORTS}:
        raise ValueError(f"its schema must be https, http or empty, not {scheme!r}")
    return scheme


def _split(text: str, scheme: str) -> SplitResult:
    """Split a base URL, which may lack its scheme."""
    if text.count(":") > 1 and not set(text) & set("[/"):
        # Airflow takes the brackets off an IPv6 address in a URI.
        text = f"[{text}]"
    try:
        url = urlsplit(text if "://" in text else f"{scheme}://{text}")
        # Asked for so that it raises: a port may be out of range.
        _ = url.port
        is_url = text.isprintable() and " " not in text and url.scheme in _DEFAULT_PORTS
        is_url = is_url and ("@" in url.netloc or is_host(url.hostname))
    except ValueError:
        raise ValueError("its base URL (host) is no URL") from None
    if not is_url:
        raise ValueError(f"its base URL (host) must look like {DEFAULT_HOST}")
    return url


def _normalize_host(url: SplitResult, port: int | None) -> str:
    name = str(url.hostname)
    name = f"[{name}]" if ":" in name else name.encode("idna").decode()
    return name if port in {None, 0, _DEFAULT_PORTS[url.scheme]} else f"{name}:{port}"


def _normalize_path(path: str) -> str:
    """
    Return a path as RFC 3986 normalises it (sections 6.2.2 and 5.2.4), so that no library changes it any more.

    ``requests`` and ``aiohttp`` encode and shorten what is not so, and not alike.
    """
    escaped = _ENCODED.sub(_normalize_octet, _STRAY_PERCENT.sub("%25", path))
    encoded = quote(escaped, safe="/%:@!$&'()*+,;=~")
    segments: list[str] = []
    for segment in encoded.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment != "." and (segment or segments):
            segments.append(segment)
    return "".join(f"/{segment}" for segment in segments)


def _normalize_octet(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()
