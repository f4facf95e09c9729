"""The paid requests about an order, as :func:`.submit_once` submits them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ollang.client.requests import evaluate_order, rerun_order
from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.evaluations import Evaluation
from airflow_provider_ollang.domain.orders import DONE_STATUSES, rerun_readiness, shows_running
from airflow_provider_ollang.domain.receipts import EvaluationReceipt, Kind, Receipt
from airflow_provider_ollang.domain.values import parse_number, parse_text, parse_time
from airflow_provider_ollang.exceptions import OllangOrderNotEligibleError
from airflow_provider_ollang.runtime.paid_request import Effect, PaidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from airflow_provider_ollang.client.requests import Request
    from airflow_provider_ollang.client.sync import OllangClient
    from airflow_provider_ollang.domain.freshness import Rerun
    from airflow_provider_ollang.domain.orders import Order
    from airflow_provider_ollang.runtime.paid_request import OnRunningBefore

#: An evaluation that never ends must not forbid another one for ever.
_LONGEST_EVALUATION = 3600.0


class RerunRequest(PaidRequest[Receipt]):
    """
    `Rerun Order`: what it makes shows as a status, a delivery event or new documents of the order.

    :param order_id: the order.
    :param stale_timeout: seconds for which an accepted rerun may leave the order as it was.
    :param log: the task's logger.
    """

    noun = "rerun"
    refused_while_running = True
    receipt_class = Receipt
    kind: ClassVar[Kind] = "rerun"
    #: What is done to the order, for messages.
    participle = "rerun"

    def __init__(self, order_id: str, *, stale_timeout: float, log: Any) -> None:
        self.order_id = order_id
        self.subject = order_id
        self.label = f"order {order_id}"
        self._stale_timeout = stale_timeout
        self._log = log

    def precheck(self, client: OllangClient, *, on_running: OnRunningBefore) -> Receipt:
        """
        Take the baseline, and check that the order is eligible.

        :param client: sends the poll.
        :param on_running: as in :class:`.PaidRequest`. ``"reconnect"`` takes in a review gate, too: this task's own run
            may have got there, and no new one could begin there.
        :raises OllangOrderNotEligibleError: it cannot, and there is nothing to attach or reconnect to.
        """
        order, polled_at = client.get_dated_order(self.subject)
        status = order["status"]
        reconnected = self._takes_part(order, on_running)
        if rerun_readiness(status) != "ready" and not reconnected:
            raise OllangOrderNotEligibleError(
                f"Order {self.subject} is {status!r}, and only completed or delivered orders can be {self.participle}. "
                f"Nothing was sent. {self._advice(order)}",
                order_id=self.subject,
            )
        if reconnected:
            self._log.info("Order %s is %s already: attaching to that run; not submitting.", self.subject, status)
        return Receipt(
            order_id=self.subject,
            host=client.settings.base_url,
            message=None,
            requested_at=polled_at.isoformat() if polled_at else None,
            reconnected=reconnected,
            seen_running=reconnected,
            last_status=status,
            baseline=Baseline.from_order(order),
            kind=self.kind,
        )

    def _takes_part(self, order: Order, on_running: OnRunningBefore) -> bool:
        """Tell whether what the order is being processed for is taken, instead of submitting anything."""
        if on_running == "reconnect":
            return shows_running(order["status"])
        return on_running == "attach" and rerun_readiness(order["status"]) == "running"

    def _advice(self, order: Order) -> str:
        """Say what to do about an order that is not eligible."""
        if rerun_readiness(order["status"]) != "running":
            return f"A person has to act on it in Ollang before it can be {self.participle}."
        return "Wait for it with OllangOrderStatusSensor first, or attach to that run with on_running='attach'."

    def _request(self, order_id: str) -> Request:
        return rerun_order(order_id)

    def send(self, client: OllangClient, receipt: Receipt) -> Receipt:
        """Send the request once."""
        outputs = receipt.baseline.outputs
        self._log.info(
            "Order %s is %s with %s output document(s) before the %s.",
            receipt.order_id,
            receipt.last_status,
            "an unknown number of" if outputs is None else len(outputs),
            self.noun,
        )
        accepted = client.submit(self._request(receipt.order_id))
        return dataclasses.replace(
            receipt,
            # Some requests are answered without a body.
            message=accepted.message or "accepted without a message",
            requested_at=accepted.requested_at or receipt.requested_at,
            credits_used=parse_number(accepted.value.get("creditsUsed")),
        )

    def find_effect(
        self, client: OllangClient, receipt: Receipt, *, max_attempts: int | None = None
    ) -> Effect[Receipt]:
        """Compare the order with the baseline."""
        order = client.get_order(receipt.order_id, max_attempts=max_attempts)
        seen = _observe(receipt, order)
        evidence = ["running"] if seen.rerun.proves_running(order) else seen.rerun.evidence(order)
        if not evidence:
            is_likely = self._is_likely(receipt.rerun, order)
            return Effect(None, receipt.rerun.describe_comparison(order), is_likely=is_likely)
        self._log.info("Order %s is %s (evidence: %s).", seen.order_id, seen.last_status, ", ".join(evidence))
        return Effect(seen)

    def _is_likely(self, rerun: Rerun, order: Order) -> bool:
        """Tell whether an order without evidence speaks for the request all the same."""
        return rerun.shows_running(order) or rerun.withholds(order)

    def find_running(self, client: OllangClient, receipt: Receipt) -> Receipt | None:
        """Tell whether the order is at work, or may still be: it may say that it is done for a while before."""
        if receipt.result is not None:
            return None
        order, polled_at = client.get_dated_order(receipt.order_id)
        seen = _observe(receipt, order)
        # A lagging replica that shows a previous run tells nothing about this one.
        if order["status"] not in DONE_STATUSES and not receipt.rerun.predates_baseline(order):
            return seen if receipt.rerun.shows_running(order) else None
        if receipt.rerun.is_proof(receipt.rerun.evidence(order)):
            return None
        return seen if _is_recent(receipt.requested_at, polled_at, self._longest_silence(order)) else None

    def _longest_silence(self, order: Order) -> float:  # noqa: ARG002 - for subclasses
        """Return the seconds for which a finished order without proof of the request may still be at work on it."""
        return self._stale_timeout

    def explain(self) -> str:
        """Say what to check in Ollang."""
        return (
            "Check the order in Ollang. If it is running or has a new result, mark this task as success; if not, "
            "clear this task to submit the rerun again."
        )


class EvaluationRequest(PaidRequest[EvaluationReceipt]):
    """
    `QC Evaluation`: what it makes shows as the order's latest evaluation.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id``.
    :param criteria: what to evaluate, and ``custom_prompt``: as for :func:`.evaluate_order`.
    :param rerun: the rerun whose result is to be evaluated; ``None``: whatever there is.
    :param reconcile_timeout: seconds within which an accepted evaluation shows.
    :param log: the task's logger.
    :raises OllangConfigurationError: an argument is wrong.
    """

    noun = "evaluation"
    # It keeps refused_while_running = False: Ollang refuses one for the order's status only, which none changes.
    receipt_class = EvaluationReceipt

    def __init__(
        self,
        order_id: object,
        criteria: Iterable[str] | str | None,
        custom_prompt: str | None,
        *,
        rerun: Receipt | None,
        reconcile_timeout: float,
        log: Any,
    ) -> None:
        self._request = evaluate_order(order_id, criteria, custom_prompt)
        self.order_id = self._request.order_id
        self.subject = str(self.order_id)
        self.label = f"order {self.order_id}"
        self._rerun = rerun
        self._reconcile_timeout = reconcile_timeout
        self._log = log

    def precheck(self, client: OllangClient, *, on_running: OnRunningBefore) -> EvaluationReceipt:
        """
        Check that the order can be evaluated.

        :param client: sends the poll.
        :param on_running: as in :class:`.PaidRequest`.
        :raises OllangOrderNotEligibleError: it cannot, or an evaluation is at work and there is no attaching to it.
        """
        order, polled_at = client.get_dated_order(self.subject)
        self._require_new_result(order)
        evaluation = Evaluation.of_order(order)
        running = evaluation is not None and _is_at_work(evaluation, polled_at)
        if running and on_running == "fail":
            raise OllangOrderNotEligibleError(
                f"Order {self.subject} is being evaluated already. Nothing was sent. Wait for the evaluation with "
                "OllangQualityGateOperator, or attach to it with on_running='attach'.",
                order_id=self.subject,
            )
        if running:
            self._log.info("Order %s is being evaluated already: attaching; not submitting.", self.subject)
        # The evaluation that is attached to says itself when it was requested: an older one is another one.
        created_at = parse_time(evaluation.created_at) if evaluation is not None and running else None
        requested_at = created_at or polled_at
        return EvaluationReceipt(
            order_id=self.subject,
            host=client.settings.base_url,
            message=None,
            requested_at=requested_at.isoformat() if requested_at else None,
            reconnected=running,
            evaluation_id=evaluation.id if evaluation is not None and running else None,
            credits_used=None,
            before=None if evaluation is None or running else evaluation.key,
            attached=running,
        )

    def _require_new_result(self, order: Order) -> None:
        status, rerun = order["status"], self._rerun
        if status not in DONE_STATUSES:
            raise OllangOrderNotEligibleError(
                f"Order {self.subject} is {status!r}, and only completed or delivered orders can be evaluated. "
                "Nothing was sent. Wait for it with OllangOrderStatusSensor first.",
                order_id=self.subject,
            )
        if rerun is not None and rerun.result is None and not rerun.rerun.is_proof(rerun.rerun.evidence(order)):
            raise OllangOrderNotEligibleError(
                f"Order {self.subject} is {status!r}, but nothing shows that this is the result of the "
                f"{rerun.rerun.noun} of "
                f"{rerun.requested_at}: the old one would be evaluated. Nothing was sent. Wait for the new one with "
                "wait_for_completion=True, or with OllangOrderStatusSensor(rerun=...) and give its result as order_id.",
                order_id=self.subject,
            )

    def send(self, client: OllangClient, receipt: EvaluationReceipt) -> EvaluationReceipt:
        """Send the request once."""
        accepted = client.submit(self._request)
        return dataclasses.replace(
            receipt,
            message=accepted.message,
            requested_at=accepted.requested_at or receipt.requested_at,
            evaluation_id=parse_text(accepted.value.get("evalId")),
            credits_used=parse_number(accepted.value.get("creditsUsed")),
        )

    def find_effect(
        self, client: OllangClient, receipt: EvaluationReceipt, *, max_attempts: int | None = None
    ) -> Effect[EvaluationReceipt]:
        """Look for an evaluation that the order did not have before."""
        order = client.get_order(receipt.order_id, max_attempts=max_attempts)
        evaluation = receipt.goal.find(order)
        if evaluation is None:
            # One that is older than the request by its date only is this request's if the clocks differ, else
            # another client's that a lagging replica hid from the baseline.
            undated = dataclasses.replace(receipt.goal, since=None).find(order)
            return Effect(None, _compare_evaluations(receipt, order), is_likely=undated is not None)
        self._log.info("Order %s has evaluation %s of %s.", receipt.order_id, evaluation.id, evaluation.created_at)
        return Effect(dataclasses.replace(receipt, evaluation_id=evaluation.id))

    def find_running(self, client: OllangClient, receipt: EvaluationReceipt) -> EvaluationReceipt | None:
        """Tell whether the evaluation is at work, or may still be: it may take a while before the order shows it."""
        order, polled_at = client.get_dated_order(receipt.order_id)
        evaluation = receipt.goal.find(order)
        if evaluation is not None:
            return receipt if _is_at_work(evaluation, polled_at) else None
        return receipt if _is_recent(receipt.requested_at, polled_at, self._reconcile_timeout) else None

    def explain(self) -> str:
        """Say what to check in Ollang."""
        return (
            "Check the order in Ollang. If it has a new evaluation, mark this task as success; if not, clear this "
            "task to submit the evaluation again."
        )


def _observe(receipt: Receipt, order: Order) -> Receipt:
    """Return the receipt with what a poll of the order after the request showed."""
    seen_running = receipt.seen_running or receipt.rerun.proves_running(order)
    return dataclasses.replace(receipt, last_status=order["status"], seen_running=seen_running)


def _is_recent(requested_at: str | None, now: datetime | None, seconds: float) -> bool:
    requested = parse_time(requested_at)
    return now is not None and requested is not None and (now - requested).total_seconds() < seconds


def _is_at_work(evaluation: Evaluation, now: datetime | None) -> bool:
    created = parse_time(evaluation.created_at)
    age = (now - created).total_seconds() if now and created else 0.0
    return evaluation.is_loading and age < _LONGEST_EVALUATION


def _compare_evaluations(receipt: EvaluationReceipt, order: Order) -> str:
    evaluation = Evaluation.of_order(order)
    before = receipt.before and receipt.before["created_at"]
    now = "none" if evaluation is None else f"the one of {evaluation.created_at}"
    return f"before the request its evaluation was {f'the one of {before}' if before else 'none'}; now it is {now}"
