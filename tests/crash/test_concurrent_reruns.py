"""Two tasks rerun one order at once; `tests/integration/test_rerun_running.py` has the other rivals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.crash.reruns import Reruns, accepted, deliver

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack


def test_of_two_tasks_one_submits_and_the_other_attaches(airflow: AirflowStack, ollang: Sandbox) -> None:
    # The order is running until the test ends it.
    order_id = ollang.add_order(type="subtitle", behaviour={"end_status": None})
    # The second request arrives when the order shows that it is running; before, its refusal would be the end.
    ollang.add_fault("POST", Reruns.path(order_id), skip=1, delay=3)
    reruns = Reruns(airflow, ollang, [(order_id, {"on_running": "attach"})] * 2)
    reruns.until(lambda: all(reruns.recorded(index) == "accepted" for index in (0, 1)), "both wait", limit=60)
    deliver(ollang, order_id)
    reruns.until_all_are_over()
    assert [reruns.outcome(index) for index in (0, 1)] == ["success"] * 2
    assert accepted(ollang, order_id) == 1
    receipts = [reruns.result(index) for index in (0, 1)]
    assert sorted(receipt["reconnected"] for receipt in receipts) == [False, True]
    assert all("(run 2)" in output["name"] for receipt in receipts for output in receipt["result"]["outputs"])
