"""The hook, as :func:`.submit_once` uses it: each paid request is sent exactly once, and repeated by nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_ollang.client.requests import Call
from airflow_provider_ollang.client.responses import read_paid

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_provider_ollang.client.settings import Settings
    from airflow_provider_ollang.domain.orders import Order
    from airflow_provider_ollang.hooks.ollang import OllangHook

T = TypeVar("T")
#: Says to the hook's retries what may be repeated: only what surely was not processed.
_PAID = Call("POST", "", "", paid=True)


@dataclass(frozen=True)
class Accepted:
    """
    The response to an accepted request.

    :param value: its JSON object.
    :param message: what Ollang said, redacted.
    :param requested_at: a time by the server's clock just before the request arrived, ISO 8601.
    """

    value: dict[str, Any]
    message: str | None
    requested_at: str | None


class PaidClient:
    """
    Sends free requests with retries, and paid ones once.

    :param hook: the hook whose connection is used.
    """

    def __init__(self, hook: OllangHook) -> None:
        self._hook = hook

    @property
    def settings(self) -> Settings:
        """What the connection says."""
        return self._hook.settings

    def get_order(self, order_id: str, *, max_attempts: int | None = None) -> Order:
        """Get an order, as :meth:`.OllangHook.get_order`."""
        return self._hook.get_order(order_id, max_attempts=max_attempts)

    def get_dated_order(self, order_id: str) -> tuple[Order, datetime | None]:
        """Get an order, and the server's time when it answered."""
        return self._hook.get_dated_order(order_id)

    def submit(self, request: Call) -> Accepted:
        """
        Send a paid request once.

        :param request: what to send.
        :raises OllangOutcomeUnknownError: it may or may not have been processed.
        :raises InterruptedBeforeSending: the task was interrupted while it connected; nothing was sent.
        :raises OllangError: it surely was not processed.
        """
        response = self._hook._send(request)
        value = read_paid(self.settings, request, response)
        message = value.get("message")
        return Accepted(
            value,
            message=self.settings.clean(message) if isinstance(message, str) else None,
            requested_at=response.requested_at.isoformat() if response.requested_at else None,
        )

    def retry(self, attempt: Callable[[], T]) -> T:
        """
        Make attempts at a paid request: the next one only after an error that says that nothing was processed.

        :param attempt: makes one attempt.
        """
        return self._hook._with_retries(_PAID, attempt)
