"""The receipt of a rerun: what :class:`OllangRerunOperator` hands on, and what a wait needs to know its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from airflow_provider_ollang.exceptions import OllangConfigurationError
from airflow_provider_ollang.orders import Baseline, Rerun


@dataclass(frozen=True)
class Receipt:
    """
    One accepted rerun, as an XCom.

    :param order_id: the order.
    :param host: base URL of the Ollang API that accepted it.
    :param message: what the API said.
    :param requested_at: the server's time of acceptance, ISO 8601; while that is unknown, its time just before the
        request; ``None`` if it says no times.
    :param joined: whether this try of the task found the rerun already under way instead of starting it.
    :param seen_running: whether the order has been seen at work since.
    :param last_status: the last status seen.
    :param baseline: the order just before the rerun.
    :param result: the facts of the finished order, if its end was waited for.
    """

    order_id: str
    host: str
    message: str | None
    requested_at: str | None
    joined: bool
    seen_running: bool
    last_status: str | None
    baseline: Baseline
    result: dict[str, Any] | None = None

    @property
    def rerun(self) -> Rerun:
        """The rerun, for telling its result from the previous one."""
        return Rerun(self.baseline, self.requested_at, self.seen_running)

    def as_joined(self) -> Self:
        """Return the receipt of a task that takes the request over from an earlier try."""
        return replace(self, joined=True)

    def to_json(self) -> dict[str, Any]:
        """Return the receipt as a plain dict."""
        return {**asdict(self), "baseline": self.baseline.to_json()}

    @classmethod
    def from_value(cls, value: object) -> Receipt:
        """
        Read what :meth:`to_json` returned, wherever it has been since.

        :raises OllangConfigurationError: it is no receipt.
        """
        if not isinstance(value, Mapping):
            raise OllangConfigurationError(
                f"rerun must be the receipt that OllangRerunOperator returns, not {_shown(value)}. If the rerun task "
                "was marked as success by hand, there is none, and its result cannot be told from the previous one: "
                "clear that task, or wait without rerun=."
            )
        try:
            return cls(
                order_id=_required_text(value["order_id"]),
                host=_required_text(value["host"]),
                message=value["message"],
                requested_at=value["requested_at"],
                joined=bool(value["joined"]),
                seen_running=bool(value["seen_running"]),
                last_status=value["last_status"],
                baseline=Baseline.from_json(value["baseline"]),
                result=value["result"],
            )
        except (KeyError, TypeError, AttributeError):
            raise OllangConfigurationError(
                "rerun must be the receipt that OllangRerunOperator returns, whole and unchanged; the mapping given is "
                f"none: it has the keys {sorted(map(str, value))}."
            ) from None


def _required_text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("no text")
    return value


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f"the text {value[:60]!r} (hand on `rerun.output` instead of a template)"
    return "None" if value is None else f"a {type(value).__name__}"
