"""Any response ends in a value or in an error of ours, and no rerun with an unknown outcome is ever repeated."""

from __future__ import annotations

import json
import math
import time
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_provider_ollang.client.backoff import is_transient, was_not_processed
from airflow_provider_ollang.client.requests import Request
from airflow_provider_ollang.client.responses import Accepted, Response
from airflow_provider_ollang.exceptions import (
    OllangError,
    OllangOutcomeUnknownError,
    OllangPermanentError,
    OllangRateLimitError,
    OllangTransientError,
    OllangUnavailableError,
)
from tests.unit.client.builders import GET, ID, KEY, LIST, RERUN, parse

REQUESTS = [GET, RERUN, LIST]
SAID = ["completed", ID, "ORDER_NOT_FOUND", "Invalid or missing API key", "Cannot GET /", "unknown error", KEY, ""]
NAMES = ["id", "status", "data", "meta", "hasNextPage", "success", "message", "orderId", "error", "code", "detail"]

texts = st.one_of(st.sampled_from(SAID), st.text(st.characters(), max_size=30))
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | texts, inner, max_size=6),
    max_leaves=20,
)
objects = st.dictionaries(st.sampled_from(NAMES), values, max_size=8)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw JSON that was hurt on its way: cut, a byte altered, bytes put in."""
    body = bytearray(json.dumps(draw(objects)).encode())
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(body)))
        body[place : place + draw(st.integers(0, 5))] = draw(st.binary(max_size=5))
    return bytes(body)


bodies = st.one_of(st.binary(max_size=200), objects.map(lambda value: json.dumps(value).encode()), damaged())
statuses = st.one_of(
    st.integers(200, 999), st.sampled_from([200, 201, 302, 400, 401, 403, 404, 408, 409, 429, 500, 503])
)
dates = st.one_of(
    st.sampled_from(["Sun, 01 Mar 2026 12:00:00 GMT", "Sun, 01 Mar 2026 12:00:00 +9999", "1 Jan 0001 00:00:00 +2359"]),
    st.from_regex(
        r"[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,6} [0-9]{1,3}:[0-9]{1,3}:?[0-9]{0,3} [-+A-Z0-9]{0,9}"
    ),
    st.text(max_size=30),
    st.text(st.sampled_from("0123456789 :,-+.eEGMTJanFebMon/"), max_size=40),
)
waits = st.one_of(dates, st.integers().map(str), st.floats().map(str), st.text("0123456789.eE+-_ ", max_size=20))
locations = st.one_of(
    st.text(st.characters(), max_size=40),
    st.text("htps:/[]@.%#?\\1", max_size=20).map(lambda rest: f"http://{rest}"),
    st.just(f"https://other.example/?key={KEY}"),
)
headers = st.fixed_dictionaries(
    {},
    optional={
        "date": dates,
        "retry-after": waits,
        "location": locations,
        "content-type": st.text(st.characters(), max_size=50) | st.just(f"text/{KEY}"),
        "x-other": st.text(max_size=5),
    },
)

patient = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def check_error(request: Request, response: Response, error: OllangError) -> None:
    assert error.status_code == response.status
    assert (error.order_id, error.method, error.path) == (request.order_id, request.method, request.path)
    assert isinstance(error, OllangTransientError | OllangPermanentError)
    assert error.detail is None or 0 < len(error.detail) <= 500
    shown = f"{error} {error.detail} {error.code}"
    assert KEY not in shown
    assert len(shown) < 2500
    shown.encode()
    # The advice has a line of its own; the server's words never break one.
    assert str(error).count("\n") <= 1
    assert "\n" not in f"{error.detail} {error.code}"
    asked = getattr(error, "retry_after", None)
    assert asked is None or (math.isfinite(asked) and asked >= 0)
    check_repeat(request, response, error)


def check_repeat(request: Request, response: Response, error: OllangError) -> None:
    repeated = was_not_processed(error) if request.paid else is_transient(error)
    if request.paid:
        assert repeated is (response.status == 429)
        unknown = response.status < 300 or response.status in {303, 408} or response.status >= 500
        assert isinstance(error, OllangOutcomeUnknownError) is (unknown and not is_refusal(response))
    else:
        assert repeated is (response.status < 300 or response.status in {408, 429, 500, 502, 503, 504})
        assert not repeated or isinstance(error, OllangRateLimitError | OllangUnavailableError)


def is_refusal(response: Response) -> bool:
    return response.status < 300 and (response.json_object or {}).get("success") is False


@patient
@given(statuses, headers, bodies)
@example(200, {}, b'{"success": true, "orderId": []}')
@example(302, {"location": "http://["}, b"")
@example(400, {}, b'{"message": "\\ud800"}')
@example(502, {"content-type": "x" * 60_000}, b"x")
@example(429, {"retry-after": "1e400"}, b"")
@example(200, {"date": "Sun, 01 Mar 2026 12:00:00 +9999"}, b"")
def test_any_response_is_a_value_or_an_error_of_ours(status: int, headers: dict[str, str], body: bytes) -> None:
    response = Response(status, headers, body)
    started = time.monotonic()
    for request in REQUESTS:
        try:
            value = parse(request, response)
        except OllangError as error:
            check_error(request, response, error)
        else:
            assert 200 <= status < 300
            assert isinstance(value, Accepted if request.paid else tuple if request.order_id is None else dict)
    assert time.monotonic() - started < 5


@patient
@given(headers)
@example({"retry-after": "Sun, 01 Mar 2026 12:00:00 +9999", "date": "1 Jan 0001 00:00:00 +2359"})
def test_any_headers_give_usable_times(headers: dict[str, str]) -> None:
    response = Response(429, headers, b"")
    asked, date = response.retry_after, response.server_time
    assert asked is None or (math.isfinite(asked) and asked >= 0)
    if date is not None:
        assert date.tzinfo is not None
        date.isoformat()


@patient
@given(objects, st.sampled_from([200, 201, 202]))
def test_body_is_taken_for_an_order_iff_it_is_one(order: dict[str, Any], status: int) -> None:
    text = json.dumps(order)
    try:
        plain = json.loads(text, parse_constant=lambda _: 1 / 0)
        text.encode()
        is_order = isinstance(plain.get("status"), str) and plain.get("id") in {None, ID}
    except (TypeError, ZeroDivisionError):
        is_order = False
    try:
        parse(GET, Response(status, {}, text.encode()))
    except OllangUnavailableError:
        # Numbers and characters that nothing can write down may be refused with the rest.
        assert not is_order or "\\u" in text or any(map(huge, numbers(order)))
    else:
        assert is_order


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers(item)]
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, int | float) else []


def huge(number: float) -> bool:
    return abs(number) >= 2**63
