"""What a sensor keeps of a wait: never what it saw of another rerun."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.receipts import Receipt
from airflow_provider_ollang.runtime.wait_state import WaitState
from tests.unit.builders import ORDER_ID, REQUESTED, order, setup


class Store(dict[str, Any]):
    """Stand in for Airflow's store, which only a running task has."""

    def set(self, key: str, value: Any, **_retention: Any) -> None:
        self[key] = value


@pytest.mark.parametrize(("requested_at", "kept"), [(REQUESTED, True), (None, False)])
def test_retry_continues_only_a_wait_for_the_same_rerun(requested_at: str | None, *, kept: bool) -> None:
    baseline = Baseline.from_order(order())
    receipt = Receipt(ORDER_ID, "https://ollang.example", None, requested_at, False, False, "completed", baseline)
    store = Store(other=1)
    for try_number, expected in ((1, False), (2, kept)):
        context: Any = {"ti": SimpleNamespace(try_number=try_number), "task_state_store": store}
        state = WaitState(context, timeout=60)
        poller = state.begin(*setup(rerun=receipt.rerun))
        assert poller.state.seen_running is expected
        poller.state.seen_running = True
        state.save(poller)
