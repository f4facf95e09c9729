"""A deferred rerun is cleared as a person does it in the UI, whatever this Airflow does to the task's state then."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from dev.processes import wait_until
from tests.installed_airflow import needs_task_state_store

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack

DAG_ID, TASK_ID, RECORD = "e2e_clear", "rerun", "ollang_rerun"
LIMIT = 120
#: Airflow fails a task that is back from its deferral before its last worker has ended.
STAY_AWAY = 4.0


@needs_task_state_store
def test_cleared_deferred_rerun_reconnects(airflow: AirflowStack, ollang: Sandbox) -> None:
    """One is cleared as this Airflow clears, of the other the state is discarded, too."""
    behaviour = {"rerun_while_running": "accept", "end_status": None, "status_path": [[0, "ongoing"]]}
    orders = [ollang.add_order(type="subtitle", behaviour=behaviour) for _ in range(2)]
    runs = [airflow.trigger(DAG_ID, {"order_id": order_id}) for order_id in orders]
    _until_deferred(airflow, runs, try_number=1)
    stores = [f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{TASK_ID}/state-store/{RECORD}" for run_id in runs]
    assert all(airflow.request("GET", store).ok for store in stores)
    airflow.api("DELETE", stores[1])
    for run_id in runs:
        airflow.clear(DAG_ID, run_id, [TASK_ID])
    _until_deferred(airflow, runs, try_number=2)
    assert [ollang.order(order_id)["reruns_accepted"] for order_id in orders] == [1, 1]
    for order_id in orders:
        ollang.change_order(order_id, status="completed")
    for run_id in runs:
        airflow.wait_for_run(DAG_ID, run_id, LIMIT)
        receipt = airflow.xcom(DAG_ID, run_id, TASK_ID)
        assert (receipt["reconnected"], receipt["result"]["evidence"]) == (True, ["running"])
    assert [ollang.order(order_id)["reruns_accepted"] for order_id in orders] == [1, 1]


def _until_deferred(airflow: AirflowStack, runs: list[str], *, try_number: int) -> None:
    since: list[float] = []

    def stay_away() -> bool:
        tasks = [task for run_id in runs for task in airflow.task_instances(DAG_ID, run_id)]
        if {(task["state"], task["try_number"]) for task in tasks} != {("deferred", try_number)}:
            since.clear()
        elif not since:
            since.append(time.monotonic())
        return bool(since) and time.monotonic() - since[0] >= STAY_AWAY

    wait_until(stay_away, LIMIT, f"try {try_number} in the triggerer")
