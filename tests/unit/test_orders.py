"""What an order is: its statuses, documents and times, its baseline, and the summary of its result."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.freshness import summarize
from airflow_provider_ollang.domain.orders import (
    KNOWN_STATUSES,
    MAX_LISTED_OUTPUTS,
    Document,
    document_kind,
    output_documents,
    rerun_readiness,
    shows_running,
)
from airflow_provider_ollang.domain.values import parse_time
from tests.unit.builders import (
    AFTER,
    BEFORE,
    LONG_BEFORE,
    ORDER_ID,
    SIGNATURE,
    document,
    evaluation,
    event,
    new_document,
    new_result,
    order,
    rerun_of,
    source_document,
)

STATUSES_ON_RECORD = (
    *("pending", "ongoing", "completed", "delivered", "revision", "delayed"),
    *("waitingForCC", "waitingForSubtitle", "qualityCheck", "readyToSent"),
    *("review", "waitingForApprove", "failed", "cancelled"),
)


class TestStatuses:
    @pytest.mark.parametrize(
        ("status", "readiness", "running"),
        [
            ("completed", "ready", False),
            ("delivered", "ready", False),
            ("pending", "running", True),
            ("ongoing", "running", True),
            ("waitingForCC", "running", True),
            ("waitingForSubtitle", "running", True),
            ("qualityCheck", "running", True),
            ("delayed", "running", True),
            ("revision", "not_eligible", False),
            ("review", "not_eligible", True),
            ("waitingForApprove", "not_eligible", True),
            ("readyToSent", "not_eligible", True),
            ("failed", "not_eligible", False),
            ("cancelled", "not_eligible", False),
            ("transcoding", "running", True),
            ("Completed", "running", True),
            ("", "running", True),
        ],
    )
    def test_what_each_status_means(self, status: str, readiness: str, running: bool) -> None:
        assert rerun_readiness(status) == readiness
        assert shows_running(status) is running

    @pytest.mark.parametrize("status", STATUSES_ON_RECORD)
    def test_all_statuses_on_record_are_known(self, status: str) -> None:
        assert status in KNOWN_STATUSES

    def test_no_others_are(self) -> None:
        assert set(STATUSES_ON_RECORD) == KNOWN_STATUSES


class TestDocumentKinds:
    @pytest.mark.parametrize(
        ("document_type", "kind"),
        [
            ("source_video", "source"),
            ("source_accompaniment_audio", "source"),
            ("source_srt", "source"),
            ("source_document", "source"),
            ("source_vocals_only_audio", "source"),
            ("source", "source"),
            ("created_source_vocals_only_audio", "auxiliary"),
            ("created_waveform", "auxiliary"),
            ("created_embedded_video", "auxiliary"),
            ("created_subtitle_embedded_video", "auxiliary"),
            ("created_compressed_video", "auxiliary"),
            ("created_thumbnail", "auxiliary"),
            ("embedded_video", "auxiliary"),
            ("subtitle_embedded_video", "auxiliary"),
            ("compressed_video", "auxiliary"),
            ("waveform", "auxiliary"),
            ("thumbnail", "auxiliary"),
            ("invoice", "auxiliary"),
            ("guideline", "auxiliary"),
            ("glossary", "auxiliary"),
            ("guideline_glossary", "auxiliary"),
            ("character_list", "auxiliary"),
            ("created_accompaniment_audio", "output"),
            ("created_ai_dub_audio", "output"),
            ("created_ai_dub_vocals_only_audio", "output"),
            ("vendor_audio_with_background", "output"),
            ("vendor_audio_without_background", "output"),
            ("vendor_video", "output"),
            ("translator_document", "output"),
            ("translated_image", "output"),
            ("subtitle", "output"),
            ("translation", "output"),
            ("hologram", "output"),
            ("invoice_translation", "output"),
            ("resource", "output"),
        ],
    )
    def test_every_type_on_record_in_either_spelling(self, document_type: str, kind: str) -> None:
        first, *rest = document_type.split("_")
        camel_case = first + "".join(word.capitalize() for word in rest)
        assert document_kind(document_type) == kind
        assert document_kind(camel_case) == kind
        assert document_kind(document_type.upper()) == kind

    @pytest.mark.parametrize("document_type", [None, "", 5, True, [], {}, ["invoice"], {"source": 1}])
    def test_a_type_that_is_no_name_is_shown_with_the_outputs(self, document_type: object) -> None:
        assert document_kind(document_type) == "output"


class TestParseTime:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2024-01-15T10:30:00Z", datetime(2024, 1, 15, 10, 30, tzinfo=UTC)),
            ("2024-01-15T10:30:45.511Z", datetime(2024, 1, 15, 10, 30, 45, 511_000, tzinfo=UTC)),
            ("2024-01-15T10:30:45.123456789Z", datetime(2024, 1, 15, 10, 30, 45, 123_456, tzinfo=UTC)),
            ("2024-01-15T10:30:00", datetime(2024, 1, 15, 10, 30, tzinfo=UTC)),
            ("2024-01-15 10:30:00.5", datetime(2024, 1, 15, 10, 30, 0, 500_000, tzinfo=UTC)),
            ("2024-01-15T12:30:00+02:00", datetime(2024, 1, 15, 10, 30, tzinfo=UTC)),
            ("2024-01-15", datetime(2024, 1, 15, tzinfo=UTC)),
            ("  2024-01-15T10:30:00Z\n", datetime(2024, 1, 15, 10, 30, tzinfo=UTC)),
            ("0001-01-01T00:00:00+14:00", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
        ],
    )
    def test_what_is_a_time(self, text: str, expected: datetime) -> None:
        parsed = parse_time(text)
        assert parsed == expected
        assert parsed is not None
        assert parsed.tzinfo is not None

    @pytest.mark.parametrize(
        "value",
        [
            None,
            "",
            "   ",
            "yesterday",
            "2024-13-01T00:00:00Z",
            "2024-01-15T10:30:00Q",
            "2024-01-15T10:30:00+99:00",
            "2024-01-15T10:\ud80030:00",
            "1705314600",
            1705314600,
            1705314600.5,
            True,
            [],
            {},
            datetime(2024, 1, 15, tzinfo=UTC),
        ],
        ids=repr,
    )
    def test_what_is_none(self, value: object) -> None:
        assert parse_time(value) is None

    @pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
    def test_the_zone_of_the_machine_means_nothing(self, monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", zone)
            time.tzset()
            parsed = parse_time("2024-01-15T10:30:00")
        time.tzset()
        assert parsed == datetime(2024, 1, 15, 10, 30, tzinfo=UTC)

    def test_the_ends_of_time_compare_with_all_others(self) -> None:
        docs = [
            document(id="first", createdAt="0001-01-01T00:00:00+14:00", updatedAt=None),
            document(id="undated", createdAt=None, updatedAt=None),
            document(id="last", createdAt="9999-12-31T23:59:59-12:00", updatedAt=None),
        ]
        assert output_documents(order(orderDocs=docs))[0].id == "last"


class TestOutputDocuments:
    def test_are_newest_first_and_undated_last(self) -> None:
        docs = [
            document(id="undated", createdAt=None, updatedAt="no time"),
            document(id="old", createdAt=LONG_BEFORE, updatedAt=LONG_BEFORE),
            document(id="touched", createdAt=LONG_BEFORE, updatedAt=AFTER),
            document(id="middle", createdAt=BEFORE, updatedAt=None),
        ]
        found = output_documents(order(orderDocs=docs))
        assert [one.id for one in found] == ["touched", "middle", "old", "undated"]

    def test_times_are_compared_across_zones(self) -> None:
        docs = [
            document(id="earlier", createdAt=None, updatedAt="2024-01-16T14:00:00-02:00"),
            document(id="later", createdAt=None, updatedAt="2024-01-16T16:30:00"),
        ]
        assert [one.id for one in output_documents(order(orderDocs=docs))] == ["later", "earlier"]

    @pytest.mark.parametrize(
        "docs", [..., None, [], {}, "doc", 5, [None, "doc", 5, []], [source_document(), document(type="invoice")]]
    )
    def test_there_may_be_none(self, docs: object) -> None:
        assert output_documents(order(orderDocs=docs)) == []

    def test_odd_values_read_as_unknown(self) -> None:
        odd: dict[str, Any] = {name: [] for name in document()}
        assert Document.from_order_doc(odd) == Document(*[None] * 8)
        assert Document.from_order_doc({}) == Document(*[None] * 8)

    def test_numbers_may_be_ids_but_not_the_other_way_round(self) -> None:
        one = Document.from_order_doc({"id": 17, "size": "8192", "wordCount": True, "duration": 1.5})
        assert (one.id, one.size, one.word_count, one.duration) == ("17", None, None, 1.5)


class TestDiffersFrom:
    @pytest.mark.parametrize(
        ("changes", "differs"),
        [
            ({}, False),
            ({"updatedAt": AFTER}, True),
            ({"createdAt": AFTER}, True),
            ({"size": 8193}, True),
            ({"size": 0}, True),
            ({"wordCount": 1251}, True),
            ({"duration": 3.5}, False),
            ({"name": "Another name"}, False),
            ({"url": "https://elsewhere"}, False),
            ({"id": "another"}, False),
            ({"size": 8192.0}, False),
            ({"size": None}, False),
            ({"size": "9000"}, False),
            ({"updatedAt": None, "createdAt": None, "size": None, "wordCount": None}, False),
            ({"updatedAt": "2024-01-16T14:20:00"}, False),
            ({"updatedAt": "2024-01-16T15:20:00+01:00"}, False),
            ({"updatedAt": "2024-01-16T14:20:00.001Z"}, True),
            ({"updatedAt": LONG_BEFORE}, False),
            ({"updatedAt": AFTER, "createdAt": LONG_BEFORE}, True),
            ({"updatedAt": LONG_BEFORE, "createdAt": AFTER}, True),
            ({"updatedAt": LONG_BEFORE, "createdAt": LONG_BEFORE, "size": 9000}, False),
        ],
        ids=repr,
    )
    def test_is_a_later_state_of_the_same_document(self, changes: dict[str, Any], *, differs: bool) -> None:
        earlier, later = (Document.from_order_doc(one) for one in (document(), document(**changes)))
        assert later.differs_from(earlier) is differs

    def test_what_was_unknown_before_proves_nothing(self) -> None:
        nothing = Document.from_order_doc({})
        assert not Document.from_order_doc(new_document(duration=3)).differs_from(nothing)

    def test_a_duration_that_changed(self) -> None:
        long, longer = (Document.from_order_doc(document(duration=seconds)) for seconds in (60, 60.5))
        assert longer.differs_from(long)


class TestBaseline:
    def test_keeps_what_later_looks_are_compared_with(self) -> None:
        baseline = Baseline.from_order(order(level=1, latestEvaluation=evaluation()))
        assert baseline.to_json() == {
            "status": "completed",
            "level": 1,
            "events": [
                f'["ai_delivered", "{BEFORE}", "system", null]',
                f'["order_delivered", "{BEFORE}", "system", null]',
            ],
            "newest_event": BEFORE,
            "outputs": [
                {
                    "id": "doc_old",
                    "type": "subtitle",
                    "name": "French Subtitles",
                    "size": 8192,
                    "word_count": 1250,
                    "duration": None,
                    "created_at": BEFORE,
                    "updated_at": BEFORE,
                }
            ],
            "evaluation": {"id": "eval_1", "created_at": BEFORE},
        }

    def test_holds_no_link(self) -> None:
        text = json.dumps(Baseline.from_order(order(latestEvaluation=evaluation())).to_json())
        assert SIGNATURE not in text
        assert "http" not in text

    def test_an_empty_order_is_one_of_which_nothing_is_known(self) -> None:
        assert Baseline.from_order({}) == Baseline(None, None, None, None, None, None)

    @pytest.mark.parametrize("lists", [None, {}, "", 5])
    def test_what_is_no_list_is_unknown(self, lists: object) -> None:
        baseline = Baseline.from_order(order(deliveryEvents=lists, orderDocs=lists))
        assert (baseline.events, baseline.outputs) == (None, None)

    def test_empty_lists_are_known_to_be_empty(self) -> None:
        baseline = Baseline.from_order(order(deliveryEvents=[], orderDocs=[]))
        assert (baseline.events, baseline.outputs, baseline.newest_event) == ([], [], None)

    def test_events_are_a_multiset(self) -> None:
        one, two = event("ai_delivered", BEFORE), event("order_delivered", BEFORE)
        first, second = (
            Baseline.from_order(order(deliveryEvents=events)) for events in ([one, two, one], [one, one, two])
        )
        assert first == second
        assert len(first.events or []) == 3

    def test_the_newest_event_is_the_latest_whatever_their_order_and_zone(self) -> None:
        late = "2024-01-16T12:00:00-09:00"
        events = [
            event(at=late),
            event(at=BEFORE),
            event(at="soon"),
            event(at=None),
            "event",
            None,
            event(at=LONG_BEFORE),
        ]
        assert Baseline.from_order(order(deliveryEvents=events)).newest_event == late

    @pytest.mark.parametrize(
        "before", [order(), {}, order(deliveryEvents=[], orderDocs=[]), order(latestEvaluation=evaluation())]
    )
    def test_survives_json(self, before: dict[str, Any]) -> None:
        baseline = Baseline.from_order(before)
        assert Baseline.from_json(json.loads(json.dumps(baseline.to_json()))) == baseline

    @pytest.mark.parametrize("name", ["status", "level", "events", "newest_event", "outputs", "evaluation"])
    def test_a_part_missing_is_an_error(self, name: str) -> None:
        value = Baseline.from_order(order()).to_json()
        del value[name]
        with pytest.raises(KeyError):
            Baseline.from_json(value)


SUMMARY_KEYS = [
    "order_id",
    "name",
    "type",
    "status",
    "level",
    "source_language",
    "target_language",
    "project_id",
    "folder_id",
    "created_at",
    "outputs",
    "outputs_changed",
    "evidence",
    "evaluation",
]


class TestSummarize:
    def test_of_a_whole_order(self) -> None:
        assert summarize(ORDER_ID, order(latestEvaluation=evaluation())) == {
            "order_id": ORDER_ID,
            "name": "Sample Project - Episode 1",
            "type": "subtitle",
            "status": "completed",
            "level": 0,
            "source_language": "en",
            "target_language": "fr",
            "project_id": "proj_xyz789",
            "folder_id": "folder_abc123",
            "created_at": "2024-01-15T10:30:00Z",
            "outputs": [
                {"id": "doc_old", "type": "subtitle", "name": "French Subtitles", "size": 8192, "updated_at": BEFORE}
            ],
            "outputs_changed": None,
            "evidence": None,
            "evaluation": {
                "id": "eval_1",
                "created_at": BEFORE,
                "scores": [{"name": "Accuracy", "score": 92.5}],
            },
        }

    @pytest.mark.parametrize(
        "seen", [{}, {"status": "completed"}, order(), dict.fromkeys(order()), {name: [[]] for name in order()}]
    )
    def test_always_has_the_same_keys(self, seen: dict[str, Any]) -> None:
        for rerun in (None, rerun_of(order()), rerun_of({})):
            summary = summarize(ORDER_ID, seen, rerun=rerun, evidence=[])
            assert list(summary) == SUMMARY_KEYS
            assert summary["order_id"] == ORDER_ID
            assert json.loads(json.dumps(summary)) == summary

    def test_the_id_is_the_one_that_was_asked_for(self) -> None:
        assert summarize("asked", order(id="answered"))["order_id"] == "asked"

    def test_has_no_link_in_it(self) -> None:
        docs = [document(storageUrl="https://s", waveformUrl="https://w", thumbnailUrl="https://t"), source_document()]
        text = json.dumps(summarize(ORDER_ID, order(orderDocs=docs, latestEvaluation=evaluation(url="https://e"))))
        assert "http" not in text
        assert SIGNATURE not in text

    @pytest.mark.parametrize("number", [0, 99, 100, 101, 500])
    def test_lists_at_most_a_hundred_outputs_the_newest(self, number: int) -> None:
        docs = [document(id=str(year), updatedAt=f"{3000 + year}-01-01") for year in range(number)]
        listed = summarize(ORDER_ID, order(orderDocs=docs))["outputs"]
        assert [one["id"] for one in listed] == [str(year) for year in reversed(range(number))][:MAX_LISTED_OUTPUTS]
        assert MAX_LISTED_OUTPUTS == 100

    def test_lists_only_the_new_outputs_once_all_types_are_new(self) -> None:
        docs = [document(), new_document(), source_document()]
        summary = summarize(ORDER_ID, order(orderDocs=docs), rerun=rerun_of(order()), evidence=["documents"])
        assert [one["id"] for one in summary["outputs"]] == ["doc_new"]
        assert (summary["outputs_changed"], summary["evidence"]) == (True, ["documents"])

    def test_lists_all_outputs_as_long_as_one_type_is_old(self) -> None:
        translation = document(id="doc_translation", type="translation")
        rerun = rerun_of(order(orderDocs=[document(), translation]))
        summary = summarize(ORDER_ID, order(orderDocs=[translation, new_document()]), rerun=rerun, evidence=["event"])
        assert [one["id"] for one in summary["outputs"]] == ["doc_new", "doc_translation"]
        assert (summary["outputs_changed"], summary["evidence"]) == (False, ["event"])


class TestEvaluation:
    """The evaluation in a summary."""

    @pytest.mark.parametrize("name", ["latestEvaluation", "qcEvaluation"])
    @pytest.mark.parametrize("score", ["value", "score"])
    def test_in_either_shape(self, name: str, score: str) -> None:
        seen = order(**{name: evaluation(scores=[{"name": "Tone", score: 90}, {"name": "Fluency", score: 85.5}])})
        assert summarize(ORDER_ID, seen)["evaluation"] == {
            "id": "eval_1",
            "created_at": BEFORE,
            "scores": [{"name": "Tone", "score": 90}, {"name": "Fluency", "score": 85.5}],
        }

    @pytest.mark.parametrize("found", [..., None, {}, [], "good", 5])
    def test_may_be_absent(self, found: object) -> None:
        assert summarize(ORDER_ID, order(latestEvaluation=found))["evaluation"] is None

    @pytest.mark.parametrize("scores", [..., None, [], {}, "good", [None, 5, "Tone"]])
    def test_may_be_loading(self, scores: object) -> None:
        loading = evaluation(scores=scores, isLoading=True)
        seen = order(latestEvaluation={name: value for name, value in loading.items() if value is not ...})
        assert summarize(ORDER_ID, seen)["evaluation"] == {"id": "eval_1", "created_at": BEFORE, "scores": []}

    def test_may_hold_odd_scores(self) -> None:
        odd = [{}, {"name": 5, "value": "high"}, {"name": None, "value": True}, {"name": ["Tone"], "value": []}]
        scores = summarize(ORDER_ID, order(latestEvaluation=evaluation(scores=odd)))["evaluation"]["scores"]
        assert scores == [{"name": name, "score": None} for name in (None, "5", None, None)]

    @pytest.mark.parametrize(
        ("before", "now", "given"),
        [
            pytest.param(None, evaluation(createdAt=AFTER), True, id="the first"),
            pytest.param(None, evaluation(), False, id="one that the baseline missed"),
            pytest.param(evaluation(), evaluation(), False, id="the old one"),
            pytest.param(evaluation(), None, False, id="cleared"),
            pytest.param(evaluation(), evaluation(id="eval_2", createdAt=AFTER), True, id="a new one"),
            pytest.param(
                evaluation(), evaluation(id="eval_2", createdAt=AFTER, scores=[]), True, id="a new one, loading"
            ),
            pytest.param(evaluation(), evaluation(id="eval_2", createdAt=None), True, id="a new id without a time"),
            pytest.param(evaluation(), evaluation(createdAt=AFTER), True, id="the same id, made anew"),
            pytest.param(evaluation(scores=[], isLoading=True), evaluation(), False, id="old, loaded since"),
            pytest.param(evaluation(), evaluation(createdAt=LONG_BEFORE), False, id="the same id, an older time"),
            pytest.param(evaluation(), evaluation(id="eval_0", createdAt=LONG_BEFORE), False, id="an older one"),
            pytest.param(evaluation(), evaluation(id=None, createdAt=None), False, id="nothing known now"),
            pytest.param(evaluation(id=None, createdAt=None), evaluation(), False, id="nothing known before"),
            pytest.param(evaluation(id=None), evaluation(createdAt=AFTER), True, id="no id before, a later time"),
        ],
    )
    def test_after_a_rerun_is_given_only_if_it_is_newer(self, before: object, now: object, *, given: bool) -> None:
        rerun = rerun_of(order(latestEvaluation=before))
        summary = summarize(ORDER_ID, new_result(latestEvaluation=now), rerun=rerun, evidence=["documents"])
        assert (summary["evaluation"] is not None) is given
