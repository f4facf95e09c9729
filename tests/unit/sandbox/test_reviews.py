"""Human review and its cancelling, the gate where an order waits for people, and the account's credits."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang.sandbox import Sandbox

from .client import EXAMPLE_ID, FOREIGN_ID, Client, accepted, begun, body_of, order_with, refused


def level_and_status(client: Client, order_id: str) -> tuple[int, str]:
    order = client.order(order_id)
    return order["level"], order["status"]


def counted(ollang: Sandbox, order_id: str) -> list[int]:
    report = ollang.order(order_id)
    return [report[f"reviews_{name}"] for name in ("accepted", "refused", "cancelled")]


def test_review_is_work_of_people_at_level_1(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(type="document")
    before = len(client.order(order_id)["deliveryEvents"])
    answer = client.review(order_id)
    assert (answer.status_code, answer.content) == (204, b"")
    seen = [level_and_status(client, order_id)]
    for seconds in (20, 6, 4):
        ollang.advance(seconds)
        seen.append(level_and_status(client, order_id))
    assert seen == [(1, "ongoing"), (1, "qualityCheck"), (1, "readyToSent"), (1, "completed")]
    ollang.advance(2)
    assert client.names(order_id) == ["Translation (run 2)"]
    events = [event["type"] for event in client.order(order_id)["deliveryEvents"][before:]]
    assert events == ["translator_delivered", "lsp_approved", "order_delivered"]
    assert (counted(ollang, order_id), ollang.counts()["reviews_accepted"]) == ([1, 0, 0], 1)


@pytest.mark.parametrize("status", ["pending", "ongoing", "readyToSent", "cancelled"])
def test_review_needs_an_order_that_is_done(ollang: Sandbox, client: Client, status: str) -> None:
    order_id = ollang.add_order(status=status)
    refused(client.review(order_id), 400, "ORDER_NOT_ELIGIBLE")
    assert counted(ollang, order_id) == [0, 1, 0]


def test_review_is_refused_during_a_run(client: Client) -> None:
    accepted(client.rerun())
    refused(client.review(), 400, "ORDER_NOT_ELIGIBLE")


@pytest.mark.parametrize("cancel", [False, True])
def test_order_of_the_checks(client: Client, cancel: bool) -> None:
    refused(client.review("nobody", cancel=cancel), 404, "ORDER_NOT_FOUND")
    refused(client.review(FOREIGN_ID, cancel=cancel), 403, "ACCESS_DENIED")
    client.session.headers["X-Api-Key"] = "wrong"
    refused(client.review(cancel=cancel), 401, "UNAUTHORIZED")


def test_cancelled_review_brings_no_new_results(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order()
    before = client.names(order_id)
    client.review(order_id)
    ollang.advance(10)
    assert body_of(client.review(order_id, cancel=True)) == {
        "success": True,
        "message": "Human Review has been cancelled and credits have been refunded.",
        "orderId": order_id,
    }
    ollang.advance(100)
    assert (level_and_status(client, order_id), client.names(order_id)) == ((0, "completed"), before)
    assert counted(ollang, order_id) == [1, 0, 1]
    assert client.review(order_id).status_code == 204, "it can be requested again"


@pytest.mark.parametrize(("level", "status"), [(0, "ongoing"), (1, "completed"), (1, "qualityCheck"), (1, "review")])
def test_only_an_ongoing_review_is_cancelled(ollang: Sandbox, client: Client, level: int, status: str) -> None:
    order_id = ollang.add_order(level=level, status=status)
    refused(client.review(order_id, cancel=True), 400, "ORDER_NOT_ELIGIBLE")
    assert level_and_status(client, order_id) == (level, status)


def test_review_gate_is_described(ollang: Sandbox, client: Client) -> None:
    (order_id,) = client.created(level=1)
    path = f"/integration/orders/{order_id}/review/info"
    assert body_of(client.ask("GET", path)) == {"inReview": False}
    ollang.advance(12)
    entered = ollang.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    ollang.advance(1)
    assert body_of(client.ask("GET", path)) == {
        "inReview": True,
        "tag": "Reviewers",
        "reviewType": "assignment",
        "enteredReviewAt": entered,
        "reviewers": ["Robin Reviewer"],
    }
    refused(client.ask("GET", path.replace(order_id, FOREIGN_ID)), 403, "ACCESS_DENIED")


# The options


@pytest.mark.parametrize(("policy", "status"), [("400", 400), ("accept", 204)])
def test_review_at_level_1(ollang: Sandbox, client: Client, policy: str, status: int) -> None:
    order_id = order_with(ollang, {"level": 1}, review_at_level_1=policy)
    assert client.review(order_id).status_code == status


@pytest.mark.parametrize("status", [400, 402, 403])
def test_review_no_credits(ollang: Sandbox, client: Client, status: int) -> None:
    order_id = order_with(ollang, review_no_credits=status)
    refused(client.review(order_id), status, "INSUFFICIENT_CREDITS")
    assert (level_and_status(client, order_id), counted(ollang, order_id)) == ((0, "completed"), [0, 1, 0])


@pytest.mark.parametrize(("after", "levels"), [(0, [1, 1]), (10, [0, 1]), (None, [0, 0])])
def test_review_level_after(ollang: Sandbox, client: Client, after: float | None, levels: list[int]) -> None:
    order_id = order_with(ollang, review_level_after=after)
    client.review(order_id)
    seen = [client.order(order_id)["level"]]
    ollang.advance(32)
    assert [*seen, client.order(order_id)["level"]] == levels


def test_outputs__of_a_review(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, outputs="unchanged")
    client.review(order_id)
    ollang.advance(32)
    assert (level_and_status(client, order_id), client.names(order_id)) == (
        (1, "completed"),
        ["Translation (run 1)"],
    )


def test_review_info(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"status": "review"}, review_info=False)
    path = f"/integration/orders/{order_id}/review/info"
    answer = client.ask("GET", path)
    assert (answer.status_code, answer.json()["detail"]) == (404, f"Cannot GET {path}")


# Credits


def used(client: Client) -> int:
    return int(client.credits()["usedCredits"])


def test_credits_have_the_documented_fields(client: Client) -> None:
    assert client.credits() == {
        "totalCredits": 1_000_000,
        "remainingCredits": 1_000_000,
        "usedCredits": 0,
        "currency": "USD",
        "creditsPerUsd": 1000,
        "totalUsd": 1000,
        "remainingUsd": 1000,
        "usedUsd": 0,
        "lastSyncDate": None,
    }
    client.session.headers["X-Api-Key"] = "wrong"
    refused(client.ask("GET", "/integration/credits"), 401, "UNAUTHORIZED")


def test_paid_requests_use_credits_and_refunds_give_them_back(ollang: Sandbox, client: Client) -> None:
    spent: list[int] = []

    def spend(response: Any) -> None:
        assert response.status_code < 300, response.text
        spent.append(used(client) - sum(spent))

    spend(client.create("fr", "de"))
    spend(client.create(level=1))
    spend(client.create(autoQc=True))
    spend(client.rerun())
    ollang.advance(32)
    begun(client)
    spend(client.get())
    spend(client.review())
    spend(client.review(cancel=True))
    (order_id,) = client.created(level=1)
    spend(client.cancel(order_id))
    assert spent == [200, 250, 105, 100, 5, 150, -150, 0]
    assert ollang.order(EXAMPLE_ID)["credits_used"] == 105
    wallet = client.credits()
    assert (wallet["remainingCredits"], wallet["usedUsd"]) == (1_000_000 - sum(spent), sum(spent) / 1000)


def test_refused_requests_use_no_credits(ollang: Sandbox, client: Client) -> None:
    ollang.change_behaviour({"create_no_credits": 402})
    client.create()
    client.review(ollang.add_order(level=1))
    client.rerun(ollang.add_order(status="pending"))
    client.cancel(ollang.add_order(status="pending"))
    assert used(client) == 0


def test_total_credits(ollang: Sandbox, client: Client) -> None:
    ollang.change_behaviour({"total_credits": 150})
    client.created()
    assert [client.credits()[name] for name in ("totalCredits", "remainingCredits")] == [150, 50]


def test_billing_role(ollang: Sandbox, client: Client) -> None:
    ollang.change_behaviour({"billing_role": False})
    refused(client.ask("GET", "/integration/credits"), 403, "ACCESS_DENIED")


def test_credits_as_text(ollang: Sandbox, client: Client) -> None:
    ollang.change_behaviour({"credits_as_text": True})
    assert [client.credits()[name] for name in ("totalCredits", "currency")] == ["1000000", "USD"]
