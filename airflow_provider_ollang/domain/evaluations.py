"""
The quality evaluation of an order: what it says, and whether it is the one that is wanted.

Pure functions over the JSON of `Get Order by ID`. Two shapes are on record for scores and segments, and both are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from airflow_provider_ollang.domain.values import mappings_of, parse_time, readable, score_of, text_of

#: What an evaluation can judge: its name there, and its switch in the request.
CRITERIA = {"Accuracy": "accuracy", "Fluency": "fluency", "Tone": "tone", "Cultural Fit": "culturalFit"}

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
        return is_later(self.key, before)


def is_later(key: Mapping[str, Any], before: Mapping[str, Any] | None) -> bool:
    """
    Tell whether an evaluation is later than another one: by their times, or where one has none, by their ids.

    :param key: its ``key``.
    :param before: the ``key`` of the earlier one; ``None`` if there was none.
    """
    if before is None:
        return True
    time, earlier = parse_time(key["created_at"]), parse_time(before["created_at"])
    if time and earlier:
        return time > earlier
    return bool(key["id"] and before["id"] and key["id"] != before["id"])


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
