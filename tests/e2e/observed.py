"""What can be seen of a wait on a whole Airflow, so that it can be compared with another one."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet

from airflow_provider_ollang.runtime.wait import GRACE

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from airflow_provider_ollang.sandbox.request_log import LoggedRequest
    from dev.stack import AirflowStack

_LOUD = {"info", "warning", "error", "critical"}
_MASKED = re.compile(r"\d{4}-\d\d-\d\dT[\d:.+Z]+|\b[0-9a-f]{24}\b|\bdoc_\w+|\beval_\w+|:\d{4,5}\b|(?<=Waited )[\d.]+")

#: What the triggerer adds to a timeout on a machine that is so busy that a short wait is over before it gets there.
_STARTED_LATE = re.compile(r" It began in the triggerer \d+ s after its deadline\..* synchronise them\.")


def masked(value: Any) -> Any:
    """Return JSON without ids and times."""
    if isinstance(value, dict):
        return {key: masked(one) for key, one in value.items()}
    if isinstance(value, list):
        return [masked(one) for one in value]
    return _MASKED.sub("*", _STARTED_LATE.sub("", value)) if isinstance(value, str) else value


def tries(airflow: AirflowStack, dag_id: str, run_id: str, task: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what each try logged, by our own loggers from INFO on, and the error it ended in."""
    found = []
    for number in range(1, task["try_number"] + 1):
        entries = airflow.log_entries(dag_id, run_id, task["task_id"], try_number=number)
        ours = [entry for entry in entries if "airflow_provider_ollang" in str(entry.get("logger"))]
        errors = [error for entry in entries for error in entry.get("error_detail") or []]
        found.append(
            {
                "lines": sorted(
                    f"{entry['level']}: {masked(entry['event'])}" for entry in ours if entry["level"] in _LOUD
                ),
                "errors": [(error["exc_type"], masked(error["exc_value"])) for error in errors],
            }
        )
    return found


def outcome(airflow: AirflowStack, dag_id: str, run_id: str, task: dict[str, Any]) -> dict[str, Any]:
    """Return how a wait ended, comparable."""
    return {
        "state": task["state"],
        "result": masked(airflow.xcom(dag_id, run_id, task["task_id"])),
        "tries": tries(airflow, dag_id, run_id, task),
    }


def looks(ollang: Sandbox, order_id: str) -> list[LoggedRequest]:
    """Return the looks at an order so far."""
    return ollang.requests("GET", f"/integration/orders/{order_id}")


@dataclass(frozen=True)
class StoredTrigger:
    """
    A deferral as it stands in Airflow's database; REST tells neither its arguments nor its end.

    :param arguments: of the trigger.
    :param owner: the number of the triggerer that has it.
    :param airflow_ends_it_at: when Airflow itself ends it, in epoch seconds.
    """

    arguments: dict[str, Any]
    owner: int | None
    airflow_ends_it_at: float

    @property
    def deadline(self) -> float:
        """When the wait itself ends; begun in the triggerer, it counts back from Airflow's end."""
        given: float | None = self.arguments.get("deadline")
        return self.airflow_ends_it_at - GRACE.total_seconds() if given is None else given


def stored_trigger(airflow: AirflowStack, run_id: str, task_id: str) -> StoredTrigger | None:
    """Return what a deferred task waits for, or None if it is not deferred."""
    with closing(sqlite3.connect(f"file:{airflow.home}/airflow.db?mode=ro", uri=True)) as database:
        row = database.execute(
            """
            SELECT trigger.kwargs, trigger.triggerer_id, task_instance.trigger_timeout
            FROM task_instance JOIN trigger ON trigger.id = task_instance.trigger_id
            WHERE run_id = ? AND task_id = ? AND state = 'deferred'
            """,
            (run_id, task_id),
        ).fetchone()
    if row is None:
        return None
    arguments, owner, end = row
    # Airflow encrypts what the scheduler stores, but not what comes from a worker.
    if not arguments.startswith("{"):
        arguments = Fernet(airflow.env["AIRFLOW__CORE__FERNET_KEY"]).decrypt(arguments)
    return StoredTrigger(json.loads(arguments), owner, datetime.fromisoformat(end).replace(tzinfo=UTC).timestamp())
