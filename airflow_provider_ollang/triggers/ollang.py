"""The trigger that waits for an order in the triggerer."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_ollang import _clock
from airflow_provider_ollang.domain.arguments import parse_order_id
from airflow_provider_ollang.domain.polling import LONGEST_FAILURE_PAUSE, Decision, PollConfig, Poller, PollState
from airflow_provider_ollang.domain.result_goals import goal_from_json
from airflow_provider_ollang.exceptions import (
    OllangAuthenticationError,
    OllangError,
    OllangTimeoutError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.runtime.context import look_up_task
from airflow_provider_ollang.runtime.wait import DEFERRED_RECEIPT, GRACE, log_review, to_event, write_log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from airflow_provider_ollang.client.aio import OllangAsyncClient

#: Seconds that a wait may start after its deadline merely because everything takes a while.
_LATE = 1.0


class OllangOrderStatusTrigger(BaseTrigger):
    """
    Waits for an order in Airflow's triggerer; used by :class:`.OllangOrderStatusSensor`.

    Every end of the wait is an event, for :func:`.read_event`: ``{"result": dict | None, "error": dict | None,
    "state": dict, "waited": float | None}``. No secret and no link is among the arguments or in the event.

    :param ollang_conn_id: the Airflow connection.
    :param order_id: the order.
    :param config: how it is polled, as :meth:`.PollConfig.to_json` returned it.
    :param goal: what is waited for, as :meth:`.Goal.to_json` returned it.
    :param deadline: epoch seconds, by the worker's clock, at which the wait ends; a restart of the triggerer does not
        move it. Airflow's own timeout, where there is one, tells it by the clock of Airflow's server, and it is never
        later than the timeout of the config from now. ``None``: that timeout, counted from the start in the triggerer.
    :param state: what polls had shown when the task was deferred, as :meth:`.PollState.to_json` returned it.
    :param not_before: epoch seconds before which nothing is sent, because the last poll failed.
    :param pause: how many seconds that was from the last poll, whatever the clocks say; ``None``: unknown.
    :param orders_to_cancel: orders to cancel if a user ends the deferred task (Airflow 3.3 or newer); default none.
    :param stored: arguments that another version of this provider stored: earlier ones had ``rules`` for config and
        goal, and ``memory`` for the state; others are ignored.
    """

    def __init__(
        self,
        *,
        ollang_conn_id: str,
        order_id: Any,
        config: dict[str, Any] | None = None,
        goal: dict[str, Any] | None = None,
        deadline: float | None = None,
        state: dict[str, Any] | None = None,
        not_before: float = 0.0,
        pause: float | None = None,
        orders_to_cancel: Sequence[str] = (),
        **stored: Any,
    ) -> None:
        # An error raised here takes the whole triggerer down, so nothing is checked before run().
        super().__init__()  # type: ignore[no-untyped-call]
        self.ollang_conn_id = ollang_conn_id
        self.order_id = order_id
        self.config = stored.get("rules", config)
        self.goal = stored.get("rules", goal)
        self.deadline = deadline
        self.state = stored.get("memory", state)
        self.not_before = not_before
        self.pause = pause
        self.orders_to_cancel = list(orders_to_cancel)

    @classmethod
    def from_poller(
        cls,
        poller: Poller,
        decision: Decision,
        *,
        ollang_conn_id: str,
        now: float,
        orders_to_cancel: Sequence[str] = (),
    ) -> OllangOrderStatusTrigger:
        """
        Return the trigger that continues a wait where a worker defers it.

        :param poller: the wait.
        :param decision: what came of its last poll.
        :param ollang_conn_id: the Airflow connection.
        :param now: epoch seconds.
        :param orders_to_cancel: orders to cancel if a user ends the deferred task.
        """
        return cls(
            ollang_conn_id=ollang_conn_id,
            order_id=poller.config.order_id,
            config=poller.config.to_json(),
            goal=poller.goal.to_json(),
            deadline=poller.deadline,
            state=poller.state.to_json(),
            not_before=now + decision.pause if decision.after_error else now,
            pause=decision.pause if decision.after_error else 0.0,
            orders_to_cancel=orders_to_cancel,
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to make this trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "ollang_conn_id": self.ollang_conn_id,
                "order_id": self.order_id,
                "config": self.config,
                "goal": self.goal,
                "deadline": self.deadline,
                "state": self.state,
                "not_before": self.not_before,
                "pause": self.pause,
                # Most waits cancel nothing, and an older triggerer does not know it.
                **({"orders_to_cancel": self.orders_to_cancel} if self.orders_to_cancel else {}),
            },
        )

    async def on_kill(self) -> None:
        """Cancel what is to be cancelled when a user ends the deferred task: clears it, or marks it."""
        if not self.orders_to_cancel or not await self._is_ended_by_user():
            return
        async with OllangHook(self.ollang_conn_id).async_client() as client:
            # All at once, since Airflow gives this half a minute.
            await asyncio.gather(*(self._cancel(client, order_id) for order_id in self.orders_to_cancel))

    async def _is_ended_by_user(self) -> bool:
        """
        Tell whether a user has ended the task: cleared it, or marked it.

        Airflow 3.3 calls ``on_kill``, too, in a triggerer that seemed dead while another one took its waits over
        (``Trigger.assign_unassigned``); 3.4.0b2 does not. Then the task is deferred with the receipt that it had: where
        a cleared one is deferred by now, its receipt has another deadline.
        """
        if self.task_instance is None:
            return True
        order_ids = ", ".join(self.orders_to_cancel)
        try:
            state, receipt = await asyncio.to_thread(look_up_task, self.task_instance, DEFERRED_RECEIPT)
        except Exception as error:  # noqa: BLE001 - what is not cancelled now can be cancelled by hand
            self.log.warning(
                "Not cancelled: %s. Airflow did not tell whether a user has ended the task, or another triggerer has "
                "taken its wait over (%s). If a user has, cancel in Ollang what is not wanted any more.",
                order_ids,
                type(error).__name__,
            )
            return False
        waits_on = state == "deferred" and (receipt or {}).get("deadline") == self.deadline
        if waits_on:
            self.log.warning("Not cancelled: %s. Another triggerer has taken over the wait for them.", order_ids)
        return not waits_on

    async def _cancel(self, client: OllangAsyncClient, order_id: str) -> None:
        try:
            await client.cancel_order(order_id)
        except OllangError as error:
            self.log.warning("Order %s was not cancelled: %s", order_id, error)
        else:
            self.log.info("Order %s was cancelled (cancel_on_kill).", order_id)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield the end."""
        state, waited = self.state if isinstance(self.state, dict) else {}, None
        try:
            poller = self._poller(state)
            late = _clock.now() - poller.deadline
            decision = await self._wait(poller)
            if late > _LATE and isinstance(decision.error, OllangTimeoutError):
                decision = Decision(error=_started_late(decision.error, late))
            state, waited = poller.state.to_json(), _clock.now() - poller.started_at
        except OllangError as error:
            decision = Decision(error=error)
        except Exception as error:
            # Its message goes to the log only: an event is stored, and such a message may contain anything.
            self.log.exception("Trigger for order %s failed unexpectedly.", _shown(self.order_id))
            message = f"The trigger failed unexpectedly ({type(error).__name__}); see its log."
            decision = Decision(error=OllangUnavailableError(message))
        yield TriggerEvent(to_event(decision, state=state, waited=waited))  # type: ignore[no-untyped-call]

    def _poller(self, state: dict[str, Any]) -> Poller:
        # Templates are rendered in the trigger's own arguments only.
        config = PollConfig.from_json({**(self.config or {}), "order_id": parse_order_id(self.order_id)})
        return Poller(config, goal_from_json(self.goal or {}), PollState.from_json(state), self._deadline(config))

    def _deadline(self, config: PollConfig) -> float:
        latest = _clock.now() + config.timeout
        # Airflow's own timeout comes after the deadline and survives a restart, without any worker's clock.
        fallback: datetime | None = getattr(self, "timeout_after", None)
        if fallback is not None:
            return min(latest, fallback.timestamp() - GRACE.total_seconds())
        return latest if self.deadline is None else min(latest, self.deadline)

    async def _wait(self, poller: Poller) -> Decision:
        hook = OllangHook(self.ollang_conn_id)
        pause = self._first_pause(poller)
        # Where a worker has started the wait, it has logged this.
        is_started = self.deadline is not None
        while True:
            async with hook.async_client() as client:
                if not is_started:
                    self.log.info("%s", poller.describe_start())
                    is_started = True
                decision = await self._wait_with(hook, client, poller, pause)
            if decision is not None:
                return decision
            pause = 0.0

    async def _wait_with(
        self, hook: OllangHook, client: OllangAsyncClient, poller: Poller, pause: float
    ) -> Decision | None:
        """Wait as long as the key is the same; return ``None`` when it has changed."""
        while True:
            await _clock.asleep(pause)
            try:
                # Throttling comes from other waits, and nothing but a poll finds a result at the deadline.
                is_last = _clock.now() >= poller.deadline
                order = await client.get_order(poller.config.order_id, ignore_throttle=is_last)
            except OllangError as error:
                if isinstance(error, OllangAuthenticationError) and await hook.key_changed(client):
                    return None
                decision = poller.on_error(error, _clock.now())
            else:
                decision = poller.on_order(order, _clock.now())
            write_log(self.log, decision)
            if decision.is_final:
                return decision
            if decision.asks_about_review:
                await self._ask_about_review(client, poller.config.order_id)
            pause = decision.pause + (_jitter(poller, decision.pause) if decision.after_rate_limit else 0.0)

    async def _ask_about_review(self, client: OllangAsyncClient, order_id: str) -> None:
        """Log what an order's review is about, in one attempt."""
        try:
            log_review(self.log, order_id, await client.get_review_info(order_id))
        except OllangError as error:
            log_review(self.log, order_id, error)

    def _first_pause(self, poller: Poller) -> float:
        # Thousands of waits that start together, or continue elsewhere together, must not poll together ever after.
        now = _clock.now()
        longest = LONGEST_FAILURE_PAUSE if self.pause is None else self.pause
        pause = max(min(self.not_before - now, longest, poller.deadline - now), 0.0)
        return pause + _jitter(poller, pause)


def _jitter(poller: Poller, pause: float) -> float:
    """Return up to one interval more than a pause, so that waits that paused together do not poll together."""
    now = _clock.now()
    left = max(poller.deadline - now - pause, 0.0)
    return random.uniform(0, min(poller.config.poll_interval, poller.interval(now), left))  # noqa: S311


def _started_late(error: OllangTimeoutError, late: float) -> OllangTimeoutError:
    """Return the error of a wait whose deadline had passed before its start in the triggerer."""
    return OllangTimeoutError(
        f"{error} It began in the triggerer {late:.0f} s after its deadline. If no triggerer was free or running for "
        "that long, the clocks of workers and triggerers differ: synchronise them.",
        order_id=error.order_id,
    )


def _shown(order_id: object) -> str:
    """Return an order id for the log; anything else may be a link with its signature."""
    try:
        return parse_order_id(order_id)
    except OllangError:
        return "(no order id)"
