"""A triggerer dies in the middle of waits, and another one ends them as if nothing had happened."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dev.processes import wait_until
from tests.e2e.dags.e2e_triggerer_dies import POKE_INTERVAL, TIMEOUT
from tests.e2e.observed import looks, outcome, stored_trigger

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox.request_log import LoggedRequest

    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack

DAG_ID = "e2e_triggerer_dies"
LIMIT = 120
#: How many looks at the order of each wait show that the triggerer has it: all, or all but those on a worker.
IN_THE_TRIGGERER = {
    "done.deferrable": 2,
    "done.start_from_trigger": 1,
    "never_done.deferrable": 2,
    "never_done.start_from_trigger": 1,
    "rerun_done.deferrable": 3,
}
UNDISTURBED = ("done.poke", "never_done.poke", "rerun_done.poke")


def add_orders(ollang: Sandbox) -> dict[str, str]:
    """Return an order for each wait; the result of a rerun comes when the test says so."""
    unseen = {"status_hidden_for": None, "end_status": None}
    return {
        task_id: ollang.add_order(name="Twin", type="subtitle", behaviour=unseen)
        if task_id.startswith("rerun")
        else ollang.add_order(name="Twin", type="subtitle", status="ongoing")
        for task_id in (*IN_THE_TRIGGERER, *UNDISTURBED)
    }


def epoch(ollang: Sandbox, look: LoggedRequest) -> float:
    """Return when a look came, in epoch seconds."""
    ago = ollang.now - datetime.fromisoformat(look.time)
    return time.time() - ago.total_seconds() / ollang.clock.speed


def end_of(observed: dict[str, Any]) -> dict[str, Any]:
    """Return what must be the same for a wait that lost its triggerer."""
    return {"state": observed["state"], "result": observed["result"], "errors": observed["tries"][-1]["errors"]}


def test_another_triggerer_ends_each_wait_at_its_own_deadline_with_its_own_result(
    airflow: AirflowStack, ollang: Sandbox
) -> None:
    orders = add_orders(ollang)
    conf = {task_id.replace("rerun_done", "rerun"): order_id for task_id, order_id in orders.items()}
    run_id = airflow.trigger(DAG_ID, {"orders": conf})

    def all_are_waiting() -> bool:
        return all(
            len(looks(ollang, order_id)) >= IN_THE_TRIGGERER.get(task_id, 1) for task_id, order_id in orders.items()
        )

    wait_until(all_are_waiting, LIMIT, "waits in the triggerer", every=0.1)
    before = {task_id: stored_trigger(airflow, run_id, task_id) for task_id in IN_THE_TRIGGERER}
    airflow.kill("triggerer")
    last_seen = ollang.last_request

    def looks_of_the_other(task_id: str) -> list[LoggedRequest]:
        return [look for look in looks(ollang, orders[task_id]) if look.n > last_seen]

    # Nobody is there to see it happen.
    for task_id in ("done.poke", "done.deferrable", "done.start_from_trigger"):
        ollang.change_order(orders[task_id], status="completed")
    airflow.start("triggerer")

    def has_looked_twice_or_ended() -> bool:
        return (
            len(looks_of_the_other("rerun_done.deferrable")) >= 2
            or stored_trigger(airflow, run_id, "rerun_done.deferrable") is None
        )

    wait_until(has_looked_twice_or_ended, LIMIT, "looks of another triggerer")
    stored, original = stored_trigger(airflow, run_id, "rerun_done.deferrable"), before["rerun_done.deferrable"]
    # The order says `completed` all the time: that it is not believed is what the receipt says.
    assert stored is not None
    assert original is not None
    assert stored.owner != original.owner
    assert stored.arguments == original.arguments
    assert stored.airflow_ends_it_at == original.airflow_ends_it_at
    for task_id in ("rerun_done.poke", "rerun_done.deferrable"):
        anew = {"id": "doc_anew", "type": "subtitle", "name": "made anew"}
        ollang.change_order(orders[task_id], orderDocs=[anew])
    airflow.wait_for_run(DAG_ID, run_id, timeout=LIMIT)

    tasks = {task["task_id"]: task for task in airflow.task_instances(DAG_ID, run_id)}
    ends = {task_id: outcome(airflow, DAG_ID, run_id, tasks[task_id]) for task_id in orders}
    for task_id in IN_THE_TRIGGERER:
        case = task_id.partition(".")[0]
        assert end_of(ends[task_id]) == end_of(ends[f"{case}.poke"])
    assert ends["done.poke"]["state"] == "success"
    assert ends["rerun_done.poke"]["result"]["evidence"] == ["documents"]
    assert ends["never_done.poke"]["tries"][0]["errors"][-1][0] == "OllangTimeoutError"
    for task_id in ("never_done.deferrable", "never_done.start_from_trigger"):
        trigger = before[task_id]
        assert trigger is not None
        looked = [epoch(ollang, look) for look in looks_of_the_other(task_id)]
        # Begun anew, it would have ended a whole timeout after it was taken over, an interval before the first look.
        assert trigger.deadline <= looked[-1] < looked[0] - POKE_INTERVAL + TIMEOUT
