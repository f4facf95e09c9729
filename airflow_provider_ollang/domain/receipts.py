"""The receipts of paid requests: what their operators return, and what a wait needs to tell their results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, get_args

from airflow_provider_ollang.domain.arguments import is_same_id, parse_order_id
from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.evaluations import is_later
from airflow_provider_ollang.domain.freshness import Rerun
from airflow_provider_ollang.domain.goals import EvaluationGoal
from airflow_provider_ollang.domain.reviews import Review
from airflow_provider_ollang.domain.values import parse_time
from airflow_provider_ollang.exceptions import OllangConfigurationError

if TYPE_CHECKING:
    from airflow_provider_ollang.domain.goals import OnMissing

Kind = Literal["rerun", "review"]

#: The Date header has whole seconds (RFC 9110 section 5.6.7).
DATE_RESOLUTION = timedelta(seconds=1)
#: What is dated this long before a request may be its effect, too: the clocks behind the two dates may differ.
LONGEST_SKEW = timedelta(hours=1)


@dataclass(frozen=True)
class PaidReceipt:
    """
    One accepted paid request, as an XCom.

    :param host: base URL of the Ollang API that accepted it.
    :param message: the API's message.
    :param requested_at: a time by the server's clock, ISO 8601, at which the request had not arrived yet; as close to
        its arrival as is known. ``None`` if the server sends no times.
    :param reconnected: whether this try of the task reconnected to it, or attached, instead of submitting it.
    """

    host: str
    message: str | None
    requested_at: str | None
    reconnected: bool

    def as_reconnected(self) -> Self:
        """Return the receipt of a task that reconnects to the request."""
        return replace(self, reconnected=True)

    def to_json(self) -> dict[str, Any]:
        """Return the receipt as a plain dict."""
        return asdict(self)

    def to_xcom(self) -> Any:
        """Return what the task hands on."""
        return self.to_json()

    @classmethod
    def from_value(cls, value: object) -> Self:
        """
        Read what :meth:`to_json` returned, from an XCom, a record or a template.

        :raises OllangConfigurationError: it is no such receipt.
        """
        if not isinstance(value, Mapping):
            raise cls._unreadable(
                f"not {_shown(value)}. If that task was marked as success by hand, there is none, and its result "
                f"cannot be told from the previous one: clear that task, or go on without {cls._argument}="
            )
        try:
            return cls(
                host=_required_text(value["host"]),
                message=value["message"],
                requested_at=value["requested_at"],
                reconnected=bool(value["reconnected"]),
                **cls._own_fields(value),
            )
        except (KeyError, TypeError, AttributeError):
            raise cls._unreadable(
                f"whole and unchanged; the mapping given is none: it has the keys {sorted(map(str, value))}"
            ) from None

    #: The argument that takes such a receipt, for messages; ``None``: no task gets it from another one.
    _argument: ClassVar[str | None] = None
    #: The operator that makes it.
    _operator: ClassVar[str]

    @classmethod
    def _unreadable(cls, problem: str) -> OllangConfigurationError:
        if cls._argument is None:
            return OllangConfigurationError(
                f"The stored receipt of {cls._operator} cannot be read. Look in Ollang for what the task has made; if "
                "it has made nothing, delete the record from the task's state in Airflow and clear the task."
            )
        return OllangConfigurationError(f"{cls._argument} must be the receipt that {cls._operator} returns, {problem}.")

    @classmethod
    def _own_fields(cls, value: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError


@dataclass(frozen=True)
class OrderReceipt(PaidReceipt):
    """
    One accepted paid request about an order.

    :param order_id: the order.
    """

    order_id: str

    @classmethod
    def _own_fields(cls, value: Mapping[str, Any]) -> dict[str, Any]:
        return {"order_id": _required_text(value["order_id"])}


@dataclass(frozen=True)
class Receipt(OrderReceipt):
    """
    One accepted rerun, or human review: what the tasks that need its result take as ``rerun``.

    :param seen_running: whether the order has been observed running since.
    :param last_status: the last status observed.
    :param baseline: the order just before the request.
    :param result: the facts of the finished order, if its end was waited for.
    :param baseline_confirmed: whether polls have shown that the baseline missed nothing.
    :param kind: ``"rerun"`` or ``"review"``.
    :param credits_used: what it cost; ``None`` if the API did not say.
    """

    seen_running: bool
    last_status: str | None
    baseline: Baseline
    result: dict[str, Any] | None = None
    baseline_confirmed: bool = False
    kind: Kind = "rerun"
    credits_used: float | None = None

    _argument = "rerun"
    _operator = "OllangRerunOperator or OllangHumanReviewOperator"

    @property
    def rerun(self) -> Rerun:
        """The rerun or review, for telling its result from the previous one."""
        made = Review if self.kind == "review" else Rerun
        return made(self.baseline, self.requested_at, self.seen_running, self.baseline_confirmed)

    @property
    def is_approved_unchanged(self) -> bool:
        """Whether a wait has found that people have approved the outputs, or some of them, as they were."""
        if self.kind != "review" or self.result is None or self.result.get("outputs_changed") is not False:
            return False
        return self.rerun.is_proof(self.result.get("evidence") or [])

    @classmethod
    def _own_fields(cls, value: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **super()._own_fields(value),
            "seen_running": bool(value["seen_running"]),
            "last_status": value["last_status"],
            "baseline": Baseline.from_json(value["baseline"]),
            "result": value["result"],
            # Receipts of earlier versions do not say.
            "baseline_confirmed": value.get("baseline_confirmed") is True,
            "kind": _kind(value.get("kind", "rerun")),
            "credits_used": value.get("credits_used"),
        }


@dataclass(frozen=True)
class EvaluationReceipt(OrderReceipt):
    """
    One accepted evaluation.

    :param evaluation_id: its id, as the API answered it; the order may show another one.
    :param credits_used: what it cost.
    :param before: the order's evaluation just before the request, ``{"id", "created_at"}``; ``None`` if it had none.
    :param attached: whether the task attached to the one that was being made: then ``evaluation_id`` and
        ``requested_at`` are what the order says of it, and ``before`` is ``None``.
    """

    evaluation_id: str | None
    credits_used: float | None
    before: dict[str, str | None] | None
    attached: bool = False

    _argument = "evaluation"
    _operator = "OllangEvaluateOrderOperator"

    @property
    def goal(self) -> EvaluationGoal:
        """Which evaluation is the one that was requested."""
        return EvaluationGoal("wait", self.before, self.evaluation_id, since=self.requested_at)

    @property
    def key(self) -> dict[str, str | None]:
        """The ``key`` of the evaluation, if the task attached to it."""
        return {"id": self.evaluation_id, "created_at": self.requested_at}

    @classmethod
    def _own_fields(cls, value: Mapping[str, Any]) -> dict[str, Any]:
        before = value["before"]
        if before is not None and not {"id", "created_at"} <= before.keys():
            raise TypeError("no evaluation")
        return {
            **super()._own_fields(value),
            "evaluation_id": value["evaluation_id"],
            "credits_used": value["credits_used"],
            "before": None if before is None else dict(before),
            # Receipts of earlier versions do not say.
            "attached": value.get("attached") is True,
        }


def agreed_order_id(order_id: Any, *receipts: OrderReceipt | None) -> str:
    """
    Return the order that a task is about.

    :param order_id: what the task was given; ``None`` leaves it to its receipts.
    :raises OllangConfigurationError: they are about several orders, or none is named.
    """
    receipt_ids = [receipt.order_id for receipt in receipts if receipt is not None]
    agreed_id = receipt_ids[0] if order_id is None and receipt_ids else parse_order_id(order_id)
    for receipt_id in receipt_ids:
        if not is_same_id(receipt_id, agreed_id):
            raise OllangConfigurationError(
                f"This task is given order {agreed_id} and the receipt of order {receipt_id}; give only one of them.",
                order_id=agreed_id,
            )
    return agreed_id


class Service(Protocol):
    """What a connection leads to."""

    @property
    def conn_id(self) -> str:
        """The Airflow connection."""

    @property
    def base_url(self) -> str:
        """Base URL of its Ollang API."""


def check_host(settings: Service, *receipts: OrderReceipt | None) -> None:
    """Refuse receipts of another API than the one that a connection leads to."""
    for receipt in receipts:
        if receipt is not None and receipt.host != settings.base_url:
            raise OllangConfigurationError(
                f"The receipt is of {receipt.host}, but connection {settings.conn_id!r} is of {settings.base_url}; use "
                "the connection of the task that made the receipt.",
                order_id=receipt.order_id,
            )


def _required_text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("no text")
    return value


def _kind(value: Any) -> Kind:
    if value not in get_args(Kind):
        raise TypeError("no kind of receipt")
    kind: Kind = value
    return kind


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f"the text {value[:60]!r} (pass `rerun.output` instead of a template)"
    return "None" if value is None else f"a {type(value).__name__}"


def evaluation_goal(
    rerun: Receipt | None, evaluation: EvaluationReceipt | None, on_missing: OnMissing
) -> EvaluationGoal:
    """
    Tell which evaluation counts.

    With both receipts the evaluation must be of the result of the rerun, or review. Times of one clock are compared:
    responses date requests, and the order dates what it shows.

    ================= ========================================================================================
    the evaluation    is of the rerun's result if
    ================= ========================================================================================
    was requested     its request is no earlier than the rerun's
    was attached to   it is later than the one that the rerun's baseline shows (:func:`.is_later`)
    ================= ========================================================================================

    :raises OllangConfigurationError: none can, so the wait could only time out.
    """
    goal = EvaluationGoal(on_missing=on_missing)
    if evaluation is not None:
        goal = evaluation.goal
    elif rerun is not None:
        goal = replace(goal, before=rerun.baseline.evaluation)
    if rerun is None:
        return goal
    if evaluation is not None and evaluation.attached:
        if is_later(evaluation.key, rerun.baseline.evaluation):
            return goal
        raise _of_the_old_result(rerun, evaluation)
    rerun_at = parse_time(rerun.requested_at)
    evaluation_at = parse_time(evaluation.requested_at) if evaluation is not None else None
    if evaluation is None or (rerun_at and evaluation_at is None):
        # Without a time, the id of an evaluation does not tell whether it was requested before the rerun.
        return replace(goal, evaluation_id=None, since=rerun.requested_at)
    if rerun_at and evaluation_at and evaluation_at < rerun_at - DATE_RESOLUTION:
        raise _of_the_old_result(rerun, evaluation)
    return goal


def _of_the_old_result(rerun: Receipt, evaluation: EvaluationReceipt) -> OllangConfigurationError:
    noun = rerun.rerun.noun
    return OllangConfigurationError(
        f"The evaluation of order {rerun.order_id} was requested at {evaluation.requested_at}, before its {noun} at "
        f"{rerun.requested_at}, so its scores are not of the {noun}'s result. Put OllangEvaluateOrderOperator "
        f"downstream of the {noun}, and clear it to have the new result evaluated.",
        order_id=rerun.order_id,
    )
