"""The options of responses, how options are given, and that every option has a test."""

from __future__ import annotations

import dataclasses
import sys
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from airflow_provider_ollang.sandbox import Behaviour, Sandbox, SandboxError

from . import (
    test_cancel,
    test_evaluation_options,
    test_files,
    test_links,
    test_new_orders,
    test_projects,
    test_reviews,
    test_run_options,
    test_uploads,
)
from .client import Client, accepted, order_with, refused, rerun_and_wait


def test_every_option_has_a_test() -> None:
    of_runs = (sys.modules[__name__], test_run_options, test_evaluation_options, test_files, test_links)
    modules = (*of_runs, test_uploads, test_projects, test_new_orders, test_cancel, test_reviews)
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


def test_error_style__of_a_sandbox() -> None:
    with Sandbox(behaviour={"error_style": "message_only"}) as ollang, Client(ollang) as client:
        assert client.get("nobody").json() == {"message": "No order found with the provided orderId"}
        client.session.headers["X-Api-Key"] = "wrong"
        assert client.get().json() == {"message": "Invalid or missing API key"}


def test_error_status(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"status": "pending"}, error_status=500)
    refused(client.rerun(order_id), 500, "ORDER_NOT_ELIGIBLE")
    assert client.get(order_id).status_code == 200


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


def test_missing_fields__of_projects(ollang: Sandbox, client: Client) -> None:
    ollang.change_behaviour({"missing_fields": ["projectDocs.size"], "null_fields": ["folderId"]})
    project = client.ask("GET", "/integration/project/proj_abc456").json()
    assert (project["folderId"], "size" in project["projectDocs"][0]) == (None, False)


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
        ({"no_credits": 500}, "takes `400`, `402`, `403` or null, not 500."),
        ({"rerun_accepted_status": 300}, "within 200 and 299"),
        ({"stale_every": 1.5}, "takes whole number"),
        ({"status_path": [["pending", 2]]}, "takes list of [number, text] or null"),
        ({"status_path": [[2]]}, "takes list of [number, text]"),
        ({"null_fields": "vttUrl"}, "takes list of text"),
        ({"wrong_sizes": [["*", 1.5]]}, "takes list of [text, whole number]"),
        ({"link_lifetime": 0}, "must be at least 1"),
        ({"qc_scores": [{"Accuracy": "good"}]}, "takes list of object of number"),
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


def test_behaviour_of_the_sandbox_is_that_of_its_orders() -> None:
    with Sandbox(behaviour=Behaviour(run_seconds=300)) as ollang:
        added = ollang.add_order(behaviour={"end_status": "delivered"})
        reports = [ollang.order(line["id"])["behaviour"] for line in ollang.overview()["orders"]]
        # The orders of the example DAGs have a length of their own.
        assert {report["run_seconds"] for report in reports} == {300.0, 5.0}
        assert ollang.order(added)["behaviour"]["run_seconds"] == 300.0
        assert ollang.order(added)["behaviour"]["end_status"] == "delivered"
