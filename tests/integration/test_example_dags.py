"""The example DAGs, run whole: each does what its description says, with the result of the right run."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG

from airflow_provider_ollang.sandbox import Sandbox
from tests.installed_airflow import read_dags
from tests.integration.conftest import RunDag

EXAMPLES = Path(__file__).parents[2] / "example_dags"


def example(dag_id: str) -> DAG:
    bag = read_dags(EXAMPLES / f"{dag_id}.py")
    assert not bag.import_errors
    return bag.dags[dag_id]


def test_rerun_order(fast_ollang: Sandbox, run_dag: RunDag) -> None:
    run = run_dag(example("ollang_rerun_order"), order_id="60b8d6f1e1b9b1d8c6c0d8e1")
    assert run.state == "success"
    assert run.results["hand_on"]["publish"] == "Sample Project - Episode 1"
    assert [file["name"] for file in run.results["hand_on"]["files"]] == ["French Subtitles (run 2)"]


def test_rerun_catalogue(fast_ollang: Sandbox, run_dag: RunDag) -> None:
    orders = ["60b8d6f1e1b9b1d8c6c0d8e1", "60b8d6f1e1b9b1d8c6c0d8e2", "60b8d6f1e1b9b1d8c6c0d8e1"]
    run = run_dag(example("ollang_rerun_catalogue"), order_ids=orders)
    assert run.state == "success"
    assert len(run.results["report"]) == 2
    assert all("(run 2)" in line for line in run.results["report"])
    assert [fast_ollang.order(order_id)["reruns_accepted"] for order_id in orders[:2]] == [1, 1]


def test_release_when_delivered(fast_ollang: Sandbox, run_dag: RunDag) -> None:
    order_id = "60b8d6f1e1b9b1d8c6c0d8e1"
    fast_ollang.change_order(order_id, {"status": "ongoing"})
    fast_ollang.change_order(order_id, {"status": "completed"}, after=20)
    fast_ollang.change_order(order_id, {"status": "delivered"}, after=60)
    run = run_dag(example("ollang_release_when_delivered"), order_id=order_id)
    assert run.state == "success"
    assert run.results["wait_until_delivered"]["status"] == "delivered"
    assert run.results["release"]["links_used"] == 2
    assert fast_ollang.requests("POST") == []
