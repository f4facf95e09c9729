"""A retry policy that waits as long as Ollang asked; for ``retry_policy=`` of a task, Airflow 3.3 or newer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import RetryDecision, RetryPolicy

from airflow_provider_ollang.domain.arguments import require_count
from airflow_provider_ollang.exceptions import OllangTransientError

if TYPE_CHECKING:
    from airflow.sdk import Context


class OllangRetryPolicy(RetryPolicy):
    """
    Runs a task that Ollang's rate limit failed again when the server said, rather than after ``retry_delay``.

    .. code-block:: python

        OllangRerunOperator(task_id="rerun", order_id=..., retries=3, retry_policy=OllangRetryPolicy())

    On Airflow 3.4 and newer the task is rescheduled, which costs no retry: its try number stays, its record too, and
    ``on_retry_callback`` is not called. On Airflow 3.3, and once a try was rescheduled ``max_reschedules`` times, it is
    a retry, of which there are never more than the task has. Everything else is left to the task's own settings.
    Permanent errors and timeouts of this provider never reach a policy: Airflow fails such a task at once.

    :param max_reschedules: how many times one try may be rescheduled, as Airflow counts: each poke of a sensor in
        ``mode="reschedule"`` is one of them. Airflow 3.3 has no use for it.
    :raises OllangConfigurationError: ``max_reschedules`` is no whole number from 1.
    """

    def __init__(self, *, max_reschedules: int = 24) -> None:
        self.max_reschedules = require_count("max_reschedules", max_reschedules)

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 - Airflow's signature
        max_tries: int,  # noqa: ARG002 - Airflow's signature
        context: Context | None = None,
    ) -> RetryDecision:
        """
        Decide when the task runs again.

        :param exception: what the task failed with.
        :param context: the task's context, which tells how often this try was rescheduled; the other parameters are
            not needed.
        :return: a reschedule or a retry after the time the server asked for, or Airflow's usual behaviour.
        """
        if not isinstance(exception, OllangTransientError) or exception.retry_after is None:
            return RetryDecision.default()
        delay = timedelta(seconds=exception.retry_after)
        reason = f"Ollang asked to wait {exception.retry_after:.0f} s"
        reschedule: Any = getattr(RetryDecision, "reschedule", None)  # Airflow 3.4
        done = (context or {}).get("task_reschedule_count", 0)
        # Airflow would take the task's own retry_delay for a reschedule too many.
        if reschedule is None or done >= self.max_reschedules:
            return RetryDecision.retry(delay=delay, reason=reason)
        decision: RetryDecision = reschedule(delay, max_reschedules=self.max_reschedules, reason=reason)
        return decision
