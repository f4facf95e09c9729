"""A process dies at each point of a paid evaluation, or the task is cleared: it is billed at most once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.crash import evaluations
from tests.crash.cells import End
from tests.crash.clears import Case, Seen, fail_as_told, forget, play
from tests.crash.evaluation_cells import EVALUATION_CELLS, POINTS, TELLING_EVALUATIONS, EvaluationCell
from tests.crash.evaluations import OLD, Evaluations, bought
from tests.crash.matrices import wanted_cells
from tests.crash.runner import CellRunner, Outcome, Progress, hold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack
    from tests.crash.task_runs import OrderRuns, TaskRun

ANSWER = {"message": "QC evaluation started. You will be notified when it's completed.", "credits_used": 5}


class EvaluationStage(CellRunner[EvaluationCell]):
    """Plays evaluations."""

    def __init__(self, airflow: AirflowStack, ollang: Sandbox, cells: Sequence[EvaluationCell]) -> None:
        given = []
        for cell in cells:
            order_id = evaluations.add_order(ollang, cell.behaviour)
            hold(ollang, Evaluations.path(order_id), cell.point)
            given.append((order_id, cell.arguments))
        super().__init__(Evaluations(airflow, ollang, given), cells)

    def _direct(self, cell: EvaluationCell, one: TaskRun, course: Progress) -> None:
        if course.delivered or course.accepted_at is None or course.killed_at is None or cell.evidence == "no trace":
            return
        # What comes late is news to a try that has looked already.
        if cell.evidence == "shown at once" or one.looks_after(course.killed_at):
            evaluations.show(one.ollang, one.order_id)
            course.delivered = True


@pytest.fixture(scope="module")
def played(airflow: AirflowStack, ollang: Sandbox, request: pytest.FixtureRequest) -> dict[EvaluationCell, Outcome]:
    return EvaluationStage(airflow, ollang, wanted_cells(request.session, EVALUATION_CELLS)).play()


def cells() -> list[object]:
    return [
        pytest.param(cell, id=f"{cell}", marks=[pytest.mark.telling] if cell in TELLING_EVALUATIONS else [])
        for cell in EVALUATION_CELLS
    ]


def receipt_of(ollang: Sandbox, order_id: str, *, reconnected: bool, answered: bool = True) -> dict[str, Any]:
    """Return what the receipt of an order's last evaluation says, but for the time."""
    answer = ANSWER if answered else dict.fromkeys(ANSWER)
    evaluation_id = bought(ollang, order_id)[-1]["shown_id"]
    known = {"order_id": order_id, "host": ollang.url, "evaluation_id": evaluation_id, "before": OLD, "attached": False}
    return {**known, **answer, "reconnected": reconnected}


@pytest.mark.parametrize("cell", cells())
def test_an_evaluation_happens_once_per_wish(
    cell: EvaluationCell, played: dict[EvaluationCell, Outcome], ollang: Sandbox
) -> None:
    seen, expected = played[cell], cell.expected
    assert seen.end == expected.end, f"{POINTS[cell.point]}: {seen.error}"
    assert seen.posts == expected.posts
    assert seen.died_once()
    if expected.end.outcome == "success":
        receipt = dict(seen.result)
        assert receipt.pop("requested_at")
        assert receipt == receipt_of(
            ollang, seen.order_id, reconnected=expected.reconnected, answered=expected.answered
        )
    else:
        assert "Check the order in Ollang" in seen.error
        assert "clear" in seen.error


# --- Clears -----------------------------------------------------------------------------------------------------

LOADING = {"qc_seconds": None}
NO_TRACE = {"qc_meanwhile": "kept", "qc_seconds": None}
UNKNOWN = "OllangOutcomeUnknownError"
#: All tries die with the record at "accepted".
MORTAL = {"kill_at": ["after", "accepted"], "killed_tries": 3}
ONCE, TWICE = End("success", 1, 2), End("success", 2, 2)


def _show(runs: OrderRuns, index: int) -> None:
    evaluations.show(runs.ollang, runs[index].order_id)


CASES = {
    "finished": Case(LOADING, End("success", 1, 1), "finished", TWICE, between=_show),
    "being made": Case(LOADING, End("success", 1, 1), "finished", ONCE),
    "the order may show it yet": Case(NO_TRACE, End("success", 1, 1), "finished", ONCE, {"reconcile_timeout": 3600}),
    "the order never shows it": Case(NO_TRACE, End("success", 1, 1), "finished", TWICE),
    "unknown, nothing was sent": Case(LOADING, End(UNKNOWN, 0, 1), "unknown", ONCE, fault={"drop": "before"}),
    "unknown, processed, no trace": Case(NO_TRACE, End(UNKNOWN, 1, 1), "unknown", TWICE, fault={"drop": "after"}),
    "unknown, shown later": Case(NO_TRACE, End(UNKNOWN, 1, 1), "unknown", ONCE, fault={"drop": "after"}, between=_show),
    "retries exhausted": Case(NO_TRACE, End("failed", 1, 3), "accepted", End("success", 1, 4), MORTAL),
    # Whoever deletes the record says that nothing was sent.
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
def test_clearing_an_evaluation_that_has_ended(
    name: str, cleared: tuple[Evaluations, Seen, Seen], ollang: Sandbox
) -> None:
    runs, first, second = cleared
    case, index = CASES[name], list(CASES).index(name)
    assert first[name] == (case.first, case.record)
    assert second[name][0] == case.second
    # Whether this try asked, or took over what an earlier one had asked for.
    reconnected = case.second.accepted == case.first.accepted
    receipt, order_id = runs.result(index), runs[index].order_id
    wanted = receipt_of(ollang, order_id, reconnected=reconnected, answered=name != "unknown, shown later")
    if name == "finished":
        wanted["before"] = {
            "id": bought(ollang, order_id)[0]["shown_id"],
            "created_at": receipt["before"]["created_at"],
        }
    assert receipt == {**wanted, "requested_at": receipt["requested_at"]}
