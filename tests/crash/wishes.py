"""Runs of the DAGs whose paid requests die, and what can be seen of each from outside."""

from __future__ import annotations

import os
import re
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from tests.crash.cells import End

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from airflow_provider_ollang.sandbox.request_log import LoggedRequest

    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack

LIMIT = 180
#: Airflow fails a task that is back from its deferral before its last worker has ended; on a busy machine that takes
#: longer than the two seconds that are usually enough.
_AWAY = 4.0
_OVER = {"success", "failed", "skipped", "upstream_failed"}
_PROCESS = re.compile(r"This is process (\d+)\.")


@dataclass
class Wish:
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


class Wishes:
    """
    A run of a DAG with one mapped task for each order.

    :param given: for each, the order and arguments of the operator.
    :param dag_id: the DAG, if not the usual one.
    :param turn: turn the list around for the second try.
    """

    usual_dag: ClassVar[str]
    task: ClassVar[str]
    #: Where the task keeps its record.
    record: ClassVar[str]
    #: What the paid request asks of an order.
    request: ClassVar[str]
    #: How the sandbox calls the number of those that it accepted.
    count: ClassVar[str]
    #: Arguments of the operator, where a test says nothing else.
    usual: ClassVar[Mapping[str, Any]]

    def __init__(
        self,
        airflow: AirflowStack,
        ollang: Sandbox,
        given: Sequence[tuple[str, Mapping[str, Any]]],
        *,
        dag_id: str | None = None,
        turn: bool = False,
    ) -> None:
        self.airflow, self.ollang, self.dag_id = airflow, ollang, dag_id or self.usual_dag
        self.all = [Wish(order_id) for order_id, _ in given]
        self._read = ollang.last_request
        arguments = [{**self.usual, **options, "order_id": order_id} for order_id, options in given]
        self.run_id = airflow.trigger(self.dag_id, {"given": arguments, "turn": turn})

    @classmethod
    def path(cls, order_id: str) -> str:
        """Return the path of the paid request."""
        return f"/integration/orders/{order_id}/{cls.request}"

    def __getitem__(self, index: int) -> Wish:
        return self.all[index]

    def refresh(self) -> None:
        """Look at Airflow and at what the sandbox was asked."""
        for entry in self.ollang.requests(after=self._read):
            self._read = entry.n
            for one in self.all:
                if entry.path == f"/integration/orders/{one.order_id}":
                    one.looks.append(entry)
                if entry.path == self.path(one.order_id):
                    one.posts.append(entry)
        for task in self.airflow.task_instances(self.dag_id, self.run_id):
            if task["task_id"] != self.task or task["map_index"] < 0:
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

    def kill(self, one: Wish) -> int:
        """End the process of a task at once; return its pid."""
        pid = one.pid
        assert pid in self.airflow.members(), f"{pid} is no process of this Airflow"
        os.kill(pid, signal.SIGKILL)
        return pid

    def clear(self, *indices: int) -> None:
        """Clear tasks, all if none is named, as a person does in the UI."""
        tasks: list[Any] = [[self.task, index] for index in indices] if indices else [self.task]
        self.airflow.clear(self.dag_id, self.run_id, tasks)

    def accepted(self, index: int = 0) -> int:
        """Return how many requests about a task's order were accepted, and billed."""
        return self.accepted_of(self.all[index].order_id)

    def accepted_of(self, order_id: str) -> int:
        """Return how many requests about an order were accepted, and billed."""
        return int(self.ollang.order(order_id)[self.count])

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
