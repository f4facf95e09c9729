"""Where the record of a paid request is kept: Airflow's task state store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, overload

from airflow_provider_ollang.domain.submission import Plan, Record, State, Tries, plan
from airflow_provider_ollang.exceptions import OllangUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_provider_ollang.domain.receipts import PaidReceipt


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


def has_store(context: Context) -> bool:
    """Tell whether this Airflow keeps a task's state: 3.3 and newer do."""
    return context.get("task_state_store") is not None


def tries_of(context: Context) -> Tries:
    """Return what Airflow says about the tries of the task that runs."""
    ti = context["ti"]
    return Tries(
        try_number=ti.try_number,
        max_tries=ti.max_tries,
        retries=context["task"].retries or 0,
        clear_number=context["dag_run"].clear_number,
    )


class RecordBook:
    """
    The record of a task's wish in Airflow's task state store (Airflow 3.3 or newer), which outlives its tries.

    :param context: the task's context.
    :param key: where in the store the record is kept.
    :param order_id: the order that the task is about now.
    :param host: base URL of the Ollang API it talks to now.
    :param retention: how long it is kept.
    :raises OllangUnavailableError: the store cannot be read, so that nobody knows what was sent.
    :raises OllangConfigurationError: what is stored there is no record.
    """

    def __init__(self, context: Context, key: str, *, order_id: str, host: str, retention: timedelta) -> None:
        self._store: Any = context.get("task_state_store")
        self._key, self._retention = key, retention
        self._order_id, self._host = order_id, host
        self._tries = tries_of(context)
        self.record = self._read()

    @property
    def is_kept(self) -> bool:
        """Whether this Airflow has a store at all."""
        return self._store is not None

    @property
    def plan(self) -> Plan:
        """What this try of the task has to do."""
        return plan(self.record, order_id=self._order_id, host=self._host, tries=self._tries)

    @property
    def receipt(self) -> dict[str, Any] | None:
        """The receipt on record, if it is of this order."""
        record = self.record
        return record.receipt if record is not None and record.is_about(self._order_id, self._host) else None

    def write(
        self,
        state: State,
        receipt: PaidReceipt | None,
        *,
        resubmitted: bool = False,
        unknown_since: float | None = None,
    ) -> None:
        """
        Write the record.

        :raises Exception: whatever Airflow's store raises.
        """
        record = Record(
            self._order_id,
            self._host,
            self._tries.max_tries,
            state,
            {} if receipt is None else receipt.to_json(),
            resubmitted=resubmitted,
            try_number=self._tries.try_number,
            clear_number=self._tries.clear_number,
            unknown_since=unknown_since,
        )
        if self._store is not None:
            self._store.set(self._key, record.to_json(), retention=self._retention)
        self.record = record

    def put_back(self, record: Record | None) -> None:
        """
        Restore what was there before.

        :raises Exception: whatever Airflow's store raises.
        """
        if self._store is not None and record is None:
            self._store.delete(self._key)
        elif self._store is not None and record is not None:
            self._store.set(self._key, record.to_json(), retention=self._retention)
        self.record = record

    def _read(self) -> Record | None:
        if self._store is None:
            return None
        try:
            found = self._store.get(self._key)
        except Exception as error:
            raise OllangUnavailableError(
                "Airflow's record of what this task has sent cannot be read, so nothing was sent "
                f"({type(error).__name__})."
            ) from error
        return None if found is None else Record.from_json(found)
