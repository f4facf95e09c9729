"""Every piece of Python in README and docs runs; what they include of the examples is complete."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from tests.installed_airflow import needs_retry_policies

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
INCLUDED = re.compile(r"```\{literalinclude\} (\S+)\n(.*?)```", re.DOTALL)
OPTION = re.compile(r"^:(start-at|end-before): (.*)$", re.MULTILINE)
SNIPPETS = [
    pytest.param(
        code, id=f"{page.name}-{number}", marks=[needs_retry_policies] if "import OllangRetryPolicy" in code else []
    )
    for page in PAGES
    if page.name != "sandbox.md"  # needs a sandbox; tests/unit/sandbox/test_docs.py runs it with one
    for number, code in enumerate(BLOCK.findall(page.read_text()), 1)
]


@pytest.mark.parametrize("code", SNIPPETS)
def test_snippet_runs(code: str) -> None:
    with DAG("snippet", schedule=None):
        rerun = OllangRerunOperator(task_id="the_rerun", order_id="1")
        names: dict[str, Any] = {
            "OllangRerunOperator": OllangRerunOperator,
            "rerun": rerun,
            "wait": OllangOrderStatusSensor(task_id="the_wait", rerun=rerun.output),
        }
        exec(compile(code, "<snippet>", "exec"), names)  # noqa: S102 - our own documentation


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_included_part_of_an_example_is_complete(page: Path) -> None:
    for path, options in INCLUDED.findall(page.read_text()):
        # It leaves out the line it names, which is the one that matters.
        assert "start-after" not in options
        text = (page.parent / path).read_text()
        for name, marker in OPTION.findall(options):
            line = marker.strip().strip('"').replace('\\"', '"')
            assert line in text, marker
            start = text.index(line)
            text = text[:start] if name == "end-before" else text[text.rindex("\n", 0, start) + 1 :]
        ast.parse(textwrap.dedent(text))
