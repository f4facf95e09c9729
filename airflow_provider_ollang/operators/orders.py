"""The operator that creates orders."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang import _clock
from airflow_provider_ollang._compat import conf
from airflow_provider_ollang.client.sync import OllangClient
from airflow_provider_ollang.domain.arguments import (
    parse_credits,
    parse_seconds,
    parse_timeout,
    require_choice,
    require_count,
)
from airflow_provider_ollang.domain.creation import CreationReceipt, OrderSpec, parse_flag
from airflow_provider_ollang.domain.polling import MAX_POLL_FAILURES, Decision, Poller, PollState
from airflow_provider_ollang.domain.result_goals import OUTPUTS_TIMEOUT, RerunGoal
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangOrderFailedError,
    OllangOrderNotFoundError,
    OllangOutcomeUnknownError,
    OllangTimeoutError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators._base import OllangWaitingOperator
from airflow_provider_ollang.runtime.context import push_early, require_task_instance
from airflow_provider_ollang.runtime.create_request import CreateRequest
from airflow_provider_ollang.runtime.paid_request import RECONCILE_TIMEOUT, SubmissionPolicy
from airflow_provider_ollang.runtime.wait import (
    DEFERRABLE,
    DEFERRED_RECEIPT,
    POLL_INTERVAL,
    deferral_errors,
    read_event,
    wait_for,
    write_log,
)
from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_provider_ollang.client.settings import Settings
    from airflow_provider_ollang.runtime.cancellation import CancellationToken
    from airflow_provider_ollang.runtime.paid_request import OnUnknownOutcome
    from airflow_provider_ollang.runtime.submission_record import SubmissionRecord

_DEFAULT_TIMEOUT = conf.getfloat("sensors", "default_timeout")
#: Airflow lets a killed task run on for five seconds.
_KILL_TIMEOUT = 3.0


class OllangCreateOrderOperator(OllangWaitingOperator):
    """
    Creates orders for an uploaded file, one for each target language, with one request (`Create Order`).

    **This is billed**, so a task instance submits at most one request, as :class:`.OllangRerunOperator` does with a
    rerun: retries, worker crashes and lost responses never create an order twice. If the response is lost, the task
    looks for new orders of this project, type and languages. All there: it takes them. Some there: it creates the
    missing ones, once. More than one for a language, or none: a person decides. Clearing a finished task creates new
    orders, unless those that it created are still at work.

    The result is a list, so that each language has a task of its own::

        OllangOrderStatusSensor.partial(task_id="wait").expand(order_id=create.output)

    With ``wait_for_completion`` the task waits for one order after the other, in the order asked, and fails when it
    comes to one that has failed. Clearing it then creates that one again, and waits for the others.

    :param project_id: the project: its id, or a mapping with ``project_id`` or ``id``, such as the result of the upload
        (templated).
    :param order_type: ``"cc"``, ``"subtitle"``, ``"document"``, ``"aiDubbing"`` or ``"studioDubbing"`` (templated).
    :param target_languages: codes of the target languages as Ollang spells them, such as ``"fr"`` or ``"pt-PT"``, as a
        collection or a comma-separated text (templated).
    :param level: 0 is AI only, 1 is with human review; default 0 (templated).
    :param rush: whether all of it is urgent; default ``False``.
    :param order_sub_type: ``"closedCaption"`` or ``"timecodedTranscription"``; default as Ollang has it.
    :param dubbing_style: ``"overdub"``, ``"lipsync"`` or ``"audioDescription"``; default as Ollang has it.
    :param callback_url: an http or https URL that Ollang calls when an order is completed. It may hold a secret: it may
        be a template or another task's output, but it is in no log and not among the rendered templates.
        ``partial(callback_url=another.output)`` does not make the other task upstream: use ``expand(callback_url=...)``
        or ``another >> create`` there.
    :param auto_qc: whether Ollang evaluates the result unasked; default ``False``.
    :param memories: ids of translation memories to use, at most 20, as a collection or a comma-separated text
        (templated).
    :param min_credits: submit nothing if the account has fewer credits left; needs a key that may see billing. Default
        ``None``: do not ask.
    :param on_unknown_outcome: what to do when the outcome of the request stays unknown: ``"fail"``, or ``"resubmit"``
        it once, which may be billed twice.
    :param reconcile_timeout: how long to look for new orders before that, in all tries together, seconds or
        ``timedelta``; default 300 s. Each try takes 30 s of it at least.
    :param wait_for_completion: wait for the results, which are then in the list; default ``False``.
    :param deferrable: wait in the triggerer, which holds no worker slot; default ``[operators] default_deferrable``.
    :param poll_interval: seconds, or ``timedelta``, between two polls of the wait; default 60 s, at least 1 s.
    :param timeout: seconds, or ``timedelta``, after which the wait for all of them fails, per try; default ``[sensors]
        default_timeout``, 7 days.
    :param max_poll_failures: how many consecutive polls of the wait may fail for transient reasons; default 10.
    :param outputs_timeout: seconds, or ``timedelta``, that output documents may lag behind the status; default 120 s.
        Then the result says ``outputs_changed: false``.
    :param cancel_on_kill: cancel the unfinished orders that the task waits for when it is killed, cleared or marked;
        one request each, and Ollang cancels only orders that have hardly begun. A deferred wait can do so on Airflow
        3.3 or newer only. The next try fails, since its orders are cancelled; clear it to create them again. Default
        ``False``.
    :param cancel_on_timeout: cancel the unfinished orders when the wait's ``timeout`` ends it; clear the task to create
        them again. Default ``False``.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: a list with ``{"order_id", "project_id", "type", "target_language", "level"}`` for each language, in the
        order asked; after a wait with ``"result"``, what :class:`.OllangOrderStatusSensor` returns. It is pushed as
        XCom as soon as the orders are known. ``order_id`` is ``None`` where it is not.
    :raises OllangConfigurationError: an argument is wrong; nothing was sent.
    :raises OllangNotFoundError: no project has this id; nothing was created.
    :raises OllangInsufficientCreditsError: the account has fewer than ``min_credits``; nothing was sent.
    :raises OllangOutcomeUnknownError: the request may or may not have been processed; the message says what to check.
    :raises OllangOrderFailedError, OllangTimeoutError: the wait failed, as in the sensor.
    :raises OllangError: as :meth:`.OllangHook.create_order`.
    """

    # Without callback_url: Airflow shows the rendered templates to everybody who may see the task.
    template_fields: Sequence[str] = (
        "project_id",
        "order_type",
        "target_languages",
        "level",
        "memories",
        "ollang_conn_id",
    )
    ui_color = "#c3d5f8"
    record_key = "ollang_create"
    #: What ``on_kill`` is to cancel, and over which connection.
    _orders_to_cancel: tuple[Settings, list[str]] | None = None

    def __init__(
        self,
        *,
        project_id: Any,
        order_type: str,
        target_languages: Iterable[str] | str,
        level: int = 0,
        rush: bool = False,
        order_sub_type: str | None = None,
        dubbing_style: str | None = None,
        callback_url: str | None = None,
        auto_qc: bool = False,
        memories: Iterable[str] | str | None = None,
        min_credits: float | None = None,
        on_unknown_outcome: OnUnknownOutcome = "fail",
        reconcile_timeout: float | timedelta = RECONCILE_TIMEOUT,
        wait_for_completion: bool = False,
        deferrable: bool = DEFERRABLE,
        poll_interval: float | timedelta = POLL_INTERVAL,
        timeout: float | timedelta = _DEFAULT_TIMEOUT,
        max_poll_failures: int = MAX_POLL_FAILURES,
        outputs_timeout: float | timedelta = OUTPUTS_TIMEOUT,
        cancel_on_kill: bool = False,
        cancel_on_timeout: bool = False,
        ollang_conn_id: str = OllangHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project_id = project_id
        self.order_type = order_type
        self.target_languages = target_languages
        self.level = level
        self.rush = rush
        self.order_sub_type = order_sub_type
        self.dubbing_style = dubbing_style
        self._callback_url = self._depend_on(callback_url)
        self.auto_qc = auto_qc
        self.memories = memories
        self.min_credits = parse_credits("min_credits", min_credits)
        self.on_unknown_outcome = require_choice("on_unknown_outcome", on_unknown_outcome, ("fail", "resubmit"))
        self.reconcile_timeout = parse_seconds("reconcile_timeout", reconcile_timeout)
        self.wait_for_completion = parse_flag("wait_for_completion", wait_for_completion)
        self.deferrable = deferrable
        self.poll_interval = parse_seconds("poll_interval", poll_interval)
        self.timeout = parse_timeout("timeout", timeout)
        self.max_poll_failures = require_count("max_poll_failures", max_poll_failures)
        self.outputs_timeout = parse_seconds("outputs_timeout", outputs_timeout)
        self.cancel_on_kill = parse_flag("cancel_on_kill", cancel_on_kill)
        self.cancel_on_timeout = parse_flag("cancel_on_timeout", cancel_on_timeout)
        self.ollang_conn_id = ollang_conn_id
        if (cancel_on_kill or cancel_on_timeout) and not wait_for_completion:
            raise OllangConfigurationError(
                "cancel_on_kill and cancel_on_timeout are about a wait; set wait_for_completion=True."
            )

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Create the orders, or reconnect to those that an earlier try has created; wait for them if asked to."""
        require_task_instance(context)
        spec = self._spec(context)
        hook, token = self._connect()
        request = CreateRequest(spec, sleep=token.sleep, log=self.log)
        submission = self._submit_once(
            context,
            hook,
            token,
            request,
            state=self._state(context),
            policy=SubmissionPolicy(
                on_unknown_outcome=self.on_unknown_outcome,
                reconcile_timeout=self.reconcile_timeout,
                min_credits=self.min_credits,
            ),
        )
        receipt, record = submission.receipt, submission.record
        if submission.is_finished:
            return receipt.to_xcom()
        try:
            receipt = request.resolve(hook.client, receipt)
        except OllangOutcomeUnknownError:
            # A person who clears the task has it look by their languages for the orders that are not known yet.
            record.note("unknown", receipt)
            raise
        self.log.info("Orders by language: %s.", receipt.orders)
        if not self.wait_for_completion:
            record.note("finished", receipt)
            return receipt.to_xcom()
        receipt = replace(receipt, deadline=_clock.now() + self.timeout)
        return self._wait(context, hook, token, record, receipt)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral, with the same outcome as without one."""
        try:
            with deferral_errors(self.timeout):
                return super().resume_execution(next_method, next_kwargs, context)
        except OllangTimeoutError as error:
            if next_method == "execute_complete":
                raise
            # Airflow's own timeout, since no triggerer ended the wait.
            hook, _ = self._connect()
            self._with_outcome(context, hook, *self._resume(context), Decision(error=error))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> list[dict[str, Any]]:
        """Take in what the wait for one order in the triggerer ended in, and wait for the next one."""
        decision, _ = read_event(event)
        write_log(self.log, decision)
        hook, token = self._connect()
        record, receipt = self._resume(context)
        receipt = self._with_outcome(context, hook, record, receipt, decision)
        return self._wait(context, hook, token, record, receipt)

    def on_kill(self) -> None:
        """Keep a killed task from sending anything more, and cancel the orders that it waits for if asked to."""
        super().on_kill()
        if self._orders_to_cancel is not None:
            # A client of its own: the one of the task may be in the middle of a request.
            settings, order_ids = self._orders_to_cancel
            timeout = min(settings.timeout, _KILL_TIMEOUT)
            self._cancel(OllangClient(replace(settings, timeout=timeout, max_attempts=1), log=self.log), order_ids)

    def _wait(
        self,
        context: Context,
        hook: OllangHook,
        token: CancellationToken,
        record: SubmissionRecord[CreationReceipt],
        receipt: CreationReceipt,
    ) -> list[dict[str, Any]]:
        """Wait for one order after the other; each may be a deferral of its own."""
        while receipt.unfinished:
            record.note("accepted", receipt)
            push_early(self, context, receipt.to_xcom())
            if self.cancel_on_kill:
                self._orders_to_cancel = hook.settings, receipt.unfinished_ids
            if self.deferrable:
                context["ti"].xcom_push(key=DEFERRED_RECEIPT, value=receipt.to_json())
            decision = wait_for(
                self,
                hook,
                self._poller(receipt),
                ollang_conn_id=self.ollang_conn_id,
                trigger=OllangOrderStatusTrigger,
                deferrable=self.deferrable,
                sleep=token.sleep,
                orders_to_cancel=receipt.unfinished_ids if self.cancel_on_kill else (),
            )
            receipt = self._with_outcome(context, hook, record, receipt, decision)
        self._orders_to_cancel = None
        record.note("finished", receipt)
        return receipt.to_xcom()

    def _with_outcome(
        self,
        context: Context,
        hook: OllangHook,
        record: SubmissionRecord[CreationReceipt],
        receipt: CreationReceipt,
        decision: Decision,
    ) -> CreationReceipt:
        """Return the receipt with what the wait for the next order ended in, or raise its error."""
        language = receipt.unfinished[0]
        if decision.error is None:
            return replace(receipt, results={**receipt.results, language: decision.unwrap()})
        left = receipt
        if isinstance(decision.error, OllangOrderFailedError):
            left = receipt.without_orders([receipt.orders[language]])
        elif isinstance(decision.error, OllangOrderNotFoundError):
            # It may be gone, or the connection may have the key of another account.
            left = receipt.with_doubt_about(language)
        elif isinstance(decision.error, OllangTimeoutError) and self.cancel_on_timeout:
            left = receipt.without_orders(self._cancel(hook.client, receipt.unfinished_ids))
        # What is lost is still to be had: as with an unknown outcome, a clear requests what is missing, and only that.
        record.note("unknown" if left.missing else "accepted", left)
        push_early(self, context, receipt.to_xcom())
        raise decision.error

    def _poller(self, receipt: CreationReceipt) -> Poller:
        config = self._poll_config(receipt.orders[receipt.unfinished[0]])
        goal = RerunGoal(rerun=receipt.run, outputs_timeout=self.outputs_timeout)
        # A list or a poll has shown each order before its language was known.
        state = PollState(was_seen=True)
        return Poller(config, goal, state, _clock.now() if receipt.deadline is None else receipt.deadline)

    def _resume(self, context: Context) -> tuple[SubmissionRecord[CreationReceipt], CreationReceipt]:
        """Return what a deferred task had."""
        ti = context["ti"]
        value = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index, key=DEFERRED_RECEIPT)
        receipt = CreationReceipt.from_value(value)
        return self._record(context, receipt, receipt.subject), receipt

    def _cancel(self, client: OllangClient, order_ids: Iterable[str]) -> list[str]:
        """Cancel orders as far as that is possible; return those that are cancelled."""
        cancelled = []
        for order_id in order_ids:
            try:
                client.cancel_order(order_id)
            except OllangError as error:
                self.log.warning("Order %s was not cancelled: %s", order_id, error)
            else:
                self.log.info("Order %s was cancelled.", order_id)
                cancelled.append(order_id)
        return cancelled

    def _spec(self, context: Context) -> OrderSpec:
        callback_url = self.render_template(self._callback_url, context)
        if callback_url is None and self._callback_url is not None:
            raise OllangConfigurationError(
                "callback_url rendered to nothing; nothing was sent, since it cannot be set later. Check that the task "
                "it comes from is upstream and returns a URL: partial(callback_url=...) does not make a task upstream."
            )
        return OrderSpec.parse(
            self.project_id,
            self.order_type,
            self.target_languages,
            level=self.level,
            rush=self.rush,
            order_sub_type=self.order_sub_type,
            dubbing_style=self.dubbing_style,
            callback_url=callback_url,
            auto_qc=self.auto_qc,
            memories=self.memories,
        )
