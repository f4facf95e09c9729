"""Which output documents are the result of a rerun."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest

from tests.unit.builders import (
    AFTER,
    BEFORE,
    LONG_BEFORE,
    REQUESTED,
    document,
    new_document,
    new_result,
    order,
    rerun_of,
    source_document,
)

#: Later than the baseline, and older than the request.
MISSED = "2024-02-20T09:00:00Z"
IN_ITS_SECOND = "2024-03-01T12:00:00Z"
TRANSLATION = document(id="doc_translation", type="translation", size=99)
NEW_TRANSLATION = new_document(id="doc_translation_new", type="translation", size=99)
UNDATED: dict[str, Any] = {"createdAt": None, "updatedAt": None}
OLDER = {"createdAt": LONG_BEFORE, "updatedAt": LONG_BEFORE}
OLD = [document()]
NO_TYPES: list[Any] = ["", []]
NO_LISTS: list[Any] = [..., None, {}, "docs"]


def evidence_of(before: Any, now: Any, requested_at: str | None = REQUESTED) -> list[str]:
    return rerun_of(order(orderDocs=before), requested_at=requested_at).evidence(order(orderDocs=now))


NEW: dict[str, tuple[list[Any], list[Any]]] = {
    "replaced under a new id": (OLD, [new_document()]),
    "of which little is known": (OLD, [new_document(size=None, wordCount=None)]),
    "replaced, undated": (OLD, [new_document(**UNDATED)]),
    "updated in place": (OLD, [document(updatedAt=AFTER)]),
    "created again in place": (OLD, [document(createdAt=AFTER)]),
    "the same id, only another size": (OLD, [document(size=8193)]),
    "the same id, only other words": (OLD, [document(wordCount=1300)]),
    "the same id, only longer": ([document(duration=60)], [document(duration=61.5)]),
    "added after the old": (OLD, [document(), new_document()]),
    "added before the old": (OLD, [new_document(), document()]),
    "both types, each in its own way": ([*OLD, TRANSLATION], [document(size=1), TRANSLATION, NEW_TRANSLATION]),
    "no ids, later": ([document(id=None)], [document(id=None, updatedAt=AFTER)]),
    "an id only now, later": ([document(id=None)], [new_document()]),
    "an id only before, later": (OLD, [new_document(id=None)]),
    "numbers as ids": ([document(id=1)], [new_document(id=2)]),
    "respelt": ([document(type="created_ai_dub_audio")], [new_document(type="createdAiDubAudio")]),
    "one of two": ([document(), document(id="doc_b")], [new_document(), document(id="doc_b")]),
    "alongside one of no type": (
        [document(), document(id="x", type=None)],
        [new_document(), document(id="x", type=None)],
    ),
    "there was no output before": ([source_document()], [source_document(), new_document()]),
    "there was no document before": ([], [new_document()]),
    "none before, undated now": ([], [new_document(**UNDATED)]),
    "none before, without id now": ([], [new_document(id=None)]),
}


@pytest.mark.parametrize(("before", "now"), NEW.values(), ids=NEW)
def test_documents_are_new(before: list[Any], now: list[Any]) -> None:
    for requested_at in (REQUESTED, None):
        assert evidence_of(before, now, requested_at) == ["documents"]


NOT_NEW: dict[str, tuple[Any, Any]] = {
    "signed again": (OLD, [document(url="https://storage.ollang.com/french.srt?sign=2")]),
    "renamed": (OLD, [document(name="Renamed", sourceLanguage="de")]),
    "respelt": (OLD, [document(type="Subtitle")]),
    "facts gone": (OLD, [document(size=None, **UNDATED)]),
    "its id gone": (OLD, [document(id=None)]),
    "its type gone": (OLD, [document(type=None)]),
    "its size known only now": ([document(size=None)], [document(size=8192)]),
    "id and times known now": ([document(id=None, **UNDATED)], OLD),
    "its type known only now": ([document(type=None)], OLD),
    "one id, listed twice": ([document(), document(size=9)], [document(size=9), document()]),
    "doubled": (OLD, [document(), document()]),
    "gone": (OLD, []),
    "the list gone": (OLD, None),
    "no documents at all": (OLD, [None, "new", 5, [new_document()]]),
    "another type only": (OLD, [new_document(type="translation")]),
    "one of two types": ([document(), TRANSLATION], [new_document(), TRANSLATION]),
    "one of two types, the other gone": ([document(), TRANSLATION], [new_document()]),
    "an old version listed since": ([document(id="v2")], [document(id="v2"), document(id="v1", **OLDER)]),
    "an older time": (OLD, [document(updatedAt=LONG_BEFORE)]),
    "an older state, from a lagging replica": (OLD, [document(size=7000, **OLDER)]),
    "a new source": (OLD, [source_document(id="new", updatedAt=AFTER)]),
    "none before, a source now": ([], [source_document(id="new", updatedAt=AFTER)]),
    "none before, none now": ([], []),
    "none before, one of no type now": ([], [new_document(type=None)]),
    "an invoice": (OLD, [*OLD, new_document(type="invoice")]),
    "none before, an invoice now": ([], [new_document(type="created_thumbnail")]),
    "all types gone": ([source_document(), document(type=None)], [source_document(type=None), document(type=None)]),
    # What has no type may be an invoice.
    **{f"type {kind!r}": ([document(type=kind)], [document(type=kind), new_document(type=kind)]) for kind in NO_TYPES},
}


@pytest.mark.parametrize(("before", "now"), NOT_NEW.values(), ids=NOT_NEW)
def test_documents_are_not_new(before: Any, now: Any) -> None:
    for requested_at in (REQUESTED, None):
        assert evidence_of(before, now, requested_at) == []


NEWER = new_document(createdAt=None, updatedAt=MISSED)
#: The table of :class:`Rerun`, as for events.
TABLE: list[tuple[str, str, bool, bool, Any, dict[str, Any], str | None]] = [
    ("no", "no", True, False, OLD, document(), REQUESTED),
    ("no, older", "no", True, False, OLD, document(id="v0", createdAt=None, updatedAt=LONG_BEFORE), REQUESTED),
    ("no, in place", "no", True, False, OLD, document(updatedAt=LONG_BEFORE, size=1), REQUESTED),
    ("yes", "yes", False, True, OLD, new_document(), REQUESTED),
    ("yes", "yes", False, True, OLD, new_document(createdAt="2024-03-01T12:00:00.25Z", updatedAt=None), REQUESTED),
    ("yes", "unknown", False, True, OLD, new_document(**UNDATED), REQUESTED),
    ("yes", "unknown", False, True, OLD, document(id="doc_new"), None),
    ("yes", "no", False, False, OLD, NEWER, REQUESTED),
    ("yes", "no", True, True, OLD, NEWER, REQUESTED),
    ("yes, old times", "no", False, False, OLD, document(id="doc_new"), REQUESTED),
    ("yes, old times", "no", True, True, OLD, document(id="doc_new"), REQUESTED),
    ("yes, in place", "no", False, False, OLD, document(updatedAt=MISSED, size=9000), REQUESTED),
    ("yes, in place", "no", False, False, OLD, document(updatedAt=IN_ITS_SECOND), REQUESTED),
    ("yes, in place", "no", True, True, OLD, document(updatedAt=MISSED), REQUESTED),
    ("in place, undated", "same", False, True, OLD, document(size=1), REQUESTED),
    ("yes, none listed", "no", False, False, [], NEWER, REQUESTED),
    ("yes, none listed", "no", False, False, [], document(createdAt=None, updatedAt=IN_ITS_SECOND), REQUESTED),
    ("yes, none listed", "no", True, True, [], NEWER, REQUESTED),
    *(("no list", "yes", False, True, before, new_document(), REQUESTED) for before in NO_LISTS),
    ("no list", "no", True, False, None, NEWER, REQUESTED),
    ("no list", "unknown", True, False, None, new_document(), None),
    ("no list", "unknown", True, False, None, new_document(**UNDATED), REQUESTED),
    ("no list", "auxiliary", True, False, None, new_document(type="invoice"), REQUESTED),
]


@pytest.mark.parametrize(("later", "dated_after", "confirmed", "counts", "before", "now", "requested_at"), TABLE)
def test_document_counts_by_the_table(
    later: str, dated_after: str, before: Any, now: Any, requested_at: str | None, confirmed: bool, counts: bool
) -> None:
    rerun = replace(rerun_of(order(orderDocs=before), requested_at=requested_at), baseline_confirmed=confirmed)
    polled = order(orderDocs=[now])
    assert rerun.evidence(polled) == ["documents"] * counts
    assert rerun.withholds(polled) is (later.startswith("yes") and dated_after == "no" and not confirmed)


def test_documents_of_an_earlier_run_do_not_hide_the_new() -> None:
    missed = document(id="doc_b", createdAt=MISSED, updatedAt=MISSED)
    assert evidence_of(OLD, [missed]) == []
    assert evidence_of(OLD, [missed, new_document()]) == ["documents"]


def test_new_outputs_are_listed_newest_first() -> None:
    older, newer = (new_document(id=name, updatedAt=f"2024-03-01T13:0{name}:00Z") for name in "12")
    polled = order(orderDocs=[older, document(), newer, source_document()])
    assert [output.id for output in rerun_of(order()).new_outputs(polled)] == ["2", "1"]


# --- Many documents -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "counts"),
    [
        ({}, False),
        ({"updatedAt": AFTER}, True),
        ({"updatedAt": LONG_BEFORE, "size": 3}, False),
        ({"size": 3}, True),
        ({"size": 2}, False),
        ({"wordCount": 3}, True),
        ({"duration": 3}, False),
    ],
)
def test_documents_without_ids_are_later_than_all_or_none(now: dict[str, Any], counts: bool) -> None:
    before = [document(id=None, size=1), document(id=None, size=2, duration=2)]
    polled = order(orderDocs=[document(**{"id": None, "size": 1, **now})])
    assert rerun_of(order(orderDocs=before)).outputs_changed(polled) is counts


def test_documents_without_ids_that_were_created_apart_are_new_once_updated() -> None:
    before = [
        document(id=None, createdAt=LONG_BEFORE, updatedAt=None, size=1),
        document(id=None, createdAt=BEFORE, updatedAt=BEFORE, size=2),
    ]
    now = [{**each, "updatedAt": AFTER, "size": each["size"] + 10} for each in before]
    assert rerun_of(order(orderDocs=before)).outputs_complete(order(orderDocs=now))


def test_hundreds_of_documents_without_ids_prove_the_result() -> None:
    before, now = ([make(id=None, size=size) for size in range(300)] for make in (document, new_document))
    assert evidence_of(before, now) == ["documents"]


def test_document_without_id_is_not_new_if_one_is_undated() -> None:
    before = [document(id=None), document(id=None, **UNDATED)]
    assert not rerun_of(order(orderDocs=before)).outputs_changed(new_result())


def work(act: Callable[[], object]) -> int:
    """Count the steps that the interpreter takes in the provider's own code."""
    steps = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal steps
        if "airflow_provider_ollang" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return steps


LATER: dict[str, Any] = {"createdAt": AFTER, "updatedAt": AFTER}


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({}, LATER),
        ({}, {"id": "new_{}", **LATER}),
        ({"id": None}, {"id": None}),
        ({"id": None}, {"id": None, **LATER}),
        ({"id": None, **UNDATED}, {"id": None, **UNDATED, "wordCount": 7}),
        ({"id": "one"}, {"id": "one", "updatedAt": AFTER}),
        ({"id": None}, LATER),
    ],
    ids=["in place", "replaced", "the same, without ids", "without ids", "undated", "all of one id", "ids only now"],
)
def test_documents_are_compared_in_linear_time(before: dict[str, Any], now: dict[str, Any]) -> None:
    """A poll of an order with thousands must not hold up the event loop of the triggerer."""

    def documents(count: int, changes: dict[str, Any]) -> list[dict[str, Any]]:
        made = ({"id": f"doc_{number}", "size": number, **changes} for number in range(count))
        return [document(**{**each, "id": each["id"] and each["id"].format(each["size"])}) for each in made]

    def steps(count: int) -> int:
        rerun = rerun_of(order(orderDocs=documents(count, before)))
        polled = order(orderDocs=documents(count, now))
        return work(lambda: (rerun.evidence(polled), rerun.withholds(polled), rerun.outputs_complete(polled)))

    assert steps(400) < 11 * steps(40)
