"""The trigger where time is not what the worker thought: other clocks, long throttles, restarts."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.freshness import Rerun
from airflow_provider_ollang.domain.goals import StatusGoal
from airflow_provider_ollang.domain.polling import PollConfig, Poller, PollState
from airflow_provider_ollang.domain.result_goals import RerunGoal
from airflow_provider_ollang.exceptions import OllangTimeoutError, OllangUnavailableError
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.runtime.wait import GRACE
from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger
from tests.integration.triggers import ORDER, config, error_of, event_of, events_of, trigger

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox

TIMEOUT = 300.0
pytestmark = pytest.mark.usefixtures("at_once")


def deferred(ollang: Sandbox, *, ahead: float, failed: bool = False, timeout: float = TIMEOUT) -> Any:
    """Return the trigger that a worker defers with, whose clock is so many seconds ahead of the triggerer's."""
    now = ollang.now.timestamp() + ahead
    poller = Poller(PollConfig(order_id=ORDER, timeout=timeout), StatusGoal(), PollState(), now + timeout)
    order = {"id": ORDER, "status": "ongoing"}
    decision = poller.on_error(OllangUnavailableError("503"), now) if failed else poller.on_order(order, now)
    made = OllangOrderStatusTrigger.from_poller(poller, decision, ollang_conn_id="ollang_default", now=now)
    path, arguments = made.serialize()
    assert path.endswith(".OllangOrderStatusTrigger")
    return OllangOrderStatusTrigger(**json.loads(json.dumps(arguments)))


def seconds_of_polls(ollang: Sandbox, started: Any) -> list[float]:
    times = [type(started).fromisoformat(entry.time) for entry in ollang.request_log]
    return [round((time - started).total_seconds()) for time in times]


@pytest.mark.parametrize("ahead", [-600, 0, 10 * 86400])
def test_first_poll_is_made_at_once_whatever_the_clocks(ollang: Sandbox, ahead: float) -> None:
    started = ollang.now
    assert event_of(deferred(ollang, ahead=ahead))["result"]["status"] == "completed"
    assert seconds_of_polls(ollang, started) == [0]


@pytest.mark.parametrize("ahead", [0, 10 * 86400])
def test_pause_after_failure_is_never_longer_than_it_was(ollang: Sandbox, ahead: float) -> None:
    started = ollang.now
    event_of(deferred(ollang, ahead=ahead, failed=True))
    assert seconds_of_polls(ollang, started) == [60]


def test_pause_of_stored_trigger_without_its_length_is_bounded(ollang: Sandbox) -> None:
    started = ollang.now
    event_of(trigger(not_before=started.timestamp() + 86400))
    assert seconds_of_polls(ollang, started) == [300]


@pytest.mark.parametrize("ahead", [0, 10 * 86400])
def test_wait_is_never_longer_than_its_timeout(ollang: Sandbox, ahead: float) -> None:
    started = ollang.now
    ollang.change_order(ORDER, status="ongoing")
    assert type(error_of(deferred(ollang, ahead=ahead))) is OllangTimeoutError
    assert (ollang.now - started).total_seconds() == pytest.approx(TIMEOUT, abs=0.1)


@pytest.mark.parametrize("ahead", [-600, 0, 600])
def test_airflows_own_timeout_is_the_deadline(ollang: Sandbox, ahead: float) -> None:
    """Airflow's server counts it from the deferral, by its own clock, and stores it with the task."""
    started = ollang.now
    ollang.change_order(ORDER, status="ongoing")
    wait = deferred(ollang, ahead=ahead)
    again = type(wait)(**wait.serialize()[1])
    again.timeout_after = started + timedelta(seconds=TIMEOUT) + GRACE
    ollang.advance(100)
    # Another triggerer, 100 s later, ends it when the first one would have.
    assert type(error_of(again)) is OllangTimeoutError
    assert (ollang.now - started).total_seconds() == pytest.approx(TIMEOUT, abs=0.1)


def test_new_rerun_is_polled_densely_at_first(ollang: Sandbox) -> None:
    baseline = Baseline.from_order(OllangHook().get_order(ORDER))
    started = ollang.now
    goal = RerunGoal(rerun=Rerun(baseline, started.isoformat()))
    wait = trigger(goal=goal.to_json(), config=config(timeout=100), deadline=started.timestamp() + 100)
    assert type(error_of(wait)) is OllangTimeoutError
    assert seconds_of_polls(ollang, started)[1:] == [0, 1, 3, 6, 11, 19, 30, 90, 100]


def test_deadline_past_at_the_start_names_clocks(ollang: Sandbox) -> None:
    ollang.change_order(ORDER, status="ongoing")
    error = str(error_of(deferred(ollang, ahead=-600)))
    assert len(ollang.request_log) == 1
    for words in ("began", "clock", "triggerer", "300 s after its deadline"):
        assert words in error


def test_ordinary_timeout_does_not_name_clocks(ollang: Sandbox) -> None:
    ollang.change_order(ORDER, status="ongoing")
    assert "clock" not in str(error_of(deferred(ollang, ahead=0)))


def test_last_poll_is_sent_though_the_connection_is_throttled(ollang: Sandbox) -> None:
    """Poke mode takes it, too: it alone can find what was finished meanwhile."""
    ollang.change_order(ORDER, status="ongoing")
    ollang.change_order(ORDER, status="completed", after=100)
    ollang.add_fault("GET", status=429, headers={"Retry-After": "7200"})
    started = ollang.now
    event = event_of(deferred(ollang, ahead=0, timeout=150.0))
    assert event["result"]["status"] == "completed"
    assert seconds_of_polls(ollang, started) == [0, 150]


def test_throttle_by_another_wait_does_not_swallow_the_last_poll(ollang: Sandbox) -> None:
    ollang.add_fault("GET", status=429, headers={"Retry-After": "7200"})

    async def main() -> list[list[dict[str, Any]]]:
        return list(await asyncio.gather(*(events_of(deferred(ollang, ahead=0, timeout=150.0)) for _ in range(3))))

    assert [event["result"]["status"] for (event,) in asyncio.run(main())] == ["completed"] * 3
