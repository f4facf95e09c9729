"""JSON that is refused, or mended, since nothing could write it again."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from airflow.sdk.execution_time.comms import SetXCom

from airflow_provider_ollang.client.responses import Response
from airflow_provider_ollang.client.strict_json import parse_json
from airflow_provider_ollang.exceptions import OllangError, OllangOutcomeUnknownError, OllangUnavailableError
from tests.installed_airflow import serialize
from tests.unit.client.builders import GET, ID, LIST, RERUN, error_of, parse

BROKEN: dict[str, bytes] = {
    "NaN": b'{"status": "completed", "rate": NaN}',
    "Infinity": b'{"status": "completed", "rate": -Infinity}',
    "1e999": b'{"status": "completed", "rate": 1e999}',
    "5,000 digits": b'{"status": "completed", "rate": ' + b"9" * 5000 + b"}",
    "100,000 lists": b'{"status": "completed", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "100,000 objects": b'{"status": ' * 100_000 + b"1" + b"}" * 100_000,
    "100,000 lists, open": b'{"status": "completed", "x": ' + b"[" * 100_000,
    "bad UTF-8": b'{"status": "completed", "name": "\xff\xfe"}',
    "surrogate in UTF-8": b'{"status": "completed", "name": "\xed\xa0\x80"}',
    "UTF-16": '{"status": "completed"}'.encode("utf-16"),
    "cut": b'{"status": "completed", "orderDocs": [{"id": "doc"},',
    "two": b'{"status": "completed"}{"status": "completed"}',
    "raw line break": b'{"status": "completed", "name": "a\nb"}',
    "NUL": b"\0",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_broken_json_is_an_error_of_ours(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever says so
        parse_json(body)
    received = Response(200, {"content-type": "application/json"}, body)
    assert type(error_of(GET, received)) is type(error_of(LIST, received)) is OllangUnavailableError
    assert type(error_of(RERUN, received)) is OllangOutcomeUnknownError
    for status in (400, 403, 429, 500):
        error_of(GET, Response(status, {}, body))
        error_of(RERUN, Response(status, {}, body))


@pytest.mark.parametrize("depth", [500, 900, 950, 3000])
@pytest.mark.parametrize("shape", ["lists", "objects"])
def test_depth_at_the_edge_of_what_python_reads(depth: int, shape: str) -> None:
    """Deep enough to be read, and too deep to be shown, compared or written again."""
    deep = "[" * depth + "]" * depth if shape == "lists" else '{"a":' * depth + "1" + "}" * depth
    for name in ("id", "status", "message", "detail", "code", "orderId", "success", "data", "meta"):
        for status in (200, 400, 500):
            for request in (GET, RERUN, LIST):
                try:
                    parse(request, Response(status, {}, f'{{"{name}": {deep}}}'.encode()))
                except OllangError as error:
                    assert len(str(error)) < 1500  # noqa: PT017 - a value is fine too


HALF = '"half \\ud800 of a character"'
#: Python's JSON reads all of these; what carries XComs and logs writes none of them.
AWKWARD = {
    "half a character": HALF,
    "half a character as a name": f"{{{HALF}: 1}}",
    "half a character in a list": f"[{HALF}]",
    "21 digits": "100000000000000000000",
    "21 digits, negative": "-100000000000000000000",
    "4,000 digits": f"[{'9' * 4000}]",
    "300 lists": "[" * 300 + "]" * 300,
    "300 objects": '{"x": ' * 300 + "1" + "}" * 300,
    "900 lists": "[" * 900 + "]" * 900,
}


def hand_on(value: object) -> None:
    """Push to XCom as a task does: through Airflow's serializer, and by message to the supervisor of the task."""
    written: Any = serialize(value)
    message = SetXCom(key="k", value=written, dag_id="d", run_id="r", task_id="t", map_index=-1)
    msgspec.msgpack.encode(message.model_dump())


@pytest.mark.parametrize("inner", AWKWARD.values(), ids=AWKWARD)
def test_value_that_is_read_can_be_handed_on(inner: str) -> None:
    """Of a rerun, too, which is paid for: its receipt, or its error, must get through."""
    with contextlib.suppress(OllangUnavailableError):
        hand_on(parse(GET, Response(200, {}, f'{{"id": "{ID}", "status": "x", "inner": {inner}}}'.encode())))
    with contextlib.suppress(OllangUnavailableError):
        hand_on(parse(LIST, Response(200, {}, f'{{"data": [{{"id": "{ID}", "inner": {inner}}}]}}'.encode()))[0])
    try:
        accepted = parse(RERUN, Response(200, {}, f'{{"success": true, "message": {HALF}, "x": {inner}}}'.encode()))
    except OllangOutcomeUnknownError as error:
        hand_on(str(error))
    else:
        hand_on([accepted.value, accepted.message])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\xef\xbb\xbf[1]", [1]),
        (b'["\\ud800", {"\\udfff": 1}]', ["?", {"?": 1}]),
        (b'["\\ud83c\\udfac"]', ["\U0001f3ac"]),
        (b"[18446744073709551615, -9223372036854775808]", [2**64 - 1, -(2**63)]),
        (b"[18446744073709551616]", [2.0**64]),
    ],
)
def test_what_can_be_mended_is_mended(body: bytes, expected: object) -> None:
    value = parse_json(body)
    assert value == expected
    assert repr(value) == repr(expected)


def test_half_characters_in_an_error_do_not_travel_on() -> None:
    body = f'{{"success": false, "error": {HALF}, "message": {HALF}, "detail": [{HALF}], "code": {HALF}}}'.encode()
    headers = {"content-type": "application/json", "location": "http://half\ud800"}
    for status in (200, 302, 400, 401, 403, 404, 409, 429, 500):
        for request in (GET, RERUN, LIST):
            error = error_of(request, Response(status, headers, body))
            f"{error} {error.detail} {error.code}".encode()
