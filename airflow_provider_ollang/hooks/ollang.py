"""The hook: Ollang's API over an Airflow connection."""

from __future__ import annotations

import asyncio
import functools
import json
import random
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import tenacity
from airflow.sdk import BaseHook, Connection

from airflow_provider_ollang import _clock
from airflow_provider_ollang._compat import AirflowNotFoundException, only_synchronous_lookups
from airflow_provider_ollang.client.aio_client import OllangAsyncClient
from airflow_provider_ollang.client.environment import resolve_environment, user_agent
from airflow_provider_ollang.client.requests import (
    MAX_PAGE_SIZE,
    Call,
    evaluate_order,
    get_order,
    list_orders,
    rerun_order,
)
from airflow_provider_ollang.client.responses import Answer, may_repeat, read_order, read_page, read_paid
from airflow_provider_ollang.client.settings import Settings
from airflow_provider_ollang.client.sync import InterruptedBeforeSending, RequestsTransport
from airflow_provider_ollang.domain.arguments import count_between
from airflow_provider_ollang.domain.values import number_of, text_of
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangTransientError,
)
from airflow_provider_ollang.get_provider_info import CONNECTION_FIELDS, UI_FIELD_BEHAVIOUR

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime


#: Seconds before the second, third, … attempt, each varied by a half either way.
PAUSES = (1.0, 2.0, 4.0, 8.0)
#: The longest a worker sleeps because the server asked for it; beyond it the error carries the wish.
LONGEST_OBEYED_PAUSE = 300.0
#: The longest one call may take with its pauses.
LONGEST_CALL = 600.0
TEST_TIMEOUT = 10.0

T = TypeVar("T")


class OllangHook(BaseHook):
    """
    Talks to Ollang's integration API.

    Requests that are safe to repeat are repeated on network trouble, 408, 429, 5xx and garbled answers; a rerun only
    while it surely has not been processed. Redirects are never followed, and no error or log line shows the key.

    .. code-block:: python

        @task
        def name_of(order_id: str) -> str:
            return OllangHook().get_order(order_id)["name"]

    :param ollang_conn_id: the Airflow connection of type ``ollang``; see
        :mod:`~airflow_provider_ollang.client.settings` for its fields.
    :param sleep: waits between two attempts of a request, given seconds; what it raises ends the call. A task that
        may be ended meanwhile gives one that notices. Default: :func:`time.sleep`.
    """

    conn_name_attr = "ollang_conn_id"
    default_conn_name = "ollang_default"
    conn_type = "ollang"
    hook_name = "Ollang"

    def __init__(
        self, ollang_conn_id: str = default_conn_name, *, sleep: Callable[[float], None] | None = None
    ) -> None:
        super().__init__()
        self.ollang_conn_id = ollang_conn_id
        self._sleep = sleep
        self._settings: Settings | None = None
        self._transport: RequestsTransport | None = None

    @property
    def settings(self) -> Settings:
        """
        What the connection says; read when first needed.

        :raises OllangConfigurationError: the connection is not usable; the message names the field.
        """
        if self._settings is None:
            self._settings = self._read_settings()
        return self._settings

    def get_order(self, order_id: object, *, max_attempts: int | None = None) -> dict[str, Any]:
        """
        Get an order with all its details (`Get Order by ID`).

        :param order_id: its id, or a mapping with ``order_id`` or ``id``.
        :param max_attempts: how often to send the request at most; ``None`` means as the connection says.
        :return: the order as the API gave it. Links in it are signed and expire.
        :raises OllangOrderNotFoundError: no order has this id.
        :raises OllangAccessDeniedError: it belongs to another account.
        :raises OllangAuthenticationError: the key is not valid.
        :raises OllangUnavailableError: no usable answer after all attempts.
        :raises OllangRateLimitError: still rate limited after all attempts.
        :raises OllangConfigurationError: the connection or the id is wrong.
        """
        return self.get_dated_order(order_id, max_attempts=max_attempts)[0]

    def get_dated_order(
        self, order_id: object, *, max_attempts: int | None = None
    ) -> tuple[dict[str, Any], datetime | None]:
        """
        Get an order, and the server's time when it answered.

        :param order_id: as for :meth:`get_order`, and so are the other parameter and the errors.
        :return: the order, and the time; ``None`` if the server did not say.
        """
        call = get_order(order_id)

        def attempt() -> tuple[dict[str, Any], datetime | None]:
            answer = self._send(call)
            return read_order(self.settings, call, answer), answer.server_time

        return self._with_retries(call, attempt, max_attempts=max_attempts)

    def rerun_order(
        self, order_id: object, *, around_send: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> dict[str, Any]:
        """
        Ask Ollang to produce an order anew (`Rerun Order`). A retry of the task asks again: it may be billed twice.

        This method knows nothing of earlier tries. In a DAG use :class:`.OllangRerunOperator`, which asks once whatever
        is retried or killed, and whose receipt ``OllangOrderStatusSensor(rerun=...)`` and the other operators take;
        what this method returns is no receipt. In a ``@task`` call it with ``retries=0`` only. The new result replaces
        the current one.

        :param order_id: its id, or a mapping with ``order_id`` or ``id``.
        :param around_send: makes a context manager that is entered just before each time the request is sent: what it
            raises keeps the request from being sent. It is left with what came of it:
            :class:`~airflow_provider_ollang.exceptions.OllangOutcomeUnknownError` if nobody can say, another
            :class:`~airflow_provider_ollang.exceptions.OllangError`, or ``InterruptedBeforeSending`` where Airflow
            interrupts the task, if the request surely was not processed.
        :return: ``{"order_id": str, "message": str | None, "requested_at": str | None}``; ``requested_at`` is a
            time by the server's clock just before the request arrived, ISO 8601.
        :raises OllangOrderNotEligibleError: the order is not completed or delivered.
        :raises OllangRequestRefusedError: the API answered ``success: false``.
        :raises OllangOutcomeUnknownError: it may or may not have been accepted; it was not sent again.
        :raises OllangError: as :meth:`get_order`; the rerun surely was not accepted.
        """
        accepted, _ = self._send_paid(rerun_order(order_id), around_send)
        return accepted

    def evaluate_order(
        self,
        order_id: object,
        *,
        criteria: Iterable[str] | str | None = None,
        custom_prompt: str | None = None,
        around_send: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> dict[str, Any]:
        """
        Ask Ollang to judge a finished order (`QC Evaluation`). A retry of the task asks again: it is billed twice.

        This method knows nothing of earlier tries. In a DAG use :class:`.OllangEvaluateOrderOperator`, which asks once
        whatever is retried or killed, and whose receipt ``OllangQualityGateOperator(evaluation=...)`` takes; what this
        method returns is no receipt. In a ``@task`` call it with ``retries=0`` only. The scores come later, as the
        order's ``latestEvaluation``.

        :param order_id: its id, or a mapping with ``order_id`` or ``id``.
        :param criteria: what to judge, of ``Accuracy``, ``Fluency``, ``Tone`` and ``Cultural Fit``, as a collection or
            a comma-separated text; default all.
        :param custom_prompt: what else the evaluation should look at, in words.
        :param around_send: as for :meth:`rerun_order`, and so are the errors.
        :raises OllangConfigurationError: likewise for a criterion that there is not, and for a prompt that is no text.
        :return: ``{"order_id": str, "message": str | None, "requested_at": str | None, "evaluation_id": str | None,
            "credits_used": float | None}``.
        """
        accepted, answer = self._send_paid(evaluate_order(order_id, criteria, custom_prompt), around_send)
        told = {"evaluation_id": text_of(answer.get("evalId")), "credits_used": number_of(answer.get("creditsUsed"))}
        return {**accepted, **told}

    def list_orders(
        self,
        *,
        order_type: str | None = None,
        status: str | None = None,
        name: str | None = None,
        project_id: str | None = None,
        created_from: str | None = None,
        created_to: str | None = None,
        search: str | None = None,
        page_size: int = MAX_PAGE_SIZE,
    ) -> Iterator[dict[str, Any]]:
        """
        List the account's orders, newest id first, fetching page by page as the caller goes on (`List Orders`).

        :param order_type: only orders of this type, such as ``"subtitle"``.
        :param status: only orders in this status.
        :param name: only orders of exactly this name, case included. Ollang's pages disagree on whether its own filter
            takes a part of a name, so rows are compared here again; for a part of a name use ``search``.
        :param project_id: only orders of this project.
        :param created_from: only orders created at or after this time, ISO 8601.
        :param created_to: only orders created at or before this time, ISO 8601.
        :param search: free text; what Ollang finds by it is returned as it is.
        :param page_size: rows a request, 1 to 50, as number or text.
        :return: an iterator over short rows: ``id, name, sourceLanguage, targetLanguage, status, type, createdAt,
            clientId, projectId``; each order once.
        :raises OllangConfigurationError: ``page_size`` is no such number.
        :raises OllangError: as :meth:`get_order`, when a page is fetched; a filter that is no text is refused then.
        """
        rows_a_page = count_between("page_size", page_size, 1, MAX_PAGE_SIZE)
        filters = {
            "filter[type]": order_type,
            "filter[status]": status,
            "filter[name]": name,
            "filter[projectId]": project_id,
            "filter[createdAtRange][from]": created_from,
            "filter[createdAtRange][to]": created_to,
            "pageOptions[search]": search,
        }
        # Not every server is documented to know these filters, nor whether a name may be a part of it: what they let
        # through is looked at again, since somebody may rerun what is listed.
        wanted = {"type": order_type, "status": status, "name": name, "projectId": project_id}
        return self._rows(rows_a_page, filters, {key: value for key, value in wanted.items() if value is not None})

    @asynccontextmanager
    async def async_client(self) -> AsyncIterator[OllangAsyncClient]:
        """
        Open the asynchronous half of the hook, for triggers.

        All who wait on one connection in one event loop share one session, and a 429 throttles all of them.

        :return: a context manager; inside, the reader gets orders. The connection is read with Airflow's asynchronous
            helpers only.
        :raises OllangConfigurationError: the connection is not usable.
        """
        # Every parse of a DAG file imports this module, and only triggers need aiohttp.
        from airflow_provider_ollang.client.shared import shared_transport  # noqa: PLC0415

        settings = await self._aread_settings()
        async with shared_transport(settings, user_agent()) as transport:
            yield OllangAsyncClient(settings, transport)

    async def key_changed(self, reader: OllangAsyncClient) -> bool:
        """
        Read the connection again, for a wait that outlives its key.

        :param reader: what :meth:`waiting` gave.
        :return: whether the key is another one now: then leave that context and enter a new one.
        """
        return (await self._aread_settings()).api_key != reader.settings.api_key

    def reload(self) -> bool:
        """
        Read the connection again, for a wait that outlives its key.

        :return: whether the key is another one now.
        """
        before = self.settings.api_key
        settings = self._read_settings()
        if settings.api_key == before:
            return False
        self.close()
        self._settings = settings
        return True

    def close(self) -> None:
        """Close the connections to the server; the hook stays usable."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def test_connection(self) -> tuple[bool, str]:
        """
        Tell whether the connection works, by listing one order: free, one request, at most 10 seconds.

        :return: success, and what was reached or what is wrong.
        """
        try:
            settings = self.settings
            call = list_orders(1, 1, {})
            timeout = min(TEST_TIMEOUT, settings.timeout)
            read_page(settings, call, self._get_transport().send(call, timeout=timeout))
        except OllangError as error:
            # Airflow's Test button asks under an id that it made up.
            words = str(error).replace(f"connection {self.ollang_conn_id!r}", "this connection")
            return False, words.replace(f"Connection {self.ollang_conn_id!r}:", "This connection:")
        finally:
            self.close()
        return True, f"{settings.base_url} answered and accepts the API key."

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the behaviour of the standard form fields, for Airflow 3.1."""
        return {key.replace("-", "_"): value for key, value in UI_FIELD_BEHAVIOUR.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the extra form fields, for Airflow 3.1."""
        from wtforms import BooleanField, IntegerField, StringField  # type: ignore[import-untyped]  # noqa: PLC0415

        kinds = {"boolean": BooleanField, "integer": IntegerField, "number": StringField, "string": StringField}
        return {
            one.name: kinds[one.json_type](
                one.label,
                description=one.description,
                # A default that is not of the field's type is dropped by Airflow.
                default=str(one.default) if one.json_type == "number" else one.default,
            )
            for one in CONNECTION_FIELDS
        }

    def _rows(
        self, page_size: int, filters: Mapping[str, str | None], wanted: Mapping[str, str]
    ) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        page, more = 1, True
        while more:
            rows, more = self._page(page, page_size, filters)
            new = []
            for row in rows:
                name = str(row.get("id"))
                if row.get("id") is None or name not in seen:
                    seen.add(name)
                    new.append(row)
            yield from (row for row in new if all(row.get(key) == value for key, value in wanted.items()))
            # A page without any new id means that the server ignores the page number.
            more = more and any(row.get("id") is not None for row in new)
            page += 1

    def _page(self, page: int, page_size: int, filters: Mapping[str, str | None]) -> tuple[list[dict[str, Any]], bool]:
        call = list_orders(page, page_size, filters)
        return self._with_retries(call, lambda: read_page(self.settings, call, self._send(call)))

    def _send_paid(
        self, call: Call, around_send: Callable[[], AbstractContextManager[None]]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Send a paid request; return what is told of its acceptance, and the whole answer."""

        def send() -> tuple[dict[str, Any], Answer]:
            with around_send():
                answer = self._send(call)
                return read_paid(self.settings, call, answer), answer

        try:
            value, answer = self._with_retries(call, send)
        except InterruptedBeforeSending as marker:
            # Only `around_send` has to know that nothing was sent.
            raise (marker.__cause__ or marker) from None
        message = value.get("message")
        accepted = {
            "order_id": call.order_id,
            "message": self.settings.clean(message) if isinstance(message, str) else None,
            "requested_at": answer.requested_at.isoformat() if answer.requested_at else None,
        }
        return accepted, value

    def _send(self, call: Call) -> Answer:
        return self._get_transport().send(call)

    def _get_transport(self) -> RequestsTransport:
        if self._transport is None:
            self._transport = RequestsTransport(self.settings, user_agent())
        return self._transport

    def _with_retries(self, call: Call, attempt: Callable[[], T], *, max_attempts: int | None = None) -> T:
        attempts = max_attempts or self.settings.max_attempts
        started = _clock.monotonic()

        def pause(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after if isinstance(error, OllangTransientError) else None
            usual = PAUSES[min(state.attempt_number, len(PAUSES)) - 1] * random.uniform(0.5, 1.5)  # noqa: S311
            return usual if asked is None else asked

        def give_up(state: tenacity.RetryCallState) -> bool:
            ends = _clock.monotonic() - started + state.upcoming_sleep
            return (
                state.attempt_number >= attempts or state.upcoming_sleep > LONGEST_OBEYED_PAUSE or ends > LONGEST_CALL
            )

        def tell(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            self.log.warning(
                "%s Trying again in %.1f s (attempt %d of %d).",
                error,
                state.upcoming_sleep,
                state.attempt_number + 1,
                attempts,
            )

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(functools.partial(may_repeat, call)),
            wait=pause,
            stop=give_up,
            before_sleep=tell,
            sleep=self._sleep or _clock.sleep,
            reraise=True,
        )(attempt)

    def _read_settings(self) -> Settings:
        try:
            connection = self.get_connection(self.ollang_conn_id)
        except AirflowNotFoundException:
            raise self._no_connection() from None
        return self._settings_of(connection)

    async def _aread_settings(self) -> Settings:
        try:
            connection = await self.aget_connection(self.ollang_conn_id)
        except AirflowNotFoundException:
            if not only_synchronous_lookups():
                raise self._no_connection() from None
            return await asyncio.to_thread(self._read_settings)
        return self._settings_of(connection)

    def _no_connection(self) -> OllangConfigurationError:
        return OllangConfigurationError(
            f"Connection {self.ollang_conn_id!r} does not exist, or Airflow cannot read it; create one of type "
            "Ollang under this id, or name another with ollang_conn_id."
        )

    def _settings_of(self, connection: Connection) -> Settings:
        # Airflow's own reading of the extra takes a broken one for an empty one.
        try:
            extra = json.loads(connection.extra or "{}")
        except (ValueError, RecursionError):
            extra = None
        if not isinstance(extra, dict):
            raise OllangConfigurationError(f"Connection {self.ollang_conn_id!r}: its extra must be a JSON object.")
        return resolve_environment(
            Settings.from_connection(
                self.ollang_conn_id,
                password=connection.password,
                host=connection.host,
                port=connection.port,
                schema=connection.schema,
                extra=extra,
            )
        )
