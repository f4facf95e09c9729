"""Many orders taken all the way: rerun, evaluated, rerun again below the bar, a person asked, files delivered."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dev.processes import wait_until

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack

DAG_ID = "ollang_localize_catalogue"
LIMIT = 240
STAY_AWAY = 4.0
GOOD, BAD = {"Accuracy": 95.0, "Fluency": 90.0}, {"Accuracy": 60.0, "Fluency": 90.0}
#: Each order's evaluations in their order, the reruns it needs, and what the person says who is asked.
ORDERS: dict[str, tuple[list[dict[str, float]], int, str | None]] = {
    "good at once": ([GOOD], 1, None),
    "good at last": ([BAD, GOOD], 2, None),
    "bad, approved": ([BAD, BAD], 2, "Approve"),
    "bad, rejected": ([BAD, BAD], 2, "Reject"),
}


@pytest.fixture(scope="module")
def localized(
    airflow: AirflowStack, ollang: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], str, Path]:
    """Run the example DAG over all orders, and answer for the person; return the orders, the run and the folder."""
    folder = tmp_path_factory.mktemp("delivered")
    order_ids = {
        name: ollang.add_order(type="subtitle", name=name, behaviour={"qc_scores": scores})
        for name, (scores, _, _) in ORDERS.items()
    }
    conf = {"order_ids": list(order_ids.values()), "destination": f"file://{folder}"}
    run_id = airflow.trigger(DAG_ID, conf)
    asked = {index: answer for index, (_, _, answer) in enumerate(ORDERS.values()) if answer}

    waiting_since: dict[int, float] = {}

    def answer_all() -> bool:
        for one in airflow.task_instances(DAG_ID, run_id):
            index = one["map_index"]
            if one["task_id"] != "localize.ask_a_person" or one["state"] != "awaiting_input" or index not in asked:
                continue
            # Airflow loses an answer that comes before it has noted that it waits for one, and fails a task that is
            # back before its last worker has ended.
            if time.monotonic() - waiting_since.setdefault(index, time.monotonic()) >= STAY_AWAY:
                path = f"/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{one['task_id']}/{index}/hitlDetails"
                airflow.api("PATCH", path, json={"chosen_options": [asked.pop(index)], "params_input": {}})
        return not asked

    wait_until(answer_all, LIMIT, "the questions to a person", every=1)
    airflow.wait_for_run(DAG_ID, run_id, timeout=LIMIT)
    return order_ids, run_id, folder


def states(airflow: AirflowStack, run_id: str, index: int) -> dict[str, Any]:
    return {
        one["task_id"].removeprefix("localize."): one["state"]
        for one in airflow.task_instances(DAG_ID, run_id)
        if one["map_index"] == index
    }


def test_exactly_the_orders_below_the_bar_are_rerun_again(
    localized: tuple[dict[str, str], str, Path], ollang: Sandbox
) -> None:
    order_ids, _, _ = localized
    reports = {name: ollang.order(order_id) for name, order_id in order_ids.items()}
    expected = {name: reruns for name, (_, reruns, _) in ORDERS.items()}
    assert {name: report["reruns_accepted"] for name, report in reports.items()} == expected
    assert {name: report["evaluations_accepted"] for name, report in reports.items()} == expected


@pytest.mark.parametrize(("index", "name"), list(enumerate(ORDERS)))
def test_each_order_takes_its_own_way(
    localized: tuple[dict[str, str], str, Path], airflow: AirflowStack, index: int, name: str
) -> None:
    _, reruns, answer = ORDERS[name]
    once_more = "success" if reruns == 2 else "skipped"
    delivered = "upstream_failed" if answer == "Reject" else "success"
    assert states(airflow, localized[1], index) == {
        "rerun": "success",
        "evaluate": "success",
        "gate": "success",
        "rerun_once_more": once_more,
        "evaluate_again": once_more,
        "gate_again": once_more,
        "needs_a_person": "success" if answer else "skipped",
        "ask_a_person": {"Approve": "success", "Reject": "failed", None: "skipped"}[answer],
        "deliver_files": delivered,
    }


@pytest.mark.parametrize(("index", "name"), list(enumerate(ORDERS)))
def test_the_files_of_the_newest_run_are_delivered(
    localized: tuple[dict[str, str], str, Path], airflow: AirflowStack, ollang: Sandbox, index: int, name: str
) -> None:
    order_ids, run_id, folder = localized
    order_id, (_, reruns, answer) = order_ids[name], ORDERS[name]
    names = {path.name for path in (folder / order_id).glob("*") if path.is_file()}
    if answer == "Reject":
        assert not names
        return
    manifest = airflow.xcom(DAG_ID, run_id, "localize.deliver_files", map_index=index)
    assert {Path(file["path"]).name for file in manifest["files"]} == names
    documents = [file for file in manifest["files"] if file["document_id"]]
    assert documents
    for file in documents:
        assert f"(run {reruns + 1})" in file["name"]
        assert file["sha256"] == ollang.content(order_id, file["document_id"]).sha256()


def test_no_key_went_to_the_host_of_the_files(localized: tuple[dict[str, str], str, Path], ollang: Sandbox) -> None:
    fetched = ollang.requests("GET", "/files/*")
    assert fetched
    assert not any(entry.key_sent for entry in fetched)
