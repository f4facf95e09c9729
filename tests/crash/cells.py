"""
The crash matrix of a rerun and of a human review: where a try dies, how it waits, what shows it, and how it has to end.

Pure, and written down before anything runs: the DAG reads from here where to die, the tests what to expect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

Mode = Literal["sync", "deferrable"]
Operator = Literal["rerun", "human review"]
Evidence = Literal["events and documents", "status only", "no trace"]

MODES: tuple[Mode, ...] = ("sync", "deferrable")
EVIDENCE: tuple[Evidence, ...] = ("events and documents", "status only", "no trace")
POINTS = {
    1: "before the record",
    2: "record written, not sent",
    3: "sent, not processed",
    4: "processed, never answered",
    5: "answered, not recorded",
    6: "recorded, not waiting yet",
    7: "in the wait",
    8: "on resume, or after the last look",
    9: "finished, not reported",
}
#: Where the process kills itself: before or after the record gets one of these states, or when it is resumed. The
#: other points are seen from outside, and the test kills the process, or the triggerer.
_ENDS = ("finished", "unknown")
KILLS: dict[tuple[int, Mode], tuple[str, ...]] = {
    (1, "sync"): ("before", "sending"),
    (1, "deferrable"): ("before", "sending"),
    (2, "sync"): ("after", "sending"),
    (2, "deferrable"): ("after", "sending"),
    (5, "sync"): ("before", "accepted"),
    (5, "deferrable"): ("before", "accepted"),
    (6, "sync"): ("after", "accepted"),
    (6, "deferrable"): ("after", "accepted"),
    (8, "sync"): ("before", *_ENDS),
    (8, "deferrable"): ("resume",),
    (9, "sync"): ("after", *_ENDS),
    (9, "deferrable"): ("after", *_ENDS),
}


class End(NamedTuple):
    """
    How a cell ends.

    :param outcome: ``success``, or the error of the last try.
    :param accepted: requests that Ollang accepted, and billed.
    :param tries: of the task.
    """

    outcome: str
    accepted: int
    tries: int

    def __str__(self) -> str:
        outcome = self.outcome.removeprefix("Ollang").removesuffix("Error")
        tries = "try" if self.tries == 1 else "tries"
        return f"{outcome}, {self.accepted} accepted, {self.tries} {tries}"


DONE = End("success", 1, 2)
#: The record says that it was accepted, but Ollang never shows it.
_STALE = End("OllangStaleResultError", 1, 2)
#: It was processed, and nobody but Ollang knows.
UNKNOWN = End("OllangOutcomeUnknownError", 1, 2)
#: Nothing was processed: no order can show that, so this is the same to the task.
NOTHING_SENT = End("OllangOutcomeUnknownError", 0, 2)
#: A killed triggerer costs the task no try.
DONE_AT_ONCE, _STALE_AT_ONCE = End("success", 1, 1), End("OllangStaleResultError", 1, 1)

#: By point and mode, in the order of EVIDENCE.
EXPECTED: dict[tuple[int, Mode], tuple[End, End, End]] = {
    (1, "sync"): (DONE, DONE, _STALE),
    (1, "deferrable"): (DONE, DONE, _STALE),
    (2, "sync"): (NOTHING_SENT, NOTHING_SENT, NOTHING_SENT),
    (2, "deferrable"): (NOTHING_SENT, NOTHING_SENT, NOTHING_SENT),
    (3, "sync"): (NOTHING_SENT, NOTHING_SENT, NOTHING_SENT),
    (3, "deferrable"): (NOTHING_SENT, NOTHING_SENT, NOTHING_SENT),
    (4, "sync"): (DONE, DONE, UNKNOWN),
    (4, "deferrable"): (DONE, DONE, UNKNOWN),
    (5, "sync"): (DONE, DONE, UNKNOWN),
    (5, "deferrable"): (DONE, DONE, UNKNOWN),
    (6, "sync"): (DONE, DONE, _STALE),
    (6, "deferrable"): (DONE, DONE, _STALE),
    (7, "sync"): (DONE, DONE, _STALE),
    (7, "deferrable"): (DONE_AT_ONCE, DONE_AT_ONCE, _STALE_AT_ONCE),
    (8, "sync"): (DONE, DONE, _STALE),
    (8, "deferrable"): (DONE, DONE, _STALE),
    (9, "sync"): (DONE, DONE, UNKNOWN),
    (9, "deferrable"): (DONE, DONE, UNKNOWN),
}


@dataclass(frozen=True)
class Cell:
    """One cell of the matrix."""

    point: int
    mode: Mode
    evidence: Evidence
    operator: Operator = "rerun"

    def __str__(self) -> str:
        prefix = "" if self.operator == "rerun" else "review-"
        return f"{prefix}{self.point}-{self.mode}-{self.evidence.replace(' ', '_')}"

    @property
    def expected(self) -> End:
        """How it has to end."""
        return EXPECTED[self.point, self.mode][EVIDENCE.index(self.evidence)]

    @property
    def loses_triggerer(self) -> bool:
        """Whether no task dies, but the triggerer under it."""
        return (self.point, self.mode) == (7, "deferrable")

    @property
    def behaviour(self) -> dict[str, Any]:
        """What the sandbox shows of a run; it ends when the test says so, and nothing keeps out a second rerun."""
        shows_status = self.evidence == "status only"
        return {
            "rerun_while_running": "accept",
            "end_status": None,
            "status_hidden_for": 0.0 if shows_status else None,
            "review_level_after": 0.0 if shows_status else None,
            # The test reports the end itself; of a review nothing else reports the steps before.
            "delivery_events": "unchanged",
        }

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the operator beside the order."""
        if self.evidence != "no trace":
            patience = 120
        elif (self.point, self.mode) in {(7, "deferrable"), (8, "deferrable")}:
            # The worker stays for 30 s before it defers.
            patience = 40
        else:
            # A task that defers has to stay away for a while.
            patience = 10 if self.mode == "deferrable" else 5
        return {
            "deferrable": self.mode == "deferrable",
            "kill_at": list(KILLS.get((self.point, self.mode), ())),
            "stale_timeout": patience,
            "outputs_timeout": 3 if self.evidence == "status only" else 120,
        }


_RERUNS = [Cell(point, mode, evidence) for point, mode in EXPECTED for evidence in EVIDENCE]
CELLS = [*_RERUNS, *(replace(cell, operator="human review") for cell in _RERUNS)]
#: One for each line of defence, in the fewest cells that have each mode and each kind of evidence.
TELLING = {
    # A try that sent nothing and wrote nothing must be repeated: else every evicted worker would need a person.
    Cell(1, "sync", "status only"),
    # Written, not sent: only obeying the record keeps the second try from sending.
    Cell(2, "sync", "events and documents"),
    # Processed, and only the events tell: the record must be older than the request, and its baseline be kept in it.
    Cell(4, "deferrable", "events and documents"),
    # Processed, and nothing tells: the error, rather than a second rerun or a guess.
    Cell(4, "sync", "no trace"),
    # As long as it runs, its status tells.
    Cell(5, "sync", "status only"),
    # Nothing but the record tells that it was accepted.
    Cell(6, "sync", "no trace"),
    # The event of the trigger dies with the task: what was seen before the deferral has to be on record.
    Cell(8, "deferrable", "status only"),
    # Success has to leave the record, with the result in it.
    Cell(9, "sync", "events and documents"),
}
