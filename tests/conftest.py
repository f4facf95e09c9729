"""Gives every test an Airflow home of its own and an environment without anybody's settings.

Airflow reads its environment when it is first imported, so this stands before any such import.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

# What would lead requests elsewhere, or to other certificates, on one machine and not on the next.
_FOREIGN = frozenset(
    {
        *(f"{kind}_proxy" for kind in ("http", "https", "all", "ftp", "no")),
        "requests_ca_bundle",
        "curl_ca_bundle",
        "ssl_cert_file",
        "netrc",
    }
)

for _name in list(os.environ):
    if _name.casefold() in _FOREIGN or _name.lstrip("_").startswith(("AIRFLOW", "OLLANG")):
        del os.environ[_name]

# A machine that does much else takes long for anything.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")

_HOME = tempfile.mkdtemp(prefix="ollang-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)

os.environ["AIRFLOW_HOME"] = _HOME
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = f"{_HOME}/dags"
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] = "False"

#: As in tests/installed_airflow.py, which imports Airflow.
MISSING = "missing here: "


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--skips", choices=("any", "known", "none"), default="any", help="which skips are no failures")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that is skipped, unless the installed Airflow lacks what it needs; the newest lacks nothing."""
    report = yield
    skips = item.config.getoption("--skips")
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if skips == "none" or (skips == "known" and not reason.startswith(MISSING)):
            report.outcome, report.longrepr = "failed", f"must not be skipped here: {reason}"
    return report
