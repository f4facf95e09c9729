"""The sensor that waits for an order."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk import BaseOperator, BaseSensorOperator
from airflow.triggers.base import StartTriggerArgs

from airflow_provider_ollang import _clock
from airflow_provider_ollang._compat import (
    AirflowRescheduleException,
    AirflowSkipException,
)
from airflow_provider_ollang.domain.arguments import (
    LONGEST_TIMEOUT,
    NOT_GIVEN,
    count_of,
    names_of,
    one_of,
    require_no_misspelt_status,
    seconds_of,
)
from airflow_provider_ollang.domain.freshness import Baseline
from airflow_provider_ollang.domain.polling import (
    MAX_POLL_FAILURES,
    OUTPUTS_TIMEOUT,
    STALE_TIMEOUT,
    Wait,
    WaitMemory,
    WaitRules,
    describe_end,
)
from airflow_provider_ollang.domain.receipts import Receipt, agreed_order_id, check_host
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangPermanentError,
    OllangStaleResultError,
    OllangTimeoutError,
    OllangUnavailableError,
    error_from_json,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.runtime.context import require_task_instance
from airflow_provider_ollang.runtime.wait import poll
from airflow_provider_ollang.runtime.wait_state import WaitState
from airflow_provider_ollang.sensors._start_from_trigger import obstacle
from airflow_provider_ollang.triggers.ollang import (
    DEFERRABLE,
    GRACE,
    OllangOrderStatusTrigger,
    deferral_errors,
    hand_over,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow.sdk import Context

    from airflow_provider_ollang.domain.orders import Order

#: Seconds beyond which a wait for people's work should not hold a worker slot.
LONG_TIMEOUT = 3600.0


class OllangOrderStatusSensor(BaseSensorOperator):
    """
    Waits until an order is completed or delivered, and returns its facts.

    After a rerun give it the receipt: ``OllangOrderStatusSensor(rerun=rerun.output)``. The order may still say
    ``completed`` with its old files then, and this sensor does not believe it until there is evidence of the new
    result: a newer delivery event, newer output documents, or that the order was seen at work in between.

    It only watches: killed or cleared, it cancels nothing at Ollang.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id``; optional with ``rerun`` (templated).
    :param rerun: the receipt of :class:`~airflow_provider_ollang.operators.ollang.OllangRerunOperator` whose result to
        wait for; anything else, ``None`` too, is an error (templated).
    :param target_statuses: statuses to wait for, as a collection or a comma-separated text; default ``completed`` and
        ``delivered``. A misspelling of a known status is refused, an unknown one is not (templated).
    :param failure_statuses: statuses that fail the task at once, without retry; default ``failed`` and ``cancelled``
        (templated).
    :param poke_interval: seconds, or ``timedelta``, between two looks; default 60 s, at least 1 s.
    :param timeout: seconds, or ``timedelta``, after which the wait fails, per try; default ``[sensors]
        default_timeout``, 7 days; at most ten years. The last look is at the very end.
    :param soft_fail: skip the task where it would fail without a retry: failure status, wrong key, timeout, …
    :param never_fail: skip the task where it would fail at all.
    :param silent_fail: go on to the timeout when looks keep failing for passing reasons.
    :param max_poll_failures: how many looks in a row may fail for passing reasons; default 10.
    :param outputs_timeout: seconds, or ``timedelta``, that new output documents may lag behind a status that is proven
        to be the rerun's; default 120 s. Then the result says ``outputs_changed: false``.
    :param stale_timeout: seconds, or ``timedelta``, that an order may say it is done without any evidence of the
        rerun; default 2 h.
    :param on_no_evidence: what that ends in: ``"fail"`` with
        :class:`~airflow_provider_ollang.exceptions.OllangStaleResultError`, or ``"accept"`` the result with
        ``evidence: []``.
    :param ollang_conn_id: the Airflow connection (templated).
    :param deferrable: wait in the triggerer, which costs no worker at all; default ``[operators] default_deferrable``.
    :param start_from_trigger: begin in the triggerer, so that a worker starts once instead of twice; implies
        ``deferrable``. Possible from Airflow 3.3 on for an order id that is a literal or a template over ``params``,
        ``dag_run``, ``run_id``, ``ds``, ``ts``, ``logical_date`` and ``data_interval_*``; else a worker begins, and
        says why.
    :param mode: without ``deferrable``: ``"poke"`` holds a worker slot all the time, ``"reschedule"`` only while it
        looks.
    :return: ``{"order_id", "name", "type", "status", "level", "source_language", "target_language", "project_id",
        "folder_id", "created_at", "outputs", "outputs_changed", "evidence", "evaluation"}``, without links.
    :raises OllangOrderFailedError: the order reached a failure status.
    :raises OllangStaleResultError: nothing shows that the result is the rerun's; it is pushed as XCom before, for
        a task that is then marked as success.
    :raises OllangTimeoutError: the timeout came first; never retried.
    :raises OllangUnavailableError, OllangRateLimitError: too many looks in a row failed; retried.
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
        self.max_poll_failures = count_of("max_poll_failures", max_poll_failures)
        self.outputs_timeout = seconds_of("outputs_timeout", outputs_timeout)
        self.stale_timeout = seconds_of("stale_timeout", stale_timeout)
        self.on_no_evidence = one_of("on_no_evidence", on_no_evidence, ("fail", "accept"))
        self.ollang_conn_id = ollang_conn_id
        self.deferrable = deferrable or start_from_trigger
        if order_id is None and not self.rerun_given:
            raise OllangConfigurationError("OllangOrderStatusSensor needs an order_id or a rerun.")
        self.obstacle = self._begin_in_the_triggerer() if start_from_trigger else None

    def _begin_in_the_triggerer(self) -> str | None:
        """Prepare the start in the triggerer, or return what stands in its way."""
        rendered = {"order_id": self.order_id, "ollang_conn_id": self.ollang_conn_id}
        fixed = {"target_statuses": self.target_statuses, "failure_statuses": self.failure_statuses}
        if self.execution_timeout is not None:
            return "execution_timeout is set, which Airflow would apply to the whole wait there"
        if found := obstacle(rendered, fixed, has_rerun=self.rerun_given):
            return found
        self.start_from_trigger = True
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=f"{OllangOrderStatusTrigger.__module__}.{OllangOrderStatusTrigger.__qualname__}",
            trigger_kwargs={
                "ollang_conn_id": self.ollang_conn_id,
                "order_id": self.order_id,
                "rules": self._rules("", None).to_json(),
            },
            next_method="execute_complete",
            timeout=timedelta(seconds=self.timeout) + GRACE,
        )
        return None

    def execute(self, context: Context) -> dict[str, Any]:
        """Wait, in whichever mode, with the same ends."""
        require_task_instance(context)
        with self._ends_alike(context):
            return self._wait(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral, with the same ends as without one."""
        with self._ends_alike(context), deferral_errors(self.timeout):
            # Not by way of the sensor's own method, which skips on errors that should be retried.
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return or raise what the wait in the triggerer ended in."""
        result: dict[str, Any] | None = event["result"]
        if result is not None:
            self.log.info("%s", describe_end(result, event.get("waited")))
            return result
        if event["memory"]:
            self._remember(context, WaitMemory.from_json(event["memory"]))
        raise error_from_json(event["error"])

    def _remember(self, context: Context, memory: WaitMemory) -> None:
        """Keep what a failed wait has seen, for the next try."""
        try:
            receipt = self._receipt()
            state = WaitState(context, timeout=self.timeout)
            state.begin(self._rules(agreed_order_id(self.order_id, receipt), receipt))
            state.memory = memory
            state.write()
        except Exception as trouble:  # noqa: BLE001 - only another try would read it; what happened counts
            self._warn_of_forgetting(trouble)

    @contextmanager
    def _ends_alike(self, context: Context) -> Iterator[None]:
        try:
            yield
        except OllangError as error:
            is_last = isinstance(error, OllangPermanentError | OllangTimeoutError)
            if self.never_fail or (self.soft_fail and is_last):
                self.log.warning("Skipping this task (%s): %s", "never_fail" if self.never_fail else "soft_fail", error)
                raise AirflowSkipException(str(error)) from error
            if isinstance(error, OllangStaleResultError):
                self._push(context, error.result)
            raise

    def _push(self, context: Context, result: dict[str, Any] | None) -> None:
        """Push an unproven result, for a task that is then marked as success."""
        if not self.do_xcom_push:
            return
        try:
            context["ti"].xcom_push(key="return_value", value=result)
        except Exception as trouble:  # noqa: BLE001 - the error counts
            self.log.warning("The order's facts could not be pushed (%s).", type(trouble).__name__)

    def _warn_of_forgetting(self, trouble: Exception) -> None:
        self.log.warning(
            "What this wait has seen could not be kept in the task state store (%s): a retry would not know it.",
            type(trouble).__name__,
        )

    def _wait(self, context: Context) -> dict[str, Any]:
        state = WaitState(context, timeout=self.timeout)
        rules, receipt = state.rules if self._is_rescheduled else None, None
        if rules is None:
            receipt = self._receipt()
            rules = self._rules(agreed_order_id(self.order_id, receipt), receipt)
        obstacle = self.obstacle
        if self.start_from_trigger:
            mapped = (context["ti"].map_index or 0) >= 0
            obstacle = "Airflow begins mapped tasks there" if mapped else "Airflow has begun it there"
        if obstacle is not None:
            self.log.info("start_from_trigger: begun on a worker all the same, since %s.", obstacle)
        hook = OllangHook(self.ollang_conn_id)
        check_host(hook.settings, receipt)
        state.begin(rules)
        wait = Wait(rules, state.memory, state.deadline, self.log)
        if state.is_new:
            wait.begin()
        to_advise = self.timeout > LONG_TIMEOUT
        while True:
            step = poll(hook, wait)
            if step.error is not None:
                raise step.error
            if step.result is not None:
                self.log.info("%s", describe_end(step.result, _clock.now() - wait.started_at))
                return step.result
            self._write(state, rules)
            if self.deferrable:
                hand_over(self, wait, step, ollang_conn_id=self.ollang_conn_id)
            if self.reschedule:
                again_at = datetime.fromtimestamp(_clock.now() + step.pause, UTC)
                raise AirflowRescheduleException(again_at)  # type: ignore[no-untyped-call]
            # Only poke mode gets here.
            if to_advise and wait.latest is not None:
                to_advise = False
                self._advise(wait.latest)
            _clock.sleep(step.pause)

    @property
    def _is_rescheduled(self) -> bool:
        """Whether each poll is a process of its own, which knows only what is stored."""
        return self.reschedule and not self.deferrable

    def _write(self, state: WaitState, rules: WaitRules) -> None:
        try:
            state.write(rules if self._is_rescheduled else None)
        except Exception as error:
            if self._is_rescheduled:
                raise OllangUnavailableError(
                    "Airflow's task state store did not take what this wait has seen, and a rescheduled task has "
                    f"nothing else to know its deadline from ({type(error).__name__})."
                ) from error
            self._warn_of_forgetting(error)

    def _advise(self, order: Order) -> None:
        if (Baseline.from_order(order).level or 0) >= 1:
            self.log.warning(
                "People work on this order, which may take days, and poke mode holds a worker slot all the time; with "
                "deferrable=True the wait holds none."
            )

    def _receipt(self) -> Receipt | None:
        return Receipt.from_value(self.rerun) if self.rerun_given else None

    def _rules(self, order_id: str, receipt: Receipt | None) -> WaitRules:
        targets = frozenset(names_of("target_statuses", self.target_statuses))
        failures = frozenset(names_of("failure_statuses", self.failure_statuses) if self.failure_statuses else ())
        require_no_misspelt_status("target_statuses", targets)
        require_no_misspelt_status("failure_statuses", failures)
        return WaitRules(
            order_id=order_id,
            target_statuses=targets,
            failure_statuses=failures,
            rerun=receipt.rerun if receipt else None,
            poke_interval=self.poke_interval,
            exponential_backoff=self.exponential_backoff,
            max_wait=self.max_wait.total_seconds() if self.max_wait else None,
            timeout=self.timeout,
            max_poll_failures=self.max_poll_failures,
            outlast_failures=self.silent_fail,
            outputs_timeout=self.outputs_timeout,
            stale_timeout=self.stale_timeout,
            on_no_evidence=self.on_no_evidence,
        )
