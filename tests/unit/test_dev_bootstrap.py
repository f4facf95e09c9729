"""The environment: refused to an old Python in words it can read, made once, repaired when broken."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev import environment
from dev.bootstrap import refusal

ROOT = Path(__file__).parents[2]


def test_an_old_python_is_named_and_told_what_to_do() -> None:
    message = refusal((3, 8, 18, "final", 0), "/usr/bin/python3")
    assert message.splitlines() == [
        "Python 3.11 or newer is needed; this is 3.8.18 (/usr/bin/python3).",
        "Name a newer one, for example: PYTHON=python3.12 make demo",
    ]


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 4), (3, 13, 0, "final", 0), (4, 0, 0)])
def test_a_new_python_is_not_refused(version: tuple[int, ...]) -> None:
    assert not refusal(version, "python3")


def test_any_python_3_can_read_the_bootstrap() -> None:
    text = (ROOT / "dev" / "bootstrap.py").read_text()
    tree = ast.parse(text, feature_version=(3, 4))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr | ast.NamedExpr | ast.AnnAssign)]
    assert "from __future__" not in text


def test_the_bootstrap_ends_with_the_message(tmp_path: Path) -> None:
    # An interpreter of which the bootstrap believes that it is old.
    script = (
        "import sys; sys.version_info = (3, 9, 2); import runpy; runpy.run_module('dev.bootstrap', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "this is 3.9.2" in done.stderr
    assert "Traceback" not in done.stderr


class Checkout:
    """A checkout whose environment is made without installing anything."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.steps: list[str] = []
        for name in environment.INPUTS:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("")
        monkeypatch.setattr(environment, "_step", self._step)
        monkeypatch.setattr(environment, "_fits", lambda python: python.exists() and "broken" not in python.read_text())
        self.fails = False

    def _step(self, _say: object, title: str, _command: list[str], _accepted: object = ()) -> None:
        self.steps.append(title.partition(" with")[0])
        if title.startswith("making"):
            (self.root / ".venv" / "bin").mkdir(parents=True)
            (self.root / ".venv" / "bin" / "python").write_text("")
        elif self.fails:
            raise environment.EnvironmentFailedError(title)

    def ensure(self) -> list[str]:
        self.steps.clear()
        environment.ensure(self.root, lambda _: None)
        return list(self.steps)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    return Checkout(tmp_path / "a checkout", monkeypatch)


MADE = ["making .venv", "installing uv", "installing Airflow and the tools"]


def test_made_once_and_then_left_alone(checkout: Checkout) -> None:
    assert checkout.ensure() == MADE
    assert checkout.ensure() == []


@pytest.mark.parametrize("name", environment.INPUTS)
def test_installed_again_when_an_input_changed(checkout: Checkout, name: str) -> None:
    checkout.ensure()
    (checkout.root / name).write_text("something else")
    assert checkout.ensure() == MADE[1:]
    assert checkout.ensure() == []


def test_made_anew_when_the_last_run_did_not_finish(checkout: Checkout) -> None:
    checkout.fails = True
    with pytest.raises(environment.EnvironmentFailedError):
        checkout.ensure()
    checkout.fails = False
    assert checkout.ensure() == MADE


def test_made_anew_when_its_python_is_gone_or_broken(checkout: Checkout) -> None:
    checkout.ensure()
    (checkout.root / ".venv" / "bin" / "python").unlink()
    assert checkout.ensure() == MADE
    (checkout.root / ".venv" / "bin" / "python").write_text("broken")
    (checkout.root / ".venv" / ".made-from").unlink()
    assert checkout.ensure() == MADE


def test_made_anew_when_the_checkout_was_moved(checkout: Checkout) -> None:
    checkout.ensure()
    moved = checkout.root.with_name("moved")
    shutil.move(checkout.root, moved)
    assert environment.fingerprint(moved) != (moved / ".venv" / ".made-from").read_text()


def test_a_failed_step_shows_its_whole_output() -> None:
    command = [sys.executable, "-c", "print('why it failed'); raise SystemExit(3)"]
    with pytest.raises(environment.EnvironmentFailedError, match=r"(?s)a step: failed with exit code 3.*why it failed"):
        environment._step(print, "a step", command)
