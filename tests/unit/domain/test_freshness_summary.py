"""The facts of a finished order that the next tasks of a DAG are given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_ollang.domain.freshness import summarize
from tests.unit.builders import (
    AFTER,
    BEFORE,
    LONG_BEFORE,
    ORDER_ID,
    SIGNATURE,
    document,
    evaluation,
    new_document,
    new_result,
    order,
    rerun_of,
    source_document,
)

EVALUATION = {"id": "eval_1", "created_at": BEFORE, "scores": [{"name": "Accuracy", "score": 92.5}]}
SUMMARY = {
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
    "outputs": [{"id": "doc_old", "type": "subtitle", "name": "French Subtitles", "size": 8192, "updated_at": BEFORE}],
    "outputs_changed": None,
    "evidence": None,
    "evaluation": EVALUATION,
}


def test_summary_of_a_whole_order() -> None:
    assert summarize(ORDER_ID, order(latestEvaluation=evaluation())) == SUMMARY


@pytest.mark.parametrize(
    "polled", [{}, {"status": "completed"}, dict.fromkeys(order()), {name: [[]] for name in order()}, order(id="other")]
)
def test_summary_always_has_the_same_keys(polled: dict[str, Any]) -> None:
    for rerun in (None, rerun_of(order()), rerun_of({})):
        summary = summarize(ORDER_ID, polled, rerun=rerun, evidence=[])
        assert list(summary) == list(SUMMARY)
        assert summary["order_id"] == ORDER_ID
        assert json.loads(json.dumps(summary)) == summary


def test_summary_has_no_link_in_it() -> None:
    documents = [document(storageUrl="https://s", waveformUrl="https://w", thumbnailUrl="https://t"), source_document()]
    polled = order(orderDocs=documents, latestEvaluation=evaluation(url="https://e"))
    text = json.dumps(summarize(ORDER_ID, polled))
    assert "http" not in text
    assert SIGNATURE not in text


@pytest.mark.parametrize("count", [100, 101])
def test_summary_lists_the_newest_hundred_outputs(count: int) -> None:
    documents = [document(id=str(year), updatedAt=f"{3000 + year}-01-01") for year in range(count)]
    listed = summarize(ORDER_ID, order(orderDocs=documents))["outputs"]
    assert [output["id"] for output in listed] == [str(year) for year in reversed(range(count))][:100]


TRANSLATION = document(id="doc_translation", type="translation")


@pytest.mark.parametrize(
    ("before", "now", "listed", "changed"),
    [
        ([document()], [document(), new_document(), source_document()], ["doc_new"], True),
        # As long as one type is old, all are listed.
        ([document(), TRANSLATION], [TRANSLATION, new_document()], ["doc_new", "doc_translation"], False),
    ],
)
def test_summary_lists_new_outputs_if_every_type_is_new(before: Any, now: Any, listed: Any, changed: bool) -> None:
    summary = summarize(ORDER_ID, order(orderDocs=now), rerun=rerun_of(order(orderDocs=before)), evidence=["event"])
    assert [output["id"] for output in summary["outputs"]] == listed
    assert (summary["outputs_changed"], summary["evidence"]) == (changed, ["event"])


NEW = evaluation(id="eval_2", createdAt=AFTER)


@pytest.mark.parametrize(
    ("before", "now", "given"),
    [
        (None, evaluation(createdAt=AFTER), True),
        # One that the baseline missed.
        (None, evaluation(), False),
        (evaluation(), evaluation(), False),
        (evaluation(), None, False),
        (evaluation(), NEW, True),
        (evaluation(), {**NEW, "scores": []}, True),
        (evaluation(), evaluation(createdAt=AFTER), True),
        (evaluation(scores=[], isLoading=True), evaluation(), False),
        (evaluation(), evaluation(id="eval_0", createdAt=LONG_BEFORE), False),
    ],
)
def test_summary_after_a_rerun_has_only_a_newer_evaluation(before: object, now: object, given: bool) -> None:
    rerun = rerun_of(order(latestEvaluation=before))
    summary = summarize(ORDER_ID, new_result(latestEvaluation=now), rerun=rerun, evidence=["documents"])
    assert (summary["evaluation"] is not None) is given
