"""A gate that an order does not pass, so that there is an error with a table to look at."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider_ollang.operators.quality import OllangQualityGateOperator

with DAG("browser_quality_gate", schedule=None, params={"order_id": ""}):
    OllangQualityGateOperator(
        task_id="gate",
        order_id="{{ params.order_id }}",
        min_scores={"Accuracy": 95, "Cultural Fit": 90},
        min_average=92,
    )
