"""What proves that a finished order shows the result of its rerun, and everything that only looks like it."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from airflow_provider_ollang.domain.freshness import Rerun
from airflow_provider_ollang.domain.orders import document_kind
from tests.unit.builders import (
    AFTER,
    BEFORE,
    LONG_BEFORE,
    REQUESTED,
    document,
    event,
    new_document,
    new_result,
    order,
    rerun_of,
    source_document,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

#: Between the old result and the rerun: what a baseline taken of a lagging replica does not show.
MISSED = "2024-02-20T09:00:00Z"
OLD_EVENTS = order()["deliveryEvents"]


def holds(rerun: Rerun, seen: dict[str, Any]) -> bool:
    """Tell whether there is any evidence, and check that all that a rerun says about an order agrees."""
    found = rerun.evidence(seen)
    assert ("event" in found) is bool(rerun.new_events(seen))
    assert "documents" not in found or rerun.outputs_changed(seen)
    assert rerun.describe_comparison(seen)
    return bool(found)


def test_nothing_is_new_in_the_order_itself() -> None:
    assert rerun_of(order()).evidence(order()) == []


def test_all_kinds_of_evidence_at_once() -> None:
    rerun = rerun_of(order(), seen_running=True)
    assert rerun.evidence(new_result(deliveryEvents=[*OLD_EVENTS, event()])) == ["event", "documents", "running"]


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "delivered"},
        {"createdAt": AFTER},
        {"updatedAt": AFTER},
        {"vttUrl": "https://storage.ollang.com/another.vtt?sign=2"},
        {"vttUrl": None},
        {"finance": {"paymentAmount": 301.5}},
        {"name": "Renamed"},
        {"latestEvaluation": {"id": "eval_new", "createdAt": AFTER}},
        {"level": 1},
        {"level": None},
        {"rate": 0.2, "folderId": "another", "comments": [{"createdAt": AFTER}]},
    ],
    ids=",".join,
)
def test_what_proves_nothing_about_an_order(changes: dict[str, Any]) -> None:
    assert not holds(rerun_of(order()), order(**changes))


class TestEvents:
    @pytest.mark.parametrize("level", [0, 1, None])
    def test_order_delivered_counts_at_every_level(self, level: int | None) -> None:
        rerun = rerun_of(order(level=level))
        assert rerun.evidence(order(level=level, deliveryEvents=[*OLD_EVENTS, event("order_delivered")])) == ["event"]

    @pytest.mark.parametrize("kind", ["lsp_approved", "translator_delivered"])
    @pytest.mark.parametrize("level", [0, 1, None])
    def test_of_a_step_of_the_review_prove_nothing(self, kind: str, level: int | None) -> None:
        rerun = rerun_of(order(level=level))
        assert rerun.evidence(order(level=level, deliveryEvents=[*OLD_EVENTS, event(kind)])) == []

    @pytest.mark.parametrize("by_the_ai", [True, False])
    def test_of_a_later_review_count_once_the_ai_has_delivered(self, *, by_the_ai: bool) -> None:
        kinds = ["ai_delivered", "order_delivered"] if by_the_ai else ["order_delivered"]
        events = [*OLD_EVENTS, *map(event, kinds)]
        found = rerun_of(order(level=0)).evidence(order(level=1, deliveryEvents=events))
        assert found == (["event"] if by_the_ai else [])

    @pytest.mark.parametrize(
        ("level_before", "level_now", "counts"),
        [
            (0, 0, True),
            (0.0, 0, True),
            (1, 1, False),
            (2, 2, False),
            (1, 0, False),
            (0, 1, False),
            (None, 0, False),
            ("0", 0, False),
            (False, False, False),
            (..., 0, False),
        ],
    )
    def test_of_the_ai_count_only_without_human_review(
        self, level_before: object, level_now: object, *, counts: bool
    ) -> None:
        rerun = rerun_of(order(level=level_before))
        seen = order(level=level_now, deliveryEvents=[*OLD_EVENTS, event("ai_delivered")])
        assert rerun.evidence(seen) == (["event"] if counts else [])

    @pytest.mark.parametrize(
        "odd",
        [
            event("assigned"),
            event("Order_Delivered"),
            event(None),
            event(5),
            event([]),
            event({}),
            event(["order_delivered"]),
            event(at=None),
            event(at="soon"),
            event(at=1709295000),
            event(at=[AFTER]),
            event(at=BEFORE),
            event(at=LONG_BEFORE),
            event(at="2024-01-16T14:20:00"),
            event(at="2024-01-16T16:20:00+02:00"),
            {},
            None,
            "order_delivered",
            [event()],
        ],
        ids=repr,
    )
    def test_that_report_no_new_result(self, odd: object) -> None:
        assert not holds(rerun_of(order()), order(deliveryEvents=[*OLD_EVENTS, odd]))

    @pytest.mark.parametrize("events", [..., None, [], {}, "events", [None, 5, []]])
    def test_may_be_gone(self, events: object) -> None:
        assert not holds(rerun_of(order()), order(deliveryEvents=events))

    def test_count_wherever_in_the_list_they_are(self) -> None:
        new = event()
        assert rerun_of(order()).new_events(order(deliveryEvents=[new, None, *OLD_EVENTS])) == [new]

    def test_of_the_same_kind_may_repeat(self) -> None:
        first, second = event(at="2024-03-01T12:05:00Z"), event(at=AFTER)
        assert rerun_of(order()).new_events(order(deliveryEvents=[*OLD_EVENTS, first, second])) == [first, second]

    def test_already_known_prove_nothing_when_listed_again(self) -> None:
        assert not holds(rerun_of(order()), order(deliveryEvents=[*OLD_EVENTS, *OLD_EVENTS]))

    def test_may_be_a_millisecond_later(self) -> None:
        rerun = rerun_of(order(deliveryEvents=[event(at="2024-03-01T12:00:01.000Z")]))
        assert holds(rerun, order(deliveryEvents=[event(at="2024-03-01T12:00:01.001Z")]))

    @pytest.mark.parametrize("requested_at", [REQUESTED, None])
    def test_the_baseline_listed_none_so_any_is_new(self, requested_at: str | None) -> None:
        rerun = rerun_of(order(deliveryEvents=[]), requested_at=requested_at)
        assert rerun.evidence(order(deliveryEvents=[event()])) == ["event"]

    @pytest.mark.parametrize(
        ("requested_at", "at", "counts"),
        [
            pytest.param(REQUESTED, AFTER, True, id="after the request"),
            pytest.param(REQUESTED, BEFORE, False, id="before it"),
            pytest.param(REQUESTED, "2024-03-01T12:00:00Z", False, id="in its second"),
            pytest.param(REQUESTED, "2024-03-01T12:00:00.100Z", True, id="just after it"),
            pytest.param(None, AFTER, False, id="the request has no date"),
            pytest.param("Fri, 01 Mar 2024", AFTER, False, id="the request has a garbled date"),
        ],
    )
    @pytest.mark.parametrize("before", [..., None, {}, "none"], ids=repr)
    def test_the_baseline_had_no_list_so_the_request_decides(
        self, before: object, requested_at: str | None, at: str, *, counts: bool
    ) -> None:
        rerun = rerun_of(order(deliveryEvents=before), requested_at=requested_at)
        assert rerun.evidence(order(deliveryEvents=[event(at=at)])) == (["event"] if counts else [])

    def test_the_baseline_listed_only_undated_ones(self) -> None:
        rerun = rerun_of(order(deliveryEvents=[event(at=None), event("ai_delivered", "soon")]))
        assert not holds(rerun, order(deliveryEvents=[event(at=BEFORE)]))
        assert holds(rerun, order(deliveryEvents=[event(at=AFTER)]))

    def test_the_baseline_listed_only_undated_ones_and_the_request_has_no_date(self) -> None:
        rerun = rerun_of(order(deliveryEvents=[event(at=None)]), requested_at=None)
        assert not holds(rerun, order(deliveryEvents=[event(at=BEFORE)]))

    @pytest.mark.parametrize("listed", [[], [event(at=LONG_BEFORE)]], ids=["none", "an older one"])
    def test_that_happened_before_the_request_are_of_an_earlier_run(self, listed: list[Any]) -> None:
        rerun = rerun_of(order(deliveryEvents=listed))
        assert not holds(rerun, order(deliveryEvents=[*listed, event(at=MISSED)]))
        assert holds(rerun, order(deliveryEvents=[*listed, event(at=MISSED), event(at=AFTER)]))

    def test_without_a_date_of_the_request_only_the_baseline_counts(self) -> None:
        rerun = rerun_of(order(), requested_at=None)
        assert holds(rerun, order(deliveryEvents=[*OLD_EVENTS, event(at=MISSED)]))


TRANSLATION = document(id="doc_translation", type="translation", size=99)
NEW_TRANSLATION = new_document(id="doc_translation_new", type="translation", size=99)


class TestDocuments:
    @pytest.mark.parametrize(
        ("before", "now"),
        [
            pytest.param([document()], [new_document()], id="replaced under a new id"),
            pytest.param([document()], [new_document(size=None, wordCount=None)], id="of which little is known"),
            pytest.param([document()], [new_document(createdAt=None, updatedAt=None)], id="replaced, undated"),
            pytest.param([document()], [document(updatedAt=AFTER)], id="updated in place"),
            pytest.param([document()], [document(createdAt=AFTER)], id="created anew in place"),
            pytest.param([document()], [document(size=8193)], id="the same id, only another size"),
            pytest.param([document()], [document(wordCount=1300)], id="the same id, only other words"),
            pytest.param([document(duration=60)], [document(duration=61.5)], id="the same id, only longer"),
            pytest.param([document()], [document(), new_document()], id="added beside the old"),
            pytest.param([document()], [new_document(), document()], id="added before the old"),
            pytest.param([document(), TRANSLATION], [new_document(), NEW_TRANSLATION], id="both types"),
            pytest.param(
                [document(), TRANSLATION],
                [document(size=1), TRANSLATION, NEW_TRANSLATION],
                id="both types, each in its own way",
            ),
            pytest.param([document(id=None)], [document(id=None, updatedAt=AFTER)], id="no ids, later"),
            pytest.param([document(id=None)], [new_document()], id="an id only now, later"),
            pytest.param([document()], [new_document(id=None)], id="an id only before, later"),
            pytest.param([document(id=1)], [new_document(id=2)], id="numbers as ids"),
            pytest.param(
                [document(type="created_ai_dub_audio")], [new_document(type="createdAiDubAudio")], id="respelt"
            ),
            pytest.param([document(), document(id="doc_b")], [new_document(), document(id="doc_b")], id="one of two"),
            pytest.param([source_document()], [source_document(), new_document()], id="there was no output before"),
            pytest.param([], [new_document()], id="there was no document before"),
            pytest.param([], [new_document(createdAt=None, updatedAt=None)], id="none before, undated now"),
            pytest.param([], [new_document(id=None)], id="none before, without id now"),
        ],
    )
    @pytest.mark.parametrize("requested_at", [REQUESTED, None])
    def test_that_are_a_new_result(self, before: list[Any], now: list[Any], requested_at: str | None) -> None:
        rerun = rerun_of(order(orderDocs=before), requested_at=requested_at)
        assert rerun.evidence(order(orderDocs=now)) == ["documents"]

    @pytest.mark.parametrize(
        ("before", "now"),
        [
            pytest.param(
                [document()], [document(url="https://storage.ollang.com/french.srt?sign=2")], id="signed anew"
            ),
            pytest.param([document()], [document(name="Renamed", sourceLanguage="de")], id="renamed"),
            pytest.param([document()], [document(type="Subtitle")], id="respelt"),
            pytest.param([document()], [document(size=None, updatedAt=None, createdAt=None)], id="facts gone"),
            pytest.param([document()], [document(id=None)], id="its id gone"),
            pytest.param([document()], [document(type=None)], id="its type gone"),
            pytest.param([document(size=None)], [document(size=8192)], id="its size known only now"),
            pytest.param(
                [document(id=None, updatedAt=None, createdAt=None)], [document()], id="id and times known now"
            ),
            pytest.param([document(type=None)], [document()], id="its type known only now"),
            pytest.param([document(), document(size=9)], [document(size=9), document()], id="one id, listed twice"),
            pytest.param([document()], [document(), document()], id="doubled"),
            pytest.param([document()], [], id="gone"),
            pytest.param([document()], None, id="the list gone"),
            pytest.param([document()], [None, "new", 5, [new_document()]], id="no documents at all"),
            pytest.param([document()], [new_document(type="translation")], id="another type only"),
            pytest.param([document(), TRANSLATION], [new_document(), TRANSLATION], id="one of two types"),
            pytest.param([document(), TRANSLATION], [new_document()], id="one of two types, the other gone"),
            pytest.param(
                [document(id="v2", updatedAt=BEFORE, createdAt=BEFORE)],
                [
                    document(id="v2", updatedAt=BEFORE, createdAt=BEFORE),
                    document(id="v1", updatedAt=LONG_BEFORE, createdAt=LONG_BEFORE),
                ],
                id="an old version listed since",
            ),
            pytest.param([document()], [document(updatedAt=LONG_BEFORE)], id="an older time"),
            pytest.param(
                [document()],
                [document(updatedAt=LONG_BEFORE, createdAt=LONG_BEFORE, size=7000)],
                id="an older state, from a lagging replica",
            ),
            pytest.param([document()], [source_document(id="new", updatedAt=AFTER)], id="a new source"),
            pytest.param([], [source_document(id="new", updatedAt=AFTER)], id="none before, a source now"),
            pytest.param([], [], id="none before, none now"),
            pytest.param([], [new_document(type=None)], id="none before, one of no type now"),
        ],
    )
    @pytest.mark.parametrize("requested_at", [REQUESTED, None])
    def test_that_are_not(self, before: list[Any], now: list[Any], requested_at: str | None) -> None:
        assert not holds(rerun_of(order(orderDocs=before), requested_at=requested_at), order(orderDocs=now))

    @pytest.mark.parametrize(
        "document_type",
        [
            "invoice",
            "guideline",
            "glossary",
            "guideline_glossary",
            "character_list",
            "created_thumbnail",
            "created_waveform",
            "created_compressed_video",
            "created_embedded_video",
            "createdSubtitleEmbeddedVideo",
            "created_source_vocals_only_audio",
        ],
    )
    @pytest.mark.parametrize("before", [[document()], [source_document()], []], ids=["subtitles", "source", "nothing"])
    def test_auxiliary_ones_never_are(self, document_type: str, before: list[Any]) -> None:
        assert document_kind(document_type) == "auxiliary"
        new = new_document(type=document_type)
        assert not holds(rerun_of(order(orderDocs=before)), order(orderDocs=[*before, new]))

    @pytest.mark.parametrize("no_type", [None, "", [], True], ids=repr)
    @pytest.mark.parametrize("requested_at", [REQUESTED, None])
    def test_of_no_type_may_be_an_invoice(self, no_type: object, requested_at: str | None) -> None:
        before = [source_document(type=no_type), document(type=no_type)]
        rerun = rerun_of(order(orderDocs=before), requested_at=requested_at)
        assert not holds(rerun, order(orderDocs=[*before, new_document(id="doc_invoice", type=no_type)]))

    def test_of_no_type_do_not_hide_the_others(self) -> None:
        untyped = document(id="doc_untyped", type=None)
        rerun = rerun_of(order(orderDocs=[document(), untyped]))
        assert rerun.evidence(order(orderDocs=[new_document(), untyped])) == ["documents"]

    @pytest.mark.parametrize(("count", "counts"), [(100, True), (101, False)])
    def test_too_many_without_ids_prove_nothing(self, count: int, *, counts: bool) -> None:
        rerun = rerun_of(order(orderDocs=[document(id=None, size=size) for size in range(count)]))
        now = order(orderDocs=[new_document(id=None, size=size) for size in range(count)])
        assert rerun.evidence(now) == (["documents"] if counts else [])

    def test_whose_types_vanish_later_prove_nothing(self) -> None:
        before = [source_document(), document(type=None)]
        rerun = rerun_of(order(orderDocs=before))
        assert not holds(rerun, order(orderDocs=[source_document(type=None), document(type=None)]))

    @pytest.mark.parametrize("before", [..., None, {}, "docs"], ids=repr)
    def test_the_baseline_had_no_list_so_the_request_decides(self, before: object) -> None:
        rerun = rerun_of(order(orderDocs=before))
        assert not holds(rerun, order(orderDocs=[document()]))
        assert not holds(rerun, order(orderDocs=[document(updatedAt=None, createdAt=None)]))
        assert not holds(rerun, order(orderDocs=[new_document(type="invoice")]))
        assert holds(rerun, order(orderDocs=[new_document()]))

    @pytest.mark.parametrize("before", [..., None], ids=repr)
    def test_the_baseline_had_no_list_and_the_request_has_no_date(self, before: object) -> None:
        assert not holds(rerun_of(order(orderDocs=before), requested_at=None), order(orderDocs=[new_document()]))

    @pytest.mark.parametrize(
        ("before", "now"),
        [
            pytest.param([], [document()], id="the baseline listed none"),
            pytest.param(
                [],
                [document(createdAt=None, updatedAt="2024-03-01T12:00:00Z")],
                id="the baseline listed none, in the second of the request",
            ),
            pytest.param([document()], [document(id="doc_b", createdAt=MISSED, updatedAt=MISSED)], id="another id"),
            pytest.param([document()], [document(updatedAt=MISSED)], id="updated in place"),
            pytest.param([document()], [document(updatedAt=MISSED, size=9000)], id="updated in place, another size"),
            pytest.param([document()], [document(updatedAt="2024-03-01T12:00:00Z")], id="in the second of the request"),
        ],
    )
    def test_written_before_the_request_are_of_an_earlier_run(self, before: list[Any], now: list[Any]) -> None:
        rerun = rerun_of(order(orderDocs=before))
        assert not holds(rerun, order(orderDocs=now))
        assert holds(rerun, order(orderDocs=[*now, new_document()]))

    def test_replaced_under_a_new_id_that_keeps_its_times(self) -> None:
        now = [document(id="doc_new")]
        assert holds(rerun_of(order(), requested_at=None), order(orderDocs=now))

    def test_replaced_within_a_second_of_the_request(self) -> None:
        now = [new_document(createdAt="2024-03-01T12:00:00.250Z", updatedAt=None)]
        assert holds(rerun_of(order()), order(orderDocs=now))

    def test_new_outputs_are_listed_newest_first(self) -> None:
        older, newer = (new_document(id=name, updatedAt=f"2024-03-01T13:0{name}:00Z") for name in "12")
        seen = order(orderDocs=[older, document(), newer, source_document()])
        assert [one.id for one in rerun_of(order()).new_outputs(seen)] == ["2", "1"]


class TestRunning:
    def test_having_been_seen_is_enough(self) -> None:
        assert rerun_of(order(), seen_running=True).evidence(order()) == ["running"]

    @pytest.mark.parametrize(
        ("level_before", "level_now", "counts"),
        [
            (1, 1, True),
            (0, 0, True),
            (0, 1, True),
            (1, 0, False),
            (2, 1, False),
            (1, 0.0, False),
            (1, None, True),
            (1, ..., True),
            (1, "0", True),
            (None, 0, True),
            (..., 0, True),
        ],
    )
    def test_unless_the_level_dropped(self, level_before: object, level_now: object, *, counts: bool) -> None:
        rerun = rerun_of(order(level=level_before), seen_running=True)
        assert rerun.evidence(order(level=level_now)) == (["running"] if counts else [])

    def test_a_dropped_level_does_not_take_back_other_evidence(self) -> None:
        rerun = rerun_of(order(level=1), seen_running=True)
        assert rerun.evidence(new_result(level=0, deliveryEvents=[event()])) == ["event", "documents"]


class TestShowsRunning:
    """A poll shows the rerun at work only if the level is the baseline's."""

    @pytest.mark.parametrize(
        ("level_before", "level_now", "shown"),
        [
            (0, 0, True),
            (1, 1, True),
            (0, 0.0, True),
            (0, 1, False),
            (1, 0, False),
            (1, 2, False),
            (None, 1, True),
            (0, None, True),
            (..., 1, True),
            (0, ..., True),
            (0, "1", True),
        ],
    )
    def test_unless_the_level_has_moved(self, level_before: object, level_now: object, *, shown: bool) -> None:
        rerun = rerun_of(order(level=level_before))
        assert rerun.shows_running(order("ongoing", level=level_now)) is shown

    @pytest.mark.parametrize("status", ["completed", "delivered", "failed", "cancelled", "revision"])
    def test_not_in_a_status_without_work(self, status: str) -> None:
        assert not rerun_of(order()).shows_running(order(status))


NEWER = "2024-03-01T11:59:00Z"  # than the baseline, and older than the request


class TestTruthTable:
    """Each row of the table that :class:`Rerun` has."""

    #: (later than the baseline's, dated after the request, baseline confirmed, counts), and what plays it.
    EVENTS: ClassVar[tuple[Any, ...]] = (
        ("no", "no", False, False, OLD_EVENTS, BEFORE, REQUESTED),
        ("no", "no", True, False, OLD_EVENTS, BEFORE, REQUESTED),
        ("no", "unknown", True, False, OLD_EVENTS, BEFORE, None),
        ("yes", "yes", False, True, OLD_EVENTS, AFTER, REQUESTED),
        ("yes", "yes", True, True, OLD_EVENTS, AFTER, REQUESTED),
        ("yes", "unknown", False, True, OLD_EVENTS, NEWER, None),
        ("yes", "no", False, False, OLD_EVENTS, NEWER, REQUESTED),
        ("yes", "no", True, True, OLD_EVENTS, NEWER, REQUESTED),
        ("yes, none listed", "no", False, False, [], NEWER, REQUESTED),
        ("yes, none listed", "no", True, True, [], NEWER, REQUESTED),
        ("no list", "yes", False, True, None, AFTER, REQUESTED),
        ("no list", "no", True, False, None, NEWER, REQUESTED),
        ("no list", "unknown", True, False, None, NEWER, None),
        ("undated list", "yes", False, True, [event(at=None)], AFTER, REQUESTED),
        ("undated list", "no", True, False, [event(at=None)], NEWER, REQUESTED),
    )

    @pytest.mark.parametrize(("later", "dated_after", "confirmed", "counts", "before", "at", "requested_at"), EVENTS)
    def test_of_events(
        self,
        later: str,
        dated_after: str,
        before: Any,
        at: str,
        requested_at: str | None,
        *,
        confirmed: bool,
        counts: bool,
    ) -> None:
        rerun = replace(rerun_of(order(deliveryEvents=before), requested_at=requested_at), baseline_confirmed=confirmed)
        seen = order(deliveryEvents=[*(before or []), event(at=at)])
        assert rerun.evidence(seen) == (["event"] if counts else []), (later, dated_after)
        assert rerun.withholds(seen) is (later.startswith("yes") and dated_after == "no" and not confirmed)

    DOCUMENTS: ClassVar[tuple[Any, ...]] = (
        ("no", "no", True, False, [document()], document(), REQUESTED),
        (
            "no, older",
            "no",
            True,
            False,
            [document()],
            document(id="v0", createdAt=None, updatedAt=LONG_BEFORE),
            REQUESTED,
        ),
        ("no, in place", "no", True, False, [document()], document(updatedAt=LONG_BEFORE, size=1), REQUESTED),
        ("yes", "yes", False, True, [document()], new_document(), REQUESTED),
        ("yes", "unknown", False, True, [document()], new_document(createdAt=None, updatedAt=None), REQUESTED),
        ("yes", "unknown", False, True, [document()], document(id="doc_new"), None),
        ("yes", "no", False, False, [document()], new_document(createdAt=None, updatedAt=NEWER), REQUESTED),
        ("yes", "no", True, True, [document()], new_document(createdAt=None, updatedAt=NEWER), REQUESTED),
        ("yes, old times", "no", False, False, [document()], document(id="doc_new"), REQUESTED),
        ("yes, old times", "no", True, True, [document()], document(id="doc_new"), REQUESTED),
        ("yes, in place", "no", False, False, [document()], document(updatedAt=NEWER), REQUESTED),
        ("yes, in place", "no", True, True, [document()], document(updatedAt=NEWER), REQUESTED),
        ("in place, undated", "same", False, True, [document()], document(size=1), REQUESTED),
        ("yes, none listed", "no", False, False, [], new_document(createdAt=None, updatedAt=NEWER), REQUESTED),
        ("yes, none listed", "no", True, True, [], new_document(createdAt=None, updatedAt=NEWER), REQUESTED),
        ("no list", "yes", False, True, None, new_document(), REQUESTED),
        ("no list", "no", True, False, None, new_document(createdAt=None, updatedAt=NEWER), REQUESTED),
        ("no list", "unknown", True, False, None, new_document(), None),
        ("no list", "unknown", True, False, None, new_document(createdAt=None, updatedAt=None), REQUESTED),
    )

    @pytest.mark.parametrize(
        ("later", "dated_after", "confirmed", "counts", "before", "now", "requested_at"), DOCUMENTS
    )
    def test_of_documents(
        self,
        later: str,
        dated_after: str,
        before: Any,
        now: dict[str, Any],
        requested_at: str | None,
        *,
        confirmed: bool,
        counts: bool,
    ) -> None:
        rerun = replace(rerun_of(order(orderDocs=before), requested_at=requested_at), baseline_confirmed=confirmed)
        seen = order(orderDocs=[now])
        assert rerun.evidence(seen) == (["documents"] if counts else []), (later, dated_after)
        assert rerun.withholds(seen) is (later.startswith("yes") and dated_after == "no" and not confirmed)


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


class TestPollOlderThanBaseline:
    """A lagging replica may show the previous run, at work or done."""

    EARLIER = (OLD_EVENTS[:0], ..., [event("order_delivered", LONG_BEFORE)])

    @pytest.mark.parametrize("events", EARLIER, ids=["none", "no field", "earlier"])
    def test_without_newest_event_shows_no_running(self, events: Any) -> None:
        assert not rerun_of(order()).shows_running(order("ongoing", deliveryEvents=events))

    @pytest.mark.parametrize("events", EARLIER, ids=["none", "no field", "earlier"])
    def test_without_newest_event_is_no_evidence(self, events: Any) -> None:
        assert not holds(rerun_of(order(), seen_running=True), new_result(deliveryEvents=events))

    @pytest.mark.parametrize("events", [None, OLD_EVENTS, [event("order_delivered", BEFORE)], [event()]])
    def test_with_newest_event_or_null_counts(self, events: Any) -> None:
        assert rerun_of(order()).shows_running(order("ongoing", deliveryEvents=events))
        assert holds(rerun_of(order()), new_result(deliveryEvents=events))

    @pytest.mark.parametrize("events", [..., None, [], [event(at=None)]])
    def test_baseline_without_dated_events_proves_no_age(self, events: Any) -> None:
        rerun = rerun_of(order(deliveryEvents=events))
        assert rerun.shows_running(order("ongoing", deliveryEvents=[]))


class TestManyDocuments:
    """A poll of an order with many documents must not hold up the event loop of the triggerer."""

    @pytest.mark.parametrize(
        ("before", "now"),
        [
            pytest.param({}, {}, id="the same"),
            pytest.param({}, {"createdAt": AFTER, "updatedAt": AFTER}, id="made anew in place"),
            pytest.param({}, {"id": "new_{}", "createdAt": AFTER, "updatedAt": AFTER}, id="replaced"),
            pytest.param({"id": None}, {"id": None}, id="the same, without ids"),
            pytest.param({"id": None}, {"id": None, "createdAt": AFTER, "updatedAt": AFTER}, id="anew, without ids"),
            pytest.param(
                {"id": None, "createdAt": None, "updatedAt": None},
                {"id": None, "createdAt": AFTER, "updatedAt": AFTER},
                id="without ids, dated only now",
            ),
            pytest.param(
                {"id": None, "createdAt": None, "updatedAt": None},
                {"id": None, "createdAt": None, "updatedAt": None, "wordCount": 7},
                id="undated, without ids, with other words",
            ),
            pytest.param({"id": "one"}, {"id": "one", "updatedAt": AFTER}, id="all of one id"),
            pytest.param({"id": None}, {"createdAt": AFTER, "updatedAt": AFTER}, id="ids only now"),
        ],
    )
    def test_are_compared_in_linear_time(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        def documents(number: int, changes: dict[str, Any]) -> list[dict[str, Any]]:
            made = ({"id": f"doc_{one}", "size": one, **changes} for one in range(number))
            return [document(**{**each, "id": each["id"] and each["id"].format(each["size"])}) for each in made]

        def steps(number: int) -> int:
            rerun = rerun_of(order(orderDocs=documents(number, before)))
            seen = order(orderDocs=documents(number, now))
            return work(lambda: (rerun.evidence(seen), rerun.withholds(seen), rerun.outputs_complete(seen)))

        assert steps(400) < 11 * steps(40)

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
    def test_without_ids_are_later_than_all_or_none(self, now: dict[str, Any], counts: bool) -> None:
        before = [document(id=None, size=1), document(id=None, size=2, duration=2)]
        seen = order(orderDocs=[document(**{"id": None, "size": 1, **now})])
        assert rerun_of(order(orderDocs=before)).outputs_changed(seen) is counts

    def test_without_ids_beside_an_undated_one_cannot_be_told(self) -> None:
        before = [document(id=None), document(id=None, createdAt=None, updatedAt=None)]
        assert not rerun_of(order(orderDocs=before)).outputs_changed(new_result())


class TestDescription:
    """What an error says about an order that was not believed."""

    def test_names_what_was_compared(self) -> None:
        said = rerun_of(order()).describe_comparison(order("delivered"))
        for part in (
            "'completed'",
            "2 delivery events",
            BEFORE,
            "'delivered'",
            "subtitle doc_old",
            "never observed running",
        ):
            assert part in said

    def test_says_what_was_unknown(self) -> None:
        said = rerun_of({}).describe_comparison({})
        assert "no delivery events listed" in said
        assert "None" in said

    def test_is_short_even_for_many_documents(self) -> None:
        docs = [document(id=f"doc_{number}") for number in range(200)]
        said = rerun_of(order(orderDocs=docs)).describe_comparison(order(orderDocs=docs))
        assert "doc_4" in said
        assert "doc_5" not in said
        assert "and 195 more" in said
        assert len(said) < 800

    @pytest.mark.parametrize("number", [5, 6])
    def test_counts_what_it_left_out(self, number: int) -> None:
        docs = [document(id=f"doc_{one}") for one in range(number)]
        said = rerun_of(order(orderDocs=docs)).describe_comparison(order(orderDocs=docs))
        assert ("and 1 more" in said) is (number == 6)
        assert ("more" in said) is (number == 6)

    def test_has_no_link_in_it(self) -> None:
        assert "http" not in rerun_of(order()).describe_comparison(order())

    def test_explains_a_dropped_level(self) -> None:
        said = rerun_of(order(level=1), seen_running=True).describe_comparison(order(level=0))
        assert "observed running" in said
        assert "never observed" not in said
        assert "level" in said
        assert "level" not in rerun_of(order(level=1)).describe_comparison(order(level=1))

    def test_of_absurd_numbers_is_still_a_text(self) -> None:
        said = rerun_of(order(level=10**400)).describe_comparison(order(level=0))
        assert "level" in said

    def test_names_a_type_that_is_missing(self) -> None:
        rerun = rerun_of(order(orderDocs=[document(), TRANSLATION]))
        said = rerun.describe_comparison(order(orderDocs=[new_document()]))
        assert "translation" in said
