"""What a person sees of a run: finished, waiting, asking, failed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from dev.processes import wait_until
from tests.browser.pages import error_in_log, grid_cell, open_log, open_run, pointed_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator, Page

    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack

LIMIT = 300
#: The order of each run, for messages and pictures that look the same each time.
KINDS = ("done", "late", "bad", "poor", "ask")
ORDERS = {kind: f"60b8d6f1e1b9b1d8c6c0aa0{number}" for number, kind in enumerate(KINDS)}
DAGS = {
    "done": "ollang_localize_order",
    "ask": "ollang_localize_order",
    "late": "ollang_release_when_delivered",
    "bad": "ollang_rerun_order",
    "poor": "browser_quality_gate",
}


@pytest.fixture(scope="module")
def runs(
    airflow: AirflowStack, ollang: Sandbox, typed_connection: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[str, str]]:
    """Start a run of each kind, through the connection that was typed in; return its DAG and id by kind."""
    low = [{"Accuracy": 60.0, "Fluency": 90.0}]
    scores = [{"name": name, "value": value} for name, value in (("Accuracy", 72), ("Fluency", 88))]
    evaluation = {"id": "an-evaluation", "createdAt": "2026-01-02T03:04:05.000Z", "isLoading": False, "scores": scores}
    orders: dict[str, dict[str, Any]] = {
        "done": {},
        "late": {"level": 1, "status": "review"},
        "bad": {"behaviour": {"end_status": "failed"}},
        "poor": {"latestEvaluation": evaluation},
        "ask": {"behaviour": {"qc_scores": low}},
    }
    for name, fields in orders.items():
        ollang.add_order(id=ORDERS[name], type="subtitle", name="Pilot", **fields)
    files = {"destination": f"file://{tmp_path_factory.mktemp('delivered')}"}
    more = {"done": files, "ask": files}
    return {
        name: (dag_id, airflow.trigger(dag_id, {"order_id": ORDERS[name], **more.get(name, {})}))
        for name, dag_id in DAGS.items()
    }


@pytest.fixture
def settled(airflow: AirflowStack, runs: dict[str, tuple[str, str]]) -> Callable[[str], tuple[str, str]]:
    """Return what waits until a run has ended, or the waiting one waits."""

    def wait(name: str) -> tuple[str, str]:
        run = runs[name]
        if name == "late":
            wait_until(
                lambda: "deferred" in [one["state"] for one in airflow.task_instances(*run)], LIMIT, "the deferral"
            )
        else:
            airflow.wait_for_run(*run, timeout=LIMIT)
        return run

    return wait


def test_the_run_form_says_what_each_parameter_is(page: Page, runs: dict[str, tuple[str, str]]) -> None:
    page.goto(f"/dags/{runs['done'][0]}")
    page.get_by_role("button", name="Trigger").click()
    form = page.get_by_role("dialog")
    for words in ("The Ollang order to rerun", "The bar for its accuracy", "Where its files go: any object storage"):
        expect(form).to_contain_text(words)


def test_a_finished_run_shows_each_task_done_or_skipped(
    page: Page, settled: Callable[[str], tuple[str, str]], picture: Callable[[str, Page | Locator], None]
) -> None:
    open_run(page, *settled("done"))
    rows = page.get_by_role("row")
    for task in ("rerun_order", "wait_for_new_result", "good_enough", "deliver_files"):
        expect(rows.filter(has=page.get_by_role("link", name=task, exact=True))).to_contain_text("Success")
    for task in ("rerun_once_more", "ask_a_person"):
        expect(rows.filter(has=page.get_by_role("link", name=task, exact=True))).to_contain_text("Skipped")
    picture("run", page)


@pytest.mark.parametrize(
    ("kind", "state", "cells", "log", "xcom", "details"),
    [
        pytest.param(
            "done",
            "Success",
            {"ask_a_person": "Skipped", "rerun_order": "Success"},
            ["Order {order} is completed with", "Order {order}: Ollang accepted the rerun"],
            "return_value",
            ["State success", "Operator OllangRerunOperator", "Trigger None"],
            id="finished",
        ),
        pytest.param(
            "late",
            "Running",
            {"release": "No Status", "wait_until_delivered": "Deferred"},
            ["Order {order} is in review until a person acts in Ollang."],
            "No XCom found",
            ["State deferred", "Trigger class airflow_provider_ollang.triggers.ollang.OllangOrderStatusTrigger"],
            id="waiting",
        ),
        pytest.param(
            "bad",
            "Failed",
            {"rerun_order": "Success", "hand_on": "Upstream Failed", "wait_for_new_result": "Failed"},
            ["OllangOrderFailedError: Order {order} is 'failed'"],
            "No XCom found",
            ["State failed", "Operator OllangOrderStatusSensor", "Trigger None"],
            id="failed",
        ),
    ],
)
def test_the_grid_leads_to_the_log_the_xcom_and_the_details(
    page: Page,
    settled: Callable[[str], tuple[str, str]],
    kind: str,
    state: str,
    cells: dict[str, str],
    log: list[str],
    xcom: str,
    details: list[str],
) -> None:
    dag_id, run_id = settled(kind)
    page.goto(f"/dags/{dag_id}")
    page.locator(f"a[href='/dags/{dag_id}/runs/{run_id}/']").click()
    expect(page.get_by_role("heading", name=run_id)).to_be_visible()
    expect(page.get_by_test_id("state-badge").first).to_have_text(state)
    for task, its_state in cells.items():
        told = re.compile(rf"State: {its_state}\s*Run ID: {re.escape(run_id)}")
        expect(pointed_at(page, run_id, task)).to_contain_text(told)
    grid_cell(page, run_id, list(cells)[-1]).click()
    for words in log:
        expect(page.get_by_text(words.format(order=ORDERS[kind]))).to_be_visible()
    page.get_by_role("link", name="Storage", exact=True).click()
    page.get_by_role("link", name="XCom", exact=True).click()
    expect(page.get_by_text(xcom, exact=True)).to_be_visible()
    page.get_by_role("link", name="Details", exact=True).click()
    for words in (*details, f"Run ID {run_id}"):
        expect(page.get_by_role("row", name=words)).to_be_visible()


def test_the_receipt_is_in_xcom_and_the_record_in_the_task_state_store(
    page: Page, settled: Callable[[str], tuple[str, str]], picture: Callable[[str, Page | Locator], None]
) -> None:
    open_run(page, *settled("done"), "tasks/rerun_order/xcom")
    page.get_by_role("button", name=re.compile("expand", re.IGNORECASE)).click()
    table = page.get_by_role("table")
    for words in ("requested_at", "baseline", ORDERS["done"]):
        expect(table).to_contain_text(words)
    picture("receipt", page)
    page.get_by_role("link", name="Task State Store").click()
    expect(table).to_contain_text("ollang_rerun")
    expect(table).to_contain_text("finished")


def test_the_delivered_files_are_listed(page: Page, settled: Callable[[str], tuple[str, str]]) -> None:
    open_run(page, *settled("done"), "tasks/deliver_files/xcom")
    page.get_by_role("button", name=re.compile("expand", re.IGNORECASE)).click()
    for words in ("Subtitles (run 2)", "sha256"):
        expect(page.get_by_role("table")).to_contain_text(words)


def test_a_waiting_task_is_deferred_and_says_that_a_person_has_to_act(
    page: Page, settled: Callable[[str], tuple[str, str]], picture: Callable[[str, Page | Locator], None]
) -> None:
    open_log(page, *settled("late"), "wait_until_delivered")
    expect(page.get_by_text("Deferred", exact=True)).to_be_visible()
    expect(page.get_by_text("is in review until a person acts in Ollang.")).to_be_visible()
    picture("waiting", page)


def test_an_order_that_failed_is_said_in_one_sentence(
    page: Page, settled: Callable[[str], tuple[str, str]], picture: Callable[[str, Page | Locator], None]
) -> None:
    open_log(page, *settled("bad"), "wait_for_new_result")
    words = error_in_log(page, "OllangOrderFailedError")
    expect(words).to_have_text(
        f"OllangOrderFailedError: Order {ORDERS['bad']} is 'failed' and will not reach 'completed' or 'delivered' "
        "with a new result. Check the order in Ollang for the reason."
    )
    picture("failed", page)


def test_the_table_of_a_quality_error_is_a_table(
    page: Page, settled: Callable[[str], tuple[str, str]], picture: Callable[[str, Page | Locator], None]
) -> None:
    open_log(page, *settled("poor"), "gate")
    words = error_in_log(page, "OllangQualityError")
    lines = [line.split() for line in words.inner_text().splitlines()]
    assert lines[1:5] == [
        ["Accuracy", "72", "minimum", "95", "below"],
        ["Fluency", "88"],
        ["Cultural", "Fit", "-", "minimum", "90", "missing"],
        ["average", "80", "minimum", "92", "below"],
    ]
    picture("quality-error", page)


def test_a_person_is_asked_and_approves(
    page: Page,
    airflow: AirflowStack,
    runs: dict[str, tuple[str, str]],
    picture: Callable[[str, Page | Locator], None],
) -> None:
    dag_id, run_id = runs["ask"]
    path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/ask_a_person/-1/hitlDetails"
    wait_until(lambda: airflow.request("GET", path).ok, LIMIT, "the question")
    open_run(page, dag_id, run_id, "tasks/ask_a_person/required_actions")
    expect(page.get_by_text(f"Deliver order {ORDERS['ask']} below the bar?").first).to_be_visible()
    picture("asked", page)
    page.get_by_role("button", name="Approve").click()
    assert airflow.wait_for_run(dag_id, run_id, timeout=LIMIT) == "success"
    delivered = {one["task_id"]: one["state"] for one in airflow.task_instances(dag_id, run_id)}["deliver_files"]
    assert delivered == "success"
