"""The request or its response is lost: what was billed is reconnected to where the order shows it.

Other responses: `tests/integration/test_rerun_unknown.py`. The wire: `tests/integration/hook/test_rerun_once.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.crash.cells import End
from tests.crash.reruns import Reruns

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack

#: Only events and documents tell of the rerun, and a second one would be billed.
SHOWN: dict[str, Any] = {"rerun_while_running": "accept", "status_hidden_for": None, "run_seconds": 10}
UNKNOWN = "OllangOutcomeUnknownError"
#: What is lost, what the order shows, and how the task ends.
CASES: dict[str, tuple[str, dict[str, Any], End]] = {
    "request lost": ("before", SHOWN, End(UNKNOWN, 0, 1)),
    "response lost": ("after", SHOWN, End("success", 1, 1)),
    "response lost, no trace": ("after", {**SHOWN, "end_status": None}, End(UNKNOWN, 1, 1)),
}


@pytest.fixture(scope="module")
def reruns(airflow: AirflowStack, ollang: Sandbox) -> Reruns:
    given = []
    for drop, behaviour, _ in CASES.values():
        order_id = ollang.add_order(type="subtitle", behaviour=behaviour)
        ollang.add_fault("POST", Reruns.path(order_id), drop=drop)
        given.append((order_id, {"stale_timeout": 120}))
    reruns = Reruns(airflow, ollang, given)
    reruns.until_all_are_over()
    return reruns


@pytest.mark.parametrize(("index", "name"), list(enumerate(CASES)))
def test_lost_request_or_response_is_submitted_once(index: int, name: str, reruns: Reruns) -> None:
    end = CASES[name][2]
    assert reruns.end(index) == end, reruns.error(index)[1]
    assert len(reruns[index].posts) == 1
    if end.outcome == "success":
        assert ["(run 2)" in output["name"] for output in reruns.result(index)["result"]["outputs"]] == [True]
    else:
        assert "Check the order in Ollang" in reruns.error(index)[1]
