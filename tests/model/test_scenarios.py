"""Many scenarios from a seed: no second bill, no old result, no task without an end.

``SCENARIOS`` says how many, ``SEED`` from which seed on; ``SCENARIO`` runs one again, as a failure prints it.
"""

from __future__ import annotations

import functools
import os

import pytest

from tests.model import scenario as scenarios
from tests.model.runner import Runner
from tests.model.scenario import Scenario, random_scenario, shrink

SCENARIO = os.environ.get("SCENARIO", "")
SCENARIOS = 1 if SCENARIO else int(os.environ.get("SCENARIOS", "100"))
SEED = os.environ.get("SEED", "0")
_CHUNK = 25


def _is_of(runner: Runner, kind: str, scenario: Scenario) -> bool:
    return kind in runner.run(scenario).kinds


@pytest.mark.parametrize("first", range(0, SCENARIOS, _CHUNK), ids=lambda first: f"{SEED}-{first}")
def test_random_scenarios_violate_nothing(runner: Runner, first: int) -> None:
    found: dict[str, str] = {}
    for number in range(first, min(first + _CHUNK, SCENARIOS)):
        seed = f"{SEED}-{number}"
        scenario = eval(SCENARIO, vars(scenarios)) if SCENARIO else random_scenario(seed)  # noqa: S307 - a developer's own
        for kind in sorted(runner.run(scenario).kinds - found.keys()):
            smallest = shrink(scenario, functools.partial(_is_of, runner, kind))
            details = [text for text in runner.run(smallest).violations if text.startswith(kind)]
            found[kind] = f"{details[0]}\n  seed {seed}, {smallest}"
    if found:
        pytest.fail("\n\n".join(found.values()), pytrace=False)
