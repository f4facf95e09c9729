"""Runs a scenario, and reports what must not have happened in it."""

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
from tests.model.machine import Died, Machine, NeverEnds
from tests.model.scenario import Scenario
from tests.model.tasks import Outcome, Task
from tests.model.world import World

_MODES = {
    "rerun": ("poke", "reschedule", "deferrable"),
    "evaluate": ("poke", "deferrable"),
}


@dataclass
class Report:
    """
    What came of a scenario.

    :param violations: what must not have happened; the words before the bracket say of which kind it is.
    :param outcomes: how its tasks ended.
    """

    violations: list[str] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def kinds(self) -> set[str]:
        return {text.partition(" [")[0] for text in self.violations}


class Runner:
    """Runs scenarios on one sandbox, one after the other."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.machine = Machine(world)

    def run(self, scenario: Scenario) -> Report:
        """Run a scenario in its mode, or in all modes that there are for it."""
        if scenario.mode != "all":
            return self._run_once(scenario)
        modes = _MODES[scenario.kind if scenario.waiting == "task" else "evaluate"]
        reports = {mode: self._run_once(dataclasses.replace(scenario, mode=mode)) for mode in modes}
        report = Report([text for each in reports.values() for text in each.violations], reports["poke"].outcomes)
        if _is_same_in_all_modes(scenario):
            ends = {mode: _comparable(each) for mode, each in reports.items()}
            report.violations += [
                f"modes: poke and {mode} end differently [{ends['poke']} / {end}]"
                for mode, end in ends.items()
                if end != ends["poke"]
            ]
        return report

    def _run_once(self, scenario: Scenario) -> Report:
        report = Report()
        self.world.begin(scenario)
        self.machine.begin()
        self.machine.arm()
        truth = self.world.truth
        if scenario.options.get("on_unknown_outcome") == "resubmit":
            truth.allowed = 2
        with self.machine.installed():
            try:
                self._run_tasks(scenario, report)
            except NeverEnds:
                report.violations.append("end: a task never ends")
        report.violations += truth.violations
        if _is_benign(scenario) and not truth.hidden:
            for name, end in report.outcomes.items():
                if end.state != "success":
                    report.violations.append(f"benign: {name} ends in {type(end.error).__name__} [{end.error}]")
                elif _must_change(scenario) and (result_of(end) or {}).get("outputs_changed") is False:
                    report.violations.append(f"benign: {name} takes new files for old ones [{result_of(end)}]")
        return report

    def _run_tasks(self, scenario: Scenario, report: Report) -> None:
        paid = Task(self.machine, "paid", self._paid_operator, scenario.retries, clears=list(scenario.clears))
        report.outcomes["paid"] = end = paid.run_to_the_end()
        self._check_end(report, paid, end)
        truth = self.world.truth
        if end.state == "success" and truth.must_submit and truth.since_clear is None:
            report.violations.append("clear: a finished task that was cleared returns what it had before")
        if scenario.waiting == "itself" and end.state == "success":
            self._check_result(report, "paid", end.value["result"])
        if scenario.waiting == "task" and end.value and (end.state == "success" or scenario.accept_unknown):
            receipt = end.value
            waits = Task(self.machine, "waits", lambda: self._waiting_operator(receipt), 1, is_paid=False)
            self.machine.clear_at = None
            report.outcomes["waits"] = result = waits.run_to_the_end()
            self._check_end(report, waits, result)
            if result.state == "success":
                self._check_result(report, "waits", result.value)

    # What runs

    def _paid_operator(self) -> BaseOperator:
        scenario = self.world.scenario
        common: dict[str, Any] = {"task_id": "paid", "order_id": self.world.order_id, **scenario.options}
        if scenario.kind == "evaluate":
            return OllangEvaluateOrderOperator(retries=scenario.retries, **common)
        if scenario.waiting == "itself":
            common |= {"wait_for_completion": True, "deferrable": scenario.mode == "deferrable", **self._waiting()}
        return OllangRerunOperator(retries=scenario.retries, **common)

    def _waiting_operator(self, receipt: Any) -> BaseOperator:
        scenario, given = self.world.scenario, receipt if self.world.receipt_is_there else None
        deferrable = scenario.mode == "deferrable"
        if scenario.kind == "evaluate":
            return OllangQualityGateOperator(
                task_id="waits", evaluation=given, min_average=1, deferrable=deferrable, **self._waiting()
            )
        options = self._waiting()
        options["poke_interval"] = options.pop("poll_interval")
        mode = "poke" if deferrable else scenario.mode
        return OllangOrderStatusSensor(task_id="waits", rerun=given, mode=mode, deferrable=deferrable, **options)

    def _waiting(self) -> dict[str, Any]:
        options = {"timeout": 14400.0, "interval": 300.0, **self.world.scenario.wait_options}
        options["poll_interval"] = options.pop("interval")
        return options

    # What must be

    def _check_end(self, report: Report, task: Task, end: Outcome) -> None:
        report.violations += task.problems
        error = end.error
        if error is not None and not isinstance(error, OllangError | AirflowSkipException | AirflowTaskTimeout | Died):
            frame = traceback.extract_tb(error.__traceback__)[-1]
            report.violations.append(
                f"error: {task.task_id} ends in a bare {type(error).__name__} [{error}, {frame.name}:{frame.lineno}]"
            )

    def _check_result(self, report: Report, name: str, result: Any) -> None:
        floor = self.world.truth.floor()
        if self.world.scenario.kind == "evaluate":
            self._check_evaluation(report, result["evaluation"], floor)
        elif result["evidence"]:
            self._check_rerun(report, name, result, floor)

    def _check_rerun(self, report: Report, name: str, result: Any, floor: int) -> None:
        runs = [_run_of(output["name"]) for output in result["outputs"]]
        now, effects = self.world.moment(), self.world.truth.effects
        changed = result["outputs_changed"]
        # Where a run that is over leaves the files as they were, whatever they are, the result says so; and if the
        # review is cancelled, the AI's work is what there is.
        is_over = any(run.number >= floor and run.good and run.is_over(now) for run in effects)
        is_final = self.world.scenario.approves_drafts and is_over
        if changed and result["level"] and all(draft for _, draft in runs) and not is_final:
            report.violations.append(f"truth: {name} takes a draft for the result [{result}]")
        elif changed and any(number < floor for number, _ in runs):
            report.violations.append(f"truth: {name} takes old files for new ones [floor {floor}, {result}]")
        elif not changed and not is_over:
            report.violations.append(
                f"truth: {name} takes {result['evidence'][-1]} for a result that there is not [floor {floor}]"
            )

    def _check_evaluation(self, report: Report, taken: Any, floor: int) -> None:
        known = self.world.order(self.world.order_id)["evaluations"]
        number = next((n for n, each in enumerate(known, 1) if taken["id"] in (each["id"], each["shown_id"])), 0)
        if number < floor:
            report.violations.append(f"truth: an older evaluation is taken [{number} for {floor}]")


def _run_of(name: str) -> tuple[int, bool]:
    """Return the run that a document's name tells, and whether it is a draft."""
    _, _, rest = name.partition("(run ")
    number, _, draft = rest.partition(")")[0].partition(",")
    return int(number or 1), bool(draft)


def _is_same_in_all_modes(scenario: Scenario) -> bool:
    """Tell whether nothing depends on how many polls there are, or on when a process dies."""
    counted = (
        scenario.behaviour.get("stale_every")
        or scenario.trouble
        or any(clear.at is not None for clear in scenario.clears)
    )
    # A deferred wait polls twice at its begin, and may see more of what is over in a second.
    counted = counted or scenario.behaviour.get("run_seconds", 30.0) < 5
    # Documented: without a store a rescheduled poll does not know how long the order has said that it is done.
    counted = counted or not scenario.store
    return not counted and not scenario.jitter and scenario.execution_timeout is None and scenario.waiting != "no task"


def _comparable(report: Report) -> dict[str, Any]:
    """Return how the tasks ended, and what was found, without what tells the time."""
    return {name: (end.state, type(end.error).__name__, _found(end)) for name, end in report.outcomes.items()}


def result_of(end: Outcome) -> Any:
    """Return what a wait that ended well has found."""
    return (end.value or {}).get("result", end.value) if end.state == "success" else None


def _found(end: Outcome) -> Any:
    result = result_of(end)
    if not result or "outputs" not in result:
        return result and result.get("average")
    # What one more poll has observed running may be evidence in one mode only.
    return result["status"], result["outputs_changed"], [output["name"] for output in result["outputs"]]


def _is_benign(scenario: Scenario) -> bool:
    """Tell whether nothing bad happens, so that each task must succeed."""
    options = {"run_seconds": 30.0, "status_hidden_for": 0.0, "outputs_after": 2.0, **scenario.behaviour}
    bad = scenario.trouble or scenario.events or scenario.front_ahead or not scenario.store
    if bad or not _is_in_time(scenario) or not scenario.shows_its_end:
        return False
    waits = {"timeout": 14400.0, "stale_timeout": 7200.0, **scenario.wait_options}
    if scenario.kind == "evaluate":
        seconds = options.get("qc_seconds", 10.0)
        return seconds is not None and seconds < waits["timeout"]
    ends_well = options.get("end_status", "completed") in ("completed", "delivered")
    in_time = options["run_seconds"] + 300 < min(waits["timeout"], waits["stale_timeout"])
    return ends_well and in_time


def _must_change(scenario: Scenario) -> bool:
    """Tell whether a wait in a benign scenario must find that all files were made again."""
    # A clear may attach to a run whose files are there in part.
    return (
        scenario.kind == "rerun"
        and scenario.makes_documents
        and not scenario.clears
        and scenario.execution_timeout is None
    )


def _is_in_time(scenario: Scenario) -> bool:
    """Tell whether the execution_timeout does no harm: where nothing was sent yet, the retry submits."""
    if scenario.execution_timeout is None:
        return True
    connects_late = (
        scenario.connecting > scenario.execution_timeout and not scenario.arriving and not scenario.answering
    )
    return connects_late and scenario.retries > 0 and scenario.waiting != "itself" and not scenario.clears


def silence() -> None:
    """Keep the tasks' log lines to themselves: there are many scenarios."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
