"""Runs a part of `make test` and notes what came of it; `--summary` prints the notes as a table.

python -m dev.part unit .venv/bin/pytest tests/unit
python -m dev.part browser --not-run "no Chromium"
python -m dev.part --summary unit browser
"""

from __future__ import annotations

import json
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
        output = b""
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
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    values = {
        "state": state,
        "note": text,
        "began": began,
        "ended": time.time(),
        "cpu": usage.ru_utime + usage.ru_stime,
    }
    NOTES.mkdir(parents=True, exist_ok=True)
    (NOTES / part).write_text(json.dumps(values))


def summary(notes: dict[str, Any]) -> tuple[int, str]:
    """Return an exit code and the table; parts ran at the same time, so that the total is less than their sum."""
    lines = []
    for part, values in notes.items():
        seconds = values["ended"] - values["began"]
        lines.append(
            f"{part:<12} {values['state']:<8} {seconds:6.0f} s {values['cpu']:6.0f} CPU s  {values['note']}".rstrip()
        )
    states = {values["state"] for values in notes.values()}
    passed = "FAILED" not in states and "ok" in states
    begun = [values for values in notes.values() if values["began"]]
    seconds = max(values["ended"] for values in begun) - min(values["began"] for values in begun) if begun else 0
    cpu = sum(values["cpu"] for values in notes.values())
    lines.append(f"{'total':<12} {'ok' if passed else 'FAILED':<8} {seconds:6.0f} s {cpu:6.0f} CPU s")
    return 0 if passed else 1, "\n".join(lines)


def read_notes(parts: Sequence[str]) -> dict[str, Any]:
    """Read the notes; a part that left none has failed, whatever came of it."""
    missing = {"state": "FAILED", "note": "it did not end", "began": 0, "ended": 0, "cpu": 0}
    return {part: json.loads((NOTES / part).read_text()) if (NOTES / part).is_file() else missing for part in parts}


def main(arguments: Sequence[str]) -> int:
    """Run a part, or print the summary; return an exit code."""
    part, *command = arguments
    if part == "--summary":
        code, table = summary(read_notes(command))
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
