"""The trigger that waits for an order in the triggerer."""

from __future__ import annotations

import random
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ollang import _clock
from airflow_provider_ollang._compat import TaskDeferralError, TaskDeferralTimeout, conf
from airflow_provider_ollang.domain.arguments import LONGEST_TIMEOUT, order_id_of
from airflow_provider_ollang.domain.polling import LONGEST_FAILURE_PAUSE, Step, Wait, WaitMemory, WaitRules
from airflow_provider_ollang.exceptions import (
    OllangAuthenticationError,
    OllangError,
    OllangTimeoutError,
    OllangUnavailableError,
    error_to_json,
)
from airflow_provider_ollang.hooks.ollang import OllangHook

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from datetime import datetime

    from airflow.sdk import BaseOperator

    from airflow_provider_ollang.client.aio import OllangAsyncClient

#: How much later than the wait's own deadline Airflow's timeout of a deferral comes, as a net behind it.
GRACE = timedelta(seconds=120)
#: Seconds that a wait may begin after its end for no other reason than that everything takes a while.
_LATE = 1.0
#: Whether tasks wait in the triggerer unless they are told otherwise.
DEFERRABLE = conf.getboolean("operators", "default_deferrable", fallback=False)


def hand_over(
    task: BaseOperator, wait: Wait, step: Step, *, ollang_conn_id: str, kwargs: dict[str, Any] | None = None
) -> NoReturn:
    """
    Defer a task: the triggerer goes on with its wait, to the same deadline, and calls its ``execute_complete``.

    :param task: the task.
    :param wait: its wait, which has begun on the worker.
    :param step: what came of its last look.
    :param ollang_conn_id: the Airflow connection.
    :param kwargs: what else ``execute_complete`` is given: what it needs of inputs that may be gone by then.
    """
    now = _clock.now()
    task.defer(
        trigger=OllangOrderStatusTrigger.taking_over(wait, step, ollang_conn_id=ollang_conn_id, now=now),
        method_name="execute_complete",
        kwargs=kwargs,
        timeout=timedelta(seconds=min(max(wait.deadline - now, 0.0), LONGEST_TIMEOUT)) + GRACE,
    )


@contextmanager
def deferral_errors(timeout: float) -> Iterator[None]:
    """
    Say in this provider's errors how a deferral failed that the trigger could not end itself.

    :param timeout: seconds the wait could take, for the message.
    :raises OllangTimeoutError: Airflow's own timeout ended it.
    :raises OllangUnavailableError: the triggerer gave it up.
    """
    try:
        yield
    except TaskDeferralTimeout:
        raise OllangTimeoutError(
            f"The triggerer had not ended the wait when its time of {timeout:.0f} s was over. Check that a triggerer "
            "is running, and that there are no more waits than the triggerers take together ([triggerer] capacity, "
            "each); then clear this task."
        ) from None
    except TaskDeferralError as error:
        raise OllangUnavailableError(f"The triggerer gave up the wait: {error}.") from error


def _began_late(error: OllangTimeoutError, late: float) -> OllangTimeoutError:
    """Return the error of a wait that was over before it began in the triggerer: the order may not be the reason."""
    return OllangTimeoutError(
        f"{error} When it began in the triggerer, it should have ended {late:.0f} s ago. If no triggerer was free or "
        "running for that long, the clocks of workers and triggerers differ: synchronise them.",
        order_id=error.order_id,
    )


class OllangOrderStatusTrigger(BaseTrigger):
    """
    Waits for an order in Airflow's triggerer; used by :class:`.OllangOrderStatusSensor`.

    Every end of the wait is an event, ``{"result": dict | None, "error": dict | None, "memory": dict, "waited": float |
    None}``: the facts of the order or an error for :func:`.error_from_json`, what the wait knew at its end, and how
    many seconds it took. No secret and no link is among its arguments or in its event.

    :param ollang_conn_id: the Airflow connection.
    :param order_id: the order.
    :param rules: what is waited for, as :meth:`.WaitRules.to_json` returned it.
    :param deadline: epoch seconds, by the worker's clock, at which the wait ends; a restart of the triggerer does not
        move it. Airflow's own timeout, where there is one, tells it by the clock of Airflow's server, and it is never
        later than the timeout of the rules from now. ``None``: that timeout, counted from the start in the triggerer.
    :param memory: what the wait knew when it was handed over, as :meth:`.WaitMemory.to_json` returned it.
    :param not_before: epoch seconds before which nothing is sent, because the last look failed.
    :param pause: how many seconds that was from the last look, whatever the clocks say; ``None``: not known.
    :param later: arguments that a newer version of this provider stored; ignored.
    """

    def __init__(
        self,
        *,
        ollang_conn_id: str,
        order_id: Any,
        rules: dict[str, Any],
        deadline: float | None = None,
        memory: dict[str, Any] | None = None,
        not_before: float = 0.0,
        pause: float | None = None,
        **later: Any,  # noqa: ARG002 - stored by a newer version
    ) -> None:
        # An error raised here takes the whole triggerer down, so nothing is looked at before run().
        super().__init__()  # type: ignore[no-untyped-call]
        self.ollang_conn_id = ollang_conn_id
        self.order_id = order_id
        self.rules = rules
        self.deadline = deadline
        self.memory = memory
        self.not_before = not_before
        self.pause = pause

    @classmethod
    def taking_over(cls, wait: Wait, step: Step, *, ollang_conn_id: str, now: float) -> OllangOrderStatusTrigger:
        """
        Return the trigger that goes on with a wait where a worker leaves it.

        :param wait: the wait.
        :param step: what its last look ended in.
        :param ollang_conn_id: the Airflow connection.
        :param now: epoch seconds.
        """
        return cls(
            ollang_conn_id=ollang_conn_id,
            order_id=wait.rules.order_id,
            rules=wait.rules.to_json(),
            deadline=wait.deadline,
            memory=wait.memory.to_json(),
            not_before=now + step.pause if step.after_failure else now,
            pause=step.pause if step.after_failure else 0.0,
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to make this trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "ollang_conn_id": self.ollang_conn_id,
                "order_id": self.order_id,
                "rules": self.rules,
                "deadline": self.deadline,
                "memory": self.memory,
                "not_before": self.not_before,
                "pause": self.pause,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and tell the end."""
        memory, waited = self.memory if isinstance(self.memory, dict) else {}, None
        try:
            rules = WaitRules.from_json({**self.rules, "order_id": order_id_of(self.order_id)})
            wait = Wait(rules, WaitMemory.from_json(memory), self._deadline(rules), self.log)
            late = _clock.now() - wait.deadline
            step = await self._wait(wait)
            if late > _LATE and isinstance(step.error, OllangTimeoutError):
                step = Step(error=_began_late(step.error, late))
            memory, waited = wait.memory.to_json(), _clock.now() - wait.started_at
        except OllangError as error:
            step = Step(error=error)
        except Exception as error:
            # Its own words go to the log only: an event is stored, and nobody knows what is in them.
            self.log.exception("The wait for order %s broke off.", _shown(self.order_id))
            step = Step(error=OllangUnavailableError(f"The wait broke off: {type(error).__name__}; see the log."))
        error_json = None if step.error is None else error_to_json(step.error)
        event = {"result": step.result, "error": error_json, "memory": memory, "waited": waited}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    def _deadline(self, rules: WaitRules) -> float:
        latest = _clock.now() + rules.timeout
        # Airflow's own timeout stands behind the wait, and survives a restart; no clock of a worker has a part in it.
        behind: datetime | None = getattr(self, "timeout_after", None)
        if behind is not None:
            return min(latest, behind.timestamp() - GRACE.total_seconds())
        return latest if self.deadline is None else min(latest, self.deadline)

    async def _wait(self, wait: Wait) -> Step:
        hook = OllangHook(self.ollang_conn_id)
        # Thousands of waits that begin together, or go on together elsewhere, should not look together ever after.
        longest = LONGEST_FAILURE_PAUSE if self.pause is None else self.pause
        begin = max(min(self.not_before - _clock.now(), longest, wait.deadline - _clock.now()), 0.0)
        pause = begin + self._spread(wait, begin)
        # Where a worker has begun the wait, it has said so.
        to_tell = self.deadline is None
        while True:
            async with hook.async_client() as reader:
                if to_tell:
                    wait.begin()
                    to_tell = False
                step = await self._wait_with(hook, reader, wait, pause)
            if step is not None:
                return step
            pause = 0.0

    def _spread(self, wait: Wait, pause: float) -> float:
        """Return up to one interval more than a pause, so that waits which paused together do not look together."""
        left = max(wait.deadline - _clock.now() - pause, 0.0)
        return random.uniform(0, min(wait.rules.poke_interval, left))  # noqa: S311

    async def _wait_with(self, hook: OllangHook, reader: OllangAsyncClient, wait: Wait, pause: float) -> Step | None:
        """Wait as long as the key is the same; return ``None`` when it has changed."""
        while True:
            await _clock.asleep(pause)
            try:
                # The last look is at the order, not at what another wait was told.
                is_last = _clock.now() >= wait.deadline
                order = await reader.get_order(wait.rules.order_id, ignore_throttle=is_last)
            except OllangError as error:
                if isinstance(error, OllangAuthenticationError) and await hook.key_changed(reader):
                    return None
                step = wait.failed_to_look(error, _clock.now())
            else:
                step = wait.saw(order, _clock.now())
            if step.is_end:
                return step
            pause = step.pause + (self._spread(wait, step.pause) if step.after_rate_limit else 0.0)


def _shown(order_id: object) -> str:
    """Return an order id for the log; what is none may be a link with its signature."""
    try:
        return order_id_of(order_id)
    except OllangError:
        return "(no order id)"
