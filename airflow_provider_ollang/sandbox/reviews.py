"""Human review: requesting it, cancelling it, and the gate at which an order waits for people."""

from __future__ import annotations

from airflow_provider_ollang.sandbox import lifecycle, prices, responses
from airflow_provider_ollang.sandbox.order import Change, Json, Order
from airflow_provider_ollang.sandbox.prices import is_reviewed
from airflow_provider_ollang.sandbox.responses import Response

#: What the documents say of an order whose review was cancelled.
CANCELLED: Json = {"level": 0, "status": "completed"}


def request_review(order: Order, now: int) -> Response:
    """Respond to a request for human review: refuse, or start the run in which people work on the order."""
    refusal = _refusal(order)
    if refusal is not None:
        order.reviews_refused += 1
        return refusal
    order.unplan("run")
    order.run += 1
    order.reviews_accepted += 1
    order.credits_used += prices.REVIEW
    lifecycle.begin_run(order, now, is_review=True)
    order.catch_up(now)
    return Response(204, None)


def _refusal(order: Order) -> Response | None:
    behaviour = order.behaviour
    is_repeated = is_reviewed(order.latest.get("level")) and behaviour.review_at_level_1 == "400"
    if not order.is_done or order.running or is_repeated:
        return responses.NOT_REVIEWABLE.response(behaviour)
    if behaviour.review_no_credits is not None:
        return responses.no_credits(behaviour.review_no_credits, "review").response(behaviour)
    return None


def cancel_review(order: Order, now: int) -> Response:
    """Respond to the cancelling of a human review: the order is completed at level 0, without new results."""
    behaviour = order.behaviour
    if not is_reviewed(order.latest.get("level")) or order.latest.get("status") != "ongoing":
        return responses.REVIEW_NOT_CANCELLABLE.response(behaviour)
    order.reviews_cancelled += 1
    order.refund(prices.REVIEW)
    order.plan([Change(now, "human review cancelled", CANCELLED, cancels_run=True)])
    order.catch_up(now)
    shown_id = order.id if behaviour.answered_id is None else behaviour.answered_id
    return Response(200, {"success": True, "message": responses.REVIEW_CANCELLED, "orderId": shown_id})


def review_info(order: Order, _: int) -> Response:
    """Respond to a request for the gate at which an order waits."""
    if not order.behaviour.review_info:
        return responses.unknown_error(404, f"Cannot GET /integration/orders/{order.id}/review/info")
    if order.latest.get("status") != "review":
        return Response(200, {"inReview": False})
    entered = order.history[-1]["time"]
    gate = {"tag": "Reviewers", "reviewType": "assignment", "enteredReviewAt": entered}
    return Response(200, {"inReview": True, **gate, "reviewers": ["Robin Reviewer"]})
