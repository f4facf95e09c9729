"""What a request that failed is raised as: by its status, its error code or its text, or for want of a response."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_ollang.client.requests import Stream
from airflow_provider_ollang.domain.uploads import LARGEST
from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangAuthenticationError,
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangNotFoundError,
    OllangOrderNotEligibleError,
    OllangOrderNotFoundError,
    OllangOutcomeUnknownError,
    OllangRateLimitError,
    OllangRequestRefusedError,
    OllangUnavailableError,
)

if TYPE_CHECKING:
    from airflow_provider_ollang.client.requests import Request
    from airflow_provider_ollang.client.responses import Response
    from airflow_provider_ollang.client.settings import Settings


@dataclass(frozen=True)
class _ClientError:
    """What a 4xx with a JSON object is raised as: found by its status, else by its code, else by its text."""

    error: type[OllangError]
    status: int | None
    code: str | None
    text: str | None
    advice: str


_CLIENT_ERRORS = (
    _ClientError(
        OllangAuthenticationError,
        401,
        "UNAUTHORIZED",
        "invalid or missing api key",
        "Ollang does not accept the API key of connection {conn_id!r}; put a valid one into its API key (password).",
    ),
    _ClientError(
        OllangAccessDeniedError,
        403,
        "ACCESS_DENIED",
        "you don't have permission",
        "The key of connection {conn_id!r} may not do this; the order may belong to another Ollang account.",
    ),
    _ClientError(
        OllangOrderNotFoundError,
        404,
        "ORDER_NOT_FOUND",
        "no order found",
        "Check the order id, and that connection {conn_id!r} is of the order's account.",
    ),
    _ClientError(
        OllangOrderNotEligibleError,
        None,
        "ORDER_NOT_ELIGIBLE",
        "only completed or delivered orders",
        "Nothing was started. Wait until the order is completed or delivered.",
    ),
    # No page tells what a request for an order that is being worked on is answered with.
    _ClientError(
        OllangOrderNotEligibleError,
        409,
        None,
        None,
        "Nothing was started: Ollang is at work on this order already. Wait until it is completed or delivered.",
    ),
    _ClientError(
        OllangBadRequestError,
        402,
        "INSUFFICIENT_CREDITS",
        "credits",
        "Nothing was started. Add credits to the Ollang account of connection {conn_id!r}, then clear this task.",
    ),
    _ClientError(
        OllangBadRequestError,
        413,
        None,
        None,
        f"The file is larger than Ollang takes: {LARGEST}.",
    ),
)
_NO_PROJECT = _ClientError(
    OllangNotFoundError, 404, None, None, "Check the project id, and that connection {conn_id!r} is of its account."
)
_NO_UPLOAD = _ClientError(
    OllangNotFoundError,
    404,
    None,
    None,
    "Check that the folder exists, if there is one, and that connection {conn_id!r} is of its account; if so, Ollang "
    "does not have this endpoint.",
)
_OTHER_CLIENT_ERROR = _ClientError(OllangBadRequestError, None, None, None, "The same request would be refused again.")


def rejected(settings: Settings, request: Request, response: Response) -> OllangError:
    """Return the error of a response whose status is not 2xx."""
    status = response.status
    if 300 <= status < 400:
        return _redirect(settings, request, response)
    if status == 429:
        return rate_limited(request, response.retry_after, server_message(settings, response))
    if status == 408 or not 400 <= status < 500:
        return _unavailable(settings, request, response, f"the server answered {status_text(settings, response)}")
    return _client_error(settings, request, response)


def refused(settings: Settings, request: Request, response: Response) -> OllangRequestRefusedError:
    """Return the error of a response with ``success: false``."""
    detail = server_message(settings, response)
    return OllangRequestRefusedError(
        f"Ollang refused to {request.what}: {detail or 'no reason given'}. Nothing was started.",
        status_code=response.status,
        code=error_code(settings, response),
        detail=detail,
        **request.fields(),
    )


def garbled(settings: Settings, request: Request, response: Response, what: str) -> OllangUnavailableError:
    """Return the error of a 2xx that is not what the API documents; ``what`` it has or lacks."""
    return _unavailable(settings, request, response, f"the server answered {response.status} {what}")


def unknown_outcome(
    request: Request, reason: str, status: int | None = None, **fields: str | None
) -> OllangOutcomeUnknownError:
    """Return the error of a paid request of which it is unknown whether it was processed, and why."""
    return OllangOutcomeUnknownError(
        f"The outcome of the request to {request.what} is unknown: {reason}. It was not sent again, since that could "
        f"{request.if_sent_twice}. Check in Ollang whether {request.effect}: if so, the request was processed; if not, "
        "clear this task to send it again.",
        reason=reason,
        status_code=status,
        **fields,
        **request.fields(),
    )


def no_response(request: Request, reason: str) -> OllangUnavailableError:
    """Return the error of a request that got no whole response and that may be sent again."""
    return OllangUnavailableError(f"Could not {request.what}: {reason}.", **request.fields())


def host_not_found(settings: Settings) -> str:
    """Return why a name of the server, or of the proxy, cannot be resolved, and what to check."""
    peer, field = ("the proxy", "the proxy") if settings.proxy else (settings.base_url, "the base URL (host)")
    return (
        f"the host of {peer} could not be found.\nCheck {field} of connection {settings.conn_id!r}, and that this "
        "machine can resolve the name (DNS)"
    )


def timed_out(settings: Settings, seconds: float, *, connected: bool) -> str:
    """Return why there is no response: none within these seconds, or no connection."""
    return f"{'no complete response' if connected else f'no connection to {settings.base_url}'} within {seconds:g} s"


def broken(settings: Settings, error: BaseException, *, connected: bool, text: str | None = None) -> str:
    """Return why there is no response: the innermost error, or a ``text`` where its own says too much."""
    if isinstance(error, ConnectionRefusedError):
        return f"{'the proxy' if settings.proxy else settings.base_url} refused the connection"
    text = (error.strerror if isinstance(error, OSError) else None) or text or str(error) or type(error).__name__
    through = "through the proxy " if settings.proxy else ""
    stage = "the connection broke" if connected else f"no connection {through}to {settings.base_url}"
    return f"{stage} ({settings.redact(text)})"


def rate_limited(request: Request, retry_after: float | None, detail: str | None = None) -> OllangRateLimitError:
    """Return the error of a request that the server answered with 429, or would answer so."""
    return OllangRateLimitError(
        f"Could not {request.what}: Ollang's rate limit was reached (429).",
        retry_after=retry_after,
        status_code=429,
        detail=detail,
        **request.fields(),
    )


def _redirect(settings: Settings, request: Request, response: Response) -> OllangConfigurationError:
    target = settings.redact(_host_of(response.headers.get("location", "")) or "another address")
    return OllangConfigurationError(
        f"Could not {request.what}: {settings.base_url} redirects to {target}. Redirects are not followed, since the "
        f"API key would go along; correct the base URL of connection {settings.conn_id!r}.",
        status_code=response.status,
        **request.fields(),
    )


def _client_error(settings: Settings, request: Request, response: Response) -> OllangError:
    value, status = response.json_object, status_text(settings, response)
    text = f"{value.get('detail')} {value.get('message')}".casefold() if value else ""
    fields = {
        "status_code": response.status,
        "code": error_code(settings, response),
        "detail": server_message(settings, response),
        **request.fields(),
    }
    if response.status == 404 and (value is None or f"cannot {request.method.casefold()} /" in text):
        return OllangConfigurationError(
            f"Could not {request.what}: {settings.base_url} answered {status}, which is not Ollang's API; correct the "
            f"base URL of connection {settings.conn_id!r}.",
            **fields,
        )
    # A gateway's own page, or a server that is at work on something else: neither is about the request. That a file is
    # too large a gateway may well say.
    is_too_large = response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and isinstance(request.body, Stream)
    is_page = value is None and not is_too_large
    if is_page or (request.method == "GET" and response.status in {409, 423, 425}):
        return _unavailable(settings, request, response, f"the server answered {status}")
    row = _find_client_error(response.status, fields["code"], text)
    if row.error is OllangOrderNotFoundError and request.order_id is None:
        row = _NO_UPLOAD if request.path.startswith("/integration/upload/") else _NO_PROJECT
    advice = row.advice.format(conn_id=settings.conn_id)
    return row.error(f"Could not {request.what}: Ollang answered {status}.\n{advice}", **fields)


def _find_client_error(status: int, code: object, text: str) -> _ClientError:
    """Return the row of the status, else that of the code, else that of the text."""
    matches = (
        lambda row: row.status == status,
        lambda row: row.code is not None and row.code == code,
        lambda row: row.text is not None and row.text in text,
    )
    return next((row for match in matches for row in _CLIENT_ERRORS if match(row)), _OTHER_CLIENT_ERROR)


def _unavailable(settings: Settings, request: Request, response: Response, reason: str) -> OllangUnavailableError:
    return OllangUnavailableError(
        f"Could not {request.what}: {reason}.",
        retry_after=response.retry_after,
        status_code=response.status,
        detail=server_message(settings, response),
        **request.fields(),
    )


# --- What the server said -------------------------------------------------------------------------------------


def error_code(settings: Settings, response: Response) -> str | None:
    """Return the API's own error code; its generic envelope has the number -1 there, which says nothing."""
    code = (response.json_object or {}).get("code")
    return settings.redact(code) if isinstance(code, str) else None


def status_text(settings: Settings, response: Response) -> str:
    """Return the status with the server's message."""
    detail = server_message(settings, response)
    return f"{response.status}: {detail}" if detail else str(response.status)


def server_message(settings: Settings, response: Response) -> str | None:
    """Return what the server said, short, on one line, without the key and without URL queries."""
    value = response.json_object
    if value is None:
        media_type = response.headers.get("content-type", "").split(";")[0].strip() or "no content type"
        return settings.redact(f"{len(response.body)} bytes of {media_type}") if response.body else None
    texts = []
    for name in ("error", "message", "detail"):
        part = value.get(name)
        text = ", ".join(map(str, part)) if isinstance(part, list) else part
        if isinstance(text, str) and text and text.casefold() not in {"unknownerror", "unknown error"}:
            texts.append(text)
    return settings.redact(": ".join(texts)) or None


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""
