"""What the tries of a task have delivered, so that none downloads it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ollang import _clock
from airflow_provider_ollang.transfers._download import Delivered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_ollang.transfers._plan import File
    from airflow_provider_ollang.transfers._task_state import DeliveryState

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
    The files that were delivered.

    :param files: those that this try delivers.
    :param state: where they are stored.
    """

    def __init__(self, files: Sequence[File], state: DeliveryState) -> None:
        self._state = state
        self._batches = [[file.key for file in files[start : start + BATCH]] for start in range(0, len(files), BATCH)]
        self._batch_of = {key: number for number, keys in enumerate(self._batches) for key in keys}
        self._entries: dict[str, list[Any]] = {}
        for number in range(len(self._batches)):
            self._entries.update(_entries_in(state.load(f"{STATE_KEY}_{number}")))
        self._changed: set[int] = set()
        self._written_at: float | None = None

    def delivered(self, file: File) -> Delivered | None:
        """Return what an earlier try delivered of a file, if the file is still the same."""
        entry = self._entries.get(file.key)
        if file.is_vtt or entry is None or entry[0] != file.state:
            return None
        return Delivered(*entry[1:])

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
            self._state.save(f"{STATE_KEY}_{number}", entries)
        self._changed.clear()


def _entries_in(value: Any) -> dict[str, list[Any]]:
    """Return the entries of a stored value; another version of the provider may have stored something else."""
    entries = value.items() if isinstance(value, dict) else ()
    return {
        key: entry for key, entry in entries if isinstance(entry, list) and [type(part) for part in entry] == _ENTRY
    }
