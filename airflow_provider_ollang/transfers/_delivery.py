"""Brings the files of an order into a store, several at once."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING

from airflow_provider_ollang.exceptions import OllangError, OllangPermanentError
from airflow_provider_ollang.runtime.cancellation import TaskCancelledError
from airflow_provider_ollang.transfers._download import Delivered, Download
from airflow_provider_ollang.transfers._file_host import THREADS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_ollang.transfers._download import Tools
    from airflow_provider_ollang.transfers._ledger import Ledger
    from airflow_provider_ollang.transfers._plan import File

#: For what is being written when the task is ended; Airflow gives it about five seconds.
_LAST_SECONDS = 4.0
_LOOK_SECONDS = 0.5


def deliver(files: Sequence[File], tools: Tools, ledger: Ledger, *, at_once: int) -> Mapping[str, Delivered]:
    """
    Bring all files.

    A file that fails for a passing reason does not keep the others: the next try of the task finds them there.

    :param files: what to bring.
    :param tools: where from, where to.
    :param ledger: what earlier tries have brought, and where what this one brings is written down.
    :param at_once: how many files at the same time.
    :return: what was delivered, by the key of its file.
    :raises OllangError: the first failure for good, or else the first.
    :raises TaskCancelledError: the task was ended.
    """
    pool = concurrent.futures.ThreadPoolExecutor(at_once, thread_name_prefix=THREADS)
    running = {pool.submit(_bring, file, tools, ledger.known(file)): file for file in files}
    found: dict[str, Delivered] = {}
    errors: list[BaseException] = []
    pending = set(running)
    try:
        while pending and not tools.stop.is_cancelled:
            # Not for ever: what is in the middle of something may take long to notice the end.
            done, pending = concurrent.futures.wait(
                pending, timeout=_LOOK_SECONDS, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                file = running[future]
                error = future.exception()
                if error is None:
                    found[file.key] = future.result()
                    # Only this thread may talk to Airflow.
                    ledger.enter(file, found[file.key])
                    if ledger.is_written:
                        tools.store.release(one.file_name for one in found.values())
                    continue
                errors.append(error)
                if not isinstance(error, OllangError) or isinstance(error, OllangPermanentError):
                    tools.stop.cancel()
                elif len(files) > 1 and not tools.stop.is_cancelled:
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
    return found


def _bring(file: File, tools: Tools, known: Delivered | None) -> Delivered:
    tools.stop.raise_if_cancelled()
    if known is not None and tools.store.holds(known.file_name, known.size):
        tools.log.info("An earlier try delivered %s: %s.", tools.settings.redact(file.title), known.file_name)
        return known
    return Download(file, tools).run()


def _rank(error: BaseException) -> int:
    """Sort what went wrong: that others were stopped for it is no reason."""
    if isinstance(error, TaskCancelledError):
        return 3
    if isinstance(error, OllangError):
        return 1 if isinstance(error, OllangPermanentError) else 2
    return 0
