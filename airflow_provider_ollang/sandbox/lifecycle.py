"""What a run does: which status when, what is delivered, what goes wrong; and whether a rerun is accepted.

A run is planned as a whole when it is accepted: as a list of changes to its order, each at a moment.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from airflow_provider_ollang.sandbox import evaluations, responses
from airflow_provider_ollang.sandbox.clock import to_iso, to_milliseconds
from airflow_provider_ollang.sandbox.documents import (
    auxiliary_documents,
    documents_of,
    is_output,
    is_same_output,
    numbered_url,
    outputs_of,
    outputs_to_renew,
    renew_document,
    usual_vtt_url,
)
from airflow_provider_ollang.sandbox.order import ABSENT, DONE, Change, Fields, Json, Order
from airflow_provider_ollang.sandbox.prices import is_reviewed, price_of_run
from airflow_provider_ollang.sandbox.responses import Response

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox.options import Behaviour

#: The length of a run for which the stages below are given.
USUAL_SECONDS = 30.0


class Stage(NamedTuple):
    """From `after` seconds on the order has this status; `event` is the delivery event of that instant."""

    after: float
    status: str
    event: str | None = None


_USUAL = (Stage(2, "pending"), Stage(5, "ongoing"))
#: What a run of an order of this type goes through before its end; a type that is not listed is like `other`.
STAGES: dict[str, tuple[Stage, ...]] = {
    "cc": _USUAL,
    "subtitle": (Stage(2, "pending"), Stage(5, "waitingForCC"), Stage(12, "ongoing")),
    "document": _USUAL,
    "aiDubbing": (Stage(2, "pending"), Stage(5, "waitingForSubtitle"), Stage(12, "ongoing")),
    "studioDubbing": (
        Stage(2, "pending"),
        Stage(5, "waitingForSubtitle"),
        Stage(10, "ongoing"),
        Stage(24, "qualityCheck"),
        Stage(28, "readyToSent"),
    ),
    "proofreading": (*_USUAL, Stage(24, "qualityCheck")),
    "revision": _USUAL,
    "other": _USUAL,
}
#: At level 1, for every type: after the AI, people review, translate and approve.
REVIEWED_STAGES = (
    *_USUAL,
    Stage(12, "review", "ai_delivered"),
    Stage(15, "ongoing"),
    Stage(24, "qualityCheck", "translator_delivered"),
    Stage(28, "readyToSent", "lsp_approved"),
)
#: When human review is requested of an order that is done, people work at once.
REVIEW_STAGES = (
    Stage(0, "ongoing"),
    Stage(20, "qualityCheck", "translator_delivered"),
    Stage(26, "readyToSent", "lsp_approved"),
)
#: Who does what is recorded in `deliveryEvents`.
_ACTORS: dict[str, tuple[str, str | None]] = {
    "ai_delivered": ("ai", None),
    "translator_delivered": ("translator", "user_translator_1"),
    "lsp_approved": ("lsp", "user_lsp_1"),
    "order_delivered": ("system", None),
}


def rerun(order: Order, now: int) -> Response:
    """Respond to a rerun of an order: refuse, or start a run, which replaces one that is going on."""
    behaviour = order.behaviour
    refusal = _refusal(order, behaviour)
    if refusal is not None:
        order.reruns_refused += 1
        return refusal
    for _ in range(2 if behaviour.processed_twice else 1):
        order.unplan("run")
        order.run += 1
        order.reruns_accepted += 1
        order.credits_used += price_of_run(order.latest.get("level"))
        begin_run(order, now)
    return _response(order, behaviour.rerun_accepted_status, responses.RERUN_INITIATED)


def _refusal(order: Order, behaviour: Behaviour) -> Response | None:
    policy = behaviour.rerun_while_running
    if order.running and policy == "409":
        return responses.ALREADY_RUNNING.response(behaviour)
    if policy == "accept":
        is_eligible = order.running or order.is_done
    else:
        is_eligible = order.is_done and (policy == "by_status" or not order.running)
    if not is_eligible:
        return responses.NOT_ELIGIBLE.response(behaviour)
    if behaviour.no_credits is not None:
        return responses.no_credits(behaviour.no_credits, "rerun").response(behaviour)
    return None if behaviour.rerun_success else _response(order, 200, responses.RERUN_NOT_INITIATED)


def _response(order: Order, status: int, message: str) -> Response:
    shown_id = order.id if order.behaviour.answered_id is None else order.behaviour.answered_id
    return Response(status, {"success": order.behaviour.rerun_success, "message": message, "orderId": shown_id})


def begin_run(order: Order, now: int, behaviour: Behaviour | None = None, *, is_review: bool = False) -> None:
    """Let the order's run go on from now.

    :param behaviour: options of this run alone; None: the order's.
    :param is_review: people work on what is there already, which becomes level 1.
    """
    order.running = True
    order.run_started = now
    order.plan(_plan_run(order.latest, behaviour or order.behaviour, order.run, now, is_review=is_review))


def _plan_run(order: Json, behaviour: Behaviour, run: int, accepted: int, *, is_review: bool) -> list[Change]:
    """Return all that a run does to its order, which was accepted at a moment, in order of time."""
    plan = _RunPlan(order, behaviour, run, accepted, is_review=is_review)
    plan.acceptance()
    plan.statuses()
    plan.milestones()
    if behaviour.end_status in DONE:
        plan.results()
    if is_review and behaviour.review_level_after is not None:
        plan.add(behaviour.review_level_after, {"level": 1})
    if behaviour.end_status is not None:
        plan.add(behaviour.run_seconds, {"status": behaviour.end_status}, ends_run=True)
    if behaviour.review_cancelled_after is not None and plan.reviewed:
        # As documented: the order is completed at level 0.
        fields = {"level": 0, "status": "completed"}
        plan.add(behaviour.review_cancelled_after, fields, cause="human review cancelled", cancels_run=True)
    return sorted(plan.changes, key=lambda change: change.at)


class _RunPlan:
    """The parts of a run, each added on its own; times are seconds after the acceptance."""

    def __init__(self, order: Json, behaviour: Behaviour, run: int, accepted: int, *, is_review: bool) -> None:
        self.order, self.behaviour, self.run, self.accepted = order, behaviour, run, accepted
        self.reviewed = is_review or is_reviewed(order.get("level"))
        stages = REVIEWED_STAGES if self.reviewed else STAGES.get(str(order.get("type")), _USUAL)
        if is_review:
            stages = REVIEW_STAGES
        stretch = behaviour.run_seconds / USUAL_SECONDS
        self.stages = [stage._replace(after=stage.after * stretch) for stage in stages]
        self.by_products: list[Json] = []
        self.changes: list[Change] = []

    def add(
        self, after: float, fields: Fields, *, cause: str = "", ends_run: bool = False, cancels_run: bool = False
    ) -> None:
        cause = cause or f"run {self.run}"
        self.changes.append(Change(self.moment(after), cause, fields, ends_run=ends_run, cancels_run=cancels_run))

    def moment(self, after: float) -> int:
        return self.accepted + to_milliseconds(after)

    def acceptance(self) -> None:
        behaviour = self.behaviour
        if behaviour.auxiliary_documents:
            added = auxiliary_documents(str(self.order.get("id")), self.run, to_iso(self.accepted))
            self.by_products = added
            self.add(0, lambda order: {"orderDocs": [*documents_of(order), *added]})
        if behaviour.outputs_during_run != "kept":
            self.add(0, functools.partial(_without_outputs, as_null=behaviour.outputs_during_run == "null"))
        if behaviour.evaluation == "cleared":
            self.add(0, {"latestEvaluation": ABSENT})

    def statuses(self) -> None:
        path = self.behaviour.status_path
        steps = [(stage.after, stage.status) for stage in self.stages] if path is None else sorted(path)
        if self.behaviour.end_status is not None:
            steps = [step for step in steps if step[0] < self.behaviour.run_seconds]
        hidden = self.behaviour.status_hidden_for
        if hidden is None:
            return
        hidden_statuses = [status for after, status in steps if after < hidden]
        if hidden_statuses and (self.behaviour.end_status is None or hidden < self.behaviour.run_seconds):
            self.add(hidden, {"status": hidden_statuses[-1]})
        for after, status in steps:
            if after >= hidden:
                self.add(after, {"status": status})

    def milestones(self) -> None:
        for stage in self.stages:
            if stage.event is not None:
                self._event(stage.after, stage.event)
            if stage.event == "ai_delivered" and self.behaviour.draft_documents:
                for output in outputs_of(self.order):
                    self._output(output, stage.after, "replaced", draft=True)

    def results(self) -> None:
        end = self.behaviour.run_seconds
        if not self.reviewed:
            self._event(end, "ai_delivered")
        self._event(end, "order_delivered")
        if self.behaviour.outputs_after is not None:
            self._outputs(max(end + self.behaviour.outputs_after, 0))
        loading, finished = evaluations.of_run(self.order.get("id"), self.run, self.moment(end))
        if self.behaviour.evaluation in ("new", "loading"):
            self.add(end, {"latestEvaluation": loading})
        if self.behaviour.evaluation == "new":
            self.add(end + evaluations.SECONDS_OF_RUN, {"latestEvaluation": finished})

    def _event(self, after: float, kind: str) -> None:
        if self.behaviour.delivery_events == "appended":
            event = delivery_event(kind, self.moment(after))
            self.add(after + self.behaviour.delivery_events_delay, functools.partial(_with_event, event))

    def _outputs(self, first: float) -> None:
        how = self.behaviour.outputs
        if self.behaviour.outputs_during_run != "kept":
            hidden = [
                document
                for document in [*documents_of(self.order), *self.by_products]
                if how in ("unchanged", "added") or not is_output(document)
            ]
            self.add(first, functools.partial(_with_restored, hidden, self.order.get("vttUrl")))
        if how == "unchanged":
            return
        for index, output in enumerate(outputs_to_renew(self.order)):
            self._output(output, first + index * self.behaviour.output_interval, how)
        url = self.order.get("vttUrl")
        if self.run == 1 and "vttUrl" not in self.order:
            url = usual_vtt_url(self.order)
        if how != "in_place" and isinstance(url, str) and url:
            self.add(first, {"vttUrl": numbered_url(url, self.run)})

    def _output(
        self, old: Json, after: float, how: Literal["replaced", "in_place", "added"], *, draft: bool = False
    ) -> None:
        new = renew_document(old, run=self.run, moment=to_iso(self.moment(after)), how=how, draft=draft)
        self.add(after, functools.partial(_with_output, old, new, alongside=how == "added"))


# What single changes make of an order


def delivery_event(kind: str, moment: int) -> Json:
    """Return an item of `deliveryEvents`."""
    actor, actor_id = _ACTORS[kind]
    return {"type": kind, "occurredAt": to_iso(moment), "actorType": actor, "actorId": actor_id}


def _with_event(event: Json, order: Json) -> Json:
    events = order.get("deliveryEvents")
    return {"deliveryEvents": [*(events if isinstance(events, list) else []), event]}


def _without_outputs(order: Json, *, as_null: bool) -> Json:
    kept = [document for document in documents_of(order) if not is_output(document)]
    vtt = {"vttUrl": None if as_null else ""} if "vttUrl" in order else {}
    return {"orderDocs": None if as_null else kept, **vtt}


def _with_restored(documents: list[Any], url: object, order: Json) -> Json:
    """Bring back what was hidden, alongside what was added during the run."""
    added = [document for document in documents_of(order) if document not in documents]
    return {"orderDocs": [*documents, *added], **({"vttUrl": url} if "vttUrl" in order else {})}


def _with_output(old: Json, new: Json, order: Json, *, alongside: bool) -> Json:
    documents = list(documents_of(order))
    places = [index for index, document in enumerate(documents) if is_same_output(document, old)]
    # Of several with one name, each is renewed in its own place.
    places.sort(key=lambda index: documents[index].get("id") == old.get("id"))
    if places and not alongside:
        documents[places[-1]] = new
    else:
        documents.append(new)
    return {"orderDocs": documents}
