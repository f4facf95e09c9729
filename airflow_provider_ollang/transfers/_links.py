"""Links that expire, fetched anew once for all who download at the same time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_ollang.transfers._plan import find

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_ollang.domain.orders import Order
    from airflow_provider_ollang.transfers._plan import File


class NotListedError(Exception):
    """The order no longer has a file."""


class Linked(NamedTuple):
    """A file with a link, and the number of the order it comes from."""

    file: File
    order: int


class Links:
    """
    The links of an order's files.

    :param files: as planned.
    :param get_order: gets the order anew.
    """

    def __init__(self, files: Iterable[File], get_order: Callable[[], Order]) -> None:
        self._files: dict[str, File | None] = {file.key: file for file in files}
        self._get_order = get_order
        self._number = 0
        self._lock = threading.Lock()

    def of(self, file: File) -> Linked:
        """
        Return a file with the latest link.

        :raises NotListedError: the latest order no longer has it.
        """
        with self._lock:
            return self._latest(file)

    def renew(self, seen: Linked) -> Linked:
        """
        Return a file with a newer link than the one seen, getting the order if nobody else has meanwhile.

        :raises OllangError: the order cannot be got.
        :raises NotListedError: it no longer has the file.
        """
        with self._lock:
            if self._number == seen.order:
                order = self._get_order()
                self._files = {key: file and find(order, file) for key, file in self._files.items()}
                self._number += 1
            return self._latest(seen.file)

    def _latest(self, file: File) -> Linked:
        found = self._files[file.key]
        if found is None:
            raise NotListedError("the order no longer lists it; its documents were replaced meanwhile")
        return Linked(found, self._number)
