"""Every answer that the API documents, and the others on record, to `get_order` and `rerun_order`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangAuthenticationError,
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangOrderNotEligibleError,
    OllangOrderNotFoundError,
    OllangOutcomeUnknownError,
    OllangRequestRefusedError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox

from .conftest import FOREIGN, KEY, LINK_SIGNATURE, ORDER, RUNNING, UNKNOWN, Clock, Connect, sent
from .servers import just_before

SHOWN = {
    401: ("Unauthorized", "Invalid or missing API key", "UNAUTHORIZED"),
    404: ("Order not found", "No order found with the provided orderId", "ORDER_NOT_FOUND"),
    400: ("Order not eligible for rerun", "Only completed or delivered orders can be rerun", "ORDER_NOT_ELIGIBLE"),
}
NO_ACCESS = ("Access denied", "You don't have permission to access this order", "ACCESS_DENIED")
NO_RERUN = ("Access denied", "You don't have permission to rerun this order", "ACCESS_DENIED")

Documented = tuple[str, str, int, type[OllangError], tuple[str, str, str]]

DOCUMENTED: dict[str, Documented] = {
    "get 401": ("get", ORDER, 401, OllangAuthenticationError, SHOWN[401]),
    "get 403": ("get", FOREIGN, 403, OllangAccessDeniedError, NO_ACCESS),
    "get 404": ("get", UNKNOWN, 404, OllangOrderNotFoundError, SHOWN[404]),
    "rerun 400": ("rerun", RUNNING, 400, OllangOrderNotEligibleError, SHOWN[400]),
    "rerun 401": ("rerun", ORDER, 401, OllangAuthenticationError, SHOWN[401]),
    "rerun 403": ("rerun", FOREIGN, 403, OllangAccessDeniedError, NO_RERUN),
    "rerun 404": ("rerun", UNKNOWN, 404, OllangOrderNotFoundError, SHOWN[404]),
}


def raised(hook: OllangHook, what: str, order_id: object) -> OllangError:
    with pytest.raises(OllangError) as caught:
        (hook.get_order if what == "get" else hook.rerun_order)(order_id)
    return caught.value


def style(ollang: Sandbox, **options: Any) -> None:
    """Set options of answers for the sandbox and for the orders in it."""
    ollang.behaviour = replace(ollang.behaviour, **options)
    for order_id in (ORDER, FOREIGN, RUNNING):
        ollang.change_order(order_id, behaviour=options)


@pytest.mark.parametrize("shape", ["documented", "unknown_error", "message_only"])
@pytest.mark.parametrize("row", DOCUMENTED.values(), ids=DOCUMENTED)
def test_documented_error(ollang: Sandbox, hook: OllangHook, clock: Clock, row: Documented, shape: str) -> None:
    what, order_id, status, expected, said = row
    if status == 401:
        ollang.api_key = "another"
    style(ollang, error_style=shape)
    error = raised(hook, what, order_id)
    assert type(error) is expected
    title, message, code = said
    method, path = ("GET", "") if what == "get" else ("POST", "/rerun")
    path = f"/integration/orders/{order_id}{path}"
    assert (error.status_code, error.order_id, error.method, error.path) == (status, order_id, method, path)
    assert error.code == (code if shape == "documented" else None)
    assert error.detail == (f"{title}: {message}" if shape == "documented" else message)
    text = str(error)
    assert f"{what} order {order_id}" in text
    assert f"{status}: {error.detail}" in text
    if status != 400:
        assert repr(hook.ollang_conn_id) in text
    assert sent(ollang) == [(method, path, status)]
    assert clock.sleeps == []


@pytest.mark.parametrize("shape", ["documented", "unknown_error"])
@pytest.mark.parametrize("row", DOCUMENTED.values(), ids=DOCUMENTED)
def test_documented_error_with_another_status(ollang: Sandbox, hook: OllangHook, row: Documented, shape: str) -> None:
    """Nobody wrote down which status comes with the generic envelope."""
    what, order_id, status, expected, said = row
    if status == 401:
        ollang.api_key = "another"
    style(ollang, error_style=shape, error_status=422)
    error = raised(hook, what, order_id)
    assert type(error) is expected
    assert error.status_code == 422
    assert said[1] in str(error)
    assert len(ollang.request_log) == 1


def test_get_order(ollang: Sandbox, hook: OllangHook) -> None:
    assert hook.get_order(ORDER) == ollang.order(ORDER)["order"]
    assert sent(ollang) == [("GET", f"/integration/orders/{ORDER}", 200)]
    assert ollang.request_log[0].authorized


def test_get_order_of_a_mapping(ollang: Sandbox, hook: OllangHook) -> None:
    order = hook.get_order({"order_id": ORDER})
    assert hook.get_order(order) == order
    assert {entry.path for entry in ollang.request_log} == {f"/integration/orders/{ORDER}"}


def test_rerun_order(ollang: Sandbox, hook: OllangHook) -> None:
    ollang.advance(3600)
    accepted = hook.rerun_order(f" {ORDER}\n")
    assert just_before(ollang.now, accepted.pop("requested_at"))
    assert accepted == {"order_id": ORDER, "message": "Order rerun initiated successfully"}
    assert sent(ollang) == [("POST", f"/integration/orders/{ORDER}/rerun", 200)]
    assert ollang.order(ORDER)["reruns_accepted"] == 1


@pytest.mark.parametrize("status", [201, 202, 207])
def test_rerun_accepted_by_another_2xx(ollang: Sandbox, hook: OllangHook, status: int) -> None:
    order_id = ollang.add_order(behaviour={"rerun_accepted_status": status})
    assert hook.rerun_order(order_id)["order_id"] == order_id
    assert len(ollang.request_log) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, None),
        ({"message": None}, None),
        ({"message": ["a"]}, None),
        ({"message": "queued", "success": True}, "queued"),
    ],
)
def test_rerun_with_a_meagre_answer(ollang: Sandbox, hook: OllangHook, body: Any, message: str | None) -> None:
    ollang.add_fault("POST", status=200, body=body, processed=True)
    assert hook.rerun_order(ORDER)["message"] == message
    assert len(ollang.request_log) == 1


def test_rerun_refused_by_success_false(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    order_id = ollang.add_order(behaviour={"rerun_success": False})
    error = raised(hook, "rerun", order_id)
    assert type(error) is OllangRequestRefusedError
    assert (error.status_code, error.order_id, error.method) == (200, order_id, "POST")
    assert error.detail == "Order rerun could not be initiated"
    assert error.detail in str(error)
    assert (len(ollang.request_log), clock.sleeps) == (1, [])
    assert ollang.order(order_id)["reruns_accepted"] == 0


@pytest.mark.parametrize(
    ("options", "expected", "status"),
    [
        ({"no_credits": 402}, OllangBadRequestError, 402),
        ({"no_credits": 403}, OllangAccessDeniedError, 403),
        ({"no_credits": 402, "error_style": "unknown_error"}, OllangBadRequestError, 402),
    ],
)
def test_rerun_without_credits(
    ollang: Sandbox, hook: OllangHook, options: dict[str, Any], expected: type[OllangError], status: int
) -> None:
    order_id = ollang.add_order(behaviour=options)
    error = raised(hook, "rerun", order_id)
    assert type(error) is expected
    assert error.status_code == status
    assert "Not enough credits" in str(error)
    assert len(ollang.request_log) == 1


@pytest.mark.parametrize(
    ("policy", "expected"), [("400", OllangOrderNotEligibleError), ("409", OllangOrderNotEligibleError)]
)
def test_second_rerun_refused(
    ollang: Sandbox, hook: OllangHook, clock: Clock, policy: str, expected: type[OllangError]
) -> None:
    order_id = ollang.add_order(behaviour={"rerun_while_running": policy})
    hook.rerun_order(order_id)
    error = raised(hook, "rerun", order_id)
    assert type(error) is expected
    assert error.status_code == int(policy)
    assert (len(ollang.request_log), clock.sleeps) == (2, [])
    assert ollang.order(order_id)["reruns_accepted"] == 1


def test_second_rerun_accepted(ollang: Sandbox, hook: OllangHook) -> None:
    order_id = ollang.add_order(behaviour={"rerun_while_running": "accept"})
    hook.rerun_order(order_id)
    hook.rerun_order(order_id)
    assert ollang.order(order_id)["reruns_accepted"] == len(ollang.request_log) == 2


def test_another_order_in_the_answer(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    link = f"https://files.example/a?Signature={LINK_SIGNATURE}"
    order_id = ollang.add_order(vttUrl=link, name=link, behaviour={"answered_id": UNKNOWN})
    error = raised(hook, "get", order_id)
    assert type(error) is OllangUnavailableError
    assert "another order" in str(error)
    assert (len(ollang.request_log), len(clock.sleeps)) == (5, 4)

    error = raised(hook, "rerun", order_id)
    assert type(error) is OllangOutcomeUnknownError
    assert "another order" in str(error)
    assert (len(ollang.request_log), len(clock.sleeps)) == (6, 4)


@pytest.mark.parametrize("options", [{"missing_fields": ("status",)}, {"null_fields": ("status",)}])
def test_order_without_a_status(ollang: Sandbox, hook: OllangHook, options: dict[str, Any]) -> None:
    link = f"https://files.example/a?Signature={LINK_SIGNATURE}"
    order_id = ollang.add_order(vttUrl=link, behaviour=options)
    error = raised(hook, "get", order_id)
    assert type(error) is OllangUnavailableError
    assert "without a status" in str(error)
    assert len(ollang.request_log) == 5


@pytest.mark.parametrize(
    "options",
    [
        {"missing_fields": ("id", "orderDocs", "name")},
        {"null_fields": ("id", "orderDocs", "level", "vttUrl", "deliveryEvents")},
        {"null_fields": ("orderDocs.id", "orderDocs.url")},
        {"delivery_events": "absent", "sign_links": True},
    ],
)
def test_order_with_holes_is_an_order(ollang: Sandbox, hook: OllangHook, options: dict[str, Any]) -> None:
    order_id = ollang.add_order(behaviour=options)
    assert hook.get_order(order_id)["status"] == "completed"
    assert len(ollang.request_log) == 1


ODD_IDS = {
    "a/b": "a%2Fb",
    "a%2Fb": "a%252Fb",
    "a&b=c#d": "a%26b%3Dc%23d",
    "../orders": "..%2Forders",
    "a/../../health": "a%2F..%2F..%2Fhealth",
    "...": "...",
    "%2e%2e": "%252e%252e",
    "a\\b": "a%5Cb",
    "a;b&d+e@f:g": "a%3Bb%26d%2Be%40f%3Ag",
    "[a]": None,
    "ünï/鍵": "%C3%BCn%C3%AF%2F%E9%8D%B5",
    "\U0001f3ac": "%F0%9F%8E%AC",
    "rerun": "rerun",
    "~a.b-c_d": "~a.b-c_d",
    "'\"<>": "%27%22%3C%3E",
    "a\u200bb": "a%E2%80%8Bb",
    "x" * 3000: "x" * 3000,
}


@pytest.mark.parametrize(("order_id", "segment"), ODD_IDS.items(), ids=lambda one: ascii(one)[:30])
def test_odd_order_id_is_one_segment(ollang: Sandbox, hook: OllangHook, order_id: str, segment: str | None) -> None:
    if segment is None:
        with pytest.raises(OllangConfigurationError):
            hook.get_order(order_id)
        assert ollang.request_log == []
        return
    ollang.add_order(id=order_id)
    assert hook.get_order(order_id)["id"] == order_id
    assert hook.rerun_order(order_id)["order_id"] == order_id
    assert [entry.path for entry in ollang.request_log] == [
        f"/integration/orders/{segment}",
        f"/integration/orders/{segment}/rerun",
    ]


@pytest.mark.parametrize("order_id", [None, "", " ", "None", ".", "..", "{{ x }}", "a\nb", True, {}, [ORDER], 1.5])
def test_bad_order_id_is_refused_before_anything_is_sent(ollang: Sandbox, hook: OllangHook, order_id: object) -> None:
    for what in ("get", "rerun"):
        assert type(raised(hook, what, order_id)) is OllangConfigurationError
    assert ollang.request_log == []


def test_bad_connection_is_refused_before_anything_is_sent(ollang: Sandbox, connect: Connect) -> None:
    for hook in (connect(ollang.url, key=f"{KEY}\nx"), connect(ollang.url, timeout="soon")):
        for what in ("get", "rerun"):
            assert type(raised(hook, what, ORDER)) is OllangConfigurationError
    assert ollang.request_log == []


@pytest.mark.parametrize(
    ("path", "status"), [("", 404), ("/wrong", 404), ("/integration/orders", 404), ("/_sandbox/..", 404)]
)
def test_wrong_base_path(ollang: Sandbox, connect: Connect, path: str, status: int) -> None:
    hook = connect(f"{ollang.url}/gateway{path}")
    for what in ("get", "rerun"):
        error = raised(hook, what, ORDER)
        assert type(error) is OllangConfigurationError
        assert error.status_code == status
        assert "base URL" in str(error)
        assert hook.settings.base_url in str(error)
    assert len(ollang.request_log) == 2


def test_base_path_is_kept_and_integration_trimmed(ollang: Sandbox, connect: Connect) -> None:
    connect(f"{ollang.url}/integration/").get_order(ORDER)
    with pytest.raises(OllangConfigurationError):
        connect(f"{ollang.url}/gateway/integration").get_order(ORDER)
    assert [entry.path for entry in ollang.request_log] == [
        f"/integration/orders/{ORDER}",
        f"/gateway/integration/orders/{ORDER}",
    ]
