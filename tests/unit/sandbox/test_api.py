"""The routes of the API: what they take, and in which order they check."""

from __future__ import annotations

import http.client
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.sandbox.lifecycle import STAGES
from airflow_provider_ollang.sandbox.start_orders import ROWS

from .client import EXAMPLE_ID, FOREIGN_ID, Client, accepted, refused
from .vendor_pages import ORDER


def test_health_needs_no_key(ollang: Sandbox, client: Client) -> None:
    del client.session.headers["X-Api-Key"]
    answer = client.ask("GET", "/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "OK", "time": int(ollang.now.timestamp() * 1000)}
    assert not ollang.request_log[0].authorized


@pytest.mark.parametrize("header", [{}, {"X-Api-Key": ""}, {"X-Api-Key": "wrong"}, {"Authorization": "sandbox-key"}])
@pytest.mark.parametrize("order_id", [EXAMPLE_ID, FOREIGN_ID, "nobody"])
def test_key_is_checked_first(ollang: Sandbox, client: Client, header: dict[str, str], order_id: str) -> None:
    del client.session.headers["X-Api-Key"]
    client.session.headers.update(header)
    refused(client.get(order_id), 401, "UNAUTHORIZED")
    refused(client.rerun(order_id, data="not json"), 401, "UNAUTHORIZED")
    refused(client.ask("GET", "/integration/orders"), 401, "UNAUTHORIZED")
    assert ollang.order(EXAMPLE_ID)["reruns_accepted"] == 0


def test_foreign_order_is_forbidden_before_eligibility(ollang: Sandbox, client: Client) -> None:
    foreign = ollang.add_order(status="pending", owner="another")
    refused(client.rerun(foreign), 403, "ACCESS_DENIED")


def test_rotated_key_replaces_the_old_one(ollang: Sandbox, client: Client) -> None:
    ollang.api_key = "rotated"
    refused(client.get(), 401, "UNAUTHORIZED")
    client.session.headers["X-Api-Key"] = "rotated"
    assert client.get().status_code == 200


@pytest.mark.parametrize("action", ["rerun", "qc"])
@pytest.mark.parametrize("body", [{}, {"data": b""}, {"data": b" \n"}, {"json": {}}, {"json": {"x": 1, "tone": None}}])
def test_post_takes_no_body_or_an_object(client: Client, action: str, body: dict[str, Any]) -> None:
    accepted(client.ask("POST", f"/integration/orders/{EXAMPLE_ID}/{action}", **body))


@pytest.mark.parametrize("action", ["rerun", "qc"])
@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'"{}"', b"\xff", b"[" * 100_000])
def test_post_refuses_other_bodies(ollang: Sandbox, client: Client, action: str, body: bytes) -> None:
    answer = client.ask("POST", f"/integration/orders/{EXAMPLE_ID}/{action}", data=body)
    assert answer.status_code == 400
    assert (answer.json()["error"], answer.json()["code"]) == ("UnknownError", -1)
    report = ollang.order(EXAMPLE_ID)
    assert (report["reruns_accepted"], report["evaluations_accepted"]) == (0, 0)


@pytest.mark.parametrize("status", sorted({*(row.status for row in ROWS), "gone?"}))
def test_post_needs_an_order_that_is_done(ollang: Sandbox, client: Client, status: str) -> None:
    is_done = status in ("completed", "delivered")
    for post in (client.evaluate, client.rerun):
        answer = post(ollang.add_order(status=status))
        assert answer.status_code == (200 if is_done else 400)
        assert is_done or answer.json()["code"] == "ORDER_NOT_ELIGIBLE"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/integration/order"),
        ("GET", "/integration/orders/"),
        ("DELETE", f"/integration/orders/{EXAMPLE_ID}"),
        ("GET", f"/integration/orders/{EXAMPLE_ID}/rerun"),
        ("POST", f"/orders/{EXAMPLE_ID}/rerun"),
        ("GET", "/"),
    ],
)
def test_other_routes_are_404(client: Client, method: str, path: str) -> None:
    answer = client.ask(method, f"{path}?a=b")
    assert answer.status_code == 404
    assert answer.json() == {
        "code": -1,
        "error": "UnknownError",
        "message": "unknown error",
        "detail": f"Cannot {method} {path}",
    }


@pytest.mark.parametrize("order_id", ["a/b", "a b", "a%2Fb", "ünï", "a?b#c", "..", "x" * 500])
def test_order_id_is_one_percent_encoded_segment(ollang: Sandbox, order_id: str) -> None:
    ollang.add_order(id=order_id, name="Odd id")
    connection = http.client.HTTPConnection("127.0.0.1", ollang.port, timeout=10)
    path = f"/integration/orders/{quote(order_id, safe='').replace('.', '%2E')}"
    connection.request("GET", path, headers={"X-Api-Key": ollang.api_key})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert (answer.status, '"name":"Odd id"' in text) == (200, True), text
    assert ollang.request_log[-1].path == path


def test_date_header_is_the_sandbox_s_time(ollang: Sandbox, client: Client) -> None:
    ollang.advance(86_400 * 40)
    for answer in (client.get(), client.rerun(), client.ask("GET", "/nowhere")):
        assert parsedate_to_datetime(answer.headers["Date"]) == ollang.now.replace(microsecond=0)


def test_start_orders_have_every_type_and_status(client: Client) -> None:
    answer = client.admin("GET", "/").json()
    orders = [order for order in answer["orders"] if order["owner"] == "own"]
    documented_types = {"cc", "subtitle", "document", "aiDubbing", "studioDubbing", "proofreading", "other", "revision"}
    documented_statuses = {
        "pending", "ongoing", "completed", "revision", "delayed", "waitingForCC", "waitingForSubtitle",
        "delivered", "qualityCheck", "readyToSent",
    }  # fmt: skip
    assert {order["type"] for order in orders} == documented_types == set(STAGES)
    assert {order["status"] for order in orders} >= documented_statuses
    for line in orders:
        order = client.order(line["id"])
        assert set(ORDER) - set(order) <= {"vttUrl", "latestEvaluation"}
        has_outputs = any("source" not in document["type"] for document in order["orderDocs"])
        assert has_outputs is (line["status"] in ("completed", "delivered"))
        counted = "wordCount" if line["type"] in ("document", "proofreading", "other") else "duration"
        assert counted in order["orderDocs"][0]
    assert any("deliveryEvents" not in client.order(line["id"]) for line in orders)
