"""The package as users get it: built once, and installed into an environment that holds nothing else of ours."""

from __future__ import annotations

import sys

import pytest

from tests.package.packaging_tools import ROOT, UV, Distributions, Installed, build, run


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Both distributions, each built straight from the checkout."""
    wheel, sdist = build(ROOT, tmp_path_factory.mktemp("dist") / "out", "--sdist", "--wheel")
    return Distributions(wheel=wheel, sdist=sdist)


@pytest.fixture(scope="session")
def installed(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in an environment that was empty before, with the versions that developers have of everything else."""
    folder = tmp_path_factory.mktemp("installed")
    python = folder / "venv" / "bin" / "python"
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv", cwd=folder)
    pins = ("--constraints", ROOT / "dev" / "requirements.txt")
    wheel = f"{distributions.wheel}[sandbox]"
    run(UV, "pip", "install", "--quiet", "--python", python, *pins, wheel, cwd=folder)
    work = folder / "work"
    (work / "dags").mkdir(parents=True)
    return Installed(
        python,
        work,
        {
            "AIRFLOW_HOME": str(work / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(work / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        },
    )
