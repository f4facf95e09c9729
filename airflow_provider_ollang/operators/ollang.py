"""Operators that check an order and rerun it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_ollang import _clock
from airflow_provider_ollang._compat import AirflowSkipException, AirflowTaskTimeout, conf
from airflow_provider_ollang.client.requests import rerun_order
from airflow_provider_ollang.domain.arguments import NOT_GIVEN, names_of, one_of, order_id_of, seconds_of
from airflow_provider_ollang.domain.freshness import Baseline
from airflow_provider_ollang.domain.orders import DONE_STATUSES, FAILURE_STATUSES, rerun_readiness, shows_running
from airflow_provider_ollang.domain.polling import (
    MAX_POLL_FAILURES,
    OUTPUTS_TIMEOUT,
    STALE_TIMEOUT,
    Step,
    Wait,
    WaitMemory,
    WaitRules,
    describe_end,
)
from airflow_provider_ollang.domain.receipts import Receipt
from airflow_provider_ollang.domain.submission import CONFIRM_PAUSES
from airflow_provider_ollang.domain.thresholds import passed_of
from airflow_provider_ollang.domain.values import parse_time
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangOrderFailedError,
    OllangOrderNotEligibleError,
    OllangStaleResultError,
    error_from_json,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.runtime.submit import RECONCILE_TIMEOUT, OncePerWishOperator, submit_on_record
from airflow_provider_ollang.runtime.task_state import RecordBook, has_store
from airflow_provider_ollang.runtime.wait import POLL_INTERVAL, StoppableOperator, WaitingOperator
from airflow_provider_ollang.triggers.ollang import DEFERRABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow.sdk import Context

    from airflow_provider_ollang.domain.orders import Order
    from airflow_provider_ollang.domain.submission import State

CONFIRM_TIMEOUT = sum(CONFIRM_PAUSES)
_DEFAULT_TIMEOUT = conf.getfloat("sensors", "default_timeout")


class OllangGetOrderOperator(StoppableOperator):
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
        order = self._hook(order_id).get_order(order_id)
        self.log.info("Order %s is %s.", order_id, order["status"])
        return order if wanted is None else {name: order.get(name) for name in wanted}


class OllangRerunOperator(WaitingOperator, OncePerWishOperator[Receipt]):
    """
    Reruns a completed or delivered order with Ollang's current models and settings (`Rerun Order`).

    **This may be billed, and the new result replaces the current one.** So the request is sent once per wish: a DAG
    run, or the clearing of a task that was finished, is a wish; a retry is not. A record in Airflow's task state store
    (Airflow 3.3 or newer), written before the request, tells a later try what the earlier ones did, whatever killed
    them. Airflow 3.4 discards the record when the task is cleared, unless *Keep task state* is ticked, and any version
    when it succeeds with ``[state_store] clear_on_success``: a cleared task without a record polls the order for 30 s,
    joins what is at work, and else sends. Where nobody can say whether Ollang got the request, the task looks for
    evidence, and then fails for good.

    The API gives no run id, and the order may say ``completed`` with its old files for a while. So the order is looked
    at just before the request, and the receipt carries what it looked like. Give it to
    ``OllangOrderStatusSensor(rerun=...)``, or wait here with ``wait_for_completion``: both believe only a result that
    is newer.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id`` (templated).
    :param wait_for_completion: wait for the new result, which is then in the receipt; default ``False``.
    :param on_running: what to do if the order is being processed already: ``"fail"``, or ``"attach"`` that run instead
        of asking for one.
    :param on_unknown_outcome: what to do when nobody can say whether Ollang got the request: ``"fail"``, or
        ``"resubmit"`` it, once per wish, which may be billed twice.
    :param on_no_evidence: what to do when the order says it is done for all of ``stale_timeout`` and nothing shows that
        its result is new: ``"fail"``, or ``"accept"`` the result with ``evidence: []``.
    :param skip_if_passed: the report of :class:`.OllangQualityGateOperator`: the task is skipped if it says that the
        order passed (templated).
    :param confirm_timeout: how long to look whether the rerun begins, seconds or ``timedelta``; default 30 s. The task
        does not fail if it does not; a wait only has more to go by if it does.
    :param reconcile_timeout: how long to look for evidence that a request was processed, seconds or ``timedelta``;
        default 300 s.
    :param poll_interval: seconds, or ``timedelta``, between two looks of the wait; default 60 s, at least 1 s.
    :param timeout: seconds, or ``timedelta``, after which the wait fails, per try; default ``[sensors]
        default_timeout``, 7 days.
    :param max_poll_failures: how many looks in a row of the wait may fail for passing reasons; default 10.
    :param outputs_timeout: seconds, or ``timedelta``, that new output documents may lag behind a status that is proven
        to be the rerun's; default 120 s. Then the result says ``outputs_changed: false``.
    :param stale_timeout: seconds, or ``timedelta``, that an order may say it is done without any evidence of the
        rerun; default 2 h.
    :param deferrable: wait in the triggerer, which costs no worker at all; default ``[operators] default_deferrable``.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: the receipt, ``{"order_id", "host", "message", "requested_at", "reconnected", "seen_running",
        "last_status", "baseline", "result", "baseline_confirmed"}``; it is pushed as XCom as
        soon as the rerun is accepted, or its outcome unknown.
        ``result`` is ``None``, or after a wait what :class:`.OllangOrderStatusSensor` returns.
    :raises OllangOrderNotEligibleError: the order is not completed or delivered; nothing was sent or started.
    :raises OllangRequestRefusedError: the API refused it.
    :raises OllangOutcomeUnknownError: it may or may not have been accepted; the message says what to check.
    :raises OllangOrderFailedError, OllangStaleResultError, OllangTimeoutError: the wait failed, as in the sensor.
    :raises OllangError: as :meth:`.OllangHook.rerun_order`.
    """

    template_fields: Sequence[str] = ("order_id", "skip_if_passed", "ollang_conn_id")
    ui_color = "#d3e0fa"
    record_key = "ollang_rerun"
    noun = "rerun"
    second_is_refused = True
    receipt_class = Receipt

    def __init__(
        self,
        *,
        order_id: Any,
        wait_for_completion: bool = False,
        on_running: Literal["fail", "attach"] = "fail",
        on_unknown_outcome: Literal["fail", "resubmit"] = "fail",
        on_no_evidence: Literal["fail", "accept"] = "fail",
        skip_if_passed: Any = NOT_GIVEN,
        confirm_timeout: float | timedelta = CONFIRM_TIMEOUT,
        reconcile_timeout: float | timedelta = RECONCILE_TIMEOUT,
        poll_interval: float | timedelta = POLL_INTERVAL,
        timeout: float | timedelta = _DEFAULT_TIMEOUT,
        max_poll_failures: int = MAX_POLL_FAILURES,
        outputs_timeout: float | timedelta = OUTPUTS_TIMEOUT,
        stale_timeout: float | timedelta = STALE_TIMEOUT,
        deferrable: bool = DEFERRABLE,
        ollang_conn_id: str = OllangHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            order_id=order_id,
            on_running=on_running,
            on_unknown_outcome=on_unknown_outcome,
            reconcile_timeout=reconcile_timeout,
            poll_interval=poll_interval,
            timeout=timeout,
            max_poll_failures=max_poll_failures,
            deferrable=deferrable,
            ollang_conn_id=ollang_conn_id,
            **kwargs,
        )
        self.wait_for_completion = wait_for_completion
        self.has_report = skip_if_passed is not NOT_GIVEN
        self.skip_if_passed = skip_if_passed if self.has_report else None
        self.on_no_evidence = one_of("on_no_evidence", on_no_evidence, ("fail", "accept"))
        self.confirm_timeout = seconds_of("confirm_timeout", confirm_timeout)
        self.outputs_timeout = seconds_of("outputs_timeout", outputs_timeout)
        self.stale_timeout = seconds_of("stale_timeout", stale_timeout)

    def execute(self, context: Context) -> dict[str, Any]:
        """Rerun the order, or take over what an earlier try has begun."""
        if self.has_report and passed_of(self.skip_if_passed, order_id_of(self.order_id)):
            raise AirflowSkipException("The quality report says that the order passed: no rerun.")
        if self.wait_for_completion and self.deferrable and not self.do_xcom_push and not has_store(context):
            raise OllangConfigurationError(
                "Below Airflow 3.3 a deferred wait keeps its receipt as XCom only: set do_xcom_push=True or "
                "deferrable=False. Nothing was sent."
            )
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Conclude the rerun with what the wait in the triggerer ended in."""
        result = event["result"]
        error = None if event["error"] is None else error_from_json(event["error"])
        ti = context["ti"]
        # It was pushed just before the deferral, through which XComs live on, though not through a retry. The inputs
        # of this task may be gone by now, and its connection, too: what was waited for is not.
        known = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)
        if known is None:
            named = result["order_id"] if error is None else error.order_id
            book = self._book(context, OllangHook(self.ollang_conn_id), named or order_id_of(self.order_id))
            known = book.receipt
        receipt = _remembering(Receipt.from_value(known), WaitMemory.from_json(event["memory"]))
        if result is not None:
            self.log.info("%s", describe_end(result, event.get("waited")))
        try:
            book = RecordBook(
                context,
                self.record_key,
                order_id=receipt.order_id,
                host=receipt.host,
                retention=self._retention(),
            )
        except OllangError as trouble:
            if result is None:
                raise
            self.log.warning("%s The result is there, and counts.", trouble)
            return dataclasses.replace(receipt, result=result).to_json()
        return self._finish(context, book, receipt, Step(result=result, error=error))

    def _retention(self) -> timedelta:
        return super()._retention() + timedelta(seconds=self.timeout)

    def _before(self, hook: OllangHook, order_id: str, *, join: bool = False) -> Receipt:
        order, looked_at = hook.client.get_dated_order(order_id)
        status = self._last_status = order["status"]
        baseline = Baseline.from_order(order)
        readiness = rerun_readiness(status)
        # This task's own rerun may have got to where a person has to act, which nobody could begin a rerun from.
        reconnected = shows_running(status) if join else readiness == "running" and self.on_running == "attach"
        if readiness != "ready" and not reconnected:
            advice = (
                "Wait for it with OllangOrderStatusSensor first, or take part in that run with on_running='attach'."
                if readiness == "running"
                else "Somebody has to act on it in Ollang before it can be rerun."
            )
            raise OllangOrderNotEligibleError(
                f"Order {order_id} is {status!r}, and only completed or delivered orders can be rerun. "
                f"Nothing was sent. {advice}",
                order_id=order_id,
            )
        if reconnected:
            self.log.info("Order %s is %s already: joining that run, nothing is sent.", order_id, status)
        return Receipt(
            order_id=order_id,
            host=hook.settings.base_url,
            message=None,
            requested_at=looked_at.isoformat() if looked_at else None,
            reconnected=reconnected,
            seen_running=reconnected,
            last_status=status,
            baseline=baseline,
        )

    def _request(self, hook: OllangHook, receipt: Receipt, **options: Any) -> Receipt:
        outputs = receipt.baseline.outputs
        self.log.info(
            "Order %s is %s with %s output document(s) before the rerun.",
            receipt.order_id,
            receipt.last_status,
            "an unknown number of" if outputs is None else len(outputs),
        )
        accepted = submit_on_record(hook, rerun_order(receipt.order_id), **options)
        return dataclasses.replace(
            receipt, message=accepted.message, requested_at=accepted.requested_at or receipt.requested_at
        )

    def _processed(self, receipt: Receipt, order: Order) -> Receipt | None:
        seen = _seen(receipt, order)
        self._last_status = seen.last_status
        evidence = ["running"] if seen.rerun.shows_running(order) else seen.rerun.evidence(order)
        if not evidence:
            return None
        self.log.info("Order %s is %s (evidence: %s).", seen.order_id, seen.last_status, ", ".join(evidence))
        return seen

    def _may_be_processed(self, receipt: Receipt, order: Order) -> bool:
        return receipt.rerun.withholds(order)

    def _compared(self, receipt: Receipt, order: Order) -> str:
        return receipt.rerun.describe_comparison(order)

    def _still_under_way(self, hook: OllangHook, receipt: Receipt) -> Receipt | None:
        if receipt.result is not None:
            return None
        order, looked_at = hook.client.get_dated_order(receipt.order_id)
        seen = _seen(receipt, order)
        if order["status"] not in DONE_STATUSES:
            return seen if receipt.rerun.shows_running(order) else None
        asked_at = parse_time(receipt.requested_at)
        if looked_at is None or asked_at is None or receipt.rerun.evidence(order):
            return None
        # It may say that it is done for a while before the rerun shows.
        return seen if (looked_at - asked_at).total_seconds() < self.stale_timeout else None

    def _go_on(self, context: Context, hook: OllangHook, book: RecordBook, receipt: Receipt) -> dict[str, Any]:
        if not receipt.seen_running:
            receipt = self._confirm(hook, book, receipt)
        if not self.wait_for_completion:
            return self._note("finished", book, receipt).to_json()
        return self._wait(context, hook, book, receipt)

    def _confirm(self, hook: OllangHook, book: RecordBook, receipt: Receipt) -> Receipt:
        """Look a few times whether the rerun begins: having seen it is evidence that its result may rest on."""
        left = self.confirm_timeout
        for pause in CONFIRM_PAUSES:
            if left <= 0:
                break
            try:
                self._sleep(min(pause, left), receipt.order_id)
                left -= pause
                order = self._look_in_passing(hook, receipt.order_id)
            except AirflowTaskTimeout:
                if self.wait_for_completion:
                    raise
                self.log.warning("The execution_timeout ended the looks; the rerun is accepted and not affected.")
                return receipt
            if order is None:
                continue
            receipt = _seen(receipt, order)
            self._last_status = receipt.last_status
            if receipt.seen_running:
                self.log.info("Order %s is %s: the rerun is under way.", receipt.order_id, receipt.last_status)
                return self._note("accepted", book, receipt)
            if receipt.rerun.evidence(order):
                self.log.info("Order %s is %s again already, with a new result.", receipt.order_id, receipt.last_status)
                return receipt
        self.log.info(
            "Order %s is still %s. Its rerun is accepted, but was not seen to begin yet.",
            receipt.order_id,
            receipt.last_status,
        )
        return receipt

    def _look_in_passing(self, hook: OllangHook, order_id: str) -> Order | None:
        """Look at the order; the rerun is accepted, so no failed look may make this task fail and be retried."""
        try:
            return hook.get_order(order_id, max_attempts=1)
        except OllangError as error:
            self.log.warning("%s The rerun is not affected.", error)
            return None

    def _wait(self, context: Context, hook: OllangHook, book: RecordBook, receipt: Receipt) -> dict[str, Any]:
        memory = WaitMemory(last_status=receipt.last_status, seen_running=receipt.seen_running)
        wait = Wait(self._rules(receipt), memory, _clock.now() + self.timeout, self.log)
        known = receipt

        def remember(step: Step) -> None:
            nonlocal known
            before = known.rerun
            known = _remembering(known, memory)
            if not step.is_end and (known.rerun != before or self.deferrable):
                # Whoever takes over has only these to know it from.
                self._note("accepted", book, known)
                self._push(context, known)

        step = self._wait_to_the_end(hook, wait, remember)
        return self._finish(context, book, known, step)

    def _finish(self, context: Context, book: RecordBook, receipt: Receipt, step: Step) -> dict[str, Any]:
        if step.error is None:
            return self._note("finished", book, dataclasses.replace(receipt, result=step.result)).to_json()
        state: State = "accepted"
        if isinstance(step.error, OllangStaleResultError):
            # A person is told to find out whether it ever ran, and to clear this task if not.
            state = "unknown"
        elif isinstance(step.error, OllangOrderFailedError):
            state = "failed"
        self._note(state, book, receipt)
        if isinstance(step.error, OllangStaleResultError):
            # A person who finds that it is the new one marks this task as success; later tasks then have it.
            receipt = dataclasses.replace(receipt, result=step.error.result)
        self._push(context, receipt)
        raise step.error

    def _rules(self, receipt: Receipt) -> WaitRules:
        return WaitRules(
            order_id=receipt.order_id,
            target_statuses=DONE_STATUSES,
            failure_statuses=FAILURE_STATUSES,
            rerun=receipt.rerun,
            poke_interval=self.poll_interval,
            timeout=self.timeout,
            max_poll_failures=self.max_poll_failures,
            outputs_timeout=self.outputs_timeout,
            stale_timeout=self.stale_timeout,
            on_no_evidence=self.on_no_evidence,
        )


def _seen(receipt: Receipt, order: Order) -> Receipt:
    """Return the receipt with what a look at the order after the request showed."""
    seen_running = receipt.seen_running or receipt.rerun.shows_running(order)
    return dataclasses.replace(receipt, last_status=order["status"], seen_running=seen_running)


def _remembering(receipt: Receipt, memory: WaitMemory) -> Receipt:
    """Return the receipt with what a wait has seen."""
    return dataclasses.replace(
        receipt,
        last_status=memory.last_status or receipt.last_status,
        seen_running=receipt.seen_running or memory.seen_running,
        baseline_confirmed=receipt.baseline_confirmed or memory.baseline_confirmed is True,
    )
