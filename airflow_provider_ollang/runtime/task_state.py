"""What outlives a task's tries: one class over Airflow's task state store (Airflow 3.3 and newer)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, overload

from airflow_provider_ollang.domain.submission import Tries
from airflow_provider_ollang.exceptions import OllangUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context


#: How long a value is kept after the task is done with it.
RETENTION = timedelta(days=30)


class Stored(Protocol):
    """A value that is read back from JSON."""

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read what was stored."""


StoredT = TypeVar("StoredT", bound=Stored)


class TaskState:
    """
    One key of a task's state. Below Airflow 3.3 there is no store: then nothing is kept, and nothing is found.

    :param context: the task's context.
    :param key: the key in the store.
    :param retention: how long a value is kept; ``None``: as Airflow is configured.
    :param subject: what the value is about, as JSON: it is stored along, and a value about anything else counts as
        none. ``None``: the value says itself what it is about.
    """

    def __init__(
        self,
        context: Context,
        key: str,
        *,
        retention: timedelta | None = None,
        subject: Mapping[str, Any] | None = None,
    ) -> None:
        self._store: Any = context.get("task_state_store")
        self._key = key
        self._retention = retention
        self._subject = subject

    @property
    def available(self) -> bool:
        """Whether this Airflow has a store."""
        return self._store is not None

    @overload
    def load(self) -> Any: ...
    @overload
    def load(self, cls: type[StoredT]) -> StoredT | None: ...
    def load(self, cls: type[Stored] | None = None) -> Any:
        """
        Return what is stored; ``None`` if that is nothing, or about another subject.

        :param cls: what to make of it, by its ``from_json``; default: the JSON as it is.
        :raises OllangUnavailableError: the store cannot be read.
        """
        if self._store is None:
            return None
        try:
            value = self._store.get(self._key)
        except Exception as error:
            raise self._unavailable("read", error) from error
        if value is not None and self._subject is not None:
            value = self._without_subject(value)
        return value if value is None or cls is None else cls.from_json(value)

    def save(self, value: Any) -> None:
        """
        Store a value.

        :param value: JSON; a dict, if there is a subject.
        :raises OllangUnavailableError: the store cannot be written.
        """
        if self._store is None:
            return
        value = value if self._subject is None else {**self._subject, **value}
        options = {} if self._retention is None else {"retention": self._retention}
        try:
            self._store.set(self._key, value, **options)
        except Exception as error:
            raise self._unavailable("written", error) from error

    def delete(self) -> None:
        """
        Delete the value.

        :raises OllangUnavailableError: the store cannot be written.
        """
        if self._store is None:
            return
        try:
            self._store.delete(self._key)
        except Exception as error:
            raise self._unavailable("written", error) from error

    def _without_subject(self, value: Any) -> dict[str, Any] | None:
        subject = self._subject or {}
        if not isinstance(value, dict) or any(value.get(name) != item for name, item in subject.items()):
            return None
        return {name: item for name, item in value.items() if name not in subject}

    def _unavailable(self, how: str, error: Exception) -> OllangUnavailableError:
        return OllangUnavailableError(
            f"Airflow's task state store could not be {how} (key {self._key!r}, {type(error).__name__})."
        )


def read_tries(context: Context) -> Tries:
    """Return what Airflow says about the tries of the task that runs."""
    ti = context["ti"]
    return Tries(
        try_number=ti.try_number,
        max_tries=ti.max_tries,
        retries=context["task"].retries or 0,
        clear_number=context["dag_run"].clear_number,
    )
