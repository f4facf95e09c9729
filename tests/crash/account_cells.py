"""
The crash matrices of what makes something new, which only a list shows: new orders, and the project of an upload.

Written down before anything runs. An upload is not waited for, so it has no modes and fewer points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tests.crash.cells import DONE, DONE_AT_ONCE, KILLS, MODES, NOTHING_SENT, UNKNOWN, End, Mode
from tests.crash.cells import POINTS as POINTS_OF_A_WAIT

Operator = Literal["create", "upload"]
Evidence = Literal["listing shows it", "no trace"]

EVIDENCE: tuple[Evidence, ...] = ("listing shows it", "no trace")
POINTS = {0: "in the body", **POINTS_OF_A_WAIT}
LANGUAGES = ["fr", "de"]
_NEVER = 1e9

#: How a creation has to end, by point, in the order of EVIDENCE; in both modes.
_CREATIONS = {
    1: (DONE, DONE),
    2: (NOTHING_SENT, NOTHING_SENT),
    3: (NOTHING_SENT, NOTHING_SENT),
    4: (DONE, UNKNOWN),
    5: (DONE, UNKNOWN),
    # The record has the ids: no list is needed.
    6: (DONE, DONE),
    7: (DONE, DONE),
    8: (DONE, DONE),
    9: (DONE, DONE),
}
_UPLOADS = {
    # Without its last byte there is no request, so it is sent again.
    0: (DONE, DONE),
    # It does not wait.
    **{point: ends for point, ends in _CREATIONS.items() if point not in {7, 8}},
}
EXPECTED: dict[tuple[Operator, int, Mode | None], tuple[End, End]] = {
    **{("create", point, mode): ends for point, ends in _CREATIONS.items() for mode in MODES},
    ("create", 7, "deferrable"): (DONE_AT_ONCE, DONE_AT_ONCE),
    **{("upload", point, None): ends for point, ends in _UPLOADS.items()},
}


@dataclass(frozen=True)
class AccountCell:
    """One cell of either matrix."""

    operator: Operator
    point: int
    mode: Mode | None
    evidence: Evidence

    def __str__(self) -> str:
        mode = f"-{self.mode}" if self.mode else ""
        return f"{self.operator}-{self.point}{mode}-{self.evidence.replace(' ', '_')}"

    @property
    def expected(self) -> End:
        """How it has to end."""
        return EXPECTED[self.operator, self.point, self.mode][EVIDENCE.index(self.evidence)]

    @property
    def posts(self) -> int:
        """How many of its requests reach Ollang, be it only the beginning of one."""
        if self.operator == "upload":
            return 2 if self.point < 2 else 1
        return 0 if self.point == 2 else 1

    @property
    def loses_triggerer(self) -> bool:
        """Whether no task dies, but the triggerer under it."""
        return (self.point, self.mode) == (7, "deferrable")

    @property
    def behaviour(self) -> dict[str, Any]:
        """What the sandbox of the cell shows; orders end when the test says so."""
        hidden_for = _NEVER if self.evidence == "no trace" else 0.0
        return {"orders_hidden_for": hidden_for, "projects_hidden_for": hidden_for, "run_seconds": 100_000.0}

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the operator that the cells differ in."""
        kill_at = ["body"] if self.point == 0 else list(KILLS.get((self.point, self.mode or "sync"), ()))
        return {"kill_at": kill_at, **({"deferrable": self.mode == "deferrable"} if self.mode else {})}


ACCOUNT_CELLS = [AccountCell(*place, evidence) for place in EXPECTED for evidence in EVIDENCE]
