"""Whole pipelines on a whole Airflow: scheduler, workers, API server; everything is read back through REST."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.get_provider_info import CONNECTION_FIELDS

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack

LIMIT = 180


def finish(airflow: AirflowStack, dag_id: str, **conf: Any) -> tuple[str, str]:
    run_id = airflow.trigger(dag_id, conf)
    return run_id, airflow.wait_for_run(dag_id, run_id, timeout=LIMIT)


def states(airflow: AirflowStack, dag_id: str, run_id: str) -> dict[tuple[str, int], tuple[str, int]]:
    return {
        (ti["task_id"], ti["map_index"]): (ti["state"], ti["try_number"])
        for ti in airflow.task_instances(dag_id, run_id)
    }


def accepted(ollang: Sandbox, order_id: str) -> int:
    return int(ollang.order(order_id)["reruns_accepted"])


def posts(ollang: Sandbox, order_id: str) -> int:
    return len(ollang.requests("POST", f"/integration/orders/{order_id}/rerun"))


def test_one_order_is_checked_rerun_waited_for_and_handed_on(airflow: AirflowStack, ollang: Sandbox) -> None:
    order_id = ollang.add_order(type="subtitle", name="Pilot", behaviour={"status_hidden_for": 15})
    run_id, state = finish(airflow, "ollang_rerun_order", order_id=order_id)
    assert state == "success"
    before = airflow.xcom("ollang_rerun_order", run_id, "check_order")
    result = airflow.xcom("ollang_rerun_order", run_id, "wait_for_new_result")
    handed_on = airflow.xcom("ollang_rerun_order", run_id, "hand_on")
    assert before["status"] == "completed"
    assert result["outputs_changed"] is True
    assert result["evidence"]
    assert result["outputs"]
    assert all("(run 2)" in output["name"] for output in result["outputs"])
    assert handed_on["files"] == result["outputs"]
    assert accepted(ollang, order_id) == posts(ollang, order_id) == 1


def test_many_orders_go_their_own_ways(airflow: AirflowStack, ollang: Sandbox) -> None:
    good = [ollang.add_order(type="subtitle"), ollang.add_order(type="document")]
    bad = ollang.add_order(type="subtitle", behaviour={"end_status": "failed"})
    busy = ollang.add_order(type="subtitle", status="ongoing")
    orders = [good[0], bad, good[1], busy]
    run_id, _ = finish(airflow, "ollang_rerun_catalogue", order_ids=orders)
    found = states(airflow, "ollang_rerun_catalogue", run_id)
    by_order = {
        order_id: {task: found[f"localize.{task}", index][0] for task in ("rerun_order", "hand_on")}
        for index, order_id in enumerate(orders)
    }
    fine = {"rerun_order": "success", "hand_on": "success"}
    assert by_order == {
        good[0]: fine,
        good[1]: fine,
        bad: {"rerun_order": "failed", "hand_on": "upstream_failed"},
        busy: {"rerun_order": "failed", "hand_on": "upstream_failed"},
    }
    report = airflow.xcom("ollang_rerun_catalogue", run_id, "report")
    assert sorted(line.split(":")[0] for line in report) == sorted(good)
    assert all("(run 2)" in line for line in report)
    assert [posts(ollang, order_id) for order_id in orders] == [1, 1, 1, 0]
    names = {
        ti["rendered_map_index"]
        for ti in airflow.task_instances("ollang_rerun_catalogue", run_id)
        if ti["task_id"] == "localize.rerun_order"
    }
    assert {good[0], good[1], bad} <= names


def test_an_order_made_elsewhere_gates_a_release(airflow: AirflowStack, ollang: Sandbox) -> None:
    order_id = ollang.add_order(type="subtitle", level=1, status="ongoing", name="Finale")
    ollang.change_order(order_id, status="completed", after=20)
    ollang.change_order(order_id, status="delivered", after=60)
    run_id, state = finish(airflow, "ollang_release_when_delivered", order_id=order_id)
    assert state == "success"
    assert airflow.xcom("ollang_release_when_delivered", run_id, "wait_until_delivered")["status"] == "delivered"
    assert airflow.xcom("ollang_release_when_delivered", run_id, "release")["title"] == "Finale"


def test_a_rerun_whose_answer_was_lost_is_joined_and_not_repeated(airflow: AirflowStack, ollang: Sandbox) -> None:
    order_id = ollang.add_order(type="subtitle")
    ollang.add_fault("POST", f"/integration/orders/{order_id}/rerun", drop="after")
    run_id, state = finish(airflow, "e2e_careful_retries", order_id=order_id)
    assert state == "success"
    assert states(airflow, "e2e_careful_retries", run_id)["rerun", -1] == ("success", 1)
    assert accepted(ollang, order_id) == posts(ollang, order_id) == 1
    assert airflow.xcom("e2e_careful_retries", run_id, "rerun")["reconnected"] is True
    assert "the outcome of the rerun request is unknown" in airflow.logs("e2e_careful_retries", run_id, "rerun")


def test_a_passing_outage_costs_a_retry_and_no_second_rerun(airflow: AirflowStack, ollang: Sandbox) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour={"delivery_events": "absent"})
    # The hook's own attempts are used up by the first look; the task's retry finds the service well again.
    ollang.add_fault("GET", f"/integration/orders/{order_id}", times=5, status=503, headers={"Retry-After": "0"})
    run_id, state = finish(airflow, "e2e_careful_retries", order_id=order_id)
    assert state == "success"
    assert states(airflow, "e2e_careful_retries", run_id) == {
        ("rerun", -1): ("success", 2),
        ("wait", -1): ("success", 1),
    }
    result = airflow.xcom("e2e_careful_retries", run_id, "wait")
    assert all("(run 2)" in output["name"] for output in result["outputs"])
    assert accepted(ollang, order_id) == posts(ollang, order_id) == 1


def test_a_wait_begins_in_the_triggerer_where_its_order_id_can_be_rendered_there(
    airflow: AirflowStack, ollang: Sandbox
) -> None:
    order_id = ollang.add_order(type="subtitle", status="ongoing")
    ollang.change_order(order_id, status="completed", after=100)
    run_id, state = finish(airflow, "e2e_start_from_trigger", order_id=order_id)
    assert state == "success"
    starts = Counter(event["task_id"] for event in airflow.worker_start_events("e2e_start_from_trigger", run_id))
    assert starts == {"name_it": 1, "from_params": 1, "from_conf": 1, "from_xcom": 2, "pulled": 2, "mapped": 2}
    for task_id in ("from_params", "from_conf", "from_xcom", "pulled"):
        assert airflow.xcom("e2e_start_from_trigger", run_id, task_id)["order_id"] == order_id
    assert "starting on a worker instead" in airflow.logs("e2e_start_from_trigger", run_id, "from_xcom")


def test_the_ui_is_served_the_connection_form(airflow: AirflowStack) -> None:
    (form,) = (one for one in airflow.ui("/connections/hook_meta") if one["connection_type"] == "ollang")
    assert form["hook_name"] == "Ollang"
    assert form["standard_fields"]["password"]["title"] == "API key"
    assert form["standard_fields"]["host"]["title"] == "Base URL"
    assert form["standard_fields"]["login"]["hidden"] is form["standard_fields"]["url_schema"]["hidden"] is True
    assert not (form["standard_fields"].get("port") or {}).get("hidden")
    assert {name: field["schema"]["title"] for name, field in form["extra_fields"].items()} == {
        one.name: one.label for one in CONNECTION_FIELDS
    }
    assert all("null" in field["schema"]["type"] for field in form["extra_fields"].values())


def test_airflow_tests_the_connection(airflow: AirflowStack, ollang: Sandbox) -> None:
    before = ollang.last_request
    tested = airflow.cli("connections", "test", "ollang_default")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "Connection success!" in tested.stdout
    assert [entry.path.partition("?")[0] for entry in ollang.request_log if entry.n > before] == ["/integration/orders"]


def test_the_test_button_says_what_is_wrong(airflow: AirflowStack, ollang: Sandbox) -> None:
    body = {"connection_id": "tried", "conn_type": "ollang", "host": f"http://{ollang.host}", "port": ollang.port}
    good = airflow.api("POST", "/connections/test", json={**body, "password": ollang.api_key})
    assert good == {"status": True, "message": f"{ollang.url} answered and accepts the API key."}
    bad = airflow.api("POST", "/connections/test", json={**body, "password": "wrong"})
    assert bad["status"] is False
    assert "Ollang does not accept the API key" in bad["message"]
