"""What the hook sends again, after which pauses, and when it gives up."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from airflow_provider_ollang.client.requests import rerun_order
from airflow_provider_ollang.exceptions import (
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangRateLimitError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox

from .conftest import KEY, ORDER, Canaries, Clock, Connect, status_of, submit
from .servers import closed_port

Row = tuple[int, Any, type[OllangError]]

HTML = "<html><h1>Bad Gateway</h1></html>"


def failing(hook: OllangHook, **arguments: Any) -> OllangError:
    with pytest.raises(OllangError) as caught:
        hook.get_order(ORDER, **arguments)
    return caught.value


def check_pauses(sleeps: list[float], usual: Sequence[float]) -> None:
    assert len(sleeps) == len(usual)
    for slept, pause in zip(sleeps, usual, strict=True):
        assert pause * 0.5 <= slept <= pause * 1.5


REPEATED = [408, 429, 500, 502, 503, 504]


@pytest.mark.parametrize("body", [HTML, {"message": "Try later"}, None], ids=["html", "json", "nothing"])
@pytest.mark.parametrize("status", REPEATED)
def test_get_is_repeated_and_then_fails(
    ollang: Sandbox, hook: OllangHook, clock: Clock, status: int, body: Any
) -> None:
    ollang.add_fault(status=status, body=body, times=None)
    error = failing(hook)
    assert type(error) is (OllangRateLimitError if status == 429 else OllangUnavailableError)
    assert (error.status_code, error.order_id, error.method) == (status, ORDER, "GET")
    assert str(status) in str(error)
    assert error.detail == {HTML: f"{len(HTML)} bytes of text/html", None: None}.get(
        str(body or "") or None, "Try later"
    )
    assert [entry.status for entry in ollang.request_log] == [status] * 5
    check_pauses(clock.sleeps, [1, 2, 4, 8])


@pytest.mark.parametrize("failures", [1, 4])
@pytest.mark.parametrize("status", REPEATED)
def test_get_is_repeated_until_it_succeeds(
    ollang: Sandbox, hook: OllangHook, clock: Clock, status: int, failures: int
) -> None:
    ollang.add_fault(status=status, times=failures)
    assert hook.get_order(ORDER)["id"] == ORDER
    assert [entry.status for entry in ollang.request_log] == [status] * failures + [200]
    check_pauses(clock.sleeps, [1, 2, 4, 8][:failures])


NOT_REPEATED: Sequence[Row] = [
    *(
        (status, HTML, OllangUnavailableError)
        for status in (400, 401, 403, 409, 422, 423, 425, 501, 505, 507, 520, 599)
    ),
    *((status, {"message": "No"}, OllangUnavailableError) for status in (409, 423, 425, 501, 520)),
    *((status, {"message": "No"}, OllangBadRequestError) for status in (400, 402, 405, 410, 418, 422, 451)),
    *((status, HTML, OllangConfigurationError) for status in (301, 302, 307, 404)),
]


@pytest.mark.parametrize("row", NOT_REPEATED, ids=lambda row: f"{row[0]}-{row[2].__name__}")
def test_get_is_not_repeated(ollang: Sandbox, hook: OllangHook, clock: Clock, row: Row) -> None:
    status, body, expected = row
    ollang.add_fault(status=status, body=body, times=None)
    error = failing(hook)
    assert type(error) is expected
    assert error.status_code == status
    assert (len(ollang.request_log), clock.sleeps) == (1, [])


GARBLED: list[dict[str, Any]] = [
    *({"generate": name} for name in ("array", "bad_utf8", "cut_json", "html", "long_number", "nested_arrays")),
    *({"generate": name} for name in ("nested_objects", "not_a_number", "not_json")),
    *(
        {"body": body}
        for body in ("null", "true", "[]", '"completed"', "17", "{}", '{"status": 1e999}', '{"status": 1}')
    ),
    {"body": b"\x00\xff"},
    {"body": b""},
    {"status": 201, "body": b""},
    {"status": 204},
]


@pytest.mark.parametrize("fault", GARBLED, ids=lambda fault: "-".join(map(repr, fault.values())))
def test_garbled_answer_is_asked_for_again(
    ollang: Sandbox, hook: OllangHook, clock: Clock, fault: dict[str, Any]
) -> None:
    ollang.add_fault(times=2, **fault)
    assert hook.get_order(ORDER)["id"] == ORDER
    check_pauses(clock.sleeps, [1, 2])
    assert len(ollang.request_log) == 3

    ollang.add_fault(times=None, **fault)
    error = failing(hook, max_attempts=2)
    assert type(error) is OllangUnavailableError
    assert error.status_code == fault.get("status", 200)
    assert len(ollang.request_log) == 5


@pytest.mark.parametrize("drop", ["before", "after", "body"])
def test_get_is_repeated_after_a_dropped_connection(ollang: Sandbox, hook: OllangHook, clock: Clock, drop: str) -> None:
    ollang.add_fault(drop=drop, times=2)
    assert hook.get_order(ORDER)["id"] == ORDER
    check_pauses(clock.sleeps, [1, 2])
    assert len(ollang.request_log) == 3

    ollang.add_fault(drop=drop, times=None)
    error = failing(hook)
    assert type(error) is OllangUnavailableError
    assert (status_of(error), error.detail, error.order_id) == (None, None, ORDER)
    assert "the connection broke" in str(error)
    assert len(ollang.request_log) == 8


def test_get_is_repeated_when_nobody_listens(connect: Connect, clock: Clock) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    error = failing(connect(url))
    assert type(error) is OllangUnavailableError
    assert status_of(error) is None
    assert f"{url} refused the connection" in str(error)
    check_pauses(clock.sleeps, [1, 2, 4, 8])


def test_get_is_repeated_when_the_host_is_not_found(connect: Connect, clock: Clock) -> None:
    error = failing(connect("https://ollang.invalid"))
    assert type(error) is OllangUnavailableError
    assert "https://ollang.invalid" in str(error)
    assert "could not be found" in str(error)
    assert len(clock.sleeps) == 4


def test_get_succeeds_when_the_server_comes_up(connect: Connect, clock: Clock) -> None:
    port = closed_port()
    late = Sandbox(api_key=KEY, speed=0, port=port)
    clock.on_sleep = lambda number: late.start() if number == 2 else None
    try:
        assert connect(f"http://127.0.0.1:{port}").get_order(ORDER)["id"] == ORDER
    finally:
        late.stop()
    check_pauses(clock.sleeps, [1, 2])
    assert len(late.request_log) == 1


@pytest.mark.parametrize(
    ("attempts", "pauses"),
    [(1, []), (2, [1]), (3, [1, 2]), (7, [1, 2, 4, 8, 8, 8]), (20, [1, 2, 4, *[8] * 16])],
)
def test_number_of_attempts(
    ollang: Sandbox, connect: Connect, clock: Clock, attempts: int, pauses: list[float]
) -> None:
    ollang.add_fault(status=502, times=None)
    failing(connect(ollang.url, max_attempts=attempts))
    assert len(ollang.request_log) == attempts
    check_pauses(clock.sleeps, pauses)


@pytest.mark.parametrize("attempts", [1, 3])
def test_number_of_attempts_of_one_call(ollang: Sandbox, hook: OllangHook, clock: Clock, attempts: int) -> None:
    ollang.add_fault(status=502, times=None)
    failing(hook, max_attempts=attempts)
    assert (len(ollang.request_log), len(clock.sleeps)) == (attempts, attempts - 1)


def test_pauses_are_varied_by_a_half_either_way(
    ollang: Sandbox, hook: OllangHook, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return [0.5, 1.5, 1.25, 0.75, 1.0][len(asked) - 1]

    monkeypatch.setattr(random, "uniform", uniform)
    ollang.add_fault(status=502, times=None)
    failing(hook)
    assert asked[:4] == [(0.5, 1.5)] * 4
    assert clock.sleeps == [0.5, 3.0, 5.0, 6.0]


def test_each_repeat_is_one_warning(ollang: Sandbox, hook: OllangHook, canaries: Canaries) -> None:
    ollang.add_fault(status=502, times=2)
    hook.get_order(ORDER)
    warnings = [text for text in canaries.texts if text.startswith("warning ")]
    assert len(warnings) == 2
    assert "attempt 2 of 5" in warnings[0]
    assert "attempt 3 of 5" in warnings[1]
    assert all(ORDER in text and "502" in text for text in warnings)


# --- Retry-After --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", REPEATED)
@pytest.mark.parametrize("header", ["7", "0", "300", "1.5"])
def test_wait_that_the_server_asks_for(
    ollang: Sandbox, hook: OllangHook, clock: Clock, status: int, header: str
) -> None:
    ollang.add_fault(status=status, headers={"Retry-After": header})
    assert hook.get_order(ORDER)["id"] == ORDER
    assert clock.sleeps == [float(header)]
    assert len(ollang.request_log) == 2


@pytest.mark.parametrize("seconds", [1, 90, 300])
@pytest.mark.parametrize("lag", [0, 86_400])
def test_date_is_measured_against_the_servers_own_clock(
    ollang: Sandbox, hook: OllangHook, clock: Clock, seconds: int, lag: int
) -> None:
    ollang.advance(lag)
    ollang.add_fault(status=429, headers={"Retry-After": ollang.http_date(seconds)})
    assert hook.get_order(ORDER)["id"] == ORDER
    assert clock.sleeps == [seconds]


@pytest.mark.parametrize(
    "header", ["-5", "soon", "nan", "inf", "1e999", "5s", "Sun, 99 Mar 2026 12:00:00 GMT", "9" * 5000]
)
def test_nonsense_is_not_waited_for(ollang: Sandbox, hook: OllangHook, clock: Clock, header: str) -> None:
    ollang.add_fault(status=429, headers={"Retry-After": header}, times=2)
    assert hook.get_order(ORDER)["id"] == ORDER
    check_pauses(clock.sleeps, [1, 2])


def test_date_that_has_passed_is_not_waited_for(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.advance(3600)
    ollang.add_fault(status=429, headers={"Retry-After": ollang.http_date(-60)})
    hook.get_order(ORDER)
    check_pauses(clock.sleeps, [1])


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("seconds", [301, 86_400])
def test_longer_wait_is_carried_by_the_error(
    ollang: Sandbox, hook: OllangHook, clock: Clock, status: int, seconds: int
) -> None:
    for header in (str(seconds), ollang.http_date(seconds)):
        ollang.add_fault(status=status, headers={"Retry-After": header})
        error = failing(hook)
        assert isinstance(error, OllangRateLimitError | OllangUnavailableError)
        assert error.retry_after == seconds
    assert (len(ollang.request_log), clock.sleeps) == (2, [])


def test_wait_is_carried_by_the_last_error(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault(status=429, headers={"Retry-After": "11"}, times=None)
    error = failing(hook)
    assert isinstance(error, OllangRateLimitError)
    assert error.retry_after == 11
    assert clock.sleeps == [11] * 4
    assert len(ollang.request_log) == 5


def test_one_call_takes_ten_minutes_at_most(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault(status=429, headers={"Retry-After": "290"}, times=None)
    error = failing(hook)
    assert isinstance(error, OllangRateLimitError)
    assert error.retry_after == 290
    assert clock.sleeps == [290, 290]
    assert len(ollang.request_log) == 3


def test_submission_sleeps_as_the_server_asks(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault("POST", status=429, headers={"Retry-After": "33"}, times=2)
    assert submit(hook, rerun_order(ORDER)).value["orderId"] == ORDER
    assert clock.sleeps == [33, 33]
    assert [entry.status for entry in ollang.request_log] == [429, 429, 200]
    assert ollang.order(ORDER)["reruns_accepted"] == 1


def test_submission_gives_up_on_a_longer_wait(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault("POST", status=429, headers={"Retry-After": "301"})
    with pytest.raises(OllangRateLimitError) as caught:
        submit(hook, rerun_order(ORDER))
    assert caught.value.retry_after == 301
    assert (len(ollang.request_log), clock.sleeps) == (1, [])
