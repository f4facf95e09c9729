"""
The list that a rerun is mapped over has another order when a try is repeated.

Airflow keeps a task's state by its place in the list, so the record of a place may be about another order then. It is
not taken for that order's: each place sends a request of its own, with a warning, and may so rerun what another place
has rerun already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.crash.reruns import SLOW_RETRIES, Reruns, accepted

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack

SHOWN = {"rerun_while_running": "accept", "run_seconds": 10}


def test_a_list_that_shifted_between_tries_is_another_wish_for_each_place(
    airflow: AirflowStack, ollang: Sandbox
) -> None:
    orders = [ollang.add_order(type="subtitle", behaviour=SHOWN) for _ in range(2)]
    options = {"kill_at": ["after", "accepted"]}
    reruns = Reruns(airflow, ollang, [(order_id, options) for order_id in orders], dag_id=SLOW_RETRIES, turn=True)
    reruns.until_all_are({"up_for_retry"})
    airflow.clear(reruns.dag_id, reruns.run_id, ["arguments_of_each"])
    reruns.until_all_are_over()
    assert [reruns.outcome(index) for index in (0, 1)] == ["success"] * 2
    assert [reruns.result(index)["order_id"] for index in (0, 1)] == orders[::-1]
    assert [accepted(ollang, order_id) for order_id in orders] == [2, 2]
    for index in (0, 1):
        warnings = [str(entry["event"]) for entry in reruns.log(index, try_number=2) if entry.get("level") == "warning"]
        assert any("ignoring it" in words for words in warnings)


def test_a_list_that_did_not_shift_is_joined(airflow: AirflowStack, ollang: Sandbox) -> None:
    orders = [ollang.add_order(type="subtitle", behaviour=SHOWN) for _ in range(2)]
    options = {"kill_at": ["after", "accepted"]}
    reruns = Reruns(airflow, ollang, [(order_id, options) for order_id in orders], dag_id=SLOW_RETRIES)
    reruns.until_all_are({"up_for_retry"})
    airflow.clear(reruns.dag_id, reruns.run_id, ["arguments_of_each"])
    reruns.until_all_are_over()
    assert [reruns.result(index)["order_id"] for index in (0, 1)] == orders
    assert [accepted(ollang, order_id) for order_id in orders] == [1, 1]
