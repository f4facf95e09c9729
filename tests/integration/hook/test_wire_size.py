"""How large a response may be, where it may lead, and which connection it takes."""

from __future__ import annotations

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
from tests.integration.hook.wire import BODY, both, failing

from .conftest import KEY, ORDER, Clock, Connect, sent
from .servers import ForwardProxy, Peer, RawServer, header, http, says

MEGABYTE = 1024 * 1024


@both
def test_answer_of_25_megabytes_is_not_read(ollang: Sandbox, connect: Connect, what: str) -> None:
    ollang.add_fault(generate="huge")
    error = failing(connect(ollang.url, max_attempts=1), what)
    assert type(error) is (OllangUnavailableError if what == "get" else OllangOutcomeUnknownError)
    assert "larger than 20 MB" in str(error)
    assert len(ollang.request_log) == 1


@both
@pytest.mark.parametrize("status", [302, 404, 500])
def test_large_answer_with_another_status_is_not_read(
    connect: Connect, what: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = 0
    monkeypatch.setattr(responses, "MAX_BODY_BYTES", MEGABYTE)

    def script(peer: Peer, request: bytes) -> None:
        nonlocal received
        head = f"HTTP/1.1 {status} So\r\nLocation: https://other.example/\r\nContent-Length: {64 * MEGABYTE}\r\n\r\n"
        peer.send(head.encode())
        for _ in range(64):
            peer.send(b" " * MEGABYTE)
            received += MEGABYTE

    with RawServer(script) as server:
        error = failing(connect(server.url, max_attempts=1), what)
    assert isinstance(error, OllangError)
    assert received < 32 * MEGABYTE


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@both
def test_small_answer_that_unpacks_to_more_is_not_read(
    ollang: Sandbox, connect: Connect, what: str, encoding: str
) -> None:
    plain = b'{"status": "completed", "name": "' + b"a" * 30 * MEGABYTE + b'"}'
    packed = gzip.compress(plain) if encoding == "gzip" else zlib.compress(plain)
    assert len(packed) < MEGABYTE
    ollang.add_fault(status=200, body=packed, headers={"Content-Encoding": encoding})
    error = failing(connect(ollang.url, max_attempts=1), what)
    assert type(error) is (OllangUnavailableError if what == "get" else OllangOutcomeUnknownError)
    assert "larger than 20 MB" in str(error)


def test_answer_of_almost_20_megabytes_is_read(ollang: Sandbox, hook: OllangHook) -> None:
    ollang.add_fault(generate="huge", size=20 * MEGABYTE - 100)
    assert len(hook.get_order(ORDER)["name"]) == 20 * MEGABYTE - 100
    assert len(ollang.request_log) == 1


def test_packed_answer_is_read(ollang: Sandbox, hook: OllangHook) -> None:
    ollang.add_fault(status=200, body=gzip.compress(BODY), headers={"Content-Encoding": "gzip"})
    assert hook.get_order(ORDER)["id"] == ORDER


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
            id="chunked",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY, id="until it closes"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n" + BODY, id="HTTP/1.0"),
        pytest.param(b"HTTP/1.1 200\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY), id="no reason"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + http("200 OK", BODY), id="after an interim answer"),
    ],
)
def test_unusual_but_right_answer_is_read(connect: Connect, body: bytes) -> None:
    with RawServer(says(body, close=True)) as server:
        assert connect(server.url).get_order(ORDER)["id"] == ORDER
        assert connect(server.url).rerun_order(ORDER)["order_id"] == ORDER
        assert len(server.requests) == 2


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
    "endless header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n{}",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n{}",
    "header without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
    "no ASCII in the head": b"HTTP/1.1 200 OK\r\nX-\xff: \xfe\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
    "NUL in the head": b"HTTP/1.1 200 OK\r\nX: \0\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_odd_bytes_are_an_error_of_ours_and_asked_for_again(connect: Connect, clock: Clock, data: bytes) -> None:
    answers = iter([data, data])

    def script(peer: Peer, request: bytes) -> None:
        says(next(answers, http("200 OK", BODY)), close=True)(peer, request)

    with RawServer(script) as server:
        assert connect(server.url).get_order(ORDER)["id"] == ORDER
        assert len(server.requests) == 3
    assert len(clock.sleeps) == 2


def test_no_cookie_is_sent_back(connect: Connect) -> None:
    cookies = ["Set-Cookie: a=b; Path=/", "Set-Cookie: c=d", "Set-Cookie: =;;; Expires=never"]
    with RawServer(says(http("200 OK", BODY, *cookies))) as server:
        hook = connect(server.url)
        hook.get_order(ORDER)
        hook.get_order(ORDER)
        hook.rerun_order(ORDER)
    assert [header(request, "Cookie") for request in server.requests] == [None] * 3


@both
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed_and_the_key_does_not_go_along(
    ollang: Sandbox, hook: OllangHook, clock: Clock, what: str, status: int
) -> None:
    with Sandbox(api_key=KEY, speed=0) as other:
        ollang.add_fault(
            redirect=f"{other.url}/integration/orders/{ORDER}?token=canary-51aa-link-signature", status=status
        )
        error = failing(hook, what)
        assert other.request_log == []
    assert type(error) is OllangConfigurationError
    assert (error.status_code, error.order_id) == (status, ORDER)
    assert f"127.0.0.1:{other.port}" in str(error)
    assert "Redirects are not followed" in str(error)
    assert repr(hook.ollang_conn_id) in str(error)
    assert (len(ollang.request_log), clock.sleeps) == (1, [])


LOCATIONS = [
    *(
        "",
        "/login",
        "//other.example",
        "http://[",
        "https://[::1",
        "http://\u00ff\u00fe/",
        "::::",
        "mailto:a@b.example",
    ),
    *("https://user:canary-8be2-proxy-password@other.example/", f"https://{KEY}.example/", "http:///", "x" * 20_000),
    *("https://other.example:port/", "https://other.example:99999999/", "https://\u2100.example/", "%00", "\\\\x"),
]


@both
@pytest.mark.parametrize("location", LOCATIONS, ids=lambda one: ascii(one)[:30])
def test_redirect_to_nowhere(connect: Connect, clock: Clock, what: str, location: str) -> None:
    data = b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % location.encode()
    with RawServer(says(data)) as server:
        error = failing(connect(server.url), what)
        assert len(server.requests) == 1
    assert type(error) is OllangConfigurationError
    assert error.status_code == 302
    assert len(str(error)) < 1000
    assert clock.sleeps == []


def test_redirect_to_itself_is_not_followed(ollang: Sandbox, hook: OllangHook) -> None:
    ollang.add_fault(redirect=f"/integration/orders/{ORDER}", times=None)
    assert type(failing(hook)) is OllangConfigurationError
    assert sent(ollang) == [("GET", f"/integration/orders/{ORDER}", 302)]


def test_gets_share_a_connection(ollang: Sandbox, hook: OllangHook) -> None:
    for _ in range(5):
        hook.get_order(ORDER)
    list(hook.list_orders(page_size=10))
    assert {entry.connection for entry in ollang.request_log} == {1}


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 429}, {"status": 404, "body": "<p>"}, {"body": "[]"}], ids=str
)
def test_connection_outlives_errors(ollang: Sandbox, hook: OllangHook, fault: dict[str, Any]) -> None:
    ollang.add_fault(**fault)
    with pytest.raises(OllangError):
        hook.get_order(ORDER, max_attempts=1)
    hook.get_order(ORDER)
    assert [entry.connection for entry in ollang.request_log] == [1, 1]


def test_connection_of_a_broken_answer_is_not_used_again(ollang: Sandbox, connect: Connect) -> None:
    hook = connect(ollang.url, timeout=1)
    ollang.add_fault(generate="huge")
    failing(hook)
    hook.get_order(ORDER)
    ollang.add_fault(drop="body")
    failing(hook)
    hook.get_order(ORDER)
    assert [entry.connection for entry in ollang.request_log] == [1, 2, 2, 3]


def test_late_answer_is_not_taken_for_the_next(connect: Connect) -> None:
    """The answer to the first request arrives after its time, while the second is under way."""
    other = BODY.replace(b'"success"', b'"late"')
    answers = iter([other, BODY])

    def script(peer: Peer, request: bytes) -> None:
        body = next(answers)
        if body is other:
            peer.hung_up(1.2)
        peer.send(http("200 OK", body))

    with RawServer(script) as server:
        order = connect(server.url, timeout=1).get_order(ORDER)
        assert server.connections == 2
    assert "late" not in order


def test_connection_that_the_server_closed_is_replaced(connect: Connect, clock: Clock) -> None:
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
    found: dict[str, str] = {}

    def get(order_id: str) -> None:
        for _ in range(3):
            found[order_id] = hook.get_order(order_id)["id"]

    threads = [threading.Thread(target=get, args=(order_id,)) for order_id in order_ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {order_id: order_id for order_id in order_ids}
    assert len(ollang.request_log) == 48


def test_proxy_connection_is_kept(connect: Connect) -> None:
    with ForwardProxy() as proxy, Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        hook = connect(ollang.url, proxy=proxy.url, ca_bundle=ollang.ca_bundle)
        hook.get_order(ORDER)
        hook.get_order(ORDER)
        hook.close()
        assert len(ollang.request_log) == 2
        assert [line.split(" ")[:2] for line in proxy.first_lines] == [["CONNECT", f"127.0.0.1:{ollang.port}"]]
