"""The list of orders: paging, filters, and what a row has."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang.sandbox import Sandbox

from .client import EXAMPLE_ID, FOREIGN_ID, Client
from .vendor_pages import ORDER

FIELDS = ["id", "name", "sourceLanguage", "targetLanguage", "status", "type", "createdAt", "clientId", "projectId"]


def listed(client: Client, query: str) -> dict[str, Any]:
    answer = client.ask("GET", f"/integration/orders?{query}")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def ids(client: Client, query: str) -> list[str]:
    return [row["id"] for row in listed(client, query)["data"]]


def test_rows_have_exactly_the_documented_fields(client: Client) -> None:
    rows = listed(client, "pageOptions[take]=50")["data"]
    assert all(list(row) == FIELDS for row in rows)
    example = next(row for row in rows if row["id"] == EXAMPLE_ID)
    assert {**ORDER, **example} == {**ORDER, "clientId": example["clientId"]}


def test_orders_of_other_accounts_are_not_listed(ollang: Sandbox, client: Client) -> None:
    everything = ids(client, "pageOptions[take]=50")
    assert FOREIGN_ID not in everything
    assert len(everything) == len(ollang.overview()["orders"]) - 1


def test_pages(client: Client) -> None:
    total = listed(client, "")["meta"]["itemCount"]
    pages, page = [], 1
    while True:
        body = listed(client, f"pageOptions[page]={page}&pageOptions[take]=7")
        pages += [row["id"] for row in body["data"]]
        meta = body["meta"]
        assert meta == {
            "page": page,
            "take": 7,
            "itemCount": total,
            "pageCount": -(-total // 7),
            "hasPreviousPage": page > 1,
            "hasNextPage": page < -(-total // 7),
        }
        if not meta["hasNextPage"]:
            break
        page += 1
    assert len(pages) == len(set(pages)) == total
    assert pages == sorted(pages, reverse=True), "by id, descending, unless asked otherwise"
    assert listed(client, "pageOptions[page]=99")["data"] == []


def test_page_has_ten_rows_by_default(client: Client) -> None:
    assert len(ids(client, "")) == 10
    assert listed(client, "")["meta"]["take"] == 10


@pytest.mark.parametrize("spell", [lambda q: q, lambda q: q.replace("[", "%5B").replace("]", "%5D")])
def test_brackets_may_be_encoded(client: Client, spell: Any) -> None:
    rows = listed(client, spell("pageOptions[take]=50&filter[type]=aiDubbing"))["data"]
    assert rows
    assert {row["type"] for row in rows} == {"aiDubbing"}


@pytest.mark.parametrize(
    "query",
    [
        "pageOptions[take]=0",
        "pageOptions[take]=51",
        "pageOptions[take]=ten",
        "pageOptions[take]=-1",
        "pageOptions[take]=",
        "pageOptions[page]=0",
        "pageOptions[page]=1.5",
        "pageOptions[page]=99999999999999999999",
        "filter[createdAtRange][from]=yesterday",
    ],
)
def test_wrong_queries_are_refused(client: Client, query: str) -> None:
    answer = client.ask("GET", f"/integration/orders?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["message"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("filter[name]=red fox", ["a", "b"]),
        ("filter[name]=red fox jumps", ["b"]),
        ("pageOptions[search]=FOX", ["a", "b", "c"]),
        ("filter[status]=pending&filter[name]=fox", ["c"]),
        ("filter[projectId]=p1", ["a", "b"]),
        ("filter[projectId]=p1&filter[status]=delivered", ["b"]),
        ("filter[createdAtRange][from]=2020-01-02T00:00:00Z&filter[createdAtRange][to]=2020-01-03", ["b", "c"]),
        ("filter[createdAtRange][to]=2020-01-01T12:00:00.000Z", ["a"]),
    ],
)
def test_filters(ollang: Sandbox, client: Client, query: str, expected: list[str]) -> None:
    ollang.add_order(id="a", name="Red fox", projectId="p1", createdAt="2020-01-01T00:00:00Z")
    ollang.add_order(
        id="b", name="Red fox jumps", projectId="p1", status="delivered", createdAt="2020-01-02T00:00:00.000Z"
    )
    ollang.add_order(id="c", name="Grey fox", projectId="p2", status="pending", createdAt="2020-01-03T00:00:00Z")
    ollang.add_order(exact=True, order={"id": "odd", "createdAt": 7})
    assert ids(client, query) == expected[::-1]


def test_newest_id_first(client: Client) -> None:
    listed_ids = ids(client, "pageOptions[take]=50")
    assert listed_ids == sorted(listed_ids, reverse=True)
