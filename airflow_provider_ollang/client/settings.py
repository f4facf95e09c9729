"""
What an Airflow connection says about Ollang, and what it leaves to the environment: the proxy, trusted certificates.

One value, read once, for the synchronous and the async client. The fields are those of
:data:`~airflow_provider_ollang.get_provider_info.CONNECTION_FIELDS`.
"""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import math
import os
import platform
import re
import ssl
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from requests.utils import get_environ_proxies, select_proxy

from airflow_provider_ollang import __version__
from airflow_provider_ollang.client.base_url import is_host, parse_base_url
from airflow_provider_ollang.domain.values import printable, readable
from airflow_provider_ollang.exceptions import OllangConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping


MAX_DETAIL = 500

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_PRINTABLE_ASCII = re.compile(r"[ -~]+")


@dataclass(frozen=True)
class Settings:
    """
    Everything the hook needs to talk to Ollang, read once from an Airflow connection.

    :param conn_id: the connection they came from, for messages.
    :param base_url: scheme, host, port and path before ``/integration``, without a trailing slash, in the one form that
        every library sends as it is.
    :param api_key: sent as ``X-Api-Key``; never shown.
    :param timeout: seconds one request may take, its whole response included.
    :param max_attempts: how often a request that is safe to repeat is sent at most.
    :param verify: whether the server's certificate is checked.
    :param ca_bundle: path of the certificates to trust.
    :param proxy: proxy URL; never shown, it may hold a password.
    :param secret: what else is never shown: a link in a request.
    """

    conn_id: str
    base_url: str
    api_key: str = field(repr=False)
    timeout: float = 30.0
    max_attempts: int = 5
    verify: bool = True
    ca_bundle: str | None = None
    proxy: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)

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

        :param password: the API key.
        :param host: host name or base URL; empty means Ollang's own.
        :param port: its port, where ``host`` names none.
        :param schema: ``https`` or ``http``, where ``host`` names none.
        :param extra: the other fields; a URI brings them as strings, an emptied form field as ``""`` or ``None``.
        :raises OllangConfigurationError: a field is wrong; the message names it and shows no secret.
        """
        fields = _Extra(conn_id, extra or {})
        try:
            base_url = parse_base_url(host, port, schema)
        except ValueError as error:
            raise _bad_connection(conn_id, str(error)) from None
        settings = cls(
            conn_id=conn_id,
            base_url=base_url,
            api_key=_api_key(conn_id, password),
            timeout=fields.number("timeout", 30.0, low=1, high=600),
            max_attempts=int(fields.number("max_attempts", 5, low=1, high=20, is_count=True)),
            verify=fields.flag("verify", default=True),
            ca_bundle=fields.text("ca_bundle"),
            proxy=_proxy_url(conn_id, fields.text("proxy")),
        )
        if not settings.is_encrypted and not (settings.is_loopback or fields.flag("allow_http", default=False)):
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

    def headers(self) -> dict[str, str]:
        """Return the headers of every request."""
        return {"X-Api-Key": self.api_key, "Accept": "application/json", "User-Agent": user_agent()}

    def redact(self, text: str) -> str:
        """Make foreign text fit for a message: no key, no URL query, no control characters, 500 characters."""
        text = printable(text)
        password = urlsplit(self.proxy or "").password
        for secret in (self.secret, self.api_key, password, unquote(password or "")):
            if secret:
                text = text.replace(secret, "***")
        return readable(text, MAX_DETAIL)


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

    def number(self, name: str, default: float, *, low: float, high: float, is_count: bool = False) -> float:
        value = self._value(name)
        if value is None:
            return default
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not low <= number <= high or (is_count and not number.is_integer()):
            raise self._wrong(name, f"a {'whole ' if is_count else ''}number from {low} to {high}", value)
        return number

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._value(name)
        if value is None:
            return default
        text = str(value).casefold()
        if text not in _TRUE | _FALSE:
            raise self._wrong(name, "true or false", value)
        return text in _TRUE

    def _value(self, name: str) -> Any:
        value = self.values.get(name)
        if isinstance(value, str):
            value = value.strip()
        return None if value == "" else value

    def _wrong(self, name: str, expected: str, value: object) -> OllangConfigurationError:
        # Anything longer or with an inside may hold a secret.
        is_plain = isinstance(value, bool | float | str) or (isinstance(value, int) and abs(value) < 10**9)
        shown = repr(value) if is_plain and len(repr(value)) < 40 else f"this {type(value).__name__}"
        return _bad_connection(self.conn_id, f"its field {name!r} must be {expected}, not {shown}")


def _proxy_url(conn_id: str, proxy: str | None) -> str | None:
    """Check a proxy, of a connection or the environment; the error does not show it, since it may hold a password."""
    if not proxy:
        return None
    text = proxy if "://" in proxy else f"http://{proxy}"
    try:
        url = urlsplit(text)
        is_proxy = url.scheme in {"http", "https"} and url.port != 0 and is_host(url.hostname)
    except ValueError:
        is_proxy = False
    if not is_proxy:
        raise _bad_connection(conn_id, "its proxy, or the one of the environment, must look like http://host:port")
    return text


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
            conn_id, "its API key (password) holds a character that no key has, such as a line break; copy it again"
        )
    return key


# --- What a connection leaves to the environment --------------------------------------------------------------


def resolve_environment(settings: Settings) -> Settings:
    """
    Fill what the connection leaves open from the environment: the proxy and the certificates to trust.

    :return: settings from which the synchronous and the async client are built alike.
    :raises OllangConfigurationError: a file of certificates does not exist, or the proxy is none that can be used.
    """
    proxy = settings.proxy
    # In plain HTTP the key must not leave this machine, not to the proxy either.
    if not proxy and (settings.is_encrypted or not settings.is_loopback):
        proxy = select_proxy(settings.base_url, get_environ_proxies(settings.base_url))
    ca_bundle, source = settings.ca_bundle, "its ca_bundle"
    for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        if not ca_bundle and os.environ.get(variable):
            ca_bundle, source = os.environ[variable], f"the {variable} of the environment"
    if settings.verify and ca_bundle:
        _require_certificates(settings.conn_id, ca_bundle, source)
    return dataclasses.replace(settings, proxy=_proxy_url(settings.conn_id, proxy), ca_bundle=ca_bundle)


def _require_certificates(conn_id: str, path: str, source: str) -> None:
    if not Path(path).exists():
        raise _bad_connection(conn_id, f"{source}, the trusted certificates {path!r}, does not exist here")
    try:
        _load_certificates(path, Path(path).stat().st_mtime_ns)
    except OSError as error:
        raise _bad_connection(conn_id, f"{source}, {path!r}, holds no certificates ({error.strerror})") from None


@functools.lru_cache(maxsize=16)
def _load_certificates(path: str, _changed_at: int) -> None:
    """Read certificates once: to parse all the world's authorities takes longer than a poll, and every wait asks."""
    place = {"capath" if Path(path).is_dir() else "cafile": path}
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(**place)


@functools.cache
def user_agent() -> str:
    """Return how this provider introduces itself to the server."""
    airflow, python = version("apache-airflow-core"), platform.python_version()
    return f"airflow-provider-ollang/{__version__} apache-airflow/{airflow} python/{python}"
