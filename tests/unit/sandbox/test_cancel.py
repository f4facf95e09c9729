"""Cancelling an order: until when, what a GET shows then, and each option of that."""

from __future__ import annotations

import pytest

from airflow_provider_ollang.sandbox import Sandbox

from .client import FOREIGN_ID, Client, accepted, order_with, refused


def counted(ollang: Sandbox, order_id: str) -> tuple[int, int]:
    report = ollang.order(order_id)
    return report["cancels_accepted"], report["cancels_refused"]


def test_cancelled_order_brings_nothing(ollang: Sandbox, client: Client) -> None:
    (order_id,) = client.created()
    answer = client.cancel(order_id)
    assert (answer.status_code, answer.content, answer.headers.get("Content-Type")) == (204, b"", None)
    ollang.advance(1000)
    assert (client.status(order_id), client.names(order_id)) == ("cancelled", [])
    assert [row["status"] for row in client.listed("pageOptions[take]=1")] == ["cancelled"]
    assert (counted(ollang, order_id), ollang.counts()["cancels_accepted"]) == ((1, 0), 1)
    refused(client.rerun(order_id), 400, "ORDER_NOT_ELIGIBLE")


@pytest.mark.parametrize("status", ["completed", "delivered", "ongoing", "review", "failed"])
def test_late_order_is_not_cancelled(ollang: Sandbox, client: Client, status: str) -> None:
    order_id = ollang.add_order(status=status)
    refused(client.cancel(order_id), 400, "ORDER_NOT_ELIGIBLE")
    assert (client.status(order_id), counted(ollang, order_id)) == (status, (0, 1))


def test_order_of_the_checks(client: Client) -> None:
    refused(client.cancel("nobody"), 404, "ORDER_NOT_FOUND")
    refused(client.cancel(FOREIGN_ID), 403, "ACCESS_DENIED")
    client.session.headers["X-Api-Key"] = "wrong"
    refused(client.cancel("nobody"), 401, "UNAUTHORIZED")


def test_accepted_rerun_that_is_still_shown_as_done_is_not_cancelled(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order()
    accepted(client.rerun(order_id))
    assert client.cancel(order_id).status_code == 400
    ollang.advance(2)
    assert (client.status(order_id), client.cancel(order_id).status_code) == ("pending", 204)


# The options


@pytest.mark.parametrize(("seconds", "after", "status"), [(10, 10, 204), (10, 10.1, 400), (None, 29, 204), (0, 4, 204)])
def test_cancellable_for(ollang: Sandbox, client: Client, seconds: float | None, after: float, status: int) -> None:
    ollang.change_behaviour({"cancellable_for": seconds})
    (order_id,) = client.created()
    ollang.advance(after)
    assert client.cancel(order_id).status_code == status


@pytest.mark.parametrize("shown", ["failed", None])
def test_cancelled_status(ollang: Sandbox, client: Client, shown: str | None) -> None:
    order_id = order_with(ollang, {"status": "pending"}, cancelled_status=shown)
    assert client.cancel(order_id).status_code == 204
    if shown is None:
        refused(client.get(order_id), 404, "ORDER_NOT_FOUND")
        refused(client.rerun(order_id), 404, "ORDER_NOT_FOUND")
    else:
        assert client.status(order_id) == shown
    listed = [row["id"] for row in client.listed("pageOptions[take]=50")]
    assert (order_id in listed) is (shown is not None)
    refused(client.cancel(order_id), 409, "ORDER_ALREADY_CANCELLED")


@pytest.mark.parametrize("status", [204, 409])
def test_repeated_cancel(ollang: Sandbox, client: Client, status: int) -> None:
    order_id = order_with(ollang, {"status": "pending"}, repeated_cancel=status)
    assert [client.cancel(order_id).status_code for _ in range(2)] == [204, status]
    assert counted(ollang, order_id) == (1, int(status == 409))
    by_a_user = order_with(ollang, {"status": "cancelled"}, repeated_cancel=status)
    assert client.cancel(by_a_user).status_code == status
