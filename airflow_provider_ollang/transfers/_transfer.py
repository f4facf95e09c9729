"""Downloads the files of an order into a store, several at once."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow_provider_ollang.exceptions import OllangError, OllangPermanentError, OllangStaleResultError
from airflow_provider_ollang.runtime.cancellation import TaskCancelledError
from airflow_provider_ollang.transfers._download import Download, NotListedError
from airflow_provider_ollang.transfers._file_host import THREADS
from airflow_provider_ollang.transfers._plan import refreshed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from airflow_provider_ollang.domain.orders import Order
    from airflow_provider_ollang.runtime.cancellation import CancellationToken
    from airflow_provider_ollang.transfers._download import Delivery
    from airflow_provider_ollang.transfers._ledger import Ledger
    from airflow_provider_ollang.transfers._plan import Criteria, File
    from airflow_provider_ollang.transfers._store import Delivered

_Result = TypeVar("_Result")
#: For what is being written when the task is ended; Airflow gives it about five seconds.
_LAST_SECONDS = 4.0
_POLL_SECONDS = 0.5


class Workers:
    """
    Threads for all that talks to the store: they are left behind if it hangs, so that the task ends all the same.

    Daemon threads, which an interpreter that exits does not wait for; it does for those of a ``ThreadPoolExecutor``,
    even after ``shutdown(wait=False)`` (https://bugs.python.org/issue39812).

    Whatever ends the context early, such as an ``execution_timeout`` that Airflow raises in the task's own thread, ends
    their work too.

    :param number: of threads.
    :param token: tells that the task was killed.
    """

    def __init__(self, number: int, token: CancellationToken) -> None:
        self.number = number
        self._token = token
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=f"{THREADS}_{index}", daemon=True) for index in range(number)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._token.cancel()
        for _ in self._threads:
            self._calls.put(None)

    def submit(self, function: Callable[..., _Result], *arguments: Any) -> concurrent.futures.Future[_Result]:
        """Begin a call as soon as a thread is free."""
        future: concurrent.futures.Future[_Result] = concurrent.futures.Future()

        def call() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*arguments))
                except BaseException as error:  # noqa: BLE001 - whoever waits for it raises it
                    future.set_exception(error)

        self._calls.put(call)
        return future

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

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def deliver(files: Sequence[File], delivery: Delivery, ledger: Ledger, workers: Workers) -> Mapping[str, Delivered]:
    """
    Deliver all files.

    A file that fails with a transient error does not keep the others: the next try of the task finds them there. No
    file begins in the place of another before the ledger has that, so a killed try leaves few to be downloaded again.

    :param files: what to deliver.
    :param delivery: where from, where to.
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
    left = deque(files)

    def begin() -> None:
        file = left.popleft()
        future = workers.submit(_deliver_one, file, delivery, ledger.delivered(file))
        running[future] = file
        future.add_done_callback(ended.put)

    def settle(future: concurrent.futures.Future[Delivered]) -> None:
        file, error = running.pop(future), future.exception()
        if error is None:
            delivered[file.key] = future.result()
            # Only this thread may talk to Airflow.
            ledger.enter(file, delivered[file.key])
            return
        errors.append(error)
        if not isinstance(error, OllangError) or isinstance(error, OllangPermanentError):
            delivery.token.cancel()
        elif (running or left) and not delivery.token.is_cancelled:
            delivery.log.warning("%s The other files go on.", error)

    try:
        while (running or left) and not delivery.token.is_cancelled:
            while left and len(running) < workers.number:
                begin()
            with suppress(queue.Empty):
                settle(ended.get(timeout=_POLL_SECONDS))
    finally:
        if running:
            delivery.token.cancel()
            for future in running:
                future.cancel()
            for future in concurrent.futures.wait(running, timeout=_LAST_SECONDS).done:
                if not future.cancelled():
                    settle(future)
        ledger.write()
    if errors:
        raise min(errors, key=_rank)
    delivery.token.raise_if_cancelled()
    return delivered


def _deliver_one(file: File, delivery: Delivery, delivered: Delivered | None) -> Delivered:
    delivery.token.raise_if_cancelled()
    if delivered is not None and delivery.store.holds(delivered.file_name, delivered.size):
        delivery.log.info("An earlier try delivered %s: %s.", delivery.settings.redact(file.title), delivered.file_name)
        return delivered
    return Download(file, delivery).run()


def _rank(error: BaseException) -> int:
    """Sort errors: that others were stopped for it is no reason."""
    if isinstance(error, TaskCancelledError):
        return 3
    if isinstance(error, OllangError):
        return 1 if isinstance(error, OllangPermanentError) else 2
    return 0


class SignedUrls:
    """
    The files of an order with their signed URLs, which are refreshed once for all downloads when they expire.

    :param files: as planned.
    :param criteria: what they were planned by.
    :param get_order: gets a fresh order.
    """

    def __init__(self, files: Sequence[File], criteria: Criteria, get_order: Callable[[], Order]) -> None:
        self._planned = files
        self._latest: Mapping[str, File] = {file.key: file for file in files}
        self._criteria = criteria
        self._get_order = get_order
        self._lock = threading.Lock()

    def latest(self, file: File, *, refresh: bool = False) -> File:
        """
        Return a file with its latest URL.

        :param refresh: whether the URL at hand is no good: gets the order, unless another download has meanwhile.
        :raises OllangError: the order cannot be got.
        :raises NotListedError: the latest order no longer has the file, or not as a new one.
        """
        with self._lock:
            if refresh and self._latest.get(file.key) is file:
                try:
                    self._latest = refreshed(self._get_order(), self._criteria, self._planned)
                except OllangStaleResultError:
                    # A replica that lags, or a review that began meanwhile: the next try plans anew.
                    raise NotListedError("the order no longer shows it as newer than before") from None
            if file.key not in self._latest:
                raise NotListedError("the order no longer lists it; its documents were replaced meanwhile")
            return self._latest[file.key]
