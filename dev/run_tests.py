"""`make test`: every check, and a summary; `PART` names one part, `ARGS` go to pytest.

The longest parts run one after the other and are shown as they go; the others run beside them, and are shown at their
end.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dev import browser
from dev.processes import Interrupted, interruptible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).parents[1]
_NOTHING_COLLECTED = 5
#: As many tests at a time as there are processors, where none needs what is there only once.
PARALLEL = ("-n", "logical", "--maxprocesses", "4", "--dist", "worksteal")
#: Parts that run beside the others, one after the other. A whole Airflow leaves much of the machine unused, but is
#: sensitive to who takes it away; so these take only what is left.
BESIDE = ("types", "docs", "unit", "wheel", "oldest")
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
        "unit": [[*pytest, "tests/unit", *arguments]],
        "integration": [[*pytest, "tests/integration", *PARALLEL, *arguments]],
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


def summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Return the table at the end; parts that ran beside each other took less time together."""
    lines = [f"{one.part:<14} {one.word:<8} {one.seconds:7.1f} s  {one.note}".rstrip() for one in outcomes]
    passed = all(one.passed for one in outcomes)
    lines.append(f"{'total':<14} {'ok' if passed else 'FAILED':<8} {seconds:7.1f} s")
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


class Commands:
    """
    Runs commands, one at a time.

    :param beside: keep what they print, and take only what others leave of the processors.
    """

    def __init__(self, *, beside: bool = False) -> None:
        self._beside = beside
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self, line: Sequence[str]) -> tuple[int, str]:
        """Run a command, showing what it prints as it comes; return its exit code and its output."""
        # A developer's own Airflow settings must not decide what the tests say.
        env = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("AIRFLOW")}
        with self._lock:
            if self._stopped:
                return 1, ""
            process = self._process = subprocess.Popen(
                ["nice", "-n", "19", *line] if self._beside else line,
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        if process.stdout is None:
            raise AssertionError("a pipe was asked for")
        output = b""
        while piece := os.read(process.stdout.fileno(), 65536):
            output += piece
            if not self._beside:
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
        return process.wait(), output.decode(errors="replace")

    def stop(self) -> None:
        """End what runs, and run nothing more."""
        with self._lock:
            self._stopped = True
        if self._process is not None:
            # It may have an Airflow to stop; a terminal has told it already, a supervisor of this process has not.
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()


def run_parts(parts: Mapping[str, Sequence[Sequence[str]]], *, chosen: bool, by_name: bool) -> list[Outcome]:
    """
    Run parts; those that need little of the machine run beside the others.

    :param parts: the commands of each.
    :param chosen: whether there are arguments that choose tests.
    :param by_name: whether somebody asked for just this part: then one that cannot run has not passed.
    """
    found: dict[str, Outcome] = {}
    before, beside = Commands(), Commands(beside=True)
    kept: dict[str, str] = {}

    def run_beside(part: str) -> None:
        said: list[str] = []

        def run(line: Sequence[str]) -> tuple[int, str]:
            code, output = beside.run(line)
            said.append(output)
            return code, output

        found[part] = run_part(part, parts[part], run, chosen=chosen)
        kept[part] = "".join(said)

    def show_kept() -> None:
        for part in list(kept):
            print(f"\n---- {part}\n{kept.pop(part)}", end="", flush=True)

    with ThreadPoolExecutor(1) as pool:
        try:
            waiting = [pool.submit(run_beside, part) for part in parts if part in BESIDE and not by_name]
            for part in parts:
                if part in BESIDE and not by_name:
                    continue
                print(f"\n---- {part}", flush=True)
                if missing := obstacle(part):
                    found[part] = Outcome(part, not by_name, 0.0, f"not run: {missing}", ran=False)
                else:
                    found[part] = run_part(part, parts[part], before.run, chosen=chosen)
                show_kept()
            for one in waiting:
                one.result()
                show_kept()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            beside.stop()
            before.stop()
            raise
    return [found[part] for part in parts]


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
    started = time.monotonic()
    try:
        with interruptible():
            chosen = {wanted: parts[wanted]} if wanted else parts
            outcomes = run_parts(chosen, chosen=bool(arguments), by_name=bool(wanted))
    except Interrupted as signal_seen:
        print("\ninterrupted", file=sys.stderr)
        return signal_seen.exit_code
    print(f"\n---- summary\n{summary(outcomes, time.monotonic() - started)}")
    return 0 if all(one.passed for one in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
