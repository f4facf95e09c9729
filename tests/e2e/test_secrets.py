"""Neither the key nor a link's signature is anywhere in Airflow's home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dev.leaks import find_leaks

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack


def test_neither_key_nor_signatures_are_in_airflows_home(
    airflow: AirflowStack, ollang: Sandbox, canaries: dict[str, str]
) -> None:
    dag_id = "ollang_rerun_order"
    before = ollang.last_request
    # A run that succeeds, and runs that fail: errors are where secrets get out.
    orders = [ollang.add_order(), "no-such-order", "60b8d6f1e1b9b1d8c6c0d8ff"]
    runs = [airflow.trigger(dag_id, {"order_id": order}) for order in orders]
    states = [airflow.wait_for_run(dag_id, run, timeout=120) for run in runs]

    assert states == ["success", "failed", "failed"]
    served = [entry for entry in ollang.request_log if entry.n > before and entry.authorized]
    assert {entry.status for entry in served} == {200, 403, 404}
    assert find_leaks(airflow.home, canaries) == []
