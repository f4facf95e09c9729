"""What importing the operators and the sensors adds to what every DAG file imports anyway."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.table import Row
from dev.stack import environment

SDK = "import airflow.sdk"
ROOT = Path(__file__).parents[1]
OURS = [
    f"airflow_provider_ollang.{kind}.{path.stem}"
    for kind in ("operators", "sensors")
    for path in sorted((ROOT / "airflow_provider_ollang" / kind).glob("[!_]*.py"))
]
ADDED = {
    "alone": "",
    "this provider's": f"import {', '.join(OURS)}",
    "dbt Cloud's": "import airflow.providers.dbt.cloud.operators.dbt, airflow.providers.dbt.cloud.sensors.dbt",
}


def seconds(statement: str, home: str) -> float:
    """Return the CPU that an import takes in a new process; CPU, since other processes prolong only the rest."""
    code = f"import time; begun = time.process_time(); {SDK}; {statement}\nprint(time.process_time() - begun)"
    env = environment(os.environ, {"AIRFLOW_HOME": home})
    done = subprocess.run([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def rows(*, quick: bool) -> list[Row]:
    """Measure."""
    found: dict[str, list[float]] = {name: [] for name in ADDED}
    with tempfile.TemporaryDirectory(prefix="ollang-benchmarks-") as home:
        seconds("", home)
        for _ in range(1 if quick else 11):
            for name, statement in ADDED.items():
                found[name].append(seconds(statement, home))
    alone = found["alone"]
    ours, theirs = (
        1000 * median(more - less for more, less in zip(found[name], alone, strict=True))
        for name in ("this provider's", "dbt Cloud's")
    )
    return [
        Row(
            "import of operators and sensors with airflow.sdk: to airflow.sdk alone",
            median(mine / sdk for mine, sdk in zip(found["this provider's"], alone, strict=True)),
            1.25,
            f"{1000 * median(alone):.0f} ms alone; this provider adds {ours:.0f} ms, dbt Cloud's {theirs:.0f} ms",
        )
    ]
