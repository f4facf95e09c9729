"""The client of tasks, over ``requests``: what it sends, and what of it is repeated."""

from __future__ import annotations

import dataclasses
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import requests
import urllib3

from airflow_provider_ollang import _clock
from airflow_provider_ollang.client.account_requests import get_credits, get_project, list_folders, list_projects
from airflow_provider_ollang.client.backoff import Log, is_transient, retrying, was_not_processed
from airflow_provider_ollang.client.connections import ATTEMPT, Attempt, DeadlineAdapter
from airflow_provider_ollang.client.errors import broken, host_not_found, no_response, timed_out, unknown_outcome
from airflow_provider_ollang.client.requests import (
    CONNECT_TIMEOUT,
    EXACT_FILTERS,
    MAX_PAGE_SIZE,
    Request,
    Stream,
    cancel_order,
    cancel_review,
    get_order,
    list_orders,
)
from airflow_provider_ollang.client.responses import (
    Accepted,
    Response,
    add_chunk,
    parse_accepted,
    parse_cancelled,
    parse_confirmed,
    parse_object,
    parse_order,
    parse_page,
)
from airflow_provider_ollang.client.session import NETWORK_ERRORS, causes, new_session, proxies
from airflow_provider_ollang.domain.arguments import is_same_id
from airflow_provider_ollang.domain.values import parse_score
from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from airflow_provider_ollang.client.settings import Settings

_CHUNK = 64 * 1024
_TEST_TIMEOUT = 10.0
# Not urllib3's own base class: a connection that is refused is of it, too.
_TIMEOUTS = requests.Timeout | urllib3.exceptions.ReadTimeoutError | TimeoutError

T = TypeVar("T")


def _has_value(row: Mapping[str, Any], field: str, value: object) -> bool:
    """Tell whether a row has the value that a filter asks for; ids are compared as ids."""
    return is_same_id(row.get(field), value) if field == "projectId" else bool(row.get(field) == value)


class InterruptedBeforeSending(BaseException):
    """
    A paid request was interrupted while it had no connection yet, so that it surely was not sent.

    Its cause is the interruption, such as Airflow's ``execution_timeout``, which is no ``Exception`` either.
    """


class OllangClient:
    """
    Ollang's API for tasks: made by :attr:`.OllangHook.client`; needs settings only, no Airflow connection.

    Requests that cost nothing are repeated as :mod:`~airflow_provider_ollang.client.backoff` says; a paid one is sent
    exactly once.

    :param settings: what the connection says; nothing is looked up elsewhere.
    :param sleep: waits between two attempts, given seconds; what it raises ends the call. Default: :func:`time.sleep`.
    """

    def __init__(self, settings: Settings, *, log: Log, sleep: Callable[[float], None] | None = None) -> None:
        self.settings = settings
        self._log = log
        self._sleep = sleep
        self._session = new_session(settings, DeadlineAdapter())

    def close(self) -> None:
        """Close the connections to the server; the client stays usable."""
        self._session.close()

    def get_order(self, order_id: object, *, max_attempts: int | None = None) -> dict[str, Any]:
        """Get an order: see :meth:`.OllangHook.get_order`."""
        return self.get_dated_order(order_id, max_attempts=max_attempts)[0]

    def get_dated_order(
        self, order_id: object, *, max_attempts: int | None = None
    ) -> tuple[dict[str, Any], datetime | None]:
        """Get an order, and the server's time when it responded; ``None`` if it did not say."""
        order, response = self._repeat(get_order(order_id), parse_order, max_attempts)
        return order, response.server_time

    def list_orders(
        self, filters: Mapping[str, str | None], *, page_size: int = MAX_PAGE_SIZE, max_attempts: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """List orders: see :meth:`.OllangHook.list_orders`; ``filters`` are named as the API nests them."""
        fields = {field: filters[name] for name, field in EXACT_FILTERS.items() if filters.get(name) is not None}
        for row in self._list(lambda page: list_orders(page, page_size, filters), max_attempts):
            if all(_has_value(row, field, value) for field, value in fields.items()):
                yield row

    def list_projects(
        self, filters: Mapping[str, str | None], *, page_size: int = MAX_PAGE_SIZE
    ) -> Iterator[dict[str, Any]]:
        """List projects, the newest first: see :meth:`.OllangHook.list_projects`."""
        return self._list(lambda page: list_projects(page, page_size, filters))

    def list_folders(
        self, filters: Mapping[str, str | None], *, page_size: int = MAX_PAGE_SIZE
    ) -> Iterator[dict[str, Any]]:
        """List folders: see :meth:`.OllangHook.list_folders`."""
        return self._list(lambda page: list_folders(page, page_size, filters))

    def get_dated_page(
        self, request: Request, *, max_attempts: int | None = None
    ) -> tuple[list[dict[str, Any]], datetime | None]:
        """Get one page of a list, and the server's time when it responded; ``None`` if it did not say."""
        (rows, _), response = self._repeat(request, parse_page, max_attempts)
        return rows, response.server_time

    def _list(
        self, request_page: Callable[[int], Request], max_attempts: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield each row of a list once, requesting page by page, from 1."""
        ids: set[str] = set()
        page, has_more = 1, True
        while has_more:
            (rows, has_more), _ = self._repeat(request_page(page), parse_page, max_attempts)
            count_before = len(ids)
            for row in rows:
                row_id = row.get("id")
                if row_id is not None and str(row_id) in ids:
                    continue
                if row_id is not None:
                    ids.add(str(row_id))
                yield row
            # A page without any new id means that the server ignores the page number.
            has_more = has_more and len(ids) > count_before
            page += 1

    def get_project(self, project_id: object, *, max_attempts: int | None = None) -> dict[str, Any]:
        """Get a project: see :meth:`.OllangHook.get_project`."""
        return self.get(get_project(project_id), max_attempts=max_attempts)

    def get_credits(self) -> dict[str, Any]:
        """Get the account's credits: see :meth:`.OllangHook.get_credits`."""
        try:
            return self.get(get_credits())
        except OllangAccessDeniedError as error:
            conn_id = self.settings.conn_id
            message = (
                f"The key of connection {conn_id!r} may not see the account's credits (403). It must be the key of a "
                "user with the role Owner, or with the permission Access Billing."
            )
            raise error.reworded(message) from None

    def get_remaining_credits(self) -> float:
        """
        Return how many credits the account has left.

        :raises OllangUnavailableError: the response does not tell.
        :raises OllangError: as :meth:`.OllangHook.get_credits`.
        """
        left = parse_score(self.get_credits().get("remainingCredits"))
        if left is None:
            raise OllangUnavailableError("Ollang's response does not tell how many credits are left.")
        return left

    def cancel_order(self, order_id: object) -> bool:
        """Cancel an order: see :meth:`.OllangHook.cancel_order`."""
        return self._repeat(cancel_order(order_id), parse_cancelled)[0]

    def cancel_review(self, order_id: object) -> dict[str, Any]:
        """Cancel a human review: see :meth:`.OllangHook.cancel_human_review`."""
        return self._repeat(cancel_review(order_id), parse_confirmed)[0]

    def get(self, request: Request, *, max_attempts: int | None = None) -> dict[str, Any]:
        """Return the JSON object that a request which costs nothing is answered with."""
        return self._repeat(request, parse_object, max_attempts)[0]

    def check(self) -> None:
        """List one order, to see whether the connection works: free, one request, at most 10 seconds."""
        request = list_orders(1, 1, {})
        timeout = min(_TEST_TIMEOUT, self.settings.timeout)
        parse_page(self.settings, request, self.send(request, timeout=timeout))

    def submit(self, request: Request) -> Accepted:
        """
        Send a paid request exactly once.

        :raises OllangRateLimitError: the server limits requests; nothing was started.
        :raises OllangUnavailableError: without a ``status_code``, it was not sent.
        :raises OllangOrderNotEligibleError, OllangRequestRefusedError: it was refused; nothing was started.
        :raises OllangOutcomeUnknownError: it may or may not have been processed. Its cause is what interrupted the
            request, such as Airflow's ``execution_timeout``, if something did.
        :raises InterruptedBeforeSending: likewise, but it surely was not sent; no ``Exception``.
        :raises OllangError: any other refusal.
        """
        settings = dataclasses.replace(self.settings, secret=request.secret)
        return parse_accepted(settings, request, self.send(request))

    def retry(self, attempt: Callable[[], T]) -> T:
        """
        Make attempts at a paid request, each by :meth:`submit`; another only if the last surely was not processed.

        :raises OllangError: that of the last attempt.
        """
        attempts = self.settings.max_attempts
        return retrying(attempts, retry_if=was_not_processed, log=self._log, sleep=self._sleep)(attempt)

    def _repeat(
        self, request: Request, parse: Callable[[Settings, Request, Response], T], max_attempts: int | None = None
    ) -> tuple[T, Response]:
        """Send a request that costs nothing until its response can be parsed, or the policy gives up; return both."""

        def attempt() -> tuple[T, Response]:
            response = self.send(request)
            return parse(self.settings, request, response), response

        attempts = max_attempts or self.settings.max_attempts
        return retrying(attempts, retry_if=is_transient, log=self._log, sleep=self._sleep)(attempt)

    def send(self, request: Request, *, timeout: float | None = None) -> Response:
        """
        Send a request once.

        :param request: what to send; a paid one goes over a connection of its own.
        :param timeout: seconds for the whole response, if not those of the settings.
        :return: the response, whatever its status.
        :raises OllangUnavailableError: there was none; for a paid request: it surely was not sent.
        :raises OllangOutcomeUnknownError: a paid request was, or may have been, sent; its cause is what interrupted
            the request, if something did.
        :raises InterruptedBeforeSending: a paid request was interrupted, and surely was not sent.
        """
        if not request.paid:
            return self._send(self._session, request, timeout)
        # A server may close a kept-alive connection at any time (RFC 9112 section 9.5): on one that it has closed, a
        # request that was never sent looks like a lost response.
        with new_session(self.settings, DeadlineAdapter()) as session:
            return self._send(session, request, timeout)

    def _send(self, session: requests.Session, request: Request, timeout: float | None) -> Response:
        attempt = Attempt()
        token = ATTEMPT.set(attempt)
        seconds = timeout or request.response_timeout or self.settings.timeout
        # Each write to the server has as long as a connection: a file may stall on its way.
        is_stream = isinstance(request.body, Stream)
        connect_seconds = self.settings.timeout if is_stream else min(CONNECT_TIMEOUT, seconds)
        started = _clock.monotonic()
        try:
            with session.request(
                request.method,
                request.url(self.settings),
                headers={**self.settings.headers(), **request.headers()},
                data=request.body,
                proxies=proxies(self.settings.proxy),
                timeout=(connect_seconds, seconds),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = bytearray()
                while chunk := response.raw.read1(_CHUNK, decode_content=True):
                    add_chunk(body, chunk)
                headers = {name.lower(): value for name, value in response.headers.items()}
                elapsed = _clock.monotonic() - started
                status = response.status_code
        except NETWORK_ERRORS as error:
            reason = self._reason(error, seconds if attempt.sent else connect_seconds, attempt)
            if request.paid and attempt.sent:
                raise unknown_outcome(request, reason) from None
            # Errors of the libraries may show request headers, so none of them goes on as a cause.
            raise no_response(request, reason) from None
        except BaseException as error:
            if not request.paid:
                raise
            if attempt.sent:
                # Airflow's execution_timeout is no Exception, and the task's retry must not send this again.
                interruption = None if isinstance(error, Exception) else error
                raise unknown_outcome(request, f"the task was interrupted ({type(error).__name__})") from interruption
            raise InterruptedBeforeSending from error
        finally:
            ATTEMPT.reset(token)
        if request.paid and not attempt.sent and (status == HTTPStatus.REQUEST_TIMEOUT or status >= 500):
            raise no_response(request, f"the server answered {status} before it had the whole request")
        return Response(status, headers, bytes(body), elapsed)

    def _reason(self, error: BaseException, seconds: float, attempt: Attempt) -> str:
        """Say why there was no whole response."""
        chain = list(causes(error))
        if any(isinstance(cause, urllib3.exceptions.NameResolutionError | socket.gaierror) for cause in chain):
            return host_not_found(self.settings)
        if any(isinstance(cause, _TIMEOUTS) for cause in chain):
            if attempt.connected and not attempt.sent:
                return f"the server took no more of it within {seconds:g} s"
            return timed_out(self.settings, seconds, connected=attempt.sent)
        return broken(self.settings, chain[-1], connected=attempt.connected)
