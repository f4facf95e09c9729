"""How long a request may take."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

import pytest

from airflow_provider_ollang.client import sync
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangOutcomeUnknownError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.sandbox.tls import Certificate
from tests.integration.hook.wire import BODY, both, failing

from .conftest import KEY, ORDER, Clock, Connect, status_of
from .servers import IN_TIME, LONG, Peer, RawServer, Script, Stopwatch, http, says, stalls


def check_late(error: OllangError, what: str, seconds: float) -> None:
    assert type(error) is (OllangUnavailableError if what == "get" else OllangOutcomeUnknownError)
    assert status_of(error) is None
    assert "no complete response within 1 s" in str(error)
    assert 0.9 < seconds < IN_TIME


def drips_head(peer: Peer, request: bytes) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\n")
    peer.drip(b"X-Padding: " + b"x" * 600, 0.1)


@both
def test_dripping_body_ends_in_time(ollang: Sandbox, connect: Connect, what: str) -> None:
    ollang.add_fault(rate=5, body="x" * 300, status=200)
    with Stopwatch() as watch:
        error = failing(connect(ollang.url, timeout=1), what)
    check_late(error, what, watch.seconds)
    assert len(ollang.request_log) == 1


@pytest.mark.parametrize(
    ("what", "status"), [("get", "200 OK"), ("get", "404 Not Found"), ("get", "302 Found"), ("rerun", "200 OK")]
)
def test_dripping_head_ends_in_time(connect: Connect, what: str, status: str) -> None:
    head = f"HTTP/1.1 {status}\r\n".encode()

    def script(peer: Peer, request: bytes) -> None:
        peer.send(head)
        peer.drip(b"X-Padding: " + b"x" * 600, 0.1)

    with RawServer(script) as server:
        hook = connect(server.url, timeout=1)
        with Stopwatch() as watch:
            error = failing(hook, what)
    check_late(error, what, watch.seconds)
    assert len(server.requests) == 1


@both
def test_time_for_head_and_body_is_one(connect: Connect, what: str) -> None:
    """The head comes late, and then the body stops: both together must not take longer than one of them."""

    def script(peer: Peer, request: bytes) -> None:
        if peer.hung_up(2.7):
            return
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + BODY)
        with Stopwatch() as watch:
            peer.hung_up(LONG)
        after_the_head.put(watch.seconds)

    after_the_head: queue.Queue[float] = queue.Queue()
    with RawServer(script) as server:
        error = failing(connect(server.url, timeout=3), what)
        seconds = after_the_head.get(timeout=IN_TIME)
    assert "no complete response within 3 s" in str(error)
    # 0.3 s are left of its time; one of its own would be 3 s.
    assert seconds < 2.5


@both
def test_dripping_redirect_ends_in_time(ollang: Sandbox, connect: Connect, what: str) -> None:
    """A redirect is not followed, so nobody needs its body."""
    ollang.add_fault(redirect="https://other.example/", body="x" * 600, rate=10)
    with Stopwatch() as watch:
        error = failing(connect(ollang.url, timeout=1), what)
    assert isinstance(error, OllangConfigurationError | OllangUnavailableError | OllangOutcomeUnknownError)
    assert watch.seconds < IN_TIME


def test_stalled_handshake_ends_in_time(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "CONNECT_TIMEOUT", 0.5)

    def stall(peer: Peer) -> bool:
        peer.sock.recv(65536)
        return not peer.hung_up(LONG)

    with RawServer(says(b""), greet=stall) as server:
        hook = connect(server.url.replace("http:", "https:"), timeout=600)
        with Stopwatch() as watch:
            error = failing(hook)
    assert type(error) is OllangUnavailableError
    assert watch.seconds < IN_TIME


@pytest.mark.parametrize("fault", [{"rate": 5, "body": "x" * 300}, {"delay": LONG}], ids=["dripping", "silent"])
def test_time_ends_over_tls_too(connect: Connect, fault: dict[str, Any]) -> None:
    with Sandbox(api_key=KEY, speed=0, tls=True) as ollang:
        ollang.add_fault(**fault)
        hook = connect(ollang.url, ca_bundle=ollang.ca_bundle, timeout=1)
        with Stopwatch() as watch:
            error = failing(hook)
        check_late(error, "get", watch.seconds)
        assert hook.get_order(ORDER)["id"] == ORDER


def test_dripping_head_over_tls_ends_in_time(connect: Connect) -> None:
    certificate = Certificate()
    context = certificate.server_context()

    def encrypt(peer: Peer) -> bool:
        peer.sock = context.wrap_socket(peer.sock, server_side=True)
        return False

    def script(peer: Peer, request: bytes) -> None:
        peer.drip(b"HTTP/1.1 200 OK\r\nX-Padding: " + b"x" * 600, 0.1)

    with RawServer(script, greet=encrypt) as server:
        hook = connect(server.url.replace("http:", "https:"), ca_bundle=str(certificate.ca), timeout=1)
        with Stopwatch() as watch:
            error = failing(hook)
    certificate.remove()
    check_late(error, "get", watch.seconds)


def test_dripping_proxy_ends_in_time(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "CONNECT_TIMEOUT", 0.5)

    def script(peer: Peer, request: bytes) -> None:
        peer.send(b"HTTP/1.1 200 Connection established\r\n")
        peer.drip(b"X-Padding: " + b"x" * 600, 0.1)

    with RawServer(script) as proxy:
        hook = connect("https://ollang.example", proxy=proxy.url, timeout=1)
        with Stopwatch() as watch:
            error = failing(hook)
    assert type(error) is OllangUnavailableError
    assert watch.seconds < IN_TIME


@pytest.mark.parametrize("late", [stalls(LONG), drips_head], ids=["silent", "dripping"])
def test_late_response_on_a_used_connection_is_named_as_such(connect: Connect, late: Script) -> None:
    """There is a connection, so it must not say that there is none."""
    scripts = iter([says(http("200 OK", BODY)), late])

    def script(peer: Peer, request: bytes) -> None:
        next(scripts)(peer, request)

    with RawServer(script) as server:
        hook = connect(server.url, timeout=1)
        hook.get_order(ORDER)
        with Stopwatch() as watch:
            error = failing(hook)
        assert server.connections == 1
    check_late(error, "get", watch.seconds)


def test_slow_but_steady_answer_is_taken(connect: Connect) -> None:
    def script(peer: Peer, request: bytes) -> None:
        peer.drip(http("200 OK", BODY), 0.001)

    with RawServer(script) as server:
        assert connect(server.url, timeout=10).get_order(ORDER)["id"] == ORDER


def test_time_is_for_each_attempt(connect: Connect, clock: Clock) -> None:
    """Neither the first attempt nor the pause before the second takes from the second's time."""
    answers = iter([stalls(LONG), says(http("200 OK", BODY))])

    def script(peer: Peer, request: bytes) -> None:
        next(answers)(peer, request)

    with RawServer(script) as server:
        assert connect(server.url, timeout=1).get_order(ORDER)["id"] == ORDER
        assert len(server.requests) == 2
    assert len(clock.sleeps) == 1


def test_no_thread_outlives_a_call(ollang: Sandbox, hook: OllangHook) -> None:
    before = threading.active_count()
    for _ in range(5):
        hook.get_order(ORDER)
        hook.rerun_order(ollang.add_order())
    ends = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < ends:
        time.sleep(0.01)
    assert threading.active_count() <= before
