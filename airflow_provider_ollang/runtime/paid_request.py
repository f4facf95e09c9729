"""What :func:`.submit_once` has to know of a request that may be billed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal

from airflow_provider_ollang.exceptions import OllangOutcomeUnknownError
from airflow_provider_ollang.runtime.submission_record import ReceiptT

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ollang.client.sync import OllangClient

RECONCILE_TIMEOUT = 300.0
OnRunning = Literal["fail", "attach"]
#: Likewise for a precheck: ``"reconnect"`` to what is probably this task's own.
OnRunningBefore = Literal["fail", "attach", "reconnect"]
OnUnknownOutcome = Literal["fail", "resubmit"]


@dataclass(frozen=True)
class Effect(Generic[ReceiptT]):
    """
    What Ollang shows of a request whose outcome is unknown.

    :param receipt: what is known of the request now; ``None``: nothing proves that it was processed.
    :param is_likely: whether something speaks for it all the same: then no try submits it again by itself.
    :param comparison: what was compared, for the log.
    :param rest: what is known of the request if only a part of it was processed: the rest is still to be sent.
    :param blocks_clear: whether a person has to settle it in Ollang, so that clearing the task does not submit it again
        either.
    """

    receipt: ReceiptT | None
    comparison: str = ""
    is_likely: bool = False
    rest: ReceiptT | None = None
    blocks_clear: bool = False


class PaidRequest(ABC, Generic[ReceiptT]):
    """
    Base of the requests that may be billed.

    :param noun: what it makes, for messages: ``"rerun"``.
    :param label: what it is about, for messages: ``"order 60b8…"``.
    :param subject: what must be the same for a stored record to count: the order's id, or a fingerprint.
    :param order_id: the order, for errors; ``None`` if there is none yet.
    :param refused_while_running: whether Ollang refuses a second request while it is at work on the first.
    :param shows_running: whether Ollang shows that it is at work on a request; if not, a task that was cleared and has
        no record submits at once.
    :param if_sent_twice: what it could do if it were sent again, for messages.
    :param receipt_class: what its receipt is read with.
    """

    noun: str
    label: str
    subject: str
    order_id: str | None = None
    refused_while_running: bool = False
    shows_running: bool = True
    if_sent_twice: str = "be billed twice"
    receipt_class: type[ReceiptT]

    @abstractmethod
    def precheck(self, client: OllangClient, *, on_running: OnRunningBefore) -> ReceiptT:
        """
        Return what is known before the request; ``reconnected`` if Ollang is at work already.

        :param client: sends the polls.
        :param on_running: ``"fail"``, ``"attach"`` to a run that anyone began, or ``"reconnect"`` to what is probably
            this task's own.
        :raises OllangOrderNotEligibleError: the request makes no sense now.
        """

    @abstractmethod
    def send(self, client: OllangClient, receipt: ReceiptT) -> ReceiptT:
        """Send the request exactly once, and return the receipt with what the response says."""

    @abstractmethod
    def find_effect(
        self, client: OllangClient, receipt: ReceiptT, *, max_attempts: int | None = None
    ) -> Effect[ReceiptT]:
        """Find out whether Ollang shows that the request was processed."""

    def find_running(self, client: OllangClient, receipt: ReceiptT) -> ReceiptT | None:  # noqa: ARG002 - for subclasses
        """Return what is known now of an accepted request that Ollang is still at work on, else ``None``."""
        return None

    @abstractmethod
    def explain(self) -> str:
        """Tell a person what to check, and what to do then, when the outcome stays unknown."""


def outcome_unknown(
    request: PaidRequest[Any], reason: str | None, *, reconciled: str = "", **fields: Any
) -> OllangOutcomeUnknownError:
    """
    Return the error of a request whose outcome stays unknown.

    :param request: the request.
    :param reason: why it is unknown.
    :param reconciled: what was done to find out: a sentence, and a space.
    :param fields: what else the error carries.
    """
    return OllangOutcomeUnknownError(
        f"The outcome of the {request.noun} request for {request.label} is unknown: {reason}. {reconciled}It was not "
        f"resubmitted, since that could {request.if_sent_twice}. {request.explain()}",
        reason=reason,
        order_id=request.order_id,
        **fields,
    )


class StreamedRequest:
    """
    A paid request with a long body. Without its last byte the server has no request that it could process.

    So its intent is written just before that: a try that ends earlier, even killed, leaves no unknown outcome.
    """

    #: Writes the intent: set by the submitter, called by what is sent. What it raises ends the request.
    before_last_byte: Callable[[], None]


@dataclass(frozen=True)
class SubmissionPolicy:
    """
    What to do where Ollang or the network leaves a choice.

    :param on_running: ``"fail"``, or ``"attach"`` to what Ollang is at work on already.
    :param on_unknown_outcome: ``"fail"``, or ``"resubmit"`` once when the outcome stays unknown.
    :param reconcile_timeout: seconds to look for evidence before.
    :param min_credits: send nothing if the account has fewer credits left; ``None``: do not ask.
    """

    on_running: OnRunning = "fail"
    on_unknown_outcome: OnUnknownOutcome = "fail"
    reconcile_timeout: float = RECONCILE_TIMEOUT
    min_credits: float | None = None
