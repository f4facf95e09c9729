"""Faults of the wire, each seen from the other end of it."""

from __future__ import annotations

import base64
import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_ollang.sandbox import Sandbox, SandboxError
from airflow_provider_ollang.sandbox.clock import http_date

from .client import EXAMPLE_ID, Client, accepted, refused, what_is_there
from .vendor_pages import ORDER

if TYPE_CHECKING:
    from collections.abc import Callable

ORDERS = "/integration/orders/*"
#: A client that connects at leisure and gives up on the answer at once.
IMPATIENT = (30, 0.05)


def asking(ollang: Sandbox) -> socket.socket:
    """Send a GET and return the connection before anything is read."""
    path = f"/integration/orders/{EXAMPLE_ID}"
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Api-Key: {ollang.api_key}\r\nConnection: close\r\n\r\n"
    connection = socket.create_connection(("127.0.0.1", ollang.port), timeout=30)
    connection.sendall(request.encode())
    return connection


def raw(ollang: Sandbox) -> bytes:
    """Send a GET and return all that comes until the other end closes."""
    received = b""
    with asking(ollang) as connection:
        while piece := connection.recv(65536):
            received += piece
    return received


def eventually(true: Callable[[], bool]) -> None:
    """Wait for what happens in the sandbox's thread, at its own pace."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# What is answered


@pytest.mark.parametrize(
    ("do", "expected"),
    [
        ({"status": 503}, (503, "application/json", b"")),
        ({"status": 418, "body": {"message": "no"}}, (418, "application/json", b'{"message": "no"}')),
        ({"status": 502, "body": "<html>Bad Gateway</html>"}, (502, "text/html", b"<html>Bad Gateway</html>")),
        ({"body": "not json"}, (200, "application/json", b"not json")),
        ({"body": []}, (200, "application/json", b"[]")),
        ({"body": 0}, (200, "application/json", b"0")),
        ({"body": b"\x00\xff"}, (200, "application/json", b"\x00\xff")),
        ({"body_base64": base64.b64encode(b"\xfe").decode()}, (200, "application/json", b"\xfe")),
        ({"status": 500, "headers": {"Content-Type": "text/plain"}, "body": "x"}, (500, "text/plain", b"x")),
        ({"status": 999, "body": "?"}, (999, "application/json", b"?")),
    ],
)
def test_any_status_headers_and_body(
    ollang: Sandbox, client: Client, do: dict[str, Any], expected: tuple[int, str, bytes]
) -> None:
    ollang.add_fault("POST", ORDERS, **do)
    answer = client.rerun()
    assert (answer.status_code, answer.headers["Content-Type"], answer.content) == expected
    assert ollang.order(EXAMPLE_ID)["reruns_accepted"] == 0
    accepted(client.rerun())


@pytest.mark.parametrize(
    "value", ["0", "5", "-3", "soon", "86400", "", "1e3", http_date(4_000_000_000_000), "Thu, 01 Jan 1970 00:00:00 GMT"]
)
def test_retry_after_of_every_form(ollang: Sandbox, client: Client, value: str) -> None:
    ollang.add_fault("GET", ORDERS, status=429, headers={"Retry-After": value})
    answer = client.get()
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, value)


def test_a_date_from_now_is_measured_by_the_sandbox_s_clock(ollang: Sandbox, client: Client) -> None:
    ollang.advance(5000)
    ollang.add_fault("GET", ORDERS, status=429, headers={"Retry-After": ollang.http_date(after=0)})
    answer = client.get()
    assert answer.headers["Retry-After"] == answer.headers["Date"]
    assert ollang.http_date(after=60) > ollang.http_date()


def test_headers_alone_are_added_to_the_real_answer(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("GET", ORDERS, headers={"X-Extra": "1"})
    answer = client.get()
    assert (answer.status_code, answer.headers["X-Extra"], answer.json()) == (200, "1", ORDER)


def test_an_answer_in_place_of_the_real_one_after_processing(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("POST", ORDERS, status=502, body="<html></html>", processed=True)
    assert client.rerun().status_code == 502
    assert ollang.order(EXAMPLE_ID)["reruns_accepted"] == 1
    refused(client.rerun(), 400, "ORDER_NOT_ELIGIBLE")


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("array", lambda body: isinstance(json.loads(body), list)),
        ("bad_utf8", lambda body: b"\xff" in body),
        ("cut_json", lambda body: body.startswith(b"{") and not body.endswith(b"}")),
        ("html", lambda body: body.startswith(b"<html>")),
        ("huge", lambda body: len(body) > 20_000_000),
        ("long_number", lambda body: body.count(b"9") == 5_000),
        ("nested_arrays", lambda body: body.count(b"[") == body.count(b"]") == 100_000),
        ("nested_objects", lambda body: body.count(b"{") == body.count(b"}") == 100_000),
        ("not_a_number", lambda body: b"NaN" in body),
        ("not_json", lambda body: body.startswith(b"upstream")),
    ],
)
def test_bodies_made_on_the_fly(ollang: Sandbox, client: Client, name: str, check: Callable[[bytes], bool]) -> None:
    ollang.add_fault("GET", ORDERS, generate=name)
    body = client.get().content
    assert check(body)
    if name in ("bad_utf8", "cut_json", "html", "nested_arrays", "nested_objects", "not_json", "long_number"):
        with pytest.raises((ValueError, RecursionError)):
            json.loads(body)


def test_the_size_of_a_made_body(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("GET", ORDERS, generate="nested_arrays", size=3, status=201)
    answer = client.get()
    assert (answer.status_code, answer.json()) == (201, {"status": [[[]]]})


# When it is answered, and whether


def test_delay(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("GET", ORDERS, delay=600)
    with pytest.raises(requests.ReadTimeout):
        client.ask("GET", f"/integration/orders/{EXAMPLE_ID}", timeout=IMPATIENT)
    begun = time.monotonic()
    ollang.stop()
    assert time.monotonic() - begun < 60, "a request that waits does not hold up the end"


def test_delay__then_the_real_answer(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("GET", ORDERS, delay=0.05)
    begun = time.monotonic()
    assert client.get().json() == ORDER
    assert time.monotonic() - begun >= 0.05


def test_delay__of_the_answer_to_what_was_processed_at_once(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("POST", ORDERS, delay=600, processed=True)
    with pytest.raises(requests.ReadTimeout):
        client.rerun(timeout=IMPATIENT)
    eventually(lambda: ollang.order(EXAMPLE_ID)["reruns_accepted"] == 1)
    ollang.add_fault("POST", ORDERS, delay=600)
    with pytest.raises(requests.ReadTimeout):
        client.rerun(timeout=IMPATIENT)
    assert ollang.order(EXAMPLE_ID)["reruns_refused"] == 0
    ollang.add_fault("GET", ORDERS, delay=0.01, processed=True)
    assert client.get().json() == ORDER


def test_delay__takes_what_was_sent_in_first(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("POST", ORDERS, delay=0.5)
    with pytest.raises(requests.ReadTimeout):
        client.evaluate(json={"accuracy": True}, timeout=IMPATIENT)
    eventually(lambda: ollang.order(EXAMPLE_ID)["evaluations_accepted"] == 1)


@pytest.mark.parametrize("processed", [True, False])
def test_advance__takes_time_that_nobody_waits_for(ollang: Sandbox, client: Client, processed: bool) -> None:
    ollang.set_speed(0)
    sent = ollang.now
    ollang.add_fault("POST", ORDERS, advance=600, processed=processed)
    answer = client.rerun()
    accepted(answer)
    assert (ollang.now - sent).total_seconds() == 600
    assert answer.headers["Date"] == ollang.http_date()
    assert any("(run 2)" in name for name in client.names(EXAMPLE_ID)) is processed


def test_dropped_before_processing(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("POST", ORDERS, drop="before")
    with pytest.raises(requests.ConnectionError):
        client.rerun()
    assert ollang.order(EXAMPLE_ID)["reruns_accepted"] == 0
    assert ollang.journal[-1].status is None
    accepted(client.rerun())


def test_dropped_after_processing(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("POST", ORDERS, drop="after")
    with pytest.raises(requests.ConnectionError):
        client.rerun()
    assert ollang.order(EXAMPLE_ID)["reruns_accepted"] == 1
    assert ollang.journal[-1].status is None
    refused(client.rerun(), 400, "ORDER_NOT_ELIGIBLE")


def test_dropped_before_and_after_send_nothing_at_all(ollang: Sandbox) -> None:
    for drop in ("before", "after"):
        ollang.add_fault("GET", ORDERS, drop=drop)
        assert raw(ollang) == b""


def test_dropped_half_way_through_the_body(ollang: Sandbox, client: Client) -> None:
    whole = raw(ollang).partition(b"\r\n\r\n")[2]
    ollang.add_fault("GET", ORDERS, drop="body")
    head, _, body = raw(ollang).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert f"Content-Length: {len(whole)}".encode() in head
    assert whole.startswith(body)
    assert len(body) == len(whole) // 2
    ollang.add_fault("POST", ORDERS, drop="body")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.rerun()
    assert ollang.order(EXAMPLE_ID)["reruns_accepted"] == 1


def test_drip(ollang: Sandbox) -> None:
    ollang.add_fault("GET", ORDERS, drip=600)
    with asking(ollang) as connection:
        received = b""
        while not received.endswith(b"\r\n\r\n{"):
            received += connection.recv(1)
        connection.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert b"Content-Length" in received
    ollang.add_fault("GET", ORDERS, drip=0.0001, body="drop by drop")
    assert raw(ollang).endswith(b"\r\n\r\ndrop by drop")


def test_rate(ollang: Sandbox) -> None:
    ollang.add_fault("GET", ORDERS, rate=1, body="x" * 200)
    with asking(ollang) as connection:
        received = b""
        while not received.endswith(b"\r\n\r\nx"):
            received += connection.recv(1)
        assert len(what_is_there(connection)) < 199
    assert b"Content-Length: 200" in received
    ollang.add_fault("GET", ORDERS, rate=1_000_000, body="not that slowly")
    assert raw(ollang).endswith(b"\r\n\r\nnot that slowly")


def test_redirect_to_another_host(ollang: Sandbox, client: Client) -> None:
    with Sandbox() as elsewhere:
        target = f"{elsewhere.url}/integration/orders/{EXAMPLE_ID}"
        ollang.add_fault("GET", ORDERS, redirect=target)
        ollang.add_fault("GET", ORDERS, redirect=target, status=307)
        answers = [client.get(), client.get()]
        assert [answer.status_code for answer in answers] == [302, 307]
        assert {answer.headers["Location"] for answer in answers} == {target}
        assert elsewhere.journal == []
        ollang.add_fault("GET", ORDERS, redirect=target)
        client.ask("GET", f"/integration/orders/{EXAMPLE_ID}", allow_redirects=True)
        assert [entry.authorized for entry in elsewhere.journal] == [True], "the key went there too"


# Whom it hits


def test_skip_and_times(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("GET", ORDERS, skip=2, times=3, status=500)
    assert [client.get().status_code for _ in range(7)] == [200, 200, 500, 500, 500, 200, 200]


def test_for_ever_until_removed(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault(times=None, status=500)
    assert [client.get().status_code for _ in range(20)] == [500] * 20
    assert client.control("GET", "/").status_code == 200, "the control is never hit"
    ollang.remove_faults()
    assert client.get().status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "hit"),
    [
        ("*", "*", ["get", "rerun", "list"]),
        ("GET", "*", ["get", "list"]),
        ("POST", "*", ["rerun"]),
        ("*", "*/rerun", ["rerun"]),
        ("*", "/integration/orders", ["list"]),
        ("*", f"/integration/orders/{EXAMPLE_ID}", ["get"]),
        ("*", "/integration/orders/*", ["get", "rerun"]),
        ("get", "*", []),
        ("*", "/Integration/*", []),
        ("*", "*take*", []),
    ],
)
def test_method_and_glob(ollang: Sandbox, client: Client, method: str, path: str, hit: list[str]) -> None:
    ollang.add_fault(method, path, times=None, status=500)
    asked = {
        "get": client.get().status_code,
        "rerun": client.rerun().status_code,
        "list": client.ask("GET", "/integration/orders?pageOptions[take]=1").status_code,
    }
    assert [name for name, status in asked.items() if status == 500] == hit


def test_of_several_the_first_hits(ollang: Sandbox, client: Client) -> None:
    first = ollang.add_fault("GET", status=500)
    second = ollang.add_fault("GET", skip=1, status=501)
    third = ollang.add_fault("*", status=502)
    assert [client.get().status_code for _ in range(4)] == [500, 502, 501, 200]
    assert [entry.fault for entry in ollang.journal] == [first, third, second, None]
    assert [entry.status for entry in ollang.journal] == [500, 502, 501, 200]


def test_faults_strike_before_the_key_is_looked_at(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault(status=503)
    client.session.headers["X-Api-Key"] = "wrong"
    assert [client.get().status_code, client.get().status_code] == [503, 401]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({}, "needs `do`"),
        ({"do": {}}, "A fault needs something to do"),
        ({"do": {"size": 3}}, "A fault needs something to do"),
        ({"do": {"stats": 1}}, "did you mean 'status'?"),
        ({"do": {"status": 100}}, "within 200 and 999"),
        ({"do": {"status": "500"}}, "takes whole number or null"),
        ({"do": {"delay": -1}}, "cannot be negative"),
        ({"do": {"rate": 0}}, "at least 1"),
        ({"do": {"rate": 5, "drip": 1}}, "does not go with drip"),
        ({"do": {"drop": "midway"}}, "takes"),
        ({"do": {"generate": "magic"}}, "takes"),
        ({"do": {"body": 1, "generate": "html"}}, "one body"),
        ({"do": {"processed": True, "drop": "before"}}, "process it first"),
        ({"do": {"body_base64": "?"}}, "not base64"),
        ({"do": {"headers": {"X": "a\nb"}}}, "no header can"),
        ({"skip": -1, "do": {"status": 500}}, "cannot be negative"),
        ({"tims": 1, "do": {"status": 500}}, "did you mean 'times'?"),
        ({"path": 7, "do": {"status": 500}}, "Fault.path takes text, not 7."),
    ],
)
def test_senseless_faults_are_refused(ollang: Sandbox, client: Client, fault: dict[str, Any], message: str) -> None:
    answer = client.control("POST", "/faults", fault)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    with pytest.raises(SandboxError):
        ollang.add_fault(status=7)
    assert ollang.overview()["faults"] == []
