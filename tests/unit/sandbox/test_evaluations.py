"""Evaluations: `POST …/qc`, and what the order shows then."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang.sandbox import Sandbox

from .client import EXAMPLE_ID, FOREIGN_ID, Client, accepted, begun, refused, scores
from .vendor_pages import GET_ERRORS, ORDER

OLD = ORDER["latestEvaluation"]
CRITERIA = {"accuracy": "Accuracy", "fluency": "Fluency", "tone": "Tone", "culturalFit": "Cultural Fit"}


@pytest.fixture
def fresh(ollang: Sandbox) -> str:
    """Give an order that has never been evaluated."""
    return ollang.add_order(type="subtitle")


def shown(client: Client, order_id: str = EXAMPLE_ID) -> tuple[str, bool]:
    """Return id and `isLoading` of the order's evaluation."""
    evaluation = client.order(order_id)["latestEvaluation"]
    return evaluation["id"], evaluation["isLoading"]


def accepted_evaluations(ollang: Sandbox, order_id: str = EXAMPLE_ID) -> int:
    return int(ollang.order(order_id)["evaluations_accepted"])


def test_evaluation_loads_and_then_has_scores(ollang: Sandbox, client: Client, fresh: str) -> None:
    assert "latestEvaluation" not in client.order(fresh), "no evaluation until one is requested"
    created = ollang.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = begun(client, fresh)
    message = "QC evaluation started. You will be notified when it's completed."
    evaluation_id = body.pop("evalId")
    assert body == {"success": True, "message": message, "creditsUsed": 5, "isProcessing": True}
    loading = {"id": evaluation_id, "orderId": fresh, "createdAt": created, "isLoading": True}
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


def test_evaluations_are_counted_and_kept_with_their_request(ollang: Sandbox, client: Client) -> None:
    report = ollang.order(EXAMPLE_ID)
    assert (report["evaluations_accepted"], report["evaluations_refused"], report["evaluations"]) == (0, 0, [])
    first = begun(client)
    ollang.advance(3)
    request = {"tone": False, "customPrompt": "Mind the Ümlaute", "callbackUrl": "https://hooks.example.com/qc"}
    second = begun(client, json=request)
    report = client.admin("GET", f"/orders/{EXAMPLE_ID}").json()
    assert (report["evaluations_accepted"], report["reruns_accepted"]) == (2, 0)
    everything = {**dict.fromkeys(CRITERIA, True), "customPrompt": None, "callbackUrl": None}
    asked = [(each["id"], each["asked"]) for each in report["evaluations"]]
    assert asked == [(first["evalId"], everything), (second["evalId"], {**everything, **request})]
    assert first["evalId"] != second["evalId"]
    line = next(line for line in ollang.overview()["orders"] if line["id"] == EXAMPLE_ID)
    assert (line["evaluations_accepted"], line["evaluations_refused"]) == (2, 0)
    assert [request.status for request in ollang.requests("POST", "*/qc")] == [200, 200]


@pytest.mark.parametrize("switch", CRITERIA)
def test_criterion_that_is_switched_off_has_no_score(ollang: Sandbox, client: Client, fresh: str, switch: str) -> None:
    begun(client, fresh, json={switch: False})
    ollang.advance(10)
    assert list(scores(client, fresh)) == [name for key, name in CRITERIA.items() if key != switch]


# What is refused, and in which order it is checked


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"accuracy": "yes"}, "accuracy must be a boolean value"),
        ({"culturalFit": 1}, "culturalFit must be a boolean value"),
        ({"customPrompt": ["a"]}, "customPrompt must be a string"),
    ],
)
def test_wrong_values_are_refused(ollang: Sandbox, client: Client, body: dict[str, Any], detail: str) -> None:
    answer = client.evaluate(json=body)
    assert (answer.status_code, answer.json()["message"]) == (400, detail)
    assert accepted_evaluations(ollang) == 0


def test_order_of_the_checks(ollang: Sandbox, client: Client) -> None:
    foreign = ollang.add_order(status="pending", owner="another")
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
    report = ollang.order(pending)
    assert (report["evaluations_accepted"], report["evaluations_refused"]) == (0, 1)


def test_errors_have_the_shape_of_the_options(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(status="pending", behaviour={"error_style": "unknown_error", "error_status": 500})
    response = client.evaluate(order_id)
    assert (response.status_code, response.json()["error"]) == (500, "UnknownError")


# Together with reruns and with one another


def test_rerun_keeps_or_clears_the_evaluation(ollang: Sandbox, client: Client) -> None:
    begun(client)
    ollang.advance(10)
    old = client.order()["latestEvaluation"]
    accepted(client.rerun())
    ollang.advance(32)
    assert client.order()["latestEvaluation"] == old
    ollang.change_order(EXAMPLE_ID, behaviour={"evaluation": "cleared"})
    accepted(client.rerun())
    assert "latestEvaluation" not in client.order()
    ollang.advance(32)
    begun(client)
    ollang.advance(10)
    assert shown(client)[0] != old["id"]


def test_second_evaluation_replaces_the_first(ollang: Sandbox, client: Client) -> None:
    begun(client)
    ollang.advance(5)
    second = begun(client)["evalId"]
    ollang.advance(5)
    assert shown(client) == (second, True), "the end of the first does not show"
    ollang.advance(5)
    assert shown(client) == (second, False)


def test_evaluation_of_a_run_and_one_that_is_requested(ollang: Sandbox, client: Client) -> None:
    ollang.change_order(EXAMPLE_ID, behaviour={"evaluation": "new", "qc_seconds": 2})
    accepted(client.rerun())
    ollang.advance(31)
    of_run = shown(client)[0]
    ollang.advance(1)
    requested = begun(client)["evalId"]
    ollang.advance(2)
    assert shown(client) == (requested, False)
    ollang.advance(1)
    assert shown(client) == (of_run, False)


def test_status_set_by_a_user_keeps_the_evaluation(ollang: Sandbox, client: Client) -> None:
    evaluation_id = begun(client)["evalId"]
    ollang.change_order(EXAMPLE_ID, status="delivered")
    ollang.advance(10)
    assert shown(client) == (evaluation_id, False)
