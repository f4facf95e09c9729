"""Scenarios that are seldom drawn: right results that are easily refused, and what is easily taken for them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.model.runner import Runner, result_of
from tests.model.scenario import Scenario

OFTEN = {"interval": 20.0}
AHEAD = Scenario(behaviour={"run_seconds": 300.0}, wait_options=OFTEN, front_ahead=2000.0)


def reviewed(**behaviour: Any) -> Scenario:
    """Return one in which people review the AI's drafts."""
    return Scenario(
        level=1, behaviour={"draft_documents": True, "run_seconds": 1000.0, **behaviour}, wait_options=OFTEN
    )


#: The scenario, whether all files are new, and whether one of them is a draft.
KNOWN: dict[str, tuple[Scenario, bool, bool]] = {
    "drafts are approved": (reviewed(outputs="unchanged"), True, True),
    "drafts are approved, never running": (reviewed(outputs="unchanged", status_hidden_for=None), True, True),
    "drafts are approved, old ones gone": (reviewed(outputs="unchanged", outputs_during_run="removed"), True, True),
    "reviewed documents lag": (reviewed(outputs_after=90.0), True, False),
    "reviewed documents lag, never running": (reviewed(outputs_after=90.0, status_hidden_for=None), True, False),
    "the front is ahead": (AHEAD, True, False),
    "the front is ahead, no events": (
        dataclasses.replace(AHEAD, behaviour={**AHEAD.behaviour, "delivery_events": "absent"}),
        True,
        False,
    ),
    "the front is ahead, status only": (
        dataclasses.replace(AHEAD, behaviour={**AHEAD.behaviour, "outputs": "unchanged", "delivery_events": "absent"}),
        False,
        False,
    ),
}


@pytest.mark.parametrize("waiting", ["itself", "task"])
@pytest.mark.parametrize(("scenario", "changed", "draft"), KNOWN.values(), ids=KNOWN)
def test_known_scenario_ends_with_the_new_result(
    runner: Runner, scenario: Scenario, waiting: str, *, changed: bool, draft: bool
) -> None:
    report = runner.run(dataclasses.replace(scenario, waiting=waiting, mode="all"))
    assert report.violations == []
    result: Any = result_of(report.outcomes["paid" if waiting == "itself" else "waits"])
    assert result["outputs_changed"] is changed
    assert ["draft" in output["name"] for output in result["outputs"]] == [draft]
