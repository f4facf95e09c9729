"""A process dies during a paid evaluation, or the task is cleared: it is billed at most once.

`test_matrix.py` has the other points at which a process dies: reruns and evaluations have one submission record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.crash import evaluations
from tests.crash.cells import End
from tests.crash.clears import Case, Seen, fail_as_told, forget, play
from tests.crash.conftest import wanted_cells
from tests.crash.evaluations import OLD, Evaluations, bought
from tests.crash.runner import CellRunner, Outcome, Progress, hold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack
    from tests.crash.task_runs import TaskRun, TaskRuns

ANSWER = {"message": "QC evaluation started. You will be notified when it's completed.", "credits_used": 5}
UNKNOWN = "OllangOutcomeUnknownError"
#: The order shows an evaluation from the beginning, and its end only when the test says so.
LOADING = {"qc_meanwhile": "loading", "qc_seconds": None}


@dataclass(frozen=True)
class EvaluationCell:
    """
    A process that dies.

    :param point: as in `cells.POINTS`.
    :param end: how the task ends.
    :param posts: requests that reach Ollang; none of them is refused, so that a second one would be billed.
    """

    point: int
    end: End
    posts: int

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the operator beside the order."""
        return {"kill_at": ["after", "sending"] if self.point == 2 else [], "reconcile_timeout": 4}


CELLS = {
    # The record is obeyed: the evaluation of last year, which the order shows, is no evidence.
    "record written, not sent": EvaluationCell(2, End(UNKNOWN, 0, 2), posts=0),
    # The record is written early enough to reconnect to what was bought.
    "processed, never answered": EvaluationCell(4, End("success", 1, 2), posts=1),
}


class EvaluationStage(CellRunner[EvaluationCell]):
    """Plays evaluations."""

    def __init__(self, airflow: AirflowStack, ollang: Sandbox, cells: Sequence[EvaluationCell]) -> None:
        given = []
        for cell in cells:
            order_id = evaluations.add_order(ollang, LOADING)
            hold(ollang, Evaluations.path(order_id), cell.point)
            given.append((order_id, cell.arguments))
        super().__init__(Evaluations(airflow, ollang, given), cells)

    def _direct(self, _: EvaluationCell, one: TaskRun, course: Progress) -> None:
        if not course.delivered and course.accepted_at is not None and course.killed_at is not None:
            evaluations.show(self._runs.ollang, one.order_id)
            course.delivered = True


@pytest.fixture(scope="module")
def played(airflow: AirflowStack, ollang: Sandbox, request: pytest.FixtureRequest) -> dict[EvaluationCell, Outcome]:
    return EvaluationStage(airflow, ollang, wanted_cells(request.session, EvaluationCell)).play()


def receipt_of(ollang: Sandbox, order_id: str, *, reconnected: bool, answered: bool = True) -> dict[str, Any]:
    """Return what the receipt of an order's last evaluation says, but for the time."""
    answer = ANSWER if answered else dict.fromkeys(ANSWER)
    evaluation_id = bought(ollang, order_id)[-1]["shown_id"]
    constant = {
        "order_id": order_id,
        "host": ollang.url,
        "evaluation_id": evaluation_id,
        "before": OLD,
        "attached": False,
    }
    return {**constant, **answer, "reconnected": reconnected}


@pytest.mark.telling
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_evaluation_whose_process_dies_is_submitted_once(
    cell: EvaluationCell, played: dict[EvaluationCell, Outcome], ollang: Sandbox
) -> None:
    seen = played[cell]
    assert seen.end == cell.end, seen.error
    assert seen.posts == cell.posts
    assert len(seen.seen_killed) == 1
    assert seen.killed in (None, seen.seen_killed[0])
    if cell.end.outcome == "success":
        receipt = dict(seen.result)
        assert receipt.pop("requested_at")
        assert receipt == receipt_of(ollang, seen.order_id, reconnected=True, answered=False)
    else:
        assert "Check the order in Ollang" in seen.error
        assert "clear" in seen.error


# --- Clears -----------------------------------------------------------------------------------------------------

NO_TRACE = {"qc_meanwhile": "kept", "qc_seconds": None}
#: All tries die with the record at "accepted".
MORTAL = {"kill_at": ["after", "accepted"], "killed_tries": 3}
ONCE, TWICE = End("success", 1, 2), End("success", 2, 2)


def _show(runs: TaskRuns, index: int) -> None:
    evaluations.show(runs.ollang, runs[index].order_id)


CASES = {
    "finished": Case(LOADING, End("success", 1, 1), "finished", TWICE, between=_show),
    "being made": Case(LOADING, End("success", 1, 1), "finished", ONCE),
    "unknown, shown later": Case(NO_TRACE, End(UNKNOWN, 1, 1), "unknown", ONCE, fault={"drop": "after"}, between=_show),
    "retries exhausted": Case(NO_TRACE, End("failed", 1, 3), "accepted", End("success", 1, 4), MORTAL),
    # A user who deletes the record says that nothing was sent.
    "retries exhausted, record deleted": Case(
        NO_TRACE, End("failed", 1, 3), "accepted", End("success", 2, 4), MORTAL, between=forget
    ),
}


@pytest.fixture(scope="module")
def cleared(airflow: AirflowStack, ollang: Sandbox) -> tuple[Evaluations, Seen, Seen]:
    orders = [evaluations.add_order(ollang, case.behaviour) for case in CASES.values()]
    fail_as_told(ollang, Evaluations, orders, CASES)
    options = [case.options for case in CASES.values()]
    runs = Evaluations(airflow, ollang, list(zip(orders, options, strict=True)))
    return (runs, *play(runs, CASES))


@pytest.mark.parametrize("name", CASES)
def test_cleared_evaluation_is_submitted_only_if_it_is_over(
    name: str, cleared: tuple[Evaluations, Seen, Seen], ollang: Sandbox
) -> None:
    runs, first, second = cleared
    case, index = CASES[name], list(CASES).index(name)
    assert first[name] == (case.first, case.record)
    assert second[name][0] == case.second
    # Whether this try asked, or reconnected to what an earlier one had asked for.
    reconnected = case.second.accepted == case.first.accepted
    receipt, order_id = runs.result(index), runs[index].order_id
    expected = receipt_of(ollang, order_id, reconnected=reconnected, answered=name != "unknown, shown later")
    if name == "finished":
        expected["before"] = {
            "id": bought(ollang, order_id)[0]["shown_id"],
            "created_at": receipt["before"]["created_at"],
        }
    assert receipt == {**expected, "requested_at": receipt["requested_at"]}
