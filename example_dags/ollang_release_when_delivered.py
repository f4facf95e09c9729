"""
Release a title as soon as its order, placed elsewhere, is delivered.

The order was made in the Ollang dashboard and goes through human review, so this may take days. Nothing is rerun and
nothing is billed.

    airflow dags test ollang_release_when_delivered --conf '{"order_id": "60b8d6f1e1b9b1d8c6c0d8e3"}'

With a scheduler, `airflow dags trigger` takes the same.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import Param, dag, task

from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor

POKE_INTERVAL = timedelta(seconds=float(os.environ.get("OLLANG_POKE_INTERVAL", "600")))


@dag(
    schedule=None,
    params={
        "order_id": Param(
            "60b8d6f1e1b9b1d8c6c0d8e3", type="string", minLength=1, description="The Ollang order to wait for"
        ),
    },
    default_args={"retries": 2, "retry_delay": POKE_INTERVAL},
    tags=["ollang"],
    doc_md=__doc__,
)
def ollang_release_when_delivered() -> None:
    wait = OllangOrderStatusSensor(
        task_id="wait_until_delivered",
        order_id="{{ params.order_id }}",
        target_statuses="delivered",
        deferrable=True,
        poke_interval=POKE_INTERVAL,
        timeout=timedelta(days=14),
    )

    @task
    def release(order: dict[str, Any]) -> dict[str, Any]:
        """Use the order's links while they are fresh; they expire, so they stay out of the XCom."""
        fresh = OllangHook().get_order(order)
        links = [document["url"] for document in fresh.get("orderDocs") or [] if document.get("url")]
        return {"title": order["name"], "language": order["target_language"], "links_used": len(links)}

    release(wait.output)


ollang_release_when_delivered()
