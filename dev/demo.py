"""`make demo`: a real Airflow reruns an order, waits for the new result, has it evaluated and delivers its files.

On the way the task that asks for the rerun is killed, right after Ollang has accepted it. What is printed is read back
from Airflow's REST API and the sandbox's request log; nothing is printed by the DAG. With `OLLANG_API_KEY` and
`ORDER_ID` set it only reruns that order, on the live service, after asking.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_ollang.sandbox import SIGNATURE, Sandbox
from dev import story
from dev.leaks import find_leaks
from dev.processes import Interrupted, StackError, interruptible, wait_until
from dev.stack import AirflowStack

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
SANDBOX_DAG = "ollang_localize_order"
LIVE_DAG = "ollang_rerun_order"
RERUN_TASK = "rerun_order"
# The order on the vendor's page "Get Order by ID", which every sandbox starts with.
SANDBOX_ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
SPEED = 4.0
# In sandbox seconds: long enough at this speed for a look at every turn of the story.
BEHAVIOUR = {
    "status_hidden_for": 24.0,
    "run_seconds": 44.0,
    "outputs_after": 12.0,
    "sign_links": True,
    "links": "served",
}
LIVE_LIMIT = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Live:
    """An order of the live service."""

    api_key: str
    order_id: str
    host: str = ""

    @property
    def connection(self) -> str:
        """The value of an `AIRFLOW_CONN_…` variable."""
        fields = {"conn_type": "ollang", "password": self.api_key}
        return json.dumps(fields | ({"host": self.host} if self.host else {}))


def live_order(environ: Mapping[str, str]) -> Live | None:
    """Return the live order to rerun, or None where the sandbox is to be used."""
    api_key, order_id = environ.get("OLLANG_API_KEY", "").strip(), environ.get("ORDER_ID", "").strip()
    if bool(api_key) != bool(order_id):
        missing = "ORDER_ID" if api_key else "OLLANG_API_KEY"
        raise StackError(f"{missing} is not set: the live service takes both, the sandbox neither.")
    return Live(api_key, order_id) if api_key else None


def is_confirmed(order: Live, environ: Mapping[str, str]) -> bool:
    """Say what would happen on the live service, and ask."""
    print(f"This reruns order {order.order_id} on the LIVE service. The rerun may be billed.", flush=True)
    if environ.get("CONFIRM") == "yes":
        return True
    if not sys.stdin.isatty():
        print("Nothing was sent. To go on without being asked, set CONFIRM=yes.")
        return False
    if input("Go on? [y/N] ").strip().lower() in ("y", "yes"):
        return True
    print("Nothing was sent.")
    return False


def main() -> int:
    """Run the demo.

    :return: 0 if all went as it should, 1 if not, 2 if the live run was not confirmed.
    """
    try:
        with interruptible():
            order = live_order(os.environ)
            if order is None:
                return on_sandbox()
            return on_live(order) if is_confirmed(order, os.environ) else 2
    except Interrupted as signal_seen:
        print("interrupted; everything is stopped", file=sys.stderr)
        return signal_seen.exit_code
    except StackError as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1


def on_sandbox() -> int:
    """Localize the sandbox's order, tell the story and check it."""
    print("A local Ollang sandbox stands in for the service; nothing leaves this machine.")
    with (
        Sandbox(api_key=f"demo-key-{secrets.token_hex(12)}", speed=SPEED, behaviour=BEHAVIOUR) as ollang,
        tempfile.TemporaryDirectory(prefix="ollang-demo-files-") as folder,
    ):
        env = {"AIRFLOW_CONN_OLLANG_DEFAULT": ollang.connection_json, "OLLANG_POKE_INTERVAL": "2"}
        conf = {"order_id": SANDBOX_ORDER, "destination": f"file://{folder}"}
        with _airflow(env) as airflow:
            run_id = _trigger(airflow, SANDBOX_DAG, conf)
            pid = kill_once_accepted(airflow, run_id, ollang)
            run = _finish(airflow, SANDBOX_DAG, run_id, timeout=120)
            airflow.stop()
            leaks = find_leaks(airflow.home, {"API key": ollang.api_key, "link signature": SIGNATURE})
        request_log = [entry.as_json() for entry in ollang.request_log]
        report = ollang.order(SANDBOX_ORDER)
        delivered = check_files(run.returned("deliver_files"), ollang)
    _tell_tasks(run)
    reruns, connections = report["reruns_accepted"], len({entry["connection"] for entry in request_log})
    rerun = next(task for task in run.all_tasks if task.name == RERUN_TASK)
    reconnected = isinstance(rerun.returned, Mapping) and rerun.returned["reconnected"] is True
    print(f"\n{story.killed(RERUN_TASK, pid=pid, tries=rerun.tries, reconnected=reconnected, reruns=reruns)}")
    print(f"\nThe order, by the sandbox's request log (its seconds after the rerun; {SPEED:g} pass in a real one)")
    _show(story.stage_lines(story.stages(report, request_log)))
    _tell_evidence(run)
    print("\nIts scores")
    _show(story.score_lines(run.returned("good_enough")))
    print("\nIts files")
    _show(story.file_lines(delivered))
    print()
    print(
        story.proof(
            reruns=reruns,
            requests=len(request_log),
            connections=connections,
            starts=run.worker_starts,
            leaks=len(leaks),
        )
    )
    wrong = [] if reconnected and rerun.tries > 1 else ["the rerun task was not killed, retried and reconnected"]
    wrong += [] if delivered and all(delivered.values()) else ["not every file that was delivered is whole"]
    return verdict(run, reruns, leaks, wrong)


def kill_once_accepted(airflow: AirflowStack, run_id: str, ollang: Sandbox) -> int:
    """Kill the process that asks for the rerun, as soon as it was accepted; return its id."""

    def running() -> int | None:
        tasks = {one["task_id"]: one for one in airflow.task_instances(SANDBOX_DAG, run_id)}
        task = tasks[RERUN_TASK]
        return int(task["pid"]) if task["state"] == "running" and task["pid"] else None

    pid = wait_until(running, 60, "the rerun task to start")
    wait_until(lambda: ollang.order(SANDBOX_ORDER)["reruns_accepted"] or None, 60, "the rerun", every=0.02)
    os.kill(pid, signal.SIGKILL)
    print(f"Ollang has accepted the rerun: process {pid} of {RERUN_TASK} is killed (SIGKILL) …", flush=True)
    return pid


def check_files(delivery: Any, ollang: Sandbox) -> dict[str, bool]:
    """Tell of each file that was delivered whether it is there, whole, and what the sandbox has."""
    found = {}
    for file in delivery["files"] if isinstance(delivery, Mapping) else []:
        path = Path(urlsplit(file["path"]).path)
        content = path.read_bytes() if path.is_file() else b""
        sums = {hashlib.sha256(content).hexdigest(), file["sha256"]}
        if file["document_id"]:
            sums.add(ollang.content(SANDBOX_ORDER, file["document_id"]).sha256())
        found[f"{path.name}  {file['bytes']} bytes  sha256 {file['sha256'][:16]}…"] = len(sums) == 1
    return found


def on_live(order: Live) -> int:
    """Rerun an order of the live service; what only a sandbox can tell is left out."""
    with _airflow({"AIRFLOW_CONN_OLLANG_DEFAULT": order.connection}) as airflow:
        run_id = _trigger(airflow, LIVE_DAG, {"order_id": order.order_id})
        run = _finish(airflow, LIVE_DAG, run_id, timeout=LIVE_LIMIT)
        airflow.stop()
        leaks = find_leaks(airflow.home, {"API key": order.api_key, "link signature": "Signature="})
    _tell_tasks(run)
    _tell_evidence(run)
    receipts = [task.returned for task in run.all_tasks if _is_receipt(task.returned)]
    reruns = sum(not receipt["reconnected"] for receipt in receipts)
    print(
        f"\nproof: reruns accepted {reruns} (by receipt) · worker starts {run.worker_starts} · "
        f"key or link signatures found in Airflow's logs {len(leaks)}"
    )
    return verdict(run, reruns, leaks, [])


@dataclass(frozen=True)
class Run:
    """A finished run, as Airflow's REST API tells it."""

    state: str
    all_tasks: list[story.TaskPart]
    worker_starts: int
    failures: str

    @property
    def result(self) -> Any:
        """The result of the wait for the rerun."""
        for task in self.all_tasks:
            if isinstance(task.returned, Mapping) and "evidence" in task.returned:
                return task.returned
        return None

    def returned(self, task_id: str) -> Any:
        """Return what a task returned."""
        return next((task.returned for task in self.all_tasks if task.name == task_id), None)


def _airflow(env: Mapping[str, str]) -> AirflowStack:
    print("starting Airflow: API server, scheduler, DAG processor, triggerer …", flush=True)
    return AirflowStack(dags_folders=[ROOT / "example_dags"], env=env)


def _trigger(airflow: AirflowStack, dag_id: str, conf: Mapping[str, str]) -> str:
    run_id = airflow.trigger(dag_id, conf)
    print(f"Airflow runs; DAG {dag_id} is triggered for order {conf['order_id']} …", flush=True)
    return run_id


def _finish(airflow: AirflowStack, dag_id: str, run_id: str, timeout: float) -> Run:
    started = time.monotonic()
    state = airflow.wait_for_run(dag_id, run_id, timeout=timeout)
    print(f"its run ended after {time.monotonic() - started:.0f} s: {state}", flush=True)
    return read_run(airflow, dag_id, run_id, state)


def read_run(airflow: AirflowStack, dag_id: str, run_id: str, state: str) -> Run:
    """Read back what became of each task."""
    instances = airflow.task_instances(dag_id, run_id)
    starts: dict[str, list[str]] = defaultdict(list)
    for event in airflow.worker_start_events(dag_id, run_id):
        starts[event["task_id"]].append(event["when"])
    results = {one["task_id"]: airflow.xcom(dag_id, run_id, one["task_id"]) for one in instances}
    downstream = {
        task["task_id"]: task["downstream_task_ids"] or [] for task in airflow.pages(f"/dags/{dag_id}/tasks", "tasks")
    }
    parts = [
        story.TaskPart(
            name=one["task_id"],
            state=str(one["state"]),
            # A task that was rescheduled has the last start as its own.
            seconds=story.seconds_between(min(starts[one["task_id"]], default=None), one["end_date"]),
            worker_starts=len(starts[one["task_id"]]),
            tries=int(one["try_number"]),
            got={
                name: results[name]
                for name, following in downstream.items()
                if one["task_id"] in following and results.get(name) is not None
            },
            returned=results[one["task_id"]],
            is_last=not downstream.get(one["task_id"]),
        )
        for one in instances
    ]
    failures = "\n".join(
        f"{one['task_id']}:\n{airflow.logs(dag_id, run_id, one['task_id'], try_number=one['try_number'])[-3000:]}"
        for one in instances
        if one["state"] == "failed"
    )
    return Run(state=state, all_tasks=parts, worker_starts=sum(map(len, starts.values())), failures=failures)


def _is_receipt(value: Any) -> bool:
    return isinstance(value, Mapping) and {"reconnected", "baseline", "requested_at"} <= value.keys()


def _tell_tasks(run: Run) -> None:
    print("\nThe tasks, by Airflow's REST API")
    _show(story.task_lines(run.all_tasks))


def _tell_evidence(run: Run) -> None:
    print("\nWhy the result is the rerun's and not the old one")
    _show(story.evidence_lines(run.result))


def _show(lines: list[str]) -> None:
    for line in lines:
        print(line)


def verdict(run: Run, reruns: int, leaks: list[str], found: Sequence[str]) -> int:
    """Say what is wrong, `found` and if anything else; return the exit code."""
    wrong = list(found)
    if run.state != "success":
        wrong.append(f"the run ended as {run.state!r}\n{run.failures}".rstrip())
    if reruns != 1:
        wrong.append(f"{reruns} reruns were accepted, not 1")
    if not isinstance(run.result, Mapping) or not run.result.get("evidence"):
        wrong.append("no task gave evidence of the new result")
    wrong += [f"found where it must not be: {leak}" for leak in leaks]
    for words in wrong:
        print(f"The demo failed: {words}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
