"""One task, and a request that creates an order, for tests of ``submit_once`` without Airflow."""
# ruff: noqa: ARG002, ARG003 - protocols name arguments that these parts do without

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from airflow_provider_ollang.client.sync import OllangClient
from airflow_provider_ollang.domain.receipts import PaidReceipt
from airflow_provider_ollang.domain.submission import Tries
from airflow_provider_ollang.exceptions import (
    OllangOrderNotEligibleError,
    OllangOutcomeUnknownError,
    OllangRateLimitError,
)
from airflow_provider_ollang.runtime.cancellation import CancellationToken
from airflow_provider_ollang.runtime.paid_request import Effect, OnRunningBefore, PaidRequest, SubmissionPolicy
from airflow_provider_ollang.runtime.submit import Submission, submit_once
from airflow_provider_ollang.runtime.task_state import TaskState

HOST = "https://api-integration.ollang.com"
FIRST_TRY = Tries(try_number=1, max_tries=2, retries=2, clear_number=0)
RETRY = dataclasses.replace(FIRST_TRY, try_number=2)
CLEARED = Tries(try_number=2, max_tries=3, retries=2, clear_number=1)
T = TypeVar("T")


class FakeReceipt(PaidReceipt):
    """The receipt of an order that is being created."""

    _operator = "CreateOperator"

    @classmethod
    def _own_fields(cls, value: Mapping[str, Any]) -> dict[str, Any]:
        return {}


#: Times of requests, which tell the rest of one from the whole of it.
SINCE = "2026-01-01T00:00:00+00:00"
REST_SINCE = "2026-01-01T00:00:05+00:00"


class Creation(PaidRequest[FakeReceipt]):
    """A request that creates an order, so that its record can name none."""

    noun = "creation"
    label = "project 7"
    subject = "sha256:0f"
    receipt_class = FakeReceipt

    def __init__(self, *outcomes: BaseException | str) -> None:
        self.outcomes = list(outcomes)
        self.sent = 0
        self.shows_effect = False
        self.shows_part = False
        self.receipts_sent: list[FakeReceipt] = []
        self.while_sending: Callable[[], None] = lambda: None

    def precheck(self, client: OllangClient, *, on_running: OnRunningBefore) -> FakeReceipt:
        attached = self.shows_effect and on_running != "fail"
        return FakeReceipt(HOST, None, SINCE, reconnected=attached)

    def send(self, client: OllangClient, receipt: FakeReceipt) -> FakeReceipt:
        self.while_sending()
        self.sent += 1
        self.receipts_sent.append(receipt)
        outcome = self.outcomes.pop(0) if self.outcomes else "created"
        if isinstance(outcome, BaseException):
            raise outcome
        return dataclasses.replace(receipt, message=outcome)

    def find_effect(
        self, client: OllangClient, receipt: FakeReceipt, *, max_attempts: int | None = None
    ) -> Effect[FakeReceipt]:
        rest = (
            dataclasses.replace(receipt, message="created a part", requested_at=REST_SINCE) if self.shows_part else None
        )
        return Effect(receipt if self.shows_effect else None, "no new order in project 7", rest=rest)

    def find_running(self, client: OllangClient, receipt: FakeReceipt) -> FakeReceipt | None:
        return receipt if self.shows_effect else None

    def explain(self) -> str:
        return "Look at the project in Ollang."


class Store(dict[str, Any]):
    """A task state store in memory."""

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


class Harness:
    """One task: its store, its token, and what it has handed on."""

    def __init__(self) -> None:
        self.store = Store()
        self.token = CancellationToken()
        self.receipts: list[FakeReceipt] = []
        self.waits: list[Any] = []
        self.credits = 100.0

    def submit(self, request: Creation, tries: Tries = FIRST_TRY, **policy: Any) -> Submission[FakeReceipt]:
        def retry(attempt: Callable[[], T]) -> T:
            try:
                return attempt()
            except OllangRateLimitError:
                self.waits.append(self.state)
                return attempt()

        client = SimpleNamespace(
            settings=SimpleNamespace(base_url=HOST), retry=retry, get_remaining_credits=lambda: self.credits
        )
        context: Any = {"task_state_store": self.store}
        return submit_once(
            request,
            cast("OllangClient", client),
            state=TaskState(context, "created", retention=timedelta(days=30)),
            tries=tries,
            policy=SubmissionPolicy(**policy),
            token=self.token,
            log=logging.getLogger("test"),
            on_receipt=self.receipts.append,
        )

    @property
    def state(self) -> str | None:
        return self.store["created"]["state"] if "created" in self.store else None


def lost() -> OllangOutcomeUnknownError:
    return OllangOutcomeUnknownError(reason="the connection broke")


def not_eligible() -> OllangOrderNotEligibleError:
    return OllangOrderNotEligibleError("it is running")


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def accepted_other() -> Creation:
    other = Creation()
    other.subject = "sha256:aa"
    return other
