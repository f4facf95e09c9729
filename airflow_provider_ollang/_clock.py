"""Time, in one place, so that tests can move it instead of waiting for it."""

from __future__ import annotations

import asyncio
import time


def now() -> float:
    """Return the wall clock in epoch seconds: deadlines must survive a change of process and machine."""
    return time.time()


def monotonic() -> float:
    """Return seconds that never jump, for durations within one process."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Wait for a number of seconds."""
    time.sleep(seconds)


async def asleep(seconds: float) -> None:
    """Wait for a number of seconds without blocking the event loop."""
    await asyncio.sleep(seconds)
