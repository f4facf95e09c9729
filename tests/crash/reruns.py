"""Runs of the DAGs whose reruns or human reviews die, and what a test lets become of their orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ollang.sandbox.clock import to_milliseconds
from airflow_provider_ollang.sandbox.documents import is_output, numbered_name, renew_document
from airflow_provider_ollang.sandbox.lifecycle import delivery_event
from tests.crash.task_runs import OrderRuns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_ollang.sandbox import Sandbox
    from tests.crash.cells import Operator

SLOW_RETRIES = "crash_slow_retries"


class Reruns(OrderRuns):
    """A run of the DAG with one mapped rerun for each order."""

    usual_dag = "crash_reruns"
    task = "rerun"
    record = "ollang_rerun"
    request = "rerun"
    count = "reruns_accepted"
    usual: ClassVar[Mapping[str, Any]] = {
        "wait_for_completion": True,
        "reconcile_timeout": 4,
        "poll_interval": 2,
        "outputs_timeout": 20,
        "timeout": 600,
    }


class Reviews(Reruns):
    """Likewise, with human reviews: only the request is another one."""

    usual_dag = "crash_reviews"
    task = "review"
    record = "ollang_review"
    request = "human-review"
    count = "reviews_accepted"


KINDS: dict[Operator, type[Reruns]] = {"rerun": Reruns, "human review": Reviews}


def accepted(ollang: Sandbox, order_id: str) -> int:
    """Return how many reruns of an order were accepted, and billed."""
    return int(ollang.order(order_id)["reruns_accepted"])


def report_the_end(ollang: Sandbox, order_id: str, *, level: int = 0) -> None:
    """Add the event of the end of an order's run, which has a level then; its new documents still lag behind."""
    order = ollang.order(order_id)["order"]
    event = delivery_event("order_delivered", to_milliseconds(ollang.now.timestamp()))
    ollang.change_order(order_id, deliveryEvents=[*order["deliveryEvents"], event], level=level)


def deliver(ollang: Sandbox, order_id: str, *, dated: bool = True) -> None:
    """
    Complete an order with the documents of its run, whose number they have in their names.

    :param dated: whether anything but their names tells that they are new.
    """
    known = ollang.order(order_id)
    run, moment = known["run"], ollang.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def new(old: dict[str, Any]) -> dict[str, Any]:
        if not is_output(old):
            return old
        return (
            renew_document(old, run=run, moment=moment, how="replaced")
            if dated
            else {**old, "name": numbered_name(old["name"], run)}
        )

    documents = [new(old) for old in known["order"]["orderDocs"]]
    ollang.change_order(order_id, status="completed", orderDocs=documents)
