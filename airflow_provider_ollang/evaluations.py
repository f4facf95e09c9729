"""
The quality evaluation of an order: what it says, and whether it is the one that is wanted.

Pure functions over the JSON of `Get Order by ID`. Two shapes are on record for scores and segments, and both are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import islice
from typing import Any, Literal

from airflow_provider_ollang.reading import mappings_of, parse_time, readable, score_of, text_of

OnMissing = Literal["fail", "wait", "pass"]

MAX_SHOWN_SEGMENTS = 5
#: There are four criteria; an evaluation goes through Airflow's database and logs.
MAX_SCORES = 100
_LONGEST_NAME = 200
_LONGEST_EXPLANATION = 300


@dataclass(frozen=True)
class Evaluation:
    """
    An evaluation as the order shows it.

    :param id: its id.
    :param created_at: when it was asked for, ISO 8601.
    :param is_loading: whether it is still being made: if it does not say so, whether it has no score yet.
    :param scores: ``{"name": str | None, "score": float | None}`` each, in the API's order.
    :param segments: the worst segments, at most five: ``{"id": str | None, "explanation": str}`` each.
    """

    id: str | None
    created_at: str | None
    is_loading: bool
    scores: list[dict[str, Any]]
    segments: list[dict[str, Any]]

    @classmethod
    def of_order(cls, order: Mapping[str, Any]) -> Evaluation | None:
        """Return the latest evaluation of an order as ``GET`` answered it; ``None`` if it has none."""
        found = order.get("latestEvaluation") or order.get("qcEvaluation")
        if not isinstance(found, Mapping):
            return None
        scores = [
            {"name": _name(score.get("name")), "score": score_of(_either(score, "value", "score"))}
            for score in islice(mappings_of(found.get("scores")), MAX_SCORES)
        ]
        loading = found.get("isLoading")
        return cls(
            id=_name(found.get("id")),
            created_at=_name(found.get("createdAt")),
            # While it is being made, this may be missing like the scores.
            is_loading=loading if isinstance(loading, bool) else all(one["score"] is None for one in scores),
            scores=scores,
            segments=_worst_segments(found),
        )

    @property
    def key(self) -> dict[str, str | None]:
        """What tells it from another one: ``{"id", "created_at"}``."""
        return {"id": self.id, "created_at": self.created_at}

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as a plain dict."""
        return asdict(self)

    def is_newer_than(self, before: Mapping[str, Any] | None) -> bool:
        """
        Tell whether this is a later evaluation.

        :param before: the ``key`` of the earlier one; ``None`` if there was none.
        """
        if before is None:
            return True
        time, earlier = parse_time(self.created_at), parse_time(before["created_at"])
        if time and earlier:
            return time > earlier
        return bool(self.id and before["id"] and self.id != before["id"])


def _worst_segments(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    segments = []
    for one in mappings_of(found.get("segmentEvals")):
        scores = [
            score for each in mappings_of(one.get("scores")) if (score := score_of(each.get("score"))) is not None
        ]
        words = _words(_either(one, "explain", "comments"))
        suggested = _words(one.get("suggestedNewValue"))
        if words or suggested:
            explanation = f"{words} -> {suggested}" if words and suggested else words or suggested
            segments.append((min(scores, default=0.0), _name(_either(one, "id", "segmentId")), explanation))
    # Where segments have no scores the API's own order stands.
    segments.sort(key=lambda segment: segment[0])
    return [{"id": name, "explanation": words} for _, name, words in segments[:MAX_SHOWN_SEGMENTS]]


def _either(item: Mapping[str, Any], name: str, other: str) -> Any:
    value = item.get(name)
    return item.get(other) if value is None else value


def _name(value: object) -> str | None:
    text = text_of(value)
    return None if text is None else readable(text, _LONGEST_NAME)


def _words(value: object) -> str:
    return readable(value, _LONGEST_EXPLANATION).strip() if isinstance(value, str) else ""


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
