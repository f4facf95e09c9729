"""
The crash matrix of an evaluation: where a try dies, what the order shows of it, and how it has to end.

Written down before anything runs. An evaluation is not waited for, so it has no modes, and its points are its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tests.crash.cells import End

Evidence = Literal["shown at once", "shown late", "no trace"]

POINTS = {
    1: "before the record",
    2: "record written, not sent",
    3: "sent, not processed",
    4: "processed, never answered",
    5: "answered, not recorded",
    6: "recorded, not pushed",
    7: "pushed, not finished",
    8: "finished, not reported",
}
#: Where the process kills itself: before or after the record gets a state. At the other points the test kills it.
KILLS: dict[int, tuple[str, str]] = {
    1: ("before", "sending"),
    2: ("after", "sending"),
    5: ("before", "accepted"),
    6: ("after", "accepted"),
    7: ("before", "finished"),
    8: ("after", "finished"),
}


class Expected(NamedTuple):
    """
    What has to become of a cell.

    :param end: how it ends.
    :param posts: requests that reach Ollang; none of them is refused, so that a second one would be billed.
    :param reconnected: whether the receipt says that an earlier try asked.
    :param answered: whether the receipt has what only the answer says.
    """

    end: End
    posts: int = 1
    reconnected: bool = True
    answered: bool = True


_DONE = End("success", 1, 2)
_FOUND = Expected(_DONE, answered=False)
#: Nobody but Ollang knows whether it was processed.
_UNKNOWN = "OllangOutcomeUnknownError"

EXPECTED: dict[tuple[int, Evidence], Expected] = {
    # It sent nothing and wrote nothing: the second try is like a first.
    (1, "shown at once"): Expected(_DONE, reconnected=False),
    # The evaluation of last year, which the order shows, is no evidence.
    (2, "shown at once"): Expected(End(_UNKNOWN, 0, 2), posts=0),
    (3, "shown at once"): Expected(End(_UNKNOWN, 0, 2)),
    (4, "shown at once"): _FOUND,
    (4, "shown late"): _FOUND,
    (4, "no trace"): Expected(End(_UNKNOWN, 1, 2)),
    (5, "shown at once"): _FOUND,
    (5, "shown late"): _FOUND,
    (5, "no trace"): Expected(End(_UNKNOWN, 1, 2)),
    # Nothing but the record tells.
    (6, "no trace"): Expected(_DONE),
    (7, "no trace"): Expected(_DONE),
    # It has its receipt on record, and asks nobody for it; what the order shows by now is no reason for another.
    (8, "shown at once"): Expected(_DONE, reconnected=False),
    (8, "no trace"): Expected(_DONE, reconnected=False),
}


@dataclass(frozen=True)
class EvaluationCell:
    """One cell of the matrix."""

    point: int
    evidence: Evidence

    def __str__(self) -> str:
        return f"{self.point}-{self.evidence.replace(' ', '_')}"

    @property
    def expected(self) -> Expected:
        """How it has to end."""
        return EXPECTED[self.point, self.evidence]

    @property
    def behaviour(self) -> dict[str, Any]:
        """What the sandbox shows of an evaluation, which ends only when the test says so."""
        return {"qc_meanwhile": "loading" if self.evidence == "shown at once" else "kept", "qc_seconds": None}

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the operator beside the order."""
        return {
            "kill_at": list(KILLS.get(self.point, ())),
            "reconcile_timeout": 120 if self.evidence == "shown late" else 4,
        }


EVALUATION_CELLS = [EvaluationCell(point, evidence) for point, evidence in EXPECTED]
#: That the record is obeyed, and that it is written early enough to find what was bought.
TELLING_EVALUATIONS = {EvaluationCell(2, "shown at once"), EvaluationCell(4, "shown at once")}
