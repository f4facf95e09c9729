"""What `make test-matrix` installs, runs and counts."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dev import matrix
from dev.environment import ROOT
from dev.matrix import Cell, Counts

REPORT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="tests.unit.test_a" name="test_fine" />
<testcase classname="tests.unit.test_a" name="test_fine_too" />
<testcase classname="tests.unit.test_a" name="test_wrong"><failure message="no">assert 0</failure></testcase>
<testcase classname="tests.unit.test_b" name="test_broken"><error message="no">ImportError</error></testcase>
<testcase classname="tests.unit.test_b" name="test_old">
<skipped type="pytest.skip" message="missing here: x" /></testcase>
<testcase classname="tests.unit.test_b" name="test_older">
<skipped type="pytest.skip" message="missing here: x" /></testcase>
<testcase classname="tests.unit.test_b" name="test_known"><skipped type="pytest.xfail" message="one day" /></testcase>
<testcase classname="tests.unit.test_b" name="test_shy"><skipped type="pytest.skip" message="not today" /></testcase>
</testsuite></testsuites>"""


def test_each_supported_version_is_there_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = {line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line}
    later = sum(len(one) for one in matrix.LATER_PYTHONS.values())
    assert set(matrix.PYTHONS) == pythons
    assert len({cell.name for cell in matrix.CELLS}) == len(matrix.CELLS)
    assert len(matrix.CELLS) == len(matrix.AIRFLOWS) * len(matrix.PYTHONS) + later
    assert (
        f"apache-airflow=={matrix.PINNED}"
        in tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    )


@pytest.mark.parametrize("airflow", matrix.AIRFLOWS)
def test_each_airflow_meets_every_test_and_runs_a_dag(airflow: str) -> None:
    suites = [cell.suites for cell in matrix.CELLS if cell.airflow == airflow]
    # All of it on the pinned one is what `make test` runs.
    integration = {matrix.OLDEST: ("tests/integration",), matrix.PINNED: matrix.CORE}.get(airflow, matrix.BETWEEN)
    assert {"unit": ("tests/unit",), "integration": integration, "e2e": matrix.E2E} in suites
    assert all({"unit", "integration"} <= set(one) for one in suites)


def test_what_is_named_is_there() -> None:
    paths = [
        one
        for suite in (matrix.UNIT, matrix.CORE, matrix.BETWEEN, matrix.SHORT, matrix.E2E)
        for one in suite
        if "tests/" in one
    ]
    assert [path for path in paths if not (ROOT / path.removeprefix("--ignore=")).exists()] == []


def test_an_old_airflow_is_installed_as_of_its_day_and_the_provider_as_of_today() -> None:
    first, second = matrix.installation(Cell("3.1.8", "3.12"))
    assert first[:3] == ["--exclude-newer", "2026-03-15", "apache-airflow==3.1.8"]
    assert any(line.startswith("pytest") for line in first)
    assert not any(line.startswith(("mypy", "ruff")) for line in first)
    assert second == ["-e", str(ROOT)]


def test_the_pinned_one_is_installed_as_it_is_for_make_test() -> None:
    [only] = matrix.installation(Cell(matrix.PINNED, "3.13"))
    assert only == ["-r", str(ROOT / "dev" / "requirements.txt"), "-e", str(ROOT)]


def test_pre_releases_are_of_airflow_alone() -> None:
    [only] = matrix.installation(Cell("3.4", "3.12"))
    early = [line for line in only if re.search(r"\d(a|b|rc)\d", line)]
    assert early == [line for line in only if line.startswith("apache-airflow")]
    # The final version is newer than any of them.
    assert all(re.fullmatch(r"apache-airflow[a-z-]*>=\d\.4\.0b\d,<\d\.5", line) for line in early)
    assert not [line for line in only if line.startswith("--")]
    assert any(line.startswith("pytest") for line in only)


def test_an_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[Any] = []

    def note(command: Any) -> None:
        commands.append(command)
        (tmp_path / "3.1.8-py3.11").mkdir(exist_ok=True)

    monkeypatch.setattr(matrix, "_quietly", note)
    cell = Cell("3.1.8", "3.11")
    for _ in range(2):
        assert matrix.ensure(cell, sys.executable, tmp_path) == str(tmp_path / "3.1.8-py3.11" / "bin" / "python")
    assert [command[1] for command in commands] == ["venv", "pip", "pip"]
    monkeypatch.setitem(matrix.AIRFLOWS, "3.1.8", "2026-03-16")
    matrix.ensure(cell, sys.executable, tmp_path)
    assert len(commands) == 6


def test_a_python_that_is_not_there_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = matrix.Matrix(tmp_path).run(Cell("3.1.8", "3.99"))
    assert found["python"].failed == ["there is no python3.99 on this machine"]


def test_python_that_only_some_airflows_have_is_named_as_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(matrix.LATER_PYTHONS, "3.4", ("3.99",))
    cell = Cell("3.4", "3.99")
    found = matrix.Matrix(tmp_path).run(cell)
    assert found["python"].failed == []
    assert " ".join(matrix.row(cell, "python", found["python"]).split()) == (
        "3.4-py3.99 NOT RUN: there is no python3.99 on this machine"
    )
    assert matrix.verdict({cell: found}) == "all that ran passed; NOT RUN: 3.4-py3.99"
    assert matrix.verdict({Cell("3.4", "3.12"): {"unit": Counts(passed=1)}}) == "all passed"


def test_python_that_was_asked_for_has_to_be_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ONLY", "py3.99")
    monkeypatch.setattr(sys, "argv", ["matrix"])
    monkeypatch.setattr(matrix, "CELLS", [Cell("3.4", "3.12"), Cell("3.4", "3.99")])
    assert matrix.main() == 1
    assert "3.4-py3.99: there is no python3.99 on this machine" in capsys.readouterr().out


def test_an_installation_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: Any) -> list[list[str]]:
        return [["nothing-of-that-name", "--no-such-option"]]

    monkeypatch.setattr(matrix, "interpreter", lambda _: sys.executable)
    monkeypatch.setattr(matrix, "installation", fail)
    [said] = matrix.Matrix(tmp_path).run(Cell("3.1.8", "3.12"))["install"].failed
    assert "uv pip install" in said
    assert "--no-such-option" in said
    assert not (tmp_path / "3.1.8-py3.12" / ".made-from").exists()


def test_skips_count_by_what_is_missing_and_any_other_is_a_failure() -> None:
    found = matrix.counts(REPORT, newest=False)
    assert (found.passed, dict(found.missing)) == (2, {"x": 2, "expected to fail": 1})
    assert found.failed == [
        "tests.unit.test_a::test_wrong",
        "tests.unit.test_b::test_broken",
        "tests.unit.test_b::test_shy was skipped: not today",
    ]


def test_the_newest_lacks_nothing() -> None:
    found = matrix.counts(REPORT, newest=True)
    assert dict(found.missing) == {"expected to fail": 1}
    assert "tests.unit.test_b::test_old was skipped: missing here: x" in found.failed


def test_a_row_names_what_was_not_run() -> None:
    line = matrix.row(Cell("3.1.8", "3.11"), "unit", matrix.counts(REPORT, newest=False))
    assert " ".join(line.split()) == "3.1.8-py3.11 unit 0 s 2 passed, 3 FAILED, 1 x expected to fail, 2 x x"


@pytest.mark.parametrize(
    ("body", "failed"), [("def test_fine(): pass", 0), ("import nothing_of_that_name", 1), ("", 1)], ids=repr
)
def test_a_suite_runs_and_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, failed: int) -> None:
    """Also one that finds no test at all is a failure."""
    (tmp_path / "test_it.py").write_text(body)
    cell = Cell("3.1.8", "3.11")
    monkeypatch.setattr(matrix, "interpreter", lambda _: sys.executable)
    monkeypatch.setattr(matrix, "ensure", lambda *_: sys.executable)
    monkeypatch.setattr(Cell, "suites", {"unit": (str(tmp_path / "test_it.py"),)})
    found: dict[str, Counts] = matrix.Matrix(tmp_path, ["--noconftest"]).run(cell)
    assert (found["unit"].passed, len(found["unit"].failed)) == (0 if failed else 1, failed)


def test_a_warning_that_points_at_our_files_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "airflow_provider_ollang_like.py").write_text(
        "import warnings\ndef old(): warnings.warn('old', FutureWarning)\n"
    )
    test = "from airflow_provider_ollang_like import old\ndef test_old(): old()\n"
    (tmp_path / "test_it.py").write_text(test)
    line = matrix.pytest_line(sys.executable, [str(tmp_path / "test_it.py")], "--noconftest")
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FutureWarning: old" in done.stdout


def test_a_warning_that_points_at_a_dag_of_ours_is_a_failure(tmp_path: Path) -> None:
    # Airflow leaves out files without these two words.
    dag = "import warnings\nwarnings.warn('an old airflow dag', FutureWarning)\n"
    (tmp_path / "ollang_like.py").write_text(dag)
    test = "from pathlib import Path\nfrom tests.installed_airflow import read_dags\n"
    test += "def test_old(): assert not read_dags(Path(__file__).with_name('ollang_like.py')).import_errors\n"
    (tmp_path / "test_it.py").write_text(test)
    line = matrix.pytest_line(sys.executable, [str(tmp_path / "test_it.py")], "--noconftest")
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "FutureWarning: an old airflow dag" in done.stdout


def test_an_unknown_combination_is_named_with_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONLY", "2.11")
    monkeypatch.setattr(sys, "argv", ["matrix"])
    assert matrix.main() == 2
    assert "no '2.11'; there are 3.1.8-py3.11, 3.1.8-py3.12" in capsys.readouterr().err
