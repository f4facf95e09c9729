"""`make demo`: a real Airflow takes a video from its upload to three delivered languages, and then reruns an order.

The task that submits the rerun is killed right after Ollang has accepted it. What is printed is read from Airflow's
REST API and the sandbox's log. With `OLLANG_API_KEY` and `ORDER_ID` set it only reruns that order, live, after asking.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_ollang.sandbox import SIGNATURE, Sandbox
from dev.leaks import find_leaks
from dev.processes import Interrupted, StackError, interruptible, wait_until
from dev.stack import AirflowStack

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
VIDEO_DAG, SANDBOX_DAG, LIVE_DAG = "ollang_localize_video", "ollang_localize_order", "ollang_rerun_order"
LANGUAGES = ["fr", "de", "es"]
RERUN_TASK = "rerun_order"
# The order on the vendor's page "Get Order by ID", which every sandbox starts with.
SANDBOX_ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
SPEED = 4.0
# In sandbox seconds: long enough at this speed for a poll at every turn of the order.
BEHAVIOUR = {"status_hidden_for": 24, "run_seconds": 44, "outputs_after": 12, "sign_links": True, "links": "served"}
LIVE_TIMEOUT = 7 * 24 * 3600.0
_time = datetime.fromisoformat


@dataclass(frozen=True)
class Run:
    """A finished run: the tasks of Airflow's REST API, each with what it `returned` and its `worker_starts`."""

    state: str
    tasks: list[dict[str, Any]]

    def returned(self, task_id: str) -> Any:
        """Return what a task returned."""
        return next((task["returned"] for task in self.tasks if task["task_id"] == task_id), None)

    @property
    def evidence(self) -> Sequence[str]:
        """Why the result of the wait was taken for the rerun's."""
        results = (task["returned"] for task in self.tasks if isinstance(task["returned"], Mapping))
        return next((result["evidence"] for result in results if "evidence" in result), ())

    @property
    def worker_starts(self) -> int:
        """How often a worker started any of the tasks."""
        return sum(task["worker_starts"] for task in self.tasks)


def main() -> int:
    """Return 0 if all went as it should, 1 if not, 2 if the live run was not confirmed."""
    try:
        with interruptible():
            order = live_order(os.environ)
            if order is None:
                return on_sandbox()
            return on_live(*order) if is_confirmed(order[1], os.environ) else 2
    except Interrupted as interruption:
        print("interrupted; everything is stopped", file=sys.stderr)
        return interruption.exit_code
    except StackError as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1


def live_order(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the API key and the order of the live service, or None where the sandbox is to be used."""
    api_key, order_id = environ.get("OLLANG_API_KEY", "").strip(), environ.get("ORDER_ID", "").strip()
    if bool(api_key) != bool(order_id):
        missing = "ORDER_ID" if api_key else "OLLANG_API_KEY"
        raise StackError(f"{missing} is not set: the live service takes both, the sandbox neither.")
    return (api_key, order_id) if api_key else None


def is_confirmed(order_id: str, environ: Mapping[str, str]) -> bool:
    """Say what would happen on the live service, and ask."""
    print(f"This reruns order {order_id} on the LIVE service. The rerun may be billed.", flush=True)
    if environ.get("CONFIRM") == "yes":
        return True
    if sys.stdin.isatty() and input("Go on? [y/N] ").strip().lower() in ("y", "yes"):
        return True
    print("Nothing was sent. To go on without being asked, set CONFIRM=yes.")
    return False


def on_sandbox() -> int:
    """Localize a video, then rerun the sandbox's order; tell what happened, and check it."""
    print("A local Ollang sandbox stands in for the service; nothing leaves this machine.")
    with (
        Sandbox(
            api_key=f"demo-key-{secrets.token_hex(12)}",
            speed=SPEED,
            behaviour=BEHAVIOUR,
        ) as ollang,
        tempfile.TemporaryDirectory(prefix="ollang-demo-files-") as folder,
    ):
        conf = {"order_id": SANDBOX_ORDER, "destination": f"file://{folder}"}
        env = {"AIRFLOW_CONN_OLLANG_DEFAULT": ollang.connection_json, "OLLANG_POKE_INTERVAL": "2"}
        with _airflow(env) as airflow:
            video = localize_video(airflow, ollang, Path(folder))
            print("\nAn order is rerun, and its worker is killed on the way", flush=True)
            run_id = _trigger(airflow, SANDBOX_DAG, conf)
            pid = kill_once_accepted(airflow, run_id, ollang)
            run = read_run(airflow, SANDBOX_DAG, run_id, timeout=120)
            airflow.stop()
            leaks = find_leaks(airflow.home, {"API key": ollang.api_key, "link signature": SIGNATURE})
        requests = [entry.as_json() for entry in ollang.request_log]
        report = ollang.order(SANDBOX_ORDER)
        files = check_files(run.returned("deliver_files"), ollang)
    reruns = report["reruns_accepted"]
    tries = next(task["try_number"] for task in run.tasks if task["task_id"] == RERUN_TASK)
    reconnected = bool((run.returned(RERUN_TASK) or {}).get("reconnected"))
    tell_run(run)
    print(
        f"\nProcess {pid} of {RERUN_TASK} was killed after Ollang had accepted the rerun: try {tries} "
        f"{'reconnected to it' if reconnected else 'DID NOT RECONNECT TO IT'}; reruns accepted still {reruns}"
    )
    title = f"The order, by the sandbox's request log (its seconds after the rerun; {SPEED:g} pass in a real one)"
    _tell(title, timeline(report, requests))
    criteria = (run.returned("good_enough") or {"criteria": []})["criteria"]
    _tell("Its scores", [f"  {row['name']:<14} {row['score']}   minimum {row['minimum']}" for row in criteria])
    _tell("Its files", [f"  {name}  {'whole' if is_whole else 'NOT WHOLE'}" for name, is_whole in files.items()])
    connections = len({entry["connection"] for entry in requests})
    print(
        f"\nproof: reruns accepted {reruns} · requests {len(requests)} on {connections} connections · "
        f"worker starts {run.worker_starts} · key or link signatures found in Airflow's logs {len(leaks)}"
    )
    wrong = [] if reconnected and tries > 1 else ["the rerun task was not killed, retried and reconnected"]
    wrong += [] if files and all(files.values()) else ["not every file that was delivered is whole"]
    wrong += video
    return verdict(run, reruns, leaks, wrong)


def on_live(api_key: str, order_id: str) -> int:
    """Rerun an order of the live service; what only a sandbox can tell is left out."""
    env = {"AIRFLOW_CONN_OLLANG_DEFAULT": json.dumps({"conn_type": "ollang", "password": api_key})}
    with _airflow(env) as airflow:
        run_id = _trigger(airflow, LIVE_DAG, {"order_id": order_id})
        run = read_run(airflow, LIVE_DAG, run_id, timeout=LIVE_TIMEOUT)
        airflow.stop()
        leaks = find_leaks(airflow.home, {"API key": api_key, "link signature": "Signature="})
    tell_run(run)
    results = [task["returned"] for task in run.tasks if isinstance(task["returned"], Mapping)]
    reruns = sum(not result["reconnected"] for result in results if "reconnected" in result)
    print(f"\nproof: reruns accepted {reruns} (by receipt) · worker starts {run.worker_starts} · leaks {len(leaks)}")
    return verdict(run, reruns, leaks, [])


@contextmanager
def _airflow(env: Mapping[str, str]) -> Iterator[AirflowStack]:
    """Start an Airflow."""
    print("starting Airflow: API server, scheduler, DAG processor, triggerer …", flush=True)
    with AirflowStack(dags_folders=[ROOT / "example_dags"], env=env) as airflow:
        yield airflow


def _trigger(airflow: AirflowStack, dag_id: str, conf: Mapping[str, Any]) -> str:
    run_id = airflow.trigger(dag_id, conf)
    subject = conf.get("order_id") or Path(conf["source"]).name
    print(f"DAG {dag_id} is triggered for {subject} …", flush=True)
    return run_id


def localize_video(airflow: AirflowStack, ollang: Sandbox, folder: Path) -> list[str]:
    """Take a video from its upload to its delivered languages; tell it, and return what went wrong."""
    print(f"\nA video becomes {len(LANGUAGES)} languages", flush=True)
    source = folder / "film.mp4"
    source.write_bytes(secrets.token_bytes(1 << 20))
    run_id = _trigger(airflow, VIDEO_DAG, {"source": f"file://{source}", "languages": LANGUAGES})
    run = read_run(airflow, VIDEO_DAG, run_id, timeout=180)
    projects = [project for project in ollang.projects() if project["name"].startswith(source.stem)]
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    is_whole = [project["sha256"] for project in projects] == [sha256]
    ordered = [len(creation["orders"]) for project in projects for creation in project["creations"]]
    delivered = sorted(path for path in folder.glob("film.mp4.localized/*/*") if path.stat().st_size)
    print(f"  uploaded   {source.name}, {source.stat().st_size} bytes, {'whole' if is_whole else 'NOT WHOLE'}")
    print(f"  ordered    {', '.join(LANGUAGES)}: {sum(ordered)} orders by {len(ordered)} request")
    print(f"  delivered  {len(delivered)} files beside it")
    for line in run.returned("summary") or []:
        print(f"  {line}")
    wrong = [] if run.state == "success" else [f"the run of {VIDEO_DAG} ended as {run.state!r}"]
    wrong += [] if is_whole else ["the video was not uploaded whole, once"]
    wrong += [] if ordered == [len(LANGUAGES)] else ["not one order for each language was created"]
    return wrong + ([] if len(delivered) >= len(LANGUAGES) else ["not every language was delivered"])


def kill_once_accepted(airflow: AirflowStack, run_id: str, ollang: Sandbox) -> int:
    """Kill the process that submits the rerun, as soon as it was accepted; return its id."""

    def running() -> int | None:
        tasks = airflow.task_instances(SANDBOX_DAG, run_id)
        pids = [task["pid"] for task in tasks if (task["task_id"], task["state"]) == (RERUN_TASK, "running")]
        return pids[0] if pids else None

    pid = wait_until(running, 60, "the rerun task to start")
    wait_until(lambda: ollang.order(SANDBOX_ORDER)["reruns_accepted"] or None, 60, "the rerun", every=0.02)
    os.kill(pid, signal.SIGKILL)
    print(f"Ollang has accepted the rerun: process {pid} of {RERUN_TASK} is killed (SIGKILL) …", flush=True)
    return pid


def read_run(airflow: AirflowStack, dag_id: str, run_id: str, timeout: float) -> Run:
    """Wait for the end of a run and read back what became of each task."""
    state = airflow.wait_for_run(dag_id, run_id, timeout=timeout)
    print(f"its run ended: {state}", flush=True)
    starts = [event["task_id"] for event in airflow.worker_start_events(dag_id, run_id)]
    tasks = airflow.task_instances(dag_id, run_id)
    for task in tasks:
        task_id = task["task_id"]
        task |= {"returned": airflow.xcom(dag_id, run_id, task_id), "worker_starts": starts.count(task_id)}
        if task["state"] == "failed":
            log = airflow.logs(dag_id, run_id, task_id, try_number=task["try_number"])
            print(f"\n{task_id} failed:\n{log[-3000:]}", file=sys.stderr)
    return Run(state, tasks)


def check_files(delivery: Any, ollang: Sandbox) -> dict[str, bool]:
    """Tell of each file that was delivered whether it is there, whole, and what the sandbox has."""
    files = {}
    for file in delivery["files"] if isinstance(delivery, Mapping) else []:
        path = Path(urlsplit(file["path"]).path)
        sums = {hashlib.sha256(path.read_bytes() if path.is_file() else b"").hexdigest(), file["sha256"]}
        if file["document_id"]:
            sums.add(ollang.content(SANDBOX_ORDER, file["document_id"]).sha256())
        files[f"{path.name}  {file['bytes']} bytes  sha256 {file['sha256'][:16]}…"] = len(sums) == 1
    return files


def _tell(title: str, lines: Sequence[str]) -> None:
    print("\n".join(["", title, *(lines or ["  none"])]))


def tell_run(run: Run) -> None:
    """Print how each task went and, in few words, what it handed on by XCom, and the evidence of the new result."""
    lines = []
    for task in run.tasks:
        lines.append(f"  {task['task_id']:<24} {task['state']:<10} worker starts {task['worker_starts']}")
        if task["returned"] is not None:
            lines.append(f"      returned: {json.dumps(task['returned'])[:100]}…")
    _tell("The tasks, by Airflow's REST API", lines)
    _tell("Evidence that the result is the rerun's (docs/waiting.md)", [f"  {name}" for name in run.evidence])


def timeline(report: Mapping[str, Any], requests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return each change of the order since its rerun was accepted, and how often it was polled until the next."""
    order, path = report["order"], f"/integration/orders/{report['order']['id']}"
    accepted = [entry for entry in requests if (entry["path"], entry["status"]) == (f"{path}/rerun", 200)]
    if not accepted:
        return []
    begin = _time(accepted[0]["time"])
    polls = [_time(entry["time"]) for entry in requests if entry["n"] > accepted[0]["n"] and entry["path"] == path]
    history = [(_time(line["time"]), str(line["status"])) for line in report["history"]]
    old = [status for time, status in history if time <= begin][-1]
    changes = [(begin, f"still {old}, with its previous result"), *(line for line in history if line[0] > begin)]
    files = [file for file in order["orderDocs"] or [] if file.get("updatedAt") and _time(file["updatedAt"]) > begin]
    if files:
        names = ", ".join(str(file.get("name")) for file in files)
        changes.append((max(_time(file["updatedAt"]) for file in files), f"new files: {names}"))
    changes.sort(key=lambda change: change[0])
    lines = []
    for index, (time, text) in enumerate(changes):
        end = changes[index + 1][0] if index + 1 < len(changes) else None
        count = sum(time <= poll and (end is None or poll < end) for poll in polls)
        lines.append(f"  {(time - begin).total_seconds():6.1f} s  {text} (polled {count} times)")
    return lines


def verdict(run: Run, reruns: int, leaks: Sequence[str], wrong: Sequence[str]) -> int:
    """Say what is wrong, `wrong` and if anything else; return the exit code."""
    reasons = list(wrong)
    if run.state != "success":
        reasons.append(f"the run ended as {run.state!r}")
    if reruns != 1:
        reasons.append(f"{reruns} reruns were accepted, not 1")
    if not run.evidence:
        reasons.append("no task gave evidence of the new result")
    reasons += [f"found where it must not be: {leak}" for leak in leaks]
    for reason in reasons:
        print(f"The demo failed: {reason}", file=sys.stderr)
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
