"""
At most one submission of a paid request, whatever dies: write the intent, send once, reconcile an unknown outcome.

Without Airflow: a task's operator hands in where its record is kept, what Airflow says about its tries, and its log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

from airflow_provider_ollang.runtime.submission_record import ReceiptT, SubmissionRecord
from airflow_provider_ollang.runtime.submitter import Submitter, title

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ollang.client.sync import OllangClient
    from airflow_provider_ollang.domain.submission import Tries
    from airflow_provider_ollang.runtime.cancellation import CancellationToken
    from airflow_provider_ollang.runtime.paid_request import PaidRequest, SubmissionPolicy
    from airflow_provider_ollang.runtime.task_state import TaskState


@dataclass(frozen=True)
class Submission(Generic[ReceiptT]):
    """
    A request that was accepted, by this try or an earlier one.

    :param receipt: what is known of it.
    :param record: where it is stored.
    :param is_finished: whether an earlier try of the task has had its result.
    """

    receipt: ReceiptT
    record: SubmissionRecord[ReceiptT]
    is_finished: bool = False


def submit_once(
    request: PaidRequest[ReceiptT],
    client: OllangClient,
    *,
    state: TaskState,
    tries: Tries,
    policy: SubmissionPolicy,
    token: CancellationToken,
    log: Any,
    on_receipt: Callable[[ReceiptT], None],
) -> Submission[ReceiptT]:
    """
    Submit a request unless an earlier try of the task has; then reconnect to it.

    :param request: what to submit.
    :param client: sends it, and the polls.
    :param state: where the record is kept; with no store behind it a retry cannot know what was sent.
    :param tries: what Airflow says about the task's tries.
    :param policy: what to do where there is a choice.
    :param token: keeps a killed task from sending anything more; sleeps between polls.
    :param log: the task's logger.
    :param on_receipt: is given the receipt as soon as the request is accepted, or its outcome stays unknown.
    :return: the accepted request.
    :raises OllangOrderNotEligibleError: the request makes no sense now; nothing was started.
    :raises OllangOutcomeUnknownError: it may or may not have been processed; a person has to check.
    :raises TaskCancelledError: the task was killed.
    :raises OllangError: nothing was sent, or surely not processed.
    """
    host = client.settings.base_url
    record = SubmissionRecord[ReceiptT](state, subject=request.subject, host=host, tries=tries, log=log)
    if record.action == "return":
        log.info("%s: an earlier try finished this %s; returning its result.", title(request), request.noun)
        return Submission(request.receipt_class.from_value(record.receipt), record, is_finished=True)
    receipt = Submitter(request, client, record, tries, policy, token, log, on_receipt).run()
    on_receipt(receipt)
    return Submission(receipt, record)
