"""
The Ollang API without input or output: the requests to send, and what every possible answer means.

Pure rules over plain values, shared by the synchronous and the asynchronous half of the hook. The pages this
rests on are `Get Order by ID`, `Rerun Order`, `QC Evaluation` and `List Orders` of https://api-docs.ollang.com.
"""

from __future__ import annotations

import functools
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn
from urllib.parse import quote, unquote, urlencode, urlsplit

from airflow_provider_ollang.arguments import names_of
from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangAuthenticationError,
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangOrderNotEligibleError,
    OllangOrderNotFoundError,
    OllangRateLimitError,
    OllangRerunOutcomeUnknownError,
    OllangRerunRefusedError,
    OllangUnavailableError,
)
from airflow_provider_ollang.reading import plain_name, readable

if TYPE_CHECKING:
    from airflow_provider_ollang.settings import Settings

CONNECT_TIMEOUT = 10.0
MAX_ANSWER_BYTES = 20 * 1024 * 1024
MAX_PAGE_SIZE = 50

# A status is a word, and goes into logs and XComs.
_LONGEST_STATUS = 80
# A day: the clock of a server may be off.
_LONGEST_RETRY_AFTER = 86400.0
# Airflow writes an XCom of twice this depth, and of three times not.
_DEEPEST = 100

_REPEATED_STATUSES = frozenset({408, 500, 502, 503, 504})


# --- Requests -------------------------------------------------------------------------------------------------


#: Control characters, and halves of characters.
_NO_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
#: A scheme, a host without one, a query, or the signature of a link: with it a link of any spelling is a URL.
_URL_PARTS = re.compile(r"://|^//|\?|[\w-]*(?:signature|credential|token)=", re.IGNORECASE)
_OBJECT_ID = re.compile(r"[0-9a-f]{24}", re.IGNORECASE)


def order_id_of(value: object) -> str:
    """
    Read the id of an order from whatever a DAG hands on.

    :param value: the id as text or number, or a mapping with ``order_id`` or ``id``, such as the result of an
        operator or sensor of this provider, or an order.
    :return: the id, trimmed.
    :raises OllangConfigurationError: it is empty, ``None``, an unrendered template, a URL, a name or a list, or could
        not be one path segment. Of a URL the message shows no path and no query.
    """
    if isinstance(value, Mapping):
        if not {"order_id", "id"} & value.keys():
            raise OllangConfigurationError(
                "order_id is a mapping without 'order_id' or 'id'; it has the keys "
                f"{sorted(map(str, value))[:20]}. Hand on one that has, such as an order with 'id' among its fields."
            )
        value = value.get("order_id", value.get("id"))
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**64:
        return str(value)
    if not isinstance(value, str):
        # Only its type is shown: an order would bring its links along.
        raise OllangConfigurationError(
            "order_id must be an Ollang order id, or a mapping with 'order_id' or 'id', not "
            f"{'None' if value is None else type(value).__name__}; {_advice_for(value)}."
        )
    order_id = value.strip()
    if order_id.startswith(('{"', "{'", "{\n", "[")):
        raise OllangConfigurationError(
            f"order_id {order_id[:20]!r}… is a whole value rendered as text; hand on `task.output` instead of a "
            "template, or name the key: \"{{ ti.xcom_pull('task')['order_id'] }}\"."
        )
    # An encoded link is one, too, and so is one that was encoded twice.
    if any(map(_URL_PARTS.search, (order_id, unquote(order_id), unquote(unquote(order_id))))):
        raise OllangConfigurationError(
            f"order_id is a URL ({_start_of_url(order_id)}), not an Ollang order id; nothing was sent. Check the key "
            "in the template it comes from: hand on the order's 'id'."
        )
    if order_id in {"", "None", ".", ".."} or "{{" in order_id or _NO_CHARACTERS.search(order_id):
        raise OllangConfigurationError(
            f"order_id {readable(order_id, 40)!r} is no Ollang order id; check the task or template it comes from."
        )
    # The API documents ids of letters, digits, "_" and "-" only; what else they hold is not for us to say.
    if re.search(r"[\s,]", order_id):
        raise OllangConfigurationError(
            f"order_id {order_id[:40]!r} holds a space or a comma, so it is a name or a list and not an Ollang order "
            "id; nothing was sent. For several orders use .expand(order_id=[...])."
        )
    return order_id


def _advice_for(value: object) -> str:
    """Say what to hand on in place of something that is no order id."""
    if isinstance(value, list | tuple | set | frozenset):
        return "for several orders use .expand(order_id=[...]), which makes a task for each"
    if hasattr(value, "task_id") and hasattr(value, "output"):
        return "it is a task itself: hand on its result, `task.output`"
    return "an upstream task may have returned nothing"


def _start_of_url(text: str) -> str:
    """Return what may be shown of a URL: its scheme and host. Its path and query may be a key to a file."""
    scheme, separator, rest = text.partition("://")
    if not separator or not scheme.isalnum():
        return "not shown, it may hold a signature"
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return repr(f"{scheme[:10]}://{host[:60]}/…")


def is_same_order(one: object, other: object) -> bool:
    """
    Tell whether two ids name the same order.

    Ids look like MongoDB's, which are 24 hexadecimal digits without case; any other id is compared as it stands.
    """
    first, second = str(one), str(other)
    if first == second:
        return True
    return first.casefold() == second.casefold() and _OBJECT_ID.fullmatch(first) is not None


#: What an evaluation can judge: its name there, and its switch in the request.
CRITERIA = {"Accuracy": "accuracy", "Fluency": "fluency", "Tone": "tone", "Cultural Fit": "culturalFit"}


@dataclass(frozen=True)
class Call:
    """
    One request of the protocol, before it has a host.

    :param method: HTTP method.
    :param path: path below the base URL, encoded.
    :param what: what it does, for messages: "get order 60b8…".
    :param order_id: the order it is about.
    :param query: decoded names and values.
    :param body: the JSON text to send.
    :param paid: whether processing it may cost money, so that it must never be sent again blindly.
    """

    method: str
    path: str
    what: str
    order_id: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    paid: bool = False

    def url(self, settings: Settings) -> str:
        """Return the whole URL."""
        query = f"?{urlencode(self.query)}" if self.query else ""
        return f"{settings.base_url}{self.path}{query}"

    def fields(self) -> dict[str, Any]:
        """Return what errors about this call carry."""
        return {"order_id": self.order_id, "method": self.method, "path": self.path}


def get_order(order_id: object) -> Call:
    """Return the request of `Get Order by ID`."""
    return _get_order(order_id_of(order_id))


# Waits look at the same orders again and again.
@functools.lru_cache(maxsize=4096)
def _get_order(one: str) -> Call:
    return Call("GET", f"/integration/orders/{quote(one, safe='')}", f"get order {one}", one)


def rerun_order(order_id: object) -> Call:
    """Return the request of `Rerun Order`."""
    one = order_id_of(order_id)
    path = f"/integration/orders/{quote(one, safe='')}/rerun"
    return Call("POST", path, f"rerun order {one}", one, body=b"{}", paid=True)


def evaluate_order(order_id: object, criteria: Iterable[str] | str | None, custom_prompt: str | None) -> Call:
    """
    Return the request of `QC Evaluation`.

    :param order_id: the order.
    :param criteria: those to judge, of :data:`CRITERIA`, as a collection or a comma-separated text; case, spaces, ``_``
        and ``-`` do not count. ``None``: all.
    :param custom_prompt: what else the evaluation should look at.
    :raises OllangConfigurationError: a criterion that there is not, none at all, or a prompt that is no text.
    """
    one = order_id_of(order_id)
    body: dict[str, Any] = {}
    if criteria is not None:
        wanted = {plain_name(name): name for name in names_of("criteria", criteria)}
        known = {plain_name(name): switch for name, switch in CRITERIA.items()}
        unknown = [name for key, name in wanted.items() if key not in known]
        if unknown:
            raise OllangConfigurationError(
                f"criteria names {unknown[0]!r}; there are {', '.join(CRITERIA)}.", order_id=one
            )
        body = {switch: key in wanted for key, switch in known.items()}
    if not isinstance(custom_prompt, str | None):
        raise OllangConfigurationError(f"custom_prompt must be a text, not {custom_prompt!r:.80}.", order_id=one)
    if custom_prompt:
        body["customPrompt"] = custom_prompt
    path = f"/integration/orders/{quote(one, safe='')}/qc"
    return Call("POST", path, f"evaluate order {one}", one, body=json.dumps(body).encode(), paid=True)


def list_orders(page: int, take: int, filters: Mapping[str, str | None]) -> Call:
    """
    Return the request of one page of `List Orders`.

    :param page: page number, from 1.
    :param take: rows a page, 1 to 50.
    :param filters: names as the API nests them, such as ``filter[type]``; those that are ``None`` are left out.
    :raises OllangConfigurationError: a filter is no text that can be sent.
    """
    for name, wanted in filters.items():
        if not isinstance(wanted, str | None):
            raise OllangConfigurationError(f"{name} must be a text, not {wanted!r:.80}.")
        if any(unicodedata.category(one) == "Cs" for one in wanted or ""):
            raise OllangConfigurationError(f"{name} {wanted!r:.80} holds half a character.")
    query = {"pageOptions[page]": str(page), "pageOptions[take]": str(take), **filters}
    pairs = tuple((name, value) for name, value in query.items() if value is not None)
    return Call("GET", "/integration/orders", "list orders", query=pairs)


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
    :raises OllangRerunOutcomeUnknownError: it may or may not have been processed.
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
        raise OllangRerunRefusedError(
            f"Ollang refused to {call.what}: {detail or 'no reason given'}. Nothing was started.",
            status_code=answer.status,
            code=_code(settings, value),
            detail=detail,
            **call.fields(),
        )
    return _read_object(settings, call, answer)


def unknown_outcome(
    call: Call, reason: str, status: int | None = None, **said: str | None
) -> OllangRerunOutcomeUnknownError:
    """Return the error of a paid request of which nobody can say whether it was processed."""
    return OllangRerunOutcomeUnknownError(
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


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("number too large")
    return number


def _whole(text: str) -> int | float:
    number = int(text)
    return number if -(2**63) <= number < 2**64 else _finite(text)


# Made once: to make it takes as long as to read a small answer.
_JSON = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole)


def _writable(value: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        return {_whole_characters(name): _writable(one, depth + 1) for name, one in value.items()}
    if isinstance(value, list):
        return [_writable(one, depth + 1) for one in value]
    return _whole_characters(value) if isinstance(value, str) else value


def _whole_characters(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()
