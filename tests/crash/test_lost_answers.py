"""The answer to a rerun is lost, late, doubled or garbled: what was billed is reconnected where the order shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.crash.cells import End
from tests.crash.conftest import HASTY
from tests.crash.reruns import Reruns, accepted

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack

#: Only events and documents tell of the rerun, and a second one would be billed.
SHOWN: dict[str, Any] = {"rerun_while_running": "accept", "status_hidden_for": None, "run_seconds": 10}
UNSEEN: dict[str, Any] = {**SHOWN, "end_status": None}
DONE = End("success", 1, 1)
UNKNOWN = End("OllangOutcomeUnknownError", 1, 1)
NOTHING_SENT = End("OllangOutcomeUnknownError", 0, 1)


@dataclass(frozen=True)
class Case:
    """
    What becomes of the answer.

    :param fault: of the request.
    :param end: of the task.
    :param options: of the operator.
    :param posts: requests that reach Ollang.
    """

    fault: dict[str, Any]
    end: End
    behaviour: dict[str, Any] = field(default_factory=lambda: SHOWN)
    options: dict[str, Any] = field(default_factory=dict)
    posts: int = 1


CASES = {
    "request lost": Case({"drop": "before"}, NOTHING_SENT),
    "answer lost": Case({"drop": "after"}, DONE),
    "answer lost, no trace": Case({"drop": "after"}, UNKNOWN, UNSEEN),
    "half an answer": Case({"drop": "body"}, DONE),
    "half an answer, no trace": Case({"drop": "body"}, UNKNOWN, UNSEEN),
    "answered too late": Case({"delay": 6, "processed": True}, DONE, options={"ollang_conn_id": HASTY}),
    "garbled: cut": Case({"generate": "cut_json", "processed": True}, DONE),
    "garbled: no UTF-8": Case({"generate": "bad_utf8", "processed": True}, DONE),
    "garbled: a page": Case({"generate": "html", "processed": True}, DONE),
    "garbled, no trace": Case({"generate": "not_json", "processed": True}, UNKNOWN, UNSEEN),
    "a gateway's 502, processed": Case({"status": 502, "processed": True}, DONE),
    "a gateway's 502, not processed": Case({"status": 502}, NOTHING_SENT),
    "429 first": Case({"status": 429, "headers": {"Retry-After": "1"}}, DONE, posts=2),
    # One request, and Ollang's own doing.
    "doubled on the way": Case({"delay": 0.1}, End("success", 2, 1), {**SHOWN, "processed_twice": True}),
}


@pytest.fixture(scope="module")
def reruns(airflow: AirflowStack, ollang: Sandbox) -> Reruns:
    orders = [ollang.add_order(type="subtitle", behaviour=case.behaviour) for case in CASES.values()]
    for order_id, case in zip(orders, CASES.values(), strict=True):
        ollang.add_fault("POST", f"/integration/orders/{order_id}/rerun", **case.fault)
    usual = {"stale_timeout": 120}
    given = [(order_id, {**usual, **case.options}) for order_id, case in zip(orders, CASES.values(), strict=True)]
    running = Reruns(airflow, ollang, given)
    running.until_all_are_over()
    return running


@pytest.mark.parametrize("name", CASES)
def test_one_rerun_whatever_becomes_of_its_answer(name: str, reruns: Reruns, ollang: Sandbox) -> None:
    case, index = CASES[name], list(CASES).index(name)
    one = reruns[index]
    assert reruns.end(index) == case.end, reruns.error(index)[1]
    assert len(one.posts) == case.posts
    if case.end.outcome == "success":
        run = f"(run {ollang.order(one.order_id)['run']})"
        assert [run in output["name"] for output in reruns.result(index)["result"]["outputs"]] == [True]
    else:
        assert "is being processed or has a new result" in reruns.error(index)[1]


def test_a_request_that_is_processed_when_its_client_has_left_is_joined(airflow: AirflowStack, ollang: Sandbox) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour=SHOWN)
    ollang.add_fault("POST", f"/integration/orders/{order_id}/rerun", drop="before")
    reruns = Reruns(airflow, ollang, [(order_id, {"reconcile_timeout": 60, "stale_timeout": 120})])
    reruns.until(lambda: bool(reruns[0].posts) and reruns[0].looks_after(reruns[0].posts[0].n) > 0, "look for evidence")
    ollang.rerun_order(order_id)
    reruns.until_all_are_over()
    assert reruns.end() == DONE
    assert ["(run 2)" in output["name"] for output in reruns.result()["result"]["outputs"]] == [True]


def test_nothing_is_sent_again_before_anybody_could_look(airflow: AirflowStack, ollang: Sandbox) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour=SHOWN)
    ollang.add_fault("POST", f"/integration/orders/{order_id}/rerun", drop="after")
    # The first look is the baseline; then the service is away for as long as the try looks for evidence.
    ollang.add_fault("GET", f"/integration/orders/{order_id}", skip=1, times=4, status=503)
    reruns = Reruns(airflow, ollang, [(order_id, {"on_unknown_outcome": "resubmit", "stale_timeout": 120})])
    reruns.until_all_are_over()
    assert (reruns.outcome(), accepted(ollang, order_id)) == ("success", 1)
