"""Gigabytes uploaded: memory, and throughput beside curl."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.delivery import BUSIEST, MEGABYTE, MIB, Cost, over
from benchmarks.server import ROOT, Server
from benchmarks.table import Row
from dev.processes import StackError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Round(NamedTuple):
    """Both ways at the same moment."""

    operator: Cost
    curl: Cost


class Bench:
    """
    The server, and a place for files that take no room on the disk.

    :param server: where the files go.
    :param place: where they are.
    """

    def __init__(self, server: Server, place: Path) -> None:
        self._server = server
        self._place = place

    def file(self, size: int) -> Path:
        """Make a file of so many zeros."""
        path = self._place / f"{size}.mp4"
        with path.open("wb") as file:
            file.truncate(size)
        return path

    def send(self, way: str, file: Path) -> Cost:
        """Upload a file by one of the ways of `benchmarks.send`, and check what has arrived."""
        before = self._server.cpu
        cost = self._server.run("send", way, self._place / f"{time.time_ns()}.json", file)
        newest = self._server.admin("GET", "/projects")["projects"][-1]
        if (newest["id"], newest["bytes"]) != (cost["project_id"], file.stat().st_size):
            raise StackError(f"{way}: what arrived of {file.name} is something else: {newest}")
        server = (self._server.cpu - before) / cost["seconds"]
        return Cost(cost["seconds"], cost["cpu"], cost["bytes"] / MEGABYTE, server)


def compare(bench: Bench, file: Path, rounds: int) -> list[Round]:
    """Let both ways take turns, so that whatever else the machine does hits both alike."""
    found = []
    for number in range(rounds):
        ways = Round._fields if number % 2 else tuple(reversed(Round._fields))
        found.append(Round(**{way: bench.send(way, file) for way in ways}))
    return found


def slowdown(rounds: Sequence[Round]) -> float:
    """Return the median over the rounds of the operator's time to curl's."""
    return median(one.operator.seconds / one.curl.seconds for one in rounds)


def rows(*, quick: bool) -> list[Row]:
    """Measure."""
    size, large = (256 * MIB, 512 * MIB) if quick else (2048 * MIB, 4096 * MIB)
    (ROOT / ".airflow").mkdir(exist_ok=True)
    with Server(orders=0) as server, tempfile.TemporaryDirectory(dir=ROOT / ".airflow", prefix="upload-") as place:
        bench = Bench(server, Path(place))
        idle, biggest = bench.send("operator", bench.file(1000)), bench.send("operator", bench.file(large))
        rounds = compare(bench, bench.file(size), 1 if quick else 5) if shutil.which("curl") else []
    found = [
        Row(
            f"{large // MIB:,} MiB uploaded: MB of memory over an idle task",
            over(idle, biggest),
            150,
            f"idle {idle.memory:.0f} MB, while uploading {biggest.memory:.0f} MB",
        )
    ]
    if not rounds:
        print("There is no curl on this machine: uploads are compared with nothing.")
        return found
    ours, theirs = (median(size / MEGABYTE / one.seconds for one in way) for way in zip(*rounds, strict=True))
    busy = median(one.curl.server for one in rounds)
    bound = ", which bounds both" if busy > BUSIEST else ""
    note = f"this provider {ours:.0f} MB/s, curl {theirs:.0f} MB/s; the server busy for {busy:.0%} of the latter{bound}"
    return [*found, Row(f"{size // MIB:,} MiB uploaded: time to that of curl -F", slowdown(rounds), 1.25, note)]
