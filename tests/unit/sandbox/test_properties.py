"""Whatever the order, the options and the times: the sandbox responds, and contradicts itself never."""

from __future__ import annotations

import copy
import dataclasses
import json
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_ollang.sandbox import Behaviour
from airflow_provider_ollang.sandbox.service import Service

SECONDS = st.floats(0, 100, allow_nan=False).map(lambda value: round(value, 1))
FIELDS = ("vttUrl", "orderDocs", "orderDocs.updatedAt", "deliveryEvents.type", "latestEvaluation.scores", "id")
ODD: list[Any] = [None, True, 0, -1.5, "", "odd", [], {}, [1], [None], {"a": None}, [{"id": []}]]
JSON = st.sampled_from(ODD)
DOCUMENT = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["doc_1", "doc 2/3"]) | JSON,
        "name": JSON,
        "url": st.just("https://example.com/a%20b/c_run1.srt?d") | JSON,
        "type": st.sampled_from(["subtitle", "sourceVideo", "invoice", "created_ai_dub_audio"]) | JSON,
        "size": JSON,
        "createdAt": JSON,
    },
)
ORDER = st.fixed_dictionaries(
    {"status": st.sampled_from(["completed", "delivered", "ongoing", None, ["completed"]])},
    optional={
        "type": st.sampled_from(["cc", "document", "studioDubbing"]) | JSON,
        "level": st.sampled_from([0, 1]) | JSON,
        "vttUrl": st.just("https://example.com/a.vtt") | JSON,
        "orderDocs": st.lists(DOCUMENT, min_size=1, max_size=3) | st.lists(DOCUMENT | JSON, max_size=3) | JSON,
        "deliveryEvents": JSON,
        "latestEvaluation": JSON,
        "createdAt": JSON,
        "name": JSON,
    },
)


def item_of(hint: Any) -> st.SearchStrategy[Any]:
    if hint is str:
        return st.sampled_from(FIELDS)
    if get_origin(hint) is dict:
        return st.dictionaries(st.text(max_size=5), SECONDS, max_size=2)
    if get_args(hint)[0] is str:
        return st.tuples(st.sampled_from(["*", "doc*"]), st.integers(-9, 9))
    return st.tuples(SECONDS, st.text(max_size=5))


def values(hint: Any) -> st.SearchStrategy[Any]:
    arguments = get_args(hint)
    if NoneType in arguments:
        return st.none() | values(next(argument for argument in arguments if argument is not NoneType))
    if get_origin(hint) is Literal:
        return st.sampled_from(arguments)
    if get_origin(hint) is tuple:
        return st.lists(item_of(arguments[0]), max_size=2).map(tuple)
    by_type: dict[Any, st.SearchStrategy[Any]] = {
        bool: st.booleans(),
        int: st.integers(0, 3),
        float: SECONDS,
        str: st.text(max_size=5),
    }
    return by_type[hint]


SPECIAL = {
    "end_status": st.sampled_from(["completed", "delivered", "failed", None]),
    "rerun_accepted_status": st.integers(200, 299),
    "error_status": st.none() | st.integers(400, 599),
    "link_lifetime": st.integers(1, 100),
}
HINTS = get_type_hints(Behaviour)
BEHAVIOUR: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.fixed_dictionaries(
    {},
    optional={
        field.name: SPECIAL.get(field.name, values(HINTS[field.name])) for field in dataclasses.fields(Behaviour)
    },
)
STEP = st.one_of(
    st.tuples(st.just("advance"), SECONDS),
    st.just(("rerun", None)),
    st.tuples(st.just("evaluate"), st.fixed_dictionaries({}, optional={"tone": JSON, "callbackUrl": JSON})),
    st.tuples(st.just("change"), ORDER),
)


class WithFiles(Service):
    @property
    def files_url(self) -> str:
        return "http://files"


def served_links(order: dict[str, Any]) -> list[list[str]]:
    """Return order, document and name in the paths of the links of an order that lead to files."""
    documents = order.get("orderDocs")
    holders = [{"url": order.get("vttUrl")}, *(documents if isinstance(documents, list) else [])]
    links = [holder.get("url") for holder in holders if isinstance(holder, dict)]
    begin = "http://files/files/"
    served = [link.removeprefix(begin) for link in links if isinstance(link, str) and link.startswith(begin)]
    return [[unquote(part) for part in link.partition("?")[0].split("/")] for link in served]


@settings(max_examples=60, deadline=None)
@given(order=ORDER, options=BEHAVIOUR, steps=st.lists(STEP, max_size=6))
def test_sandbox_always_responds(order: dict[str, Any], options: dict[str, Any], steps: list[tuple[str, Any]]) -> None:
    service = WithFiles(speed=0)
    service.add_order({"id": "x", **order}, exact=True, behaviour=options)
    for step, argument in [*steps, ("rerun", None), ("advance", 200)]:
        if step == "advance":
            service.clock.advance(argument)
        elif step == "change":
            service.change_order("x", argument)
        elif step == "evaluate":
            assert isinstance(service.evaluate_order("x", argument).body, dict)
        else:
            body = service.rerun_order("x").body
            assert isinstance(body, dict)
        shown = service.get_order("x")
        assert shown.status == 200
        assert isinstance(shown.body, dict)
        for order_id, document_id, name in served_links(shown.body):
            assert service.find_file(order_id, document_id, name) is not None, "every link leads to a file"
        assert service.list_orders("").status == 200
        json.dumps([shown.body, service.order("x"), service.overview()])


@settings(max_examples=40, deadline=None)
@given(order=ORDER, options=BEHAVIOUR, moments=st.lists(SECONDS, max_size=5))
def test_gets_change_nothing(order: dict[str, Any], options: dict[str, Any], moments: list[float]) -> None:
    ends = []
    for looks in (sorted(moments), []):
        service = WithFiles(speed=0)
        service.clock = type(service.clock)(0, lambda: 1_000_000.0)
        service.add_order({"id": "x", **order}, exact=True, behaviour=options)
        service.evaluate_order("x", {})
        service.rerun_order("x")
        passed = 0.0
        for moment in looks:
            service.clock.advance(moment - passed)
            passed = moment
            service.get_order("x")
        service.clock.advance(200 - passed)
        report = service.order("x")
        del report["history"][0]
        ends.append(copy.deepcopy([report["order"], [line["status"] for line in report["history"]]]))
    assert ends[0] == ends[1]
