"""Runs a part of `make test` and notes what came of it; `--summary` prints the notes as a table: see the Makefile."""

from __future__ import annotations

import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dev.processes import Interrupted, StackError, interruptible, kill_session, members, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
NOTES = ROOT / ".airflow" / "parts"
NO_TESTS = 5
#: Seconds for a part to clean up; it may have an Airflow to stop.
STOP_TIMEOUT = 60.0
_CLOSING = re.compile(r"^=* ?(no tests ran|\d+ \w+(?:, \d+ \w+)*) in [\d.]+s\b.*$", re.MULTILINE)


def closing_line(output: str) -> str:
    """Return what pytest says at the end about the number of tests; empty if this is no output of pytest."""
    counts = _CLOSING.findall(output)
    return counts[-1] if counts else ""


def run(command: Sequence[str]) -> tuple[int, str]:
    """Run a command in a session of its own, without the developer's Airflow settings; return exit code and output."""
    env = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("AIRFLOW")}
    # Or each of some hundred processes would compile Airflow anew.
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    output = b""
    with interruptible() as interruption:
        with interruption.postponed():
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            while piece := os.read(process.stdout.fileno(), 65536):  # type: ignore[union-attr]
                output += piece
                sys.stdout.buffer.write(piece)
                sys.stdout.flush()
        except Interrupted:
            with suppress(ProcessLookupError, StackError):
                # As Ctrl-C does: for that pytest and our own programs clean up.
                os.killpg(process.pid, signal.SIGINT)
                wait_until(lambda: not members(process.pid), STOP_TIMEOUT, "the end of the part", every=0.05)
            kill_session(process.pid, "the part")
            raise
        return process.wait(), output.decode(errors="replace")


def note(part: str, state: str, text: str, began: float) -> None:
    """Keep what came of a part for the summary."""
    cpu = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    NOTES.mkdir(parents=True, exist_ok=True)
    values = {"state": state, "text": text, "began": began, "ended": time.time(), "cpu": cpu}
    (NOTES / part).write_text(json.dumps(values))


def summary(parts: Sequence[str]) -> tuple[int, str]:
    """Return an exit code and the table; parts run at the same time, so that the total is less than their sum."""
    # A part that left no note has failed, whatever came of it.
    missing: dict[str, Any] = {"state": "FAILED", "text": "it did not end", "began": math.inf, "ended": 0, "cpu": 0}
    notes = {part: json.loads(path.read_text()) if (path := NOTES / part).is_file() else missing for part in parts}
    states = {values["state"] for values in notes.values()}
    total: dict[str, Any] = {
        "state": "FAILED" if "FAILED" in states or "ok" not in states else "ok",
        "text": "",
        "began": min(values["began"] for values in notes.values()),
        "ended": max(values["ended"] for values in notes.values()),
        "cpu": sum(values["cpu"] for values in notes.values()),
    }
    lines = [
        f"{part:<12} {values['state']:<8}{max(values['ended'] - values['began'], 0):6.0f} s {values['cpu']:6.0f} CPU s"
        f"  {values['text']}".rstrip()
        for part, values in [*notes.items(), ("total", total)]
    ]
    return int(total["state"] != "ok"), "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Run a part, or print the summary; return an exit code."""
    part, *command = arguments
    if part == "--summary":
        code, table = summary(command)
        print(f"\n---- summary\n{table}")
        return code
    (NOTES / part).unlink(missing_ok=True)
    print(f"\n---- {part}", flush=True)
    began = time.time()
    if command[0] == "--not-run":
        print(f"NOT RUN: {command[1]}")
        note(part, "NOT RUN", command[1], began)
        return 0
    try:
        code, output = run(command)
    except Interrupted as interruption:
        return interruption.exit_code
    # Arguments that choose tests of one part leave none in the others.
    nothing = code == NO_TESTS and os.environ.get("ARGS", "")
    state = "NOT RUN" if nothing else "FAILED" if code else "ok"
    note(part, state, closing_line(output), began)
    return 0 if nothing else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
