"""`make lowest`: the unit tests on the oldest versions that `pyproject.toml` allows, in an environment of their own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def installed(python: str, names: list[str]) -> dict[str, str]:
    """Return which version of each distribution an environment has."""
    question = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    asked = subprocess.run([python, "-c", question, *names], stdout=subprocess.PIPE, text=True, check=True)
    return dict(zip(names, asked.stdout.split(), strict=True))


def not_lowest(bounds: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """Say which installed versions are not the lowest that is promised: such a promise would go untested."""
    return [
        f"{name}>={version} is promised, but {found[name]} is what was installed"
        for name, version in bounds.items()
        if Version(found[name]) != Version(version)
    ]


def main() -> int:
    """Install and run them; `ARGS` go to pytest.

    :return: the exit code of the first step that failed, 1 if what was installed is not the lowest, or 0.
    """
    uv = str(Path(sys.executable).with_name("uv"))
    venv = ROOT / ".airflow" / "lowest"
    python = str(venv / "bin" / "python")
    install = [uv, "pip", "install", "--quiet", "--python", python, "--exclude-newer", AS_OF]
    installation = [
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(venv)],
        [*install, "--compile-bytecode", "--resolution", "lowest-direct", "-e", f"{ROOT}[sandbox]"],
        [*install, *TOOLS],
    ]
    for step in installation:
        code = subprocess.run(step, cwd=ROOT, check=False).returncode
        if code:
            return code
    bounds = lower_bounds()
    wrong = not_lowest(bounds, installed(python, list(bounds)))
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    tests = [python, "-m", "pytest", *TESTS, *shlex.split(os.environ.get("ARGS", ""))]
    return subprocess.run(tests, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
