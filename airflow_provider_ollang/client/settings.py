"""
What an Airflow connection says about Ollang: one value, read once, for both halves of the hook.

Pure: no network, no Airflow. The fields are those of
:data:`~airflow_provider_ollang.get_provider_info.CONNECTION_FIELDS`.
"""

from __future__ import annotations

import ipaddress
import math
import re
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from airflow_provider_ollang.domain.values import printable, readable
from airflow_provider_ollang.exceptions import OllangConfigurationError
from airflow_provider_ollang.get_provider_info import DEFAULT_HOST

if TYPE_CHECKING:
    from collections.abc import Mapping


MAX_DETAIL = 500

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_PRINTABLE_ASCII = re.compile(r"[ -~]+")
_DEFAULT_PORTS = {"https": 443, "http": 80}
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(f"{string.ascii_letters}{string.digits}-._~")
_HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """
    Everything the hook needs to talk to Ollang, read once from an Airflow connection.

    :param conn_id: the connection they came from, for messages.
    :param base_url: scheme, host, port and path before ``/integration``, without a trailing slash, in the one form that
        every library sends as it is.
    :param api_key: sent as ``X-Api-Key``; never shown.
    :param timeout: seconds one request may take, its whole answer included.
    :param max_attempts: how often a request that is safe to repeat is sent at most.
    :param verify: whether the server's certificate is checked.
    :param ca_bundle: path of the certificates to trust.
    :param proxy: proxy URL; never shown, it may hold a password.
    """

    conn_id: str
    base_url: str
    api_key: str = field(repr=False)
    timeout: float = 30.0
    max_attempts: int = 5
    verify: bool = True
    ca_bundle: str | None = None
    proxy: str | None = field(default=None, repr=False)

    @classmethod
    def from_connection(
        cls,
        conn_id: str,
        *,
        password: str | None,
        host: str | None = None,
        port: int | None = None,
        schema: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Settings:
        """
        Read the fields of an Airflow connection, from whichever form, URI or JSON they came.

        :param conn_id: the connection's id.
        :param password: the API key.
        :param host: host name or base URL; empty means Ollang's own.
        :param port: its port, where ``host`` names none.
        :param schema: ``https`` or ``http``, where ``host`` names none.
        :param extra: the fields of :data:`~airflow_provider_ollang.get_provider_info.CONNECTION_FIELDS`; a URI
            brings them as strings, an emptied form field as ``""`` or ``None``.
        :raises OllangConfigurationError: a field is wrong; the message names it and shows no secret.
        """
        reader = _Extra(conn_id, extra or {})
        settings = cls(
            conn_id=conn_id,
            base_url=_base_url(conn_id, host, port, schema),
            api_key=_api_key(conn_id, password),
            timeout=reader.number("timeout", 30.0, low=1, high=600),
            max_attempts=int(reader.number("max_attempts", 5, low=1, high=20, whole=True)),
            verify=reader.flag("verify", default=True),
            ca_bundle=reader.text("ca_bundle"),
            proxy=proxy_url(conn_id, reader.text("proxy")),
        )
        if not settings.is_encrypted and not (settings.is_loopback or reader.flag("allow_http", default=False)):
            raise _bad_connection(
                conn_id,
                "the base URL is http:// and would send the API key unencrypted; use https://, or set allow_http",
            )
        return settings

    @property
    def is_encrypted(self) -> bool:
        """Whether requests go over TLS."""
        return self.base_url.startswith("https://")

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine."""
        name = urlsplit(self.base_url).hostname or ""
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name == "localhost" or name.endswith(".localhost")

    def headers(self, user_agent: str) -> dict[str, str]:
        """Return the headers of every request."""
        return {"X-Api-Key": self.api_key, "Accept": "application/json", "User-Agent": user_agent}

    def clean(self, words: str) -> str:
        """Make foreign words fit for a message: no key, no URL query, no control characters, 500 characters."""
        words = printable(words)
        password = urlsplit(self.proxy or "").password
        for secret in (self.api_key, password, unquote(password or "")):
            if secret:
                words = words.replace(secret, "***")
        return readable(words, MAX_DETAIL)


@dataclass(frozen=True)
class _Extra:
    """The extra of a connection, read field by field."""

    conn_id: str
    values: Mapping[str, Any]

    def text(self, name: str) -> str | None:
        value = self._value(name)
        if value is None or isinstance(value, str):
            return value
        raise self._wrong(name, "a text", value)

    def number(self, name: str, default: float, *, low: float, high: float, whole: bool = False) -> float:
        value = self._value(name)
        if value is None:
            return default
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not low <= number <= high or (whole and not number.is_integer()):
            raise self._wrong(name, f"a {'whole ' if whole else ''}number from {low} to {high}", value)
        return number

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._value(name)
        if value is None:
            return default
        word = str(value).casefold()
        if word not in _TRUE | _FALSE:
            raise self._wrong(name, "true or false", value)
        return word in _TRUE

    def _value(self, name: str) -> Any:
        value = self.values.get(name)
        if isinstance(value, str):
            value = value.strip()
        return None if value == "" else value

    def _wrong(self, name: str, wanted: str, value: object) -> OllangConfigurationError:
        # Anything longer or with an inside may hold a secret.
        plain = isinstance(value, bool | float | str) or (isinstance(value, int) and abs(value) < 10**9)
        shown = repr(value) if plain and len(repr(value)) < 40 else f"this {type(value).__name__}"
        return _bad_connection(self.conn_id, f"its field {name!r} must be {wanted}, not {shown}")


def proxy_url(conn_id: str, proxy: str | None) -> str | None:
    """
    Check the URL of a proxy, from a connection or the environment; without a scheme it is an ``http`` one.

    :raises OllangConfigurationError: it is no such URL; the message does not show it, it may hold a password.
    """
    if not proxy:
        return None
    text = proxy if "://" in proxy else f"http://{proxy}"
    try:
        url = urlsplit(text)
        usable = url.scheme in {"http", "https"} and url.port != 0 and _is_host(url.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise _bad_connection(conn_id, "its proxy, or the one of the environment, must look like http://host:port")
    return text


def _is_host(name: str | None) -> bool:
    """Tell whether a URL's host is an address or could be a name; raise ValueError if it is far from it."""
    if name and ":" in name:
        return bool(ipaddress.IPv6Address(name))
    return _HOST_NAME.fullmatch((name or "").encode("idna").decode()) is not None


def _bad_connection(conn_id: str, problem: str) -> OllangConfigurationError:
    return OllangConfigurationError(f"Connection {conn_id!r}: {problem}.")


def _api_key(conn_id: str, password: str | None) -> str:
    key = (password or "").strip()
    if not key:
        raise _bad_connection(
            conn_id, "it has no API key; put the key from your Ollang dashboard into its field API key (password)"
        )
    if not _PRINTABLE_ASCII.fullmatch(key):
        raise _bad_connection(
            conn_id, "its API key (password) holds a character that no key has, such as a line break; copy it anew"
        )
    return key


def _base_url(conn_id: str, host: str | None, port: int | None, schema: str | None) -> str:
    """Return the one form of the base URL that both transports send as it is, whatever a person wrote."""
    scheme = (schema or "").strip().rstrip(":/").casefold() or None
    if scheme not in {None, "http", "https"}:
        raise _bad_connection(conn_id, f"its schema must be https, http or empty, not {scheme!r}")
    if port and not 0 < port < 65536:
        raise _bad_connection(conn_id, f"its port must be from 1 to 65535, not {port}")
    try:
        url = _split((host or "").strip() or DEFAULT_HOST, scheme or "https")
    except ValueError:
        raise _bad_connection(conn_id, "its base URL (host) is no URL") from None
    if url is None:
        raise _bad_connection(conn_id, f"its base URL (host) must look like {DEFAULT_HOST}")
    if url.query or url.fragment or "@" in url.netloc:
        raise _bad_connection(conn_id, "its base URL (host) must hold no user, query or fragment")
    if scheme and scheme != url.scheme:
        raise _bad_connection(conn_id, f"its base URL says {url.scheme}:// but its schema says {scheme}")
    if port and url.port and port != url.port:
        raise _bad_connection(conn_id, f"its base URL says port {url.port} but its port says {port}")
    path = _canonical_path(url.path).rstrip("/").removesuffix("/integration").rstrip("/")
    return f"{url.scheme}://{_canonical_netloc(url, url.port or port)}{path}"


def _split(text: str, scheme: str) -> SplitResult | None:
    """
    Split a base URL.

    :param scheme: what it has if it names none.
    :return: ``None`` if it is far from one.
    :raises ValueError: its host or port is none.
    """
    if not text.isprintable() or " " in text:
        return None
    if text.count(":") > 1 and not set(text) & set("[/"):
        # Airflow takes the brackets off an IPv6 address in a URI.
        text = f"[{text}]"
    url = urlsplit(text if "://" in text else f"{scheme}://{text}")
    if url.scheme not in _DEFAULT_PORTS:
        return None
    # Asked for so that it raises: a port may be out of range.
    _ = url.port
    return url if "@" in url.netloc or _is_host(url.hostname) else None


def _canonical_netloc(url: SplitResult, port: int | None) -> str:
    name = str(url.hostname)
    name = f"[{name}]" if ":" in name else name.encode("idna").decode()
    return name if port in {None, 0, _DEFAULT_PORTS[url.scheme]} else f"{name}:{port}"


def _canonical_path(path: str) -> str:
    """
    Return a path as RFC 3986 normalises it (sections 6.2.2 and 5.2.4), so that no library changes it any more.

    ``requests`` and ``aiohttp`` encode and shorten what is not so, and not alike.
    """
    whole = _ENCODED.sub(_normal_octet, _STRAY_PERCENT.sub("%25", path))
    encoded = quote(whole, safe="/%:@!$&'()*+,;=~")
    segments: list[str] = []
    for segment in encoded.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment != "." and (segment or segments):
            segments.append(segment)
    return "".join(f"/{segment}" for segment in segments)


def _normal_octet(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if character in _UNRESERVED else found[0].upper()
