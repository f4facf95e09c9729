"""Whether a rerun is accepted, and the words in which it is or is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_ollang.sandbox import answers
from airflow_provider_ollang.sandbox.answers import Answer

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox.orders import Order


def refusal(order: Order) -> Answer | None:
    """Return why an order of the own account is not rerun; None if it is."""
    behaviour = order.behaviour
    if order.running and behaviour.rerun_while_running == "409":
        return answers.ALREADY_RUNNING.answer(behaviour)
    if not _may_run(order):
        return answers.NOT_ELIGIBLE.answer(behaviour)
    if behaviour.no_credits is not None:
        return answers.no_credits(behaviour.no_credits, "rerun").answer(behaviour)
    if not behaviour.rerun_success:
        return _answer(order, 200, answers.RERUN_NOT_INITIATED)
    return None


def acceptance(order: Order) -> Answer:
    """Return the answer to a rerun that has begun."""
    return _answer(order, order.behaviour.rerun_accepted_status, answers.RERUN_INITIATED)


def _may_run(order: Order) -> bool:
    match order.behaviour.rerun_while_running:
        case "accept":
            return order.running or order.eligible()
        case "by_status":
            return order.eligible()
        case _:
            return order.eligible() and not order.running


def _answer(order: Order, status: int, message: str) -> Answer:
    shown_id = order.id if order.behaviour.answered_id is None else order.behaviour.answered_id
    body = {"success": order.behaviour.rerun_success, "message": message, "orderId": shown_id}
    return Answer(status, body)
