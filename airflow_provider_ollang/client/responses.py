"""
Responses of Ollang's API, and what each means: tables over plain values, without input or output.

The pages this rests on are `Get Order by ID`, `Rerun Order`, `QC Evaluation` and `List Orders` of
https://api-docs.ollang.com. What a failed request is raised as is in :mod:`~airflow_provider_ollang.client.errors`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.client.errors import (
    error_code,
    garbled,
    refused,
    rejected,
    server_message,
    status_text,
    unknown_outcome,
)
from airflow_provider_ollang.client.strict_json import parse_json
from airflow_provider_ollang.domain.arguments import is_same_id

if TYPE_CHECKING:
    from airflow_provider_ollang.client.requests import Request
    from airflow_provider_ollang.client.settings import Settings
    from airflow_provider_ollang.exceptions import OllangOutcomeUnknownError

MAX_BODY_BYTES = 20 * 1024 * 1024

# A status is a word, and goes into logs and XComs.
_MAX_STATUS_LENGTH = 80
# A day: the clock of a server may be off.
_MAX_RETRY_AFTER = 86400.0
_UNEXPECTED = {
    "object": "without a JSON object",
    "list": "without a JSON list of objects",
    "empty": "with a body, where none belongs",
}


@dataclass(frozen=True)
class Response:
    """
    An HTTP response, read to its end.

    :param headers: their names in lower case.
    :param body: its decoded bytes.
    :param elapsed: seconds from the start of this attempt to the end of the body; 0 where nothing needs them.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed: float = 0.0

    @property
    def server_time(self) -> datetime | None:
        """The server's clock when it responded, from the ``Date`` header."""
        return _parse_http_date(self.headers.get("date"))

    @property
    def requested_at(self) -> datetime | None:
        """
        A time by the server's clock at which the request had not arrived yet.

        A gateway may date its response long after it handed the request on. The header has whole seconds, rounded
        down, so that this is never too late.
        """
        responded_at = self.server_time
        return responded_at and responded_at - timedelta(seconds=self.elapsed)

    @property
    def retry_after(self) -> float | None:
        """Seconds the server asked to wait; a date is measured against the server's own clock."""
        text = self.headers.get("retry-after", "").strip()
        try:
            seconds = float(text)
        except ValueError:
            date = _parse_http_date(text)
            if date is None:
                return None
            seconds = (date - (self.server_time or datetime.now(UTC))).total_seconds()
        return min(seconds, _MAX_RETRY_AFTER) if math.isfinite(seconds) and seconds >= 0 else None

    @functools.cached_property
    def value(self) -> Any:
        """The JSON of the body; ``None`` if it has none. Parsed once, since it may be large."""
        try:
            return parse_json(self.body)
        except ValueError:
            return None

    @property
    def json_object(self) -> dict[str, Any] | None:
        """The JSON of the body, if it is an object."""
        return self.value if isinstance(self.value, dict) else None

    @property
    def json_list(self) -> list[dict[str, Any]] | None:
        """The JSON of the body, if it is a list of objects."""
        is_list = isinstance(self.value, list) and all(isinstance(item, dict) for item in self.value)
        return self.value if is_list else None

    def has(self, kind: str) -> bool:
        """Tell whether the body is of the kind that a request expects; an object does where nothing is expected."""
        if kind == "list":
            return self.json_list is not None
        return self.json_object is not None or (kind == "empty" and not self.body)


def add_chunk(body: bytearray, chunk: bytes) -> None:
    """Add what was read to a body; a body that is too large is a ``ValueError``."""
    body += chunk
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"the response is larger than {MAX_BODY_BYTES >> 20} MB")


def require_expected(settings: Settings, request: Request, response: Response) -> Response:
    """Return a 2xx response that has what its request expects; any other one is raised as an :class:`.OllangError`."""
    if not 200 <= response.status < 300:
        raise rejected(settings, request, response)
    if not response.has(request.expects):
        raise garbled(settings, request, response, _UNEXPECTED[request.expects])
    return response


def parse_object(settings: Settings, request: Request, response: Response) -> dict[str, Any]:
    """Return the JSON object of a response; raises as :func:`require_expected`."""
    return require_expected(settings, request, response).json_object or {}


def parse_order(settings: Settings, request: Request, response: Response) -> dict[str, Any]:
    """Return the order of a response to :func:`.get_order`; anything else is raised as an :class:`.OllangError`."""
    order = parse_object(settings, request, response)
    status = order.get("status")
    if not isinstance(status, str) or not status.isprintable() or len(status) > _MAX_STATUS_LENGTH:
        raise garbled(settings, request, response, "with an order without a status")
    order_id = order.get("id")
    if order_id is not None and not is_same_id(order_id, request.order_id):
        raise garbled(settings, request, response, "with another order")
    return order


def parse_page(settings: Settings, request: Request, response: Response) -> tuple[list[dict[str, Any]], bool]:
    """Return the rows of a response to :func:`.list_orders`, and whether there is another page; raises likewise."""
    page = parse_object(settings, request, response)
    rows, meta = page.get("data"), page.get("meta")
    if not isinstance(rows, list):
        raise garbled(settings, request, response, "with a list without rows")
    has_more = isinstance(meta, Mapping) and meta.get("hasNextPage") is True
    return [row for row in rows if isinstance(row, dict)], has_more


def parse_confirmed(settings: Settings, request: Request, response: Response) -> dict[str, Any]:
    """Return the JSON object of a response whose ``success`` is not false; raises as :func:`require_expected`."""
    value = parse_object(settings, request, response)
    if value.get("success") is False:
        raise refused(settings, request, response)
    return value


def parse_cancelled(settings: Settings, request: Request, response: Response) -> bool:
    """Tell whether :func:`.cancel_order` cancelled the order now, or it was cancelled before; raises likewise."""
    # A gateway's own page is not about the order.
    if response.status == HTTPStatus.CONFLICT and response.json_object is not None:
        return False
    require_expected(settings, request, response)
    return True


# --- Paid requests --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Accepted:
    """
    What the server said of a paid request that it accepted.

    :param value: its JSON object; empty if it is none.
    :param message: its message, redacted.
    :param requested_at: a time by the server's clock just before the request arrived, ISO 8601.
    :param items: the objects of its JSON list, for a request that expects one.
    """

    value: dict[str, Any]
    message: str | None
    requested_at: str | None
    items: list[dict[str, Any]] = field(default_factory=list)


def parse_accepted(settings: Settings, request: Request, response: Response) -> Accepted:
    """
    Read the response to a request that may cost money: the first row that holds decides.

    ================================== ===============================================================================
    response                           the request
    ================================== ===============================================================================
    1xx, 408, 5xx                      outcome unknown: the server, or a gateway, did not come to an end with it
    303                                outcome unknown: it names where the result is (RFC 9110 section 15.4.4)
    another 3xx, 4xx                   was not processed: :func:`.errors.rejected`
    ``success`` is false               was refused
    an error, whatever the status      outcome unknown
    about another order                outcome unknown
    not what the request expects       outcome unknown
    anything else                      was accepted
    ================================== ===============================================================================

    :return: what was accepted.
    :raises OllangOutcomeUnknownError: it may or may not have been processed.
    :raises OllangError: it surely was not processed.
    """
    status, value = response.status, response.json_object or {}
    answered = f"the server answered {status_text(settings, response)}"
    if status < 200 or status in {303, 408} or status >= 500:
        raise _unknown(settings, request, response, answered)
    if status >= 300:
        raise rejected(settings, request, response)
    if value.get("success") is False:
        raise refused(settings, request, response)
    if value.get("success") is not True and ("error" in value or isinstance(value.get("code"), int | str)):
        raise _unknown(settings, request, response, f"{answered}, which is an error")
    order_id = value.get("orderId")
    is_about_order = request.order_id is not None and order_id is not None
    if is_about_order and not is_same_id(order_id, request.order_id):
        raise _unknown(settings, request, response, "the server answered about another order")
    if not response.has(request.expects):
        raise _unknown(settings, request, response, f"the server answered {status} {_UNEXPECTED[request.expects]}")
    message = value.get("message")
    return Accepted(
        value=value,
        message=settings.redact(message) if isinstance(message, str) else None,
        requested_at=response.requested_at.isoformat() if response.requested_at else None,
        items=response.json_list or [],
    )


def _unknown(settings: Settings, request: Request, response: Response, reason: str) -> OllangOutcomeUnknownError:
    code, detail = error_code(settings, response), server_message(settings, response)
    return unknown_outcome(request, reason, response.status, code=code, detail=detail)


def _parse_http_date(text: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(text) if text else None
    except (TypeError, ValueError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date and date.tzinfo is None else date
