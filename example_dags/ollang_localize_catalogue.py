"""
Take many orders all the way at once: rerun, evaluate, rerun those below the bar, ask a person, deliver.

Each goes its own way; one that fails or takes long holds up no other.

Inside a mapped task group Airflow does not skip what a branch leaves out. So the gates report, and each next step skips
itself where the report says that the order passed.

    airflow dags test ollang_localize_catalogue --conf '{"order_ids": ["60b8d6f1e1b9b1d8c6c0d900"]}'

With a scheduler, `airflow dags trigger` takes the same. Against a fresh sandbox it runs as it is; on Ollang itself
reruns may be billed, and evaluations are.

The param `destination` takes any object storage, such as `s3://aws_default@media/subtitles`.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, task, task_group

from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.operators.quality import OllangEvaluateOrderOperator, OllangQualityGateOperator
from airflow_provider_ollang.transfers.ollang_to_object_storage import OllangToObjectStorageOperator

POKE_INTERVAL = timedelta(seconds=float(os.environ.get("OLLANG_POKE_INTERVAL", "60")))
BAR = {"Accuracy": "{{ params.min_accuracy }}", "Fluency": 80}
RERUN: dict[str, Any] = {
    "wait_for_completion": True,
    "deferrable": True,
    "poll_interval": POKE_INTERVAL,
    "timeout": timedelta(days=2),
    "max_active_tis_per_dag": 4,
}
GATE: dict[str, Any] = {
    "min_scores": BAR,
    "on_below": "report",
    "deferrable": True,
    "poll_interval": POKE_INTERVAL,
}


@dag(
    schedule=None,
    params={
        "order_ids": Param(
            ["60b8d6f1e1b9b1d8c6c0d900", "60b8d6f1e1b9b1d8c6c0d901"],
            type="array",
            items={"type": "string"},
            minItems=1,
            description="The Ollang orders to rerun and evaluate, which may be billed",
        ),
        "min_accuracy": Param(90, type="number", minimum=0, maximum=100, description="The bar for their accuracy"),
        "destination": Param(
            "file:///tmp/ollang", type="string", minLength=1, description="Where their files go: any object storage"
        ),
    },
    default_args={"retries": 2, "retry_delay": POKE_INTERVAL},
    tags=["ollang"],
    doc_md=__doc__,
)
def ollang_localize_catalogue() -> None:
    @task
    def choose_orders(params: dict[str, Any]) -> list[str]:
        """List the orders; a real catalogue would come from a database or an asset list."""
        return list(dict.fromkeys(params["order_ids"]))

    @task_group
    def localize(order_id: str) -> None:
        """Take one order from its old result to its delivered files."""
        rerun = OllangRerunOperator(task_id="rerun", order_id=order_id, **RERUN)
        evaluate = OllangEvaluateOrderOperator(task_id="evaluate", order_id=rerun.output)
        gate = OllangQualityGateOperator(task_id="gate", evaluation=evaluate.output, **GATE)
        once_more = OllangRerunOperator(
            task_id="rerun_once_more", order_id=order_id, skip_if_passed=gate.output, **RERUN
        )
        evaluate_again = OllangEvaluateOrderOperator(task_id="evaluate_again", order_id=once_more.output)
        gate_again = OllangQualityGateOperator(task_id="gate_again", evaluation=evaluate_again.output, **GATE)

        @task
        def needs_a_person(report: dict[str, Any]) -> str:
            """Go on to the approval only where the second result is below the bar too."""
            if report["passed"]:
                raise AirflowSkipException("good enough")
            below = [
                f"- {one['name']}: {one['score']}, at least {one['minimum']}"
                for one in report["criteria"]
                if not one["passed"]
            ]
            return "\n".join([f"Order {report['order_id']} is below the bar after two runs:\n", *below])

        ask_a_person = ApprovalOperator(
            task_id="ask_a_person",
            subject="Deliver an order below the bar?",
            body="{{ ti.xcom_pull(task_ids='localize.needs_a_person', map_indexes=ti.map_index) }}",
            # Airflow does not skip what is behind a rejected one in a mapped task group, so it has to fail.
            fail_on_reject=True,
            retries=0,
        )
        deliver = OllangToObjectStorageOperator(
            task_id="deliver_files",
            rerun=[rerun.output, once_more.output],
            destination="{{ params.destination }}",
            # Not none_failed_min_one_success: in a mapped task group one order's failure would hold up all others.
            trigger_rule="none_failed",
        )
        needs_a_person(gate_again.output) >> ask_a_person
        [gate, gate_again, ask_a_person] >> deliver

    localize.expand(order_id=choose_orders())


ollang_localize_catalogue()
