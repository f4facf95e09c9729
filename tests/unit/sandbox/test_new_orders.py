"""New orders: what a request must have, what it makes and answers, and each option of that."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.sandbox.projects import FOREIGN_PROJECT_ID

from .client import Client, accepted, body_of, refused, scores

EVERYTHING = {
    "orderSubType": "closedCaption",
    "dubbingStyle": "lipsync",
    "callbackUrl": "https://hooks.example.com/done",
    "autoQc": False,
    "selectedMemories": ["m1", "m2"],
    "sourceLanguage": "de",
    "content": "text",
}


def configure(ollang: Sandbox, **options: Any) -> None:
    ollang.change_behaviour(options)


def languages(client: Client, ids: list[str]) -> list[str]:
    return [client.order(order_id)["targetLanguage"] for order_id in ids]


def test_one_order_a_language_which_runs_at_once(ollang: Sandbox, client: Client) -> None:
    project_id = body_of(client.upload(folderId="folder_abc123"), 201)["projectId"]
    answer = client.create("fr", "pt-PT", projectId=project_id)
    assert (answer.status_code, [set(entry) for entry in answer.json()]) == (201, [{"orderId"}] * 2)
    ids = [entry["orderId"] for entry in answer.json()]
    order = client.order(ids[1])
    fields = ("status", "type", "level", "projectId", "folderId", "sourceLanguage", "targetLanguage", "name")
    expected = ("pending", "subtitle", 0, project_id, "folder_abc123", "en", "pt-PT", "My film.mp4")
    assert tuple(order[field] for field in fields) == expected
    assert order["createdAt"] == ollang.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert [(document["type"], document["size"]) for document in order["orderDocs"]] == [("source_video", 4)]
    assert order["deliveryEvents"] == []
    seen = []
    for seconds in (5, 7, 18):
        ollang.advance(seconds)
        seen.append(client.status(ids[0]))
    assert seen == ["waitingForCC", "ongoing", "completed"]
    ollang.advance(2)
    assert client.names(ids[0]) == ["Subtitles (run 1)"]
    assert "_pt-PT_run1.vtt" in client.order(ids[1])["vttUrl"]
    accepted(client.rerun(ids[0]))


def test_order_of_level_1_goes_through_people(ollang: Sandbox, client: Client) -> None:
    (order_id,) = client.created(level=1)
    ollang.advance(32)
    events = [event["type"] for event in client.order(order_id)["deliveryEvents"]]
    assert events == ["ai_delivered", "translator_delivered", "lsp_approved", "order_delivered"]


def test_requests_are_kept_and_counted(ollang: Sandbox, client: Client) -> None:
    ids = client.created("fr", "de", **EVERYTHING)
    client.created("fr")
    refused(client.create(level=2), 400, "BAD_REQUEST")
    counts = ollang.counts()
    assert [counts[name] for name in ("creations_accepted", "creations_refused", "orders_created")] == [2, 1, 3]
    (report,) = [project for project in ollang.projects() if project["id"] == "proj_abc456"]
    assert [len(creation["orders"]) for creation in report["creations"]] == [2, 1]
    first = report["creations"][0]
    assert (first["orders"], first["asked"]["callbackUrl"]) == (ids, "https://hooks.example.com/done")
    order = client.order(ids[0])
    assert [order[name] for name in ("orderSubType", "dubbingStyle", "sourceLanguage")] == [
        "closedCaption",
        "lipsync",
        "de",
    ]


def test_new_orders_are_listed_with_their_project(client: Client) -> None:
    ids = client.created("fr", "de")
    rows = client.listed("filter[projectId]=proj_abc456&pageOptions[take]=2")
    assert [row["id"] for row in rows] == ids[::-1], "newest first"


@pytest.mark.parametrize("is_evaluated", [True, False])
def test_auto_qc_evaluates_the_first_run_alone(ollang: Sandbox, client: Client, is_evaluated: bool) -> None:
    (order_id,) = client.created(autoQc=is_evaluated)
    ollang.advance(35)
    assert ("latestEvaluation" in client.order(order_id)) is is_evaluated
    if is_evaluated:
        first = scores(client, order_id)
        accepted(client.rerun(order_id))
        ollang.advance(40)
        assert scores(client, order_id) == first


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("orderType", None, "orderType must be"),
        ("orderType", "proofreading", "orderType must be"),
        ("level", None, "level must be"),
        ("level", 2, "level must be"),
        ("level", True, "level must be"),
        ("level", "0", "level must be"),
        ("projectId", None, "projectId should not be empty"),
        ("projectId", 7, "projectId should not be empty"),
        ("targetLanguageConfigs", None, "targetLanguageConfigs should not be empty"),
        ("targetLanguageConfigs", [], "targetLanguageConfigs should not be empty"),
        ("targetLanguageConfigs", ["fr"], "language must be"),
        ("targetLanguageConfigs", [{"language": "french"}], "language must be"),
        ("targetLanguageConfigs", [{"language": "fr", "isRush": "no"}], "isRush must be"),
        ("orderSubType", "captions", "orderSubType must be"),
        ("dubbingStyle", "loud", "dubbingStyle must be"),
        ("callbackUrl", "ftp://x", "callbackUrl must be"),
        ("autoQc", "yes", "autoQc must be"),
        ("selectedMemories", ["a", "a"], "selectedMemories must"),
        ("selectedMemories", [str(number) for number in range(21)], "selectedMemories must"),
        ("selectedMemories", [1], "selectedMemories must"),
        ("sourceLanguage", "German", "sourceLanguage must be"),
        ("content", 7, "content must be"),
    ],
)
def test_wrong_fields_are_refused(ollang: Sandbox, client: Client, field: str, value: object, message: str) -> None:
    answer = client.create(**{field: value})
    assert (answer.status_code, message in answer.json()["message"]) == (400, True), answer.text
    assert ollang.counts()["orders_created"] == 0


def test_order_of_the_checks(ollang: Sandbox, client: Client) -> None:
    for project_id in ("nobody", FOREIGN_PROJECT_ID):
        refused(client.create(projectId=project_id), 404, "PROJECT_NOT_FOUND")
        refused(client.create(projectId=project_id, level=7), 400, "BAD_REQUEST")
    chunked = client.ask("POST", "/integration/orders/create", data=iter([b"{}"]))
    assert (chunked.status_code, chunked.json()["error"]) == (500, "UnknownError")
    client.session.headers["X-Api-Key"] = "wrong"
    refused(client.create(level=7), 401, "UNAUTHORIZED")


# The options


@pytest.mark.parametrize("status", [400, 402, 403])
def test_create_no_credits(ollang: Sandbox, client: Client, status: int) -> None:
    configure(ollang, create_no_credits=status)
    refused(client.create(), status, "INSUFFICIENT_CREDITS")
    assert ollang.counts()["orders_created"] == 0


def test_created_languages(ollang: Sandbox, client: Client) -> None:
    configure(ollang, created_languages=2)
    assert languages(client, client.created("fr", "de", "it")) == ["fr", "de"]
    assert ollang.counts()["orders_created"] == 2


def test_answered_languages(ollang: Sandbox, client: Client) -> None:
    configure(ollang, created_languages=1, answered_languages="all")
    ids = client.created("fr", "de", "it")
    assert [client.get(order_id).status_code for order_id in ids] == [200, 404, 404]


def test_answered_types(ollang: Sandbox, client: Client) -> None:
    configure(ollang, answered_types=True, child_orders=True)
    assert [entry["orderType"] for entry in client.create("fr", "de").json()] == ["subtitle", "subtitle", "cc"]


def test_answered_reversed(ollang: Sandbox, client: Client) -> None:
    configure(ollang, answered_reversed=True)
    assert languages(client, client.created("fr", "de")) == ["de", "fr"]


@pytest.mark.parametrize(("order_type", "has_child"), [("subtitle", True), ("aiDubbing", True), ("document", False)])
def test_child_orders(ollang: Sandbox, client: Client, order_type: str, has_child: bool) -> None:
    configure(ollang, child_orders=True)
    ids = client.created("fr", "de", orderType=order_type, level=1)
    shown = [(order["type"], order["targetLanguage"], order["level"]) for order in map(client.order, ids)]
    assert shown == [(order_type, "fr", 1), (order_type, "de", 1), *([("cc", "en", 0)] if has_child else [])]
    assert {row["id"] for row in client.listed("filter[projectId]=proj_abc456")} >= set(ids)


def test_created_project(ollang: Sandbox, client: Client) -> None:
    configure(ollang, created_project="proj_xyz789")
    assert client.order(*client.created())["projectId"] == "proj_xyz789"


def test_orders_hidden_for(ollang: Sandbox, client: Client) -> None:
    configure(ollang, orders_hidden_for=20)
    (order_id,) = client.created()
    assert client.status(order_id) == "pending"
    seen = []
    for seconds in (19.999, 0.001):
        ollang.advance(seconds)
        seen.append(order_id in [row["id"] for row in client.listed()])
    assert seen == [False, True]


def test_processed_twice__of_new_orders(ollang: Sandbox, client: Client) -> None:
    configure(ollang, processed_twice=True)
    ids = client.created("fr", "de")
    rows = client.listed("filter[projectId]=proj_abc456&pageOptions[take]=4")
    assert [row["targetLanguage"] for row in rows] == ["de", "fr", "de", "fr"]
    assert ids == [row["id"] for row in rows[:1:-1]]
    counts = ollang.counts()
    assert (counts["creations_accepted"], counts["orders_created"]) == (2, 4)
