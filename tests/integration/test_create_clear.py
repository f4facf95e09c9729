"""``OllangCreateOrderOperator`` when its task is cleared: what is taken, what is created again, and what never is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.exceptions import (
    OllangOrderFailedError,
    OllangOrderNotFoundError,
    OllangTimeoutError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from tests.installed_airflow import needs_task_state_store
from tests.integration.creations import (
    LANGUAGES,
    LOST,
    NOT_FOUND,
    SUCCESS,
    WAITING,
    body,
    create_dag,
    created,
    creations,
    ids,
    one_each,
    posts,
    require_right_orders,
    state,
)
from tests.integration.submissions import ProcessKilled, during_sleep

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import ClearRun, RunDag

KEPT = pytest.mark.parametrize("kept", [True, False], ids=["state kept", "state discarded"])


@needs_task_state_store
@KEPT
def test_cleared_task_takes_orders_that_are_at_work(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, kept: bool
) -> None:
    dag = create_dag()
    run = run_dag(dag)
    cleared = clear_run(dag, run, keep_task_state=kept)
    assert (cleared.states, posts(ollang), created(ollang)) == (SUCCESS, 1, one_each())
    assert ids(cleared) == ids(run)


@needs_task_state_store
def test_one_404_after_a_clear_decides_nothing(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    ollang.change_behaviour({"run_seconds": 1000})
    dag = create_dag(target_languages="fr")
    run = run_dag(dag)
    ollang.add_fault("GET", "/integration/orders/*", times=1, **NOT_FOUND)
    cleared = clear_run(dag, run)
    assert (cleared.states, posts(ollang), created(ollang)) == (SUCCESS, 1, one_each("fr"))


@needs_task_state_store
@KEPT
@pytest.mark.parametrize("waiting", [{}, WAITING], ids=["not waiting", "waiting"])
def test_cleared_task_whose_orders_are_done_creates_others(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, kept: bool, waiting: dict[str, Any]
) -> None:
    dag = create_dag(**waiting)
    run = run_dag(dag)
    ollang.advance(3600)
    cleared = clear_run(dag, run, keep_task_state=kept)
    assert (cleared.states, posts(ollang), created(ollang)) == (SUCCESS, 2, one_each() + one_each())
    assert not set(ids(cleared)) & set(ids(run))


@needs_task_state_store
def test_cleared_task_without_state_takes_no_doubtful_orders(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    """With two orders of a language at work, nothing tells which one was the task's."""
    dag = create_dag()
    run = run_dag(dag)
    ollang.create_orders(body("de"))
    cleared = clear_run(dag, run, keep_task_state=False)
    assert (cleared.states, posts(ollang)) == (SUCCESS, 2)
    require_right_orders(ollang, cleared)


@needs_task_state_store
def test_level_that_shows_late_is_the_level(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task without its record polls for half a minute whether its orders are at work."""
    ollang.change_behaviour({"run_seconds": 10_000})
    dag = create_dag(target_languages="fr", level=1)
    run = run_dag(dag)
    [order_id] = creations(ollang)[0]["orders"]
    ollang.change_order(order_id, level=0)

    def show_level() -> None:
        ollang.change_order(order_id, level=1)

    during_sleep(monkeypatch, show_level, after=5)
    cleared = clear_run(dag, run, keep_task_state=False)
    assert (cleared.states, posts(ollang), created(ollang)) == (SUCCESS, 1, one_each("fr"))


@needs_task_state_store
@pytest.mark.parametrize("fault", [None, LOST], ids=["cleared without state", "lost response"])
def test_project_that_ollang_spells_in_another_case_shows_its_orders(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, tmp_path: Path, fault: dict[str, Any] | None
) -> None:
    video = tmp_path / "film.mp4"
    video.write_bytes(b"film")
    project_id = OllangHook().upload_file(str(video), name="film", source_language="en")["project_id"]
    assert project_id != project_id.upper()
    ollang.change_behaviour({"created_project": project_id.upper(), "ignored_filters": ["projectId"]})
    dag = create_dag(project_id=project_id, on_unknown_outcome="resubmit")
    if fault:
        ollang.add_fault("POST", **fault)
    run = run_dag(dag)
    if not fault:
        run = clear_run(dag, run, keep_task_state=False)
    assert (run.states, posts(ollang), ollang.counts()["orders_created"]) == (SUCCESS, 1, len(LANGUAGES))


@needs_task_state_store
@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
def test_cleared_task_creates_a_failed_order_again(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, at_once: None, deferrable: bool
) -> None:
    """The others are neither created again nor waited for twice."""
    dag = create_dag(**WAITING, deferrable=deferrable)
    ollang.change_behaviour({"end_status": "failed"})
    ollang.create_orders(body("de"))
    run = run_dag(dag)
    assert isinstance(run.errors["create"], OllangOrderFailedError)
    ollang.change_behaviour({"end_status": "completed"})
    for order_id in ids(run)[1:]:
        ollang.change_order(str(order_id), status="completed")
    cleared = clear_run(dag, run)
    assert (cleared.states, posts(ollang), len(creations(ollang))) == (SUCCESS, 2, 3)
    assert [config["language"] for config in creations(ollang)[2]["asked"]["targetLanguageConfigs"]] == ["fr"]
    assert ids(cleared)[1:] == ids(run)[1:]
    assert [entry["result"]["status"] for entry in cleared.results["create"]] == ["completed"] * 3


@needs_task_state_store
@pytest.mark.usefixtures("at_once")
def test_failed_order_of_a_reconnected_wait_is_created_again(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        raise ProcessKilled

    ollang.change_behaviour({"run_seconds": 1000, "end_status": "failed"})
    during_sleep(monkeypatch, die, after=500)
    dag = create_dag(**WAITING)
    run = run_dag(dag)
    assert run.tries == {"create": 2}
    ollang.change_behaviour({"end_status": "completed"})
    for order_id in ids(run)[1:]:
        ollang.change_order(str(order_id), status="completed")
    cleared = clear_run(dag, run)
    assert (cleared.states, posts(ollang)) == (SUCCESS, 2)


@needs_task_state_store
@pytest.mark.parametrize("waiting", [{}, WAITING], ids=["not waiting", "waiting"])
def test_cancelled_order_that_is_gone_is_created_again(
    ollang: Sandbox,
    run_dag: RunDag,
    clear_run: ClearRun,
    monkeypatch: pytest.MonkeyPatch,
    at_once: None,
    waiting: dict[str, Any],
) -> None:
    """It gets 404, during the wait or after the end of the task."""
    ollang.change_behaviour({"cancelled_status": None, "cancellable_for": None, "run_seconds": 1000})

    def cancel() -> None:
        ollang.cancel_order(creations(ollang)[0]["orders"][0])

    if waiting:
        during_sleep(monkeypatch, cancel, after=100)
    dag = create_dag(**waiting, target_languages="fr")
    run = run_dag(dag)
    if not waiting:
        cancel()
    assert ("create" in run.errors, posts(ollang)) == (bool(waiting), 1)
    cleared = clear_run(dag, run)
    assert (cleared.states, posts(ollang)) == (SUCCESS, 2)


@needs_task_state_store
@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])
def test_order_denied_for_a_while_is_waited_for_again(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, deferrable: bool
) -> None:
    ollang.change_behaviour({"run_seconds": 7200})
    # Each order is read once before the wait.
    ollang.add_fault("GET", "/integration/orders/*", skip=len(LANGUAGES), times=None, **NOT_FOUND)
    dag = create_dag(**WAITING, deferrable=deferrable)
    run = run_dag(dag)
    assert isinstance(run.errors["create"], OllangOrderNotFoundError)
    ollang.remove_faults()
    cleared = clear_run(dag, run)
    assert (cleared.states, posts(ollang), created(ollang)) == (SUCCESS, 1, one_each())
    assert ids(cleared) == creations(ollang)[0]["orders"]


@needs_task_state_store
@pytest.mark.usefixtures("at_once")
def test_order_attached_to_and_denied_for_a_while_is_waited_for_again(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    """It is older than any list of new orders goes back, and was known before."""
    ollang.change_behaviour({"run_seconds": 10_000})
    run = run_dag(create_dag(target_languages="fr"))
    ollang.advance(2 * 3600)
    ollang.add_fault("GET", "/integration/orders/*", skip=1, times=None, **NOT_FOUND)
    waiting = create_dag(**WAITING, target_languages="fr")
    denied = clear_run(waiting, run, keep_task_state=False)
    assert isinstance(denied.errors["create"], OllangOrderNotFoundError)
    ollang.remove_faults()
    cleared = clear_run(waiting, run)
    assert (cleared.states, posts(ollang), created(ollang)) == (SUCCESS, 1, one_each("fr"))


@needs_task_state_store
@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("polls", [0, 2], ids=["first language", "second language"])
def test_one_404_at_the_start_of_a_wait_decides_nothing(ollang: Sandbox, run_dag: RunDag, polls: int) -> None:
    ollang.change_behaviour({"run_seconds": 50})
    ollang.add_fault("GET", "/integration/orders/*", skip=2 + polls, times=1, **NOT_FOUND)
    run = run_dag(create_dag(**WAITING, target_languages="fr, de"))
    assert (run.states, posts(ollang), created(ollang)) == (SUCCESS, 1, one_each("fr", "de"))


@needs_task_state_store
def test_cleared_timeout_waits_for_the_same_orders(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    ollang.change_behaviour({"run_seconds": 5000})
    dag = create_dag(wait_for_completion=True, timeout=3600)
    run = run_dag(dag)
    assert isinstance(run.errors["create"], OllangTimeoutError)
    assert (run.tries, state()) == ({"create": 1}, "accepted")
    cleared = clear_run(dag, run)
    assert (cleared.states, posts(ollang), ids(cleared)) == (SUCCESS, 1, ids(run))


@needs_task_state_store
def test_languages_in_another_order_are_the_same_request(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    run = run_dag(create_dag())
    cleared = clear_run(create_dag(target_languages=list(reversed(LANGUAGES))), run)
    assert (cleared.states, posts(ollang), ids(cleared)) == (SUCCESS, 1, ids(run))
