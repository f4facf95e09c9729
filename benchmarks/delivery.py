"""Two gigabytes delivered: memory, throughput beside a bare stream, and what a killed try costs and leaves."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from benchmarks.proxy import CountingProxy
from benchmarks.server import ROOT, Server
from benchmarks.table import Row
from dev.processes import StackError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MIB = 1 << 20
MEGABYTE = 1_000_000
LIMIT = 300.0
# A server that has less to spare may be what both wait for.
BUSIEST = 0.9


class Order(NamedTuple):
    """An order with files to deliver.

    :param link: of its first file.
    :param expected: the SHA-256 of each file, by its final name.
    :param size: bytes of all files together.
    """

    id: str
    link: str
    expected: Mapping[str, str]
    size: int


@dataclass(frozen=True)
class Cost:
    """What one process took to bring the files.

    :param seconds: from before the first request to the final name.
    :param cpu: seconds of the process's CPU.
    :param memory: the most megabytes that the process ever had.
    :param server: share of that time in which the server's process had the CPU.
    """

    seconds: float
    cpu: float
    memory: float
    server: float = 0


class Round(NamedTuple):
    """Both ways at the same moment."""

    operator: Cost
    bare: Cost


@dataclass(frozen=True)
class Killed:
    """A delivery that was killed and tried again.

    :param what: of which files, and when.
    :param sent: bytes that came from the file host in both tries, to the size of the files.
    :param recorded: files that were on record as delivered when the process died.
    :param again: of those, files that the second try requested.
    :param begun: files that both tries requested.
    :param torn: files under a final name, right after the kill, that were not whole.
    :param wrong: files that were not what they should be after the second try, were missing, or should not be there.
    """

    what: str
    sent: float
    recorded: int
    again: int
    begun: int
    torn: int
    wrong: int


def on_record(state: Path) -> set[str]:
    """Return the names of the files that a task state store has on record as delivered."""
    stored = json.loads(state.read_text()) if state.exists() else {}
    return {file_name for batch in stored.values() for _, file_name, *_ in batch["value"].values()}


def ratio(rounds: Sequence[Round], of: str) -> float:
    """Return the median over the rounds of what the operator took to what a bare stream took."""
    return median(float(getattr(one.operator, of) / getattr(one.bare, of)) for one in rounds)


def over(idle: Cost, *busy: Cost) -> float:
    """Return by how many megabytes the largest process exceeded the idle one."""
    return max(cost.memory for cost in busy) - idle.memory


def torn(there: Mapping[str, str], expected: Mapping[str, str]) -> int:
    """Count the files that are there and are not whole."""
    return sum(expected.get(name) != sha256 for name, sha256 in there.items())


def wrong(there: Mapping[str, str], expected: Mapping[str, str]) -> int:
    """Count the files that are not what they should be, are missing, or should not be there."""
    return sum(there.get(name) != expected.get(name) for name in {*there, *expected})


def files_in(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file by its path in a folder, but for staged ones, which are removed once old."""
    sums = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".ollang-")):
        with path.open("rb") as file:
            sums[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


class Bench:
    """The server, its orders, and a place on a disk of this checkout.

    :param server: where the orders are.
    :param place: where to deliver to.
    """

    def __init__(self, server: Server, place: Path) -> None:
        self._server = server
        self._place = place

    def order(self, files: int, size: int) -> Order:
        """Make an order with so many files of so many bytes."""
        order_id = f"bench-{files}-of-{size}"
        names = [f"part-{number}.mp4" for number in range(files)]
        self._server.admin(
            "PUT",
            f"/orders/{order_id}",
            {
                "order": {"type": "document", "status": "completed"},
                "files": [{"id": name, "name": name, "size": size} for name in names],
            },
        )
        documents = {one["id"]: one for one in self._server.order(order_id)["orderDocs"]}
        expected = {name: self._server.admin("GET", f"/orders/{order_id}/files/{name}")["sha256"] for name in names}
        return Order(order_id, documents[names[0]]["url"], expected, files * size)

    def bring(self, way: str, order: Order) -> Cost:
        """Bring an order's files by one of the ways of `benchmarks.transfer`; they are gone afterwards."""
        with self._folder() as folder:
            before = self._server.cpu
            cost = self._server.run("transfer", way, folder, order.id if way == "operator" else order.link)
            if cost["sha256"] != sorted(order.expected.values()):
                raise StackError(f"{way}: what came of {order.id} is something else")
        server = (self._server.cpu - before) / cost["seconds"]
        return Cost(cost["seconds"], cost["cpu"], cost["bytes"] / MEGABYTE, server)

    def kill(self, order: Order, share: float) -> Killed:
        """Kill a delivery when this share of the bytes has come, and try again."""
        count = len(order.expected)
        what = f"{count} file{'s' if count > 1 else ''} at {share:.0%}"
        with self._folder() as folder, CountingProxy(urlsplit(order.link).port or 0) as proxy:
            begun = self._server.last()
            self._killed_try(order, folder, proxy, int(share * order.size))
            after_kill = torn(files_in(folder / "out"), order.expected)
            killed = self._server.last()
            recorded = on_record(folder / "state.json")
            self._server.run("transfer", "operator", folder, order.id, **self._through(proxy))
            after_all = wrong(files_in(folder / "out"), order.expected)
            first, second = (self._requested(order, *span) for span in ((begun, killed), (killed, self._server.last())))
            return Killed(
                what,
                proxy.received / order.size,
                len(recorded),
                len(second & recorded),
                len(first & second),
                after_kill,
                after_all,
            )

    def _requested(self, order: Order, after: int, until: int) -> set[str]:
        """Return the names of an order's files that were requested between two numbered requests."""
        paths = [urlsplit(one.path).path for one in self._server.looks(after)[: until - after]]
        return {path.rpartition("/")[2] for path in paths if path.startswith(f"/files/{order.id}/")}

    def _killed_try(self, order: Order, folder: Path, proxy: CountingProxy, at: int) -> None:
        env = self._server.environment(**self._through(proxy))
        command = [sys.executable, "-m", "benchmarks.transfer", "operator", str(folder), order.id]
        with subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                proxy.at(at, process.kill)
                said, _ = process.communicate(timeout=LIMIT)
            finally:
                process.kill()
        if process.returncode != -9 or proxy.received < at:
            raise StackError(
                f"{order.id} was to be killed at byte {at}, but ended at {proxy.received}:\n{said[-2000:]}"
            )

    def _through(self, proxy: CountingProxy) -> dict[str, str]:
        connection: dict[str, Any] = json.loads(self._server.connection)
        connection["extra"] = {**connection["extra"], "proxy": proxy.url}
        return {"AIRFLOW_CONN_OLLANG_DEFAULT": json.dumps(connection)}

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(dir=self._place))
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def compare(bench: Bench, order: Order, rounds: int) -> list[Round]:
    """Let both ways take turns, so that whatever else the machine does hits both alike."""
    found = []
    for number in range(rounds):
        # What the one leaves behind, such as a disk that still writes, must not always be the other's burden.
        ways = Round._fields if number % 2 else reversed(Round._fields)
        found.append(Round(**{way: bench.bring(way, order) for way in ways}))
    if (busy := median(one.bare.server for one in found)) > BUSIEST:
        raise StackError(
            f"the server had no time to spare ({busy:.0%} busy): it bounds both, so they cannot be compared"
        )
    return found


def note_of_time(rounds: Sequence[Round], size: int) -> str:
    """Return what both took, and how busy the server was."""
    ours, theirs = (median(size / MEGABYTE / one.seconds for one in way) for way in zip(*rounds, strict=True))
    busy = median(one.bare.server for one in rounds)
    return f"this provider {ours:.0f} MB/s, bare stream {theirs:.0f} MB/s; the server busy for {busy:.0%} of the latter"


def rows(*, quick: bool) -> list[Row]:
    """Measure."""
    size = 256 * MIB if quick else 2048 * MIB
    (ROOT / ".airflow").mkdir(exist_ok=True)
    with Server(orders=0) as server, tempfile.TemporaryDirectory(dir=ROOT / ".airflow", prefix="delivery-") as place:
        bench = Bench(server, Path(place))
        one, four = bench.order(1, size), bench.order(4, size // 4)
        idle = bench.bring("operator", bench.order(1, 1000))
        rounds = compare(bench, one, 1 if quick else 6)
        at_once = bench.bring("operator", four)
        many, single = bench.order(8, size // 32), bench.order(1, size // 8)
        killed = [bench.kill(many, share) for share in ((0.5,) if quick else (0.05, 0.25, 0.5, 0.75, 0.99))]
        killed += [bench.kill(single, share) for share in ((0.95,) if quick else (0.05, 0.5, 0.95, 1))]
    delivered = f"{size // MIB:,} MiB delivered"
    alone = max((one.operator for one in rounds), key=lambda cost: cost.memory)
    kills = ", ".join(f"{one.what}: {one.sent:.2f}" for one in killed)
    recorded = sum(one.recorded for one in killed)
    return [
        Row(
            f"{delivered}: MB of memory over an idle task",
            over(idle, alone, at_once),
            200,
            f"idle {idle.memory:.0f} MB, one file {alone.memory:.0f} MB, 4 files at once {at_once.memory:.0f} MB",
        ),
        Row(f"{delivered}: time to a bare stream's", ratio(rounds, "seconds"), 1.1, note_of_time(rounds, size)),
        Row(f"{delivered}: CPU to a bare stream's", ratio(rounds, "cpu"), 1.15),
        Row(
            "killed and retried: bytes that the file host sent to those of the files",
            max(one.sent for one in killed),
            note=kills,
        ),
        Row(
            "killed and retried: files on record that were fetched again",
            sum(one.again for one in killed),
            0,
            f"{recorded} were on record",
        ),
        Row(
            "killed and retried: files that were begun again, at 4 at once",
            max(one.begun for one in killed),
            4,
        ),
        Row("killed: files under a final name that are not whole", sum(one.torn for one in killed), 0),
        Row("killed and retried: files that are not what they should be", sum(one.wrong for one in killed), 0),
    ]
