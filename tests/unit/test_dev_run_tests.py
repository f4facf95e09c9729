"""What `make test` makes of its parts."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dev import run_tests
from dev.processes import Interrupted, interruptible, runs
from dev.run_tests import Commands, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize(
    ("output", "closing"),
    [
        ("..\n====== 2 passed in 0.12s ======\n", "2 passed"),
        ("== \x1b[31m1 failed\x1b[0m, 3 passed, 1 skipped in 65.10s (0:01:05) ==\n", "1 failed, 3 passed, 1 skipped"),
        ("== 5 deselected in 0.01s ==", "5 deselected"),
        ("== no tests ran in 0.01s ==", "no tests ran"),
        ("15 passed, 2586 deselected, 1 warning in 8.46s", "15 passed, 2586 deselected, 1 warning"),
        ("All checks passed!", ""),
    ],
)
def test_the_number_of_tests_is_read_from_pytests_last_line(output: str, closing: str) -> None:
    assert run_tests.closing_line(output) == closing


def part(*answers: tuple[int, str], chosen: bool = False) -> Outcome:
    left = list(answers)

    def run(line: Sequence[str]) -> tuple[int, str]:
        return left.pop(0)

    return run_tests.run_part("unit", [["command"] for _ in answers], run, chosen=chosen)


def test_a_part_fails_with_any_of_its_commands_and_runs_all() -> None:
    assert part((0, ""), (0, "")).passed
    assert not part((1, ""), (0, "")).passed
    assert not part((0, ""), (1, "")).passed


def test_a_part_without_tests_fails_unless_the_arguments_left_none() -> None:
    assert not part((5, "== no tests ran in 0.01s ==")).passed
    assert part((5, "== no tests ran in 0.01s =="), chosen=True).passed
    assert not part((1, "== 1 failed in 0.01s =="), chosen=True).passed


def test_the_summary_has_a_line_for_each_part_and_the_total() -> None:
    lines = run_tests.summary(
        [Outcome("unit", True, 1.26, "12 passed"), Outcome("e2e", False, 60.0)], 60.5
    ).splitlines()
    assert [line.split() for line in lines] == [
        ["unit", "ok", "1.3", "s", "12", "passed"],
        ["e2e", "FAILED", "60.0", "s"],
        ["total", "FAILED", "60.5", "s"],
    ]


@pytest.mark.parametrize(
    ("asked_for", "code", "state"), [(None, 0, "browser        NOT RUN"), ("browser", 1, "browser        FAILED")]
)
def test_without_a_chromium_its_part_is_loudly_left_out_and_fails_only_where_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    asked_for: str | None,
    code: int,
    state: str,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PART", asked_for or "")
    monkeypatch.setattr(Commands, "run", lambda *_: (0, ""))
    assert run_tests.main() == code
    summary = capsys.readouterr().out.split("---- summary\n")[1].splitlines()
    (line,) = (line for line in summary if line.startswith("browser"))
    assert line.startswith(state)
    assert line.endswith("not run: no Chromium (apt-get install chromium)")


def test_an_unknown_part_is_named_with_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PART", "nonsense")
    assert run_tests.main() == 2
    assert (
        "no part 'nonsense'; there are lint, types, docs, unit, model, integration, e2e, browser, kills, wheel, oldest."
        in capsys.readouterr().err
    )


def test_arguments_reach_pytest_only() -> None:
    parts = run_tests.commands(["-k", "two words"], colour=False)
    assert [part for part, lines in parts.items() if lines[-1][-2:] == ["-k", "two words"]] == [
        "unit",
        "model",
        "integration",
        "e2e",
        "browser",
        "kills",
        "wheel",
        "oldest",
    ]


def test_output_is_passed_on_as_it_comes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    code, output = Commands(run_tests.show).run(["sh", "-c", "printf 'gr\\303\\274n'; exit 7"])
    assert (code, output) == (7, "grün")
    assert capfdbinary.readouterr().out == "grün".encode()


def test_what_runs_beside_is_shown_at_its_end_and_whole(capfd: pytest.CaptureFixture[str]) -> None:
    parts = {"types": [["echo", "one"], ["echo", "two"]], "e2e": [["echo", "three"]], "unit": [["false"]]}
    outcomes = run_tests.run_parts(parts, chosen=False, by_name=False)
    assert [(one.part, one.passed) for one in outcomes] == [("types", True), ("e2e", True), ("unit", False)]
    shown = capfd.readouterr().out
    assert "---- e2e\nthree\n" in shown
    assert "---- types\none\ntwo\n" in shown


def test_what_runs_beside_takes_what_is_left() -> None:
    said: list[bytes] = []
    # Its session is told a moment after it has begun.
    line = "nice; for _ in 1 2 3 4 5 6 7 8 9; do cat /proc/self/autogroup 2>&- || echo none; sleep 0.1; done"
    code, output = Commands(said.append, beside=True).run(["sh", "-c", line])
    assert code == 0
    assert output.splitlines()[0] == "19"
    assert output.splitlines()[-1] == "none" or output.splitlines()[-1].endswith("nice 19")
    assert b"".join(said).decode() == output


def test_an_interruption_ends_all_that_runs_and_shows_what_it_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What a command has started, too, and not what has not begun."""
    starts = (
        "import pathlib, subprocess, sys; print(sys.argv[1], 'is there', flush=True);"
        "child = subprocess.Popen(['sleep', '60']); pathlib.Path(sys.argv[2]).write_text(str(child.pid)); child.wait()"
    )
    parts = {name: [[sys.executable, "-c", starts, name, str(tmp_path / name)]] for name in ("types", "e2e", "unit")}

    def interrupt() -> None:
        while not all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in ("types", "e2e")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Interrupted), interruptible():
        run_tests.run_parts(parts, chosen=False, by_name=False)
    shown = capfd.readouterr().out
    assert shown.startswith("\n---- e2e\n")
    assert "\n---- types\ntypes is there\n" in shown
    assert not (tmp_path / "unit").exists()
    for name in ("types", "e2e"):
        assert not runs(int((tmp_path / name).read_text()))


def test_a_part_that_was_asked_for_by_name_has_to_have_a_test() -> None:
    nothing = {"unit": [["sh", "-c", "echo '== no tests ran in 0.01s =='; exit 5"]]}
    assert [one.passed for one in run_tests.run_parts(nothing, chosen=True, by_name=False)] == [True]
    assert [one.passed for one in run_tests.run_parts(nothing, chosen=True, by_name=True)] == [False]


def test_the_tests_in_a_browser_run_all_where_they_are_asked_for() -> None:
    (_, few), (_, whole) = (run_tests.commands([], colour=False, whole=one)["browser"] for one in (False, True))
    assert few == [*whole, "-m", "telling"]


def test_the_summary_says_what_ran_beside() -> None:
    assert run_tests.summary([Outcome("unit", True, 1.0, "1 passed", beside=True)], 1.0).split()[4] == "beside"
