"""What holds for any scores and thresholds."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_ollang.domain.thresholds import Thresholds
from airflow_provider_ollang.domain.values import parse_score, plain_name
from tests.unit.builders import EVALUATION_KEY, ORDER_ID, report_of

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
    values: dict[str, list[float]] = {}
    for name, value in scores:
        number = parse_score(value)
        if isinstance(name, str) and plain_name(name) and number is not None:
            values.setdefault(plain_name(name), []).append(number)
    return {name: min(each) for name, each in values.items()}


@many
@given(score_lists, thresholds_given, averages)
def test_report_passes_iff_every_threshold_is_reached(scores: Any, minimums: Any, average: Any) -> None:
    if not minimums and average is None:
        return
    lowest = reckoned(scores)
    report = report_of(scores, minimums, average)
    by_name = {plain_name(name): float(value) for name, value in minimums.items()}
    reached = {name: name in lowest and lowest[name] >= minimum for name, minimum in by_name.items()}
    assert {plain_name(name) for name in report["missing"]} == by_name.keys() - lowest.keys()
    assert {plain_name(each["name"]) for each in report["criteria"]} == by_name.keys() | lowest.keys()
    assert len(report["criteria"]) == len(by_name.keys() | lowest.keys())
    for criterion in report["criteria"]:
        key = plain_name(criterion["name"])
        assert (criterion["score"], criterion["minimum"]) == (lowest.get(key), by_name.get(key))
        assert criterion["passed"] is reached.get(key, True)
    if not lowest:
        assert report["average"] is None
        assert report["passed"] is False
        return
    mean = sum(map(Fraction, lowest.values())) / len(lowest)
    assert math.isclose(report["average"], mean, rel_tol=1e-9, abs_tol=1e-6)
    high_enough = average is None or report["average"] >= float(average)
    assert report["passed"] is (all(reached.values()) and high_enough)


@many
@given(score_lists, thresholds_given, averages)
def test_any_report_has_its_table(scores: Any, minimums: Any, average: Any) -> None:
    if not minimums and average is None:
        return
    thresholds = Thresholds.from_arguments(minimums, average)
    evaluation = {**EVALUATION_KEY, "scores": [{"name": name, "score": score} for name, score in scores]}
    report = thresholds.evaluate(ORDER_ID, evaluation)
    lines = thresholds.format_table(report).split("\n")
    assert len(lines) == len(report["criteria"]) + 1
    assert any(" below" in line or " missing" in line for line in lines) is not report["passed"]
