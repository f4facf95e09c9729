"""What a connection leaves to the environment: the proxy, trusted certificates, the ``User-Agent``."""

from __future__ import annotations

import dataclasses
import functools
import os
import platform
import ssl
from importlib.metadata import version
from pathlib import Path

from requests.utils import get_environ_proxies, select_proxy

from airflow_provider_ollang import __version__
from airflow_provider_ollang.client.settings import Settings, proxy_url
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
)


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
    return dataclasses.replace(settings, proxy=proxy_url(settings.conn_id, proxy), ca_bundle=ca_bundle)


def _require_certificates(conn_id: str, path: str, source: str) -> None:
    if not Path(path).exists():
        raise OllangConfigurationError(
            f"Connection {conn_id!r}: {source}, the trusted certificates {path!r}, does not exist here."
        )
    try:
        _check_certificates(path, Path(path).stat().st_mtime_ns)
    except OSError as error:
        raise OllangConfigurationError(
            f"Connection {conn_id!r}: {source}, {path!r}, holds no certificates ({error.strerror})."
        ) from None


@functools.lru_cache(maxsize=16)
def _check_certificates(path: str, _changed_at: int) -> None:
    """Read certificates once: to parse all the world's authorities takes longer than a poll, and every wait asks."""
    place = {"capath" if Path(path).is_dir() else "cafile": path}
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(**place)


@functools.cache
def user_agent() -> str:
    """Return how this provider introduces itself to the server."""
    airflow, python = version("apache-airflow-core"), platform.python_version()
    return f"airflow-provider-ollang/{__version__} apache-airflow/{airflow} python/{python}"
