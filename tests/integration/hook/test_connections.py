"""The Test button, and keys that change."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from airflow_provider_ollang.client import sync
from airflow_provider_ollang.exceptions import (
    OllangAuthenticationError,
    OllangConfigurationError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox
from tests.installed_airflow import hands_out_broken_connections

from .conftest import KEY, ORDER, Clock, Connect
from .servers import IN_TIME, LONG, Peer, RawServer, Stopwatch, http, says, stalls


def test_good_connection_takes_one_request(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    assert hook.test_connection() == (True, f"{ollang.url} answered and accepts the API key.")
    assert [entry.path for entry in ollang.request_log] == [
        "/integration/orders?pageOptions%5Bpage%5D=1&pageOptions%5Btake%5D=1"
    ]
    assert ollang.request_log[0].method == "GET"
    assert clock.sleeps == []


FAULTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "429": ({"status": 429, "headers": {"Retry-After": "5"}}, ["rate limit", "429"]),
    "403": ({"status": 403, "body": {"message": "No role"}}, ["403", "No role"]),
    "cut": ({"drop": "body"}, ["the connection broke"]),
    "no rows": ({"status": 200, "body": "{}"}, ["list without rows"]),
}


@pytest.mark.parametrize(("fault", "words"), FAULTS.values(), ids=FAULTS)
def test_failing_test_says_why_after_one_request(
    ollang: Sandbox, hook: OllangHook, clock: Clock, fault: dict[str, Any], words: list[str]
) -> None:
    ollang.add_fault(times=None, **fault)
    works, message = hook.test_connection()
    assert not works
    assert [word for word in words if word not in message] == []
    assert (len(ollang.request_log), clock.sleeps) == (1, [])


def test_wrong_key_is_said_to_be_that_of_this_connection(ollang: Sandbox, connect: Connect) -> None:
    ollang.api_key = "another"
    works, message = connect(ollang.url).test_connection()
    assert not works
    assert "does not accept the API key of this connection" in message
    assert "Invalid or missing API key" in message


def test_wrong_path_is_named(ollang: Sandbox, connect: Connect) -> None:
    works, message = connect(f"{ollang.url}/api").test_connection()
    assert not works
    assert f"{ollang.url}/api answered 404" in message
    assert "base URL" in message


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        (None, "'ollang_x' does not exist"),
        ({"password": ""}, "no API key"),
        ({"extra": "{"}, "extra" if hands_out_broken_connections else "Airflow cannot read it"),
    ],
    ids=str,
)
def test_unusable_connection_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, connection: dict[str, object] | None, words: str
) -> None:
    if connection is not None:
        fields = {"conn_type": "ollang", "password": KEY, **connection}
        monkeypatch.setenv("AIRFLOW_CONN_OLLANG_X", json.dumps(fields))
    works, message = OllangHook("ollang_x").test_connection()
    assert not works
    assert words in message


def test_slow_connection_ends_in_time(ollang: Sandbox, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync, "_TEST_TIMEOUT", 0.5)
    ollang.add_fault(delay=LONG)
    hook = connect(ollang.url, timeout=600)
    with Stopwatch() as watch:
        works, message = hook.test_connection()
    assert not works
    assert "0.5 s" in message
    assert watch.seconds < IN_TIME


def test_slow_handshake_ends_in_time(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_own_timeout_ends_the_test_sooner(connect: Connect) -> None:
    with RawServer(stalls(LONG)) as server:
        hook = connect(server.url, timeout=1)
        with Stopwatch() as watch:
            works, message = hook.test_connection()
    assert not works
    assert "1 s" in message
    assert watch.seconds < IN_TIME


def test_no_connection_stays_open_after_the_test(connect: Connect) -> None:
    ended = threading.Event()

    def script(peer: Peer, request: bytes) -> None:
        peer.send(http("200 OK", b'{"data": []}'))
        if peer.hung_up(5):
            ended.set()

    with RawServer(script) as server:
        assert connect(server.url).test_connection()[0]
        assert ended.wait(5)
    assert len(server.requests) == 1


def test_reload_takes_a_changed_key(ollang: Sandbox, hook: OllangHook, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_reload_of_unusable_connection_is_refused(
    ollang: Sandbox, hook: OllangHook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.get_order(ORDER)
    monkeypatch.setenv("AIRFLOW_CONN_OLLANG_1", json.dumps({"conn_type": "ollang", "host": ollang.url}))
    with pytest.raises(OllangConfigurationError, match="no API key"):
        hook.reload()
