"""Whether an evaluation is good enough: pure rules from scores and thresholds to a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from statistics import mean
from typing import TYPE_CHECKING, Any

from airflow_provider_ollang.domain.arguments import is_same_id, nearest_name
from airflow_provider_ollang.domain.evaluations import CRITERIA
from airflow_provider_ollang.domain.values import parse_score, plain_name
from airflow_provider_ollang.exceptions import OllangConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable


_HUNDREDTH = Decimal("0.01")
_HIGHEST_SCORE = 100
#: So near to a known criterion that it is a misspelling of it, and no criterion of an account's own.
_NEAR = 0.85


@dataclass(frozen=True)
class Thresholds:
    """
    What scores have to reach.

    :param min_scores: a threshold for each criterion that matters.
    :param min_average: a threshold for the average of all scores; ``None``: none.
    """

    min_scores: dict[str, float]
    min_average: float | None

    @classmethod
    def from_arguments(cls, min_scores: object, min_average: object) -> Thresholds:
        """
        Read the thresholds of a task.

        :param min_scores: a mapping of criteria to numbers, or texts that are numbers; ``None``: none.
        :param min_average: a number, a text that is one, or ``None``.
        :raises OllangConfigurationError: one is no number from 0 to 100, or is a fraction of 1; a criterion is a
            misspelling of a known one; two are for one criterion; or there are none at all.
        """
        if not isinstance(min_scores, Mapping | None):
            raise OllangConfigurationError(
                f"min_scores must be a mapping such as {{'Accuracy': 90}}, not {min_scores!r:.80}."
            )
        scores: dict[str, float] = {}
        for name, value in (min_scores or {}).items():
            if not isinstance(name, str) or not plain_name(name):
                raise OllangConfigurationError(f"min_scores names a criterion {name!r:.80}, which is no text.")
            if plain_name(name) in map(plain_name, scores):
                raise OllangConfigurationError(f"min_scores names {name!r} twice; case, spaces, _ and - do not count.")
            _check_spelling(name)
            scores[name] = _parse_threshold(f"min_scores[{name!r}]", value)
        average = None if min_average is None else _parse_threshold("min_average", min_average)
        if not scores and average is None:
            raise OllangConfigurationError("Give min_scores, min_average or both: without them anything would pass.")
        return cls(scores, average)

    @staticmethod
    def check_literals(min_scores: object, min_average: object) -> None:
        """
        Check what is known of a task's thresholds when its DAG is parsed: all that is no template and no XCom.

        :param min_scores: as for :meth:`from_arguments`, and so is the other parameter.
        :raises OllangConfigurationError: a criterion is a misspelling of a known one, or a number is no threshold.
        """
        for name, value in min_scores.items() if isinstance(min_scores, Mapping) else ():
            if isinstance(name, str) and "{" not in name:
                _check_spelling(name)
            if isinstance(value, int | float) and not isinstance(value, bool):
                _parse_threshold(f"min_scores[{name!r}]", value)
        if isinstance(min_average, int | float) and not isinstance(min_average, bool):
            _parse_threshold("min_average", min_average)

    def evaluate(self, order_id: str, evaluation: Mapping[str, Any] | None) -> dict[str, Any]:
        """
        Compare an evaluation with the thresholds.

        :param evaluation: ``{"id", "created_at", "scores": [{"name", "score"}]}``; ``None``: there is none.
        :return: ``{"order_id", "passed", "average", "min_average", "criteria": [{"name", "score", "minimum",
            "passed"}], "missing": [name], "evaluation": {"id", "created_at"} | None}``. A score equal to its threshold
            passes; a criterion that has a threshold and no score does not. Of two scores of one name the lower counts.
            The average is over the criteria that have a score, unweighted.
        """
        scores = _lowest_scores(evaluation)
        minimums = {plain_name(name): minimum for name, minimum in self.min_scores.items()}
        criteria = [_criterion(name, score, minimums.get(key)) for key, (name, score) in scores.items()]
        missing = [name for name in self.min_scores if plain_name(name) not in scores]
        criteria += [_criterion(name, None, self.min_scores[name]) for name in missing]
        # In decimals, so that the average of three scores of 60.8 is 60.8.
        average = float(mean(Decimal(repr(score)) for _, score in scores.values())) if scores else None
        return {
            "order_id": order_id,
            "passed": self._is_reached_by(average) and all(criterion["passed"] for criterion in criteria),
            "average": average,
            "min_average": self.min_average,
            "criteria": criteria,
            "missing": missing,
            "evaluation": None
            if evaluation is None
            else {"id": evaluation.get("id"), "created_at": evaluation.get("created_at")},
        }

    def _is_reached_by(self, average: float | None) -> bool:
        return self.min_average is None or (average is not None and average >= self.min_average)

    def format_table(self, report: Mapping[str, Any]) -> str:
        """Return a report as a table for people, a line for each criterion and one for the average."""
        rows = [
            (str(criterion["name"]), criterion["score"], criterion["minimum"], criterion["passed"])
            for criterion in report["criteria"]
        ]
        average = report["average"]
        rows.append(("average", average, self.min_average, self._is_reached_by(average)))
        width = max(len(name) for name, *_ in rows)
        return "\n".join(
            f"  {name:<{width}}  {_format_number(score):>6}  {_format_verdict(score, minimum, passed=passed)}".rstrip()
            for name, score, minimum, passed in rows
        )


def parse_passed(report: object, order_id: str, noun: str = "rerun") -> bool:
    """
    Return whether a quality report, as a gate returns it, says that its order passed.

    :param noun: what that makes needless, for the message.
    :raises OllangConfigurationError: it is no such report, or about another order; or the order did not pass only
        because something was not evaluated, which says nothing about its quality.
    """
    passed = report.get("passed") if isinstance(report, Mapping) else None
    if not isinstance(report, Mapping) or not isinstance(passed, bool):
        raise OllangConfigurationError(
            "skip_if_passed must be the report that OllangQualityGateOperator returns, not "
            f"{'None' if report is None else f'a {type(report).__name__}'}. If the gate was marked as success by hand, "
            "there is none: clear it, or mark this task as success too."
        )
    if not is_same_id(report.get("order_id"), order_id):
        raise OllangConfigurationError(
            f"This task is given order {order_id} and the quality report of order {report.get('order_id')}."
        )
    if not passed and not is_below(report) and (gap := _not_evaluated(report)):
        raise OllangConfigurationError(
            f"The quality report of order {order_id} cannot tell whether a {noun} is needed: {gap}. Nothing was sent. "
            "Correct min_scores of the gate, or have these criteria evaluated with OllangEvaluateOrderOperator.",
            order_id=order_id,
        )
    return passed


def _not_evaluated(report: Mapping[str, Any]) -> str | None:
    """Return what was not evaluated, for a message."""
    if report.get("evaluation", ...) is None:
        return "the order has no evaluation that counts"
    missing = report.get("missing")
    return missing_criteria(missing) if missing else None


def is_below(report: Mapping[str, Any]) -> bool:
    """Tell whether a score, or the average of those there are, is below its threshold, whatever else is missing."""
    criteria, average, min_average = report.get("criteria"), report.get("average"), report.get("min_average")
    if average is not None and min_average is not None and average < min_average:
        return True
    return any(
        criterion.get("score") is not None and criterion.get("passed") is False
        for criterion in (criteria if isinstance(criteria, list) else [])
    )


def missing_criteria(names: Iterable[str]) -> str:
    """Return a message that criteria with a threshold have no score."""
    return f"its evaluation has no score for {', '.join(map(repr, names)):.200}"


def _check_spelling(name: str) -> None:
    is_criterion = plain_name(name) in map(plain_name, CRITERIA)
    nearest = None if is_criterion else nearest_name(name, CRITERIA, cutoff=_NEAR)
    if nearest:
        raise OllangConfigurationError(
            f"min_scores names {name!r:.80}, which no evaluation has; did you mean {nearest!r}?"
        )


def _parse_threshold(name: str, value: object) -> float:
    number = parse_score(value)
    if number is None:
        raise OllangConfigurationError(f"{name} must be a number, not {value!r:.80}.")
    if not 0 <= number <= _HIGHEST_SCORE:
        raise OllangConfigurationError(f"{name} must be from 0 to 100, as scores are, not {value!r:.80}.")
    if 0 < number < 1:
        raise OllangConfigurationError(
            f"{name} must be from 0 to 100, as scores are, and {value!r:.80} looks like a fraction of 1: write "
            f"{number * _HIGHEST_SCORE:.10g}."
        )
    return number


def _lowest_scores(evaluation: Mapping[str, Any] | None) -> dict[str, tuple[str, float]]:
    """Return the name and the lowest score of each criterion, by its plain name."""
    lowest: dict[str, tuple[str, float]] = {}
    for item in (evaluation or {}).get("scores") or []:
        name, score = item.get("name"), parse_score(item.get("score"))
        if isinstance(name, str) and plain_name(name) and score is not None:
            first_name, lowest_score = lowest.get(plain_name(name), (name, score))
            lowest[plain_name(name)] = (first_name, min(lowest_score, score))
    return lowest


def _criterion(name: str, score: float | None, minimum: float | None) -> dict[str, Any]:
    passed = minimum is None or (score is not None and score >= minimum)
    return {"name": name, "score": score, "minimum": minimum, "passed": passed}


def _format_number(number: float | None) -> str:
    # Rounded down, so that a score below its threshold looks so.
    return "-" if number is None else f"{float(Decimal(repr(number)).quantize(_HUNDREDTH, ROUND_FLOOR)):.10g}"


def _format_verdict(score: float | None, minimum: float | None, *, passed: bool) -> str:
    if minimum is None:
        return ""
    verdict = "passed" if passed else "missing" if score is None else "below"
    return f"{f'minimum {minimum:.10g}':<14}  {verdict}"
