"""Tasks that have ended and are cleared: how they are played, whatever they pay for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.crash.cells import End
from tests.crash.task_runs import LIMIT, OrderRuns

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox

#: How each task has ended, and what is on record.
Seen = dict[str, tuple[End, Any]]


def _nothing(runs: OrderRuns, index: int) -> None:
    """Let the task be cleared as it is."""


@dataclass(frozen=True)
class Case:
    """
    A task that has ended, and is cleared.

    :param first: how it ended.
    :param record: what is on record then.
    :param second: how it ends after it was cleared; what was accepted is counted from the beginning.
    :param between: what happens before it is cleared.
    """

    behaviour: dict[str, Any]
    first: End
    record: str
    second: End
    options: dict[str, Any] = field(default_factory=dict)
    fault: dict[str, Any] | None = None
    between: Callable[[OrderRuns, int], None] = _nothing


def forget(runs: OrderRuns, index: int) -> None:
    """Delete the record, as who says that nothing was sent."""
    runs.delete_record(index)
    assert runs.recorded(index) is None


def play(runs: OrderRuns, cases: Mapping[str, Case]) -> tuple[Seen, Seen]:
    """Let each task end, and clear them all; return what was seen of them before and after."""
    runs.until_all_are_over()
    first = _seen(runs, cases)
    for index, case in enumerate(cases.values()):
        case.between(runs, index)
    tries = [one.tries for one in runs.all]
    # Airflow loses what is cleared between the end of the last task and that of the run: nothing schedules it again.
    runs.airflow.wait_for_run(runs.dag_id, runs.run_id, LIMIT)
    runs.clear()
    runs.until(
        lambda: all(one.is_over and one.tries > before for one, before in zip(runs.all, tries, strict=True)),
        "end of the cleared tasks",
    )
    return first, _seen(runs, cases)


def fail_as_told(ollang: Sandbox, kind: type[OrderRuns], orders: Sequence[str], cases: Mapping[str, Case]) -> None:
    """Let the paid requests fail."""
    for order_id, case in zip(orders, cases.values(), strict=True):
        if case.fault:
            ollang.add_fault("POST", kind.path(order_id), **case.fault)


def _seen(runs: OrderRuns, cases: Mapping[str, Case]) -> Seen:
    return {name: (runs.end(index), runs.recorded(index)) for index, name in enumerate(cases)}
