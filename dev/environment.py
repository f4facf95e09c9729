"""Makes the virtual environment of a checkout and keeps it in step with the pinned requirements.

Only the standard library is used: this runs before anything is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).resolve().parents[1]
#: Each as pip takes it, by its name.
TOOLS = {line.partition("==")[0]: line for line in (ROOT / "dev" / "tools.txt").read_text().split("\n") if "==" in line}
UV = TOOLS["uv"]
# What is installed depends on these; a change of any of them makes the environment stale.
INPUTS = ("dev/requirements.txt", "pyproject.toml", "airflow_provider_ollang/__init__.py")


class EnvironmentFailedError(Exception):
    """A step failed; the message has its whole output."""


def fingerprint(root: Path) -> str:
    """Name everything that the environment was made from: inputs, interpreter, place."""
    digest = hashlib.sha256()
    for name in INPUTS:
        digest.update((root / name).read_bytes() + b"\0")
    # Scripts in a virtual environment hold its absolute path, so that a moved checkout needs a new one.
    digest.update(repr((UV, sys.version, sys.base_prefix, str(root))).encode())
    return digest.hexdigest()


def ensure(root: Path = ROOT, say: Callable[[str], None] = print) -> Path:
    """Make or refresh `.venv` in the checkout; return its Python. Does next to nothing if all is as it was."""
    with _alone(root):
        return _ensure(root, say)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Keep a second `make` in the same checkout waiting until the environment is whole."""
    handle = os.open(root / "dev", os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _ensure(root: Path, say: Callable[[str], None]) -> Path:
    venv = root / ".venv"
    python = venv / "bin" / "python"
    stamp = venv / ".made-from"
    unfinished = venv / ".unfinished"
    wanted = fingerprint(root)
    if python.exists() and stamp.is_file() and stamp.read_text() == wanted:
        return python
    if venv.exists() and (unfinished.exists() or not _fits(python)):
        say("removing a .venv that is broken or was made for something else")
        shutil.rmtree(venv)
    venv.mkdir(exist_ok=True)
    # Stays behind if this is killed halfway, so that the next run does not build on ruins.
    unfinished.touch()
    stamp.unlink(missing_ok=True)
    if not python.exists():
        version = ".".join(str(part) for part in sys.version_info[:3])
        # Not `sys.executable`: in a shell with this .venv activated, that was removed just now.
        base = getattr(sys, "_base_executable", sys.executable)
        _step(say, f"making .venv with Python {version}", [base, "-m", "venv", str(venv)])
    _install(root, venv, python, say)
    stamp.write_text(wanted)
    unfinished.unlink()
    return python


def _fits(python: Path) -> bool:
    """Tell whether the environment's Python runs, is ours and has a pip."""
    question = "import sys, pip; print(sys.version, sys.base_prefix, sys.prefix, sep=chr(10))"
    try:
        answer = subprocess.run([python, "-c", question], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    expected = "\n".join([sys.version, sys.base_prefix, str(python.parent.parent)])
    return answer.returncode == 0 and answer.stdout.strip() == expected.strip()


def _install(root: Path, venv: Path, python: Path, say: Callable[[str], None]) -> None:
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    what = ["-r", str(root / "dev" / "requirements.txt"), "-e", str(root)]
    try:
        _step(say, "installing uv", [*pip, UV])
    except EnvironmentFailedError as error:
        say(f"{error}\nuv could not be installed; going on with pip, which takes longer")
        _step(say, "installing Airflow and the tools with pip", [*pip, *what])
        # Without bytecode every Airflow process compiles everything again; compileall writes it even where
        # PYTHONDONTWRITEBYTECODE is set. Some packages ship files that no Python compiles: not a failure.
        _step(say, "compiling", [str(python), "-m", "compileall", "-q", "-j0", str(venv / "lib")], (0, 1))
        return
    uv = [str(venv / "bin" / "uv"), "pip", "install", "--python", str(python), "--quiet", "--compile-bytecode"]
    _step(say, "installing Airflow and the tools", [*uv, *what])


def _step(say: Callable[[str], None], title: str, command: Sequence[str], accepted: Sequence[int] = (0,)) -> None:
    started = time.monotonic()
    # A foreign virtual environment that is active in the shell must not be the one installed into.
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONHOME")}
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        check=False,
    )
    if done.returncode not in accepted:
        raise EnvironmentFailedError(
            f"{title}: failed with exit code {done.returncode}\n$ {' '.join(command)}\n{done.stdout.rstrip()}"
        )
    say(f"{title} ({time.monotonic() - started:.1f} s)")
