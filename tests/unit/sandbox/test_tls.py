"""https with a certificate made at the start."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import requests

from airflow_provider_ollang.sandbox import Sandbox

from .client import EXAMPLE_ID


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_certificate_is_valid_for_clients_that_trust_it(host: str) -> None:
    with Sandbox(tls=True) as ollang:
        assert ollang.ca_bundle is not None
        assert ollang.url == f"https://127.0.0.1:{ollang.port}"
        url = f"https://{host}:{ollang.port}/integration/orders/{EXAMPLE_ID}"
        headers = {"X-Api-Key": ollang.api_key}
        assert requests.get(url, headers=headers, verify=ollang.ca_bundle, timeout=10).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(url, headers=headers, timeout=10)
        assert [entry.connection for entry in ollang.request_log] == [1]
        bundle = Path(ollang.ca_bundle)
        assert bundle.exists()
    assert not bundle.exists()


def test_certificate_passes_the_strict_check() -> None:
    with Sandbox(tls=True) as ollang:
        context = ssl.create_default_context(cafile=ollang.ca_bundle)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        address = ("127.0.0.1", ollang.port)
        with (
            socket.create_connection(address, timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            assert connection.version() == "TLSv1.3"


def test_connection_has_the_ca_bundle() -> None:
    with Sandbox(tls=True) as ollang:
        assert ollang.connection["extra"] == {"ca_bundle": ollang.ca_bundle}
        assert ollang.connection["host"] == "https://127.0.0.1"
    assert Sandbox().ca_bundle is None


def test_each_sandbox_has_its_own_authority() -> None:
    with Sandbox(tls=True) as first, Sandbox(tls=True) as second:
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(f"{first.url}/health", verify=second.ca_bundle, timeout=10)
        assert first.request_log == []


def test_restart_with_tls() -> None:
    sandbox = Sandbox(tls=True).start()
    sandbox.stop()
    sandbox.start()
    try:
        assert requests.get(f"{sandbox.url}/health", verify=sandbox.ca_bundle, timeout=10).status_code == 200
    finally:
        sandbox.stop()
        sandbox.discard()
