"""The sandbox's clock: everything dated or timed in the sandbox reads it, and tests move it instead of sleeping."""

from __future__ import annotations

import time
from bisect import bisect_left
from datetime import UTC, datetime
from email.utils import format_datetime
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_ollang.sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable


_FASTEST = 1_000_000
_LONGEST = 10 * 366 * 24 * 3600
_LAST = 32503680000000  # the year 3000


# The wall clock may be set back; the past must stay the past.
_STARTED = time.time() - time.monotonic()


def _steady_time() -> float:
    return _STARTED + time.monotonic()


class _Stretch(NamedTuple):
    """From `moment` (sandbox) and `real` (seconds) on, time passes at `speed`."""

    moment: int
    real: float
    speed: float


class Clock:
    """Sandbox time, in whole milliseconds since 1970 (a *moment*).

    Whole milliseconds, because a story step planned for "30 s after the rerun" must be due exactly when the
    clock was advanced by 10 s and then by 20 s.

    :param speed: sandbox seconds that pass in one real second; 0 stands still.
    :param real: tells the real time in seconds since 1970.
    """

    def __init__(self, speed: float = 1.0, real: Callable[[], float] | None = None) -> None:
        self._real = real or _steady_time
        self._stretches: list[_Stretch] = []
        start = self._real()
        self._stretches.append(_Stretch(round(start * 1000), start, _checked_speed(speed)))

    @property
    def speed(self) -> float:
        """Sandbox seconds that pass in one real second."""
        return self._stretches[-1].speed

    def now(self) -> int:
        """Return the present moment."""
        last = self._stretches[-1]
        return last.moment + int((self._real() - last.real) * 1000 * last.speed)

    def advance(self, seconds: float) -> None:
        """Jump ahead by so many sandbox seconds.

        :raises SandboxError: if `seconds` is negative, or leads out of the calendar.
        """
        if not 0 <= seconds <= _LONGEST:
            raise SandboxError(f"The clock advances by 0 to {_LONGEST} seconds at a time, not {seconds}.")
        moment = self.now() + milliseconds(seconds)
        if moment > _LAST:
            raise SandboxError(f"The clock does not go beyond {iso(_LAST)}.")
        self._stretches.append(_Stretch(moment, self._real(), self.speed))

    def set_speed(self, speed: float) -> None:
        """Let time pass at another speed from now on; 0 stops it.

        :raises SandboxError: if `speed` is negative or beyond a million.
        """
        self._stretches.append(_Stretch(self.now(), self._real(), _checked_speed(speed)))

    def real_time_of(self, moment: int) -> int:
        """Return the real time (milliseconds since 1970) at which the clock reached a past moment."""
        index = max(bisect_left(self._stretches, moment, key=attrgetter("moment")) - 1, 0)
        begin = self._stretches[index]
        passed = (moment - begin.moment) / 1000
        reached = begin.real + (passed / begin.speed if begin.speed else 0)
        if passed > 0 and index + 1 < len(self._stretches):
            following = self._stretches[index + 1].real
            # A moment that a jump passed over was reached when the jump was made.
            reached = min(reached, following) if begin.speed else following
        return round(reached * 1000)


def _checked_speed(speed: float) -> float:
    if not 0 <= speed <= _FASTEST:
        raise SandboxError(f"The clock's speed is 0 to {_FASTEST}, not {speed}.")
    return speed


def milliseconds(seconds: float) -> int:
    """Turn seconds into whole milliseconds."""
    return round(seconds * 1000)


def iso(moment: int) -> str:
    """Write a moment as Ollang does: ISO 8601, UTC, milliseconds."""
    return as_datetime(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def http_date(moment: int) -> str:
    """Write a moment as the `Date` header does."""
    return format_datetime(as_datetime(moment).replace(microsecond=0), usegmt=True)


def as_datetime(moment: int) -> datetime:
    """Return a moment as an aware datetime."""
    seconds, rest = divmod(moment, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)


def parse_iso(text: object) -> int | None:
    """Read an ISO 8601 time, without zone as UTC; None if it is no such text."""
    if not isinstance(text, str):
        return None
    try:
        parsed = datetime.fromisoformat(text)
        return round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
