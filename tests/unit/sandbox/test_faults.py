"""Faults, each seen from the client's end of the connection."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from airflow_provider_ollang.sandbox import Sandbox, SandboxError

from .client import EXAMPLE_ID, Client, accepted, read_all, refused, what_is_there
from .vendor_pages import ORDER

ORDERS = "/integration/orders/*"
EXAMPLE = f"/integration/orders/{EXAMPLE_ID}"
#: Connects with patience, and gives up on the response at once.
IMPATIENT = (30, 0.05)


def asking(ollang: Sandbox) -> socket.socket:
    """Send a GET and return the connection before anything is read."""
    request = f"GET {EXAMPLE} HTTP/1.1\r\nHost: x\r\nX-Api-Key: {ollang.api_key}\r\nConnection: close\r\n\r\n"
    connection = socket.create_connection(("127.0.0.1", ollang.port), timeout=30)
    connection.sendall(request.encode())
    return connection


def reruns(ollang: Sandbox) -> int:
    return int(ollang.order(EXAMPLE_ID)["reruns_accepted"])


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what happens in the sandbox's thread, at its own pace."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# The response


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
        ({"body": "\udcfe"}, (200, "application/json", b"\xfe")),
        ({"status": 500, "headers": {"Content-Type": "text/plain"}, "body": "x"}, (500, "text/plain", b"x")),
        ({"status": 999, "body": "?"}, (999, "application/json", b"?")),
        ({"status": 429, "headers": {"Retry-After": "-3"}}, (429, "application/json", b"")),
    ],
)
def test_fault_sends_any_status_headers_and_body(
    ollang: Sandbox, client: Client, do: dict[str, Any], expected: tuple[int, str, bytes]
) -> None:
    ollang.add_fault("POST", ORDERS, **do)
    response = client.rerun()
    assert (response.status_code, response.headers["Content-Type"], response.content) == expected
    assert do.get("headers", {}).items() <= response.headers.items()
    assert reruns(ollang) == 0
    accepted(client.rerun())


def test_http_date_follows_the_sandbox_s_clock(ollang: Sandbox, client: Client) -> None:
    ollang.advance(5000)
    ollang.add_fault("GET", ORDERS, status=429, headers={"Retry-After": ollang.http_date(after=0)})
    response = client.get()
    assert response.headers["Retry-After"] == response.headers["Date"]
    assert ollang.http_date(after=60) > ollang.http_date()


def test_headers_alone_are_added_to_the_real_response(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("GET", ORDERS, headers={"X-Extra": "1"})
    response = client.get()
    assert (response.status_code, response.headers["X-Extra"], response.json()) == (200, "1", ORDER)


def test_processed_request_has_its_effect(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("POST", ORDERS, status=502, body="<html></html>", processed=True)
    assert client.rerun().status_code == 502
    assert reruns(ollang) == 1
    refused(client.rerun(), 400, "ORDER_NOT_ELIGIBLE")


@pytest.mark.parametrize(
    ("name", "check", "is_json"),
    [
        ("array", lambda body: body.startswith(b"["), True),
        ("bad_utf8", lambda body: b"\xff" in body, False),
        ("cut_json", lambda body: body.startswith(b"{") and not body.endswith(b"}"), False),
        ("html", lambda body: body.startswith(b"<html>"), False),
        ("huge", lambda body: len(body) > 20_000_000, True),
        ("long_number", lambda body: body.count(b"9") == 5_000, False),
        ("nested_arrays", lambda body: body.count(b"[") == body.count(b"]") == 100_000, False),
        ("nested_objects", lambda body: body.count(b"{") == body.count(b"}") == 100_000, False),
        ("not_a_number", lambda body: b"NaN" in body, True),
        ("not_json", lambda body: body.startswith(b"upstream"), False),
    ],
)
def test_generate(ollang: Sandbox, client: Client, name: str, check: Callable[[bytes], bool], is_json: bool) -> None:
    ollang.add_fault("GET", ORDERS, generate=name)
    body = client.get().content
    assert check(body)
    if is_json:
        json.loads(body)
    else:
        with pytest.raises((ValueError, RecursionError)):
            json.loads(body)


def test_generate__of_a_size(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("GET", ORDERS, generate="nested_arrays", size=3, status=201)
    response = client.get()
    assert (response.status_code, response.json()) == (201, {"status": [[[]]]})


# When it is sent, and whether


def test_delay(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("GET", ORDERS, delay=0.05)
    begun = time.monotonic()
    assert client.get().json() == ORDER
    assert time.monotonic() - begun >= 0.05
    ollang.add_fault("GET", ORDERS, delay=600)
    with pytest.raises(requests.ReadTimeout):
        client.ask("GET", EXAMPLE, timeout=IMPATIENT)
    begun = time.monotonic()
    ollang.stop()
    assert time.monotonic() - begun < 60, "a request that waits does not delay the end"


def test_delay__of_what_was_processed_at_once(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("POST", ORDERS, delay=600, processed=True)
    ollang.add_fault("POST", ORDERS, delay=600)
    for _ in range(2):
        with pytest.raises(requests.ReadTimeout):
            client.rerun(timeout=IMPATIENT)
        eventually(lambda: reruns(ollang) == 1)
    assert ollang.order(EXAMPLE_ID)["reruns_refused"] == 0
    ollang.add_fault("GET", ORDERS, delay=0.01, processed=True)
    assert client.get().json() == ORDER


def test_delay__reads_the_request_first(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("POST", ORDERS, delay=0.5)
    with pytest.raises(requests.ReadTimeout):
        client.evaluate(json={"accuracy": True}, timeout=IMPATIENT)
    eventually(lambda: bool(ollang.order(EXAMPLE_ID)["evaluations_accepted"] == 1))


@pytest.mark.parametrize("processed", [True, False])
def test_advance(ollang: Sandbox, client: Client, processed: bool) -> None:
    ollang.set_speed(0)
    sent = ollang.now
    ollang.add_fault("POST", ORDERS, advance=600, processed=processed)
    response = client.rerun()
    accepted(response)
    assert (ollang.now - sent).total_seconds() == 600
    assert response.headers["Date"] == ollang.http_date()
    assert any("(run 2)" in name for name in client.names(EXAMPLE_ID)) is processed


@pytest.mark.parametrize(("drop", "effects"), [("before", 0), ("after", 1)])
def test_drop(ollang: Sandbox, client: Client, drop: str, effects: int) -> None:
    ollang.add_fault("POST", ORDERS, drop=drop)
    with pytest.raises(requests.ConnectionError):
        client.rerun()
    assert (reruns(ollang), ollang.request_log[-1].status) == (effects, None)
    assert client.rerun().status_code == (400 if effects else 200)
    ollang.add_fault("GET", ORDERS, drop=drop)
    assert read_all(asking(ollang)) == b""


def test_drop__half_way_through_the_body(ollang: Sandbox, client: Client) -> None:
    complete = read_all(asking(ollang)).partition(b"\r\n\r\n")[2]
    ollang.add_fault("GET", ORDERS, drop="body")
    head, _, body = read_all(asking(ollang)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert f"Content-Length: {len(complete)}".encode() in head
    assert body == complete[: len(complete) // 2]
    ollang.add_fault("POST", ORDERS, drop="body")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.rerun()
    assert reruns(ollang) == 1


@pytest.mark.parametrize("rate", [1, 1 / 600])
def test_rate(ollang: Sandbox, rate: float) -> None:
    ollang.add_fault("GET", ORDERS, rate=rate, body="x" * 200)
    with asking(ollang) as connection:
        received = b""
        while not received.endswith(b"\r\n\r\nx"):
            received += connection.recv(1)
        assert len(what_is_there(connection)) < 199
    assert b"Content-Length: 200" in received
    ollang.add_fault("GET", ORDERS, rate=1_000_000, body="not that slowly")
    assert read_all(asking(ollang)).endswith(b"\r\n\r\nnot that slowly")


def test_redirect(ollang: Sandbox, client: Client) -> None:
    with Sandbox() as elsewhere:
        target = f"{elsewhere.url}{EXAMPLE}"
        for do in ({}, {"status": 307}, {}):
            ollang.add_fault("GET", ORDERS, redirect=target, **do)
        responses = [client.get(), client.get()]
        assert [response.status_code for response in responses] == [302, 307]
        assert {response.headers["Location"] for response in responses} == {target}
        assert elsewhere.request_log == []
        client.ask("GET", EXAMPLE, allow_redirects=True)
        assert [request.authorized for request in elsewhere.request_log] == [True], "the key was sent there, too"


# Which requests it hits


def test_skip_and_times(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("GET", ORDERS, skip=2, times=3, status=500)
    assert [client.get().status_code for _ in range(7)] == [200, 200, 500, 500, 500, 200, 200]


def test_fault_without_times_hits_until_removed(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault(times=None, status=500)
    assert [client.get().status_code for _ in range(20)] == [500] * 20
    assert client.admin("GET", "/").status_code == 200, "the admin API is never hit"
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
        ("*", EXAMPLE, ["get"]),
        ("*", "/integration/orders/*", ["get", "rerun"]),
        ("get", "*", []),
        ("*", "/Integration/*", []),
        ("*", "*take*", []),
    ],
)
def test_method_and_path(ollang: Sandbox, client: Client, method: str, path: str, hit: list[str]) -> None:
    ollang.add_fault(method, path, times=None, status=500)
    asked = {
        "get": client.get().status_code,
        "rerun": client.rerun().status_code,
        "list": client.ask("GET", "/integration/orders?pageOptions[take]=1").status_code,
    }
    assert [name for name, status in asked.items() if status == 500] == hit


def test_first_added_of_several_faults_hits(ollang: Sandbox, client: Client) -> None:
    first = ollang.add_fault("GET", status=500)
    second = ollang.add_fault("GET", skip=1, status=501)
    third = ollang.add_fault("*", status=502)
    assert [client.get().status_code for _ in range(4)] == [500, 502, 501, 200]
    assert [request.fault for request in ollang.request_log] == [first, third, second, None]
    assert [request.status for request in ollang.request_log] == [500, 502, 501, 200]


def test_fault_hits_before_the_key_is_checked(ollang: Sandbox, client: Client) -> None:
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
        ({"do": {"rate": 0}}, "above 0"),
        ({"do": {"body": 1, "generate": "html"}}, "one body"),
        ({"do": {"processed": True, "drop": "before"}}, "process it first"),
        ({"do": {"headers": {"X": "a\nb"}}}, "no header can have"),
        ({"skip": -1, "do": {"status": 500}}, "at least 0"),
        ({"path": 7, "do": {"status": 500}}, "Fault.path takes text, not 7."),
    ],
)
def test_wrong_faults_are_refused(ollang: Sandbox, client: Client, fault: dict[str, Any], message: str) -> None:
    response = client.admin("POST", "/faults", fault)
    assert (response.status_code, message in response.json()["error"]) == (400, True)
    with pytest.raises(SandboxError):
        ollang.add_fault(status=7)
    assert ollang.overview()["faults"] == []
