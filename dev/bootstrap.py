"""Makes `.venv`, or brings it up to date: `python3 -m dev.bootstrap`. Only the standard library is there yet."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "dev" / "requirements.txt"
INPUTS = (PINS, ROOT / "pyproject.toml", ROOT / "airflow_provider_ollang" / "__init__.py")


def fingerprint(root: Path = ROOT) -> str:
    """Return a line for the environment's interpreter and place, and a line for what is installed into it."""
    digest = hashlib.sha256(b"\0".join((root / path.relative_to(ROOT)).read_bytes() for path in INPUTS))
    # Scripts of a virtual environment hold its absolute path: a checkout that was moved needs a new one.
    return f"{(sys.version, sys.base_prefix, str(root))!r}\n{digest.hexdigest()}\n"


def ensure(venv: Path) -> None:
    """Make the environment, install what has changed since, or do next to nothing if all is as it was."""
    python, stamp = venv / "bin" / "python", venv / ".made-from"
    before, now = stamp.read_text() if stamp.is_file() and python.exists() else "", fingerprint()
    if before == now:
        return
    # Without it the environment is not finished, and is made again.
    stamp.unlink(missing_ok=True)
    uv = re.findall(r"^uv==\S+", PINS.read_text(), re.MULTILINE)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *uv]
    if before.partition("\n")[0] != now.partition("\n")[0]:
        # Not `sys.executable`: in a shell with this .venv activated, it is about to be removed.
        base = getattr(sys, "_base_executable", sys.executable)
        _run(f"making .venv with Python {sys.version.split()[0]}", [base, "-m", "venv", "--clear", str(venv)])
        _run("installing uv", pip)
    # Else the components of an Airflow, which start together, would each compile all that they import.
    install = [str(venv / "bin" / "uv"), "pip", "install", "--python", str(python), "--quiet", "--compile-bytecode"]
    what = ["--constraints", str(PINS), "--group", f"{ROOT / 'pyproject.toml'}:dev", "--editable", str(ROOT)]
    _run("installing Airflow and the tools", install + what)
    stamp.write_text(now)


def _run(title: str, command: list[str]) -> None:
    print(f"{title} …", flush=True)
    # Whatever environment is active in the shell must not be the one installed into.
    env = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONHOME")}
    subprocess.run(command, env=env, stdin=subprocess.DEVNULL, check=True)


def main() -> int | str:
    """Make the environment; let a second `make` in the same checkout wait until it is whole."""
    lock = os.open(ROOT / "dev", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        ensure(ROOT / ".venv")
    except subprocess.CalledProcessError as error:
        return f"{error}\nThe next run begins with a new environment."
    except KeyboardInterrupt:
        return "\ninterrupted; the next run begins with a new environment"
    return 0


if __name__ == "__main__":
    sys.exit(main())
