"""What each response to a paid request means: accepted, refused, rejected, or an unknown outcome."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from airflow_provider_ollang.client.backoff import was_not_processed
from airflow_provider_ollang.client.requests import Request, rerun_order
from airflow_provider_ollang.client.responses import parse_accepted
from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangAuthenticationError,
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangOrderNotEligibleError,
    OllangOrderNotFoundError,
    OllangOutcomeUnknownError,
    OllangRateLimitError,
    OllangRequestRefusedError,
    OllangUnavailableError,
)
from tests.unit.client.builders import (
    ACCEPTED,
    HTML,
    ID,
    KEY,
    NO_RERUN,
    NOT_ELIGIBLE,
    NOT_FOUND,
    OTHER,
    OTHER_ID,
    RERUN,
    SETTINGS,
    UNAUTHORIZED,
    documented,
    error_of,
    generic,
    response,
)

UNKNOWN = OllangOutcomeUnknownError
#: A 200 that accepts nothing for sure.
NO_ANSWERS: dict[str, Any] = {
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
    "null": None,
    **{f"order {order_id}": {**ACCEPTED, "orderId": order_id} for order_id in (OTHER_ID, [ID], {"$oid": ID}, True, "")},
    "generic error": generic("Only completed orders"),
    "error": {"error": "Oh"},
    "error code": {"code": "NO"},
}
#: Statuses and body, and the error.
RERUN_ERRORS: list[tuple[tuple[int, ...], Any, type[OllangError]]] = [
    ((200, 201, 202), {**ACCEPTED, "success": False}, OllangRequestRefusedError),
    ((300, 301, 302, 307, 308, 399), b"", OllangConfigurationError),
    ((303,), b"", UNKNOWN),
    ((400,), NOT_ELIGIBLE, OllangOrderNotEligibleError),
    ((400, 402, 405, 422, 423, 425), OTHER, OllangBadRequestError),
    ((401,), UNAUTHORIZED, OllangAuthenticationError),
    ((403,), NO_RERUN, OllangAccessDeniedError),
    ((404,), NOT_FOUND, OllangOrderNotFoundError),
    ((404,), generic("Cannot POST /integration/orders/1/rerun"), OllangConfigurationError),
    ((404,), HTML, OllangConfigurationError),
    ((409,), OTHER, OllangOrderNotEligibleError),
    ((400, 401, 402, 403, 405, 409, 413, 422, 423, 425), HTML, OllangUnavailableError),
    ((429,), OTHER, OllangRateLimitError),
    ((429,), HTML, OllangRateLimitError),
    ((429,), b"", OllangRateLimitError),
    *(((200,), body, UNKNOWN) for body in NO_ANSWERS.values()),
    # 103 is an interim response as the last one.
    ((103, 201, 204), b"", UNKNOWN),
    ((408, 500, 501, 502, 503, 504, 505, 520, 599), HTML, UNKNOWN),
    ((408, 500, 502, 503, 504, 600, 999), OTHER, UNKNOWN),
    # Whatever it says, the server did not come to an end with the request.
    ((408, 500, 503), generic("Only completed or delivered orders can be rerun"), UNKNOWN),
    ((408, 500, 503), {"success": False}, UNKNOWN),
]


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [(status, *row) for statuses, *row in RERUN_ERRORS for status in statuses],
    ids=lambda value: repr(value)[:40],
)
def test_rerun_error_by_status_and_body(status: int, body: Any, expected: type[OllangError]) -> None:
    error = error_of(RERUN, response(status, body))
    assert type(error) is expected
    # Only a rate limit proves that nothing was processed and may be submitted again.
    assert was_not_processed(error) is (status == 429)


@pytest.mark.parametrize(
    "body",
    [
        ACCEPTED,
        {"success": True, "message": "queued"},
        {**ACCEPTED, "orderId": None},
        {**ACCEPTED, "orderId": ID.upper()},
        {**ACCEPTED, "jobId": "j1"},
        {"message": "queued"},
        *({"success": success} for success in (None, "false", 0)),
        {},
    ],
    ids=repr,
)
def test_rerun_is_accepted_unless_refused(body: dict[str, Any]) -> None:
    for status in (200, 202, 299):
        assert parse_accepted(SETTINGS, RERUN, response(status, body)).value == body


def test_rerun_of_a_number_is_accepted_for_that_number() -> None:
    body = {**ACCEPTED, "orderId": 17}
    assert parse_accepted(SETTINGS, rerun_order(17), response(200, body)).value == body


def test_refused_rerun_says_why() -> None:
    body = {"success": False, "message": f"No credits, {KEY} https://x.example/?a=b", "code": "NO_CREDITS"}
    error = error_of(RERUN, response(200, body))
    assert (error.detail, error.code) == ("No credits, *** https://x.example/?…", "NO_CREDITS")
    for part in (error.detail, "Nothing was started"):
        assert str(part) in str(error)


def test_unknown_outcome_says_what_is_known_and_what_to_do() -> None:
    error = error_of(RERUN, response(503, documented("Oh", "Try later", "UNAVAILABLE")))
    assert (error.detail, error.code) == ("Oh: Try later", "UNAVAILABLE")
    for part in ("Oh: Try later", "billed twice", "clear this task"):
        assert part in str(error)


def test_rerun_rate_limit_carries_retry_after() -> None:
    error = error_of(RERUN, response(429, HTML, retry_after="77"))
    assert isinstance(error, OllangRateLimitError)
    assert error.retry_after == 77


# --- Requests that expect a list, or nothing ----------------------------------------------------------------------

Kind = Literal["object", "list", "empty"]
CREATED = [{"orderId": "1", "targetLanguage": "tr"}, {"orderId": "2", "targetLanguage": "de"}]


def paid(kind: Kind) -> Request:
    return Request("POST", "/integration/orders/create", "create an order", body=b"{}", paid=True, expects=kind)


@pytest.mark.parametrize(
    ("kind", "status", "body", "accepted"),
    [
        ("list", 201, CREATED, (CREATED, {}, None)),
        *(("empty", status, b"", ([], {}, None)) for status in (200, 202, 204)),
        ("empty", 200, {"success": True, "message": "Done"}, ([], {"success": True, "message": "Done"}, "Done")),
        # There is no order to compare with.
        ("object", 200, {"orderId": "7"}, ([], {"orderId": "7"}, None)),
    ],
)
def test_paid_request_gets_what_it_expects(kind: Kind, status: int, body: Any, accepted: Any) -> None:
    found = parse_accepted(SETTINGS, paid(kind), response(status, body, date="Fri, 01 Mar 2024 12:00:40 GMT"))
    assert (found.items, found.value, found.message) == accepted
    assert found.requested_at == "2024-03-01T12:00:40+00:00"


@pytest.mark.parametrize(
    ("kind", "status", "body", "reason"),
    [
        ("list", 201, b"", "201 without a JSON list of objects"),
        ("list", 201, {"orderId": "1"}, "201 without a JSON list of objects"),
        ("list", 200, ["1", "2"], "200 without a JSON list of objects"),
        ("object", 201, CREATED, "201 without a JSON object"),
        ("object", 204, b"", "204 without a JSON object"),
        ("empty", 200, HTML, "200 with a body, where none belongs"),
        ("empty", 200, CREATED, "200 with a body, where none belongs"),
        *((kind, status, b"", f"answered {status}") for kind in ("list", "empty") for status in (408, 504)),
        *((kind, 200, {"error": "Oh"}, "which is an error") for kind in ("object", "list", "empty")),
    ],
)
def test_other_body_leaves_the_outcome_unknown(kind: Kind, status: int, body: Any, reason: str) -> None:
    with pytest.raises(OllangOutcomeUnknownError, match=reason) as caught:
        parse_accepted(SETTINGS, paid(kind), response(status, body))
    assert caught.value.order_id is None


@pytest.mark.parametrize("kind", ["list", "empty"])
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"success": False, "message": "No credits"}, OllangRequestRefusedError),
        (302, b"", OllangConfigurationError),
        (400, {"message": "Bad language"}, OllangBadRequestError),
        (409, {"message": "Cancelled already"}, OllangOrderNotEligibleError),
        (429, b"", OllangRateLimitError),
    ],
)
def test_refusal_is_the_same_for_every_kind(kind: Kind, status: int, body: Any, expected: type[OllangError]) -> None:
    with pytest.raises(OllangError) as caught:
        parse_accepted(SETTINGS, paid(kind), response(status, body))
    assert type(caught.value) is expected
