"""A rerun may be billed: the hook sends it once, and operators again only if it surely was not processed."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from airflow_provider_ollang.client.requests import rerun_order
from airflow_provider_ollang.exceptions import (
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangOrderNotEligibleError,
    OllangOutcomeUnknownError,
    OllangRateLimitError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox

from .conftest import KEY, ORDER, Clock, Connect, status_of, submit
from .servers import IN_TIME, LONG, ForwardProxy, Peer, RawServer, Stopwatch, closed_port, http, says, stalls

Row = tuple[int, Any, type[OllangError]]

HTML = "<html><h1>Bad Gateway</h1></html>"
PATH = f"/integration/orders/{ORDER}/rerun"


def failing(hook: OllangHook) -> OllangError:
    with pytest.raises(OllangError) as caught:
        hook.rerun_order(ORDER)
    return caught.value


def check_unknown(error: OllangError, status: int | None) -> None:
    assert type(error) is OllangOutcomeUnknownError
    assert (error.status_code, error.order_id, error.method, error.path) == (status, ORDER, "POST", PATH)
    text = str(error)
    assert f"rerun order {ORDER}" in text
    assert "It was not sent again" in text
    assert "clear this task" in text


@pytest.mark.parametrize("processed", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        *({"status": status, "body": HTML} for status in (408, 500, 501, 502, 503, 504, 520, 599)),
        *({"status": status, "body": {"message": "Oh"}, "headers": {"Retry-After": "1"}} for status in (408, 500, 503)),
        *({"generate": name} for name in ("array", "bad_utf8", "cut_json", "html", "long_number", "nested_arrays")),
        *({"generate": name} for name in ("nested_objects", "not_a_number", "not_json")),
        *({"status": 200, "body": body} for body in ("", "null", "true", "[]", '"accepted"', '{"success": tr')),
        {"status": 201, "body": ""},
        {"status": 204},
        {"body": {"success": True, "orderId": "60b8d6f1e1b9b1d8c6c0dead"}},
        {"body": {"success": True, "orderId": ["60b8d6f1e1b9b1d8c6c0dead"]}},
        {"body": {"success": True, "orderId": {}}},
    ],
    ids=lambda fault: "-".join(map(repr, fault.values()))[:50],
)
def test_unclear_response_is_never_followed_by_a_second_rerun(
    ollang: Sandbox, hook: OllangHook, clock: Clock, fault: dict[str, Any], processed: bool
) -> None:
    ollang.add_fault("POST", times=None, processed=processed, **fault)
    check_unknown(failing(hook), fault.get("status", 200))
    assert (len(ollang.request_log), clock.sleeps) == (1, [])
    assert ollang.order(ORDER)["reruns_accepted"] == int(processed)


@pytest.mark.parametrize(("drop", "processed"), [("before", 0), ("after", 1), ("body", 1)])
def test_lost_answer_is_never_followed_by_a_second_rerun(
    ollang: Sandbox, hook: OllangHook, clock: Clock, drop: str, processed: int
) -> None:
    ollang.add_fault("POST", drop=drop, times=None)
    error = failing(hook)
    check_unknown(error, None)
    assert "the connection broke" in str(error)
    assert (len(ollang.request_log), clock.sleeps) == (1, [])
    assert ollang.order(ORDER)["reruns_accepted"] == processed


@pytest.mark.parametrize("fault", [{"delay": LONG}, {"delay": LONG, "drop": "before"}], ids=["late", "late and lost"])
def test_late_answer_is_never_followed_by_a_second_rerun(
    ollang: Sandbox, connect: Connect, clock: Clock, fault: dict[str, Any]
) -> None:
    ollang.add_fault("POST", times=None, **fault)
    with Stopwatch() as watch:
        error = failing(connect(ollang.url, timeout=1))
    check_unknown(error, None)
    assert "no complete response within 1 s" in str(error)
    assert 0.9 < watch.seconds < IN_TIME
    assert (len(ollang.request_log), clock.sleeps) == (1, [])


RAW: dict[str, bytes] = {
    "nothing": b"",
    "half a status line": b"HTTP/1.1 2",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Type: appl",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half a body": b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"success": true',
    "half of a body without length": b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"success": true',
    "half of a chunked body": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n{"success": true}\r\n',
    "no chunk": b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{"success": true}\r\n',
    "no gzip": http("200 OK", b'{"success": true}', "Content-Encoding: gzip"),
    "early hint": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    "no status": b"HTTP/1.1 abc OK\r\n\r\n",
    "endless header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n{}",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n{}",
}


@pytest.mark.parametrize("data", RAW.values(), ids=RAW)
def test_odd_bytes_are_never_followed_by_a_second_rerun(connect: Connect, clock: Clock, data: bytes) -> None:
    with RawServer(says(data, close=True)) as server:
        error = failing(connect(server.url))
    assert type(error) is OllangOutcomeUnknownError
    assert (len(server.requests), clock.sleeps) == (1, [])


def test_reset_is_never_followed_by_a_second_rerun(connect: Connect, clock: Clock) -> None:
    with RawServer(lambda peer, _: peer.reset()) as server:
        check_unknown(failing(connect(server.url)), None)
    assert (len(server.requests), clock.sleeps) == (1, [])


def test_request_is_as_documented(connect: Connect) -> None:
    with RawServer(says(http("200 OK", b'{"success": true}'))) as server:
        connect(server.url).rerun_order(ORDER)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first == f"POST {PATH} HTTP/1.1"
    assert headers["X-Api-Key"] == KEY
    assert headers["Content-Type"] == "application/json"
    assert headers["Content-Length"] == "2"
    assert headers["Accept"] == "application/json"
    assert headers["User-Agent"].startswith("airflow-provider-ollang/")
    assert " apache-airflow/" in headers["User-Agent"]
    assert " python/3." in headers["User-Agent"]
    assert not {"Authorization", "Transfer-Encoding", "Expect", "Cookie"} & set(headers)
    assert body == b"{}"


# --- Surely not sent, or refused -----------------------------------------------------------------------------------


def test_unsent_rerun_is_submitted_again(connect: Connect, clock: Clock) -> None:
    port = closed_port()
    late = Sandbox(api_key=KEY, speed=0, port=port)
    clock.on_sleep = lambda number: late.start() if number == 3 else None
    try:
        accepted = submit(connect(f"http://127.0.0.1:{port}"), rerun_order(ORDER))
        assert late.order(ORDER)["reruns_accepted"] == 1
    finally:
        late.stop()
    assert accepted.value["orderId"] == ORDER
    assert len(clock.sleeps) == 3
    assert len(late.request_log) == 1


def test_rerun_is_not_sent_if_connection_is_refused(connect: Connect, clock: Clock) -> None:
    error = failing(connect(f"http://127.0.0.1:{closed_port()}"))
    assert type(error) is OllangUnavailableError
    assert (status_of(error), error.order_id, error.method, error.path) == (None, ORDER, "POST", PATH)
    assert "refused the connection" in str(error)
    assert clock.sleeps == []


def test_rerun_to_an_unknown_host_was_not_sent(connect: Connect, clock: Clock) -> None:
    error = failing(connect("https://ollang.invalid"))
    assert type(error) is OllangUnavailableError
    assert status_of(error) is None
    assert clock.sleeps == []


def test_rerun_to_a_server_without_tls_was_not_sent(ollang: Sandbox, connect: Connect, clock: Clock) -> None:
    error = failing(connect(ollang.url.replace("http:", "https:")))
    assert type(error) is OllangUnavailableError
    assert status_of(error) is None
    assert clock.sleeps == []
    assert ollang.request_log == []


def test_rerun_is_not_sent_if_server_hangs_up_in_handshake(connect: Connect, clock: Clock) -> None:
    def hang_up(peer: Peer) -> bool:
        peer.sock.recv(100)
        peer.sock.close()
        return True

    with RawServer(says(b""), greet=hang_up) as server:
        error = failing(connect(server.url.replace("http:", "https:")))
        assert server.connections == 1
    assert type(error) is OllangUnavailableError
    assert status_of(error) is None
    assert clock.sleeps == []


@pytest.mark.parametrize(
    "status", ["403 Forbidden", "407 Proxy Authentication Required", "429 Slow", "502 Bad", "503 Oh"]
)
def test_rerun_that_the_proxy_did_not_connect_was_not_sent(connect: Connect, clock: Clock, status: str) -> None:
    with ForwardProxy(refusal=http(status)) as proxy, Sandbox(api_key=KEY, tls=True) as ollang:
        error = failing(connect(ollang.url, proxy=proxy.url, ca_bundle=ollang.ca_bundle))
        assert ollang.request_log == []
        assert len(proxy.requests) == 1
    assert type(error) is OllangUnavailableError
    assert status_of(error) is None
    assert clock.sleeps == []
    assert "proxy" in str(error)


def test_answer_of_a_proxy_to_a_plain_rerun_is_the_servers(ollang: Sandbox, connect: Connect, clock: Clock) -> None:
    with RawServer(says(http("502 Bad Gateway"))) as proxy:
        check_unknown(failing(connect(ollang.url, proxy=proxy.url)), 502)
        assert len(proxy.requests) == 1
    assert clock.sleeps == []


def test_hook_submits_rate_limited_rerun_once(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault("POST", status=429, headers={"Retry-After": "7"}, times=None)
    error = failing(hook)
    assert type(error) is OllangRateLimitError
    assert error.retry_after == 7
    assert (len(ollang.request_log), clock.sleeps) == (1, [])
    assert ollang.order(ORDER)["reruns_accepted"] == 0


def test_rate_limited_rerun_is_submitted_again(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault("POST", status=429, times=4)
    submit(hook, rerun_order(ORDER))
    assert [entry.status for entry in ollang.request_log] == [429, 429, 429, 429, 200]
    assert len(clock.sleeps) == 4
    assert ollang.order(ORDER)["reruns_accepted"] == 1


def test_rate_limited_rerun_is_given_up(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault("POST", status=429, times=None)
    with pytest.raises(OllangRateLimitError):
        submit(hook, rerun_order(ORDER))
    assert len(ollang.request_log) == 5
    assert ollang.order(ORDER)["reruns_accepted"] == 0


def test_unknown_outcome_after_429_ends_it(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault("POST", status=429)
    ollang.add_fault("POST", drop="after")
    with pytest.raises(OllangOutcomeUnknownError) as caught:
        submit(hook, rerun_order(ORDER))
    check_unknown(caught.value, None)
    assert len(ollang.request_log) == 2
    assert len(clock.sleeps) == 1
    assert ollang.order(ORDER)["reruns_accepted"] == 1


@pytest.mark.parametrize(
    "row",
    [
        *((status, {"message": "No"}, OllangBadRequestError) for status in (400, 402, 405, 410, 422, 423, 425)),
        (409, {"message": "No"}, OllangOrderNotEligibleError),
        *((status, HTML, OllangUnavailableError) for status in (400, 401, 403, 409, 423, 425)),
        *((status, HTML, OllangConfigurationError) for status in (300, 301, 302, 304, 307, 308, 404)),
    ],
    ids=lambda row: f"{row[0]}-{row[2].__name__}",
)
def test_refused_rerun_is_not_sent_again(ollang: Sandbox, hook: OllangHook, clock: Clock, row: Row) -> None:
    status, body, expected = row
    ollang.add_fault("POST", status=status, body=body, times=None)
    error = failing(hook)
    assert type(error) is expected
    assert error.status_code == status
    assert (len(ollang.request_log), clock.sleeps) == (1, [])


# --- Fresh connections ----------------------------------------------------------------------------------------------


def test_rerun_has_a_connection_of_its_own(ollang: Sandbox, hook: OllangHook) -> None:
    hook.get_order(ORDER)
    hook.rerun_order(ORDER)
    hook.get_order(ORDER)
    assert [entry.connection for entry in ollang.request_log] == [1, 2, 1]


def test_each_rerun_has_a_connection_of_its_own(ollang: Sandbox, hook: OllangHook) -> None:
    ollang.add_fault("POST", status=429, times=2)
    submit(hook, rerun_order(ORDER))
    hook.rerun_order(ollang.add_order())
    assert [entry.connection for entry in ollang.request_log] == [1, 2, 3, 4]


def test_connection_of_a_rerun_is_closed(connect: Connect) -> None:
    ended = threading.Event()

    def script(peer: Peer, request: bytes) -> None:
        peer.send(http("200 OK", b'{"success": true}'))
        if peer.hung_up(5):
            ended.set()

    with RawServer(script) as server:
        connect(server.url).rerun_order(ORDER)
        assert ended.wait(5)


def test_closed_connection_does_not_look_like_a_lost_rerun(connect: Connect, clock: Clock) -> None:
    """A server that hangs up on every connection's second request, as one does that has just timed out."""
    body = f'{{"id": "{ORDER}", "status": "completed", "success": true}}'.encode()

    def script(peer: Peer, request: bytes) -> None:
        peer.send(http("200 OK", body))
        peer.receive()
        peer.reset()

    with RawServer(script) as server:
        hook = connect(server.url)
        hook.get_order(ORDER)
        for _ in range(3):
            assert hook.rerun_order(ORDER)["order_id"] == ORDER
        assert len(server.requests) == 4
    assert clock.sleeps == []


def test_stalled_server_does_not_keep_a_rerun(connect: Connect, clock: Clock) -> None:
    with RawServer(stalls(LONG)) as server, Stopwatch() as watch:
        check_unknown(failing(connect(server.url, timeout=1)), None)
    assert 0.9 < watch.seconds < IN_TIME
    assert (len(server.requests), clock.sleeps) == (1, [])
