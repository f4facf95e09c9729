"""Operators that have an order's quality evaluated, and act on its scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_ollang import _clock
from airflow_provider_ollang._compat import BranchMixIn
from airflow_provider_ollang.client.requests import evaluate_order
from airflow_provider_ollang.domain.arguments import NOT_GIVEN, names_of, one_of
from airflow_provider_ollang.domain.evaluations import Evaluation
from airflow_provider_ollang.domain.goals import EvaluationGoal
from airflow_provider_ollang.domain.orders import DONE_STATUSES, FAILURE_STATUSES
from airflow_provider_ollang.domain.polling import MAX_POLL_FAILURES, Wait, WaitMemory, WaitRules, describe_end
from airflow_provider_ollang.domain.receipts import EvaluationReceipt, Receipt, agreed_order_id, check_host
from airflow_provider_ollang.domain.thresholds import Bar, is_below, missing_criteria
from airflow_provider_ollang.domain.values import number_of, parse_time, text_of
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangOrderNotEligibleError,
    OllangQualityError,
    error_from_json,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.runtime.context import require_task_instance
from airflow_provider_ollang.runtime.submit import RECONCILE_TIMEOUT, OncePerWishOperator, submit_on_record
from airflow_provider_ollang.runtime.wait import POLL_INTERVAL, WaitingOperator
from airflow_provider_ollang.triggers.ollang import DEFERRABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from airflow.sdk import Context

    from airflow_provider_ollang.domain.goals import OnMissing
    from airflow_provider_ollang.domain.orders import Order
    from airflow_provider_ollang.runtime.task_state import RecordBook

#: How long an evaluation is believed to be on its way; one that never ends must not forbid another for ever.
_LONGEST_EVALUATION = 3600.0
#: The Date header has whole seconds (RFC 9110 section 5.6.7).
_DATE_RESOLUTION = timedelta(seconds=1)
GATE_TIMEOUT = 3600.0


class OllangEvaluateOrderOperator(OncePerWishOperator[EvaluationReceipt]):
    """
    Asks Ollang to judge the quality of a completed or delivered order (`QC Evaluation`).

    **This is billed**, so it is asked for once per wish, as :class:`.OllangRerunOperator` does with a rerun. The scores
    come later: give the receipt to ``OllangQualityGateOperator(evaluation=...)``, which waits for them and believes no
    older ones.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id`` (templated). The receipt of a rerun, in
        its place, is taken only once there is proof of the rerun's result: else the old one would be evaluated.
    :param criteria: what to judge, of ``Accuracy``, ``Fluency``, ``Tone`` and ``Cultural Fit``, as a collection or a
        comma-separated text; default all (templated).
    :param custom_prompt: what else the evaluation should look at, in words (templated).
    :param on_running: what to do if an evaluation of the order is being made already: ``"fail"``, or ``"attach"`` it
        instead of asking for one.
    :param on_unknown_outcome: what to do when nobody can say whether Ollang got the request: ``"fail"``, or
        ``"resubmit"`` it, once per wish, which may be billed twice.
    :param reconcile_timeout: how long to look for evidence then, seconds or ``timedelta``; default 300 s.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: the receipt, ``{"order_id", "host", "message", "requested_at", "reconnected", "evaluation_id",
        "credits_used", "before"}``.
    :raises OllangOrderNotEligibleError: the order is not completed or delivered, an evaluation is being made, or
        nothing shows the result of the rerun whose receipt was given.
    :raises OllangRequestRefusedError: the API refused it.
    :raises OllangOutcomeUnknownError: it may or may not have been accepted; the message says what to check.
    :raises OllangError: as :meth:`.OllangHook.evaluate_order`.
    """

    template_fields: Sequence[str] = ("order_id", "criteria", "custom_prompt", "ollang_conn_id")
    ui_color = "#dff0e4"
    record_key = "ollang_evaluation"
    noun = "evaluation"
    # It is refused for the status of the order only, which no evaluation changes.
    second_is_refused = False
    receipt_class = EvaluationReceipt

    def __init__(
        self,
        *,
        order_id: Any,
        criteria: Iterable[str] | str | None = None,
        custom_prompt: str | None = None,
        on_running: Literal["fail", "attach"] = "fail",
        on_unknown_outcome: Literal["fail", "resubmit"] = "fail",
        reconcile_timeout: float | timedelta = RECONCILE_TIMEOUT,
        ollang_conn_id: str = OllangHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            order_id=order_id,
            on_running=on_running,
            on_unknown_outcome=on_unknown_outcome,
            reconcile_timeout=reconcile_timeout,
            ollang_conn_id=ollang_conn_id,
            **kwargs,
        )
        self.criteria = criteria
        self.custom_prompt = custom_prompt

    def execute(self, context: Context) -> dict[str, Any]:
        """Ask for the evaluation, or take over what an earlier try has asked for."""
        # Made only to be checked, before anything is sent.
        evaluate_order(self.order_id, self.criteria, self.custom_prompt)
        return super().execute(context)

    def _before(self, hook: OllangHook, order_id: str, *, join: bool = False) -> EvaluationReceipt:
        order, looked_at = hook.client.get_dated_order(order_id)
        status = self._last_status = order["status"]
        if status not in DONE_STATUSES:
            raise OllangOrderNotEligibleError(
                f"Order {order_id} is {status!r}, and only completed or delivered orders can be evaluated. "
                "Nothing was sent. Wait for it with OllangOrderStatusSensor first.",
                order_id=order_id,
            )
        rerun = self._rerun()
        if rerun is not None and rerun.result is None and not rerun.rerun.evidence(order):
            raise OllangOrderNotEligibleError(
                f"Order {order_id} is {status!r}, but nothing shows that this is the result of the rerun of "
                f"{rerun.requested_at}: the old one would be evaluated. Nothing was sent. Wait for the new one with "
                "wait_for_completion=True, or with OllangOrderStatusSensor(rerun=...) and give its result as order_id.",
                order_id=order_id,
            )
        found = Evaluation.of_order(order)
        loading = found is not None and _is_being_made(found, looked_at)
        reconnected = loading and (join or self.on_running == "attach")
        if loading and not reconnected:
            raise OllangOrderNotEligibleError(
                f"An evaluation of order {order_id} is being made already. Nothing was sent. Wait for it with "
                "OllangQualityGateOperator, or take part in it with on_running='attach'.",
                order_id=order_id,
            )
        if reconnected:
            self.log.info("Order %s: an evaluation is being made already: joining it, nothing is sent.", order_id)
        # The one that is attached to says itself when it was asked for: what is older is another one.
        asked_at = (parse_time(found.created_at) if found is not None and reconnected else None) or looked_at
        return EvaluationReceipt(
            order_id=order_id,
            host=hook.settings.base_url,
            message=None,
            requested_at=asked_at.isoformat() if asked_at else None,
            reconnected=reconnected,
            evaluation_id=found.id if found is not None and reconnected else None,
            credits_used=None,
            before=None if found is None or reconnected else found.key,
        )

    def _rerun(self) -> Receipt | None:
        """Return the rerun whose receipt stands in place of the order's id."""
        is_receipt = isinstance(self.order_id, Mapping) and "baseline" in self.order_id
        return Receipt.from_value(self.order_id) if is_receipt else None

    def _request(self, hook: OllangHook, receipt: EvaluationReceipt, **options: Any) -> EvaluationReceipt:
        request = evaluate_order(receipt.order_id, self.criteria, self.custom_prompt)
        accepted = submit_on_record(hook, request, **options)
        return dataclasses.replace(
            receipt,
            message=accepted.message,
            requested_at=accepted.requested_at or receipt.requested_at,
            evaluation_id=text_of(accepted.value.get("evalId")),
            credits_used=number_of(accepted.value.get("creditsUsed")),
        )

    def _processed(self, receipt: EvaluationReceipt, order: Order) -> EvaluationReceipt | None:
        # Whether the clocks agree or not: an evaluation that is not seen here may be bought again.
        found = dataclasses.replace(receipt.goal, since=None).find(order)
        if found is None:
            return None
        self.log.info("Order %s has evaluation %s of %s.", receipt.order_id, found.id, found.created_at)
        return dataclasses.replace(receipt, evaluation_id=found.id)

    def _may_be_processed(self, receipt: EvaluationReceipt, order: Order) -> bool:  # noqa: ARG002 - see _processed
        return False

    def _compared(self, receipt: EvaluationReceipt, order: Order) -> str:
        found = Evaluation.of_order(order)
        before = receipt.before and receipt.before["created_at"]
        now = "none" if found is None else f"the one of {found.created_at}"
        return f"before the request its evaluation was {f'the one of {before}' if before else 'none'}; now it is {now}"

    def _still_under_way(self, hook: OllangHook, receipt: EvaluationReceipt) -> EvaluationReceipt | None:
        order, looked_at = hook.client.get_dated_order(receipt.order_id)
        found = receipt.goal.find(order)
        if found is not None:
            return receipt if _is_being_made(found, looked_at) else None
        asked_at = parse_time(receipt.requested_at)
        if looked_at is None or asked_at is None:
            return None
        # It may take a while before the order shows it.
        return receipt if (looked_at - asked_at).total_seconds() < self.reconcile_timeout else None

    def _go_on(
        self,
        context: Context,  # noqa: ARG002 - an evaluation is not waited for here
        hook: OllangHook,  # noqa: ARG002
        book: RecordBook,
        receipt: EvaluationReceipt,
    ) -> dict[str, Any]:
        return self._note("finished", book, receipt).to_json()


def _is_being_made(evaluation: Evaluation, now: datetime | None) -> bool:
    begun = parse_time(evaluation.created_at)
    age = (now - begun).total_seconds() if now and begun else 0.0
    return evaluation.is_loading and age < _LONGEST_EVALUATION


class OllangQualityGateOperator(WaitingOperator):
    """
    Lets an order through if its evaluation's scores are good enough, and fails, or reports, if not.

    It waits while the evaluation is being made. Ask for one with :class:`OllangEvaluateOrderOperator` and hand on its
    receipt: ``OllangQualityGateOperator(evaluation=evaluate.output, min_scores={"Accuracy": 90})``. With a receipt only
    an evaluation that is newer counts, so that the scores of an earlier result let nothing through.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id``; optional with a receipt (templated).
    :param min_scores: a threshold for each criterion that matters, such as ``{"Accuracy": 90}``; case, spaces, ``_``
        and ``-`` in names do not count. Thresholds are from 0 to 100. A score equal to it passes, a criterion without a
        score does not: the report names it as missing. A misspelling of ``Accuracy``, ``Fluency``, ``Tone`` or
        ``Cultural Fit`` is an error, when the DAG is parsed if it is no template (templated).
    :param min_average: a threshold for the average of all scores, from 0 to 100; default none.
    :param rerun: the receipt of :class:`.OllangRerunOperator`: only an evaluation of its result counts (templated).
    :param evaluation: the receipt of :class:`OllangEvaluateOrderOperator`: only that evaluation counts (templated).
    :param on_missing: what to do if the order has no evaluation that counts: ``"fail"``, ``"wait"`` for one, or
        ``"pass"``. With ``evaluation`` it always waits: it was asked for.
    :param on_below: what to do with scores that are not good enough: ``"fail"``, or ``"report"`` them.
    :param poll_interval: seconds, or ``timedelta``, between two looks; default 60 s, at least 1 s.
    :param timeout: seconds, or ``timedelta``, after which the wait fails; default 1 h.
    :param max_poll_failures: how many looks in a row may fail for passing reasons; default 10.
    :param deferrable: wait in the triggerer, which costs no worker at all; default ``[operators] default_deferrable``.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: the report, ``{"order_id", "passed", "average", "criteria": [{"name", "score", "minimum", "passed"}],
        "missing": [name], "evaluation": {"id", "created_at"} | None}``.
    :raises OllangQualityError: the scores are not good enough, or there is no evaluation; the message has the table.
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
        super().__init__(
            poll_interval=poll_interval,
            timeout=timeout,
            max_poll_failures=max_poll_failures,
            deferrable=deferrable,
            **kwargs,
        )
        self.order_id = order_id
        self.min_scores = min_scores
        self.min_average = min_average
        self.rerun_given = rerun is not NOT_GIVEN
        self.rerun = rerun if self.rerun_given else None
        self.evaluation_given = evaluation is not NOT_GIVEN
        self.evaluation = evaluation if self.evaluation_given else None
        self.on_missing = one_of("on_missing", on_missing, ("fail", "wait", "pass"))
        self.on_below = one_of("on_below", on_below, ("fail", "report"))
        self.ollang_conn_id = ollang_conn_id
        if order_id is None and not (self.rerun_given or self.evaluation_given):
            raise OllangConfigurationError(f"{type(self).__name__} needs an order_id, a rerun or an evaluation.")
        Bar.check_literals(min_scores, min_average)

    def execute(self, context: Context) -> dict[str, Any]:
        """Wait for the evaluation, and judge it."""
        bar = self._bar()
        rerun = Receipt.from_value(self.rerun) if self.rerun_given else None
        evaluation = EvaluationReceipt.from_value(self.evaluation) if self.evaluation_given else None
        order_id = agreed_order_id(self.order_id, rerun, evaluation)
        hook = self._hook(order_id)
        check_host(hook.settings, rerun, evaluation)
        rules = WaitRules(
            order_id=order_id,
            target_statuses=DONE_STATUSES,
            failure_statuses=FAILURE_STATUSES,
            poke_interval=self.poll_interval,
            timeout=self.timeout,
            max_poll_failures=self.max_poll_failures,
            evaluation=_goal(rerun, evaluation, self.on_missing),
        )
        wait = Wait(rules, WaitMemory(), _clock.now() + self.timeout, self.log)
        step = self._wait_to_the_end(hook, wait, lambda _step: None, {"min_scores": bar.min_scores})
        if step.error is not None:
            raise step.error
        return self._end(context, bar, step.result or {})

    def execute_complete(self, context: Context, event: dict[str, Any], min_scores: Any = NOT_GIVEN) -> dict[str, Any]:
        """
        Judge what the wait in the triggerer ended in.

        :param min_scores: the thresholds as they were when it began: the task they come from may have been cleared.
        """
        if event["error"] is not None:
            raise error_from_json(event["error"])
        self.log.info("%s", describe_end(event["result"], event.get("waited")))
        if min_scores is not NOT_GIVEN:
            self.min_scores = min_scores
        return self._end(context, self._bar(), event["result"])

    def _bar(self) -> Bar:
        return Bar.from_arguments(self.min_scores, self.min_average)

    def _end(self, context: Context, bar: Bar, found: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - branches need the context
        order_id, evaluation = found["order_id"], found["evaluation"]
        report = bar.judge(order_id, evaluation)
        if evaluation is None and self.on_missing == "pass":
            self.log.warning("Order %s has no evaluation that counts; it passes all the same (on_missing).", order_id)
            return {**report, "passed": True}
        if not report["passed"] and self.on_below == "fail":
            raise self._not_good_enough(bar, report, evaluation)
        if evaluation is not None and report["missing"]:
            self.log.warning("Order %s: %s.", order_id, missing_criteria(report["missing"]))
        verdict = "passed" if report["passed"] else "not good enough"
        self.log.info("Order %s: %s.\n%s", order_id, verdict, bar.table(report))
        return report

    def _not_good_enough(
        self, bar: Bar, report: Mapping[str, Any], evaluation: Mapping[str, Any] | None
    ) -> OllangQualityError:
        order_id = report["order_id"]
        if evaluation is None:
            newer = " that is newer than its receipt" if self.rerun_given else ""
            return OllangQualityError(
                f"Order {order_id} has no evaluation{newer}. Ask for one with OllangEvaluateOrderOperator and hand on "
                "its receipt, or set on_missing to 'wait' or 'pass'.",
                order_id=order_id,
            )
        segments = "\n".join(f"  {one['id'] or '-'}: {one['explanation']}" for one in evaluation["segments"])
        worst = f"\nWorst segments:\n{segments}" if segments else ""
        return OllangQualityError(
            f"Order {order_id} is not good enough:\n{bar.table(report)}{worst}\nRerun the order, have a person look at "
            "it in Ollang, or lower the bar.",
            order_id=order_id,
        )


def _goal(rerun: Receipt | None, evaluation: EvaluationReceipt | None, on_missing: OnMissing) -> EvaluationGoal:
    """
    Tell which evaluation counts.

    :raises OllangConfigurationError: none can, so that it would be waited for in vain.
    """
    goal = EvaluationGoal(on_missing=on_missing)
    if evaluation is not None:
        goal = evaluation.goal
    elif rerun is not None:
        goal = dataclasses.replace(goal, before=rerun.baseline.evaluation)
    if rerun is None:
        return goal
    rerun_at = parse_time(rerun.requested_at)
    evaluation_at = parse_time(evaluation.requested_at) if evaluation is not None else None
    if evaluation is None or (rerun_at and evaluation_at is None):
        # An evaluation of which nobody knows whether it was asked for before the rerun is not told by its id.
        return dataclasses.replace(goal, evaluation_id=None, since=rerun.requested_at)
    if rerun_at and evaluation_at and evaluation_at < rerun_at - _DATE_RESOLUTION:
        raise OllangConfigurationError(
            f"The evaluation of order {rerun.order_id} was asked for at {evaluation_at.isoformat()}, before its rerun "
            f"at {rerun_at.isoformat()}, so its scores are not of the rerun's result. Put OllangEvaluateOrderOperator "
            "behind the rerun, and clear it to have the new result evaluated.",
            order_id=rerun.order_id,
        )
    return goal


class OllangQualityBranchOperator(OllangQualityGateOperator, BranchMixIn):
    """
    Follows one path if an order's scores are good enough, and another if not.

    It waits, compares and reports as :class:`OllangQualityGateOperator` does, and skips the tasks of the path that is
    not followed. In a mapped task group Airflow does not skip what a branch leaves out, so there it refuses to run; use
    ``OllangQualityGateOperator(on_below="report")`` there and give its report to
    ``OllangRerunOperator(skip_if_passed=...)``.

    :param follow_task_ids_if_passed: the tasks or task groups right behind this one to go on with if the scores are
        good enough, one name or several; a name within this task's own group may be given without the group's.
    :param follow_task_ids_if_failed: those to go on with if not.
    :param order_id: as for :class:`OllangQualityGateOperator`, and so are the other parameters, but ``on_below``.
    :return: the report.
    :raises OllangQualityError: the evaluation has no score for a criterion of ``min_scores``; no path is followed.
    :raises OllangConfigurationError: a name is not right behind this task, or it is in a mapped task group.
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
        self.follow_task_ids_if_passed = names_of("follow_task_ids_if_passed", follow_task_ids_if_passed)
        self.follow_task_ids_if_failed = names_of("follow_task_ids_if_failed", follow_task_ids_if_failed)

    def execute(self, context: Context) -> dict[str, Any]:
        """Wait for the evaluation, judge it, and branch."""
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

    def _end(self, context: Context, bar: Bar, found: Mapping[str, Any]) -> dict[str, Any]:
        report = super()._end(context, bar, found)
        if report["missing"] and report["evaluation"] is not None and not is_below(report):
            # The failed path usually buys a rerun, which would change nothing about it.
            raise OllangQualityError(
                f"Order {report['order_id']} cannot be judged: {missing_criteria(report['missing'])}. No path was "
                "followed. Correct min_scores, or have these criteria evaluated with OllangEvaluateOrderOperator.",
                order_id=report["order_id"],
            )
        if self.do_xcom_push:
            # Airflow ends a task that skips others before it returns.
            context["ti"].xcom_push(key="return_value", value=report)
        passed, failed = self._paths(context)
        self.do_branch(context, passed if report["passed"] else failed)
        return report

    def _paths(self, context: Context) -> tuple[list[str], list[str]]:
        dag = context["ti"].task.dag
        behind = set(self.downstream_task_ids)
        own = self.task_group.group_id if self.task_group is not None else None
        prefix = f"{own}." if own else ""

        def whole(name: str) -> str:
            for one in (name, f"{prefix}{name}"):
                roots = (
                    {root.task_id for root in dag.task_group_dict[one].roots} if one in dag.task_group_dict else {one}
                )
                if roots & behind:
                    return one
            raise OllangConfigurationError(
                f"{name!r} is no task or task group right behind {self.task_id}; there are {sorted(behind)}."
            )

        return [whole(name) for name in self.follow_task_ids_if_passed], [
            whole(name) for name in self.follow_task_ids_if_failed
        ]
