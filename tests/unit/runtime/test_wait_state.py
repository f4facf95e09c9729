"""What a sensor keeps of a wait between reschedules and tries: never what it saw of another rerun."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_ollang import _clock
from airflow_provider_ollang.runtime.wait_state import STATE_KEY, WaitState
from tests.unit.builders import REQUESTED, START, Setup, order, rerun_of, setup


class Store(dict[str, Any]):
    """Stand in for Airflow's store, which only a running task has."""

    def set(self, key: str, value: Any, **_retention: Any) -> None:
        self[key] = value


def state_of(store: Store, try_number: int = 1) -> WaitState:
    context: Any = {"ti": SimpleNamespace(try_number=try_number), "task_state_store": store}
    return WaitState(context, timeout=60)


def for_rerun(requested_at: str | None = REQUESTED, **changes: Any) -> Setup:
    return setup(rerun=rerun_of(order(), requested_at=requested_at), **changes)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    """Return the store of a try that has observed the rerun running."""
    monkeypatch.setattr(_clock, "now", lambda: START)
    store = Store(other=1)
    state = state_of(store)
    poller = state.begin(*for_rerun())
    assert not state.is_started
    poller.state.seen_running, poller.state.consecutive_failures = True, 3
    state.save(poller, with_goal=True)
    monkeypatch.setattr(_clock, "now", lambda: START + 1000)
    return store


def test_rescheduled_try_continues_its_wait(store: Store) -> None:
    state = state_of(store)
    for poller in (state.resume(), state.begin(*for_rerun())):
        assert poller is not None
        assert (poller.goal, poller.config) == (for_rerun().goal, for_rerun().config)
        assert (poller.state.seen_running, poller.state.consecutive_failures) == (True, 3)
        assert poller.deadline == START + 60
    assert state.is_started


def test_retry_keeps_facts_and_counts_its_own_time(store: Store) -> None:
    state = state_of(store, 2)
    assert state.resume() is None
    poller = state.begin(*for_rerun())
    assert (poller.state.seen_running, poller.state.consecutive_failures) == (True, 0)
    assert poller.deadline == START + 1060
    assert not state.is_started


@pytest.mark.parametrize(
    "wait",
    [for_rerun("2024-03-01T13:00:00+00:00"), for_rerun(None), for_rerun(order_id="another"), setup()],
    ids=["another rerun", "a rerun without a time", "another order", "no rerun"],
)
def test_wait_for_anything_else_starts_afresh(store: Store, wait: Setup) -> None:
    assert state_of(store, 2).begin(*wait).state.seen_running is False


def test_rerun_without_a_time_is_known_within_its_try_only() -> None:
    store = Store()
    for try_number, is_known in ((1, False), (1, True), (2, False)):
        state = state_of(store, try_number)
        poller = state.begin(*for_rerun(None))
        assert poller.state.seen_running is is_known
        poller.state.seen_running = True
        state.save(poller)


def test_unchanged_wait_is_not_stored_again(store: Store) -> None:
    state = state_of(store)
    poller = state.resume()
    assert poller is not None
    del store[STATE_KEY]
    state.save(poller, with_goal=True)
    assert STATE_KEY not in store
