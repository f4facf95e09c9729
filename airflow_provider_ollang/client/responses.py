"""
The Ollang API without input or output: the requests to send, and what every possible answer means.

Pure rules over plain values, shared by the synchronous and the asynchronous half of the hook. The pages this
rests on are `Get Order by ID`, `Rerun Order`, `QC Evaluation` and `List Orders` of https://api-docs.ollang.com.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn
from urllib.parse import urlsplit

from airflow_provider_ollang.client.strict_json import _DEEPEST, _JSON, _writable
from airflow_provider_ollang.domain.arguments import is_same_order
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

if TYPE_CHECKING:
    from airflow_provider_ollang.client.requests import Call
    from airflow_provider_ollang.client.settings import Settings

MAX_ANSWER_BYTES = 20 * 1024 * 1024

# A status is a word, and goes into logs and XComs.
_LONGEST_STATUS = 80
# A day: the clock of a server may be off.
_LONGEST_RETRY_AFTER = 86400.0

_REPEATED_STATUSES = frozenset({408, 500, 502, 503, 504})


# --- Answers --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """
    An HTTP answer, read to its end.

    :param status: HTTP status.
    :param headers: its headers, names in lower case.
    :param body: its decoded bytes.
    :param elapsed: seconds from the start of this attempt to the end of the body; 0 where nobody needs them.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed: float = 0.0

    @property
    def server_time(self) -> datetime | None:
        """The server's clock when it answered, from the ``Date`` header."""
        return _http_date(self.headers.get("date"))

    @property
    def requested_at(self) -> datetime | None:
        """
        A time by the server's clock at which the request had not arrived yet.

        A gateway may date its answer long after it handed the request on. The header has whole seconds, rounded down,
        so that this is never too late.
        """
        answered = self.server_time
        return answered and answered - timedelta(seconds=self.elapsed)

    @property
    def retry_after(self) -> float | None:
        """Seconds the server asked to wait; a date is measured against the server's own clock."""
        text = self.headers.get("retry-after", "").strip()
        try:
            seconds = float(text)
        except ValueError:
            date = _http_date(text)
            if date is None:
                return None
            seconds = (date - (self.server_time or datetime.now(UTC))).total_seconds()
        return min(seconds, _LONGEST_RETRY_AFTER) if math.isfinite(seconds) and seconds >= 0 else None

    def json(self) -> Any:
        """
        Parse the body strictly.

        What no XCom or log could be written with is made so that it can: half a character is replaced, a whole
        number beyond 64 bits becomes a float.

        :raises ValueError: it is no JSON, or nested or sized beyond what can be read and written.
        """
        # RFC 8259 section 8.1: a byte order mark may be ignored.
        text = self.body.decode("utf-8-sig")
        try:
            value = _JSON.decode(text)
        except RecursionError:
            raise ValueError("nested too deep") from None
        # Only an escape can bring half a character, and only brackets depth: most answers need not be gone through.
        is_plain = b"\\u" not in self.body and self.body.count(b"{") + self.body.count(b"[") <= _DEEPEST
        return value if is_plain else _writable(value)

    @functools.cached_property
    def json_object(self) -> dict[str, Any] | None:
        """The body, if it is a JSON object; parsed once, since it may be large."""
        try:
            value = self.json()
        except ValueError:
            return None
        return value if isinstance(value, dict) else None


def read_order(settings: Settings, call: Call, answer: Answer) -> dict[str, Any]:
    """
    Read the answer to :func:`get_order`.

    :return: the order, as the API gave it.
    :raises OllangError: the answer is no such order; the class says what to do about it.
    """
    value = _read_object(settings, call, answer)
    status = value.get("status")
    if not isinstance(status, str) or not status.isprintable() or len(status) > _LONGEST_STATUS:
        _raise_garbled(settings, call, answer, "an order without a status")
    other = value.get("id")
    if other is not None and not is_same_order(other, call.order_id):
        _raise_garbled(settings, call, answer, "another order")
    return value


def read_page(settings: Settings, call: Call, answer: Answer) -> tuple[list[dict[str, Any]], bool]:
    """
    Read the answer to :func:`list_orders`.

    :return: the rows of the page, and whether there is another page.
    :raises OllangError: the answer is no such page.
    """
    value = _read_object(settings, call, answer)
    rows, meta = value.get("data"), value.get("meta")
    if not isinstance(rows, list):
        _raise_garbled(settings, call, answer, "a list without rows")
    more = isinstance(meta, Mapping) and meta.get("hasNextPage") is True
    return [row for row in rows if isinstance(row, dict)], more


class _Seen(NamedTuple):
    """An answer to a paid request; ``value`` is its JSON object, if it is one."""

    order_id: str | None
    status: int
    value: dict[str, Any] | None

    @property
    def is_an_error(self) -> bool:
        """Whether it has the shape of an error, whatever its status."""
        value = self.value or {}
        return value.get("success") is not True and ("error" in value or isinstance(value.get("code"), int | str))

    @property
    def is_about_another(self) -> bool:
        other = (self.value or {}).get("orderId")
        return other is not None and not is_same_order(other, self.order_id)


class _PaidAnswer(NamedTuple):
    """What an answer to a paid request says about whether it was processed."""

    outcome: Literal["accepted", "refused", "unknown"]
    holds: Callable[[_Seen], bool]
    reason: str = ""


#: The first row that holds decides.
_PAID_ANSWERS = (
    _PaidAnswer("unknown", lambda seen: seen.status == 408 or seen.status >= 500, "the server answered {words}"),
    _PaidAnswer("refused", lambda seen: seen.status >= 300),
    _PaidAnswer("unknown", lambda seen: seen.value is None, "the server answered {status} without a JSON object"),
    _PaidAnswer("refused", lambda seen: seen.value is not None and seen.value.get("success") is False),
    _PaidAnswer("unknown", lambda seen: seen.is_an_error, "the server answered {words}, which is an error"),
    _PaidAnswer("unknown", lambda seen: seen.is_about_another, "the server answered about another order"),
    _PaidAnswer("accepted", lambda _seen: True),
)


def read_paid(settings: Settings, call: Call, answer: Answer) -> dict[str, Any]:
    """
    Read the answer to a request that may cost money.

    :return: the answer of an accepted request.
    :raises OllangOutcomeUnknownError: it may or may not have been processed.
    :raises OllangError: it surely was not processed.
    """
    value = answer.json_object
    seen = _Seen(call.order_id, answer.status, value)
    row = next(row for row in _PAID_ANSWERS if row.holds(seen))
    detail = _detail(settings, answer)
    if row.outcome == "unknown":
        reason = row.reason.format(status=answer.status, words=_status_words(settings, answer))
        raise unknown_outcome(call, reason, answer.status, code=_code(settings, value), detail=detail)
    if row.outcome == "refused" and 200 <= answer.status < 300:
        raise OllangRequestRefusedError(
            f"Ollang refused to {call.what}: {detail or 'no reason given'}. Nothing was started.",
            status_code=answer.status,
            code=_code(settings, value),
            detail=detail,
            **call.fields(),
        )
    return _read_object(settings, call, answer)


def unknown_outcome(
    call: Call, reason: str, status: int | None = None, **said: str | None
) -> OllangOutcomeUnknownError:
    """Return the error of a paid request of which nobody can say whether it was processed."""
    return OllangOutcomeUnknownError(
        f"Nobody can say whether the request to {call.what} was processed: {reason}. It was not sent again, since "
        "that could be billed twice. Look at the order in Ollang: if it is being processed or has a new result, "
        "it was; if not, clear this task to send the request again.",
        reason=reason,
        status_code=status,
        **said,
        **call.fields(),
    )


def not_answered(call: Call, reason: str) -> OllangUnavailableError:
    """Return the error of a request that got no whole answer and that may be sent again."""
    return OllangUnavailableError(f"Could not {call.what}: {reason}.", **call.fields())


def host_not_found(settings: Settings) -> str:
    """Say that the name of the server, or of the proxy, leads nowhere, and what to look at."""
    peer, field = ("the proxy", "the proxy") if settings.proxy else (settings.base_url, "the base URL (host)")
    return (
        f"the host of {peer} could not be found.\nCheck {field} of connection {settings.conn_id!r}, and that this "
        "machine can resolve the name (DNS)"
    )


def rate_limited(call: Call, retry_after: float | None, detail: str | None = None) -> OllangRateLimitError:
    """Return the error of a request that the server answered with 429, or would answer so."""
    return OllangRateLimitError(
        f"Could not {call.what}: Ollang's rate limit was reached (429).",
        retry_after=retry_after,
        status_code=429,
        detail=detail,
        **call.fields(),
    )


def may_repeat(call: Call, error: BaseException) -> bool:
    """Tell whether the hook may send a request again after this error."""
    if call.paid:
        return isinstance(error, OllangRateLimitError) or (
            isinstance(error, OllangUnavailableError) and error.status_code is None
        )
    return isinstance(error, OllangRateLimitError) or (
        isinstance(error, OllangUnavailableError)
        and (error.status_code is None or error.status_code < 300 or error.status_code in _REPEATED_STATUSES)
    )


def _read_object(settings: Settings, call: Call, answer: Answer) -> dict[str, Any]:
    """Return the JSON object of a 2xx answer; raise what any other answer means."""
    if 300 <= answer.status < 400:
        target = settings.clean(_host_of(answer.headers.get("location", "")) or "another address")
        raise OllangConfigurationError(
            f"Could not {call.what}: {settings.base_url} redirects to {target}. Redirects are not followed, since the "
            f"API key would go along; correct the base URL of connection {settings.conn_id!r}.",
            status_code=answer.status,
            **call.fields(),
        )
    if answer.status == 429:
        raise rate_limited(call, answer.retry_after, _detail(settings, answer))
    value = answer.json_object
    if 400 <= answer.status < 500 and answer.status != 408:
        raise _client_error(settings, call, answer, value)
    if not 200 <= answer.status < 300:
        raise _unavailable(settings, call, answer, f"the server answered {_status_words(settings, answer)}")
    if value is None:
        _raise_garbled(settings, call, answer, "no JSON object")
    return value


@dataclass(frozen=True)
class _Meaning:
    """What a 4xx answer with a JSON object means: found by its status, else by its code, else by its words."""

    error: type[OllangError]
    status: int | None
    code: str | None
    words: str | None
    advice: str


_CLIENT_ERRORS = (
    _Meaning(
        OllangAuthenticationError,
        401,
        "UNAUTHORIZED",
        "invalid or missing api key",
        "Ollang does not accept the API key of connection {conn_id!r}; put a valid one into its API key (password).",
    ),
    _Meaning(
        OllangAccessDeniedError,
        403,
        "ACCESS_DENIED",
        "you don't have permission",
        "The key of connection {conn_id!r} may not do this; the order may belong to another Ollang account.",
    ),
    _Meaning(
        OllangOrderNotFoundError,
        404,
        "ORDER_NOT_FOUND",
        "no order found",
        "Check the order id, and that connection {conn_id!r} is of the order's account.",
    ),
    _Meaning(
        OllangOrderNotEligibleError,
        None,
        "ORDER_NOT_ELIGIBLE",
        "only completed or delivered orders",
        "Nothing was started. Wait until the order is completed or delivered.",
    ),
    # No page tells what a request for an order that is being worked on is answered with.
    _Meaning(
        OllangOrderNotEligibleError,
        409,
        None,
        None,
        "Nothing was started: Ollang is at work on this order already. Wait until it is completed or delivered.",
    ),
    _Meaning(
        OllangBadRequestError,
        402,
        "INSUFFICIENT_CREDITS",
        "credits",
        "Nothing was started. Add credits to the Ollang account of connection {conn_id!r}, then clear this task.",
    ),
)
_OTHER_CLIENT_ERROR = _Meaning(OllangBadRequestError, None, None, None, "The same request would be refused again.")


def _client_error(settings: Settings, call: Call, answer: Answer, value: dict[str, Any] | None) -> OllangError:
    words = _status_words(settings, answer)
    text = f"{value.get('detail')} {value.get('message')}".casefold() if value else ""
    fields = {
        "status_code": answer.status,
        "code": _code(settings, value),
        "detail": _detail(settings, answer),
        **call.fields(),
    }
    if answer.status == 404 and (value is None or f"cannot {call.method.casefold()} /" in text):
        return OllangConfigurationError(
            f"Could not {call.what}: {settings.base_url} answered {words}, which is not Ollang's API; correct the base "
            f"URL of connection {settings.conn_id!r}.",
            **fields,
        )
    if value is None or (call.method == "GET" and answer.status in {409, 423, 425}):
        return _unavailable(settings, call, answer, f"the server answered {words}")
    matches = (
        lambda row: row.status == answer.status,
        lambda row: row.code is not None and row.code == fields["code"],
        lambda row: row.words is not None and row.words in text,
    )
    row = next((row for match in matches for row in _CLIENT_ERRORS if match(row)), _OTHER_CLIENT_ERROR)
    advice = row.advice.format(conn_id=settings.conn_id)
    return row.error(f"Could not {call.what}: Ollang answered {words}.\n{advice}", **fields)


def _raise_garbled(settings: Settings, call: Call, answer: Answer, what: str) -> NoReturn:
    raise _unavailable(settings, call, answer, f"the server answered {answer.status} with {what}")


def _unavailable(settings: Settings, call: Call, answer: Answer, reason: str) -> OllangUnavailableError:
    return OllangUnavailableError(
        f"Could not {call.what}: {reason}.",
        retry_after=answer.retry_after,
        status_code=answer.status,
        detail=_detail(settings, answer),
        **call.fields(),
    )


def _code(settings: Settings, value: Mapping[str, Any] | None) -> str | None:
    # The generic envelope has the number -1 here, which says nothing.
    code = (value or {}).get("code")
    return settings.clean(code) if isinstance(code, str) else None


def _status_words(settings: Settings, answer: Answer) -> str:
    detail = _detail(settings, answer)
    return f"{answer.status}: {detail}" if detail else str(answer.status)


def _detail(settings: Settings, answer: Answer) -> str | None:
    """Return the server's own words, short, on one line, without the key and without URL queries."""
    value = answer.json_object
    if value is None:
        kind = answer.headers.get("content-type", "").split(";")[0].strip() or "no content type"
        return settings.clean(f"{len(answer.body)} bytes of {kind}") if answer.body else None
    words = []
    for name in ("error", "message", "detail"):
        said = value.get(name)
        text = ", ".join(map(str, said)) if isinstance(said, list) else said
        if isinstance(text, str) and text and text.casefold() not in {"unknownerror", "unknown error"}:
            words.append(text)
    return settings.clean(": ".join(words)) or None


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def _http_date(text: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(text) if text else None
    except (TypeError, ValueError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date and date.tzinfo is None else date
