"""What happens around one paid task: made from a seed, made smaller, and printed so that it can be run again."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

#: When in its run the sandbox has the AI deliver what people then review.
_DRAFTED_AT = 12 / 30
#: What can happen to a request on the wire: faults of the sandbox.
WIRE: dict[str, dict[str, Any]] = {
    "no connection": {"drop": "before"},
    "lost response": {"drop": "after"},
    "half a response": {"drop": "body", "processed": True},
    "502 before": {"status": 502, "generate": "html"},
    "502 after": {"status": 502, "generate": "html", "processed": True},
    "503": {"status": 503},
    "429": {"status": 429, "headers": {"Retry-After": "20"}},
    "429 for hours": {"status": 429, "headers": {"Retry-After": "10000"}},
    "401": {"status": 401, "body": {"code": "UNAUTHORIZED"}},
}
#: What can happen to the process at a request, and to it or the request at the task state store.
PROCESS = ("die before", "die after", "sigterm")
#: What another user does in Airflow, and not in Ollang.
EDITS = ("clear another task", "edit retries")
STORE = ("fail", "fail after", "die before", "die after")


@dataclass(frozen=True)
class Trouble:
    """
    Something that goes wrong at a request, or at the task state store.

    :param what: of `WIRE`, `PROCESS` or `STORE`.
    :param at: ``"POST"``, ``"GET"``, or ``"get"``, ``"set"``, ``"delete"`` of the store.
    :param nth: at which of them, from 0, counted through the whole scenario.
    :param times: how many in a row.
    """

    what: str
    at: str
    nth: int = 0
    times: int = 1


@dataclass(frozen=True)
class Event:
    """
    What another user does.

    :param what: ``"rerun"``, ``"evaluate"``, ``"cancel"`` the order; ``"review"``: ask for a human review, and cancel
        it at the end; ``"503"``, ``"429"``: all GETs answer that; ``"forget receipt"``: the task before the waiting one
        is cleared, and has not run again; ``"clear another task"`` of the run; ``"edit retries"`` of the paid task.
    :param at: seconds after the scenario's begin.
    :param lasts: seconds.
    """

    what: str
    at: float
    lasts: float = 20.0


@dataclass(frozen=True)
class Clear:
    """
    A person clears the paid task.

    :param at: seconds after the scenario's begin, whatever the task does then; ``None``: when it has ended.
    :param keep_state: whether Airflow keeps the task's state (3.3 does, 3.4 if it is configured so).
    :param retries: the task's ``retries`` from then on, if they were edited.
    :param wait: seconds between the task's end and the clear.
    """

    at: float | None = None
    keep_state: bool = True
    retries: int | None = None
    wait: float = 0.0


@dataclass(frozen=True)
class Scenario:
    """
    A scenario; its defaults are one in which nothing bad happens.

    :param kind: ``"rerun"`` or ``"evaluate"``.
    :param level: the order's: 0 is AI only, 1 is with human review.
    :param behaviour: options of the sandbox for the order.
    :param options: arguments of the paid operator.
    :param waiting: who waits for the result: ``"no task"``; the paid operator ``"itself"``; the next ``"task"``.
    :param mode: how: ``"poke"``, ``"reschedule"`` or ``"deferrable"``; ``"all"``: each, and they are compared.
    :param wait_options: arguments of the task that waits.
    :param accept_unknown: a person marks the paid task as success if it fails, so that the next one goes on.
    :param store: whether Airflow has a task state store.
    :param clear_on_success: whether it discards a task's state on success.
    :param retries: the paid task's.
    :param retry_delay: seconds.
    :param execution_timeout: the paid task's, seconds.
    :param connecting: seconds that it takes to connect for the first POST.
    :param arriving: seconds until it arrives.
    :param answering: seconds from then until its response leaves.
    :param front_ahead: seconds by which the clock that makes ``Date`` is ahead of the one that dates documents.
    :param jitter: where in its range everything random is, 0 to 1.
    """

    kind: str = "rerun"
    level: int = 0
    behaviour: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    waiting: str = "no task"
    mode: str = "poke"
    wait_options: Mapping[str, Any] = field(default_factory=dict)
    accept_unknown: bool = False
    store: bool = True
    clear_on_success: bool = False
    retries: int = 2
    retry_delay: float = 60.0
    execution_timeout: float | None = None
    connecting: float = 0.0
    arriving: float = 0.0
    answering: float = 0.0
    front_ahead: float = 0.0
    jitter: float = 0.0
    trouble: tuple[Trouble, ...] = ()
    events: tuple[Event, ...] = ()
    clears: tuple[Clear, ...] = ()

    def __str__(self) -> str:
        return _text(self)

    @property
    def shows_its_end(self) -> bool:
        """Whether a poll shows when what the task submitted is over."""
        options = {"delivery_events": "appended", "delivery_events_delay": 0.0, "stale_every": 0, **self.behaviour}
        others_act = any(event.what in {"rerun", "evaluate", "review"} for event in self.events)
        late = options["delivery_events_delay"] or options["stale_every"]
        cancelled = options.get("review_cancelled_after") is not None
        return options["delivery_events"] == "appended" and not (late or cancelled or others_act)

    @property
    def approves_drafts(self) -> bool:
        """Whether nothing ever takes a draft's place, so that it is what the people have approved."""
        options = {"outputs": "replaced", "outputs_after": 2.0, "run_seconds": 30.0, **self.behaviour}
        span, after = options["run_seconds"], options["outputs_after"]
        # A short run may make its documents before the AI's, which then take their place.
        is_replaced = options["outputs"] != "unchanged" and after is not None and span + after >= span * _DRAFTED_AT
        return bool(self.level and self.behaviour.get("draft_documents") and not is_replaced)

    @property
    def makes_documents(self) -> bool:
        """Whether each run leaves documents that differ, not too late for the task that waits."""
        options = {"outputs": "replaced", "outputs_after": 2.0, **self.behaviour}
        after, patience = options["outputs_after"], self.wait_options.get("outputs_timeout", 120.0)
        return self.approves_drafts or (options["outputs"] != "unchanged" and after is not None and after <= patience)

    def smaller(self) -> Iterator[Scenario]:
        """Give the scenarios that have one thing less."""
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            less: list[Any] = []
            if isinstance(value, tuple):
                for index, part in enumerate(value):
                    before, after = value[:index], value[index + 1 :]
                    less += [before + after, *((*before, plainer, *after) for plainer in _plainer(part))]
            elif isinstance(value, Mapping):
                less = [{key: known for key, known in value.items() if key != name} for name in value]
            elif value != each.default:
                less = [each.default]
            for smaller in less:
                yield dataclasses.replace(self, **{each.name: smaller})


def _plainer(part: Trouble | Event | Clear) -> Iterator[Trouble | Event | Clear]:
    """Give what has one thing more that is as usual."""
    for each in dataclasses.fields(part):
        if each.default is not dataclasses.MISSING and getattr(part, each.name) != each.default:
            usual: dict[str, Any] = {each.name: each.default}
            yield dataclasses.replace(part, **usual)


def _text(value: Any) -> str:
    """Write a value as Python, without what is as usual."""
    if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        return f"({', '.join(_text(part) for part in value)},)"
    if not dataclasses.is_dataclass(value):
        return repr(value)
    given = []
    for each in dataclasses.fields(value):
        default = {} if each.default is dataclasses.MISSING and each.name in _MAPPINGS else each.default
        if getattr(value, each.name) != default:
            given.append(f"{each.name}={_text(getattr(value, each.name))}")
    return f"{type(value).__name__}({', '.join(given)})"


_MAPPINGS = ("behaviour", "options", "wait_options")


def shrink(scenario: Scenario, still: Callable[[Scenario], bool]) -> Scenario:
    """
    Return the smallest scenario found that is still of a kind.

    :param still: tells whether a scenario is.
    """
    while smaller := next((less for less in scenario.smaller() if still(less)), None):
        scenario = smaller
    return scenario


# --- From a seed ------------------------------------------------------------------------------------------------


class _Dice:
    """Chooses; the first of several values is what is usual."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)  # noqa: S311 - scenarios are no secret

    def one(self, usual: T, *others: T, odds: float = 0.35) -> T:
        return self.random.choice(others) if self.random.random() < odds else usual

    def some(self, make: Callable[[], T], odds: Sequence[float]) -> tuple[T, ...]:
        """Make one with the first odds, then another with the next, and so on."""
        made = []
        for each in odds:
            if self.random.random() >= each:
                break
            made.append(make())
        return tuple(made)

    def given(self, **values: Any) -> dict[str, Any]:
        """Return those that are not the usual, which is ``None`` or the first of a pair."""
        return {name: value for name, (usual, value) in values.items() if value != usual}

    def pair(self, usual: T, *others: T, odds: float = 0.35) -> tuple[T, T]:
        return usual, self.one(usual, *others, odds=odds)


def random_scenario(seed: str) -> Scenario:
    """Make the scenario of a seed."""
    dice = _Dice(seed)
    kind = dice.one("rerun", "evaluate", odds=0.3)
    level = dice.one(0, 1, odds=0.25) if kind == "rerun" else 0
    quiet = dice.random.random() < 0.35
    behaviour = _rerun_behaviour(dice, level) if kind == "rerun" else _evaluation_behaviour(dice)
    if not quiet:
        behaviour |= dice.given(
            stale_every=dice.pair(0, 1, 2, 3, odds=0.15), stale_by=dice.pair(60.0, 5.0, 500.0, odds=0.3)
        )
    trouble = () if quiet else dice.some(lambda: _trouble(dice), (0.6, 0.45, 0.3))
    if not quiet and dice.random.random() < 0.4:
        # Nothing but the task itself keeps it from submitting twice.
        hidden = dice.random.choice((25.0, 100.0, None))
        behaviour |= {"rerun_while_running": "accept", "status_hidden_for": hidden} if kind == "rerun" else {}
        lost = dice.random.choice(("lost response", "502 after", "half a response", "die after", "die before"))
        trouble = (Trouble(lost, "POST", 0, dice.one(1, 3, 12)), *trouble)
    waits = ("itself", "task") if kind == "rerun" else ("task",)
    waiting = dice.one("no task", *waits, odds=0.75)
    modes = ("reschedule", "deferrable", "all") if waiting == "task" and kind == "rerun" else ("deferrable", "all")
    span = float(behaviour.get("run_seconds", 30.0))
    limit = None if quiet else dice.one(None, 3.0, 20.0, 100.0, 1000.0, odds=0.2)
    wait_options = _wait_options(dice, kind)
    if kind == "rerun" and (behaviour.get("stale_every") or behaviour.get("draft_documents")):
        # Documented: it has to be longer than any replica lags, and than reviewed documents do.
        wait_options["outputs_timeout"] = 2 * max(60.0, behaviour.get("stale_by", 60.0)) + 90.0
    slow = [dice.one(0.0, 1.0, 6.0, span + 3, 45.0, odds=0.12 if limit is None else 0.4) for _ in range(3)]
    return Scenario(
        kind=kind,
        level=level,
        behaviour=behaviour,
        options=_options(dice, kind),
        waiting=waiting,
        mode=dice.one("poke", *modes, odds=0.7),
        wait_options=wait_options,
        accept_unknown=dice.one(False, True),
        store=dice.one(True, False, odds=0.1),
        clear_on_success=dice.one(False, True, odds=0.15),
        retries=dice.one(2, 0, 1, 4),
        retry_delay=dice.one(60.0, 0.0, 400.0),
        execution_timeout=limit,
        connecting=slow[0],
        arriving=slow[1],
        answering=slow[2],
        front_ahead=0.0 if quiet else dice.one(0.0, -40.0, -2.0, 2.0, 40.0, 2000.0, odds=0.15),
        jitter=dice.one(0.0, 0.5, 1.0),
        trouble=trouble,
        events=() if quiet else dice.some(lambda: _event(dice, span), (0.4, 0.4, 0.3)),
        clears=dice.some(lambda: _clear(dice, span), (0.45, 0.35, 0.2)),
    )


def _rerun_behaviour(dice: _Dice, level: int) -> dict[str, Any]:
    seconds = dice.one(30.0, 1.0, 5.0, 200.0, 1000.0, 9000.0, odds=0.6)
    found = dice.given(
        run_seconds=(30.0, seconds),
        status_hidden_for=dice.pair(0.0, 10.0, 25.0, 100.0, None, odds=0.5),
        outputs=dice.pair("replaced", "in_place", "unchanged", "added", odds=0.5),
        outputs_after=dice.pair(2.0, -1.0, 30.0, 90.0, None),
        delivery_events=dice.pair("appended", "unchanged", "empty", "absent", odds=0.4),
        delivery_events_delay=dice.pair(0.0, 20.0, odds=0.2),
        outputs_during_run=dice.pair("kept", "removed", "null", odds=0.2),
        rerun_while_running=dice.pair("400", "409", "accept", "by_status", odds=0.7),
        end_status=dice.pair("completed", "delivered", "failed", "cancelled", None, odds=0.3),
        auxiliary_documents=dice.pair(False, True, odds=0.1),
    )
    if level:
        found |= dice.given(
            draft_documents=dice.pair(False, True, odds=0.6),
            review_cancelled_after=dice.pair(None, seconds / 2, odds=0.2),
        )
    return found


def _evaluation_behaviour(dice: _Dice) -> dict[str, Any]:
    return dice.given(
        qc_seconds=dice.pair(10.0, 0.0, 1.0, 100.0, 1000.0, None, odds=0.6),
        qc_meanwhile=dice.pair("loading", "kept", "cleared", odds=0.4),
        qc_id=dice.pair("answered", "other", odds=0.3),
    )


def _options(dice: _Dice, kind: str) -> dict[str, Any]:
    return dice.given(
        on_running=dice.pair("fail", "attach", odds=0.3),
        on_unknown_outcome=dice.pair("fail", "resubmit", odds=0.25),
        reconcile_timeout=dice.pair(300.0, 0.0, 40.0, odds=0.25),
    )


def _wait_options(dice: _Dice, kind: str) -> dict[str, Any]:
    timeout, interval = dice.one((14400.0, 300.0), (3000.0, 60.0), (900.0, 20.0), (30000.0, 1800.0), odds=0.5)
    found: dict[str, Any] = {"timeout": timeout, "interval": interval}
    if kind == "rerun":
        found |= dice.given(
            outputs_timeout=dice.pair(120.0, 0.0, 20.0, odds=0.2),
            stale_timeout=dice.pair(7200.0, 0.0, 300.0, odds=0.2),
            on_no_evidence=dice.pair("fail", "accept", odds=0.1),
        )
    return found


def _trouble(dice: _Dice) -> Trouble:
    at = dice.one("POST", "GET", "set", "get", "delete", odds=0.55)
    kinds = (*WIRE, *PROCESS) if at.isupper() else STORE
    nth = dice.one(0, 1, 2, 3, 5, 8) if at != "POST" else dice.one(0, 1, odds=0.2)
    return Trouble(dice.random.choice(kinds), at, nth, dice.one(1, 2, 5, 12))


def _event(dice: _Dice, span: float) -> Event:
    kinds = ("rerun", "review", "evaluate", "cancel", "503", "429", "forget receipt", *EDITS)
    at = dice.random.choice((0.5, 2.0, 7.0, 40.0, span * 0.7, span + 1.0, span + 40, 200.0))
    return Event(dice.random.choice(kinds), at, dice.one(20.0, 3.0, 100.0, 1000.0))


def _clear(dice: _Dice, span: float) -> Clear:
    return Clear(
        at=dice.one(None, 1.0, 10.0, 50.0, span + 5.0, 400.0, odds=0.4),
        keep_state=dice.one(True, False, odds=0.5),
        retries=dice.one(None, 0, 1, 3, odds=0.3),
        wait=dice.one(0.0, 10.0, span + 5.0, 4000.0, odds=0.5),
    )
