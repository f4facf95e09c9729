"""Cancelling an order: until when it is possible, and what the order is afterwards."""

from __future__ import annotations

from airflow_provider_ollang.sandbox import prices, responses
from airflow_provider_ollang.sandbox.clock import to_milliseconds
from airflow_provider_ollang.sandbox.order import Change, Order
from airflow_provider_ollang.sandbox.responses import Response


def cancel(order: Order, now: int) -> Response:
    """Respond to the cancelling of an order: refuse, or end its run and give the credits back."""
    behaviour = order.behaviour
    is_repeated = order.cancelled or order.latest.get("status") == "cancelled"
    if is_repeated and behaviour.repeated_cancel == 204:
        return Response(204, None)
    if is_repeated or not _is_early(order, now):
        order.cancels_refused += 1
        error = responses.ALREADY_CANCELLED if is_repeated else responses.NOT_CANCELLABLE
        return error.response(behaviour)
    order.cancels_accepted += 1
    order.cancelled = True
    order.refund(prices.price_of_run(order.latest.get("level")))
    status = behaviour.cancelled_status
    order.plan([Change(now, "cancelled", {} if status is None else {"status": status}, cancels_run=True)])
    order.catch_up(now)
    return Response(204, None)


def _is_early(order: Order, now: int) -> bool:
    if order.latest.get("status") == "pending":
        return True
    window = order.behaviour.cancellable_for
    is_late = window is not None and now > order.run_started + to_milliseconds(window)
    return order.running and not order.is_done and not is_late
