"""Runs of the DAGs that make orders or projects. Each task has an account of its own: a sandbox and a connection."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_ollang.sandbox import Sandbox
from tests.crash.account_cells import LANGUAGES
from tests.crash.runner import WaitingRunner, hold
from tests.crash.task_runs import TaskRun, TaskRuns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dev.stack import AirflowStack
    from tests.crash.account_cells import AccountCell
    from tests.crash.runner import Progress

_NUMBERS = count()
#: Sandbox seconds after which any run has ended.
_LONG = 1_000_000


class AccountRuns(TaskRuns):
    """
    A run of a DAG with one mapped task for each account.

    :param given: for each, its sandbox and arguments of the operator.
    """

    paid_path: ClassVar[str]

    def __init__(self, airflow: AirflowStack, given: Sequence[tuple[Sandbox, Mapping[str, Any]]]) -> None:
        arguments = [{**each, "ollang_conn_id": _connect(airflow, ollang)} for ollang, each in given]
        super().__init__(airflow, [TaskRun(ollang) for ollang, _ in given], arguments)

    @classmethod
    def path(cls, order_id: str = "") -> str:  # noqa: ARG003 - there is no order yet
        """Return the path of the paid request."""
        return cls.paid_path

    def accepted_of(self, one: TaskRun) -> int:
        """Return how many requests the task's account has accepted."""
        return one.ollang.counts()[self.count]


def _connect(airflow: AirflowStack, ollang: Sandbox) -> str:
    """Make an Airflow connection to a sandbox, and return its id."""
    # A later sandbox may get the port of one that has ended.
    name = f"ollang_account_{next(_NUMBERS)}"
    airflow.api("POST", "/connections", json={"connection_id": name, **ollang.connection})
    return name


class Creations(AccountRuns):
    """Orders of a project that every sandbox has."""

    usual_dag = "crash_creations"
    task = "create"
    record = "ollang_create"
    paid_path = "/integration/orders/create"
    count = "creations_accepted"
    usual: ClassVar[Mapping[str, Any]] = {
        "project_id": "proj_xyz789",
        "order_type": "subtitle",
        "target_languages": LANGUAGES,
        "wait_for_completion": True,
        "reconcile_timeout": 4,
        "poll_interval": 2,
        "outputs_timeout": 20,
        "timeout": 600,
    }


class Uploads(AccountRuns):
    """A file for each account."""

    usual_dag = "crash_uploads"
    task = "upload"
    record = "ollang_upload"
    paid_path = "/integration/upload/direct"
    count = "uploads_accepted"
    usual: ClassVar[Mapping[str, Any]] = {"source_language": "en", "reconcile_timeout": 4}


@contextmanager
def sandboxes_of(cells: Sequence[AccountCell]) -> Iterator[list[Sandbox]]:
    """Serve a sandbox for each cell."""
    sandboxes = [Sandbox(behaviour=cell.behaviour) for cell in cells]
    try:
        yield [sandbox.start() for sandbox in sandboxes]
    finally:
        for sandbox in sandboxes:
            sandbox.stop()


class AccountRunner(WaitingRunner["AccountCell"]):
    """
    Plays cells of one operator.

    :param kind: its runs.
    :param arguments: of the operator beside those of the cells, for each.
    """

    #: One for each order, which tells its language.
    looks_before_wait = len(LANGUAGES)

    def __init__(
        self,
        airflow: AirflowStack,
        kind: type[AccountRuns],
        sandboxes: Sequence[Sandbox],
        cells: Sequence[AccountCell],
        arguments: Sequence[Mapping[str, Any]],
    ) -> None:
        for ollang, cell in zip(sandboxes, cells, strict=True):
            hold(ollang, kind.path(), cell.point)
        given = [{**more, **cell.arguments} for cell, more in zip(cells, arguments, strict=True)]
        super().__init__(airflow, kind(airflow, list(zip(sandboxes, given, strict=True))), cells)

    def _is_to_be_killed(self, cell: AccountCell, one: TaskRun) -> bool:
        if (cell.operator, cell.point) == ("upload", 3):
            # Its request is seen before its last byte, and the record is written between the two.
            return self._runs.recorded(self._runs.all.index(one)) == "sending"
        return super()._is_to_be_killed(cell, one)

    def _direct(self, cell: AccountCell, one: TaskRun, course: Progress) -> None:
        if cell.mode and course.accepted_at is not None and not course.delivered and self._may_end(cell, one, course):
            one.ollang.advance(_LONG)
            course.delivered = True
