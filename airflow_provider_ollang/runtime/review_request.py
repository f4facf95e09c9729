"""The request for a human review, as :func:`.submit_once` submits it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_ollang.client.requests import Request, review_order
from airflow_provider_ollang.domain.orders import DONE_STATUSES, rerun_readiness
from airflow_provider_ollang.domain.result_goals import LONGEST_LAG
from airflow_provider_ollang.domain.values import parse_number
from airflow_provider_ollang.runtime.order_requests import RerunRequest

if TYPE_CHECKING:
    from airflow_provider_ollang.domain.freshness import Rerun
    from airflow_provider_ollang.domain.orders import Order
    from airflow_provider_ollang.runtime.paid_request import OnRunningBefore


class ReviewRequest(RerunRequest):
    """
    `Human Review`: what it makes shows as level 1, a status, a delivery event or new documents of the order.

    Its parameters are those of :class:`.RerunRequest`, and so is what it does where nothing else is said here.
    """

    noun = "human review"
    kind = "review"
    participle = "reviewed"

    def explain(self) -> str:
        """Say what to check in Ollang."""
        return (
            "Check the order in Ollang. If it is in human review or was reviewed since, mark this task as success; if "
            "not, clear this task to request the review again."
        )

    def _takes_part(self, order: Order, on_running: OnRunningBefore) -> bool:
        """Tell whether a review is under way that is taken; what runs at level 0 is none, and may be anyone's."""
        level = parse_number(order.get("level"))
        is_review = on_running == "reconnect" if level is None else level >= 1
        return is_review and super()._takes_part(order, on_running)

    def _advice(self, order: Order) -> str:
        """Say what to do about an order that is not eligible."""
        if rerun_readiness(order["status"]) == "running" and not self._takes_part(order, "attach"):
            return "Wait for it with OllangOrderStatusSensor first."
        return super()._advice(order)

    def _request(self, order_id: str) -> Request:
        return review_order(order_id)

    def _longest_silence(self, order: Order) -> float:
        level = parse_number(order.get("level"))
        # So it is when the review was cancelled, unless a replica lags.
        is_at_level_0 = level is not None and level < 1
        return min(LONGEST_LAG, self._stale_timeout) if is_at_level_0 else self._stale_timeout

    def _is_likely(self, rerun: Rerun, order: Order) -> bool:
        # The level may come later than the status.
        return order["status"] not in DONE_STATUSES or rerun.withholds(order)
