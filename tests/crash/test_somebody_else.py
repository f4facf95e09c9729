"""Somebody else reruns the same order: another task, or a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.crash.reruns import Reruns, accepted, deliver, report_the_end

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack

#: The order is at work until the test ends it.
AT_WORK: dict[str, Any] = {"end_status": None}


def names(reruns: Reruns, index: int = 0) -> list[str]:
    return [output["name"] for output in reruns.result(index)["result"]["outputs"]]


def test_of_two_tasks_at_once_one_asks_and_the_other_joins(airflow: AirflowStack, ollang: Sandbox) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour=AT_WORK)
    # The other one's request arrives when the order shows that it is at work; before, its refusal would be the end.
    ollang.add_fault("POST", f"/integration/orders/{order_id}/rerun", skip=1, delay=3)
    reruns = Reruns(airflow, ollang, [(order_id, {"on_running": "attach"})] * 2)
    reruns.until(lambda: all(reruns.recorded(index) == "accepted" for index in (0, 1)), "both are at it", limit=60)
    deliver(ollang, order_id)
    reruns.until_all_are_over()
    assert [reruns.outcome(index) for index in (0, 1)] == ["success"] * 2
    assert accepted(ollang, order_id) == 1
    assert sorted(reruns.result(index)["reconnected"] for index in (0, 1)) == [False, True]
    assert all("(run 2)" in name for index in (0, 1) for name in names(reruns, index))


def test_of_two_tasks_at_once_the_second_is_refused(airflow: AirflowStack, ollang: Sandbox) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour=AT_WORK)
    reruns = Reruns(airflow, ollang, [(order_id, {})] * 2)
    reruns.until(lambda: any(one.is_over for one in reruns.all), "one is refused")
    deliver(ollang, order_id)
    reruns.until_all_are_over()
    assert sorted(reruns.outcome(index) for index in (0, 1)) == ["OllangOrderNotEligibleError", "success"]
    assert accepted(ollang, order_id) == 1


def test_two_tasks_at_once_are_two_wishes_where_ollang_takes_both(airflow: AirflowStack, ollang: Sandbox) -> None:
    behaviour = {**AT_WORK, "rerun_while_running": "accept", "status_hidden_for": None}
    order_id = ollang.add_order(type="subtitle", behaviour=behaviour)
    reruns = Reruns(airflow, ollang, [(order_id, {"stale_timeout": 120, "outputs_timeout": 120})] * 2)
    reruns.until(lambda: accepted(ollang, order_id) == 2, "both are accepted")
    report_the_end(ollang, order_id)
    deliver(ollang, order_id)
    reruns.until_all_are_over()
    assert [reruns.outcome(index) for index in (0, 1)] == ["success"] * 2
    assert len(reruns[0].posts) == accepted(ollang, order_id) == 2
    assert all("(run 3)" in name for index in (0, 1) for name in names(reruns, index))


def test_a_person_asked_while_nobody_knew_whether_the_task_had(airflow: AirflowStack, ollang: Sandbox) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour=AT_WORK)
    options = {"kill_at": ["after", "sending"], "reconcile_timeout": 30}
    reruns = Reruns(airflow, ollang, [(order_id, options)])
    reruns.until(lambda: reruns[0].state == "up_for_retry", "death of the first try")
    ollang.rerun_order(order_id)
    reruns.until(lambda: reruns.recorded() == "accepted", "the second try joins")
    deliver(ollang, order_id)
    reruns.until_all_are_over()
    assert (reruns.outcome(), reruns[0].tries) == ("success", 2)
    assert accepted(ollang, order_id) == 1
    assert reruns[0].posts == []
    assert reruns.result()["reconnected"] is True
    assert all("(run 2)" in name for name in names(reruns))


def test_a_person_was_quicker_than_the_request(airflow: AirflowStack, ollang: Sandbox) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour=AT_WORK)
    ollang.add_fault("POST", f"/integration/orders/{order_id}/rerun", delay=4)
    reruns = Reruns(airflow, ollang, [(order_id, {"on_running": "attach"})])
    reruns.until(lambda: bool(reruns[0].posts), "the request is on its way")
    ollang.rerun_order(order_id)
    reruns.until(lambda: reruns.recorded() == "accepted", "the task joins")
    deliver(ollang, order_id)
    reruns.until_all_are_over()
    assert (reruns.outcome(), reruns[0].tries) == ("success", 1)
    assert accepted(ollang, order_id) == len(reruns[0].posts) == 1
    assert reruns.result()["reconnected"] is True


def test_a_person_asks_again_while_the_task_waits(airflow: AirflowStack, ollang: Sandbox) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour={**AT_WORK, "rerun_while_running": "accept"})
    reruns = Reruns(airflow, ollang, [(order_id, {"deferrable": True})])
    reruns.until_all_stay_away()
    ollang.rerun_order(order_id)
    deliver(ollang, order_id)
    reruns.until_all_are_over()
    assert (reruns.outcome(), reruns[0].tries) == ("success", 1)
    assert len(reruns[0].posts) == 1
    assert accepted(ollang, order_id) == 2
    assert all("(run 3)" in name for name in names(reruns))
