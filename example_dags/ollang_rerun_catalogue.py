"""
Rerun many orders, four at a time, and report on each.

Every order goes its own way through the task group: one that fails or takes long holds up no other.

    airflow dags test ollang_rerun_catalogue --conf '{"order_ids": ["60b8d6f1e1b9b1d8c6c0d8fc"]}'

With a scheduler, `airflow dags trigger` takes the same. Against a fresh sandbox it runs as it is; on Ollang itself each
rerun may be billed.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, task, task_group

from airflow_provider_ollang.operators.ollang import OllangRerunOperator

POKE_INTERVAL = timedelta(seconds=float(os.environ.get("OLLANG_POKE_INTERVAL", "60")))


@dag(
    schedule=None,
    params={
        "order_ids": Param(
            ["60b8d6f1e1b9b1d8c6c0d8fc", "60b8d6f1e1b9b1d8c6c0d8fd"],
            type="array",
            items={"type": "string"},
            minItems=1,
            description="The Ollang orders to rerun, which may be billed",
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
            wait_for_completion=True,
            deferrable=True,
            poll_interval=POKE_INTERVAL,
            timeout=timedelta(days=2),
            # A waiting task counts, so no more orders than these are at work (from Airflow 3.2 on).
            max_active_tis_per_dag=4,
            map_index_template="{{ task.order_id }}",
        )

        @task
        def hand_on(receipt: dict[str, Any]) -> dict[str, Any]:
            """Stand in for the next step of the pipeline: a player, a CMS, a review."""
            files = [document["name"] for document in receipt["result"]["outputs"]]
            return {"order_id": receipt["order_id"], "files": files}

        return hand_on(rerun.output)

    @task(trigger_rule="all_done")
    def report(results: Any) -> list[str]:
        """Say what came of all that were finished."""
        # Airflow hands on what a mapped group returned as a list, a single result bare, and no result as None. Airflow
        # 3.1 puts a mark into the list for each that has no result.
        finished = [results] if isinstance(results, dict) else list(results or [])
        return [
            f"{result['order_id']}: {', '.join(result['files'])}" for result in finished if isinstance(result, dict)
        ]

    report(localize.expand(order_id=choose_orders()))


ollang_rerun_catalogue()
