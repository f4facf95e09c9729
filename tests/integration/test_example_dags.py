"""The example DAGs: each does what its description says, with the result of the right run."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.cli import cli_parser
from airflow.models.dagrun import DagRun
from airflow.sdk import DAG
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_ollang.sandbox import Sandbox
from tests.installed_airflow import read_dags
from tests.integration.conftest import RunDag

EXAMPLES = Path(__file__).parents[2] / "example_dags"
RUNNING = "60b8d6f1e1b9b1d8c6c0d8ec"


def example(dag_id: str) -> DAG:
    bag = read_dags(EXAMPLES / f"{dag_id}.py")
    assert not bag.import_errors
    return bag.dags[dag_id]


def test_rerun_order_hands_on_the_new_result(ollang: Sandbox, run_dag: RunDag) -> None:
    run = run_dag(example("ollang_rerun_order"), order_id="60b8d6f1e1b9b1d8c6c0d8e1")
    assert run.state == "success"
    assert run.results["hand_on"]["publish"] == "Sample Project - Episode 1"
    assert [file["name"] for file in run.results["hand_on"]["files"]] == ["French Subtitles (run 2)"]


def test_rerun_catalogue_reports_each_order_once(ollang: Sandbox, run_dag: RunDag) -> None:
    orders = ["60b8d6f1e1b9b1d8c6c0d8e1", "60b8d6f1e1b9b1d8c6c0d8e2", "60b8d6f1e1b9b1d8c6c0d8e1"]
    run = run_dag(example("ollang_rerun_catalogue"), order_ids=orders)
    assert run.state == "success"
    assert len(run.results["report"]) == 2
    assert all("(run 2)" in line for line in run.results["report"])
    assert [ollang.order(order_id)["reruns_accepted"] for order_id in orders[:2]] == [1, 1]


@pytest.mark.parametrize(
    ("orders", "finished"),
    [(["60b8d6f1e1b9b1d8c6c0d8e2", RUNNING], 1), ([RUNNING, "60b8d6f1e1b9b1d8c6c0d8eb"], 0)],
    ids=["1 of 2", "0 of 2"],
)
def test_catalogue_report_succeeds_though_orders_fail(
    ollang: Sandbox, run_dag: RunDag, orders: list[str], finished: int
) -> None:
    run = run_dag(example("ollang_rerun_catalogue"), order_ids=orders)
    assert run.states["report"] == "success"
    assert [line.split(":")[0] for line in run.results["report"]] == orders[:finished]


# --- As users run them -------------------------------------------------------------------------------------------


def commands(file: Path) -> list[str]:
    """Return the commands that an example's description names, and the one without a configuration."""
    named = re.findall(r"^    (airflow dags test .*)$", file.read_text(), re.MULTILINE)
    assert named, f"{file.name} does not say how to run it"
    return [f"airflow dags test {file.stem}", *named]


@pytest.fixture
def dags_folder() -> Iterator[Path]:
    """Airflow's own DAGs folder, where users put the examples: one at a time, for each command reads all of them."""
    folder = Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def run_command(command: str, folder: Path) -> None:
    """Run a command of Airflow in this process: to start one takes longer than the DAG does."""
    _, *arguments = shlex.split(command)
    conf: dict[str, Any] = {}
    if "--conf" in arguments:
        at = arguments.index("--conf")
        conf = json.loads(arguments[at + 1])
        del arguments[at : at + 2]
    if "localize_video" in command:
        film = folder.with_name("film.mp4")
        film.write_bytes(b"not a real film")
        conf["source"] = f"file://{film}"
    elif "localize" in command:
        conf["destination"] = f"file://{folder}"
    given = cli_parser.get_parser().parse_args([*arguments, "--conf", json.dumps(conf)])
    # It raises SystemExit if the run fails.
    given.func(given)


def test_examples_run_as_documented_in_any_order_twice(
    airflow_db: None, dags_folder: Path, ollang: Sandbox, tmp_path: Path
) -> None:
    files = sorted(EXAMPLES.glob("ollang_*.py"))
    assert len(files) == 6
    for file, number in [*((file, 0) for file in files), *((file, 1) for file in reversed(files))]:
        in_use = Path(shutil.copy(file, dags_folder))
        run_command(commands(file)[number], tmp_path)
        in_use.unlink()
    with create_session() as session:
        runs = session.scalars(select(DagRun).order_by(DagRun.id.desc()).limit(12)).all()
        assert {(run.dag_id, str(run.state)) for run in runs} == {(file.stem, "success") for file in files}
    delivered = {path.name for path in tmp_path.iterdir()}
    assert delivered == {"60b8d6f1e1b9b1d8c6c0d8fe", "60b8d6f1e1b9b1d8c6c0d900", "60b8d6f1e1b9b1d8c6c0d901"}
    assert any("(run 3)" in file.name for file in (tmp_path / "60b8d6f1e1b9b1d8c6c0d8fe").iterdir())
    ordered = [len(creation["orders"]) for project in ollang.projects() for creation in project["creations"]]
    assert ordered == [3, 2]
    assert len([*tmp_path.with_name("film.mp4.localized").glob("*/*.srt")]) == 5
    rerun = {order["id"]: order["reruns_accepted"] for order in ollang.overview()["orders"]}
    assert {order_id: count for order_id, count in rerun.items() if count} == {
        "60b8d6f1e1b9b1d8c6c0d8fb": 2,
        "60b8d6f1e1b9b1d8c6c0d8fc": 2,
        "60b8d6f1e1b9b1d8c6c0d8fd": 1,
        "60b8d6f1e1b9b1d8c6c0d8fe": 2,
        "60b8d6f1e1b9b1d8c6c0d900": 2,
        "60b8d6f1e1b9b1d8c6c0d901": 1,
    }


def test_release_when_delivered_waits_and_submits_nothing(ollang: Sandbox, run_dag: RunDag) -> None:
    order_id = "60b8d6f1e1b9b1d8c6c0d8e1"
    ollang.change_order(order_id, {"status": "ongoing"})
    ollang.change_order(order_id, {"status": "completed"}, after=20)
    ollang.change_order(order_id, {"status": "delivered"}, after=60)
    run = run_dag(example("ollang_release_when_delivered"), order_id=order_id)
    assert run.state == "success"
    assert run.results["wait_until_delivered"]["status"] == "delivered"
    assert run.results["release"]["links_used"] == 2
    assert ollang.requests("POST") == []
