"""``submit_once`` where a request was processed in part, and where the account may not be able to pay for it."""

from __future__ import annotations

import pytest

from airflow_provider_ollang.exceptions import OllangInsufficientCreditsError, OllangOutcomeUnknownError
from tests.unit.runtime.submissions import CLEARED, REST_SINCE, RETRY, SINCE, Creation, Harness, lost


def partly_processed(*outcomes: BaseException | str) -> Creation:
    request = Creation(*outcomes)
    request.shows_part = True
    return request


def test_rest_of_a_request_is_sent_once(task: Harness) -> None:
    request = partly_processed(lost())
    submission = task.submit(request)
    first, rest = request.receipts_sent
    assert (first.requested_at, rest.requested_at) == (SINCE, REST_SINCE)
    # Ollang has answered nothing to the rest yet.
    assert rest.message is None
    assert (submission.receipt.message, task.state) == ("created", "accepted")


def test_unknown_outcome_of_the_rest_asks_a_person(task: Harness) -> None:
    request = partly_processed(lost(), lost())
    with pytest.raises(OllangOutcomeUnknownError):
        task.submit(request)
    assert (request.sent, task.state) == (2, "unknown")
    retried = partly_processed()
    with pytest.raises(OllangOutcomeUnknownError):
        task.submit(retried, RETRY)
    assert retried.sent == 0


def test_cleared_unknown_outcome_sends_the_rest_only(task: Harness) -> None:
    with pytest.raises(OllangOutcomeUnknownError):
        task.submit(Creation(lost()))
    request = partly_processed()
    task.submit(request, CLEARED)
    assert [receipt.requested_at for receipt in request.receipts_sent] == [REST_SINCE]


def test_too_few_credits_send_nothing(task: Harness) -> None:
    request = Creation()
    with pytest.raises(OllangInsufficientCreditsError, match="has 100 credits left, and min_credits is 101"):
        task.submit(request, min_credits=101)
    assert (request.sent, task.state) == (0, "refused")
    assert task.submit(request, RETRY, min_credits=100).receipt.message == "created"


def test_credits_do_not_matter_to_what_is_reconnected_to(task: Harness) -> None:
    task.submit(Creation())
    task.credits = 0.0
    assert task.submit(Creation(), RETRY, min_credits=1).receipt.reconnected
    running = Creation()
    running.shows_effect = True
    task.store.clear()
    assert task.submit(running, CLEARED, min_credits=1).receipt.reconnected
