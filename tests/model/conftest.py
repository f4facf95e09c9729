"""Reports from which seed the scenarios are, and makes what runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.model.runner import Runner, silence
from tests.model.world import World


def pytest_report_header() -> str:
    return f"scenarios: {os.environ.get('SCENARIOS', '100')} from seed {os.environ.get('SEED', '0')}"


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with World() as world, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_OLLANG_DEFAULT", world.connection_json)
        silence()
        yield Runner(world)
