"""Whether an order's result is that of a human review: what differs from a rerun."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ollang.domain.freshness import Rerun
from airflow_provider_ollang.domain.orders import Document, Order, shows_running
from airflow_provider_ollang.domain.values import parse_number

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Delivery events of a review before its end.
_STEPS = frozenset({"translator_delivered", "lsp_approved"})
#: Evidence that the review was begun; its result may be still to come, behind a status that lags.
_BEGUN = frozenset({"level", "step"})


@dataclass(frozen=True)
class Review(Rerun):
    """
    One accepted human review of an order, as far as telling its result from the previous one needs it.

    The request sets the order to ``ongoing`` and level 1. People work on it, which may replace documents or approve
    them as they are, and it is done at level 1. Cancelling the review makes it ``completed`` at level 0 with the old
    result. So the level of a finished order decides first, and what counts as new by the table of
    :class:`~.freshness.Rerun` next. There are no drafts: the AI delivers nothing.

    ================= ================= =============================== ==============================================
    level before      level now         besides                         the evidence
    ================= ================= =============================== ==============================================
    any               0                 anything                        none: the review was cancelled, or has not
                                                                        begun. It was cancelled if it was observed
                                                                        running or at level 1 before
    0                 1                 nothing                         ``level``
    1, or unknown     1                 nothing                         none
    any               1, or unknown     a later translator_delivered or ``step``
                                        lsp_approved
    any               1, or unknown     a later order_delivered         ``event``
    any               1, or unknown     every type of output is newer   ``documents``
    any               1                 it was observed running         ``running``
    any               unknown           it was observed running         none: it may have been cancelled
    ================= ================= =============================== ==============================================

    ``level`` and ``step`` prove that the review was begun only: the order may say that it is done for a while before.
    """

    noun: ClassVar[str] = "human review"
    begins: ClassVar[str] = "requests"

    def evidence(self, order: Order) -> list[str]:
        """
        Return the evidence that a finished order shows the result of this review.

        :return: those of ``"level"``, ``"step"``, ``"event"``, ``"documents"`` and ``"running"`` that hold: the table
            of this class; empty if nothing does.
        """
        if self.predates_baseline(order) or self.is_at_level_0(order):
            return []
        is_reviewed = parse_number(order.get("level")) is not None
        evidence = {
            "level": is_reviewed and self.baseline.level is not None and self.baseline.level < 1,
            "step": any(event.get("type") in _STEPS for _, event in self._events_since(order)),
            "event": bool(self.new_events(order)),
            "documents": self.outputs_changed(order),
            "running": is_reviewed and self.seen_running,
        }
        return [name for name, holds in evidence.items() if holds]

    def is_proof(self, evidence: list[str]) -> bool:
        """Tell whether such evidence proves the result, rather than only that the review was begun."""
        return not _BEGUN.issuperset(evidence)

    def is_at_level_0(self, order: Order) -> bool:
        """Tell whether an order has no human review, or none any more."""
        level = parse_number(order.get("level"))
        return level is not None and level < 1

    def shows_running(self, order: Order) -> bool:
        """Tell whether a poll after the request shows people's work that may be this review; never at level 0."""
        is_running = shows_running(str(order.get("status"))) and not self.is_at_level_0(order)
        return is_running and not self.predates_baseline(order)

    def new_outputs(self, order: Order) -> list[Document]:
        """Return the output documents of this review, newest first; at level 0 there are none."""
        return [] if self.is_at_level_0(order) else self._new_documents(order)

    def outputs_complete(self, order: Order) -> bool:
        """Tell whether every type of output has as many newer documents as it had documents before."""
        return self._are_complete(self.new_outputs(order))

    def _reports_result(self, event: Mapping[str, Any], order: Order) -> bool:
        return event.get("type") == "order_delivered" and not self.is_at_level_0(order)

    def _describe_level(self, order: Order) -> str:
        before, now = self.baseline.level, parse_number(order.get("level"))
        return f"; its level was {_shown(before)}, and is {_shown(now)}"


def _shown(level: float | None) -> str:
    return "unknown" if level is None else f"{level:g}"
