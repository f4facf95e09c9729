"""What a good response has: an object, a list of objects, or nothing; for requests that are paid and that are not."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from airflow_provider_ollang.client.backoff import is_transient
from airflow_provider_ollang.client.requests import Request
from airflow_provider_ollang.client.responses import Response, parse_accepted, require_expected
from airflow_provider_ollang.client.settings import Settings
from airflow_provider_ollang.exceptions import (
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangOrderNotEligibleError,
    OllangOutcomeUnknownError,
    OllangRateLimitError,
    OllangRequestRefusedError,
    OllangUnavailableError,
)

Kind = Literal["object", "list", "empty"]

SETTINGS = Settings.from_connection("c1", password="key", host="https://ollang.example")
CREATED = [{"orderId": "1", "targetLanguage": "tr"}, {"orderId": "2", "targetLanguage": "de"}]
DATE = "Fri, 01 Mar 2024 12:00:40 GMT"


def paid(kind: Kind) -> Request:
    return Request("POST", "/integration/orders/create", "create an order", body=b"{}", paid=True, expects=kind)


def free(kind: Kind) -> Request:
    return Request("POST", "/integration/orders/1/cancel", "cancel order 1", "1", expects=kind)


def response(status: int, body: Any = b"") -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {"date": DATE, "content-type": "application/json"}, content)


def test_list_of_objects_is_accepted() -> None:
    accepted = parse_accepted(SETTINGS, paid("list"), response(201, CREATED))
    assert (accepted.items, accepted.value, accepted.message) == (CREATED, {}, None)
    assert accepted.requested_at == "2024-03-01T12:00:40+00:00"


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_empty_body_is_accepted(status: int) -> None:
    accepted = parse_accepted(SETTINGS, paid("empty"), response(status))
    assert (accepted.items, accepted.value, accepted.message) == ([], {}, None)


def test_object_is_accepted_where_nothing_is_expected() -> None:
    accepted = parse_accepted(SETTINGS, paid("empty"), response(200, {"success": True, "message": "Done"}))
    assert (accepted.value, accepted.message) == ({"success": True, "message": "Done"}, "Done")


def test_order_is_not_compared_if_the_request_has_none() -> None:
    assert parse_accepted(SETTINGS, paid("object"), response(200, {"orderId": "7"})).value == {"orderId": "7"}


UNKNOWN: list[tuple[Kind, int, Any, str]] = [
    ("list", 201, b"", "201 without a JSON list of objects"),
    ("list", 201, b"[{", "201 without a JSON list of objects"),
    ("list", 201, {"orderId": "1"}, "201 without a JSON list of objects"),
    ("list", 200, ["1", "2"], "200 without a JSON list of objects"),
    ("list", 200, "created", "200 without a JSON list of objects"),
    ("list", 200, b"<html>Sign in</html>", "200 without a JSON list of objects"),
    ("object", 201, CREATED, "201 without a JSON object"),
    ("object", 204, b"", "204 without a JSON object"),
    ("empty", 200, b"<html>Sign in</html>", "200 with a body, where none belongs"),
    ("empty", 200, CREATED, "200 with a body, where none belongs"),
    *((kind, status, b"", f"answered {status}") for kind in ("object", "list", "empty") for status in (408, 500, 504)),
    *((kind, 200, {"error": "Oh"}, "which is an error") for kind in ("list", "empty")),
]


@pytest.mark.parametrize(("kind", "status", "body", "reason"), UNKNOWN)
def test_other_body_leaves_the_outcome_unknown(kind: Kind, status: int, body: Any, reason: str) -> None:
    with pytest.raises(OllangOutcomeUnknownError) as caught:
        parse_accepted(SETTINGS, paid(kind), response(status, body))
    assert reason in str(caught.value)
    assert caught.value.order_id is None


@pytest.mark.parametrize("kind", ["object", "list", "empty"])
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


FREE: list[tuple[Kind, int, Any, bool]] = [
    ("object", 200, {}, True),
    ("object", 200, [], False),
    ("object", 204, b"", False),
    ("list", 200, [], True),
    ("list", 200, CREATED, True),
    ("list", 200, [1], False),
    ("list", 200, {}, False),
    ("empty", 204, b"", True),
    ("empty", 200, {}, True),
    ("empty", 200, b"<html>", False),
    ("empty", 200, [], False),
]


@pytest.mark.parametrize(("kind", "status", "body", "is_expected"), FREE)
def test_free_request_gets_its_kind_or_is_repeated(kind: Kind, status: int, body: Any, is_expected: bool) -> None:
    if is_expected:
        assert require_expected(SETTINGS, free(kind), response(status, body)).body is not None
        return
    with pytest.raises(OllangUnavailableError) as caught:
        require_expected(SETTINGS, free(kind), response(status, body))
    assert is_transient(caught.value)
