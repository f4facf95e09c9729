"""Downloads the files of an order into a store, several at once."""

from __future__ import annotations

import concurrent.futures
import threading
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_ollang.exceptions import OllangError, OllangPermanentError
from airflow_provider_ollang.runtime.cancellation import TaskCancelledError
from airflow_provider_ollang.transfers._download import Delivered, Download, NotListedError
from airflow_provider_ollang.transfers._file_host import THREADS
from airflow_provider_ollang.transfers._plan import refreshed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airflow_provider_ollang.domain.orders import Order
    from airflow_provider_ollang.transfers._download import Tools
    from airflow_provider_ollang.transfers._ledger import Ledger
    from airflow_provider_ollang.transfers._plan import File

#: For what is being written when the task is ended; Airflow gives it about five seconds.
_LAST_SECONDS = 4.0
_POLL_SECONDS = 0.5


def deliver(files: Sequence[File], tools: Tools, ledger: Ledger, *, at_once: int) -> Mapping[str, Delivered]:
    """
    Deliver all files.

    A file that fails with a transient error does not keep the others: the next try of the task finds them there.

    Whatever talks to the store does so in a thread that is left behind if it does not end soon: a store that hangs
    must not keep the task from ending.

    :param files: what to deliver.
    :param tools: where from, where to.
    :param ledger: what earlier tries have delivered, and where what this one delivers is recorded.
    :param at_once: how many files at the same time.
    :return: what was delivered, by the key of its file.
    :raises OllangError: the first permanent error, or else the first.
    :raises TaskCancelledError: the task was ended.
    """
    pool = concurrent.futures.ThreadPoolExecutor(at_once, thread_name_prefix=THREADS)
    delivered: dict[str, Delivered] = {}
    errors: list[BaseException] = []
    pending: set[concurrent.futures.Future[Delivered]] = set()
    running: dict[concurrent.futures.Future[Delivered], File] = {}
    try:
        _wait_for(pool.submit(tools.store.prepare, [file.file_name for file in files]), tools)
        running = {pool.submit(_deliver_one, file, tools, ledger.delivered(file)): file for file in files}
        pending = set(running)
        while pending and not tools.stop.is_cancelled:
            done, pending = concurrent.futures.wait(
                pending, timeout=_POLL_SECONDS, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                file = running[future]
                error = future.exception()
                if error is None:
                    delivered[file.key] = future.result()
                    # Only this thread may talk to Airflow.
                    ledger.enter(file, delivered[file.key])
                    continue
                errors.append(error)
                if not isinstance(error, OllangError) or isinstance(error, OllangPermanentError):
                    tools.stop.cancel()
                elif len(files) > 1:
                    tools.log.warning("%s The other files go on.", error)
    finally:
        # Left, too, by whatever Airflow raises in this thread: an execution_timeout, for one.
        if pending:
            tools.stop.cancel()
        pool.shutdown(wait=False, cancel_futures=True)
        for future in concurrent.futures.wait(pending, timeout=_LAST_SECONDS).done:
            if not future.cancelled() and future.exception() is None:
                ledger.enter(running[future], future.result())
        ledger.write()
    if errors:
        raise min(errors, key=_rank)
    if pending:
        raise TaskCancelledError
    return delivered


def _wait_for(future: concurrent.futures.Future[None], tools: Tools) -> None:
    while not future.done():
        tools.stop.raise_if_cancelled()
        concurrent.futures.wait([future], timeout=_POLL_SECONDS)
    future.result()


def _deliver_one(file: File, tools: Tools, delivered: Delivered | None) -> Delivered:
    tools.stop.raise_if_cancelled()
    if delivered is not None and tools.store.holds(delivered.file_name, delivered.size):
        tools.log.info("An earlier try delivered %s: %s.", tools.settings.redact(file.title), delivered.file_name)
        return delivered
    return Download(file, tools).run()


def _rank(error: BaseException) -> int:
    """Sort errors: that others were stopped for it is no reason."""
    if isinstance(error, TaskCancelledError):
        return 3
    if isinstance(error, OllangError):
        return 1 if isinstance(error, OllangPermanentError) else 2
    return 0


class SignedFile(NamedTuple):
    """A file with a signed URL, and the number of the order that it comes from."""

    file: File
    order: int


class SignedUrls:
    """
    The signed URLs of an order's files, refreshed once for all downloads when they expire.

    :param files: as planned.
    :param get_order: gets a fresh order.
    """

    def __init__(self, files: Iterable[File], get_order: Callable[[], Order]) -> None:
        self._files: dict[str, File | None] = {file.key: file for file in files}
        self._get_order = get_order
        self._number = 0
        self._lock = threading.Lock()

    def of(self, file: File) -> SignedFile:
        """
        Return a file with its latest URL.

        :raises NotListedError: the latest order no longer has it.
        """
        with self._lock:
            return self._latest(file)

    def refresh(self, seen: SignedFile) -> SignedFile:
        """
        Return a file with a newer URL than the one seen, getting the order unless another download has meanwhile.

        :raises OllangError: the order cannot be got.
        :raises NotListedError: it no longer has the file.
        """
        with self._lock:
            if self._number == seen.order:
                order = self._get_order()
                latest = refreshed(order, [file for file in self._files.values() if file is not None])
                self._files = {key: latest.get(key) for key in self._files}
                self._number += 1
            return self._latest(seen.file)

    def _latest(self, file: File) -> SignedFile:
        latest = self._files[file.key]
        if latest is None:
            raise NotListedError("the order no longer lists it; its documents were replaced meanwhile")
        return SignedFile(latest, self._number)
