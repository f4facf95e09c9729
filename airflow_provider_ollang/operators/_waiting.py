"""What the operators have in common that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.domain.arguments import count_of, seconds_of, timeout_of
from airflow_provider_ollang.runtime.cancellation import StoppableOperator
from airflow_provider_ollang.runtime.wait import deferral_errors, wait_for
from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_provider_ollang.domain.polling import Decision, Poller
    from airflow_provider_ollang.hooks.ollang import OllangHook


class WaitingOperator(StoppableOperator):
    """
    Waits for an order, in its worker or in the triggerer, with the same ends.

    :param poll_interval: seconds, or ``timedelta``, between two looks; a second at least.
    :param timeout: seconds, or ``timedelta``, after which the wait fails.
    :param max_poll_failures: how many looks in a row may fail for passing reasons.
    :param deferrable: wait in the triggerer.
    """

    def __init__(
        self,
        *,
        timeout: float | timedelta,
        poll_interval: float | timedelta,
        max_poll_failures: int,
        deferrable: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.timeout = timeout_of("timeout", timeout)
        self.poll_interval = seconds_of("poll_interval", poll_interval)
        self.max_poll_failures = count_of("max_poll_failures", max_poll_failures)
        self.deferrable = deferrable

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after a deferral, with the same ends as without one."""
        with deferral_errors(self.timeout):
            return super().resume_execution(next_method, next_kwargs, context)

    def _wait_to_the_end(
        self,
        hook: OllangHook,
        poller: Poller,
        on_decision: Callable[[Decision], None] | None = None,
        resume_with: dict[str, Any] | None = None,
    ) -> Decision:
        """
        Poll until the wait is over, or leave it to the triggerer, which ends in ``execute_complete``.

        :param on_decision: called after each poll of the worker.
        :param resume_with: what ``execute_complete`` is given besides the event.
        """

        def note(decision: Decision) -> None:
            self._last_status = poller.state.last_status
            if on_decision is not None:
                on_decision(decision)

        return wait_for(
            self,
            hook,
            poller,
            ollang_conn_id=self.ollang_conn_id,
            trigger=OllangOrderStatusTrigger,
            deferrable=self.deferrable,
            sleep=lambda seconds: self._sleep(seconds, poller.config.order_id),
            on_decision=note,
            resume_with=resume_with,
        )
