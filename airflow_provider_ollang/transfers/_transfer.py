"""Downloads the files of an order into a store, several at once."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from airflow_provider_ollang.exceptions import OllangError, OllangPermanentError
from airflow_provider_ollang.runtime.cancellation import TaskCancelledError
from airflow_provider_ollang.transfers._download import Download, NotListedError
from airflow_provider_ollang.transfers._file_host import THREADS
from airflow_provider_ollang.transfers._plan import refreshed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from airflow_provider_ollang.domain.orders import Order
    from airflow_provider_ollang.runtime.cancellation import CancellationToken
    from airflow_provider_ollang.transfers._download import Tools
    from airflow_provider_ollang.transfers._ledger import Ledger
    from airflow_provider_ollang.transfers._plan import File
    from airflow_provider_ollang.transfers._store import Delivered

_Result = TypeVar("_Result")
#: For what is being written when the task is ended; Airflow gives it about five seconds.
_LAST_SECONDS = 4.0
_POLL_SECONDS = 0.5


class Workers:
    """
    Threads for all that talks to the store: they are left behind if it hangs, so that the task ends all the same.

    Whatever ends the context early, such as an ``execution_timeout`` that Airflow raises in the task's own thread, ends
    their work too.

    :param number: of threads.
    :param token: tells that the task was killed.
    """

    def __init__(self, number: int, token: CancellationToken) -> None:
        self._token = token
        self._pool = concurrent.futures.ThreadPoolExecutor(number, thread_name_prefix=THREADS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._token.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def submit(self, function: Callable[..., _Result], *arguments: Any) -> concurrent.futures.Future[_Result]:
        """Begin a call as soon as a thread is free."""
        return self._pool.submit(function, *arguments)

    def run(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """
        Wait for a call, but not once the task was killed.

        :raises TaskCancelledError: it was.
        """
        future = self.submit(function, *arguments)
        while not future.done():
            self._token.raise_if_cancelled()
            concurrent.futures.wait([future], timeout=_POLL_SECONDS)
        return future.result()


def deliver(files: Sequence[File], tools: Tools, ledger: Ledger, workers: Workers) -> Mapping[str, Delivered]:
    """
    Deliver all files.

    A file that fails with a transient error does not keep the others: the next try of the task finds them there.

    :param files: what to deliver.
    :param tools: where from, where to.
    :param ledger: what earlier tries have delivered, and where what this one delivers is recorded.
    :param workers: as many files at the same time.
    :return: what was delivered, by the key of its file.
    :raises OllangError: the first permanent error, or else the first.
    :raises TaskCancelledError: the task was killed.
    """
    delivered: dict[str, Delivered] = {}
    errors: list[BaseException] = []
    running: dict[concurrent.futures.Future[Delivered], File] = {}
    ended: queue.SimpleQueue[concurrent.futures.Future[Delivered]] = queue.SimpleQueue()

    def settle(future: concurrent.futures.Future[Delivered]) -> None:
        file, error = running.pop(future), future.exception()
        if error is None:
            delivered[file.key] = future.result()
            # Only this thread may talk to Airflow.
            ledger.enter(file, delivered[file.key])
            return
        errors.append(error)
        if not isinstance(error, OllangError) or isinstance(error, OllangPermanentError):
            tools.token.cancel()
        elif running and not tools.token.is_cancelled:
            tools.log.warning("%s The other files go on.", error)

    try:
        for file in files:
            future = workers.submit(_deliver_one, file, tools, ledger.delivered(file))
            running[future] = file
            future.add_done_callback(ended.put)
        while running and not tools.token.is_cancelled:
            with suppress(queue.Empty):
                settle(ended.get(timeout=_POLL_SECONDS))
    finally:
        if running:
            tools.token.cancel()
            for future in running:
                future.cancel()
            for future in concurrent.futures.wait(running, timeout=_LAST_SECONDS).done:
                if not future.cancelled():
                    settle(future)
        ledger.write()
    if errors:
        raise min(errors, key=_rank)
    tools.token.raise_if_cancelled()
    return delivered


def _deliver_one(file: File, tools: Tools, delivered: Delivered | None) -> Delivered:
    tools.token.raise_if_cancelled()
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
