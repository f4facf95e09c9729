"""Brings files in a process of its own and prints what that cost: run by `benchmarks.delivery`.

`operator FOLDER ORDER_ID` delivers an order as one try of a task does; `bare FOLDER LINK` streams one file.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Callable

# The fastest for a stream to a disk: with 1 MiB, for one, it takes half as much CPU again.
PIECE = 1 << 16


def operator(folder: Path, order_id: str) -> list[str]:
    """Deliver an order by this provider's operator; `folder` keeps what the tries of the task leave to each other."""
    delivered = one_try().main(
        folder / "state.json", {"order_id": order_id, "destination": f"file://{folder}/out", "folder_per_order": False}
    )
    return [file["sha256"] for file in delivered["manifest"]["files"]]


def bare(folder: Path, link: str) -> list[str]:
    """Stream one file to the same place, with its SHA-256: the least a delivery can cost."""
    digest = hashlib.sha256()
    out = folder / "out"
    out.mkdir()
    with requests.get(link, stream=True, timeout=60) as answer, (out / "bare").open("wb") as file:
        answer.raise_for_status()
        for piece in answer.iter_content(PIECE):
            file.write(piece)
            digest.update(piece)
    return [digest.hexdigest()]


WAYS: dict[str, Callable[[Path, str], list[str]]] = {"operator": operator, "bare": bare}


def one_try() -> Any:
    """Return the module that runs one try, with all its imports; the tests kill the same."""
    from tests.integration.transfers import one_try as module  # noqa: PLC0415 - a bare stream does without Airflow

    return module


def main(way: str, folder: str, what: str) -> None:
    """Bring it, and print the result."""
    if way == "operator":
        one_try()
    begun, cpu = time.perf_counter(), time.process_time()
    sha256 = WAYS[way](Path(folder), what)
    cost = {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - cpu}
    print(f"\n{json.dumps({**cost, 'bytes': highest_memory(), 'sha256': sorted(sha256)})}")


def highest_memory() -> int:
    """Return the most bytes of memory that this process has had."""
    highest = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(highest.split()[1]) << 10


if __name__ == "__main__":
    main(*sys.argv[1:])
