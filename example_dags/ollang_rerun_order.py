"""
Rerun one order with Ollang's current models, wait for the new result, and hand it on.

Against a fresh sandbox it runs as it is; on Ollang itself the rerun may be billed. Name the order to rerun in the run's
configuration:

    airflow dags test ollang_rerun_order --conf '{"order_id": "60b8d6f1e1b9b1d8c6c0d8fb"}'

With a scheduler, `airflow dags trigger` takes the same.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, task

from airflow_provider_ollang.operators.ollang import OllangGetOrderOperator, OllangRerunOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor

# A minute is a good default: every look costs a request.
POKE_INTERVAL = timedelta(seconds=float(os.environ.get("OLLANG_POKE_INTERVAL", "60")))


@dag(
    schedule=None,
    params={
        "order_id": Param(
            "60b8d6f1e1b9b1d8c6c0d8fb",
            type="string",
            minLength=1,
            description="The Ollang order to rerun, which may be billed",
        ),
    },
    # A task that dies takes its request over from where it was: nothing is asked for twice.
    default_args={"retries": 2, "retry_delay": POKE_INTERVAL},
    tags=["ollang"],
    doc_md=__doc__,
)
def ollang_rerun_order() -> None:
    check = OllangGetOrderOperator(
        task_id="check_order",
        order_id="{{ params.order_id }}",
        fields=["id", "name", "type", "status", "level", "targetLanguage"],
    )
    rerun = OllangRerunOperator(task_id="rerun_order", order_id=check.output)
    wait = OllangOrderStatusSensor(
        task_id="wait_for_new_result",
        rerun=rerun.output,
        deferrable=True,
        poke_interval=POKE_INTERVAL,
        timeout=timedelta(days=2),
    )

    @task
    def hand_on(order: dict[str, Any]) -> dict[str, Any]:
        """Stand in for the next step of the pipeline: a player, a CMS, a review."""
        return {"publish": order["name"], "language": order["target_language"], "files": order["outputs"]}

    hand_on(wait.output)


ollang_rerun_order()
