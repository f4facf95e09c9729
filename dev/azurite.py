"""Azurite, which speaks Azure's API for the tests in `tests/azurite`: `python -m dev.azurite` installs it."""

from __future__ import annotations

import shutil
import subprocess
import sys

from dev.bootstrap import ROOT

VERSION = "3.37.0"
FOLDER = ROOT / ".airflow" / "azurite"
SCRIPT = FOLDER / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"


def main() -> int:
    """Install it, unless it is there; return 0, or npm's exit code."""
    if not all(map(shutil.which, ("node", "npm"))):
        sys.exit("The tests on Azurite cannot run here: no node and npm (apt-get install nodejs npm).")
    if SCRIPT.exists():
        return 0
    print(f"installing azurite {VERSION} (about a minute) …", flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(FOLDER)]
    return subprocess.run([*npm, f"azurite@{VERSION}"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
