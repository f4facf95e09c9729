"""What OpenLineage hears of a delivery."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.transfers._manifest import lineage_of
from tests.integration.transfers.places import make_place
from tests.integration.transfers.uploads import made

ROOT = Path(__file__).parents[3]


Datasets = dict[str, list[tuple[str, str]]]


def datasets_of(ollang: Sandbox, tmp_path: Path, what: str, *arguments: str) -> Datasets:
    """Run a task, `deliver` or `upload`, and return the datasets that OpenLineage hears of when it is complete."""
    events = tmp_path / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(events), "append": True}
    env = {
        **os.environ,
        "AIRFLOW_CONN_OLLANG_DEFAULT": ollang.connection_json,
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
        "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "60",
    }
    command = [sys.executable, "-m", "tests.integration.transfers.lineage_run", what, *arguments]
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = events.read_text().splitlines() if events.exists() else []
    completed = [
        event
        for event in map(json.loads, lines)
        if event["eventType"] == "COMPLETE" and event["job"]["name"].endswith(f".{what}")
    ]
    assert completed, run.stdout + run.stderr
    return {
        side: [(dataset["namespace"], dataset["name"]) for dataset in completed[-1][side]]
        for side in ("inputs", "outputs")
    }


@pytest.mark.usefixtures("airflow_db")
def test_openlineage_hears_of_order_and_folder(tmp_path: Path) -> None:
    with Sandbox() as ollang:
        order_id = ollang.add_order(type="document", files=[{"name": "a.docx", "size": 700}])
        assert datasets_of(ollang, tmp_path, "deliver", f"file://{tmp_path}/out #1", order_id) == {
            "inputs": [(ollang.url, f"orders/{order_id}")],
            "outputs": [("file", f"{tmp_path}/out #1/{order_id}")],
        }


@pytest.mark.usefixtures("airflow_db")
def test_openlineage_hears_of_file_and_project(tmp_path: Path) -> None:
    path = tmp_path / "in #1.srt"
    path.write_text("text")
    with Sandbox() as ollang:
        datasets = datasets_of(ollang, tmp_path, "upload", f"file://{path}")
        (project,) = made(ollang)
    assert datasets == {"inputs": [("file", str(path))], "outputs": [(ollang.url, f"projects/{project['id']}")]}


def test_lineage_of_a_bucket_names_no_connection(tmp_path: Path) -> None:
    make_place("memory", tmp_path, "")
    folder = ObjectStoragePath("memory://conn@bucket/x #1")
    lineage = lineage_of("https://api.example", "abc", folder)
    (output,) = lineage.outputs
    assert (output.namespace, output.name) == ("memory://bucket", "x #1")
