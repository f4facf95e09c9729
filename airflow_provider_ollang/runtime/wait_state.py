"""What a sensor's wait stores in Airflow's task state store, so that it outlives reschedules and retries."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang import _clock
from airflow_provider_ollang.domain.polling import PollConfig, Poller, PollState
from airflow_provider_ollang.domain.result_goals import RerunGoal, goal_from_json
from airflow_provider_ollang.runtime.task_state import RETENTION, TaskState

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_ollang.domain.goals import Goal


STATE_KEY = "ollang_wait"


class WaitState:
    """
    What is stored of a wait: ``{subject, try_number, deadline, state}``; of a rescheduled try its config and goal, too.

    Below Airflow 3.3 there is no store: each reschedule starts without state, and the deadline counts from the first
    reschedule.

    :param context: the task's context.
    :param timeout: seconds the wait may take.
    :raises OllangUnavailableError: the store cannot be read.
    """

    def __init__(self, context: Context, *, timeout: float) -> None:
        ti = context["ti"]
        self._task_state = TaskState(context, STATE_KEY, retention=RETENTION + timedelta(seconds=timeout))
        self._try_number = ti.try_number
        stored = self._task_state.load()
        self._stored: dict[str, Any] = stored if isinstance(stored, dict) else {}
        first_poll = None if self._task_state.available else ti.get_first_reschedule_date(context)
        self._deadline = (first_poll.timestamp() if first_poll else _clock.now()) + timeout
        #: Whether this try has polled before.
        self.is_started = first_poll is not None

    def resume(self) -> Poller | None:
        """
        Return the wait that this try was rescheduled from; ``None`` if it was not.

        It does not depend on the task's arguments: the task that the receipt came from may have been cleared meanwhile,
        so that its output is gone, or another one.
        """
        if self._stored.get("try_number") != self._try_number or "goal" not in self._stored:
            return None
        return self.begin(PollConfig.from_json(self._stored["config"]), goal_from_json(self._stored["goal"]))

    def begin(self, config: PollConfig, goal: Goal) -> Poller:
        """Return a wait that continues what is stored, if that is about the same order, and the same rerun of it."""
        if self._stored.get("subject") != self._subject(config, goal):
            return Poller(config, goal, PollState(), self._deadline)
        state = PollState.from_json(self._stored["state"])
        if self._stored["try_number"] != self._try_number:
            return Poller(config, goal, state.for_new_try(), self._deadline)
        self.is_started = True
        return Poller(config, goal, state, self._stored["deadline"])

    def save(self, poller: Poller, *, with_goal: bool = False) -> None:
        """
        Store a wait, if its state has changed.

        :param poller: the wait.
        :param with_goal: store its config and goal, too, for :meth:`resume`.
        :raises OllangUnavailableError: the store cannot be written.
        """
        value = {
            "subject": self._subject(poller.config, poller.goal),
            "try_number": self._try_number,
            "deadline": poller.deadline,
            "state": poller.state.to_json(),
        }
        if with_goal:
            value |= {"config": poller.config.to_json(), "goal": poller.goal.to_json()}
        if value != self._stored:
            self._task_state.save(value)
            self._stored = value

    def _subject(self, config: PollConfig, goal: Goal) -> list[Any]:
        """Return what tells a wait from one for another order, or for another rerun of the same order."""
        if not isinstance(goal, RerunGoal):
            return [config.order_id, None]
        # A rerun without a time cannot be told from another one: then nothing outlives the try.
        return [config.order_id, goal.rerun.requested_at or self._try_number]
