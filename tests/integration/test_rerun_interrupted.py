"""A rerun whose task is interrupted: it is not submitted again, and nothing is lost."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from airflow_provider_ollang._compat import AirflowTaskTimeout
from airflow_provider_ollang.exceptions import (
    OllangTransientError,
)
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from tests.installed_airflow import needs_task_state_store
from tests.integration.hook.servers import dead_route
from tests.integration.submissions import (
    ORDER,
    RESULT_ONLY,
    WAITING,
    accepted_reruns,
    at_store,
    during_sleep,
    first_output,
    is_refused,
    on_kill_of,
    posts,
    record,
    rerun_dag,
    state_on_record,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag


@pytest.fixture(autouse=True)
def _accepts_a_second_rerun(ollang: Sandbox) -> None:
    """Show the old status for ever and bill every request, so that nothing but the client prevents a second one."""
    ollang.change_order(ORDER, behaviour={"status_hidden_for": None, "rerun_while_running": "accept"})


# --- execution_timeout --------------------------------------------------------------------------------------------


@needs_task_state_store
def test_execution_timeout_awaiting_response_is_retried(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_order(ORDER, behaviour=RESULT_ONLY)
    ollang.add_fault("POST", delay=20, processed=True)
    run = run_dag(rerun_dag(execution_timeout=timedelta(seconds=5), **WAITING))
    assert (run.tries["rerun"], accepted_reruns(ollang), posts(ollang)) == (2, 1, 1)
    assert (run.states["rerun"], run.results["rerun"]["reconnected"]) == ("success", True)
    assert isinstance(run.errors["rerun"], AirflowTaskTimeout)


@needs_task_state_store
def test_execution_timeout_while_connecting_lets_retry_submit(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, dead_address: Callable[[], None]
) -> None:
    at_store(monkeypatch, "set", dead_address, state="sending", written=True)
    run = run_dag(rerun_dag(execution_timeout=timedelta(seconds=5), **WAITING))
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 2})
    assert isinstance(run.errors["rerun"], AirflowTaskTimeout)
    assert run.results["rerun"]["reconnected"] is False
    assert (accepted_reruns(ollang), posts(ollang)) == (1, 1)


@pytest.fixture
def dead_address(ollang: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Return what makes the next connection to the sandbox go to an address where nothing accepts it."""
    address = "127.0.0.9"
    with dead_route(address, ollang.port):
        look_up = socket.getaddrinfo

        def dead_once(_host: str, port: Any, *arguments: Any, **named: Any) -> Any:
            monkeypatch.setattr(socket, "getaddrinfo", look_up)
            return look_up(address, port, *arguments, **named)

        yield lambda: monkeypatch.setattr(socket, "getaddrinfo", dead_once)


def time_out() -> None:
    raise AirflowTaskTimeout("the task has used up its time")


@needs_task_state_store
def test_retry_after_execution_timeout_of_a_wait_reconnects(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollang.change_order(ORDER, behaviour={"run_seconds": 1000})
    during_sleep(monkeypatch, time_out, after=100)
    run = run_dag(rerun_dag(**WAITING))
    assert isinstance(run.errors["rerun"], AirflowTaskTimeout)
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 2})
    assert "(run 2)" in first_output(run.results["rerun"])
    assert (accepted_reruns(ollang), posts(ollang)) == (1, 1)


# --- Killed ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    return on_kill_of(monkeypatch, OllangRerunOperator)


@needs_task_state_store
def test_task_killed_before_the_request_sends_nothing(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, kill: Callable[[], None]
) -> None:
    at_store(monkeypatch, "set", kill, state="sending", written=True)
    run = run_dag(rerun_dag(retries=0))
    assert isinstance(run.errors["rerun"], OllangTransientError)
    assert "The task was killed" in str(run.errors["rerun"])
    assert (posts(ollang), state_on_record()) == (0, "refused")


def test_task_killed_in_a_rate_limit_ends_at_once(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, kill: Callable[[], None]
) -> None:
    ollang.add_fault("POST", status=429, headers={"Retry-After": "40"})
    seen: list[tuple[int, datetime]] = []

    def end() -> None:
        kill()
        seen.append((len(ollang.request_log), ollang.now))

    during_sleep(monkeypatch, end)
    run = run_dag(rerun_dag(retries=0))
    assert (run.states, is_refused(record())) == ({"rerun": "failed"}, True)
    assert "The task was killed" in str(run.errors["rerun"])
    [(requests, killed_at)] = seen
    assert len(ollang.request_log) == requests
    assert (ollang.now - killed_at).total_seconds() <= 1


@needs_task_state_store
def test_task_killed_reconciling_sends_nothing_more(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, kill: Callable[[], None]
) -> None:
    ollang.add_fault("POST", status=500)
    requests: list[int] = []

    def end() -> None:
        kill()
        requests.append(len(ollang.request_log))

    during_sleep(monkeypatch, end, after=60)
    run = run_dag(rerun_dag(retries=0, on_unknown_outcome="resubmit"))
    assert isinstance(run.errors["rerun"], OllangTransientError)
    assert (posts(ollang), len(ollang.request_log), state_on_record()) == (1, requests[0], "sending")


@needs_task_state_store
def test_killed_wait_ends_at_once_and_its_retry_reconnects(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, kill: Callable[[], None]
) -> None:
    ollang.change_order(ORDER, behaviour={"run_seconds": 1000})
    retry = OllangRerunOperator.execute
    seen: list[tuple[int, datetime]] = []

    def end() -> None:
        kill()
        seen.append((len(ollang.request_log), ollang.now))

    def counted(self: OllangRerunOperator, context: Any) -> Any:
        seen.append((len(ollang.request_log), ollang.now))
        return retry(self, context)

    counted.__name__ = "execute"
    monkeypatch.setattr(OllangRerunOperator, "execute", counted)
    during_sleep(monkeypatch, end, after=100)
    run = run_dag(rerun_dag(**WAITING))
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 2})
    _, (requests, killed_at), (requests_of_both, retried_at) = seen
    assert requests_of_both == requests
    assert (retried_at - killed_at).total_seconds() <= 1
    assert "(run 2)" in first_output(run.results["rerun"])
    assert accepted_reruns(ollang) == 1


@needs_task_state_store
def test_task_killed_once_accepted_returns_its_receipt(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, kill: Callable[[], None]
) -> None:
    at_store(monkeypatch, "set", kill, state="accepted", written=True)
    run = run_dag(rerun_dag())
    assert (run.states, state_on_record(), accepted_reruns(ollang)) == ({"rerun": "success"}, "finished", 1)


# --- What is handed on --------------------------------------------------------------------------------------------


def test_receipt_not_pushed_early_is_pushed_at_the_end(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: RuntimeTaskInstance, key: str, value: Any) -> None:
        raise ConnectionError("the API server hiccups")

    monkeypatch.setattr(RuntimeTaskInstance, "xcom_push", fail)
    run = run_dag(rerun_dag())
    assert (run.states, run.tries) == ({"rerun": "success"}, {"rerun": 1})
    assert run.results["rerun"]["order_id"] == ORDER
    assert ollang.order(ORDER)["reruns_accepted"] == 1


def test_message_of_the_server_is_redacted(ollang: Sandbox, run_dag: RunDag) -> None:
    message = f"done {ollang.api_key} https://x/y?X-Amz-Signature=LEAK\nERROR forged line"
    ollang.add_fault("POST", status=200, processed=True, body={"success": True, "message": message})
    run = run_dag(rerun_dag())
    assert run.results["rerun"]["message"] == "done *** https://x/y?… ERROR forged line"
