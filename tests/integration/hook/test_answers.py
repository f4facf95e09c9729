"""What `get_order` and `rerun_order` make of the sandbox's responses; unit/client has a row for each of them."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangOrderNotEligibleError,
    OllangOrderNotFoundError,
    OllangOutcomeUnknownError,
    OllangRequestRefusedError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox

from .conftest import LINK_SIGNATURE, ORDER, UNKNOWN, Clock, Connect, sent
from .wire import REQUESTS, failing, send_each


@pytest.mark.parametrize("what", REQUESTS)
def test_documented_refusal_has_all_its_fields(ollang: Sandbox, hook: OllangHook, clock: Clock, what: str) -> None:
    error = failing(hook, what, UNKNOWN)
    assert type(error) is OllangOrderNotFoundError
    method, path = ("POST", "/rerun") if what == "rerun" else ("GET", "")
    path = f"/integration/orders/{UNKNOWN}{path}"
    assert (error.status_code, error.order_id, error.method, error.path) == (404, UNKNOWN, method, path)
    assert error.code == "ORDER_NOT_FOUND"
    assert error.detail == "Order not found: No order found with the provided orderId"
    for part in (f"{what.rsplit(maxsplit=1)[-1]} order {UNKNOWN}", f"404: {error.detail}", repr(hook.ollang_conn_id)):
        assert part in str(error)
    assert sent(ollang) == [(method, path, 404)]
    assert clock.sleeps == []


def test_order_is_returned_as_received(ollang: Sandbox, hook: OllangHook) -> None:
    order = hook.get_order(ORDER)
    assert order == ollang.order(ORDER)["order"]
    assert hook.get_order(order) == hook.get_order({"order_id": ORDER}) == order
    assert sent(ollang) == [("GET", f"/integration/orders/{ORDER}", 200)] * 3
    assert ollang.request_log[0].authorized


def test_rerun_refused_by_success_false_is_not_accepted(ollang: Sandbox, hook: OllangHook) -> None:
    order_id = ollang.add_order(behaviour={"rerun_success": False})
    error = failing(hook, "rerun", order_id)
    assert type(error) is OllangRequestRefusedError
    assert error.detail == "Order rerun could not be initiated"
    assert ollang.order(order_id)["reruns_accepted"] == 0


@pytest.mark.parametrize("policy", ["400", "409"])
def test_second_rerun_is_refused_as_not_eligible(ollang: Sandbox, hook: OllangHook, policy: str) -> None:
    order_id = ollang.add_order(behaviour={"rerun_while_running": policy})
    hook.rerun_order(order_id)
    error = failing(hook, "rerun", order_id)
    assert type(error) is OllangOrderNotEligibleError
    assert error.status_code == int(policy)
    assert ollang.order(order_id)["reruns_accepted"] == 1


def test_another_order_in_the_response_is_an_error(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    link = f"https://files.example/a?Signature={LINK_SIGNATURE}"
    order_id = ollang.add_order(vttUrl=link, name=link, behaviour={"answered_id": UNKNOWN})
    for what in REQUESTS:
        error = failing(hook, what, order_id)
        assert type(error) is (OllangOutcomeUnknownError if what == "rerun" else OllangUnavailableError)
        assert "another order" in str(error)
    assert (len(ollang.request_log), clock.sleeps) == (3, [])


@pytest.mark.parametrize(
    "options",
    [
        {"missing_fields": ("id", "orderDocs", "name")},
        {"null_fields": ("id", "orderDocs", "level", "vttUrl", "deliveryEvents")},
        {"null_fields": ("orderDocs.id", "orderDocs.url")},
        {"delivery_events": "absent", "sign_links": True},
    ],
)
def test_order_without_other_fields_is_an_order(ollang: Sandbox, hook: OllangHook, options: dict[str, Any]) -> None:
    order_id = ollang.add_order(behaviour=options)
    assert hook.get_order(order_id)["status"] == "completed"
    assert len(ollang.request_log) == 1


@pytest.mark.parametrize("order_id", ["../orders", "a;b&d+e@f:g", "x" * 3000], ids=lambda value: value[:20])
def test_odd_order_id_reaches_its_order(ollang: Sandbox, hook: OllangHook, order_id: str) -> None:
    ollang.add_order(id=order_id)
    send_each(hook, order_id)
    assert [entry.status for entry in ollang.request_log] == [200] * 3
    assert ollang.order(order_id)["reruns_accepted"] == 1


@pytest.mark.parametrize("order_id", [None, "..", "a\nb", [ORDER]], ids=ascii)
def test_bad_order_id_sends_nothing(ollang: Sandbox, hook: OllangHook, order_id: object) -> None:
    for what in REQUESTS:
        assert type(failing(hook, what, order_id)) is OllangConfigurationError
    assert ollang.request_log == []


def test_wrong_base_path_names_the_base_url(ollang: Sandbox, connect: Connect) -> None:
    hook = connect(f"{ollang.url}/gateway/integration")
    for what in REQUESTS:
        error = failing(hook, what)
        assert type(error) is OllangConfigurationError
        assert error.status_code == 404
        assert f"{ollang.url}/gateway" in str(error)
        assert "base URL" in str(error)
    assert {entry.path.split("/orders")[0] for entry in ollang.request_log} == {"/gateway/integration"}
