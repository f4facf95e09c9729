"""Orders, documents, reruns and waits for tests: say only what a test is about, the rest is ordinary."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.domain.freshness import Baseline, Rerun
from airflow_provider_ollang.domain.polling import Step, Wait, WaitMemory, WaitRules
from airflow_provider_ollang.exceptions import OllangError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

JsonObject = dict[str, Any]
#: What a look brings: an order, or the error it ended in.
Sight = JsonObject | OllangError

ORDER_ID = "60b8d6f1e1b9b1d8c6c0d8e1"
#: In the order in which they happened: the old result, an older version of it, the rerun, its result.
LONG_BEFORE = "2024-01-10T08:00:00Z"
BEFORE = "2024-01-16T14:20:00Z"
REQUESTED = "2024-03-01T12:00:00+00:00"
AFTER = "2024-03-01T12:07:30.511Z"
#: The canary in every link.
SIGNATURE = "X-Signature=c4na7y"


def document(**changes: Any) -> JsonObject:
    """Return the subtitles of the old result, or what ``changes`` make of them."""
    return {
        "id": "doc_old",
        "name": "French Subtitles",
        "url": f"https://storage.ollang.com/french.srt?{SIGNATURE}",
        "type": "subtitle",
        "size": 8192,
        "wordCount": 1250,
        "sourceLanguage": "fr",
        "createdAt": BEFORE,
        "updatedAt": BEFORE,
        **changes,
    }


def new_document(**changes: Any) -> JsonObject:
    """Return subtitles as a rerun makes them: another id, later times, all else the same."""
    return document(**{"id": "doc_new", "createdAt": AFTER, "updatedAt": AFTER, **changes})


def source_document(**changes: Any) -> JsonObject:
    """Return the video that was uploaded."""
    return document(
        **{"id": "doc_source", "name": "Video", "type": "sourceVideo", "wordCount": None, "duration": 7200, **changes}
    )


def event(kind: object = "order_delivered", at: object = AFTER, **changes: Any) -> JsonObject:
    """Return an item of ``deliveryEvents``."""
    return {"type": kind, "occurredAt": at, "actorType": "system", "actorId": None, **changes}


def order(status: object = "completed", **changes: Any) -> JsonObject:
    """Return an order with its old result; a change to ``...`` leaves that field out."""
    whole = {
        "id": ORDER_ID,
        "createdAt": "2024-01-15T10:30:00Z",
        "name": "Sample Project - Episode 1",
        "sourceLanguage": "en",
        "targetLanguage": "fr",
        "type": "subtitle",
        "status": status,
        "rate": 0.15,
        "projectId": "proj_xyz789",
        "level": 0,
        "folderId": "folder_abc123",
        "vttUrl": f"https://storage.ollang.com/sample.vtt?{SIGNATURE}",
        "orderDocs": [source_document(), document()],
        "finance": {"paymentAmount": 150.75},
        "deliveryEvents": [event("ai_delivered", BEFORE), event("order_delivered", BEFORE)],
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not ...}


def new_result(status: object = "completed", **changes: Any) -> JsonObject:
    """Return the order with new outputs, as its rerun made them."""
    return order(status, **{"orderDocs": [source_document(), new_document()], **changes})


def evaluation(**changes: Any) -> JsonObject:
    """Return a ``latestEvaluation``."""
    return {
        "id": "eval_1",
        "orderId": ORDER_ID,
        "createdAt": BEFORE,
        "textSummary": "Good.",
        "scores": [{"name": "Accuracy", "description": "Correctness", "value": 92.5}],
        "segmentEvals": [{"id": "seg_001", "explain": "Minor", "suggestedNewValue": "Better"}],
        "isLoading": False,
        **changes,
    }


def rerun_of(before: Mapping[str, Any], *, requested_at: str | None = REQUESTED, seen_running: bool = False) -> Rerun:
    """Return an accepted rerun of an order that looked like this, by way of JSON as in an Airflow run."""
    baseline = Baseline.from_json(json.loads(json.dumps(Baseline.from_order(before).to_json())))
    return Rerun(baseline, requested_at, seen_running)


# --- Waits ----------------------------------------------------------------------------------------------------

#: When the waits of tests begin, epoch seconds.
START = 1_709_294_400.0


@dataclass
class RecordingLog:
    """A logger that keeps what it was told, with its arguments filled in."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def debug(self, event: str, *args: Any) -> None:
        self.lines.append(("debug", event % args))

    def info(self, event: str, *args: Any) -> None:
        self.lines.append(("info", event % args))

    def warning(self, event: str, *args: Any) -> None:
        self.lines.append(("warning", event % args))

    def error(self, event: str, *args: Any) -> None:
        self.lines.append(("error", event % args))

    def of(self, level: str) -> list[str]:
        return [text for at, text in self.lines if at == level]


@dataclass
class Ended:
    """
    How a simulated wait went.

    :param looks: when it looked, in seconds from its start.
    :param pauses: the pauses between the looks.
    :param memories: what it remembered after each look.
    """

    result: JsonObject | None
    error: OllangError | None
    looks: list[float]
    pauses: list[float]
    memories: list[JsonObject]
    log: RecordingLog


def rules(**changes: Any) -> WaitRules:
    """Return what a sensor waits for by default."""
    return WaitRules(
        **{
            "order_id": ORDER_ID,
            "target_statuses": frozenset({"completed", "delivered"}),
            "failure_statuses": frozenset({"failed", "cancelled"}),
            **changes,
        }
    )


def in_turn(*sights: Sight) -> Callable[[int, float], Sight]:
    """Tell a story look by look; the last sight stays."""
    return lambda look, _seconds: sights[min(look, len(sights) - 1)]


def by_time(sights: Mapping[Any, Any]) -> Callable[[int, float], Sight]:
    """Tell a story by the clock: from each of these seconds on, what is seen."""

    def sight(_look: int, seconds: float) -> Sight:
        found: Sight = sights[max(since for since in sights if since <= seconds)]
        return found

    return sight


def wait_through(
    story: Callable[[int, float], Sight],
    wanted: WaitRules,
    *,
    memory: WaitMemory | None = None,
    round_trip: Callable[[WaitMemory], WaitMemory] | None = None,
) -> Ended:
    """
    Wait on a virtual clock, as the drivers do on the real one.

    :param story: what the n-th look, at this many seconds, brings.
    :param wanted: the rules.
    :param memory: what earlier looks left.
    :param round_trip: what happens to the memory between two looks.
    """
    log, now, memory = RecordingLog(), START, memory or WaitMemory()
    ended = Ended(None, None, [], [], [], log)
    for look in range(5_000):
        wait = Wait(wanted, memory, START + wanted.timeout, log)
        sight = story(look, now - START)
        ended.looks.append(now - START)
        step = wait.failed_to_look(sight, now) if isinstance(sight, OllangError) else wait.saw(sight, now)
        ended.memories.append(memory.to_json())
        if step.result is not None or step.error is not None:
            ended.result, ended.error = step.result, step.error
            return ended
        ended.pauses.append(step.pause)
        now += step.pause
        memory = round_trip(memory) if round_trip else memory
    raise AssertionError("the wait does not end")


def one_look(sight: Sight, wanted: WaitRules, memory: WaitMemory | None = None) -> Step:
    """Look once, at the very start."""
    wait = Wait(wanted, memory or WaitMemory(), START + wanted.timeout, RecordingLog())
    return wait.failed_to_look(sight, START) if isinstance(sight, OllangError) else wait.saw(sight, START)
