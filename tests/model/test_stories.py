"""Many stories from a seed: no second bill, no old result, no task without an end.

``STORIES`` says how many, ``SEED`` from which seed on; ``STORY`` plays one again, as a failure prints it.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

import pytest

from tests.model import story as stories
from tests.model.story import Story, random_story, shrink

if TYPE_CHECKING:
    from tests.model.play import Player

STORY = os.environ.get("STORY", "")
STORIES = 1 if STORY else int(os.environ.get("STORIES", "100"))
SEED = os.environ.get("SEED", "0")
_CHUNK = 25


def _is_of(player: Player, kind: str, story: Story) -> bool:
    return kind in player.play(story).kinds


@pytest.mark.parametrize("first", range(0, STORIES, _CHUNK), ids=lambda first: f"{SEED}-{first}")
def test_stories(player: Player, first: int) -> None:
    found: dict[str, str] = {}
    for number in range(first, min(first + _CHUNK, STORIES)):
        seed = f"{SEED}-{number}"
        story = eval(STORY, vars(stories)) if STORY else random_story(seed)  # noqa: S307 - a developer's own
        for kind in sorted(player.play(story).kinds - found.keys()):
            smallest = shrink(story, functools.partial(_is_of, player, kind))
            details = [text for text in player.play(smallest).violations if text.startswith(kind)]
            found[kind] = f"{details[0]}\n  seed {seed}, {smallest}"
    if found:
        pytest.fail("\n\n".join(found.values()), pytrace=False)
