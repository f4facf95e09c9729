"""Uploads a file in a process of its own and prints what that cost: run by `benchmarks.upload`.

`operator STATE FILE` uploads it as one try of a task does; `curl STATE FILE` lets curl do it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.transfer import highest_memory

if TYPE_CHECKING:
    from collections.abc import Callable


def operator(state: Path, file: Path) -> str:
    """Upload it by this provider's operator."""
    from tests.integration.transfers import upload_try  # noqa: PLC0415 - curl does without Airflow

    return str(upload_try.main(state, {"source": str(file), "source_language": "en"})["result"]["project_id"])


def curl(state: Path, file: Path) -> str:  # noqa: ARG001 - as the other way
    """Upload it by curl, which reads it while it sends it, too."""
    connection = json.loads(os.environ["AIRFLOW_CONN_OLLANG_DEFAULT"])
    command = [
        *("curl", "--silent", "--show-error", "--fail", "--cacert", connection["extra"]["ca_bundle"]),
        *("-H", f"X-Api-Key: {connection['password']}", "-H", "Expect:"),
        *("-F", f"name={file.name}", "-F", "sourceLanguage=en", "-F", f"file=@{file};type=video/mp4"),
        f"{connection['host']}:{connection['port']}/integration/upload/direct",
    ]
    answer = subprocess.run(command, capture_output=True, check=True)
    return str(json.loads(answer.stdout)["projectId"])


WAYS: dict[str, Callable[[Path, Path], str]] = {"operator": operator, "curl": curl}


def main(way: str, state: str, file: str) -> None:
    """Upload it, and print the result."""
    if way == "operator":
        import tests.integration.transfers.upload_try  # noqa: F401, PLC0415 - its imports are not measured
    begun = time.perf_counter()
    project_id = WAYS[way](Path(state), Path(file))
    seconds = time.perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_SELF if way == "operator" else resource.RUSAGE_CHILDREN)
    cost = {"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "bytes": highest_memory()}
    print(f"\n{json.dumps({**cost, 'project_id': project_id})}")


if __name__ == "__main__":
    main(*sys.argv[1:])
