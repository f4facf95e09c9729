"""What the operators have in common that sleep and wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_provider_ollang import _clock
from airflow_provider_ollang.domain.arguments import count_of, seconds_of, timeout_of
from airflow_provider_ollang.domain.polling import describe_end
from airflow_provider_ollang.exceptions import OllangAuthenticationError, OllangError, OllangTransientError
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.triggers.ollang import deferral_errors, hand_over

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_provider_ollang.domain.polling import Step, Wait


POLL_INTERVAL = 60.0


def poll(hook: OllangHook, wait: Wait) -> Step:
    """
    Poll once the order a wait is for; when the key is refused, with the one that may have replaced it.

    :param hook: gets the order, in one attempt.
    :param wait: the wait, which takes in what was seen.
    :return: what to do next.
    """
    order_id = wait.rules.order_id
    try:
        try:
            order = hook.get_order(order_id, max_attempts=1)
        except OllangAuthenticationError:
            if not hook.reload():
                raise
            order = hook.get_order(order_id, max_attempts=1)
    except OllangError as error:
        return wait.failed_to_look(error, _clock.now())
    return wait.saw(order, _clock.now())


#: A task that was ended from outside should notice while it sleeps.
_LONGEST_SLEEP = 1.0


class StoppableOperator(BaseOperator):
    """Stops soon after somebody ended its task: Airflow lets it run on for seconds."""

    ollang_conn_id: str
    _killed = False
    _last_status: str | None = None

    def on_kill(self) -> None:
        """Keep a task that somebody ended from sending anything more."""
        self._killed = True
        self.log.info("Ended from outside. The order's last known status: %s.", self._last_status or "not looked at")

    def _hook(self, order_id: str) -> OllangHook:
        """Return a hook whose pauses end when the task does."""
        return OllangHook(self.ollang_conn_id, sleep=lambda seconds: self._sleep(seconds, order_id))

    def _sleep(self, seconds: float, order_id: str) -> None:
        left = seconds
        while left > 0:
            self._stop_if_killed(order_id)
            _clock.sleep(min(left, _LONGEST_SLEEP))
            left -= _LONGEST_SLEEP
        self._stop_if_killed(order_id)

    def _stop_if_killed(self, order_id: str) -> None:
        if self._killed:
            raise OllangTransientError(
                f"This task was ended from outside and sends nothing more about order {order_id}.", order_id=order_id
            )


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
        wait: Wait,
        after_look: Callable[[Step], None],
        resume_with: dict[str, Any] | None = None,
    ) -> Step:
        """
        Look until the wait is over, or leave it to the triggerer, which ends in ``execute_complete``.

        :param after_look: called after each look of the worker.
        :param resume_with: what ``execute_complete`` is given besides the event.
        """
        wait.begin()
        while True:
            step = poll(hook, wait)
            self._last_status = wait.memory.last_status
            after_look(step)
            if step.result is not None:
                self.log.info("%s", describe_end(step.result, _clock.now() - wait.started_at))
            if step.is_end:
                return step
            if self.deferrable:
                hand_over(self, wait, step, ollang_conn_id=self.ollang_conn_id, kwargs=resume_with)
            self._sleep(step.pause, wait.rules.order_id)
