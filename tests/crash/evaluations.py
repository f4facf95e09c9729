"""Runs of the DAG whose evaluations die, and what a test lets become of their orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from tests.crash.task_runs import OrderRuns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_ollang.sandbox import Sandbox

#: What each order has of an earlier evaluation, which must be taken for no other one.
OLD = {"id": "eval_of_last_year", "created_at": "2024-01-17T09:00:00Z"}


class Evaluations(OrderRuns):
    """A run of the DAG with one mapped evaluation for each order."""

    usual_dag = "crash_evaluations"
    task = "evaluate"
    record = "ollang_evaluation"
    request = "qc"
    count = "evaluations_accepted"
    usual: ClassVar[Mapping[str, Any]] = {"reconcile_timeout": 4}


def add_order(ollang: Sandbox, behaviour: dict[str, Any]) -> str:
    """Add an order that was evaluated once before."""
    old = {"id": OLD["id"], "createdAt": OLD["created_at"], "isLoading": False, "scores": []}
    return ollang.add_order(type="subtitle", latestEvaluation=old, behaviour=behaviour)


def bought(ollang: Sandbox, order_id: str) -> list[dict[str, Any]]:
    """Return the evaluations that were accepted."""
    accepted: list[dict[str, Any]] = ollang.order(order_id)["evaluations"]
    return accepted


def show(ollang: Sandbox, order_id: str) -> None:
    """Let an order show its last evaluation, finished."""
    new = ollang.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    evaluation = {"id": bought(ollang, order_id)[-1]["shown_id"], "createdAt": new, "isLoading": False}
    ollang.change_order(order_id, latestEvaluation=evaluation)
