"""Neither the package nor the example DAGs use what the installed Airflow warns of, as they are first imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.installed_airflow import OllangRetryPolicy

ROOT = Path(__file__).parents[2]
PROGRAM = """
import importlib, json, pkgutil, runpy, sys, warnings
from pathlib import Path

import airflow.settings  # puts its own in the place of warnings.showwarning

package, dags, *without = sys.argv[1:]
found = []

def note(message, category, filename, lineno, *_):
    if Path(filename).is_relative_to(package) or Path(filename).is_relative_to(dags):
        found.append(f"{Path(filename).name}: {category.__name__}: {message}")

warnings.showwarning = note
warnings.simplefilter("always")
name = Path(package).name
for module in pkgutil.walk_packages([package], name + "."):
    if not module.name.endswith("__main__") and module.name not in without:
        importlib.import_module(module.name)
for file in sorted(Path(dags).glob("*.py")):
    runpy.run_path(str(file))
print(json.dumps(found))
"""


def warnings_of(package: Path, dags: Path, *without: str) -> list[str]:
    command = [sys.executable, "-c", PROGRAM, str(package), str(dags), *without]
    env = {**os.environ, "PYTHONPATH": str(package.parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_package_and_example_dags_warn_of_nothing() -> None:
    without = [] if OllangRetryPolicy else ["airflow_provider_ollang.retry_policy"]
    assert warnings_of(ROOT / "airflow_provider_ollang", ROOT / "example_dags", *without) == []


def test_warning_of_a_package_or_dag_is_found(tmp_path: Path) -> None:
    for folder, file in (("some_package", "__init__.py"), ("some_package", "module.py"), ("dags", "dag.py")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / file).write_text(f"import warnings\nwarnings.warn('old {file}', DeprecationWarning)\n")
    seen = warnings_of(tmp_path / "some_package", tmp_path / "dags")
    assert sorted(set(seen)) == [
        f"{file}: DeprecationWarning: old {file}" for file in ("__init__.py", "dag.py", "module.py")
    ]
