"""Building the package, and running what is installed of it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
LIMIT = 600


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return all that it printed, which is also what a failure shows."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, f"$ {' '.join(map(str, command))}\n{done.stdout}"
    return done.stdout


@dataclass(frozen=True)
class Distributions:
    """What a release consists of."""

    wheel: Path
    sdist: Path


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and a folder to work in that is not the checkout."""

    python: Path
    work: Path
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def env(self) -> dict[str, str]:
        """Nothing of the developer's environment but where programs, certificates and a package index are."""
        kept = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_", "SSL_"))}
        path = f"{self.python.parent}:{os.defpath}"
        return kept | {"PATH": path, "HOME": str(self.work), "LANG": "C.UTF-8", **self.extra}

    def run(self, *command: str | Path) -> str:
        """Run a command of the environment."""
        return run(self.python.parent / command[0], *command[1:], cwd=self.work, env=self.env)


def build(source: Path, target: Path, *options: str) -> list[Path]:
    """Build distributions and return them in the order of their names."""
    run(
        UV,
        "build",
        "--python",
        sys.executable,
        "--quiet",
        "--no-create-gitignore",
        *options,
        "--out-dir",
        target,
        source,
        cwd=target.parent,
    )
    return sorted(target.iterdir())
