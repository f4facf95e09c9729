"""Scores against thresholds: the report, its table, and what reads it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from airflow_provider_ollang.domain.thresholds import Thresholds, parse_passed
from airflow_provider_ollang.exceptions import OllangConfigurationError
from tests.unit.builders import EVALUATION_KEY as KEY
from tests.unit.builders import ORDER_ID, passes, report_of

JsonObject = dict[str, Any]
NOTHING: list[Any] = [None, {}]
NO_MAPPINGS: list[Any] = ["{'Accuracy': 90}", 90, True, [("Accuracy", 90)], set()]
NO_NUMBERS: list[Any] = [None, True, "", "high", "90%", "NaN", [90], {}, 10**400]

# --- The report ---------------------------------------------------------------------------------------------------


def test_report_says_all_there_is() -> None:
    scores, minimums = {"Accuracy": 92.5, "Tone": 60, "Fluency": 81}, {"accuracy": 90, "Tone": "70", "Style": 50}
    assert report_of(scores, minimums, 70) == {
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


def test_report_without_evaluation_has_not_passed() -> None:
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
    for evaluation in (None, {**KEY, "scores": []}):
        assert Thresholds.from_arguments(None, 0).evaluate(ORDER_ID, evaluation)["passed"] is False


@pytest.mark.parametrize(
    ("score", "passed"), [(90, True), ("90", True), (math.nextafter(90, 91), True), (math.nextafter(90, 0), False)]
)
def test_score_equal_to_its_threshold_passes(score: Any, passed: bool) -> None:
    for minimum in (90, "90.0"):
        assert passes({"Accuracy": score}, {"Accuracy": minimum}) is passed
        assert passes({"Accuracy": score}, None, minimum) is passed


@pytest.mark.parametrize(
    ("accuracy", "tone", "average", "passed"),
    [(90, 80, 85, True), (91, 80, 85, False), (90, 81, 85, False), (90, 80, 85.1, False), (90, 0, None, True)],
)
def test_every_threshold_has_to_be_reached(accuracy: float, tone: float, average: Any, passed: bool) -> None:
    assert passes({"Accuracy": 90, "Tone": 80}, {"Accuracy": accuracy, "Tone": tone}, average) is passed


def test_criterion_without_threshold_decides_nothing() -> None:
    assert passes({"Accuracy": 90, "Tone": 0}, {"Accuracy": 90})


@pytest.mark.parametrize("name", ["culturalFit", "CULTURAL_FIT", " Cultural-Fit"])
def test_criteria_are_compared_loosely(name: str) -> None:
    assert passes({"Cultural Fit": 70}, {name: 70})
    assert passes({name: 70}, {"Cultural Fit": 70})
    assert not passes({name: 69}, {"Cultural Fit": 70})


@pytest.mark.parametrize(
    "scores", [{}, {"Fluency": 99}, {"Accuracy 2": 99}, *({"Accuracy": no} for no in (None, True, "n/a"))]
)
def test_criterion_without_score_has_not_passed(scores: JsonObject) -> None:
    report = report_of(scores, {"Accuracy": 0})
    assert report["passed"] is False
    assert report["missing"] == ["Accuracy"]
    assert {"name": "Accuracy", "score": None, "minimum": 0.0, "passed": False} in report["criteria"]


@pytest.mark.parametrize("scores", [[99, 70, 85], [70, 99, None], [85, 99, 70]])
def test_lowest_score_of_one_name_counts(scores: list[Any]) -> None:
    report = report_of(zip(["Tone", "tone", "T_one"], scores, strict=True), {"TONE": 71})
    assert report["criteria"] == [{"name": "Tone", "score": 70.0, "minimum": 71.0, "passed": False}]
    assert report["average"] == 70


def test_score_without_a_name_does_not_count() -> None:
    report = report_of([(None, 0), ("", 0), (" _- ", 0), ("Tone", 80)], {"Tone": 80}, 80)
    assert (report["passed"], report["average"], len(report["criteria"])) == (True, 80, 1)


@pytest.mark.parametrize(
    ("scores", "average"),
    [
        ([("Tone", 90), ("tone", 60), ("Accuracy", 100)], 80),
        *(([("Tone", 80), ("Accuracy", no), ("Fluency", "60")], 70) for no in (None, True, "high", [90])),
        # What people find equal is enough.
        ([("a", 60.8), ("b", 60.8), ("c", 60.8)], 60.8),
        ([("a", 83.6), ("b", 75.8)], 79.7),
        ([(f"{number}", 1.1) for number in range(10)], 1.1),
    ],
)
def test_average_is_of_one_score_per_name_unweighted(scores: Any, average: float) -> None:
    report = report_of(scores, None, average)
    assert (report["average"], report["passed"]) == (average, True)
    assert not passes(scores, None, average + 0.1)


# --- Arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        *(((no, None), "Give min_scores, min_average or both") for no in NOTHING),
        *((({"Tone": no}, None), r"min_scores\['Tone'\] must be a number, not ") for no in NO_NUMBERS),
        *(((None, no), "min_average must be a number, not ") for no in NO_NUMBERS[1:]),
        *(((no, 90), r"min_scores must be a mapping such as \{'Accuracy': 90\}") for no in NO_MAPPINGS),
        *((({name: 90}, None), "min_scores names a criterion") for name in (None, 5, "", "_-", ("a",))),
        (({"Cultural Fit": 90, "cultural_fit": 10}, None), "min_scores names 'cultural_fit' twice"),
        *(
            (arguments, "not ")
            for arguments in (("x" * 10_000, None), ({"Tone": "x" * 10_000}, None), (None, [1] * 10_000))
        ),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_wrong_thresholds_are_refused_shortly(arguments: tuple[Any, Any], words: str) -> None:
    with pytest.raises(OllangConfigurationError, match=words) as caught:
        Thresholds.from_arguments(*arguments)
    assert len(str(caught.value)) < 250


def test_threshold_of_zero_is_one() -> None:
    assert Thresholds.from_arguments({"Tone": 0}, None) == Thresholds({"Tone": 0.0}, None)
    assert Thresholds.from_arguments(None, 0) == Thresholds({}, 0.0)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("Acuracy", "Accuracy"), ("FLUENCE", "Fluency"), ("Tones", "Tone"), ("cultural-fitt", "Cultural Fit")],
)
def test_misspelt_criterion_is_refused(name: str, meant: str) -> None:
    for check in (Thresholds.from_arguments, Thresholds.check_literals):
        with pytest.raises(OllangConfigurationError, match=f"min_scores names {name!r}.*did you mean {meant!r}"):
            check({"Tone": 90, name: 60}, None)


@pytest.mark.parametrize(
    "name", ["Adequacy", "Clarity", "Style", "Terminology", "Grammar", "Readability", "Consistency", "Timing"]
)
def test_criterion_of_an_account_is_taken(name: str) -> None:
    assert passes({name: 90}, {name: 90})
    Thresholds.check_literals({name: 90}, None)


@pytest.mark.parametrize(
    ("value", "words"),
    [*((value, "from 0 to 100") for value in (900, -1, 100.5)), (0.99, "fraction of 1: write 99"), (0.5, "write 50")],
)
def test_threshold_out_of_range_or_a_fraction_is_refused(value: float, words: str) -> None:
    for check in (Thresholds.from_arguments, Thresholds.check_literals):
        for arguments in (({"Tone": value}, None), (None, value)):
            with pytest.raises(OllangConfigurationError, match=words):
                check(*arguments)
    with pytest.raises(OllangConfigurationError, match=words):
        Thresholds.from_arguments({"Tone": str(value)}, None)


def test_what_is_known_only_at_run_time_is_not_checked_early() -> None:
    parts = {"Accuracy": "{{ params.min_accuracy }}", "{{ params.criterion }}": 80, "Tone": object()}
    for arguments in ((None, None), ("{{ params.scores }}", None), (object(), object()), (parts, "{{ x }}")):
        Thresholds.check_literals(*arguments)


# --- The table ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("min_scores", "min_average", "scores", "lines"),
    [
        (
            {"Accuracy": 90, "Tone": 70, "Style": 50},
            80,
            {"Accuracy": 92.5, "Tone": 60, "Cultural Fit": 81},
            [
                "  Accuracy        92.5  minimum 90      passed",
                "  Tone              60  minimum 70      below",
                "  Cultural Fit      81",
                "  Style              -  minimum 50      missing",
                "  average        77.83  minimum 80      below",
            ],
        ),
        (None, 80, None, ["  average       -  minimum 80      missing"]),
        ({"Tone": 80}, None, None, ["  Tone          -  minimum 80      missing", "  average       -"]),
        ({"Tone": 80}, None, {"Tone": 80}, ["  Tone         80  minimum 80      passed", "  average      80"]),
    ],
)
def test_table_has_a_line_for_each_criterion(min_scores: Any, min_average: Any, scores: Any, lines: Any) -> None:
    thresholds = Thresholds.from_arguments(min_scores, min_average)
    pairs = [{"name": name, "score": score} for name, score in (scores or {}).items()]
    report = thresholds.evaluate(ORDER_ID, None if scores is None else {**KEY, "scores": pairs})
    assert thresholds.format_table(report).split("\n") == lines


@pytest.mark.parametrize(("score", "minimum"), [(89.996, 90), (89.9999999, 90), (90, 90.001), (99.999, 100)])
def test_score_below_its_threshold_looks_so(score: float, minimum: float) -> None:
    thresholds = Thresholds.from_arguments({"Tone": minimum}, None)
    report = thresholds.evaluate(ORDER_ID, {**KEY, "scores": [{"name": "Tone", "score": score}]})
    _, shown, _, threshold, verdict = thresholds.format_table(report).split("\n")[0].split()
    assert verdict == "below"
    assert float(shown) < float(threshold)


# --- Reading a report ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("passed", [True, False])
def test_report_is_read(passed: bool) -> None:
    report = report_of({"Tone": 80}, {"Tone": 80 if passed else 81})
    for each in (report, {**report, "mood": "good"}, {**report, "order_id": ORDER_ID.upper()}):
        assert parse_passed(each, ORDER_ID) is passed


@pytest.mark.parametrize(
    "report",
    [
        None,
        True,
        "passed",
        [],
        {},
        {"id": ORDER_ID, "status": "completed"},
        *({"order_id": ORDER_ID, "passed": value} for value in (None, 1, "true", [True])),
    ],
    ids=repr,
)
def test_other_value_is_no_report(report: Any) -> None:
    with pytest.raises(OllangConfigurationError) as caught:
        parse_passed(report, ORDER_ID)
    for part in ("skip_if_passed must be the report that OllangQualityGateOperator returns", "by hand"):
        assert part in str(caught.value)
    assert ("not None" in str(caught.value)) is (report is None)


@pytest.mark.parametrize("order_id", ["other", None, ...])
@pytest.mark.parametrize("passed", [True, False])
def test_report_of_another_order_is_refused(order_id: Any, passed: bool) -> None:
    report = {} if order_id is ... else {"order_id": order_id}
    with pytest.raises(OllangConfigurationError, match="and the quality report of order"):
        parse_passed({"passed": passed, **report}, ORDER_ID)


STYLE = {"Style": 60}
MISSING = r"no score for 'Style'\. Nothing was sent\."


@pytest.mark.parametrize(
    ("scores", "min_scores", "min_average", "refusal"),
    [
        # Nothing is below: what was not evaluated is no reason for a rerun.
        ({"Accuracy": 93}, {"Accuracy": 90, **STYLE}, None, MISSING),
        ({"Accuracy": 93}, STYLE, 93, MISSING),
        (None, {"Accuracy": 90}, None, "no evaluation that counts"),
        (None, None, 90, "no evaluation that counts"),
        # A score, or the average, is below, whatever is missing.
        ({"Accuracy": 93}, {"Accuracy": 94, **STYLE}, None, None),
        ({"Accuracy": 93}, STYLE, 94, None),
        ({"Accuracy": 93}, {"Accuracy": 90, **STYLE}, 94, None),
    ],
)
def test_report_with_something_missing_needs_a_score_below(
    scores: Any, min_scores: Any, min_average: Any, refusal: str | None
) -> None:
    thresholds = Thresholds.from_arguments(min_scores, min_average)
    pairs = [{"name": name, "score": score} for name, score in (scores or {}).items()]
    report = thresholds.evaluate(ORDER_ID, None if scores is None else {**KEY, "scores": pairs})
    # A user who says on_missing="pass" has decided.
    assert parse_passed({**report, "passed": True}, ORDER_ID) is True
    if refusal is None:
        assert parse_passed(report, ORDER_ID) is False
        return
    with pytest.raises(OllangConfigurationError, match=refusal):
        parse_passed(report, ORDER_ID)


def test_report_of_an_earlier_version_has_no_min_average() -> None:
    report = report_of({"Accuracy": 93}, {"Accuracy": 94}, 94)
    del report["min_average"]
    assert parse_passed(report, ORDER_ID) is False
