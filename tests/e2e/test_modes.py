"""
The sensor begun on a worker and begun in the triggerer, on a whole Airflow: the same story must end the same way.

`tests/integration/test_modes.py` plays all stories in the modes that `dag.test()` can run; it cannot run
`start_from_trigger`, of which these show how it begins, how it ends and how it is tried again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from dev.processes import wait_until
from tests.e2e.dags.e2e_modes import CASES, FORMS, PATIENCE
from tests.e2e.observed import looks, outcome, stored_trigger
from tests.stories import ENDS, RETRIED, STORIES, Stage, done_at_once

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack

DAG_ID = "e2e_modes"
LIMIT = 180
#: What a second try says only if it begins in the triggerer, by story: Airflow hands such a trigger the arguments that
#: were fixed with the DAG, so that it knows nothing of what an earlier try saw.
TOLD_AGAIN = {"long_outage": ["info: Order * is ongoing."]}
#: Arguments with which no wait can be had.
BAD_INPUT = {"no_connection", "no_order_id", "no_such_param"}


@dataclass
class Act(Stage):
    """
    A story in real time: it goes on when the order was looked at often enough, however long that takes.

    :param deadline: when the wait ends, in epoch seconds; None until it is known.
    """

    patience = PATIENCE
    asked_pause = 5
    deadline: Callable[[], float | None]
    rest: Callable[[], bool] | None = None

    def later(self, status: str) -> None:
        """Give the order its status at the second look, which is one in the triggerer."""

        def change() -> bool:
            if len(looks(self.ollang, self.order_id)) < 2:
                return False
            self.ollang.change_order(self.order_id, status=status)
            return True

        self.rest = change

    def in_the_last_second(self, status: str) -> None:
        """Give the order its status so late that only the look at the very end may be sure to see it."""

        def change() -> bool:
            deadline = self.deadline()
            if deadline is None or deadline - time.time() > 0.8:
                return False
            self.ollang.change_order(self.order_id, status=status)
            return True

        self.rest = change

    def goes_on(self) -> bool:
        """Do what is due; return whether something is left to do."""
        if self.rest is not None and self.rest():
            self.rest = None
        return self.rest is not None


@pytest.fixture(scope="module")
def ends(airflow: AirflowStack, ollang: Sandbox) -> dict[str, dict[str, Any]]:
    """Play all stories at once, and tell how each wait ended, by task."""
    acts: dict[str, Act] = {}
    run_id = ""

    def deadline_of(task_id: str) -> Callable[[], float | None]:
        def deadline() -> float | None:
            trigger = stored_trigger(airflow, run_id, task_id)
            return None if trigger is None else trigger.deadline

        return deadline

    for case in CASES:
        for form in FORMS:
            task_id = f"{case}.{form}"
            acts[task_id] = Act(ollang, ollang.add_order(name=case), deadline=deadline_of(task_id))
            STORIES.get(case.partition(".")[0], done_at_once)(acts[task_id])
    run_id = airflow.trigger(DAG_ID, {"orders": {task_id: act.order_id for task_id, act in acts.items()}})
    wait_until(lambda: not [act for act in acts.values() if act.goes_on()], LIMIT, "second looks", every=0.1)
    airflow.wait_for_run(DAG_ID, run_id, timeout=LIMIT)
    return {task["task_id"]: outcome(airflow, DAG_ID, run_id, task) for task in airflow.task_instances(DAG_ID, run_id)}


def expected(case: str) -> tuple[str, int]:
    """Return the state in which a wait ends, and after how many tries."""
    if case in BAD_INPUT:
        return "failed", 1
    name, _, flag = case.partition(".")
    story, flag = STORIES[name], flag or "plain"
    return ENDS[story][flag], 2 if (story, flag) in RETRIED else 1


@pytest.mark.parametrize("case", CASES)
def test_each_story_ends_the_same_way_in_both_forms(ends: dict[str, dict[str, Any]], case: str) -> None:
    on_worker, in_triggerer = (ends[f"{case}.{form}"] for form in FORMS)
    assert (on_worker["state"], len(on_worker["tries"])) == expected(case)
    on_worker["tries"][-1]["lines"] = sorted(on_worker["tries"][-1]["lines"] + TOLD_AGAIN.get(case, []))
    assert in_triggerer == on_worker
