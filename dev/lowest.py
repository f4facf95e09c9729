"""`make lowest`: the unit tests on the oldest versions that `pyproject.toml` allows, in an environment of their own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The oldest Airflow does not run with what came out after it: everything is resolved as of a day soon after its own.
AS_OF = "2025-10-15"
TOOLS = ("hypothesis", "jsonschema", "pytest")
SETTINGS = "tests/unit/test_settings.py"
TESTS = (
    "tests/unit",
    # What only newer versions of Airflow have: retry policies, rendering in the triggerer, the form's metadata.
    "--ignore=tests/unit/test_retry_policy.py",
    "--ignore=tests/unit/test_start_from_trigger.py",
    "--ignore=tests/unit/test_provider_info.py",
    # Outside a task the oldest has no way to ask for a connection that is not in the environment.
    f"--deselect={SETTINGS}::test_missing_connection",
    f"--deselect={SETTINGS}::test_extra_that_is_no_object_is_refused",
    f"--deselect={SETTINGS}::test_connection_that_airflow_cannot_read",
    # The oldest `requests` takes NO_PROXY for the end of any name, not of a part of it.
    f"--deselect={SETTINGS}::test_proxy[NO_PROXY another host]",
    # The oldest common-compat provider lacks the module that an example DAG takes an exception from.
    "--deselect=tests/unit/test_warnings.py::test_nothing_of_ours_is_warned_of",
)


def lower_bounds(root: Path = ROOT) -> dict[str, str]:
    """Return the lowest version of each runtime dependency, extras included."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["sandbox"]]
    return {name: version for name, _, version in (line.partition(">=") for line in lines)}


def main() -> int:
    """Install and run them; `ARGS` go to pytest.

    :return: the exit code of the first step that failed, or 0.
    """
    uv = str(Path(sys.executable).with_name("uv"))
    venv = ROOT / ".airflow" / "lowest"
    python = str(venv / "bin" / "python")
    install = [uv, "pip", "install", "--quiet", "--python", python, "--exclude-newer", AS_OF]
    steps = [
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(venv)],
        [*install, "--compile-bytecode", "--resolution", "lowest-direct", "-e", f"{ROOT}[sandbox]"],
        [*install, *TOOLS],
        [python, "-m", "pytest", *TESTS, *shlex.split(os.environ.get("ARGS", ""))],
    ]
    for step in steps:
        code = subprocess.run(step, cwd=ROOT, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
