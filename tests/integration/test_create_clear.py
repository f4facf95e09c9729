"""``OllangCreateOrderOperator`` when its task is cleared: what is taken, what is created again, and what never is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.exceptions import (
    OllangOrderFailedError,
    OllangOrderNotFoundError,
    OllangOutcomeUnknownError,
    OllangTimeoutError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from tests.installed_airflow import needs_task_state_store
from tests.integration.creations import (
    LANGUAGES,
    LOST,
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
from tests.integration.submissions import ProcessKilled, during_sleep, kill_while_sending

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import ClearRun, RunDag

#: A single order gets it while the connection has the key of another account.
NOT_FOUND: dict[str, Any] = {
    "status": 404,
    "body": {
        "error": "Order not found",
        "message": "No order found with the provided orderId",
        "code": "ORDER_NOT_FOUND",
    },
}
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
def test_cleared_unknown_outcome_takes_what_shows_late(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    ollang.change_behaviour({"orders_hidden_for": 600})
    ollang.add_fault("POST", **LOST)
    dag = create_dag()
    run = run_dag(dag)
    assert isinstance(run.errors["create"], OllangOutcomeUnknownError)
    ollang.advance(600)
    cleared = clear_run(dag, run)
    assert (cleared.states, posts(ollang), created(ollang)) == (SUCCESS, 1, one_each())
    require_right_orders(ollang, cleared)


@needs_task_state_store
def test_cleared_unknown_outcome_without_orders_creates_them(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun
) -> None:
    ollang.add_fault("POST", drop="before")
    dag = create_dag()
    cleared = clear_run(dag, run_dag(dag))
    assert (cleared.states, posts(ollang), created(ollang)) == (SUCCESS, 2, one_each())


@needs_task_state_store
def test_person_settles_doubled_orders_by_cancelling(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    ollang.change_behaviour({"processed_twice": True, "cancellable_for": None, "run_seconds": 3600})
    ollang.add_fault("POST", **LOST)
    dag = create_dag()
    run = run_dag(dag)
    for order_id in creations(ollang)[0]["orders"]:
        ollang.cancel_order(order_id)
    cleared = clear_run(dag, run)
    assert (cleared.states, posts(ollang), ids(cleared)) == (SUCCESS, 1, creations(ollang)[1]["orders"])


@needs_task_state_store
def test_cleared_wrong_answer_creates_what_is_missing(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    ollang.change_behaviour({"created_languages": 2, "answered_languages": "all"})
    dag = create_dag()
    run = run_dag(dag)
    assert isinstance(run.errors["create"], OllangOutcomeUnknownError)
    cleared = clear_run(dag, run)
    assert (cleared.states, posts(ollang), created(ollang)) == (SUCCESS, 2, one_each())


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


@needs_task_state_store
def test_clear_never_doubles_orders_that_are_likely(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun) -> None:
    """The server's Date is ahead of its orders' dates."""
    ollang.change_behaviour({"date_ahead": 10, "run_seconds": 100_000})
    ollang.add_fault("POST", **LOST)
    dag = create_dag()
    run = run_dag(dag)
    cleared = clear_run(dag, run)
    assert isinstance(cleared.errors["create"], OllangOutcomeUnknownError)
    assert (posts(ollang), created(ollang), state()) == (1, one_each(), "unknown")
    assert all(order_id in str(cleared.errors["create"]) for order_id in creations(ollang)[0]["orders"])


@needs_task_state_store
@pytest.mark.parametrize(
    ("asked", "sibling", "clear_sends"),
    [("fr", "de", True), ("fr, it", "de", True), ("pt-PT", "pt-BR", False)],
    ids=["none there", "some there", "may be the same language"],
)
def test_order_of_a_sibling_task_blocks_no_clear(
    ollang: Sandbox,
    run_dag: RunDag,
    clear_run: ClearRun,
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    sibling: str,
    clear_sends: bool,
) -> None:
    """A task for another language of the project runs beside this one, whose request is not, or partly, processed."""
    ollang.change_behaviour({"run_seconds": 100_000, "created_languages": 1})
    ollang.add_fault("POST", status=502, processed="," in asked)

    def create_sibling() -> None:
        ollang.create_orders(body(sibling))

    during_sleep(monkeypatch, create_sibling)
    dag = create_dag(target_languages=asked, on_unknown_outcome="resubmit")
    run = run_dag(dag)
    assert isinstance(run.errors["create"], OllangOutcomeUnknownError)
    assert posts(ollang) == 1
    cleared = clear_run(dag, run)
    assert posts(ollang) == (2 if clear_sends else 1)
    if clear_sends:
        assert (cleared.states, created(ollang)) == (SUCCESS, one_each(*asked.split(", "), sibling))
    else:
        [order_id] = creations(ollang)[-1]["orders"]
        assert f"not asked for: {order_id} ({sibling})" in str(cleared.errors["create"])
    assert "that no other task ordered" in str(run.errors["create"])


def respell_last(ollang: Sandbox, code: str) -> None:
    """Let the last order of each request that comes next have this language."""
    create = ollang.create_orders

    def create_respelt(body: Any) -> Any:
        response = create(body)
        ollang.change_order(creations(ollang)[-1]["orders"][-1], targetLanguage=code)
        return response

    ollang.create_orders = create_respelt  # type: ignore[method-assign]


@needs_task_state_store
@pytest.mark.parametrize("fault", [None, LOST], ids=["good response", "lost response"])
def test_language_spelt_otherwise_is_never_ordered_again(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, fault: dict[str, Any] | None
) -> None:
    ollang.change_behaviour({"run_seconds": 100_000, "cancellable_for": None})
    respell_last(ollang, "pt-BR")
    if fault:
        ollang.add_fault("POST", **fault)
    dag = create_dag(target_languages=["fr", "pt"], on_unknown_outcome="resubmit")
    run = run_dag(dag)
    assert isinstance(run.errors["create"], OllangOutcomeUnknownError)
    cleared = clear_run(dag, run)
    assert isinstance(cleared.errors["create"], OllangOutcomeUnknownError)
    assert posts(ollang) == 1
    ollang.cancel_order(creations(ollang)[0]["orders"][1])
    clear_run(dag, run)
    assert posts(ollang) == 2


@needs_task_state_store
def test_lost_response_to_the_rest_is_reconciled_by_itself(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Ollang has answered the first request says nothing of the second one, which orders in another spelling."""
    ollang.change_behaviour({"run_seconds": 100_000, "created_languages": 1, "answered_languages": "all"})
    dag = create_dag(target_languages="fr, pt")
    run = run_dag(dag)
    ollang.change_behaviour({"created_languages": None})
    respell_last(ollang, "pt-BR")
    kill_while_sending(monkeypatch, processed=True)
    lost = clear_run(dag, run)
    assert isinstance(lost.errors["create"], OllangOutcomeUnknownError)
    assert "an earlier try of this task ended around the request" in str(lost.errors["create"])
    cleared = clear_run(dag, run)
    assert isinstance(cleared.errors["create"], OllangOutcomeUnknownError)
    assert (posts(ollang), sum(created(ollang).values())) == (2, 2)
