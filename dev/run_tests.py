"""`make test`: every check, and a summary; `PART` names one part, `ARGS` go to pytest.

The parts that need a whole Airflow run one after the other and are shown as they go; the others run beside them and are
shown at their end.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dev import browser
from dev.processes import Interrupted, StackError, interruptible, kill_session, members, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future

ROOT = Path(__file__).parents[1]
_NOTHING_COLLECTED = 5
#: Seconds for what runs to tidy up; it may have an Airflow to stop.
STOP_TIMEOUT = 60.0
#: As many tests at a time as there are processors, where none needs what is there only once.
PARALLEL = ("-n", "logical", "--maxprocesses", "4", "--dist", "worksteal")
#: Parts that run beside the others, one after the other in this order. A whole Airflow leaves much of the machine
#: unused, but is sensitive to who takes it away; so these take only what is left. The last can use all of it.
BESIDE = ("types", "docs", "unit", "model", "wheel", "oldest", "integration")
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
    beside: bool = False

    @property
    def word(self) -> str:
        """What the summary says of it."""
        return ("ok" if self.ran else "NOT RUN") if self.passed else "FAILED"


def commands(arguments: Sequence[str], *, colour: bool, whole: bool = False) -> dict[str, list[list[str]]]:
    """
    Return the commands of each part, in the order in which they run.

    :param arguments: for pytest.
    :param colour: whether pytest shall print in colours.
    :param whole: whether the tests in a browser run all, or the telling ones.
    """
    python = [sys.executable, "-m"]
    pytest = [*python, "pytest", f"--color={'yes' if colour else 'no'}"]
    return {
        "lint": [[*python, "ruff", "check"], [*python, "ruff", "format", "--check"]],
        "types": [[*python, "mypy"]],
        "docs": [[*python, "dev.docs"]],
        "unit": [[*pytest, "tests/unit", *arguments]],
        # `make test-model` plays many more stories.
        "model": [[*pytest, "tests/model", *PARALLEL, *arguments]],
        "integration": [[*pytest, "tests/integration", *PARALLEL, *arguments]],
        "e2e": [[*pytest, "tests/e2e", *arguments]],
        "browser": [
            [*python, "dev.browser"],
            [*pytest, "tests/browser", *([] if whole else ["-m", "telling"]), *arguments],
        ],
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
    lines = [
        f"{one.part:<14} {one.word:<8} {one.seconds:7.1f} s  {'beside  ' * one.beside}{one.note}".rstrip()
        for one in outcomes
    ]
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
    Runs commands, one at a time, each in a session of its own.

    :param show: is given what they print as it comes.
    :param beside: take only what others leave of the processors.
    """

    def __init__(self, show: Callable[[bytes], None], *, beside: bool = False) -> None:
        self._show = show
        self._beside = beside
        self._lock = threading.Lock()
        self._session: int | None = None
        self._stopped = False

    def run(self, line: Sequence[str]) -> tuple[int, str]:
        """Run a command; return its exit code and its output."""
        # A developer's own Airflow settings must not decide what the tests say.
        env = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("AIRFLOW")}
        with self._lock:
            if self._stopped:
                return 1, ""
            process = subprocess.Popen(
                ["nice", "-n", "19", *line] if self._beside else line,
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._session = process.pid
        if self._beside:
            give_way(process.pid)
        if process.stdout is None:
            raise AssertionError("a pipe was asked for")
        output = b""
        while piece := os.read(process.stdout.fileno(), 65536):
            output += piece
            self._show(piece)
        with self._lock:
            # Once it is waited for, its number may become somebody else's.
            self._session = None
            return process.wait(), output.decode(errors="replace")

    def stop(self) -> None:
        """End what runs, and run nothing more."""
        with self._lock:
            self._stopped = True
            session = self._session
        if session is None:
            return
        with suppress(ProcessLookupError, StackError):
            # As Ctrl-C does: for that pytest and our own programs tidy up.
            os.killpg(session, signal.SIGINT)
            wait_until(lambda: not members(session), STOP_TIMEOUT, "the end of what was started", every=0.05)
        kill_session(session, "what was started")


def give_way(session: int) -> None:
    """Let a session take only what others leave: where Linux shares by session, niceness counts within one alone."""
    with suppress(OSError):
        Path(f"/proc/{session}/autogroup").write_text("19")


def show(output: bytes) -> None:
    """Print what a command printed."""
    sys.stdout.buffer.write(output)
    sys.stdout.buffer.flush()


class Beside:
    """
    Runs parts beside others, one after the other, and keeps what they print until it is asked for.

    :param parts: the commands of each.
    :param chosen: whether there are arguments that choose tests.
    """

    def __init__(self, parts: Mapping[str, Sequence[Sequence[str]]], *, chosen: bool) -> None:
        self.found: dict[str, Outcome] = {}
        self._said: dict[str, list[bytes]] = {part: [] for part in parts}
        self._pool = ThreadPoolExecutor(1)
        self._running: dict[str, Future[Outcome]] = {}
        self._commands: list[Commands] = []
        for part, lines in parts.items():
            commands_of_part = Commands(self._said[part].append, beside=True)
            self._commands.append(commands_of_part)
            self._running[part] = self._pool.submit(run_part, part, lines, commands_of_part.run, chosen=chosen)

    def show(self, *, all_of_it: bool = False) -> None:
        """Show what has ended since, or wait for all to end and show it as it does."""
        for part, future in list(self._running.items()):
            if all_of_it or future.done():
                self.found[part] = dataclasses.replace(future.result(), beside=True)
                del self._running[part]
                self._show(part)

    def stop(self) -> None:
        """End what runs, run nothing more, and show what there is."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for one in self._commands:
            one.stop()
        # They may not have read yet what was said last.
        wait([one for one in self._running.values() if not one.cancelled()], timeout=STOP_TIMEOUT)
        for part in self._running:
            if self._said[part]:
                self._show(part)

    def _show(self, part: str) -> None:
        show(f"\n---- {part}\n".encode() + b"".join(self._said[part]))


def run_parts(parts: Mapping[str, Sequence[Sequence[str]]], *, chosen: bool, by_name: bool) -> list[Outcome]:
    """
    Run parts; those of `BESIDE` beside the others.

    :param parts: the commands of each.
    :param chosen: whether there are arguments that choose tests.
    :param by_name: whether somebody asked for just this part: then one that cannot run, or has no test, has not passed.
    """
    chosen = chosen and not by_name
    aside = {part: parts[part] for part in BESIDE if part in parts and not by_name}
    found: dict[str, Outcome] = {}
    before, beside = Commands(show), Beside(aside, chosen=chosen)
    try:
        for part, lines in parts.items():
            if part in aside:
                continue
            show(f"\n---- {part}\n".encode())
            if missing := obstacle(part):
                found[part] = Outcome(part, not by_name, 0.0, f"not run: {missing}", ran=False)
            else:
                found[part] = run_part(part, lines, before.run, chosen=chosen)
            beside.show()
        beside.show(all_of_it=True)
    except BaseException:
        before.stop()
        beside.stop()
        raise
    return [(found | beside.found)[part] for part in parts]


def main() -> int:
    """Run the parts.

    :return: 0 if all passed, 1 if any failed, 2 for an unknown part.
    """
    arguments = shlex.split(os.environ.get("ARGS", ""))
    wanted = os.environ.get("PART", "").strip()
    parts = commands(arguments, colour=sys.stdout.isatty(), whole=bool(wanted))
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
