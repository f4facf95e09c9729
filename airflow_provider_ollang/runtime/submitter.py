"""What a try of a task does about its paid request: submit it, reconnect to it, or reconcile an unknown outcome."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, NoReturn

from airflow_provider_ollang import _clock
from airflow_provider_ollang.client.sync import InterruptedBeforeSending
from airflow_provider_ollang.domain.submission import POLL_FIRST_TIMEOUT, Record, State, Tries, reconcile_delays
from airflow_provider_ollang.exceptions import (
    OllangError,
    OllangInsufficientCreditsError,
    OllangOrderNotEligibleError,
    OllangOutcomeUnknownError,
    OllangTransientError,
    OllangUnavailableError,
)
from airflow_provider_ollang.runtime.paid_request import Effect, StreamedRequest, outcome_unknown
from airflow_provider_ollang.runtime.submission_record import ReceiptT, SubmissionRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ollang.client.sync import OllangClient
    from airflow_provider_ollang.runtime.cancellation import CancellationToken
    from airflow_provider_ollang.runtime.paid_request import PaidRequest, SubmissionPolicy

#: States in which nothing that this task has submitted is under way.
_ENDED: frozenset[State] = frozenset({"finished", "failed", "refused"})
#: What an error about a lost response tells of it.
_RESPONSE_FIELDS = ("status_code", "code", "method", "path", "detail")


@dataclass
class Submitter(Generic[ReceiptT]):
    """One try's way to the receipt of its request; its fields are the arguments of :func:`.submit_once`."""

    request: PaidRequest[ReceiptT]
    client: OllangClient
    record: SubmissionRecord[ReceiptT]
    tries: Tries
    policy: SubmissionPolicy
    token: CancellationToken
    log: Any
    on_receipt: Callable[[ReceiptT], None]

    def run(self) -> ReceiptT:
        """Do what the record says, and return the receipt of the accepted request."""
        action, stored = self.record.action, self.record.record
        if action == "reconnect or ask":
            return self._submit_without_record()
        if action in {"submit", "poll first"} or stored is None:
            return self._submit_first(polls_first=action == "poll first")
        receipt = self.request.receipt_class.from_value(stored.receipt)
        if action == "reconnect":
            since = f" at {receipt.requested_at}" if receipt.requested_at else ""
            return self._reconnect(receipt, f"an earlier try submitted{since}")
        if action == "reconcile":
            return self._reconcile(receipt, OllangOutcomeUnknownError(reason=_reason(receipt)))
        return self._reconnect_or_submit(stored, receipt)

    # --- Submit ----------------------------------------------------------------------------------------------------

    def _submit_first(self, *, polls_first: bool) -> ReceiptT:
        self._warn_of_another_subject()
        try:
            receipt = self._poll_first() if polls_first else self._precheck()
        except OllangError as error:
            is_final = isinstance(error, OllangOrderNotEligibleError | OllangInsufficientCreditsError)
            if self.record.other is None and (is_final or not polls_first):
                # Without a record a later try could take any run of the order for the task's own.
                self.record.note("refused", None)
            raise
        return self._submit(receipt, may_be_second=polls_first)

    def _warn_of_another_subject(self) -> None:
        stored = self.record.other
        if stored is not None:
            self.log.warning(
                "The stored submission is about %s at %s, not about %s; ignoring it.",
                stored.subject,
                stored.host,
                self.request.subject,
            )

    def _precheck(self) -> ReceiptT:
        return self._with_credits(self.request.precheck(self.client, on_running=self.policy.on_running))

    def _with_credits(self, receipt: ReceiptT) -> ReceiptT:
        """Return what the precheck found, if the account can pay for what is to be sent."""
        min_credits = self.policy.min_credits
        if min_credits is None or receipt.reconnected:
            return receipt
        left = self.client.get_remaining_credits()
        if left < min_credits:
            raise OllangInsufficientCreditsError(
                f"The Ollang account has {left:g} credits left, and min_credits is {min_credits:g}: the "
                f"{self.request.noun} of {self.request.label} was not sent. Add credits, or lower min_credits; then "
                "clear this task.",
                order_id=self.request.order_id,
            )
        return receipt

    def _poll_first(self) -> ReceiptT:
        if not self.request.shows_running:
            self.log.warning(
                "%s: this task was cleared and has no record of an earlier %s. Submitting another one.",
                title(self.request),
                self.request.noun,
            )
            return self._precheck()
        self.log.info(
            "%s: this task was cleared and has no record of an earlier %s. Polling for up to %.0f s; reconnecting if "
            "one is at work.",
            title(self.request),
            self.request.noun,
            POLL_FIRST_TIMEOUT,
        )
        for delay in reconcile_delays(POLL_FIRST_TIMEOUT):
            self.token.sleep(delay)
            receipt = self.request.precheck(self.client, on_running="reconnect")
            if receipt.reconnected:
                if self.policy.on_running == "fail":
                    self.log.warning(
                        "%s: taking what is at work for this task's own %s. If another user began it, mark this task "
                        "as failed.",
                        title(self.request),
                        self.request.noun,
                    )
                break
        return self._with_credits(receipt)

    def _submit(
        self,
        receipt: ReceiptT,
        *,
        resubmitted: bool = False,
        may_be_second: bool = False,
        never_ran: ReceiptT | None = None,
    ) -> ReceiptT:
        """
        Send the request, unless there is something to reconnect to.

        :param receipt: what the precheck found.
        :param resubmitted: whether an unknown outcome is answered so.
        :param may_be_second: whether the record of an earlier request may have been discarded.
        :param never_ran: the earlier request of which a person says so, by clearing its unknown outcome.
        """
        may_be_second = may_be_second or resubmitted or never_ran is not None
        if receipt.reconnected:
            self.record.note("accepted", receipt)
            return receipt
        try:
            accepted = self.client.retry(
                lambda: self._send_once(receipt, resubmitted=resubmitted, may_be_second=may_be_second)
            )
        except OllangOutcomeUnknownError as error:
            if error.__cause__ is not None:
                self._stop_interrupted(error.__cause__)
            return self._reconcile(receipt, error)
        except OllangOrderNotEligibleError:
            running = self._reconnect_after_refusal(receipt, may_be_second=may_be_second, never_ran=never_ran)
            if running is None:
                raise
            return running
        except InterruptedBeforeSending as marker:
            raise (marker.__cause__ or marker) from None
        self.log.info("%s: Ollang accepted the %s: %s", title(self.request), self.request.noun, accepted.message)
        self.record.note("accepted", accepted)
        return accepted

    def _send_once(self, receipt: ReceiptT, *, resubmitted: bool, may_be_second: bool) -> ReceiptT:
        """Write the intent, send, and take the intent back where the request surely was not processed."""
        before, other = self.record.record, self.record.other

        def write_intent() -> None:
            self._write_intent(receipt, resubmitted=resubmitted)

        self.token.raise_if_cancelled()
        if isinstance(self.request, StreamedRequest):
            self.request.before_last_byte = write_intent
        else:
            write_intent()
        try:
            self.token.raise_if_cancelled()
            return self.request.send(self.client, receipt)
        except OllangOutcomeUnknownError:
            raise
        except (OllangError, InterruptedBeforeSending):
            # "refused" says that nothing was started: not where an earlier request, or another one's, may have been.
            is_ended = before is None or (other is None and before.state in _ENDED)
            self._take_back(before, is_refused=is_ended and not may_be_second)
            raise

    def _write_intent(self, receipt: ReceiptT, *, resubmitted: bool) -> None:
        try:
            self.record.write("sending", receipt, resubmitted=resubmitted)
        except OllangUnavailableError as error:
            raise OllangTransientError(
                f"{error} Without a record the {self.request.noun} of {self.request.label} could be submitted twice, "
                "so nothing was sent.",
                order_id=self.request.order_id,
            ) from error

    def _take_back(self, before: Record | None, *, is_refused: bool) -> None:
        try:
            if is_refused:
                self.record.write("refused", None)
            else:
                self.record.restore(before)
        except OllangUnavailableError as trouble:
            # The next try reconciles then, and submits nothing.
            self.log.warning("The submission record could not be taken back: %s", trouble)

    def _stop_interrupted(self, interruption: BaseException) -> NoReturn:
        """End a try that Airflow interrupts: it has no time left to reconcile."""
        self.log.warning(
            "%s: the task was interrupted (%s) before the response to its %s request. The next try reconciles, and "
            "submits nothing before that.",
            title(self.request),
            type(interruption).__name__,
            self.request.noun,
        )
        raise interruption

    def _reconnect_after_refusal(
        self, receipt: ReceiptT, *, may_be_second: bool, never_ran: ReceiptT | None
    ) -> ReceiptT | None:
        """Reconnect to what a refused request ran into; ``None`` if nothing shows it."""
        if not self.request.refused_while_running:
            return None
        if never_ran is not None:
            # The order may show late that it ran after all; else the record stays, for the next clear.
            processed = self._poll_for_effect(never_ran, self.policy.reconcile_timeout).receipt
            return None if processed is None else self._reconnect(processed, "was processed after all")
        if may_be_second:
            return self._reconnect(receipt, "an earlier request submitted, since this one was refused")
        if self.policy.on_running != "attach":
            return None
        # Another client was quicker, and the order may not show it yet.
        running = self._poll_for_effect(receipt, self.policy.reconcile_timeout).receipt
        return None if running is None else self._reconnect(running, "another client submitted")

    def _submit_without_record(self) -> ReceiptT:
        """Go on below Airflow 3.3, where a retry cannot know what the tries before it have submitted."""
        receipt = self.request.precheck(self.client, on_running="reconnect")
        if receipt.reconnected:
            return self._submit(receipt)
        resubmits = self.policy.on_unknown_outcome == "resubmit" and self.tries.tries_since_clear == 2
        if not resubmits:
            raise OllangOutcomeUnknownError(
                f"An earlier try of this task may have submitted the {self.request.noun} of {self.request.label}: this "
                "Airflow is older than 3.3 and keeps no record. Nothing was submitted now, since that could "
                f"{self.request.if_sent_twice}. {self.request.explain()}",
                order_id=self.request.order_id,
            )
        self._warn_of_resubmission()
        return self._submit(self._with_credits(receipt), resubmitted=True)

    # --- Reconnect -------------------------------------------------------------------------------------------------

    def _reconnect(self, receipt: ReceiptT, submitted_by: str) -> ReceiptT:
        self.log.info(
            "%s: reconnecting to the %s that %s; not resubmitting.",
            title(self.request),
            self.request.noun,
            submitted_by,
        )
        receipt = receipt.as_reconnected()
        self.record.note("accepted", receipt)
        return receipt

    def _reconnect_or_submit(self, stored: Record, receipt: ReceiptT) -> ReceiptT:
        """Poll once what the record of a cleared task is about."""
        if stored.state == "unknown":
            effect = self.request.find_effect(self.client, receipt)
            if effect.receipt is not None:
                return self._reconnect(effect.receipt, "was processed after all")
            if effect.blocks_clear:
                self.on_receipt(receipt)
                raise outcome_unknown(self.request, effect.comparison)
            if effect.rest is not None:
                return self._submit_rest(effect.rest, effect.comparison)
        else:
            running = self.request.find_running(self.client, receipt)
            if running is not None:
                return self._reconnect(running, "this task submitted before it was cleared")
            self.log.warning(
                "%s: the last %s is finished, and this task was cleared. Submitting another one.",
                title(self.request),
                self.request.noun,
            )
        return self._submit(self._precheck(), never_ran=receipt if stored.state == "unknown" else None)

    # --- Reconcile -------------------------------------------------------------------------------------------------

    def _reconcile(self, receipt: ReceiptT, unknown: OllangOutcomeUnknownError) -> ReceiptT:
        """Find out whether a request was processed; where Ollang does not show it, do what the policy says."""
        stored, resubmitted = self.record.record, self.record.is_resubmitted
        now, timeout = _clock.now(), self.policy.reconcile_timeout
        # The try that wrote it may have run on a worker whose clock is ahead.
        since = now if stored is None or stored.unknown_since is None else min(stored.unknown_since, now)
        # A try that comes late polls densely all the same: one failed poll decides nothing.
        left = max(timeout - (now - since), min(timeout, POLL_FIRST_TIMEOUT))
        state: State = "unknown" if stored and stored.state == "unknown" else "sending"
        self.record.note(state, receipt, resubmitted=resubmitted, unknown_since=since)
        self.log.warning(
            "%s: the outcome of the %s request is unknown (%s). Reconciling with Ollang for up to %.0f s; not "
            "resubmitting.",
            title(self.request),
            self.request.noun,
            unknown.reason,
            left,
        )
        effect = self._poll_for_effect(receipt, left)
        if effect.receipt is not None:
            return self._reconnect(effect.receipt, "was processed")
        if not resubmitted and (effect.rest is not None or self.policy.on_unknown_outcome == "resubmit"):
            return self._decide_after_last_poll(receipt, unknown, left)
        raise self._outcome_unknown(receipt, unknown, left)

    def _poll_for_effect(self, receipt: ReceiptT, seconds: float) -> Effect[ReceiptT]:
        effect = Effect[ReceiptT](None)
        for delay in reconcile_delays(seconds):
            self.token.sleep(delay)
            try:
                effect = self.request.find_effect(self.client, receipt, max_attempts=1)
            except OllangError as error:
                self.log.warning("%s", error)
                continue
            if effect.receipt is not None:
                return effect
        if effect.comparison:
            self.log.info("%s: %s.", title(self.request), effect.comparison)
        return effect

    def _decide_after_last_poll(
        self, receipt: ReceiptT, unknown: OllangOutcomeUnknownError, seconds: float
    ) -> ReceiptT:
        # Only a poll may say that nothing shows the request: where it fails, this try ends here.
        effect = self.request.find_effect(self.client, receipt)
        if effect.receipt is not None:
            return self._reconnect(effect.receipt, "was processed")
        if effect.rest is not None and not effect.is_likely:
            return self._submit_rest(effect.rest, effect.comparison)
        if effect.is_likely or self.policy.on_unknown_outcome != "resubmit":
            raise self._outcome_unknown(receipt, unknown, seconds)
        self._warn_of_resubmission()
        return self._submit(self._with_credits(receipt), resubmitted=True)

    def _submit_rest(self, rest: ReceiptT, comparison: str) -> ReceiptT:
        """Send, once, what is missing: of a request that was processed in part, or of which a part has failed."""
        self.log.warning(
            "%s: there is no %s for some of it (%s). Requesting only the rest, once.",
            title(self.request),
            self.request.noun,
            comparison,
        )
        # What Ollang has answered so far says nothing of this request.
        unsent = replace(rest, reconnected=False, message=None)
        return self._submit(self._with_credits(unsent), resubmitted=True)

    def _warn_of_resubmission(self) -> None:
        self.log.warning(
            "%s: nothing shows that the %s request was processed. Resubmitting it once, which may %s "
            "(on_unknown_outcome='resubmit').",
            title(self.request),
            self.request.noun,
            self.request.if_sent_twice,
        )

    def _outcome_unknown(
        self, receipt: ReceiptT, unknown: OllangOutcomeUnknownError, seconds: float
    ) -> OllangOutcomeUnknownError:
        """Leave the decision to a person, after so many seconds of polls: return the error that asks for it."""
        stored = self.record.record
        since = stored.unknown_since if stored is not None else None
        self.record.note("unknown", receipt, resubmitted=self.record.is_resubmitted, unknown_since=since)
        self.on_receipt(receipt)
        return outcome_unknown(
            self.request,
            unknown.reason,
            reconciled=f"Within {seconds:.0f} s Ollang has not shown it. ",
            **{name: getattr(unknown, name) for name in _RESPONSE_FIELDS},
        )


def title(request: PaidRequest[Any]) -> str:
    """Return what a request is about, at the head of a line."""
    return request.label[:1].upper() + request.label[1:]


def _reason(receipt: Any) -> str:
    if receipt.message:
        return "Ollang accepted it, and nothing has shown since that it ran"
    return "an earlier try of this task ended around the request"
