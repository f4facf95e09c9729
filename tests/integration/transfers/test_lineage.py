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


@pytest.mark.usefixtures("airflow_db")
def test_openlineage_hears_of_what_is_delivered_and_uploaded(tmp_path: Path) -> None:
    folder, film, events = tmp_path / "out #1", tmp_path / "in #1.srt", tmp_path / "events.jsonl"
    film.write_text("text")
    with Sandbox() as ollang:
        order_id = ollang.add_order(type="document", files=[{"name": "a.docx", "size": 700}])
        env = {
            **os.environ,
            "AIRFLOW_CONN_OLLANG_DEFAULT": ollang.connection_json,
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
                {"type": "file", "log_file_path": str(events), "append": True}
            ),
            "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "60",
        }
        arguments = (order_id, f"file://{folder}", f"file://{film}")
        command = [sys.executable, "-m", "tests.integration.transfers.lineage_run", *arguments]
        run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        (project,) = made(ollang)
        order, uploaded = (ollang.url, f"orders/{order_id}"), (ollang.url, f"projects/{project['id']}")
    assert datasets_of(events, "deliver") == {"inputs": [order], "outputs": [("file", f"{folder}/{order_id}")]}
    assert datasets_of(events, "upload") == {"inputs": [("file", str(film))], "outputs": [uploaded]}


def datasets_of(events: Path, task_id: str) -> dict[str, list[tuple[str, str]]]:
    """Return the datasets that OpenLineage heard of when a task was complete."""
    (completed,) = (
        event
        for event in map(json.loads, events.read_text().splitlines())
        if event["eventType"] == "COMPLETE" and event["job"]["name"].endswith(f".{task_id}")
    )
    return {
        side: [(dataset["namespace"], dataset["name"]) for dataset in completed[side]] for side in ("inputs", "outputs")
    }


def test_lineage_of_a_bucket_names_no_connection(tmp_path: Path) -> None:
    make_place("memory", tmp_path, "")
    folder = ObjectStoragePath("memory://conn@bucket/x #1")
    lineage = lineage_of("https://api.example", "abc", folder)
    (output,) = lineage.outputs
    assert (output.namespace, output.name) == ("memory://bucket", "x #1")
