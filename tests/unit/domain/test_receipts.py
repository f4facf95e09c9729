"""The receipts of paid requests, on their way from the task that made one to the tasks that wait for its result."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest

from airflow_provider_ollang.client.settings import Settings
from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.freshness import Rerun
from airflow_provider_ollang.domain.goals import EvaluationGoal
from airflow_provider_ollang.domain.receipts import EvaluationReceipt, PaidReceipt, Receipt, agreed_order_id, check_host
from airflow_provider_ollang.domain.reviews import Review
from airflow_provider_ollang.exceptions import OllangConfigurationError
from tests.unit.builders import BEFORE, ORDER_ID, REQUESTED, SIGNATURE, evaluation, new_result, order

HOST = "https://api-integration.ollang.com"
KEY: dict[str, str | None] = {"id": "eval_1", "created_at": BEFORE}
COMMON = {"order_id": ORDER_ID, "host": HOST, "message": "Started", "requested_at": REQUESTED, "reconnected": False}


def receipt(**changes: Any) -> Receipt:
    baseline = Baseline.from_order(order(latestEvaluation=evaluation()))
    facts = {"seen_running": False, "last_status": "completed", "baseline": baseline}
    return Receipt(**{**COMMON, **facts, **changes})


def evaluation_receipt(**changes: Any) -> EvaluationReceipt:
    return EvaluationReceipt(**{**COMMON, "evaluation_id": "eval_2", "credits_used": 5, "before": KEY, **changes})


UNKNOWN: dict[str, Any] = {"message": None, "requested_at": None}
NO_DATES = Baseline.from_order(order(orderDocs=[], deliveryEvents=[]))
RECEIPTS: list[PaidReceipt] = [
    receipt(),
    receipt(**UNKNOWN, last_status=None, baseline=Baseline.from_order({})),
    receipt(reconnected=True, seen_running=True, baseline=NO_DATES, baseline_confirmed=True),
    receipt(result={"order_id": ORDER_ID, "outputs": []}),
    receipt(kind="review", credits_used=12.5),
    evaluation_receipt(),
    evaluation_receipt(**UNKNOWN, evaluation_id=None, credits_used=None, before=None),
    evaluation_receipt(reconnected=True, attached=True, before=None),
    evaluation_receipt(credits_used=2.5, before={"id": None, "created_at": None}),
]


@pytest.mark.parametrize("sent", RECEIPTS, ids=range(len(RECEIPTS)))
def test_receipt_survives_an_xcom(sent: PaidReceipt) -> None:
    value = json.loads(json.dumps(sent.to_json()))
    for received in (value, MappingProxyType(value), {**value, "weather": "fine"}):
        assert type(sent).from_value(received) == sent
    assert SIGNATURE not in str(value)
    assert "http" not in str({**value, "host": ""})


@pytest.mark.parametrize(
    ("sent", "name"),
    [(receipt(baseline_confirmed=True), "baseline_confirmed"), (evaluation_receipt(attached=True), "attached")],
)
def test_receipt_of_an_earlier_version_lacks_a_flag(sent: PaidReceipt, name: str) -> None:
    earlier = sent.to_json()
    del earlier[name]
    assert getattr(type(sent).from_value(earlier), name) is False


def test_receipt_tells_the_new_result_from_the_old() -> None:
    read = Receipt.from_value(receipt(seen_running=True, baseline_confirmed=True).to_json())
    assert read.rerun == Rerun(read.baseline, REQUESTED, seen_running=True, baseline_confirmed=True)
    assert read.rerun.evidence(new_result()) == ["documents", "running"]
    assert receipt().rerun.evidence(order()) == []
    goal = EvaluationReceipt.from_value(evaluation_receipt().to_json()).goal
    assert goal == EvaluationGoal(on_missing="wait", before=KEY, evaluation_id="eval_2", since=REQUESTED)


def test_receipt_of_an_earlier_version_is_a_reruns() -> None:
    earlier = {name: value for name, value in receipt().to_json().items() if name not in LATER}
    assert Receipt.from_value(earlier) == receipt()


def test_receipt_of_a_review_tells_its_result_as_a_review() -> None:
    read = Receipt.from_value(receipt(kind="review", seen_running=True).to_json())
    assert read.rerun == Review(read.baseline, REQUESTED, seen_running=True)
    assert read.rerun.evidence(order(level=1)) == ["level", "running"]
    assert read.rerun.evidence(order(level=0)) == []


@pytest.mark.parametrize(
    ("kind", "result", "is_approved"),
    [
        ("review", {"outputs_changed": False, "evidence": ["level", "running"]}, True),
        ("review", {"outputs_changed": False, "evidence": ["level"]}, False),
        ("review", {"outputs_changed": False, "evidence": []}, False),
        ("review", {"outputs_changed": True, "evidence": ["level", "documents"]}, False),
        ("review", None, False),
        ("rerun", {"outputs_changed": False, "evidence": ["running"]}, False),
    ],
)
def test_only_a_wait_for_a_review_finds_outputs_approved(kind: Any, result: Any, is_approved: bool) -> None:
    assert receipt(kind=kind, result=result).is_approved_unchanged is is_approved


# --- What is none -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (None, "not None. If that task was marked as success by hand"),
        (ORDER_ID, f"the text {ORDER_ID!r}"),
        ("x" * 10_000, "'" + "x" * 60 + "' (pass `rerun.output` instead of a template)"),
        (17, "a int"),
        ([receipt().to_json()], "a list"),
        (receipt(), "a Receipt"),
    ],
    ids=lambda value: repr(value)[:20],
)
@pytest.mark.parametrize(
    ("kind", "title"),
    [
        (Receipt, "rerun must be the receipt that OllangRerunOperator"),
        (EvaluationReceipt, "evaluation must be the receipt that OllangEvaluateOrderOperator"),
    ],
)
def test_value_that_is_no_mapping_is_refused_with_advice(
    kind: type[PaidReceipt], title: str, value: object, named: str
) -> None:
    with pytest.raises(OllangConfigurationError) as caught:
        kind.from_value(value)
    for part in (title, named):
        assert part in str(caught.value)
    assert len(str(caught.value)) < 500


def changed(sent: PaidReceipt, **changes: Any) -> dict[str, Any]:
    """Return a receipt as JSON, with changes; ``...`` leaves a key out."""
    return {name: value for name, value in {**sent.to_json(), **changes}.items() if value is not ...}


#: What receipts of earlier versions do not have.
LATER = ("baseline_confirmed", "kind", "credits_used")
BASELINE = receipt().to_json()["baseline"]
NO_BASELINES: list[Any] = [None, "old", [], {}]
BROKEN_PARTS: list[dict[str, Any]] = [
    *({"level": level} for level in ("1", [1])),
    *({"events": events} for events in (2, "none")),
    *({"outputs": outputs} for outputs in (5, [None], ["doc_old"], [{"id": "doc_old"}])),
    *({"evaluation": no} for no in NO_BASELINES[1:]),
]
BROKEN: list[tuple[type[PaidReceipt], dict[Any, Any]]] = [
    (Receipt, {}),
    (Receipt, {1: 2}),
    (Receipt, order()),
    (Receipt, evaluation_receipt().to_json()),
    (EvaluationReceipt, receipt().to_json()),
    *((Receipt, changed(receipt(), **{name: ...})) for name in receipt().to_json() if name not in LATER),
    *((Receipt, changed(receipt(), kind=no)) for no in (None, "", "other", ["review"])),
    *((Receipt, changed(receipt(), **{name: no})) for name in ("order_id", "host") for no in (None, "", 5)),
    *((Receipt, changed(receipt(), baseline=no)) for no in NO_BASELINES),
    *((Receipt, changed(receipt(), baseline={**BASELINE, **part})) for part in BROKEN_PARTS),
    *(
        (EvaluationReceipt, changed(evaluation_receipt(), **{name: ...}))
        for name in evaluation_receipt().to_json()
        if name != "attached"
    ),
    *((EvaluationReceipt, changed(evaluation_receipt(), before=no)) for no in ("eval_1", 5, {}, {"id": "eval_1"})),
]


@pytest.mark.parametrize(("kind", "value"), BROKEN, ids=lambda value: str(value)[:40])
def test_broken_receipt_is_refused_when_it_is_read(kind: type[PaidReceipt], value: dict[Any, Any]) -> None:
    with pytest.raises(OllangConfigurationError, match="whole and unchanged; the mapping given is none") as caught:
        kind.from_value(value)
    assert all(str(name) in str(caught.value) for name in value)
    assert SIGNATURE not in str(caught.value)
    assert caught.value.__suppress_context__


# --- Which order, which host --------------------------------------------------------------------------------------


def test_receipts_have_to_agree_on_the_order() -> None:
    mine, other = evaluation_receipt(), receipt(order_id="other")
    assert agreed_order_id(None, None, mine) == agreed_order_id(ORDER_ID.upper(), mine, None).lower() == ORDER_ID
    for order_id, receipts in (("other", [mine]), (None, [mine, other]), (None, [other, mine]), (5, [mine])):
        with pytest.raises(OllangConfigurationError, match="give only one of them"):
            agreed_order_id(order_id, *receipts)


def test_receipt_of_another_host_is_refused() -> None:
    settings = Settings.from_connection("ollang_default", host=None, password="key", extra={})
    check_host(settings, None, evaluation_receipt())
    with pytest.raises(OllangConfigurationError, match="The receipt is of https://elsewhere"):
        check_host(settings, evaluation_receipt(), receipt(host="https://elsewhere.example"))
