"""Which waits can begin in the triggerer, decided when the DAG is parsed, before one could hang."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.triggers.base import BaseTrigger

from airflow_provider_ollang.operators.ollang import OllangGetOrderOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from tests.installed_airflow import needs_start_in_the_triggerer

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"


def wait(**arguments: Any) -> OllangOrderStatusSensor:
    return OllangOrderStatusSensor(task_id="wait", start_from_trigger=True, **{"order_id": ORDER, **arguments})


@needs_start_in_the_triggerer
@pytest.mark.parametrize(
    "order_id",
    [
        ORDER,
        77,
        "{{ params.order_id }}",
        "{{ dag_run.conf['order_id'] }}",
        "{{ run_id }}-{{ ds }}-{{ ts }}-{{ logical_date }}-{{ data_interval_start }}-{{ data_interval_end }}",
    ],
)
def test_order_id_the_triggerer_can_render_begins_there(order_id: object) -> None:
    sensor = wait(order_id=order_id)
    assert sensor.unsupported_reason is None
    assert sensor.start_from_trigger is True
    assert sensor.start_trigger_args is not None
    assert sensor.start_trigger_args.trigger_kwargs is not None
    assert sensor.start_trigger_args.trigger_kwargs["order_id"] == order_id


@needs_start_in_the_triggerer
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"order_id": "{{ ti.xcom_pull('get') }}"}, "over ti"),
        ({"order_id": "{{ macros.ds_add(ds, 1) }}"}, "over macros"),
        ({"order_id": "{{ broken"}, "no template"),
        ({"ollang_conn_id": "{{ var.value.conn }}"}, "over var"),
        ({"target_statuses": "{{ params.wanted }}"}, "target_statuses is a template"),
        ({"rerun": {}}, "receipt"),
        ({"execution_timeout": timedelta(hours=1)}, "execution_timeout"),
    ],
)
def test_other_argument_begins_on_a_worker_and_defers(arguments: dict[str, Any], words: str) -> None:
    sensor = wait(**arguments)
    assert sensor.unsupported_reason is not None
    assert words in sensor.unsupported_reason
    assert not sensor.start_from_trigger
    assert sensor.start_trigger_args is None
    assert sensor.deferrable is True


@needs_start_in_the_triggerer
def test_output_of_another_task_begins_on_a_worker() -> None:
    with DAG("reaching", schedule=None):
        other = OllangGetOrderOperator(task_id="get", order_id=ORDER)
        sensor = wait(order_id=other.output)
    assert sensor.unsupported_reason == "order_id comes from another task"


def test_airflow_that_renders_nothing_begins_on_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(BaseTrigger, "render_template_fields", raising=False)
    assert wait().unsupported_reason == "this version of Airflow renders no templates in the triggerer"
