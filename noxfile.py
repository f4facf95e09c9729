"""The tests on every supported Airflow and Python, and on the lowest versions: `make test-matrix`, `make lowest`.

What each cell runs, and why: docs/compatibility.md. Arguments behind `--` go to pytest.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv"
nox.options.envdir = ".airflow/nox"
nox.options.reuse_venv = "yes"
nox.options.download_python = "never"
# A Python that this machine does not have is named as skipped; `ONLY=` with its name demands it.
nox.options.error_on_missing_interpreters = bool(os.environ.get("ONLY"))
if shutil.which("pyenv"):
    # It has a command for each Python that it knows, and lets only the chosen ones start.
    installed = subprocess.run(["pyenv", "versions", "--bare"], capture_output=True, text=True, check=True).stdout
    os.environ["PYENV_VERSION"] = ":".join(installed.split())

PYTHONS = ("3.11", "3.12", "3.13")
#: Tried on the Airflows that allow it, and promised by no classifier before it was seen to pass.
LATER_PYTHON = "3.14"
#: How each Airflow is installed. An older one does not run with what came out later: everything around it is taken as
#: of a day soon after its own. Of the newest, pre-releases are taken until the final version is there.
AIRFLOWS = {
    "3.1.8": ("apache-airflow==3.1.8", "--exclude-newer=2026-03-15"),
    "3.2.2": ("apache-airflow==3.2.2", "--exclude-newer=2026-06-15"),
    "3.3.2": ("apache-airflow==3.3.2", "--constraints=dev/requirements.txt"),
    "3.4": (
        "apache-airflow>=3.4.0b2,<3.5",
        "apache-airflow-core>=3.4.0b2,<3.5",
        "apache-airflow-task-sdk>=1.4.0b2,<1.5",
    ),
}
OLDEST, NEWEST = "3.1.8", "3.4"
CELLS = [
    nox.param(python, airflow, id=f"{airflow}-py{python}", tags=[airflow, f"py{python}", f"{airflow}-py{python}"])
    for airflow in AIRFLOWS
    for python in (*PYTHONS, *([LATER_PYTHON] if airflow in ("3.3.2", "3.4") else []))
]
# The oldest Airflow that is promised, as of a day soon after its own.
LOWEST = "--exclude-newer=2025-10-15"

# What depends on Python alone, once for each Python.
PURE = ("tests/unit/client", "tests/unit/domain")
PURE_ON = "3.3.2"
# The short list: what depends on Airflow, without the long tables.
UNIT = (
    *("tests/unit/hooks", "tests/unit/runtime", "tests/unit/sensors"),
    *(
        f"tests/unit/test_{name}.py"
        for name in (
            *("docs_snippets", "exceptions", "provider_info", "retry_policy", "start_from_trigger"),
            *("transfer_ledger", "transfer_names", "transfer_plan", "warnings"),
        )
    ),
)
CORE = tuple(
    f"tests/integration/test_{name}.py"
    for name in ("operators", "sensor", "trigger", "example_dags", "rerun_below_3_3", "rerun_record")
)
# Of these, what `make test` runs on the oldest Airflow.
OLDEST_TESTS = (
    *(f"tests/unit/test_{name}.py" for name in ("docs_snippets", "exceptions", "provider_info", "retry_policy")),
    *(
        "tests/unit/client/test_settings_environment.py",
        "tests/unit/hooks/test_ollang.py",
        "tests/unit/test_warnings.py",
    ),
    *("tests/integration/test_operators.py", "tests/integration/test_rerun_below_3_3.py"),
)
# The long list adds what Airflow's versions do differently: task state, clears, reschedules, deferrals, connections.
VERSIONED = tuple(
    f"tests/integration/test_{name}.py"
    for name in (
        *("connection_in_database", "evaluate_clear_state", "rerun_clear", "rerun_clear_state", "rerun_rescheduled"),
        *("resume", "trigger_loop", "trigger_stored"),
    )
)
# On the newest also everything that pays or waits; not the wire, nor deliveries.
PAYING = ("tests/integration", "--ignore=tests/integration/hook", "--ignore=tests/integration/transfers")
E2E = "tests/e2e/test_pipelines.py::test_one_order_is_checked_rerun_waited_for_and_handed_on"
LONG = {
    "3.1.8-3.11": (*UNIT, *CORE, *VERSIONED, E2E),
    "3.2.2-3.11": (*UNIT, *CORE, *VERSIONED, E2E),
    # On Python 3.11 `make test` runs everything.
    "3.3.2-3.13": (*UNIT, *CORE, E2E),
    "3.4-3.11": (*UNIT, *PAYING, E2E),
}


def run_tests(session: nox.Session, *arguments: str, skips: str = "known", processes: str = "logical") -> None:
    """Run tests; any warning that points at our own files is a failure, and any skip that is not expected."""
    # Airflow imports the file of a DAG as a module of a name of its own making.
    ours = "filterwarnings=error:::airflow_provider_ollang\nerror:::unusual_prefix_[0-9a-f]{40}_ollang_"
    # The vendor's client came out after the days of the older Airflows.
    options = ("-p", "no:cacheprovider", "-o", ours, f"--skips={skips}", "--ignore-glob=*/test_vendor_client.py")
    parallel = ("-n", processes, "--maxprocesses", "4", "--dist", "worksteal")
    session.run("python", "-m", "pytest", *options, *parallel, *arguments, *session.posargs)


def install(session: nox.Session, airflow: str) -> None:
    """Install an Airflow with the tools of the tests, and then the provider, which has to do with what is there."""
    session.install(*AIRFLOWS[airflow], "--group=test")
    session.install("--editable=.")


@nox.session
@nox.parametrize(["python", "airflow"], CELLS)
def matrix(session: nox.Session, airflow: str) -> None:
    """Run the long list on one Python of each Airflow, and the short list on the others."""
    install(session, airflow)
    suites = LONG.get(f"{airflow}-{session.python}", (*UNIT, *CORE))
    suites = (*PURE, *suites) if airflow == PURE_ON else suites
    run_tests(session, *suites, skips="none" if airflow == NEWEST else "known")


@nox.session
def oldest(session: nox.Session) -> None:
    """Run what uses Airflow most, on the oldest of the matrix: the part of `make test`, beside another one."""
    install(session, OLDEST)
    run_tests(session, *OLDEST_TESTS, processes="0")


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the unit tests on exactly the lowest versions that `pyproject.toml` promises."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    bounds = [*project["dependencies"], *project["optional-dependencies"]["sandbox"]]
    exact = [bound.replace(">=", "==") for bound in bounds]
    session.install(LOWEST, *exact, "--editable=.")
    session.install(LOWEST, *exact, "hypothesis", "jsonschema", "pytest", "pytest-xdist")
    connection = "--deselect=tests/unit/hooks/test_ollang.py::test_"
    left_out = (
        # What only newer versions of Airflow have: retry policies, rendering in the triggerer, the form's metadata.
        *(f"--ignore=tests/unit/test_{name}.py" for name in ("retry_policy", "start_from_trigger", "provider_info")),
        # Outside a task the oldest has no way to ask for a connection that is not in the environment.
        *(f"{connection}{name}_is_refused" for name in ("missing_connection", "extra_that_is_no_object")),
        f"{connection}connection_that_airflow_cannot_read_is_refused",
        # The oldest `requests` takes NO_PROXY for the end of any name, not of a part of it.
        "--deselect=tests/unit/client/test_settings_environment.py::test_proxy[NO_PROXY another host]",
        # The oldest common-compat provider lacks the module that an example DAG takes an exception from.
        "--deselect=tests/unit/test_warnings.py::test_package_and_example_dags_warn_of_nothing",
    )
    run_tests(session, "tests/unit", *left_out, skips="any")
