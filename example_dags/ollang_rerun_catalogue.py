"""
Rerun many orders at once, a few at a time, and report on each.

Every order goes its own way through the task group: one that fails or takes long holds up no other.

    airflow dags trigger ollang_rerun_catalogue --conf '{"order_ids": ["60b8d6f1e1b9b1d8c6c0d8e1"]}'
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, task, task_group

from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor

POKE_INTERVAL = timedelta(seconds=float(os.environ.get("OLLANG_POKE_INTERVAL", "60")))


@dag(
    schedule=None,
    params={
        "order_ids": Param(
            ["60b8d6f1e1b9b1d8c6c0d8e1", "60b8d6f1e1b9b1d8c6c0d8e2"],
            type="array",
            items={"type": "string"},
            minItems=1,
            description="The Ollang orders to rerun",
        ),
    },
    default_args={"retries": 2, "retry_delay": POKE_INTERVAL},
    tags=["ollang"],
    doc_md=__doc__,
)
def ollang_rerun_catalogue() -> None:
    @task
    def choose_orders(params: dict[str, Any]) -> list[str]:
        """List the orders; a real catalogue would come from a database or an asset list."""
        return list(dict.fromkeys(params["order_ids"]))

    @task_group
    def localize(order_id: str) -> Any:
        """Take one order from its old result to its new one."""
        rerun = OllangRerunOperator(
            task_id="rerun_order",
            order_id=order_id,
            max_active_tis_per_dag=4,
            map_index_template="{{ task.order_id }}",
        )
        wait = OllangOrderStatusSensor(
            task_id="wait_for_new_result",
            rerun=rerun.output,
            deferrable=True,
            poke_interval=POKE_INTERVAL,
            timeout=timedelta(days=2),
            map_index_template="{{ task.rerun.order_id }}",
        )

        @task
        def hand_on(order: dict[str, Any]) -> dict[str, Any]:
            """Stand in for the next step of the pipeline: a player, a CMS, a review."""
            return {"order_id": order["order_id"], "files": [document["name"] for document in order["outputs"]]}

        return hand_on(wait.output)

    @task(trigger_rule="all_done")
    def report(done: list[dict[str, Any]]) -> list[str]:
        """Say what came of all that were finished."""
        return [f"{one['order_id']}: {', '.join(one['files'])}" for one in done]

    report(localize.expand(order_id=choose_orders()))


ollang_rerun_catalogue()
