"""`make docs`: builds the documentation in docs/_build/html; a warning is an error."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
HTML = ROOT / "docs" / "_build" / "html"


def main() -> int:
    """Build it.

    :return: 0 if there was nothing to say, else Sphinx's exit code.
    """
    with tempfile.TemporaryDirectory(prefix="ollang-docs-") as home:
        # Airflow, which the docstrings come through, writes its configuration where it is imported.
        env = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
        options = ["-q", "-W", "--keep-going", "-E", "-b", "html"]
        command = [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(HTML)]
        code = subprocess.run(command, cwd=ROOT, env=env, check=False).returncode
    if code == 0:
        print(f"docs: {HTML.relative_to(ROOT)}/index.html")
    return code


if __name__ == "__main__":
    sys.exit(main())
