"""Waits that lose their triggerer, and the same waits in poke mode, which have none to lose."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor

POKE_INTERVAL = 2
TIMEOUT = 18
FORMS: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "deferrable": {"deferrable": True},
    "start_from_trigger": {"start_from_trigger": True},
}

with DAG("e2e_triggerer_dies", schedule=None, params={"orders": {}}):
    reruns = []
    for form in ("poke", "deferrable"):
        rerun = OllangRerunOperator(task_id=f"rerun.{form}", order_id=f"{{{{ params.orders['rerun.{form}'] }}}}")
        OllangOrderStatusSensor(
            task_id=f"rerun_done.{form}",
            rerun=rerun.output,
            poke_interval=POKE_INTERVAL,
            timeout=600,
            **FORMS[form],
        )
        reruns.append(rerun)
    for form, how in FORMS.items():
        for case, timeout in (("done", 600), ("never_done", TIMEOUT)):
            wait = OllangOrderStatusSensor(
                task_id=f"{case}.{form}",
                order_id=f"{{{{ params.orders['{case}.{form}'] }}}}",
                poke_interval=POKE_INTERVAL,
                timeout=timeout,
                **how,
            )
            if case == "never_done":
                # Its time must not run while a busy machine still starts the others.
                reruns >> wait
