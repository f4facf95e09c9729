"""`make bench`: measures, prints the table and writes it down; the exit code tells whether every bar is met."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from benchmarks import comparison, delivery, imports, many_waits, rate_limit, upload, worker_starts
from benchmarks.table import Row, markdown
from dev.processes import Interrupted, StackError, interruptible

if TYPE_CHECKING:
    from collections.abc import Sequence


class Measurement(Protocol):
    """Measures one thing and returns its rows."""

    def __call__(self, *, quick: bool) -> list[Row]:
        """Measure, less often if it has to be quick."""


MEASUREMENTS: tuple[Measurement, ...] = (
    many_waits.rows,
    rate_limit.rows,
    comparison.rows,
    worker_starts.rows,
    imports.rows,
    delivery.rows,
    upload.rows,
)
RESULTS = Path(__file__).parent / "results.md"
PACKAGES = ("apache-airflow", "aiohttp", "apache-airflow-providers-dbt-cloud")


def main(
    arguments: Sequence[str] | None = None,
    measurements: Sequence[Measurement] = MEASUREMENTS,
    results: Path = RESULTS,
) -> int:
    """Measure everything.

    :return: 0 if every bar is met, 1 if not.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure little, to try the benchmarks; writes no file")
    quick: bool = parser.parse_args(arguments).quick
    rows: list[Row] = []
    try:
        with interruptible():
            for measurement in measurements:
                print(f"{sys.modules[measurement.__module__].__doc__}", flush=True)
                rows += measurement(quick=quick)
    except Interrupted as signal:
        return signal.exit_code
    except StackError as error:
        print(f"The benchmarks failed: {error}", file=sys.stderr)
        return 1
    table = markdown(rows)
    print(f"\n{table}")
    if not quick:
        results.write_text(page(table))
    missed = [row.what for row in rows if row.missed]
    print(f"\nMISSED: {'; '.join(missed)}" if missed else "\nEvery bar is met.")
    return 1 if missed else 0


def page(table: str) -> str:
    """Return the table with what it was measured on."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        "# What waiting and delivering cost\n\n"
        "Written by `make bench` from one run; to make it anew, run that again. What each line means and how it is\n"
        "measured: [docs/benchmarks.md](../docs/benchmarks.md). Only ratios carry over to another machine.\n\n"
        f"{table}\n\n"
        f"Python {platform.python_version()}, {versions}; {platform.machine()}, {os.cpu_count()} processors.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
