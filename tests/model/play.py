"""Plays a story, and says what must not have happened in it."""

from __future__ import annotations

import dataclasses
import logging
import traceback
from dataclasses import dataclass, field
from typing import Any

import structlog
from airflow.sdk import BaseOperator

from airflow_provider_ollang._compat import AirflowSkipException, AirflowTaskTimeout
from airflow_provider_ollang.exceptions import OllangError
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.operators.quality import OllangEvaluateOrderOperator, OllangQualityGateOperator
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from tests.model.story import Story
from tests.model.tasks import Died, Ended, Machine, NeverEnds, Task
from tests.model.world import World

_MODES = {
    "rerun": ("poke", "reschedule", "deferrable"),
    "evaluate": ("poke", "deferrable"),
}


@dataclass
class Told:
    """
    What is told of a story that was played.

    :param violations: what must not have happened; the words before the colon say of which kind it is.
    :param ends: how its tasks ended.
    """

    violations: list[str] = field(default_factory=list)
    ends: dict[str, Ended] = field(default_factory=dict)

    @property
    def kinds(self) -> set[str]:
        return {text.partition(" [")[0] for text in self.violations}


class Player:
    """Plays stories on one sandbox, one after the other."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.machine = Machine(world)

    def play(self, story: Story) -> Told:
        """Play a story in its mode, or in all modes that there are for it."""
        if story.mode != "all":
            return self._play(story)
        modes = _MODES[story.kind if story.waiting == "task" else "evaluate"]
        told = {mode: self._play(dataclasses.replace(story, mode=mode)) for mode in modes}
        result = Told([text for one in told.values() for text in one.violations], told["poke"].ends)
        if _is_same_in_all_modes(story):
            ends = {mode: _comparable(one) for mode, one in told.items()}
            result.violations += [
                f"modes: poke and {mode} end differently [{ends['poke']} / {end}]"
                for mode, end in ends.items()
                if end != ends["poke"]
            ]
        return result

    def _play(self, story: Story) -> Told:
        told = Told()
        self.world.begin(story)
        self.machine.begin()
        self.machine.arm()
        truth = self.world.truth
        if story.options.get("on_unknown_outcome") == "resubmit":
            truth.allowed = 2
        with self.machine.installed():
            try:
                self._run_tasks(story, told)
            except NeverEnds:
                told.violations.append("end: a task never ends")
        told.violations += truth.violations
        if _is_benign(story) and not truth.hidden:
            for name, end in told.ends.items():
                if end.state != "success":
                    told.violations.append(f"benign: {name} ends in {type(end.error).__name__} [{end.error}]")
                elif _must_change(story) and (result_of(end) or {}).get("outputs_changed") is False:
                    told.violations.append(f"benign: {name} takes new files for old ones [{result_of(end)}]")
        return told

    def _run_tasks(self, story: Story, told: Told) -> None:
        paid = Task(self.machine, "paid", self._paid_operator, story.retries, clears=list(story.clears))
        told.ends["paid"] = end = paid.run_to_the_end()
        self._check_end(told, paid, end)
        truth = self.world.truth
        if end.state == "success" and truth.must_buy and truth.since_clear is None:
            told.violations.append("clear: a finished task that was cleared returns what it had before")
        if story.waiting == "itself" and end.state == "success":
            self._check_result(told, "paid", end.value["result"])
        if story.waiting == "task" and end.value and (end.state == "success" or story.accept_unknown):
            receipt = end.value
            waits = Task(self.machine, "waits", lambda: self._waiting_operator(receipt), 1, is_paid=False)
            self.machine.clear_at = None
            told.ends["waits"] = result = waits.run_to_the_end()
            self._check_end(told, waits, result)
            if result.state == "success":
                self._check_result(told, "waits", result.value)

    # What runs

    def _paid_operator(self) -> BaseOperator:
        story = self.world.story
        common: dict[str, Any] = {"task_id": "paid", "order_id": self.world.order_id, **story.options}
        if story.kind == "evaluate":
            return OllangEvaluateOrderOperator(retries=story.retries, **common)
        if story.waiting == "itself":
            common |= {"wait_for_completion": True, "deferrable": story.mode == "deferrable", **self._waiting()}
        return OllangRerunOperator(retries=story.retries, **common)

    def _waiting_operator(self, receipt: Any) -> BaseOperator:
        story, given = self.world.story, receipt if self.world.receipt_is_there else None
        deferrable = story.mode == "deferrable"
        if story.kind == "evaluate":
            return OllangQualityGateOperator(
                task_id="waits", evaluation=given, min_average=1, deferrable=deferrable, **self._waiting()
            )
        options = self._waiting()
        options["poke_interval"] = options.pop("poll_interval")
        mode = "poke" if deferrable else story.mode
        return OllangOrderStatusSensor(task_id="waits", rerun=given, mode=mode, deferrable=deferrable, **options)

    def _waiting(self) -> dict[str, Any]:
        options = {"timeout": 14400.0, "interval": 300.0, **self.world.story.wait_options}
        options["poll_interval"] = options.pop("interval")
        return options

    # What must be

    def _check_end(self, told: Told, task: Task, end: Ended) -> None:
        told.violations += task.problems
        error = end.error
        if error is not None and not isinstance(error, OllangError | AirflowSkipException | AirflowTaskTimeout | Died):
            frame = traceback.extract_tb(error.__traceback__)[-1]
            told.violations.append(
                f"error: {task.task_id} ends in a bare {type(error).__name__} [{error}, {frame.name}:{frame.lineno}]"
            )

    def _check_result(self, told: Told, name: str, result: Any) -> None:
        floor = self.world.truth.floor()
        if self.world.story.kind == "evaluate":
            self._check_evaluation(told, result["evaluation"], floor)
        elif result["evidence"]:
            self._check_rerun(told, name, result, floor)

    def _check_rerun(self, told: Told, name: str, result: Any, floor: int) -> None:
        runs = [_run_of(output["name"]) for output in result["outputs"]]
        now, effects = self.world.moment(), self.world.truth.effects
        changed = result["outputs_changed"]
        # Where a run that is over leaves the files as they were, whatever they are, the result says so; and if the
        # review is cancelled, the AI's work is what there is.
        is_over = any(run.number >= floor and run.good and run.is_over(now) for run in effects)
        is_final = self.world.story.approves_drafts and is_over
        if changed and result["level"] and all(draft for _, draft in runs) and not is_final:
            told.violations.append(f"truth: {name} takes a draft for the result [{result}]")
        elif changed and any(number < floor for number, _ in runs):
            told.violations.append(f"truth: {name} takes old files for new ones [floor {floor}, {result}]")
        elif not changed and not is_over:
            told.violations.append(
                f"truth: {name} takes {result['evidence'][-1]} for a result that there is not [floor {floor}]"
            )

    def _check_evaluation(self, told: Told, taken: Any, floor: int) -> None:
        known = self.world.order(self.world.order_id)["evaluations"]
        number = next((n for n, one in enumerate(known, 1) if taken["id"] in (one["id"], one["shown_id"])), 0)
        if number < floor:
            told.violations.append(f"truth: an older evaluation is taken [{number} for {floor}]")


def _run_of(name: str) -> tuple[int, bool]:
    """Return the run that a document's name tells, and whether it is a draft."""
    _, _, rest = name.partition("(run ")
    number, _, draft = rest.partition(")")[0].partition(",")
    return int(number or 1), bool(draft)


def _is_same_in_all_modes(story: Story) -> bool:
    """Tell whether nothing depends on how many polls there are, or on when a process dies."""
    counted = story.behaviour.get("stale_every") or story.trouble or any(clear.at is not None for clear in story.clears)
    # A deferred wait polls twice at its begin, and may see more of what is over in a second.
    counted = counted or story.behaviour.get("run_seconds", 30.0) < 5
    # Documented: without a store a rescheduled poll does not know how long the order has said that it is done.
    counted = counted or not story.store
    return not counted and not story.jitter and story.execution_timeout is None and story.waiting != "nobody"


def _comparable(told: Told) -> dict[str, Any]:
    """Return how the tasks ended, and what was found, without what tells the time."""
    return {name: (end.state, type(end.error).__name__, _found(end)) for name, end in told.ends.items()}


def result_of(end: Ended) -> Any:
    """Return what was found by whatever waited and ended well."""
    return (end.value or {}).get("result", end.value) if end.state == "success" else None


def _found(end: Ended) -> Any:
    result = result_of(end)
    if not result or "outputs" not in result:
        return result and result.get("average")
    # What a poll more has seen at work may be evidence in one mode only.
    return result["status"], result["outputs_changed"], [output["name"] for output in result["outputs"]]


def _is_benign(story: Story) -> bool:
    """Tell whether nothing bad happens, so that each task must end well."""
    options = {"run_seconds": 30.0, "status_hidden_for": 0.0, "outputs_after": 2.0, **story.behaviour}
    bad = story.trouble or story.events or story.front_ahead or not story.store
    if bad or not _is_in_time(story) or not story.shows_its_end:
        return False
    waits = {"timeout": 14400.0, "stale_timeout": 7200.0, **story.wait_options}
    if story.kind == "evaluate":
        seconds = options.get("qc_seconds", 10.0)
        return seconds is not None and seconds < waits["timeout"]
    ends_well = options.get("end_status", "completed") in ("completed", "delivered")
    in_time = options["run_seconds"] + 300 < min(waits["timeout"], waits["stale_timeout"])
    return ends_well and in_time


def _must_change(story: Story) -> bool:
    """Tell whether whoever waits in a benign story must find that all files were made anew."""
    # A clear may attach to a run whose files are there in part.
    return story.kind == "rerun" and story.makes_documents and not story.clears and story.execution_timeout is None


def _is_in_time(story: Story) -> bool:
    """Tell whether the execution_timeout does no harm: where nothing was sent yet, the retry submits."""
    if story.execution_timeout is None:
        return True
    connects_late = story.connecting > story.execution_timeout and not story.arriving and not story.answering
    return connects_late and story.retries > 0 and story.waiting != "itself" and not story.clears


def silence() -> None:
    """Keep the tasks' log lines to themselves: there are many stories."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
