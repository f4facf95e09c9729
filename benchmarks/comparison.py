"""One poll of an order with thousands of documents, compared with the order before its rerun."""

from __future__ import annotations

import time
from statistics import median

from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.freshness import Rerun
from benchmarks.table import Row

MANY, FEW = 3000, 300
BEFORE, AFTER = "2024-01-16T14:20:00Z", "2024-03-01T12:07:30.511Z"


def seconds(number: int, rounds: int) -> float:
    """Return the CPU that it takes to compare all documents, each made anew in its place."""
    order = {"status": "completed", "level": 0, "orderDocs": [_document(one, BEFORE) for one in range(number)]}
    seen = {**order, "orderDocs": [_document(one, AFTER) for one in range(number)]}
    rerun = Rerun(Baseline.from_order(order), "2024-03-01T12:00:00Z")
    found = []
    for _ in range(rounds):
        begun = time.process_time()
        evidence = rerun.evidence(seen)
        found.append(time.process_time() - begun)
        assert evidence == ["documents"]  # noqa: S101 - else nothing was measured
    return median(found)


def _document(number: int, written: str) -> dict[str, object]:
    return {"id": f"doc_{number}", "type": "subtitle", "size": number, "createdAt": BEFORE, "updatedAt": written}


def rows(*, quick: bool) -> list[Row]:
    """Measure."""
    rounds = 3 if quick else 15
    many, few = seconds(MANY, rounds), seconds(FEW, rounds)
    return [
        Row(
            f"comparing a poll with its baseline: {MANY:,} documents to {FEW}",
            many / few,
            15,
            f"{1000 * many:.0f} ms and {1000 * few:.1f} ms",
        )
    ]
