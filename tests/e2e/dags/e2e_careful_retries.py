"""A rerun with retries, as a cautious user would write it; the sandbox makes the answers go wrong."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor

with DAG("e2e_careful_retries", schedule=None, default_args={"retries": 2, "retry_delay": timedelta(seconds=1)}):
    rerun = OllangRerunOperator(task_id="rerun", order_id="{{ dag_run.conf['order_id'] }}")
    OllangOrderStatusSensor(task_id="wait", rerun=rerun.output, poke_interval=1, timeout=60)
