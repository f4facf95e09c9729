"""Pages of lists: the orders, the projects and the folders of the key's account."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from airflow_provider_ollang.sandbox.clock import parse_iso

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

Json = dict[str, Any]
_ROW = ("id", "name", "sourceLanguage", "targetLanguage", "status", "type", "createdAt", "clientId", "projectId")
_ORDERED_BY = ("id", "createdAt", "name", "status")
_LARGEST_PAGE = 50
CLIENT = "client_abc123"


class QueryError(ValueError):
    """A query parameter that is out of range, or no number or date."""


def order_page(orders: Iterable[Json], raw_query: str, ignored: Iterable[str] = ()) -> Json:
    """Return the body of the list of orders: rows of exactly the documented fields, and `meta`.

    :raises QueryError: for a value that it does not take.
    """
    query = parse_query(raw_query)
    query = {key: value for key, value in query.items() if not key.startswith(tuple(f"filter[{x}]" for x in ignored))}
    matches = _filtered(orders, query)
    rows = [{field: order.get(field, CLIENT if field == "clientId" else None) for field in _ROW} for order in matches]
    return _page(rows, query, _ORDERED_BY, "pageOptions[{}]")


def flat_page(rows: Iterable[Json], raw_query: str, ordered_by: Collection[str]) -> Json:
    """Return the body of a list with flat parameters: `page`, `take`, `orderBy`, `orderDirection`, `search`.

    :raises QueryError: for a value that it does not take.
    """
    query = parse_query(raw_query)
    search = query.get("search", "").casefold()
    matches = [row for row in rows if search in f"{row.get('name')} {row.get('id')}".casefold()]
    return _page(matches, query, ordered_by, "{}")


def parse_query(raw_query: str) -> dict[str, str]:
    """Return the parameters of a query; brackets may be encoded."""
    return dict(parse_qsl(raw_query, keep_blank_values=True))


def _page(rows: Sequence[Json], query: Mapping[str, str], ordered_by: Collection[str], spelling: str) -> Json:
    """Return a page of rows, by default with the newest id first."""
    page = _parse_whole(query, spelling.format("page"), 1)
    take = _parse_whole(query, spelling.format("take"), 10, _LARGEST_PAGE)
    field = _parse_choice(query, spelling.format("orderBy"), "id", ordered_by)
    direction = _parse_choice(query, spelling.format("orderDirection"), "desc", ("asc", "desc"))
    rows = sorted(rows, key=lambda row: (str(row.get(field)), str(row.get("id"))), reverse=direction == "desc")
    pages = math.ceil(len(rows) / take)
    return {
        "data": rows[(page - 1) * take : page * take],
        "meta": {
            "page": page,
            "take": take,
            "itemCount": len(rows),
            "pageCount": pages,
            "hasPreviousPage": page > 1,
            "hasNextPage": page < pages,
        },
    }


def _filtered(orders: Iterable[Json], query: Mapping[str, str]) -> list[Json]:
    begin, end = (_parse_date(query, f"filter[createdAtRange][{limit}]") for limit in ("from", "to"))
    name, search = (query.get(key, "").casefold() for key in ("filter[name]", "pageOptions[search]"))

    def matches(order: Json) -> bool:
        order_name = str(order.get("name")).casefold()
        if name not in order_name or search not in f"{order_name} {order.get('id')}".casefold():
            return False
        fields = ("type", "status", "projectId")
        if any(order.get(field) != query.get(f"filter[{field}]", order.get(field)) for field in fields):
            return False
        created = parse_iso(order.get("createdAt"))
        if begin is not None and (created is None or created < begin):
            return False
        return end is None or (created is not None and created <= end)

    return [order for order in orders if matches(order)]


def _parse_choice(query: Mapping[str, str], key: str, default: str, choices: Collection[str]) -> str:
    value = query.get(key, default)
    if value not in choices:
        raise QueryError(f"{key} must be one of the following values: {', '.join(choices)}")
    return value


def _parse_whole(query: Mapping[str, str], key: str, default: int, largest: int | None = None) -> int:
    text = query.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < 1:
        raise QueryError(f"{key} must not be less than 1")
    if largest is not None and int(text) > largest:
        raise QueryError(f"{key} must not be greater than {largest}")
    return int(text)


def _parse_date(query: Mapping[str, str], key: str) -> int | None:
    if key not in query:
        return None
    moment = parse_iso(query[key])
    if moment is None:
        raise QueryError(f"{key} must be a valid ISO 8601 date string")
    return moment
