"""The admin API over HTTP, which the Python class shares."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.sandbox.admin_api import ROUTES, is_local
from airflow_provider_ollang.sandbox.clock import parse_iso
from airflow_provider_ollang.sandbox.order import COUNTS

from .client import EXAMPLE_ID, FOREIGN_ID, Client, accepted, body_of, refused

EXAMPLE = f"/orders/{EXAMPLE_ID}"


@pytest.mark.parametrize("path", ["", "/"])
def test_overview(ollang: Sandbox, client: Client, path: str) -> None:
    client.get()
    ollang.add_fault("POST", status=500)
    overview = body_of(client.admin("GET", path))
    assert [(call["method"], call["path"]) for call in overview["admin_api"]] == [route[:2] for route in ROUTES]
    assert (overview["requests"], overview["connections"], overview["clock"]["speed"]) == (1, 1, 0)
    assert overview["orders"][0] == {
        "id": EXAMPLE_ID,
        "owner": "own",
        "type": "cc",
        "status": "completed",
        "level": 0,
        "name": "Sample Project - Episode 1",
        **dict.fromkeys(COUNTS, 0),
    }
    assert overview["files"] == ollang.files_url
    assert overview["counts"] == ollang.counts()
    fault = {"id": 1, "method": "POST", "path": "*", "skip": 0, "times": 1, "do": {"status": 500}, "hits": 0}
    assert overview["faults"] == [fault]


def test_every_documented_call_exists(client: Client) -> None:
    for method, path, *_ in ROUTES:
        real = path.replace("/_sandbox", "").replace("{id}", EXAMPLE_ID).replace("{document}", "vttUrl")
        body = {"do": {"status": 500}} if (method, real) == ("POST", "/faults") else {}
        body_of(client.admin(method, real, body))


def test_behaviour_of_the_sandbox_changes(ollang: Sandbox, client: Client) -> None:
    behaviour = body_of(client.admin("PATCH", "/behaviour", {"run_seconds": 7}))
    assert (behaviour["run_seconds"], behaviour["rerun_success"]) == (7, True)
    added = ollang.add_order()
    seconds = [ollang.order(order_id)["behaviour"]["run_seconds"] for order_id in (EXAMPLE_ID, added)]
    assert seconds == [30, 7], "orders that exist keep their own"
    answer = client.admin("PATCH", "/behaviour", {"run_secondz": 7})
    assert (answer.status_code, "did you mean 'run_seconds'?" in answer.json()["error"]) == (400, True)


def test_put_creates_and_replaces_an_order(ollang: Sandbox, client: Client) -> None:
    created = body_of(client.admin("PUT", "/orders/mine", {"order": {"type": "document", "name": "Mine"}}))
    assert (created["owner"], created["order"]["id"]) == ("own", "mine")
    order = client.order("mine")
    assert (order["name"], order["status"], len(order["orderDocs"])) == ("Mine", "completed", 2)
    accepted(client.rerun("mine"))
    body_of(client.admin("PUT", "/orders/mine", {"order": {"id": "mine", "status": "pending"}, "owner": "other"}))
    assert (client.get("mine").status_code, ollang.order("mine")["reruns_accepted"]) == (403, 0)
    assert body_of(client.admin("PUT", "/orders/bare", {}))["order"]["type"] == "cc"


def test_exact_order_has_no_other_fields(client: Client) -> None:
    odd = {"status": "completed", "orderDocs": None, "rate": "free"}
    body_of(client.admin("PUT", "/orders/odd", {"order": odd, "exact": True}))
    assert client.order("odd") == {**odd, "id": "odd"}


def test_patch_merges_objects_and_replaces_lists(client: Client) -> None:
    body_of(client.admin("PATCH", EXAMPLE, {"order": {"name": "New", "finance": {"currency": "USD"}}}))
    order = client.order()
    assert (order["name"], order["finance"]) == ("New", {"paymentAmount": 150.75, "currency": "USD"})
    body_of(client.admin("PATCH", EXAMPLE, {"order": {"vttUrl": None, "orderDocs": []}}))
    assert (client.order()["vttUrl"], client.order()["orderDocs"]) == (None, [])


def test_patched_status_ends_the_run(ollang: Sandbox, client: Client) -> None:
    accepted(client.rerun())
    ollang.advance(10)
    report = body_of(client.admin("PATCH", EXAMPLE, {"order": {"status": "cancelled"}}))
    assert report["running"] is False
    ollang.advance(1000)
    assert (client.status(EXAMPLE_ID), client.names(EXAMPLE_ID)) == ("cancelled", ["French Subtitles"])
    history = [(line["status"], line["cause"]) for line in ollang.order(EXAMPLE_ID)["history"]]
    assert history[-2:] == [("ongoing", "run 2"), ("cancelled", "admin")]


def test_change_without_status_keeps_the_run(ollang: Sandbox, client: Client) -> None:
    accepted(client.rerun())
    ollang.advance(10)
    ollang.change_order(EXAMPLE_ID, name="Renamed")
    assert ollang.order(EXAMPLE_ID)["running"] is True
    ollang.advance(22)
    order = client.order()
    assert (order["name"], order["status"]) == ("Renamed", "completed")
    assert client.names(EXAMPLE_ID) == ["French Subtitles (run 2)"]


def test_change_after_some_seconds(ollang: Sandbox, client: Client) -> None:
    ollang.change_order(EXAMPLE_ID, status="revision", after=50)
    body_of(client.admin("PATCH", EXAMPLE, {"order": {"status": "delayed"}}))
    body_of(client.admin("PATCH", EXAMPLE, {"order": {"status": "delivered"}, "after": 20}))
    seen = []
    for seconds in (0, 19.999, 0.001, 30):
        ollang.advance(seconds)
        seen.append(client.status(EXAMPLE_ID))
    assert seen == ["delayed", "delayed", "delivered", "revision"]


def test_change_does_not_alter_the_past(ollang: Sandbox, client: Client) -> None:
    ollang.change_order(EXAMPLE_ID, behaviour={"stale_every": 2, "stale_by": 5})
    before = client.order()
    ollang.advance(10)
    ollang.change_order(EXAMPLE_ID, finance={"paymentAmount": 1}, latestEvaluation={"isLoading": True})
    assert client.order() == before
    assert client.order()["finance"] == {"paymentAmount": 1}
    assert client.order() == before


def test_owner_and_behaviour_change_at_once(client: Client) -> None:
    body = {"owner": "own", "behaviour": {"no_credits": 402}, "after": 1000}
    report = body_of(client.admin("PATCH", f"/orders/{FOREIGN_ID}", body))
    assert (report["owner"], report["behaviour"]["no_credits"]) == ("own", 402)
    refused(client.rerun(FOREIGN_ID), 402, "INSUFFICIENT_CREDITS")


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("PUT", "/orders/a", {"order": {"id": "b"}}, "the body 'b'"),
        ("PUT", "/orders/a", {"behavior": {}}, "Unknown name 'behavior'"),
        ("PUT", "/orders/a", {"order": []}, "order must be a JSON object"),
        ("PUT", "/orders/a", {"owner": 5}, "owner must be a text"),
        ("PATCH", EXAMPLE, {"order": {"id": "b"}}, "cannot become 'b'"),
        ("PATCH", EXAMPLE, {"after": "1"}, "after must be a number"),
        ("PATCH", EXAMPLE, {"after": -1}, "in the past"),
        ("POST", "/clock", {"advance": -1}, "not -1"),
        ("POST", "/clock", {"advance": 1e300}, "advances by"),
        ("POST", "/clock", {"speed": -1}, "speed is 0 to"),
        ("POST", "/clock", [], "must be a JSON object"),
        ("GET", "/requests?after=x", None, "after must be a whole number"),
        ("DELETE", "/faults?id=x", None, "id must be a whole number"),
    ],
)
def test_wrong_calls_are_refused(client: Client, method: str, path: str, body: Any, message: str) -> None:
    assert message in body_of(client.admin(method, path, body), 400)["error"]


def test_unknown_order_or_call_is_404(client: Client) -> None:
    for method in ("GET", "PATCH"):
        assert "no order 'nobody'" in body_of(client.admin(method, "/orders/nobody", {}), 404)["error"]
    assert "POST /_sandbox/reset" in body_of(client.admin("GET", "/orders"), 404)["error"]


def test_body_that_is_no_json_is_refused(ollang: Sandbox) -> None:
    for body in (b"{", b"\xff", b"[" * 100_000):
        response = requests.post(f"{ollang.url}/_sandbox/clock", data=body, timeout=10)
        assert body_of(response, 400) == {"error": "The body is not JSON."}


def test_faults(client: Client) -> None:
    fault = {"method": "GET", "path": "*", "times": None, "do": {"status": 503, "headers": {"Retry-After": "9"}}}
    assert body_of(client.admin("POST", "/faults", fault))["id"] == 1
    assert body_of(client.admin("POST", "/faults", {"do": {"drop": "before"}}))["id"] == 2
    assert client.get().headers["Retry-After"] == "9"
    assert body_of(client.admin("DELETE", "/faults?id=2")) == {"removed": 1}
    assert client.get().status_code == 503
    assert body_of(client.admin("GET", ""))["faults"][0]["hits"] == 2
    assert body_of(client.admin("DELETE", "/faults")) == {"removed": 1}
    assert client.get().status_code == 200


def test_request_log(ollang: Sandbox, client: Client) -> None:
    client.get()
    client.rerun()
    client.admin("GET", "/")
    client.session.headers["X-Api-Key"] = "canary-key"
    client.ask("GET", "/integration/orders?pageOptions[take]=1")
    log = body_of(client.admin("GET", "/requests"))
    assert log["last"] == ollang.last_request == 3
    assert log["requests"][1] == {
        "n": 2,
        "time": ollang.now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "method": "POST",
        "path": f"/integration{EXAMPLE}/rerun",
        "connection": 1,
        "authorized": True,
        "host": "api",
        "key_sent": True,
        "status": 200,
        "fault": None,
    }
    third = log["requests"][2]
    assert third["path"].replace("%5B", "[").replace("%5D", "]") == "/integration/orders?pageOptions[take]=1"
    assert (third["status"], third["authorized"]) == (401, False)
    assert "canary-key" not in str(log)
    assert [each["n"] for each in body_of(client.admin("GET", "/requests?after=2"))["requests"]] == [3]
    assert body_of(client.admin("GET", "/requests?after=99"))["requests"] == []


def test_connections_are_numbered(ollang: Sandbox, client: Client) -> None:
    for _ in range(3):
        client.get()
    with Client(ollang) as another:
        another.get()
        client.get()
    assert [request.connection for request in ollang.request_log] == [1, 1, 1, 2, 1]


def test_clock(client: Client) -> None:
    def clock(body: dict[str, Any]) -> tuple[int, float]:
        time = body_of(client.admin("POST", "/clock", body))
        return parse_iso(time["time"]) or 0, time["speed"]

    begun, speed = clock({})
    assert speed == 0
    accepted(client.rerun())
    assert clock({"advance": 40}) == (begun + 40_000, 0)
    assert client.names(EXAMPLE_ID) == ["French Subtitles (run 2)"]
    assert [clock({"speed": speed})[1] for speed in (60, 0)] == [60, 0]
    assert clock({})[0] >= begun + 40_000


def test_reset(ollang: Sandbox, client: Client) -> None:
    fresh = client.order()
    accepted(client.rerun())
    ollang.add_order(id="mine")
    ollang.add_fault("DELETE", status=500)
    ollang.advance(10_000)
    ollang.set_speed(7)
    ollang.api_key = "rotated"
    body_of(client.admin("POST", "/reset"))
    assert client.order() == fresh
    assert client.get("mine").status_code == 404
    overview = ollang.overview()
    assert (overview["faults"], overview["clock"]["speed"], overview["requests"]) == ([], 0, 2)
    assert ollang.order(EXAMPLE_ID)["reruns_accepted"] == 0
    assert [request.n for request in ollang.request_log] == [1, 2]


@pytest.mark.parametrize(
    ("peer", "local"),
    [
        (("127.0.0.1", 5), True),
        (("127.8.9.1", 5), True),
        (("::1", 5, 0, 0), True),
        (("::ffff:127.0.0.1", 5, 0, 0), True),
        (("10.0.0.5", 5), False),
        (("::ffff:10.0.0.5", 5, 0, 0), False),
        (("fe80::1%eth0", 5, 0, 2), False),
        (None, False),
        ("", False),
    ],
)
def test_is_local(peer: Any, local: bool) -> None:
    assert is_local(peer) is local


def test_other_machines_are_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_ollang.sandbox.admin_api.is_local", lambda peer: peer is None)
    for method, path, *_ in ROUTES:
        response = client.admin(method, path.replace("/_sandbox", "").replace("{id}", EXAMPLE_ID), {})
        assert "own machine only" in body_of(response, 403)["error"]
    assert client.get().status_code == 200
