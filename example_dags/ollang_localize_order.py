"""
Take one order all the way: rerun it, wait, have it evaluated, and deliver its files if it is good enough.

Below the bar it is rerun once more; still below, a person is asked (Required Actions in Airflow's UI). If that person
says no, nothing is delivered.

    airflow dags test ollang_localize_order --conf '{"order_id": "60b8d6f1e1b9b1d8c6c0d8fe"}'

With a scheduler, `airflow dags trigger` takes the same. Against a fresh sandbox it runs as it is; on Ollang itself
reruns may be billed, and evaluations are.

The param `destination` takes any object storage, such as `s3://aws_default@media/subtitles`.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, task

from airflow_provider_ollang.operators.ollang import OllangGetOrderOperator, OllangRerunOperator
from airflow_provider_ollang.operators.quality import OllangEvaluateOrderOperator, OllangQualityBranchOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from airflow_provider_ollang.transfers.ollang_to_object_storage import OllangToObjectStorageOperator

POKE_INTERVAL = timedelta(seconds=float(os.environ.get("OLLANG_POKE_INTERVAL", "60")))
BAR = {"Accuracy": "{{ params.min_accuracy }}", "Fluency": 80}


@dag(
    schedule=None,
    params={
        "order_id": Param(
            "60b8d6f1e1b9b1d8c6c0d8fe",
            type="string",
            minLength=1,
            description="The Ollang order to rerun and evaluate, which may be billed",
        ),
        "min_accuracy": Param(90, type="number", minimum=0, maximum=100, description="The bar for its accuracy"),
        "destination": Param(
            "file:///tmp/ollang", type="string", minLength=1, description="Where its files go: any object storage"
        ),
    },
    # A task that dies takes its request over from where it was: nothing is asked for twice.
    default_args={"retries": 2, "retry_delay": POKE_INTERVAL},
    tags=["ollang"],
    doc_md=__doc__,
)
def ollang_localize_order() -> None:
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
    evaluate = OllangEvaluateOrderOperator(task_id="evaluate", order_id=wait.output)
    good_enough = OllangQualityBranchOperator(
        task_id="good_enough",
        evaluation=evaluate.output,
        min_scores=BAR,
        follow_task_ids_if_passed="deliver_files",
        follow_task_ids_if_failed="rerun_once_more",
        deferrable=True,
        poll_interval=POKE_INTERVAL,
    )
    once_more = OllangRerunOperator(
        task_id="rerun_once_more",
        order_id=wait.output,
        wait_for_completion=True,
        deferrable=True,
        poll_interval=POKE_INTERVAL,
        timeout=timedelta(days=2),
    )
    evaluate_again = OllangEvaluateOrderOperator(task_id="evaluate_again", order_id=once_more.output)
    good_enough_now = OllangQualityBranchOperator(
        task_id="good_enough_now",
        evaluation=evaluate_again.output,
        min_scores=BAR,
        follow_task_ids_if_passed="deliver_files",
        follow_task_ids_if_failed="ask_a_person",
        deferrable=True,
        poll_interval=POKE_INTERVAL,
    )
    ask_a_person = ApprovalOperator(
        task_id="ask_a_person",
        subject="Deliver order {{ params.order_id }} below the bar?",
        body=(
            "Below the bar after two runs:\n\n"
            "{% for one in ti.xcom_pull('good_enough_now')['criteria'] if not one.passed %}"
            "- {{ one.name }}: {{ one.score }}, at least {{ one.minimum }}\n"
            "{% endfor %}"
        ),
    )
    deliver = OllangToObjectStorageOperator(
        task_id="deliver_files",
        # The second is None if there was no second rerun; the newest one counts.
        rerun=[rerun.output, once_more.output],
        destination="{{ params.destination }}",
        trigger_rule="none_failed_min_one_success",
    )

    @task
    def hand_on(delivery: dict[str, Any]) -> list[str]:
        """Stand in for the next step of the pipeline: a player, a CMS, an archive."""
        return [file["path"] for file in delivery["files"]]

    good_enough >> [once_more, deliver]
    good_enough_now >> [ask_a_person, deliver]
    ask_a_person >> deliver
    hand_on(deliver.output)


ollang_localize_order()
