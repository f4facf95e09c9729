"""A rerun that waits in the triggerer, to be cleared there."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_ollang.operators.ollang import OllangRerunOperator

with DAG("e2e_clear", schedule=None, params={"order_id": ""}):
    OllangRerunOperator(
        task_id="rerun",
        order_id="{{ params.order_id }}",
        wait_for_completion=True,
        deferrable=True,
        poll_interval=2,
        timeout=600,
        outputs_timeout=3,
        retries=1,
        retry_delay=0,
    )
