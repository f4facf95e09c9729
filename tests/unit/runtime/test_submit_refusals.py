"""What a refused request leaves on record, and what its refusal proves."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from airflow_provider_ollang.exceptions import (
    OllangError,
    OllangOrderNotEligibleError,
    OllangOutcomeUnknownError,
    OllangRateLimitError,
    OllangRequestRefusedError,
    OllangUnavailableError,
)
from tests.unit.runtime.submissions import (
    CLEARED,
    RETRY,
    Creation,
    Harness,
    accepted_other,
    lost,
    not_eligible,
    raising,
)


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
