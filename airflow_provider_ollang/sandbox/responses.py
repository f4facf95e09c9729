"""What Ollang responds: the words of its pages, errors in each shape on record, and an order."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_ollang.sandbox.clock import to_milliseconds
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
REVIEW_CANCELLED = "Human Review has been cancelled and credits have been refunded."
RERUN_INITIATED = "Order rerun initiated successfully"
QC_STARTED = "QC evaluation started. You will be notified when it's completed."

# The words of these are not on the vendor's pages.
ALREADY_RUNNING = ApiError(409, "Conflict", "A rerun of this order is already in progress", "RERUN_IN_PROGRESS")
RERUN_NOT_INITIATED = "Order rerun could not be initiated"
TOO_LARGE = ApiError(413, "Payload Too Large", "The file exceeds the allowed size", "PAYLOAD_TOO_LARGE")
NO_PROJECT = ApiError(404, "Project not found", "No project found with the provided projectId", "PROJECT_NOT_FOUND")
NO_PROJECT_ACCESS = ApiError(403, "Access denied", "You don't have permission to access this project", "ACCESS_DENIED")
NO_EVALUATION = ApiError(403, "Access denied", "You don't have permission to evaluate this order", "ACCESS_DENIED")
NOT_EVALUABLE = NOT_ELIGIBLE._replace(
    error="Order not eligible for QC evaluation", message="Only completed or delivered orders can be evaluated"
)
NOT_CANCELLABLE = NOT_ELIGIBLE._replace(
    error="Order not eligible for cancellation", message="Only pending or early ongoing orders can be cancelled"
)
ALREADY_CANCELLED = ApiError(409, "Conflict", "This order has already been cancelled", "ORDER_ALREADY_CANCELLED")
NO_CANCELLATION = NO_RERUN._replace(message="You don't have permission to cancel this order")
NOT_REVIEWABLE = NOT_ELIGIBLE._replace(
    error="Order not eligible for human review",
    message="Only completed or delivered orders of level 0 can be reviewed",
)
REVIEW_NOT_CANCELLABLE = NOT_ELIGIBLE._replace(
    error="Human review cannot be cancelled", message="Only ongoing orders of level 1 have a review to cancel"
)
NO_REVIEW = NO_RERUN._replace(message="You don't have permission to request human review of this order")
NO_BILLING = NO_RERUN._replace(message="You don't have permission to access billing")
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


def project_body(project: Json, behaviour: Behaviour) -> Json:
    """Return a project as a GET shows it, or its row."""
    return _without_fields(copy.deepcopy(project), behaviour)


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
    return _without_fields(order, behaviour)


def _without_fields(body: Json, behaviour: Behaviour) -> Json:
    for name in behaviour.null_fields:
        for holder, key in _places(body, name.split(".")):
            holder[key] = None
    for name in behaviour.missing_fields:
        for holder, key in _places(body, name.split(".")):
            holder.pop(key, None)
    return body


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
