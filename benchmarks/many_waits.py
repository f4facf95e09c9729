"""A thousand waits in one process: CPU and memory, connections, lateness, beside the same with other clients."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from airflow_provider_ollang.client.aio import _POOL_SIZE
from benchmarks.server import Server
from benchmarks.table import Row
from dev.processes import StackError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.server import Look

INTERVAL = 1.0
NAMES = {"trigger": "this provider's trigger", "aiohttp": "bare aiohttp", "dbt-cloud": "dbt Cloud's trigger"}


@dataclass(frozen=True)
class Round:
    """What one client cost in one round.

    :param cpu: milliseconds of the client's CPU per poll.
    :param memory: KiB that a wait added to the client's process.
    :param connections: TCP connections that the server saw.
    :param late: seconds; 99 of 100 looks were less late.
    :param polls: how often the wait looked that looked least.
    """

    cpu: float
    memory: float
    connections: int
    late: float
    polls: int


def lateness(looks: Iterable[Look], begun: float, interval: float) -> list[float]:
    """Return by how much each look came later, at the server, than the interval after the wait's look before it.

    The first look has to come within the first interval. The time that an answer takes counts as lateness, too.
    """
    previous: dict[str, float] = {}
    found = []
    for look in looks:
        found.append(max(look.time - previous.get(look.path, begun) - interval, 0.0))
        previous[look.path] = look.time
    return found


def quantile(values: Iterable[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]


def one_round(server: Server, client: str, waits: int, seconds: float) -> Round:
    """Let a client poll, and read the server's request log."""
    last = server.last()
    cost = server.poll(client, waits=waits, interval=INTERVAL, warm=3, seconds=seconds)
    looks = server.looks(last)
    if wrong := {look.status for look in looks if look.time < cost["until"]} - {200}:
        raise StackError(f"{client}: the server answered {wrong}")
    per_wait: dict[str, int] = defaultdict(int)
    for look in looks:
        per_wait[look.path] += 1
    if len(per_wait) < waits:
        raise StackError(f"{client}: only {len(per_wait)} of {waits} waits looked")
    return Round(
        cpu=1000 * cost["cpu"] / sum(cost["since"] <= look.time < cost["until"] for look in looks),
        memory=cost["bytes"] / 1024 / waits,
        connections=len({look.connection for look in looks}),
        late=quantile(lateness(looks, cost["begun"], INTERVAL), 0.99),
        polls=min(per_wait.values()),
    )


def alternate(waits: int, seconds: float, rounds: int) -> dict[str, list[Round]]:
    """Let the clients take turns, so that whatever else the machine does hits all of them alike."""
    found: dict[str, list[Round]] = {client: [] for client in NAMES}
    with Server(orders=waits) as server:
        for _ in range(rounds):
            for client in NAMES:
                found[client].append(one_round(server, client, waits, seconds))
    return found


def ratio(rounds: Mapping[str, Sequence[Round]], to: str) -> float:
    """Return the median over the rounds of the trigger's CPU per poll to that of another client."""
    return median(ours.cpu / theirs.cpu for ours, theirs in zip(rounds["trigger"], rounds[to], strict=True))


def note(rounds: Mapping[str, Sequence[Round]], name: str, unit: str, digits: int) -> str:
    """Return the medians of all clients."""
    medians = {client: median(getattr(one, name) for one in found) for client, found in rounds.items()}
    return ", ".join(f"{NAMES[client]} {value:.{digits}f}{unit}" for client, value in medians.items())


def rows(*, quick: bool) -> list[Row]:
    """Measure."""
    waits, few = 1000, 100
    many = alternate(waits, seconds=4 if quick else 12, rounds=1 if quick else 5)
    small = alternate(few, seconds=4 if quick else 9, rounds=1 if quick else 3)
    ours = many["trigger"]
    cpu, cpu_of_few = note(many, "cpu", " ms", 2), note(small, "cpu", " ms", 2)
    return [
        Row(f"CPU per poll, {waits:,} waits: to bare aiohttp's", ratio(many, "aiohttp"), 2, cpu),
        Row(f"CPU per poll, {waits:,} waits: to dbt Cloud's", ratio(many, "dbt-cloud"), 0.2),
        Row(f"CPU per poll, {few:,} waits: to bare aiohttp's", ratio(small, "aiohttp"), 2, cpu_of_few),
        Row(f"CPU per poll, {few:,} waits: to dbt Cloud's", ratio(small, "dbt-cloud")),
        Row(
            f"TCP connections, {waits:,} waits of {min(one.polls for one in ours)} polls and more",
            max(one.connections for one in ours),
            _POOL_SIZE,
            note(many, "connections", "", 0),
        ),
        Row(
            f"p99 lateness, {waits:,} waits, to the interval of {INTERVAL:g} s",
            median(one.late for one in ours) / INTERVAL,
            1,
            note(many, "late", " s", 2),
        ),
        Row(
            f"KiB of memory per wait, {waits:,} waits",
            median(one.memory for one in ours),
            None,
            note(many, "memory", "", 0),
        ),
    ]
