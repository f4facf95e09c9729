"""Operators that check an order and rerun it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_ollang import _clock
from airflow_provider_ollang._compat import AirflowTaskTimeout
from airflow_provider_ollang.api import order_id_of
from airflow_provider_ollang.arguments import names_of, seconds_of
from airflow_provider_ollang.exceptions import (
    OllangError,
    OllangOrderNotEligibleError,
    OllangPermanentError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.orders import Baseline, rerun_readiness, shows_running
from airflow_provider_ollang.receipts import Receipt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from airflow.sdk import Context

#: Pauses before the looks that should see an accepted rerun begin; together the default ``confirm_timeout``.
CONFIRM_PAUSES = (1.0, 2.0, 3.0, 5.0, 8.0, 11.0)
CONFIRM_TIMEOUT = sum(CONFIRM_PAUSES)


class OllangGetOrderOperator(BaseOperator):
    """
    Gets an order and returns it (`Get Order by ID`).

    Use it to look at an order before acting on it, or to fetch fresh links: those in an order are signed and expire,
    so keep them out of long-lived XComs by naming the ``fields`` you need.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id``, such as the result of another task of
        this provider (templated).
    :param fields: names of the top-level fields to return, as a collection or a comma-separated text; a field the
        order does not have is ``None``. Default: the whole order as the API gave it (templated).
    :param ollang_conn_id: the Airflow connection (templated).
    :return: the order, as a dict.
    :raises OllangError: as :meth:`.OllangHook.get_order`.
    """

    template_fields: Sequence[str] = ("order_id", "fields", "ollang_conn_id")
    ui_color = "#e3ecfb"

    def __init__(
        self,
        *,
        order_id: Any,
        fields: Iterable[str] | str | None = None,
        ollang_conn_id: str = OllangHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.order_id = order_id
        self.fields = fields
        self.ollang_conn_id = ollang_conn_id

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """Get the order."""
        order_id = order_id_of(self.order_id)
        wanted = None if self.fields is None else names_of("fields", self.fields)
        order = OllangHook(self.ollang_conn_id).get_order(order_id)
        self.log.info("Order %s is %s.", order_id, order["status"])
        return order if wanted is None else {name: order.get(name) for name in wanted}


class OllangRerunOperator(BaseOperator):
    """
    Reruns a completed or delivered order with Ollang's current models and settings (`Rerun Order`).

    **This may be billed, and the new result replaces the current one.** The request is sent once: while it surely was
    not processed it is repeated, and where nobody can say, the task fails for good with
    :class:`~airflow_provider_ollang.exceptions.OllangRerunOutcomeUnknownError`, so that no retry sends it again.

    The API gives no run id, and the order may say ``completed`` with its old files for a while. So the order is looked
    at just before the request, and the receipt carries what it looked like; give it to
    ``OllangOrderStatusSensor(rerun=...)``, which believes only a result that is newer.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id`` (templated).
    :param confirm_timeout: how long to look whether the rerun begins, seconds or ``timedelta``; default 30 s. The task
        does not fail if it does not; the sensor only has more to go by if it does.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: the receipt, ``{"order_id", "host", "message", "requested_at", "joined", "seen_running", "last_status",
        "baseline", "result"}``; it is pushed as XCom as soon as the rerun is accepted.
    :raises OllangOrderNotEligibleError: the order is not completed or delivered; nothing was sent or started.
    :raises OllangRerunRefusedError: the API refused it.
    :raises OllangRerunOutcomeUnknownError: it may or may not have been accepted; the message says what to check.
    :raises OllangError: as :meth:`.OllangHook.rerun_order`.
    """

    template_fields: Sequence[str] = ("order_id", "ollang_conn_id")
    ui_color = "#d3e0fa"

    def __init__(
        self,
        *,
        order_id: Any,
        confirm_timeout: float | timedelta = CONFIRM_TIMEOUT,
        ollang_conn_id: str = OllangHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.order_id = order_id
        self.confirm_timeout = seconds_of("confirm_timeout", confirm_timeout)
        self.ollang_conn_id = ollang_conn_id
        self._killed = False

    def execute(self, context: Context) -> dict[str, Any]:
        """Rerun the order."""
        order_id = order_id_of(self.order_id)
        hook = OllangHook(self.ollang_conn_id)
        baseline = self._take_baseline(hook, order_id)
        accepted = hook.rerun_order(order_id, before_send=self._go_on_unless_killed)
        self.log.info("Order %s: Ollang accepted the rerun: %s", order_id, accepted["message"])
        receipt = Receipt(
            order_id=order_id,
            host=hook.settings.base_url,
            message=accepted["message"],
            requested_at=accepted["requested_at"],
            joined=False,
            seen_running=False,
            last_status=baseline.status,
            baseline=baseline,
        )
        if self.do_xcom_push:
            # Whatever happens to this task from here on, the tasks behind it can go on with what was bought.
            try:
                context["ti"].xcom_push(key="return_value", value=receipt.to_json())
            except Exception as error:  # noqa: BLE001 - the rerun is bought: Airflow pushes the receipt again at the end
                self.log.warning("The receipt could not be pushed early (%s).", type(error).__name__)
        return self._confirm(hook, receipt).to_json()

    def on_kill(self) -> None:
        """Keep a task that somebody ended from sending its request: Airflow lets it run on for seconds."""
        self._killed = True

    def _go_on_unless_killed(self) -> None:
        if self._killed:
            raise OllangPermanentError("This task was ended from outside before it sent its request. Nothing was sent.")

    def _take_baseline(self, hook: OllangHook, order_id: str) -> Baseline:
        order = hook.get_order(order_id)
        readiness = rerun_readiness(order["status"])
        if readiness != "ready":
            advice = (
                "Wait for it with OllangOrderStatusSensor first."
                if readiness == "running"
                else "Somebody has to act on it in Ollang before it can be rerun."
            )
            raise OllangOrderNotEligibleError(
                f"Order {order_id} is {order['status']!r}, and only completed or delivered orders can be rerun. "
                f"Nothing was sent. {advice}",
                order_id=order_id,
            )
        baseline = Baseline.from_order(order)
        self.log.info(
            "Order %s is %s with %s output document(s) before the rerun.",
            order_id,
            baseline.status,
            "an unknown number of" if baseline.outputs is None else len(baseline.outputs),
        )
        return baseline

    def _confirm(self, hook: OllangHook, receipt: Receipt) -> Receipt:
        """Look a few times whether the rerun begins: having seen it is evidence that its result may rest on."""
        left = self.confirm_timeout
        for pause in CONFIRM_PAUSES:
            if left <= 0:
                break
            try:
                _clock.sleep(min(pause, left))
                left -= pause
                order = hook.get_order(receipt.order_id, max_attempts=1)
            except AirflowTaskTimeout:
                self.log.warning("The execution_timeout ended the looks; the rerun is accepted and not affected.")
                return receipt
            except OllangError as error:
                # The rerun is accepted: no failed look may make this task fail and be retried.
                self.log.warning("%s The rerun is not affected.", error)
                continue
            status = order["status"]
            receipt = dataclasses.replace(receipt, last_status=status, seen_running=shows_running(status))
            if receipt.seen_running:
                self.log.info("Order %s is %s: the rerun is under way.", receipt.order_id, status)
                return receipt
            if receipt.rerun.evidence(order):
                self.log.info("Order %s is %s again already, with a new result.", receipt.order_id, status)
                return receipt
        self.log.info(
            "Order %s is still %s. Its rerun is accepted, but was not seen to begin yet.",
            receipt.order_id,
            receipt.last_status,
        )
        return receipt
