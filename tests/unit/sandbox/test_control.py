"""The control over HTTP, which the Python class shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_ollang.sandbox.clock import parse_iso
from airflow_provider_ollang.sandbox.control import CALLS, is_local

from .client import EXAMPLE_ID, FOREIGN_ID, Client, accepted, refused

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox


def told(answer: requests.Response, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


@pytest.mark.parametrize("path", ["", "/"])
def test_overview(ollang: Sandbox, client: Client, path: str) -> None:
    client.get()
    ollang.add_fault("POST", status=500)
    overview = told(client.control("GET", path))
    assert [(call["method"], call["path"]) for call in overview["control"]] == [call[:2] for call in CALLS]
    assert (overview["requests"], overview["connections"]) == (1, 1)
    assert overview["clock"]["speed"] == 0
    assert overview["orders"][0] == {
        "id": EXAMPLE_ID,
        "owner": "own",
        "type": "cc",
        "status": "completed",
        "level": 0,
        "name": "Sample Project - Episode 1",
        "reruns_accepted": 0,
        "reruns_refused": 0,
        "evaluations_accepted": 0,
        "evaluations_refused": 0,
    }
    assert overview["files"] == ollang.files_url
    assert overview["faults"] == [
        {"id": 1, "method": "POST", "path": "*", "skip": 0, "times": 1, "do": {"status": 500}, "hits": 0}
    ]


def test_every_documented_call_exists(client: Client) -> None:
    bodies = {"POST /_sandbox/faults": {"do": {"status": 500}}}
    for method, path, _ in CALLS:
        real = path.replace("/_sandbox", "").replace("{id}", EXAMPLE_ID).replace("N", "0")
        real = real.replace("{document}", "vttUrl")
        told(client.control(method, real, bodies.get(f"{method} {path}", {})))


def test_an_order_is_created_and_replaced(ollang: Sandbox, client: Client) -> None:
    created = told(client.control("PUT", "/orders/mine", {"order": {"type": "document", "name": "Mine"}}))
    assert (created["owner"], created["order"]["id"]) == ("own", "mine")
    order = client.order("mine")
    assert (order["name"], order["status"], len(order["orderDocs"])) == ("Mine", "completed", 2)
    accepted(client.rerun("mine"))
    told(client.control("PUT", "/orders/mine", {"order": {"id": "mine", "status": "pending"}, "owner": "other"}))
    assert client.get("mine").status_code == 403
    assert ollang.order("mine")["reruns_accepted"] == 0
    assert told(client.control("PUT", "/orders/bare", {}))["order"]["type"] == "cc"


def test_an_exact_order_is_filled_in_with_nothing(client: Client) -> None:
    odd = {"status": "completed", "orderDocs": None, "rate": "free"}
    told(client.control("PUT", "/orders/odd", {"order": odd, "exact": True}))
    assert client.order("odd") == {**odd, "id": "odd"}


def test_an_order_is_changed_as_another_person_would(ollang: Sandbox, client: Client) -> None:
    told(client.control("PATCH", f"/orders/{EXAMPLE_ID}", {"order": {"name": "New", "finance": {"currency": "USD"}}}))
    order = client.order()
    assert (order["name"], order["finance"]) == ("New", {"paymentAmount": 150.75, "currency": "USD"})
    told(client.control("PATCH", f"/orders/{EXAMPLE_ID}", {"order": {"vttUrl": None, "orderDocs": []}}))
    assert (client.order()["vttUrl"], client.order()["orderDocs"]) == (None, [])


def test_a_status_given_by_a_person_ends_the_run(ollang: Sandbox, client: Client) -> None:
    accepted(client.rerun())
    ollang.advance(10)
    report = told(client.control("PATCH", f"/orders/{EXAMPLE_ID}", {"order": {"status": "cancelled"}}))
    assert report["running"] is False
    ollang.advance(1000)
    assert (client.status(EXAMPLE_ID), client.names(EXAMPLE_ID)) == ("cancelled", ["French Subtitles"])
    history = ollang.order(EXAMPLE_ID)["history"]
    assert [(line["status"], line["cause"]) for line in history][-2:] == [
        ("ongoing", "run 2"),
        ("cancelled", "control"),
    ]


def test_a_human_review_cancelled_by_a_person(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(type="subtitle", level=1)
    before = client.order(order_id)["orderDocs"]
    accepted(client.rerun(order_id))
    ollang.advance(16)
    ollang.change_order(order_id, status="completed", level=0)
    ollang.advance(1000)
    after = client.order(order_id)
    assert (after["status"], after["level"], after["orderDocs"]) == ("completed", 0, before)
    assert [event["type"] for event in after["deliveryEvents"][4:]] == ["ai_delivered"]
    accepted(client.rerun(order_id))
    ollang.advance(13)
    assert client.status(order_id) == "ongoing", "no review any more"


def test_a_change_without_status_leaves_the_run_alone(ollang: Sandbox, client: Client) -> None:
    accepted(client.rerun())
    ollang.advance(10)
    ollang.change_order(EXAMPLE_ID, name="Renamed")
    assert ollang.order(EXAMPLE_ID)["running"] is True
    ollang.advance(22)
    order = client.order()
    assert (order["name"], order["status"], client.names(EXAMPLE_ID)) == (
        "Renamed",
        "completed",
        ["French Subtitles (run 2)"],
    )


def test_a_change_at_a_time(ollang: Sandbox, client: Client) -> None:
    when = ollang.now.isoformat().replace("+00:00", "Z")
    ollang.change_order(EXAMPLE_ID, status="revision", after=50)
    told(client.control("PATCH", f"/orders/{EXAMPLE_ID}", {"order": {"status": "delayed"}, "at": when}))
    assert client.status(EXAMPLE_ID) == "delayed"
    told(client.control("PATCH", f"/orders/{EXAMPLE_ID}", {"order": {"status": "delivered"}, "after": 20}))
    ollang.advance(19.999)
    assert client.status(EXAMPLE_ID) == "delayed"
    ollang.advance(0.001)
    assert client.status(EXAMPLE_ID) == "delivered"
    ollang.advance(30)
    assert client.status(EXAMPLE_ID) == "revision"
    refused_change = client.control("PATCH", f"/orders/{EXAMPLE_ID}", {"order": {"level": 1}, "at": when})
    assert "in the past" in told(refused_change, 400)["error"]


def test_the_past_is_not_altered_by_a_change(ollang: Sandbox, client: Client) -> None:
    ollang.change_order(EXAMPLE_ID, behaviour={"stale_every": 2, "stale_by": 5})
    before = client.order()
    ollang.advance(10)
    ollang.change_order(EXAMPLE_ID, finance={"paymentAmount": 1}, latestEvaluation={"isLoading": True})
    assert client.order() == before
    assert client.order()["finance"] == {"paymentAmount": 1}
    assert client.order() == before


def test_owner_and_behaviour_change_at_once(ollang: Sandbox, client: Client) -> None:
    body = {"owner": "own", "behaviour": {"no_credits": 402}, "after": 1000}
    report = told(client.control("PATCH", f"/orders/{FOREIGN_ID}", body))
    assert (report["owner"], report["behaviour"]["no_credits"]) == ("own", 402)
    refused(client.rerun(FOREIGN_ID), 402, "INSUFFICIENT_CREDITS")


def test_reading_an_order_that_is_not_there(client: Client) -> None:
    for method in ("GET", "PATCH"):
        assert "no order 'nobody'" in told(client.control(method, "/orders/nobody", {}), 404)["error"]


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("PUT", "/orders/a", {"order": {"id": "b"}}, "the body 'b'"),
        ("PUT", "/orders/a", {"behavior": {}}, "Unknown name 'behavior'"),
        ("PUT", "/orders/a", {"behaviour": {"outputs_aftr": 1}}, "did you mean 'outputs_after'?"),
        ("PUT", "/orders/a", {"order": []}, "order must be a JSON object"),
        ("PUT", "/orders/a", {"owner": 5}, "owner must be a text"),
        ("PATCH", f"/orders/{EXAMPLE_ID}", {"order": {"id": "b"}}, "cannot become 'b'"),
        ("PATCH", f"/orders/{EXAMPLE_ID}", {"order": {}, "at": "noon"}, "ISO 8601, not 'noon'"),
        ("PATCH", f"/orders/{EXAMPLE_ID}", {"after": "1"}, "after must be a number"),
        ("PATCH", f"/orders/{EXAMPLE_ID}", {"after": -1}, "in the past"),
        ("POST", "/clock", {"advance": -1}, "not -1"),
        ("POST", "/clock", {"advance": 1e300}, "advances by"),
        ("POST", "/clock", {"speed": -1}, "speed is 0 to"),
        ("POST", "/clock", {"sped": 1}, "Unknown name 'sped'"),
        ("POST", "/clock", [], "must be a JSON object"),
        ("GET", "/journal?after=x", None, "after must be a whole number"),
        ("DELETE", "/faults?id=x", None, "id must be a whole number"),
    ],
)
def test_senseless_calls_are_refused(client: Client, method: str, path: str, body: Any, message: str) -> None:
    assert message in told(client.control(method, path, body), 400)["error"]


def test_a_body_that_is_no_json(ollang: Sandbox) -> None:
    for body in (b"{", b"\xff", b"[" * 100_000):
        answer = requests.post(f"{ollang.url}/_sandbox/clock", data=body, timeout=10)
        assert told(answer, 400) == {"error": "The body is not JSON."}


def test_an_unknown_call_names_the_known_ones(client: Client) -> None:
    assert "POST /_sandbox/reset" in told(client.control("GET", "/orders"), 404)["error"]


def test_faults_over_http(client: Client) -> None:
    fault = {"method": "GET", "path": "*", "times": None, "do": {"status": 503, "headers": {"Retry-After": "9"}}}
    first = told(client.control("POST", "/faults", fault))
    second = told(client.control("POST", "/faults", {"do": {"drop": "before"}}))
    assert (first["id"], second["id"]) == (1, 2)
    assert client.get().headers["Retry-After"] == "9"
    assert told(client.control("DELETE", "/faults?id=2")) == {"removed": 1}
    assert client.get().status_code == 503
    assert told(client.control("GET", ""))["faults"][0]["hits"] == 2
    assert told(client.control("DELETE", "/faults")) == {"removed": 1}
    assert client.get().status_code == 200


def test_journal(ollang: Sandbox, client: Client) -> None:
    client.get()
    client.rerun()
    client.control("GET", "/")
    client.session.headers["X-Api-Key"] = "canary-key"
    client.ask("GET", "/integration/orders?pageOptions[take]=1")
    journal = told(client.control("GET", "/journal"))
    assert journal["last"] == 3
    assert journal["requests"][1] == {
        "n": 2,
        "time": ollang.now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "method": "POST",
        "path": f"/integration/orders/{EXAMPLE_ID}/rerun",
        "connection": 1,
        "authorized": True,
        "host": "api",
        "key_sent": True,
        "status": 200,
        "fault": None,
    }
    third = journal["requests"][2]
    assert third["path"] in (
        "/integration/orders?pageOptions[take]=1",
        "/integration/orders?pageOptions%5Btake%5D=1",
    )
    assert (third["status"], third["authorized"]) == (401, False)
    assert "canary-key" not in str(journal)
    assert [entry["n"] for entry in told(client.control("GET", "/journal?after=2"))["requests"]] == [3]
    assert told(client.control("GET", "/journal?after=99"))["requests"] == []


def test_connections_are_numbered(ollang: Sandbox, client: Client) -> None:
    for _ in range(3):
        client.get()
    with Client(ollang) as another:
        another.get()
        client.get()
    assert [entry.connection for entry in ollang.journal] == [1, 1, 1, 2, 1]


def test_clock(ollang: Sandbox, client: Client) -> None:
    def clock(body: dict[str, Any]) -> tuple[int, float]:
        answer = told(client.control("POST", "/clock", body))
        return parse_iso(answer["time"]) or 0, answer["speed"]

    begun, speed = clock({})
    assert speed == 0
    accepted(client.rerun())
    assert clock({"advance": 40}) == (begun + 40_000, 0)
    assert client.names(EXAMPLE_ID) == ["French Subtitles (run 2)"]
    assert clock({"speed": 60})[1] == 60
    assert clock({"stop": True})[1] == 0
    assert clock({})[0] >= begun + 40_000


def test_reset(ollang: Sandbox, client: Client) -> None:
    fresh = client.order()
    accepted(client.rerun())
    ollang.add_order(id="mine")
    ollang.add_fault("DELETE", status=500)
    ollang.advance(10_000)
    ollang.set_speed(7)
    ollang.api_key = client.session.headers["X-Api-Key"] = "rotated"
    told(client.control("POST", "/reset"))
    client.session.headers["X-Api-Key"] = "sandbox-key"
    assert client.order() == fresh
    assert client.get("mine").status_code == 404
    overview = ollang.overview()
    assert (overview["faults"], overview["clock"]["speed"], overview["requests"]) == ([], 0, 2)
    assert ollang.order(EXAMPLE_ID)["reruns_accepted"] == 0
    assert [entry.n for entry in ollang.journal] == [1, 2]


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
def test_who_may_control(peer: Any, local: bool) -> None:
    assert is_local(peer) is local


def test_others_may_not_control(ollang: Sandbox, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_ollang.sandbox.control.is_local", lambda peer: peer is None)
    for method, path, _ in CALLS:
        answer = client.control(method, path.replace("/_sandbox", "").replace("{id}", EXAMPLE_ID), {})
        assert "own machine only" in told(answer, 403)["error"]
    assert client.get().status_code == 200
