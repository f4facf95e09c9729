"""A retry policy that waits as long as Ollang asked; for ``retry_policy=`` of a task, Airflow 3.3 or newer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import RetryDecision, RetryPolicy

from airflow_provider_ollang.exceptions import OllangTransientError

if TYPE_CHECKING:
    from airflow.sdk import Context


class OllangRetryPolicy(RetryPolicy):
    """
    Lets a task that Ollang's rate limit failed retry when the server said, rather than after ``retry_delay``.

    .. code-block:: python

        OllangRerunOperator(task_id="rerun", order_id=..., retries=3, retry_policy=OllangRetryPolicy())

    It never makes more retries than the task has, and leaves everything else to the task's own settings. Permanent
    errors and timeouts of this provider never reach it: Airflow fails such a task at once.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 - Airflow's signature
        max_tries: int,  # noqa: ARG002 - Airflow's signature
        context: Context | None = None,  # noqa: ARG002 - Airflow's signature
    ) -> RetryDecision:
        """
        Decide when to retry.

        :param exception: what the task failed with; the other parameters are not needed.
        :return: a retry after the time the server asked for, or Airflow's usual behaviour.
        """
        if isinstance(exception, OllangTransientError) and exception.retry_after is not None:
            return RetryDecision.retry(
                delay=timedelta(seconds=exception.retry_after),
                reason=f"Ollang asked to wait {exception.retry_after:.0f} s",
            )
        return RetryDecision.default()
