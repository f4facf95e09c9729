"""Which error a refusal is, by its status, code or text, and what its message says."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from airflow_provider_ollang.client.errors import no_response
from airflow_provider_ollang.client.requests import Request
from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangAuthenticationError,
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangOrderNotEligibleError,
    OllangOrderNotFoundError,
    OllangRateLimitError,
    OllangUnavailableError,
)
from tests.unit.client.builders import (
    GET,
    HTML,
    ID,
    KEY,
    LIST,
    NO_ACCESS,
    NO_CREDITS,
    NO_RERUN,
    NOT_ELIGIBLE,
    NOT_FOUND,
    OTHER,
    RERUN,
    UNAUTHORIZED,
    error_of,
    generic,
    response,
)

# --- Which error: by status, else by code, else by text -----------------------------------------------------------

#: The refusals that the pages document.
REFUSALS: list[tuple[Request, int, dict[str, Any], type[OllangError]]] = [
    (GET, 401, UNAUTHORIZED, OllangAuthenticationError),
    (RERUN, 401, UNAUTHORIZED, OllangAuthenticationError),
    (GET, 403, NO_ACCESS, OllangAccessDeniedError),
    (RERUN, 403, NO_RERUN, OllangAccessDeniedError),
    (GET, 404, NOT_FOUND, OllangOrderNotFoundError),
    (RERUN, 404, NOT_FOUND, OllangOrderNotFoundError),
    (RERUN, 400, NOT_ELIGIBLE, OllangOrderNotEligibleError),
]
each_refusal = pytest.mark.parametrize(
    ("request_", "status", "body", "expected"),
    REFUSALS,
    ids=[f"{request.method}-{body['code']}" for request, _, body, _ in REFUSALS],
)


@each_refusal
def test_refusal_is_read_in_every_shape(
    request_: Request, status: int, body: dict[str, Any], expected: type[OllangError]
) -> None:
    words = body["message"]
    framework = {"statusCode": status, "message": [words, "and more"], "error": "Bad Request"}
    for shape, code, detail in (
        (body, body["code"], f"{body['error']}: {words}"),
        (generic(words), None, words),
        ({"message": words}, None, words),
        (framework, None, f"Bad Request: {words}, and more"),
    ):
        error = error_of(request_, response(status, shape))
        assert (type(error), error.code, error.detail) == (expected, code, detail)
        assert detail in str(error)


@each_refusal
@pytest.mark.parametrize("other_status", [400, 422])
def test_code_or_text_decides_where_the_status_does_not(
    request_: Request, status: int, body: dict[str, Any], expected: type[OllangError], other_status: int
) -> None:
    words = body["message"]
    bodies = [{"code": body["code"], "message": "?"}]
    bodies += [{**generic("?"), name: text} for name in ("detail", "message") for text in (words.upper(), [words])]
    for each in bodies:
        assert type(error_of(request_, response(other_status, each))) is expected


BOTH = {"code": "ORDER_NOT_FOUND", "message": NOT_ELIGIBLE["message"]}


@pytest.mark.parametrize(
    ("request_", "status", "body", "expected"),
    [
        (RERUN, 401, BOTH, OllangAuthenticationError),
        (RERUN, 403, NOT_ELIGIBLE, OllangAccessDeniedError),
        (RERUN, 404, UNAUTHORIZED, OllangOrderNotFoundError),
        (RERUN, 400, BOTH, OllangOrderNotFoundError),
        (GET, 429, NOT_FOUND, OllangRateLimitError),
        (GET, 500, NOT_FOUND, OllangUnavailableError),
        (GET, 409, NOT_FOUND, OllangUnavailableError),
    ],
)
def test_status_beats_code_and_code_beats_text(
    request_: Request, status: int, body: Any, expected: type[OllangError]
) -> None:
    assert type(error_of(request_, response(status, body))) is expected


@pytest.mark.parametrize("code", [-1, None, True, [], ["ORDER_NOT_FOUND"], {}, "", "order_not_found"], ids=repr)
def test_unknown_code_is_a_bad_request(code: Any) -> None:
    error = error_of(GET, response(400, {"code": code, "message": "?"}))
    assert type(error) is OllangBadRequestError
    assert error.code == (code if isinstance(code, str) else None)


# --- What the message says ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status", "body", "parts"),
    [
        (GET, 401, UNAUTHORIZED, ["'c1'", "password"]),
        (GET, 403, NO_ACCESS, ["'c1'", "another Ollang account"]),
        (GET, 404, NOT_FOUND, ["'c1'", "order id"]),
        (RERUN, 400, NOT_ELIGIBLE, ["Nothing was started", "completed or delivered"]),
        (GET, 404, HTML, ["'c1'", "base URL", "https://ollang.example"]),
        (GET, 402, OTHER, ["Something else"]),
        (RERUN, 402, OTHER, ["'c1'", "\nNothing was started", "Add credits"]),
        (RERUN, 400, NO_CREDITS, ["'c1'", "Add credits"]),
        (RERUN, 409, OTHER, ["\nNothing was started", "at work on this order"]),
    ],
)
def test_error_says_what_to_do(request_: Request, status: int, body: Any, parts: list[str]) -> None:
    text = str(error_of(request_, response(status, body)))
    for part in parts:
        assert part in text


REDIRECTS = {
    "https://other.example/path?token=secret": "other.example",
    "//other.example/path": "other.example",
    "https://user:secret@other.example/": "other.example",
    "/login?token=secret": "another address",
    "": "another address",
    "http://[": "another address",
    "https://\u2100.example/": "another address",
    f"https://{KEY}.example/": "***.example",
    "https://" + "a" * 60_000 + ".example": "aaa",
    "\x00\x1b": "another address",
}


@pytest.mark.parametrize(("location", "named"), REDIRECTS.items(), ids=lambda value: ascii(value)[:40])
def test_redirect_names_only_the_host(location: str, named: str) -> None:
    for request in (GET, RERUN, LIST):
        error = error_of(request, response(302, b"", location=location))
        assert type(error) is OllangConfigurationError
        text = str(error)
        for part in (named, "https://ollang.example", "'c1'"):
            assert part in text
        assert "secret" not in text
        assert KEY not in text
        assert len(text) < 1000


DETAILS: dict[str, tuple[Any, str | None]] = {
    "documented": (NOT_FOUND, "Order not found: No order found with the provided orderId"),
    "generic": (generic("Unexpected token"), "Unexpected token"),
    "generic without detail": ({"code": -1, "error": "UnknownError", "message": "unknown error"}, None),
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
def test_detail_is_what_the_server_said(body: Any, expected: str | None) -> None:
    for status in (400, 403, 422, 429, 500):
        error = error_of(GET, response(status, body))
        assert error.detail == expected
        assert expected is None or expected in str(error) or status == 429


@pytest.mark.parametrize(
    "received",
    [
        response(400, {"message": "x" * 100_000}),
        response(400, {"message": ["x" * 100, "y"] * 10_000}),
        response(400, {"error": "a" * 499, "message": "b" * 499, "detail": "c" * 499}),
        response(400, {"code": f"{KEY}?\n" * 5000}),
        response(503, HTML, content_type="x" * 60_000),
    ],
    ids=["message", "list", "all", "code", "content type"],
)
def test_error_is_short_whatever_the_server_says(received: Any) -> None:
    for request in (GET, RERUN):
        error = error_of(request, received)
        assert len(error.detail or "") <= 500
        assert len(error.code or "") <= 500
        assert len(str(error)) < 1500


def test_error_never_shows_the_key() -> None:
    for name in ("error", "message", "detail", "code"):
        for text in (KEY, f"x{KEY}y", [KEY, KEY], f"https://a.example/?key={KEY}"):
            for request in (GET, RERUN, LIST):
                for status in (200, 302, 400, 401, 404, 409, 429, 500):
                    body = {"success": False, "status": None, name: text}
                    headers = {"content_type": KEY, "location": f"http://{KEY}/?{KEY}"}
                    error = error_of(request, response(status, body, **headers))
                    assert KEY not in f"{error} {error!r} {error.__dict__}"
    error = error_of(GET, response(502, HTML, content_type=f"text/{KEY}\x1b"))
    assert KEY not in f"{error} {error.__dict__}"
    assert "\x1b" not in str(error)


# --- Without a response, and in another process -------------------------------------------------------------------


def test_no_response_is_an_error_without_status() -> None:
    error = no_response(GET, "the host could not be found")
    assert [error.status_code, error.detail, error.code, error.retry_after] == [None] * 4
    assert (error.order_id, error.method, error.path) == (ID, "GET", f"/integration/orders/{ID}")
    assert str(error) == f"Could not get order {ID}: the host could not be found."


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [(GET, 404, NOT_FOUND), (GET, 429, HTML), (GET, 302, b""), (RERUN, 200, {"success": False}), (RERUN, 503, HTML)],
)
def test_error_survives_pickling_and_copying(request_: Request, status: int, body: Any) -> None:
    error = error_of(request_, response(status, body, retry_after="3"))
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert other.__dict__ == error.__dict__
