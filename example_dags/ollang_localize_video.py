"""
Send a video to Ollang, order three languages, and deliver each next to the video once its scores are high enough.

A file arrives -> upload -> create the orders -> for each language: wait, evaluate, gate, deliver -> a summary with the
credits of the evaluations. No retry, crash or lost response uploads or orders twice.

    airflow dags test ollang_localize_video --conf '{"languages": ["fr", "pt-PT"]}'

With a scheduler, `airflow dags trigger` takes the same. Against a fresh sandbox it runs as it is; on Ollang itself
orders and evaluations are billed.

The param `source` takes any object storage, such as `s3://aws_default@media/film.mp4`.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import ObjectStoragePath, Param, dag, task, task_group

from airflow_provider_ollang.operators.orders import OllangCreateOrderOperator
from airflow_provider_ollang.operators.quality import OllangEvaluateOrderOperator, OllangQualityGateOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from airflow_provider_ollang.transfers.object_storage_to_ollang import ObjectStorageToOllangOperator
from airflow_provider_ollang.transfers.ollang_to_object_storage import OllangToObjectStorageOperator

POKE_INTERVAL = timedelta(seconds=float(os.environ.get("OLLANG_POKE_INTERVAL", "60")))
SAMPLE = "file:///tmp/ollang/film.mp4"


@dag(
    schedule=None,
    params={
        "source": Param(SAMPLE, type="string", minLength=1, description="The video, in any object storage"),
        "languages": Param(
            ["fr", "de", "es"],
            type="array",
            items={"type": "string"},
            minItems=1,
            description="Its target languages; each is an order, which is billed",
        ),
        "min_accuracy": Param(80, type="number", minimum=0, maximum=100, description="The least accuracy to deliver"),
    },
    default_args={"retries": 2, "retry_delay": POKE_INTERVAL},
    tags=["ollang"],
    doc_md=__doc__,
)
def ollang_localize_video() -> None:
    @task.sensor(mode="reschedule", poke_interval=POKE_INTERVAL.total_seconds(), timeout=24 * 3600)
    def file_arrives(params: dict[str, Any]) -> bool:
        """Wait for the video; a real pipeline would be scheduled by an asset instead."""
        source = ObjectStoragePath(params["source"])
        if params["source"] == SAMPLE and not source.exists():
            # So that this DAG runs as it is: the sandbox takes anything for a video.
            source.parent.mkdir(parents=True, exist_ok=True)
            source.write_bytes(b"not a real film" * 65536)
        return source.exists()

    upload = ObjectStorageToOllangOperator(task_id="upload", source="{{ params.source }}", source_language="en")
    create = OllangCreateOrderOperator(
        task_id="create_orders",
        project_id=upload.output,
        order_type="subtitle",
        target_languages="{{ params.languages | join(',') }}",
    )

    @task_group
    def localize(order: dict[str, Any]) -> Any:
        """Take one language from its order to its delivered files."""
        wait = OllangOrderStatusSensor(
            task_id="wait",
            order_id=order,
            deferrable=True,
            poke_interval=POKE_INTERVAL.total_seconds(),
            timeout=timedelta(days=2),
        )
        evaluate = OllangEvaluateOrderOperator(task_id="evaluate", order_id=wait.output)
        gate = OllangQualityGateOperator(
            task_id="gate",
            evaluation=evaluate.output,
            min_scores={"Accuracy": "{{ params.min_accuracy }}"},
            deferrable=True,
            poll_interval=POKE_INTERVAL,
        )
        deliver = OllangToObjectStorageOperator(
            task_id="deliver", order_id=wait.output, destination="{{ params.source }}.localized"
        )

        @task
        def describe(order: dict[str, Any], evaluation: dict[str, Any], delivery: dict[str, Any]) -> dict[str, Any]:
            """Collect what one language came to."""
            return {
                "language": order["target_language"],
                "credits": evaluation["credits_used"],
                "files": [file["path"] for file in delivery["files"]],
            }

        gate >> deliver
        return describe(order, evaluate.output, deliver.output)

    @task(trigger_rule="all_done")
    def summary(results: Any, params: dict[str, Any]) -> list[str]:
        """Say what was delivered, and what its evaluations cost; fail if a language is missing."""
        # Airflow hands on what a mapped group returned as a list, a single result bare, and no result as None.
        finished = [results] if isinstance(results, dict) else list(results or [])
        lines = [
            f"{result['language']}: {len(result['files'])} file(s), {result['credits']} credits for its evaluation"
            for result in finished
        ]
        if len(finished) < len(params["languages"]):
            raise AirflowFailException(f"{len(finished)} of {len(params['languages'])} languages were delivered.")
        return lines

    file_arrives() >> upload
    summary(localize.expand(order=create.output))


ollang_localize_video()
