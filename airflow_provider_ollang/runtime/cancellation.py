"""Ends a task's work soon after Airflow has killed the task."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from airflow_provider_ollang import _clock
from airflow_provider_ollang.exceptions import OllangTransientError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

_LONGEST_SLEEP = 1.0


class TaskCancelledError(OllangTransientError):
    """The task was killed, or another part of its work has failed."""


class CancellationToken:
    """
    What ``on_kill`` sets, and whatever sleeps or sends looks at: Airflow lets a killed task run on for seconds.

    Without locks, since a signal handler sets it, which may have interrupted anything.

    :param order_id: the order that the task is about, for the error; ``None`` where it is not known yet.
    """

    def __init__(self, order_id: str | None = None) -> None:
        self.order_id = order_id
        self.is_cancelled = False
        self._responses: dict[int, requests.Response] = {}

    def cancel(self) -> None:
        """End all work that looks at this token, reads of responses included."""
        self.is_cancelled = True
        for response in list(self._responses.values()):
            # A response that has ended has no socket any more; older versions of urllib3 wait for the timeout.
            with suppress(Exception):
                response.raw.shutdown()

    def raise_if_cancelled(self) -> None:
        """
        Go on only if the task was not killed.

        :raises TaskCancelledError: it was.
        """
        if self.is_cancelled:
            about = f" for order {self.order_id}" if self.order_id else ""
            raise TaskCancelledError(
                f"The task was killed; no further requests are sent{about}.", order_id=self.order_id
            )

    def sleep(self, seconds: float) -> None:
        """
        Sleep, but end within a second once the task was killed.

        :param seconds: for how long.
        :raises TaskCancelledError: the task was killed.
        """
        while seconds > 0:
            self.raise_if_cancelled()
            _clock.sleep(min(seconds, _LONGEST_SLEEP))
            seconds -= _LONGEST_SLEEP
        self.raise_if_cancelled()

    @contextmanager
    def reading(self, response: requests.Response) -> Iterator[None]:
        """
        End the reading of a response when the task is killed.

        :param response: what is read inside the context.
        """
        self._responses[id(response)] = response
        try:
            self.raise_if_cancelled()
            yield
        finally:
            del self._responses[id(response)]
