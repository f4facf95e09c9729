"""An order's evaluation: what it says in both shapes, and whether it is the one that is wanted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_ollang.client.settings import Settings
from airflow_provider_ollang.domain.evaluations import MAX_SHOWN_SEGMENTS, Evaluation, is_later
from airflow_provider_ollang.domain.goals import EvaluationGoal, goal_from_json
from airflow_provider_ollang.domain.receipts import EvaluationReceipt, agreed_order_id, check_host
from airflow_provider_ollang.exceptions import OllangConfigurationError
from tests.unit.builders import AFTER, BEFORE, LONG_BEFORE, ORDER_ID, REQUESTED, SIGNATURE, evaluation, order

JsonObject = dict[str, Any]
HOST = "https://api-integration.ollang.com"
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


#: Between the old evaluation and the request: what a lagging replica did not show.
MISSED = "2024-03-01T11:59:00Z"


def of(**changes: Any) -> Evaluation:
    given = {name: value for name, value in evaluation(**changes).items() if value is not ...}
    found = Evaluation.of_order(order(latestEvaluation=given))
    assert found is not None
    return found


def key(name: str | None = "eval_1", created_at: str | None = BEFORE) -> dict[str, str | None]:
    return {"id": name, "created_at": created_at}


class TestReading:
    def test_the_documented_shape(self) -> None:
        scores = [
            {"name": "Accuracy", "description": "Correctness", "value": 92.5},
            {"name": "Cultural Fit", "description": "", "value": "88"},
        ]
        assert of(scores=scores).to_json() == {
            "id": "eval_1",
            "created_at": BEFORE,
            "is_loading": False,
            "scores": [{"name": "Accuracy", "score": 92.5}, {"name": "Cultural Fit", "score": 88.0}],
            "segments": [{"id": "seg_001", "explanation": "Minor -> Better"}],
        }

    def test_the_shape_of_the_answer_and_the_callback(self) -> None:
        found = of(
            scores=[{"name": "Accuracy", "score": 92.5, "details": "Good"}, {"name": "Tone", "score": "71"}],
            segmentEvals=[{"segmentId": "seg_9", "scores": [{"name": "Tone", "score": 4}], "comments": "Too stiff"}],
        )
        assert found.scores == [{"name": "Accuracy", "score": 92.5}, {"name": "Tone", "score": 71.0}]
        assert found.segments == [{"id": "seg_9", "explanation": "Too stiff"}]

    def test_under_its_other_name(self) -> None:
        found = Evaluation.of_order(order(qcEvaluation=evaluation(id="eval_7")))
        assert found is not None
        assert found.id == "eval_7"

    def test_the_documented_name_comes_first(self) -> None:
        both = order(latestEvaluation=evaluation(id="eval_1"), qcEvaluation=evaluation(id="eval_2"))
        found = Evaluation.of_order(both)
        assert found is not None
        assert found.id == "eval_1"

    @pytest.mark.parametrize("nothing", [..., None, {}, [], "", "eval_1", 5, True, [evaluation()]])
    def test_there_is_none(self, nothing: object) -> None:
        assert Evaluation.of_order(order(latestEvaluation=nothing)) is None

    @pytest.mark.parametrize("nothing", [None, {}, "", []])
    def test_an_empty_one_does_not_hide_the_other(self, nothing: object) -> None:
        assert Evaluation.of_order(order(latestEvaluation=nothing, qcEvaluation=evaluation())) is not None

    @pytest.mark.parametrize(
        ("value", "loading"), [(True, True), (False, False), (None, False), (..., False), ("true", False), (1, False)]
    )
    def test_with_scores_only_true_is_loading(self, value: object, *, loading: bool) -> None:
        assert of(isLoading=value).is_loading is loading

    @pytest.mark.parametrize(
        ("value", "loading"), [(True, True), (False, False), (None, True), (..., True), ("false", True)]
    )
    @pytest.mark.parametrize("scores", [..., None, [], [{"name": "Accuracy"}], [{"name": "Tone", "value": None}]])
    def test_without_scores_only_false_is_finished(self, value: object, scores: object, *, loading: bool) -> None:
        assert of(isLoading=value, scores=scores).is_loading is loading

    @pytest.mark.parametrize("scores", [None, {}, "92", 92, True, []])
    def test_there_are_no_scores(self, scores: object) -> None:
        assert of(scores=scores, segmentEvals=scores).scores == []

    def test_a_score_without_a_number_or_a_name_is_kept_as_such(self) -> None:
        scores = [None, 5, {}, {"name": 3, "value": True}, {"name": "Tone", "value": float("nan")}, {"value": 4}]
        assert of(scores=scores).scores == [
            {"name": None, "score": None},
            {"name": "3", "score": None},
            {"name": "Tone", "score": None},
            {"name": None, "score": 4.0},
        ]

    def test_whole_numbers_are_ids(self) -> None:
        assert of(id=17, createdAt=None).key == {"id": "17", "created_at": None}

    def test_a_null_in_one_shape_does_not_hide_the_other(self) -> None:
        found = of(
            scores=[{"name": "Tone", "value": None, "score": 80}],
            segmentEvals=[{"id": None, "segmentId": "seg_1", "explain": None, "comments": "Stiff"}],
        )
        assert found.scores == [{"name": "Tone", "score": 80.0}]
        assert found.segments == [{"id": "seg_1", "explanation": "Stiff"}]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
parts = st.dictionaries(
    st.sampled_from(["id", "createdAt", "scores", "segmentEvals", "isLoading"]),
    json_values
    | st.lists(
        st.dictionaries(
            st.sampled_from(["name", "value", "score", "explain", "comments", "suggestedNewValue", "id", "scores"]),
            json_values,
        )
    ),
)


@many
@given(parts)
def test_any_evaluation_can_be_read_and_stored(found: JsonObject) -> None:
    read = Evaluation.of_order({"status": "completed", "latestEvaluation": found})
    assert (read is None) == (not found)
    if read is not None:
        assert json.loads(json.dumps(read.to_json(), allow_nan=False)) == read.to_json()


class TestWorstSegments:
    def test_are_the_first_five_where_there_are_no_scores(self) -> None:
        segments = [{"id": f"seg_{number}", "explain": f"Why {number}"} for number in range(9)]
        assert [one["id"] for one in of(segmentEvals=segments).segments] == [f"seg_{number}" for number in range(5)]
        assert MAX_SHOWN_SEGMENTS == 5

    def test_are_those_with_the_lowest_score_of_any_criterion(self) -> None:
        def segment(name: str, *scores: object) -> JsonObject:
            return {"segmentId": name, "comments": name, "scores": [{"name": "x", "score": one} for one in scores]}

        segments = [segment("a", 90, 80), segment("b", 95, "10"), segment("c", 50), segment("d", None, 60, True)]
        segments += [segment("e", 99), segment("f", 70), segment("g", 98)]
        assert [one["id"] for one in of(segmentEvals=segments).segments] == ["b", "c", "d", "f", "a"]

    def test_need_words(self) -> None:
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

    def test_show_no_signed_link(self) -> None:
        link = f"https://storage.ollang.com/a.srt?{SIGNATURE}&X-Amz-Expires=60"
        segments = [
            {"id": "1", "explain": f"See {link}", "suggestedNewValue": f"{link}"},
            {"id": "2", "comments": "z" * 280 + link},
        ]
        shown = json.dumps(of(segmentEvals=segments).to_json(), ensure_ascii=False)
        assert "storage.ollang.com/a.srt?…" in shown
        assert SIGNATURE.partition("=")[2] not in shown


class TestSize:
    """An evaluation goes through the event of a trigger, the metadata database and logs."""

    def test_thousands_of_long_segments_are_no_burden(self) -> None:
        long = "word " * 10_000
        segments = [{"id": f"seg_{one}", "explain": long, "suggestedNewValue": long} for one in range(5_000)]
        assert len(json.dumps(of(segmentEvals=segments).to_json())) < 5_000

    @pytest.mark.parametrize(
        "changes",
        [
            {"scores": [{"name": f"Criterion {one}", "value": 1} for one in range(20_000)]},
            {"scores": [{"name": "x" * 1_000_000, "value": 1}]},
            {"id": "x" * 1_000_000},
            {"createdAt": "x" * 1_000_000},
            {"segmentEvals": [{"id": "x" * 1_000_000, "explain": "Why"}]},
        ],
        ids=["many scores", "a long name", "a long id", "a long time", "a segment's long id"],
    )
    def test_nothing_else_is_either(self, changes: JsonObject) -> None:
        assert len(json.dumps(of(**changes).to_json())) < 50_000

    @pytest.mark.parametrize(
        "changes",
        [
            {"scores": [{"name": f"See https://storage.ollang.com/a?{SIGNATURE}", "value": 1}]},
            {"segmentEvals": [{"id": f"https://storage.ollang.com/a?{SIGNATURE}", "explain": "Why"}]},
            {"scores": [{"name": "Accuracy\n2026-01-01 ERROR forged", "value": 1}]},
            {"segmentEvals": [{"id": "seg\x1b[31m\nforged", "explain": "Why"}]},
        ],
        ids=["link in a name", "link in an id", "line in a name", "line in an id"],
    )
    def test_names_are_as_clean_as_explanations(self, changes: JsonObject) -> None:
        found = of(**changes)
        shown = " ".join(str(one) for each in [*found.scores, *found.segments] for one in each.values())
        assert SIGNATURE not in shown
        assert shown.isprintable()


class TestNewer:
    @pytest.mark.parametrize(
        ("found", "before", "newer"),
        [
            pytest.param(key("b", AFTER), key("a", BEFORE), True, id="later, another id"),
            pytest.param(key("a", AFTER), key("a", BEFORE), True, id="later, the same id"),
            pytest.param(key("a", BEFORE), key("a", BEFORE), False, id="the same"),
            pytest.param(key("b", LONG_BEFORE), key("a", BEFORE), False, id="earlier, another id"),
            pytest.param(key("b", None), key("a", BEFORE), True, id="no time, another id"),
            pytest.param(key("b", AFTER), key("a", None), True, id="there was no time, another id"),
            pytest.param(key("b", "soon"), key("a", BEFORE), True, id="no such time, another id"),
            pytest.param(key("a", None), key("a", BEFORE), False, id="no time, the same id"),
            pytest.param(key("a", AFTER), key("a", None), False, id="there was no time, the same id"),
            pytest.param(key(None, AFTER), key(None, BEFORE), True, id="later, no ids"),
            pytest.param(key(None, None), key("a", BEFORE), False, id="nothing to tell by"),
            pytest.param(key("b", None), key(None, None), False, id="there was nothing to tell by"),
            pytest.param(key("", None), key("a", None), False, id="an empty id"),
            pytest.param(key("a", "2024-01-16T14:20:00.001Z"), key("a", BEFORE), True, id="a millisecond"),
            pytest.param(key("a", "2024-01-16T15:20:00+01:00"), key("a", BEFORE), False, id="the same, another zone"),
            pytest.param(key("a", "2024-01-16T14:20:01"), key("a", BEFORE), True, id="no zone is UTC"),
        ],
    )
    def test_by_time_else_by_id(self, found: JsonObject, before: JsonObject, *, newer: bool) -> None:
        assert is_later(of(id=found["id"], createdAt=found["created_at"]).key, before) is newer

    @pytest.mark.parametrize("changes", [{}, {"id": None}, {"createdAt": None}, {"id": None, "createdAt": None}])
    def test_where_there_was_none_any_is_newer(self, changes: JsonObject) -> None:
        assert is_later(of(**changes).key, None) is True


def goal_of(**changes: Any) -> EvaluationGoal:
    goal = goal_from_json(json.loads(json.dumps(EvaluationGoal(**changes).to_json())))
    assert isinstance(goal, EvaluationGoal)
    return goal


def finds(goal: EvaluationGoal, **changes: Any) -> bool:
    return goal.find(order(latestEvaluation=evaluation(**changes))) is not None


class TestGoal:
    def test_any_evaluation_counts_without_a_rule(self) -> None:
        assert finds(goal_of(), id=None, createdAt=None)
        assert goal_of().find(order()) is None

    def test_after_a_receipt_only_a_newer_one_counts(self) -> None:
        goal = goal_of(before=key())
        assert not finds(goal)
        assert finds(goal, id="eval_2", createdAt=AFTER)
        assert finds(goal, createdAt=AFTER)

    def test_after_a_receipt_of_an_order_without_one_any_counts(self) -> None:
        assert finds(goal_of(before=None))

    def test_the_one_that_was_asked_for_counts_whatever_its_time(self) -> None:
        goal = goal_of(before=key(created_at=AFTER), evaluation_id="eval_2")
        assert finds(goal, id="eval_2", createdAt=BEFORE)
        assert finds(goal, id="eval_2", createdAt=None)
        assert not finds(goal, id="eval_3", createdAt=BEFORE)

    def test_under_another_id_it_counts_if_it_is_newer(self) -> None:
        goal = goal_of(before=key(), evaluation_id="eval_2")
        assert finds(goal, id="shown_2", createdAt=AFTER)
        assert not finds(goal, id="shown_1", createdAt=BEFORE)

    def test_one_that_is_loading_counts(self) -> None:
        assert finds(goal_of(before=key()), id="eval_2", createdAt=AFTER, isLoading=True)

    def test_the_id_it_had_before_proves_nothing(self) -> None:
        goal = goal_of(before=key(), evaluation_id="eval_1")
        assert not finds(goal, id="eval_1", createdAt=BEFORE)
        assert finds(goal, id="eval_1", createdAt=AFTER)

    #: Each row of the table that the class has: its id, its time, what was before, and whether it counts.
    ROWS = (
        ("eval_2", BEFORE, key(), True),
        ("eval_2", LONG_BEFORE, key(), True),
        ("eval_2", None, key(), True),
        ("eval_2", BEFORE, None, True),
        ("eval_3", LONG_BEFORE, key(), False),
        ("eval_3", MISSED, key(), False),
        ("eval_3", MISSED, None, False),
        ("eval_3", REQUESTED, key(), True),
        ("eval_3", AFTER, key(), True),
        ("eval_3", None, key(), True),
        (None, MISSED, key(), False),
        (None, AFTER, key(), True),
        ("eval_1", BEFORE, key(), False),
        # An order that keeps one evaluation under one id.
        ("eval_2", BEFORE, key("eval_2"), False),
        ("eval_2", MISSED, key("eval_2"), False),
        ("eval_2", AFTER, key("eval_2"), True),
    )

    @pytest.mark.parametrize(("name", "created_at", "before", "counts"), ROWS)
    def test_id_and_time_of_the_request_decide(
        self, name: str | None, created_at: str | None, before: Any, *, counts: bool
    ) -> None:
        goal = goal_of(before=before, evaluation_id="eval_2", since=REQUESTED)
        assert finds(goal, id=name, createdAt=created_at) is counts

    def test_older_one_never_stands_for_the_one_attached_to(self) -> None:
        attached = goal_of(before=None, evaluation_id="eval_2", since=MISSED)
        assert finds(attached, id="eval_2", createdAt=MISSED)
        assert not finds(attached, id="eval_1", createdAt=BEFORE)
        assert finds(attached, id="eval_3", createdAt=AFTER)

    @pytest.mark.parametrize(
        ("created_at", "counts"), [(BEFORE, False), (REQUESTED, True), (AFTER, True), (None, True), ("soon", True)]
    )
    def test_one_of_before_the_rerun_does_not_count(self, created_at: str | None, *, counts: bool) -> None:
        assert finds(goal_of(since=REQUESTED), createdAt=created_at) is counts

    def test_one_of_before_the_rerun_does_not_count_though_it_is_newer_than_the_baselines(self) -> None:
        goal = goal_of(before=key(created_at=LONG_BEFORE), since=REQUESTED)
        assert not finds(goal, id="eval_2", createdAt=BEFORE)
        assert finds(goal, id="eval_2", createdAt=AFTER)

    def test_it_survives_a_version_with_more_fields(self) -> None:
        goal = EvaluationGoal(on_missing="wait", before=key(), evaluation_id="e", since=REQUESTED)
        assert goal_from_json({"evaluation": {**goal.to_json()["evaluation"], "mood": "good"}, "mood": "good"}) == goal
        assert goal_from_json({"evaluation": {}}) == EvaluationGoal()

    @many
    @given(
        st.sampled_from([None, "eval_1", "eval_2"]),
        st.sampled_from([None, LONG_BEFORE, BEFORE, REQUESTED, AFTER]),
        st.sampled_from([None, REQUESTED]),
    )
    def test_what_was_there_before_never_counts(self, name: str | None, created_at: str | None, since: Any) -> None:
        before = of(id=name, createdAt=created_at)
        goal = goal_of(before=before.key, evaluation_id="eval_new", since=since)
        assert not finds(goal, id=name, createdAt=created_at)


# --- Receipts -----------------------------------------------------------------------------------------------------


def receipt(**changes: Any) -> JsonObject:
    whole = {
        "order_id": ORDER_ID,
        "host": HOST,
        "message": "QC evaluation started.",
        "requested_at": REQUESTED,
        "reconnected": False,
        "evaluation_id": "eval_2",
        "credits_used": 5,
        "before": key(),
        "attached": False,
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not ...}


class TestReceipt:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"before": None},
            {"evaluation_id": None, "credits_used": None, "message": None, "requested_at": None},
            {"reconnected": True, "attached": True, "before": None},
            {"credits_used": 2.5, "reconnected": True, "before": {"id": None, "created_at": None}},
        ],
    )
    def test_goes_through_xcom_unchanged(self, changes: JsonObject) -> None:
        whole = receipt(**changes)
        assert EvaluationReceipt.from_value(json.loads(json.dumps(whole))).to_json() == whole

    def test_of_an_earlier_version_did_not_say_whether_it_attached(self) -> None:
        assert EvaluationReceipt.from_value(receipt(attached=...)).attached is False

    def test_fields_of_a_later_version_are_no_trouble(self) -> None:
        assert EvaluationReceipt.from_value(receipt(mood="good")).to_json() == receipt()

    def test_its_goal_is_the_evaluation_that_was_asked_for(self) -> None:
        goal = EvaluationReceipt.from_value(receipt()).goal
        assert goal == EvaluationGoal(on_missing="wait", before=key(), evaluation_id="eval_2", since=REQUESTED)

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            (None, "not None. If that task was marked as success by hand"),
            ("{{ x }}", "the text '{{ x }}'"),
            ([receipt()], "a list"),
            (5, "a int"),
        ],
    )
    def test_what_is_no_mapping_is_refused(self, value: object, words: str) -> None:
        with pytest.raises(OllangConfigurationError) as caught:
            EvaluationReceipt.from_value(value)
        assert "evaluation must be the receipt that OllangEvaluateOrderOperator returns" in str(caught.value)
        assert words in str(caught.value)

    @pytest.mark.parametrize("name", sorted(receipt().keys() - {"attached"}))
    def test_each_part_is_needed(self, name: str) -> None:
        with pytest.raises(OllangConfigurationError, match=r"whole and unchanged; the mapping given is none"):
            EvaluationReceipt.from_value(receipt(**{name: ...}))

    @pytest.mark.parametrize(
        "changes",
        [
            *(("order_id", value) for value in (None, "", 5)),
            *(("host", value) for value in (None, "", 5)),
            *(("before", value) for value in ("eval_1", 5, {}, {"id": "eval_1"}, {"created_at": BEFORE})),
        ],
        ids=str,
    )
    def test_a_broken_part_is_refused(self, changes: tuple[str, Any]) -> None:
        name, value = changes
        with pytest.raises(OllangConfigurationError, match="whole and unchanged"):
            EvaluationReceipt.from_value(receipt(**{name: value}))

    def test_it_is_of_this_order_and_this_api(self) -> None:
        mine = EvaluationReceipt.from_value(receipt())
        other = EvaluationReceipt.from_value(receipt(order_id="other"))
        assert agreed_order_id(None, None, mine) == agreed_order_id(ORDER_ID, mine, None) == ORDER_ID
        for order_id, receipts in [("other", [mine]), (None, [mine, other]), (None, [other, mine]), (5, [mine])]:
            with pytest.raises(OllangConfigurationError, match="give only one of them"):
                agreed_order_id(order_id, *receipts)
        settings = Settings.from_connection("ollang_default", host=None, password="key", extra={})
        check_host(settings, None, mine)
        elsewhere = EvaluationReceipt.from_value(receipt(host="https://elsewhere.example"))
        with pytest.raises(OllangConfigurationError, match="The receipt is of https://elsewhere"):
            check_host(settings, mine, elsewhere)
