"""The wheel and the sdist: what is in them, and that either leads to the same package."""

from __future__ import annotations

import email
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest

from airflow_provider_ollang import __version__
from airflow_provider_ollang.get_provider_info import get_provider_info
from tests.package.packaging_tools import ROOT, Distributions, build, run

PACKAGE = "airflow_provider_ollang"
DATA = {f"{PACKAGE}/py.typed", f"{PACKAGE}/sandbox/example_order.json"}


@pytest.fixture(scope="module")
def metadata(distributions: Distributions) -> Message:
    with zipfile.ZipFile(distributions.wheel) as wheel:
        return email.message_from_bytes(wheel.read(f"{PACKAGE}-{__version__}.dist-info/METADATA"))


def test_the_wheel_holds_the_package_and_nothing_else(distributions: Distributions) -> None:
    with zipfile.ZipFile(distributions.wheel) as wheel:
        names = set(wheel.namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / PACKAGE).rglob("*.py")}
    about = {
        f"{PACKAGE}-{__version__}.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")
    }
    licence = {f"{PACKAGE}-{__version__}.dist-info/licenses/LICENSE"}
    assert names == modules | DATA | about | licence


def test_the_sdist_holds_all_that_its_tests_need_and_no_leavings(distributions: Distributions) -> None:
    with tarfile.open(distributions.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    for needed in ("Makefile", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", *DATA):
        assert needed in names
    folders = {name.partition("/")[0] for name in names if "/" in name}
    assert folders == {PACKAGE, ".github", "benchmarks", "dev", "docs", "example_dags", "tests"}
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".db", ".log"))]


def test_the_sdist_builds_the_same_wheel(distributions: Distributions, tmp_path: Path) -> None:
    [wheel] = build(distributions.sdist, tmp_path / "out", "--wheel")
    assert wheel.name == distributions.wheel.name
    assert wheel.read_bytes() == distributions.wheel.read_bytes()


def test_well_known_checkers_find_nothing(distributions: Distributions, tmp_path: Path) -> None:
    programs = Path(sys.executable).parent
    both = [distributions.wheel, distributions.sdist]
    run(programs / "twine", "check", "--strict", *both, cwd=tmp_path)
    run(programs / "check-wheel-contents", distributions.wheel, cwd=tmp_path)


def test_the_metadata_say_what_a_user_and_airflow_look_for(metadata: Message, distributions: Distributions) -> None:
    assert metadata["Name"] == get_provider_info()["package-name"]
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Framework :: Apache Airflow :: Provider" in metadata.get_all("Classifier", [])
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    with zipfile.ZipFile(distributions.wheel) as wheel:
        entry_points = wheel.read(f"{PACKAGE}-{__version__}.dist-info/entry_points.txt").decode().split()
    assert entry_points == [
        "[apache_airflow_provider]",
        "provider_info",
        "=",
        "airflow_provider_ollang.get_provider_info:get_provider_info",
    ]


def test_the_package_needs_little(metadata: Message) -> None:
    required = {line.partition(">=")[0]: line for line in metadata.get_all("Requires-Dist", [])}
    assert set(required) == {"apache-airflow", "requests", "urllib3", "tenacity", "aiohttp", "cryptography"}
    assert "extra == 'sandbox'" in required["cryptography"]
