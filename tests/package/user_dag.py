"""A DAG as a careful user writes it, with every public name of the provider and real arguments: checked by mypy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, Param, dag, task
from airflow.triggers.base import TriggerEvent

from airflow_provider_ollang.client.aio import OllangAsyncClient
from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangAuthenticationError,
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangInsufficientCreditsError,
    OllangNotFoundError,
    OllangOrderFailedError,
    OllangOrderNotEligibleError,
    OllangOrderNotFoundError,
    OllangOutcomeUnknownError,
    OllangPermanentError,
    OllangQualityError,
    OllangRateLimitError,
    OllangRequestRefusedError,
    OllangStaleResultError,
    OllangTimeoutError,
    OllangTransientError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators.cancel import OllangCancelHumanReviewOperator, OllangCancelOrderOperator
from airflow_provider_ollang.operators.ollang import OllangGetOrderOperator, OllangRerunOperator
from airflow_provider_ollang.operators.orders import OllangCreateOrderOperator
from airflow_provider_ollang.operators.quality import (
    OllangEvaluateOrderOperator,
    OllangQualityBranchOperator,
    OllangQualityGateOperator,
)
from airflow_provider_ollang.operators.review import OllangHumanReviewOperator
from airflow_provider_ollang.retry_policy import OllangRetryPolicy
from airflow_provider_ollang.sandbox import SIGNATURE, Behaviour, Sandbox, SandboxError
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from airflow_provider_ollang.transfers.object_storage_to_ollang import ObjectStorageToOllangOperator
from airflow_provider_ollang.transfers.ollang_to_object_storage import OllangToObjectStorageOperator
from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger

CONNECTION = "ollang_production"
A_PERSON_MUST_LOOK = (OllangOutcomeUnknownError, OllangStaleResultError, OllangQualityError)
WRONG_SETUP = (OllangConfigurationError, OllangAuthenticationError, OllangAccessDeniedError, OllangOrderNotFoundError)
WRONG_PROJECT = (OllangNotFoundError,)
NOT_NOW = (
    OllangInsufficientCreditsError,
    OllangOrderNotEligibleError,
    OllangRequestRefusedError,
    OllangBadRequestError,
)


def explain(context: Context) -> None:
    """Say in one line what to do about a failed task."""
    error = context.get("exception")
    match error:
        case OllangOrderFailedError() | OllangTimeoutError():
            text = f"order {error.order_id} needs a look in Ollang"
        case OllangRateLimitError() | OllangUnavailableError():
            text = f"Ollang is busy; next try in {error.retry_after or 60:.0f} s"
        case OllangTransientError():
            text = "it will be tried again"
        case OllangPermanentError() if isinstance(error, A_PERSON_MUST_LOOK + WRONG_SETUP + WRONG_PROJECT + NOT_NOW):
            text = f"{error.code or error.status_code}: {error.detail or error}"
        case OllangError():
            text = f"{error.method} {error.path}"
        case _:
            text = "not about Ollang"
    print(text)  # noqa: T201 - a sample


@dag(
    schedule=None,
    params={"order_id": Param("60b8d6f1e1b9b1d8c6c0d8e1", type="string")},
    default_args={"retries": 2, "on_failure_callback": explain},
)
def subtitles() -> None:
    """Judge an order, rerun it where it is not good enough, wait, and deliver."""
    check = OllangGetOrderOperator(
        task_id="check", order_id="{{ params.order_id }}", fields=["id", "name"], ollang_conn_id=CONNECTION
    )
    evaluate = OllangEvaluateOrderOperator(
        task_id="evaluate", order_id=check.output, criteria=["Accuracy", "Fluency"], ollang_conn_id=CONNECTION
    )
    gate = OllangQualityGateOperator(
        task_id="gate",
        evaluation=evaluate.output,
        min_scores={"Accuracy": 80, "Fluency": 75.5},
        on_below="report",
        timeout=timedelta(minutes=30),
        ollang_conn_id=CONNECTION,
    )
    rerun = OllangRerunOperator(
        task_id="rerun",
        order_id=check.output,
        skip_if_passed=gate.output,
        on_running="attach",
        on_unknown_outcome="fail",
        reconcile_timeout=timedelta(minutes=5),
        retry_policy=OllangRetryPolicy(),
        ollang_conn_id=CONNECTION,
    )
    wait = OllangOrderStatusSensor(
        task_id="wait",
        rerun=rerun.output,
        target_statuses={"completed", "delivered"},
        poke_interval=timedelta(minutes=2),
        timeout=timedelta(days=2),
        deferrable=True,
        ollang_conn_id=CONNECTION,
    )
    deliver = OllangToObjectStorageOperator(
        task_id="deliver",
        rerun=rerun.output,
        destination="file:///tmp/subtitles",
        kinds={"output"},
        ollang_conn_id=CONNECTION,
    )
    branch = OllangQualityBranchOperator(
        task_id="branch",
        order_id=wait.output,
        min_average=80,
        on_missing="pass",
        follow_task_ids_if_passed="publish",
        follow_task_ids_if_failed=["ask_a_person"],
        ollang_conn_id=CONNECTION,
    )

    @task
    def publish(delivered: Any) -> list[str]:
        return [file["path"] for file in delivered["files"]]

    @task
    def ask_a_person() -> str:
        hook = OllangHook(CONNECTION)
        newest = next(iter(hook.list_orders(status="completed", page_size=1)), None)
        return str((newest or hook.get_order("60b8d6f1e1b9b1d8c6c0d8e1"))["name"])

    wait >> deliver
    branch >> [publish(deliver.output), ask_a_person()]


subtitles()


@dag(schedule=None, params={"source": Param("s3://media/film.mp4", type="string")})
def from_video_to_languages() -> None:
    """Send a video, order languages, have people review them, and cancel what nobody needs."""
    upload = ObjectStorageToOllangOperator(
        task_id="upload", source="{{ params.source }}", source_language="en", ollang_conn_id=CONNECTION
    )
    create = OllangCreateOrderOperator(
        task_id="create",
        project_id=upload.output,
        order_type="subtitle",
        target_languages=["fr", "pt-PT"],
        min_credits=500,
        ollang_conn_id=CONNECTION,
    )
    wait = OllangOrderStatusSensor.partial(task_id="wait", deferrable=True).expand(order_id=create.output)
    review = OllangHumanReviewOperator.partial(task_id="review", wait_for_completion=True).expand(
        order_id=create.output
    )
    cancel = OllangCancelOrderOperator.partial(task_id="cancel", on_too_late="ignore").expand(order_id=create.output)
    stop = OllangCancelHumanReviewOperator(task_id="stop", order_id="{{ params.source }}", on_too_late="skip")
    wait >> review >> [cancel, stop]


from_video_to_languages()


async def look_once(hook: OllangHook, order_id: str) -> str:
    """Read an order in a trigger of the user's own."""
    reader: OllangAsyncClient
    async with hook.async_client() as reader:
        return str((await reader.get_order(order_id))["status"])


def events(trigger: OllangOrderStatusTrigger) -> AsyncIterator[TriggerEvent]:
    """Run the provider's trigger by hand."""
    return trigger.run()


def try_it_locally() -> str:
    """Use the sandbox in a test of the user's own."""
    try:
        with Sandbox(speed=0, behaviour=Behaviour(run_seconds=10.0, end_status="delivered")) as ollang:
            order_id = ollang.add_order(type="subtitle")
            ollang.advance(12)
            return f"{ollang.connection_json} {order_id} {SIGNATURE}"
    except SandboxError as error:
        return str(error)


if TYPE_CHECKING:
    # What a user gets wrong is found where it is written: mypy complains of an ignore that nothing needs.
    OllangGetOrderOperator(task_id="no_order")  # type: ignore[call-arg]
    OllangRerunOperator(task_id="misspelt", order_id="1", on_running="jion")  # type: ignore[arg-type]
    OllangQualityGateOperator(task_id="text", min_average="80")  # type: ignore[arg-type]
    OllangOrderStatusSensor(task_id="number", order_id="1", stale_timeout="1 day")  # type: ignore[arg-type]
    OllangHook().get_order("1").status  # type: ignore[attr-defined]  # noqa: B018 - never run
    Behaviour(run_seconds="10")  # type: ignore[arg-type]
