"""What the operators have in common that pay for a new result of an order: a rerun, a human review."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_provider_ollang import _clock
from airflow_provider_ollang._compat import AirflowSkipException, conf
from airflow_provider_ollang.domain.arguments import (
    NOT_GIVEN,
    parse_credits,
    parse_order_id,
    parse_seconds,
    parse_timeout,
    require_choice,
    require_count,
)
from airflow_provider_ollang.domain.polling import MAX_POLL_FAILURES, Decision, Poller, PollState
from airflow_provider_ollang.domain.receipts import Receipt
from airflow_provider_ollang.domain.result_goals import OUTPUTS_TIMEOUT, STALE_TIMEOUT, result_goal
from airflow_provider_ollang.domain.submission import Record
from airflow_provider_ollang.domain.thresholds import parse_passed
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangOrderFailedError,
    OllangStaleResultError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators._base import OllangWaitingOperator
from airflow_provider_ollang.runtime.context import push_early, require_task_instance
from airflow_provider_ollang.runtime.paid_request import RECONCILE_TIMEOUT, SubmissionPolicy
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
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_provider_ollang.domain.submission import State
    from airflow_provider_ollang.runtime.order_requests import RerunRequest
    from airflow_provider_ollang.runtime.paid_request import OnRunning, OnUnknownOutcome
    from airflow_provider_ollang.runtime.submission_record import SubmissionRecord

_DEFAULT_TIMEOUT = conf.getfloat("sensors", "default_timeout")


class OllangNewResultOperator(OllangWaitingOperator):
    """
    Submits a request for a new result of an order, at most once per task instance, and waits for it if asked to.

    The parameters are those of :class:`.OllangRerunOperator`. A subclass says which request it is.
    """

    template_fields: Sequence[str] = ("order_id", "skip_if_passed", "ollang_conn_id")
    #: The request.
    request_class: ClassVar[type[RerunRequest]]

    def __init__(
        self,
        *,
        order_id: Any,
        wait_for_completion: bool = False,
        on_running: OnRunning = "fail",
        on_unknown_outcome: OnUnknownOutcome = "fail",
        on_no_evidence: Literal["fail", "accept"] = "fail",
        skip_if_passed: Any = NOT_GIVEN,
        min_credits: float | None = None,
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
        super().__init__(**kwargs)
        self.order_id = order_id
        self.wait_for_completion = wait_for_completion
        self.on_running = require_choice("on_running", on_running, ("fail", "attach"))
        self.on_unknown_outcome = require_choice("on_unknown_outcome", on_unknown_outcome, ("fail", "resubmit"))
        self.on_no_evidence = require_choice("on_no_evidence", on_no_evidence, ("fail", "accept"))
        self.has_report = skip_if_passed is not NOT_GIVEN
        self.skip_if_passed = skip_if_passed if self.has_report else None
        self.min_credits = parse_credits("min_credits", min_credits)
        self.reconcile_timeout = parse_seconds("reconcile_timeout", reconcile_timeout)
        self.poll_interval = parse_seconds("poll_interval", poll_interval)
        self.timeout = parse_timeout("timeout", timeout)
        self.max_poll_failures = require_count("max_poll_failures", max_poll_failures)
        self.outputs_timeout = parse_seconds("outputs_timeout", outputs_timeout)
        self.stale_timeout = parse_seconds("stale_timeout", stale_timeout)
        self.deferrable = deferrable
        self.ollang_conn_id = ollang_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Submit the request, or reconnect to what an earlier try has submitted; wait for the result if asked to."""
        require_task_instance(context)
        order_id = parse_order_id(self.order_id)
        noun = self.request_class.noun
        if self.has_report and parse_passed(self.skip_if_passed, order_id, noun):
            raise AirflowSkipException(f"The quality report says that the order passed: no {noun}.")
        self._require_place_for_receipt(context)
        hook, token = self._connect(order_id)
        submission = self._submit_once(
            context,
            hook,
            token,
            self.request_class(order_id, stale_timeout=self.stale_timeout, log=self.log),
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
        return self._finish(context, self._record(context, receipt, receipt.order_id), receipt, decision)

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

    def _poller(self, receipt: Receipt) -> Poller:
        goal = result_goal(
            receipt.rerun,
            outputs_timeout=self.outputs_timeout,
            stale_timeout=self.stale_timeout,
            on_no_evidence=self.on_no_evidence,
        )
        state = PollState(last_status=receipt.last_status)
        return Poller(self._poll_config(receipt.order_id), goal, state, _clock.now() + self.timeout)


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
