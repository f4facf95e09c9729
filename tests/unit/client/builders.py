"""Requests and responses for the tests of the client."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_ollang.client.requests import Request, get_order, list_orders, rerun_order
from airflow_provider_ollang.client.responses import Response, parse_accepted, parse_order, parse_page
from airflow_provider_ollang.client.settings import Settings
from airflow_provider_ollang.exceptions import OllangError

ID = "60b8d6f1e1b9b1d8c6c0d8e1"
OTHER_ID = "60b8d6f1e1b9b1d8c6c0d8e2"
KEY = "canary-key-of-the-responses"
SETTINGS = Settings.from_connection(
    "c1", password=KEY, host="https://ollang.example", extra={"proxy": "http://u:canary-proxy-password@proxy.example"}
)
GET, RERUN, LIST = get_order(ID), rerun_order(ID), list_orders(1, 50, {})
ORDER = {"id": ID, "status": "completed", "name": "Sample"}
ACCEPTED = {"success": True, "message": "Order rerun initiated successfully", "orderId": ID}
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


def response(status: int, body: Any = b"", **headers: str) -> Response:
    """Return a response; a body that is no bytes is sent as JSON."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    kind, content = ("text/html; charset=utf-8", body) if isinstance(body, bytes) else ("application/json", None)
    return Response(status, {"content-type": kind, **given}, json.dumps(body).encode() if content is None else content)


def parse(request: Request, received: Response) -> Any:
    """Read a response as the client does."""
    if request.paid:
        return parse_accepted(SETTINGS, request, received)
    return (parse_order if request.order_id else parse_page)(SETTINGS, request, received)


def error_of(request: Request, received: Response) -> OllangError:
    """Return the error of a response, which has what every error has."""
    with pytest.raises(OllangError) as caught:
        parse(request, received)
    error = caught.value
    assert error.status_code == received.status
    assert (error.order_id, error.method, error.path) == (request.order_id, request.method, request.path)
    assert request.what in str(error)
    if received.status >= 400:
        assert str(received.status) in str(error)
    return error


def documented(error: str, message: str, code: str) -> dict[str, Any]:
    """Return an error as the pages have it."""
    return {"error": error, "message": message, "code": code}


def generic(detail: str) -> dict[str, Any]:
    """Return an error in the API's generic envelope."""
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
