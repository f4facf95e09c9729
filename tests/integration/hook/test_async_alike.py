"""The sync and the async client side by side: whatever the server does, both end in the same error or order."""

from __future__ import annotations

import asyncio
import base64
import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ollang.client import aio, responses, sync
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox
from tests.installed_airflow import limits_headers

from .conftest import FOREIGN, KEY, ORDER, PROXY_PASSWORD, UNKNOWN, Clock, Connect
from .servers import (
    IN_TIME,
    LONG,
    ForwardProxy,
    Peer,
    RawServer,
    Script,
    Stopwatch,
    closed_port,
    header,
    http,
    says,
    stalls,
)
from .test_wire import LOCATIONS, ODD

BODY = f'{{"id": "{ORDER}", "status": "completed", "success": true}}'.encode()
MEGABYTE = 1024 * 1024

#: What the libraries say in brackets about a connection that broke is theirs, and they have different words for it.
LIBRARY_WORDS = re.compile(r"(the connection broke|no connection (?:through the proxy )?to \S+) \(.*\)\.$")


@dataclass(frozen=True)
class End:
    """What a call came to; equal ends cannot be told apart by their user."""

    order: dict[str, Any] | None = None
    error: type[OllangError] | None = None
    fields: dict[str, Any] | None = None
    text: str = ""
    whole_text: str = ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, End) and self._compared() == other._compared()

    __hash__ = None  # type: ignore[assignment]

    def _compared(self) -> tuple[object, ...]:
        return self.order, self.error, self.fields, self.text


def _failed(error: OllangError) -> End:
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    text = str(error)
    return End(None, type(error), dict(vars(error)), LIBRARY_WORDS.sub(r"\1 (*).", text), text)


def sync_end(hook: OllangHook, order_id: object = ORDER) -> End:
    try:
        return End(hook.get_order(order_id, max_attempts=1))
    except OllangError as error:
        return _failed(error)


def async_end(hook: OllangHook, order_id: object = ORDER) -> End:
    async def read() -> End:
        async with hook.async_client() as reader:
            return End(await reader.get_order(order_id))

    try:
        return asyncio.run(read())
    except OllangError as error:
        return _failed(error)


def alike(hook: OllangHook, order_id: object = ORDER) -> End:
    """Return the end that both clients come to."""
    one, other = sync_end(hook, order_id), async_end(hook, order_id)
    assert other == one
    hook.close()
    return other


# --- Answers ------------------------------------------------------------------------------------------------------

SAID: dict[str, Any] = {
    "error": "Oh",
    "message": ["one", "two"],
    "code": "SOME_CODE",
    "detail": "https://a.example/?b=c",
}

BODIES: dict[str, dict[str, Any]] = {"empty": {}, "JSON": {"body": SAID}, "HTML": {"body": "<html>Oh"}}

STATUSES: dict[str, dict[str, Any]] = {
    f"{status} {name}": {"status": status, **body}
    for status in (200, 302, 400, 401, 403, 404, 408, 409, 422, 425, 429, 500, 503, 599)
    for name, body in BODIES.items()
}

FAULTS: dict[str, dict[str, Any]] = {
    **STATUSES,
    **{
        kind: {"generate": kind}
        for kind in (
            *("array", "bad_utf8", "cut_json", "html", "long_number", "nested_arrays", "nested_objects"),
            *("not_a_number", "not_json"),
        )
    },
    "retry in 7 s": {"status": 429, "headers": {"Retry-After": "7"}},
    "retry at a date": {
        "status": 503,
        "headers": {"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": "Sun, 06 Nov 1994 08:49:07 GMT"},
    },
    "retry never": {"status": 429, "headers": {"Retry-After": "-1"}},
    "cannot GET": {"status": 404, "body": {"message": "Cannot GET /integration"}},
    "another order": {"body": {"id": UNKNOWN, "status": "completed"}},
    "no status": {"body": {"id": ORDER}},
    "gzip": {"body": gzip.compress(BODY), "headers": {"Content-Encoding": "gzip"}},
    "deflate": {"body": zlib.compress(BODY), "headers": {"Content-Encoding": "deflate"}},
    "half of gzip": {"body": gzip.compress(BODY)[:-9], "headers": {"Content-Encoding": "gzip"}},
    "key in the answer": {"status": 400, "body": {"message": f"the key {KEY} is odd\r\nX: y"}},
    "key in the type": {"status": 400, "body": "no", "headers": {"Content-Type": f"text/{KEY}"}},
    "dropped before": {"drop": "before"},
    "dropped after": {"drop": "after"},
    "dropped in the body": {"drop": "body"},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_answer(ollang: Sandbox, hook: OllangHook, clock: Clock, fault: dict[str, Any]) -> None:
    ollang.add_fault(times=None, **fault)
    end = alike(hook)
    assert (end.order is None) != (end.error is None)
    assert len(ollang.request_log) == 2
    assert clock.sleeps == []


@pytest.mark.parametrize("shape", ["documented", "unknown_error", "message_only"])
@pytest.mark.parametrize("order_id", [ORDER, FOREIGN, UNKNOWN, "401"])
def test_documented_answer(ollang: Sandbox, hook: OllangHook, order_id: str, shape: str) -> None:
    if order_id == "401":
        ollang.api_key = "another"
    for one in (ORDER, FOREIGN):
        ollang.change_order(one, behaviour={"error_style": shape})
    end = alike(hook, order_id)
    assert end.error is None if order_id == ORDER else end.error is not None
    first, second = (entry.status for entry in ollang.request_log)
    assert first == second


def test_order_is_the_same_value(ollang: Sandbox, hook: OllangHook) -> None:
    order_id = ollang.add_order(name="鍵 \U0001f3ac", rate=1e300, projectId=2**70, behaviour={"sign_links": False})
    end = alike(hook, {"order_id": f" {order_id}\n"})
    assert end.order is not None
    assert end.order["name"] == "鍵 \U0001f3ac"


@pytest.mark.parametrize(
    "order_id",
    ["a/b", "a%2Fb", "a&b=c#d", "../orders", "%2e%2e", "a\\b", "a;b&d+e@f:g", "ünï/鍵", "'\"<>", "x" * 3000, 42],
    ids=lambda one: ascii(one)[:20],
)
def test_order_id_is_sent_alike(ollang: Sandbox, hook: OllangHook, order_id: object) -> None:
    ollang.add_order(id=str(order_id))
    assert alike(hook, order_id).error is None
    one, other = ollang.request_log
    assert one.path == other.path


@pytest.mark.parametrize("order_id", [None, "", "None", "..", "{{ x }}", "a\nb", {}, [ORDER], 1.5, "\ud800"], ids=ascii)
def test_bad_order_id_is_refused_alike(ollang: Sandbox, hook: OllangHook, order_id: object) -> None:
    assert alike(hook, order_id).error is OllangConfigurationError
    assert ollang.request_log == []


# --- The wire -----------------------------------------------------------------------------------------------------

#: The one list of differences that are forced: what `aiohttp` refuses, and `http.client` overlooks. A transient error
#: either way, but only the one half sees a status.
STRICTER_PARSER = {
    "half a head": "http.client takes the end of the connection for the end of the head",
    "negative length": "http.client reads to the end of the connection instead",
    "length no number": "http.client reads to the end of the connection instead",
    "header without a colon": "http.client takes the rest of the head for no headers",
    "no ASCII in the head": "http.client takes any byte for part of a header's name",
    "NUL in the head": "http.client takes any byte for part of a header's value",
}
if not limits_headers:
    STRICTER_PARSER["many headers"] = "http.client reads a hundred of them, aiohttp before 3.14 any number"
#: The bytes of a header are ISO 8859-1 to `http.client` and UTF-8 to `aiohttp`.
DECODED_OTHERWISE = {"http://\u00ff\u00fe/", "https://\u2100.example/"}


@pytest.mark.parametrize("name", ODD)
def test_odd_bytes(connect: Connect, name: str) -> None:
    with RawServer(says(ODD[name], close=True)) as server:
        hook = connect(server.url, timeout=3)
        if name in STRICTER_PARSER:
            assert sync_end(hook).error is OllangUnavailableError
            end = async_end(hook)
        else:
            end = alike(hook)
        assert end.error is OllangUnavailableError
        assert len(server.requests) == 2
    # Nothing of what the server sent is shown as it came, cookies and links in it least of all.
    assert "RawResponseMessage" not in end.whole_text
    assert "headers" not in end.whole_text


@pytest.mark.parametrize("location", LOCATIONS, ids=lambda one: ascii(one)[:30])
def test_redirect(connect: Connect, location: str) -> None:
    data = b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % location.encode()
    with RawServer(says(data)) as server:
        hook = connect(server.url, timeout=3)
        if location in DECODED_OTHERWISE:
            assert sync_end(hook).error is OllangConfigurationError
            end = async_end(hook)
        else:
            end = alike(hook)
        assert len(server.requests) == 2
    assert end.error is OllangConfigurationError
    assert end.fields is not None
    assert end.fields["status_code"] == 302


def test_long_headers_are_read(connect: Connect) -> None:
    """A gateway's policy or cookies are longer than one would think."""
    policy = f"Content-Security-Policy: {'x' * 30_000}"
    with RawServer(says(http("200 OK", BODY, policy))) as server:
        assert alike(connect(server.url)).error is None


def test_redirect_is_not_followed(ollang: Sandbox, hook: OllangHook) -> None:
    with Sandbox(api_key=KEY, speed=0) as other:
        ollang.add_fault(times=None, redirect=f"{other.url}/integration/orders/{ORDER}")
        assert alike(hook).error is OllangConfigurationError
        assert other.request_log == []


def drips_head(peer: Peer, request: bytes) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\n")
    peer.drip(b"X-Padding: " + b"x" * 600, 0.1)


def drips_body(peer: Peer, request: bytes) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    peer.drip(b"x" * 600, 0.1)


def drips_chunks(peer: Peer, request: bytes) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(600):
        peer.send(b"1\r\nx\r\n")
        if peer.hung_up(0.1):
            return


def late_head_and_half_a_body(peer: Peer, request: bytes) -> None:
    if not peer.hung_up(0.8):
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + BODY)
        peer.hung_up(LONG)


@pytest.mark.parametrize("script", [drips_head, drips_body, drips_chunks, late_head_and_half_a_body, stalls(LONG)])
def test_everything_ends_in_its_time(connect: Connect, script: Script) -> None:
    with RawServer(script) as server:
        hook = connect(server.url, timeout=1)
        one = sync_end(hook)
        with Stopwatch() as watch:
            other = async_end(hook)
    assert other == one
    assert other.error is OllangUnavailableError
    assert "no complete response within 1 s" in other.text
    assert 0.9 < watch.seconds < IN_TIME


def test_connection_that_never_comes_about(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (aio, sync):
        monkeypatch.setattr(module, "CONNECT_TIMEOUT", 0.5)

    def stall(peer: Peer) -> bool:
        peer.sock.recv(65536)
        return not peer.hung_up(LONG)

    with RawServer(says(b""), greet=stall) as server:
        hook = connect(server.url.replace("http:", "https:"), timeout=600)
        one = sync_end(hook)
        with Stopwatch() as watch:
            other = async_end(hook)
    assert other == one
    assert f"no connection to {hook.settings.base_url} within 0.5 s" in other.text
    assert watch.seconds < IN_TIME


@pytest.mark.parametrize("size", [20 * MEGABYTE - 100, 25 * MEGABYTE], ids=["below the cap", "above the cap"])
def test_size_of_an_answer(ollang: Sandbox, hook: OllangHook, size: int) -> None:
    ollang.add_fault(times=None, generate="huge", size=size)
    end = alike(hook)
    assert (end.order is not None) == (size < 20 * MEGABYTE)
    assert end.order is not None or "larger than 20 MB" in end.whole_text


def test_small_answer_that_unpacks_to_more(ollang: Sandbox, hook: OllangHook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "MAX_BODY_BYTES", MEGABYTE)
    packed = gzip.compress(b'{"status": "completed", "name": "' + b"a" * 8 * MEGABYTE + b'"}')
    ollang.add_fault(times=None, status=200, body=packed, headers={"Content-Encoding": "gzip"})
    end = alike(hook)
    assert end.error is OllangUnavailableError
    assert "larger than 1 MB" in end.whole_text


# --- What is asked for --------------------------------------------------------------------------------------------

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


# --- Who is there -------------------------------------------------------------------------------------------------


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


# --- Proxies, .netrc, cookies -------------------------------------------------------------------------------------


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
