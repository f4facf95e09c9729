"""
What an Airflow connection says about Ollang: one value, read once, for both halves of the hook.

Pure: no network, no Airflow. The fields are those of
:data:`~airflow_provider_ollang.get_provider_info.CONNECTION_FIELDS`.
"""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_ollang.exceptions import OllangConfigurationError
from airflow_provider_ollang.get_provider_info import DEFAULT_HOST

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DETAIL = 500

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_PRINTABLE_ASCII = re.compile(r"[ -~]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_URL_QUERY = re.compile(r"(https?://[^\s?\"'<>]*)\?[^\s\"'<>]*", re.IGNORECASE)


@dataclass(frozen=True)
class Settings:
    """
    Everything the hook needs to talk to Ollang, read once from an Airflow connection.

    :param conn_id: the connection they came from, for messages.
    :param base_url: scheme, host, port and path before ``/integration``, without a trailing slash.
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
            proxy=reader.text("proxy"),
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
        for secret in (self.api_key, urlsplit(self.proxy or "").password):
            if secret:
                words = words.replace(secret, "***")
        words = _URL_QUERY.sub(r"\1?…", _CONTROL.sub(" ", words))
        return words if len(words) <= MAX_DETAIL else f"{words[: MAX_DETAIL - 1]}…"


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
        except (TypeError, ValueError):
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
        return _bad_connection(self.conn_id, f"its field {name!r} must be {wanted}, not {value!r}")


def _bad_connection(conn_id: str, problem: str) -> OllangConfigurationError:
    return OllangConfigurationError(f"Connection {conn_id!r}: {problem}.")


def _api_key(conn_id: str, password: str | None) -> str:
    key = (password or "").strip()
    if not key:
        raise _bad_connection(conn_id, "it has no API key; put the key from your Ollang dashboard into its password")
    if not _PRINTABLE_ASCII.fullmatch(key):
        raise _bad_connection(
            conn_id, "its API key (password) holds a character that no key has, such as a line break; copy it anew"
        )
    return key


def _base_url(conn_id: str, host: str | None, port: int | None, schema: str | None) -> str:
    text = (host or "").strip() or DEFAULT_HOST
    wanted_scheme = (schema or "").strip().rstrip(":/").casefold() or None
    if wanted_scheme not in {None, "http", "https"}:
        raise _bad_connection(conn_id, f"its schema must be https, http or empty, not {wanted_scheme!r}")
    try:
        url = urlsplit(text if "://" in text else f"{wanted_scheme or 'https'}://{text}")
        own_port = url.port
    except ValueError:
        raise _bad_connection(conn_id, "its base URL (host) is no URL") from None
    if url.scheme not in {"http", "https"} or not url.hostname or _CONTROL.search(text) or " " in text:
        raise _bad_connection(conn_id, f"its base URL (host) must look like {DEFAULT_HOST}")
    if url.query or url.fragment or "@" in url.netloc:
        raise _bad_connection(conn_id, "its base URL (host) must hold no user, query or fragment")
    if wanted_scheme and wanted_scheme != url.scheme:
        raise _bad_connection(conn_id, f"its base URL says {url.scheme}:// but its schema says {wanted_scheme}")
    if port and own_port and port != own_port:
        raise _bad_connection(conn_id, f"its base URL says port {own_port} but its port says {port}")
    name = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    number = own_port or port
    default = {"https": 443, "http": 80}[url.scheme]
    netloc = f"{name}:{number}" if number and number != default else name
    path = url.path.rstrip("/").removesuffix("/integration").rstrip("/")
    return f"{url.scheme}://{netloc}{path}"
