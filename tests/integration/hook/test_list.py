"""`list_orders`: page by page as the caller goes on, each order once, whatever the server makes of the query."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from airflow_provider_ollang.exceptions import (
    OllangAuthenticationError,
    OllangBadRequestError,
    OllangConfigurationError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox

from .conftest import FOREIGN, Clock

COLUMNS = {"id", "name", "sourceLanguage", "targetLanguage", "status", "type", "createdAt", "clientId", "projectId"}


def own(ollang: Sandbox) -> list[dict[str, Any]]:
    return [order for order in ollang.overview()["orders"] if order["owner"] == "own"]


def ids(rows: Any) -> list[str]:
    return [row["id"] for row in rows]


def queries(ollang: Sandbox) -> list[dict[str, str]]:
    return [dict(parse_qsl(urlsplit(entry.path).query)) for entry in ollang.request_log]


def test_all_orders_once_newest_first(ollang: Sandbox, hook: OllangHook) -> None:
    rows = list(hook.list_orders())
    assert ids(rows) == sorted(ids(own(ollang)), reverse=True)
    assert FOREIGN not in ids(rows)
    assert all(set(row) == COLUMNS for row in rows)
    assert queries(ollang) == [{"pageOptions[page]": "1", "pageOptions[take]": "50"}]


@pytest.mark.parametrize("page_size", [7, 26])
def test_each_page_is_requested_once(ollang: Sandbox, hook: OllangHook, page_size: int) -> None:
    count = len(own(ollang))
    assert len(list(hook.list_orders(page_size=page_size))) == count
    pages = -(-count // page_size)
    assert queries(ollang) == [
        {"pageOptions[page]": str(page), "pageOptions[take]": str(page_size)} for page in range(1, pages + 1)
    ]
    assert {entry.connection for entry in ollang.request_log} == {1}


def test_nothing_is_sent_before_the_first_row_is_read(ollang: Sandbox, hook: OllangHook) -> None:
    rows = hook.list_orders(page_size=5)
    assert ollang.request_log == []
    next(rows)
    assert len(ollang.request_log) == 1
    list(itertools.islice(rows, 4))
    assert len(ollang.request_log) == 1
    next(rows)
    assert len(ollang.request_log) == 2


def test_list_that_is_not_read_reads_no_connection() -> None:
    OllangHook("no_such_connection").list_orders()


@pytest.mark.parametrize("page_size", [0, 51])
def test_other_page_size_is_refused_at_once(ollang: Sandbox, hook: OllangHook, page_size: Any) -> None:
    with pytest.raises(OllangConfigurationError, match=r"page_size .* 50"):
        hook.list_orders(page_size=page_size)
    assert ollang.request_log == []


def test_filter_of_another_type_sends_nothing(ollang: Sandbox, hook: OllangHook) -> None:
    with pytest.raises(OllangConfigurationError, match="must be a text, not"):
        list(hook.list_orders(status=["pending"]))  # type: ignore[arg-type]
    assert ollang.request_log == []


def test_page_size_may_be_a_text(ollang: Sandbox, hook: OllangHook) -> None:
    assert len(list(hook.list_orders(page_size=" 50 "))) == len(own(ollang))  # type: ignore[arg-type]
    assert queries(ollang) == [{"pageOptions[page]": "1", "pageOptions[take]": "50"}]


def test_name_lists_orders_of_exactly_this_name(ollang: Sandbox, hook: OllangHook) -> None:
    matching = ollang.add_order(name="Pilot")
    part, other_case = ollang.add_order(name="Pilot, part 2"), ollang.add_order(name="pilot")
    assert ids(hook.list_orders(name="Pilot")) == [matching]
    assert set(ids(hook.list_orders(search="Pilot"))) == {matching, part, other_case}


FILTERS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "type": ({"order_type": "subtitle"}, {"filter[type]": "subtitle"}),
    "status": ({"status": "completed"}, {"filter[status]": "completed"}),
    "project": ({"project_id": "proj_list"}, {"filter[projectId]": "proj_list"}),
    "name": ({"name": "Part & 100% [ü]"}, {"filter[name]": "Part & 100% [ü]"}),
    "search": ({"search": "part"}, {"pageOptions[search]": "part"}),
    "range": (
        {"created_from": "2020-01-01T00:00:00+02:00", "created_to": "2020-12-31T00:00:00Z"},
        {
            "filter[createdAtRange][from]": "2020-01-01T00:00:00+02:00",
            "filter[createdAtRange][to]": "2020-12-31T00:00:00Z",
        },
    ),
    "several": (
        {"order_type": "subtitle", "status": "completed", "search": "part"},
        {"filter[type]": "subtitle", "filter[status]": "completed", "pageOptions[search]": "part"},
    ),
}


def add_orders(ollang: Sandbox) -> str:
    """Add one order that each of the filters finds, and some that differ in one thing."""
    right = {
        "type": "subtitle",
        "status": "completed",
        "projectId": "proj_list",
        "name": "Part & 100% [ü]",
        "createdAt": "2020-06-01T00:00:00.000Z",
    }
    ollang.add_order({**right, "type": "document"})
    ollang.add_order({**right, "status": "pending"})
    ollang.add_order({**right, "projectId": "proj_other", "name": "Other"})
    ollang.add_order({**right, "createdAt": "2021-06-01T00:00:00.000Z"})
    return ollang.add_order(right)


@pytest.mark.parametrize(("arguments", "query"), FILTERS.values(), ids=FILTERS)
def test_filter_is_sent_and_applied(
    ollang: Sandbox, hook: OllangHook, arguments: dict[str, Any], query: dict[str, str]
) -> None:
    matching = add_orders(ollang)
    rows = list(hook.list_orders(page_size=3, **arguments))
    assert matching in ids(rows)
    assert len(rows) < len(own(ollang))
    for row in rows:
        assert arguments.get("order_type") in {None, row["type"]}
        assert arguments.get("status") in {None, row["status"]}
        assert arguments.get("project_id") in {None, row["projectId"]}
    for page, asked in enumerate(queries(ollang), 1):
        assert asked == {"pageOptions[page]": str(page), "pageOptions[take]": "3", **query}


@pytest.mark.parametrize("ignored", ["type", "status", "projectId"])
def test_filter_ignored_by_server_is_applied_here(ollang: Sandbox, hook: OllangHook, ignored: str) -> None:
    add_orders(ollang)
    arguments: dict[str, dict[str, Any]] = {
        "type": {"order_type": "subtitle"},
        "status": {"status": "pending"},
        "projectId": {"project_id": "proj_list"},
    }
    right = ids(hook.list_orders(**arguments[ignored]))
    before = len(ollang.request_log)
    ollang.behaviour = replace(ollang.behaviour, ignored_filters=(ignored,))
    assert ids(hook.list_orders(page_size=2, **arguments[ignored])) == right != []
    assert len(ollang.request_log) - before == -(-len(own(ollang)) // 2)


def page(numbers: Any, **meta: Any) -> dict[str, Any]:
    return {"data": [{"id": str(number), "status": "completed"} for number in numbers], "meta": meta}


def scripted(ollang: Sandbox, *pages: Any) -> None:
    for body in pages:
        ollang.add_fault(status=200, body=body)


def test_order_on_two_pages_or_twice_on_one_comes_once(ollang: Sandbox, hook: OllangHook) -> None:
    """Orders that are made while the list is read push the others on."""
    scripted(
        ollang, page([1, 2, 1, 3], hasNextPage=True), page([3, 4], hasNextPage=True), page([4, 5], hasNextPage=False)
    )
    assert ids(hook.list_orders()) == ["1", "2", "3", "4", "5"]
    assert len(ollang.request_log) == 3


def test_list_ends_if_server_ignores_the_page_number(ollang: Sandbox, hook: OllangHook) -> None:
    ollang.add_fault(status=200, body=page([1, 2, 3], hasNextPage=True), times=None)
    assert ids(hook.list_orders()) == ["1", "2", "3"]
    assert len(ollang.request_log) == 2


def test_list_ends_at_an_empty_page(ollang: Sandbox, hook: OllangHook) -> None:
    scripted(ollang, page([1], hasNextPage=True), page([], hasNextPage=True))
    assert ids(hook.list_orders()) == ["1"]
    assert len(ollang.request_log) == 2


@pytest.mark.parametrize("meta", [None, {"hasNextPage": "yes"}], ids=repr)
def test_list_ends_unless_server_says_there_is_more(ollang: Sandbox, hook: OllangHook, meta: Any) -> None:
    scripted(ollang, {**page([1, 2]), "meta": meta})
    assert ids(hook.list_orders()) == ["1", "2"]
    assert len(ollang.request_log) == 1


def test_rows_without_an_id_are_all_returned(ollang: Sandbox, hook: OllangHook) -> None:
    scripted(ollang, {"data": [{"name": "a"}, {"name": "b"}, {"id": None, "name": "c"}], "meta": {}})
    assert [row["name"] for row in hook.list_orders()] == ["a", "b", "c"]


def test_empty_list_has_no_rows(ollang: Sandbox, hook: OllangHook) -> None:
    scripted(ollang, page([], hasNextPage=False))
    assert list(hook.list_orders()) == []


def test_page_is_repeated_and_the_list_goes_on(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    count = len(own(ollang))
    ollang.add_fault(status=503, skip=1, times=2)
    assert len(ids(hook.list_orders(page_size=count - 1))) == count
    assert [entry.status for entry in ollang.request_log] == [200, 503, 503, 200]
    assert len(clock.sleeps) == 2


def test_body_without_rows_is_repeated_and_then_fails(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault(status=200, body='{"data": null}', times=None)
    with pytest.raises(OllangUnavailableError, match="list orders") as caught:
        list(hook.list_orders())
    assert (caught.value.status_code, caught.value.order_id) == (200, None)
    assert (caught.value.method, caught.value.path) == ("GET", "/integration/orders")
    assert (len(ollang.request_log), len(clock.sleeps)) == (5, 4)


def test_error_comes_when_its_page_is_read(ollang: Sandbox, hook: OllangHook) -> None:
    rows = hook.list_orders(page_size=2)
    next(rows)
    ollang.api_key = "another"
    next(rows)
    with pytest.raises(OllangAuthenticationError):
        next(rows)
    assert len(ollang.request_log) == 2


def test_bad_filter_is_refused_by_the_server(ollang: Sandbox, hook: OllangHook) -> None:
    with pytest.raises(OllangBadRequestError, match="ISO 8601"):
        next(hook.list_orders(created_from="yesterday"))
    assert len(ollang.request_log) == 1


def test_folders_are_listed_page_by_page(ollang: Sandbox, hook: OllangHook) -> None:
    rows = list(hook.list_folders(page_size=1))
    assert ids(rows) == ["folder_api_uploads", "folder_abc123"]
    assert {"id", "name", "projectCount"} <= set(rows[0])
    assert [query["page"] for query in queries(ollang)] == ["1", "2"]
    assert ids(hook.list_folders(search="api")) == ["folder_api_uploads"]
