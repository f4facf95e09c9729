"""What the hook sends again, after which delays, and when it gives up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from airflow_provider_ollang.exceptions import OllangError, OllangRateLimitError, OllangUnavailableError
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox

from .conftest import KEY, ORDER, Canaries, Clock, Connect, status_of
from .servers import closed_port

HTML = "<html><h1>Bad Gateway</h1></html>"


def failing(hook: OllangHook, **arguments: Any) -> OllangError:
    with pytest.raises(OllangError) as caught:
        hook.get_order(ORDER, **arguments)
    return caught.value


def check_delays(sleeps: list[float], usual: Sequence[float]) -> None:
    """Check the delays before jitter."""
    assert len(sleeps) == len(usual)
    for slept, delay in zip(sleeps, usual, strict=True):
        assert delay * 0.5 <= slept <= delay * 1.5


@pytest.mark.parametrize(
    ("body", "detail"),
    [(HTML, f"{len(HTML)} bytes of text/html"), ({"message": "Try later"}, "Try later"), (None, None)],
)
def test_failing_get_is_repeated_and_then_fails(
    ollang: Sandbox, hook: OllangHook, clock: Clock, body: Any, detail: str | None
) -> None:
    ollang.add_fault(status=502, body=body, times=None)
    error = failing(hook)
    assert type(error) is OllangUnavailableError
    assert (error.status_code, error.order_id, error.method, error.detail) == (502, ORDER, "GET", detail)
    assert [entry.status for entry in ollang.request_log] == [502] * 5
    check_delays(clock.sleeps, [1, 2, 4, 8])


@pytest.mark.parametrize("fault", [{"status": 503}, {"generate": "cut_json"}, {"status": 204}], ids=str)
def test_get_is_repeated_until_it_succeeds(
    ollang: Sandbox, hook: OllangHook, clock: Clock, canaries: Canaries, fault: dict[str, Any]
) -> None:
    ollang.add_fault(times=2, **fault)
    assert hook.get_order(ORDER)["id"] == ORDER
    assert [entry.status for entry in ollang.request_log] == [*[fault.get("status", 200)] * 2, 200]
    check_delays(clock.sleeps, [1, 2])
    warnings = [text for text in canaries.texts if text.startswith("warning ")]
    assert len(warnings) == 2
    for attempt, text in enumerate(warnings, 2):
        assert f"attempt {attempt} of 5" in text
        assert ORDER in text


def test_get_that_is_refused_is_not_repeated(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault(status=425, body=HTML, times=None)
    assert type(failing(hook)) is OllangUnavailableError
    assert (len(ollang.request_log), clock.sleeps) == (1, [])


@pytest.mark.parametrize("drop", ["before", "after", "body"])
def test_dropped_get_is_repeated(ollang: Sandbox, hook: OllangHook, clock: Clock, drop: str) -> None:
    ollang.add_fault(drop=drop, times=2)
    assert hook.get_order(ORDER)["id"] == ORDER
    check_delays(clock.sleeps, [1, 2])
    assert len(ollang.request_log) == 3

    ollang.add_fault(drop=drop, times=None)
    error = failing(hook)
    assert type(error) is OllangUnavailableError
    assert (status_of(error), error.detail, error.order_id) == (None, None, ORDER)
    assert "the connection broke" in str(error)
    assert len(ollang.request_log) == 8


def test_refused_connection_is_tried_again(connect: Connect, clock: Clock) -> None:
    assert type(failing(connect(f"http://127.0.0.1:{closed_port()}"))) is OllangUnavailableError
    check_delays(clock.sleeps, [1, 2, 4, 8])


def test_get_succeeds_when_the_server_comes_up(connect: Connect, clock: Clock) -> None:
    port = closed_port()
    late = Sandbox(api_key=KEY, speed=0, port=port)
    clock.on_sleep = lambda number: late.start() if number == 2 else None
    try:
        assert connect(f"http://127.0.0.1:{port}").get_order(ORDER)["id"] == ORDER
    finally:
        late.stop()
    check_delays(clock.sleeps, [1, 2])
    assert len(late.request_log) == 1


@pytest.mark.parametrize(
    ("extra", "arguments", "attempts"),
    [({"max_attempts": 1}, {}, 1), ({"max_attempts": 7}, {}, 7), ({}, {"max_attempts": 3}, 3)],
)
def test_number_of_attempts_is_that_of_call_or_connection(
    ollang: Sandbox, connect: Connect, clock: Clock, extra: dict[str, Any], arguments: dict[str, Any], attempts: int
) -> None:
    ollang.add_fault(status=502, times=None)
    failing(connect(ollang.url, **extra), **arguments)
    assert len(ollang.request_log) == attempts
    check_delays(clock.sleeps, [1, 2, 4, 8, 8, 8][: attempts - 1])


# --- Retry-After --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_delay_that_the_server_asks_for_is_slept(ollang: Sandbox, hook: OllangHook, clock: Clock, status: int) -> None:
    ollang.add_fault(status=status, headers={"Retry-After": "1.5"})
    assert hook.get_order(ORDER)["id"] == ORDER
    assert clock.sleeps == [1.5]
    assert len(ollang.request_log) == 2


@pytest.mark.parametrize("lag", [0, 86_400])
def test_date_is_measured_by_the_servers_own_clock(ollang: Sandbox, hook: OllangHook, clock: Clock, lag: int) -> None:
    ollang.advance(lag)
    ollang.add_fault(status=429, headers={"Retry-After": ollang.http_date(90)})
    assert hook.get_order(ORDER)["id"] == ORDER
    assert clock.sleeps == [90]


def test_nonsense_is_not_slept(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault(status=429, headers={"Retry-After": "-5"}, times=2)
    assert hook.get_order(ORDER)["id"] == ORDER
    check_delays(clock.sleeps, [1, 2])


def test_longer_delay_is_carried_by_the_error(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault(status=503, headers={"Retry-After": ollang.http_date(301)})
    error = failing(hook)
    assert isinstance(error, OllangUnavailableError)
    assert error.retry_after == 301
    assert (len(ollang.request_log), clock.sleeps) == (1, [])


def test_call_takes_ten_minutes_at_most(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault(status=429, headers={"Retry-After": "290"}, times=None)
    error = failing(hook)
    assert isinstance(error, OllangRateLimitError)
    assert error.retry_after == 290
    assert clock.sleeps == [290, 290]
    assert len(ollang.request_log) == 3
