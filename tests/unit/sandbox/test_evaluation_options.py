"""The options of evaluations, each with both effects."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang.sandbox import Sandbox

from .client import EXAMPLE_ID, Client, accepted, begun, refused, scores
from .vendor_pages import ORDER

OLD = ORDER["latestEvaluation"]


def options(ollang: Sandbox, **options: Any) -> None:
    """Set options of the example, which has an evaluation already."""
    ollang.change_order(EXAMPLE_ID, behaviour=options)


def evaluation(client: Client) -> dict[str, Any]:
    shown: dict[str, Any] = client.order()["latestEvaluation"]
    return shown


def test_qc_success(ollang: Sandbox, client: Client) -> None:
    options(ollang, qc_success=False)
    body = begun(client)
    assert (body["success"], "evalId" in body) == (False, False)
    ollang.advance(100)
    assert evaluation(client) == OLD
    report = ollang.order(EXAMPLE_ID)
    assert (report["evaluations_accepted"], report["evaluations_refused"]) == (0, 1)


@pytest.mark.parametrize("status", [400, 402, 403])
def test_qc_no_credits(ollang: Sandbox, client: Client, status: int) -> None:
    options(ollang, qc_no_credits=status)
    refused(client.evaluate(), status, "INSUFFICIENT_CREDITS")
    assert ollang.order(EXAMPLE_ID)["evaluations_refused"] == 1
    accepted(client.rerun())


@pytest.mark.parametrize(("seconds", "ends"), [(600, True), (None, False)])
def test_qc_seconds(ollang: Sandbox, client: Client, seconds: float | None, ends: bool) -> None:
    options(ollang, qc_seconds=seconds)
    begun(client)
    ollang.advance(599.9)
    assert evaluation(client)["isLoading"] is True
    ollang.advance(0.1 if ends else 1_000_000)
    assert evaluation(client)["isLoading"] is not ends


def test_qc_seconds__at_once(ollang: Sandbox, client: Client) -> None:
    options(ollang, qc_seconds=0, qc_scores=[{"Accuracy": 80}])
    body = begun(client)
    score = {"name": "Accuracy", "details": "Translation accuracy and correctness", "score": 80.0}
    assert (body["isProcessing"], body["scores"]) == (False, [score])
    assert [set(segment) for segment in body["segmentEvals"]] == [{"segmentId", "scores", "comments"}]
    shown = evaluation(client)
    assert (shown["isLoading"], shown["textSummary"]) == (False, body["textSummary"])


@pytest.mark.parametrize("how", ["loading", "kept", "cleared"])
def test_qc_meanwhile(ollang: Sandbox, client: Client, how: str) -> None:
    options(ollang, qc_meanwhile=how)
    evaluation_id = begun(client)["evalId"]
    ollang.advance(9.9)
    shown = client.order().get("latestEvaluation")
    if how == "loading":
        assert shown is not None
        assert (shown["id"], shown["isLoading"]) == (evaluation_id, True)
    else:
        assert shown == (OLD if how == "kept" else None)
    ollang.advance(0.1)
    assert (evaluation(client)["id"], evaluation(client)["isLoading"]) == (evaluation_id, False)


@pytest.mark.parametrize("how", ["answered", "other"])
def test_qc_id(ollang: Sandbox, client: Client, how: str) -> None:
    options(ollang, qc_id=how)
    answered = begun(client)["evalId"]
    shown_id = evaluation(client)["id"]
    ollang.advance(10)
    assert evaluation(client)["id"] == shown_id != OLD["id"], "it keeps its id"
    assert (answered == shown_id) is (how == "answered")
    (report,) = ollang.order(EXAMPLE_ID)["evaluations"]
    assert (report["id"], report["shown_id"]) == (answered, shown_id)


def test_qc_scores(ollang: Sandbox, client: Client) -> None:
    first, second = {"Accuracy": 40.5, "Brevity": 1.0}, {"Accuracy": 99.0, "Cultural Fit": 70.0}
    options(ollang, qc_scores=[first, second])
    seen = []
    for _ in range(3):
        begun(client)
        ollang.advance(10)
        seen.append(scores(client))
        accepted(client.rerun())
        ollang.advance(32)
    assert seen == [first, second, second]
    begun(client, json={"culturalFit": False})
    ollang.advance(10)
    assert scores(client) == {"Accuracy": 99.0}


def test_qc_scores__rise_with_every_run(ollang: Sandbox, client: Client) -> None:
    seen = []
    for _ in range(2):
        accepted(client.rerun())
        begun(client)
        ollang.advance(10)
        seen.append(scores(client))
        ollang.advance(22)
    assert seen[0] == {"Accuracy": 92, "Fluency": 88, "Tone": 90, "Cultural Fit": 85}, "of the result at the request"
    assert seen[1] == {name: value + 1 for name, value in seen[0].items()}


def test_evaluation_field(ollang: Sandbox, client: Client) -> None:
    options(ollang, evaluation_field="qcEvaluation")
    order = client.order()
    assert (order["qcEvaluation"], "latestEvaluation" in order) == (OLD, False)
    begun(client)
    assert client.order()["qcEvaluation"]["isLoading"] is True
    assert not {"qcEvaluation", "latestEvaluation"} & set(client.order(ollang.add_order()))
    options(ollang, evaluation_field="latestEvaluation")
    assert "qcEvaluation" not in client.order()


def test_evaluation_shape(ollang: Sandbox, client: Client) -> None:
    options(ollang, evaluation_shape="callback")
    shown = evaluation(client)
    assert shown["scores"] == [
        {"name": score["name"], "details": score["description"], "score": score["value"]} for score in OLD["scores"]
    ]
    assert shown["segmentEvals"] == [
        {"segmentId": "seg_001", "comments": "Minor grammatical adjustment recommended", "scores": shown["scores"]}
    ]
    begun(client)
    ollang.advance(10)
    assert "score" in evaluation(client)["scores"][0]
    options(ollang, evaluation_shape="documented")
    assert "value" in evaluation(client)["scores"][0]
