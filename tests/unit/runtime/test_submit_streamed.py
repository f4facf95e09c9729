"""``submit_once`` with a long body, whose intent is written before its last byte, and with nothing to poll for."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang.client.sync import InterruptedBeforeSending, OllangClient
from airflow_provider_ollang.exceptions import OllangOutcomeUnknownError, OllangTransientError, OllangUnavailableError
from airflow_provider_ollang.runtime.paid_request import StreamedRequest
from tests.unit.runtime.submissions import (
    CLEARED,
    RETRY,
    Creation,
    FakeReceipt,
    Harness,
    lost,
    raising,
)


class Streamed(Creation, StreamedRequest):
    """A creation with a long body; an outcome of ``"broken"`` ends the process before the last byte."""

    def __init__(self, task: Harness, *outcomes: BaseException | str) -> None:
        super().__init__(*outcomes)
        self.task = task
        self.states: list[Any] = []

    def send(self, client: OllangClient, receipt: FakeReceipt) -> FakeReceipt:
        self.states.append(self.task.state)
        if self.outcomes == ["broken"]:
            raise KeyboardInterrupt
        try:
            self.before_last_byte()
        except Exception as error:
            raise InterruptedBeforeSending from error
        self.states.append(self.task.state)
        return super().send(client, receipt)


def test_intent_is_written_before_the_last_byte(task: Harness) -> None:
    request = Streamed(task)
    task.submit(request)
    assert (request.states, task.state) == ([None, "sending"], "accepted")


def test_try_that_dies_before_the_last_byte_leaves_no_record(task: Harness) -> None:
    with pytest.raises(KeyboardInterrupt):
        task.submit(Streamed(task, "broken"))
    assert task.store == {}
    request = Streamed(task)
    task.submit(request, RETRY)
    assert (request.sent, task.state) == (1, "accepted")


def test_death_of_a_resubmission_leaves_the_first_outcome_unknown(task: Harness) -> None:
    with pytest.raises(OllangOutcomeUnknownError):
        task.submit(Streamed(task, lost()))
    with pytest.raises(KeyboardInterrupt):
        task.submit(Streamed(task, "broken"), RETRY, on_unknown_outcome="resubmit")
    assert task.state == "unknown"
    with pytest.raises(OllangOutcomeUnknownError):
        task.submit(Streamed(task), RETRY)


def test_intent_that_cannot_be_written_keeps_the_last_byte_back(task: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    request = Streamed(task)
    monkeypatch.setattr(type(task.store), "set", raising(OllangUnavailableError("the store is away.")))
    with pytest.raises(OllangTransientError, match="could be submitted twice"):
        task.submit(request)
    assert request.sent == 0


def test_cleared_request_that_shows_nothing_is_submitted_at_once(
    task: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Streamed(task)
    request.shows_running = False
    slept: list[float] = []
    monkeypatch.setattr(task.token, "sleep", slept.append)
    task.submit(request, CLEARED)
    assert (slept, request.sent, task.state) == ([], 1, "accepted")
