"""The operator that cancels an order."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_ollang._compat import AirflowSkipException
from airflow_provider_ollang.domain.arguments import parse_order_id, require_choice
from airflow_provider_ollang.exceptions import OllangBadRequestError, OllangOrderNotEligibleError
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators._base import OllangOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class OllangCancelOrderOperator(OllangOperator):
    """
    Cancels an order for good (`Cancel Order`); only orders that have hardly begun can be cancelled.

    It costs nothing and may be repeated: an order that was cancelled before counts as cancelled.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id``, such as an item of the result of
        :class:`.OllangCreateOrderOperator` (templated).
    :param on_too_late: what to do if the order cannot be cancelled any more: ``"fail"``, ``"skip"`` the task, or
        ``"ignore"`` it and return ``cancelled: False``.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: ``{"order_id": str, "cancelled": bool, "status": str}``; ``status`` is that of the order now.
    :raises OllangOrderNotEligibleError: it is too late.
    :raises OllangError: as :meth:`.OllangHook.cancel_order`.
    """

    template_fields: Sequence[str] = ("order_id", "ollang_conn_id")
    ui_color = "#f6e1dc"

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
        """Cancel the order."""
        order_id = parse_order_id(self.order_id)
        hook, _ = self._connect(order_id)
        try:
            is_new = hook.cancel_order(order_id)
        except (OllangBadRequestError, OllangOrderNotEligibleError) as error:
            if error.status_code != HTTPStatus.BAD_REQUEST:
                raise
            # The response to an earlier request may have been lost.
            status = hook.get_order(order_id)["status"]
            if status != "cancelled":
                return self._too_late(order_id, status, error)
            is_new = False
        self.log.info("Order %s %s.", order_id, "was cancelled" if is_new else "had been cancelled before")
        return {"order_id": order_id, "cancelled": True, "status": "cancelled"}

    def _too_late(
        self, order_id: str, status: str, error: OllangBadRequestError | OllangOrderNotEligibleError
    ) -> dict[str, Any]:
        message = f"Order {order_id} is {status!r} and cannot be cancelled any more"
        if self.on_too_late == "skip":
            raise AirflowSkipException(f"{message}.") from error
        if self.on_too_late == "ignore":
            self.log.warning("%s (on_too_late='ignore').", message)
            return {"order_id": order_id, "cancelled": False, "status": status}
        failure = OllangOrderNotEligibleError(
            f"{message}: Ollang refused it ({error.detail or error.status_code}). Nothing was changed. To go on all "
            "the same, set on_too_late to 'skip' or 'ignore'."
        )
        vars(failure).update(vars(error))
        raise failure from None
