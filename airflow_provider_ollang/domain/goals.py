"""What a wait waits for."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_ollang.domain.evaluations import Evaluation
from airflow_provider_ollang.domain.values import parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping


OnMissing = Literal["fail", "wait", "pass"]


@dataclass(frozen=True)
class EvaluationGoal:
    """
    Which evaluation of an order is waited for.

    *Newer* means by :meth:`Evaluation.is_newer_than`: than ``before``.

    ====================================== ======= ================ ==============================================
    its id                                 newer   since ``since``  counts
    ====================================== ======= ================ ==============================================
    ``evaluation_id``, and not before's    any     any              yes: the API named it; clocks do not matter
    another, none, or before's             no      any              no
    another, none, or before's             yes     no               no: a lagging replica hid it from ``before``
    another, none, or before's             yes     yes, or no time  yes: the order may show another id than the
                                                   to compare       API answered
    ====================================== ======= ================ ==============================================

    An order that keeps one evaluation under one id says nothing by that id, so that there the times decide. An own
    evaluation under another id does not count if the clock that dates it is behind the clock of ``since``: then the
    wait ends with its timeout, and nobody else's scores let anything through.

    :param on_missing: what to do as long as the order has none that counts: ``"wait"``, or end the wait without one.
    :param before: the ``key`` of an evaluation that does not count any more; only newer ones do.
    :param evaluation_id: the id of the one that was asked for or attached to.
    :param since: ISO 8601, by the server's clock: when that one was asked for, or the rerun whose result it must judge.
    """

    on_missing: OnMissing = "fail"
    before: dict[str, str | None] | None = None
    evaluation_id: str | None = None
    since: str | None = None

    def find(self, order: Mapping[str, Any]) -> Evaluation | None:
        """Return the order's evaluation if it counts."""
        found = Evaluation.of_order(order)
        if found is None:
            return None
        if found.id is not None and found.id == self.evaluation_id != (self.before or {}).get("id"):
            return found
        if not found.is_newer_than(self.before):
            return None
        since, created = parse_time(self.since), parse_time(found.created_at)
        return None if since and created and created < since else found

    def to_json(self) -> dict[str, Any]:
        """Return the goal as a plain dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EvaluationGoal:
        """
        Read what :meth:`to_json` returned, of this or another version of the provider.

        :raises TypeError: it is something else.
        """
        names = {one.name for one in fields(cls)}
        return cls(**{name: one for name, one in value.items() if name in names})
