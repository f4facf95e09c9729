"""``OllangCreateOrderOperator`` when its task is cleared with an unknown outcome: no order is doubled or blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.exceptions import OllangOrderFailedError, OllangOutcomeUnknownError
from tests.installed_airflow import needs_task_state_store
from tests.integration.creations import (
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
from tests.integration.submissions import during_sleep, kill_while_sending

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import ClearRun, RunDag


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


@needs_task_state_store
@pytest.mark.usefixtures("at_once")
def test_wrong_answer_to_the_rest_leaves_known_orders_known(
    ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order that is kept was there before the task attached to it, and is denied for a moment."""
    ollang.change_behaviour({"run_seconds": 100_000, "cancellable_for": None})
    run = run_dag(create_dag(target_languages="fr, de"))
    first, kept = creations(ollang)[0]["orders"]

    def cancel() -> None:
        ollang.cancel_order(first)

    during_sleep(monkeypatch, cancel, after=100)
    attached = clear_run(create_dag(**WAITING, target_languages="fr, de"), run, keep_task_state=False)
    assert isinstance(attached.errors["create"], OllangOrderFailedError)
    ollang.change_behaviour({"created_languages": 0, "answered_languages": "all"})
    dag = create_dag(target_languages="fr, de")
    answered = clear_run(dag, run)
    assert isinstance(answered.errors["create"], OllangOutcomeUnknownError)
    ollang.change_behaviour({"created_languages": None})
    ollang.add_fault("GET", f"/integration/orders/{kept}", **NOT_FOUND)
    cleared = clear_run(dag, run)
    assert (cleared.states, created(ollang)) == (SUCCESS, one_each("fr", "fr", "de"))
    assert cleared.results["create"][1]["order_id"] == kept
