"""
What is remembered of a request that may cost money, so that it is sent once per wish whatever dies in between.

A *wish* is one person's or schedule's intention: a new DAG run is one, and so is clearing a task that was finished.
A retry is not. Pure: no network, no Airflow.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from airflow_provider_ollang.exceptions import OllangConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

State = Literal["sending", "accepted", "failed", "unknown", "concluded"]
Plan = Literal["send", "settle", "join", "return", "renew", "ask"]


@dataclass(frozen=True)
class Record:
    """
    The record of one wish.

    :param order_id: the order.
    :param host: base URL of the Ollang API the request goes to.
    :param max_tries: the task's ``max_tries``: the same in all tries of a wish, another one once a finished task was
        cleared.
    :param state: ``"sending"``: written before the request, so whoever finds it cannot know whether it was processed;
        ``"accepted"``; ``"failed"``: accepted, and ended by Ollang without a result; ``"unknown"``: a person was told
        to find out; ``"concluded"``: the task has had its result.
    :param receipt: what is known of the request, as a plain dict, its baseline and result included.
    :param resubmitted: whether an unknown outcome has already been answered by sending the request once more.
    """

    order_id: str
    host: str
    max_tries: int
    state: State
    receipt: dict[str, Any]
    resubmitted: bool = False

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


def plan(record: Record | None, *, order_id: str, host: str, max_tries: int) -> Plan:
    """
    Tell what a try of a task has to do, by what it finds.

    :param record: the record left by earlier tries, if any.
    :param order_id: the order the task is about now.
    :param host: base URL of the Ollang API.
    :param max_tries: the task's ``max_tries`` now.
    :return: ``"send"`` the request; ``"settle"``: find evidence whether it was processed; ``"join"`` it;
        ``"return"`` its result; ``"renew"``: the wish was fulfilled, and this is another one; ``"ask"``: a person was
        asked to clear the task if nothing was sent, and has.
    """
    if record is None or (record.order_id, record.host) != (order_id, host):
        return "send"
    cleared = record.max_tries != max_tries
    if record.state == "accepted" or (record.state == "failed" and not cleared):
        return "join"
    if record.state == "failed":
        return "send"
    if record.state == "concluded":
        return "renew" if cleared else "return"
    return "ask" if cleared and record.state == "unknown" else "settle"


def is_first_try(*, try_number: int, max_tries: int, retries: int) -> bool:
    """
    Tell whether a task's try is the first one since its run began or since it was cleared.

    :param try_number: number of the try, from 1.
    :param max_tries: the task's ``max_tries``: clearing raises it to the tries so far plus ``retries``.
    :param retries: the task's ``retries``.
    """
    return try_number == max_tries - retries + 1


#: Pauses, in seconds, before the looks that should see an accepted request take effect.
CONFIRM_PAUSES = (1.0, 2.0, 3.0, 5.0, 8.0, 11.0)
_SETTLE_PAUSE = 30.0


def settle_pauses(timeout: float) -> Iterator[float]:
    """Give the pauses before the looks for evidence of a request: one at once, many early, one at the very end."""
    left = timeout
    for pause in chain((0.0,), CONFIRM_PAUSES, repeat(_SETTLE_PAUSE)):
        yield min(pause, left)
        left -= pause
        if left <= 0:
            return
