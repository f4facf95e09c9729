"""Operators that have an order's quality evaluated, and act on its scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_ollang import _clock
from airflow_provider_ollang._compat import BranchMixIn
from airflow_provider_ollang.domain.arguments import (
    NOT_GIVEN,
    parse_credits,
    parse_names,
    parse_seconds,
    parse_timeout,
    require_choice,
    require_count,
)
from airflow_provider_ollang.domain.polling import MAX_POLL_FAILURES, PollConfig, Poller, PollState
from airflow_provider_ollang.domain.receipts import (
    EvaluationReceipt,
    Receipt,
    agreed_order_id,
    check_host,
    evaluation_goal,
)
from airflow_provider_ollang.domain.thresholds import Thresholds, is_below, missing_criteria
from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangQualityError
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators._base import OllangOperator
from airflow_provider_ollang.runtime.context import require_task_instance
from airflow_provider_ollang.runtime.order_requests import EvaluationRequest
from airflow_provider_ollang.runtime.paid_request import RECONCILE_TIMEOUT, SubmissionPolicy
from airflow_provider_ollang.runtime.task_state import RETENTION, TaskState
from airflow_provider_ollang.runtime.wait import (
    DEFERRABLE,
    POLL_INTERVAL,
    deferral_errors,
    read_event,
    wait_for,
    write_log,
)
from airflow_provider_ollang.triggers.ollang import OllangOrderStatusTrigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_provider_ollang.domain.goals import OnMissing
    from airflow_provider_ollang.runtime.paid_request import OnRunning, OnUnknownOutcome

GATE_TIMEOUT = 3600.0


class OllangEvaluateOrderOperator(OllangOperator):
    """
    Has Ollang evaluate the quality of a completed or delivered order (`QC Evaluation`).

    **This is billed**, so a task instance submits at most one evaluation, as :class:`.OllangRerunOperator` does with a
    rerun. The scores come later: give the receipt to ``OllangQualityGateOperator(evaluation=...)``, which waits for
    them and accepts no older ones.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id`` (templated). The receipt of a rerun
        or a human review, in its place, is accepted only once there is proof of its result: else the old one would be
        evaluated.
    :param criteria: what to evaluate, of ``Accuracy``, ``Fluency``, ``Tone`` and ``Cultural Fit``, as a collection or a
        comma-separated text; default all (templated).
    :param custom_prompt: what else the evaluation should pay attention to, as text (templated).
    :param on_running: what to do if the order is being evaluated already: ``"fail"``, or ``"attach"`` to that
        evaluation instead of submitting one.
    :param on_unknown_outcome: what to do when the outcome of the request stays unknown: ``"fail"``, or ``"resubmit"``
        it once, which may be billed twice.
    :param reconcile_timeout: how long to look for evidence before that, in all tries together, seconds or
        ``timedelta``; default 300 s. Each try takes 30 s of it at least.
    :param min_credits: submit nothing if the account has fewer credits left; needs a key that may see billing. Default
        ``None``: do not ask.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: the receipt, ``{"order_id", "host", "message", "requested_at", "reconnected", "evaluation_id",
        "credits_used", "before", "attached"}``.
    :raises OllangOrderNotEligibleError: the order is not completed or delivered, it is being evaluated already, or
        nothing shows the result of the rerun whose receipt was given.
    :raises OllangInsufficientCreditsError: the account has fewer than ``min_credits``; nothing was sent.
    :raises OllangRequestRefusedError: the API refused it.
    :raises OllangOutcomeUnknownError: it may or may not have been accepted; the message says what to check.
    :raises OllangError: as :meth:`.OllangHook.evaluate_order`.
    """

    template_fields: Sequence[str] = ("order_id", "criteria", "custom_prompt", "ollang_conn_id")
    ui_color = "#dff0e4"
    #: Where the record is kept in the task's state store.
    record_key = "ollang_evaluation"

    def __init__(
        self,
        *,
        order_id: Any,
        criteria: Iterable[str] | str | None = None,
        custom_prompt: str | None = None,
        on_running: OnRunning = "fail",
        on_unknown_outcome: OnUnknownOutcome = "fail",
        reconcile_timeout: float | timedelta = RECONCILE_TIMEOUT,
        min_credits: float | None = None,
        ollang_conn_id: str = OllangHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.order_id = order_id
        self.criteria = criteria
        self.custom_prompt = custom_prompt
        self.on_running = require_choice("on_running", on_running, ("fail", "attach"))
        self.on_unknown_outcome = require_choice("on_unknown_outcome", on_unknown_outcome, ("fail", "resubmit"))
        self.reconcile_timeout = parse_seconds("reconcile_timeout", reconcile_timeout)
        self.min_credits = parse_credits("min_credits", min_credits)
        self.ollang_conn_id = ollang_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Submit the evaluation, or reconnect to the one that an earlier try has submitted."""
        require_task_instance(context)
        # The receipt of a rerun in place of the order's id.
        has_rerun = isinstance(self.order_id, Mapping) and "baseline" in self.order_id
        request = EvaluationRequest(
            self.order_id,
            self.criteria,
            self.custom_prompt,
            rerun=Receipt.from_value(self.order_id) if has_rerun else None,
            reconcile_timeout=self.reconcile_timeout,
            log=self.log,
        )
        hook, token = self._connect(request.subject)
        submission = self._submit_once(
            context,
            hook,
            token,
            request,
            state=TaskState(context, self.record_key, retention=RETENTION),
            policy=SubmissionPolicy(self.on_running, self.on_unknown_outcome, self.reconcile_timeout, self.min_credits),
        )
        if not submission.is_finished:
            submission.record.note("finished", submission.receipt)
        return submission.receipt.to_json()


class OllangQualityGateOperator(OllangOperator):
    """
    Lets an order through if its evaluation's scores reach the thresholds, and fails, or reports, if not.

    It waits until the evaluation is finished. Submit one with :class:`OllangEvaluateOrderOperator` and pass its
    receipt: ``OllangQualityGateOperator(evaluation=evaluate.output, min_scores={"Accuracy": 90})``. With a receipt only
    an evaluation that is newer counts, so that the scores of an earlier result let nothing through.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id``; optional with a receipt (templated).
    :param min_scores: a threshold for each criterion that matters, such as ``{"Accuracy": 90}``; case, spaces, ``_``
        and ``-`` in names do not count. Thresholds are from 0 to 100. A score equal to it passes, a criterion without a
        score does not: the report names it as missing. A misspelling of ``Accuracy``, ``Fluency``, ``Tone`` or
        ``Cultural Fit`` is an error, when the DAG is parsed if it is no template (templated).
    :param min_average: a threshold for the average of all scores, from 0 to 100; default none.
    :param rerun: the receipt of :class:`.OllangRerunOperator` or :class:`.OllangHumanReviewOperator`: only an
        evaluation of its result counts (templated).
    :param evaluation: the receipt of :class:`OllangEvaluateOrderOperator`: only that evaluation counts (templated).
    :param on_missing: what to do if the order has no evaluation that counts: ``"fail"``, ``"wait"`` for one, or
        ``"pass"``. With ``evaluation`` it always waits.
    :param on_below: what to do with scores below the thresholds: ``"fail"``, or ``"report"`` them.
    :param poll_interval: seconds, or ``timedelta``, between two polls; default 60 s, at least 1 s.
    :param timeout: seconds, or ``timedelta``, after which the wait fails; default 1 h.
    :param max_poll_failures: how many consecutive polls may fail for transient reasons; default 10.
    :param deferrable: wait in the triggerer, which holds no worker slot; default ``[operators] default_deferrable``.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: the report, ``{"order_id", "passed", "average", "min_average", "criteria": [{"name", "score", "minimum",
        "passed"}], "missing": [name], "evaluation": {"id", "created_at"} | None}``.
    :raises OllangQualityError: scores are below their thresholds, or there is no evaluation; the message has the table.
    :raises OllangConfigurationError: an argument or a receipt is wrong, or the evaluation is older than the rerun.
    :raises OllangTimeoutError: the evaluation was not finished in time; never retried.
    :raises OllangError: as :meth:`.OllangHook.get_order`.
    """

    template_fields: Sequence[str] = ("order_id", "min_scores", "rerun", "evaluation", "ollang_conn_id")
    ui_color = "#d2ead9"

    def __init__(
        self,
        *,
        order_id: Any = None,
        min_scores: Any = None,
        min_average: float | None = None,
        rerun: Any = NOT_GIVEN,
        evaluation: Any = NOT_GIVEN,
        on_missing: OnMissing = "fail",
        on_below: Literal["fail", "report"] = "fail",
        poll_interval: float | timedelta = POLL_INTERVAL,
        timeout: float | timedelta = GATE_TIMEOUT,
        max_poll_failures: int = MAX_POLL_FAILURES,
        deferrable: bool = DEFERRABLE,
        ollang_conn_id: str = OllangHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.order_id = order_id
        self.min_scores = min_scores
        self.min_average = min_average
        self.rerun_given = rerun is not NOT_GIVEN
        self.rerun = rerun if self.rerun_given else None
        self.evaluation_given = evaluation is not NOT_GIVEN
        self.evaluation = evaluation if self.evaluation_given else None
        self.on_missing = require_choice("on_missing", on_missing, ("fail", "wait", "pass"))
        self.on_below = require_choice("on_below", on_below, ("fail", "report"))
        self.poll_interval = parse_seconds("poll_interval", poll_interval)
        self.timeout = parse_timeout("timeout", timeout)
        self.max_poll_failures = require_count("max_poll_failures", max_poll_failures)
        self.deferrable = deferrable
        self.ollang_conn_id = ollang_conn_id
        if order_id is None and not (self.rerun_given or self.evaluation_given):
            raise OllangConfigurationError(f"{type(self).__name__} needs an order_id, a rerun or an evaluation.")
        Thresholds.check_literals(min_scores, min_average)

    def execute(self, context: Context) -> dict[str, Any]:
        """Wait for the evaluation, and compare it with the thresholds."""
        thresholds = self._thresholds()
        rerun = Receipt.from_value(self.rerun) if self.rerun_given else None
        evaluation = EvaluationReceipt.from_value(self.evaluation) if self.evaluation_given else None
        order_id = agreed_order_id(self.order_id, rerun, evaluation)
        hook, token = self._connect(order_id)
        check_host(hook.settings, rerun, evaluation)
        config = PollConfig(
            order_id=order_id,
            poll_interval=self.poll_interval,
            timeout=self.timeout,
            max_poll_failures=self.max_poll_failures,
        )
        goal = evaluation_goal(rerun, evaluation, self.on_missing)
        decision = wait_for(
            self,
            hook,
            Poller(config, goal, PollState(), _clock.now() + self.timeout),
            ollang_conn_id=self.ollang_conn_id,
            trigger=OllangOrderStatusTrigger,
            deferrable=self.deferrable,
            sleep=token.sleep,
            resume_with={"min_scores": thresholds.min_scores},
        )
        return self._end(context, thresholds, decision.unwrap())

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral, with the same outcome as without one."""
        with deferral_errors(self.timeout):
            return super().resume_execution(next_method, next_kwargs, context)

    def execute_complete(self, context: Context, event: dict[str, Any], min_scores: Any = NOT_GIVEN) -> dict[str, Any]:
        """
        Compare what the wait in the triggerer ended in with the thresholds.

        :param min_scores: the thresholds as they were when it began: the task they come from may have been cleared.
        """
        decision, _ = read_event(event)
        write_log(self.log, decision)
        result = decision.unwrap()
        if min_scores is not NOT_GIVEN:
            self.min_scores = min_scores
        return self._end(context, self._thresholds(), result)

    def _thresholds(self) -> Thresholds:
        return Thresholds.from_arguments(self.min_scores, self.min_average)

    def _end(self, context: Context, thresholds: Thresholds, result: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - branches need the context
        order_id, evaluation = result["order_id"], result["evaluation"]
        report = thresholds.evaluate(order_id, evaluation)
        if evaluation is None and self.on_missing == "pass":
            self.log.warning("Order %s has no evaluation that counts; it passes (on_missing='pass').", order_id)
            return {**report, "passed": True}
        if not report["passed"] and self.on_below == "fail":
            raise self._below_thresholds(thresholds, report, evaluation)
        if evaluation is not None and report["missing"]:
            self.log.warning("Order %s: %s.", order_id, missing_criteria(report["missing"]))
        verdict = "passed" if report["passed"] else "below its thresholds"
        self.log.info("Order %s: %s.\n%s", order_id, verdict, thresholds.format_table(report))
        return report

    def _below_thresholds(
        self, thresholds: Thresholds, report: Mapping[str, Any], evaluation: Mapping[str, Any] | None
    ) -> OllangQualityError:
        order_id = report["order_id"]
        if evaluation is None:
            newer = " that is newer than its receipt" if self.rerun_given else ""
            return OllangQualityError(
                f"Order {order_id} has no evaluation{newer}. Submit one with OllangEvaluateOrderOperator and pass its "
                "receipt, or set on_missing to 'wait' or 'pass'.",
                order_id=order_id,
            )
        segments = "\n".join(
            f"  {segment['id'] or '-'}: {segment['explanation']}" for segment in evaluation["segments"]
        )
        worst = f"\nWorst segments:\n{segments}" if segments else ""
        return OllangQualityError(
            f"Order {order_id} is below its thresholds:\n{thresholds.format_table(report)}{worst}\nRerun the order, "
            "have a person check it in Ollang, or lower the thresholds.",
            order_id=order_id,
        )


class OllangQualityBranchOperator(OllangQualityGateOperator, BranchMixIn):
    """
    Follows one path if an order's scores reach the thresholds, and another if not.

    It waits, compares and reports as :class:`OllangQualityGateOperator` does, and skips the tasks of the path that is
    not followed. In a mapped task group Airflow does not skip what a branch leaves out, so there it refuses to run; use
    ``OllangQualityGateOperator(on_below="report")`` there and give its report to
    ``OllangRerunOperator(skip_if_passed=...)``.

    :param follow_task_ids_if_passed: the tasks or task groups directly downstream to go on with if the scores
        reach the thresholds, one name or several; a name within this task's own group may be given without the group's.
    :param follow_task_ids_if_failed: those to go on with if not.
    :param order_id: as for :class:`OllangQualityGateOperator`, and so are the other parameters, but ``on_below``.
    :return: the report.
    :raises OllangQualityError: the evaluation has no score for a criterion of ``min_scores``, and nothing else is below
        its threshold; no path is followed.
    :raises OllangConfigurationError: a name is not directly downstream of this task, or it is in a mapped task group.
    """

    inherits_from_skipmixin = True
    ui_color = "#c5e3ce"

    def __init__(
        self,
        *,
        follow_task_ids_if_passed: str | Iterable[str],
        follow_task_ids_if_failed: str | Iterable[str],
        **kwargs: Any,
    ) -> None:
        if "on_below" in kwargs:
            raise OllangConfigurationError("A branch has no on_below: follow_task_ids_if_failed says what to do.")
        super().__init__(on_below="report", **kwargs)
        self.follow_task_ids_if_passed = parse_names("follow_task_ids_if_passed", follow_task_ids_if_passed)
        self.follow_task_ids_if_failed = parse_names("follow_task_ids_if_failed", follow_task_ids_if_failed)

    def execute(self, context: Context) -> dict[str, Any]:
        """Wait for the evaluation, compare it with the thresholds, and branch."""
        require_task_instance(context)
        if context["ti"].map_index not in {None, -1}:
            raise OllangConfigurationError(
                "OllangQualityBranchOperator cannot be mapped or in a mapped task group: Airflow does not skip the "
                "path that is left out there. Use OllangQualityGateOperator(on_below='report'), and give its report "
                "to OllangRerunOperator(skip_if_passed=...)."
            )
        # A wrong name should not show only after hours, and perhaps on one path only.
        self._paths(context)
        return super().execute(context)

    def _end(self, context: Context, thresholds: Thresholds, result: Mapping[str, Any]) -> dict[str, Any]:
        report = super()._end(context, thresholds, result)
        if report["missing"] and report["evaluation"] is not None and not is_below(report):
            # The failed path usually has a rerun, which would be billed and change nothing about it.
            raise OllangQualityError(
                f"Order {report['order_id']} cannot be compared with its thresholds: "
                f"{missing_criteria(report['missing'])}. No path was followed. Correct min_scores, or have these "
                "criteria evaluated with OllangEvaluateOrderOperator.",
                order_id=report["order_id"],
            )
        if self.do_xcom_push:
            # Airflow ends a task that skips others before it returns.
            context["ti"].xcom_push(key="return_value", value=report)
        passed, failed = self._paths(context)
        self.do_branch(context, passed if report["passed"] else failed)
        return report

    def _paths(self, context: Context) -> tuple[list[str], list[str]]:
        groups = context["ti"].task.dag.task_group_dict
        return (
            [self._find_downstream(name, groups) for name in self.follow_task_ids_if_passed],
            [self._find_downstream(name, groups) for name in self.follow_task_ids_if_failed],
        )

    def _find_downstream(self, name: str, groups: Mapping[str, Any]) -> str:
        """Return the full name of a task or task group directly downstream; the own group's name may be left out."""
        downstream = set(self.downstream_task_ids)
        own_group = self.task_group.group_id if self.task_group is not None else None
        for full_name in (name, f"{own_group}.{name}" if own_group else name):
            group = groups.get(full_name)
            first_tasks = {full_name} if group is None else {task.task_id for task in group.roots}
            if first_tasks & downstream:
                return full_name
        raise OllangConfigurationError(
            f"{name!r} is no task or task group directly downstream of {self.task_id}; there are {sorted(downstream)}."
        )
