"""The sandbox's clock: everything in the sandbox is dated and timed by it. Tests move it instead of sleeping."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

from airflow_provider_ollang.sandbox.options import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable

_FASTEST = 1_000_000
_LONGEST = 10 * 366 * 24 * 3600
_LAST = 32503680000000  # the year 3000

_STARTED = time.time() - time.monotonic()


class Clock:
    """Sandbox time, in whole milliseconds since 1970 (a *moment*).

    Whole milliseconds, so that what is planned for "30 s after the rerun" is due exactly when the clock was advanced
    by 10 s and then by 20 s. `real` returns the real time in seconds since 1970.
    """

    def __init__(self, speed: float = 1.0, real: Callable[[], float] | None = None) -> None:
        self.speed = _require_speed(speed)
        # A wall clock may be set back; the sandbox's time must not go back.
        self._real = real or (lambda: _STARTED + time.monotonic())
        self._since = self._real()
        self._moment = round(self._since * 1000)

    def now(self) -> int:
        """Return the current moment."""
        return self._moment + int((self._real() - self._since) * 1000 * self.speed)

    def advance(self, seconds: float) -> None:
        """Jump ahead by so many sandbox seconds."""
        if not 0 <= seconds <= _LONGEST:
            raise SandboxError(f"The clock advances by 0 to {_LONGEST} seconds at a time, not {seconds}.")
        if self.now() + to_milliseconds(seconds) > _LAST:
            raise SandboxError(f"The clock does not go beyond {to_iso(_LAST)}.")
        self._moment += to_milliseconds(seconds)

    def set_speed(self, speed: float) -> None:
        """Let time pass at another speed from now on; 0 stops it."""
        speed = _require_speed(speed)
        self._moment, self._since = self.now(), self._real()
        self.speed = speed


def _require_speed(speed: float) -> float:
    if not 0 <= speed <= _FASTEST:
        raise SandboxError(f"The clock's speed is 0 to {_FASTEST}, not {speed}.")
    return speed


def to_milliseconds(seconds: float) -> int:
    """Return seconds as whole milliseconds."""
    return round(seconds * 1000)


def to_iso(moment: int) -> str:
    """Return a moment as Ollang writes it: ISO 8601, UTC, milliseconds."""
    return to_datetime(moment).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_http_date(moment: int) -> str:
    """Write a moment as the `Date` header does."""
    return format_datetime(to_datetime(moment).replace(microsecond=0), usegmt=True)


def to_datetime(moment: int) -> datetime:
    """Return a moment as an aware datetime."""
    seconds, rest = divmod(moment, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)


def parse_iso(text: object) -> int | None:
    """Read an ISO 8601 time, without zone as UTC; None if it is no such text."""
    try:
        parsed = datetime.fromisoformat(text)  # type: ignore[arg-type]
        return round((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
    except (TypeError, ValueError, OverflowError):
        return None
