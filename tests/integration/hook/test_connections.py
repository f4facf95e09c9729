"""The Test button, and keys that change."""

from __future__ import annotations

import json
import threading

import pytest

from airflow_provider_ollang.client import sync
from airflow_provider_ollang.exceptions import (
    OllangAuthenticationError,
    OllangConfigurationError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox
from tests.installed_airflow import hands_out_broken_connections

from .conftest import KEY, ORDER, PROXY_PASSWORD, Clock, Connect
from .servers import IN_TIME, LONG, Peer, RawServer, Stopwatch, closed_port, http, says, stalls


def test_good_connection(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    assert hook.test_connection() == (True, f"{ollang.url} answered and accepts the API key.")
    assert [entry.path for entry in ollang.request_log] == [
        "/integration/orders?pageOptions%5Bpage%5D=1&pageOptions%5Btake%5D=1"
    ]
    assert ollang.request_log[0].method == "GET"
    assert clock.sleeps == []


FAULTS = {
    "429": ({"status": 429, "headers": {"Retry-After": "5"}}, ["rate limit", "429"]),
    "500": ({"status": 500, "body": {"message": "Oh"}}, ["500", "Oh"]),
    "502 HTML": ({"status": 502, "body": "<html>"}, ["502", "6 bytes of text/html"]),
    "400": ({"status": 400, "body": {"message": "Bad take"}}, ["400", "Bad take"]),
    "403": ({"status": 403, "body": {"message": "No role"}}, ["403", "No role"]),
    "dropped": ({"drop": "before"}, ["the connection broke"]),
    "cut": ({"drop": "body"}, ["the connection broke"]),
    "no page": ({"status": 200, "body": "[]"}, ["200", "without a JSON object"]),
    "no rows": ({"status": 200, "body": "{}"}, ["list without rows"]),
    "HTML": ({"status": 200, "body": "<html>Welcome</html>"}, ["200", "without a JSON object"]),
    "redirect": ({"redirect": "https://login.example/?key=x"}, ["redirects to login.example", "base URL"]),
    "too deep": ({"generate": "nested_objects"}, ["200"]),
    "another login": ({"status": 401, "body": "<html>"}, ["401"]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_connection_that_fails(ollang: Sandbox, hook: OllangHook, clock: Clock, name: str) -> None:
    fault, words = FAULTS[name]
    ollang.add_fault(times=None, **fault)  # type: ignore[arg-type]
    works, message = hook.test_connection()
    assert not works
    assert [word for word in words if word not in message] == []
    assert (len(ollang.request_log), clock.sleeps) == (1, [])


def test_connection_with_a_wrong_key(ollang: Sandbox, connect: Connect, clock: Clock) -> None:
    ollang.api_key = "another"
    works, message = connect(ollang.url).test_connection()
    assert not works
    assert "does not accept the API key of this connection" in message
    assert "Invalid or missing API key" in message
    assert (len(ollang.request_log), clock.sleeps) == (1, [])


def test_connection_to_nobody(connect: Connect, clock: Clock) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    works, message = connect(url).test_connection()
    assert not works
    assert f"{url} refused the connection" in message
    assert clock.sleeps == []


def test_connection_with_a_wrong_path(ollang: Sandbox, connect: Connect) -> None:
    works, message = connect(f"{ollang.url}/api").test_connection()
    assert not works
    assert f"{ollang.url}/api answered 404" in message
    assert "base URL" in message
    assert len(ollang.request_log) == 1


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        (None, "'ollang_x' does not exist"),
        ({"password": ""}, "no API key"),
        ({"password": f"{KEY}\n{KEY}"}, "API key"),
        ({"extra": {"timeout": "soon"}}, "'timeout'"),
        ({"extra": "{"}, "extra" if hands_out_broken_connections else "Airflow cannot read it"),
        ({"host": "http://ollang.example"}, "allow_http"),
        ({"host": "ftp://ollang.example"}, "host"),
        ({"extra": {"ca_bundle": "/no/such/file.pem"}}, "/no/such/file.pem"),
        ({"extra": {"proxy": f"socks5://u:{PROXY_PASSWORD}@proxy.example"}}, "proxy"),
        ({"extra": {"proxy": f"http://u:{PROXY_PASSWORD}@["}}, "proxy"),
    ],
    ids=str,
)
def test_connection_that_is_not_usable(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, connection: dict[str, object] | None, words: str
) -> None:
    if connection is not None:
        fields = {"conn_type": "ollang", "password": KEY, **connection}
        monkeypatch.setenv("AIRFLOW_CONN_OLLANG_X", json.dumps(fields))
    works, message = OllangHook("ollang_x").test_connection()
    assert not works
    assert words in message
    assert clock.sleeps == []


def test_slow_connection(ollang: Sandbox, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "_TEST_TIMEOUT", 0.5)
    ollang.add_fault(delay=LONG)
    hook = connect(ollang.url, timeout=600)
    with Stopwatch() as watch:
        works, message = hook.test_connection()
    assert not works
    assert "0.5 s" in message
    assert watch.seconds < IN_TIME


def test_test_takes_no_longer_because_of_a_slow_handshake(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "_TEST_TIMEOUT", 0.5)

    def stall(peer: Peer) -> bool:
        peer.sock.recv(65536)
        peer.hung_up(LONG)
        peer.sock.close()
        return True

    with RawServer(says(b""), greet=stall) as server:
        hook = connect(server.url.replace("http:", "https:"), timeout=600)
        with Stopwatch() as watch:
            works, message = hook.test_connection()
    assert not works
    assert "no connection to https://127.0.0.1" in message
    assert "0.5 s" in message
    assert watch.seconds < IN_TIME


def test_test_takes_no_longer_than_the_timeout_of_the_connection(connect: Connect) -> None:
    with RawServer(stalls(LONG)) as server:
        hook = connect(server.url, timeout=1)
        with Stopwatch() as watch:
            works, message = hook.test_connection()
    assert not works
    assert "1 s" in message
    assert watch.seconds < IN_TIME


def test_test_leaves_no_connection_open(connect: Connect) -> None:
    ended = threading.Event()

    def script(peer: Peer, request: bytes) -> None:
        peer.send(http("200 OK", b'{"data": []}'))
        if peer.hung_up(5):
            ended.set()

    with RawServer(script) as server:
        assert connect(server.url).test_connection()[0]
        assert ended.wait(5)
    assert len(server.requests) == 1


def test_reload(ollang: Sandbox, hook: OllangHook, monkeypatch: pytest.MonkeyPatch) -> None:
    hook.get_order(ORDER)
    assert not hook.reload()
    ollang.api_key = f"{KEY}-new"
    with pytest.raises(OllangAuthenticationError):
        hook.get_order(ORDER)
    assert not hook.reload()
    fields = {"conn_type": "ollang", "host": ollang.url, "password": f"{KEY}-new"}
    monkeypatch.setenv("AIRFLOW_CONN_OLLANG_1", json.dumps(fields))
    assert hook.reload()
    assert hook.get_order(ORDER)["id"] == ORDER
    assert not hook.reload()
    assert [entry.status for entry in ollang.request_log] == [200, 401, 200]


def test_reload_of_the_same_key_keeps_the_connection(ollang: Sandbox, hook: OllangHook) -> None:
    hook.get_order(ORDER)
    hook.reload()
    hook.get_order(ORDER)
    assert {entry.connection for entry in ollang.request_log} == {1}


def test_reload_of_a_connection_that_became_unusable(
    ollang: Sandbox, hook: OllangHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.get_order(ORDER)
    monkeypatch.setenv("AIRFLOW_CONN_OLLANG_1", json.dumps({"conn_type": "ollang", "host": ollang.url}))
    with pytest.raises(OllangConfigurationError, match="no API key"):
        hook.reload()
