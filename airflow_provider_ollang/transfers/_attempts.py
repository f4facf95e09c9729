"""How often a download is attempted: the client's policy, but progress makes up for failures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_ollang.client.backoff import retrying

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ollang.client.backoff import Log

_Result = TypeVar("_Result")
#: So many more bytes than ever before make up for failures.
_PROGRESS = 1 << 20


class AttemptError(Exception):
    """An attempt failed; another one may do."""

    def __init__(self, reason: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


class Attempts:
    """
    The attempts of one download.

    :param at_most: how many may fail in a row, without progress in between.
    :param sleep: waits for so many seconds.
    :param log: told of each attempt that is repeated.
    :param describe: says what failed, as a sentence.
    """

    def __init__(
        self, at_most: int, *, sleep: Callable[[float], None], log: Log, describe: Callable[[BaseException], str]
    ) -> None:
        #: The most bytes there ever were.
        self.received = 0
        #: Attempts that failed in a row.
        self.failures = 0
        self._paid_for = 0
        self._retrying = retrying(
            at_most,
            retry_if=lambda error: isinstance(error, AttemptError),
            log=log,
            sleep=sleep,
            max_total=math.inf,
            count_failures=self._count_failures,
            describe=describe,
        )

    def run(self, attempt: Callable[[], _Result]) -> _Result:
        """
        Attempt it until it succeeds.

        :raises AttemptError: the last failure.
        """
        return self._retrying(attempt)

    def _count_failures(self, _attempt: int) -> int:
        self.failures = 1 if self.received >= self._paid_for + _PROGRESS else self.failures + 1
        self._paid_for = self.received
        return self.failures
