"""What the tests in a browser need beside `.venv`: a Chromium that is installed, and the library that drives it.

The library is as large as all the other tools together and of no use without a Chromium, so it comes only where there
is one: `python -m dev.browser` installs it into the running environment.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from dev.environment import ROOT, TOOLS

NAMES = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser")
MISSING = "no Chromium (apt-get install chromium)"


def find() -> str | None:
    """Return the path of the first Chromium, or Chrome, on the search path."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def main() -> int:
    """Install the library, unless it is there.

    :return: 0 if it is there now, else pip's exit code.
    """
    name, _, wanted = TOOLS["playwright"].partition("==")
    try:
        if version(name) == wanted:
            return 0
    except PackageNotFoundError:
        pass
    print(f"installing {name} {wanted} …", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pinned = ["--constraint", str(ROOT / "dev" / "requirements.txt"), TOOLS["playwright"]]
    return subprocess.run([*pip, *pinned], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
