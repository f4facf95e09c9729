"""One 429 with `Retry-After` among a thousand waits: what is sent all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.server import Server
from benchmarks.table import Row
from dev.processes import StackError

if TYPE_CHECKING:
    from collections.abc import Sequence

WAITS = 1000
INTERVAL = 1.0
# So slow that there are always waits in line for a connection: they looked at the pause before they got in line.
ANSWER_TAKES = 0.3
# Longer than the 5 s that this provider keeps quiet for after a 429 that asks for less.
RETRY_AFTER = 7
LOOKS_BEFORE = 700
SECONDS = 14.0
# A timer may end by so much too early.
RESOLUTION = 0.001


def sent_meanwhile(sent: Sequence[float], limited: Sequence[tuple[float, float]]) -> int:
    """Count the requests that left after a 429 was there and before its `Retry-After` was over.

    :param sent: when each request left, by the client's clock.
    :param limited: when each 429 was there, by the same clock, and the seconds that it asked for.
    """
    return sum(any(came < left < came + seconds - RESOLUTION for came, seconds in limited) for left in sent)


def rows(*, quick: bool) -> list[Row]:
    """Measure."""
    meanwhile, in_flight = [], []
    for _ in range(1 if quick else 3):
        with Server(orders=WAITS) as server:
            limit = {"status": 429, "headers": {"Retry-After": str(RETRY_AFTER)}}
            server.fault("/integration/orders/*", skip=LOOKS_BEFORE, times=1, **limit)
            server.fault("/integration/orders/*", delay=ANSWER_TAKES)
            seen = server.poll("trigger+trace", waits=WAITS, interval=INTERVAL, warm=0, seconds=SECONDS)
        sent, answered, limited = seen["sent"], seen["answered"], seen["limited"]
        if len(limited) != 1 or not any(left > limited[0][0] + RETRY_AFTER for left in sent):
            raise StackError(f"{len(limited)} answers were 429 and not 1, or nobody went on afterwards")
        came = limited[0][0]
        in_flight.append(sum(left < came for left in sent) - sum(end <= came for end in answered))
        meanwhile.append(sent_meanwhile(sent, limited))
    return [
        Row(
            f"requests sent between a 429 and its Retry-After, {WAITS:,} waits",
            max(meanwhile),
            0,
            f"in flight when it came, and not counted: {', '.join(map(str, in_flight))}",
        )
    ]
