"""What Ollang responds: the words of its pages, errors in each shape on record, an order, and a page of the list."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from airflow_provider_ollang.sandbox.clock import parse_iso, to_milliseconds
from airflow_provider_ollang.sandbox.documents import documents_of
from airflow_provider_ollang.sandbox.files import is_among, size_of, with_links
from airflow_provider_ollang.sandbox.options import Behaviour

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_ollang.sandbox.order import Order

Json = dict[str, Any]
_EVALUATION = "latestEvaluation"


class Response(NamedTuple):
    """A status and a JSON body."""

    status: int
    body: Any


class ApiError(NamedTuple):
    """An error of the API: HTTP status, title, sentence, and upper-case name."""

    status: int
    error: str
    message: str
    code: str

    def response(self, behaviour: Behaviour) -> Response:
        """Return it in the shape that the options ask for."""
        status = behaviour.error_status or self.status
        if behaviour.error_style == "unknown_error":
            return unknown_error(status, self.message)
        if behaviour.error_style == "message_only":
            return Response(status, {"message": self.message})
        return Response(status, {"error": self.error, "message": self.message, "code": self.code})


UNAUTHORIZED = ApiError(401, "Unauthorized", "Invalid or missing API key", "UNAUTHORIZED")
NO_ACCESS = ApiError(403, "Access denied", "You don't have permission to access this order", "ACCESS_DENIED")
NO_RERUN = ApiError(403, "Access denied", "You don't have permission to rerun this order", "ACCESS_DENIED")
NOT_FOUND = ApiError(404, "Order not found", "No order found with the provided orderId", "ORDER_NOT_FOUND")
NOT_ELIGIBLE = ApiError(
    400, "Order not eligible for rerun", "Only completed or delivered orders can be rerun", "ORDER_NOT_ELIGIBLE"
)
RERUN_INITIATED = "Order rerun initiated successfully"
QC_STARTED = "QC evaluation started. You will be notified when it's completed."

# The words of these are not on the vendor's pages.
ALREADY_RUNNING = ApiError(409, "Conflict", "A rerun of this order is already in progress", "RERUN_IN_PROGRESS")
RERUN_NOT_INITIATED = "Order rerun could not be initiated"
NO_EVALUATION = ApiError(403, "Access denied", "You don't have permission to evaluate this order", "ACCESS_DENIED")
NOT_EVALUABLE = NOT_ELIGIBLE._replace(
    error="Order not eligible for QC evaluation", message="Only completed or delivered orders can be evaluated"
)
QC_COMPLETED = "QC evaluation completed."
QC_NOT_STARTED = "QC evaluation could not be started"


def no_credits(status: int, action: str) -> ApiError:
    """Refuse for lack of credits."""
    return ApiError(
        status, "Insufficient credits", f"Not enough credits to {action} this order", "INSUFFICIENT_CREDITS"
    )


def bad_request(error: str, message: str) -> ApiError:
    """Refuse a field of a request's body, or a query parameter."""
    return ApiError(400, error, message, "BAD_REQUEST")


def unknown_error(status: int, detail: str) -> Response:
    """Return the generic envelope, in which only `detail` says something."""
    return Response(status, {"code": -1, "error": "UnknownError", "message": "unknown error", "detail": detail})


# An order, with the options that alter what is shown of it


def order_body(order: Order, now: int, files_url: str | None = None) -> Json:
    """Return the body of a GET of the order at a moment; `files_url`: where its files are, None: nowhere."""
    behaviour = order.behaviour
    order.gets += 1
    moment = now
    if behaviour.stale_every and order.gets % behaviour.stale_every == 0:
        moment -= to_milliseconds(behaviour.stale_by)
    return _altered(with_links(order, order.at(moment), files_url, now), behaviour)


#: The options that alter an order; their defaults leave it as it is.
_ALTERING = (
    *("delivery_events", "answered_id", "wrong_sizes", "evaluation_field", "evaluation_shape"),
    *("null_fields", "missing_fields"),
)
_UNALTERED = Behaviour()


def _altered(order: Json, behaviour: Behaviour) -> Json:
    if all(getattr(behaviour, name) == getattr(_UNALTERED, name) for name in _ALTERING):
        return order
    order = copy.deepcopy(order)
    if behaviour.delivery_events == "empty":
        order["deliveryEvents"] = []
    if behaviour.delivery_events == "absent":
        order.pop("deliveryEvents", None)
    if behaviour.answered_id is not None:
        order["id"] = behaviour.answered_id
    _alter_sizes(order, behaviour)
    _alter_evaluation(order, behaviour)
    for name in behaviour.null_fields:
        for holder, key in _places(order, name.split(".")):
            holder[key] = None
    for name in behaviour.missing_fields:
        for holder, key in _places(order, name.split(".")):
            holder.pop(key, None)
    return order


def _alter_sizes(order: Json, behaviour: Behaviour) -> None:
    for glob, off_by in behaviour.wrong_sizes:
        for document in documents_of(order):
            if isinstance(document, dict) and is_among([glob], document.get("id"), document.get("name")):
                document["size"] = size_of(document) + off_by


def _alter_evaluation(order: Json, behaviour: Behaviour) -> None:
    evaluation = order.get(_EVALUATION)
    if behaviour.evaluation_shape == "callback" and isinstance(evaluation, dict):
        order[_EVALUATION] = in_callback_shape(evaluation)
    if _EVALUATION in order:
        order[behaviour.evaluation_field] = order.pop(_EVALUATION)


def _places(value: Any, names: list[str]) -> Iterable[tuple[Json, str]]:
    """Yield the objects, inside lists too, that a dotted name leads to, and the field in them."""
    if isinstance(value, list):
        for item in value:
            yield from _places(item, names)
    elif isinstance(value, dict):
        if len(names) == 1:
            yield value, names[0]
        elif names[0] in value:
            yield from _places(value[names[0]], names[1:])


def in_callback_shape(evaluation: Json) -> Json:
    """Return an evaluation as the response to the POST and the callback have it, which differs from an order's."""
    changed = dict(evaluation)
    scores, segments = evaluation.get("scores"), evaluation.get("segmentEvals")
    if isinstance(scores, list):
        changed["scores"] = [_renamed(score, {"value": "score", "description": "details"}) for score in scores]
    if isinstance(segments, list):
        changed["segmentEvals"] = [
            {**_renamed(segment, {"id": "segmentId", "explain": "comments"}), "scores": changed.get("scores")}
            for segment in segments
            if isinstance(segment, dict)
        ]
        for segment in changed["segmentEvals"]:
            segment.pop("suggestedNewValue", None)
    return changed


def _renamed(item: Any, names: Mapping[str, str]) -> Any:
    return {names.get(name, name): value for name, value in item.items()} if isinstance(item, dict) else item


# A page of the list

_ROW = ("id", "name", "sourceLanguage", "targetLanguage", "status", "type", "createdAt", "clientId", "projectId")
_LARGEST_PAGE = 50
_CLIENT = "client_abc123"


class QueryError(ValueError):
    """A query parameter that is out of range, or no number or date."""


def order_page(orders: Iterable[Json], raw_query: str, ignored: Iterable[str] = ()) -> Json:
    """Return the body of the list, newest id first: rows of exactly the documented fields, and `meta`.

    :raises QueryError: for a value that it does not take.
    """
    query = dict(parse_qsl(raw_query, keep_blank_values=True))
    query = {key: value for key, value in query.items() if not key.startswith(tuple(f"filter[{x}]" for x in ignored))}
    page = _parse_whole(query, "pageOptions[page]", 1)
    take = _parse_whole(query, "pageOptions[take]", 10, _LARGEST_PAGE)
    matches = sorted(_filtered(orders, query), key=lambda order: str(order.get("id")), reverse=True)
    pages = math.ceil(len(matches) / take)
    return {
        "data": [
            {field: order.get(field, _CLIENT if field == "clientId" else None) for field in _ROW}
            for order in matches[(page - 1) * take : page * take]
        ],
        "meta": {
            "page": page,
            "take": take,
            "itemCount": len(matches),
            "pageCount": pages,
            "hasPreviousPage": page > 1,
            "hasNextPage": page < pages,
        },
    }


def _filtered(orders: Iterable[Json], query: dict[str, str]) -> list[Json]:
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


def _parse_whole(query: dict[str, str], key: str, default: int, largest: int | None = None) -> int:
    text = query.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < 1:
        raise QueryError(f"{key} must not be less than 1")
    if largest is not None and int(text) > largest:
        raise QueryError(f"{key} must not be greater than {largest}")
    return int(text)


def _parse_date(query: dict[str, str], key: str) -> int | None:
    if key not in query:
        return None
    moment = parse_iso(query[key])
    if moment is None:
        raise QueryError(f"{key} must be a valid ISO 8601 date string")
    return moment
