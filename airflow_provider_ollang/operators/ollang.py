"""Operators that get an order and rerun it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_ollang import _clock
from airflow_provider_ollang._compat import AirflowSkipException, conf
from airflow_provider_ollang.domain.arguments import (
    NOT_GIVEN,
    parse_credits,
    parse_names,
    parse_order_id,
    parse_seconds,
    parse_timeout,
    require_choice,
    require_count,
)
from airflow_provider_ollang.domain.goals import OUTPUTS_TIMEOUT, STALE_TIMEOUT, RerunGoal
from airflow_provider_ollang.domain.polling import MAX_POLL_FAILURES, Decision, PollConfig, Poller, PollState
from airflow_provider_ollang.domain.receipts import Receipt
from airflow_provider_ollang.domain.submission import Record
from airflow_provider_ollang.domain.thresholds import parse_passed
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangOrderFailedError,
    OllangStaleResultError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators._base import OllangOperator
from airflow_provider_ollang.runtime.context import push_early, require_task_instance
from airflow_provider_ollang.runtime.order_requests import RerunRequest
from airflow_provider_ollang.runtime.paid_request import RECONCILE_TIMEOUT, SubmissionPolicy
from airflow_provider_ollang.runtime.submission_record import SubmissionRecord
from airflow_provider_ollang.runtime.task_state import RETENTION, TaskState, read_tries
from airflow_provider_ollang.runtime.wait import (
    DEFERRABLE,
    POLL_INTERVAL,
    deferral_errors,
    read_event,
    wait_for,
    write_log,
)
from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow.sdk import Context

    from airflow_provider_ollang.domain.submission import State
    from airflow_provider_ollang.runtime.paid_request import OnRunning, OnUnknownOutcome

_DEFAULT_TIMEOUT = conf.getfloat("sensors", "default_timeout")


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


class OllangRerunOperator(OllangOperator):
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
    :param min_credits: submit nothing if the account has fewer credits left; default ``None``: do not ask.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: the receipt, ``{"order_id", "host", "message", "requested_at", "reconnected", "seen_running",
        "last_status", "baseline", "result", "baseline_confirmed"}``; it is pushed as XCom as
        soon as the rerun is accepted, or its outcome unknown.
        ``result`` is ``None``, or after a wait what :class:`.OllangOrderStatusSensor` returns.
    :raises OllangOrderNotEligibleError: the order is not completed or delivered; nothing was sent or started.
    :raises OllangInsufficientCreditsError: the account has fewer than ``min_credits``; nothing was sent.
    :raises OllangRequestRefusedError: the API refused it.
    :raises OllangOutcomeUnknownError: it may or may not have been accepted; the message says what to check.
    :raises OllangOrderFailedError, OllangStaleResultError, OllangTimeoutError: the wait failed, as in the sensor.
    :raises OllangError: as :meth:`.OllangHook.rerun_order`.
    """

    template_fields: Sequence[str] = ("order_id", "skip_if_passed", "ollang_conn_id")
    ui_color = "#d3e0fa"
    #: Where the record is kept in the task's state store.
    record_key = "ollang_rerun"

    def __init__(
        self,
        *,
        order_id: Any,
        wait_for_completion: bool = False,
        on_running: OnRunning = "fail",
        on_unknown_outcome: OnUnknownOutcome = "fail",
        on_no_evidence: Literal["fail", "accept"] = "fail",
        skip_if_passed: Any = NOT_GIVEN,
        reconcile_timeout: float | timedelta = RECONCILE_TIMEOUT,
        poll_interval: float | timedelta = POLL_INTERVAL,
        timeout: float | timedelta = _DEFAULT_TIMEOUT,
        max_poll_failures: int = MAX_POLL_FAILURES,
        outputs_timeout: float | timedelta = OUTPUTS_TIMEOUT,
        stale_timeout: float | timedelta = STALE_TIMEOUT,
        deferrable: bool = DEFERRABLE,
        min_credits: float | None = None,
        ollang_conn_id: str = OllangHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.order_id = order_id
        self.wait_for_completion = wait_for_completion
        self.on_running = require_choice("on_running", on_running, ("fail", "attach"))
        self.on_unknown_outcome = require_choice("on_unknown_outcome", on_unknown_outcome, ("fail", "resubmit"))
        self.on_no_evidence = require_choice("on_no_evidence", on_no_evidence, ("fail", "accept"))
        self.has_report = skip_if_passed is not NOT_GIVEN
        self.skip_if_passed = skip_if_passed if self.has_report else None
        self.reconcile_timeout = parse_seconds("reconcile_timeout", reconcile_timeout)
        self.poll_interval = parse_seconds("poll_interval", poll_interval)
        self.timeout = parse_timeout("timeout", timeout)
        self.max_poll_failures = require_count("max_poll_failures", max_poll_failures)
        self.outputs_timeout = parse_seconds("outputs_timeout", outputs_timeout)
        self.stale_timeout = parse_seconds("stale_timeout", stale_timeout)
        self.deferrable = deferrable
        self.min_credits = parse_credits("min_credits", min_credits)
        self.ollang_conn_id = ollang_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Submit the rerun, or reconnect to the one that an earlier try has submitted; wait for it if asked to."""
        require_task_instance(context)
        order_id = parse_order_id(self.order_id)
        if self.has_report and parse_passed(self.skip_if_passed, order_id):
            raise AirflowSkipException("The quality report says that the order passed: no rerun.")
        self._require_place_for_receipt(context)
        hook, token = self._connect(order_id)
        submission = self._submit_once(
            context,
            hook,
            token,
            RerunRequest(order_id, stale_timeout=self.stale_timeout, log=self.log),
            state=self._state(context),
            policy=SubmissionPolicy(self.on_running, self.on_unknown_outcome, self.reconcile_timeout, self.min_credits),
        )
        receipt, record = submission.receipt, submission.record
        if submission.is_finished:
            return receipt.to_json()
        if not self.wait_for_completion:
            record.note("finished", receipt)
            return receipt.to_json()

        poller = self._poller(receipt)

        def keep_observations(decision: Decision) -> None:
            # A try that reconnects has only these to tell the new result by.
            nonlocal receipt
            observed = _with_observations(receipt, poller.state)
            if not decision.is_final and observed.rerun != receipt.rerun:
                record.note("accepted", observed)
                push_early(self, context, observed.to_json())
            receipt = observed

        decision = wait_for(
            self,
            hook,
            poller,
            ollang_conn_id=self.ollang_conn_id,
            trigger=OllangOrderStatusTrigger,
            deferrable=self.deferrable,
            sleep=token.sleep,
            on_decision=keep_observations,
            observe_start=True,
        )
        return self._finish(context, record, receipt, decision)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral, with the same outcome as without one."""
        with deferral_errors(self.timeout):
            return super().resume_execution(next_method, next_kwargs, context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return or raise what the wait in the triggerer ended in."""
        decision, state = read_event(event)
        write_log(self.log, decision)
        receipt = _with_observations(self._deferred_receipt(context), state or PollState())
        record = SubmissionRecord[Receipt](
            self._state(context),
            subject=receipt.order_id,
            host=receipt.host,
            tries=read_tries(context),
            log=self.log,
        )
        return self._finish(context, record, receipt, decision)

    def _deferred_receipt(self, context: Context) -> Receipt:
        """
        Return the receipt as it was at the deferral: as XCom, which lives through it, or else on record.

        Not as an argument of the deferral: ``dag.test()`` drops those (seen up to Airflow 3.3.2).
        """
        ti = context["ti"]
        value = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)
        if value is None:
            record = self._state(context).load(Record)
            value = None if record is None else record.receipt
        return Receipt.from_value(value)

    def _require_place_for_receipt(self, context: Context) -> None:
        defers = self.wait_for_completion and self.deferrable
        if defers and not self.do_xcom_push and not self._state(context).available:
            raise OllangConfigurationError(
                "Below Airflow 3.3 a deferred wait keeps its receipt as XCom only: set do_xcom_push=True or "
                "deferrable=False. Nothing was sent."
            )

    def _finish(
        self, context: Context, record: SubmissionRecord[Receipt], receipt: Receipt, decision: Decision
    ) -> dict[str, Any]:
        if decision.error is None:
            receipt = dataclasses.replace(receipt, result=decision.result)
            record.note("finished", receipt)
            return receipt.to_json()
        record.note(_state_after(decision.error), receipt)
        if isinstance(decision.error, OllangStaleResultError):
            # A person who finds that it is the new one marks this task as success; later tasks then have it.
            receipt = dataclasses.replace(receipt, result=decision.error.result)
        push_early(self, context, receipt.to_json())
        raise decision.error

    def _state(self, context: Context) -> TaskState:
        return TaskState(context, self.record_key, retention=RETENTION + timedelta(seconds=self.timeout))

    def _poller(self, receipt: Receipt) -> Poller:
        config = PollConfig(
            order_id=receipt.order_id,
            poll_interval=self.poll_interval,
            timeout=self.timeout,
            max_poll_failures=self.max_poll_failures,
        )
        goal = RerunGoal(
            rerun=receipt.rerun,
            outputs_timeout=self.outputs_timeout,
            stale_timeout=self.stale_timeout,
            on_no_evidence=self.on_no_evidence,
        )
        return Poller(config, goal, PollState(last_status=receipt.last_status), _clock.now() + self.timeout)


def _state_after(error: OllangError) -> State:
    """Return what is on record after a wait that failed."""
    if isinstance(error, OllangStaleResultError):
        # A person is asked to find out whether it ever ran, and to clear the task if not.
        return "unknown"
    return "failed" if isinstance(error, OllangOrderFailedError) else "accepted"


def _with_observations(receipt: Receipt, state: PollState) -> Receipt:
    """Return the receipt with what a wait has observed."""
    return dataclasses.replace(
        receipt,
        last_status=state.last_status or receipt.last_status,
        seen_running=receipt.seen_running or state.seen_running,
        baseline_confirmed=receipt.baseline_confirmed or state.baseline_confirmed is True,
    )
