"""The options of a run: its statuses, documents, delivery events and evaluation."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang.sandbox import Sandbox

from .client import EXAMPLE_ID, Client, accepted, order_with, refused, rerun_and_wait, statuses
from .vendor_pages import ORDER

RUN_1, RUN_2 = "Translation (run 1)", "Translation (run 2)"


# The run


def test_first_run(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"status": "pending", "type": "subtitle"}, first_run=True)
    done = order_with(ollang, first_run=True)
    idle = order_with(ollang, {"status": "pending"})
    assert client.names(order_id) == []
    refused(client.rerun(order_id), 400, "ORDER_NOT_ELIGIBLE")
    ollang.advance(12)
    assert client.status(order_id) == "ongoing"
    ollang.advance(1000)
    assert (client.status(order_id), client.names(order_id)) == ("completed", ["Subtitles (run 1)"])
    assert ollang.order(order_id)["reruns_accepted"] == 0
    assert (client.names(done), len(ollang.order(done)["history"])) == ([RUN_1], 1)
    assert client.status(idle) == "pending", "nothing happens by itself without the option"


def test_run_seconds(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"type": "studioDubbing"}, run_seconds=3000)
    seen = ["completed", "pending", "ongoing", "qualityCheck", "readyToSent", "readyToSent", "completed"]
    assert statuses(ollang, client, order_id, (199, 200, 1000, 2400, 2800, 2999, 3000)) == seen
    assert client.names(order_id)[0] == "Studio audio (run 1)"
    ollang.advance(2)
    assert client.names(order_id)[0] == "Studio audio (run 2)"


def test_status_path(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, status_path=[[1, "teleporting"], [20, "Ongoing?"], [40, "never reached"]])
    seen = ["completed", "teleporting", "teleporting", "Ongoing?", "Ongoing?", "completed", "completed"]
    assert statuses(ollang, client, order_id, (0, 1, 19, 20, 29, 30, 41)) == seen


@pytest.mark.parametrize(
    ("hidden", "seen"),
    [
        (0, ["completed", "pending", "ongoing", "ongoing", "delivered"]),
        (4, ["completed", "completed", "ongoing", "ongoing", "delivered"]),
        (20, ["completed", "completed", "completed", "ongoing", "delivered"]),
        (60, ["completed", "completed", "completed", "completed", "delivered"]),
        (None, ["completed", "completed", "completed", "completed", "delivered"]),
    ],
)
def test_status_hidden_for(ollang: Sandbox, client: Client, hidden: float | None, seen: list[str]) -> None:
    order_id = order_with(ollang, status_hidden_for=hidden, end_status="delivered")
    assert statuses(ollang, client, order_id, (0, 3.5, 6, 25, 30)) == seen
    ollang.advance(60)
    assert (client.status(order_id), client.names(order_id)) == ("delivered", [RUN_2])


@pytest.mark.parametrize("end", ["delivered", "failed", "cancelled", "archived?", None])
def test_end_status(ollang: Sandbox, client: Client, end: str | None) -> None:
    order_id = order_with(ollang, end_status=end)
    assert statuses(ollang, client, order_id, (29, 30, 100_000))[1:] == [end or "ongoing"] * 2
    done = end == "delivered"
    assert client.names(order_id) == [RUN_2 if done else RUN_1]
    assert len(client.order(order_id)["deliveryEvents"]) == (4 if done else 2)
    assert client.rerun(order_id).status_code == (200 if done else 400)


def test_review_cancelled_after(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"type": "subtitle", "level": 1}, review_cancelled_after=16)
    before = client.order(order_id)
    assert statuses(ollang, client, order_id, (12, 15, 16)) == ["review", "ongoing", "completed"]
    ollang.advance(1000)
    after = client.order(order_id)
    assert (after["level"], after["orderDocs"]) == (0, before["orderDocs"])
    events = after["deliveryEvents"][len(before["deliveryEvents"]) :]
    assert [event["type"] for event in events] == ["ai_delivered"]
    assert ollang.order(order_id)["history"][-1]["cause"] == "human review cancelled"
    accepted(client.rerun(order_id))


# Its documents


def test_outputs__in_place(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"type": "subtitle"}, outputs="in_place")
    before = client.order(order_id)
    (old,) = client.outputs(order_id)
    after = rerun_and_wait(ollang, client, order_id)
    (new,) = client.outputs(order_id)
    assert {field for field in old if new[field] != old[field]} == {"name", "updatedAt", "size", "wordCount"}
    assert new["updatedAt"] > old["updatedAt"]
    assert after["vttUrl"] == before["vttUrl"]


def test_outputs__unchanged(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"type": "subtitle"}, outputs="unchanged")
    before = client.order(order_id)
    after = rerun_and_wait(ollang, client, order_id)
    assert {**after, "deliveryEvents": []} == {**before, "deliveryEvents": []}


def test_outputs__added(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"type": "aiDubbing"}, outputs="added")
    before = client.order(order_id)["orderDocs"]
    for run in (2, 3):
        after = rerun_and_wait(ollang, client, order_id)["orderDocs"]
        assert after[: len(before)] == before, "the old ones stay where they were"
        names = [document["name"] for document in after[len(before) :]]
        assert names == [f"Dubbed audio (run {run})", f"Dubbed vocals (run {run})"]
        before = after
    assert len({document["id"] for document in before}) == len(before)


@pytest.mark.parametrize(
    ("after", "moments"), [(0, (29.9, 30)), (2, (31.9, 32)), (600, (629.9, 630)), (-10, (19.9, 20)), (-99, (0, 0))]
)
def test_outputs_after(ollang: Sandbox, client: Client, after: float, moments: tuple[float, float]) -> None:
    order_id = order_with(ollang, outputs_after=after)
    accepted(client.rerun(order_id))
    ollang.advance(moments[0])
    if moments[0] != moments[1]:
        assert client.names(order_id) == [RUN_1]
    ollang.advance(moments[1] - moments[0])
    assert client.names(order_id) == [RUN_2]


def test_outputs_after__none(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, outputs_after=None)
    rerun_and_wait(ollang, client, order_id, 100_000)
    assert (client.status(order_id), client.names(order_id)) == ("completed", [RUN_1])


def test_output_interval(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"type": "studioDubbing"}, output_interval=10)
    rerun_and_wait(ollang, client, order_id)
    runs = []
    for _ in range(3):
        runs.append([name[-2] for name in client.names(order_id)])
        ollang.advance(10)
    assert runs == [["2", "1", "1"], ["2", "2", "1"], ["2", "2", "2"]]
    dates = [document["createdAt"] for document in client.outputs(order_id)]
    assert dates == sorted(set(dates))


@pytest.mark.parametrize("outputs", ["replaced", "unchanged"])
@pytest.mark.parametrize("how", ["removed", "null"])
def test_outputs_during_run__and_by_products(ollang: Sandbox, client: Client, how: str, outputs: str) -> None:
    order_id = order_with(ollang, outputs_during_run=how, outputs=outputs, auxiliary_documents=True)
    during = rerun_and_wait(ollang, client, order_id, 31)["orderDocs"]
    assert during is None if how == "null" else len(during) == 4
    ollang.advance(1)
    by_products = ["Invoice (run 2)", "Thumbnail (run 2)", "Waveform (run 2)"]
    output = RUN_2 if outputs == "replaced" else RUN_1
    assert sorted(client.names(order_id)) == sorted([*by_products, output])


@pytest.mark.parametrize(("how", "empty"), [("removed", ""), ("null", None)])
@pytest.mark.parametrize("outputs", ["replaced", "in_place", "unchanged", "added"])
def test_outputs_during_run(ollang: Sandbox, client: Client, how: str, empty: str | None, outputs: str) -> None:
    order_id = order_with(ollang, {"type": "subtitle"}, outputs_during_run=how, outputs=outputs)
    before = client.order(order_id)
    accepted(client.rerun(order_id))
    for moment in (0, 10, 21.9):
        ollang.advance(moment)
        during = client.order(order_id)
        assert during["orderDocs"] == (None if how == "null" else before["orderDocs"][:1])
        assert during["vttUrl"] == empty
    ollang.advance(0.1)
    after = client.order(order_id)
    assert after["orderDocs"][0] == before["orderDocs"][0]
    runs = {"unchanged": (1,), "added": (1, 2)}.get(outputs, (2,))
    assert client.names(order_id) == [f"Subtitles (run {run})" for run in runs]
    run = 1 if outputs in ("in_place", "unchanged") else 2
    assert after["vttUrl"].partition("?")[0].endswith(f"_run{run}.vtt")


def test_draft_documents(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"type": "subtitle", "level": 1}, draft_documents=True)
    rerun_and_wait(ollang, client, order_id, 11.9)
    names = client.names(order_id)
    for seconds in (0.1, 20):
        ollang.advance(seconds)
        names += client.names(order_id)
    assert names == ["Subtitles (run 1)", "Subtitles (run 2, draft)", "Subtitles (run 2)"]


def test_auxiliary_documents(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, auxiliary_documents=True)
    before = client.order(order_id)["orderDocs"]
    accepted(client.rerun(order_id))
    after = client.order(order_id)["orderDocs"]
    added = after[len(before) :]
    assert after[: len(before)] == before
    assert [document["type"] for document in added] == ["invoice", "created_thumbnail", "created_waveform"]
    assert all("(run 2)" in document["name"] for document in added)
    ollang.advance(32)
    assert client.names(order_id)[0] == RUN_2
    assert len(client.names(order_id)) == 4, "by-products are not renewed"


# Its delivery events


@pytest.mark.parametrize(
    ("option", "at_first", "at_the_end"),
    [
        ("appended", ["ai_delivered", "order_delivered"], ["ai_delivered", "order_delivered"] * 2),
        ("unchanged", ["ai_delivered", "order_delivered"], ["ai_delivered", "order_delivered"]),
        ("empty", [], []),
        ("absent", None, None),
    ],
)
def test_delivery_events(ollang: Sandbox, client: Client, option: str, at_first: Any, at_the_end: Any) -> None:
    def kinds() -> list[str] | None:
        events = client.order(order_id).get("deliveryEvents")
        return None if events is None else [event["type"] for event in events]

    order_id = order_with(ollang, delivery_events=option)
    assert kinds() == at_first
    rerun_and_wait(ollang, client, order_id)
    assert kinds() == at_the_end


def test_delivery_events_delay(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, delivery_events_delay=100)
    rerun_and_wait(ollang, client, order_id, 30)
    ended = ollang.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    ollang.advance(99.9)
    assert len(client.order(order_id)["deliveryEvents"]) == 2
    ollang.advance(0.1)
    events = client.order(order_id)["deliveryEvents"]
    assert [event["occurredAt"] for event in events[2:]] == [ended, ended], "dated when it happened"


# Its evaluation


def test_evaluation__cleared(ollang: Sandbox, client: Client) -> None:
    ollang.change_order(EXAMPLE_ID, behaviour={"evaluation": "cleared"})
    assert "latestEvaluation" in client.order()
    assert "latestEvaluation" not in rerun_and_wait(ollang, client, EXAMPLE_ID, 0)
    ollang.advance(1000)
    assert "latestEvaluation" not in client.order()


def test_evaluation__new(ollang: Sandbox, client: Client) -> None:
    ollang.change_order(EXAMPLE_ID, behaviour={"evaluation": "new"})
    old = ORDER["latestEvaluation"]
    assert rerun_and_wait(ollang, client, EXAMPLE_ID, 29)["latestEvaluation"] == old
    ollang.advance(1)
    loading = client.order()["latestEvaluation"]
    assert set(loading) == {"id", "orderId", "createdAt", "isLoading"}
    assert (loading["isLoading"], loading["orderId"], loading["id"] != old["id"]) == (True, EXAMPLE_ID, True)
    ollang.advance(5)
    new = client.order()["latestEvaluation"]
    assert set(new) == set(old)
    assert (new["isLoading"], new["id"], new["createdAt"]) == (False, loading["id"], loading["createdAt"])
    assert [score["name"] for score in new["scores"]] == [score["name"] for score in old["scores"]]
    assert set(new["segmentEvals"][0]) == set(old["segmentEvals"][0])
    assert "run 2" in new["textSummary"]
    newer = rerun_and_wait(ollang, client, EXAMPLE_ID, 35)["latestEvaluation"]
    assert newer["id"] != new["id"]
    assert [score["value"] for score in newer["scores"]] == [score["value"] + 1 for score in new["scores"]]


def test_evaluation__loading(ollang: Sandbox, client: Client) -> None:
    ollang.change_order(EXAMPLE_ID, behaviour={"evaluation": "loading"})
    evaluation = rerun_and_wait(ollang, client, EXAMPLE_ID, 1_000_000)["latestEvaluation"]
    assert (evaluation["isLoading"], "scores" in evaluation) == (True, False)
