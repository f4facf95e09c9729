"""The wheel alone, in an environment of its own and far from the checkout, does what users install it for."""

from __future__ import annotations

import json
import re
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_ollang import __version__
from dev.processes import Process, stop_all, wait_until
from tests.package.packaging_tools import ROOT, UV, Installed, run

HERE = Path(__file__).parent
DAG = "ollang_rerun_order"


@pytest.fixture
def sandbox(installed: Installed) -> Iterator[dict[str, str]]:
    """The sandbox of the wheel, as a user starts it; its connection and its address."""
    command = [str(installed.python), "-m", "airflow_provider_ollang.sandbox", "--port", "0", "--speed", "20"]
    work = installed.work
    process = Process("sandbox", command, env=installed.env, cwd=work, log=work / "sandbox.log")
    try:
        pattern = re.compile(r"listening on (?P<url>\S+)\nexport AIRFLOW_CONN_OLLANG_DEFAULT='(?P<connection>.*)'")
        found = wait_until(lambda: pattern.search(process.log.read_text()), 60, f"sandbox:\n{process.tail()}")
        yield found.groupdict()
    finally:
        stop_all([process], grace=10, hurry=lambda: False)


def test_the_package_is_the_installed_one(installed: Installed) -> None:
    where = installed.run("python", "-c", "import airflow_provider_ollang as one; print(one.__file__)")
    assert Path(where.strip()).is_relative_to(installed.python.parents[1])
    run(UV, "pip", "check", "--python", installed.python, cwd=installed.work)


def test_airflow_lists_the_provider(installed: Installed) -> None:
    shown = installed.run("airflow", "providers", "get", "airflow-provider-ollang", "--output", "json")
    provider = json.loads(shown[shown.index("[") :])[0]
    assert (provider["Provider"], provider["Version"]) == ("airflow-provider-ollang", __version__)
    shown = installed.run("airflow", "providers", "hooks", "--output", "json")
    (hook,) = (one for one in json.loads(shown[shown.index("[") :]) if one["connection_type"] == "ollang")
    assert (hook["class"], hook["hook_name"]) == ("airflow_provider_ollang.hooks.ollang.OllangHook", "Ollang")


def test_an_example_dag_runs_against_the_installed_sandbox(installed: Installed, sandbox: dict[str, str]) -> None:
    shutil.copy(ROOT / "example_dags" / f"{DAG}.py", installed.work / "dags")
    settings = {"AIRFLOW_CONN_OLLANG_DEFAULT": sandbox["connection"], "OLLANG_POKE_INTERVAL": "0.5"}
    connected = Installed(installed.python, installed.work, installed.extra | settings)
    connected.run("airflow", "db", "migrate")
    connected.run("airflow", "dags", "test", DAG)

    with urllib.request.urlopen(f"{sandbox['url']}/_sandbox/requests", timeout=30) as answer:  # noqa: S310 - our own
        requests = json.load(answer)["requests"]
    reruns = [one["status"] for one in requests if one["method"] == "POST" and one["path"].endswith("/rerun")]
    assert reruns == [200]


#: As strict as can be, but for Airflow's own code, which takes most of the time: the checkout's mypy reads that too.
MYPY = """
[mypy]
strict = True
disallow_untyped_decorators = False
[mypy-airflow.*]
follow_imports = skip
"""


def test_a_users_dag_passes_mypy_and_airflow(installed: Installed) -> None:
    dag = shutil.copy(HERE / "user_dag.py", installed.work / "dags")
    (installed.work / "mypy.ini").write_text(MYPY)
    run(
        *(sys.executable, "-m", "mypy", "--cache-dir", "/dev/null", "--python-executable", installed.python, dag),
        cwd=installed.work,
    )
    installed.run("python", dag)


def test_a_users_dag_uses_every_public_name() -> None:
    text = (HERE / "user_dag.py").read_text()
    names = [line.split()[0].rpartition(".")[2] for line in listed() if not line.startswith(" ")]
    assert len(names) > 25
    assert [name for name in names if not re.search(rf"^(?!.*import).*\b{name}\b", text, re.MULTILINE)] == []


def test_the_public_names_are_the_listed_ones(installed: Installed) -> None:
    shutil.copy(HERE / "public_names.py", installed.work)
    found = installed.run("python", "public_names.py").splitlines()[3:]
    assert found == listed(), "a name was added or lost; if that is meant, do as the file says, and tell CHANGELOG.md"


def listed() -> list[str]:
    return (HERE / "public_names.txt").read_text().splitlines()[3:]


LICENCES = """
import json, re
from importlib.metadata import distribution
from packaging.requirements import Requirement

def needs(name, extras):
    for line in distribution(name).requires or []:
        one = Requirement(line)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield one

found, left = {}, list(needs("airflow-provider-ollang", {"sandbox"}))
while left:
    one = left.pop()
    name = re.sub("[-_.]+", "-", one.name).lower()
    if name not in found:
        found[name] = distribution(name).metadata.get("License-Expression")
        if not name.startswith("apache-airflow"):
            left += needs(name, one.extras)
print(json.dumps(found))
"""


def test_every_dependency_is_listed_with_its_licence(installed: Installed) -> None:
    found: dict[str, str | None] = json.loads(installed.run("python", "-c", LICENCES))
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", (ROOT / "docs" / "licences.md").read_text(), re.MULTILINE)
    told = {name: licence.strip() for name, licence in rows}
    # Some need a package on some versions of Python only.
    assert set(found) - set(told) == set()
    assert {name: licence for name, licence in found.items() if licence not in (None, told[name])} == {}
