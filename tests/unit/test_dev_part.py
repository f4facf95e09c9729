"""A part of `make test`: its failure is never called a success, and an interruption leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dev import part
from dev.processes import runs, wait_until


@pytest.fixture(autouse=True)
def _notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part, "NOTES", tmp_path / "notes")


def states(*parts: str) -> list[str]:
    return [json.loads((part.NOTES / name).read_text())["state"] for name in parts]


@pytest.mark.parametrize(
    ("output", "closing"),
    [
        ("..\n====== 2 passed in 0.12s ======\n", "2 passed"),
        ("== 1 failed, 3 passed, 1 skipped in 65.10s (0:01:05) ==\n", "1 failed, 3 passed, 1 skipped"),
        ("== no tests ran in 0.01s ==", "no tests ran"),
        ("15 passed, 2586 deselected, 1 warning in 8.46s", "15 passed, 2586 deselected, 1 warning"),
        ("== 1 passed in 1.00s ==\nnox > Session oldest was successful.\n", "1 passed"),
        ("All checks passed!", ""),
    ],
)
def test_closing_line_has_the_number_of_tests(output: str, closing: str) -> None:
    assert part.closing_line(output) == closing


def test_part_has_the_exit_code_and_output_of_its_command(capfd: pytest.CaptureFixture[str]) -> None:
    assert part.main(["unit", "sh", "-c", "echo grün; exit 7"]) == 7
    assert "---- unit\ngrün\n" in capfd.readouterr().out
    assert states("unit") == ["FAILED"]


def test_part_does_not_see_own_settings(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "theirs")
    monkeypatch.setenv("_AIRFLOW__AS_LIBRARY", "theirs")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "theirs")
    part.main(["unit", "env"])
    assert "theirs" not in capfd.readouterr().out


@pytest.mark.parametrize(("arguments", "code", "state"), [("", 5, "FAILED"), ("-k word", 0, "NOT RUN")])
def test_part_without_tests_fails_unless_none_were_chosen(
    monkeypatch: pytest.MonkeyPatch, arguments: str, code: int, state: str
) -> None:
    monkeypatch.setenv("ARGS", arguments)
    assert part.main(["unit", "sh", "-c", "exit 5"]) == code
    assert states("unit") == [state]


def test_summary_fails_with_any_part(capsys: pytest.CaptureFixture[str]) -> None:
    part.main(["unit", "echo", "== 12 passed in 1.0s =="])
    part.main(["browser", "--not-run", "no Chromium"])
    assert part.main(["--summary", "unit", "browser"]) == 0
    table = capsys.readouterr().out.split("---- summary\n")[1].splitlines()
    assert [line.split()[:2] for line in table] == [["unit", "ok"], ["browser", "NOT"], ["total", "ok"]]
    assert table[0].endswith("12 passed")
    assert table[1].endswith("no Chromium")
    part.main(["e2e", "false"])
    assert part.main(["--summary", "unit", "browser", "e2e"]) == 1


@pytest.mark.parametrize("parts", [["unit", "e2e"], ["browser"]], ids=["killed", "nothing ran"])
def test_summary_fails_if_a_part_did_not_end_or_none_ran(parts: list[str]) -> None:
    part.main(["unit", "true"])
    part.main(["browser", "--not-run", "no Chromium"])
    assert part.main(["--summary", *parts]) == 1


def test_interrupted_part_leaves_no_process(tmp_path: Path) -> None:
    child = "import pathlib, subprocess, sys; p = subprocess.Popen(['sleep', '60']);"
    child += "pathlib.Path(sys.argv[1]).write_text(str(p.pid)); p.wait()"
    pid_file = tmp_path / "pid"
    command = [sys.executable, "-m", "dev.part", "test-of-part", sys.executable, "-c", child, str(pid_file)]
    process = subprocess.Popen(command, cwd=part.ROOT, stdout=subprocess.DEVNULL)
    wait_until(lambda: pid_file.exists() and pid_file.read_text(), 60, "the child")
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert not runs(int(pid_file.read_text()))
