"""Operators that get an order and rerun it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.domain.arguments import parse_names, parse_order_id
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators._base import OllangOperator
from airflow_provider_ollang.operators._new_result import OllangNewResultOperator
from airflow_provider_ollang.runtime.order_requests import RerunRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow.sdk import Context


class OllangGetOrderOperator(OllangOperator):
    """
    Gets an order and returns it (`Get Order by ID`).

    Use it to check an order before acting on it, or to fetch fresh URLs: those in an order are signed and expire, so
    keep them out of long-lived XComs by naming the ``fields`` you need.

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
        order_id = parse_order_id(self.order_id)
        names = None if self.fields is None else parse_names("fields", self.fields)
        hook, _ = self._connect(order_id)
        order = hook.get_order(order_id)
        self.log.info("Order %s is %s.", order_id, order["status"])
        return order if names is None else {name: order.get(name) for name in names}


class OllangRerunOperator(OllangNewResultOperator):
    """
    Reruns a completed or delivered order with Ollang's current models and settings (`Rerun Order`).

    **This may be billed, and the new result replaces the current one.** So a task instance submits at most one rerun:
    retries, worker crashes and lost responses never submit a second one. A retry reconnects to the rerun that an
    earlier try submitted; clearing a finished task submits a new one. A record in Airflow's task state store
    (Airflow 3.3 or newer), written before the request, tells a later try what the earlier ones did. Airflow 3.4
    discards the record when the task is cleared, unless *Keep task state* is ticked, and any version when it succeeds
    with ``[state_store] clear_on_success``: a cleared task without a record polls the order for 30 s, reconnects to
    what is at work, and else submits. Where the outcome of the request stays unknown, the task fails without a retry,
    and a person decides.

    The API gives no run id, and the order may say ``completed`` with its old files for a while. So the order is polled
    just before the request, and the receipt carries what it looked like. Give it to
    ``OllangOrderStatusSensor(rerun=...)``, or wait here with ``wait_for_completion``: both accept only a result that is
    newer. Without ``wait_for_completion`` the task returns as soon as the rerun is accepted.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id`` (templated).
    :param wait_for_completion: wait for the new result, which is then in the receipt; default ``False``.
    :param on_running: what to do if the order is being processed already: ``"fail"``, or ``"attach"`` to that run
        instead of submitting one.
    :param on_unknown_outcome: what to do when the outcome of the request stays unknown: ``"fail"``, or ``"resubmit"``
        it once, which may be billed twice.
    :param on_no_evidence: what to do when the order says it is done for all of ``stale_timeout`` and nothing shows that
        its result is new: ``"fail"``, or ``"accept"`` the result with ``evidence: []``.
    :param skip_if_passed: the report of :class:`.OllangQualityGateOperator`: the task is skipped if it says that the
        order passed (templated).
    :param reconcile_timeout: how long to look for evidence that a request with an unknown outcome was processed, in
        all tries together, seconds or ``timedelta``; default 300 s. Each try takes 30 s of it at least.
    :param poll_interval: seconds, or ``timedelta``, between two polls of the wait; default 60 s, at least 1 s.
    :param timeout: seconds, or ``timedelta``, after which the wait fails, per try; default ``[sensors]
        default_timeout``, 7 days.
    :param max_poll_failures: how many consecutive polls of the wait may fail for transient reasons; default 10.
    :param outputs_timeout: seconds, or ``timedelta``, that new output documents may lag behind a status that is proven
        to be the rerun's; default 120 s. Then the result says ``outputs_changed: false``.
    :param stale_timeout: seconds, or ``timedelta``, that an order may say it is done without any evidence of the
        rerun; default 2 h.
    :param deferrable: wait in the triggerer, which holds no worker slot; default ``[operators] default_deferrable``.
        The worker polls until it has observed the run, 30 s after the request at most: what only a triggerer has
        observed is lost if that dies.
    :param min_credits: submit nothing if the account has fewer credits left; needs a key that may see billing. Default
        ``None``: do not ask.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: the receipt, ``{"order_id", "host", "message", "requested_at", "reconnected", "seen_running",
        "last_status", "baseline", "result", "baseline_confirmed", "kind", "credits_used"}``; it is pushed as XCom as
        soon as the rerun is accepted, or its outcome unknown.
        ``result`` is ``None``, or after a wait what :class:`.OllangOrderStatusSensor` returns.
    :raises OllangOrderNotEligibleError: the order is not completed or delivered; nothing was sent or started.
    :raises OllangRequestRefusedError: the API refused it.
    :raises OllangInsufficientCreditsError: the account has fewer than ``min_credits``; nothing was sent.
    :raises OllangOutcomeUnknownError: it may or may not have been accepted; the message says what to check.
    :raises OllangOrderFailedError, OllangStaleResultError, OllangTimeoutError: the wait failed, as in the sensor.
    :raises OllangError: as :meth:`.OllangHook.rerun_order`.
    """

    ui_color = "#d3e0fa"
    record_key = "ollang_rerun"
    request_class = RerunRequest
