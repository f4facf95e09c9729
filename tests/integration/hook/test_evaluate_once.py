"""An evaluation may be billed: the hook submits it once, operators again only if it surely was not processed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_ollang.client.requests import evaluate_order
from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangAuthenticationError,
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangOrderNotEligibleError,
    OllangOrderNotFoundError,
    OllangOutcomeUnknownError,
    OllangRateLimitError,
    OllangRequestRefusedError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox

from .conftest import FOREIGN, KEY, LINK_SIGNATURE, ORDER, RUNNING, UNKNOWN, Clock, Connect, sent, status_of, submit
from .servers import RawServer, closed_port, http, just_before, says

HTML = "<html><h1>Bad Gateway</h1></html>"
PATH = f"/integration/orders/{ORDER}/qc"
ALL = {"accuracy": True, "fluency": True, "tone": True, "culturalFit": True, "customPrompt": None, "callbackUrl": None}


def failing(hook: OllangHook, order_id: object = ORDER, **options: Any) -> OllangError:
    with pytest.raises(OllangError) as caught:
        hook.evaluate_order(order_id, **options)
    return caught.value


def accepted(ollang: Sandbox) -> int:
    return int(ollang.order(ORDER)["evaluations_accepted"])


def asked(ollang: Sandbox) -> dict[str, Any]:
    """Return what the sandbox was asked to look at last."""
    found: dict[str, Any] = ollang.order(ORDER)["evaluations"][-1]["asked"]
    return found


def check_unknown(error: OllangError, status: int | None) -> None:
    assert type(error) is OllangOutcomeUnknownError
    assert (error.status_code, error.order_id, error.method, error.path) == (status, ORDER, "POST", PATH)
    assert f"evaluate order {ORDER}" in str(error)
    assert "It was not sent again" in str(error)


# --- What is sent, and what is told -----------------------------------------------------------------------------------


def test_what_is_told_of_its_acceptance(ollang: Sandbox, hook: OllangHook) -> None:
    told = hook.evaluate_order(ORDER)
    assert just_before(ollang.now, told.pop("requested_at"))
    assert told == {
        "order_id": ORDER,
        "message": "QC evaluation started. You will be notified when it's completed.",
        "evaluation_id": ollang.order(ORDER)["evaluations"][0]["id"],
        "credits_used": 5,
    }
    assert sent(ollang) == [("POST", PATH, 200)]
    assert accepted(ollang) == 1


def test_scores_that_come_at_once_are_not_told(ollang: Sandbox, hook: OllangHook) -> None:
    ollang.change_order(ORDER, behaviour={"qc_seconds": 0})
    assert hook.evaluate_order(ORDER).keys() == {
        "order_id",
        "message",
        "requested_at",
        "evaluation_id",
        "credits_used",
    }


def body_sent(connect: Connect, **options: Any) -> Any:
    with RawServer(says(http("200 OK", b'{"success": true}'))) as server:
        connect(server.url).evaluate_order(ORDER, **options)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(f"POST {PATH} HTTP/1.1\r\n".encode())
    assert f"\r\nX-Api-Key: {KEY}\r\n".encode() in head
    assert b"\r\nContent-Type: application/json\r\n" in head
    assert f"\r\nContent-Length: {len(body)}".encode() in head
    return json.loads(body)


def switches(**on: bool) -> dict[str, bool]:
    return {name: on.get(name, False) for name in ("accuracy", "fluency", "tone", "culturalFit")}


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ({}, {}),
        ({"criteria": None, "custom_prompt": None}, {}),
        ({"custom_prompt": ""}, {}),
        ({"custom_prompt": 'Is it "funny"?\nÄ 🎬'}, {"customPrompt": 'Is it "funny"?\nÄ 🎬'}),
        ({"criteria": ["Accuracy"]}, switches(accuracy=True)),
        ({"criteria": ("cultural_fit", "TONE")}, switches(culturalFit=True, tone=True)),
        ({"criteria": ["culturalFit", "Cultural-Fit"]}, switches(culturalFit=True)),
        ({"criteria": "accuracy, Tone"}, switches(accuracy=True, tone=True)),
        ({"criteria": {"Fluency": 90}, "custom_prompt": "x"}, {**switches(fluency=True), "customPrompt": "x"}),
        ({"criteria": ["Accuracy", "Fluency", "Tone", "Cultural Fit"]}, dict.fromkeys(switches(), True)),
    ],
    ids=repr,
)
def test_request_is_as_documented(connect: Connect, options: dict[str, Any], body: dict[str, Any]) -> None:
    assert body_sent(connect, **options) == body


def test_criteria_and_prompt_arrive(ollang: Sandbox, hook: OllangHook) -> None:
    hook.evaluate_order(ORDER)
    assert asked(ollang) == ALL
    hook.evaluate_order(ORDER, criteria=["tone", "cultural fit"], custom_prompt="Mind the puns")
    assert asked(ollang) == {**ALL, "accuracy": False, "fluency": False, "customPrompt": "Mind the puns"}


@pytest.mark.parametrize(
    ("criteria", "words"),
    [
        (["Style"], "names 'Style'; there are Accuracy, Fluency, Tone, Cultural Fit"),
        (["Accuracy", "Cultural"], "names 'Cultural'"),
        ([""], "must be one or more names"),
        ([], "must be one or more names"),
        ([None], "must be one or more names"),
        (["Accuracy", ["Tone"]], "must be one or more names"),
        (5, "must be one or more names"),
    ],
)
def test_unknown_criterion_is_refused_before_sending(
    ollang: Sandbox, hook: OllangHook, criteria: Any, words: str
) -> None:
    error = failing(hook, criteria=criteria)
    assert type(error) is OllangConfigurationError
    assert words in str(error)
    assert ollang.request_log == []


@pytest.mark.parametrize("prompt", [object(), 0, {"text": "Mind the puns"}])
def test_prompt_of_another_type_is_refused_before_sending(ollang: Sandbox, hook: OllangHook, prompt: Any) -> None:
    error = failing(hook, custom_prompt=prompt)
    assert type(error) is OllangConfigurationError
    assert "custom_prompt must be a text" in str(error)
    assert ollang.request_log == []


@pytest.mark.parametrize("order_id", [None, "", "None", "{{ x }}", "..", "a\nb", {}, True])
def test_bad_id_is_refused_before_anything_is_sent(ollang: Sandbox, hook: OllangHook, order_id: Any) -> None:
    assert type(failing(hook, order_id)) is OllangConfigurationError
    assert ollang.request_log == []


@pytest.mark.parametrize("order_id", ["a/b&c#d", "ä=ö", "..%2f"])
def test_an_id_is_one_segment_of_the_path(ollang: Sandbox, hook: OllangHook, order_id: str) -> None:
    ollang.add_order(id=order_id, status="completed", type="document")
    assert hook.evaluate_order({"id": order_id})["order_id"] == order_id
    assert ollang.order(order_id)["evaluations_accepted"] == 1


@pytest.mark.parametrize(
    ("answer", "evaluation_id", "credits_used", "message"),
    [
        ({}, None, None, None),
        ({"evalId": 7, "creditsUsed": 2.5, "message": "Ok"}, "7", 2.5, "Ok"),
        ({"evalId": None, "creditsUsed": None, "message": None}, None, None, None),
        ({"evalId": {"a": 1}, "creditsUsed": "5", "message": ["x"]}, None, None, None),
        ({"evalId": True, "creditsUsed": True, "message": 5, "scores": "?"}, None, None, None),
    ],
    ids=repr,
)
def test_odd_answer_is_accepted_all_the_same(
    ollang: Sandbox, hook: OllangHook, answer: Any, evaluation_id: Any, credits_used: Any, message: Any
) -> None:
    ollang.add_fault("POST", body={"success": True, **answer})
    told = hook.evaluate_order(ORDER)
    assert (told["evaluation_id"], told["credits_used"], told["message"]) == (evaluation_id, credits_used, message)


def test_message_shows_no_secret(ollang: Sandbox, hook: OllangHook) -> None:
    words = f"Started for {KEY}, see https://storage.ollang.com/a?Signature={LINK_SIGNATURE}"
    ollang.add_fault("POST", body={"success": True, "message": words})
    message = hook.evaluate_order(ORDER)["message"]
    assert "Started for" in message
    assert KEY not in message
    assert LINK_SIGNATURE not in message


# --- Doubt --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("processed", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        *({"status": status, "body": HTML} for status in (408, 500, 502, 503, 504)),
        {"status": 503, "body": {"message": "Oh"}, "headers": {"Retry-After": "1"}},
        *({"generate": name} for name in ("array", "bad_utf8", "cut_json", "html", "not_json")),
        *({"status": 200, "body": body} for body in ("", "null", "[]", '"accepted"', '{"success": tr')),
        {"status": 204},
    ],
    ids=lambda fault: "-".join(map(repr, fault.values()))[:50],
)
def test_unclear_response_is_never_followed_by_another_request(
    ollang: Sandbox, hook: OllangHook, clock: Clock, fault: dict[str, Any], processed: bool
) -> None:
    ollang.add_fault("POST", times=None, processed=processed, **fault)
    check_unknown(failing(hook), fault.get("status", 200))
    assert (len(ollang.request_log), clock.sleeps) == (1, [])
    assert accepted(ollang) == int(processed)


@pytest.mark.parametrize(("drop", "processed"), [("before", 0), ("after", 1), ("body", 1)])
def test_lost_answer_is_never_followed_by_a_second_request(
    ollang: Sandbox, hook: OllangHook, clock: Clock, drop: str, processed: int
) -> None:
    ollang.add_fault("POST", drop=drop, times=None)
    check_unknown(failing(hook), None)
    assert (len(ollang.request_log), clock.sleeps) == (1, [])
    assert accepted(ollang) == processed


def test_doubt_after_429_ends_it(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault("POST", status=429)
    ollang.add_fault("POST", drop="after")
    with pytest.raises(OllangOutcomeUnknownError) as caught:
        submit(hook, evaluate_order(ORDER, None, None))
    check_unknown(caught.value, None)
    assert (len(ollang.request_log), len(clock.sleeps), accepted(ollang)) == (2, 1, 1)


# --- Surely not sent, or refused -----------------------------------------------------------------------------------


def test_rate_limited_evaluation_is_submitted_again(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault("POST", status=429, times=4)
    submit(hook, evaluate_order(ORDER, None, None))
    assert [entry.status for entry in ollang.request_log] == [429, 429, 429, 429, 200]
    assert (len(clock.sleeps), accepted(ollang)) == (4, 1)


def test_rate_limited_evaluation_is_given_up(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault("POST", status=429, times=None)
    with pytest.raises(OllangRateLimitError):
        submit(hook, evaluate_order(ORDER, None, None))
    assert (len(ollang.request_log), accepted(ollang)) == (5, 0)


def test_unsent_evaluation_is_submitted_again(connect: Connect, clock: Clock) -> None:
    port = closed_port()
    late = Sandbox(api_key=KEY, speed=0, port=port)
    clock.on_sleep = lambda number: late.start() if number == 3 else None
    try:
        submit(connect(f"http://127.0.0.1:{port}"), evaluate_order(ORDER, None, None))
        assert accepted(late) == 1
    finally:
        late.stop()
    assert (len(clock.sleeps), len(late.request_log)) == (3, 1)


def test_hook_submits_rate_limited_evaluation_once(ollang: Sandbox, hook: OllangHook, clock: Clock) -> None:
    ollang.add_fault("POST", status=429, times=None)
    assert type(failing(hook)) is OllangRateLimitError
    assert (len(ollang.request_log), len(clock.sleeps), accepted(ollang)) == (1, 0, 0)


def test_evaluation_is_not_sent_if_connection_is_refused(connect: Connect, clock: Clock) -> None:
    error = failing(connect(f"http://127.0.0.1:{closed_port()}"))
    assert type(error) is OllangUnavailableError
    assert (status_of(error), error.method, error.path, len(clock.sleeps)) == (None, "POST", PATH, 0)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"code": "ORDER_NOT_ELIGIBLE", "message": "No"}, OllangOrderNotEligibleError),
        (401, {"code": "UNAUTHORIZED", "message": "No"}, OllangAuthenticationError),
        (402, {"message": "No credits"}, OllangBadRequestError),
        (403, {"code": "ACCESS_DENIED", "message": "No"}, OllangAccessDeniedError),
        (404, {"code": "ORDER_NOT_FOUND", "message": "No"}, OllangOrderNotFoundError),
        (409, {"message": "No"}, OllangOrderNotEligibleError),
        (422, {"message": "No"}, OllangBadRequestError),
        (404, HTML, OllangConfigurationError),
        (302, HTML, OllangConfigurationError),
        (403, HTML, OllangUnavailableError),
        (200, {"success": False, "message": "No"}, OllangRequestRefusedError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value)[:30],
)
def test_refused_evaluation_is_not_sent_again(
    ollang: Sandbox, hook: OllangHook, clock: Clock, status: int, body: Any, expected: type[OllangError]
) -> None:
    ollang.add_fault("POST", status=status, body=body, times=None)
    error = failing(hook)
    assert type(error) is expected
    assert (error.status_code, error.order_id, error.method, error.path) == (status, ORDER, "POST", PATH)
    assert f"evaluate order {ORDER}" in str(error)
    assert (len(ollang.request_log), clock.sleeps) == (1, [])


@pytest.mark.parametrize(
    ("order_id", "expected"),
    [
        (RUNNING, OllangOrderNotEligibleError),
        (FOREIGN, OllangAccessDeniedError),
        (UNKNOWN, OllangOrderNotFoundError),
    ],
)
def test_orders_that_cannot_be_evaluated(hook: OllangHook, order_id: str, expected: type[OllangError]) -> None:
    assert type(failing(hook, order_id)) is expected


@pytest.mark.parametrize("status", [400, 402, 403])
def test_evaluation_without_credits_is_refused(ollang: Sandbox, hook: OllangHook, status: int) -> None:
    ollang.change_order(ORDER, behaviour={"qc_no_credits": status})
    error = failing(hook)
    assert error.status_code == status
    assert "Not enough credits" in str(error)
    assert accepted(ollang) == 0


def test_each_evaluation_has_a_connection_of_its_own(ollang: Sandbox, hook: OllangHook) -> None:
    hook.get_order(ORDER)
    hook.evaluate_order(ORDER)
    hook.evaluate_order(ORDER)
    hook.get_order(ORDER)
    assert [entry.connection for entry in ollang.request_log] == [1, 2, 3, 1]
