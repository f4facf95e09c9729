"""What a connection leaves to the environment: the proxy, and the certificates to trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import certifi
import pytest

from airflow_provider_ollang.client.settings import Settings, resolve_environment
from airflow_provider_ollang.exceptions import OllangConfigurationError
from tests.installed_airflow import needs_whole_names_in_no_proxy

HTTPS, HTTP = "https://api.ollang.example", "http://api.ollang.example"
ONE, TWO = "http://one.example:3128", "http://two.example:3128"
PASSWORD = "canary-proxy-password"


def resolve(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], host: str = HTTPS, **extra: Any) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return resolve_environment(Settings.from_connection("c1", password="key", host=host, extra=extra))


PROXIES: dict[str, tuple[dict[str, str], str, str, str | None]] = {
    "none": ({}, HTTPS, "", None),
    "https": ({"HTTPS_PROXY": ONE}, HTTPS, "", ONE),
    "https in lower case": ({"https_proxy": ONE}, HTTPS, "", ONE),
    "of the other scheme": ({"HTTP_PROXY": ONE}, HTTPS, "", None),
    "http": ({"http_proxy": ONE, "HTTPS_PROXY": TWO}, HTTP, "", ONE),
    "https before all": ({"ALL_PROXY": ONE, "HTTPS_PROXY": TWO}, HTTPS, "", TWO),
    "all": ({"ALL_PROXY": ONE}, HTTPS, "", ONE),
    "over TLS, with a password": ({"HTTPS_PROXY": f"https://u:{PASSWORD}@o"}, HTTPS, "", f"https://u:{PASSWORD}@o"),
    "without a scheme": ({"HTTPS_PROXY": "one.example:3128"}, HTTPS, "", ONE),
    "empty": ({"HTTPS_PROXY": "", "NO_PROXY": ""}, HTTPS, "", None),
    "connection before environment": ({"HTTPS_PROXY": ONE}, HTTPS, TWO, TWO),
    "connection before NO_PROXY": ({"HTTPS_PROXY": ONE, "NO_PROXY": "*"}, HTTPS, TWO, TWO),
    "NO_PROXY everything": ({"HTTPS_PROXY": ONE, "NO_PROXY": "*"}, HTTPS, "", None),
    "NO_PROXY the host": ({"HTTPS_PROXY": ONE, "NO_PROXY": "x.example, api.ollang.example"}, HTTPS, "", None),
    "NO_PROXY the domain": ({"HTTPS_PROXY": ONE, "no_proxy": ".ollang.example"}, HTTPS, "", None),
    "NO_PROXY host and port": ({"HTTPS_PROXY": ONE, "NO_PROXY": "api.ollang.example:8443"}, f"{HTTPS}:8443", "", None),
    "NO_PROXY another port": ({"HTTPS_PROXY": ONE, "NO_PROXY": "api.ollang.example:8443"}, HTTPS, "", ONE),
    "NO_PROXY another host": ({"HTTPS_PROXY": ONE, "NO_PROXY": "ollang.example.org"}, HTTPS, "", ONE),
    "NO_PROXY network": ({"HTTPS_PROXY": ONE, "NO_PROXY": "192.0.2.0/24"}, "https://192.0.2.7", "", None),
    # In plain HTTP the key must not leave this machine.
    "loopback over HTTP": ({"HTTP_PROXY": ONE, "ALL_PROXY": ONE}, "http://localhost:8075", "", None),
    "loopback over HTTP, own proxy": ({"HTTP_PROXY": ONE}, "http://127.0.0.1:8075", TWO, TWO),
}


@pytest.mark.parametrize(("environment", "host", "own", "expected"), PROXIES.values(), ids=PROXIES)
def test_proxy(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], host: str, own: str, expected: str | None
) -> None:
    assert resolve(monkeypatch, environment, host, proxy=own, allow_http=True).proxy == expected


@needs_whole_names_in_no_proxy
def test_no_proxy_of_the_end_of_a_name_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(monkeypatch, {"HTTPS_PROXY": ONE, "NO_PROXY": "i.ollang.example"}).proxy == ONE


def test_other_kind_of_proxy_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OllangConfigurationError, match=r"'c1'.*proxy") as caught:
        resolve(monkeypatch, {"HTTPS_PROXY": f"socks5://u:{PASSWORD}@one.example"})
    assert PASSWORD not in str(caught.value) + repr(caught.value)


BUNDLES: dict[str, tuple[dict[str, str], str, str]] = {
    "none": ({}, "", ""),
    "own first": ({"REQUESTS_CA_BUNDLE": "requests", "SSL_CERT_FILE": "ssl"}, "own", "own"),
    "then that of requests": ({"REQUESTS_CA_BUNDLE": "requests", "SSL_CERT_FILE": "ssl"}, "", "requests"),
    "then that of OpenSSL": ({"REQUESTS_CA_BUNDLE": "", "SSL_CERT_FILE": "ssl"}, "", "ssl"),
    "not that of curl": ({"CURL_CA_BUNDLE": "requests"}, "", ""),
}


@pytest.mark.parametrize(("environment", "own", "expected"), BUNDLES.values(), ids=BUNDLES)
def test_certificates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], own: str, expected: str
) -> None:
    for name in ("own", "requests", "ssl"):
        # The fixture stands for real bundles: those of certifi.
        (tmp_path / name).symlink_to(certifi.where())
    paths = {name: f"{tmp_path}/{value}" if value else "" for name, value in environment.items()}
    settings = resolve(monkeypatch, paths, ca_bundle=f"{tmp_path}/{own}" if own else "")
    assert settings.ca_bundle == (f"{tmp_path}/{expected}" if expected else None)
    assert settings.verify


@pytest.mark.parametrize("name", ["ca_bundle", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.parametrize(("content", "reason"), [(None, "does not exist"), ("no certificate", "holds no certificates")])
def test_unusable_certificates_are_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, content: str | None, reason: str
) -> None:
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_text(content)
    environment, extra = ({}, {name: str(path)}) if name == "ca_bundle" else ({name: str(path)}, {})
    with pytest.raises(OllangConfigurationError) as caught:
        resolve(monkeypatch, environment, **extra)
    for part in ("'c1'", str(path), name, reason):
        assert part in str(caught.value)


def test_certificates_do_not_matter_unless_verified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = resolve(monkeypatch, {"SSL_CERT_FILE": f"{tmp_path}/nowhere.pem"}, verify=False)
    assert not settings.verify
