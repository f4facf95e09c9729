"""The hook: Ollang's API over an Airflow connection."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, Connection

from airflow_provider_ollang._compat import AirflowNotFoundException, only_synchronous_lookups
from airflow_provider_ollang.client.settings import Settings, resolve_environment
from airflow_provider_ollang.client.sync import OllangClient
from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangError
from airflow_provider_ollang.get_provider_info import CONNECTION_FIELDS, UI_FIELD_BEHAVIOUR
from airflow_provider_ollang.hooks._endpoints import Endpoints

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from airflow_provider_ollang.client.aio import OllangAsyncClient


class OllangHook(Endpoints, BaseHook):
    """
    Talks to Ollang's integration API.

    Requests that cost nothing are repeated on network trouble, 408, 429, 5xx and garbled responses; a paid one is sent
    once. Redirects are never followed, and no error or log line shows the key. A title in `quotes` is that of the page
    of https://api-docs.ollang.com that documents an endpoint.

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
