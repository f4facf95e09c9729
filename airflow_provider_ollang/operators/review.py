"""The operator that has people review an order."""

from __future__ import annotations

from airflow_provider_ollang.operators._new_result import OllangNewResultOperator
from airflow_provider_ollang.runtime.review_request import ReviewRequest


class OllangHumanReviewOperator(OllangNewResultOperator):
    """
    Has people at Ollang review a completed or delivered order (`Human Review`).

    **This is billed.** So a task instance requests at most one review, as :class:`.OllangRerunOperator` submits at most
    one rerun, by the same record and with the same answers to retries, clears and lost responses. Where the outcome of
    the request stays unknown, the task fails without a retry, and a person decides.

    The request sets the order to ``ongoing`` and level 1. People work on it for hours or days; then it is done at level
    1, with new documents or with the old ones, approved as they were. Give the receipt to
    ``OllangOrderStatusSensor(rerun=...)``, or wait here with ``wait_for_completion``: both accept only the result of
    this review. Every operator that takes the receipt of a rerun takes that of a review, too.

    :param order_id: the order: its id, or a mapping with ``order_id`` or ``id`` (templated).
    :param wait_for_completion: wait for the reviewed result, which is then in the receipt; default ``False``.
    :param on_running: what to do if the order is being processed already: ``"fail"``, or ``"attach"`` to a review that
        is under way instead of requesting one.
    :param on_unknown_outcome: what to do when the outcome of the request stays unknown: ``"fail"``, or ``"resubmit"``
        it once, which may be billed twice.
    :param on_no_evidence: what to do when the order says it is done for all of ``stale_timeout`` and nothing shows that
        its result is the review's: ``"fail"``, or ``"accept"`` the result with ``evidence: []``.
    :param skip_if_passed: the report of :class:`.OllangQualityGateOperator`: the task is skipped if it says that the
        order passed (templated).
    :param min_credits: request nothing if the account has fewer credits left; needs a key that may see billing. Default
        ``None``: do not ask.
    :param reconcile_timeout: how long to look for evidence that a request with an unknown outcome was processed, in
        all tries together, seconds or ``timedelta``; default 300 s. Each try takes 30 s of it at least.
    :param poll_interval: seconds, or ``timedelta``, between two polls of the wait; default 60 s, at least 1 s.
    :param timeout: seconds, or ``timedelta``, after which the wait fails, per try; default ``[sensors]
        default_timeout``, 7 days.
    :param max_poll_failures: how many consecutive polls of the wait may fail for transient reasons; default 10.
    :param outputs_timeout: seconds, or ``timedelta``, that new output documents may lag behind the end of the review;
        default 120 s. Then its outputs count as approved as they were, and the result says ``outputs_changed: false``.
    :param stale_timeout: seconds, or ``timedelta``, that an order may say it is done without any evidence of the
        review, or with no other than its level; default 2 h.
    :param deferrable: wait in the triggerer, which holds no worker slot; default ``[operators] default_deferrable``.
        The worker polls until it has observed the review, 30 s after the request at most.
    :param ollang_conn_id: the Airflow connection (templated).
    :return: the receipt, as that of :class:`.OllangRerunOperator` with ``"kind": "review"``; it is pushed as XCom as
        soon as the review is accepted, or its outcome unknown. ``result`` is ``None``, or after a wait what
        :class:`.OllangOrderStatusSensor` returns.
    :raises OllangOrderNotEligibleError: the order is not completed or delivered; nothing was sent or started.
    :raises OllangRequestRefusedError: the API refused it.
    :raises OllangInsufficientCreditsError: the account has fewer than ``min_credits``; nothing was sent.
    :raises OllangOutcomeUnknownError: it may or may not have been accepted; the message says what to check.
    :raises OllangOrderFailedError: the review was cancelled, or the order failed.
    :raises OllangStaleResultError, OllangTimeoutError: the wait failed, as in the sensor.
    :raises OllangError: as :meth:`.OllangHook.request_human_review`.
    """

    ui_color = "#e6dcf7"
    record_key = "ollang_review"
    request_class = ReviewRequest
