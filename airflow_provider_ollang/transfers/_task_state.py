"""What a delivery keeps between the tries of its task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.exceptions import OllangUnavailableError
from airflow_provider_ollang.runtime.task_state import TaskState

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from datetime import timedelta

    from airflow.sdk import Context


class DeliveryState:
    """
    Values that outlive a try, each under a key of the task's state; a cleared task delivers again.

    :param context: the task's context.
    :param subject: what must be the same for a stored value to count.
    :param retention: how long a value is kept.
    :param log: where trouble with the store is logged: it costs no more than another download.
    """

    def __init__(
        self, context: Context, *, subject: Mapping[str, str], retention: timedelta, log: logging.Logger | Any
    ) -> None:
        self._context = context
        self._subject = {**subject, "max_tries": context["ti"].max_tries}
        self._retention = retention
        self._log = log

    def load(self, key: str) -> Any:
        """Return the value under a key; ``None`` if there is none, or of another subject, or the store fails."""
        try:
            stored = self._state(key).load()
        except OllangUnavailableError as error:
            self._log.warning("%s", error)
            return None
        return None if stored is None else stored.get("value")

    def save(self, key: str, value: Any) -> None:
        """Store a value that JSON can express."""
        try:
            self._state(key).save({"value": value})
        except OllangUnavailableError as error:
            self._log.warning("%s", error)

    def _state(self, key: str) -> TaskState:
        return TaskState(self._context, key, subject=self._subject, retention=self._retention)
