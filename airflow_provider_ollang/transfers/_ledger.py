"""What the tries of a task have delivered, in Airflow's task state store, so that none brings it again."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang import _clock
from airflow_provider_ollang.transfers._download import Delivered

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airflow_provider_ollang.transfers._plan import File

#: Where it is kept.
STATE_KEY = "ollang_delivery"
_KEEP_FOR = timedelta(days=30)
#: Airflow warns of values beyond 64 KB.
_LONGEST = 48_000
#: State of the document, name of the file, its size, its SHA-256.
_ENTRY = [str, str, int, str]
#: Small files are written down together.
_SECONDS_BETWEEN, _LARGE = 2.0, 8 << 20


class Ledger:
    """
    What has been delivered; empty below Airflow 3.3, where a task has no store, and after the task was cleared.

    :param context: the task's context.
    :param subject: what must be the same for an entry to count: order, host, destination.
    :param log: where trouble with the store is told.
    """

    def __init__(self, context: Context, subject: Mapping[str, str], log: logging.Logger | Any) -> None:
        self._store: Any = context.get("task_state_store")
        # Who clears a task wants it done anew.
        self._subject = {**subject, "max_tries": context["ti"].max_tries}
        self._log = log
        self._written_at: float | None = None
        self._is_written = True
        self._entries: dict[str, list[Any]] = self._read()

    def known(self, file: File) -> Delivered | None:
        """Return what an earlier try delivered of a file, if the file is still the same."""
        entry = self._entries.get(file.key)
        if file.is_vtt or entry is None or entry[0] != file.state:
            return None
        return Delivered(*entry[1:])

    @property
    def is_written(self) -> bool:
        """Whether nothing is left to write down that could be."""
        return self._store is None or self._is_written

    def enter(self, file: File, delivered: Delivered) -> None:
        """Note that a file is there."""
        self._entries[file.key] = [file.state, delivered.file_name, delivered.size, delivered.sha256]
        self._is_written = False
        now = _clock.monotonic()
        if delivered.size >= _LARGE or self._written_at is None or now - self._written_at >= _SECONDS_BETWEEN:
            self.write()

    def write(self) -> None:
        """Write down what is not yet: failing to costs no more than another download."""
        if self.is_written:
            return
        self._written_at, self._is_written = _clock.monotonic(), True
        largest = sorted(self._entries.items(), key=lambda entry: entry[1][2], reverse=True)
        value: dict[str, Any] = {**self._subject, "files": dict(largest)}
        while len(json.dumps(value)) > _LONGEST:
            largest = largest[: len(largest) * 3 // 4]
            value["files"] = dict(largest)
        try:
            self._store.set(STATE_KEY, value, retention=_KEEP_FOR)
        except Exception as error:  # noqa: BLE001 - the files are there all the same
            self._log.warning("Airflow could not store what was delivered (%s).", type(error).__name__)

    def _read(self) -> dict[str, list[Any]]:
        if self._store is None:
            return {}
        try:
            found = self._store.get(STATE_KEY)
        except Exception as error:  # noqa: BLE001 - then all is brought again
            self._log.warning("Airflow could not say what was delivered before (%s).", type(error).__name__)
            return {}
        same = isinstance(found, dict) and all(found.get(key) == value for key, value in self._subject.items())
        files = found.get("files") if same else None
        entries = files.items() if isinstance(files, dict) else ()
        # What another version of the provider has written may look otherwise.
        return {key: one for key, one in entries if isinstance(one, list) and [type(part) for part in one] == _ENTRY}
