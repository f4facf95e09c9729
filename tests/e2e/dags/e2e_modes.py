"""Every story twice: begun on a worker, and begun in the triggerer; each wait has an order of its own."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor

PATIENCE = 3
SHORT: dict[str, Any] = {"timeout": 10}
#: Longer than the looks that may fail take, from the latest first look on.
OUTLASTING: dict[str, Any] = {"timeout": 30}
#: By story, or story and flag: what differs from the usual arguments.
CASES: dict[str, dict[str, Any]] = {
    "done_at_once": {},
    "done_later": {},
    "done_in_the_last_second": SHORT,
    # What the server asks of one wait holds for all on its connection.
    "rate_limited": {"ollang_conn_id": "ollang_{form}"},
    "failing": {},
    "never_done": SHORT,
    "unknown_order": {},
    "long_outage": OUTLASTING,
    "endless_outage": {},
    "failing.soft_fail": {"soft_fail": True},
    "endless_outage.never_fail": {"never_fail": True},
    "long_outage.silent_fail": {**OUTLASTING, "silent_fail": True},
    "no_connection": {"ollang_conn_id": "not_there"},
    "no_order_id": {"order_id": "{{ params.nobody or None }}"},
    "no_such_param": {"order_id": "{{ params.orders['nobody'] }}", "retries": 0},
}
FORMS: dict[str, dict[str, Any]] = {
    "deferrable": {"deferrable": True},
    "start_from_trigger": {"start_from_trigger": True},
}

with DAG("e2e_modes", schedule=None, params={"orders": {}, "nobody": ""}):
    for case, arguments in CASES.items():
        for form, how in FORMS.items():
            task_id = f"{case}.{form}"
            OllangOrderStatusSensor(
                task_id=task_id,
                **{
                    "order_id": f"{{{{ params.orders['{task_id}'] }}}}",
                    "poke_interval": 2,
                    "timeout": 120,
                    "max_poll_failures": PATIENCE,
                    "retries": 1,
                    "retry_delay": 0,
                    **arguments,
                    "ollang_conn_id": arguments.get("ollang_conn_id", "ollang_default").format(form=form),
                    **how,
                },
            )
