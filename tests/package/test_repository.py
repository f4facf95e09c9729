"""What holds the repository together: versions told in one place, commands that exist, dependencies that point down."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

import noxfile
from tests.package.packaging_tools import ROOT
from tests.package.public_names import KINDS

PACKAGE = "airflow_provider_ollang"
SOURCES = sorted((ROOT / PACKAGE).rglob("*.py"))
PINNED = dict(
    line.split(" ")[0].split("==") for line in (ROOT / "dev" / "requirements.txt").read_text().splitlines() if line
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PAGES = sorted((ROOT / "docs").glob("*.md"))
PROMISED = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", line)]
TEXTS = [*(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")), *PAGES]


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


def test_what_developers_get_is_pinned_without_places() -> None:
    text = (ROOT / "dev" / "requirements.txt").read_text()
    lines = [line for group in PROJECT["dependency-groups"].values() for line in group if isinstance(line, str)]
    assert {re.split(r"[\[<>=]", line)[0] for line in lines} - set(PINNED) == set()
    assert not re.search(r"://|^-|/", text, re.MULTILINE)


def test_lowest_versions_are_lower_than_the_pinned_ones() -> None:
    project = PROJECT["project"]
    bounds = [*project["dependencies"], *project["optional-dependencies"]["sandbox"]]
    # `make lowest` installs exactly these.
    assert [bound for bound in bounds if not re.fullmatch(r"[a-z0-9-]+>=\d+(\.\d+)+", bound)] == []
    for bound in bounds:
        name, version = bound.split(">=")
        assert [int(part) for part in version.split(".")] < [int(part) for part in PINNED[name].split(".")[:3]], name


def test_matrix_has_every_promised_python_and_existing_tests() -> None:
    assert list(noxfile.PYTHONS) == PROMISED
    pinned = f"apache-airflow=={PINNED['apache-airflow']}"
    assert [airflow for airflow, (what, *_) in noxfile.AIRFLOWS.items() if what == pinned] == ["3.3.2"]
    assert {python for cell in noxfile.LONG for python in cell.split("-")[1:]} <= set(PROMISED)
    assert {cell.split("-")[0] for cell in noxfile.LONG} == set(noxfile.AIRFLOWS)
    suites = (noxfile.UNIT, noxfile.CORE, noxfile.OLDEST_TESTS, *noxfile.LONG.values())
    for argument in {argument for suite in suites for argument in suite if argument.startswith("tests/")}:
        path, _, test = argument.partition("::")
        assert (ROOT / path).exists(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text(), test


def test_the_registry_file_names_every_public_class() -> None:
    registry = read_yaml(".airflow-registry.yaml")
    listed = [f"{kind}: {one['module']}" for kind in KINDS for one in registry[kind]]
    names = (ROOT / "tests" / "package" / "public_names.txt").read_text()
    public = re.findall(rf"^(({'|'.join(KINDS)})\..*)", names, re.MULTILINE)
    assert sorted(listed) == sorted(f"{kind}: {PACKAGE}.{name}" for name, kind in public)
    assert registry["package-name"] == PROJECT["project"]["name"]
    assert {key for kind in KINDS for one in registry[kind] for key in one} == {"module", "description"}


def test_pre_commit_runs_the_pinned_tools() -> None:
    hooks = [hook for repo in read_yaml(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    repos = {repo["repo"] for repo in read_yaml(".pre-commit-config.yaml")["repos"]}
    programs = {hook["entry"].split()[0] for hook in hooks}
    # Out of `.venv`, a tool cannot have another version than make test's.
    assert repos == {"local"}
    assert {hook["language"] for hook in hooks} == {"system"}
    assert programs == {".venv/bin/ruff", ".venv/bin/mypy"}
    assert {Path(program).name for program in programs} <= set(PINNED)


def test_the_workflow_runs_make_on_every_python_that_is_promised() -> None:
    jobs = read_yaml(".github/workflows/test.yml")["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert jobs["test"]["strategy"]["matrix"]["python"] == PROMISED
    assert {command.split()[:2][1] for command in commands} == {
        "test",
        "test-browser",
        "lowest",
        "audit",
        "test-matrix",
        "test-crash",
    }
    matrix = next(step["with"] for step in jobs["matrix"]["steps"] if "python-version" in step.get("with", {}))
    # 3.14 is tried, but not promised before it was seen to pass.
    assert matrix["python-version"].split() == [*PROMISED, "3.14"]
    assert {command.split()[0] for command in commands} == {"make"}


def test_commands_files_and_links_in_documents_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z0-9-]+):", makefile, re.MULTILINE))
    parts = set(re.findall(r"^PARTS := (.*)$", makefile, re.MULTILINE)[0].split())
    assert parts <= targets
    others = [
        ROOT / ".github" / name for name in ("PULL_REQUEST_TEMPLATE.md", "workflows/test.yml", "workflows/nightly.yml")
    ]
    for page in [*TEXTS, *others]:
        text = page.read_text()
        assert set(re.findall(r"(?:`|run: )make ([a-z-]+)", text)) <= targets, page
        assert set(re.findall(r"PART=([a-z]+)", text)) <= parts, page
        named = re.findall(r"`((?:tests|dev|docs|airflow_provider_ollang|benchmarks)/[\w./-]*)`", text)
        linked = [page.parent / link for link in re.findall(r"\]\(([^):#\s]+)(?:#[^)]*)?\)", text)]
        assert [str(path) for path in [*(ROOT / name for name in named), *linked] if not path.exists()] == [], page


def test_every_picture_is_shown() -> None:
    shown = re.findall(r"\]\(pictures/([\w-]+\.png)\)", "".join(page.read_text() for page in PAGES))
    assert set(shown) == {path.name for path in (ROOT / "docs" / "pictures").glob("*.png")}


def test_the_map_names_every_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    modules = [
        path.name
        for path in SOURCES
        if path.name != "__init__.py" and "sandbox" not in path.parts and path.parent.name != "transfers"
    ]
    assert [name for name in modules if name not in text] == []


def test_no_file_is_too_long_or_half_merged() -> None:
    files = [path for name in (PACKAGE, "tests", "dev", "benchmarks") for path in sorted((ROOT / name).rglob("*.py"))]
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in files}
    assert [name for name, text in texts.items() if text.count("\n") > 400] == []
    # In a docstring nothing else notices them.
    assert [name for name, text in texts.items() if re.search(r"^\s*(<{7} |={7}$|>{7} )", text, re.MULTILINE)] == []


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            found |= {f"{PACKAGE}.{alias.name}" for alias in node.names if alias.name != "__version__"}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


#: The rooms of the house, from the ground up. What is in no folder may be used by all of them.
ROOMS = ["domain", "client", "runtime", "hooks", "triggers", "operators"]
#: What the rules may not use: they do no I/O and know no Airflow.
IMPURE = {"requests", "urllib3", "aiohttp", "tenacity", "airflow", "logging", "time", "asyncio", "socket", "os"}


def level(module: str) -> int:
    """Return how high a module of ours stands."""
    room = module.split(".")[1] if "." in module else ""
    room = "operators" if room in {"sensors", "transfers"} else room
    return ROOMS.index(room) if room in ROOMS else -1


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / PACKAGE)))
def test_dependencies_point_down(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    names = imports(path)
    ours = {name for name in names if name.startswith(f"{PACKAGE}.")}
    in_sandbox = module.startswith(f"{PACKAGE}.sandbox")
    assert {name.startswith(f"{PACKAGE}.sandbox") for name in ours} <= {in_sandbox}, "the sandbox stands apart"
    if level(module) >= 0:
        assert [name for name in ours if level(name) > level(module)] == []
    outside = {name.split(".")[0] for name in names}
    if level(module) == ROOMS.index("domain"):
        assert outside & IMPURE == set()
        assert f"{PACKAGE}._clock" not in ours
    if level(module) == ROOMS.index("client"):
        assert "airflow" not in outside
