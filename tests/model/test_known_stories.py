"""Stories that a random one seldom tells: right results that are easily refused, and what they are easily taken for."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from tests.model.play import result_of
from tests.model.story import Story

if TYPE_CHECKING:
    from tests.model.play import Player

DRAFTS = {"draft_documents": True, "run_seconds": 1000.0}
APPROVED = {**DRAFTS, "outputs": "unchanged"}
AHEAD = Story(behaviour={"run_seconds": 300.0}, wait_options={"interval": 60.0}, front_ahead=2000.0)

#: The story, whether all files are new, and whether one of them is a draft.
KNOWN: dict[str, tuple[Story, bool, bool]] = {
    "drafts are approved": (Story(level=1, behaviour=APPROVED), True, True),
    "drafts are approved, never running": (
        Story(level=1, behaviour={**APPROVED, "status_hidden_for": None}),
        True,
        True,
    ),
    "drafts are approved, none was expected": (
        Story(level=1, behaviour={**APPROVED, "outputs_during_run": "removed"}),
        True,
        True,
    ),
    "reviewed documents lag": (Story(level=1, behaviour={**DRAFTS, "outputs_after": 90.0}), True, False),
    "reviewed documents lag, never running": (
        Story(level=1, behaviour={**DRAFTS, "outputs_after": 90.0, "status_hidden_for": None}),
        True,
        False,
    ),
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
@pytest.mark.parametrize(("story", "changed", "draft"), KNOWN.values(), ids=KNOWN)
def test_ends_well(player: Player, story: Story, waiting: str, *, changed: bool, draft: bool) -> None:
    told = player.play(dataclasses.replace(story, waiting=waiting, mode="all"))
    assert told.violations == []
    result: Any = result_of(told.ends["paid" if waiting == "itself" else "waits"])
    assert result["outputs_changed"] is changed
    assert ["draft" in output["name"] for output in result["outputs"]] == [draft]
