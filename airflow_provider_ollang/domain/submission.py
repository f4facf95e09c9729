"""
What is remembered of a request that may cost money, so that it is sent once per wish whatever dies in between.

A *wish* is one person's or schedule's intention: a new DAG run is one, and so is clearing a task that was finished.
A retry is not: a retry reconnects, clearing starts over. Pure: no network, no Airflow.

====================  =====================================  ====================================================
the record says       retry                                  the task was cleared
====================  =====================================  ====================================================
(there is none)       submit: the record comes before the    poll the order for :data:`POLL_FIRST_TIMEOUT`
                      request, so nothing was sent           seconds; at work: reconnect; else submit
another order, host   submit                                 submit
``"sending"``         reconcile: reconnect, or the outcome   the same
                      is unknown
``"accepted"``        reconnect                              reconnect
``"unknown"``         reconcile, as ``"sending"``            reconnect if the order shows it, else submit: whoever
                                                             clears says that it never ran
``"failed"``          reconnect: the wait ends as before     submit, if the order is eligible
``"finished"``       return the result                      still under way: reconnect; else submit
``"refused"``         submit: nothing was                    submit
====================  =====================================  ====================================================

Airflow 3.3 keeps a task's state when the task is cleared, 3.4 discards it unless ``keep_task_state`` is set, and any
version discards it on success with ``[state_store] clear_on_success``: hence the first row.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from airflow_provider_ollang.domain.arguments import is_same_order
from airflow_provider_ollang.exceptions import OllangConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


State = Literal["sending", "accepted", "failed", "unknown", "finished", "refused"]
Plan = Literal["send", "poll first", "settle", "join", "return", "renew", "ask"]


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
        """Number of the try, counted from 1 since the run began or the task was cleared."""
        return self.try_number - self.first_try + 1

    @property
    def may_have_lost_state(self) -> bool:
        """
        Whether earlier tries may have left a record that a clear has discarded since.

        Either number may miss a clear: ``clear_number`` one that leaves the run's state alone (``reset_dag_runs``),
        ``first_try`` one after ``retries`` was edited. A retry that is taken for a clear only polls first.
        """
        return self.try_number > 1 and (self.clear_number != 0 or self.first_try > 1)

    def cleared_since(self, record: Record) -> bool:
        """
        Tell whether the task was cleared after a record was written; a retry is no clear.

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
    The record of one wish.

    :param order_id: the order.
    :param host: base URL of the Ollang API the request goes to.
    :param max_tries: the task's ``max_tries`` when the record was written.
    :param state: ``"sending"``: written before the request, so whoever finds it cannot know whether it was processed;
        ``"accepted"``; ``"failed"``: accepted, and ended by Ollang without a result; ``"unknown"``: a person was told
        to find out; ``"finished"``: the task has had its result; ``"refused"``: nothing was sent or started, and the
        task failed for good.
    :param receipt: what is known of the request, as a plain dict, its baseline and result included.
    :param resubmitted: whether an unknown outcome has already been answered by sending the request once more.
    :param try_number: number of the try that wrote the record; ``None`` in one of an older version.
    :param clear_number: how often tasks of the DAG run had been cleared then; ``None`` likewise.
    :param unknown_since: when it became unknown whether the request was processed, epoch seconds: all tries together
        reconcile for one ``reconcile_timeout``.
    """

    order_id: str
    host: str
    max_tries: int
    state: State
    receipt: dict[str, Any]
    resubmitted: bool = False
    try_number: int | None = None
    clear_number: int | None = None
    unknown_since: float | None = None

    def is_about(self, order_id: str, host: str) -> bool:
        """Tell whether the record is about this order at this host."""
        return is_same_order(self.order_id, order_id) and self.host == host

    def to_json(self) -> dict[str, Any]:
        """Return the record as a plain dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> Record:
        """
        Read what :meth:`to_json` returned, of this or another version of the provider.

        :raises OllangConfigurationError: it is something else, so that nobody knows what was sent.
        """
        names = {one.name for one in fields(cls)}
        try:
            record = cls(**{name: one for name, one in cast("Mapping[str, Any]", value).items() if name in names})
        except (TypeError, AttributeError):
            record = None
        if record is None or record.state not in get_args(State) or not isinstance(record.receipt, dict):
            raise OllangConfigurationError(
                "The record that keeps this task from sending its request twice cannot be read. Look at the order in "
                "Ollang; if nothing was sent, delete the record from the task's state in Airflow and clear the task."
            )
        return record


def plan(record: Record | None, *, order_id: str, host: str, tries: Tries) -> Plan:
    """
    Tell what a try of a task has to do, by what it finds: the table at the head of this module.

    :param record: the record left by earlier tries, if any.
    :param order_id: the order the task is about now.
    :param host: base URL of the Ollang API.
    :param tries: what Airflow says about the task's tries.
    :return: ``"send"`` the request; ``"poll first"`` whether the order is at work, since a clear may have discarded
        the record; ``"settle"``: find evidence whether it was processed; ``"attach"`` it; ``"return"`` its result;
        ``"renew"``: the wish was fulfilled, and this is another one; ``"ask"``: a person was asked to clear the task
        if nothing was sent, and has.
    """
    if record is None:
        return "poll first" if tries.may_have_lost_state else "send"
    if record.state == "refused" or not record.is_about(order_id, host):
        return "send"
    cleared = tries.cleared_since(record)
    if record.state == "accepted" or (record.state == "failed" and not cleared):
        return "join"
    if record.state == "failed":
        return "send"
    if record.state == "finished":
        return "renew" if cleared else "return"
    return "ask" if cleared and record.state == "unknown" else "settle"


#: Pauses, in seconds, before the looks that should see an accepted request take effect.
CONFIRM_PAUSES = (1.0, 2.0, 3.0, 5.0, 8.0, 11.0)
#: Seconds within which an order shows a request that was accepted; what shows later is submitted again after a clear
#: that discarded the record.
POLL_FIRST_TIMEOUT = sum(CONFIRM_PAUSES)
_RECONCILE_PAUSE = 30.0


def reconcile_pauses(timeout: float) -> Iterator[float]:
    """Give the pauses before the looks for evidence of a request: one at once, many early, one at the very end."""
    left = timeout
    for pause in chain((0.0,), CONFIRM_PAUSES, repeat(_RECONCILE_PAUSE)):
        yield min(pause, left)
        left -= pause
        if left <= 0:
            return
