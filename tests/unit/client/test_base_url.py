"""The base URL: every way to write one, and what is none."""

from __future__ import annotations

import pytest

from airflow_provider_ollang.client.base_url import parse_base_url
from airflow_provider_ollang.get_provider_info import DEFAULT_HOST

URL = "https://ollang.example"
#: Host, port and schema, and the base URL.
BASE_URLS: list[tuple[str | None, int | None, str | None, str]] = [
    (None, None, None, DEFAULT_HOST),
    ("  ", 0, " ", DEFAULT_HOST),
    ("", 443, "", DEFAULT_HOST),
    (None, 8443, None, f"{DEFAULT_HOST}:8443"),
    (" ollang.example\n", None, None, URL),
    ("ollang.example:8443", None, None, f"{URL}:8443"),
    ("ollang.example", 8443, None, f"{URL}:8443"),
    ("ollang.example", 443, "https", URL),
    ("ollang.example", None, "https://", URL),
    ("ollang.example", None, "HTTPS", URL),
    ("HTTPS://Ollang.Example", None, None, URL),
    (f"{URL}:443/", 443, "https", URL),
    (f"{URL}:8443", 8443, "https", f"{URL}:8443"),
    (f"{URL}///", None, None, URL),
    (f"{URL}/integration/", None, None, URL),
    ("ollang.example/integration", 8443, None, f"{URL}:8443"),
    (f"{URL}/gateway/integration", None, None, f"{URL}/gateway"),
    (f"{URL}/my-integration", None, None, f"{URL}/my-integration"),
    (f"{URL}/integration/v2", None, None, f"{URL}/integration/v2"),
    ("https://Bücher.example/", None, None, "https://xn--bcher-kva.example"),
    ("https://192.0.2.7", None, None, "https://192.0.2.7"),
    ("[2001:db8::7]:8443", None, None, "https://[2001:db8::7]:8443"),
    ("https://[2001:db8::7]/gateway", 8443, None, "https://[2001:db8::7]:8443/gateway"),
    # Airflow takes the brackets off an address in a URI.
    ("2001:db8::7", 8443, None, "https://[2001:db8::7]:8443"),
    ("http://localhost:80", None, "http", "http://localhost"),
    ("localhost:8075", None, "http", "http://localhost:8075"),
]
#: A path as given, and as it is sent: `requests` and `aiohttp` would change it, and not alike.
PATHS = {
    "/pfäd": "/pf%C3%A4d",
    "/pf%c3%a4d": "/pf%C3%A4d",
    "/%7euser/%41": "/~user/A",
    "/a%2Fb": "/a%2Fb",
    "/100%": "/100%25",
    "/a[b]": "/a%5Bb%5D",
    "/a\\b|c": "/a%5Cb%7Cc",
    "/a/../b": "/b",
    "/a/./b/.": "/a/b",
    "/%2e%2e/b": "/b",
    "/../..": "",
    "//gateway": "/gateway",
    "/a//b": "/a//b",
    "/a/../integration": "",
    "/a:b@c;d=e+f,(g)!$&'*~": "/a:b@c;d=e+f,(g)!$&'*~",
}
BASE_URLS += [(f"{URL}{path}", None, None, f"{URL}{normal}") for path, normal in PATHS.items()]


@pytest.mark.parametrize(("host", "port", "schema", "expected"), BASE_URLS, ids=ascii)
def test_base_url_is_normalized(host: str | None, port: int | None, schema: str | None, expected: str) -> None:
    assert parse_base_url(host, port, schema) == expected
    assert parse_base_url(expected, None, None) == expected


NO_BASE_URLS: list[tuple[str, int | None, str | None, str]] = [
    (f"{URL}:8443", 8444, None, "port"),
    ("ollang.example:8443", 443, None, "port"),
    (f"{URL}:443", 80, None, "port"),
    (URL, None, "http", "schema"),
    ("http://localhost", None, "https", "schema"),
    ("ollang.example", None, "ftp", "schema"),
    ("ollang.example", None, "ollang/v2", "schema"),
    ("ollang.example", 70_000, None, "port"),
    ("ollang.example", -1, None, "port"),
]
NO_BASE_URLS += [
    (host, None, None, "host")
    for host in (
        *("ollang.example:70000", "ollang.example:port", "https://", "https:///path", "://ollang.example"),
        *("https://user@ollang.example", "https://u:canary@ollang.example", "canary@ollang.example"),
        *(f"{URL}?api_key=canary", f"{URL}/path?key=canary", f"{URL}/#orders"),
        *("ftp://ollang.example", "file:///etc/passwd", "ollang://ollang.example"),
        *("https://[::1", "https://[not-an-address]", "https://ollang example", f"{URL}/a b", f"{URL}/a\tb"),
        *("https://ollang\n.example", f"{URL}\x00", f"{URL}\\@other.example"),
        # The library that sends takes the part before the backslash for the host: this is no loopback address.
        "http://other.example\\.localhost",
        *("https://*.ollang.example", "https://.ollang.example", "https://ollang..example"),
        *(f"https://{'a' * 64}.example", "https://ollang\u2100.example", "https://ollang\udc80.example"),
        f"{URL}/\udc80",
    )
]


@pytest.mark.parametrize(("host", "port", "schema", "named"), NO_BASE_URLS, ids=ascii)
def test_other_base_url_is_refused_by_field(host: str, port: int | None, schema: str | None, named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        parse_base_url(host, port, schema)
    assert "canary" not in str(caught.value)
