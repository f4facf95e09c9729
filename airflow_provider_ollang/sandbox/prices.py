"""Credits: what is charged for each request, and what the account has left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox.options import Behaviour

#: A run of an order at level 0, what level 1 adds to it, and an evaluation.
ORDER, REVIEW, EVALUATION = 100, 150, 5
_PER_USD = 1000


def is_reviewed(level: object) -> bool:
    """Tell whether people review an order of this level."""
    return isinstance(level, int | float) and level >= 1


def price_of_run(level: object) -> int:
    """Return what a run of an order of this level costs."""
    return ORDER + (REVIEW if is_reviewed(level) else 0)


def wallet(used: int, behaviour: Behaviour) -> dict[str, Any]:
    """Return the body of the account's credits."""
    total = behaviour.total_credits
    amounts: dict[str, float] = {"totalCredits": total, "remainingCredits": total - used, "usedCredits": used}
    in_usd = {name.replace("Credits", "Usd"): amount / _PER_USD for name, amount in amounts.items()}
    numbers = {**amounts, "creditsPerUsd": _PER_USD, **in_usd}
    shown = {name: str(number) for name, number in numbers.items()} if behaviour.credits_as_text else numbers
    return {**shown, "currency": "USD", "lastSyncDate": None}
