"""What a rerun does, second by second."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.sandbox.clock import parse_iso, to_iso
from airflow_provider_ollang.sandbox.lifecycle import REVIEWED_STAGES, STAGES, Stage

from .client import EXAMPLE_ID, Client, accepted, refused
from .vendor_pages import ORDER


def run_of(ollang: Sandbox, client: Client, order_id: str, seconds: int = 40) -> list[tuple[int, str]]:
    """Rerun an order and look at it every second; return each status with the second it was first seen."""
    accepted(client.rerun(order_id))
    seen: list[tuple[int, str]] = []
    for second in range(seconds + 1):
        status = client.status(order_id)
        if not seen or seen[-1][1] != status:
            seen.append((second, status))
        ollang.advance(1)
    return seen


def test_rerun_of_the_example(ollang: Sandbox, client: Client) -> None:
    accepted(client.rerun())
    began = ollang.now
    assert client.order() == ORDER, "at first the old result, unchanged"
    seen = []
    for seconds in (1.999, 0.001, 2.999, 0.001, 24.999, 0.001, 1.999, 0.001):
        ollang.advance(seconds)
        order = client.order()
        seen.append(((ollang.now - began).total_seconds(), order["status"], client.names(EXAMPLE_ID), order["vttUrl"]))
    old, new = ["French Subtitles"], ["French Subtitles (run 2)"]
    old_vtt = "https://example.com/subtitles/sample_project_fr.vtt"
    new_vtt = "https://example.com/subtitles/sample_project_fr_run2.vtt"
    assert seen == [
        (1.999, "completed", old, old_vtt),
        (2.0, "pending", old, old_vtt),
        (4.999, "pending", old, old_vtt),
        (5.0, "ongoing", old, old_vtt),
        (29.999, "ongoing", old, old_vtt),
        (30.0, "completed", old, old_vtt),
        (31.999, "completed", old, old_vtt),
        (32.0, "completed", new, new_vtt),
    ]


def test_new_outputs_have_new_dates_and_sources_stay(ollang: Sandbox, client: Client) -> None:
    accepted(client.rerun())
    ollang.advance(32)
    order = client.order()
    source, output = order["orderDocs"]
    assert source == ORDER["orderDocs"][0]
    old = ORDER["orderDocs"][1]
    assert set(output) == set(old)
    assert output["id"] != old["id"]
    assert output["createdAt"] == output["updatedAt"] == to_iso(round(ollang.now.timestamp() * 1000))
    assert all(output[field] != old[field] for field in ("name", "url", "size", "wordCount"))
    kept = {"deliveryEvents", "orderDocs", "vttUrl"}
    assert {field: order[field] for field in ORDER if field not in kept} == {
        field: ORDER[field] for field in ORDER if field not in kept
    }


def test_outputs_carry_the_number_of_their_run(ollang: Sandbox, client: Client) -> None:
    for run in (2, 3, 4):
        accepted(client.rerun())
        ollang.advance(32)
        assert client.names(EXAMPLE_ID) == [f"French Subtitles (run {run})"]
        assert f"_run{run}.srt" in client.outputs(EXAMPLE_ID)[0]["url"]
    assert ollang.order(EXAMPLE_ID)["reruns_accepted"] == 3


def test_outputs_of_every_type_are_renewed(ollang: Sandbox, client: Client) -> None:
    for order_type in STAGES:
        order_id = ollang.add_order(type=order_type)
        before = client.names(order_id)
        assert before
        assert all(name.endswith("(run 1)") for name in before)
        accepted(client.rerun(order_id))
        ollang.advance(32)
        assert client.names(order_id) == [name.replace("(run 1)", "(run 2)") for name in before]


def seconds_of(path: tuple[Stage, ...]) -> list[tuple[int, str]]:
    return [(int(stage.after), stage.status) for stage in path]


@pytest.mark.parametrize("order_type", [*STAGES, "somethingNew"])
def test_lifecycle_of_each_type(ollang: Sandbox, client: Client, order_type: str) -> None:
    order_id = ollang.add_order(type=order_type)
    path = seconds_of(STAGES.get(order_type, STAGES["other"]))
    assert path[0] == (2, "pending")
    assert run_of(ollang, client, order_id) == [(0, "completed"), *path, (30, "completed")]


@pytest.mark.parametrize("order_type", ["subtitle", "studioDubbing"])
def test_lifecycle_at_level_1_has_a_review(ollang: Sandbox, client: Client, order_type: str) -> None:
    order_id = ollang.add_order(type=order_type, level=1, status="delivered")
    known = len(client.order(order_id)["deliveryEvents"])
    seen = run_of(ollang, client, order_id)
    assert seen == [(0, "delivered"), *seconds_of(REVIEWED_STAGES), (30, "completed")]
    events = client.order(order_id)["deliveryEvents"][known:]
    assert [(event["type"], event["actorType"]) for event in events] == [
        ("ai_delivered", "ai"),
        ("translator_delivered", "translator"),
        ("lsp_approved", "lsp"),
        ("order_delivered", "system"),
    ]


def test_delivery_events_at_the_end_of_the_run(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(type="document")
    before = client.order(order_id)["deliveryEvents"]
    accepted(client.rerun(order_id))
    ollang.advance(29)
    assert client.order(order_id)["deliveryEvents"] == before
    ollang.advance(1)
    end = round(ollang.now.timestamp() * 1000)
    after = client.order(order_id)["deliveryEvents"]
    assert after[: len(before)] == before
    assert after[len(before) :] == [
        {"type": "ai_delivered", "occurredAt": to_iso(end), "actorType": "ai", "actorId": None},
        {"type": "order_delivered", "occurredAt": to_iso(end), "actorType": "system", "actorId": None},
    ]


def test_order_without_delivery_events_gets_its_first(ollang: Sandbox, client: Client) -> None:
    assert "deliveryEvents" not in client.order()
    accepted(client.rerun())
    ollang.advance(30)
    assert [event["type"] for event in client.order()["deliveryEvents"]] == ["ai_delivered", "order_delivered"]


def test_rerun_during_a_run_is_refused(ollang: Sandbox, client: Client) -> None:
    accepted(client.rerun())
    assert client.status(EXAMPLE_ID) == "completed"
    refused(client.rerun(), 400, "ORDER_NOT_ELIGIBLE")
    ollang.advance(29)
    refused(client.rerun(), 400, "ORDER_NOT_ELIGIBLE")
    ollang.advance(1)
    accepted(client.rerun())
    report = ollang.order(EXAMPLE_ID)
    assert (report["reruns_accepted"], report["reruns_refused"], report["run"]) == (2, 2, 3)


def test_history_has_each_status_and_its_time(ollang: Sandbox, client: Client) -> None:
    accepted(client.rerun())
    accepted_at = round(ollang.now.timestamp() * 1000)
    ollang.advance(100)
    history = ollang.order(EXAMPLE_ID)["history"]
    seen = [(line["status"], line["cause"]) for line in history]
    assert seen == [("completed", "start"), ("pending", "run 2"), ("ongoing", "run 2"), ("completed", "run 2")]
    assert [(parse_iso(line["time"]) or 0) - accepted_at for line in history[1:]] == [2_000, 5_000, 30_000]


@pytest.mark.parametrize(
    "odd",
    [
        {"orderDocs": None, "deliveryEvents": None, "latestEvaluation": None, "vttUrl": None},
        {"orderDocs": [], "deliveryEvents": [], "vttUrl": ""},
        {"orderDocs": {"a": 1}, "deliveryEvents": "none", "vttUrl": 7, "level": None, "type": None},
        {"orderDocs": [None, 1, "x", {}, {"type": None}, {"type": ["subtitle"], "size": "big"}], "type": []},
    ],
)
def test_odd_orders_are_shown_as_they_are_and_rerun(ollang: Sandbox, client: Client, odd: dict[str, Any]) -> None:
    order_id = ollang.add_order({"id": "odd", "status": "completed", **odd}, exact=True)
    assert client.order(order_id) == {"id": "odd", "status": "completed", **odd}
    accepted(client.rerun(order_id))
    ollang.advance(32)
    order = client.order(order_id)
    assert order["status"] == "completed"
    assert any("(run 2)" in str(document) for document in order["orderDocs"])
