"""`make test-matrix`: the tests on each supported Airflow and Python, two combinations at a time, and a table.

`ONLY=3.1.8` or `ONLY=py3.12` chooses combinations. Each has an environment of its own below `.airflow/matrix`, which is
made once and kept as long as what it is made from stays the same. A Python that an Airflow allows but this machine does
not have is named in the table as not run; `ONLY=` with its name demands it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ET
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dev.environment import ROOT, UV
from dev.processes import Interrupted, interruptible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PLACE = ROOT / ".airflow" / "matrix"
#: An Airflow and the day as of which everything around it is taken: an older one does not run with what came out later.
#: The pinned one is taken as `make test` has it, the newest with all that is newest; the oldest is the first.
AIRFLOWS = {"3.1.8": "2026-03-15", "3.2.2": "2026-06-15", "3.3.2": "", "3.4": ""}
#: What of Airflow itself to install where it is no single version: pre-releases only until the final one is there.
SPECIFIERS = {
    "3.4": (
        "apache-airflow>=3.4.0b2,<3.5",
        "apache-airflow-core>=3.4.0b2,<3.5",
        "apache-airflow-task-sdk>=1.4.0b2,<1.5",
    )
}
#: Which of them `dev/requirements.txt` pins.
PINNED = "3.3.2"
PYTHONS = ("3.11", "3.12", "3.13")
#: Where Airflow allows one more: tried where there is one, and promised by no classifier before it was seen to pass.
LATER_PYTHONS = {"3.3.2": ("3.14",), "3.4": ("3.14",)}
OLDEST, *_, NEWEST = AIRFLOWS
#: How many combinations run at once.
AT_A_TIME = 2
#: What a skip has to begin with: tests/installed_airflow.py says what an older Airflow lacks.
MISSING = "missing here: "
_OWN_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
#: Checkers of the source: what they say does not depend on the Airflow they stand beside.
_NOT_HERE = ("apache-airflow", "check-wheel-contents", "mypy", "ruff", "twine", "types-")

#: All that depends on Airflow, and nothing twice that it has no part in.
UNIT = (
    "tests/unit",
    "--ignore=tests/unit/sandbox",
    *(
        f"--ignore=tests/unit/test_{name}.py"
        for name in (
            "api_fuzz",
            "benchmarks",
            "dev_bootstrap",
            "dev_demo",
            "dev_leaks",
            "dev_matrix",
            "dev_run_tests",
            "dev_stack",
        )
    ),
)
#: The waits, the reruns and the files by `dag.test()`, without the long tables.
CORE = (
    "tests/integration/test_operators.py",
    "tests/integration/test_sensor.py",
    "tests/integration/test_trigger.py",
    "tests/integration/test_example_dags.py",
    "tests/integration/test_rerun_below_3_3.py",
    "tests/integration/test_rerun_record.py",
)
#: Without what depends on other libraries than Airflow: the wire, and deliveries that are killed.
BETWEEN = (
    "tests/integration",
    "--ignore=tests/integration/hook",
    "--ignore=tests/integration/transfers/test_killed.py",
    "--ignore=tests/integration/transfers/test_killed_s3.py",
)
#: What `make test` runs of them on the oldest Airflow.
SHORT = (
    # Those that use Airflow, or libraries that come with it; the others are of pure rules.
    *(
        f"tests/unit/test_{name}.py"
        for name in (
            "api_answers",
            "docs_snippets",
            "exceptions",
            "provider_info",
            "retry_policy",
            "sensor_memory",
            "settings",
            "start_from_trigger",
            "transfer_ledger",
            "transfer_pieces",
            "waiting",
            "warnings",
        )
    ),
    "tests/integration/test_operators.py",
    "tests/integration/test_rerun_below_3_3.py",
)
E2E = ("tests/e2e/test_pipelines.py", "-k", "test_one_order_is_checked")


@dataclass(frozen=True)
class Cell:
    """A combination."""

    airflow: str
    python: str

    @property
    def name(self) -> str:
        """What it is called on the command line, in the table and on disk."""
        return f"{self.airflow}-py{self.python}"

    @property
    def is_long(self) -> bool:
        """Whether this is the combination that tries everything on its Airflow; on the pinned one `make test` does."""
        return self.python == (PYTHONS[-1] if self.airflow == PINNED else PYTHONS[0])

    @property
    def suites(self) -> dict[str, tuple[str, ...]]:
        """What runs here, each by a pytest of its own."""
        if self.is_long:
            integration = {OLDEST: ("tests/integration",), PINNED: CORE}.get(self.airflow, BETWEEN)
            return {"unit": ("tests/unit",), "integration": integration, "e2e": E2E}
        return {"unit": UNIT, "integration": CORE}


@dataclass
class Counts:
    """What came of one suite."""

    passed: int = 0
    failed: list[str] = field(default_factory=list)
    missing: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    #: Why nothing ran, where that is no failure.
    not_run: str = ""


class InstallationFailedError(Exception):
    """An environment could not be made; the message has the command and what it said."""


CELLS = [Cell(airflow, python) for airflow in AIRFLOWS for python in (*PYTHONS, *LATER_PYTHONS.get(airflow, ()))]


# --- Environments ---------------------------------------------------------------------------------------------------


def interpreter(python: str) -> str | None:
    """Return the Python of that version, itself and not what leads to it; None if this machine has none."""
    if python == _OWN_PYTHON:
        return os.path.realpath(sys.executable)
    found = shutil.which(f"python{python}")
    if found is None:
        return None
    question = [found, "-c", "import sys; print(sys.executable)"]
    # pyenv has a command for each version that it knows, and lets only the chosen ones start.
    env = {**os.environ, "PYENV_VERSION": python}
    asked = subprocess.run(question, env=env, capture_output=True, text=True, check=False)
    return os.path.realpath(asked.stdout.strip()) if asked.returncode == 0 else None


def tools(root: Path = ROOT) -> list[str]:
    """Return what the tests need beside Airflow and the provider's own requirements."""
    groups = tomllib.loads((root / "pyproject.toml").read_text())["dependency-groups"]
    return [line for line in groups["dev"] if not line.startswith(_NOT_HERE)]


def installation(cell: Cell, root: Path = ROOT) -> list[list[str]]:
    """Return what pip is asked for, step by step."""
    provider = ["-e", str(root)]
    day = AIRFLOWS[cell.airflow]
    if cell.airflow in SPECIFIERS:
        # Only what is named with a pre-release may be one.
        return [[*SPECIFIERS[cell.airflow], *tools(root), *provider]]
    if not day:
        return [["-r", str(root / "dev" / "requirements.txt"), *provider]]
    # The provider comes second and undated: it has to do with what stands there already.
    return [["--exclude-newer", day, f"apache-airflow=={cell.airflow}", *tools(root)], provider]


def ensure(cell: Cell, executable: str, place: Path = PLACE) -> str:
    """Make the environment of a combination unless it is there; return its Python.

    :raises InstallationFailedError: it cannot be made.
    """
    place.mkdir(parents=True, exist_ok=True)
    with (place / f"{cell.name}.lock").open("w") as lock:
        # A second `make` in the same checkout waits until it is whole.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _ensure(cell, executable, place / cell.name)


def _ensure(cell: Cell, executable: str, venv: Path) -> str:
    python, stamp = str(venv / "bin" / "python"), venv / ".made-from"
    steps = installation(cell)
    pins = (ROOT / "dev" / "requirements.txt").read_bytes() if cell.airflow == PINNED else b""
    inputs = repr((UV, executable, str(venv), steps)).encode() + pins + (ROOT / "pyproject.toml").read_bytes()
    wanted = hashlib.sha256(inputs).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    uv = str(ROOT / ".venv" / "bin" / "uv")
    _quietly([uv, "venv", "--clear", "--python", executable, str(venv)])
    for step in steps:
        _quietly([uv, "pip", "install", "--python", python, "--compile-bytecode", *step])
    stamp.write_text(wanted)
    return python


def _quietly(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise InstallationFailedError(f"{shlex.join(command)}\n{done.stdout.strip()}")


# --- Runs -----------------------------------------------------------------------------------------------------------


def pytest_line(python: str, suite: Sequence[str], *arguments: str) -> list[str]:
    """Return the command that runs a suite; any warning that points at our own files is a failure."""
    # Airflow imports the file of a DAG as a module of a name of its own making.
    ours = "filterwarnings=error:::airflow_provider_ollang\nerror:::unusual_prefix_[0-9a-f]{40}_ollang_"
    return [python, "-m", "pytest", "-p", "no:cacheprovider", "-o", ours, *suite, *arguments]


class Matrix:
    """
    Runs combinations, and can be told to stop.

    :param place: where environments, logs and reports are.
    :param extra: more arguments for every pytest.
    :param demanded: whether a Python that is not on this machine is a failure also where only some Airflows have it.
    """

    def __init__(self, place: Path = PLACE, extra: Sequence[str] = (), *, demanded: bool = False) -> None:
        self._place = place
        self._extra = extra
        self._demanded = demanded
        self._running: list[subprocess.Popen[bytes]] = []
        self._stopped = False

    def run(self, cell: Cell) -> dict[str, Counts]:
        """Run all suites of a combination, in its environment."""
        executable = interpreter(cell.python)
        if executable is None:
            missing = f"there is no python{cell.python} on this machine"
            if cell.python in LATER_PYTHONS.get(cell.airflow, ()) and not self._demanded:
                return {"python": Counts(not_run=missing)}
            return {"python": Counts(failed=[missing])}
        try:
            python = ensure(cell, executable, self._place)
        except InstallationFailedError as error:
            return {"install": Counts(failed=[str(error)])}
        found = {}
        for name in cell.suites:
            if not self._stopped:
                found[name] = self._run_suite(cell, name, python)
                print(row(cell, name, found[name]), flush=True)
        return found

    def stop(self) -> None:
        """End what runs; an end-to-end suite stops its Airflow then."""
        self._stopped = True
        for process in self._running:
            process.terminate()

    def _run_suite(self, cell: Cell, name: str, python: str) -> Counts:
        report, log = self._place / f"{cell.name}-{name}.xml", self._place / f"{cell.name}-{name}.log"
        report.unlink(missing_ok=True)
        line = pytest_line(python, cell.suites[name], f"--junitxml={report}", "--tb=short", *self._extra)
        started = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                line, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
            self._running.append(process)
            code = process.wait()
            self._running.remove(process)
        found = counts(report.read_text(), newest=cell.airflow == NEWEST) if report.is_file() else Counts()
        if code and not found.failed:
            found.failed.append(f"pytest ended with exit code {code}: see {log}")
        found.seconds = time.monotonic() - started
        return found


def counts(report: str, *, newest: bool) -> Counts:
    """Read what pytest reported in JUnit's form.

    A skip is fine only where it names what this Airflow lacks, and the newest lacks nothing.
    """
    found = Counts()
    for case in ET.fromstring(report).iter("testcase"):  # noqa: S314 - written by our own pytest just now
        name = f"{case.get('classname')}::{case.get('name')}"
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            found.failed.append(name)
        elif skip is None:
            found.passed += 1
        elif skip.get("type") == "pytest.xfail":
            found.missing["expected to fail"] += 1
        elif (reason := str(skip.get("message"))).startswith(MISSING) and not newest:
            found.missing[reason.removeprefix(MISSING)] += 1
        else:
            found.failed.append(f"{name} was skipped: {reason}")
    return found


def row(cell: Cell, suite: str, found: Counts) -> str:
    """Return a line of the table."""
    if found.not_run:
        return f"{cell.name:<14} NOT RUN: {found.not_run}"
    skipped = "".join(f", {number} x {reason}" for reason, number in sorted(found.missing.items()))
    failed = f", {len(found.failed)} FAILED" if found.failed else ""
    return f"{cell.name:<14} {suite:<12} {found.seconds:6.0f} s  {found.passed:5} passed{failed}{skipped}"


def verdict(found: Mapping[Cell, Mapping[str, Counts]]) -> str:
    """Say that all passed, and what was not run: it has not."""
    idle = [cell.name for cell, suites in found.items() if any(one.not_run for one in suites.values())]
    return f"all that ran passed; NOT RUN: {', '.join(idle)}" if idle else "all passed"


def run_oldest(arguments: Sequence[str]) -> int:
    """Run the part of `make test` on the oldest Airflow, with the Python that runs this.

    :return: pytest's exit code, or 1 if that Airflow cannot be installed.
    """
    try:
        python = ensure(Cell(OLDEST, _OWN_PYTHON), os.path.realpath(sys.executable))
    except InstallationFailedError as error:
        print(error, file=sys.stderr)
        return 1
    return subprocess.run(pytest_line(python, SHORT, *arguments), cwd=ROOT, check=False).returncode


def main() -> int:
    """Run the combinations.

    :return: 0 if all passed, 1 if any failed, 2 if there is none of that name.
    """
    if sys.argv[1:2] == ["oldest"]:
        return run_oldest(sys.argv[2:])
    only = os.environ.get("ONLY", "").strip()
    cells = [cell for cell in CELLS if only in cell.name]
    if not cells:
        print(f"There is no {only!r}; there are {', '.join(cell.name for cell in CELLS)}.", file=sys.stderr)
        return 2
    demanded = all(cell.python not in PYTHONS for cell in cells)
    matrix = Matrix(extra=shlex.split(os.environ.get("ARGS", "")), demanded=demanded)
    try:
        with interruptible(), ThreadPoolExecutor(AT_A_TIME) as pool:
            try:
                # The long ones first, so that none runs alone at the end.
                running = {
                    cell: pool.submit(matrix.run, cell) for cell in sorted(cells, key=lambda one: not one.is_long)
                }
                found = {cell: running[cell].result() for cell in cells}
            except Interrupted:
                matrix.stop()
                raise
    except Interrupted as signal_seen:
        print("\ninterrupted", file=sys.stderr)
        return signal_seen.exit_code
    print("\n---- summary")
    print("\n".join(row(cell, suite, one) for cell, suites in found.items() for suite, one in suites.items()))
    failed = [
        f"{cell.name}: {one}" for cell, suites in found.items() for each in suites.values() for one in each.failed
    ]
    print("\n".join(["\n---- failed", *failed] if failed else [verdict(found)]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
