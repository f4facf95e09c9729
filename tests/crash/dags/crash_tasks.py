"""Tasks whose tries kill themselves where they are told to; what they run is the provider as it is shipped."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

from airflow.sdk import DAG, BaseOperator, Context, get_current_context, task

from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.operators.orders import OllangCreateOrderOperator
from airflow_provider_ollang.operators.quality import OllangEvaluateOrderOperator
from airflow_provider_ollang.operators.review import OllangHumanReviewOperator
from airflow_provider_ollang.runtime.source_file import SourceReader
from airflow_provider_ollang.runtime.submission_record import SubmissionRecord
from airflow_provider_ollang.transfers.object_storage_to_ollang import ObjectStorageToOllangOperator


class SelfKilling(BaseOperator):
    """
    Kills its own process at a point.

    :param kill_at: ``["before"` or ``"after", state, …]``: around the writing of such a record; ``["resume"]``: when it
        comes back from its deferral; ``["body"]``: when it has sent half of a file; nothing: lives.
    :param killed_tries: so many tries die, from the first one on.
    """

    def __init__(self, *, kill_at: Sequence[str] = (), killed_tries: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kill_at = kill_at
        self.killed_tries = killed_tries

    def execute(self, context: Context) -> Any:
        self._prepare(context)
        return super().execute(context)

    def _prepare(self, context: Context) -> bool:
        self.log.info("This is process %d.", os.getpid())
        if not self.kill_at or context["ti"].try_number > self.killed_tries:
            return False
        when, *states = self.kill_at
        write = SubmissionRecord.write

        def write_and_die(record: SubmissionRecord[Any], state: Any, *arguments: Any, **options: Any) -> None:
            if when == "before" and state in states:
                self._die()
            write(record, state, *arguments, **options)
            if when == "after" and state in states:
                self._die()

        # This process runs nothing but this try.
        patch.object(SubmissionRecord, "write", write_and_die).start()
        return True

    def _die(self) -> NoReturn:
        self.log.warning("Killing process %d.", os.getpid())
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("it is dead")


class SelfKillingWait(SelfKilling):
    """Dies when it is back from its deferral, too."""

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        if self._prepare(context) and self.kill_at[0] == "resume":
            self._die()
        return super().execute_complete(context, event)  # type: ignore[misc]


class SelfKillingRerun(SelfKillingWait, OllangRerunOperator):
    """Dies around its request, and in its wait."""


class SelfKillingReview(SelfKillingWait, OllangHumanReviewOperator):
    """Likewise."""


class SelfKillingCreation(SelfKillingWait, OllangCreateOrderOperator):
    """Likewise."""


class SelfKillingUpload(SelfKilling, ObjectStorageToOllangOperator):
    """Dies around its request, and in the middle of it."""

    def _prepare(self, context: Context) -> bool:
        if not super()._prepare(context):
            return False
        if self.kill_at[0] == "body":
            left = Path(str(self.source)).stat().st_size // 2
            read = SourceReader.read

            def read_and_die(reader: SourceReader, size: int) -> bytes:
                nonlocal left
                if left <= 0:
                    self._die()
                piece = read(reader, size)
                left -= len(piece)
                return piece

            patch.object(SourceReader, "read", read_and_die).start()
        return True


class SelfKillingEvaluation(SelfKilling, OllangEvaluateOrderOperator):
    """Dies around its request."""


@task(retries=0)
def arguments_of_each() -> list[dict[str, Any]]:
    """Return what each task is given; once cleared, in the opposite order if the run says so."""
    context = get_current_context()
    given: list[dict[str, Any]] = context["params"]["given"]
    turned = context["params"]["turn"] and context["ti"].try_number > 1
    return given[::-1] if turned else given


for dag_id, retry_delay, task_id, operator in (
    ("crash_reruns", 1, "rerun", SelfKillingRerun),
    ("crash_slow_retries", 15, "rerun", SelfKillingRerun),
    ("crash_reviews", 1, "review", SelfKillingReview),
    ("crash_evaluations", 1, "evaluate", SelfKillingEvaluation),
    ("crash_creations", 1, "create", SelfKillingCreation),
    ("crash_uploads", 1, "upload", SelfKillingUpload),
):
    with DAG(
        dag_id,
        schedule=None,
        params={"given": [], "turn": False},
        max_active_tasks=1000,
        default_args={"retries": 2, "retry_delay": timedelta(seconds=retry_delay)},
    ):
        operator.partial(task_id=task_id).expand_kwargs(arguments_of_each())
