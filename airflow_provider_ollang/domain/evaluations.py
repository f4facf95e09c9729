"""
The quality evaluation of an order: what it says, and whether it is the one that counts.

Pure functions over the JSON of `Get Order by ID`. Two shapes are on record for scores and segments, and both are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from airflow_provider_ollang.domain.values import only_mappings, parse_score, parse_text, parse_time, readable

#: The criteria of an evaluation: the name there, and the switch in the request.
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
    :param is_loading: whether it is still in progress: if it does not say so, whether it has no score yet.
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
        raw = order.get("latestEvaluation") or order.get("qcEvaluation")
        if not isinstance(raw, Mapping):
            return None
        scores = [
            {"name": _name(score.get("name")), "score": parse_score(_first_of(score, "value", "score"))}
            for score in islice(only_mappings(raw.get("scores")), MAX_SCORES)
        ]
        loading = raw.get("isLoading")
        return cls(
            id=_name(raw.get("id")),
            created_at=_name(raw.get("createdAt")),
            # While it is in progress, this may be missing like the scores.
            is_loading=loading if isinstance(loading, bool) else all(score["score"] is None for score in scores),
            scores=scores,
            segments=_worst_segments(raw),
        )

    @property
    def key(self) -> dict[str, str | None]:
        """What tells it from another one: ``{"id", "created_at"}``."""
        return {"id": self.id, "created_at": self.created_at}

    def to_json(self) -> dict[str, Any]:
        """Return the evaluation as a plain dict, for an XCom."""
        return asdict(self)


def is_later(key: Mapping[str, Any], before: Mapping[str, Any] | None) -> bool:
    """
    Tell by their keys whether an evaluation is later than an earlier one: by their times, or if one has none, by ids.

    :param before: ``None`` if there was none.
    """
    if before is None:
        return True
    time, earlier = parse_time(key["created_at"]), parse_time(before["created_at"])
    if time and earlier:
        return time > earlier
    return bool(key["id"] and before["id"] and key["id"] != before["id"])


def find_evaluation(
    order: Mapping[str, Any],
    *,
    before: Mapping[str, Any] | None,
    evaluation_id: str | None = None,
    since: str | None = None,
) -> Evaluation | None:
    """
    Return the evaluation of an order if it counts.

    *Newer* means: later than ``before``, by :func:`is_later`.

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
    wait ends with its timeout, and no other evaluation lets anything through.

    :param before: the ``key`` of an evaluation that does not count any more; only newer ones do.
    :param evaluation_id: the id of the one that was requested or attached to.
    :param since: when that one was requested, or the rerun whose result it must evaluate; ISO 8601, server's clock.
    """
    evaluation = Evaluation.of_order(order)
    if evaluation is None:
        return None
    is_named = evaluation_id is not None and evaluation.id == evaluation_id
    if is_named and (before is None or before.get("id") != evaluation_id):
        return evaluation
    if not is_later(evaluation.key, before):
        return None
    earliest, created = parse_time(since), parse_time(evaluation.created_at)
    if earliest and created and created < earliest:
        return None
    return evaluation


def _worst_segments(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    segments = []
    for segment in only_mappings(evaluation.get("segmentEvals")):
        scores = [
            number
            for score in only_mappings(segment.get("scores"))
            if (number := parse_score(score.get("score"))) is not None
        ]
        explanation = _explanation(segment)
        if explanation:
            segments.append((min(scores, default=0.0), _name(_first_of(segment, "id", "segmentId")), explanation))
    # Where segments have no scores the API's own order stands.
    segments.sort(key=lambda segment: segment[0])
    return [{"id": name, "explanation": explanation} for _, name, explanation in segments[:MAX_SHOWN_SEGMENTS]]


def _explanation(segment: Mapping[str, Any]) -> str:
    comment = _text(_first_of(segment, "explain", "comments"))
    suggestion = _text(segment.get("suggestedNewValue"))
    return f"{comment} -> {suggestion}" if comment and suggestion else comment or suggestion


def _first_of(item: Mapping[str, Any], name: str, alias: str) -> Any:
    value = item.get(name)
    return item.get(alias) if value is None else value


def _name(value: object) -> str | None:
    text = parse_text(value)
    return None if text is None else readable(text, _LONGEST_NAME)


def _text(value: object) -> str:
    return readable(value, _LONGEST_EXPLANATION).strip() if isinstance(value, str) else ""
