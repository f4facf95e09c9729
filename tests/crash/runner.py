"""Plays cells of a matrix: kills what does not kill itself, and lets each order end when it may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from tests.crash.cells import Cell, Mode
from tests.crash.reruns import KINDS, deliver, report_the_end

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack
    from tests.crash.cells import End
    from tests.crash.task_runs import TaskRun, TaskRuns


@dataclass(frozen=True)
class Outcome:
    """
    What became of a cell.

    :param ollang: what it asked.
    :param order_id: its order, if it had one before its request.
    :param end: how it ended.
    :param posts: paid requests that reached Ollang.
    :param result: what the task pushed.
    :param error: text of the error of its last try.
    :param killed: the process that was killed, if the test did it.
    :param seen_killed: the processes whose end by SIGKILL is in the log of try 1.
    """

    ollang: Sandbox
    order_id: str
    end: End
    posts: int
    result: Any
    error: str
    killed: int | None
    seen_killed: list[int]

    def died_once(self, *, without_triggerer: bool = False) -> bool:
        """Tell whether its first try was killed, or not it but the triggerer under it."""
        if without_triggerer:
            return self.killed is not None and not self.seen_killed
        return len(self.seen_killed) == 1 and self.killed in (None, self.seen_killed[0])


@dataclass
class Progress:
    """
    How far a cell has come.

    :param accepted_at: last request before it was seen that its request is accepted.
    :param shown_at: last request before it was seen that the order shows its run.
    :param killed_at: last request before it was seen that it has died.
    :param killed: the process that the test killed.
    :param reported: the order has the event of the end of its run.
    :param delivered: the order shows the result.
    """

    accepted_at: int | None = None
    shown_at: int | None = None
    killed_at: int | None = None
    killed: int | None = None
    reported: bool = False
    delivered: bool = False


class DyingCell(Protocol):
    """What any cell says: the point at which its first try dies."""

    @property
    def point(self) -> int: ...


class WaitingCell(DyingCell, Protocol):
    """What a cell says of a task that waits for the result, too."""

    @property
    def mode(self) -> Mode | None: ...

    @property
    def loses_triggerer(self) -> bool: ...


CellT = TypeVar("CellT", bound=DyingCell)
WaitingT = TypeVar("WaitingT", bound=WaitingCell)


def hold(ollang: Sandbox, path: str, point: int) -> None:
    """Keep the answer to a paid request until the process that waits for it is dead, if it has to die by then."""
    if point == 3:
        ollang.add_fault("POST", path, delay=25, drop="before")
    if point == 4:
        ollang.add_fault("POST", path, delay=25, processed=True)


class CellRunner(Generic[CellT]):
    """
    One run of a DAG with a task for each cell.

    :param runs: the run.
    :param cells: in the order of its tasks.
    """

    def __init__(self, runs: TaskRuns, cells: Sequence[CellT]) -> None:
        self._runs, self._cells = runs, cells
        self._progress = [Progress() for _ in cells]

    def play(self) -> dict[CellT, Outcome]:
        """Play all to the end."""
        self._runs.until(self._all_are_over, "end of the cells", limit=900)
        return {cell: self._played(index) for index, cell in enumerate(self._cells)}

    def _direct(self, cell: CellT, one: TaskRun, course: Progress) -> None:
        """Let the order show what the task may see by now."""
        raise NotImplementedError

    def _is_to_be_killed(self, cell: CellT, one: TaskRun) -> bool:
        if cell.point == 3:
            return any(post.fault is not None for post in one.posts)
        return cell.point == 4 and self._runs.accepted_of(one) > 0

    def _all_are_over(self) -> bool:
        for cell, one, course in zip(self._cells, self._runs.all, self._progress, strict=True):
            self._follow(cell, one, course)
            self._direct(cell, one, course)
        return all(one.is_over for one in self._runs.all)

    def _follow(self, cell: CellT, one: TaskRun, course: Progress) -> None:
        now = one.ollang.last_request
        if course.accepted_at is None and self._runs.accepted_of(one):
            course.accepted_at = now
        if course.killed_at is None and (one.tries > 1 or one.state == "up_for_retry"):
            course.killed_at = now
        if course.killed is None and one.state == "running" and one.tries == 1 and self._is_to_be_killed(cell, one):
            course.killed = self._runs.kill(one)

    def _played(self, index: int) -> Outcome:
        one = self._runs[index]
        return Outcome(
            ollang=one.ollang,
            order_id=one.order_id,
            end=self._runs.end(index),
            posts=len(one.posts),
            result=self._runs.result(index),
            error=self._runs.error(index)[1],
            killed=self._progress[index].killed,
            seen_killed=self._runs.killed_processes(index),
        )


class WaitingRunner(CellRunner[WaitingT]):
    """
    Plays tasks that wait for the result of their request; those that lose their triggerer need a run without others.

    :param airflow: whose triggerer it is.
    """

    #: How often a task looks at an order after its request before it begins to wait.
    looks_before_wait: ClassVar[int]

    def __init__(self, airflow: AirflowStack, runs: TaskRuns, cells: Sequence[WaitingT]) -> None:
        super().__init__(runs, cells)
        self._airflow = airflow

    def _all_are_over(self) -> bool:
        over = super()._all_are_over()
        self._kill_triggerer()
        return over

    def _is_to_be_killed(self, cell: WaitingT, one: TaskRun) -> bool:
        if (cell.point, cell.mode) == (7, "sync"):
            return self._looks(one) > self.looks_before_wait
        return super()._is_to_be_killed(cell, one)

    def _looks(self, one: TaskRun) -> int:
        return one.looks_after(one.posts[0].n) if one.posts else 0

    def _may_end(self, cell: WaitingT, one: TaskRun, course: Progress) -> bool:
        """Tell whether the wait has come so far that the end of the order's run is news to it."""
        since = course.killed_at if 4 <= cell.point <= 7 else course.accepted_at
        if since is None:
            return False
        if course.shown_at is not None:
            since = max(since, course.shown_at)
        looked = one.looks_after(since) > 0
        if cell.mode == "deferrable":
            return one.stays_away and (looked or not cell.loses_triggerer)
        return looked

    def _kill_triggerer(self) -> None:
        progress = [
            (one, course)
            for cell, one, course in zip(self._cells, self._runs.all, self._progress, strict=True)
            if cell.loses_triggerer
        ]
        # The first look of the wait is the worker's, the next the triggerer's.
        waiting = all(
            course.killed_at is None and one.stays_away and self._looks(one) > self.looks_before_wait + 1
            for one, course in progress
        )
        if progress and waiting:
            pid = self._airflow.component_pids["triggerer"]
            self._airflow.kill("triggerer")
            for one, course in progress:
                course.killed, course.killed_at = pid, one.ollang.last_request
            self._airflow.start("triggerer")


class RerunRunner(WaitingRunner[Cell]):
    """Plays reruns, or human reviews."""

    #: It sees the run begin.
    looks_before_wait = 1

    def __init__(self, airflow: AirflowStack, ollang: Sandbox, cells: Sequence[Cell]) -> None:
        self._ollang = ollang
        (operator,) = {cell.operator for cell in cells}
        kind, given = KINDS[operator], []
        for cell in cells:
            order_id = ollang.add_order(type="subtitle", behaviour=cell.behaviour)
            hold(ollang, kind.path(order_id), cell.point)
            given.append((order_id, cell.arguments))
        super().__init__(airflow, kind(airflow, ollang, given), cells)

    def _direct(self, cell: Cell, one: TaskRun, course: Progress) -> None:
        if course.accepted_at is None or cell.evidence == "no trace":
            return
        if cell.evidence == "events and documents" and not course.reported:
            report_the_end(self._ollang, one.order_id, level=int(cell.operator == "human review"))
            course.reported = True
        if not course.delivered and self._may_end(cell, one, course):
            deliver(self._ollang, one.order_id, dated=cell.evidence == "events and documents")
            course.delivered = True

    def _may_end(self, cell: Cell, one: TaskRun, course: Progress) -> bool:
        if cell.evidence == "status only":
            # A poll at once after the request may come before the status.
            if course.shown_at is None and self._ollang.order(one.order_id)["order"]["status"] != "completed":
                course.shown_at = one.ollang.last_request
            if course.shown_at is None:
                return False
        return super()._may_end(cell, one, course)
