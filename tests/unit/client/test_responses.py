"""What each response to a free request means: an order, a page of orders, or which error."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal

import pytest

from airflow_provider_ollang.client import responses
from airflow_provider_ollang.client.backoff import is_transient
from airflow_provider_ollang.client.requests import Request, get_order
from airflow_provider_ollang.client.responses import Response, parse_order, parse_page, require_expected
from airflow_provider_ollang.client.strict_json import parse_json
from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangAuthenticationError,
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangOrderNotFoundError,
    OllangRateLimitError,
    OllangTransientError,
    OllangUnavailableError,
)
from tests.unit.client.builders import (
    ACCEPTED,
    GET,
    HTML,
    ID,
    LIST,
    NO_ACCESS,
    NOT_FOUND,
    ORDER,
    OTHER,
    OTHER_ID,
    RERUN,
    SETTINGS,
    UNAUTHORIZED,
    error_of,
    generic,
    parse,
    response,
)

# --- GET: which error, and whether it is repeated -----------------------------------------------------------------

#: A 200 that is no order.
NO_ORDERS: dict[str, Any] = {
    "nothing": b"",
    "HTML": HTML,
    "half of JSON": b'{"id": "60b8',
    "array": [ORDER],
    "string": "completed",
    "null": None,
    "empty object": {},
    "status null": {**ORDER, "status": None},
    "status a list": {**ORDER, "status": ["completed"]},
    "status too long": {**ORDER, "status": "x" * 81},
    "status of two lines": {**ORDER, "status": "a\nb"},
    "another order": {**ORDER, "id": OTHER_ID},
    "id a number": {**ORDER, "id": 5},
    "id an object": {**ORDER, "id": {"$oid": ID}},
    "in an envelope": {"data": ORDER},
    "error": generic("No order found with the provided orderId"),
}
NO_OBJECTS: list[Any] = [HTML, b"", []]
NO_META: list[Any] = [{"hasNextPage": False}, {"hasNextPage": "true"}, {"hasNextPage": None}, [], None]
#: Statuses and body, the error, and whether the request is repeated.
GET_ERRORS: list[tuple[tuple[int, ...], Any, type[OllangError], bool]] = [
    *(((200,), body, OllangUnavailableError, True) for body in NO_ORDERS.values()),
    ((204, 299), b"", OllangUnavailableError, True),
    ((300, 301, 302, 307, 308, 399), b"", OllangConfigurationError, False),
    ((400, 402, 405, 410, 414, 422, 451, 499), OTHER, OllangBadRequestError, False),
    ((401,), UNAUTHORIZED, OllangAuthenticationError, False),
    ((403,), NO_ACCESS, OllangAccessDeniedError, False),
    ((404,), NOT_FOUND, OllangOrderNotFoundError, False),
    ((408, 500, 502, 503, 504), OTHER, OllangUnavailableError, True),
    ((408, 500, 502, 503, 504), HTML, OllangUnavailableError, True),
    ((409, 423, 425), OTHER, OllangUnavailableError, False),
    ((429,), OTHER, OllangRateLimitError, True),
    ((429,), HTML, OllangRateLimitError, True),
    ((429,), b"", OllangRateLimitError, True),
    # A 4xx without a JSON object is a gateway's.
    ((400, 401, 402, 403, 405, 409, 410, 413, 422, 451, 499), HTML, OllangUnavailableError, False),
    *(((403,), body, OllangUnavailableError, False) for body in ([UNAUTHORIZED], "no", None, b"")),
    # A 404 of something else than Ollang's API.
    *(((404,), body, OllangConfigurationError, False) for body in NO_OBJECTS),
    ((404,), generic("Cannot GET /x/integration/orders/1"), OllangConfigurationError, False),
    ((404,), {"statusCode": 404, "message": "Cannot GET /x", "error": "Not Found"}, OllangConfigurationError, False),
    ((501, 505, 507, 511, 520, 530, 600, 999), HTML, OllangUnavailableError, False),
]


@pytest.mark.parametrize(
    ("status", "body", "expected", "repeated"),
    [(status, *row) for statuses, *row in GET_ERRORS for status in statuses],
    ids=lambda value: repr(value)[:40],
)
def test_get_error_by_status_and_body(status: int, body: Any, expected: type[OllangError], repeated: bool) -> None:
    error = error_of(GET, response(status, body))
    assert type(error) is expected
    assert is_transient(error) is repeated


GOOD_ORDERS: dict[str, Any] = {
    "order": ORDER,
    "without id": {"status": "completed"},
    "id null": {"id": None, "status": "completed"},
    "unknown status": {"id": ID, "status": "dreaming"},
    "empty status": {"id": ID, "status": ""},
    "unknown fields": {**ORDER, "x": {"y": [1, 2.5, None, True]}},
    "odd types": {**ORDER, "orderDocs": "none", "level": "1", "deliveryEvents": {}},
}


@pytest.mark.parametrize("order", GOOD_ORDERS.values(), ids=GOOD_ORDERS)
def test_order_is_returned_as_received(order: dict[str, Any]) -> None:
    for status in (200, 206):
        assert parse_order(SETTINGS, GET, response(status, order)) == order


def test_order_id_matches_in_any_case_and_as_number() -> None:
    assert parse_order(SETTINGS, get_order(ID.upper()), response(200, ORDER)) == ORDER
    assert parse_order(SETTINGS, get_order(17), response(200, {"id": 17, "status": "x"}))["id"] == 17


# --- Pages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", HTML, [ORDER], {"meta": {}}, *({"data": x} for x in (None, {"id": ID}, "none"))])
def test_page_without_rows_is_transient(body: Any) -> None:
    error = error_of(LIST, response(200, body))
    assert type(error) is OllangUnavailableError
    assert is_transient(error)


@pytest.mark.parametrize(
    ("meta", "has_more"),
    [
        ({"hasNextPage": True}, True),
        *((meta, False) for meta in NO_META),
    ],
)
def test_page_has_more_only_if_it_says_so(meta: Any, has_more: bool) -> None:
    body = {"data": [None, 5, "x", [], ORDER], "meta": meta}
    assert parse_page(SETTINGS, LIST, response(200, body)) == ([ORDER], has_more)
    assert parse_page(SETTINGS, LIST, response(200, {"data": [ORDER]})) == ([ORDER], False)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, OllangBadRequestError), (401, OllangAuthenticationError), (403, OllangAccessDeniedError)],
)
def test_list_error_by_status(status: int, expected: type[OllangError]) -> None:
    assert type(error_of(LIST, response(status, OTHER))) is expected


# --- What a request expects ---------------------------------------------------------------------------------------

Kind = Literal["object", "list", "empty"]


@pytest.mark.parametrize(
    ("kind", "status", "body", "is_expected"),
    [
        ("object", 200, {}, True),
        ("object", 200, [], False),
        ("object", 204, b"", False),
        ("list", 200, [], True),
        ("list", 200, [{"orderId": "1"}], True),
        ("list", 200, [1], False),
        ("list", 200, {}, False),
        ("empty", 204, b"", True),
        ("empty", 200, {}, True),
        ("empty", 200, HTML, False),
        ("empty", 200, [], False),
    ],
)
def test_body_of_another_kind_is_transient(kind: Kind, status: int, body: Any, is_expected: bool) -> None:
    request = Request("POST", "/integration/orders/1/cancel", "cancel order 1", "1", expects=kind)
    if is_expected:
        assert require_expected(SETTINGS, request, response(status, body)).body is not None
        return
    with pytest.raises(OllangUnavailableError) as caught:
        require_expected(SETTINGS, request, response(status, body))
    assert is_transient(caught.value)


@pytest.mark.parametrize("status", [200, 400, 403, 429, 500])
@pytest.mark.parametrize("body", [{"success": False, "message": "No"}, [1], ORDER, ACCEPTED], ids=str)
def test_body_is_parsed_once(monkeypatch: pytest.MonkeyPatch, status: int, body: Any) -> None:
    """It may have 20 MB, and the triggerer's other waits stand still meanwhile."""
    parsed: list[int] = []

    def parsing(body: bytes) -> Any:
        parsed.append(1)
        return parse_json(body)

    monkeypatch.setattr(responses, "parse_json", parsing)
    for request in (GET, RERUN, LIST):
        parsed.clear()
        with contextlib.suppress(OllangError):
            parse(request, response(status, body))
        assert len(parsed) == 1


# --- Times --------------------------------------------------------------------------------------------------------

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def http_date(seconds: float) -> str:
    return format_datetime(NOON + timedelta(seconds=seconds), usegmt=True)


RETRY_AFTER: list[tuple[str | None, float | None]] = [
    (None, None),
    ("", None),
    ("7", 7),
    ("0", 0),
    (" 7 ", 7),
    ("1.5", 1.5),
    # At most a day.
    ("86400", 86400),
    ("1000000000", 86400),
    ("1e300", 86400),
    *((text, None) for text in ("-5", "soon", "5s", "5, 7", "nan", "inf", "9" * 5000)),
    (http_date(90), 90),
    (http_date(0), 0),
    (http_date(7200), 7200),
    (http_date(-90), None),
    ("Sunday, 01-Mar-26 12:01:30 GMT", 90),
    ("Sun Mar  1 12:01:30 2026", 90),
    ("Sun, 01 Mar 2026 13:01:30 +0100", 90),
    ("Sun, 01 Mar 2026 12:01:30", 90),
    ("2026-03-01T12:01:30Z", None),
    ("Sun, 99 Mar 2026 12:01:30 GMT", None),
    ("Sun, 01 Mar 2026 12:01:30 +9999999", None),
]


@pytest.mark.parametrize(("header", "expected"), RETRY_AFTER, ids=lambda value: str(value)[:40])
def test_retry_after_is_seconds_or_a_date(header: str | None, expected: float | None) -> None:
    headers = {"date": http_date(0)} if header is None else {"date": http_date(0), "retry-after": header}
    assert Response(429, headers, b"").retry_after == expected


def test_retry_after_beyond_any_date_is_no_error() -> None:
    headers = {"date": http_date(0), "retry-after": "Fri, 31 Dec 9999 23:59:59 -2359"}
    assert Response(429, headers, b"").retry_after in {None, 86400}


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sun, 99 Mar 2026 12:00:00 GMT"])
def test_retry_after_without_server_date_uses_own_clock(date: str | None) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=3600), usegmt=True)
    seconds = Response(429, {"retry-after": later} | ({} if date is None else {"date": date}), b"").retry_after
    assert seconds is not None
    assert 3500 < seconds <= 3600


@pytest.mark.parametrize("status", [429, 503, 500, 408, 200])
def test_retry_after_is_carried_by_the_error(status: int) -> None:
    error = error_of(GET, response(status, HTML, retry_after="77"))
    assert isinstance(error, OllangTransientError)
    assert error.retry_after == 77


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        (http_date(0), NOON),
        ("Sun, 01 Mar 2026 13:00:00 +0100", NOON),
        ("Sun, 01 Mar 2026 12:00:00", NOON),
        ("Sun, 01 Mar 2026 12:00:00 -0000", NOON),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_server_time_is_aware_or_none(date: str | None, expected: datetime | None) -> None:
    server_time = Response(200, {} if date is None else {"date": date}, b"").server_time
    assert server_time == expected
    assert server_time is None or server_time.tzinfo is not None


@pytest.mark.parametrize(
    ("date", "elapsed", "expected"),
    [
        ("Fri, 01 Mar 2024 12:00:40 GMT", 0.0, "2024-03-01T12:00:40+00:00"),
        ("Fri, 01 Mar 2024 12:00:40 GMT", 40.25, "2024-03-01T11:59:59.750000+00:00"),
        ("soon", 1.0, None),
        (None, 1.0, None),
    ],
)
def test_requested_at_is_before_the_attempt_began(date: str | None, elapsed: float, expected: str | None) -> None:
    requested_at = Response(200, {} if date is None else {"date": date}, b"", elapsed).requested_at
    assert (requested_at and requested_at.isoformat()) == expected
