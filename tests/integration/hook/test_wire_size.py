"""How large a response may be, what it may look like, and which connection it takes."""

from __future__ import annotations

import asyncio
import gzip
import threading
import zlib
from typing import Any

import pytest

from airflow_provider_ollang.client import responses
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangOutcomeUnknownError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox
from tests.installed_airflow import limits_headers

from .alike import outcome
from .conftest import KEY, ORDER, PROXY_PASSWORD, Clock, Connect
from .servers import ForwardProxy, Peer, RawServer, header, http, says
from .wire import BODY, REQUESTS, each_request, failing, send, send_each

MEGABYTE = 1024 * 1024


def check_too_large(error: OllangError, what: str, megabytes: int) -> None:
    assert type(error) is (OllangOutcomeUnknownError if what == "rerun" else OllangUnavailableError)
    assert f"larger than {megabytes} MB" in str(error)


# --- Sizes --------------------------------------------------------------------------------------------------------


@each_request
def test_response_of_25_megabytes_is_not_read(ollang: Sandbox, hook: OllangHook, what: str) -> None:
    ollang.add_fault(generate="huge")
    check_too_large(failing(hook, what), what, 20)
    assert len(ollang.request_log) == 1


@each_request
def test_large_redirect_is_not_read(connect: Connect, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``requests`` reads the bodies of redirects, even of those that it does not follow."""
    received = 0
    monkeypatch.setattr(responses, "MAX_BODY_BYTES", MEGABYTE)

    def script(peer: Peer, request: bytes) -> None:
        nonlocal received
        head = f"HTTP/1.1 302 Found\r\nLocation: https://other.example/\r\nContent-Length: {64 * MEGABYTE}\r\n\r\n"
        peer.send(head.encode())
        for _ in range(64):
            peer.send(b" " * MEGABYTE)
            received += MEGABYTE

    with RawServer(script) as server:
        assert isinstance(failing(connect(server.url), what), OllangError)
    assert received < 32 * MEGABYTE


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@each_request
def test_small_response_that_unpacks_to_more_is_not_read(
    ollang: Sandbox, hook: OllangHook, what: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "MAX_BODY_BYTES", MEGABYTE)
    plain = b'{"status": "completed", "name": "' + b"a" * 8 * MEGABYTE + b'"}'
    packed = gzip.compress(plain) if encoding == "gzip" else zlib.compress(plain)
    ollang.add_fault(status=200, body=packed, headers={"Content-Encoding": encoding})
    check_too_large(failing(hook, what), what, 1)


@pytest.mark.parametrize("what", ["get", "async get"])
def test_response_just_below_the_cap_is_read(ollang: Sandbox, hook: OllangHook, what: str) -> None:
    ollang.add_fault(generate="huge", size=20 * MEGABYTE - 100)
    assert len(send(hook, what)["name"]) == 20 * MEGABYTE - 100


# --- What HTTP and JSON allow, and few servers do -----------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
            id="chunked",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY, id="until it closes"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n" + BODY, id="HTTP/1.0"),
        pytest.param(b"HTTP/1.1 200\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY), id="no reason"),
        pytest.param(http("200 OK", BODY, f"Content-Security-Policy: {'x' * 30_000}"), id="long header"),
        # RFC 8259 section 8.1: who reads JSON may ignore it.
        pytest.param(http("200 OK", b"\xef\xbb\xbf" + BODY), id="byte order mark"),
    ],
)
def test_unusual_but_right_response_is_read(connect: Connect, data: bytes) -> None:
    with RawServer(says(data, close=True)) as server:
        send_each(connect(server.url))
    assert len(server.requests) == 3


INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
    "unknown": b"HTTP/1.1 199 Whatever\r\n\r\n",
    "several": b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n",
}


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
def test_interim_response_is_read_past(connect: Connect, interim: bytes) -> None:
    """RFC 9110 section 15.2: a client must be able to parse them, and http.client skips only 100."""
    with RawServer(says(interim + http("200 OK", BODY))) as server:
        hook = connect(server.url)
        for _ in range(2):
            send_each(hook)
    assert len(server.requests) == 6


def test_interim_response_of_proxy_to_connect_is_read_past(connect: Connect) -> None:
    refusal = INTERIM["103"] + http("403 Forbidden")
    with ForwardProxy(refusal) as proxy:
        hook = connect("https://ollang.example", proxy=proxy.url)
        for what in REQUESTS:
            error = failing(hook, what)
            assert type(error) is OllangUnavailableError
            assert "403" in str(error)


# --- Malformed responses ------------------------------------------------------------------------------------------

# On a connection that is about to be closed no second request must be tried: whether it got through would be luck.
CLOSE = "Connection: close"


ODD: dict[str, bytes] = {
    "nothing": b"",
    "half a status line": b"HTTP/1.1 2",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Type: appl",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + BODY,
    "half of a chunked body": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(BODY), BODY),
    "no chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY,
    "endless chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 70_000,
    "no gzip": http("200 OK", BODY, "Content-Encoding: gzip", CLOSE),
    "half of gzip": http("200 OK", gzip.compress(BODY)[:-9], "Content-Encoding: gzip", CLOSE),
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" + BODY[:-1],
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 7\r\n\r\n" + BODY,
    "length no number": b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\n" + BODY[:-1],
    "no status": b"HTTP/1.1 abc OK\r\n\r\n",
    "status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "endless header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n[]",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n[]",
    "header without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]",
    "no ASCII in the head": b"HTTP/1.1 200 OK\r\nX-\xff: \xfe\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]",
    "NUL in the head": b"HTTP/1.1 200 OK\r\nX: \0\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]",
    "half of JSON": b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"success": true',
    "early hint only": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    "switched protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
}


#: The differences that are forced: what `aiohttp` refuses, and `http.client` overlooks. A transient error
#: either way, but only one client sees a status.
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


@pytest.mark.parametrize("name", ODD)
def test_malformed_response_is_an_error_of_ours(connect: Connect, clock: Clock, name: str) -> None:
    with RawServer(says(ODD[name], close=True)) as server:
        hook = connect(server.url, timeout=3)
        gets = [outcome(hook, what) for what in ("get", "async get")]
        rerun = outcome(hook, "rerun")
    assert (len(server.requests), clock.sleeps) == (3, [])
    assert gets[0] == gets[1] or name in STRICTER_PARSER
    assert rerun.error is OllangOutcomeUnknownError
    for get in gets:
        assert get.error is OllangUnavailableError
        # Transient either way.
        assert get.fields is not None
        assert get.fields["status_code"] in {None, 101, 200}
    # Nothing is shown as the server sent it, cookies and links least of all.
    assert "RawResponseMessage" not in gets[1].full_text
    assert "headers" not in gets[1].full_text


def test_no_cookie_is_sent_back(connect: Connect) -> None:
    async def twice(hook: OllangHook) -> None:
        async with hook.async_client() as client:
            await client.get_order(ORDER)
            await client.get_order(ORDER)

    cookies = ["Set-Cookie: a=b; Path=/", "Set-Cookie: c=d", "Set-Cookie: =;;; Expires=never"]
    with RawServer(says(http("200 OK", BODY, *cookies))) as server:
        # By a name, since aiohttp keeps no cookies of an address (``unsafe`` of its CookieJar).
        hook = connect(server.url.replace("127.0.0.1", "localhost"))
        for what in ("get", "get", "rerun"):
            send(hook, what)
        asyncio.run(twice(hook))
    assert [header(request, "Cookie") for request in server.requests] == [None] * 5


# --- Redirects ----------------------------------------------------------------------------------------------------


@each_request
def test_redirect_is_not_followed_and_takes_no_key_along(
    ollang: Sandbox, hook: OllangHook, clock: Clock, what: str
) -> None:
    with Sandbox(api_key=KEY, speed=0) as other:
        location = f"{other.url}/integration/orders/{ORDER}?token=canary-51aa-link-signature"
        ollang.add_fault(redirect=location, status=307)
        error = failing(hook, what)
        assert other.request_log == []
    assert type(error) is OllangConfigurationError
    assert (error.status_code, error.order_id) == (307, ORDER)
    assert f"127.0.0.1:{other.port}" in str(error)
    assert "Redirects are not followed" in str(error)
    assert repr(hook.ollang_conn_id) in str(error)
    assert (len(ollang.request_log), clock.sleeps) == (1, [])


#: The bytes of a header are ISO 8859-1 to `http.client` and UTF-8 to `aiohttp`.
DECODED_OTHERWISE = "http://\u00ff\u00fe/"
LOCATIONS = [
    *("", "http://[", DECODED_OTHERWISE, "x" * 20_000, f"https://{KEY}.example/"),
    f"https://user:{PROXY_PASSWORD}@other.example/",
]


@pytest.mark.parametrize("location", LOCATIONS, ids=lambda value: ascii(value)[:30])
def test_redirect_to_nowhere_is_a_configuration_error(connect: Connect, clock: Clock, location: str) -> None:
    data = b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % location.encode()
    with RawServer(says(data)) as server:
        errors = [failing(connect(server.url), what) for what in REQUESTS]
    assert (len(server.requests), clock.sleeps) == (3, [])
    for error in errors:
        assert type(error) is OllangConfigurationError
        assert error.status_code == 302
        assert len(str(error)) < 1000


# --- Connections --------------------------------------------------------------------------------------------------


def test_gets_share_a_connection(ollang: Sandbox, hook: OllangHook) -> None:
    for _ in range(5):
        hook.get_order(ORDER)
    list(hook.list_orders(page_size=10))
    assert {entry.connection for entry in ollang.request_log} == {1}


@pytest.mark.parametrize("fault", [{"status": 503}, {"body": "[]"}], ids=str)
def test_connection_outlives_errors(ollang: Sandbox, hook: OllangHook, fault: dict[str, Any]) -> None:
    ollang.add_fault(**fault)
    with pytest.raises(OllangError):
        hook.get_order(ORDER, max_attempts=1)
    hook.get_order(ORDER)
    assert [entry.connection for entry in ollang.request_log] == [1, 1]


def test_connection_of_broken_response_is_not_used_again(ollang: Sandbox, connect: Connect) -> None:
    hook = connect(ollang.url, timeout=1)
    ollang.add_fault(generate="huge")
    failing(hook)
    hook.get_order(ORDER)
    ollang.add_fault(drop="body")
    failing(hook)
    hook.get_order(ORDER)
    assert [entry.connection for entry in ollang.request_log] == [1, 2, 2, 3]


def test_connection_closed_by_server_is_replaced(connect: Connect, clock: Clock) -> None:
    closed = threading.Semaphore(0)

    def script(peer: Peer, request: bytes) -> None:
        says(http("200 OK", BODY), close=True)(peer, request)
        closed.release()

    with RawServer(script) as server:
        hook = connect(server.url)
        for _ in range(3):
            hook.get_order(ORDER)
            assert closed.acquire(timeout=5)
        assert (server.connections, len(server.requests)) == (3, 3)
    assert clock.sleeps == []


def test_hooks_do_not_share_connections(ollang: Sandbox, connect: Connect) -> None:
    for _ in range(2):
        connect(ollang.url).get_order(ORDER)
    assert [entry.connection for entry in ollang.request_log] == [1, 2]


def test_closed_hook_stays_usable(ollang: Sandbox, hook: OllangHook) -> None:
    hook.close()
    hook.get_order(ORDER)
    hook.close()
    hook.close()
    hook.get_order(ORDER)
    assert [entry.connection for entry in ollang.request_log] == [1, 2]


def test_threads_may_share_a_hook(ollang: Sandbox, hook: OllangHook) -> None:
    order_ids = [ollang.add_order() for _ in range(16)]
    names: dict[str, str] = {}

    def get(order_id: str) -> None:
        for _ in range(3):
            names[order_id] = hook.get_order(order_id)["id"]

    threads = [threading.Thread(target=get, args=(order_id,)) for order_id in order_ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == {order_id: order_id for order_id in order_ids}
    assert len(ollang.request_log) == 48


def test_proxy_connection_is_kept(connect: Connect) -> None:
    with ForwardProxy() as proxy, Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        hook = connect(ollang.url, proxy=proxy.url, ca_bundle=ollang.ca_bundle)
        hook.get_order(ORDER)
        hook.get_order(ORDER)
        hook.close()
        assert len(ollang.request_log) == 2
        assert [line.split(" ")[:2] for line in proxy.first_lines] == [["CONNECT", f"127.0.0.1:{ollang.port}"]]
