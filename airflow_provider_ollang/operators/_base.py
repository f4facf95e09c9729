"""What the operators have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, XComArg

from airflow_provider_ollang.domain.polling import PollConfig
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.runtime.cancellation import CancellationToken
from airflow_provider_ollang.runtime.context import push_early
from airflow_provider_ollang.runtime.submission_record import ReceiptT, SubmissionRecord
from airflow_provider_ollang.runtime.submit import submit_once
from airflow_provider_ollang.runtime.task_state import RETENTION, TaskState, read_tries

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_ollang.runtime.paid_request import PaidRequest, SubmissionPolicy
    from airflow_provider_ollang.runtime.submit import Submission


class OllangOperator(BaseOperator):
    """Ends soon after Airflow has killed its task: Airflow lets it run on for seconds."""

    ollang_conn_id: str
    _token: CancellationToken | None = None

    def on_kill(self) -> None:
        """Keep a killed task from sending anything more."""
        if self._token is not None:
            self._token.cancel()
        self.log.info("The task was killed; it sends no further requests.")

    def _depend_on(self, value: Any) -> Any:
        """Return an argument that is rendered but no template field, since it is secret: it may be a task's output."""
        if isinstance(value, XComArg):
            # Airflow finds by itself only the tasks that template fields depend on.
            self.set_upstream(value)
        return value

    def _connect(self, order_id: str | None = None) -> tuple[OllangHook, CancellationToken]:
        """Return a hook whose sleeps end when the task is killed, and what ends them."""
        self._token = CancellationToken(order_id)
        return OllangHook(self.ollang_conn_id, sleep=self._token.sleep), self._token

    def _submit_once(
        self,
        context: Context,
        hook: OllangHook,
        token: CancellationToken,
        request: PaidRequest[ReceiptT],
        *,
        state: TaskState,
        policy: SubmissionPolicy,
    ) -> Submission[ReceiptT]:
        """Submit a request unless an earlier try has; push the receipt as soon as there is one."""
        return submit_once(
            request,
            hook.client,
            state=state,
            tries=read_tries(context),
            policy=policy,
            token=token,
            log=self.log,
            on_receipt=lambda receipt: push_early(self, context, receipt.to_xcom()),
        )


class OllangWaitingOperator(OllangOperator):
    """Submits a paid request, and may wait for orders, deferred too: what is kept of it, and how it polls."""

    #: Where the record is kept in the task's state store.
    record_key: ClassVar[str]
    poll_interval: float
    timeout: float
    max_poll_failures: int

    def _state(self, context: Context) -> TaskState:
        return TaskState(context, self.record_key, retention=RETENTION + timedelta(seconds=self.timeout))

    def _record(self, context: Context, receipt: ReceiptT, subject: str) -> SubmissionRecord[ReceiptT]:
        """Return the record of a task that resumes after a deferral."""
        return SubmissionRecord[ReceiptT](
            self._state(context), subject=subject, host=receipt.host, tries=read_tries(context), log=self.log
        )

    def _poll_config(self, order_id: str) -> PollConfig:
        return PollConfig(
            order_id=order_id,
            poll_interval=self.poll_interval,
            timeout=self.timeout,
            max_poll_failures=self.max_poll_failures,
        )
