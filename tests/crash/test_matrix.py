"""A process dies at each point of a rerun or a human review: it is billed once, and the task says what came of it."""

from __future__ import annotations

import pytest

from tests.crash.cells import CELLS, TELLING, Cell
from tests.crash.runner import Outcome

WHAT_TO_CHECK = "Check the order in Ollang"


def cells() -> list[object]:
    return [pytest.param(cell, id=str(cell), marks=[pytest.mark.telling] if cell in TELLING else []) for cell in CELLS]


@pytest.mark.parametrize("cell", cells())
def test_a_new_result_is_submitted_once(cell: Cell, played: dict[Cell, Outcome]) -> None:
    seen = played[cell]
    assert seen.end == cell.expected, seen.error
    # The sandbox takes every rerun: had a second one been sent, it would have been billed.
    assert seen.posts == (0 if cell.point == 2 else 1)
    assert seen.died_once(without_triggerer=cell.loses_triggerer)
    if cell.expected.outcome == "success":
        result = seen.result["result"]
        assert seen.ollang.order(seen.order_id)["run"] == 2
        assert result["outputs"]
        assert all("(run 2)" in output["name"] for output in result["outputs"])
        told_by_status = cell.evidence == "status only"
        level = ["level"] if cell.operator == "human review" else []
        assert result["evidence"] == level + (["running"] if told_by_status else ["event", "documents"])
        assert result["outputs_changed"] is not told_by_status
    else:
        assert WHAT_TO_CHECK in seen.error
        assert "clear" in seen.error
