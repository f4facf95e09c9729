"""Quality checks: what may be asked for, whether it is accepted, and what it does to the order."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_ollang.sandbox import answers, evaluations
from airflow_provider_ollang.sandbox.answers import Answer
from airflow_provider_ollang.sandbox.clock import milliseconds
from airflow_provider_ollang.sandbox.documents import new_id, run_of_results
from airflow_provider_ollang.sandbox.evaluations import CRITERIA, Evaluation
from airflow_provider_ollang.sandbox.stories import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_ollang.sandbox.behaviour import Behaviour
    from airflow_provider_ollang.sandbox.orders import Order

Json = dict[str, Any]
_CREDITS = 5


def problem_of(body: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a request's body; None if nothing is."""
    for criterion in CRITERIA:
        if not isinstance(body.get(criterion.switch, True), bool | None):
            return f"{criterion.switch} must be a boolean value"
    if not isinstance(body.get("customPrompt"), str | None):
        return "customPrompt must be a string"
    callback = body.get("callbackUrl")
    return None if callback is None or _is_public(callback) else "callbackUrl must be an HTTPS URL of a public host"


def asked_for(body: Mapping[str, Any]) -> Json:
    """Return all that a request can say, with what this one left out as is usual."""
    switches = {criterion.switch: body.get(criterion.switch) is not False for criterion in CRITERIA}
    return {**switches, "customPrompt": body.get("customPrompt"), "callbackUrl": body.get("callbackUrl")}


def _is_public(url: object) -> bool:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        host = (parts.hostname or "") if parts else ""
    except ValueError:
        return False
    if parts is None or parts.scheme != "https" or not host or host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return True


def refusal(order: Order) -> Answer | None:
    """Return why an order of the own account is not evaluated; None if it is."""
    behaviour = order.behaviour
    if not order.eligible():
        return answers.NOT_EVALUABLE.answer(behaviour)
    if behaviour.qc_no_credits is not None:
        return answers.no_credits(behaviour.qc_no_credits, "evaluate").answer(behaviour)
    if not behaviour.qc_success:
        return Answer(200, {"success": False, "message": answers.QC_NOT_STARTED})
    return None


def begin(order: Order, body: Mapping[str, Any], now: int) -> Evaluation:
    """Make the evaluation that a request begins."""
    number = order.evaluations_accepted + 1
    evaluation_id = new_id("eval", order.id, "qc", number)
    same = order.behaviour.qc_id == "answered"
    return Evaluation(
        id=evaluation_id,
        shown_id=evaluation_id if same else new_id("eval", order.id, "shown", number),
        order_id=order.id,
        number=number,
        run=run_of_results(order.latest),
        moment=now,
        asked=asked_for(body),
    )


def acceptance(evaluation: Evaluation, behaviour: Behaviour) -> Answer:
    """Return the answer to an evaluation that has begun, or is over already."""
    begun = {"success": True, "evalId": evaluation.id, "creditsUsed": _CREDITS}
    if behaviour.qc_seconds != 0:
        return Answer(200, {**begun, "message": answers.QC_STARTED, "isProcessing": True})
    result = evaluations.in_callback_shape(evaluation.finished(behaviour))
    told = {name: result[name] for name in ("textSummary", "scores", "segmentEvals")}
    return Answer(200, {**begun, "message": answers.QC_COMPLETED, "isProcessing": False, **told})


def plan(evaluation: Evaluation, behaviour: Behaviour) -> list[Change]:
    """Plan what an evaluation does to its order, in order of time."""
    steps: list[tuple[int, Callable[[Json], None]]] = []
    if behaviour.qc_meanwhile == "loading":
        steps.append((evaluation.moment, evaluations.show(evaluation.loading())))
    if behaviour.qc_meanwhile == "cleared":
        steps.append((evaluation.moment, evaluations.clear))
    if behaviour.qc_seconds is not None:
        over = evaluation.moment + milliseconds(behaviour.qc_seconds)
        steps.append((over, evaluations.show(evaluation.finished(behaviour))))
    cause = f"evaluation {evaluation.number}"
    return [Change(at, cause, apply, of_story=False, of_evaluation=True) for at, apply in steps]
