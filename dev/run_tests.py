"""`make test`: every check, one part after the other, and a summary; `PART` names one part, `ARGS` go to pytest."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dev import browser
from dev.processes import Interrupted, interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).parents[1]
_NOTHING_COLLECTED = 5
#: Parts whose tests need nothing that is there only once: as many of them at a time as there are processors.
PARALLEL = ("-n", "logical", "--maxprocesses", "4", "--dist", "worksteal")
_CLOSING = re.compile(r"^(?:=+ )?(no tests ran|\d+ \w+(?:, \d+ \w+)*) in [\d.]+s\b.*$")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Outcome:
    """What came of a part."""

    part: str
    passed: bool
    seconds: float
    note: str = ""
    ran: bool = True

    @property
    def word(self) -> str:
        """What the summary says of it."""
        return ("ok" if self.ran else "NOT RUN") if self.passed else "FAILED"


def commands(arguments: Sequence[str], *, colour: bool) -> dict[str, list[list[str]]]:
    """Return the commands of each part, in the order in which they run."""
    python = [sys.executable, "-m"]
    pytest = [*python, "pytest", f"--color={'yes' if colour else 'no'}"]
    return {
        "lint": [[*python, "ruff", "check"], [*python, "ruff", "format", "--check"]],
        "types": [[*python, "mypy"]],
        "docs": [[*python, "dev.docs"]],
        **{part: [[*pytest, f"tests/{part}", *PARALLEL, *arguments]] for part in ("unit", "integration")},
        "e2e": [[*pytest, "tests/e2e", *arguments]],
        "browser": [[*python, "dev.browser"], [*pytest, "tests/browser", *arguments]],
        # `make test-crash` plays the whole matrix.
        "kills": [[*pytest, "tests/crash/test_matrix.py", "tests/crash/test_evaluate.py", "-m", "telling", *arguments]],
        "wheel": [[*pytest, "tests/package", *arguments]],
        # `make test-matrix` runs all versions.
        "oldest": [[*python, "dev.matrix", "oldest", *arguments]],
    }


def closing_line(output: str) -> str:
    """Return what pytest says at the end about the number of tests; empty if this is no output of pytest."""
    for line in reversed(_COLOUR.sub("", output).splitlines()):
        found = _CLOSING.match(line.strip())
        if found:
            return found[1]
    return ""


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return the table at the end."""
    lines = [f"{one.part:<14} {one.word:<8} {one.seconds:7.1f} s  {one.note}".rstrip() for one in outcomes]
    total = sum(one.seconds for one in outcomes)
    passed = all(one.passed for one in outcomes)
    lines.append(f"{'total':<14} {'ok' if passed else 'FAILED':<8} {total:7.1f} s")
    return "\n".join(lines)


def obstacle(part: str) -> str:
    """Say why a part cannot run on this machine; empty if it can."""
    return browser.MISSING if part == "browser" and browser.find() is None else ""


def run_part(
    part: str,
    lines: Sequence[Sequence[str]],
    run: Callable[[Sequence[str]], tuple[int, str]],
    *,
    chosen: bool = False,
) -> Outcome:
    """Run all commands of a part; arguments that have `chosen` tests of one part leave nothing to do in the others."""
    started = time.monotonic()
    codes, note = [], ""
    for line in lines:
        code, output = run(line)
        note = closing_line(output) or note
        codes.append(0 if chosen and code == _NOTHING_COLLECTED else code)
    return Outcome(part, not any(codes), time.monotonic() - started, note)


def run_command(line: Sequence[str]) -> tuple[int, str]:
    """Run a command, showing what it prints as it comes; return its exit code and its output."""
    # A developer's own Airflow settings must not decide what the tests say.
    env = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("AIRFLOW")}
    process = subprocess.Popen(
        line, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if process.stdout is None:
        raise AssertionError("a pipe was asked for")
    output = b""
    try:
        while piece := os.read(process.stdout.fileno(), 65536):
            output += piece
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        return process.wait(), output.decode(errors="replace")
    except Interrupted:
        # It may have an Airflow to stop; a terminal has told it already, a supervisor of this process has not.
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise


def main() -> int:
    """Run the parts.

    :return: 0 if all passed, 1 if any failed, 2 for an unknown part.
    """
    arguments = shlex.split(os.environ.get("ARGS", ""))
    parts = commands(arguments, colour=sys.stdout.isatty())
    wanted = os.environ.get("PART", "").strip()
    if wanted and wanted not in parts:
        print(f"There is no part {wanted!r}; there are {', '.join(parts)}.", file=sys.stderr)
        return 2
    outcomes: list[Outcome] = []
    try:
        with interruptible():
            for part in [wanted] if wanted else parts:
                print(f"\n---- {part}", flush=True)
                if missing := obstacle(part):
                    # Whoever asked for it by name is not to believe that it passed.
                    outcomes.append(Outcome(part, not wanted, 0.0, f"not run: {missing}", ran=False))
                    continue
                outcomes.append(run_part(part, parts[part], run_command, chosen=bool(arguments)))
    except Interrupted as signal_seen:
        print("\ninterrupted", file=sys.stderr)
        return signal_seen.exit_code
    print(f"\n---- summary\n{summary(outcomes)}")
    return 0 if all(one.passed for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
