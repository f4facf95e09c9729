"""One Airflow and one sandbox for the whole session; at its end Airflow's home is searched for what must not be there.

Both keep running from test to test: give each test orders of its own (`ollang.add_order`). The sandbox's time passes
ten times as fast. A task that defers or is rescheduled should stay away for two seconds at least: Airflow itself fails
one that is back before its last worker has ended.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_ollang.sandbox import SIGNATURE, Sandbox
from dev.leaks import find_leaks
from dev.stack import AirflowStack

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def ollang() -> Iterator[Sandbox]:
    """Serve a sandbox that takes one key, used nowhere else, and signs every link."""
    api_key = f"canary-key-{secrets.token_hex(12)}"
    with Sandbox(api_key=api_key, speed=10, behaviour={"sign_links": True}) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def canaries(ollang: Sandbox) -> dict[str, str]:
    """Return what must not be found in Airflow's home, by name."""
    return {"API key": ollang.api_key, "link signature": SIGNATURE}


@pytest.fixture(scope="session")
def airflow(
    ollang: Sandbox, canaries: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowStack]:
    """Run a whole Airflow with the example DAGs and those in `dags/`; `ollang_default` leads to the sandbox."""
    home = tmp_path_factory.mktemp("airflow-home")
    folders = [HERE.parents[1] / "example_dags", HERE / "dags"]
    connections = ("OLLANG_DEFAULT", "OLLANG_DEFERRABLE", "OLLANG_START_FROM_TRIGGER")
    env = {
        **{f"AIRFLOW_CONN_{name}": ollang.connection_json for name in connections},
        "OLLANG_POKE_INTERVAL": "2",
        # How soon a triggerer takes over the waits of one that died.
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
    }
    with AirflowStack(home=home, dags_folders=[folder for folder in folders if folder.is_dir()], env=env) as stack:
        yield stack
    # Once more when all has ended: the last lines are written while the components stop.
    assert find_leaks(home, canaries) == []
