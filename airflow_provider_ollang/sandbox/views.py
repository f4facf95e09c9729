"""How an order is shown: the knobs that alter an answer, not the order."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.sandbox.clock import milliseconds
from airflow_provider_ollang.sandbox.documents import documents_of
from airflow_provider_ollang.sandbox.evaluations import in_callback_shape
from airflow_provider_ollang.sandbox.links import SIGNATURE, is_among, size_of, with_links

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_ollang.sandbox.behaviour import Behaviour
    from airflow_provider_ollang.sandbox.orders import Order

_EVALUATION = "latestEvaluation"
__all__ = ["SIGNATURE", "shown", "shown_in_list"]


def shown(order: Order, now: int, files_url: str | None = None) -> dict[str, Any]:
    """Return what a GET of the order answers at a moment.

    :param files_url: where its files are; None: nowhere.
    """
    behaviour = order.behaviour
    order.looks += 1
    moment = now
    if behaviour.stale_every and order.looks % behaviour.stale_every == 0:
        moment -= milliseconds(behaviour.stale_by)
    return _altered(with_links(order, order.at(moment), files_url, now), behaviour)


def shown_in_list(order: Order, now: int) -> dict[str, Any]:
    """Return what the list of orders makes its row of."""
    return order.at(now - milliseconds(order.behaviour.list_stale_by))


def _altered(order: dict[str, Any], behaviour: Behaviour) -> dict[str, Any]:
    if not (
        behaviour.delivery_events in ("empty", "absent")
        or behaviour.answered_id is not None
        or behaviour.wrong_sizes
        or behaviour.evaluation_field != _EVALUATION
        or behaviour.evaluation_shape != "documented"
        or behaviour.null_fields
        or behaviour.missing_fields
    ):
        return order
    order = copy.deepcopy(order)
    if behaviour.delivery_events == "empty":
        order["deliveryEvents"] = []
    if behaviour.delivery_events == "absent":
        order.pop("deliveryEvents", None)
    if behaviour.answered_id is not None:
        order["id"] = behaviour.answered_id
    _alter_sizes(order, behaviour)
    _alter_evaluation(order, behaviour)
    for name in behaviour.null_fields:
        for holder, key in _places(order, name.split(".")):
            holder[key] = None
    for name in behaviour.missing_fields:
        for holder, key in _places(order, name.split(".")):
            holder.pop(key, None)
    return order


def _alter_sizes(order: dict[str, Any], behaviour: Behaviour) -> None:
    for glob, off_by in behaviour.wrong_sizes:
        for document in documents_of(order):
            if isinstance(document, dict) and is_among([glob], document.get("id"), document.get("name")):
                document["size"] = size_of(document) + off_by


def _alter_evaluation(order: dict[str, Any], behaviour: Behaviour) -> None:
    evaluation = order.get(_EVALUATION)
    if behaviour.evaluation_shape == "callback" and isinstance(evaluation, dict):
        order[_EVALUATION] = in_callback_shape(evaluation)
    if _EVALUATION in order:
        order[behaviour.evaluation_field] = order.pop(_EVALUATION)


def _places(value: Any, names: list[str]) -> Iterable[tuple[dict[str, Any], str]]:
    """Find the objects, inside lists too, that a dotted name leads to."""
    if isinstance(value, list):
        for item in value:
            yield from _places(item, names)
    elif isinstance(value, dict):
        if len(names) == 1:
            yield value, names[0]
        elif names[0] in value:
            yield from _places(value[names[0]], names[1:])
