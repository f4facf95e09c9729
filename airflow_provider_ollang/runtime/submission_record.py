"""The record of one submission in a task's state."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow_provider_ollang.domain.receipts import PaidReceipt
from airflow_provider_ollang.domain.submission import Action, Record, State, Tries, decide
from airflow_provider_ollang.exceptions import OllangUnavailableError

if TYPE_CHECKING:
    from airflow_provider_ollang.runtime.task_state import TaskState

ReceiptT = TypeVar("ReceiptT", bound=PaidReceipt)


class SubmissionRecord(Generic[ReceiptT]):
    """
    What is stored about one submission, and what it says a try has to do.

    :param state: where it is stored.
    :param subject: what the request is about now.
    :param host: base URL of the Ollang API it goes to now.
    :param tries: what Airflow says about the task's tries.
    :param log: the task's logger.
    """

    def __init__(self, state: TaskState, *, subject: str, host: str, tries: Tries, log: Any) -> None:
        self._state = state
        self._subject, self._host, self._tries = subject, host, tries
        self._log = log

    @cached_property
    def record(self) -> Record | None:
        """
        What is stored, read when first needed.

        :raises OllangUnavailableError: the store cannot be read, so it is unknown what was sent.
        :raises OllangConfigurationError: what is stored is no record.
        """
        try:
            return self._state.load(Record)
        except OllangUnavailableError as error:
            raise OllangUnavailableError(
                f"{error} What earlier tries have submitted is not known, so nothing was sent."
            ) from error

    @property
    def action(self) -> Action:
        """What this try of the task has to do."""
        return decide(
            self.record,
            subject=self._subject,
            host=self._host,
            tries=self._tries,
            has_store=self._state.available,
        )

    @property
    def receipt(self) -> dict[str, Any] | None:
        """The stored receipt; ``None`` if there is none, or one of another subject or host."""
        record = self.record
        return None if record is None or self.other is not None else record.receipt

    @property
    def other(self) -> Record | None:
        """What is stored if that is about another subject or host, else ``None``: it stays until a request is sent."""
        record = self.record
        return None if record is None or record.is_about(self._subject, self._host) else record

    @property
    def is_resubmitted(self) -> bool:
        """Whether an unknown outcome has been answered by submitting once more."""
        return self.record is not None and self.record.resubmitted

    def write(
        self,
        state: State,
        receipt: ReceiptT | None,
        *,
        resubmitted: bool = False,
        unknown_since: float | None = None,
    ) -> None:
        """
        Write the record.

        :raises OllangUnavailableError: the store does not take it.
        """
        record = Record(
            self._subject,
            self._host,
            self._tries.max_tries,
            state,
            {} if receipt is None else receipt.to_json(),
            resubmitted=resubmitted,
            try_number=self._tries.try_number,
            clear_number=self._tries.clear_number,
            unknown_since=unknown_since,
        )
        self._state.save(record.to_json())
        self.record = record

    def note(self, state: State, receipt: ReceiptT | None, **facts: Any) -> None:
        """Write down what has happened already: where that fails, it has happened all the same."""
        try:
            self.write(state, receipt, **facts)
        except OllangUnavailableError as error:
            # The record stays as it was, at "sending" mostly: a retry reconciles then.
            self._log.warning("Could not store that the submission about %s is %s: %s", self._subject, state, error)

    def restore(self, record: Record | None) -> None:
        """
        Put back an earlier record, or none.

        :raises OllangUnavailableError: the store does not take it.
        """
        if record is None:
            self._state.delete()
        else:
            self._state.save(record.to_json())
        self.record = record
