"""Ends downloads soon, wherever they are."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

from airflow_provider_ollang import _clock
from airflow_provider_ollang.exceptions import OllangTransientError
from airflow_provider_ollang.hooks.ollang import OllangHook

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests


_LONGEST_SLEEP = 1.0


class StoppedError(Exception):
    """The task was ended, or another file failed for good."""


class Stop:
    """
    Tells threads to end, and breaks off what they read.

    Without locks, since it is set by a signal handler, which may have interrupted anything.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._reading: dict[int, requests.Response] = {}

    def set(self) -> None:
        """End all."""
        self.is_set = True
        for response in list(self._reading.values()):
            # What has ended meanwhile has no socket any more; older versions of urllib3 wait for the timeout.
            with suppress(Exception):
                response.raw.shutdown()

    def check(self) -> None:
        """
        Go on only if nobody said to end.

        :raises StoppedError: somebody did.
        """
        if self.is_set:
            raise StoppedError

    def sleep(self, seconds: float) -> None:
        """
        Wait, but not past the end.

        :raises StoppedError: somebody said to end.
        """
        while seconds > 0:
            self.check()
            _clock.sleep(min(seconds, _LONGEST_SLEEP))
            seconds -= _LONGEST_SLEEP
        self.check()

    @contextmanager
    def breaking_off(self, response: requests.Response) -> Iterator[None]:
        """Break off reading this answer when told to end."""
        self._reading[id(response)] = response
        try:
            self.check()
            yield
        finally:
            del self._reading[id(response)]


class StoppableOperator(BaseOperator):
    """Stops soon after somebody ended its task: Airflow lets it run on for seconds."""

    ollang_conn_id: str
    _killed = False
    _last_status: str | None = None

    def on_kill(self) -> None:
        """Keep a task that somebody ended from sending anything more."""
        self._killed = True
        self.log.info("Ended from outside. The order's last known status: %s.", self._last_status or "not looked at")

    def _hook(self, order_id: str) -> OllangHook:
        """Return a hook whose pauses end when the task does."""
        return OllangHook(self.ollang_conn_id, sleep=lambda seconds: self._sleep(seconds, order_id))

    def _sleep(self, seconds: float, order_id: str) -> None:
        left = seconds
        while left > 0:
            self._stop_if_killed(order_id)
            _clock.sleep(min(left, _LONGEST_SLEEP))
            left -= _LONGEST_SLEEP
        self._stop_if_killed(order_id)

    def _stop_if_killed(self, order_id: str) -> None:
        if self._killed:
            raise OllangTransientError(
                f"This task was ended from outside and sends nothing more about order {order_id}.", order_id=order_id
            )
