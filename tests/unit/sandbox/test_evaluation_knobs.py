"""The knobs of quality checks, each turned both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .client import EXAMPLE_ID, Client, accepted, begun, refused, scores
from .vendor_pages import ORDER

if TYPE_CHECKING:
    from typing import Any

    from airflow_provider_ollang.sandbox import Sandbox

OLD = ORDER["latestEvaluation"]


def evaluated(ollang: Sandbox, **knobs: Any) -> str:
    """Return an order that has an evaluation already."""
    ollang.change_order(EXAMPLE_ID, behaviour=knobs)
    return EXAMPLE_ID


def test_qc_success(ollang: Sandbox, client: Client) -> None:
    evaluated(ollang, qc_success=False)
    answer = begun(client)
    assert (answer["success"], "evalId" in answer) == (False, False)
    ollang.advance(100)
    assert client.order()["latestEvaluation"] == OLD
    report = ollang.order(EXAMPLE_ID)
    assert (report["evaluations_accepted"], report["evaluations_refused"]) == (0, 1)


@pytest.mark.parametrize("status", [400, 402, 403])
def test_qc_no_credits(ollang: Sandbox, client: Client, status: int) -> None:
    evaluated(ollang, qc_no_credits=status)
    refused(client.evaluate(), status, "INSUFFICIENT_CREDITS")
    assert ollang.order(EXAMPLE_ID)["evaluations_refused"] == 1
    accepted(client.rerun())


def test_qc_seconds(ollang: Sandbox, client: Client) -> None:
    evaluated(ollang, qc_seconds=600)
    begun(client)
    ollang.advance(599.9)
    assert client.order()["latestEvaluation"]["isLoading"] is True
    ollang.advance(0.1)
    assert client.order()["latestEvaluation"]["isLoading"] is False


def test_qc_seconds__for_ever(ollang: Sandbox, client: Client) -> None:
    evaluated(ollang, qc_seconds=None)
    begun(client)
    ollang.advance(1_000_000)
    assert client.order()["latestEvaluation"]["isLoading"] is True


def test_qc_seconds__at_once(ollang: Sandbox, client: Client) -> None:
    evaluated(ollang, qc_seconds=0, qc_scores=[{"Accuracy": 80}])
    answer = begun(client)
    assert (answer["isProcessing"], answer["scores"]) == (
        False,
        [{"name": "Accuracy", "details": "Translation accuracy and correctness", "score": 80.0}],
    )
    assert [set(segment) for segment in answer["segmentEvals"]] == [{"segmentId", "scores", "comments"}]
    shown = client.order()["latestEvaluation"]
    assert (shown["isLoading"], shown["textSummary"]) == (False, answer["textSummary"])


@pytest.mark.parametrize("how", ["loading", "kept", "cleared"])
def test_qc_meanwhile(ollang: Sandbox, client: Client, how: str) -> None:
    evaluated(ollang, qc_meanwhile=how)
    evaluation_id = begun(client)["evalId"]
    ollang.advance(9.9)
    shown = client.order().get("latestEvaluation")
    if how == "loading":
        assert shown is not None
        assert (shown["id"], shown["isLoading"]) == (evaluation_id, True)
    else:
        assert shown == (OLD if how == "kept" else None)
    ollang.advance(0.1)
    shown = client.order()["latestEvaluation"]
    assert (shown["id"], shown["isLoading"]) == (evaluation_id, False)


@pytest.mark.parametrize("how", ["answered", "other"])
def test_qc_id(ollang: Sandbox, client: Client, how: str) -> None:
    evaluated(ollang, qc_id=how)
    answered = begun(client)["evalId"]
    seen = {client.order()["latestEvaluation"]["id"]}
    ollang.advance(10)
    seen.add(client.order()["latestEvaluation"]["id"])
    assert len(seen) == 1, "it keeps its id"
    assert (answered in seen) is (how == "answered")
    assert OLD["id"] not in seen
    (report,) = ollang.order(EXAMPLE_ID)["evaluations"]
    assert (report["id"], {report["shown_id"]}) == (answered, seen)


def test_qc_scores(ollang: Sandbox, client: Client) -> None:
    first, second = {"Accuracy": 40.5, "Brevity": 1.0}, {"Accuracy": 99.0, "Cultural Fit": 70.0}
    evaluated(ollang, qc_scores=[first, second])
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


def test_qc_scores__by_themselves_are_better_with_every_run(ollang: Sandbox, client: Client) -> None:
    seen = []
    for _ in range(2):
        accepted(client.rerun())
        begun(client)
        ollang.advance(10)
        seen.append(scores(client))
        ollang.advance(22)
    assert seen[0] == {"Accuracy": 92, "Fluency": 88, "Tone": 90, "Cultural Fit": 85}, (
        "of the result it was asked about"
    )
    assert seen[1] == {name: value + 1 for name, value in seen[0].items()}


def test_evaluation_field(ollang: Sandbox, client: Client) -> None:
    evaluated(ollang, evaluation_field="qcEvaluation")
    order = client.order()
    assert (order["qcEvaluation"], "latestEvaluation" in order) == (OLD, False)
    begun(client)
    assert client.order()["qcEvaluation"]["isLoading"] is True
    assert not {"qcEvaluation", "latestEvaluation"} & set(client.order(ollang.add_order()))
    evaluated(ollang, evaluation_field="latestEvaluation")
    assert "qcEvaluation" not in client.order()


def test_evaluation_shape(ollang: Sandbox, client: Client) -> None:
    evaluated(ollang, evaluation_shape="callback")
    shown = client.order()["latestEvaluation"]
    assert shown["scores"] == [
        {"name": score["name"], "details": score["description"], "score": score["value"]} for score in OLD["scores"]
    ]
    assert shown["segmentEvals"] == [
        {"segmentId": "seg_001", "comments": "Minor grammatical adjustment recommended", "scores": shown["scores"]}
    ]
    begun(client)
    ollang.advance(10)
    assert "score" in client.order()["latestEvaluation"]["scores"][0]
    evaluated(ollang, evaluation_shape="documented")
    assert "value" in client.order()["latestEvaluation"]["scores"][0]
