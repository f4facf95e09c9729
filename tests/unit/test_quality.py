"""Scores against thresholds: the report, its table, and what reads it."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_ollang.domain.evaluations import Evaluation
from airflow_provider_ollang.domain.thresholds import Thresholds, parse_passed
from airflow_provider_ollang.domain.values import parse_score, plain_name
from airflow_provider_ollang.exceptions import OllangConfigurationError
from tests.unit.builders import BEFORE, ORDER_ID, evaluation, order

JsonObject = dict[str, Any]
KEY = {"id": "eval_1", "created_at": BEFORE}
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NO_NUMBERS: list[Any] = [None, True, False, "", "high", "90%", float("nan"), "NaN", float("inf"), [90], {}, 10**400]


def report_of(
    scores: list[tuple[Any, Any]] | JsonObject, min_scores: Any = None, min_average: Any = None
) -> dict[str, Any]:
    """Judge these scores, by way of JSON as in an Airflow run."""
    pairs = scores.items() if isinstance(scores, dict) else scores
    found = {**KEY, "is_loading": False, "scores": [{"name": name, "score": score} for name, score in pairs]}
    report = Thresholds.from_arguments(min_scores, min_average).evaluate(ORDER_ID, json.loads(json.dumps(found)))
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    return report


def passes(scores: Any, min_scores: Any = None, min_average: Any = None) -> bool:
    passed = report_of(scores, min_scores, min_average)["passed"]
    assert isinstance(passed, bool)
    return passed


class TestReport:
    def test_says_all_there_is(self) -> None:
        assert report_of(
            {"Accuracy": 92.5, "Tone": 60, "Fluency": 81}, {"accuracy": 90, "Tone": "70", "Style": 50}, 70
        ) == {
            "order_id": ORDER_ID,
            "passed": False,
            "average": 77.83333333333333,
            "min_average": 70.0,
            "criteria": [
                {"name": "Accuracy", "score": 92.5, "minimum": 90.0, "passed": True},
                {"name": "Tone", "score": 60.0, "minimum": 70.0, "passed": False},
                {"name": "Fluency", "score": 81.0, "minimum": None, "passed": True},
                {"name": "Style", "score": None, "minimum": 50.0, "passed": False},
            ],
            "missing": ["Style"],
            "evaluation": KEY,
        }

    def test_of_an_order_without_evaluation(self) -> None:
        assert Thresholds.from_arguments({"Tone": 70, "Accuracy": 90}, 80).evaluate(ORDER_ID, None) == {
            "order_id": ORDER_ID,
            "passed": False,
            "average": None,
            "min_average": 80.0,
            "criteria": [
                {"name": "Tone", "score": None, "minimum": 70.0, "passed": False},
                {"name": "Accuracy", "score": None, "minimum": 90.0, "passed": False},
            ],
            "missing": ["Tone", "Accuracy"],
            "evaluation": None,
        }

    def test_without_evaluation_no_average_is_high_enough(self) -> None:
        assert Thresholds.from_arguments(None, 0).evaluate(ORDER_ID, None)["passed"] is False
        assert Thresholds.from_arguments(None, 0).evaluate(ORDER_ID, {**KEY, "scores": []})["passed"] is False

    @pytest.mark.parametrize("shape", [("value", "id", "explain"), ("score", "segmentId", "comments")])
    def test_of_either_shape_is_the_same(self, shape: tuple[str, str, str]) -> None:
        number, _, _ = shape
        scores = [{"name": "Accuracy", number: "92.5"}, {"name": "cultural_fit", number: 70}]
        found = Evaluation.of_order(order(latestEvaluation=evaluation(scores=scores)))
        assert found is not None
        report = Thresholds.from_arguments({"Accuracy": 92.5, "Cultural Fit": 71}, None).evaluate(
            ORDER_ID, found.to_json()
        )
        assert [(one["name"], one["score"], one["passed"]) for one in report["criteria"]] == [
            ("Accuracy", 92.5, True),
            ("cultural_fit", 70.0, False),
        ]


class TestThresholds:
    @pytest.mark.parametrize(
        ("score", "passed"),
        [(90, True), (90.0, True), ("90", True), (math.nextafter(90, 91), True), (math.nextafter(90, 0), False)],
    )
    def test_equal_is_enough(self, score: Any, *, passed: bool) -> None:
        assert passes({"Accuracy": score}, {"Accuracy": 90}) is passed
        assert passes({"Accuracy": score}, {"Accuracy": "90"}) is passed
        assert passes({"Accuracy": score}, None, 90) is passed
        assert passes({"Accuracy": score}, None, "90.0") is passed

    def test_each_has_to_be_reached(self) -> None:
        scores = {"Accuracy": 90, "Tone": 80}
        assert passes(scores, {"Accuracy": 90, "Tone": 80}, 85)
        assert not passes(scores, {"Accuracy": 91, "Tone": 80}, 85)
        assert not passes(scores, {"Accuracy": 90, "Tone": 81}, 85)
        assert not passes(scores, {"Accuracy": 90, "Tone": 80}, 85.1)

    def test_a_criterion_that_nobody_wants_decides_nothing(self) -> None:
        assert passes({"Accuracy": 90, "Tone": 0}, {"Accuracy": 90})

    @pytest.mark.parametrize("name", ["cultural fit", "culturalFit", "CULTURAL_FIT", "Cultural-Fit", " CulturalFit "])
    def test_names_are_compared_loosely(self, name: str) -> None:
        assert passes({"Cultural Fit": 70}, {name: 70})
        assert passes({name: 70}, {"Cultural Fit": 70})
        assert not passes({name: 69}, {"Cultural Fit": 70})

    @pytest.mark.parametrize(
        "scores",
        [{}, {"Fluency": 99}, {"Accuracy": None}, {"Accuracy": True}, {"Accuracy": "n/a"}, {"Accuracy 2": 99}],
        ids=repr,
    )
    def test_what_is_wanted_and_absent_has_not_passed(self, scores: JsonObject) -> None:
        report = report_of(scores, {"Accuracy": 0})
        assert report["passed"] is False
        assert report["missing"] == ["Accuracy"]
        assert {"name": "Accuracy", "score": None, "minimum": 0.0, "passed": False} in report["criteria"]

    def test_of_duplicates_the_lowest_counts(self) -> None:
        for scores in ([99, 70, 85], [70, 99], [85, 99, 70]):
            pairs = [(name, score) for name, score in zip(["Tone", "tone", "T_one"], scores, strict=False)]
            report = report_of(pairs, {"TONE": 71})
            assert report["criteria"] == [{"name": "Tone", "score": 70.0, "minimum": 71.0, "passed": False}]
            assert report["average"] == 70

    def test_a_duplicate_without_a_number_is_none(self) -> None:
        assert passes([("Tone", None), ("Tone", 80), ("Tone", "n/a")], {"Tone": 80})

    def test_what_has_no_name_is_no_criterion(self) -> None:
        report = report_of([(None, 0), ("", 0), (" _- ", 0), ("Tone", 80)], {"Tone": 80}, 80)
        assert (report["passed"], report["average"], len(report["criteria"])) == (True, 80, 1)

    @pytest.mark.parametrize("score", [value for value in NO_NUMBERS if not isinstance(value, float)], ids=repr)
    def test_what_is_no_number_is_not_in_the_average(self, score: Any) -> None:
        assert report_of({"Tone": 80, "Accuracy": score, "Fluency": "60"}, {"Tone": 1})["average"] == 70

    def test_the_average_has_no_weights(self) -> None:
        report = report_of([("Tone", 90), ("tone", 60), ("Accuracy", 100)], {"Tone": 1}, 80)
        assert (report["average"], report["passed"]) == (80, True)
        assert not passes([("Tone", 90), ("tone", 59), ("Accuracy", 100)], None, 80)

    @pytest.mark.parametrize(
        ("scores", "average"), [([60.8] * 3, 60.8), ([83.6, 75.8], 79.7), ([1.1] * 10, 1.1), ([99.7] * 2, 99.7)]
    )
    def test_an_average_that_people_find_equal_is_enough(self, scores: list[float], average: float) -> None:
        report = report_of([(f"Criterion {number}", score) for number, score in enumerate(scores)], None, average)
        assert (report["average"], report["passed"]) == (average, True)


class TestArguments:
    @pytest.mark.parametrize("min_scores", [None, {}])
    def test_without_a_threshold_anything_would_pass(self, min_scores: Any) -> None:
        with pytest.raises(OllangConfigurationError, match="Give min_scores, min_average or both"):
            Thresholds.from_arguments(min_scores, None)

    def test_a_threshold_of_zero_is_one(self) -> None:
        assert Thresholds.from_arguments({"Tone": 0}, None) == Thresholds({"Tone": 0.0}, None)
        assert Thresholds.from_arguments(None, 0) == Thresholds({}, 0.0)

    @pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: repr(value)[:20])
    def test_a_threshold_is_a_number(self, value: Any) -> None:
        with pytest.raises(OllangConfigurationError, match=r"min_scores\['Tone'\] must be a number, not "):
            Thresholds.from_arguments({"Accuracy": 90, "Tone": value}, None)
        if value is not None:
            with pytest.raises(OllangConfigurationError, match="min_average must be a number, not "):
                Thresholds.from_arguments({"Accuracy": 90}, value)

    @pytest.mark.parametrize(
        "value", ["Accuracy", "{'Accuracy': 90}", 90, True, [("Accuracy", 90)], ["Accuracy"], set()]
    )
    def test_thresholds_are_a_mapping(self, value: Any) -> None:
        with pytest.raises(OllangConfigurationError, match=r"min_scores must be a mapping such as \{'Accuracy': 90\}"):
            Thresholds.from_arguments(value, 90)

    @pytest.mark.parametrize("name", [None, 5, "", " ", "_-", ("a",)])
    def test_a_criterion_has_a_name(self, name: Any) -> None:
        with pytest.raises(OllangConfigurationError, match="min_scores names a criterion"):
            Thresholds.from_arguments({name: 90}, None)

    def test_two_thresholds_for_one_criterion_are_a_mistake(self) -> None:
        with pytest.raises(OllangConfigurationError, match="min_scores names 'cultural_fit' twice"):
            Thresholds.from_arguments({"Cultural Fit": 90, "cultural_fit": 10}, None)

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("Acuracy", "Accuracy"),
            ("accurracy", "Accuracy"),
            ("FLUENCE", "Fluency"),
            ("Tones", "Tone"),
            ("cultural-fitt", "Cultural Fit"),
        ],
    )
    def test_a_misspelling_of_a_known_criterion_is_refused(self, name: str, meant: str) -> None:
        for check in (Thresholds.from_arguments, Thresholds.check_literals):
            with pytest.raises(OllangConfigurationError, match=f"min_scores names {name!r}.*did you mean {meant!r}"):
                check({"Tone": 90, name: 60}, None)

    @pytest.mark.parametrize(
        "name", ["Adequacy", "Clarity", "Style", "Terminology", "Grammar", "Readability", "Consistency", "Timing"]
    )
    def test_a_criterion_of_an_accounts_own_is_taken(self, name: str) -> None:
        assert passes({name: 90}, {name: 90})
        Thresholds.check_literals({name: 90}, None)

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            (900, "from 0 to 100"),
            (-1, "from 0 to 100"),
            (100.5, "from 0 to 100"),
            (0.99, "fraction of 1: write 99"),
            (0.5, "write 50"),
        ],
    )
    def test_impossible_or_trivial_threshold_is_refused(self, value: float, words: str) -> None:
        for check in (Thresholds.from_arguments, Thresholds.check_literals):
            for arguments in (({"Tone": value}, None), (None, value)):
                with pytest.raises(OllangConfigurationError, match=words):
                    check(*arguments)
        with pytest.raises(OllangConfigurationError, match=words):
            Thresholds.from_arguments({"Tone": str(value)}, None)

    @pytest.mark.parametrize(
        ("min_scores", "min_average"),
        [
            (None, None),
            ("{{ params.scores }}", None),
            (object(), object()),
            ({"Accuracy": "{{ params.min_accuracy }}", "{{ params.criterion }}": 80, "Tone": object()}, "{{ x }}"),
        ],
        ids=["nothing", "a template", "another task's", "parts that are templates"],
    )
    def test_what_is_known_only_later_is_not_checked_early(self, min_scores: Any, min_average: Any) -> None:
        Thresholds.check_literals(min_scores, min_average)

    def test_errors_are_short(self) -> None:
        for arguments in (("x" * 10_000, None), ({"Tone": "x" * 10_000}, None), (None, [1] * 10_000)):
            with pytest.raises(OllangConfigurationError) as caught:
                Thresholds.from_arguments(*arguments)
            assert len(str(caught.value)) < 250


class TestTable:
    def test_has_a_line_for_each_criterion_and_the_average(self) -> None:
        thresholds = Thresholds.from_arguments({"Accuracy": 90, "Tone": 70, "Style": 50}, 80)
        found = {**KEY, "scores": [{"name": "Accuracy", "score": 92.5}, {"name": "Tone", "score": 60}]}
        found["scores"] = [*found["scores"], {"name": "Cultural Fit", "score": 81}]
        assert thresholds.format_table(thresholds.evaluate(ORDER_ID, found)).split("\n") == [
            "  Accuracy        92.5  minimum 90      passed",
            "  Tone              60  minimum 70      below",
            "  Cultural Fit      81",
            "  Style              -  minimum 50      missing",
            "  average        77.83  minimum 80      below",
        ]

    def test_without_scores(self) -> None:
        thresholds = Thresholds.from_arguments(None, 80)
        assert (
            thresholds.format_table(thresholds.evaluate(ORDER_ID, None)) == "  average       -  minimum 80      missing"
        )
        thresholds = Thresholds.from_arguments({"Tone": 80}, None)
        assert thresholds.format_table(thresholds.evaluate(ORDER_ID, None)).split("\n") == [
            "  Tone          -  minimum 80      missing",
            "  average       -",
        ]

    def test_an_average_without_threshold_is_not_compared(self) -> None:
        thresholds = Thresholds.from_arguments({"Tone": 80}, None)
        report = thresholds.evaluate(ORDER_ID, {**KEY, "scores": [{"name": "Tone", "score": 80}]})
        assert thresholds.format_table(report).split("\n")[-1] == "  average      80"

    @pytest.mark.parametrize(("score", "minimum"), [(89.996, 90), (89.9999999, 90), (90, 90.001), (99.999, 100)])
    def test_a_score_that_is_below_looks_so(self, score: float, minimum: float) -> None:
        thresholds = Thresholds.from_arguments({"Tone": minimum}, None)
        line = thresholds.format_table(
            thresholds.evaluate(ORDER_ID, {**KEY, "scores": [{"name": "Tone", "score": score}]})
        ).split("\n")[0]
        _, shown, _, wanted, verdict = line.split()
        assert verdict == "below"
        assert float(shown) < float(wanted)


class TestPassedOf:
    @pytest.mark.parametrize("passed", [True, False])
    def test_reads_the_report(self, *, passed: bool) -> None:
        report = report_of({"Tone": 80}, {"Tone": 80 if passed else 81})
        assert parse_passed(report, ORDER_ID) is passed
        assert parse_passed({**report, "mood": "good"}, ORDER_ID) is passed

    @pytest.mark.parametrize(
        "report",
        [
            None,
            True,
            "passed",
            [],
            {},
            {"order_id": ORDER_ID},
            *({"order_id": ORDER_ID, "passed": value} for value in (None, 1, 0, "true", "", [True])),
        ],
        ids=repr,
    )
    def test_what_is_no_report_is_refused(self, report: Any) -> None:
        with pytest.raises(OllangConfigurationError) as caught:
            parse_passed(report, ORDER_ID)
        for part in ("skip_if_passed must be the report that OllangQualityGateOperator returns", "by hand"):
            assert part in str(caught.value)
        assert ("not None" in str(caught.value)) is (report is None)

    def test_what_was_not_evaluated_is_no_reason_for_a_rerun(self) -> None:
        report = report_of({"Accuracy": 93}, {"Accuracy": 90, "Style": 60})
        with pytest.raises(OllangConfigurationError, match=r"no score for 'Style'\. Nothing was sent\."):
            parse_passed(report, ORDER_ID)
        # Whoever says on_missing="pass" has decided.
        assert parse_passed({**report, "passed": True}, ORDER_ID) is True

    @pytest.mark.parametrize(
        ("min_scores", "min_average"),
        [({"Accuracy": 94, "Style": 60}, None), ({"Style": 60}, 94), ({"Accuracy": 90, "Style": 60}, 94)],
        ids=["criterion", "average", "average of a criterion that passes"],
    )
    def test_score_below_counts_beside_a_missing_one(self, min_scores: Any, min_average: Any) -> None:
        report = report_of({"Accuracy": 93}, min_scores, min_average)
        assert report["missing"] == ["Style"]
        assert parse_passed(report, ORDER_ID) is False

    def test_average_reached_says_nothing_of_a_missing_one(self) -> None:
        report = report_of({"Accuracy": 93}, {"Style": 60}, 93)
        with pytest.raises(OllangConfigurationError, match="no score for 'Style'"):
            parse_passed(report, ORDER_ID)

    def test_report_without_min_average_is_read(self) -> None:
        report = report_of({"Accuracy": 93}, {"Accuracy": 94}, 94)
        del report["min_average"]
        assert parse_passed(report, ORDER_ID) is False

    def test_an_order_without_evaluation_is_no_reason_for_a_rerun(self) -> None:
        for thresholds in (Thresholds.from_arguments({"Accuracy": 90}, None), Thresholds.from_arguments(None, 90)):
            with pytest.raises(OllangConfigurationError, match="no evaluation that counts"):
                parse_passed(thresholds.evaluate(ORDER_ID, None), ORDER_ID)

    def test_the_order_is_compared_as_the_api_does(self) -> None:
        report = {**report_of({"Tone": 80}, {"Tone": 80}), "order_id": "60B8D6F1E1B9B1D8C6C0D8E1"}
        assert parse_passed(report, "60b8d6f1e1b9b1d8c6c0d8e1") is True

    @pytest.mark.parametrize("order_id", ["other", None, ...])
    @pytest.mark.parametrize("passed", [True, False])
    def test_the_report_of_another_order_is_refused(self, order_id: Any, *, passed: bool) -> None:
        report = {} if order_id is ... else {"order_id": order_id}
        with pytest.raises(OllangConfigurationError, match="and the quality report of order"):
            parse_passed({"passed": passed, **report}, ORDER_ID)


# --- What holds for any scores --------------------------------------------------------------------------------------

criteria = st.sampled_from(["Accuracy", "accuracy", "Fluency", "Cultural Fit", "culturalFit", "Tone", "", "_", None, 5])
numbers = st.sampled_from([0, 1, 60.8, 70, "70", 80.25, 90, 100, "1e2", -5]) | st.floats(-1e6, 1e6).map(
    lambda value: round(value, 3)
)
thresholds = st.sampled_from([0, 1, 60.8, 70, "70", 80.25, 90, 100, "1e2"]) | st.floats(1, 100).map(
    lambda value: round(value, 3)
)
values = numbers | st.sampled_from([None, True, False, "", "n/a", "nan", [], {}])
score_lists = st.lists(st.tuples(criteria, values), max_size=8)
wishes = st.dictionaries(
    st.sampled_from(["accuracy", "FLUENCY", "cultural_fit", "Tone", "Style"]), thresholds, max_size=4
)
averages = st.none() | thresholds


def reckoned(scores: list[tuple[Any, Any]]) -> dict[str, float]:
    """Return the score of each criterion: the rule in the fewest words."""
    found: dict[str, list[float]] = {}
    for name, value in scores:
        number = parse_score(value)
        if isinstance(name, str) and plain_name(name) and number is not None:
            found.setdefault(plain_name(name), []).append(number)
    return {name: min(each) for name, each in found.items()}


@many
@given(score_lists, wishes, averages)
def test_it_passes_if_and_only_if_all_is_reached(scores: Any, wanted: Any, average: Any) -> None:
    if not wanted and average is None:
        return
    found = reckoned(scores)
    report = report_of(scores, wanted, average)
    minimums = {plain_name(name): float(value) for name, value in wanted.items()}
    reached = {name: name in found and found[name] >= minimum for name, minimum in minimums.items()}
    assert {plain_name(name) for name in report["missing"]} == minimums.keys() - found.keys()
    assert {plain_name(one["name"]) for one in report["criteria"]} == minimums.keys() | found.keys()
    assert len(report["criteria"]) == len(minimums.keys() | found.keys())
    for one in report["criteria"]:
        key = plain_name(one["name"])
        assert (one["score"], one["minimum"]) == (found.get(key), minimums.get(key))
        assert one["passed"] is reached.get(key, True)
    if not found:
        assert report["average"] is None
        assert report["passed"] is False
        return
    mean = sum(map(Fraction, found.values())) / len(found)
    assert math.isclose(report["average"], mean, rel_tol=1e-9, abs_tol=1e-6)
    high_enough = average is None or report["average"] >= float(average)
    assert report["passed"] is (all(reached.values()) and high_enough)


@many
@given(score_lists, wishes, averages, st.randoms(use_true_random=False))
def test_the_order_of_the_scores_does_not_matter(scores: Any, wanted: Any, average: Any, random: Any) -> None:
    if not wanted and average is None:
        return
    shuffled = random.sample(scores, len(scores))
    one, other = (report_of(each, wanted, average) for each in (scores, shuffled))
    assert one["passed"] is other["passed"] or math.isclose(one["average"], float(average or 0), rel_tol=1e-9)
    assert sorted(one["missing"]) == sorted(other["missing"])
    for report in (one, other):
        report["criteria"].sort(key=lambda each: plain_name(each["name"]))
    assert [{**each, "name": None} for each in one["criteria"]] == [
        {**each, "name": None} for each in other["criteria"]
    ]


@many
@given(score_lists, wishes, averages, st.integers(0, 7), st.integers(1, 50))
def test_a_higher_score_never_fails_what_passed(scores: Any, wanted: Any, average: Any, at: int, more: int) -> None:
    if not (wanted or average is not None) or at >= len(scores) or parse_score(scores[at][1]) is None:
        return
    better = [*scores]
    better[at] = (scores[at][0], float(scores[at][1]) + more)
    assert passes(better, wanted, average) or not passes(scores, wanted, average)


@many
@given(score_lists, wishes, averages, st.sampled_from(["accuracy", "Tone", "Style"]), st.integers(1, 50))
def test_a_higher_bar_never_passes_what_failed(scores: Any, wanted: Any, average: Any, name: str, more: int) -> None:
    if not wanted and average is None:
        return
    stricter = {**wanted, name: min(float(wanted.get(name, 0)) + more, 100)}
    assert passes(scores, wanted, average) or not passes(scores, stricter, average)


@many
@given(score_lists, wishes, averages)
def test_any_report_has_its_table(scores: Any, wanted: Any, average: Any) -> None:
    if not wanted and average is None:
        return
    thresholds = Thresholds.from_arguments(wanted, average)
    found = {**KEY, "scores": [{"name": name, "score": score} for name, score in scores]}
    report = thresholds.evaluate(ORDER_ID, found)
    lines = thresholds.format_table(report).split("\n")
    assert len(lines) == len(report["criteria"]) + 1
    assert any(" below" in line or " missing" in line for line in lines) is not report["passed"]
