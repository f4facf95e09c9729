"""What is logged of the review gate that an order waits at, behind the warning that it waits for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.domain.messages import LogLine, debug, info
from airflow_provider_ollang.domain.values import parse_text, readable
from airflow_provider_ollang.exceptions import OllangError

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST_TEXT = 80
_MAX_REVIEWERS = 5


def describe_review_gate(order_id: str, answer: Mapping[str, Any] | OllangError) -> LogLine:
    """
    Return the line about what an order in ``review`` waits for.

    :param answer: what ``GET …/review/info`` says, of which every value may be missing or of another type; or the error
        it ended in: only the vendor's SDKs have this endpoint, so there it is a line for debugging.
    """
    if isinstance(answer, OllangError):
        return debug("Order %s: Ollang does not tell what its review is about: %s", order_id, answer)
    reviewers = _names(answer.get("reviewers"))
    facts = {
        "tag": _text(answer.get("tag")),
        "type": _text(answer.get("reviewType")),
        "since": _text(answer.get("enteredReviewAt")),
        "reviewers": ", ".join(reviewers[:_MAX_REVIEWERS]),
    }
    left_out = len(reviewers) - _MAX_REVIEWERS
    if left_out > 0:
        facts["reviewers"] += f" and {left_out} more"
    text = "; ".join(f"{name}: {fact}" for name, fact in facts.items() if fact)
    if answer.get("inReview") is False or not text:
        return debug("Order %s: Ollang tells nothing about its review.", order_id)
    return info("Order %s: its review: %s.", order_id, text)


def _names(value: object) -> list[str]:
    return list(filter(None, map(_text, value))) if isinstance(value, list) else []


def _text(value: object) -> str:
    """Return a foreign text as it may be logged; empty for anything else."""
    return readable(parse_text(value) or "", _LONGEST_TEXT).strip()
