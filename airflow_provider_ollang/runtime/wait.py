"""Waiting on a worker or in the triggerer: what the sensor and the operators that wait share."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from airflow_provider_ollang import _clock
from airflow_provider_ollang._compat import TaskDeferralError, TaskDeferralTimeout, conf
from airflow_provider_ollang.domain.arguments import LONGEST_TIMEOUT
from airflow_provider_ollang.domain.messages import LogLine, describe_end, info
from airflow_provider_ollang.domain.polling import Decision, PollState
from airflow_provider_ollang.domain.review_gate import describe_review_gate
from airflow_provider_ollang.exceptions import (
    OllangAuthenticationError,
    OllangError,
    OllangTimeoutError,
    OllangUnavailableError,
    error_from_json,
    error_to_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow.sdk import BaseOperator
    from airflow.triggers.base import BaseTrigger

    from airflow_provider_ollang.domain.polling import Poller


POLL_INTERVAL = 60.0
#: How much later than the deadline of a wait Airflow's own timeout of its deferral comes: it is the fallback.
GRACE = timedelta(seconds=120)
#: The XCom that brings the receipt of orders through a deferral; ``dag.test()`` drops arguments of it (up to Airflow
#: 3.3.2). A trigger tells by it whether its wait goes on elsewhere.
DEFERRED_RECEIPT = "ollang_receipt"
#: Whether tasks wait in the triggerer by default.
DEFERRABLE = conf.getboolean("operators", "default_deferrable", fallback=False)


class OrderHook(Protocol):
    """What a wait needs of the hook."""

    def get_order(self, order_id: object, *, max_attempts: int | None = None) -> dict[str, Any]:
        """Get an order."""

    def get_review_info(self, order_id: object, *, max_attempts: int | None = None) -> dict[str, Any]:
        """Tell what an order in ``review`` is paused for."""

    def reload(self) -> bool:
        """Read the connection again; tell whether its key has changed."""


class WaitTrigger(Protocol):
    """What a wait needs of the class of its trigger."""

    def from_poller(
        self, poller: Poller, decision: Decision, *, ollang_conn_id: str, now: float, orders_to_cancel: Sequence[str]
    ) -> BaseTrigger:
        """Return the trigger that continues a wait after its last poll on the worker."""


def wait_for(
    task: BaseOperator,
    hook: OrderHook,
    poller: Poller,
    *,
    ollang_conn_id: str,
    trigger: WaitTrigger,
    deferrable: bool,
    sleep: Callable[[float], None],
    on_decision: Callable[[Decision], None] | None = None,
    resume_with: dict[str, Any] | None = None,
    is_started: bool = False,
    observe_start: bool = False,
    orders_to_cancel: Sequence[str] = (),
) -> Decision:
    """
    Poll until the wait is over, or defer: then the triggerer calls ``execute_complete``.

    :param task: the task that waits.
    :param hook: polls the order.
    :param poller: the wait.
    :param ollang_conn_id: the Airflow connection, for the trigger.
    :param trigger: the class of the trigger.
    :param deferrable: defer.
    :param sleep: waits between two polls, given seconds; what it raises ends the wait.
    :param on_decision: called after each poll on the worker.
    :param resume_with: what ``execute_complete`` is given besides the event: what it needs of inputs that may be gone
        by then.
    :param is_started: whether this try has polled before, and has logged what it waits for.
    :param observe_start: defer after the dense start, or a failed poll: what the worker observes can be put on record,
        and what only the triggerer has observed is lost if it dies, or the task that it resumes. Default: defer after
        the first poll.
    :param orders_to_cancel: orders that the triggerer cancels if a user ends the deferred task (Airflow 3.3 or newer).
    :return: the final decision.
    """
    if not is_started:
        task.log.info("%s", poller.describe_start())
    while True:
        decision = poll(hook, poller)
        write_log(task.log, decision)
        if decision.asks_about_review:
            _ask_about_review(task, hook, poller.config.order_id)
        if on_decision is not None:
            on_decision(decision)
        if decision.result is not None:
            task.log.info("%s", describe_end(decision.result, _clock.now() - poller.started_at))
        if decision.is_final:
            return decision
        observes = observe_start and not decision.after_error and poller.is_dense(_clock.now())
        if deferrable and not observes:
            trigger_of_wait = trigger.from_poller(
                poller, decision, ollang_conn_id=ollang_conn_id, now=_clock.now(), orders_to_cancel=orders_to_cancel
            )
            _defer(task, trigger_of_wait, deadline=poller.deadline, resume_with=resume_with)
        sleep(decision.pause)


def poll(hook: OrderHook, poller: Poller) -> Decision:
    """Poll the order of a wait once; if the key is refused, with the one that may have replaced it."""
    try:
        order = _get_order(hook, poller.config.order_id)
    except OllangError as error:
        return poller.on_error(error, _clock.now())
    return poller.on_order(order, _clock.now())


def _get_order(hook: OrderHook, order_id: str) -> dict[str, Any]:
    try:
        return hook.get_order(order_id, max_attempts=1)
    except OllangAuthenticationError:
        if not hook.reload():
            raise
        return hook.get_order(order_id, max_attempts=1)


def _ask_about_review(task: BaseOperator, hook: OrderHook, order_id: str) -> None:
    """Log what an order's review is about, in one attempt."""
    try:
        log_review(task.log, order_id, hook.get_review_info(order_id, max_attempts=1))
    except OllangError as error:
        log_review(task.log, order_id, error)


def log_review(log: Any, order_id: str, answer: Mapping[str, Any] | OllangError) -> None:
    """Write to the log of a task or trigger what an order's review is about, or why that is unknown."""
    _write_line(log, describe_review_gate(order_id, answer))


def write_log(log: Any, decision: Decision) -> None:
    """Write the lines that a decision carries to the log of a task or trigger."""
    for line in decision.log:
        _write_line(log, line)


def _write_line(log: Any, line: LogLine) -> None:
    getattr(log, line.level)(line.message, *line.args)


# --- Deferral and resumption ----------------------------------------------------------------------------------


def _defer(
    task: BaseOperator, trigger: BaseTrigger, *, deadline: float, resume_with: dict[str, Any] | None
) -> NoReturn:
    left = min(max(deadline - _clock.now(), 0.0), LONGEST_TIMEOUT)
    task.defer(
        trigger=trigger,
        method_name="execute_complete",
        kwargs=resume_with,
        timeout=timedelta(seconds=left) + GRACE,
    )


def to_event(decision: Decision, *, state: Mapping[str, Any], waited: float | None) -> dict[str, Any]:
    """
    Return the payload of the event with which a trigger ends a wait, as plain JSON.

    :param decision: what the wait ended in.
    :param state: what its polls have shown, as JSON.
    :param waited: how many seconds it took; ``None`` if that is unknown.
    """
    error = None if decision.error is None else error_to_json(decision.error)
    return {"result": decision.result, "error": error, "state": state, "waited": waited}


def read_event(event: Mapping[str, Any]) -> tuple[Decision, PollState | None]:
    """
    Read the payload of a trigger's event, of this or another version of the provider.

    :param event: what :func:`to_event` returned.
    :return: what the wait ended in, with what to log, and what its polls have shown, if the trigger knew it.
    """
    stored = event.get("state", event.get("memory"))
    state = PollState.from_json(stored) if stored else None
    if event["error"] is not None:
        return Decision(error=error_from_json(event["error"])), state
    return Decision(event["result"], log=(info("%s", describe_end(event["result"], event.get("waited"))),)), state


@contextmanager
def deferral_errors(timeout: float) -> Iterator[None]:
    """
    Turn Airflow's errors of a deferral, which its trigger could not end itself, into this provider's.

    :param timeout: seconds the wait could take, for the message.
    :raises OllangTimeoutError: Airflow's own timeout ended it.
    :raises OllangUnavailableError: the triggerer failed it.
    """
    try:
        yield
    except TaskDeferralTimeout:
        raise OllangTimeoutError(
            f"The wait did not end in the triggerer within its timeout of {timeout:.0f} s. Check that a triggerer is "
            "running, and that there are no more waits than all triggerers can take ([triggerer] capacity each); then "
            "clear this task."
        ) from None
    except TaskDeferralError as error:
        raise OllangUnavailableError(f"The wait failed in the triggerer: {error}.") from error
