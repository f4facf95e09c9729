"""
At most one submission of a request that may be billed: what is stored about it, and what a try of a task does next.

Airflow's words: a retry reconnects, clearing starts over. So a retry never submits again what an earlier try has, or
may have, submitted. A new DAG run has a record of its own.

====================  =====================================  ====================================================
the record says       retry                                  the task was cleared
====================  =====================================  ====================================================
(there is none)       submit: the record comes before the    poll first, for :data:`POLL_FIRST_TIMEOUT` seconds;
                      request, so nothing was sent           at work: reconnect; else submit, and reconnect where
                                                             that is refused since the order is at work after all
another subject,      submit; put the record back where      the same
another host          that is refused
``"sending"``         reconcile: reconnect, or the outcome   the same
                      is unknown
``"accepted"``        reconnect                              reconnect
``"unknown"``         reconcile, as ``"sending"``            reconnect if Ollang shows it, else submit: a person who
                                                             clears the task says that it never ran. Stays where that
                                                             is refused
``"failed"``          reconnect: the wait ends as before     submit, if the order is eligible
``"finished"``        return the result                      still at work: reconnect; else submit
``"refused"``         submit: nothing was started            submit
====================  =====================================  ====================================================

Airflow 3.3 keeps a task's state when the task is cleared, 3.4 discards it unless ``keep_task_state`` is set
(https://github.com/apache/airflow/pull/72100), and any version discards it on success with
``[state_store] clear_on_success``: hence "poll first". Below 3.3 there is no store. Then a clear polls
first, too, and a retry cannot know what was sent: it reconnects to what is at work, or leaves the decision to a person.

Pure: no network, no Airflow.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from airflow_provider_ollang.domain.arguments import is_same_id
from airflow_provider_ollang.domain.values import known_fields
from airflow_provider_ollang.exceptions import OllangConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

State = Literal["sending", "accepted", "failed", "unknown", "finished", "refused"]
Action = Literal["submit", "poll first", "reconcile", "reconnect", "reconnect or submit", "reconnect or ask", "return"]


@dataclass(frozen=True)
class Tries:
    """
    What Airflow says about a task's tries and clears.

    :param try_number: number of the try, from 1; it never starts again from 1.
    :param max_tries: the task's ``max_tries``: clearing sets it to the tries so far plus ``retries``.
    :param retries: the task's ``retries`` now, which may have been edited since the run began.
    :param clear_number: how often tasks of the DAG run have been cleared; ``None`` if Airflow does not say.
    """

    try_number: int
    max_tries: int
    retries: int
    clear_number: int | None = None

    @property
    def first_try(self) -> int:
        """Number of the first try since the run began or the task was cleared."""
        return self.max_tries - self.retries + 1

    @property
    def tries_since_clear(self) -> int:
        """
        Number of the try, counted from 1 since the run began or the task was cleared.

        In a run without clears ``retries`` says nothing: it may have been edited since the run began.
        """
        if self.try_number == 1 or self.clear_number == 0:
            return self.try_number
        return self.try_number - self.first_try + 1

    @property
    def may_have_lost_state(self) -> bool:
        """
        Whether earlier tries may have left a record that a clear has discarded since.

        Either number may miss a clear: ``clear_number`` one that leaves the run's state alone (``reset_dag_runs``),
        ``first_try`` one after ``retries`` was edited. A retry that is taken for a clear only polls first.
        """
        return self.try_number > 1 and (self.clear_number != 0 or self.first_try > 1)

    def cleared_since(self, record: Record | Tries) -> bool:
        """
        Tell whether the task was cleared after a record was written, or after an earlier try; a retry is no clear.

        ``max_tries`` alone does not tell: where ``retries`` was lowered before the clear it comes out unchanged.
        ``clear_number`` alone does not tell either: it counts the clears of all tasks of the run.
        """
        if self.max_tries != record.max_tries:
            return True
        if record.clear_number is None or record.try_number is None:
            return False
        return self.clear_number != record.clear_number and self.first_try > record.try_number


@dataclass(frozen=True)
class Record:
    """
    The record of one submission.

    :param subject: what the request is about: the order's id, or for a request without one a fingerprint of it.
    :param host: base URL of the Ollang API that the request goes to.
    :param max_tries: the task's ``max_tries`` when the record was written.
    :param state: ``"sending"``: written before the request, so it is unknown whether it was processed;
        ``"accepted"``; ``"failed"``: accepted, and ended by Ollang without a result; ``"unknown"``: a person was asked
        to find out; ``"finished"``: the task has had its result; ``"refused"``: nothing was sent or started.
    :param receipt: what is known of the request, as a plain dict, its baseline and result included.
    :param resubmitted: whether an unknown outcome has been answered by submitting once more.
    :param try_number: number of the try that wrote the record; ``None`` in one of an older version.
    :param clear_number: how often tasks of the DAG run had been cleared then; ``None`` likewise.
    :param unknown_since: when the outcome became unknown, epoch seconds: all tries together reconcile for one
        ``reconcile_timeout``, and each for 30 s of it at least.
    """

    subject: str
    host: str
    max_tries: int
    state: State
    receipt: dict[str, Any]
    resubmitted: bool = False
    try_number: int | None = None
    clear_number: int | None = None
    unknown_since: float | None = None

    def is_about(self, subject: str, host: str) -> bool:
        """Tell whether the record is about this subject at this host."""
        return is_same_id(self.subject, subject) and self.host == host

    def to_json(self) -> dict[str, Any]:
        """Return the record as a plain dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> Record:
        """
        Read what :meth:`to_json` returned, of this or another version of the provider.

        :raises OllangConfigurationError: it is something else, so it is unknown what was sent.
        """
        try:
            record = cls(**known_fields(cls, cast("Mapping[str, Any]", value)))
        except (TypeError, AttributeError):
            record = None
        if record is None or record.state not in get_args(State) or not isinstance(record.receipt, dict):
            raise OllangConfigurationError(
                "The stored submission, which keeps this task from sending its request twice, cannot be read. Look at "
                "the order in Ollang; if nothing was submitted, delete the record from the task's state in Airflow and "
                "clear the task."
            )
        return record


def decide(record: Record | None, *, subject: str, host: str, tries: Tries, has_store: bool = True) -> Action:
    """
    Tell what a try of a task has to do: the table at the head of this module.

    :param record: the record left by earlier tries, if any.
    :param subject: what the request is about now.
    :param host: base URL of the Ollang API.
    :param tries: what Airflow says about the task's tries.
    :param has_store: whether Airflow keeps a task's state at all (3.3 and newer).
    :return: ``"submit"``; ``"poll first"`` for what a discarded record may have been about; ``"reconcile"`` an
        unknown outcome; ``"reconnect"``; ``"reconnect or submit"``: one poll decides; ``"reconnect or ask"``: one poll
        decides, and a person where it shows nothing; ``"return"`` the result.
    """
    if not has_store and tries.tries_since_clear > 1:
        return "reconnect or ask"
    if record is None or not has_store:
        return "poll first" if tries.may_have_lost_state else "submit"
    if record.state == "refused" or not record.is_about(subject, host):
        return "submit"
    return _CLEARED[record.state] if tries.cleared_since(record) else _RETRIED[record.state]


_RETRIED: dict[State, Action] = {
    "sending": "reconcile",
    "accepted": "reconnect",
    "unknown": "reconcile",
    "failed": "reconnect",
    "finished": "return",
}
_CLEARED: dict[State, Action] = {
    "sending": "reconcile",
    "accepted": "reconnect",
    "unknown": "reconnect or submit",
    "failed": "submit",
    "finished": "reconnect or submit",
}

#: Delays, in seconds, between the polls that should see an accepted request take effect.
FIRST_DELAYS = (1.0, 2.0, 3.0, 5.0, 8.0, 11.0)
#: Seconds within which an order shows a request that was accepted. What shows later is submitted again after a clear
#: that discarded the record.
POLL_FIRST_TIMEOUT = sum(FIRST_DELAYS)
_RECONCILE_INTERVAL = 30.0


def reconcile_delays(timeout: float) -> Iterator[float]:
    """
    Give the delays before the polls for evidence of a request: one at once, many early, one at the very end.

    :param timeout: seconds in all.
    """
    left = timeout
    for delay in chain((0.0,), FIRST_DELAYS, repeat(_RECONCILE_INTERVAL)):
        yield min(delay, left)
        left -= delay
        if left <= 0:
            return
