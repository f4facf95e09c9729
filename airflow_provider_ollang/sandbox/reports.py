"""What the control tells about orders: the truth, without the knobs that alter answers."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.sandbox.clock import iso
from airflow_provider_ollang.sandbox.knobs import as_json

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox.clock import Clock
    from airflow_provider_ollang.sandbox.orders import Order

Json = dict[str, Any]


def line_of(order: Order) -> Json:
    """Tell the main things about an order."""
    return {
        "id": order.id,
        "owner": order.owner,
        **{name: order.latest.get(name) for name in ("type", "status", "level", "name")},
        **_counts(order),
    }


def report_of(order: Order, clock: Clock) -> Json:
    """Tell all about an order.

    `history` has each status it went through, by the sandbox's and the real clock, `evaluations` each quality check
    that was accepted, and what was asked for.
    """
    return {
        "order": copy.deepcopy(order.latest),
        "behaviour": as_json(order.behaviour),
        "owner": order.owner,
        "run": order.run,
        "running": order.running,
        **_counts(order),
        "history": [
            {
                "time": iso(line.at),
                "real_time": iso(clock.real_time_of(line.at)),
                "status": line.status,
                "cause": line.cause,
            }
            for line in order.history
        ],
        "evaluations": [
            {"id": one.id, "shown_id": one.shown_id, "time": iso(one.moment), "run": one.run, "asked": dict(one.asked)}
            for one in order.evaluations
        ],
    }


def _counts(order: Order) -> Json:
    names = ("reruns_accepted", "reruns_refused", "evaluations_accepted", "evaluations_refused")
    return {name: getattr(order, name) for name in names}
