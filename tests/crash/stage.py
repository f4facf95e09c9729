"""Plays cells of the matrix: kills what does not kill itself, and lets each order end when it may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.crash.cells import Cell, End
from tests.crash.reruns import Rerun, Reruns, accepted, deliver, report_the_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack


@dataclass(frozen=True)
class Played:
    """
    What became of a cell.

    :param end: how it ended.
    :param posts: requests for a rerun that reached Ollang.
    :param runs: runs of the order, its first one included.
    :param result: what the task pushed.
    :param error: text of the error of its last try.
    :param killed: the process that was killed, if the test did it.
    :param seen_killed: the processes whose end by SIGKILL is in the log of try 1.
    """

    end: End
    posts: int
    runs: int
    result: Any
    error: str
    killed: int | None
    seen_killed: list[int]


@dataclass
class _Course:
    """
    How far a cell has come.

    :param accepted_at: last request before it was seen that its rerun is accepted.
    :param killed_at: last request before it was seen that it has died.
    :param killed: the process that the test killed.
    :param reported: the order has the event of the end of its run.
    :param delivered: the order has ended.
    """

    accepted_at: int | None = None
    killed_at: int | None = None
    killed: int | None = None
    reported: bool = False
    delivered: bool = False


class Stage:
    """One run of the DAG with some of the cells; those that lose their triggerer need a run without others."""

    def __init__(self, airflow: AirflowStack, ollang: Sandbox, cells: Sequence[Cell]) -> None:
        self._airflow, self._ollang, self._cells = airflow, ollang, cells
        orders = [ollang.add_order(type="subtitle", behaviour=cell.behaviour) for cell in cells]
        for cell, order_id in zip(cells, orders, strict=True):
            post = f"/integration/orders/{order_id}/rerun"
            # They are held until the process is dead.
            if cell.point == 3:
                ollang.add_fault("POST", post, delay=25, drop="before")
            if cell.point == 4:
                ollang.add_fault("POST", post, delay=25, processed=True)
        self._reruns = Reruns(
            airflow, ollang, [(order_id, cell.arguments) for cell, order_id in zip(cells, orders, strict=True)]
        )
        self._courses = [_Course() for _ in cells]

    def play(self) -> dict[Cell, Played]:
        """Play all to the end."""
        self._reruns.until(self._all_are_over, "end of the cells", limit=900)
        return {cell: self._played(index) for index, cell in enumerate(self._cells)}

    def _all_are_over(self) -> bool:
        for index, cell in enumerate(self._cells):
            self._direct(cell, self._reruns[index], self._courses[index])
        self._kill_triggerer()
        return all(one.is_over for one in self._reruns.all)

    def _direct(self, cell: Cell, one: Rerun, course: _Course) -> None:
        now = self._ollang.log.last
        if course.accepted_at is None and accepted(self._ollang, one.order_id):
            course.accepted_at = now
        if course.killed_at is None and not cell.loses_triggerer and (one.tries > 1 or one.state == "up_for_retry"):
            course.killed_at = now
        if course.killed is None and one.state == "running" and one.tries == 1 and self._is_to_be_killed(cell, one):
            course.killed = self._reruns.kill(one)
        if course.accepted_at is None or cell.evidence == "no trace":
            return
        if cell.evidence == "events and documents" and not course.reported:
            report_the_end(self._ollang, one.order_id)
            course.reported = True
        if not course.delivered and self._may_end(cell, one, course):
            deliver(self._ollang, one.order_id, dated=cell.evidence == "events and documents")
            course.delivered = True

    def _is_to_be_killed(self, cell: Cell, one: Rerun) -> bool:
        if cell.point == 3:
            return any(post.fault is not None for post in one.posts)
        if cell.point == 4:
            return accepted(self._ollang, one.order_id) > 0
        # One look sees the rerun begin, the next one is the wait's.
        return (cell.point, cell.mode) == (7, "sync") and bool(one.posts) and one.looks_after(one.posts[0].n) >= 2

    def _may_end(self, cell: Cell, one: Rerun, course: _Course) -> bool:
        """Tell whether the wait has come so far that the end of the order's run is news to it."""
        since = course.killed_at if 4 <= cell.point <= 7 else course.accepted_at
        if since is None:
            return False
        looked = one.looks_after(since) > 0
        if cell.mode == "deferrable":
            return one.stays_away and (looked or not cell.loses_triggerer)
        return looked

    def _kill_triggerer(self) -> None:
        courses = [
            (one, course)
            for cell, one, course in zip(self._cells, self._reruns.all, self._courses, strict=True)
            if cell.loses_triggerer
        ]
        # Of the looks after the request, one sees the rerun begin, one is the worker's, the next the triggerer's.
        waiting = all(
            course.killed_at is None and one.stays_away and one.looks_after(one.posts[0].n) >= 3
            for one, course in courses
        )
        if courses and waiting:
            pid = self._airflow.component_pids["triggerer"]
            self._airflow.kill("triggerer")
            for _, course in courses:
                course.killed, course.killed_at = pid, self._ollang.log.last
            self._airflow.start("triggerer")

    def _played(self, index: int) -> Played:
        one, known = self._reruns[index], self._ollang.order(self._reruns[index].order_id)
        return Played(
            end=End(self._reruns.outcome(index), known["reruns_accepted"], one.tries),
            posts=len(one.posts),
            runs=known["run"],
            result=self._reruns.result(index),
            error=self._reruns.error(index)[1],
            killed=self._courses[index].killed,
            seen_killed=self._reruns.killed_processes(index),
        )
