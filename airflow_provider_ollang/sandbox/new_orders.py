"""New orders: what a request for them must have, and which orders and which answer it makes."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_ollang.sandbox import lifecycle, prices
from airflow_provider_ollang.sandbox.clock import to_iso
from airflow_provider_ollang.sandbox.order import OWN, Json, Order
from airflow_provider_ollang.sandbox.start_orders import with_usual_fields
from airflow_provider_ollang.sandbox.uploads import is_language, is_link

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_ollang.sandbox.options import Behaviour
    from airflow_provider_ollang.sandbox.projects import Project

CREATABLE = ("cc", "subtitle", "document", "aiDubbing", "studioDubbing")
#: These make a `cc` order too, where child orders are made.
WITH_CHILD = ("subtitle", "aiDubbing", "studioDubbing")
_CHOICES = {
    "orderType": CREATABLE,
    "orderSubType": ("closedCaption", "timecodedTranscription"),
    "dubbingStyle": ("overdub", "lipsync", "audioDescription"),
}
_MOST_MEMORIES = 20


class Creation(NamedTuple):
    """An accepted request: when, what was asked for, the orders it made, and the answer."""

    moment: int
    asked: Json
    orders: tuple[Order, ...]
    answer: tuple[Json, ...]

    def report(self) -> Json:
        """Return it for the admin API."""
        return {
            "time": to_iso(self.moment),
            "asked": copy.deepcopy(self.asked),
            "orders": [order.id for order in self.orders],
        }


# A request


def body_problem(body: Mapping[str, Any]) -> str | None:
    """Return what is wrong with a request's body; None if nothing is. A null is as no value."""
    for name, choices in _CHOICES.items():
        if body.get(name) not in (choices if name == "orderType" else (None, *choices)):
            return f"{name} must be one of the following values: {', '.join(choices)}"
    level = body.get("level")
    if isinstance(level, bool) or level not in (0, 1):
        return "level must be one of the following values: 0, 1"
    if not isinstance(body.get("projectId"), str) or not body["projectId"]:
        return "projectId should not be empty"
    return _languages_problem(body.get("targetLanguageConfigs")) or _optional_problem(body)


def _languages_problem(configs: object) -> str | None:
    if not isinstance(configs, list) or not configs:
        return "targetLanguageConfigs should not be empty"
    for config in configs:
        if not isinstance(config, dict) or not is_language(config.get("language")):
            return "language must be a supported language code"
        if not isinstance(config.get("isRush"), bool | None):
            return "isRush must be a boolean value"
    return None


def _optional_problem(body: Mapping[str, Any]) -> str | None:
    if body.get("callbackUrl") is not None and not is_link(body["callbackUrl"]):
        return "callbackUrl must be a URL address"
    if not isinstance(body.get("autoQc"), bool | None):
        return "autoQc must be a boolean value"
    if body.get("sourceLanguage") is not None and not is_language(body["sourceLanguage"]):
        return "sourceLanguage must be a supported language code"
    if not isinstance(body.get("content"), str | None):
        return "content must be a string"
    return _memories_problem(body.get("selectedMemories") or [])


def _memories_problem(memories: object) -> str | None:
    if not isinstance(memories, list) or not all(isinstance(memory, str) for memory in memories):
        return "each value in selectedMemories must be a string"
    if len(memories) > _MOST_MEMORIES or len(set(memories)) < len(memories):
        return f"selectedMemories must contain at most {_MOST_MEMORIES} unique elements"
    return None


# What it makes


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the orders of one request."""

    body: Mapping[str, Any]
    project: Project
    behaviour: Behaviour
    now: int
    new_id: Callable[[], str]

    def order(self, order_type: str, language: str, *, is_child: bool = False) -> Order:
        body, project, behaviour = self.body, self.project.body, self.behaviour
        level = 0 if is_child else body["level"]
        order_id = self.new_id()
        fields = {
            "id": order_id,
            "name": project["name"],
            "type": order_type,
            "status": "pending",
            "level": level,
            "sourceLanguage": body.get("sourceLanguage") or project["sourceLanguage"],
            "targetLanguage": language,
            "createdAt": to_iso(self.now),
            "projectId": behaviour.created_project or project["id"],
            "folderId": project["folderId"],
            "orderDocs": [{**document, "orderId": order_id} for document in project["projectDocs"]],
        }
        fields |= {name: body[name] for name in ("orderSubType", "dubbingStyle") if body.get(name) and not is_child}
        order = Order.create(order_id, with_usual_fields(fields, self.now), OWN, behaviour, self.now)
        order.credits_used = prices.price_of_run(level)
        is_evaluated = bool(body.get("autoQc")) and not is_child
        order.credits_used += prices.EVALUATION if is_evaluated else 0
        lifecycle.begin_run(order, self.now, replace(behaviour, evaluation="new") if is_evaluated else behaviour)
        return order


def create(
    body: Mapping[str, Any], project: Project, behaviour: Behaviour, now: int, new_id: Callable[[], str]
) -> Creation:
    """Make the orders that an accepted request asks for; each starts its first run at once."""
    make = _Maker(body, project, behaviour, now, new_id)
    order_type = body["orderType"]
    languages = [config["language"] for config in body["targetLanguageConfigs"]]
    orders = [make.order(order_type, language) for language in languages[: behaviour.created_languages]]
    entries = [(order.id, order_type) for order in orders]
    if behaviour.answered_languages == "all":
        entries += [(new_id(), order_type) for _ in languages[len(orders) :]]
    if behaviour.child_orders and order_type in WITH_CHILD:
        orders.append(make.order("cc", str(project.body["sourceLanguage"]), is_child=True))
        entries.append((orders[-1].id, "cc"))
    if behaviour.answered_reversed:
        entries.reverse()
    answer = tuple(
        {"orderId": order_id, **({"orderType": kind} if behaviour.answered_types else {})} for order_id, kind in entries
    )
    return Creation(now, copy.deepcopy(dict(body)), tuple(orders), answer)
