"""Worker starts per finished wait on a real Airflow, by its own audit log."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from benchmarks.server import Server
from benchmarks.table import Row
from dev.processes import StackError, wait_until
from dev.stack import AirflowStack

DAG_ID = "benchmark_waits"
BARS: dict[str, int | None] = {"poke": 1, "deferrable": 2, "start_from_trigger": 1, "dbt_cloud": None}
WAITS_OF_A_KIND = 3
NAMES = {"dbt_cloud": "dbt Cloud's sensor, deferrable"}


def rows(*, quick: bool) -> list[Row]:  # noqa: ARG001 - there is no quicker way
    """Measure."""
    dags = Path(__file__).parent / "dags"
    with Server(orders=WAITS_OF_A_KIND) as server, AirflowStack(dags_folders=[dags], env=server.env) as airflow:
        run_id = airflow.trigger(DAG_ID)

        def all_wait() -> bool:
            states = Counter(task["state"] for task in airflow.task_instances(DAG_ID, run_id))
            return states == {"running": WAITS_OF_A_KIND, "deferred": WAITS_OF_A_KIND * (len(BARS) - 1)}

        wait_until(all_wait, 120, "waits of every kind")
        # A worker outlives its task's deferral by a second, and Airflow fails a task that is back by then.
        time.sleep(3)
        server.finish_all()
        if airflow.wait_for_run(DAG_ID, run_id, timeout=120) != "success":
            raise StackError(f"a wait failed: {[t['task_id'] for t in airflow.task_instances(DAG_ID, run_id)]}")
        starts = Counter(event["task_id"].rpartition("_")[0] for event in airflow.worker_start_events(DAG_ID, run_id))
    return [
        Row(
            f"worker starts per finished wait: {NAMES.get(kind, kind)}",
            starts[kind] / WAITS_OF_A_KIND,
            bar,
            f"{starts[kind]} starts, {WAITS_OF_A_KIND} waits",
        )
        for kind, bar in BARS.items()
    ]
