"""An order's evaluation: what it says in both shapes, and whether it is the one that counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_ollang.domain.evaluations import Evaluation, is_later
from airflow_provider_ollang.domain.goals import EvaluationGoal
from airflow_provider_ollang.domain.result_goals import goal_from_json
from tests.unit.builders import AFTER, BEFORE, LONG_BEFORE, REQUESTED, SIGNATURE, evaluation, order

JsonObject = dict[str, Any]
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
#: Between the old evaluation and the request: what a lagging replica did not show.
MISSED = "2024-03-01T11:59:00Z"


def of(**changes: Any) -> Evaluation:
    raw = {name: value for name, value in evaluation(**changes).items() if value is not ...}
    read = Evaluation.of_order(order(latestEvaluation=raw))
    assert read is not None
    return read


NOTHING: list[Any] = [None, {}, "", []]
NO_SCORES: list[Any] = [None, {}, "92", 92, True]


def key(name: str | None = "eval_1", created_at: str | None = BEFORE) -> dict[str, str | None]:
    return {"id": name, "created_at": created_at}


# --- Both shapes --------------------------------------------------------------------------------------------------


def test_evaluation_in_the_documented_shape() -> None:
    scores = [{"name": "Accuracy", "description": "Correctness", "value": 92.5}, {"name": "Tone", "value": "88"}]
    assert of(scores=scores).to_json() == {
        "id": "eval_1",
        "created_at": BEFORE,
        "is_loading": False,
        "scores": [{"name": "Accuracy", "score": 92.5}, {"name": "Tone", "score": 88.0}],
        "segments": [{"id": "seg_001", "explanation": "Minor -> Better"}],
    }


def test_evaluation_in_the_shape_of_response_and_callback() -> None:
    read = of(
        scores=[{"name": "Accuracy", "score": 92.5, "details": "Good"}, {"name": "Tone", "value": None, "score": "71"}],
        segmentEvals=[
            {"segmentId": "seg_9", "scores": [{"name": "Tone", "score": 4}], "comments": "Too stiff"},
            {"id": None, "segmentId": "seg_1", "explain": None, "comments": "Stiff"},
        ],
    )
    assert read.scores == [{"name": "Accuracy", "score": 92.5}, {"name": "Tone", "score": 71.0}]
    assert read.segments == [{"id": "seg_1", "explanation": "Stiff"}, {"id": "seg_9", "explanation": "Too stiff"}]


@pytest.mark.parametrize(
    ("latest", "other", "name"),
    [
        (..., evaluation(id="eval_7"), "eval_7"),
        (evaluation(id="eval_1"), evaluation(id="eval_2"), "eval_1"),
        *((nothing, evaluation(), "eval_1") for nothing in NOTHING),
        *((nothing, ..., None) for nothing in [*NOTHING, ..., "eval_1", 5, True, [evaluation()]]),
    ],
)
def test_evaluation_is_under_the_first_name_that_has_one(latest: Any, other: Any, name: str | None) -> None:
    read = Evaluation.of_order(order(latestEvaluation=latest, qcEvaluation=other))
    assert (read and read.id) == name


@pytest.mark.parametrize(
    ("value", "with_scores", "without_scores"),
    [(True, True, True), (False, False, False), (None, False, True), (..., False, True), ("true", False, True)],
)
def test_evaluation_is_loading_if_it_says_so_or_has_no_score(
    value: object, with_scores: bool, without_scores: bool
) -> None:
    assert of(isLoading=value).is_loading is with_scores
    for scores in (..., None, [], [{"name": "Accuracy"}], [{"name": "Tone", "value": None}]):
        assert of(isLoading=value, scores=scores).is_loading is without_scores


def test_odd_scores_are_kept_without_name_or_number() -> None:
    scores = [None, 5, {}, {"name": 3, "value": True}, {"name": "Tone", "value": float("nan")}, {"value": 4}]
    assert of(scores=scores).scores == [
        {"name": None, "score": None},
        {"name": "3", "score": None},
        {"name": "Tone", "score": None},
        {"name": None, "score": 4.0},
    ]
    for no_scores in NO_SCORES:
        assert of(scores=no_scores, segmentEvals=no_scores).scores == []
    assert of(id=17, createdAt=None).key == {"id": "17", "created_at": None}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
ITEM = ["name", "value", "score", "explain", "comments", "suggestedNewValue", "id", "scores"]
parts = st.dictionaries(
    st.sampled_from(["id", "createdAt", "scores", "segmentEvals", "isLoading"]),
    json_values | st.lists(st.dictionaries(st.sampled_from(ITEM), json_values)),
)


@many
@given(parts)
def test_any_evaluation_can_be_read_and_stored(raw: JsonObject) -> None:
    read = Evaluation.of_order({"status": "completed", "latestEvaluation": raw})
    assert (read is None) == (not raw)
    if read is not None:
        assert json.loads(json.dumps(read.to_json(), allow_nan=False)) == read.to_json()


# --- Segments -----------------------------------------------------------------------------------------------------


def test_worst_segments_are_the_first_five_without_scores() -> None:
    segments = [{"id": f"seg_{number}", "explain": f"Why {number}"} for number in range(9)]
    assert [segment["id"] for segment in of(segmentEvals=segments).segments] == [f"seg_{number}" for number in range(5)]


def test_worst_segments_have_the_lowest_score_of_any_criterion() -> None:
    scores = {"a": (90, 80), "b": (95, "10"), "c": (50,), "d": (None, 60, True), "e": (99,), "f": (70,), "g": (98,)}
    segments = [
        {"segmentId": name, "comments": name, "scores": [{"name": "x", "score": score} for score in each]}
        for name, each in scores.items()
    ]
    assert [segment["id"] for segment in of(segmentEvals=segments).segments] == ["b", "c", "d", "f", "a"]


def test_segment_needs_an_explanation() -> None:
    segments = [
        {"id": "none"},
        {"id": "empty", "explain": " ", "suggestedNewValue": ""},
        {"id": "no text", "explain": 5, "suggestedNewValue": ["x"]},
        {"id": "words", "explain": "Stiff", "suggestedNewValue": None},
        {"id": "suggestion", "suggestedNewValue": "Hello"},
        {"id": 12, "explain": " Too\nlong ", "suggestedNewValue": "Hi"},
        {"explain": "Nameless"},
    ]
    assert of(segmentEvals=segments).segments == [
        {"id": "words", "explanation": "Stiff"},
        {"id": "suggestion", "explanation": "Hello"},
        {"id": "12", "explanation": "Too long -> Hi"},
        {"id": None, "explanation": "Nameless"},
    ]


LINK = f"https://storage.ollang.com/a.srt?{SIGNATURE}&X-Amz-Expires=60"


@pytest.mark.parametrize(
    "changes",
    [
        {"segmentEvals": [{"id": "1", "explain": f"See {LINK}", "suggestedNewValue": LINK}]},
        {"segmentEvals": [{"id": "2", "comments": "z" * 280 + LINK}]},
        {"segmentEvals": [{"id": LINK, "explain": "Why"}]},
        {"scores": [{"name": f"See {LINK}", "value": 1}]},
        {"scores": [{"name": "Accuracy\n2026-01-01 ERROR forged", "value": 1}]},
        {"segmentEvals": [{"id": "seg\x1b[31m\nforged", "explain": "Why\nforged"}]},
    ],
)
def test_names_and_explanations_have_no_link_and_one_line(changes: JsonObject) -> None:
    read = of(**changes)
    shown = " ".join(str(value) for each in [*read.scores, *read.segments] for value in each.values())
    assert SIGNATURE.partition("=")[2] not in shown
    assert shown.isprintable()


LONG = "word " * 2_000


@pytest.mark.parametrize(
    "changes",
    [
        {"segmentEvals": [{"id": f"s{n}", "explain": LONG, "suggestedNewValue": LONG} for n in range(500)]},
        {"segmentEvals": [{"id": LONG, "explain": "Why"}]},
        {"scores": [{"name": f"Criterion {number}", "value": 1} for number in range(2_000)]},
        {"scores": [{"name": LONG, "value": 1}]},
        {"id": LONG, "createdAt": LONG},
    ],
    ids=["segments", "id of a segment", "scores", "name", "id"],
)
def test_evaluation_is_cut(changes: JsonObject) -> None:
    """It goes through the event of a trigger, the metadata database and logs."""
    assert len(json.dumps(of(**changes).to_json())) < 6_000


# --- Which one counts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "before", "newer"),
    [
        (key("b", AFTER), key("a", BEFORE), True),
        (key("a", AFTER), key("a", BEFORE), True),
        (key("a", BEFORE), key("a", BEFORE), False),
        (key("b", LONG_BEFORE), key("a", BEFORE), False),
        # By the ids where a time is missing.
        *((key("b", time), key("a", BEFORE), True) for time in (None, "soon")),
        (key("b", AFTER), key("a", None), True),
        (key("a", None), key("a", BEFORE), False),
        (key("a", AFTER), key("a", None), False),
        (key(None, AFTER), key(None, BEFORE), True),
        # By nothing.
        (key(None, None), key("a", BEFORE), False),
        (key("b", None), key(None, None), False),
        (key("", None), key("a", None), False),
        (key("a", "2024-01-16T14:20:00.001Z"), key("a", BEFORE), True),
        (key("a", "2024-01-16T15:20:00+01:00"), key("a", BEFORE), False),
        (key("a", "2024-01-16T14:20:01"), key("a", BEFORE), True),
        *((each, None, True) for each in (key(), key(None), key("a", None), key(None, None))),
    ],
)
def test_evaluation_is_newer_by_time_else_by_id(read: JsonObject, before: JsonObject | None, newer: bool) -> None:
    assert is_later(of(id=read["id"], createdAt=read["created_at"]).key, before) is newer


def goal_of(**changes: Any) -> EvaluationGoal:
    goal = goal_from_json(json.loads(json.dumps(EvaluationGoal(**changes).to_json())))
    assert isinstance(goal, EvaluationGoal)
    return goal


def finds(goal: EvaluationGoal, **changes: Any) -> bool:
    return goal.find(order(latestEvaluation=evaluation(**changes))) is not None


#: The table of :func:`find_evaluation`: its id and time, what was before, what was requested and when, and whether it
#: counts.
COUNTS: list[tuple[str | None, str | None, Any, str | None, str | None, bool]] = [
    (None, None, None, None, None, True),
    # The one that was requested, whatever its time.
    *(("eval_2", time, key(), "eval_2", REQUESTED, True) for time in (BEFORE, LONG_BEFORE, None)),
    ("eval_2", BEFORE, key(created_at=AFTER), "eval_2", None, True),
    ("eval_2", BEFORE, None, "eval_2", REQUESTED, True),
    # Another one, if it is newer and not of before the request.
    *(("eval_3", time, key(), "eval_2", REQUESTED, False) for time in (LONG_BEFORE, MISSED)),
    ("eval_3", MISSED, None, "eval_2", REQUESTED, False),
    *(("eval_3", time, key(), "eval_2", REQUESTED, True) for time in (REQUESTED, AFTER, None)),
    ("eval_3", BEFORE, key(), "eval_2", None, False),
    (None, MISSED, key(), "eval_2", REQUESTED, False),
    (None, AFTER, key(), "eval_2", REQUESTED, True),
    ("eval_1", BEFORE, key(), "eval_2", REQUESTED, False),
    # An order that keeps one evaluation under one id.
    ("eval_2", BEFORE, key("eval_2"), "eval_2", REQUESTED, False),
    ("eval_2", MISSED, key("eval_2"), "eval_2", REQUESTED, False),
    ("eval_2", AFTER, key("eval_2"), "eval_2", REQUESTED, True),
    # The one that was attached to.
    ("eval_2", MISSED, None, "eval_2", MISSED, True),
    ("eval_1", BEFORE, None, "eval_2", MISSED, False),
    # Any of the result of a rerun.
    *(
        ("eval_1", time, None, None, REQUESTED, counts)
        for time, counts in ((BEFORE, False), (AFTER, True), ("soon", True))
    ),
    ("eval_2", BEFORE, key(created_at=LONG_BEFORE), None, REQUESTED, False),
]


@pytest.mark.parametrize(("name", "created_at", "before", "requested", "since", "counts"), COUNTS)
@pytest.mark.parametrize("is_loading", [False, True])
def test_evaluation_counts_by_the_table(
    name: Any, created_at: Any, before: Any, requested: Any, since: Any, counts: bool, is_loading: bool
) -> None:
    goal = goal_of(before=before, evaluation_id=requested, since=since)
    assert finds(goal, id=name, createdAt=created_at, isLoading=is_loading) is counts
    assert goal.find(order()) is None


@pytest.mark.parametrize("name", [None, "eval_1", "eval_2"])
@pytest.mark.parametrize("created_at", [None, LONG_BEFORE, BEFORE, REQUESTED, AFTER])
@pytest.mark.parametrize("since", [None, REQUESTED])
def test_evaluation_of_before_never_counts(name: str | None, created_at: str | None, since: Any) -> None:
    goal = goal_of(before=of(id=name, createdAt=created_at).key, evaluation_id="eval_new", since=since)
    assert not finds(goal, id=name, createdAt=created_at)


def test_goal_of_a_newer_version_is_read() -> None:
    goal = EvaluationGoal(on_missing="wait", before=key(), evaluation_id="e", since=REQUESTED)
    assert goal_from_json({"evaluation": {**goal.to_json()["evaluation"], "mood": "good"}, "mood": "good"}) == goal
    assert goal_from_json({"evaluation": {}}) == EvaluationGoal()
