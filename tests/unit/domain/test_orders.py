"""What an order is: its statuses, its documents, and its baseline."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.orders import (
    KNOWN_STATUSES,
    Document,
    document_kind,
    output_documents,
    rerun_readiness,
    shows_running,
)
from tests.unit.builders import (
    AFTER,
    BEFORE,
    LONG_BEFORE,
    SIGNATURE,
    document,
    evaluation,
    event,
    new_document,
    order,
    source_document,
)

#: Each status on record: what it means for a rerun, and whether it shows that the order is running.
STATUSES = {
    "completed": ("ready", False),
    "delivered": ("ready", False),
    "pending": ("running", True),
    "ongoing": ("running", True),
    "waitingForCC": ("running", True),
    "waitingForSubtitle": ("running", True),
    "qualityCheck": ("running", True),
    "delayed": ("running", True),
    "revision": ("not_eligible", False),
    "review": ("not_eligible", True),
    "waitingForApprove": ("not_eligible", True),
    "readyToSent": ("not_eligible", True),
    "failed": ("not_eligible", False),
    "cancelled": ("not_eligible", False),
}
OTHER_STATUSES = dict.fromkeys(("transcoding", "Completed", ""), ("running", True))


@pytest.mark.parametrize(("status", "meaning"), [*STATUSES.items(), *OTHER_STATUSES.items()])
def test_status_tells_readiness_and_running(status: str, meaning: tuple[str, bool]) -> None:
    assert (rerun_readiness(status), shows_running(status)) == meaning


def test_known_statuses_are_those_on_record() -> None:
    assert set(STATUSES) == KNOWN_STATUSES


KINDS = {
    "source": ("source", "source_video", "source_accompaniment_audio", "source_srt", "source_vocals_only_audio"),
    "auxiliary": (
        *("created_source_vocals_only_audio", "created_waveform", "created_embedded_video", "created_thumbnail"),
        *("created_subtitle_embedded_video", "created_compressed_video", "embedded_video", "subtitle_embedded_video"),
        *("compressed_video", "waveform", "thumbnail", "invoice", "guideline", "glossary", "guideline_glossary"),
        "character_list",
    ),
    "output": (
        *("created_accompaniment_audio", "created_ai_dub_audio", "created_ai_dub_vocals_only_audio", "vendor_video"),
        *("vendor_audio_with_background", "vendor_audio_without_background", "translator_document"),
        *("translated_image", "subtitle", "translation", "hologram", "invoice_translation", "resource"),
    ),
}


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for kind, names in KINDS.items() for name in names])
def test_document_kind_in_every_spelling(name: str, kind: str) -> None:
    first, *rest = name.split("_")
    for spelling in (name, first + "".join(map(str.title, rest)), name.upper()):
        assert document_kind(spelling) == kind


@pytest.mark.parametrize("name", [None, "", 5, True, [], {}, ["invoice"], {"source": 1}])
def test_document_kind_without_a_name_is_output(name: object) -> None:
    assert document_kind(name) == "output"


# --- Documents ----------------------------------------------------------------------------------------------------


def test_output_documents_are_newest_first_undated_last() -> None:
    documents = [
        document(id="undated", createdAt=None, updatedAt="no time"),
        document(id="old", createdAt=LONG_BEFORE, updatedAt=LONG_BEFORE),
        document(id="first", createdAt="0001-01-01T00:00:00+14:00", updatedAt=None),
        document(id="touched", createdAt=LONG_BEFORE, updatedAt=AFTER),
        document(id="middle", createdAt=BEFORE, updatedAt=None),
        document(id="earlier zone", createdAt=None, updatedAt="2024-01-16T14:00:00+02:00"),
        document(id="last", createdAt="9999-12-31T23:59:59-12:00", updatedAt=None),
    ]
    ids = [output.id for output in output_documents(order(orderDocs=documents))]
    assert ids[:5] == ["last", "touched", "middle", "earlier zone", "old"]
    assert set(ids[5:]) == {"undated", "first"}


@pytest.mark.parametrize(
    "documents", [..., None, [], {}, "doc", 5, [None, "doc", 5, []], [source_document(), document(type="invoice")]]
)
def test_output_documents_may_be_none(documents: object) -> None:
    assert output_documents(order(orderDocs=documents)) == []


def test_document_reads_odd_values_as_unknown() -> None:
    odd: dict[str, Any] = {name: [] for name in document()}
    assert Document.from_order_doc(odd) == Document.from_order_doc({}) == Document(*[None] * 8)
    read = Document.from_order_doc({"id": 17, "size": "8192", "wordCount": True, "duration": 1.5})
    assert (read.id, read.size, read.word_count, read.duration) == ("17", None, None, 1.5)


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        *(({name: AFTER}, True) for name in ("updatedAt", "createdAt")),
        *(
            ({name: value}, True)
            for name, value in (("size", 8193), ("size", 0), ("wordCount", 1251), ("duration", 61))
        ),
        *(({name: "another"}, False) for name in ("name", "url", "id", "size")),
        *(({"size": size}, False) for size in (8192, 8192.0, None)),
        ({"duration": None}, False),
        ({"updatedAt": None, "createdAt": None, "size": None, "wordCount": None}, False),
        *(({"updatedAt": time}, False) for time in ("2024-01-16T14:20:00", "2024-01-16T15:20:00+01:00", LONG_BEFORE)),
        ({"updatedAt": "2024-01-16T14:20:00.001Z"}, True),
        ({"updatedAt": AFTER, "createdAt": LONG_BEFORE}, True),
        ({"updatedAt": LONG_BEFORE, "createdAt": AFTER}, True),
        ({"updatedAt": LONG_BEFORE, "createdAt": LONG_BEFORE, "size": 9000}, False),
    ],
    ids=repr,
)
def test_document_differs_by_later_time_or_other_measure(changes: dict[str, Any], differs: bool) -> None:
    earlier = Document.from_order_doc(document(duration=60))
    assert Document.from_order_doc(document(**{"duration": 60, **changes})).differs_from(earlier) is differs


def test_document_does_not_differ_from_an_unknown_one() -> None:
    assert not Document.from_order_doc(new_document(duration=3)).differs_from(Document.from_order_doc({}))


# --- The baseline -------------------------------------------------------------------------------------------------


def test_baseline_keeps_what_later_polls_are_compared_with() -> None:
    baseline = Baseline.from_order(order(level=1, latestEvaluation=evaluation()))
    assert baseline.to_json() == {
        "status": "completed",
        "level": 1,
        "events": [f'["{kind}", "{BEFORE}", "system", null]' for kind in ("ai_delivered", "order_delivered")],
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
    assert SIGNATURE not in str(baseline)
    assert "http" not in str(baseline)


def test_baseline_tells_unknown_lists_from_empty_ones() -> None:
    assert Baseline.from_order({}) == Baseline(None, None, None, None, None, None)
    no_lists: list[Any] = [None, {}, "", 5]
    for unknown in no_lists:
        baseline = Baseline.from_order(order(deliveryEvents=unknown, orderDocs=unknown))
        assert (baseline.events, baseline.outputs) == (None, None)
    baseline = Baseline.from_order(order(deliveryEvents=[], orderDocs=[]))
    assert (baseline.events, baseline.outputs, baseline.newest_event) == ([], [], None)


def test_baseline_events_are_a_multiset() -> None:
    one, two = event("ai_delivered", BEFORE), event("order_delivered", BEFORE)
    first, second = (Baseline.from_order(order(deliveryEvents=each)) for each in ([one, two, one], [one, one, two]))
    assert first == second
    assert len(first.events or []) == 3


def test_baseline_newest_event_in_any_order_and_zone() -> None:
    late = "2024-01-16T12:00:00-09:00"
    events = [*(event(at=at) for at in (late, BEFORE, "soon", None)), "event", None, event(at=LONG_BEFORE)]
    assert Baseline.from_order(order(deliveryEvents=events)).newest_event == late


@pytest.mark.parametrize(
    "before", [{}, order(deliveryEvents=[], orderDocs=[]), order(latestEvaluation=evaluation())], ids=["", "[]", "full"]
)
def test_baseline_survives_json(before: dict[str, Any]) -> None:
    baseline = Baseline.from_order(before)
    assert Baseline.from_json(json.loads(json.dumps(baseline.to_json()))) == baseline


@pytest.mark.parametrize("name", ["status", "level", "events", "newest_event", "outputs", "evaluation"])
def test_baseline_without_a_part_is_refused(name: str) -> None:
    value = Baseline.from_order(order()).to_json()
    del value[name]
    with pytest.raises(KeyError):
        Baseline.from_json(value)
