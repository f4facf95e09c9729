"""A small Airflow around one task: tries, retries, clears, deferrals, and what outlives them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import TaskDeferred

from airflow_provider_ollang import _clock
from airflow_provider_ollang._compat import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
)
from airflow_provider_ollang.exceptions import (
    OllangOrderFailedError,
    OllangOutcomeUnknownError,
    OllangStaleResultError,
)
from tests.model.machine import Cleared, Died, Machine, NeverEnds, StateStore
from tests.model.scenario import Clear

_BEGIN_MS = 1_767_600_000_250
_START_OF_A_PROCESS = 1.0
#: With the state kept, a clear of a task that ended so means that the user wants another.
_MEANS_AGAIN = (OllangOutcomeUnknownError, OllangStaleResultError, OllangOrderFailedError)


@dataclass
class Outcome:
    """
    How a task ended.

    :param state: Airflow's.
    :param error: of its last try.
    :param value: its XCom, which it may have pushed before it failed.
    """

    state: str
    error: BaseException | None
    value: Any


@dataclass
class Task:
    """
    A task instance, as Airflow's database has it.

    :param make: makes its operator, as each process does.
    :param retries: as its DAG says when the run begins; the paid task's may be edited later.
    :param is_paid: whether it is the task under test.
    """

    machine: Machine
    task_id: str
    make: Callable[[], BaseOperator]
    retries: int
    is_paid: bool = True
    clears: list[Clear] = field(default_factory=list)
    try_number: int = 0
    clear_number: int = 0
    max_tries: int = field(init=False)
    state: dict[str, tuple[str, float | None]] = field(default_factory=dict)
    xcoms: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    ended: Outcome | None = None
    first_reschedule: datetime | None = None

    def __post_init__(self) -> None:
        self.max_tries = self.retries

    @property
    def retries_now(self) -> int:
        return self.machine.world.retries if self.is_paid else self.retries

    def run_to_the_end(self) -> Outcome:
        """Run it, its retries and its clears."""
        self._next_alarm()
        while True:
            self._run_tries()
            if not self.clears:
                assert self.ended is not None
                return self.ended
            # One that was meant for a time that is over comes now.
            clear = self.clears.pop(0)
            self.machine.world.advance(clear.wait)
            self._clear(clear)

    def _next_alarm(self) -> None:
        at = self.clears[0].at if self.clears and self.is_paid else None
        self.machine.clear_at = None if at is None else max(round(_BEGIN_MS + at * 1000), self.machine.world.moment())

    def _run_tries(self) -> None:
        while True:
            self.try_number += 1
            scenario = self.machine.world.scenario
            try:
                self.ended = self._run_try()
            except Cleared:
                clear, self.machine.dead = self.clears.pop(0), False
                # Whether a process ran, or a trigger: the one is restarted, the other cleared as if it had ended.
                self._clear(clear, restarting=self.machine.running is not None)
                continue
            except Died as error:
                self.machine.dead = False
                self.ended = Outcome("failed", error, self.xcoms.get("return_value"))
                if self.try_number <= self.max_tries:
                    self._pause_before_retry(300 + scenario.retry_delay)
                    continue
            if self.ended.state != "up_for_retry":
                if self.ended.state == "success" and scenario.clear_on_success:
                    self.state.clear()
                return
            self._pause_before_retry(scenario.retry_delay)

    def _pause_before_retry(self, seconds: float) -> None:
        try:
            self.machine.sleep(seconds)
        except Cleared:
            self.machine.dead = False
            self._clear(self.clears.pop(0))

    def _clear(self, clear: Clear, *, restarting: bool = False) -> None:
        """Do what Airflow does, and count what the person means."""
        world, truth = self.machine.world, self.machine.world.truth
        if clear.retries is not None:
            world.retries = clear.retries
        if not restarting:
            self.max_tries = self.try_number + self.retries_now
        self.clear_number += 1
        # What was discarded on success before is as gone as what the clear discards.
        kept = (
            clear.keep_state
            and bool(world.scenario.store)
            and not (world.scenario.clear_on_success and self._succeeded())
        )
        if not kept:
            self.state.clear()
        finished = self.ended is not None and not restarting and self.ended.state != "up_for_retry"
        succeeded = finished and self._succeeded()
        again = finished and (succeeded or isinstance(self.ended and self.ended.error, _MEANS_AGAIN))
        if again or not kept:
            truth.allowed += 2 if world.scenario.options.get("on_unknown_outcome") == "resubmit" else 1
        polls_for = 30_000 if world.scenario.store and not kept else 0
        truth.clear(world.moment(), polls_for=polls_for, succeeded=succeeded and world.scenario.shows_its_end)
        self.ended = None
        self._next_alarm()

    def _succeeded(self) -> bool:
        return self.ended is not None and self.ended.state == "success"

    def _run_try(self) -> Outcome:
        machine, world = self.machine, self.machine.world
        machine.running = None
        if self.is_paid:
            world.truth.try_begun = world.moment()
        self.first_reschedule = None
        try:
            value = self._run_processes()
        except AirflowSkipException as error:
            return Outcome("skipped", error, None)
        except (AirflowFailException, AirflowSensorTimeout) as error:
            return self._failed(error, "failed")
        except (Died, NeverEnds):
            raise
        except BaseException as error:  # noqa: BLE001 - Airflow takes any
            return self._failed(error, "up_for_retry" if self.try_number <= self.max_tries else "failed")
        finally:
            self._check_timeout()
            machine.timeout_at = None
            world.truth.polls_for = 0
        self.xcoms["return_value"] = json.loads(json.dumps(value))
        return Outcome("success", None, self.xcoms["return_value"])

    def _failed(self, error: BaseException, state: str) -> Outcome:
        return Outcome(state, error, self.xcoms.get("return_value"))

    def _check_timeout(self) -> None:
        """An execution_timeout may be followed by a bounded reconciliation of a request, and by no more."""
        ended_at, self.machine.timed_out_at = self.machine.timed_out_at, None
        if ended_at is not None:
            took = (self.machine.world.moment() - ended_at) / 1000
            bound = float(self.machine.world.scenario.options.get("reconcile_timeout", 300.0)) + 120
            if took > bound:
                self.problems.append("execution_timeout: swallowed, the try went on")

    def _run_processes(self) -> Any:
        """Run one process after the other, with reschedules and deferrals between them, until one returns."""
        resume: tuple[str, dict[str, Any]] | None = None
        self.machine.sleep(_START_OF_A_PROCESS)
        while True:
            if resume is None:
                self.xcoms.clear()
            try:
                return self._run_process(resume)
            except AirflowRescheduleException as reschedule:
                if self.first_reschedule is None:
                    self.first_reschedule = datetime.fromtimestamp(_clock.now(), UTC)
                self.machine.running = None
                self.machine.sleep(max(reschedule.reschedule_date.timestamp() - _clock.now(), 0))
            except TaskDeferred as deferred:
                self.machine.running = None
                resume = self._run_trigger(deferred)

    def _run_process(self, resume: tuple[str, dict[str, Any]] | None) -> Any:
        machine, scenario = self.machine, self.machine.world.scenario
        operator = self.make()
        operator.retries = self.retries_now
        if self.is_paid and scenario.execution_timeout is not None:
            machine.timeout_at = machine.world.moment() + round(scenario.execution_timeout * 1000)
        dag_run = SimpleNamespace(clear_number=self.clear_number + machine.world.clears_of_others)
        context: Any = {"ti": _Instance(self), "task": operator, "dag_run": dag_run}
        if scenario.store:
            context["task_state_store"] = StateStore(machine, self.state)
        machine.running = operator
        token = ExecutorSafeguard.tracker.set(operator)
        try:
            return operator.execute(context) if resume is None else operator.resume_execution(*resume, context)
        finally:
            ExecutorSafeguard.tracker.reset(token)
            machine.timeout_at = None

    def _run_trigger(self, deferred: TaskDeferred) -> tuple[str, dict[str, Any]]:
        path, arguments = deferred.trigger.serialize()
        stored = json.dumps(arguments)
        module, _, name = path.rpartition(".")
        ends_at = _clock.now() + deferred.timeout.total_seconds()
        while True:
            trigger = getattr(import_module(module), name)(**json.loads(stored))
            try:
                event = self.machine.loop.run_until_complete(_first(trigger))
            except Cleared:
                raise
            except Died:
                # Another triggerer takes it over.
                self.machine.dead = False
                self.machine.sleep(30)
                continue
            if _clock.now() > ends_at:
                return "__fail__", {"error": "Trigger timeout"}
            return deferred.method_name, {"event": json.loads(json.dumps(event.payload))}


async def _first(trigger: Any) -> Any:
    events = trigger.run()
    try:
        return await anext(events)
    finally:
        await events.aclose()


class _Instance:
    """The ``ti`` of a context."""

    map_index = -1
    run_id = "run"

    def __init__(self, task: Task) -> None:
        self._task = task
        self.task_id = task.task_id
        self.try_number, self.max_tries = task.try_number, task.max_tries

    def xcom_push(self, key: str, value: Any) -> None:
        self._task.xcoms[key] = json.loads(json.dumps(value))

    def xcom_pull(self, *_: Any, key: str = "return_value", **__: Any) -> Any:
        return self._task.xcoms.get(key)

    def get_first_reschedule_date(self, _: Any) -> datetime | None:
        return self._task.first_reschedule
