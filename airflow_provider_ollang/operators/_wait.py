"""How operators wait, until :mod:`~airflow_provider_ollang.runtime.wait` does it for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_ollang import _clock
from airflow_provider_ollang.domain.polling import describe_end
from airflow_provider_ollang.domain.submission import FIRST_DELAYS
from airflow_provider_ollang.triggers.ollang import hand_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import BaseOperator

    from airflow_provider_ollang.domain.polling import Step, Wait
    from airflow_provider_ollang.hooks.ollang import OllangHook


def wait_for(
    task: BaseOperator,
    hook: OllangHook,
    wait: Wait,
    *,
    ollang_conn_id: str,
    deferrable: bool,
    sleep: Callable[[float], None],
    on_decision: Callable[[Step], None] | None = None,
    resume_with: dict[str, Any] | None = None,
) -> Step:
    """
    Poll until the wait is over, or defer: the triggerer goes on then, and calls ``execute_complete``.

    :param task: the task that waits.
    :param hook: polls the order.
    :param wait: what is waited for.
    :param ollang_conn_id: the Airflow connection.
    :param deferrable: leave the wait to the triggerer.
    :param sleep: waits between two polls, given seconds.
    :param on_decision: called after each poll on the worker.
    :param resume_with: what ``execute_complete`` is given besides the event.
    """
    wait.begin()
    first_delays = list(FIRST_DELAYS) if wait.rules.rerun else []
    while True:
        step = hook.look(wait)
        if on_decision is not None:
            on_decision(step)
        if step.result is not None:
            task.log.info("%s", describe_end(step.result, _clock.now() - wait.started_at))
        if step.is_end:
            return step
        if first_delays and not step.after_failure and not wait.memory.seen_running:
            sleep(min(first_delays.pop(0), step.pause))
            continue
        if deferrable:
            hand_over(task, wait, step, ollang_conn_id=ollang_conn_id, kwargs=resume_with)
        sleep(step.pause)
