"""What a sensor's wait keeps in Airflow's task state store, so that it outlives reschedules and retries."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang import _clock
from airflow_provider_ollang.domain.polling import WaitMemory, WaitRules
from airflow_provider_ollang.exceptions import OllangUnavailableError

if TYPE_CHECKING:
    from airflow.sdk import Context


STATE_KEY = "ollang_wait"
_KEEP_AFTER_TIMEOUT = timedelta(days=30)


class WaitState:
    """
    The state of a wait.

    Below Airflow 3.3 there is no store: each reschedule starts with an empty memory then, and the deadline counts from
    the first reschedule.

    :param context: the task's context.
    :param timeout: seconds the wait may take.
    :raises OllangUnavailableError: the store cannot be read.
    """

    def __init__(self, context: Context, *, timeout: float) -> None:
        ti = context["ti"]
        self._store: Any = context.get("task_state_store")
        self._retention = timedelta(seconds=timeout) + _KEEP_AFTER_TIMEOUT
        self._try_number = ti.try_number
        self._written = self._read()
        self._subject: list[Any] = []
        self.memory = WaitMemory()
        first_poll = None if self._store else ti.get_first_reschedule_date(context)
        #: Whether this is the first poll of its try.
        self.is_new = first_poll is None
        self.deadline = (first_poll.timestamp() if first_poll else _clock.now()) + timeout

    @property
    def rules(self) -> WaitRules | None:
        """
        What this try has begun to wait for, if it was rescheduled since.

        The task that the receipt came from may have been cleared meanwhile: its output is gone then, or another one.
        """
        if isinstance(self._written, dict) and self._written.get("try_number") == self._try_number:
            rules = self._written.get("rules")
            return None if rules is None else WaitRules.from_json(rules)
        return None

    def begin(self, rules: WaitRules) -> None:
        """Go on from what is stored, if it is about what is waited for now."""
        # What was remembered about another order, or about an earlier rerun of this one, must not count.
        rerun = rules.rerun
        self._subject = [rules.order_id, (rerun.requested_at or self._try_number) if rerun else None]
        if not isinstance(self._written, dict) or self._written.get("subject") != self._subject:
            return
        self.memory = WaitMemory.from_json(self._written["memory"])
        if self._written["try_number"] == self._try_number:
            self.deadline = self._written["deadline"]
            self.is_new = False
        else:
            self.memory = self.memory.for_new_try()

    def write(self, rules: WaitRules | None = None) -> None:
        """
        Keep the memory, if it has changed.

        :param rules: what is waited for, for the next poll of a rescheduled try.
        :raises Exception: whatever Airflow's store raises.
        """
        state = {
            "subject": self._subject,
            "try_number": self._try_number,
            "deadline": self.deadline,
            "memory": self.memory.to_json(),
            **({} if rules is None else {"rules": rules.to_json()}),
        }
        if self._store and state != self._written:
            self._store.set(STATE_KEY, state, retention=self._retention)
            self._written = state

    def _read(self) -> Any:
        if not self._store:
            return None
        try:
            return self._store.get(STATE_KEY)
        except Exception as error:
            raise OllangUnavailableError(
                f"What earlier tries of this wait have seen cannot be read from Airflow ({type(error).__name__})."
            ) from error
