"""The list of orders: paging, order and filters as the documented nested query has them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from airflow_provider_ollang.sandbox.clock import parse_iso

if TYPE_CHECKING:
    from collections.abc import Iterable

FIELDS = (
    "id",
    "name",
    "sourceLanguage",
    "targetLanguage",
    "status",
    "type",
    "createdAt",
    "clientId",
    "projectId",
)
SORTABLE = ("id", "createdAt", "name", "status")
MOST = 50
_CLIENT = "client_abc123"


class QueryError(ValueError):
    """A query parameter that the list does not take."""


class Query(NamedTuple):
    """What is wanted of the list."""

    page: int
    take: int
    order_by: str
    descending: bool
    search: str
    wanted: dict[str, str]
    name: str
    begin: int | None
    end: int | None


def parse(raw: str, ignored: Iterable[str] = ()) -> Query:
    """Read the query, its brackets plain or percent-encoded.

    :param raw: the query as it was sent.
    :param ignored: names of filters to overlook.
    :raises QueryError: for a value that is out of range or no number, date or known word.
    """
    given = dict(parse_qsl(raw, keep_blank_values=True))
    for name in ignored:
        for key in [key for key in given if key.startswith(f"filter[{name}]")]:
            del given[key]
    order_by = given.get("pageOptions[orderBy]", "id")
    if order_by not in SORTABLE:
        raise QueryError(f"pageOptions[orderBy] must be one of {', '.join(SORTABLE)}")
    direction = given.get("pageOptions[orderDirection]", "desc").lower()
    if direction not in ("asc", "desc"):
        raise QueryError("pageOptions[orderDirection] must be asc or desc")
    return Query(
        page=_whole(given, "pageOptions[page]", 1, None),
        take=_whole(given, "pageOptions[take]", 10, MOST),
        order_by=order_by,
        descending=direction == "desc",
        search=given.get("pageOptions[search]", "").casefold(),
        wanted={
            field: given[f"filter[{field}]"] for field in ("type", "status", "projectId") if f"filter[{field}]" in given
        },
        name=given.get("filter[name]", "").casefold(),
        begin=_date(given, "filter[createdAtRange][from]"),
        end=_date(given, "filter[createdAtRange][to]"),
    )


def page_of(orders: Iterable[dict[str, Any]], query: Query) -> dict[str, Any]:
    """Make the answer: rows of exactly the documented fields, and `meta`."""
    found = [order for order in orders if _matches(order, query)]
    found.sort(key=lambda order: str(order.get(query.order_by)), reverse=query.descending)
    begin = (query.page - 1) * query.take
    pages = math.ceil(len(found) / query.take)
    return {
        "data": [_row(order) for order in found[begin : begin + query.take]],
        "meta": {
            "page": query.page,
            "take": query.take,
            "itemCount": len(found),
            "pageCount": pages,
            "hasPreviousPage": query.page > 1,
            "hasNextPage": query.page < pages,
        },
    }


def _row(order: dict[str, Any]) -> dict[str, Any]:
    return {field: order.get(field, _CLIENT if field == "clientId" else None) for field in FIELDS}


def _matches(order: dict[str, Any], query: Query) -> bool:
    name = str(order.get("name")).casefold()
    if query.name not in name or query.search not in f"{name} {order.get('id')}".casefold():
        return False
    if any(order.get(field) != value for field, value in query.wanted.items()):
        return False
    if query.begin is None and query.end is None:
        return True
    made = parse_iso(order.get("createdAt"))
    if made is None:
        return False
    return (query.begin is None or query.begin <= made) and (query.end is None or made <= query.end)


def _whole(given: dict[str, str], key: str, default: int, most: int | None) -> int:
    text = given.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < 1:
        raise QueryError(f"{key} must not be less than 1")
    if most is not None and int(text) > most:
        raise QueryError(f"{key} must not be greater than {most}")
    return int(text)


def _date(given: dict[str, str], key: str) -> int | None:
    if key not in given:
        return None
    moment = parse_iso(given[key])
    if moment is None:
        raise QueryError(f"{key} must be a valid ISO 8601 date string")
    return moment
