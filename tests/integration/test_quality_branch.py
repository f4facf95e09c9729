"""``OllangQualityBranchOperator`` as Airflow runs it: which path is followed, and which skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, TaskGroup, task, task_group
from airflow.sdk.bases.operator import BaseOperator

from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangQualityError, OllangTimeoutError
from airflow_provider_ollang.operators.quality import OllangQualityBranchOperator, OllangQualityGateOperator
from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger
from tests.integration.gates import ORDER, START

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import Run, RunDag

#: What the order's Accuracy of 92.5 reaches, or does not.
MINIMUM = {True: 90, False: 95}


class Step(BaseOperator):
    """A task of a path."""

    def execute(self, context: Any) -> None:
        """Do nothing."""


def branch_on(passed: bool, if_passed: Any, if_failed: Any, **arguments: Any) -> OllangQualityBranchOperator:
    return OllangQualityBranchOperator(
        **{
            "task_id": "branch",
            "order_id": ORDER,
            "min_scores": {"Accuracy": MINIMUM[passed]},
            "follow_task_ids_if_passed": if_passed,
            "follow_task_ids_if_failed": if_failed,
            **arguments,
        }
    )


def being_made(ollang: Sandbox, until: float) -> None:
    """Let the order's evaluation be finished later, so that a deferrable branch is deferred."""
    ollang.change_order(ORDER, {"latestEvaluation": {"isLoading": True}})
    ollang.change_order(ORDER, {"latestEvaluation": {"isLoading": False}}, after=until)


def followed(run: Run) -> set[str]:
    """Return the tasks that ran; all others must have been skipped."""
    assert set(run.states.values()) <= {"success", "skipped"}
    return {name for name, state in run.states.items() if state == "success"} - {"branch"}


def a_dag() -> DAG:
    return DAG("branching", schedule=None, start_date=START)


@pytest.mark.parametrize(("mode", "passed"), [("sync", True), ("deferrable", False)], indirect=["mode"])
def test_branch_follows_one_path_and_returns_the_report(
    ollang: Sandbox, run_dag: RunDag, mode: Any, passed: bool
) -> None:
    being_made(ollang, 90)
    with a_dag() as dag:
        branch = branch_on(passed, "publish", "repair", **mode)
        branch >> Step(task_id="publish") >> Step(task_id="tell")
        branch >> Step(task_id="repair") >> Step(task_id="wait")
        gate = OllangQualityGateOperator(
            task_id="gate", order_id=ORDER, min_scores={"Accuracy": MINIMUM[passed]}, on_below="report"
        )
    run = run_dag(dag)
    assert followed(run) == ({"publish", "tell"} if passed else {"repair", "wait"}) | {gate.task_id}
    assert run.results["branch"] == run.results["gate"]
    assert run.results["branch"]["passed"] is passed


@pytest.mark.parametrize("passed", [True, False])
def test_path_may_have_several_tasks_and_share_one(ollang: Sandbox, run_dag: RunDag, mode: Any, passed: bool) -> None:
    with a_dag() as dag:
        branch = branch_on(passed, ["a", "b", "both"], "c, both", **mode)
        branch >> [Step(task_id=name) for name in ("a", "b", "c", "both", "neither")]
    assert followed(run_dag(dag)) == ({"a", "b", "both"} if passed else {"c", "both"})


@pytest.mark.parametrize(("passed", "relative"), [(True, True), (False, True), (False, False)])
def test_name_is_relative_to_the_group_of_the_branch(
    ollang: Sandbox, run_dag: RunDag, mode: Any, passed: bool, relative: bool
) -> None:
    prefix = "" if relative else "outer.inner."
    with a_dag() as dag, TaskGroup("outer"), TaskGroup("inner"):
        branch = branch_on(passed, f"{prefix}a", f"{prefix}later", **mode)
        with TaskGroup("later") as later:
            Step(task_id="b")
        branch >> [Step(task_id="a"), later]
    # Tasks of the same names elsewhere are not meant.
    with dag:
        Step(task_id="a") >> Step(task_id="b")
    run = run_dag(dag)
    assert followed(run) - {"outer.inner.branch"} == {"a", "b", "outer.inner.a" if passed else "outer.inner.later.b"}
    assert run.results["outer.inner.branch"]["passed"] is passed


def test_a_task_of_the_own_group_and_one_outside_of_it(ollang: Sandbox, run_dag: RunDag) -> None:
    with a_dag() as dag:
        outside = Step(task_id="outside")
        with TaskGroup("group"):
            branch_on(False, "a", "outside") >> [Step(task_id="a"), outside]
    assert followed(run_dag(dag)) == {"group.branch", "outside"}


@pytest.mark.parametrize(
    ("if_passed", "if_failed"),
    [
        ("typo", "b"),
        ("a", ["b", "later"]),
        ("a", "g"),
    ],
    ids=str,
)
def test_wrong_name_is_refused_before_the_first_poll(
    ollang: Sandbox, run_dag: RunDag, if_passed: Any, if_failed: Any
) -> None:
    with a_dag() as dag:
        with TaskGroup("g"):
            Step(task_id="elsewhere")
        branch = branch_on(True, if_passed, if_failed, retries=2, retry_delay=0)
        branch >> [Step(task_id="a"), Step(task_id="b")]
        dag.get_task("b") >> Step(task_id="later")
    run = run_dag(dag)
    assert (run.states["branch"], run.tries["branch"]) == ("failed", 1)
    assert isinstance(run.errors["branch"], OllangConfigurationError)
    assert "is no task or task group directly downstream of branch; there are ['a', 'b']" in str(run.errors["branch"])
    assert ollang.request_log == []


@pytest.mark.parametrize("names", ["", [], ["a", ""], [None], 5, None])
def test_path_without_a_name_is_refused(names: Any) -> None:
    with pytest.raises(OllangConfigurationError), a_dag():
        branch_on(True, "a", names)
    with pytest.raises(OllangConfigurationError), a_dag():
        branch_on(True, names, "a")


def test_branch_has_no_on_below(ollang: Sandbox) -> None:
    with pytest.raises(OllangConfigurationError, match="A branch has no on_below"), a_dag():
        branch_on(True, "a", "b", on_below="fail")


def test_timeout_fails_the_branch(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    ollang.change_order(ORDER, {"latestEvaluation": {"isLoading": True}})
    with a_dag() as dag:
        branch_on(True, "a", "b", poll_interval=600, **mode) >> [Step(task_id="a"), Step(task_id="b")]
    run = run_dag(dag)
    assert run.states == {"branch": "failed", "a": "upstream_failed", "b": "upstream_failed"}
    assert isinstance(run.errors["branch"], OllangTimeoutError)


@pytest.mark.parametrize(("on_missing", "path"), [("fail", "b"), ("pass", "a")])
def test_missing_evaluation_takes_the_failed_path_or_passes(
    ollang: Sandbox, run_dag: RunDag, mode: Any, on_missing: str, path: str
) -> None:
    order_id = ollang.add_order(type="subtitle")
    with a_dag() as dag:
        branch = branch_on(True, "a", "b", order_id=order_id, on_missing=on_missing, **mode)
        branch >> [Step(task_id="a"), Step(task_id="b")]
    run = run_dag(dag)
    assert followed(run) == {path}
    assert not isinstance(run.errors.get("branch"), OllangQualityError)


def test_missing_criterion_follows_no_path(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    with a_dag() as dag:
        branch = branch_on(True, "a", "b", min_scores={"Style": 60}, **mode)
        branch >> [Step(task_id="a"), Step(task_id="b")]
    run = run_dag(dag)
    assert run.states == {"branch": "failed", "a": "upstream_failed", "b": "upstream_failed"}
    assert isinstance(run.errors["branch"], OllangQualityError)
    assert "no score for 'Style'. No path was followed." in str(run.errors["branch"])


def test_score_below_beside_a_missing_one_takes_failed_path(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    with a_dag() as dag:
        branch = branch_on(False, "a", "b", min_scores={"Style": 60}, min_average=100, **mode)
        branch >> [Step(task_id="a"), Step(task_id="b")]
    run = run_dag(dag)
    assert followed(run) == {"b"}
    assert run.results["branch"]["missing"] == ["Style"]


def test_branch_pushes_no_report_without_do_xcom_push(ollang: Sandbox, run_dag: RunDag) -> None:
    with a_dag() as dag:
        branch_on(True, "a", "b", do_xcom_push=False) >> [Step(task_id="a"), Step(task_id="b")]
    run = run_dag(dag)
    assert (followed(run), run.results["branch"]) == ({"a"}, None)


# --- Mapped -------------------------------------------------------------------------------------------------------

REFUSAL = (
    "Use OllangQualityGateOperator(on_below='report'), and give its report to OllangRerunOperator(skip_if_passed=...)."
)


def check_refused(run: Run, ollang: Sandbox) -> None:
    branches = {name for name in run.states if "branch[" in name}
    assert len(branches) == 2
    for name in branches:
        assert (run.states[name], run.tries[name]) == ("failed", 1)
        assert isinstance(run.errors[name], OllangConfigurationError)
        assert str(run.errors[name]).endswith(REFUSAL)
    assert not {name for name, state in run.states.items() if state == "success"}
    assert ollang.request_log == []


def test_branch_in_a_mapped_group_is_refused(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    with a_dag() as dag:

        @task_group
        def judge(order_id: str) -> None:
            branch_on(True, "a", "b", order_id=order_id, retries=2, retry_delay=0, **mode) >> [
                Step(task_id="a"),
                Step(task_id="b"),
            ]

        judge.expand(order_id=[ORDER, "60b8d6f1e1b9b1d8c6c0d8e2"])
    check_refused(run_dag(dag), ollang)


def test_branch_in_a_group_of_a_mapped_group_is_refused(ollang: Sandbox, run_dag: RunDag) -> None:
    with a_dag() as dag:

        @task_group
        def judge(order_id: str) -> None:
            with TaskGroup("inner"):
                branch_on(True, "a", "b", order_id=order_id) >> [Step(task_id="a"), Step(task_id="b")]

        judge.expand(order_id=[ORDER, ORDER])
    check_refused(run_dag(dag), ollang)


def test_mapped_branch_is_refused(ollang: Sandbox, run_dag: RunDag, mode: Any) -> None:
    with a_dag() as dag:
        branch = OllangQualityBranchOperator.partial(
            task_id="branch",
            min_scores={"Accuracy": 90},
            follow_task_ids_if_passed="a",
            follow_task_ids_if_failed="b",
            retries=2,
            retry_delay=0,
            **mode,
        ).expand(order_id=[ORDER, ORDER])
        branch >> [Step(task_id="a"), Step(task_id="b")]
    check_refused(run_dag(dag), ollang)


def test_branch_behind_a_mapped_task_branches(ollang: Sandbox, run_dag: RunDag) -> None:
    with a_dag() as dag:

        @task
        def bar(score: int) -> int:
            return score

        @task
        def lowest(scores: Any) -> dict[str, int]:
            return {"Accuracy": min(scores)}

        branch = branch_on(True, "a", "b", min_scores=lowest(bar.expand(score=[95, 90])))
        branch >> [Step(task_id="a"), Step(task_id="b")]
    assert followed(run_dag(dag)) == {"bar[0]", "bar[1]", "lowest", "a"}


def test_deferrable_branch_waits_in_a_trigger(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[str] = []
    run_trigger = OllangOrderStatusTrigger.run

    def noted(self: OllangOrderStatusTrigger) -> Any:
        began.append(self.order_id)
        return run_trigger(self)

    monkeypatch.setattr(OllangOrderStatusTrigger, "run", noted)
    being_made(ollang, 90)
    with a_dag() as dag:
        branch_on(False, "a", "b", deferrable=True) >> [Step(task_id="a"), Step(task_id="b")]
    assert followed(run_dag(dag)) == {"b"}
    assert began == [ORDER]
