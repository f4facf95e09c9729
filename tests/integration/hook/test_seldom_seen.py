"""What HTTP and JSON allow and few servers do: both clients read it alike."""

from __future__ import annotations

import pytest

from airflow_provider_ollang.exceptions import OllangUnavailableError

from .alike import alike, async_end, sync_end
from .conftest import ORDER, Connect
from .servers import ForwardProxy, RawServer, http, says

ACCEPTED = f'{{"success": true, "orderId": "{ORDER}", "message": "Order rerun initiated successfully"}}'.encode()
BODY = f'{{"id": "{ORDER}", "status": "completed"}}'.encode()
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
    "unknown": b"HTTP/1.1 199 Whatever\r\n\r\n",
    "several": b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n",
}


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
def test_interim_response_is_read_past_by_both_clients(connect: Connect, interim: bytes) -> None:
    """RFC 9110 section 15.2: a client must be able to parse them, and http.client skips only 100."""
    with RawServer(says(interim + http("200 OK", BODY))) as server:
        hook = connect(server.url)
        for _ in range(2):
            end = alike(hook)
            assert end.error is None
            assert end.order == {"id": ORDER, "status": "completed"}
    assert len(server.requests) == 4


@pytest.mark.parametrize("interim", INTERIM.values(), ids=INTERIM)
def test_interim_response_to_paid_request_is_read_past(connect: Connect, interim: bytes) -> None:
    with RawServer(says(interim + http("200 OK", ACCEPTED))) as server:
        accepted = connect(server.url).rerun_order(ORDER)
    assert accepted["message"] == "Order rerun initiated successfully"
    assert len(server.requests) == 1


def test_interim_response_of_proxy_to_connect_is_read_past(connect: Connect) -> None:
    refusal = INTERIM["103"] + http("403 Forbidden")
    with ForwardProxy(refusal) as proxy:
        hook = connect("https://ollang.example", proxy=proxy.url)
        for end in (sync_end(hook), async_end(hook)):
            assert end.error is OllangUnavailableError
            assert "403" in end.whole_text


def test_switched_protocol_is_no_interim_response(connect: Connect) -> None:
    with RawServer(says(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", close=True)) as server:
        hook = connect(server.url, timeout=2)
        assert sync_end(hook).error is OllangUnavailableError
        assert async_end(hook).error is OllangUnavailableError


def test_json_with_byte_order_mark_is_read(connect: Connect) -> None:
    """RFC 8259 section 8.1: who reads JSON may ignore it."""
    with RawServer(says(http("200 OK", BYTE_ORDER_MARK + BODY))) as server:
        assert alike(connect(server.url)).order == {"id": ORDER, "status": "completed"}


def test_accepted_paid_request_with_byte_order_mark_is_read(connect: Connect) -> None:
    with RawServer(says(http("200 OK", BYTE_ORDER_MARK + ACCEPTED))) as server:
        assert connect(server.url).rerun_order(ORDER)["message"] == "Order rerun initiated successfully"
