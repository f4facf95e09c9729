"""What every answer means: the tables of the protocol, row by row."""

from __future__ import annotations

import contextlib
import copy
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest
from airflow.sdk.execution_time.comms import SetXCom

from airflow_provider_ollang._compat import AirflowException, AirflowFailException
from airflow_provider_ollang.client import responses
from airflow_provider_ollang.client.backoff import is_transient, was_not_processed
from airflow_provider_ollang.client.errors import no_response
from airflow_provider_ollang.client.requests import Request, get_order, list_orders, rerun_order
from airflow_provider_ollang.client.responses import (
    Response,
    parse_accepted,
    parse_order,
    parse_page,
)
from airflow_provider_ollang.client.settings import Settings
from airflow_provider_ollang.client.strict_json import parse_json
from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangAuthenticationError,
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangOrderNotEligibleError,
    OllangOrderNotFoundError,
    OllangOutcomeUnknownError,
    OllangPermanentError,
    OllangRateLimitError,
    OllangRequestRefusedError,
    OllangTransientError,
    OllangUnavailableError,
)
from tests.installed_airflow import serialize

ID = "60b8d6f1e1b9b1d8c6c0d8e1"
KEY = "canary-key-of-the-answers"
SETTINGS = Settings.from_connection(
    "c1", password=KEY, host="https://ollang.example", extra={"proxy": "http://u:canary-proxy-password@proxy.example"}
)
GET, RERUN, LIST = get_order(ID), rerun_order(ID), list_orders(1, 50, {})
ORDER = {"id": ID, "status": "completed", "name": "Sample"}
ACCEPTED = {"success": True, "message": "Order rerun initiated successfully", "orderId": ID}
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


def answer(status: int, body: Any = b"", **headers: str) -> Response:
    """Make an answer; a body that is no bytes goes out as JSON."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, bytes):
        return Response(status, {"content-type": "text/html; charset=utf-8", **given}, body)
    return Response(status, {"content-type": "application/json", **given}, json.dumps(body).encode())


def read(sent: Request, got: Response) -> Any:
    if sent.paid:
        return parse_accepted(SETTINGS, sent, got)
    return (parse_order if sent is GET else parse_page)(SETTINGS, sent, got)


def error_of(sent: Request, got: Response) -> OllangError:
    with pytest.raises(OllangError) as caught:
        read(sent, got)
    error = caught.value
    assert error.status_code == got.status
    assert (error.order_id, error.method, error.path) == (sent.order_id, sent.method, sent.path)
    assert sent.what in str(error)
    if got.status >= 400:
        assert str(got.status) in str(error)
    return error


def documented(error: str, message: str, code: str) -> dict[str, Any]:
    return {"error": error, "message": message, "code": code}


def generic(detail: str) -> dict[str, Any]:
    return {"code": -1, "error": "UnknownError", "message": "unknown error", "detail": detail}


UNAUTHORIZED = documented("Unauthorized", "Invalid or missing API key", "UNAUTHORIZED")
NO_ACCESS = documented("Access denied", "You don't have permission to access this order", "ACCESS_DENIED")
NO_RERUN = documented("Access denied", "You don't have permission to rerun this order", "ACCESS_DENIED")
NOT_FOUND = documented("Order not found", "No order found with the provided orderId", "ORDER_NOT_FOUND")
NOT_ELIGIBLE = documented(
    "Order not eligible for rerun", "Only completed or delivered orders can be rerun", "ORDER_NOT_ELIGIBLE"
)
OTHER = documented("Conflict", "Something else", "SOMETHING_ELSE")
NO_CREDITS = documented("Insufficient credits", "Not enough credits to rerun this order", "INSUFFICIENT_CREDITS")

# --- GET: which error, and whether it is repeated --------------------------------------------------

Row = tuple[int, Any, type[OllangError], bool]

GET_ROWS: dict[str, Row] = {
    # 200 that is no such object
    **{
        f"200 {name}": (200, body, OllangUnavailableError, True)
        for name, body in {
            "empty": b"",
            "HTML": HTML,
            "text": b"OK",
            "half of JSON": b'{"id": "60b8',
            "array": [ORDER],
            "string": "completed",
            "number": 5,
            "true": True,
            "null": None,
            "empty object": {},
            "no status": {"id": ID},
            "status null": {**ORDER, "status": None},
            "status a number": {**ORDER, "status": 3},
            "status a list": {**ORDER, "status": ["completed"]},
            "status an object": {**ORDER, "status": {"name": "completed"}},
            "another order": {**ORDER, "id": "60b8d6f1e1b9b1d8c6c0d8e2"},
            "id a number": {**ORDER, "id": 5},
            "id an object": {**ORDER, "id": {"$oid": ID}},
            "in an envelope": {"data": ORDER},
            "an error all the same": generic("No order found with the provided orderId"),
        }.items()
    },
    "201 nothing": (201, b"", OllangUnavailableError, True),
    "204": (204, b"", OllangUnavailableError, True),
    "299 HTML": (299, HTML, OllangUnavailableError, True),
    # Redirects
    **{
        f"{status}": (status, b"", OllangConfigurationError, False)
        for status in (300, 301, 302, 303, 304, 307, 308, 399)
    },
    # 4xx with a JSON object
    "400": (400, OTHER, OllangBadRequestError, False),
    "401": (401, UNAUTHORIZED, OllangAuthenticationError, False),
    "402": (402, OTHER, OllangBadRequestError, False),
    "403": (403, NO_ACCESS, OllangAccessDeniedError, False),
    "404": (404, NOT_FOUND, OllangOrderNotFoundError, False),
    "405": (405, OTHER, OllangBadRequestError, False),
    "408": (408, OTHER, OllangUnavailableError, True),
    "409": (409, OTHER, OllangUnavailableError, False),
    "410": (410, OTHER, OllangBadRequestError, False),
    "414": (414, OTHER, OllangBadRequestError, False),
    "422": (422, OTHER, OllangBadRequestError, False),
    "423": (423, OTHER, OllangUnavailableError, False),
    "425": (425, OTHER, OllangUnavailableError, False),
    "429": (429, OTHER, OllangRateLimitError, True),
    "451": (451, OTHER, OllangBadRequestError, False),
    "499": (499, OTHER, OllangBadRequestError, False),
    # 4xx without one
    **{
        f"{status} without JSON": (status, HTML, OllangUnavailableError, False)
        for status in (400, 401, 402, 403, 405, 409, 410, 413, 421, 422, 451, 499)
    },
    **{
        f"403 {name}": (403, body, OllangUnavailableError, False)
        for name, body in {"array": [UNAUTHORIZED], "string": "no", "null": None, "nothing": b""}.items()
    },
    "404 HTML": (404, HTML, OllangConfigurationError, False),
    "404 nothing": (404, b"", OllangConfigurationError, False),
    "404 array": (404, [], OllangConfigurationError, False),
    "404 Cannot GET": (404, generic("Cannot GET /x/integration/orders/1"), OllangConfigurationError, False),
    "404 Cannot GET of the framework": (
        *(404, {"statusCode": 404, "message": "Cannot GET /x", "error": "Not Found"}, OllangConfigurationError, False),
    ),
    "408 HTML": (408, HTML, OllangUnavailableError, True),
    "429 HTML": (429, HTML, OllangRateLimitError, True),
    "429 nothing": (429, b"", OllangRateLimitError, True),
    # 5xx
    **{f"{status}": (status, OTHER, OllangUnavailableError, True) for status in (500, 502, 503, 504)},
    **{f"{status} HTML": (status, HTML, OllangUnavailableError, True) for status in (500, 502, 503, 504)},
    **{f"{status} HTML": (status, HTML, OllangUnavailableError, False) for status in (501, 505, 507, 511, 520, 530)},
    "600": (600, HTML, OllangUnavailableError, False),
    "999": (999, OTHER, OllangUnavailableError, False),
}


@pytest.mark.parametrize(("status", "body", "expected", "repeated"), GET_ROWS.values(), ids=GET_ROWS)
def test_get(status: int, body: Any, expected: type[OllangError], repeated: bool) -> None:
    error = error_of(GET, answer(status, body))
    assert type(error) is expected
    assert is_transient(error) is repeated
    assert isinstance(error, AirflowFailException) is isinstance(error, OllangPermanentError)


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
@pytest.mark.parametrize("status", [200, 201, 206])
def test_order_is_returned_as_the_api_gave_it(order: dict[str, Any], status: int) -> None:
    assert parse_order(SETTINGS, GET, answer(status, order)) == order


def test_order_id_is_compared_without_case_as_the_api_does() -> None:
    assert parse_order(SETTINGS, get_order(ID.upper()), answer(200, ORDER)) == ORDER
    assert parse_accepted(SETTINGS, rerun_order(ID.upper()), answer(200, ACCEPTED)).value == ACCEPTED


def test_order_with_a_number_for_an_id() -> None:
    assert parse_order(SETTINGS, get_order(17), answer(200, {"id": 17, "status": "x"}))["id"] == 17


NO_PAGES: dict[str, Any] = {
    "empty": b"",
    "HTML": HTML,
    "array": [ORDER],
    "no data": {"meta": {"hasNextPage": False}},
    "data null": {"data": None},
    "data an object": {"data": {"id": ID}},
    "data a text": {"data": "none"},
}


@pytest.mark.parametrize("body", NO_PAGES.values(), ids=NO_PAGES)
def test_answer_that_is_no_page(body: Any) -> None:
    error = error_of(LIST, answer(200, body))
    assert type(error) is OllangUnavailableError
    assert is_transient(error)


PAGES: list[tuple[Any, list[Any], bool]] = [
    ({"data": [], "meta": {"hasNextPage": False}}, [], False),
    ({"data": [ORDER], "meta": {"hasNextPage": True}}, [ORDER], True),
    ({"data": [ORDER]}, [ORDER], False),
    ({"data": [ORDER], "meta": None}, [ORDER], False),
    ({"data": [ORDER], "meta": []}, [ORDER], False),
    ({"data": [ORDER], "meta": {}}, [ORDER], False),
    ({"data": [ORDER], "meta": {"hasNextPage": "true"}}, [ORDER], False),
    ({"data": [ORDER], "meta": {"hasNextPage": None}}, [ORDER], False),
    ({"data": [None, 5, "x", [], ORDER], "meta": {"hasNextPage": True}}, [ORDER], True),
]


@pytest.mark.parametrize(("body", "rows", "more"), PAGES)
def test_page(body: Any, rows: list[Any], more: bool) -> None:
    assert parse_page(SETTINGS, LIST, answer(200, body)) == (rows, more)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, OllangBadRequestError), (401, OllangAuthenticationError), (403, OllangAccessDeniedError)],
)
def test_errors_of_the_list(status: int, expected: type[OllangError]) -> None:
    assert type(error_of(LIST, answer(status, OTHER))) is expected


# --- The paid POST: accepted, refused or unknown -----------------------------------------------------------------

UNKNOWN = OllangOutcomeUnknownError

PAID_ROWS: dict[str, Row] = {
    # refused
    "200 success false": (200, {**ACCEPTED, "success": False}, OllangRequestRefusedError, False),
    "201 success false": (201, {"success": False}, OllangRequestRefusedError, False),
    "202 success false": (202, {"success": False, "message": ["a", "b"]}, OllangRequestRefusedError, False),
    **{
        f"{status}": (status, b"", OllangConfigurationError, False)
        for status in (300, 301, 302, 303, 304, 307, 308, 399)
    },
    "400 not eligible": (400, NOT_ELIGIBLE, OllangOrderNotEligibleError, False),
    "400": (400, OTHER, OllangBadRequestError, False),
    "401": (401, UNAUTHORIZED, OllangAuthenticationError, False),
    "402": (402, OTHER, OllangBadRequestError, False),
    "403": (403, NO_RERUN, OllangAccessDeniedError, False),
    "404": (404, NOT_FOUND, OllangOrderNotFoundError, False),
    "404 Cannot POST": (404, generic("Cannot POST /integration/orders/1/rerun"), OllangConfigurationError, False),
    "404 HTML": (404, HTML, OllangConfigurationError, False),
    "405": (405, OTHER, OllangBadRequestError, False),
    "409": (409, OTHER, OllangOrderNotEligibleError, False),
    "423": (423, OTHER, OllangBadRequestError, False),
    "425": (425, OTHER, OllangBadRequestError, False),
    "422": (422, OTHER, OllangBadRequestError, False),
    **{
        f"{status} without JSON": (status, HTML, OllangUnavailableError, False)
        for status in (400, 401, 402, 403, 405, 409, 413, 422, 423, 425)
    },
    "429": (429, OTHER, OllangRateLimitError, True),
    "429 HTML": (429, HTML, OllangRateLimitError, True),
    "429 nothing": (429, b"", OllangRateLimitError, True),
    # unknown
    **{f"{status} HTML": (status, HTML, UNKNOWN, False) for status in (408, 500, 501, 502, 503, 504, 505, 520, 599)},
    **{f"{status}": (status, OTHER, UNKNOWN, False) for status in (408, 500, 502, 503, 504, 600, 999)},
    **{
        f"{status} refusal in words": (status, body, UNKNOWN, False)
        for status in (408, 500, 503)
        for body in (generic("Only completed or delivered orders can be rerun"), {"success": False})
    },
    **{
        f"200 {name}": (200, body, UNKNOWN, False)
        for name, body in {
            "nothing": b"",
            "HTML": HTML,
            "half of JSON": b'{"success": tr',
            "bad UTF-8": b'{"success": true, "message": "\xff"}',
            "not a number": b'{"success": true, "x": NaN}',
            "too deep": b'{"success": true, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            "array": [ACCEPTED],
            "array of a refusal": [{"success": False}],
            "text": "accepted",
            "true": True,
            "false": False,
            "null": None,
            "another order": {**ACCEPTED, "orderId": "60b8d6f1e1b9b1d8c6c0d8e2"},
            "an order that is a list": {**ACCEPTED, "orderId": [ID]},
            "an order that is an object": {**ACCEPTED, "orderId": {"$oid": ID}},
            "an order that is true": {**ACCEPTED, "orderId": True},
            "an order that is empty": {**ACCEPTED, "orderId": ""},
        }.items()
    },
    "201 nothing": (201, b"", UNKNOWN, False),
    "204": (204, b"", UNKNOWN, False),
    # An interim answer as the last one: nothing was said.
    "103": (103, b"", UNKNOWN, False),
}


@pytest.mark.parametrize(("status", "body", "expected", "repeated"), PAID_ROWS.values(), ids=PAID_ROWS)
def test_rerun(status: int, body: Any, expected: type[OllangError], repeated: bool) -> None:
    error = error_of(RERUN, answer(status, body))
    assert type(error) is expected
    assert was_not_processed(error) is repeated


GOOD_RERUNS: dict[str, Any] = {
    "documented": ACCEPTED,
    "without order": {"success": True, "message": "queued"},
    "order null": {**ACCEPTED, "orderId": None},
    "without success": {"message": "queued"},
    "success null": {"success": None},
    "success a text": {"success": "false"},
    "success zero": {"success": 0},
    "empty": {},
    "unknown fields": {**ACCEPTED, "jobId": "j1"},
}


@pytest.mark.parametrize("body", GOOD_RERUNS.values(), ids=GOOD_RERUNS)
@pytest.mark.parametrize("status", [200, 201, 202, 299])
def test_rerun_is_accepted(body: dict[str, Any], status: int) -> None:
    assert parse_accepted(SETTINGS, RERUN, answer(status, body)).value == body


def test_rerun_of_an_order_with_a_number_for_an_id() -> None:
    body = {**ACCEPTED, "orderId": 17}
    assert parse_accepted(SETTINGS, rerun_order(17), answer(200, body)).value == body


def test_refused_rerun_says_why() -> None:
    body = {"success": False, "message": f"No credits, {KEY} https://x.example/?a=b", "code": "NO_CREDITS"}
    error = error_of(RERUN, answer(200, body))
    assert error.detail == "No credits, *** https://x.example/?…"
    assert error.detail in str(error)
    assert "Nothing was started" in str(error)
    assert error.code == "NO_CREDITS"


def test_unknown_outcome_says_what_is_known_and_what_to_do() -> None:
    error = error_of(RERUN, answer(503, documented("Oh", "Try later", "UNAVAILABLE")))
    assert "Oh: Try later" in str(error)
    assert "billed twice" in str(error)
    assert "clear this task" in str(error)
    assert (error.detail, error.code) == ("Oh: Try later", "UNAVAILABLE")


# --- What may be repeated ----------------------------------------------------------------------------------------

NOT_ANSWERED = no_response(GET, "refused")
REPEATED: list[tuple[BaseException, bool, bool]] = [
    (NOT_ANSWERED, True, True),
    (OllangRateLimitError("", status_code=429), True, True),
    (OllangUnavailableError("", status_code=None), True, True),
    *(
        (OllangUnavailableError("", status_code=status), True, False)
        for status in (200, 204, 299, 408, 500, 502, 503, 504)
    ),
    *(
        (OllangUnavailableError("", status_code=status), False, False)
        for status in (400, 403, 409, 423, 425, 501, 505, 520)
    ),
    (OllangTransientError("", status_code=500), False, False),
    *(
        (kind(""), False, False)
        for kind in (
            OllangError,
            OllangPermanentError,
            OllangConfigurationError,
            OllangAuthenticationError,
            OllangAccessDeniedError,
            OllangOrderNotFoundError,
            OllangBadRequestError,
            OllangOrderNotEligibleError,
            OllangRequestRefusedError,
            OllangOutcomeUnknownError,
        )
    ),
    (ValueError(), False, False),
    (KeyboardInterrupt(), False, False),
    (ConnectionError(), False, False),
]


@pytest.mark.parametrize(
    ("error", "get", "paid"),
    REPEATED,
    ids=[f"{type(error).__name__}-{getattr(error, 'status_code', None)}" for error, *_ in REPEATED],
)
def test_error_may_be_repeated(error: BaseException, get: bool, paid: bool) -> None:
    assert is_transient(error) is get
    assert was_not_processed(error) is paid


# --- Whose error it is: by status, else by code, else by words ---------------------------------------------------


@dataclass(frozen=True)
class Refusal:
    """A refusal that the pages document."""

    error: type[OllangError]
    status: int
    body: dict[str, Any]
    calls: tuple[Request, ...] = field(default=(GET, RERUN))


REFUSALS = [
    Refusal(OllangAuthenticationError, 401, UNAUTHORIZED),
    Refusal(OllangAccessDeniedError, 403, NO_ACCESS, (GET,)),
    Refusal(OllangAccessDeniedError, 403, NO_RERUN, (RERUN,)),
    Refusal(OllangOrderNotFoundError, 404, NOT_FOUND),
    Refusal(OllangOrderNotEligibleError, 400, NOT_ELIGIBLE, (RERUN,)),
]
CASES = [(one, sent) for one in REFUSALS for sent in one.calls]
each_refusal = pytest.mark.parametrize(
    ("refusal", "sent"), CASES, ids=[f"{sent.method}-{one.body['code']}" for one, sent in CASES]
)


@each_refusal
def test_documented_shape(refusal: Refusal, sent: Request) -> None:
    error = error_of(sent, answer(refusal.status, refusal.body))
    assert type(error) is refusal.error
    assert error.code == refusal.body["code"]
    assert error.detail == f"{refusal.body['error']}: {refusal.body['message']}"
    assert error.detail in str(error)


@each_refusal
def test_generic_shape(refusal: Refusal, sent: Request) -> None:
    error = error_of(sent, answer(refusal.status, generic(refusal.body["message"])))
    assert type(error) is refusal.error
    assert (error.code, error.detail) == (None, refusal.body["message"])
    assert "UnknownError" not in str(error)


@each_refusal
def test_minimal_shape(refusal: Refusal, sent: Request) -> None:
    error = error_of(sent, answer(refusal.status, {"message": refusal.body["message"]}))
    assert type(error) is refusal.error
    assert (error.code, error.detail) == (None, refusal.body["message"])


@each_refusal
def test_shape_of_the_framework(refusal: Refusal, sent: Request) -> None:
    body = {"statusCode": refusal.status, "message": [refusal.body["message"], "and more"], "error": "Bad Request"}
    error = error_of(sent, answer(refusal.status, body))
    assert type(error) is refusal.error
    assert (error.code, error.detail) == (None, f"Bad Request: {refusal.body['message']}, and more")


@each_refusal
@pytest.mark.parametrize("status", [400, 422])
def test_code_decides_where_the_status_says_nothing(refusal: Refusal, sent: Request, status: int) -> None:
    assert type(error_of(sent, answer(status, {"code": refusal.body["code"], "message": "?"}))) is refusal.error


@each_refusal
@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("name", ["detail", "message"])
def test_words_decide_where_status_and_code_say_nothing(
    refusal: Refusal, sent: Request, status: int, name: str
) -> None:
    for said in (refusal.body["message"], refusal.body["message"].upper(), [refusal.body["message"]]):
        body = {**generic("?"), name: said}
        assert type(error_of(sent, answer(status, body))) is refusal.error


def test_status_goes_before_code_and_code_before_words() -> None:
    both = {"code": "ORDER_NOT_FOUND", "message": NOT_ELIGIBLE["message"]}
    assert type(error_of(RERUN, answer(401, both))) is OllangAuthenticationError
    assert type(error_of(RERUN, answer(403, NOT_ELIGIBLE))) is OllangAccessDeniedError
    assert type(error_of(RERUN, answer(404, UNAUTHORIZED))) is OllangOrderNotFoundError
    assert type(error_of(RERUN, answer(400, both))) is OllangOrderNotFoundError
    assert type(error_of(GET, answer(429, NOT_FOUND))) is OllangRateLimitError
    assert type(error_of(GET, answer(500, NOT_FOUND))) is OllangUnavailableError
    assert type(error_of(GET, answer(409, NOT_FOUND))) is OllangUnavailableError


@pytest.mark.parametrize("code", [-1, 0, 404, None, True, 1.5, [], ["ORDER_NOT_FOUND"], {}, "", "order_not_found"])
def test_code_that_is_no_known_text(code: Any) -> None:
    error = error_of(GET, answer(400, {"code": code, "message": "?"}))
    assert type(error) is OllangBadRequestError
    assert error.code == (code if isinstance(code, str) else None)


def test_long_code_is_cut_and_cleaned() -> None:
    error = error_of(GET, answer(400, {"code": f"{KEY}?\n" * 5000}))
    assert len(error.code or "") <= 500
    assert KEY not in (error.code or "")


ADVICE = [
    (GET, 401, UNAUTHORIZED, ["'c1'", "password"]),
    (GET, 403, NO_ACCESS, ["'c1'", "another Ollang account"]),
    (GET, 404, NOT_FOUND, ["'c1'", "order id"]),
    (RERUN, 400, NOT_ELIGIBLE, ["Nothing was started", "completed or delivered"]),
    (GET, 404, HTML, ["'c1'", "base URL", "https://ollang.example"]),
    (GET, 402, OTHER, ["Something else"]),
    (RERUN, 402, OTHER, ["'c1'", "\nNothing was started", "Add credits"]),
    (RERUN, 400, NO_CREDITS, ["'c1'", "Add credits"]),
    (RERUN, 409, OTHER, ["\nNothing was started", "at work on this order"]),
]


@pytest.mark.parametrize(("sent", "status", "body", "words"), ADVICE)
def test_error_says_what_to_do(sent: Request, status: int, body: Any, words: list[str]) -> None:
    text = str(error_of(sent, answer(status, body)))
    for word in words:
        assert word in text


REDIRECTS = {
    "https://other.example/path?token=secret": "other.example",
    "//other.example/path": "other.example",
    "https://user:secret@other.example/": "other.example",
    "/login?token=secret": "another address",
    "": "another address",
    "http://[": "another address",
    "http://[::1": "another address",
    "https://\u2100.example/": "another address",
    f"https://{KEY}.example/": "***.example",
    "https://" + "a" * 60_000 + ".example": "aaa",
    "\x00\x1b": "another address",
}


@pytest.mark.parametrize(("location", "named"), REDIRECTS.items(), ids=lambda one: ascii(one)[:40])
def test_redirect(location: str, named: str) -> None:
    for sent in (GET, RERUN, LIST):
        error = error_of(sent, answer(302, b"", location=location))
        assert type(error) is OllangConfigurationError
        text = str(error)
        assert named in text
        assert "https://ollang.example" in text
        assert "'c1'" in text
        assert "secret" not in text
        assert KEY not in text
        assert len(text) < 1000


# --- The words of the server -------------------------------------------------------------------------------------

DETAILS: dict[str, tuple[Any, str | None]] = {
    "documented": (NOT_FOUND, "Order not found: No order found with the provided orderId"),
    "generic": (generic("Unexpected token"), "Unexpected token"),
    "generic without detail": ({"code": -1, "error": "UnknownError", "message": "unknown error"}, None),
    "list of texts": ({"message": ["a", "b"]}, "a, b"),
    "list of all sorts": ({"message": ["a", 5, None, {"b": "c"}]}, "a, 5, None, {'b': 'c'}"),
    "empty list": ({"message": []}, None),
    "number": ({"message": 5}, None),
    "object": ({"message": {"text": "x"}}, None),
    "null": ({"message": None, "error": None, "detail": None}, None),
    "empty": ({}, None),
    "all three": ({"error": "E", "message": "M", "detail": "D"}, "E: M: D"),
    "HTML": (HTML, f"{len(HTML)} bytes of text/html"),
    "nothing": (b"", None),
    "key": ({"message": f"Key {KEY} is bad"}, "Key *** is bad"),
    "proxy password": ({"message": "canary-proxy-password"}, "***"),
    "link": ({"message": "see https://x.example/a?Signature=abc"}, "see https://x.example/a?…"),
    "lines": ({"message": "a\r\nb\tc\x00d"}, "a  b c d"),
}


@pytest.mark.parametrize(("body", "expected"), DETAILS.values(), ids=DETAILS)
@pytest.mark.parametrize("status", [400, 403, 422, 429, 500, 503])
def test_detail(body: Any, expected: str | None, status: int) -> None:
    error = error_of(GET, answer(status, body))
    assert error.detail == expected
    if expected:
        assert expected in str(error) or status == 429


LONG: dict[str, Response] = {
    "message": answer(400, {"message": "x" * 100_000}),
    "list": answer(400, {"message": ["x" * 100, "y"] * 10_000}),
    "all": answer(400, {"error": "a" * 499, "message": "b" * 499, "detail": "c" * 499}),
    "content type": answer(502, HTML, content_type="x" * 60_000),
    "content type of a rerun": answer(503, HTML, content_type="x" * 60_000),
}


@pytest.mark.parametrize("got", LONG.values(), ids=LONG)
@pytest.mark.parametrize("sent", [GET, RERUN], ids=["get", "rerun"])
def test_detail_is_short(sent: Request, got: Response) -> None:
    error = error_of(sent, got)
    assert len(error.detail or "") <= 500
    assert len(str(error)) < 1500


def test_no_part_of_an_answer_shows_the_key() -> None:
    for name in ("error", "message", "detail", "code"):
        for said in (KEY, f"x{KEY}y", [KEY, KEY], f"https://a.example/?key={KEY}"):
            for sent in (GET, RERUN, LIST):
                for status in (200, 302, 400, 401, 404, 409, 429, 500):
                    body = {"success": False, "status": None, name: said}
                    error = error_of(sent, answer(status, body, content_type=KEY, location=f"http://{KEY}/?{KEY}"))
                    assert KEY not in f"{error} {error!r} {error.__dict__}"
    error = error_of(GET, answer(502, HTML, content_type=f"text/{KEY}\x1b"))
    assert KEY not in f"{error} {error.__dict__}"
    assert "\x1b" not in str(error)


# --- Retry-After -------------------------------------------------------------------------------------------------

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def http_date(seconds: float) -> str:
    return format_datetime(NOON + timedelta(seconds=seconds), usegmt=True)


RETRY_AFTER: dict[str, tuple[str | None, float | None]] = {
    "absent": (None, None),
    "seconds": ("7", 7),
    "zero": ("0", 0),
    "spaces": (" 7 ", 7),
    "fraction": ("1.5", 1.5),
    "hours": ("86400", 86400),
    "years": ("1000000000", 86400),
    "negative": ("-5", None),
    "empty": ("", None),
    "nonsense": ("soon", None),
    "unit": ("5s", None),
    "list": ("5, 7", None),
    "not a number": ("nan", None),
    "infinite": ("inf", None),
    "endless": ("9" * 5000, None),
    "a day": ("86400", 86400),
    "more than a timedelta holds": ("1e300", 86400),
    "date": (http_date(90), 90),
    "date now": (http_date(0), 0),
    "date hours on": (http_date(7200), 7200),
    "date past": (http_date(-90), None),
    "old date form": ("Sunday, 01-Mar-26 12:01:30 GMT", 90),
    "date of C": ("Sun Mar  1 12:01:30 2026", 90),
    "date with zone": ("Sun, 01 Mar 2026 13:01:30 +0100", 90),
    "date without zone": ("Sun, 01 Mar 2026 12:01:30", 90),
    "ISO date": ("2026-03-01T12:01:30Z", None),
    "date that is none": ("Sun, 99 Mar 2026 12:01:30 GMT", None),
    "date with an impossible zone": ("Sun, 01 Mar 2026 12:01:30 +9999999", None),
    "date far off": ("Fri, 31 Dec 9999 23:59:59 -2359", None),
}


@pytest.mark.parametrize(("header", "expected"), RETRY_AFTER.values(), ids=RETRY_AFTER)
def test_retry_after(header: str | None, expected: float | None) -> None:
    headers = {"date": http_date(0)} if header is None else {"date": http_date(0), "retry-after": header}
    asked = Response(429, headers, b"").retry_after
    if header and "9999 " in header:
        # Far off, one way or the other: but no error, and nothing that could not be compared.
        assert asked is None or asked > 300
    else:
        assert asked == expected


@pytest.mark.parametrize("status", [429, 503, 500, 408, 200])
def test_retry_after_is_carried(status: int) -> None:
    error = error_of(GET, answer(status, HTML, retry_after="77"))
    assert isinstance(error, OllangTransientError)
    assert error.retry_after == 77


def test_retry_after_of_a_rerun_is_carried() -> None:
    error = error_of(RERUN, answer(429, HTML, retry_after=http_date(77), date=http_date(0)))
    assert isinstance(error, OllangRateLimitError)
    assert error.retry_after == 77


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sun, 99 Mar 2026 12:00:00 GMT"])
def test_retry_after_uses_our_clock_without_a_date_header(date: str | None) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=3600), usegmt=True)
    headers = {"retry-after": later} | ({} if date is None else {"date": date})
    asked = Response(429, headers, b"").retry_after
    assert asked is not None
    assert 3500 < asked <= 3600


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
def test_server_time(date: str | None, expected: datetime | None) -> None:
    found = Response(200, {} if date is None else {"date": date}, b"").server_time
    assert found == expected
    assert found is None or found.tzinfo is not None


# --- Strict JSON -------------------------------------------------------------------------------------------------

BROKEN_JSON: dict[str, bytes] = {
    "NaN": b'{"status": "completed", "rate": NaN}',
    "Infinity": b'{"status": "completed", "rate": Infinity}',
    "-Infinity": b'{"status": "completed", "rate": -Infinity}',
    "1e999": b'{"status": "completed", "rate": 1e999}',
    "-1e999": b'{"status": "completed", "rate": -1e999}',
    "5,000 digits": b'{"status": "completed", "rate": ' + b"9" * 5000 + b"}",
    "100,000 lists": b'{"status": "completed", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 objects": b'{"status": ' * 100_000 + b"1" + b"}" * 100_000,
    "100,000 lists, open": b'{"status": "completed", "x": ' + b"[" * 100_000,
    "bad UTF-8": b'{"status": "completed", "name": "\xff\xfe"}',
    "surrogate in UTF-8": b'{"status": "completed", "name": "\xed\xa0\x80"}',
    "UTF-16": '{"status": "completed"}'.encode("utf-16"),
    "Latin-1": '{"status": "completed", "name": "ü"}'.encode("latin-1"),
    "cut": b'{"status": "completed", "orderDocs": [{"id": "doc"},',
    "two": b'{"status": "completed"}{"status": "completed"}',
    "comment": b'{"status": "completed"} // done',
    "single quotes": b"{'status': 'completed'}",
    "raw line break": b'{"status": "completed", "name": "a\nb"}',
    "NUL": b"\0",
}


@pytest.mark.parametrize("body", BROKEN_JSON.values(), ids=BROKEN_JSON)
def test_broken_json(body: bytes) -> None:
    got = Response(200, {"content-type": "application/json"}, body)
    with pytest.raises(ValueError):  # noqa: PT011 - whichever says so
        parse_json(body)
    assert type(error_of(GET, got)) is OllangUnavailableError
    assert type(error_of(LIST, got)) is OllangUnavailableError
    assert type(error_of(RERUN, got)) is OllangOutcomeUnknownError
    for status in (400, 403, 429, 500):
        error_of(GET, Response(status, {}, body))
        error_of(RERUN, Response(status, {}, body))


@pytest.mark.parametrize("depth", [500, 900, 950, 3000])
@pytest.mark.parametrize("shape", ["lists", "objects"])
def test_depth_at_the_edge_of_what_python_reads(depth: int, shape: str) -> None:
    """Deep enough to be read, and yet too deep to be shown, compared or written again, is nowhere an error of ours."""
    deep = "[" * depth + "]" * depth if shape == "lists" else '{"a":' * depth + "1" + "}" * depth
    for name in ("id", "status", "message", "detail", "code", "orderId", "success", "data", "meta"):
        body = f'{{"{name}": {deep}}}'.encode()
        for status in (200, 400, 500):
            for sent in (GET, RERUN, LIST):
                try:
                    read(sent, Response(status, {}, body))
                except OllangError as error:
                    assert len(str(error)) < 1500  # noqa: PT017 - a value is fine too


HALF = '"half \\ud800 of a character"'
# Python's JSON reads all of these; what carries XComs and logs writes none of them.
AWKWARD = {
    "half a character": f'{{"x": {HALF}}}',
    "half a character as a name": f'{{"x": {{{HALF}: 1}}}}',
    "half a character in a list": f'{{"x": [{HALF}]}}',
    "21 digits": '{"x": 100000000000000000000}',
    "4,000 digits": '{"x": [' + "9" * 4000 + "]}",
    "21 digits, negative": '{"x": -100000000000000000000}',
    "300 lists": '{"x": ' + "[" * 300 + "]" * 300 + "}",
    "300 objects": '{"x": ' * 300 + "1" + "}" * 300,
    "900 lists": '{"x": ' + "[" * 900 + "]" * 900 + "}",
}


def hand_on(value: object) -> None:
    """Push to XCom as a task does: through Airflow's serializer, and by message to the supervisor of the task."""
    written: Any = serialize(value)
    message = SetXCom(key="k", value=written, dag_id="d", run_id="r", task_id="t", map_index=-1)
    msgspec.msgpack.encode(message.model_dump())


@pytest.mark.parametrize("inner", AWKWARD.values(), ids=AWKWARD)
def test_order_that_is_read_can_be_handed_on(inner: str) -> None:
    body = f'{{"id": "{ID}", "status": "completed", "inner": {inner}}}'.encode()
    try:
        order = parse_order(SETTINGS, GET, Response(200, {}, body))
    except OllangUnavailableError:
        return
    hand_on(order)


@pytest.mark.parametrize("inner", AWKWARD.values(), ids=AWKWARD)
def test_row_that_is_read_can_be_handed_on(inner: str) -> None:
    body = f'{{"data": [{{"id": "{ID}", "inner": {inner}}}]}}'.encode()
    try:
        rows, _ = parse_page(SETTINGS, LIST, Response(200, {}, body))
    except OllangUnavailableError:
        return
    hand_on(rows)


@pytest.mark.parametrize("inner", AWKWARD.values(), ids=AWKWARD)
def test_answer_to_a_rerun_can_be_handed_on(inner: str) -> None:
    """This rerun is paid for, so the receipt must get through."""
    body = f'{{"success": true, "message": {HALF}, "inner": {inner}}}'.encode()
    try:
        accepted = parse_accepted(SETTINGS, RERUN, Response(200, {}, body))
    except OllangOutcomeUnknownError as error:
        hand_on(str(error))
    else:
        hand_on(accepted.value["message"])
        hand_on(accepted.message)


def test_half_characters_in_an_error_do_not_travel_on() -> None:
    body = f'{{"success": false, "error": {HALF}, "message": {HALF}, "detail": [{HALF}], "code": {HALF}}}'.encode()
    headers = {"content-type": "application/json", "location": "http://half\ud800"}
    for status in (200, 302, 400, 401, 403, 404, 409, 429, 500):
        for sent in (GET, RERUN, LIST):
            error = error_of(sent, Response(status, headers, body))
            f"{error} {error.detail} {error.code}".encode()


# --- The errors themselves ---------------------------------------------------------------------------------------


def test_errors_survive_pickling_and_copying() -> None:
    rows = [(GET, GET_ROWS), (RERUN, PAID_ROWS)]
    for sent, status, body in [(sent, status, body) for sent, table in rows for status, body, *_ in table.values()]:
        error = error_of(sent, answer(status, body, retry_after="3"))
        for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301
            assert type(other) is type(error)
            assert str(other) == str(error)
            assert other.__dict__ == error.__dict__


def test_errors_are_airflow_errors() -> None:
    assert issubclass(OllangError, AirflowException)
    assert issubclass(OllangPermanentError, AirflowFailException)
    assert not issubclass(OllangTransientError, AirflowFailException)
    assert OllangError("x").status_code is None


def test_no_response_is_no_server_error() -> None:
    error = no_response(GET, "the host could not be found")
    assert [error.status_code, error.detail, error.code, error.retry_after] == [None] * 4
    assert (error.order_id, error.method, error.path) == (ID, "GET", f"/integration/orders/{ID}")
    assert str(error) == f"Could not get order {ID}: the host could not be found."


@pytest.mark.parametrize("status", [200, 400, 403, 429, 500])
@pytest.mark.parametrize("body", [{"success": False, "message": "No"}, [1], ORDER, ACCEPTED], ids=str)
def test_body_is_parsed_once(monkeypatch: pytest.MonkeyPatch, status: int, body: Any) -> None:
    """It may have 20 MB, and the triggerer's other waits stand still meanwhile."""
    parsed: list[int] = []

    def parsing(body: bytes) -> Any:
        parsed.append(1)
        return parse_json(body)

    monkeypatch.setattr(responses, "parse_json", parsing)
    for sent in (GET, RERUN, LIST):
        parsed.clear()
        with contextlib.suppress(OllangError):
            read(sent, answer(status, body))
        assert len(parsed) == 1


def test_headers_are_any_mapping() -> None:
    headers: Mapping[str, str] = {}
    assert Response(200, headers, b"{}").value == {}


@pytest.mark.parametrize(
    "body", [{"code": -1, "error": "UnknownError", "detail": "Only completed orders"}, {"error": "Oh"}, {"code": "NO"}]
)
def test_an_error_in_a_2xx_is_no_acceptance_of_a_rerun(body: dict[str, Any]) -> None:
    with pytest.raises(OllangOutcomeUnknownError, match="which is an error"):
        read(RERUN, answer(200, body))


@pytest.mark.parametrize(
    ("date", "elapsed", "expected"),
    [
        ("Fri, 01 Mar 2024 12:00:40 GMT", 0.0, "2024-03-01T12:00:40+00:00"),
        ("Fri, 01 Mar 2024 12:00:40 GMT", 40.25, "2024-03-01T11:59:59.750000+00:00"),
        ("soon", 1.0, None),
        (None, 1.0, None),
    ],
)
def test_the_request_had_not_arrived_before_its_attempt_began(
    date: str | None, elapsed: float, expected: str | None
) -> None:
    answer = Response(200, {} if date is None else {"date": date}, b"", elapsed)
    assert (answer.requested_at and answer.requested_at.isoformat()) == expected
