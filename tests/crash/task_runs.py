"""Runs of the DAGs whose paid requests die, and what can be seen of each from outside."""

from __future__ import annotations

import os
import re
import signal
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar

from tests.crash.cells import End

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from airflow_provider_ollang.sandbox import Sandbox
    from airflow_provider_ollang.sandbox.request_log import LoggedRequest
    from dev.stack import AirflowStack

LIMIT = 180
#: Airflow fails a task that is back from its deferral before its last worker has ended; on a busy machine that takes
#: longer than the two seconds that are usually enough.
_AWAY = 4.0
_OVER = {"success", "failed", "skipped", "upstream_failed"}
_PROCESS = re.compile(r"This is process (\d+)\.")


@dataclass(eq=False)
class TaskRun:
    """
    One mapped task of a run.

    :param ollang: what it asks; others may have the same.
    :param order_id: its order, likewise; empty if it has none before its request.
    :param state: of the task, as Airflow last told it.
    :param tries: the number of its current or last try.
    :param pid: of its current or last process.
    :param deferred_since: by the monotonic clock; ``None`` while it is not deferred.
    """

    ollang: Sandbox
    order_id: str = ""
    state: str | None = None
    tries: int = 0
    pid: int | None = None
    deferred_since: float | None = None
    looks: list[LoggedRequest] = field(default_factory=list)
    posts: list[LoggedRequest] = field(default_factory=list)

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


class TaskRuns:
    """
    A run of a DAG with some mapped tasks.

    :param tasks: the tasks, before anything has happened.
    :param arguments: of the operator, for each.
    :param dag_id: the DAG, if not the usual one.
    :param turn: turn the list around for the second try.
    """

    usual_dag: ClassVar[str]
    task: ClassVar[str]
    #: Where the task keeps its record.
    record: ClassVar[str]
    #: How the sandbox calls the number of those that it accepted.
    count: ClassVar[str]
    #: Arguments of the operator, where a test says nothing else.
    usual: ClassVar[Mapping[str, Any]]

    def __init__(
        self,
        airflow: AirflowStack,
        tasks: Sequence[TaskRun],
        arguments: Sequence[Mapping[str, Any]],
        *,
        dag_id: str | None = None,
        turn: bool = False,
    ) -> None:
        self.airflow, self.dag_id = airflow, dag_id or self.usual_dag
        self.all = list(tasks)
        self._read = {one.ollang: one.ollang.last_request for one in tasks}
        given = [{**self.usual, **each} for each in arguments]
        self.run_id = airflow.trigger(self.dag_id, {"given": given, "turn": turn})

    @classmethod
    def path(cls, order_id: str) -> str:
        """Return the path of the paid request."""
        raise NotImplementedError

    def accepted_of(self, one: TaskRun) -> int:
        """Return how many of a task's requests were accepted, and billed, those of others about its order included."""
        raise NotImplementedError

    def __getitem__(self, index: int) -> TaskRun:
        return self.all[index]

    def refresh(self) -> None:
        """Look at Airflow and at what the sandboxes were asked."""
        for ollang, read in self._read.items():
            asking = [one for one in self.all if one.ollang is ollang]
            for entry in ollang.requests(after=read):
                self._read[ollang] = entry.n
                self._note(entry, asking)
        for task in self.airflow.task_instances(self.dag_id, self.run_id):
            if task["task_id"] != self.task or task["map_index"] < 0:
                continue
            one = self.all[task["map_index"]]
            one.state, one.tries, one.pid = task["state"], task["try_number"], task["pid"]
            if one.state != "deferred":
                one.deferred_since = None
            elif one.deferred_since is None:
                one.deferred_since = time.monotonic()

    def _note(self, entry: LoggedRequest, asking: Sequence[TaskRun]) -> None:
        for one in asking:
            if entry.method == "GET" and fnmatchcase(entry.path, f"/integration/orders/{one.order_id or '*'}"):
                one.looks.append(entry)
            if entry.method == "POST" and entry.path == self.path(one.order_id):
                one.posts.append(entry)

    def until(self, condition: Callable[[], bool], what: str, *, limit: float = LIMIT) -> None:
        """Wait until something holds."""

        def look() -> bool:
            self.refresh()
            return condition()

        self.airflow.wait(look, limit, what)

    def until_all_are(self, states: Collection[str], *, limit: float = LIMIT) -> None:
        """Wait until every task is in one of these states."""
        self.until(lambda: all(one.state in states for one in self.all), f"all are {sorted(states)}", limit=limit)

    def until_all_are_over(self, *, limit: float = LIMIT) -> None:
        """Wait until every task has ended."""
        self.until_all_are(_OVER, limit=limit)

    def until_all_stay_away(self, *, limit: float = LIMIT) -> None:
        """Wait until every task is deferred and may come back."""
        self.until(lambda: all(one.stays_away for one in self.all), "all are deferred", limit=limit)

    def kill(self, one: TaskRun) -> int:
        """End the process of a task at once; return its pid."""
        pid = one.pid
        assert pid in self.airflow.members(), f"{pid} is no process of this Airflow"
        os.kill(pid, signal.SIGKILL)
        return pid

    def clear(self, *indices: int) -> None:
        """Clear tasks, all if none is named, as a person does in the UI."""
        tasks: list[Any] = [[self.task, index] for index in indices] if indices else [self.task]
        self.airflow.clear(self.dag_id, self.run_id, tasks)

    def mark(self, index: int, state: str) -> None:
        """Mark a task, as a person does in the UI."""
        path = f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{self.task}/{index}"
        self.airflow.api("PATCH", path, json={"new_state": state})

    def accepted(self, index: int = 0) -> int:
        """Return what `accepted_of` does, of the task of that number."""
        return self.accepted_of(self.all[index])

    def end(self, index: int = 0) -> End:
        """Return how a task has ended; what was accepted is counted from the beginning."""
        return End(self.outcome(index), self.accepted(index), self.all[index].tries)

    def result(self, index: int = 0) -> Any:
        """Return what a task pushed."""
        return self.airflow.xcom(self.dag_id, self.run_id, self.task, map_index=index)

    def log(self, index: int = 0, *, try_number: int) -> list[dict[str, Any]]:
        """Return the entries of a try's log."""
        entries = self.airflow.log_entries(self.dag_id, self.run_id, self.task, try_number=try_number, map_index=index)
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
        answer = self.airflow.request("GET", f"{self._store(self.task)}/{self.record}", params={"map_index": index})
        return str(answer.json()["value"]["state"]) if answer.ok else None

    def delete_record(self, index: int = 0) -> None:
        """Delete the record of a task by hand."""
        self.airflow.api("DELETE", f"{self._store(self.task)}/{self.record}", params={"map_index": index})

    def _store(self, task_id: str) -> str:
        return f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/{task_id}/state-store"


class OrderRuns(TaskRuns):
    """
    A run of a DAG with one mapped task for each order.

    :param given: for each, the order and arguments of the operator.
    """

    #: What the paid request asks of an order.
    request: ClassVar[str]

    def __init__(
        self, airflow: AirflowStack, ollang: Sandbox, given: Sequence[tuple[str, Mapping[str, Any]]], **options: Any
    ) -> None:
        self.ollang = ollang
        tasks = [TaskRun(ollang, order_id) for order_id, _ in given]
        super().__init__(airflow, tasks, [{**each, "order_id": order_id} for order_id, each in given], **options)

    @classmethod
    def path(cls, order_id: str) -> str:
        """Return the path of the paid request."""
        return f"/integration/orders/{order_id}/{cls.request}"

    def accepted_of(self, one: TaskRun) -> int:
        """Return how many requests about a task's order were accepted, and billed."""
        return int(self.ollang.order(one.order_id)[self.count])
