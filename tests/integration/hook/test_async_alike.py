"""The async client and the synchronous one make the same of every response."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest

from airflow_provider_ollang.client import aio, responses, sync
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox
from tests.installed_airflow import limits_headers
from tests.integration.hook.alike import BODY, alike, async_end, sync_end

from .conftest import FOREIGN, KEY, ORDER, UNKNOWN, Clock, Connect
from .servers import (
    IN_TIME,
    LONG,
    Peer,
    RawServer,
    Script,
    Stopwatch,
    http,
    says,
    stalls,
)
from .test_wire_size import LOCATIONS, ODD

MEGABYTE = 1024 * 1024


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
    assert "RawResponseMessage" not in end.full_text
    assert "headers" not in end.full_text


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
    assert end.order is not None or "larger than 20 MB" in end.full_text


def test_small_answer_that_unpacks_to_more(ollang: Sandbox, hook: OllangHook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "MAX_BODY_BYTES", MEGABYTE)
    packed = gzip.compress(b'{"status": "completed", "name": "' + b"a" * 8 * MEGABYTE + b'"}')
    ollang.add_fault(times=None, status=200, body=packed, headers={"Content-Encoding": "gzip"})
    end = alike(hook)
    assert end.error is OllangUnavailableError
    assert "larger than 1 MB" in end.full_text
