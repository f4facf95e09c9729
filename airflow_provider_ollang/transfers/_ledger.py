"""What the tries of a task have delivered, so that none downloads it again."""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang import _clock
from airflow_provider_ollang.domain.submission import Tries
from airflow_provider_ollang.domain.values import known_fields
from airflow_provider_ollang.exceptions import OllangUnavailableError
from airflow_provider_ollang.runtime.task_state import RETENTION, TaskState, read_tries
from airflow_provider_ollang.transfers._names import is_with_suffix
from airflow_provider_ollang.transfers._store import Delivered

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_ollang.transfers._plan import File

#: How the keys of the task state begin; a number follows.
STATE_KEY = "ollang_delivery"
#: Files under one key, so that a value stays below the 64 KB from which on Airflow warns, however long the names.
BATCH = 60
#: State of the document, name of the file, its size, its SHA-256.
_ENTRY = [str, str, int, str]
#: Small files are stored together.
_SECONDS_BETWEEN, _LARGE = 2.0, 8 << 20


class Ledger:
    """
    The files that were delivered, in the task's state; a cleared task delivers again.

    :param files: those that this try delivers.
    :param context: the task's context.
    :param subject: what must be the same for a file on record to count.
    :param log: where trouble with the store is logged: it costs no more than another download.
    """

    def __init__(
        self,
        files: Sequence[File],
        context: Context,
        *,
        subject: Mapping[str, Any],
        log: logging.Logger | Any,
    ) -> None:
        self._log = log
        self._batches = [[file.key for file in files[start : start + BATCH]] for start in range(0, len(files), BATCH)]
        self._batch_of = {key: number for number, keys in enumerate(self._batches) for key in keys}
        self._entries: dict[str, list[Any]] = {}
        self._tries = read_tries(context)
        self._states = [
            TaskState(context, f"{STATE_KEY}_{number}", subject=subject, retention=RETENTION)
            for number in range(len(self._batches))
        ]
        for state in self._states:
            with self._trouble_logged():
                self._entries.update(_entries_in(state.load(), self._tries))
        self._changed: set[int] = set()
        self._written_at: float | None = None

    def delivered(self, file: File) -> Delivered | None:
        """Return what an earlier try delivered of a file, if the file is still the same, and so is its name."""
        entry = self._entries.get(file.key)
        if file.is_vtt or entry is None or entry[0] != file.state:
            return None
        delivered = Delivered(*entry[1:])
        # Under another name there may be another document by now.
        return delivered if is_with_suffix(delivered.file_name, file.file_name) else None

    def enter(self, file: File, delivered: Delivered) -> None:
        """Record that a file is there."""
        self._entries[file.key] = [file.state, delivered.file_name, delivered.size, delivered.sha256]
        self._changed.add(self._batch_of[file.key])
        now = _clock.monotonic()
        if delivered.size >= _LARGE or self._written_at is None or now - self._written_at >= _SECONDS_BETWEEN:
            self.write()

    def write(self) -> None:
        """Store what is not stored yet."""
        if self._changed:
            self._written_at = _clock.monotonic()
        for number in sorted(self._changed):
            entries = {key: self._entries[key] for key in self._batches[number] if key in self._entries}
            with self._trouble_logged():
                self._states[number].save({"tries": dataclasses.asdict(self._tries), "value": entries})
        self._changed.clear()

    @contextmanager
    def _trouble_logged(self) -> Iterator[None]:
        try:
            yield
        except OllangUnavailableError as error:
            self._log.warning("%s", error)


def _entries_in(stored: dict[str, Any] | None, tries: Tries) -> dict[str, list[Any]]:
    """
    Return the entries that were stored since the task was cleared last.

    Another version of the provider may have stored something else.
    """
    try:
        earlier = Tries(**known_fields(Tries, (stored or {})["tries"]))
    except (KeyError, TypeError):
        return {}
    value = (stored or {}).get("value")
    entries = value.items() if isinstance(value, dict) and not tries.cleared_since(earlier) else ()
    return {
        key: entry for key, entry in entries if isinstance(entry, list) and [type(part) for part in entry] == _ENTRY
    }
