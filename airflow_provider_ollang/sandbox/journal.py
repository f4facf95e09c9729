"""What was asked of the sandbox, and what it answered: without header values, so that no key is ever kept."""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

#: Older requests are forgotten; a sandbox may run for weeks.
KEPT = 200_000


@dataclass(slots=True)
class Entry:
    """One request.

    :param n: its number, from 1.
    :param time: when it arrived by the sandbox's clock, ISO 8601.
    :param path: as it was sent, with the query.
    :param status: status of the answer; None while there is none, or none was sent.
    :param connection: number of the connection it came by.
    :param fault: number of the fault that hit it.
    :param authorized: whether it brought the right key.
    :param host: which of the sandbox's two hosts it was sent to.
    :param key_sent: whether it brought the header of the key, right or wrong.
    """

    n: int
    time: str
    method: str
    path: str
    connection: int
    authorized: bool
    host: Literal["api", "files"] = "api"
    key_sent: bool = False
    status: int | None = None
    fault: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return dataclasses.asdict(self)


class Journal:
    """The requests so far, oldest first.

    :param kept: how many it keeps.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._entries: deque[Entry] = deque(maxlen=kept)
        self.last = 0

    def open(
        self,
        *,
        time: str,
        method: str,
        path: str,
        connection: int,
        authorized: bool,
        host: Literal["api", "files"] = "api",
        key_sent: bool = False,
    ) -> Entry:
        """Note a request that has arrived."""
        self.last += 1
        entry = Entry(self.last, time, method, path, connection, authorized, host, key_sent)
        self._entries.append(entry)
        return entry

    def after(self, n: int = 0) -> list[Entry]:
        """Return the requests with a higher number than `n`."""
        wanted = min(max(self.last - n, 0), len(self._entries))
        return list(islice(self._entries, len(self._entries) - wanted, None))

    def clear(self) -> None:
        """Forget everything and count from 1 again."""
        self._entries.clear()
        self.last = 0
