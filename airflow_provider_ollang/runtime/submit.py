"""One paid request per wish: what the operators that send one have in common."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NoReturn, TypeVar

from airflow_provider_ollang import _clock
from airflow_provider_ollang.client.sync import InterruptedBeforeSending
from airflow_provider_ollang.domain.arguments import one_of, order_id_of, seconds_of
from airflow_provider_ollang.domain.receipts import PaidReceipt
from airflow_provider_ollang.domain.submission import POLL_FIRST_TIMEOUT, State, reconcile_pauses
from airflow_provider_ollang.exceptions import (
    OllangError,
    OllangOrderNotEligibleError,
    OllangOutcomeUnknownError,
    OllangPermanentError,
    OllangTransientError,
)
from airflow_provider_ollang.runtime.context import require_task_instance
from airflow_provider_ollang.runtime.task_state import RecordBook, tries_of
from airflow_provider_ollang.runtime.wait import StoppableOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from airflow.sdk import Context

    from airflow_provider_ollang.client.requests import Request
    from airflow_provider_ollang.client.responses import Accepted
    from airflow_provider_ollang.domain.orders import Order
    from airflow_provider_ollang.hooks.ollang import OllangHook


RECONCILE_TIMEOUT = 300.0
_KEEP_FOR = timedelta(days=30)
#: What an error about a lost answer tells of it.
_ANSWER_FIELDS = ("reason", "status_code", "code", "method", "path", "detail")
ReceiptT = TypeVar("ReceiptT", bound=PaidReceipt)


def submit_on_record(
    hook: OllangHook, request: Request, *, around_send: Callable[[], AbstractContextManager[None]]
) -> Accepted:
    """
    Submit a paid request, and submit it again as long as it surely was not processed.

    :param around_send: makes a context manager that is entered just before each submission: what it raises keeps the
        request from being sent. It is left with what came of it.
    """

    def submit() -> Accepted:
        with around_send():
            return hook.client.submit(request)

    try:
        return hook.client.retry(submit)
    except InterruptedBeforeSending as marker:
        raise (marker.__cause__ or marker) from None


class OncePerWishOperator(StoppableOperator, Generic[ReceiptT]):
    """
    Sends one paid request per wish, however often its task is killed, retried or cleared on the way.

    The record says what earlier tries did; it is written before the request, so a try that finds it never sends
    blindly. Subclasses say what the request is and what shows that it was processed.

    :param order_id: the order.
    :param on_running: ``"fail"`` or ``"attach"`` what Ollang is at already.
    :param on_unknown_outcome: ``"fail"`` or ``"resubmit"`` when nobody can say whether the request was processed.
    :param reconcile_timeout: how long to look for evidence then, seconds or ``timedelta``.
    :param ollang_conn_id: the Airflow connection.
    """

    #: Where the record is kept in the task's state store.
    record_key: ClassVar[str]
    #: What is asked for, as the log calls it.
    noun: ClassVar[str]
    #: Whether Ollang refuses a second request while it is at work on the first.
    second_is_refused: ClassVar[bool]
    receipt_class: type[ReceiptT]

    def __init__(
        self,
        *,
        order_id: Any,
        on_running: Literal["fail", "attach"],
        on_unknown_outcome: Literal["fail", "resubmit"],
        reconcile_timeout: float | timedelta,
        ollang_conn_id: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.order_id = order_id
        self.on_running = one_of("on_running", on_running, ("fail", "attach"))
        self.on_unknown_outcome = one_of("on_unknown_outcome", on_unknown_outcome, ("fail", "resubmit"))
        self.reconcile_timeout = seconds_of("reconcile_timeout", reconcile_timeout)
        self.ollang_conn_id = ollang_conn_id

    # --- What a subclass says ---------------------------------------------------------------------------------

    def _before(self, hook: OllangHook, order_id: str, *, join: bool = False) -> ReceiptT:
        """
        Return what is known before the request; ``reconnected`` if it is not needed, since Ollang is at work already.

        :param join: take part in whatever Ollang is at, since it is probably this task's doing.
        """
        raise NotImplementedError

    def _request(self, hook: OllangHook, receipt: ReceiptT, **options: Any) -> ReceiptT:
        """Send the request by a paid method of the hook, which gets the ``options``; return the receipt."""
        raise NotImplementedError

    def _processed(self, receipt: ReceiptT, order: Order) -> ReceiptT | None:
        """Return what is known now if the order shows that the request was processed, else ``None``."""
        raise NotImplementedError

    def _may_be_processed(self, receipt: ReceiptT, order: Order) -> bool:
        """Tell whether the order shows what may be the request's doing, though it is no proof: never resubmit then."""
        raise NotImplementedError

    def _compared(self, receipt: ReceiptT, order: Order) -> str:
        """Say what was compared and did not show it."""
        raise NotImplementedError

    def _still_under_way(self, hook: OllangHook, receipt: ReceiptT) -> ReceiptT | None:
        """Return what is known now of an earlier wish that the task is done with but Ollang is not, else ``None``."""
        raise NotImplementedError

    def _go_on(self, context: Context, hook: OllangHook, book: RecordBook, receipt: ReceiptT) -> dict[str, Any]:
        """Do what follows an accepted request, and return the task's result."""
        raise NotImplementedError

    def _retention(self) -> timedelta:
        return _KEEP_FOR

    # --- The common part ----------------------------------------------------------------------------------------

    def execute(self, context: Context) -> dict[str, Any]:
        """Send the request, or take over what an earlier try has sent."""
        require_task_instance(context)
        order_id = order_id_of(self.order_id)
        hook = self._hook(order_id)
        book = self._book(context, hook, order_id)
        if book.record is not None and book.plan == "return":
            self.log.info("An earlier try finished this %s of order %s: its result.", self.noun, order_id)
            return book.record.receipt
        receipt = self._carry_out(context, hook, book, order_id)
        self._push(context, receipt)
        return self._go_on(context, hook, book, receipt)

    def _book(self, context: Context, hook: OllangHook, order_id: str) -> RecordBook:
        return RecordBook(
            context,
            self.record_key,
            order_id=order_id,
            host=hook.settings.base_url,
            retention=self._retention(),
        )

    def _carry_out(self, context: Context, hook: OllangHook, book: RecordBook, order_id: str) -> ReceiptT:
        plan = book.plan
        if plan in {"send", "poll first"}:
            return self._send_first(context, hook, book, order_id)
        receipt = self.receipt_class.from_value(book.receipt)
        if plan == "join":
            since = f" at {receipt.requested_at}" if receipt.requested_at else ""
            return self._join(book, receipt, f"was accepted{since}, asked for by an earlier try")
        if plan == "settle":
            reason = (
                "Ollang accepted it, and nothing has shown since that it ran"
                if receipt.message
                else "an earlier try of this task ended about when it sent it"
            )
            return self._settle(context, hook, book, receipt, OllangOutcomeUnknownError(reason=reason))
        if plan == "renew":
            if found := self._still_under_way(hook, receipt):
                return self._join(book, found, "that this task asked for before it was cleared is still under way")
            self.log.warning(
                "Order %s: its last %s is finished, and this task was cleared: submitting another one, which may be "
                "billed.",
                order_id,
                self.noun,
            )
        elif found := self._processed(receipt, hook.get_order(order_id)):
            return self._join(book, found, "was processed after all")
        return self._send(context, hook, book, self._before(hook, order_id))

    def _join(self, book: RecordBook, receipt: ReceiptT, why: str) -> ReceiptT:
        self.log.info("Order %s: the %s %s. Joining it; nothing is sent.", receipt.order_id, self.noun, why)
        return self._note("accepted", book, receipt.as_reconnected())

    def _send_first(self, context: Context, hook: OllangHook, book: RecordBook, order_id: str) -> ReceiptT:
        if book.record is not None and book.receipt is None:
            self.log.warning(
                "This task's record is about order %s at %s, not about order %s: this is another wish.",
                book.record.order_id,
                book.record.host,
                order_id,
            )
        if book.is_kept or tries_of(context).tries_since_clear == 1:
            polls_first = book.is_kept and book.plan == "poll first"
            try:
                receipt = self._poll_first(hook, order_id) if polls_first else self._before(hook, order_id)
            except OllangOrderNotEligibleError:
                self._note_refusal(book)
                raise
            return self._send(context, hook, book, receipt)
        return self._send_without_record(context, hook, book, order_id)

    def _send_without_record(self, context: Context, hook: OllangHook, book: RecordBook, order_id: str) -> ReceiptT:
        """Go on below Airflow 3.3, where a retry cannot know what the tries before it have sent."""
        receipt = self._before(hook, order_id, join=True)
        if not receipt.reconnected and not (
            self.on_unknown_outcome == "resubmit" and tries_of(context).tries_since_clear == 2
        ):
            raise OllangOutcomeUnknownError(
                f"An earlier try of this task may have asked for the {self.noun} of order {order_id} already: this "
                "Airflow is older than 3.3 and keeps no record. Nothing was sent now, since that could be billed "
                "twice. Look at the order in Ollang: if it has a new result, mark this task as success; if not, clear "
                f"it to ask for the {self.noun} again.",
                order_id=order_id,
            )
        if not receipt.reconnected:
            self.log.warning(
                "Order %s: an earlier try may have asked for the %s already. Asking once more "
                "(on_unknown_outcome='resubmit').",
                order_id,
                self.noun,
            )
        return self._send(context, hook, book, receipt, resubmitted=True)

    def _poll_first(self, hook: OllangHook, order_id: str) -> ReceiptT:
        """
        Poll whether Ollang is at work on the order, and return what is known before the request.

        Airflow may have discarded the record when the task was cleared: from 3.4 on it does
        (https://github.com/apache/airflow/pull/72100).
        """
        self.log.info(
            "Order %s: this task was cleared and has no record of an earlier %s. Polling for %.0f s whether one is at "
            "work; nothing is sent meanwhile.",
            order_id,
            self.noun,
            POLL_FIRST_TIMEOUT,
        )
        for pause in reconcile_pauses(POLL_FIRST_TIMEOUT):
            self._sleep(pause, order_id)
            receipt = self._before(hook, order_id, join=True)
            if receipt.reconnected:
                if self.on_running == "fail":
                    self.log.warning(
                        "Order %s: taking what is at work for this task's own %s. If somebody else began it, mark this "
                        "task as failed.",
                        order_id,
                        self.noun,
                    )
                break
        return receipt

    def _send(
        self, context: Context, hook: OllangHook, book: RecordBook, receipt: ReceiptT, *, resubmitted: bool = False
    ) -> ReceiptT:
        if receipt.reconnected:
            return self._note("accepted", book, receipt)
        try:
            accepted = self._request(
                hook, receipt, around_send=lambda: self._on_record(book, receipt, resubmitted=resubmitted)
            )
        except OllangOutcomeUnknownError as error:
            if error.__cause__ is not None:
                self._stop_interrupted(receipt, error.__cause__)
            return self._settle(context, hook, book, receipt, error)
        except OllangOrderNotEligibleError:
            if resubmitted and self.second_is_refused:
                return self._join(book, receipt, "was processed at the first request, since the second was refused")
            # Somebody else was quicker, and the order may not show it yet.
            if self.on_running == "attach" and (
                found := self._look_for_evidence(hook, receipt, self.reconcile_timeout)
            ):
                return self._join(book, found, "that somebody else asked for is under way")
            raise
        self.log.info("Order %s: Ollang accepted the %s: %s", receipt.order_id, self.noun, accepted.message)
        return self._note("accepted", book, accepted)

    def _stop_interrupted(self, receipt: ReceiptT, interruption: BaseException) -> NoReturn:
        """End a try that Airflow interrupts: it has no time left to find out what became of its request."""
        self.log.warning(
            "Order %s: the task was interrupted (%s) before the response to its request for the %s was there. The next "
            "try finds out what became of it, and submits nothing before.",
            receipt.order_id,
            type(interruption).__name__,
            self.noun,
        )
        raise interruption

    @contextmanager
    def _on_record(self, book: RecordBook, receipt: ReceiptT, *, resubmitted: bool) -> Iterator[None]:
        """Write down that the request is being sent; take it back if it surely was not processed."""
        before = book.record if resubmitted else None
        self._stop_if_killed(receipt.order_id)
        try:
            book.write("sending", receipt, resubmitted=resubmitted)
        except Exception as error:
            raise OllangTransientError(
                f"Airflow could not store the record that keeps the {self.noun} of order {receipt.order_id} from being "
                f"asked for twice, so nothing was sent ({type(error).__name__}).",
                order_id=receipt.order_id,
            ) from error
        try:
            self._stop_if_killed(receipt.order_id)
            yield
        except OllangOutcomeUnknownError:
            raise
        except (OllangError, InterruptedBeforeSending) as error:
            try:
                if before is None and isinstance(error, OllangPermanentError):
                    book.write("refused", None)
                else:
                    book.put_back(before)
            except Exception as trouble:  # noqa: BLE001 - the next try looks for evidence then, and sends nothing
                self.log.warning("The record of the request could not be taken back (%s).", type(trouble).__name__)
            raise

    def _settle(
        self,
        context: Context,
        hook: OllangHook,
        book: RecordBook,
        receipt: ReceiptT,
        doubt: OllangOutcomeUnknownError,
    ) -> ReceiptT:
        """Find out whether a request was processed; where that cannot be, do what the task says."""
        order_id = receipt.order_id
        resubmitted = book.record is not None and book.record.resubmitted
        since = (book.record.unknown_since if book.record is not None else None) or _clock.now()
        left = max(self.reconcile_timeout - (_clock.now() - since), 0.0)
        state: State = "unknown" if book.record is not None and book.record.state == "unknown" else "sending"
        self._note(state, book, receipt, resubmitted=resubmitted, unknown_since=since)
        self.log.warning(
            "Order %s: nobody can say whether the request for the %s was processed: %s. Looking for up to %.0f s for "
            "what shows it; nothing is sent meanwhile.",
            order_id,
            self.noun,
            doubt.reason,
            left,
        )
        if found := self._look_for_evidence(hook, receipt, left):
            return self._join(book, found, "was processed")
        if self.on_unknown_outcome == "resubmit" and not resubmitted:
            # Only who can look may say that nothing shows it: where nobody can, this try ends here.
            order = hook.get_order(order_id)
            if found := self._processed(receipt, order):
                return self._join(book, found, "was processed")
            if self._may_be_processed(receipt, order):
                raise self._give_up(context, book, receipt, doubt, resubmitted=resubmitted)
            self.log.warning(
                "Order %s: nothing shows that the request for the %s was processed. Sending it once more "
                "(on_unknown_outcome='resubmit').",
                order_id,
                self.noun,
            )
            return self._send(context, hook, book, receipt, resubmitted=True)
        raise self._give_up(context, book, receipt, doubt, resubmitted=resubmitted)

    def _give_up(
        self,
        context: Context,
        book: RecordBook,
        receipt: ReceiptT,
        doubt: OllangOutcomeUnknownError,
        *,
        resubmitted: bool,
    ) -> OllangOutcomeUnknownError:
        """Leave it to a person what became of the request."""
        self._note("unknown", book, receipt, resubmitted=resubmitted)
        self._push(context, receipt)
        return self._unknown_outcome(receipt, doubt)

    def _unknown_outcome(self, receipt: ReceiptT, doubt: OllangOutcomeUnknownError) -> OllangOutcomeUnknownError:
        return OllangOutcomeUnknownError(
            f"Nobody can say whether the request for the {self.noun} of order {receipt.order_id} was processed: "
            f"{doubt.reason}. In {self.reconcile_timeout:.0f} s nothing has shown it, and it was not sent again, since "
            "that could be billed twice. Look at the order in Ollang: if it is being processed or has a new result, "
            "mark this task as success, and the tasks behind it go on; if not, clear this task to send the request "
            "again.",
            order_id=receipt.order_id,
            **{name: getattr(doubt, name) for name in _ANSWER_FIELDS},
        )

    def _look_for_evidence(self, hook: OllangHook, receipt: ReceiptT, seconds: float) -> ReceiptT | None:
        order: Order | None = None
        for pause in reconcile_pauses(seconds):
            self._sleep(pause, receipt.order_id)
            try:
                order = hook.get_order(receipt.order_id, max_attempts=1)
            except OllangError as error:
                self.log.warning("%s", error)
                continue
            if found := self._processed(receipt, order):
                return found
        if order is not None:
            self.log.info("Order %s: %s.", receipt.order_id, self._compared(receipt, order))
        return None

    def _note(self, state: State, book: RecordBook, receipt: ReceiptT, **facts: Any) -> ReceiptT:
        """Write down what has happened already: failing to must not undo it."""
        try:
            book.write(state, receipt, **facts)
        except Exception as error:  # noqa: BLE001 - the record stays at "sending": a retry looks for evidence
            self.log.warning(
                "Airflow could not store that the %s of order %s is %s (%s).",
                self.noun,
                receipt.order_id,
                state,
                type(error).__name__,
            )
        return receipt

    def _note_refusal(self, book: RecordBook) -> None:
        """Write down that nothing was sent: else a clear would take any run of the order for the task's own."""
        try:
            book.write("refused", None)
        except Exception as error:  # noqa: BLE001 - the refusal counts
            self.log.warning("Airflow could not store that nothing was sent (%s).", type(error).__name__)

    def _push(self, context: Context, receipt: ReceiptT) -> None:
        """Push the receipt: whatever happens to this task, the tasks behind it can go on with what was bought."""
        if not self.do_xcom_push:
            return
        try:
            context["ti"].xcom_push(key="return_value", value=receipt.to_json())
        except Exception as error:  # noqa: BLE001 - what was asked for is bought: Airflow pushes it again at the end
            self.log.warning("The receipt could not be pushed early (%s).", type(error).__name__)
