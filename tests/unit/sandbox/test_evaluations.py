"""Quality checks: `POST …/qc`, and the evaluation that the order shows then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from .client import EXAMPLE_ID, FOREIGN_ID, Client, accepted, begun, refused, scores
from .vendor_pages import GET_ERRORS, ORDER

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox

OLD = ORDER["latestEvaluation"]
STARTED: dict[str, Any] = {
    "success": True,
    "message": "QC evaluation started. You will be notified when it's completed.",
    "evalId": "",
    "creditsUsed": 5,
    "isProcessing": True,
}
CRITERIA = {"accuracy": "Accuracy", "fluency": "Fluency", "tone": "Tone", "culturalFit": "Cultural Fit"}


@pytest.fixture
def fresh(ollang: Sandbox) -> str:
    """Give an order that has never been evaluated."""
    return ollang.add_order(type="subtitle")


def test_the_default_story(ollang: Sandbox, client: Client, fresh: str) -> None:
    assert "latestEvaluation" not in client.order(fresh), "no evaluation until one is asked for"
    asked_at = ollang.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    answer = begun(client, fresh)
    assert answer == {**STARTED, "evalId": answer["evalId"]}
    loading = {"id": answer["evalId"], "orderId": fresh, "createdAt": asked_at, "isLoading": True}
    for seconds in (0, 9.999):
        ollang.advance(seconds)
        assert client.order(fresh)["latestEvaluation"] == loading
    ollang.advance(0.001)
    done = client.order(fresh)["latestEvaluation"]
    assert set(done) == set(OLD)
    assert {name: done[name] for name in loading} == {**loading, "isLoading": False}
    assert [set(score) for score in done["scores"]] == [{"name", "description", "value"}] * 4
    assert [(score["name"], score["description"]) for score in done["scores"]] == [
        (score["name"], score["description"]) for score in OLD["scores"]
    ]
    assert [set(segment) for segment in done["segmentEvals"]] == [set(OLD["segmentEvals"][0])]
    ollang.advance(100_000)
    assert client.order(fresh)["latestEvaluation"] == done
    assert client.status(fresh) == "completed", "an evaluation is no run"


def test_it_is_counted_and_kept_with_what_it_asked_for(ollang: Sandbox, client: Client) -> None:
    report = ollang.order(EXAMPLE_ID)
    assert (report["evaluations_accepted"], report["evaluations_refused"], report["evaluations"]) == (0, 0, [])
    first = begun(client)
    ollang.advance(3)
    callback = "https://hooks.example.com/qc"
    second = begun(client, json={"tone": False, "customPrompt": "Mind the Ümlaute", "callbackUrl": callback})
    report = client.control("GET", f"/orders/{EXAMPLE_ID}").json()
    assert (report["evaluations_accepted"], report["reruns_accepted"]) == (2, 0)
    everything = {**dict.fromkeys(CRITERIA, True), "customPrompt": None, "callbackUrl": None}
    assert [(one["id"], one["asked"]) for one in report["evaluations"]] == [
        (first["evalId"], everything),
        (second["evalId"], {**everything, "tone": False, "customPrompt": "Mind the Ümlaute", "callbackUrl": callback}),
    ]
    assert first["evalId"] != second["evalId"]
    line = next(line for line in ollang.overview()["orders"] if line["id"] == EXAMPLE_ID)
    assert (line["evaluations_accepted"], line["evaluations_refused"]) == (2, 0)
    assert [entry.status for entry in ollang.requests("POST", "*/qc")] == [200, 200]


@pytest.mark.parametrize("switch", CRITERIA)
def test_what_is_switched_off_is_not_judged(ollang: Sandbox, client: Client, fresh: str, switch: str) -> None:
    begun(client, fresh, json={switch: False})
    ollang.advance(10)
    assert list(scores(client, fresh)) == [name for key, name in CRITERIA.items() if key != switch]


# What is refused, and in which order it is looked at


@pytest.mark.parametrize("body", [{}, {"data": b""}, {"json": {}}, {"json": {"unheard": 1, "tone": None}}])
def test_the_body_may_be_left_out(client: Client, body: dict[str, Any]) -> None:
    assert begun(client, **body)["isProcessing"] is True


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"accuracy": "yes"}, "accuracy must be a boolean value"),
        ({"culturalFit": 1}, "culturalFit must be a boolean value"),
        ({"customPrompt": ["a"]}, "customPrompt must be a string"),
        *(
            ({"callbackUrl": url}, "callbackUrl must be an HTTPS URL of a public host")
            for url in (
                "http://hooks.example.com/",
                "https://localhost/qc",
                "https://127.0.0.1:9/qc",
                "https://10.1.2.3/",
                "https://[::1]/",
                "https://[",
                "hooks",
                7,
            )
        ),
    ],
)
def test_other_values_are_refused(ollang: Sandbox, client: Client, body: dict[str, Any], detail: str) -> None:
    answer = client.evaluate(json=body)
    assert (answer.status_code, answer.json()["message"]) == (400, detail)
    assert ollang.order(EXAMPLE_ID)["evaluations_accepted"] == 0


@pytest.mark.parametrize("url", ["https://hooks.example.com/qc?a=b", "https://8.8.8.8/qc", None])
def test_a_public_callback_is_taken(client: Client, url: str | None) -> None:
    begun(client, json={"callbackUrl": url})


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff"])
def test_no_other_body_is_taken(ollang: Sandbox, client: Client, body: bytes) -> None:
    answer = client.evaluate(data=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "UnknownError")
    assert ollang.order(EXAMPLE_ID)["evaluations_accepted"] == 0


def test_the_order_of_the_checks(ollang: Sandbox, client: Client) -> None:
    foreign = ollang.add_order(status="pending", owner="somebody else")
    pending = ollang.add_order(status="pending")
    answer = client.evaluate("nobody")
    assert (answer.status_code, answer.json()) == (404, GET_ERRORS[404])
    for order_id in (foreign, FOREIGN_ID):
        refused(client.evaluate(order_id), 403, "ACCESS_DENIED")
    refused(client.evaluate(pending), 400, "ORDER_NOT_ELIGIBLE")
    client.session.headers["X-Api-Key"] = "wrong"
    for order_id in ("nobody", foreign, pending, EXAMPLE_ID):
        answer = client.evaluate(order_id, data="not json")
        assert (answer.status_code, answer.json()) == (401, GET_ERRORS[401])
    assert [ollang.order(pending)[name] for name in ("evaluations_accepted", "evaluations_refused")] == [0, 1]


@pytest.mark.parametrize(
    ("status", "answered"),
    [
        ("completed", 200),
        ("delivered", 200),
        ("ongoing", 400),
        ("revision", 400),
        ("qualityCheck", 400),
        ("gone?", 400),
    ],
)
def test_the_shown_status_decides(ollang: Sandbox, client: Client, status: str, answered: int) -> None:
    order_id = ollang.add_order(status=status)
    assert client.evaluate(order_id).status_code == answered


def test_errors_are_shaped_as_the_knobs_want(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(status="pending", behaviour={"error_style": "unknown_error", "error_status": 500})
    answer = client.evaluate(order_id)
    assert (answer.status_code, answer.json()["error"]) == (500, "UnknownError")


# Faults


@pytest.mark.parametrize(
    ("do", "happened"),
    [
        ({"drop": "before"}, 0),
        ({"drop": "after"}, 1),
        ({"drop": "body"}, 1),
        ({"status": 502}, 0),
        ({"status": 502, "processed": True}, 1),
    ],
)
def test_faults_of_the_wire(ollang: Sandbox, client: Client, do: dict[str, Any], happened: int) -> None:
    ollang.add_fault("POST", "*/qc", **do)
    try:
        assert client.evaluate().status_code == 502
    except requests.RequestException:
        assert "drop" in do
    assert ollang.order(EXAMPLE_ID)["evaluations_accepted"] == happened
    begun(client)


# Together with reruns and with one another


def test_a_rerun_keeps_or_clears_it(ollang: Sandbox, client: Client) -> None:
    begun(client)
    ollang.advance(10)
    mine = client.order()["latestEvaluation"]
    accepted(client.rerun())
    ollang.advance(32)
    assert client.order()["latestEvaluation"] == mine
    ollang.change_order(EXAMPLE_ID, behaviour={"evaluation": "cleared"})
    accepted(client.rerun())
    assert "latestEvaluation" not in client.order()
    ollang.advance(32)
    begun(client)
    ollang.advance(10)
    assert client.order()["latestEvaluation"]["id"] != mine["id"]


def test_a_second_one_takes_over(ollang: Sandbox, client: Client) -> None:
    begun(client)
    ollang.advance(5)
    second = begun(client)["evalId"]
    ollang.advance(5)
    shown = client.order()["latestEvaluation"]
    assert (shown["id"], shown["isLoading"]) == (second, True), "the end of the first does not show"
    ollang.advance(5)
    assert client.order()["latestEvaluation"]["isLoading"] is False


def test_one_of_a_run_and_one_that_is_asked_for(ollang: Sandbox, client: Client) -> None:
    ollang.change_order(EXAMPLE_ID, behaviour={"evaluation": "new", "evaluation_after": 20})
    accepted(client.rerun())
    ollang.advance(31)
    of_run = client.order()["latestEvaluation"]["id"]
    ollang.advance(1)
    mine = begun(client)["evalId"]
    ollang.advance(10)
    shown = client.order()["latestEvaluation"]
    assert (shown["id"], shown["isLoading"]) == (mine, False)
    ollang.advance(8)
    shown = client.order()["latestEvaluation"]
    assert (shown["id"], shown["isLoading"]) == (of_run, False)


def test_a_status_given_by_a_person_leaves_it_alone(ollang: Sandbox, client: Client) -> None:
    mine = begun(client)["evalId"]
    ollang.change_order(EXAMPLE_ID, status="delivered")
    ollang.advance(10)
    shown = client.order()["latestEvaluation"]
    assert (shown["id"], shown["isLoading"]) == (mine, False)


def test_over_http(client: Client) -> None:
    body = {"behaviour": {"qc_scores": [{"Accuracy": 50}, {"Accuracy": 95}], "qc_seconds": 0}}
    assert client.control("PUT", "/orders/graded", body).status_code == 200
    assert [begun(client, "graded")["scores"][0]["score"] for _ in range(3)] == [50, 95, 95]
