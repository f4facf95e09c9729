"""The async client and the synchronous one make the same of environment and settings."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox
from tests.integration.hook.alike import BODY, alike

from .conftest import KEY, ORDER, PROXY_PASSWORD, Connect
from .servers import (
    ForwardProxy,
    Peer,
    RawServer,
    closed_port,
    header,
    http,
    says,
)

PATHS = {
    "/gateway": "/gateway",
    "/pfäd": "/pf%C3%A4d",
    "/pf%c3%a4d": "/pf%C3%A4d",
    "/a/../b": "/b",
    "/a/%2e%2e/b/.": "/b",
    "/a[b]": "/a%5Bb%5D",
    "//a//b": "/a//b",
    "/100%/%7e'!*~": "/100%25/~'!*~",
    "/a|b^c`{d}": "/a%7Cb%5Ec%60%7Bd%7D",
}


@pytest.mark.parametrize(("path", "sent"), PATHS.items())
def test_request_target_is_the_same(connect: Connect, path: str, sent: str) -> None:
    """Read from the socket: no server has a hand in it."""
    targets: list[bytes] = []

    def script(peer: Peer, request: bytes) -> None:
        targets.append(request.split(b"\r\n")[0])
        peer.send(http("200 OK", BODY))

    with RawServer(script) as server:
        for order_id in (ORDER, "a/b~(c)'*!;ü", "%2e%2e"):
            alike(connect(f"{server.url}{path}"), order_id)
    one, other = targets[::2], targets[1::2]
    assert one == other
    assert len(one) == 3
    assert all(target.startswith(f"GET {sent}/integration/orders/".encode()) for target in one)


def test_nobody_listens(connect: Connect) -> None:
    hook = connect(f"http://127.0.0.1:{closed_port()}")
    assert f"{hook.settings.base_url} refused the connection" in alike(hook).text


def test_unknown_host(connect: Connect) -> None:
    text = alike(connect("https://nobody.invalid")).text
    first, advice = text.split("\n")
    assert first.endswith("the host of https://nobody.invalid could not be found.")
    assert "Check the base URL (host) of connection 'ollang_1'" in advice


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://ollang.example"])
def test_proxy_that_is_not_there(connect: Connect, url: str) -> None:
    """Whoever reads this must look at the proxy, not at Ollang."""
    proxy = f"http://user:{PROXY_PASSWORD}@127.0.0.1:{closed_port()}"
    assert "the proxy refused the connection" in alike(connect(url, proxy=proxy)).text


def test_proxy_of_an_unknown_host(connect: Connect) -> None:
    hook = connect("https://ollang.example", proxy=f"http://user:{PROXY_PASSWORD}@nobody.invalid:3128")
    text = alike(hook).text
    assert "the host of the proxy could not be found.\nCheck the proxy of connection" in text


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 Forbidden", "502 Bad Gateway"])
def test_proxy_that_refuses(connect: Connect, status: str) -> None:
    with ForwardProxy(refusal=http(status)) as proxy:
        hook = connect("https://ollang.example", proxy=proxy.url.replace("//", f"//user:{PROXY_PASSWORD}@"))
        end = alike(hook)
    assert "through the proxy" in end.whole_text
    assert status[:3] in end.whole_text


@pytest.mark.parametrize(
    "extra",
    [
        {"ca_bundle": "own"},
        {"ca_bundle": "other"},
        {"ca_bundle": None},
        {"verify": False},
        {"verify": False, "ca_bundle": "other"},
        {"ca_bundle": "missing.pem"},
        {"ca_bundle": "empty.pem"},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificates(connect: Connect, tmp_path: Path, extra: dict[str, Any]) -> None:
    (tmp_path / "empty.pem").touch()
    with Sandbox(api_key=KEY, speed=0, tls=True) as ollang, Sandbox(tls=True) as other:
        places = {"own": ollang.ca_bundle, "other": other.ca_bundle, None: None}
        named = extra.get("ca_bundle")
        bundle = places[named] if named in places else str(tmp_path / str(named))
        end = alike(connect(ollang.url, **{**extra, "ca_bundle": bundle}))
        trusted = named == "own" or extra.get("verify") is False
        assert len(ollang.request_log) == (2 if trusted else 0)
    assert (end.error is None) == trusted
    assert trusted or named in {"missing.pem", "empty.pem"} or "certificate verify failed" in end.whole_text


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_certificates_of_the_environment(connect: Connect, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        monkeypatch.setenv(name, str(ollang.ca_bundle))
        assert alike(connect(ollang.url)).error is None


def test_certificate_of_another_host(connect: Connect) -> None:
    with Sandbox(host="0.0.0.0", api_key=KEY, speed=0, tls=True) as ollang:  # noqa: S104 - reached as 127.0.0.2
        hook = connect(f"https://127.0.0.2:{ollang.port}", ca_bundle=ollang.ca_bundle)
        end = alike(hook)
        assert ollang.request_log == []
    assert "certificate verify failed" in end.whole_text


def test_tls_to_a_server_that_speaks_none(ollang: Sandbox, connect: Connect) -> None:
    end = alike(connect(ollang.url.replace("http:", "https:")))
    assert "no connection to https://127.0.0.1" in end.text
    assert ollang.request_log == []


def test_proxy_of_the_connection_gets_the_same_from_both(ollang: Sandbox, connect: Connect) -> None:
    with ForwardProxy() as proxy:
        hook = connect(ollang.url, proxy=proxy.url.replace("//", f"//us%20er:{PROXY_PASSWORD}@"))
        assert alike(hook).error is None
    credentials = base64.b64encode(f"us er:{PROXY_PASSWORD}".encode()).decode()
    assert proxy.first_lines == [f"GET {ollang.url}/integration/orders/{ORDER} HTTP/1.1"] * 2
    assert [header(one, "Proxy-Authorization") for one in proxy.requests] == [f"Basic {credentials}"] * 2
    assert [header(one, "Authorization") for one in proxy.requests] == [None] * 2


def test_proxy_with_tls_never_sees_the_key(connect: Connect) -> None:
    with ForwardProxy() as proxy, Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        assert alike(connect(ollang.url, proxy=proxy.url, ca_bundle=ollang.ca_bundle)).error is None
        assert len(ollang.request_log) == 2
    assert [line.split(" ")[:2] for line in proxy.first_lines] == [["CONNECT", f"127.0.0.1:{ollang.port}"]] * 2
    assert not any(KEY.encode() in request for request in proxy.requests)


def test_proxy_over_tls(ollang: Sandbox, connect: Connect) -> None:
    """The certificates to trust are those for the proxy too. A sandbox answers whole URLs itself, as a proxy may."""
    with Sandbox(api_key=KEY, speed=0, tls=True) as proxy:
        assert alike(connect(ollang.url, proxy=proxy.url, ca_bundle=proxy.ca_bundle)).error is None
        assert [entry.path.startswith(ollang.url) for entry in proxy.request_log] == [True, True]
    assert ollang.request_log == []


@pytest.mark.parametrize(
    ("variables", "through"),
    [
        ({"HTTPS_PROXY": "it"}, 2),
        ({"https_proxy": "it"}, 2),
        ({"ALL_PROXY": "it"}, 2),
        ({"HTTP_PROXY": "it"}, 0),
        ({"HTTPS_PROXY": "it", "NO_PROXY": "127.0.0.1"}, 0),
        ({"HTTPS_PROXY": "it", "NO_PROXY": "127.0.0.0/8"}, 0),
        ({"HTTPS_PROXY": "it", "NO_PROXY": "*"}, 0),
        ({"HTTPS_PROXY": "it", "NO_PROXY": "other.example"}, 2),
    ],
    ids=str,
)
def test_proxy_of_the_environment(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], through: int
) -> None:
    with ForwardProxy() as proxy, Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        for name, value in variables.items():
            monkeypatch.setenv(name, proxy.url if value == "it" else value)
        assert alike(connect(ollang.url, ca_bundle=ollang.ca_bundle)).error is None
        assert len(ollang.request_log) == 2
    assert len(proxy.requests) == through


def test_sandbox_is_reached_though_the_environment_has_a_proxy(
    ollang: Sandbox, hook: OllangHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ForwardProxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert alike(hook).error is None
    assert proxy.requests == []


def test_headers_are_the_same(connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\ndefault login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    key = "!\"#$%&'()*+,-./0 :;<=>?@[\\]^_`{|}~"
    with RawServer(says(http("200 OK", BODY))) as server:
        assert alike(connect(server.url, key=f" {key}\n")).error is None
    for request in server.requests:
        assert request.split(b"\r\n")[0] == f"GET /integration/orders/{ORDER} HTTP/1.1".encode()
        assert header(request, "X-Api-Key") == key
        for name in ("Authorization", "Cookie", "Content-Type", "Transfer-Encoding"):
            assert header(request, name) is None
    for name in ("Host", "User-Agent", "Accept"):
        one, other = (header(request, name) for request in server.requests)
        assert one == other


@pytest.mark.parametrize("key", [f"{KEY}\n{KEY}", f"{KEY}\x7f", f"{KEY}\u00fc", f"{KEY}\u2028x", " "], ids=ascii)
def test_key_that_is_none(ollang: Sandbox, connect: Connect, key: str) -> None:
    assert alike(connect(ollang.url, key=key)).error is OllangConfigurationError
    assert ollang.request_log == []


def test_no_cookie_is_sent_back(connect: Connect) -> None:
    async def twice(hook: OllangHook) -> None:
        async with hook.async_client() as reader:
            await reader.get_order(ORDER)
            await reader.get_order(ORDER)

    cookies = ["Set-Cookie: a=b; Path=/", "Set-Cookie: c=d", "Set-Cookie: =;;; Expires=never"]
    with RawServer(says(http("200 OK", BODY, *cookies))) as server:
        asyncio.run(twice(connect(server.url)))
    assert server.connections == 1
    assert [header(request, "Cookie") for request in server.requests] == [None, None]


def test_connection_that_does_not_exist() -> None:
    assert alike(OllangHook("ollang_nowhere")).error is OllangConfigurationError


@pytest.mark.parametrize(
    "extra",
    [{"timeout": "soon"}, {"proxy": f"socks5://u:{PROXY_PASSWORD}@a.example"}, {"ca_bundle": "/no/file"}],
    ids=str,
)
def test_connection_that_is_not_usable(ollang: Sandbox, connect: Connect, extra: dict[str, Any]) -> None:
    assert alike(connect(ollang.url, **extra)).error is OllangConfigurationError
    assert ollang.request_log == []
