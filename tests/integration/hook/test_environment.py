"""What proxies, certificates and .netrc of the environment change."""

from __future__ import annotations

import base64
import http.client as http_client
from pathlib import Path

import pytest
import requests
import urllib3

from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox

from .conftest import KEY, LINK_SIGNATURE, ORDER, PROXY_PASSWORD, Clock, Connect, status_of
from .servers import ForwardProxy, RawServer, closed_port, header, http, says

BODY = f'{{"id": "{ORDER}", "status": "completed", "success": true}}'.encode()


def use(hook: OllangHook) -> None:
    """Send one request of each kind."""
    hook.get_order(ORDER, max_attempts=1)
    hook.rerun_order(ORDER)


def test_netrc_adds_nothing(connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\ndefault login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with RawServer(says(http("200 OK", BODY))) as server:
        hook = connect(server.url)
        use(hook)
        hook.test_connection()
    assert len(server.requests) == 3
    for request in server.requests:
        assert header(request, "Authorization") is None
        assert header(request, "X-Api-Key") == KEY


def test_headers_of_a_get(connect: Connect) -> None:
    with RawServer(says(http("200 OK", BODY))) as server:
        connect(server.url).get_order(ORDER)
    (request,) = server.requests
    assert request.startswith(f"GET /integration/orders/{ORDER} HTTP/1.1\r\n".encode())
    assert request.endswith(b"\r\n\r\n")
    assert header(request, "X-Api-Key") == KEY
    assert header(request, "Accept") == "application/json"
    assert (header(request, "User-Agent") or "").startswith("airflow-provider-ollang/")
    for name in ("Authorization", "Content-Type", "Content-Length", "Transfer-Encoding", "Cookie"):
        assert header(request, name) is None


def test_environment_that_changes_later_changes_nothing(
    ollang: Sandbox, hook: OllangHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(hook)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file.pem")
    hook.close()
    hook.get_order(ORDER)
    assert len(ollang.request_log) == 3


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
def test_errors_of_libraries_do_not_go_on(connect: Connect, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """They show what they were given; ours say it in our own words, without the others as their cause."""

    def send(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    hook = connect("https://ollang.example", proxy=f"http://user:{PROXY_PASSWORD}@proxy.example")
    for call in (hook.get_order, hook.rerun_order):
        with pytest.raises(OllangUnavailableError) as caught:
            call(ORDER)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
    assert not hook.test_connection()[0]


def test_proxy_of_the_connection(ollang: Sandbox, connect: Connect) -> None:
    with ForwardProxy() as proxy:
        use(connect(ollang.url, proxy=proxy.url))
    assert proxy.first_lines == [
        f"GET {ollang.url}/integration/orders/{ORDER} HTTP/1.1",
        f"POST {ollang.url}/integration/orders/{ORDER}/rerun HTTP/1.1",
    ]
    assert [entry.status for entry in ollang.request_log] == [200, 200]


def test_proxy_with_tls_to_the_server_never_sees_the_key(connect: Connect) -> None:
    with ForwardProxy() as proxy, Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        use(connect(ollang.url, proxy=proxy.url, ca_bundle=ollang.ca_bundle))
        assert [entry.status for entry in ollang.request_log] == [200, 200]
    assert [line.split(" ")[0] for line in proxy.first_lines] == ["CONNECT", "CONNECT"]
    for request in proxy.requests:
        assert KEY.encode() not in request
        assert header(request, "Authorization") is None


def test_proxy_gets_its_own_password_and_the_server_does_not(ollang: Sandbox, connect: Connect) -> None:
    with ForwardProxy() as proxy, RawServer(says(http("200 OK", BODY))) as server:
        with_password = proxy.url.replace("//", f"//user:{PROXY_PASSWORD}@")
        use(connect(server.url, proxy=with_password))
    credentials = base64.b64encode(f"user:{PROXY_PASSWORD}".encode()).decode()
    for request in proxy.requests:
        assert header(request, "Proxy-Authorization") == f"Basic {credentials}"
    assert len(server.requests) == len(proxy.requests) == 2


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_proxy_of_the_environment(connect: Connect, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with ForwardProxy() as proxy, Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        monkeypatch.setenv(name, proxy.url)
        use(connect(ollang.url, ca_bundle=ollang.ca_bundle))
        assert len(ollang.request_log) == 2
    assert len(proxy.requests) == 2


def test_proxy_of_connection_precedes_that_of_environment(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with ForwardProxy() as proxy, ForwardProxy() as other, Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        monkeypatch.setenv("HTTPS_PROXY", other.url)
        use(connect(ollang.url, proxy=proxy.url, ca_bundle=ollang.ca_bundle))
    assert (len(proxy.requests), len(other.requests)) == (2, 0)


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "127.0.0.0/8", "other.example,127.0.0.1"])
def test_no_proxy(connect: Connect, monkeypatch: pytest.MonkeyPatch, exempt: str) -> None:
    with ForwardProxy() as proxy, Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", exempt)
        use(connect(ollang.url, ca_bundle=ollang.ca_bundle))
        assert len(ollang.request_log) == 2
    assert proxy.requests == []


def test_sandbox_is_reached_though_the_environment_has_a_proxy(
    ollang: Sandbox, hook: OllangHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy could not reach this machine's own address, and would read the key."""
    with ForwardProxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        use(hook)
    assert proxy.requests == []
    assert len(ollang.request_log) == 2


def test_proxy_that_is_not_there(ollang: Sandbox, connect: Connect, clock: Clock) -> None:
    proxy = f"http://user:{PROXY_PASSWORD}@127.0.0.1:{closed_port()}"
    for what in ("get_order", "rerun_order"):
        with pytest.raises(OllangUnavailableError, match="proxy") as caught:
            getattr(connect(ollang.url, proxy=proxy), what)(ORDER)
        assert status_of(caught.value) is None
    assert len(clock.sleeps) == 4
    assert ollang.request_log == []


def test_proxy_that_wants_another_password(connect: Connect) -> None:
    with ForwardProxy(refusal=http("407 Proxy Authentication Required")) as proxy:
        with_password = proxy.url.replace("//", f"//user:{PROXY_PASSWORD}@")
        works, message = connect("https://ollang.example", proxy=with_password).test_connection()
    assert not works
    assert "through the proxy" in message
    assert "407" in message


def refusal(hook: OllangHook, clock: Clock) -> str:
    """Return what both kinds of request say about a server that is not trusted: sent they were not."""
    texts = []
    for call in (hook.get_order, hook.rerun_order):
        clock.sleeps.clear()
        with pytest.raises(OllangUnavailableError) as caught:
            call(ORDER)
        assert status_of(caught.value) is None
        assert len(clock.sleeps) == (0 if call == hook.rerun_order else 4)
        texts.append(str(caught.value))
    works, message = hook.test_connection()
    assert not works
    return "\n".join([*texts, message])


def test_private_ca_of_the_connection(connect: Connect) -> None:
    with Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        hook = connect(ollang.url, ca_bundle=ollang.ca_bundle)
        use(hook)
        assert hook.test_connection()[0]
        assert [entry.status for entry in ollang.request_log] == [200, 200, 200]


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_private_ca_of_the_environment(connect: Connect, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        assert ollang.ca_bundle
        monkeypatch.setenv(name, ollang.ca_bundle)
        use(connect(ollang.url))
        assert len(ollang.request_log) == 2


def test_ca_of_connection_precedes_that_of_environment(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(api_key=KEY, speed=0, tls=True) as ollang, Sandbox(tls=True) as other:
        assert other.ca_bundle
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", other.ca_bundle)
        use(connect(ollang.url, ca_bundle=ollang.ca_bundle))
        assert len(ollang.request_log) == 2


def test_wrong_ca(connect: Connect, clock: Clock) -> None:
    with Sandbox(api_key=KEY, speed=0, tls=True) as ollang, Sandbox(tls=True) as other:
        text = refusal(connect(ollang.url, ca_bundle=other.ca_bundle), clock)
        assert text.count("certificate verify failed") == 3
        assert ollang.request_log == []


def test_private_ca_that_nobody_named(connect: Connect, clock: Clock) -> None:
    with Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        text = refusal(connect(ollang.url), clock)
        assert text.count("certificate verify failed") == 3
        assert ollang.request_log == []


def test_certificate_of_another_host(connect: Connect, clock: Clock) -> None:
    with Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        text = refusal(connect(ollang.url.replace("127.0.0.1", "127.0.0.2"), ca_bundle=ollang.ca_bundle), clock)
        assert ollang.request_log == []
    assert "127.0.0.2" in text


@pytest.mark.parametrize("name", ["ca_bundle", "REQUESTS_CA_BUNDLE"])
def test_unverified(connect: Connect, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Not even the environment switches the check on again."""
    with Sandbox(api_key=KEY, speed=0, tls=True) as ollang, Sandbox(tls=True) as other:
        assert other.ca_bundle
        extra = {name: other.ca_bundle} if name == "ca_bundle" else {}
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", other.ca_bundle)
        use(connect(ollang.url, verify=False, **extra))
        assert len(ollang.request_log) == 2


@pytest.mark.parametrize("content", ["", "no certificate"], ids=["empty", "text"])
def test_file_without_certificates(connect: Connect, tmp_path: Path, content: str) -> None:
    """Trying again does not help, so it is no outage."""
    path = tmp_path / "ca.pem"
    path.write_text(content)
    with Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        hook = connect(ollang.url, ca_bundle=str(path))
        for call in (hook.get_order, hook.rerun_order):
            with pytest.raises(OllangError) as caught:
                call(ORDER)
            assert type(caught.value) is OllangConfigurationError
            assert str(path) in str(caught.value)
        works, message = hook.test_connection()
    assert not works
    assert str(path) in message


def test_tls_to_a_server_that_speaks_none(ollang: Sandbox, connect: Connect, clock: Clock) -> None:
    text = refusal(connect(ollang.url.replace("http:", "https:")), clock)
    assert text.count("no connection to https://127.0.0.1") == 3
    assert ollang.request_log == []


def test_proxy_over_tls(ollang: Sandbox, connect: Connect) -> None:
    """The certificates to trust are those for the proxy too. A sandbox answers whole URLs itself, as a proxy may."""
    with Sandbox(api_key=KEY, speed=0, tls=True) as proxy:
        use(connect(ollang.url, proxy=proxy.url, ca_bundle=proxy.ca_bundle))
        assert [entry.path.startswith(ollang.url) for entry in proxy.request_log] == [True, True]
    assert ollang.request_log == []
