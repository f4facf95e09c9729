"""The requests: what exactly goes out."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_ollang.client.requests import Request, Stream, evaluate_order, get_order, list_orders, rerun_order
from airflow_provider_ollang.client.settings import Settings
from airflow_provider_ollang.exceptions import OllangConfigurationError

ID = "60b8d6f1e1b9b1d8c6c0d8e1"
SETTINGS = Settings.from_connection("c1", password="key", host="https://ollang.example/gateway")
PATH = f"/integration/orders/{ID}"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (get_order(ID), Request("GET", PATH, f"get order {ID}", ID)),
        (rerun_order(ID), Request("POST", f"{PATH}/rerun", f"rerun order {ID}", ID, body=b"{}", paid=True)),
        (
            evaluate_order(ID, None, None),
            Request("POST", f"{PATH}/qc", f"evaluate order {ID}", ID, body=b"{}", paid=True),
        ),
    ],
)
def test_request_is_exactly_this(request_: Request, expected: Request) -> None:
    assert dataclasses.asdict(request_) == dataclasses.asdict(expected)
    assert request_.expects == "object"
    assert request_.url(SETTINGS) == f"https://ollang.example/gateway{expected.path}"
    assert request_.fields() == {"order_id": ID, "method": expected.method, "path": expected.path}
    assert request_.headers() == ({} if request_.body is None else {"Content-Type": "application/json"})


def switches(**on: bool) -> dict[str, bool]:
    return {name: on.get(name, False) for name in ("accuracy", "fluency", "tone", "culturalFit")}


@pytest.mark.parametrize(
    ("criteria", "prompt", "body"),
    [
        (None, None, {}),
        (None, "", {}),
        (None, 'Is it "funny"?\nÄ 🎬', {"customPrompt": 'Is it "funny"?\nÄ 🎬'}),
        (["Accuracy"], None, switches(accuracy=True)),
        (("cultural_fit", "TONE"), None, switches(culturalFit=True, tone=True)),
        (["culturalFit", "Cultural-Fit"], None, switches(culturalFit=True)),
        ("accuracy, Tone", None, switches(accuracy=True, tone=True)),
        ({"Fluency": 90}, "x", {**switches(fluency=True), "customPrompt": "x"}),
        (["Accuracy", "Fluency", "Tone", "Cultural Fit"], None, dict.fromkeys(switches(), True)),
    ],
    ids=repr,
)
def test_criteria_and_prompt_are_the_body(criteria: Any, prompt: str | None, body: dict[str, Any]) -> None:
    sent = evaluate_order(ID, criteria, prompt).body
    assert isinstance(sent, bytes)
    assert json.loads(sent) == body


@pytest.mark.parametrize(
    ("criteria", "prompt", "words"),
    [
        (["Style"], None, "names 'Style'; there are Accuracy, Fluency, Tone, Cultural Fit"),
        (["Accuracy", "Cultural"], None, "names 'Cultural'"),
        *((names, None, "must be one or more names") for names in ([""], [], [None], ["Accuracy", ["Tone"]], 5)),
        *((None, prompt, "custom_prompt must be a text") for prompt in (object, 0, {"text": "Mind the puns"})),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_other_criterion_or_prompt_is_refused(criteria: Any, prompt: Any, words: str) -> None:
    with pytest.raises(OllangConfigurationError, match=words):
        evaluate_order(ID, criteria, prompt)


def test_list_request_leaves_out_filters_of_none() -> None:
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
def test_any_filter_arrives_as_given_or_is_refused(filters: dict[str, str]) -> None:
    try:
        url = list_orders(1, 10, filters).url(SETTINGS)
    except OllangConfigurationError:
        return
    assert dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)) == {
        "pageOptions[page]": "1",
        "pageOptions[take]": "10",
        **filters,
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
def test_order_id_is_encoded_as_one_segment(order_id: str, segment: str) -> None:
    assert get_order(order_id).path == f"/integration/orders/{segment}"
    assert rerun_order(order_id).path == f"/integration/orders/{segment}/rerun"


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


@pytest.mark.parametrize("value", [None, "", "a b", "https://files.example/a.vtt"])
def test_paid_request_refuses_what_is_no_order_id(value: object) -> None:
    for make in (get_order, rerun_order, lambda order_id: evaluate_order(order_id, None, None)):
        with pytest.raises(OllangConfigurationError, match="order_id"):
            make(value)


@pytest.mark.parametrize(
    ("content", "length"), [(b"abc", 3), (b"abc", 2), (b"abc", 4), (b"", 0), (b"x" * 200_000, 200_000)]
)
def test_stream_is_as_long_as_it_says_or_fails(content: bytes, length: int) -> None:
    stream: Any = Stream(lambda: io.BytesIO(content), length, "text/plain")
    assert len(stream) == length
    if len(content) == length:
        assert b"".join(stream) == b"".join(stream) == content
        return
    with pytest.raises(ValueError, match="not of"):
        b"".join(stream)
