"""The sensor that waits for an order."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator, BaseSensorOperator
from airflow.triggers.base import StartTriggerArgs

from airflow_provider_ollang import _clock
from airflow_provider_ollang._compat import AirflowRescheduleException, AirflowSkipException
from airflow_provider_ollang.domain.arguments import (
    LONGEST_TIMEOUT,
    NOT_GIVEN,
    parse_names,
    parse_seconds,
    require_choice,
    require_count,
    require_no_misspelt_status,
)
from airflow_provider_ollang.domain.goals import StatusGoal
from airflow_provider_ollang.domain.polling import MAX_POLL_FAILURES, PollConfig
from airflow_provider_ollang.domain.receipts import Receipt, agreed_order_id, check_host
from airflow_provider_ollang.domain.result_goals import OUTPUTS_TIMEOUT, STALE_TIMEOUT, result_goal
from airflow_provider_ollang.domain.values import parse_number
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangPermanentError,
    OllangStaleResultError,
    OllangTimeoutError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.runtime.context import push_early, require_task_instance
from airflow_provider_ollang.runtime.wait import DEFERRABLE, GRACE, deferral_errors, read_event, wait_for, write_log
from airflow_provider_ollang.runtime.wait_state import WaitState
from airflow_provider_ollang.sensors._start_from_trigger import unsupported_reason
from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow.sdk import Context

    from airflow_provider_ollang.domain.goals import Goal
    from airflow_provider_ollang.domain.orders import Order
    from airflow_provider_ollang.domain.polling import Poller, PollState

#: Seconds beyond which a wait for people's work should not hold a worker slot.
LONG_TIMEOUT = 3600.0


class OllangOrderStatusSensor(BaseSensorOperator):
    """
    Waits until an order is completed or delivered, and returns its facts.

    After a rerun pass its receipt: ``OllangOrderStatusSensor(rerun=rerun.output)``. The order may still be
    ``completed`` with its previous result then, so this sensor waits until there is evidence of the new one: a newer
    delivery event, newer output documents, or that the order was observed running in between. The receipt of a human
    review is passed likewise, and a review that is cancelled meanwhile fails the task. An order at a review gate
    (``review``) is warned of once a day, with what it waits for where Ollang tells it.

    It only polls: killed or cleared, it cancels nothing at Ollang. It has no ``poke()``, which could not tell Airflow
    how long to pause, fail without a retry in every mode, or return a result.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id``; optional with ``rerun`` (templated).
    :param rerun: the receipt of :class:`~airflow_provider_ollang.operators.ollang.OllangRerunOperator` or
        :class:`~airflow_provider_ollang.operators.review.OllangHumanReviewOperator` whose result to wait for; anything
        else, ``None`` too, is an error (templated).
    :param target_statuses: statuses to wait for, as a collection or a comma-separated text; default ``completed`` and
        ``delivered``. A misspelling of a known status is refused, an unknown one is not (templated).
    :param failure_statuses: statuses that fail the task at once, without retry; default ``failed`` and ``cancelled``
        (templated).
    :param poke_interval: seconds, or ``timedelta``, between two polls; default 60 s, at least 1 s. In the first 30 s
        after the request for a rerun polls are denser.
    :param timeout: seconds, or ``timedelta``, after which the wait fails, per try; default ``[sensors]
        default_timeout``, 7 days; at most ten years. The last poll is at the very end.
    :param soft_fail: skip the task where it would fail without a retry: failure status, wrong key, timeout, …
    :param never_fail: skip the task where it would fail at all.
    :param silent_fail: continue until the timeout when polls keep failing with transient errors.
    :param max_poll_failures: how many consecutive polls may fail with transient errors; default 10.
    :param outputs_timeout: seconds, or ``timedelta``, that new output documents may lag behind a status that is
        verified to be the rerun's; default 120 s. Then the result says ``outputs_changed: false``.
    :param stale_timeout: seconds, or ``timedelta``, that an order may be done without any evidence of the rerun;
        default 2 h.
    :param on_no_evidence: what that ends in: ``"fail"`` with
        :class:`~airflow_provider_ollang.exceptions.OllangStaleResultError`, or ``"accept"`` the result with
        ``evidence: []``.
    :param ollang_conn_id: the Airflow connection (templated).
    :param deferrable: wait in the triggerer, which holds no worker slot; default ``[operators] default_deferrable``.
        What only a triggerer has observed is lost if that dies.
    :param start_from_trigger: start in the triggerer, so that a worker starts once instead of twice; implies
        ``deferrable``. Possible from Airflow 3.3 on for an order id that is a literal or a template over ``params``,
        ``dag_run``, ``run_id``, ``ds``, ``ts``, ``logical_date`` and ``data_interval_*``; else a worker starts, and
        logs why.
    :param mode: without ``deferrable``: ``"poke"`` holds a worker slot all the time, ``"reschedule"`` only while it
        polls.
    :return: ``{"order_id", "name", "type", "status", "level", "source_language", "target_language", "project_id",
        "folder_id", "created_at", "outputs", "outputs_changed", "evidence", "evaluation"}``, without links.
    :raises OllangOrderFailedError: the order reached a failure status, or the review was cancelled.
    :raises OllangStaleResultError: there is no evidence that the result is the rerun's; it is pushed as XCom before,
        for a task that is then marked as success.
    :raises OllangTimeoutError: the timeout came first; never retried.
    :raises OllangUnavailableError, OllangRateLimitError: too many consecutive polls failed; retried.
    :raises OllangConfigurationError: an argument is wrong; where it is no template, when the DAG is parsed.
    :raises OllangError: as :meth:`.OllangHook.get_order`.
    """

    template_fields: Sequence[str] = ("order_id", "rerun", "target_statuses", "failure_statuses", "ollang_conn_id")
    ui_color = "#f2ecd9"

    def __init__(
        self,
        *,
        order_id: Any = None,
        rerun: Any = NOT_GIVEN,
        target_statuses: Iterable[str] | str = ("completed", "delivered"),
        failure_statuses: Iterable[str] | str = ("failed", "cancelled"),
        max_poll_failures: int = MAX_POLL_FAILURES,
        outputs_timeout: float | timedelta = OUTPUTS_TIMEOUT,
        stale_timeout: float | timedelta = STALE_TIMEOUT,
        on_no_evidence: Literal["fail", "accept"] = "fail",
        ollang_conn_id: str = OllangHook.default_conn_name,
        deferrable: bool = DEFERRABLE,
        start_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        try:
            super().__init__(**kwargs)
        except OverflowError:
            raise OllangConfigurationError(
                "poke_interval, timeout and max_wait must be durations that a timedelta can hold; for a wait without "
                "an end give a timeout of ten years."
            ) from None
        self.timeout = min(self.timeout, LONGEST_TIMEOUT)
        for name, statuses in (("target_statuses", target_statuses), ("failure_statuses", failure_statuses)):
            require_no_misspelt_status(name, statuses)
        self.order_id = order_id
        self.rerun_given = rerun is not NOT_GIVEN
        self.rerun = rerun if self.rerun_given else None
        self.target_statuses = target_statuses
        self.failure_statuses = failure_statuses
        self.max_poll_failures = require_count("max_poll_failures", max_poll_failures)
        self.outputs_timeout = parse_seconds("outputs_timeout", outputs_timeout)
        self.stale_timeout = parse_seconds("stale_timeout", stale_timeout)
        self.on_no_evidence = require_choice("on_no_evidence", on_no_evidence, ("fail", "accept"))
        self.ollang_conn_id = ollang_conn_id
        self.deferrable = deferrable or start_from_trigger
        if order_id is None and not self.rerun_given:
            raise OllangConfigurationError("OllangOrderStatusSensor needs an order_id or a rerun.")
        self.unsupported_reason = self._prepare_start_from_trigger() if start_from_trigger else None

    def _prepare_start_from_trigger(self) -> str | None:
        """Let Airflow start the wait in the triggerer, or return why it cannot."""
        rendered = {"order_id": self.order_id, "ollang_conn_id": self.ollang_conn_id}
        fixed = {"target_statuses": self.target_statuses, "failure_statuses": self.failure_statuses}
        if self.execution_timeout is not None:
            return "execution_timeout is set, which Airflow would apply to the whole wait there"
        if reason := unsupported_reason(rendered, fixed, has_rerun=self.rerun_given):
            return reason
        self.start_from_trigger = True
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=f"{OllangOrderStatusTrigger.__module__}.{OllangOrderStatusTrigger.__qualname__}",
            trigger_kwargs={
                "ollang_conn_id": self.ollang_conn_id,
                "order_id": self.order_id,
                "config": self._config("").to_json(),
                "goal": self._goal(None).to_json(),
            },
            next_method="execute_complete",
            timeout=timedelta(seconds=self.timeout) + GRACE,
        )
        return None

    def execute(self, context: Context) -> dict[str, Any]:
        """Wait, in any mode with the same outcome."""
        require_task_instance(context)
        with self._failure_policy(context):
            state = WaitState(context, timeout=self.timeout)
            self._log_start_on_worker(context)
            hook = OllangHook(self.ollang_conn_id)
            poller = state.resume() if self._is_rescheduled else None
            if poller is None:
                poller = self._begin(state, hook)
            return wait_for(
                self,
                hook,
                poller,
                ollang_conn_id=self.ollang_conn_id,
                trigger=OllangOrderStatusTrigger,
                deferrable=self.deferrable,
                sleep=self._sleeper(poller),
                on_decision=lambda decision: None if decision.is_final else self._save(state, poller),
                is_started=state.is_started,
            ).unwrap()

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Continue after a deferral, with the same outcome as without one."""
        with self._failure_policy(context), deferral_errors(self.timeout):
            # Not by way of the sensor's own method, which skips on errors that should be retried.
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return or raise what the wait in the triggerer ended in."""
        decision, poll_state = read_event(event)
        write_log(self.log, decision)
        if decision.error is not None and poll_state is not None:
            self._save_for_retry(context, poll_state)
        return decision.unwrap()

    @contextmanager
    def _failure_policy(self, context: Context) -> Iterator[None]:
        """Skip or push as the task's arguments say when the wait has failed."""
        try:
            yield
        except OllangError as error:
            is_last = isinstance(error, OllangPermanentError | OllangTimeoutError)
            if self.never_fail or (self.soft_fail and is_last):
                self.log.warning("Skipping this task (%s): %s", "never_fail" if self.never_fail else "soft_fail", error)
                raise AirflowSkipException(str(error)) from error
            if isinstance(error, OllangStaleResultError):
                # For a task that is then marked as success.
                push_early(self, context, error.result)
            raise

    # --- What to wait for -------------------------------------------------------------------------------------

    def _begin(self, state: WaitState, hook: OllangHook) -> Poller:
        receipt = self._receipt()
        check_host(hook.settings, receipt)
        return state.begin(self._config(agreed_order_id(self.order_id, receipt)), self._goal(receipt))

    def _receipt(self) -> Receipt | None:
        return Receipt.from_value(self.rerun) if self.rerun_given else None

    def _config(self, order_id: str) -> PollConfig:
        return PollConfig(
            order_id=order_id,
            poll_interval=self.poke_interval,
            exponential_backoff=self.exponential_backoff,
            max_interval=self.max_wait.total_seconds() if self.max_wait else None,
            timeout=self.timeout,
            max_poll_failures=self.max_poll_failures,
            ignore_poll_failures=self.silent_fail,
        )

    def _goal(self, receipt: Receipt | None) -> Goal:
        targets = frozenset(parse_names("target_statuses", self.target_statuses))
        failures = frozenset(parse_names("failure_statuses", self.failure_statuses) if self.failure_statuses else ())
        require_no_misspelt_status("target_statuses", targets)
        require_no_misspelt_status("failure_statuses", failures)
        if receipt is None:
            return StatusGoal(target_statuses=targets, failure_statuses=failures)
        return result_goal(
            receipt.rerun,
            target_statuses=targets,
            failure_statuses=failures,
            outputs_timeout=self.outputs_timeout,
            stale_timeout=self.stale_timeout,
            on_no_evidence=self.on_no_evidence,
        )

    # --- Between two polls ------------------------------------------------------------------------------------

    @property
    def _is_rescheduled(self) -> bool:
        """Whether each poll is a process of its own, which knows only what is stored."""
        return self.reschedule and not self.deferrable

    def _sleeper(self, poller: Poller) -> Callable[[float], None]:
        """Return what sleeps between two polls on a worker, or ends the process until the next one."""
        is_advised = self.timeout <= LONG_TIMEOUT

        def sleep(seconds: float) -> None:
            nonlocal is_advised
            if self.reschedule:
                next_poll = datetime.fromtimestamp(_clock.now() + seconds, UTC)
                raise AirflowRescheduleException(next_poll)  # type: ignore[no-untyped-call]
            if not is_advised and poller.order is not None:
                is_advised = True
                self._advise(poller.order)
            _clock.sleep(seconds)

        return sleep

    def _advise(self, order: Order) -> None:
        if (parse_number(order.get("level")) or 0) >= 1:
            self.log.warning(
                "People work on this order, which may take days, and poke mode holds a worker slot all the time; with "
                "deferrable=True the wait holds none."
            )

    def _save(self, state: WaitState, poller: Poller) -> None:
        try:
            state.save(poller, with_goal=self._is_rescheduled)
        except OllangUnavailableError as error:
            # A rescheduled task has nothing else to know its deadline from.
            if self._is_rescheduled:
                raise
            self._warn_unsaved(error)

    def _save_for_retry(self, context: Context, poll_state: PollState) -> None:
        """Store what a failed wait in the triggerer has seen, for the next try."""
        try:
            receipt = self._receipt()
            state = WaitState(context, timeout=self.timeout)
            poller = state.begin(self._config(agreed_order_id(self.order_id, receipt)), self._goal(receipt))
            poller.state = poll_state
            state.save(poller)
        except Exception as error:  # noqa: BLE001 - only another try would read it; the failure of the wait counts
            self._warn_unsaved(error)

    def _warn_unsaved(self, error: Exception) -> None:
        # Messages of other libraries may contain anything.
        reason = error if isinstance(error, OllangError) else type(error).__name__
        self.log.warning("A retry of this task will not know what this wait has seen: %s", reason)

    def _log_start_on_worker(self, context: Context) -> None:
        """Say why a wait with ``start_from_trigger`` starts on a worker."""
        reason = self.unsupported_reason
        if self.start_from_trigger:
            is_mapped = (context["ti"].map_index or 0) >= 0
            reason = "Airflow starts mapped tasks there" if is_mapped else "Airflow has started it there"
        if reason is not None:
            self.log.info("start_from_trigger: starting on a worker instead, because %s.", reason)
