"""Runs of the DAG whose reruns die, and what can be seen of each from outside."""

from __future__ import annotations

import os
import re
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.sandbox.changes import event_of
from airflow_provider_ollang.sandbox.clock import milliseconds
from airflow_provider_ollang.sandbox.documents import is_output, made_anew, named

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from airflow_provider_ollang.sandbox import Sandbox
    from airflow_provider_ollang.sandbox.journal import Entry
    from dev.stack import AirflowStack

DAG_ID = "crash_reruns"
SLOW_RETRIES = "crash_slow_retries"
TASK = "rerun"
RECORD = "ollang_rerun"
LIMIT = 180
#: Airflow fails a task that is back from its deferral before its last worker has ended; on a busy machine that takes
#: longer than the two seconds that are usually enough.
_AWAY = 4.0
_OVER = {"success", "failed", "skipped", "upstream_failed"}
_QUICK = {
    "wait_for_completion": True,
    "confirm_timeout": 1,
    "settle_timeout": 4,
    "poll_interval": 2,
    "outputs_timeout": 20,
    "timeout": 600,
}
_PROCESS = re.compile(r"This is process (\d+)\.")


@dataclass
class Rerun:
    """
    One mapped task of a run.

    :param order_id: its order; others may have the same.
    :param state: of the task, as Airflow last told it.
    :param tries: the number of its current or last try.
    :param pid: of its current or last process.
    :param deferred_since: by the monotonic clock; ``None`` while it is not deferred.
    """

    order_id: str
    state: str | None = None
    tries: int = 0
    pid: int | None = None
    deferred_since: float | None = None
    looks: list[Entry] = field(default_factory=list)
    posts: list[Entry] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether the task has ended."""
        return self.state in _OVER

    @property
    def stays_away(self) -> bool:
        """Whether it has been deferred for so long that it may come back."""
        return self.deferred_since is not None and time.monotonic() - self.deferred_since >= _AWAY

    def looks_after(self, n: int) -> int:
        """Return how many looks at its order came after request number `n` and were answered."""
        return sum(look.n > n and look.status is not None for look in self.looks)


class Reruns:
    """
    A run of the DAG with one mapped task for each order.

    :param given: for each, the order and arguments of the operator.
    """

    def __init__(
        self,
        airflow: AirflowStack,
        ollang: Sandbox,
        given: Sequence[tuple[str, Mapping[str, Any]]],
        *,
        dag_id: str = DAG_ID,
        turn: bool = False,
    ) -> None:
        self.airflow, self.ollang, self.dag_id = airflow, ollang, dag_id
        self.all = [Rerun(order_id) for order_id, _ in given]
        self._read = ollang.log.last
        arguments = [{**_QUICK, **options, "order_id": order_id} for order_id, options in given]
        self.run_id = airflow.trigger(dag_id, {"reruns": arguments, "turn": turn})

    def __getitem__(self, index: int) -> Rerun:
        return self.all[index]

    def refresh(self) -> None:
        """Look at Airflow and at what the sandbox was asked."""
        for entry in self.ollang.log.after(self._read):
            self._read = entry.n
            for one in self.all:
                if entry.path == f"/integration/orders/{one.order_id}":
                    one.looks.append(entry)
                if entry.path == f"/integration/orders/{one.order_id}/rerun":
                    one.posts.append(entry)
        for task in self.airflow.task_instances(self.dag_id, self.run_id):
            if task["task_id"] != TASK or task["map_index"] < 0:
                continue
            one = self.all[task["map_index"]]
            one.state, one.tries, one.pid = task["state"], task["try_number"], task["pid"]
            if one.state != "deferred":
                one.deferred_since = None
            elif one.deferred_since is None:
                one.deferred_since = time.monotonic()

    def until(self, condition: Callable[[], bool], what: str, *, limit: float = LIMIT) -> None:
        """Wait until something holds."""

        def look() -> bool:
            self.refresh()
            return condition()

        self.airflow._wait(look, limit, what)

    def until_all_are(self, states: Collection[str], *, limit: float = LIMIT) -> None:
        """Wait until every task is in one of these states."""
        self.until(lambda: all(one.state in states for one in self.all), f"all are {sorted(states)}", limit=limit)

    def until_all_are_over(self, *, limit: float = LIMIT) -> None:
        """Wait until every task has ended."""
        self.until_all_are(_OVER, limit=limit)

    def until_all_stay_away(self, *, limit: float = LIMIT) -> None:
        """Wait until every task is deferred and may come back."""
        self.until(lambda: all(one.stays_away for one in self.all), "all are deferred", limit=limit)

    def kill(self, one: Rerun) -> int:
        """End the process of a task at once; return its pid."""
        pid = one.pid
        assert pid in self.airflow.members(), f"{pid} is no process of this Airflow"
        os.kill(pid, signal.SIGKILL)
        return pid

    def clear(self, *indices: int) -> None:
        """Clear tasks, all if none is named, as a person does in the UI."""
        tasks: list[Any] = [[TASK, index] for index in indices] if indices else [TASK]
        self.airflow.clear(self.dag_id, self.run_id, tasks)

    def result(self, index: int = 0) -> Any:
        """Return what a task pushed."""
        return self.airflow.xcom(self.dag_id, self.run_id, TASK, map_index=index)

    def log(self, index: int = 0, *, try_number: int) -> list[dict[str, Any]]:
        """Return the entries of a try's log."""
        entries = self.airflow.log_entries(self.dag_id, self.run_id, TASK, try_number=try_number, map_index=index)
        return [entry for entry in entries if isinstance(entry, dict)]

    def error(self, index: int = 0) -> tuple[str, str]:
        """Return class and text of the error in which the last try ended; empty if it did not end in one."""
        entries = self.log(index, try_number=self.all[index].tries)
        errors = [error for entry in entries for error in entry.get("error_detail") or []]
        return (errors[-1]["exc_type"], errors[-1]["exc_value"]) if errors else ("", "")

    def outcome(self, index: int = 0) -> str:
        """Return `success`, or the error of the last try, or the state if there is none."""
        state = str(self.all[index].state)
        return state if state == "success" else self.error(index)[0] or state

    def killed_processes(self, index: int = 0, *, try_number: int = 1) -> list[int]:
        """Return the processes of a try that Airflow's supervisor says were ended by SIGKILL."""
        found, latest = [], 0
        for entry in self.log(index, try_number=try_number):
            words = str(entry.get("event"))
            if begins := _PROCESS.search(words):
                latest = int(begins[1])
            if words.startswith("Process terminated by signal") and entry.get("signal_name") == "SIGKILL":
                found.append(latest)
        return found

    def recorded(self, index: int = 0) -> str | None:
        """Return the state that a task's record in Airflow's task state store has; ``None`` if there is none."""
        answer = self.airflow.request("GET", f"{self._store(TASK)}/{RECORD}", params={"map_index": index})
        return str(answer.json()["value"]["state"]) if answer.ok else None

    def delete_record(self, index: int = 0) -> None:
        """Delete the record of a task by hand."""
        self.airflow.api("DELETE", f"{self._store(TASK)}/{RECORD}", params={"map_index": index})

    def _store(self, task_id: str) -> str:
        return f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{task_id}/state-store"


def accepted(ollang: Sandbox, order_id: str) -> int:
    """Return how many reruns of an order were accepted, and billed."""
    return int(ollang.order(order_id)["reruns_accepted"])


def report_the_end(ollang: Sandbox, order_id: str) -> None:
    """Add the event of the end of an order's run; its new documents still lag behind."""
    order = ollang.order(order_id)["order"]
    event = event_of("order_delivered", milliseconds(ollang.now.timestamp()))
    ollang.change_order(order_id, deliveryEvents=[*order["deliveryEvents"], event])


def deliver(ollang: Sandbox, order_id: str, *, dated: bool = True) -> None:
    """
    Complete an order with the documents of its run, whose number they have in their names.

    :param dated: whether anything but their names tells that they are new.
    """
    known = ollang.order(order_id)
    run, moment = known["run"], ollang.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def new(old: dict[str, Any]) -> dict[str, Any]:
        if not is_output(old):
            return old
        return (
            made_anew(old, run=run, moment=moment, how="replaced")
            if dated
            else {**old, "name": named(old["name"], run)}
        )

    documents = [new(old) for old in known["order"]["orderDocs"]]
    ollang.change_order(order_id, status="completed", orderDocs=documents)
