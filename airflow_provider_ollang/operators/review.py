"""Operators that have people review an order, and that cancel it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

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
from airflow_provider_ollang.operators._new_result import OllangNewResultOperator
from airflow_provider_ollang.runtime.review_request import ReviewRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class OllangHumanReviewOperator(OllangNewResultOperator):
    """
    Has people at Ollang review a completed or delivered order (`Human Review`).

    **This is billed.** So a task instance requests at most one review, as :class:`.OllangRerunOperator` submits at most
    one rerun, by the same record and with the same answers to retries, clears and lost responses. Where the outcome of
    the request stays unknown, the task fails without a retry, and a person decides.

    The request sets the order to ``ongoing`` and level 1. People work on it for hours or days; then it is done at level
    1, with new documents or with the old ones, approved as they were. Give the receipt to
    ``OllangOrderStatusSensor(rerun=...)``, or wait here with ``wait_for_completion``: both accept only the result of
    this review. Every operator that takes the receipt of a rerun takes that of a review, too.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id`` (templated).
    :param wait_for_completion: wait for the reviewed result, which is then in the receipt; default ``False``.
    :param on_running: what to do if the order is being processed already: ``"fail"``, or ``"attach"`` to a review that
        is under way instead of requesting one.
    :param on_unknown_outcome: what to do when the outcome of the request stays unknown: ``"fail"``, or ``"resubmit"``
        it once, which may be billed twice.
    :param on_no_evidence: what to do when the order says it is done for all of ``stale_timeout`` and nothing shows that
        its result is the review's: ``"fail"``, or ``"accept"`` the result with ``evidence: []``.
    :param skip_if_passed: the report of :class:`.OllangQualityGateOperator`: the task is skipped if it says that the
        order passed (templated).
    :param min_credits: request nothing if the account has fewer credits left; default ``None``: do not ask.
    :param reconcile_timeout: how long to look for evidence that a request with an unknown outcome was processed, in
        all tries together, seconds or ``timedelta``; default 300 s. Each try takes 30 s of it at least.
    :param poll_interval: seconds, or ``timedelta``, between two polls of the wait; default 60 s, at least 1 s.
    :param timeout: seconds, or ``timedelta``, after which the wait fails, per try; default ``[sensors]
        default_timeout``, 7 days.
    :param max_poll_failures: how many consecutive polls of the wait may fail for transient reasons; default 10.
    :param outputs_timeout: seconds, or ``timedelta``, that new output documents may lag behind the end of the review;
        default 120 s. Then its outputs count as approved as they were, and the result says ``outputs_changed: false``.
    :param stale_timeout: seconds, or ``timedelta``, that an order may say it is done without any evidence of the
        review, or with no other than its level; default 2 h.
    :param deferrable: wait in the triggerer, which holds no worker slot; default ``[operators] default_deferrable``.
        The worker polls until it has observed the review, 30 s after the request at most.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: the receipt, as that of :class:`.OllangRerunOperator` with ``"kind": "review"``; it is pushed as XCom as
        soon as the review is accepted, or its outcome unknown. ``result`` is ``None``, or after a wait what
        :class:`.OllangOrderStatusSensor` returns.
    :raises OllangOrderNotEligibleError: the order is not completed or delivered; nothing was sent or started.
    :raises OllangRequestRefusedError: the API refused it.
    :raises OllangInsufficientCreditsError: the account has fewer than ``min_credits``; nothing was sent.
    :raises OllangOutcomeUnknownError: it may or may not have been accepted; the message says what to check.
    :raises OllangOrderFailedError: the review was cancelled, or the order failed.
    :raises OllangStaleResultError, OllangTimeoutError: the wait failed, as in the sensor.
    :raises OllangError: as :meth:`.OllangHook.request_human_review`.
    """

    ui_color = "#e6dcf7"
    record_key = "ollang_review"
    request_class = ReviewRequest


class OllangCancelHumanReviewOperator(OllangOperator):
    """
    Cancels the human review of an order, which Ollang refunds (`Cancel Human Review`).

    The order is ``completed`` at level 0 then, with the result that it had before the review. Cancelling costs nothing,
    and repeating it is harmless: a retry finds that it is cancelled already.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id`` (templated).
    :param on_too_late: what to do if the review cannot be cancelled any more: ``"fail"``, ``"skip"`` the task, or
        ``"ignore"`` it.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: ``{"order_id", "cancelled", "status"}``: whether the order has no review now, and its status.
    :raises OllangOrderNotEligibleError: it is too late: people are done with the review, or about to be.
    :raises OllangError: as :meth:`.OllangHook.cancel_human_review`.
    """

    template_fields: Sequence[str] = ("order_id", "ollang_conn_id")
    ui_color = "#ece5f5"

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
        """Cancel the review."""
        order_id = parse_order_id(self.order_id)
        hook, _ = self._connect(order_id)
        try:
            hook.cancel_human_review(order_id)
        except (OllangBadRequestError, OllangOrderNotEligibleError, OllangRequestRefusedError) as error:
            return self._refused(hook, order_id, error)
        self.log.info("Order %s: its human review is cancelled and refunded.", order_id)
        return {"order_id": order_id, "cancelled": True, "status": "completed"}

    def _refused(self, hook: OllangHook, order_id: str, error: OllangError) -> dict[str, Any]:
        """Tell whether there is no review any more, as after a request whose response was lost, or it is too late."""
        order = hook.get_order(order_id)
        status, level = order["status"], parse_number(order.get("level"))
        if status in DONE_STATUSES and level is not None and level < 1:
            self.log.info("Order %s has no human review, or none any more.", order_id)
            return {"order_id": order_id, "cancelled": True, "status": status}
        text = (
            f"The human review of order {order_id} cannot be cancelled: the order is {status!r} at level {level}, and "
            f"only a review that is under way can be. Ollang's answer: {error.detail or 'none'}."
        )
        if self.on_too_late == "fail":
            raise OllangOrderNotEligibleError(text, order_id=order_id) from error
        if self.on_too_late == "skip":
            raise AirflowSkipException(text)
        self.log.warning("%s", text)
        return {"order_id": order_id, "cancelled": False, "status": status}
