"""The hook: Ollang's API over an Airflow connection."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, Connection

from airflow_provider_ollang._compat import AirflowNotFoundException, only_synchronous_lookups
from airflow_provider_ollang.client.requests import MAX_PAGE_SIZE, Request, evaluate_order, rerun_order
from airflow_provider_ollang.client.settings import Settings, resolve_environment
from airflow_provider_ollang.client.sync import InterruptedBeforeSending, OllangClient
from airflow_provider_ollang.domain.arguments import parse_count
from airflow_provider_ollang.domain.values import parse_number, parse_text
from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangError
from airflow_provider_ollang.get_provider_info import CONNECTION_FIELDS, UI_FIELD_BEHAVIOUR

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from airflow_provider_ollang.client.aio import OllangAsyncClient
    from airflow_provider_ollang.client.responses import Accepted


class OllangHook(BaseHook):
    """
    Talks to Ollang's integration API.

    Requests that cost nothing are repeated on network trouble, 408, 429, 5xx and garbled responses; a paid one is sent
    once. Redirects are never followed, and no error or log line shows the key.

    .. code-block:: python

        @task
        def name_of(order_id: str) -> str:
            return OllangHook().get_order(order_id)["name"]

    :param ollang_conn_id: the Airflow connection of type ``ollang``; see
        :mod:`~airflow_provider_ollang.client.settings` for its fields.
    :param sleep: waits between two attempts of a request, given seconds; what it raises ends the call. A task that
        may be killed meanwhile gives one that notices. Default: :func:`time.sleep`.
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
        self._client: OllangClient | None = None

    @property
    def client(self) -> OllangClient:
        """
        The client that this hook sends with; the connection is read when it is first needed.

        :raises OllangConfigurationError: the connection is not usable; the message names the field.
        """
        if self._client is None:
            self._client = OllangClient(self._read_settings(), log=self.log, sleep=self._sleep)
        return self._client

    @property
    def settings(self) -> Settings:
        """
        What the connection says; read when first needed.

        :raises OllangConfigurationError: as :attr:`client`.
        """
        return self.client.settings

    def get_order(self, order_id: object, *, max_attempts: int | None = None) -> dict[str, Any]:
        """
        Get an order with all its details (`Get Order by ID`).

        :param order_id: its id, or a mapping with ``order_id`` or ``id``.
        :param max_attempts: how often to send the request at most; ``None`` means as the connection says.
        :return: the order as the API gave it. Links in it are signed and expire.
        :raises OllangOrderNotFoundError: no order has this id.
        :raises OllangAccessDeniedError: it belongs to another account.
        :raises OllangAuthenticationError: the key is not valid.
        :raises OllangUnavailableError: no usable response after all attempts.
        :raises OllangRateLimitError: still rate limited after all attempts.
        :raises OllangConfigurationError: the connection or the id is wrong.
        """
        return self.client.get_order(order_id, max_attempts=max_attempts)

    def rerun_order(self, order_id: object) -> dict[str, Any]:
        """
        Submit a rerun (`Rerun Order`), once. A ``@task`` that calls this is not protected: its retry submits another.

        This method knows nothing of earlier tries, so call it with ``retries=0`` only. :class:`.OllangRerunOperator`
        submits at most one rerun, whatever is retried or killed, and its receipt is what
        ``OllangOrderStatusSensor(rerun=...)`` and the other operators take; what this method returns is no receipt.
        The new result replaces the current one.

        :param order_id: its id, or a mapping with ``order_id`` or ``id``.
        :return: ``{"order_id": str, "message": str | None, "requested_at": str | None}``; ``requested_at`` is a
            time by the server's clock just before the request arrived, ISO 8601.
        :raises OllangOrderNotEligibleError: the order is not completed or delivered.
        :raises OllangRequestRefusedError: the API answered ``success: false``.
        :raises OllangRateLimitError: the server limits requests. Nothing was started, and it is not sent again.
        :raises OllangOutcomeUnknownError: it may or may not have been accepted.
        :raises OllangError: as :meth:`get_order`; the rerun surely was not accepted.
        """
        request = rerun_order(order_id)
        return _to_dict(request, self._submit(request))

    def evaluate_order(
        self, order_id: object, *, criteria: Iterable[str] | str | None = None, custom_prompt: str | None = None
    ) -> dict[str, Any]:
        """
        Submit an evaluation (`QC Evaluation`), once. A ``@task`` that calls this is not protected: a retry pays again.

        This method knows nothing of earlier tries, so call it with ``retries=0`` only.
        :class:`.OllangEvaluateOrderOperator` submits at most one evaluation, whatever is retried or killed, and its
        receipt is what ``OllangQualityGateOperator(evaluation=...)`` takes; what this method returns is no receipt.
        The scores come later, as the order's ``latestEvaluation``.

        :param order_id: its id, or a mapping with ``order_id`` or ``id``.
        :param criteria: what to judge, of ``Accuracy``, ``Fluency``, ``Tone`` and ``Cultural Fit``, as a collection or
            a comma-separated text; default all.
        :param custom_prompt: what else the evaluation should consider, as free text.
        :return: ``{"order_id": str, "message": str | None, "requested_at": str | None, "evaluation_id": str | None,
            "credits_used": float | None}``.
        :raises OllangConfigurationError: also for a criterion that there is not, and for a prompt that is no text.
        :raises OllangError: as :meth:`rerun_order`.
        """
        request = evaluate_order(order_id, criteria, custom_prompt)
        accepted = self._submit(request)
        return {
            **_to_dict(request, accepted),
            "evaluation_id": parse_text(accepted.value.get("evalId")),
            "credits_used": parse_number(accepted.value.get("creditsUsed")),
        }

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
        filters = {
            "filter[type]": order_type,
            "filter[status]": status,
            "filter[name]": name,
            "filter[projectId]": project_id,
            "filter[createdAtRange][from]": created_from,
            "filter[createdAtRange][to]": created_to,
            "pageOptions[search]": search,
        }
        return self._list_orders(filters, parse_count("page_size", page_size, 1, MAX_PAGE_SIZE))

    @asynccontextmanager
    async def async_client(self) -> AsyncIterator[OllangAsyncClient]:
        """
        Open the async client, for triggers.

        All waits on one connection in one event loop share one session, and a 429 throttles all of them.

        :return: a context manager; inside, the client gets orders. The connection is read with Airflow's asynchronous
            helpers only.
        :raises OllangConfigurationError: the connection is not usable.
        """
        # Every parse of a DAG file imports this module, and only triggers need aiohttp.
        from airflow_provider_ollang.client.aio import shared_client  # noqa: PLC0415

        settings = await self._aread_settings()
        async with shared_client(settings) as client:
            yield client

    async def key_changed(self, client: OllangAsyncClient) -> bool:
        """
        Read the connection again, for a wait that outlives its key.

        :param client: what :meth:`async_client` gave.
        :return: whether the key is another one now: then leave that context and enter a new one.
        """
        return (await self._aread_settings()).api_key != client.settings.api_key

    def reload(self) -> bool:
        """
        Read the connection again, for a wait that outlives its key.

        :return: whether the key is another one now.
        """
        settings = self._read_settings()
        if settings.api_key == self.settings.api_key:
            return False
        self.close()
        self._client = OllangClient(settings, log=self.log, sleep=self._sleep)
        return True

    def close(self) -> None:
        """Close the connections to the server; the hook stays usable."""
        if self._client is not None:
            self._client.close()

    def test_connection(self) -> tuple[bool, str]:
        """
        Tell whether the connection works, by listing one order: free, one request, at most 10 seconds.

        :return: success, and what was reached or what is wrong.
        """
        try:
            self.client.check()
        except OllangError as error:
            # Airflow's Test button asks under an id that it made up.
            text = str(error).replace(f"connection {self.ollang_conn_id!r}", "this connection")
            return False, text.replace(f"Connection {self.ollang_conn_id!r}:", "This connection:")
        finally:
            self.close()
        return True, f"{self.settings.base_url} answered and accepts the API key."

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
            field.name: kinds[field.json_type](
                field.label,
                description=field.description,
                # A default that is not of the field's type is dropped by Airflow.
                default=str(field.default) if field.json_type == "number" else field.default,
            )
            for field in CONNECTION_FIELDS
        }

    def _list_orders(self, filters: dict[str, str | None], page_size: int) -> Iterator[dict[str, Any]]:
        # The connection is read when the first row is asked for.
        yield from self.client.list_orders(filters, page_size=page_size)

    def _submit(self, request: Request) -> Accepted:
        try:
            return self.client.submit(request)
        except InterruptedBeforeSending as marker:
            # That nothing was sent matters to those only who keep a record of it.
            raise (marker.__cause__ or marker) from None

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


def _to_dict(request: Request, accepted: Accepted) -> dict[str, Any]:
    return {"order_id": request.order_id, "message": accepted.message, "requested_at": accepted.requested_at}
