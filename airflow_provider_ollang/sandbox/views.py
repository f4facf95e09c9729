"""How an order is shown: the knobs that alter an answer, not the order."""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.sandbox.clock import milliseconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_ollang.sandbox.behaviour import Behaviour
    from airflow_provider_ollang.sandbox.orders import Order

#: Every signed link carries this word, so that a leaked one can be searched for.
SIGNATURE = "sandbox-signature"
_LINK_LIFE = 7 * 24 * 3600
_signatures = itertools.count(1)


def shown(order: Order, now: int) -> dict[str, Any]:
    """Return what a GET of the order answers at a moment."""
    behaviour = order.behaviour
    order.looks += 1
    moment = now
    if behaviour.stale_every and order.looks % behaviour.stale_every == 0:
        moment -= milliseconds(behaviour.stale_by)
    return _altered(order.at(moment), behaviour, now)


def shown_in_list(order: Order, now: int) -> dict[str, Any]:
    """Return what the list of orders makes its row of."""
    return order.at(now - milliseconds(order.behaviour.list_stale_by))


def _altered(order: dict[str, Any], behaviour: Behaviour, now: int) -> dict[str, Any]:
    if not (
        behaviour.delivery_events in ("empty", "absent")
        or behaviour.answered_id is not None
        or behaviour.sign_links
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
    if behaviour.sign_links:
        _sign(order, now)
    for name in behaviour.null_fields:
        for holder, key in _places(order, name.split(".")):
            holder[key] = None
    for name in behaviour.missing_fields:
        for holder, key in _places(order, name.split(".")):
            holder.pop(key, None)
    return order


def _sign(order: dict[str, Any], now: int) -> None:
    documents = order.get("orderDocs")
    holders = [(order, "vttUrl")]
    if isinstance(documents, list):
        holders += [(document, "url") for document in documents if isinstance(document, dict)]
    for holder, key in holders:
        link = holder.get(key)
        if isinstance(link, str) and link:
            mark = "&" if "?" in link else "?"
            expires = now // 1000 + _LINK_LIFE
            holder[key] = f"{link}{mark}Expires={expires}&Signature={SIGNATURE}-{next(_signatures):08x}"


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
