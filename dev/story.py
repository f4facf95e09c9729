"""Tells what happened in a run: from what Airflow's REST API and the sandbox's request log say, in plain lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from textwrap import wrap
from typing import Any

Json = Mapping[str, Any]
DONE = ("completed", "delivered")
FAILED = ("failed", "cancelled")
WIDTH = 110
EVIDENCE = {
    "event": "the order has a delivery event that is later than the rerun",
    "documents": "every output file is a new one",
    "running": "the order was seen at work since the rerun",
}


@dataclass(frozen=True)
class TaskPart:
    """A task's part in the run."""

    name: str
    state: str
    seconds: float | None
    worker_starts: int
    tries: int = 1
    got: Mapping[str, Any] = field(default_factory=dict)
    returned: Any = None
    is_last: bool = False


@dataclass(frozen=True)
class Stage:
    """A stretch of the rerun during which the order looked the same."""

    seconds: float
    status: str
    meaning: str
    looks: int


def seconds_between(begin: str | None, end: str | None) -> float | None:
    """Return how long something took; None if it did not begin or did not end."""
    return (_time(end) - _time(begin)).total_seconds() if begin and end else None


def task_lines(tasks: Iterable[TaskPart]) -> list[str]:
    """Return a paragraph for each task: how it went, what it got by XCom; for the last ones, what they returned."""
    lines = []
    for task in tasks:
        took = "        " if task.seconds is None else f"{task.seconds:6.1f} s"
        starts = f"{task.worker_starts} worker start{'' if task.worker_starts == 1 else 's'}"
        lines.append(f"  {task.name:<24} {task.state:<10} {took}   {starts}")
        for giver, value in task.got.items():
            lines += _entry(f"got from {giver}:", value)
        if task.is_last and task.returned is not None:
            lines += _entry("returned:", task.returned)
    return lines


def _entry(label: str, value: Any) -> list[str]:
    return wrap(f"{label} {compact(value)}", WIDTH, initial_indent="      ", subsequent_indent="        ")


def compact(value: Any, *, nested: bool = False) -> str:
    """Show JSON in few words: texts cut, unknown left out, lists by the names of their items."""
    if isinstance(value, Mapping):
        if nested:
            return "{…}"
        return ", ".join(f"{key} {compact(item, nested=True)}" for key, item in value.items() if item is not None)
    if isinstance(value, list):
        names = [_name(item) if isinstance(item, Mapping) else str(item) for item in value]
        return "[" + ", ".join(names[:4]) + (f", {len(names) - 4} more" if len(names) > 4 else "") + "]"
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _name(item: Mapping[str, Any]) -> str:
    # The file behind an order's vttUrl has only a path.
    return str(item.get("name") or str(item.get("path")).rpartition("/")[2])


def stages(report: Json, request_log: Sequence[Json]) -> list[Stage]:
    """Return how the order looked from its rerun on, and how often Airflow looked at it meanwhile.

    :param report: the sandbox's report on the order: `order`, and `history` with each status.
    :param request_log: the sandbox's request log.
    """
    order = report["order"]
    rerun = _accepted_rerun(order["id"], request_log)
    if rerun is None:
        return []
    accepted = _time(rerun["time"])
    path = f"/integration/orders/{order['id']}"
    looks = [
        _time(entry["time"])
        for entry in request_log
        if entry["n"] > rerun["n"] and (entry["method"], entry["path"]) == ("GET", path)
    ]
    before = [line for line in report["history"] if _time(line["time"]) <= accepted]
    after = [line for line in report["history"] if _time(line["time"]) > accepted]
    files = [one for one in order["orderDocs"] or [] if one.get("updatedAt") and _time(one["updatedAt"]) > accepted]
    turns = [(accepted, str(before[-1]["status"]))]
    turns += [(_time(line["time"]), str(line["status"])) for line in after]
    last_change = turns[-1][0]
    complete = max((_time(one["updatedAt"]) for one in files), default=None)
    if complete is not None and complete > last_change:
        turns.append((complete, turns[-1][1]))
    names = ", ".join(str(one.get("name")) for one in files)
    found = []
    for index, (begin, status) in enumerate(turns):
        end = turns[index + 1][0] if index + 1 < len(turns) else None
        if status in FAILED:
            meaning = "the rerun came to nothing"
        elif status not in DONE:
            meaning = "at work"
        elif begin < last_change:
            meaning = f"still says {status}, same files: not believed"
        elif complete is None or begin < complete:
            meaning = f"says {status}, the new files are not there yet: waited for"
        else:
            meaning = f"new files: {names}"
        found.append(
            Stage(
                seconds=(begin - accepted).total_seconds(),
                status=status,
                meaning=meaning,
                looks=sum(begin <= look and (end is None or look < end) for look in looks),
            )
        )
    return found


def _accepted_rerun(order_id: str, request_log: Iterable[Json]) -> Json | None:
    wanted = ("POST", f"/integration/orders/{order_id}/rerun")
    for entry in request_log:
        if (entry["method"], entry["path"]) == wanted and 200 <= (entry["status"] or 0) < 300:
            return entry
    return None


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def stage_lines(found: Iterable[Stage]) -> list[str]:
    """Return a line for each stage."""
    return [
        f"  {stage.seconds:6.1f} s  {stage.status:<12} {stage.meaning}"
        f" ({stage.looks or 'no'} look{'' if stage.looks == 1 else 's'})"
        for stage in found
    ]


def evidence_lines(result: Any) -> list[str]:
    """Say why the result was taken for the rerun's, from the result itself."""
    if not isinstance(result, Mapping) or result.get("evidence") is None:
        return ["  none is given"]
    lines = [f"  {name:<12} {EVIDENCE.get(name, '')}".rstrip() for name in result["evidence"]]
    return [*(lines or ["  none"]), f"  outputs changed: {result.get('outputs_changed')}"]


def killed(task: str, *, pid: int, tries: int, reconnected: bool, reruns: int) -> str:
    """Return the line on a rerun task that was killed on the way."""
    followed = " retried," if tries > 1 else " not retried,"
    return (
        f"Process {pid} of {task} was killed after Ollang had accepted the rerun: killed,{followed} "
        f"{'reconnected' if reconnected else 'not reconnected'}; reruns accepted still {reruns}"
    )


def score_lines(report: Any) -> list[str]:
    """Return a line for each criterion of a quality report, and one for its verdict."""
    if not isinstance(report, Mapping):
        return ["  none were given"]
    lines = [
        f"  {one['name']:<14} {'-' if one['score'] is None else format(one['score'], 'g'):>5}"
        + ("" if one["minimum"] is None else f"   minimum {one['minimum']:g}")
        for one in report["criteria"]
    ]
    return [*lines, f"  good enough: {'yes' if report['passed'] else 'no'}"]


def file_lines(files: Mapping[str, bool]) -> list[str]:
    """Return a line for each file that was delivered; `files` tells of each whether it is whole."""
    return [f"  {name}  {'whole' if whole else 'NOT WHOLE'}" for name, whole in files.items()] or ["  none"]


def proof(*, reruns: int, requests: int, connections: int, starts: int, leaks: int) -> str:
    """Return the line that sums the run up."""
    return (
        f"proof: reruns accepted {reruns} · requests {requests} on {connections} connections · "
        f"worker starts {starts} · key or link signatures found in Airflow's logs {leaks}"
    )
