"""``submit_once`` without Airflow, for a request that has no order yet."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import pytest

from airflow_provider_ollang import _clock
from airflow_provider_ollang.client.sync import InterruptedBeforeSending
from airflow_provider_ollang.exceptions import (
    OllangOrderNotEligibleError,
    OllangOutcomeUnknownError,
    OllangRateLimitError,
    OllangRequestRefusedError,
)
from airflow_provider_ollang.runtime.cancellation import TaskCancelledError
from tests.unit.runtime.submissions import (
    CLEARED,
    HOST,
    RETRY,
    Creation,
    FakeReceipt,
    Harness,
    lost,
)


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

    def precheck_and_cancel(*arguments: Any, **options: Any) -> FakeReceipt:
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
