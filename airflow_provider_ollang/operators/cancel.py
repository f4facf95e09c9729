"""Operators that cancel: an order, or its human review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_ollang._compat import AirflowSkipException
from airflow_provider_ollang.domain.arguments import parse_order_id, require_choice
from airflow_provider_ollang.domain.orders import DONE_STATUSES
from airflow_provider_ollang.domain.values import parse_number
from airflow_provider_ollang.exceptions import (
    OllangBadRequestError,
    OllangError,
    OllangOrderNotEligibleError,
    OllangRequestRefusedError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators._base import OllangOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_ollang.domain.orders import Order

#: How Ollang says that it is too late, or done before: refused, not eligible, a conflict.
_TOO_LATE = {200, 400, 409}


class _CancelOperator(OllangOperator):
    """Cancels something of an order; what was cancelled before counts as cancelled."""

    template_fields: Sequence[str] = ("order_id", "ollang_conn_id")
    #: What is cancelled, behind "Order 60b8…: ".
    subject: ClassVar[str]
    #: The status of the order then.
    status: ClassVar[str]

    def __init__(
        self,
        *,
        order_id: Any,
        on_too_late: Literal["fail", "skip", "ignore"] = "fail",
        ollang_conn_id: str = OllangHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.order_id = order_id
        self.on_too_late = require_choice("on_too_late", on_too_late, ("fail", "skip", "ignore"))
        self.ollang_conn_id = ollang_conn_id

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """Cancel it."""
        order_id = parse_order_id(self.order_id)
        hook, _ = self._connect(order_id)
        status, done = self.status, "was cancelled"
        try:
            self._cancel(hook, order_id)
        except (OllangBadRequestError, OllangOrderNotEligibleError, OllangRequestRefusedError) as error:
            if error.status_code not in _TOO_LATE:
                raise
            # The response to an earlier request may have been lost.
            order = hook.get_order(order_id)
            if not self._is_cancelled(order):
                return self._too_late(order_id, order, error)
            status, done = order["status"], "had been cancelled before"
        self.log.info("Order %s: %s %s.", order_id, self.subject, done)
        return {"order_id": order_id, "cancelled": True, "status": status}

    def _cancel(self, hook: OllangHook, order_id: str) -> None:
        raise NotImplementedError

    def _is_cancelled(self, order: Order) -> bool:
        raise NotImplementedError

    def _too_late(self, order_id: str, order: Order, error: OllangError) -> dict[str, Any]:
        message = (
            f"Order {order_id} is {order['status']!r} at level {order.get('level')}: {self.subject} cannot be "
            "cancelled any more"
        )
        if self.on_too_late == "skip":
            raise AirflowSkipException(f"{message}.") from error
        if self.on_too_late == "ignore":
            self.log.warning("%s (on_too_late='ignore').", message)
            return {"order_id": order_id, "cancelled": False, "status": order["status"]}
        raise error.reworded(
            f"{message}. Ollang refused it ({error.detail or error.status_code}); nothing was changed. To go on all "
            "the same, set on_too_late to 'skip' or 'ignore'.",
            OllangOrderNotEligibleError,
        ) from None


class OllangCancelOrderOperator(_CancelOperator):
    """
    Cancels an order for good (`Cancel Order`); only orders that have hardly begun can be cancelled.

    It costs nothing and may be repeated: an order that was cancelled before counts as cancelled.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id``, such as an item of the result of
        :class:`.OllangCreateOrderOperator` (templated).
    :param on_too_late: what to do if the order cannot be cancelled any more: ``"fail"``, ``"skip"`` the task, or
        ``"ignore"`` it and return ``cancelled: False``.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: ``{"order_id": str, "cancelled": bool, "status": str}``; ``status`` is ``"cancelled"``, or the order's
        status now if it was not cancelled.
    :raises OllangOrderNotEligibleError: it is too late.
    :raises OllangError: as :meth:`.OllangHook.cancel_order`.
    """

    ui_color = "#f6e1dc"
    subject = "the order"
    status = "cancelled"

    def _cancel(self, hook: OllangHook, order_id: str) -> None:
        hook.cancel_order(order_id)

    def _is_cancelled(self, order: Order) -> bool:
        return bool(order["status"] == self.status)


class OllangCancelHumanReviewOperator(_CancelOperator):
    """
    Cancels the human review of an order, which Ollang refunds (`Cancel Human Review`).

    The order is ``completed`` at level 0 then, with the result that it had before the review. It costs nothing and may
    be repeated: an order that has no review any more counts as cancelled.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id`` (templated).
    :param on_too_late: what to do if the review cannot be cancelled any more: ``"fail"``, ``"skip"`` the task, or
        ``"ignore"`` it and return ``cancelled: False``.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: ``{"order_id": str, "cancelled": bool, "status": str}``; ``status`` is ``"completed"`` once the review is
        cancelled; else, and if there was none any more, the order's status now.
    :raises OllangOrderNotEligibleError: it is too late: people are done with the review, or about to be.
    :raises OllangError: as :meth:`.OllangHook.cancel_human_review`.
    """

    ui_color = "#ece5f5"
    subject = "its human review"
    status = "completed"

    def _cancel(self, hook: OllangHook, order_id: str) -> None:
        hook.cancel_human_review(order_id)

    def _is_cancelled(self, order: Order) -> bool:
        level = parse_number(order.get("level"))
        return order["status"] in DONE_STATUSES and level is not None and level < 1
