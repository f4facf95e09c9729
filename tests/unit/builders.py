"""Orders, documents, reruns and waits for tests: say only what a test is about, the rest is ordinary."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.freshness import Rerun
from airflow_provider_ollang.domain.goals import Goal, StatusGoal
from airflow_provider_ollang.domain.polling import Decision, PollConfig, Poller, PollState
from airflow_provider_ollang.domain.result_goals import goal_from_json, result_goal
from airflow_provider_ollang.domain.reviews import Review
from airflow_provider_ollang.domain.thresholds import Thresholds
from airflow_provider_ollang.exceptions import OllangError

JsonObject = dict[str, Any]
#: What a poll brings: an order, or the error it ended in.
PollResult = JsonObject | OllangError

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


#: What tells that evaluation from others.
EVALUATION_KEY = {"id": "eval_1", "created_at": BEFORE}


def report_of(scores: Any, min_scores: Any = None, min_average: Any = None) -> JsonObject:
    """Return the quality report of these scores, by way of JSON as in an Airflow run."""
    pairs = scores.items() if isinstance(scores, dict) else scores
    found = {**EVALUATION_KEY, "is_loading": False, "scores": [{"name": name, "score": score} for name, score in pairs]}
    report = Thresholds.from_arguments(min_scores, min_average).evaluate(ORDER_ID, json.loads(json.dumps(found)))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    return report


def passes(scores: Any, min_scores: Any = None, min_average: Any = None) -> bool:
    """Tell whether these scores pass."""
    passed = report_of(scores, min_scores, min_average)["passed"]
    assert isinstance(passed, bool)
    return passed


def rerun_of(before: Mapping[str, Any], *, requested_at: str | None = REQUESTED, seen_running: bool = False) -> Rerun:
    """Return an accepted rerun of an order that looked like this, by way of JSON as in an Airflow run."""
    baseline = Baseline.from_json(json.loads(json.dumps(Baseline.from_order(before).to_json())))
    return Rerun(baseline, requested_at, seen_running)


def review_of(before: Mapping[str, Any], **changes: Any) -> Review:
    """Return an accepted human review of an order that looked like this."""
    return Review(**vars(rerun_of(before, **changes)))


# --- Waits ----------------------------------------------------------------------------------------------------

#: When the waits of tests begin, epoch seconds: an hour after the rerun was requested, so without a dense start.
START = 1_709_298_000.0


@dataclass
class RecordedLog:
    """The lines that decisions carried, with their arguments filled in."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def add(self, decision: Decision) -> None:
        self.lines += [(line.level, line.message % line.args) for line in decision.log]

    def of(self, level: str) -> list[str]:
        return [text for at, text in self.lines if at == level]


@dataclass
class Outcome:
    """
    How a simulated wait went.

    :param polls: when it polled, in seconds from its start.
    :param pauses: the pauses between the polls.
    :param states: its state after each poll.
    """

    result: JsonObject | None
    error: OllangError | None
    polls: list[float]
    pauses: list[float]
    states: list[JsonObject]
    log: RecordedLog


class Setup(NamedTuple):
    """What a wait is made of, besides its state."""

    config: PollConfig
    goal: Goal

    def stored(self) -> Setup:
        """Return it by way of JSON, as a trigger gets it."""
        config, goal = json.loads(json.dumps([self.config.to_json(), self.goal.to_json()]))
        return Setup(PollConfig.from_json(config), goal_from_json(goal))

    def poller(self, state: PollState | None = None) -> Poller:
        return Poller(self.config, self.goal, state or PollState(), START + self.config.timeout)


def setup(*, goal: Goal | None = None, **changes: Any) -> Setup:
    """Return what a sensor waits for by default, or for a rerun; with changes to its config and to its goal."""
    names = {item.name for item in fields(PollConfig)}
    config = PollConfig(**{"order_id": ORDER_ID, **{name: changes.pop(name) for name in names & changes.keys()}})
    if goal is None:
        goal = result_goal(**changes) if changes.get("rerun") else StatusGoal(**_for_status(changes))
    return Setup(config, goal)


def _for_status(changes: JsonObject) -> JsonObject:
    """Leave out what a wait for any result ignores."""
    return {name: value for name, value in changes.items() if name in {"target_statuses", "failure_statuses"}}


def in_turn(*results: PollResult) -> Callable[[int, float], PollResult]:
    """Return the results of the polls one by one; the last one stays."""
    return lambda number, _seconds: results[min(number, len(results) - 1)]


def by_time(results: Mapping[Any, Any]) -> Callable[[int, float], PollResult]:
    """Return the results of the polls by the clock: what they bring from each of these seconds on."""

    def result(_number: int, seconds: float) -> PollResult:
        current: PollResult = results[max(since for since in results if since <= seconds)]
        return current

    return result


def feed(poller: Poller, poll_result: PollResult, now: float) -> Decision:
    """Hand what a poll brought to a poller."""
    if isinstance(poll_result, OllangError):
        return poller.on_error(poll_result, now)
    return poller.on_order(poll_result, now)


def wait_through(
    polls: Callable[[int, float], PollResult],
    wait: Setup,
    *,
    state: PollState | None = None,
    round_trip: Callable[[PollState], PollState] | None = None,
    start: float = START,
) -> Outcome:
    """
    Wait on a virtual clock, as the drivers do on the real one.

    :param polls: what the n-th poll, at this many seconds, brings.
    :param wait: what is waited for.
    :param state: what earlier polls have shown.
    :param round_trip: what happens to the state between two polls.
    :param start: when the wait begins, epoch seconds.
    """
    now, state = start, state or PollState()
    outcome = Outcome(None, None, [], [], [], RecordedLog())
    for number in range(5_000):
        poller = Poller(wait.config, wait.goal, state, start + wait.config.timeout)
        outcome.polls.append(now - start)
        decision = feed(poller, polls(number, now - start), now)
        outcome.log.add(decision)
        outcome.states.append(state.to_json())
        if decision.is_final:
            outcome.result, outcome.error = decision.result, decision.error
            return outcome
        outcome.pauses.append(decision.pause)
        now += decision.pause
        state = round_trip(state) if round_trip else state
    raise AssertionError("the wait does not end")


def one_poll(poll_result: PollResult, wait: Setup, state: PollState | None = None) -> Decision:
    """Poll once, at the very start."""
    return feed(wait.poller(state), poll_result, START)
