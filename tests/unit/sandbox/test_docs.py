"""docs/sandbox.md says what the code says."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.sandbox import Behaviour
from airflow_provider_ollang.sandbox.cli import _parser, tables, with_tables
from airflow_provider_ollang.sandbox.faults import Do, Fault
from airflow_provider_ollang.sandbox.request_log import KEPT

from .client import EXAMPLE_ID, Client, run_curl

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox

PAGE = Path(__file__).resolve().parents[3] / "docs" / "sandbox.md"


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_tables_are_filled_in(page: str) -> None:
    filled = with_tables(page)
    assert [name for name, table in tables().items() if table not in filled] == ["orders"]
    assert "prints this table" in page
    assert "prints this table" not in filled


@pytest.mark.parametrize(("kind", "name"), [(Behaviour, "behaviour"), (Fault, "faults"), (Do, "do")])
def test_every_option_has_a_line(kind: type[Behaviour | Fault | Do], name: str) -> None:
    rows = tables()[name].splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [field.name for field in dataclasses.fields(kind)]


def test_tables_are_well_formed() -> None:
    for name, text in tables().items():
        assert len({line.count("|") for line in text.splitlines()}) == 1, name


def test_arguments_are_those_of_the_program(page: str) -> None:
    arguments = {argument for action in _parser()._actions for argument in action.option_strings if argument != "-h"}
    named = set(re.findall(r"`(--[\w-]+)", page))
    assert {"--speed", "--behaviour", "--tls", "--describe"} <= named <= arguments
    assert f"{KEPT:,}" in page


def examples(page: str, word: str) -> list[str]:
    """Return the page's Python examples that have a word in them."""
    found = [example for example in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if word in example]
    assert found
    return found


def test_python_example_runs(page: str) -> None:
    def ask(ollang: Sandbox, order_id: str) -> None:
        with Client(ollang) as client:
            client.rerun(order_id)

    (example,) = examples(page, "with Sandbox(")
    assert "\n    ... " in example
    exec(example.replace("\n    ... ", "\n    ask(ollang, order_id)"), {"ask": ask})  # noqa: S102 - the page's own


def test_other_python_examples_run(page: str, ollang: Sandbox) -> None:
    names: dict[str, Any] = {"ollang": ollang}
    faults = examples(page, "\nollang.add_fault(")
    for example in [*faults, *examples(page, "qc_scores"), *examples(page, "sha256()"), *examples(page, "counts()")]:
        exec(example, names)  # noqa: S102 - the page's own
    assert len(ollang.overview()["faults"]) == sum(len(each.strip().splitlines()) for each in faults) > 10
    assert ollang.content(names["film"], "doc_film").size == 5_000_000_000
    assert ollang.order(names["graded"])["behaviour"]["qc_scores"][1] == {"Accuracy": 95}


def test_curl_examples_work(page: str, ollang: Sandbox, client: Client) -> None:
    lines = re.findall(r"^curl .*$", page, re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        answer = run_curl(line, "http://127.0.0.1:8075", ollang.url, ollang.api_key)
        assert answer.status_code == 200, answer.text
    assert client.status(EXAMPLE_ID) == "cancelled"
