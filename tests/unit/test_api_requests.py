"""The requests of the protocol: which order ids are taken, and what exactly goes out."""

from __future__ import annotations

import dataclasses
import json
from collections import OrderedDict
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_ollang.client.requests import get_order, list_orders, rerun_order
from airflow_provider_ollang.client.settings import Settings
from airflow_provider_ollang.domain.arguments import is_same_order, parse_order_id
from airflow_provider_ollang.exceptions import OllangConfigurationError

ID = "60b8d6f1e1b9b1d8c6c0d8e1"
SETTINGS = Settings.from_connection("c1", password="key", host="https://ollang.example/gateway")
LINK = "https://files.example/a.vtt?Signature=canary-signature"

# --- Order ids ------------------------------------------------------------------------------------------------

ACCEPTED: list[tuple[Any, str]] = [
    (ID, ID),
    (f" {ID}\n", ID),
    ("order_1.a~b", "order_1.a~b"),
    (123, "123"),
    (0, "0"),
    ({"order_id": ID}, ID),
    ({"id": ID}, ID),
    ({"order_id": f" {ID} "}, ID),
    ({"id": 123}, "123"),
    ({"order_id": ID, "id": "another"}, ID),
    ({"id": ID, "status": "completed", "orderDocs": [{"id": "doc"}]}, ID),
    (OrderedDict(order_id=ID), ID),
    (MappingProxyType({"id": ID}), ID),
    ("...", "..."),
    ("none", "none"),
    ("a/b", "a/b"),
    ("%2e%2e", "%2e%2e"),
    ("{single}"[1:], "single}"),
    ("订单-ü", "订单-ü"),
    ("\U0001f3ac", "\U0001f3ac"),
]


@pytest.mark.parametrize(("value", "expected"), ACCEPTED, ids=lambda one: ascii(one)[:40])
def test_order_id_is_accepted(value: object, expected: str) -> None:
    assert parse_order_id(value) == expected
    assert get_order(value).order_id == rerun_order(value).order_id == expected


REFUSED: dict[str, Any] = {
    "nothing": None,
    "text None": "None",
    "empty": "",
    "blank": " \t\n",
    "true": True,
    "false": False,
    "float": 1.5,
    "bytes": ID.encode(),
    "list": [ID],
    "set": {ID},
    "tuple": (ID,),
    "object": object(),
    "empty mapping": {},
    "mapping without an id": {"orderId": ID},
    "mapping of nothing": {"order_id": None},
    "mapping of nothing, with id": {"order_id": None, "id": ID},
    "mapping of empty": {"id": ""},
    "mapping of a list": {"id": [ID]},
    "mapping of a mapping": {"order_id": {"id": ID}},
    "mapping of true": {"id": True},
    "template": "{{ params.order_id }}",
    "half a template": "order-{{",
    "template in a mapping": {"order_id": "{{ ds }}"},
    "dot": ".",
    "two dots": "..",
    "dots and spaces": " .. ",
    "NUL": "order\0id",
    "line break": "order\nid",
    "carriage return": "order\rid",
    "tab": "order\tid",
    "escape": "order\x1bid",
    "delete": "order\x7fid",
    "C1 control": "order\x85id",
    "rendered mapping": str({"order_id": ID}),
    "rendered JSON": json.dumps({"id": ID}),
    "rendered JSON in lines": json.dumps({"id": ID, "url": LINK}, indent=2),
    "rendered list": str([ID]),
    "half a character": "order\ud800",
    "endless number": 10**5000,
    "name": "Documentary - Episode 1",
    "two ids": "60b8d6f1e1b9b1d8c6c0d8e1,60b8d6f1e1b9b1d8c6c0d8e2",
}
URLS = {
    "signed URL": LINK,
    "http": LINK.replace("https", "http"),
    "in a mapping": {"id": LINK},
    "other scheme": "s3://bucket/canary-path/a.vtt?Signature=canary-signature",
    "without a scheme": "files.example/a.vtt?X-Amz-Signature=canary-signature",
    "without scheme or host": "a.vtt?canary-signature",
    "with a host only": "//files.example/canary-path",
    "encoded": quote(LINK, safe=""),
    "encoded three times": quote(quote(quote(LINK, safe=""), safe=""), safe=""),
    "file": "file:/canary-path/a.vtt",
    "data": "data:,canary",
    "data, encoded": quote("data:text/plain,canary", safe=""),
    "query without its mark": "a.vtt&sig=canary-signature",
    "half encoded": LINK.replace("?", "%3f").replace("://", "%3A//"),
    "query alone": "Expires=1&Signature=canary-signature",
    "with a password": "https://me:canary-password@files.example/a.vtt",
    "without a query": "https://files.example/canary-path/a.vtt",
    "with a line break": "https://files.example/canary-path/a.vtt\n?Signature=canary-signature",
    "with a template": f"{{{{ x }}}} {LINK}",
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_order_id_is_refused(value: object) -> None:
    for make in (parse_order_id, get_order, rerun_order):
        with pytest.raises(OllangConfigurationError, match="order_id") as caught:
            make(value)
        text = str(caught.value)
        text.encode()
        assert "\n" not in text
        assert len(text) < 500


@pytest.mark.parametrize("value", URLS.values(), ids=URLS)
def test_url_as_order_id_is_refused_and_not_shown(value: object) -> None:
    for make in (parse_order_id, get_order, rerun_order):
        with pytest.raises(OllangConfigurationError, match=r"order_id is a URL .*nothing was sent") as caught:
            make(value)
        assert "canary" not in str(caught.value)
        assert "canary" not in repr(vars(caught.value))


def test_url_as_order_id_is_named_by_its_host() -> None:
    with pytest.raises(OllangConfigurationError, match=r"\('https://files.example/…'\)"):
        parse_order_id(LINK)


class Task:
    """A task, as far as it shows that it is one."""

    task_id = "check"
    output = object()


def test_refusal_says_what_to_do() -> None:
    for value, advice in (
        (None, "upstream"),
        ([ID], r"\.expand\(order_id=\[\.\.\.\]\)"),
        ((ID,), r"\.expand\("),
        (f"{ID}, {ID}", r"\.expand\("),
        (Task(), r"`task\.output`"),
        ("{{ x }}", "template"),
        (str({"id": ID}), "task.output"),
        (json.dumps({"id": ID}, indent=2), "task.output"),
    ):
        with pytest.raises(OllangConfigurationError, match=advice):
            parse_order_id(value)


ORDER = {"name": "Sample", "vttUrl": LINK, "orderDocs": [{"id": "doc", "url": LINK}]}


@pytest.mark.parametrize(
    "value",
    [[ORDER], (ORDER,), str(ORDER), json.dumps(ORDER), json.dumps(ORDER, indent=1), {"id": ORDER}, f"{{{{ {LINK} }}}}"],
    ids=["list", "tuple", "text", "JSON", "JSON in lines", "mapping", "template"],
)
def test_refusal_shows_no_link_of_an_order(value: object) -> None:
    with pytest.raises(OllangConfigurationError) as caught:
        parse_order_id(value)
    assert "canary-signature" not in str(caught.value)


@settings(deadline=None)
@given(st.text(st.characters()))
@example("half\ud800")
def test_any_text_is_one_path_segment_or_refused(value: str) -> None:
    try:
        request = get_order(value)
    except OllangConfigurationError:
        return
    segments = urlsplit(request.url(SETTINGS)).path.split("/")
    assert segments[:-1] == ["", "gateway", "integration", "orders"]
    assert unquote(segments[-1]) == value.strip()
    assert segments[-1] not in {".", ".."}
    assert request.path.isascii()
    assert request.path.isprintable()


# --- Calls ----------------------------------------------------------------------------------------------------


def test_get_order() -> None:
    request = get_order(ID)
    assert dataclasses.asdict(request) == {
        "method": "GET",
        "path": f"/integration/orders/{ID}",
        "what": f"get order {ID}",
        "order_id": ID,
        "query": (),
        "body": None,
        "paid": False,
        "expects": "object",
    }
    assert request.url(SETTINGS) == f"https://ollang.example/gateway/integration/orders/{ID}"


def test_rerun_order() -> None:
    request = rerun_order(ID)
    assert dataclasses.asdict(request) == {
        "method": "POST",
        "path": f"/integration/orders/{ID}/rerun",
        "what": f"rerun order {ID}",
        "order_id": ID,
        "query": (),
        "body": b"{}",
        "paid": True,
        "expects": "object",
    }


@pytest.mark.parametrize(
    ("order_id", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("a%2Fb", "a%252Fb"),
        ("a#c", "a%23c"),
        ("../x", "..%2Fx"),
        ("a;b=c&d", "a%3Bb%3Dc%26d"),
        ("a\\b", "a%5Cb"),
        ("ü", "%C3%BC"),
        ("a+b@c:d", "a%2Bb%40c%3Ad"),
    ],
)
def test_order_id_is_encoded_whole(order_id: str, segment: str) -> None:
    assert get_order(order_id).path == f"/integration/orders/{segment}"
    assert rerun_order(order_id).path == f"/integration/orders/{segment}/rerun"


def test_list_orders() -> None:
    filters = {"filter[type]": "cc", "filter[name]": None, "filter[createdAtRange][from]": "2026-01-01T00:00:00+01:00"}
    request = list_orders(3, 50, filters)
    assert (request.method, request.path, request.body, request.paid, request.order_id) == (
        *("GET", "/integration/orders", None, False, None),
    )
    url = urlsplit(request.url(SETTINGS))
    assert url.path == "/gateway/integration/orders"
    assert parse_qsl(url.query, keep_blank_values=True) == [
        ("pageOptions[page]", "3"),
        ("pageOptions[take]", "50"),
        ("filter[type]", "cc"),
        ("filter[createdAtRange][from]", "2026-01-01T00:00:00+01:00"),
    ]
    assert url.query.startswith("pageOptions%5Bpage%5D=3&")


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["filter[name]", "filter[type]", "pageOptions[search]"]), st.text(st.characters()))
)
@example({"filter[name]": "half\ud800"})
def test_filters_arrive_as_given_or_are_refused(filters: dict[str, str]) -> None:
    try:
        url = list_orders(1, 10, filters).url(SETTINGS)
    except OllangConfigurationError:
        return
    assert dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)) == {
        "pageOptions[page]": "1",
        "pageOptions[take]": "10",
        **filters,
    }


def test_errors_carry_what_the_call_was() -> None:
    assert rerun_order(ID).fields() == {
        "order_id": ID,
        "method": "POST",
        "path": f"/integration/orders/{ID}/rerun",
    }


def test_a_mapping_without_an_id_is_refused_by_its_keys() -> None:
    with pytest.raises(OllangConfigurationError, match=r"without 'order_id' or 'id'; it has the keys \['name'\]"):
        parse_order_id({"name": "Pilot"})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (ID, ID, True),
        (ID.upper(), ID, True),
        (ID, ID.upper(), True),
        (ID[:-1], ID[:-1].upper(), False),
        ("proj_ABC", "proj_abc", False),
        ("5", 5, True),
        (ID, None, False),
    ],
)
def test_only_hexadecimal_ids_are_compared_without_case(one: object, other: object, same: bool) -> None:
    assert is_same_order(one, other) is same
