"""How long a request may take."""

from __future__ import annotations

import queue
import socket
import threading
import time
from typing import Any

import pytest

from airflow_provider_ollang.client import aio, sync
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangOutcomeUnknownError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.sandbox.tls import Certificate

from .conftest import ORDER, Clock, Connect, status_of
from .servers import IN_TIME, LONG, Peer, RawServer, Script, Stopwatch, dead_route, http, says, stalls
from .wire import BODY, each_request, failing, send


def check_late(error: OllangError, what: str, seconds: float) -> None:
    assert type(error) is (OllangOutcomeUnknownError if what == "rerun" else OllangUnavailableError)
    assert status_of(error) is None
    assert "no complete response within 1 s" in str(error)
    assert 0.9 < seconds < IN_TIME


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


@pytest.mark.parametrize("script", [drips_head, drips_body, drips_chunks, stalls(LONG)])
@each_request
def test_late_response_ends_in_time(connect: Connect, clock: Clock, what: str, script: Script) -> None:
    with RawServer(script) as server:
        hook = connect(server.url, timeout=1)
        with Stopwatch() as watch:
            error = failing(hook, what)
    check_late(error, what, watch.seconds)
    assert (len(server.requests), clock.sleeps) == (1, [])


@each_request
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


@each_request
def test_dripping_redirect_ends_in_time(ollang: Sandbox, connect: Connect, what: str) -> None:
    """A redirect is not followed, so its body is not needed."""
    ollang.add_fault(redirect="https://other.example/", body="x" * 600, rate=10)
    with Stopwatch() as watch:
        error = failing(connect(ollang.url, timeout=1), what)
    assert isinstance(error, OllangConfigurationError | OllangUnavailableError | OllangOutcomeUnknownError)
    assert watch.seconds < IN_TIME


@each_request
def test_stalled_handshake_ends_in_time(connect: Connect, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    for module in (aio, sync):
        monkeypatch.setattr(module, "CONNECT_TIMEOUT", 0.5)

    def stall(peer: Peer) -> bool:
        peer.sock.recv(65536)
        return not peer.hung_up(LONG)

    with RawServer(says(b""), greet=stall) as server:
        hook = connect(server.url.replace("http:", "https:"), timeout=600)
        with Stopwatch() as watch:
            error = failing(hook, what)
    assert type(error) is OllangUnavailableError
    assert f"no connection to {hook.settings.base_url} within 0.5 s" in str(error)
    assert watch.seconds < IN_TIME


@pytest.mark.parametrize("script", [drips_head, drips_body, stalls(LONG)])
def test_late_response_over_tls_ends_in_time(connect: Connect, script: Script) -> None:
    certificate = Certificate()
    context = certificate.server_context()

    def encrypt(peer: Peer) -> bool:
        peer.sock = context.wrap_socket(peer.sock, server_side=True)
        return False

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
def test_late_response_on_used_connection_is_named_so(connect: Connect, late: Script) -> None:
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


def test_slow_but_steady_response_is_read(connect: Connect) -> None:
    def script(peer: Peer, request: bytes) -> None:
        peer.drip(http("200 OK", BODY), 0.001)

    with RawServer(script) as server:
        assert connect(server.url, timeout=10).get_order(ORDER)["id"] == ORDER


def test_each_attempt_has_the_full_time(connect: Connect, clock: Clock) -> None:
    """A late response to the first attempt is neither read by the second nor takes from its time."""
    bodies = iter([BODY.replace(b'"success"', b'"late"'), BODY])

    def script(peer: Peer, request: bytes) -> None:
        body = next(bodies)
        if body is not BODY:
            peer.hung_up(1.2)
        peer.send(http("200 OK", body))

    with RawServer(script) as server:
        order = connect(server.url, timeout=1).get_order(ORDER)
        assert server.connections == len(server.requests) == 2
    assert "late" not in order
    assert len(clock.sleeps) == 1


def test_dead_address_of_a_host_costs_time_and_no_response(
    ollang: Sandbox, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next address is used, also for a rerun: to the first one nothing was sent."""
    resolve, hole = socket.getaddrinfo, "127.0.0.9"

    def two(host: str, port: Any, *arguments: Any, **named: Any) -> Any:
        if host != "two.localhost":
            return resolve(host, port, *arguments, **named)
        return resolve(hole, port, *arguments, **named) + resolve("127.0.0.1", port, *arguments, **named)

    with dead_route(hole, ollang.port):
        monkeypatch.setattr(socket, "getaddrinfo", two)
        monkeypatch.setattr(sync, "CONNECT_TIMEOUT", 0.5)
        hook = connect(f"http://two.localhost:{ollang.port}")
        for what in ("get", "rerun"):
            send(hook, what)
    assert ollang.order(ORDER)["reruns_accepted"] == 1


def test_no_thread_outlives_a_request(ollang: Sandbox, hook: OllangHook) -> None:
    before = threading.active_count()
    for _ in range(5):
        send(hook, "get")
        send(hook, "rerun", ollang.add_order())
    ends = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < ends:
        time.sleep(0.01)
    assert threading.active_count() <= before
