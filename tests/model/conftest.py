"""Says from which seed the stories are, and makes what plays them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.model.play import Player, silence
from tests.model.world import World


def pytest_report_header() -> str:
    return f"stories: {os.environ.get('STORIES', '100')} from seed {os.environ.get('SEED', '0')}"


@pytest.fixture(scope="module")
def player() -> Iterator[Player]:
    with World() as world, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_OLLANG_DEFAULT", world.connection_json)
        silence()
        yield Player(world)
