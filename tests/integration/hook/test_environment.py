"""What proxies, certificates and .netrc of the environment change, for each request of both clients."""

from __future__ import annotations

import base64
import http.client as http_client
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangUnavailableError
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox

from .alike import alike
from .conftest import KEY, LINK_SIGNATURE, ORDER, PROXY_PASSWORD, Connect, status_of
from .servers import ForwardProxy, RawServer, closed_port, header, http, says
from .wire import BODY, REQUESTS, failing, send_each


def unsent_texts(hook: OllangHook) -> list[str]:
    """Return what each request and the Test button say: surely nothing was sent, and both GETs say the same."""
    end = alike(hook)
    assert end.error is OllangUnavailableError
    assert end.fields is not None
    assert end.fields["status_code"] is None
    error = failing(hook, "rerun")
    assert type(error) is OllangUnavailableError
    assert (status_of(error), error.order_id, error.method) == (None, ORDER, "POST")
    works, message = hook.test_connection()
    assert not works
    return [end.full_text, str(error), message]


# --- What is sent -------------------------------------------------------------------------------------------------


def test_netrc_and_cookies_add_no_header(connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\ndefault login user password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    key = "!\"#$%&'()*+,-./0 :;<=>?@[\\]^_`{|}~"
    with RawServer(says(http("200 OK", BODY))) as server:
        hook = connect(server.url, key=f" {key}\n")
        send_each(hook)
        hook.test_connection()
    assert len(server.requests) == 4
    for request in server.requests:
        assert header(request, "X-Api-Key") == key
        assert header(request, "Accept") == "application/json"
        for name in ("Authorization", "Cookie", "Transfer-Encoding", "Expect"):
            assert header(request, name) is None
        for name in ("Host", "User-Agent"):
            assert header(request, name) == header(server.requests[0], name)
    for request in server.requests[:2]:
        assert request.startswith(f"GET /integration/orders/{ORDER} HTTP/1.1\r\n".encode())
        assert request.endswith(b"\r\n\r\n")
        assert header(request, "Content-Type") is header(request, "Content-Length") is None


PATHS = {"/pf%c3%a4d": "/pf%C3%A4d", "//a//b": "/a//b", "/100%/%7e'!*~": "/100%25/~'!*~", "/a[b]|^": "/a%5Bb%5D%7C%5E"}


@pytest.mark.parametrize(("path", "sent"), PATHS.items())
def test_request_target_is_the_same(connect: Connect, path: str, sent: str) -> None:
    """Read from the socket: no server has a hand in it."""
    for order_id, segment in (("a/b~(c)'*!;ü", "a%2Fb~%28c%29%27%2A%21%3B%C3%BC"), ("%2e%2e", "%252e%252e")):
        with RawServer(says(http("200 OK", b'{"status": "completed"}'))) as server:
            send_each(connect(f"{server.url}{path}"), order_id)
        target = f"{sent}/integration/orders/{segment}"
        assert [request.split(b"\r\n")[0].decode() for request in server.requests] == [
            *[f"GET {target} HTTP/1.1"] * 2,
            f"POST {target}/rerun HTTP/1.1",
        ]


def test_later_environment_changes_nothing(ollang: Sandbox, hook: OllangHook, monkeypatch: pytest.MonkeyPatch) -> None:
    hook.get_order(ORDER)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file.pem")
    hook.close()
    hook.get_order(ORDER)
    assert len(ollang.request_log) == 2


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.InvalidHeader(f"Invalid header value {KEY!r}"),
        requests.ConnectionError(f"while sending {{'X-Api-Key': '{KEY}'}}"),
        urllib3.exceptions.ProtocolError("broken", OSError(f"proxy user:{PROXY_PASSWORD}@proxy.example")),
        http_client.HTTPException(f"{KEY} https://files.example/a?Signature={LINK_SIGNATURE}"),
        ValueError(KEY),
        OSError(5, f"Input/output error {KEY}"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_of_library_is_no_cause_of_ours(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """It shows what it was given; ours says it in our own words."""

    def send(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    hook = connect("https://ollang.example", proxy=f"http://user:{PROXY_PASSWORD}@proxy.example")
    for what in ("get", "rerun"):
        raised = failing(hook, what)
        assert type(raised) is OllangUnavailableError
        assert raised.__suppress_context__
    assert not hook.test_connection()[0]


@pytest.mark.parametrize(
    ("key", "extra"),
    [
        (f"{KEY}\n{KEY}", {}),
        (KEY, {"timeout": "soon"}),
        (KEY, {"proxy": f"socks5://u:{PROXY_PASSWORD}@a.example"}),
        (KEY, {"ca_bundle": "/no/file"}),
    ],
    ids=repr,
)
def test_unusable_connection_sends_nothing(ollang: Sandbox, connect: Connect, key: str, extra: dict[str, Any]) -> None:
    hook = connect(ollang.url, key=key, **extra)
    for what in REQUESTS:
        assert type(failing(hook, what)) is OllangConfigurationError
    assert ollang.request_log == []


def test_missing_connection_is_the_same_error() -> None:
    assert alike(OllangHook("ollang_nowhere")).error is OllangConfigurationError


# --- Hosts and proxies --------------------------------------------------------------------------------------------


def test_refused_connection_names_the_server(connect: Connect) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    for text in unsent_texts(connect(url)):
        assert f"{url} refused the connection" in text


@pytest.mark.parametrize(
    ("url", "proxy", "host", "advice"),
    [
        ("https://ollang.invalid", None, "the host of https://ollang.invalid", "Check the base URL (host) of"),
        ("https://ollang.example", "nobody.invalid:3128", "the host of the proxy", "Check the proxy of"),
    ],
)
def test_unknown_host_says_what_to_check(connect: Connect, url: str, proxy: str | None, host: str, advice: str) -> None:
    extra = {} if proxy is None else {"proxy": f"http://user:{PROXY_PASSWORD}@{proxy}"}
    for text in unsent_texts(connect(url, **extra)):
        assert f"{host} could not be found.\n{advice}" in text


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://ollang.example"])
def test_refused_connection_to_proxy_names_the_proxy(connect: Connect, url: str) -> None:
    proxy = f"http://user:{PROXY_PASSWORD}@127.0.0.1:{closed_port()}"
    for text in unsent_texts(connect(url, proxy=proxy)):
        assert "the proxy refused the connection" in text


@pytest.mark.parametrize("status", ["403 Forbidden", "407 Proxy Authentication Required", "429 Slow", "502 Bad"])
def test_refusal_of_proxy_means_nothing_was_sent(connect: Connect, status: str) -> None:
    with ForwardProxy(refusal=http(status)) as proxy:
        hook = connect("https://ollang.example", proxy=proxy.url.replace("//", f"//user:{PROXY_PASSWORD}@"))
        texts = unsent_texts(hook)
    assert len(proxy.requests) == 4
    for text in texts:
        assert "through the proxy" in text
        assert status[:3] in text


def test_proxy_of_connection_gets_its_own_password(ollang: Sandbox, connect: Connect) -> None:
    with ForwardProxy() as proxy:
        send_each(connect(ollang.url, proxy=proxy.url.replace("//", f"//us%20er:{PROXY_PASSWORD}@")))
    target = f"{ollang.url}/integration/orders/{ORDER}"
    assert proxy.first_lines == [*[f"GET {target} HTTP/1.1"] * 2, f"POST {target}/rerun HTTP/1.1"]
    credentials = base64.b64encode(f"us er:{PROXY_PASSWORD}".encode()).decode()
    for request in proxy.requests:
        assert header(request, "Proxy-Authorization") == f"Basic {credentials}"
        assert header(request, "Authorization") is None
    assert [entry.status for entry in ollang.request_log] == [200] * 3


def test_proxy_with_tls_to_server_never_sees_the_key(connect: Connect) -> None:
    with ForwardProxy() as proxy, Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        send_each(connect(ollang.url, proxy=proxy.url, ca_bundle=ollang.ca_bundle))
        assert [entry.status for entry in ollang.request_log] == [200] * 3
    assert [line.split(" ")[:2] for line in proxy.first_lines] == [["CONNECT", f"127.0.0.1:{ollang.port}"]] * 3
    for request in proxy.requests:
        assert KEY.encode() not in request
        assert header(request, "Authorization") is None


def test_proxy_over_tls_is_trusted_like_the_server(ollang: Sandbox, connect: Connect) -> None:
    """A sandbox answers absolute URLs itself, as a proxy may."""
    with Sandbox(api_key=KEY, speed=0, tls=True) as proxy:
        send_each(connect(ollang.url, proxy=proxy.url, ca_bundle=proxy.ca_bundle))
        assert [entry.path.startswith(ollang.url) for entry in proxy.request_log] == [True] * 3
    assert ollang.request_log == []


@pytest.mark.parametrize(("no_proxy", "through"), [("other.example", 3), ("127.0.0.1", 0)])
def test_proxy_of_environment_is_used(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, no_proxy: str, through: int
) -> None:
    with ForwardProxy() as proxy, Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", no_proxy)
        send_each(connect(ollang.url, ca_bundle=ollang.ca_bundle))
        assert len(ollang.request_log) == 3
    assert len(proxy.requests) == through


def test_proxy_of_connection_precedes_environment(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with ForwardProxy() as proxy, ForwardProxy() as other, Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        monkeypatch.setenv("HTTPS_PROXY", other.url)
        monkeypatch.setenv("NO_PROXY", "*")
        send_each(connect(ollang.url, proxy=proxy.url, ca_bundle=ollang.ca_bundle))
    assert (len(proxy.requests), len(other.requests)) == (3, 0)


def test_proxy_of_environment_never_sees_the_sandbox(
    ollang: Sandbox, hook: OllangHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy could not reach this machine's own address, and would read the key."""
    with ForwardProxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        send_each(hook)
    assert proxy.requests == []
    assert len(ollang.request_log) == 3


# --- Certificates -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "environment"),
    [
        ({"ca_bundle": "own"}, {"REQUESTS_CA_BUNDLE": "other"}),
        ({}, {"REQUESTS_CA_BUNDLE": "own"}),
        ({}, {"SSL_CERT_FILE": "own"}),
        # Not even the environment turns verification on again.
        ({"verify": False}, {"REQUESTS_CA_BUNDLE": "other"}),
        ({"verify": False, "ca_bundle": "other"}, {}),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_trusted_server_gets_each_request(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], environment: dict[str, str]
) -> None:
    with Sandbox(api_key=KEY, speed=0, tls=True) as ollang, Sandbox(tls=True) as other:
        bundles = {"own": ollang.ca_bundle, "other": other.ca_bundle}
        for name, bundle in environment.items():
            monkeypatch.setenv(name, str(bundles[bundle]))
        hook = connect(ollang.url, **{name: bundles.get(value, value) for name, value in extra.items()})
        send_each(hook)
        assert hook.test_connection()[0]
        assert [entry.status for entry in ollang.request_log] == [200] * 4


@pytest.mark.parametrize("case", ["other CA", "no CA", "other host"])
def test_untrusted_server_gets_no_request(connect: Connect, case: str) -> None:
    # The first is reached as 127.0.0.2 too.
    with Sandbox(host="0.0.0.0", api_key=KEY, speed=0, tls=True) as ollang, Sandbox(tls=True) as other:  # noqa: S104
        bundle = {"other CA": other.ca_bundle, "no CA": None, "other host": ollang.ca_bundle}[case]
        url = f"https://127.0.0.{2 if case == 'other host' else 1}:{ollang.port}"
        texts = unsent_texts(connect(url, ca_bundle=bundle))
        assert ollang.request_log == []
    for text in texts:
        assert "certificate verify failed" in text


@pytest.mark.parametrize("content", ["", "no certificate"], ids=["empty", "text"])
def test_file_without_certificates_is_no_outage(connect: Connect, tmp_path: Path, content: str) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(content)
    with Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        hook = connect(ollang.url, ca_bundle=str(path))
        for what in REQUESTS:
            error = failing(hook, what)
            assert type(error) is OllangConfigurationError
            assert str(path) in str(error)
        works, message = hook.test_connection()
    assert not works
    assert str(path) in message


def test_server_without_tls_gets_no_request(ollang: Sandbox, connect: Connect) -> None:
    for text in unsent_texts(connect(ollang.url.replace("http:", "https:"))):
        assert "no connection to https://127.0.0.1" in text
    assert ollang.request_log == []
