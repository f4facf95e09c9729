"""The words of Ollang's answers, as its pages on getting, rerunning and checking the quality of an order give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox.behaviour import Behaviour


class Answer(NamedTuple):
    """A status and a JSON body."""

    status: int
    body: Any


class ApiError(NamedTuple):
    """An error answer.

    :param status: HTTP status.
    :param error: title.
    :param message: sentence.
    :param code: upper-case name.
    """

    status: int
    error: str
    message: str
    code: str

    def answer(self, behaviour: Behaviour) -> Answer:
        """Put it into the shape that the behaviour asks for."""
        status = behaviour.error_status or self.status
        if behaviour.error_style == "unknown_error":
            return Answer(status, unknown_error(self.message))
        if behaviour.error_style == "message_only":
            return Answer(status, {"message": self.message})
        return Answer(status, {"error": self.error, "message": self.message, "code": self.code})


UNAUTHORIZED = ApiError(401, "Unauthorized", "Invalid or missing API key", "UNAUTHORIZED")
NO_ACCESS = ApiError(403, "Access denied", "You don't have permission to access this order", "ACCESS_DENIED")
NO_RERUN = ApiError(403, "Access denied", "You don't have permission to rerun this order", "ACCESS_DENIED")
NOT_FOUND = ApiError(404, "Order not found", "No order found with the provided orderId", "ORDER_NOT_FOUND")
NOT_ELIGIBLE = ApiError(
    400,
    "Order not eligible for rerun",
    "Only completed or delivered orders can be rerun",
    "ORDER_NOT_ELIGIBLE",
)
RERUN_INITIATED = "Order rerun initiated successfully"
QC_STARTED = "QC evaluation started. You will be notified when it's completed."

# No page gives the words of these.
ALREADY_RUNNING = ApiError(409, "Conflict", "A rerun of this order is already in progress", "RERUN_IN_PROGRESS")
RERUN_NOT_INITIATED = "Order rerun could not be initiated"
NO_EVALUATION = ApiError(403, "Access denied", "You don't have permission to evaluate this order", "ACCESS_DENIED")
NOT_EVALUABLE = ApiError(
    400,
    "Order not eligible for QC evaluation",
    "Only completed or delivered orders can be evaluated",
    "ORDER_NOT_ELIGIBLE",
)
QC_COMPLETED = "QC evaluation completed."
QC_NOT_STARTED = "QC evaluation could not be started"


def no_credits(status: int, action: str) -> ApiError:
    """Refuse for want of credits."""
    return ApiError(
        status, "Insufficient credits", f"Not enough credits to {action} this order", "INSUFFICIENT_CREDITS"
    )


def bad_body(message: str) -> ApiError:
    """Refuse a field of a request's body."""
    return ApiError(400, "Bad Request", message, "BAD_REQUEST")


def bad_query(message: str) -> ApiError:
    """Refuse a query parameter."""
    return ApiError(400, "Invalid query parameters", message, "BAD_REQUEST")


def unknown_error(detail: str) -> dict[str, Any]:
    """Make the generic envelope, whose `detail` alone says something."""
    return {"code": -1, "error": "UnknownError", "message": "unknown error", "detail": detail}
