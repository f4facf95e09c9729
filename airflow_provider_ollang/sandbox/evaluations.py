"""Evaluations: what may be requested of `POST …/qc`, whether it is accepted, and what the order shows then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_ollang.sandbox import prices, responses
from airflow_provider_ollang.sandbox.clock import to_iso, to_milliseconds
from airflow_provider_ollang.sandbox.documents import latest_run, new_id
from airflow_provider_ollang.sandbox.order import ABSENT, Change, Json, Order
from airflow_provider_ollang.sandbox.responses import Response, in_callback_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_ollang.sandbox.options import Behaviour

#: How long the evaluation takes that starts by itself at the end of a run.
SECONDS_OF_RUN = 5.0


class Criterion(NamedTuple):
    """What is evaluated: its switch in a request, its name and description in an evaluation, its usual score."""

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
    """An accepted evaluation: the order's `number`-th, of the results of a run; `id` as the POST has it."""

    id: str
    shown_id: str
    order_id: str
    number: int
    run: int
    moment: int
    asked: Json

    def loading(self) -> Json:
        """Return it as it is until it has scores."""
        return _loading(self.shown_id, self.order_id, self.moment)

    def finished(self, behaviour: Behaviour) -> Json:
        """Return it with its scores, without those that the request switched off."""
        off = {criterion.name for criterion in CRITERIA if not self.asked[criterion.switch]}
        maps = behaviour.qc_scores
        scores = maps[min(self.number, len(maps)) - 1] if maps else _usual_scores(self.run)
        return _finished(self.loading(), {name: score for name, score in scores.items() if name not in off}, self.run)

    def report(self) -> Json:
        """Return it for the admin API."""
        about = {"id": self.id, "shown_id": self.shown_id, "time": to_iso(self.moment), "run": self.run}
        return {**about, "asked": dict(self.asked)}


# A request


def body_problem(body: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a request's body; None if nothing is."""
    for criterion in CRITERIA:
        if not isinstance(body.get(criterion.switch, True), bool | None):
            return f"{criterion.switch} must be a boolean value"
    if not isinstance(body.get("customPrompt"), str | None):
        return "customPrompt must be a string"
    return None


def evaluate(body: Mapping[str, Any], order: Order, now: int) -> Response:
    """Respond to a request for an evaluation: refuse, or start it, which replaces one that is going on."""
    behaviour = order.behaviour
    refusal = _refusal(order, behaviour)
    if refusal is not None:
        order.evaluations_refused += 1
        return refusal
    evaluation = _new_evaluation(order, body, now)
    order.evaluations_accepted += 1
    order.credits_used += prices.EVALUATION
    order.evaluations.append(evaluation)
    order.unplan("evaluation")
    order.plan(_changes(evaluation, behaviour))
    order.catch_up(now)
    answer = {"success": True, "evalId": evaluation.id, "creditsUsed": prices.EVALUATION}
    if behaviour.qc_seconds != 0:
        return Response(200, {**answer, "message": responses.QC_STARTED, "isProcessing": True})
    result = in_callback_shape(evaluation.finished(behaviour))
    shown = {name: result[name] for name in ("textSummary", "scores", "segmentEvals")}
    return Response(200, {**answer, "message": responses.QC_COMPLETED, "isProcessing": False, **shown})


def _refusal(order: Order, behaviour: Behaviour) -> Response | None:
    if not order.is_done:
        return responses.NOT_EVALUABLE.response(behaviour)
    if behaviour.qc_no_credits is not None:
        return responses.no_credits(behaviour.qc_no_credits, "evaluate").response(behaviour)
    return None if behaviour.qc_success else Response(200, {"success": False, "message": responses.QC_NOT_STARTED})


def _new_evaluation(order: Order, body: Mapping[str, Any], now: int) -> Evaluation:
    number = order.evaluations_accepted + 1
    evaluation_id = new_id("eval", order.id, "qc", number)
    shown_id = evaluation_id if order.behaviour.qc_id == "answered" else new_id("eval", order.id, "shown", number)
    asked: Json = {criterion.switch: body.get(criterion.switch) is not False for criterion in CRITERIA}
    asked |= {name: body.get(name) for name in ("customPrompt", "callbackUrl")}
    return Evaluation(evaluation_id, shown_id, order.id, number, latest_run(order.latest), now, asked)


def _changes(evaluation: Evaluation, behaviour: Behaviour) -> list[Change]:
    steps: list[tuple[int, object]] = []
    if behaviour.qc_meanwhile != "kept":
        steps.append((evaluation.moment, evaluation.loading() if behaviour.qc_meanwhile == "loading" else ABSENT))
    if behaviour.qc_seconds is not None:
        steps.append((evaluation.moment + to_milliseconds(behaviour.qc_seconds), evaluation.finished(behaviour)))
    cause = f"evaluation {evaluation.number}"
    return [Change(at, cause, {"latestEvaluation": shown}, origin="evaluation") for at, shown in steps]


def of_run(order_id: object, run: int, started: int) -> tuple[Json, Json]:
    """Return the evaluation that comes with a run: as it loads, and with its scores `SECONDS_OF_RUN` later."""
    loading = _loading(new_id("eval", order_id, run), order_id, started)
    return loading, _finished(loading, _usual_scores(run), run)


def _usual_scores(run: int) -> dict[str, float]:
    return {criterion.name: min(criterion.usual + run, 100.0) for criterion in CRITERIA}


def _loading(evaluation_id: str, order_id: object, moment: int) -> Json:
    return {"id": evaluation_id, "orderId": order_id, "createdAt": to_iso(moment), "isLoading": True}


def _finished(loading: Json, scores: Mapping[str, float], run: int) -> Json:
    about = {criterion.name: criterion.about for criterion in CRITERIA}
    comment = f"Minor grammatical adjustment recommended (run {run})"
    return {
        **loading,
        "textSummary": f"Evaluation of run {run}.",
        "scores": [
            {"name": name, "description": about.get(name, ""), "value": score} for name, score in scores.items()
        ],
        "segmentEvals": [{"id": "seg_001", "explain": comment, "suggestedNewValue": "Improved translation text here"}],
        "isLoading": False,
    }
