"""A process dies at each point of a request for orders, or a user ends its wait: the orders are created once."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from airflow_provider_ollang.sandbox import Sandbox
from dev.processes import members
from tests.crash.account_cells import ACCOUNT_CELLS, LANGUAGES, AccountCell
from tests.crash.accounts import AccountRunner, Creations, sandboxes_of
from tests.crash.matrices import note_played, wanted_cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dev.stack import AirflowStack
    from tests.crash.runner import Outcome

CELLS = [cell for cell in ACCOUNT_CELLS if cell.operator == "create"]


@pytest.fixture(scope="module")
def played(airflow: AirflowStack, request: pytest.FixtureRequest) -> dict[AccountCell, Outcome]:
    wanted = wanted_cells(request.session, CELLS)
    found: dict[AccountCell, Outcome] = {}
    for loses_triggerer in (False, True):
        cells = [cell for cell in wanted if cell.loses_triggerer == loses_triggerer]
        if cells:
            with sandboxes_of(cells) as sandboxes:
                found |= AccountRunner(airflow, Creations, sandboxes, cells, [{}] * len(cells)).play()
    note_played(request.config, "create", found)
    return found


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_orders_are_created_once(cell: AccountCell, played: dict[AccountCell, Outcome]) -> None:
    seen = played[cell]
    assert seen.end == cell.expected, seen.error
    assert seen.posts == cell.posts
    assert seen.died_once(without_triggerer=cell.loses_triggerer)
    counts = seen.ollang.counts()
    assert counts["orders_created"] == cell.expected.accepted * len(LANGUAGES)
    assert counts["cancels_accepted"] == 0
    if cell.expected.outcome == "success":
        (creation,) = [made for project in seen.ollang.projects() for made in project["creations"]]
        assert [entry["target_language"] for entry in seen.result] == LANGUAGES
        assert [entry["order_id"] for entry in seen.result] == creation["orders"]
        assert all(entry["result"]["outputs_changed"] for entry in seen.result)
    else:
        assert "Check project proj_xyz789 in Ollang" in seen.error
        assert "clear" in seen.error


# --- A user ends the wait -----------------------------------------------------------------------------------------

#: How the wait is ended, and whether it is deferred then.
ENDS = [(act, mode) for act in ("cleared", "marked as failed") for mode in ("sync", "deferrable")]


@pytest.fixture(scope="module")
def ended(airflow: AirflowStack) -> Iterator[Creations]:
    """Waits with ``cancel_on_kill`` that were ended, in the order of ENDS; a last one was not."""
    sandboxes = [Sandbox(behaviour={"run_seconds": 100_000.0, "cancellable_for": None}) for _ in [*ENDS, None]]
    modes = [*(mode for _, mode in ENDS), "deferrable"]
    given = [
        (sandbox.start(), {"deferrable": mode == "deferrable", "cancel_on_kill": True})
        for sandbox, mode in zip(sandboxes, modes, strict=True)
    ]
    runs = Creations(airflow, given)
    runs.until(
        lambda: all(
            bool(one.posts) and one.looks_after(one.posts[0].n) > len(LANGUAGES) and (mode == "sync" or one.stays_away)
            for one, mode in zip(runs.all, modes, strict=True)
        ),
        "all wait",
    )
    runs.clear(*(index for index, (act, _) in enumerate(ENDS) if act == "cleared"))
    for index, (act, _) in enumerate(ENDS):
        if act == "marked as failed":
            runs.mark(index, "failed")
    runs.until(lambda: all(one.is_over for one in runs.all[:-1]), "end of the waits")
    runs.until(lambda: all(one.ollang.counts()["cancels_accepted"] for one in runs.all[:-1]), "cancelled orders")
    yield runs
    for sandbox in sandboxes:
        sandbox.stop()


@pytest.mark.parametrize(("act", "mode"), ENDS)
def test_wait_that_a_user_ends_cancels_its_orders(act: str, mode: str, ended: Creations) -> None:
    index = ENDS.index((act, mode))
    counts = ended[index].ollang.counts()
    assert (counts["creations_accepted"], counts["orders_created"]) == (1, len(LANGUAGES))
    assert (counts["cancels_accepted"], counts["cancels_refused"]) == (len(LANGUAGES), 0)
    # A person decides whether they are created again.
    assert (ended[index].state, ended[index].tries) == ("failed", 2 if act == "cleared" else 1)
    if act == "cleared":
        assert ended.outcome(index) == "OllangOrderFailedError"


def test_triggerer_that_seemed_dead_cancels_no_order(airflow: AirflowStack, ended: Creations) -> None:
    """Airflow tells it of the wait that another one has taken over as if a user had ended the task."""
    index = len(ENDS)
    waiting = ended[index]
    supervisor = airflow.component_pids["triggerer"]
    event_loop = [pid for pid in members(supervisor) if pid != supervisor]
    airflow.start("triggerer", name="other triggerer")
    with stopped(event_loop):
        last = waiting.ollang.last_request
        ended.until(lambda: waiting.looks_after(last) > 0, "the other one goes on with the wait")

    def has_decided() -> bool:
        lines = " ".join(str(entry.get("event")) for entry in ended.log(index, try_number=1))
        return "Not cancelled" in lines or waiting.ollang.counts()["cancels_accepted"] > 0

    ended.until(has_decided, "the first one lets go of the wait")
    assert (waiting.state, waiting.ollang.counts()["cancels_accepted"]) == ("deferred", 0)
    airflow.terminate("other triggerer")


@contextmanager
def stopped(pids: Sequence[int]) -> Iterator[None]:
    """Let processes do nothing for a while."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_triggerer_that_stops_cancels_no_order(airflow: AirflowStack, ended: Creations) -> None:
    """Last, since the others want a triggerer that runs on: a restart is no wish of a user's."""
    index = len(ENDS)
    waiting = ended[index]
    airflow.terminate("triggerer")
    last = waiting.ollang.last_request
    airflow.start("triggerer")
    ended.until(lambda: waiting.looks_after(last) > 0, "the wait goes on")
    waiting.ollang.advance(1_000_000)
    ended.until(lambda: waiting.is_over, "end of the wait")
    assert (ended.outcome(index), waiting.tries) == ("success", 1)
    assert waiting.ollang.counts()["cancels_accepted"] == 0
