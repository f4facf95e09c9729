"""The async client and the synchronous one make the same of every response."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import pytest

from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox

from .alike import alike
from .conftest import KEY, UNKNOWN, Clock
from .wire import BODY

#: What a server does; which error each status and body is, unit/client/test_responses.py shows.
FAULTS: dict[str, dict[str, Any]] = {
    "302": {"status": 302},
    "401 JSON": {"status": 401, "body": {"error": "Oh", "message": ["one", "two"], "code": "SOME_CODE"}},
    "503 HTML": {"status": 503, "body": "<html>Oh</html>"},
    **{kind: {"generate": kind} for kind in ("bad_utf8", "nested_arrays", "not_json")},
    "retry in 7 s": {"status": 429, "headers": {"Retry-After": "7"}},
    "retry at a date": {
        "status": 503,
        "headers": {"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": "Sun, 06 Nov 1994 08:49:07 GMT"},
    },
    "another order": {"body": {"id": UNKNOWN, "status": "completed"}},
    "gzip": {"body": gzip.compress(BODY), "headers": {"Content-Encoding": "gzip"}},
    "deflate": {"body": zlib.compress(BODY), "headers": {"Content-Encoding": "deflate"}},
    "key in the body": {"status": 400, "body": {"message": f"the key {KEY} is odd\r\nX: y"}},
    "key in the type": {"status": 400, "body": "no", "headers": {"Content-Type": f"text/{KEY}"}},
    **{f"dropped {when}": {"drop": when} for when in ("before", "after", "body")},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_response_is_the_same_to_both_clients(
    ollang: Sandbox, hook: OllangHook, clock: Clock, fault: dict[str, Any]
) -> None:
    ollang.add_fault(times=None, **fault)
    end = alike(hook)
    assert (end.order is not None) == ("Content-Encoding" in fault.get("headers", {}))
    assert (len(ollang.request_log), clock.sleeps) == (2, [])


def test_order_is_the_same_to_both_clients(ollang: Sandbox, hook: OllangHook) -> None:
    order_id = ollang.add_order(name="鍵 \U0001f3ac", rate=1e300, projectId=2**70, behaviour={"sign_links": False})
    end = alike(hook, {"order_id": f" {order_id}\n"})
    assert end.order is not None
    assert end.order["name"] == "鍵 \U0001f3ac"
    assert end.order["id"] == order_id
