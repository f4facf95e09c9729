"""What holds for any scores and thresholds."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_ollang.domain.thresholds import Thresholds
from airflow_provider_ollang.domain.values import parse_score, plain_name
from tests.unit.builders import EVALUATION_KEY, ORDER_ID, passes, report_of

many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
criteria = st.sampled_from(["Accuracy", "accuracy", "Fluency", "Cultural Fit", "culturalFit", "Tone", "", "_", None, 5])
numbers = st.sampled_from([0, 1, 60.8, 70, "70", 80.25, 90, 100, "1e2", -5]) | st.floats(-1e6, 1e6).map(
    lambda value: round(value, 3)
)
thresholds = st.sampled_from([0, 1, 60.8, 70, "70", 80.25, 90, 100, "1e2"]) | st.floats(1, 100).map(
    lambda value: round(value, 3)
)
values = numbers | st.sampled_from([None, True, False, "", "n/a", "nan", [], {}])
score_lists = st.lists(st.tuples(criteria, values), max_size=8)
thresholds_given = st.dictionaries(
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
@given(score_lists, thresholds_given, averages)
def test_report_passes_iff_every_threshold_is_reached(scores: Any, minimums: Any, average: Any) -> None:
    if not minimums and average is None:
        return
    found = reckoned(scores)
    report = report_of(scores, minimums, average)
    by_name = {plain_name(name): float(value) for name, value in minimums.items()}
    reached = {name: name in found and found[name] >= minimum for name, minimum in by_name.items()}
    assert {plain_name(name) for name in report["missing"]} == by_name.keys() - found.keys()
    assert {plain_name(each["name"]) for each in report["criteria"]} == by_name.keys() | found.keys()
    assert len(report["criteria"]) == len(by_name.keys() | found.keys())
    for criterion in report["criteria"]:
        key = plain_name(criterion["name"])
        assert (criterion["score"], criterion["minimum"]) == (found.get(key), by_name.get(key))
        assert criterion["passed"] is reached.get(key, True)
    if not found:
        assert report["average"] is None
        assert report["passed"] is False
        return
    mean = sum(map(Fraction, found.values())) / len(found)
    assert math.isclose(report["average"], mean, rel_tol=1e-9, abs_tol=1e-6)
    high_enough = average is None or report["average"] >= float(average)
    assert report["passed"] is (all(reached.values()) and high_enough)


@many
@given(score_lists, thresholds_given, averages, st.randoms(use_true_random=False))
def test_order_of_scores_does_not_matter(scores: Any, minimums: Any, average: Any, random: Any) -> None:
    if not minimums and average is None:
        return
    shuffled = random.sample(scores, len(scores))
    first, second = (report_of(each, minimums, average) for each in (scores, shuffled))
    assert first["passed"] is second["passed"] or math.isclose(first["average"], float(average or 0), rel_tol=1e-9)
    assert sorted(first["missing"]) == sorted(second["missing"])
    for report in (first, second):
        report["criteria"].sort(key=lambda each: plain_name(each["name"]))
    assert [{**each, "name": None} for each in first["criteria"]] == [
        {**each, "name": None} for each in second["criteria"]
    ]


@many
@given(score_lists, thresholds_given, averages, st.integers(0, 7), st.integers(1, 50))
def test_higher_score_never_fails_what_passed(scores: Any, minimums: Any, average: Any, at: int, more: int) -> None:
    if not (minimums or average is not None) or at >= len(scores) or parse_score(scores[at][1]) is None:
        return
    better = [*scores]
    better[at] = (scores[at][0], float(scores[at][1]) + more)
    assert passes(better, minimums, average) or not passes(scores, minimums, average)


@many
@given(score_lists, thresholds_given, averages, st.sampled_from(["accuracy", "Tone", "Style"]), st.integers(1, 50))
def test_higher_threshold_never_passes_what_failed(
    scores: Any, minimums: Any, average: Any, name: str, more: int
) -> None:
    if not minimums and average is None:
        return
    stricter = {**minimums, name: min(float(minimums.get(name, 0)) + more, 100)}
    assert passes(scores, minimums, average) or not passes(scores, stricter, average)


@many
@given(score_lists, thresholds_given, averages)
def test_any_report_has_its_table(scores: Any, minimums: Any, average: Any) -> None:
    if not minimums and average is None:
        return
    thresholds = Thresholds.from_arguments(minimums, average)
    found = {**EVALUATION_KEY, "scores": [{"name": name, "score": score} for name, score in scores]}
    report = thresholds.evaluate(ORDER_ID, found)
    lines = thresholds.format_table(report).split("\n")
    assert len(lines) == len(report["criteria"]) + 1
    assert any(" below" in line or " missing" in line for line in lines) is not report["passed"]
