"""Every option has its effect on the wire, and none is without a test."""

from __future__ import annotations

import dataclasses
import sys
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.sandbox import Behaviour, Sandbox, SandboxError

from . import test_evaluation_options, test_files, test_links
from .client import EXAMPLE_ID, Client, accepted, refused
from .vendor_pages import ORDER

if TYPE_CHECKING:
    from collections.abc import Sequence

RUN_1, RUN_2 = "Translation (run 1)", "Translation (run 2)"


def order_with(ollang: Sandbox, fields: dict[str, Any] | None = None, **options: Any) -> str:
    return ollang.add_order(fields or {"type": "document"}, behaviour=options)


def statuses(ollang: Sandbox, client: Client, order_id: str, moments: Sequence[float]) -> list[str]:
    """Rerun an order and return its status at these seconds."""
    accepted(client.rerun(order_id))
    seen, passed = [], 0.0
    for moment in moments:
        ollang.advance(moment - passed)
        passed = moment
        seen.append(client.status(order_id))
    return seen


def rerun_and_wait(ollang: Sandbox, client: Client, order_id: str, seconds: float = 32) -> dict[str, Any]:
    accepted(client.rerun(order_id))
    ollang.advance(seconds)
    return client.order(order_id)


def test_every_option_has_a_test() -> None:
    modules = (sys.modules[__name__], test_evaluation_options, test_files, test_links)
    tests = [name for module in modules for name in dir(module)]
    for field in dataclasses.fields(Behaviour):
        assert any(name == f"test_{field.name}" or name.startswith(f"test_{field.name}__") for name in tests), (
            field.name
        )


# The response to a rerun


def test_rerun_success(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, rerun_success=False)
    response = client.rerun(order_id)
    assert (response.status_code, response.json()["success"], response.json()["orderId"]) == (200, False, order_id)
    ollang.advance(40)
    report = ollang.order(order_id)
    assert (report["reruns_accepted"], report["reruns_refused"], len(report["history"])) == (0, 1, 1)


def test_rerun_accepted_status(ollang: Sandbox, client: Client) -> None:
    response = client.rerun(order_with(ollang, rerun_accepted_status=202))
    assert (response.status_code, response.json()["success"]) == (202, True)


@pytest.mark.parametrize(
    ("policy", "at_once", "later"),
    [("400", 400, 400), ("409", 409, 409), ("accept", 200, 200), ("by_status", 200, 400)],
)
def test_rerun_while_running(ollang: Sandbox, client: Client, policy: str, at_once: int, later: int) -> None:
    order_id = order_with(ollang, rerun_while_running=policy)
    accepted(client.rerun(order_id))
    assert client.rerun(order_id).status_code == at_once, "still shown as completed"
    ollang.advance(10)
    assert client.rerun(order_id).status_code == later
    count = [at_once, later].count(200)
    report = ollang.order(order_id)
    assert (report["reruns_accepted"], report["reruns_refused"]) == (1 + count, 2 - count)
    ollang.advance(32)
    assert client.names(order_id) == [f"Translation (run {2 + count})"]


@pytest.mark.parametrize("status", [400, 402, 403])
def test_no_credits(ollang: Sandbox, client: Client, status: int) -> None:
    order_id = order_with(ollang, no_credits=status)
    refused(client.rerun(order_id), status, "INSUFFICIENT_CREDITS")
    assert ollang.order(order_id)["reruns_accepted"] == 0


def test_processed_twice(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, processed_twice=True)
    rerun_and_wait(ollang, client, order_id)
    assert (ollang.order(order_id)["reruns_accepted"], client.names(order_id)) == (2, ["Translation (run 3)"])


def test_answered_id(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, answered_id="another")
    assert (client.order(order_id)["id"], client.rerun(order_id).json()["orderId"]) == ("another", "another")


REASON = "Only completed or delivered orders can be rerun"


@pytest.mark.parametrize(
    ("style", "body"),
    [
        ("documented", {"error": "Order not eligible for rerun", "message": REASON, "code": "ORDER_NOT_ELIGIBLE"}),
        ("unknown_error", {"code": -1, "error": "UnknownError", "message": "unknown error", "detail": REASON}),
        ("message_only", {"message": REASON}),
    ],
)
def test_error_style(ollang: Sandbox, client: Client, style: str, body: dict[str, Any]) -> None:
    response = client.rerun(order_with(ollang, {"status": "pending"}, error_style=style))
    assert (response.status_code, response.json()) == (400, body)


def test_error_style__of_the_whole_sandbox() -> None:
    with Sandbox(behaviour={"error_style": "message_only"}) as ollang, Client(ollang) as client:
        assert client.get("nobody").json() == {"message": "No order found with the provided orderId"}
        client.session.headers["X-Api-Key"] = "wrong"
        assert client.get().json() == {"message": "Invalid or missing API key"}


def test_error_status(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"status": "pending"}, error_status=500)
    refused(client.rerun(order_id), 500, "ORDER_NOT_ELIGIBLE")
    assert client.get(order_id).status_code == 200


# The run


def test_first_run(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"status": "pending", "type": "subtitle"}, first_run=True)
    assert client.names(order_id) == []
    refused(client.rerun(order_id), 400, "ORDER_NOT_ELIGIBLE")
    ollang.advance(12)
    assert client.status(order_id) == "ongoing"
    ollang.advance(20)
    assert (client.status(order_id), client.names(order_id)) == ("completed", ["Subtitles (run 1)"])
    assert ollang.order(order_id)["reruns_accepted"] == 0
    done = order_with(ollang, first_run=True)
    idle = order_with(ollang, {"status": "pending"})
    ollang.advance(1000)
    assert (client.status(done), client.names(done)) == ("completed", [RUN_1])
    assert len(ollang.order(done)["history"]) == 1
    assert client.status(idle) == "pending", "nothing happens by itself without the option"


def test_rerun_level(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"type": "document", "level": 1}, rerun_level=0)
    assert client.order(order_id)["level"] == 1
    accepted(client.rerun(order_id))
    assert client.order(order_id)["level"] == 0
    ollang.advance(13)
    assert client.status(order_id) == "ongoing", "no review"


def test_run_seconds(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"type": "studioDubbing"}, run_seconds=3000)
    assert statuses(ollang, client, order_id, (199, 200, 1000, 2400, 2800, 2999, 3000)) == [
        *("completed", "pending", "ongoing", "qualityCheck", "readyToSent", "readyToSent", "completed")
    ]
    assert client.names(order_id)[0] == "Studio audio (run 1)"
    ollang.advance(2)
    assert client.names(order_id)[0] == "Studio audio (run 2)"


def test_status_path(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, status_path=[[1, "teleporting"], [20, "Ongoing?"], [40, "never reached"]])
    assert statuses(ollang, client, order_id, (0, 1, 19, 20, 29, 30, 41)) == [
        *("completed", "teleporting", "teleporting", "Ongoing?", "Ongoing?", "completed", "completed")
    ]


@pytest.mark.parametrize(
    ("hidden", "expected"),
    [
        (0, ["completed", "pending", "ongoing", "ongoing", "delivered"]),
        (4, ["completed", "completed", "ongoing", "ongoing", "delivered"]),
        (20, ["completed", "completed", "completed", "ongoing", "delivered"]),
        (60, ["completed", "completed", "completed", "completed", "delivered"]),
        (None, ["completed", "completed", "completed", "completed", "delivered"]),
    ],
)
def test_status_hidden_for(ollang: Sandbox, client: Client, hidden: float | None, expected: list[str]) -> None:
    order_id = order_with(ollang, status_hidden_for=hidden, end_status="delivered")
    assert statuses(ollang, client, order_id, (0, 3.5, 6, 25, 30)) == expected
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


def test_outputs__replaced(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, outputs="replaced")
    (old,) = client.outputs(order_id)
    rerun_and_wait(ollang, client, order_id)
    (new,) = client.outputs(order_id)
    assert (new["id"] != old["id"], new["createdAt"] > old["createdAt"], new["name"]) == (True, True, RUN_2)


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


def test_evaluation__kept(ollang: Sandbox, client: Client) -> None:
    assert rerun_and_wait(ollang, client, EXAMPLE_ID, 1000)["latestEvaluation"] == ORDER["latestEvaluation"]


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


# How it is shown


def test_stale_every(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, stale_every=3, stale_by=10)
    accepted(client.rerun(order_id))
    ollang.advance(12)
    assert [client.status(order_id) for _ in range(6)] == ["ongoing", "ongoing", "pending"] * 2


def test_stale_by(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, stale_every=1, stale_by=25)
    rerun_and_wait(ollang, client, order_id, 1)
    assert client.status(order_id) == "completed", "before its time it is as it was at first"
    ollang.advance(29)
    assert client.status(order_id) == "ongoing"
    ollang.advance(25)
    assert client.status(order_id) == "completed"


def test_list_stale_by(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(name="lagging", behaviour={"list_stale_by": 20})
    rerun_and_wait(ollang, client, order_id, 21.9)
    listed = client.ask("GET", "/integration/orders?filter[name]=lagging").json()["data"]
    assert (listed[0]["status"], client.status(order_id)) == ("completed", "ongoing")
    ollang.advance(0.1)
    listed = client.ask("GET", "/integration/orders?filter[name]=lagging").json()["data"]
    assert listed[0]["status"] == "pending"


def test_date_ahead() -> None:
    with Sandbox(speed=0, behaviour={"date_ahead": 90}) as ollang, Client(ollang) as client:
        answer = client.get()
        ahead = parsedate_to_datetime(answer.headers["Date"]) - ollang.now.replace(microsecond=0)
        assert ahead.total_seconds() == 90
        assert answer.headers["Date"] == ollang.http_date()


def test_null_fields(ollang: Sandbox, client: Client) -> None:
    names = ["folderId", "vttUrl", "orderDocs.updatedAt", "finance.paymentAmount", "nothing.at.all"]
    order = client.order(order_with(ollang, null_fields=names))
    assert (order["folderId"], order["vttUrl"], order["finance"]) == (None, None, {"paymentAmount": None})
    assert [document["updatedAt"] for document in order["orderDocs"]] == [None, None]
    assert "nothing" not in order


def test_missing_fields(ollang: Sandbox, client: Client) -> None:
    fields = ["id", "orderDocs.createdAt", "deliveryEvents.occurredAt", "vttUrl"]
    order = client.order(order_with(ollang, missing_fields=fields))
    assert not {"id", "vttUrl"} & set(order)
    assert all("createdAt" not in document for document in order["orderDocs"])
    assert all(set(event) == {"type", "actorType", "actorId"} for event in order["deliveryEvents"])
    assert "createdAt" in order


def test_ignored_filters() -> None:
    with Sandbox(behaviour={"ignored_filters": ["status", "createdAtRange"]}) as ollang, Client(ollang) as client:
        query = "filter[status]=pending&filter[createdAtRange][from]=2999-01-01&filter[type]=cc"
        rows = client.ask("GET", f"/integration/orders?{query}").json()["data"]
        assert {row["type"] for row in rows} == {"cc"}
        assert len({row["status"] for row in rows}) > 1


# How options are given


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"end_stats": "failed"}, "did you mean 'end_status'?"),
        ({"zzz": 1}, "it has rerun_success"),
        ({"rerun_success": "yes"}, "Behaviour.rerun_success takes true or false, not 'yes'."),
        ({"run_seconds": True}, "takes number"),
        ({"run_seconds": float("inf")}, "takes number"),
        ({"run_seconds": -1}, "at least 0"),
        ({"no_credits": 500}, "takes `400`, `402`, `403` or null, not 500."),
        ({"rerun_accepted_status": 300}, "within 200 and 299"),
        ({"error_status": 399}, "within 400 and 599"),
        ({"stale_every": 1.5}, "takes whole number"),
        ({"status_path": [["pending", 2]]}, "takes list of [number, text] or null"),
        ({"status_path": [[2]]}, "takes list of [number, text]"),
        ({"null_fields": "vttUrl"}, "takes list of text"),
        ({"wrong_sizes": [["*", 1.5]]}, "takes list of [text, whole number]"),
        ({"link_lifetime": 0}, "must be at least 1"),
        ({"qc_seconds": -1}, "at least 0"),
        ({"qc_scores": [{"Accuracy": "good"}]}, "takes list of object of number"),
        ({"outputs": "new"}, 'takes `"replaced"`'),
        ([], "behaviour is an object of options"),
    ],
)
def test_wrong_options_are_refused(ollang: Sandbox, options: Any, message: str) -> None:
    with pytest.raises(SandboxError) as caught:
        ollang.add_order(behaviour=options)
    assert message in str(caught.value)


def test_options_by_name_as_object_and_over_http(client: Client, ollang: Sandbox) -> None:
    by_name = ollang.add_order(behaviour={"end_status": "failed", "null_fields": ["vttUrl"]})
    as_object = ollang.add_order(behaviour=Behaviour(end_status="failed", null_fields=("vttUrl",)))
    client.admin("PUT", "/orders/http", {"behaviour": {"end_status": "failed", "null_fields": ["vttUrl"]}})
    reports = [client.admin("GET", f"/orders/{order_id}").json() for order_id in (by_name, as_object, "http")]
    assert reports[0]["behaviour"] == reports[1]["behaviour"] == reports[2]["behaviour"]
    assert reports[0]["behaviour"]["null_fields"] == ["vttUrl"]


def test_behaviour_of_the_sandbox_is_every_order_s() -> None:
    with Sandbox(behaviour=Behaviour(run_seconds=300)) as ollang:
        added = ollang.add_order(behaviour={"end_status": "delivered"})
        reports = [ollang.order(line["id"])["behaviour"] for line in ollang.overview()["orders"]]
        # The orders of the example DAGs have a length of their own.
        assert {report["run_seconds"] for report in reports} == {300.0, 5.0}
        assert ollang.order(added)["behaviour"]["run_seconds"] == 300.0
        assert ollang.order(added)["behaviour"]["end_status"] == "delivered"
