"""Waits of each kind, for the count of worker starts."""

from __future__ import annotations

from airflow.providers.dbt.cloud.sensors.dbt import DbtCloudJobRunSensor
from airflow.sdk import DAG

from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor

with DAG("benchmark_waits", schedule=None):
    for number in range(3):
        order_id = f"bench-{number:04}"
        OllangOrderStatusSensor(task_id=f"poke_{number}", order_id=order_id, poke_interval=2)
        OllangOrderStatusSensor(task_id=f"deferrable_{number}", order_id=order_id, poke_interval=2, deferrable=True)
        OllangOrderStatusSensor(
            task_id=f"start_from_trigger_{number}", order_id=order_id, poke_interval=2, start_from_trigger=True
        )
        DbtCloudJobRunSensor(
            task_id=f"dbt_cloud_{number}", run_id=number, account_id=1, poke_interval=2, deferrable=True
        )
