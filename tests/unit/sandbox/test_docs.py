"""docs/sandbox.md says what the code says."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.sandbox import Behaviour
from airflow_provider_ollang.sandbox.__main__ import _parser
from airflow_provider_ollang.sandbox.describe import filled, sections
from airflow_provider_ollang.sandbox.faults import Do, Fault
from airflow_provider_ollang.sandbox.journal import KEPT

from .client import EXAMPLE_ID, Client, run_curl

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox

PAGE = Path(__file__).resolve().parents[3] / "docs" / "sandbox.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_tables_are_up_to_date(page: str) -> None:
    assert set(re.findall(r"<!-- table: (\w+) -->", page)) == set(sections())
    assert filled(page) == page, "python -m airflow_provider_ollang.sandbox.describe docs/sandbox.md"


@pytest.mark.parametrize("kind", [Behaviour, Fault, Do])
def test_every_knob_has_a_line(kind: type[Behaviour | Fault | Do]) -> None:
    described = sections()[{Behaviour: "behaviour", Fault: "faults", Do: "do"}[kind]]
    rows = described.splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [field.name for field in dataclasses.fields(kind)]
    assert all(len(row.replace("\\|", "").split("|")) == 6 for row in rows)


def test_all_tables_are_well_formed() -> None:
    for name, text in sections().items():
        columns = {line.count("|") for line in text.splitlines()}
        assert len(columns) == 1, name


def test_the_options_are_those_of_the_program(page: str) -> None:
    options = {option for action in _parser()._actions for option in action.option_strings if option != "-h"}
    assert set(re.findall(r"^\| `(--[\w-]+)`", page, re.MULTILINE)) == options - {"--help"}
    assert f"{KEPT:,}" in page


def examples(page: str, word: str) -> list[str]:
    """Return the page's Python examples that have a word in them."""
    found = [example for example in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if word in example]
    assert found
    return found


def test_the_python_example_runs(page: str) -> None:
    def ask(ollang: Sandbox, order_id: str) -> None:
        with Client(ollang) as client:
            client.rerun(order_id)

    (example,) = examples(page, "with Sandbox(")
    assert "\n    ... " in example
    exec(example.replace("\n    ... ", "\n    ask(ollang, order_id)"), {"ask": ask})  # noqa: S102 - the page's own


def test_the_fault_examples_are_accepted(page: str, ollang: Sandbox) -> None:
    lines = 0
    for faults in examples(page, "\nollang.add_fault("):
        exec(faults, {"ollang": ollang})  # noqa: S102 - the page's own
        lines += len(faults.strip().splitlines())
    assert len(ollang.overview()["faults"]) == lines > 10


def test_the_examples_of_evaluations_and_files_run(page: str, ollang: Sandbox) -> None:
    names: dict[str, Any] = {"ollang": ollang}
    for example in [*examples(page, "qc_scores"), *examples(page, "expected_sha256")]:
        exec(example, names)  # noqa: S102 - the page's own
    assert ollang.content(names["film"], "doc_film").size == 5_000_000_000
    assert ollang.order(names["graded"])["behaviour"]["qc_scores"][1] == {"Accuracy": 95}


def test_the_curl_examples_work(page: str, ollang: Sandbox, client: Client) -> None:
    lines = re.findall(r"^curl .*$", page, re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        answer = run_curl(line, "http://127.0.0.1:8075", ollang.url, ollang.api_key)
        assert answer.status_code == 200, answer.text
    assert client.status(EXAMPLE_ID) == "cancelled"
