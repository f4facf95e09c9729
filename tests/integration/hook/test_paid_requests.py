"""A paid request is sent once by the hook, and again by operators only if it surely was not processed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import pytest

from airflow_provider_ollang.client.requests import Request, evaluate_order, rerun_order
from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
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
from .servers import IN_TIME, LONG, Peer, RawServer, Stopwatch, closed_port, header, http, just_before, says

HTML = "<html><h1>Bad Gateway</h1></html>"


@dataclass(frozen=True)
class Paid:
    """One of the paid requests."""

    verb: str
    path: str
    request: Request
    send: Callable[[OllangHook, object], dict[str, Any]]
    counter: str

    def failing(self, hook: OllangHook, order_id: object = ORDER) -> OllangError:
        with pytest.raises(OllangError) as caught:
            self.send(hook, order_id)
        return caught.value

    def accepted(self, ollang: Sandbox) -> int:
        return int(ollang.order(ORDER)[self.counter])

    def check_unknown(self, error: OllangError, status: int | None) -> None:
        assert type(error) is OllangOutcomeUnknownError
        self.check_fields(error, status)
        assert "It was not sent again" in str(error)
        assert "clear this task" in str(error)

    def check_fields(self, error: OllangError, status: int | None) -> None:
        assert (error.status_code, error.order_id, error.method, error.path) == (status, ORDER, "POST", self.path)
        assert f"{self.verb} order {ORDER}" in str(error)


PAID = {
    "rerun": Paid(
        *("rerun", f"/integration/orders/{ORDER}/rerun", rerun_order(ORDER), OllangHook.rerun_order),
        "reruns_accepted",
    ),
    "evaluation": Paid(
        *("evaluate", f"/integration/orders/{ORDER}/qc", evaluate_order(ORDER, None, None), OllangHook.evaluate_order),
        "evaluations_accepted",
    ),
}


@pytest.fixture(params=list(PAID.values()), ids=list(PAID))
def paid(request: pytest.FixtureRequest) -> Paid:
    return cast("Paid", request.param)


# --- What is sent, and what is returned -----------------------------------------------------------------------------


def test_accepted_rerun_is_returned(ollang: Sandbox, hook: OllangHook) -> None:
    ollang.advance(3600)
    accepted = hook.rerun_order(f" {ORDER}\n")
    assert just_before(ollang.now, accepted.pop("requested_at"))
    assert accepted == {"order_id": ORDER, "message": "Order rerun initiated successfully"}
    assert sent(ollang) == [("POST", PAID["rerun"].path, 200)]
    assert PAID["rerun"].accepted(ollang) == 1


@pytest.mark.parametrize(
    ("qc_seconds", "message"),
    [
        (0, "QC evaluation completed."),
        (60, "QC evaluation started. You will be notified when it's completed."),
    ],
)
def test_accepted_evaluation_is_returned_without_scores(
    ollang: Sandbox, hook: OllangHook, qc_seconds: int, message: str
) -> None:
    ollang.change_order(ORDER, behaviour={"qc_seconds": qc_seconds})
    accepted = hook.evaluate_order(ORDER)
    assert just_before(ollang.now, accepted.pop("requested_at"))
    assert accepted == {
        "order_id": ORDER,
        "message": message,
        "evaluation_id": ollang.order(ORDER)["evaluations"][0]["id"],
        "credits_used": 5,
    }
    assert sent(ollang) == [("POST", PAID["evaluation"].path, 200)]
    assert PAID["evaluation"].accepted(ollang) == 1


def test_request_is_as_documented(connect: Connect, paid: Paid) -> None:
    with RawServer(says(http("200 OK", b'{"success": true}'))) as server:
        paid.send(connect(server.url), ORDER)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(f"POST {paid.path} HTTP/1.1\r\n".encode())
    assert body == b"{}"
    assert header(head, "X-Api-Key") == KEY
    assert header(head, "Content-Type") == header(head, "Accept") == "application/json"
    assert header(head, "Content-Length") == "2"
    agent = header(head, "User-Agent") or ""
    for part in ("airflow-provider-ollang/", " apache-airflow/", " python/3."):
        assert part in agent
    for name in ("Authorization", "Transfer-Encoding", "Expect", "Cookie"):
        assert header(head, name) is None


def test_criteria_and_prompt_arrive(ollang: Sandbox, hook: OllangHook) -> None:
    hook.evaluate_order(ORDER, criteria=["tone", "cultural fit"], custom_prompt='Mind the "puns"\nÄ 🎬')
    switches = {"accuracy": False, "fluency": False, "tone": True, "culturalFit": True}
    assert ollang.order(ORDER)["evaluations"][-1]["asked"] == {
        **switches,
        "customPrompt": 'Mind the "puns"\nÄ 🎬',
        "callbackUrl": None,
    }


@pytest.mark.parametrize("options", [{"criteria": ["Style"]}, {"custom_prompt": 5}], ids=str)
def test_bad_option_of_evaluation_sends_nothing(ollang: Sandbox, hook: OllangHook, options: dict[str, Any]) -> None:
    with pytest.raises(OllangConfigurationError):
        hook.evaluate_order(ORDER, **options)
    assert ollang.request_log == []


@pytest.mark.parametrize(
    ("body", "evaluation_id", "credits_used", "message"),
    [
        ({}, None, None, None),
        ({"evalId": 7, "creditsUsed": 2.5, "message": "Ok"}, "7", 2.5, "Ok"),
        ({"evalId": {"a": 1}, "creditsUsed": "5", "message": ["x"]}, None, None, None),
        ({"evalId": True, "creditsUsed": True, "message": 5, "scores": "?"}, None, None, None),
    ],
    ids=repr,
)
def test_odd_body_is_accepted_all_the_same(
    ollang: Sandbox, hook: OllangHook, body: Any, evaluation_id: Any, credits_used: Any, message: Any
) -> None:
    ollang.add_fault("POST", body={"success": True, **body}, times=None)
    accepted = hook.evaluate_order(ORDER)
    assert (accepted["evaluation_id"], accepted["credits_used"]) == (evaluation_id, credits_used)
    assert accepted["message"] == hook.rerun_order(ORDER)["message"] == message


def test_message_shows_no_secret(ollang: Sandbox, hook: OllangHook, paid: Paid) -> None:
    words = f"Started for {KEY}, see https://storage.ollang.com/a?Signature={LINK_SIGNATURE}"
    ollang.add_fault("POST", body={"success": True, "message": words})
    message = paid.send(hook, ORDER)["message"]
    assert "Started for" in message
    assert KEY not in message
    assert LINK_SIGNATURE not in message


# --- Unknown outcomes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("processed", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 502, "body": HTML},
        {"status": 503, "body": {"message": "Oh"}, "headers": {"Retry-After": "1"}},
        {"generate": "cut_json"},
        {"generate": "nested_objects"},
        {"status": 204},
        {"body": {"success": True, "orderId": UNKNOWN}},
    ],
    ids=lambda fault: "-".join(map(repr, fault.values()))[:50],
)
def test_unclear_response_is_never_followed_by_another(
    ollang: Sandbox, hook: OllangHook, clock: Clock, paid: Paid, fault: dict[str, Any], processed: bool
) -> None:
    ollang.add_fault("POST", times=None, processed=processed, **fault)
    paid.check_unknown(paid.failing(hook), fault.get("status", 200))
    assert (len(ollang.request_log), clock.sleeps) == (1, [])
    assert paid.accepted(ollang) == int(processed)


@pytest.mark.parametrize(("drop", "processed"), [("before", 0), ("after", 1), ("body", 1)])
def test_lost_response_is_never_followed_by_another(
    ollang: Sandbox, hook: OllangHook, clock: Clock, paid: Paid, drop: str, processed: int
) -> None:
    ollang.add_fault("POST", drop=drop, times=None)
    error = paid.failing(hook)
    paid.check_unknown(error, None)
    assert "the connection broke" in str(error)
    assert (len(ollang.request_log), clock.sleeps) == (1, [])
    assert paid.accepted(ollang) == processed


def test_late_response_is_never_followed_by_another(
    ollang: Sandbox, connect: Connect, clock: Clock, paid: Paid
) -> None:
    ollang.add_fault("POST", times=None, delay=LONG)
    with Stopwatch() as watch:
        error = paid.failing(connect(ollang.url, timeout=1))
    paid.check_unknown(error, None)
    assert "no complete response within 1 s" in str(error)
    assert 0.9 < watch.seconds < IN_TIME
    assert (len(ollang.request_log), clock.sleeps) == (1, [])


def test_reset_is_never_followed_by_another(connect: Connect, clock: Clock, paid: Paid) -> None:
    with RawServer(lambda peer, _: peer.reset()) as server:
        paid.check_unknown(paid.failing(connect(server.url)), None)
    assert (len(server.requests), clock.sleeps) == (1, [])


def test_plain_response_of_proxy_leaves_outcome_unknown(
    ollang: Sandbox, connect: Connect, clock: Clock, paid: Paid
) -> None:
    with RawServer(says(http("502 Bad Gateway"))) as proxy:
        paid.check_unknown(paid.failing(connect(ollang.url, proxy=proxy.url)), 502)
    assert (len(proxy.requests), clock.sleeps) == (1, [])


def test_unknown_outcome_after_429_is_not_retried(ollang: Sandbox, hook: OllangHook, clock: Clock, paid: Paid) -> None:
    ollang.add_fault("POST", status=429)
    ollang.add_fault("POST", drop="after")
    with pytest.raises(OllangOutcomeUnknownError) as caught:
        submit(hook, paid.request)
    paid.check_unknown(caught.value, None)
    assert (len(ollang.request_log), len(clock.sleeps), paid.accepted(ollang)) == (2, 1, 1)


# --- Surely not sent, or refused -----------------------------------------------------------------------------------


def test_unsent_request_is_submitted_again(connect: Connect, clock: Clock, paid: Paid) -> None:
    port = closed_port()
    late = Sandbox(api_key=KEY, speed=0, port=port)
    clock.on_sleep = lambda number: late.start() if number == 3 else None
    try:
        submit(connect(f"http://127.0.0.1:{port}"), paid.request)
        assert paid.accepted(late) == 1
    finally:
        late.stop()
    assert (len(clock.sleeps), len(late.request_log)) == (3, 1)


def test_hang_up_in_handshake_means_not_sent(connect: Connect, clock: Clock, paid: Paid) -> None:
    def hang_up(peer: Peer) -> bool:
        peer.sock.recv(100)
        peer.sock.close()
        return True

    with RawServer(says(b""), greet=hang_up) as server:
        error = paid.failing(connect(server.url.replace("http:", "https:")))
        assert server.connections == 1
    assert type(error) is OllangUnavailableError
    assert (status_of(error), clock.sleeps) == (None, [])


def test_rate_limited_request_is_submitted_again(ollang: Sandbox, hook: OllangHook, clock: Clock, paid: Paid) -> None:
    ollang.add_fault("POST", status=429, headers={"Retry-After": "33"}, times=4)
    submit(hook, paid.request)
    assert [entry.status for entry in ollang.request_log] == [429, 429, 429, 429, 200]
    assert (clock.sleeps, paid.accepted(ollang)) == ([33] * 4, 1)
    # Each had a connection of its own.
    assert [entry.connection for entry in ollang.request_log] == [1, 2, 3, 4, 5]


def test_rate_limited_request_is_given_up(ollang: Sandbox, hook: OllangHook, paid: Paid) -> None:
    ollang.add_fault("POST", status=429, times=None)
    with pytest.raises(OllangRateLimitError):
        submit(hook, paid.request)
    assert (len(ollang.request_log), paid.accepted(ollang)) == (5, 0)


def test_hook_sends_rate_limited_request_once(ollang: Sandbox, hook: OllangHook, clock: Clock, paid: Paid) -> None:
    ollang.add_fault("POST", status=429, headers={"Retry-After": "7"}, times=None)
    error = paid.failing(hook)
    assert isinstance(error, OllangRateLimitError)
    assert error.retry_after == 7
    assert (len(ollang.request_log), clock.sleeps, paid.accepted(ollang)) == (1, [], 0)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (409, {"message": "No"}, OllangOrderNotEligibleError),
        (422, {"message": "No"}, OllangBadRequestError),
        (304, HTML, OllangConfigurationError),
        (403, HTML, OllangUnavailableError),
        (200, {"success": False, "message": "No"}, OllangRequestRefusedError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value)[:30],
)
def test_refused_request_is_not_sent_again(
    ollang: Sandbox, hook: OllangHook, clock: Clock, paid: Paid, status: int, body: Any, expected: type[OllangError]
) -> None:
    ollang.add_fault("POST", status=status, body=body, times=None)
    error = paid.failing(hook)
    assert type(error) is expected
    paid.check_fields(error, status)
    assert (len(ollang.request_log), clock.sleeps) == (1, [])


@pytest.mark.parametrize(
    ("order_id", "expected"),
    [
        (RUNNING, OllangOrderNotEligibleError),
        (FOREIGN, OllangAccessDeniedError),
        (UNKNOWN, OllangOrderNotFoundError),
    ],
)
def test_order_of_other_kind_is_refused(
    hook: OllangHook, paid: Paid, order_id: str, expected: type[OllangError]
) -> None:
    assert type(paid.failing(hook, order_id)) is expected


@pytest.mark.parametrize("option", ["no_credits", "qc_no_credits"])
@pytest.mark.parametrize("status", [402, 403])
def test_request_without_credits_is_refused(ollang: Sandbox, hook: OllangHook, option: str, status: int) -> None:
    paid = PAID["rerun" if option == "no_credits" else "evaluation"]
    ollang.change_order(ORDER, behaviour={option: status})
    error = paid.failing(hook)
    assert error.status_code == status
    assert "Not enough credits" in str(error)
    assert paid.accepted(ollang) == 0


# --- Fresh connections ----------------------------------------------------------------------------------------------


def test_paid_request_has_a_connection_of_its_own(ollang: Sandbox, hook: OllangHook, paid: Paid) -> None:
    hook.get_order(ORDER)
    paid.send(hook, ORDER)
    hook.get_order(ORDER)
    assert [entry.connection for entry in ollang.request_log] == [1, 2, 1]


def test_connection_of_paid_request_is_closed(connect: Connect, paid: Paid) -> None:
    ended = threading.Event()

    def script(peer: Peer, request: bytes) -> None:
        peer.send(http("200 OK", b'{"success": true}'))
        if peer.hung_up(5):
            ended.set()

    with RawServer(script) as server:
        paid.send(connect(server.url), ORDER)
        assert ended.wait(5)


def test_closed_connection_is_no_lost_response(connect: Connect, clock: Clock, paid: Paid) -> None:
    """A server that hangs up on every connection's second request, as one does that has just timed out."""
    body = json.dumps({"id": ORDER, "status": "completed", "success": True}).encode()

    def script(peer: Peer, request: bytes) -> None:
        peer.send(http("200 OK", body))
        peer.receive()
        peer.reset()

    with RawServer(script) as server:
        hook = connect(server.url)
        hook.get_order(ORDER)
        for _ in range(3):
            assert paid.send(hook, ORDER)["order_id"] == ORDER
    assert (len(server.requests), clock.sleeps) == (4, [])
