"""``submit_once`` without Airflow, for a request that has no order yet."""
# ruff: noqa: ARG002, ARG003 - protocols name arguments that these parts do without

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Literal, TypeVar, cast

import pytest

from airflow_provider_ollang import _clock
from airflow_provider_ollang.client.sync import InterruptedBeforeSending, OllangClient
from airflow_provider_ollang.domain.receipts import PaidReceipt
from airflow_provider_ollang.domain.submission import Tries
from airflow_provider_ollang.exceptions import (
    OllangError,
    OllangOrderNotEligibleError,
    OllangOutcomeUnknownError,
    OllangRateLimitError,
    OllangRequestRefusedError,
    OllangUnavailableError,
)
from airflow_provider_ollang.runtime.cancellation import CancellationToken, TaskCancelledError
from airflow_provider_ollang.runtime.paid_request import Effect, SubmissionPolicy
from airflow_provider_ollang.runtime.submit import Submission, submit_once
from airflow_provider_ollang.runtime.task_state import TaskState

HOST = "https://api-integration.ollang.com"
FIRST_TRY = Tries(try_number=1, max_tries=2, retries=2, clear_number=0)
RETRY = dataclasses.replace(FIRST_TRY, try_number=2)
CLEARED = Tries(try_number=2, max_tries=3, retries=2, clear_number=1)
T = TypeVar("T")


class CreationReceipt(PaidReceipt):
    """The receipt of an order that is being created."""

    _argument, _operator = "created", "CreateOperator"

    @classmethod
    def _own_fields(cls, value: Mapping[str, Any]) -> dict[str, Any]:
        return {}


class Creation:
    """A request that creates an order, so that its record can name none."""

    noun = "creation"
    label = "project 7"
    subject = "sha256:0f"
    order_id: str | None = None
    refused_while_running = False
    receipt_class = CreationReceipt

    def __init__(self, *outcomes: BaseException | str) -> None:
        self.outcomes = list(outcomes)
        self.sent = 0
        self.shows_effect = False
        self.while_sending: Callable[[], None] = lambda: None

    def precheck(self, client: OllangClient, *, on_running: Literal["fail", "attach", "reconnect"]) -> CreationReceipt:
        attached = self.shows_effect and on_running != "fail"
        return CreationReceipt("none", HOST, None, "2026-01-01T00:00:00+00:00", reconnected=attached)

    def send(self, client: OllangClient, receipt: CreationReceipt) -> CreationReceipt:
        self.while_sending()
        self.sent += 1
        outcome = self.outcomes.pop(0) if self.outcomes else "created"
        if isinstance(outcome, BaseException):
            raise outcome
        return dataclasses.replace(receipt, message=outcome)

    def find_effect(
        self, client: OllangClient, receipt: CreationReceipt, *, max_attempts: int | None = None
    ) -> Effect[CreationReceipt]:
        return Effect(receipt if self.shows_effect else None, "no new order in project 7")

    def find_running(self, client: OllangClient, receipt: CreationReceipt) -> CreationReceipt | None:
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
        self.receipts: list[CreationReceipt] = []
        self.waits: list[Any] = []

    def submit(self, request: Creation, tries: Tries = FIRST_TRY, **policy: Any) -> Submission[CreationReceipt]:
        def retry(attempt: Callable[[], T]) -> T:
            try:
                return attempt()
            except OllangRateLimitError:
                self.waits.append(self.state)
                return attempt()

        client = SimpleNamespace(settings=SimpleNamespace(base_url=HOST), retry=retry)
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


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Harness:
    now = [0.0]
    monkeypatch.setattr(_clock, "now", lambda: now[0])
    monkeypatch.setattr(_clock, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return Harness()


def lost() -> OllangOutcomeUnknownError:
    return OllangOutcomeUnknownError(reason="the connection broke")


def test_intent_is_stored_before_the_request_is_sent(task: Harness) -> None:
    request = Creation()
    states: list[Any] = []
    request.while_sending = lambda: states.append(dict(task.store["created"]))
    submission = task.submit(request)
    assert [(each["state"], each["subject"], each["host"]) for each in states] == [("sending", "sha256:0f", HOST)]
    assert (submission.receipt.message, submission.is_finished, task.state) == ("created", False, "accepted")
    assert task.receipts == [submission.receipt]


def test_retry_reconnects_and_sends_nothing(task: Harness) -> None:
    task.submit(Creation())
    request = Creation()
    submission = task.submit(request, RETRY)
    assert (request.sent, submission.receipt.reconnected, submission.receipt.message) == (0, True, "created")


def test_retry_of_finished_task_returns_its_result(task: Harness) -> None:
    submission = task.submit(Creation())
    submission.record.note("finished", submission.receipt)
    request = Creation()
    again = task.submit(request, RETRY)
    assert (again.is_finished, again.receipt, request.sent) == (True, submission.receipt, 0)


@pytest.mark.parametrize("shown", [True, False])
def test_cleared_finished_task_submits_unless_one_is_at_work(task: Harness, shown: bool) -> None:
    submission = task.submit(Creation())
    submission.record.note("finished", submission.receipt)
    request = Creation()
    request.shows_effect = shown
    assert task.submit(request, CLEARED).receipt.reconnected is shown
    assert request.sent == (0 if shown else 1)


def test_rate_limit_takes_the_record_back_while_it_waits(task: Harness) -> None:
    request = Creation(OllangRateLimitError("slow down"))
    assert task.submit(request).receipt.message == "created"
    assert (request.sent, task.waits, task.state) == (2, ["refused"], "accepted")


def test_unknown_outcome_is_reconciled(task: Harness) -> None:
    request = Creation(lost())
    request.shows_effect = True
    submission = task.submit(request)
    assert (request.sent, submission.receipt.reconnected, task.state) == (1, True, "accepted")


def test_unknown_outcome_that_nothing_shows_asks_a_person(task: Harness) -> None:
    request = Creation(lost())
    with pytest.raises(OllangOutcomeUnknownError) as caught:
        task.submit(request)
    words = str(caught.value)
    assert words.startswith("The outcome of the creation request for project 7 is unknown: the connection broke.")
    assert words.endswith("Look at the project in Ollang.")
    assert (_clock.now(), request.sent, task.state) == (300, 1, "unknown")
    assert [receipt.message for receipt in task.receipts] == [None]


def test_unknown_outcome_is_resubmitted_once_if_allowed(task: Harness) -> None:
    request = Creation(lost(), lost())
    with pytest.raises(OllangOutcomeUnknownError):
        task.submit(request, on_unknown_outcome="resubmit")
    assert (request.sent, task.store["created"]["resubmitted"]) == (2, True)


@pytest.mark.parametrize("error", [OllangRequestRefusedError("no"), OllangOrderNotEligibleError("no")])
def test_refusal_is_on_record(task: Harness, error: Exception) -> None:
    with pytest.raises(type(error)):
        task.submit(Creation(error))
    assert task.state == "refused"


def test_interruption_while_connecting_takes_the_record_back(task: Harness) -> None:
    marker = InterruptedBeforeSending()
    marker.__cause__ = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        task.submit(Creation(marker))
    assert task.state == "refused"


def test_interruption_awaiting_the_response_leaves_the_intent(task: Harness) -> None:
    error = lost()
    error.__cause__ = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        task.submit(Creation(error))
    assert task.state == "sending"


@pytest.mark.parametrize("when", ["before", "in the precheck"])
def test_killed_task_sends_nothing(task: Harness, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    request = Creation()
    precheck = request.precheck

    def precheck_and_cancel(*arguments: Any, **options: Any) -> CreationReceipt:
        task.token.cancel()
        return precheck(*arguments, **options)

    if when == "before":
        task.token.cancel()
    else:
        monkeypatch.setattr(request, "precheck", precheck_and_cancel)
    with pytest.raises(TaskCancelledError):
        task.submit(request)
    assert (request.sent, task.state) == (0, None)


def test_record_of_another_fingerprint_is_ignored(task: Harness, caplog: pytest.LogCaptureFixture) -> None:
    task.submit(Creation())
    other = Creation()
    other.subject = "sha256:aa"
    with caplog.at_level(logging.WARNING):
        task.submit(other, RETRY)
    assert other.sent == 1
    assert "The stored submission is about sha256:0f" in caplog.text


# --- Refusals ---------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("when", ["precheck", "send"])
@pytest.mark.parametrize("error", [not_eligible(), OllangRequestRefusedError("no"), OllangRateLimitError("slow down")])
def test_failed_request_keeps_the_record_of_another_subject(
    task: Harness, monkeypatch: pytest.MonkeyPatch, error: OllangError, when: str
) -> None:
    task.submit(accepted_other())
    stored = dict(task.store["created"])
    request = Creation(error, error)

    if when == "precheck":
        monkeypatch.setattr(request, "precheck", raising(error))
    with pytest.raises(type(error)):
        task.submit(request, RETRY)
    assert task.store["created"] == stored
    # The order's id is put right, and the task cleared.
    again = accepted_other()
    assert task.submit(again, dataclasses.replace(CLEARED, try_number=3)).receipt.reconnected is True
    assert again.sent == 0


@pytest.mark.parametrize("state", ["finished", "failed", "accepted"])
def test_failed_request_keeps_every_record_of_another_subject(task: Harness, state: Any) -> None:
    submission = task.submit(accepted_other())
    submission.record.note(state, submission.receipt)
    error = OllangRateLimitError("slow down")
    with pytest.raises(OllangRateLimitError):
        task.submit(Creation(error, error), RETRY)
    assert task.state == state


def test_refusal_after_a_cleared_unknown_outcome_proves_nothing(task: Harness) -> None:
    with pytest.raises(OllangOutcomeUnknownError):
        task.submit(Creation(lost()))
    request = Creation(not_eligible())
    request.refused_while_running = True
    with pytest.raises(OllangOrderNotEligibleError):
        task.submit(request, CLEARED)
    assert task.state == "unknown"


def test_retry_after_failed_precheck_attaches_to_no_other_run(task: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    request = Creation()
    with monkeypatch.context() as patch:
        patch.setattr(request, "precheck", raising(OllangUnavailableError("HTTP 503")))
        with pytest.raises(OllangUnavailableError):
            task.submit(request)
    # Meanwhile another task of the run was cleared, and another client's creation is at work.
    request.shows_effect = True
    submission = task.submit(request, dataclasses.replace(RETRY, clear_number=1))
    assert (submission.receipt.reconnected, request.sent) == (False, 1)


def test_refusal_after_lost_record_proves_the_earlier_request(task: Harness) -> None:
    request = Creation(not_eligible())
    request.refused_while_running = True
    submission = task.submit(request, CLEARED)
    assert (submission.receipt.reconnected, request.sent, task.state) == (True, 1, "accepted")


def test_refusal_of_a_resubmission_proves_the_earlier_request(task: Harness) -> None:
    request = Creation(lost(), not_eligible())
    request.refused_while_running = True
    submission = task.submit(request, on_unknown_outcome="resubmit")
    assert (submission.receipt.reconnected, request.sent, task.state) == (True, 2, "accepted")


@pytest.mark.parametrize("error", [OllangRequestRefusedError("no credits"), OllangRateLimitError("slow down")])
def test_other_refusal_after_lost_record_proves_nothing(task: Harness, error: OllangError) -> None:
    request = Creation(error, error)
    request.refused_while_running = True
    with pytest.raises(type(error)):
        task.submit(request, CLEARED)
    # The next try, or clear, polls first again.
    assert task.state is None


def test_rate_limit_after_unknown_outcome_keeps_the_record(task: Harness) -> None:
    with pytest.raises(OllangOutcomeUnknownError):
        task.submit(Creation(lost()))
    limit = OllangRateLimitError("slow down")
    with pytest.raises(OllangRateLimitError):
        task.submit(Creation(limit, limit), CLEARED)
    assert task.state == "unknown"


# --- Reconciling in later tries ---------------------------------------------------------------------------------------


def cancel_at(task: Harness, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Kill the task in the first sleep that begins so late."""
    sleep, begun = _clock.sleep, _clock.now()

    def sleep_or_die(pause: float) -> None:
        if _clock.now() - begun >= seconds:
            raise KeyboardInterrupt
        sleep(pause)

    monkeypatch.setattr(_clock, "sleep", sleep_or_die)


@pytest.mark.parametrize(("timeout", "polled"), [(300, 30), (60, 30), (10, 10)])
def test_each_try_reconciles_for_the_dense_polls_at_least(
    task: Harness, monkeypatch: pytest.MonkeyPatch, timeout: float, polled: float
) -> None:
    with monkeypatch.context() as patch:
        cancel_at(task, patch, 3)
        with pytest.raises(KeyboardInterrupt):
            task.submit(Creation(lost()), reconcile_timeout=timeout)
    _clock.sleep(400)
    resumed_at = _clock.now()
    with pytest.raises(OllangOutcomeUnknownError, match=rf"Within {polled} s Ollang has not shown it"):
        task.submit(Creation(), RETRY, reconcile_timeout=timeout)
    assert _clock.now() - resumed_at == polled


def test_retry_with_a_clock_behind_reconciles_one_timeout(task: Harness) -> None:
    first = Creation(lost())
    with pytest.raises(OllangOutcomeUnknownError):
        task.submit(first)
    task.store["created"]["unknown_since"] = _clock.now() + 7200
    resumed_at = _clock.now()
    with pytest.raises(OllangOutcomeUnknownError):
        task.submit(Creation(), RETRY)
    assert _clock.now() - resumed_at == 300


def test_retry_killed_reconciling_leaves_the_outcome_unknown(task: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OllangOutcomeUnknownError):
        task.submit(Creation(lost()))
    with monkeypatch.context() as patch:
        cancel_at(task, patch, 0)
        with pytest.raises(KeyboardInterrupt):
            task.submit(Creation(), RETRY)
    assert task.state == "unknown"
    # A person was asked, and clears the task: it never ran.
    request = Creation()
    task.submit(request, dataclasses.replace(CLEARED, try_number=3))
    assert request.sent == 1
