"""What becomes of orders, and what their looks meet: the same stories for a moved clock and for a real Airflow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox

FLAGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "soft_fail": {"soft_fail": True},
    "never_fail": {"never_fail": True},
    "silent_fail": {"silent_fail": True},
}


@dataclass
class Stage(ABC):
    """
    Where a story is played.

    :param ollang: the sandbox.
    :param order_id: the order it is about; completed at first.
    """

    ollang: Sandbox
    order_id: str
    #: Failed looks in a row that end the wait.
    patience: ClassVar[int]
    #: Seconds for which a server that has enough asks.
    asked_pause: ClassVar[int]

    def at_first(self, status: str) -> None:
        """Give the order a status before anybody looks."""
        self.ollang.change_order(self.order_id, status=status)

    @abstractmethod
    def later(self, status: str) -> None:
        """Give the order a status while it is waited for."""

    @abstractmethod
    def in_the_last_second(self, status: str) -> None:
        """Give the order a status just before the deadline."""

    def looks_meet(self, **fault: Any) -> None:
        """Let looks at the order go wrong."""
        self.ollang.add_fault("GET", f"/integration/orders/{self.order_id}", **fault)


def done_at_once(stage: Stage) -> None:
    """The order is completed already."""


def done_later(stage: Stage) -> None:
    stage.at_first("ongoing")
    stage.later("completed")


def done_in_the_last_second(stage: Stage) -> None:
    stage.at_first("ongoing")
    stage.in_the_last_second("delivered")


def through_an_unknown_status(stage: Stage) -> None:
    stage.at_first("pondering")
    stage.later("completed")


def failing(stage: Stage) -> None:
    stage.at_first("ongoing")
    stage.later("failed")


def never_done(stage: Stage) -> None:
    stage.at_first("ongoing")


def short_outage(stage: Stage) -> None:
    done_later(stage)
    stage.looks_meet(skip=1, times=stage.patience // 2, status=503)


def long_outage(stage: Stage) -> None:
    never_done(stage)
    stage.looks_meet(skip=1, times=stage.patience, status=503)


def endless_outage(stage: Stage) -> None:
    stage.looks_meet(times=None, status=503)


def rate_limited(stage: Stage) -> None:
    stage.looks_meet(times=stage.patience, status=429, headers={"Retry-After": str(stage.asked_pause)})


def unknown_order(stage: Stage) -> None:
    stage.looks_meet(times=None, status=404, body={"code": "ORDER_NOT_FOUND", "message": "no"})


def one_stray_401(stage: Stage) -> None:
    done_later(stage)
    stage.looks_meet(skip=1, status=401, body={"code": "UNAUTHORIZED"})


def key_revoked_half_way(stage: Stage) -> None:
    never_done(stage)
    stage.looks_meet(skip=2, times=None, status=401, body={"code": "UNAUTHORIZED"})


Story = Callable[[Stage], None]

_SUCCESS = dict.fromkeys(FLAGS, "success")
_PERMANENT = {"plain": "failed", "soft_fail": "skipped", "never_fail": "skipped", "silent_fail": "failed"}
#: The state in which each ends under each flag.
ENDS: dict[Story, dict[str, str]] = {
    done_at_once: _SUCCESS,
    done_later: _SUCCESS,
    done_in_the_last_second: _SUCCESS,
    through_an_unknown_status: _SUCCESS,
    short_outage: _SUCCESS,
    rate_limited: _SUCCESS,
    one_stray_401: _SUCCESS,
    failing: _PERMANENT,
    never_done: _PERMANENT,
    unknown_order: _PERMANENT,
    key_revoked_half_way: _PERMANENT,
    # The last failed look that is tolerated ends the first try; by the second the outage is over.
    long_outage: _PERMANENT,
    endless_outage: {"plain": "failed", "soft_fail": "failed", "never_fail": "skipped", "silent_fail": "failed"},
}
#: Only a wait whose looks failed too often in a row is tried again, unless it is skipped or goes on.
RETRIED = {(long_outage, "plain"), (long_outage, "soft_fail"), (endless_outage, "plain"), (endless_outage, "soft_fail")}
STORIES: dict[str, Story] = {story.__name__: story for story in ENDS}
