"""Waits that begin in the triggerer where that can work, and on a worker where it cannot."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor

WAITING: dict[str, Any] = {"start_from_trigger": True, "poke_interval": 2, "timeout": 120}

with DAG("e2e_start_from_trigger", schedule=None, params={"order_id": "none"}):

    @task
    def name_it(params: dict[str, str]) -> str:
        """Return the id by XCom, which the triggerer cannot read."""
        return params["order_id"]

    OllangOrderStatusSensor(task_id="from_params", order_id="{{ params.order_id }}", **WAITING)
    OllangOrderStatusSensor(task_id="from_conf", order_id="{{ dag_run.conf['order_id'] }}", **WAITING)
    named = name_it()
    OllangOrderStatusSensor(task_id="from_xcom", order_id=named, **WAITING)
    named >> OllangOrderStatusSensor(task_id="pulled", order_id="{{ ti.xcom_pull('name_it') }}", **WAITING)
    OllangOrderStatusSensor.partial(task_id="mapped", **WAITING).expand(order_id=["{{ params.order_id }}"])
