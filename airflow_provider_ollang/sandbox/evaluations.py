"""What an evaluation looks like.

The documents give two shapes: that of `latestEvaluation`, in which the sandbox keeps them, and that of the answer to
the POST and of the callback.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_ollang.sandbox.clock import iso

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_ollang.sandbox.behaviour import Behaviour

Json = dict[str, Any]


class Criterion(NamedTuple):
    """What is judged: its switch in a request, its name and description in an evaluation, its usual score."""

    switch: str
    name: str
    about: str
    usual: float


CRITERIA = (
    Criterion("accuracy", "Accuracy", "Translation accuracy and correctness", 91.0),
    Criterion("fluency", "Fluency", "Natural flow and readability in target language", 87.0),
    Criterion("tone", "Tone", "Consistency with original tone and style", 89.0),
    Criterion("culturalFit", "Cultural Fit", "Cultural appropriateness for target audience", 84.0),
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One that was accepted.

    :param id: as the answer to the POST has it.
    :param shown_id: as the order has it.
    :param number: how many the order has had, this one included.
    :param run: number of the run whose results it judges.
    :param asked: what the request asked for.
    """

    id: str
    shown_id: str
    order_id: str
    number: int
    run: int
    moment: int
    asked: Json

    def loading(self) -> Json:
        """Return it as it is while it goes on."""
        return loading(self.shown_id, self.order_id, self.moment)

    def finished(self, behaviour: Behaviour) -> Json:
        """Return it with the scores that are due; what the request switched off is not judged."""
        off = {criterion.name for criterion in CRITERIA if not self.asked[criterion.switch]}
        maps = behaviour.qc_scores
        values = maps[min(self.number, len(maps)) - 1] if maps else usual_scores(self.run)
        judged = {name: value for name, value in values.items() if name not in off}
        return finished(self.loading(), judged, self.run)


def usual_scores(run: int) -> dict[str, float]:
    """Return the scores of a run where no knob gives them: a little better with every run."""
    return {criterion.name: min(criterion.usual + run, 100.0) for criterion in CRITERIA}


def loading(evaluation_id: str, order_id: object, moment: int) -> Json:
    """Return an evaluation that has begun and has no scores yet."""
    return {"id": evaluation_id, "orderId": order_id, "createdAt": iso(moment), "isLoading": True}


def finished(begun: Json, values: Mapping[str, float], run: int) -> Json:
    """Return an evaluation with its scores."""
    about = {criterion.name: criterion.about for criterion in CRITERIA}
    return {
        **begun,
        "textSummary": f"Evaluation of run {run}.",
        "scores": [
            {"name": name, "description": about.get(name, ""), "value": value} for name, value in values.items()
        ],
        "segmentEvals": [
            {
                "id": "seg_001",
                "explain": f"Minor grammatical adjustment recommended (run {run})",
                "suggestedNewValue": "Improved translation text here",
            }
        ],
        "isLoading": False,
    }


def in_callback_shape(evaluation: Json) -> Json:
    """Return an evaluation with scores and segments as the answer to the POST and the callback have them."""
    turned = dict(evaluation)
    scores, segments = evaluation.get("scores"), evaluation.get("segmentEvals")
    if isinstance(scores, list):
        turned["scores"] = [_renamed(score, {"value": "score", "description": "details"}) for score in scores]
    if isinstance(segments, list):
        turned["segmentEvals"] = [
            {**_renamed(segment, {"id": "segmentId", "explain": "comments"}), "scores": turned.get("scores")}
            for segment in segments
            if isinstance(segment, dict)
        ]
        for segment in turned["segmentEvals"]:
            segment.pop("suggestedNewValue", None)
    return turned


def _renamed(item: Any, names: Mapping[str, str]) -> Any:
    return {names.get(name, name): value for name, value in item.items()} if isinstance(item, dict) else item


def show(evaluation: Json) -> Callable[[Json], None]:
    """Let an evaluation be the order's latest."""

    def apply(order: Json) -> None:
        order["latestEvaluation"] = evaluation

    return apply


def clear(order: Json) -> None:
    """Forget the evaluation: the field is only there once a quality check was run."""
    order.pop("latestEvaluation", None)
