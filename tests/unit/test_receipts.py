"""The receipt of a rerun, on its way from the task that reran the order to the one that waits for it."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest

from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.freshness import Rerun
from airflow_provider_ollang.domain.receipts import Receipt
from airflow_provider_ollang.exceptions import OllangConfigurationError
from tests.unit.builders import ORDER_ID, REQUESTED, SIGNATURE, evaluation, new_result, order

KEYS = [
    "order_id",
    "host",
    "message",
    "requested_at",
    "reconnected",
    "seen_running",
    "last_status",
    "baseline",
    "result",
]


def receipt(before: dict[str, Any] | None = None, **changes: Any) -> Receipt:
    return Receipt(
        **{
            "order_id": ORDER_ID,
            "host": "https://api-integration.ollang.com",
            "message": "Order rerun initiated successfully",
            "requested_at": REQUESTED,
            "reconnected": False,
            "seen_running": False,
            "last_status": "completed",
            "baseline": Baseline.from_order(order(latestEvaluation=evaluation()) if before is None else before),
            **changes,
        }
    )


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(receipt(), id="ordinary"),
        pytest.param(receipt({}, message=None, requested_at=None, last_status=None), id="nothing known"),
        pytest.param(
            receipt(order(orderDocs=[], deliveryEvents=[]), reconnected=True, seen_running=True), id="all known"
        ),
        pytest.param(receipt(result={"order_id": ORDER_ID, "outputs": []}), id="with a result"),
    ],
)
def test_it_survives_an_xcom(one: Receipt) -> None:
    value = json.loads(json.dumps(one.to_json()))
    assert list(value) == [*KEYS, "baseline_confirmed"]
    assert Receipt.from_value(value) == one
    assert Receipt.from_value(MappingProxyType(value)) == one
    assert Receipt.from_value(value).to_json() == one.to_json()


def test_receipt_of_an_earlier_version_has_no_confirmed_baseline() -> None:
    earlier = receipt(baseline_confirmed=True).to_json()
    del earlier["baseline_confirmed"]
    assert Receipt.from_value(earlier).rerun.baseline_confirmed is False
    assert Receipt.from_value({**earlier, "baseline_confirmed": True}).rerun.baseline_confirmed is True


def test_it_holds_no_link() -> None:
    text = json.dumps(receipt().to_json())
    assert SIGNATURE not in text
    assert "storage.ollang.com" not in text


def test_it_tells_the_new_result_from_the_old_one() -> None:
    read = Receipt.from_value(receipt(seen_running=True).to_json())
    assert read.rerun == Rerun(read.baseline, REQUESTED, seen_running=True)
    assert read.rerun.evidence(new_result()) == ["documents", "running"]
    assert Receipt.from_value(receipt().to_json()).rerun.evidence(order()) == []


def test_keys_of_a_later_version_are_no_trouble() -> None:
    assert Receipt.from_value({**receipt().to_json(), "weather": "fine"}) == receipt()


@pytest.mark.parametrize(
    ("value", "named"),
    [
        pytest.param(None, "not None", id="None"),
        pytest.param(ORDER_ID, repr(ORDER_ID), id="an order id"),
        pytest.param("{'order_id': '1'}", "rerun.output", id="a receipt rendered as text"),
        pytest.param("x" * 10_000, "'" + "x" * 60 + "'", id="a long text"),
        pytest.param(17, "int", id="a number"),
        pytest.param([receipt().to_json()], "list", id="several receipts"),
        pytest.param(receipt(), "Receipt", id="not yet JSON"),
    ],
)
def test_what_is_no_mapping_is_refused_with_advice(value: object, named: str) -> None:
    with pytest.raises(OllangConfigurationError) as caught:
        Receipt.from_value(value)
    for part in ("rerun must be the receipt", "OllangRerunOperator", "marked as success by hand", named):
        assert part in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({}, id="nothing"),
        pytest.param({1: 2}, id="odd keys"),
        pytest.param(order(), id="an order"),
        pytest.param({**receipt().to_json(), "baseline": None}, id="baseline None"),
        pytest.param({**receipt().to_json(), "baseline": "old"}, id="baseline text"),
        pytest.param({**receipt().to_json(), "baseline": []}, id="baseline list"),
        pytest.param({**receipt().to_json(), "baseline": {}}, id="baseline empty"),
        pytest.param({**receipt().to_json(), "order_id": None}, id="order_id None"),
        pytest.param({**receipt().to_json(), "order_id": ""}, id="order_id empty"),
        pytest.param({**receipt().to_json(), "order_id": []}, id="order_id list"),
    ],
)
def test_a_mapping_that_is_no_receipt_is_refused_by_its_keys(value: dict[Any, Any]) -> None:
    with pytest.raises(OllangConfigurationError) as caught:
        Receipt.from_value(value)
    assert "rerun must be the receipt" in str(caught.value)
    assert all(str(key) in str(caught.value) for key in value)
    assert SIGNATURE not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("missing", KEYS)
def test_a_receipt_without_one_of_its_keys_is_refused(missing: str) -> None:
    value = receipt().to_json()
    del value[missing]
    with pytest.raises(OllangConfigurationError):
        Receipt.from_value(value)


@pytest.mark.parametrize(
    "changes",
    [
        {"level": "1"},
        {"level": [1]},
        {"events": 2},
        {"events": "none"},
        {"outputs": 5},
        {"outputs": [None]},
        {"outputs": ["doc_old"]},
        {"outputs": [{"id": "doc_old"}]},
        {"evaluation": "eval_1"},
        {"evaluation": {}},
        {"evaluation": []},
    ],
    ids=repr,
)
def test_a_broken_baseline_is_refused_where_it_is_read_and_not_hours_later(changes: dict[str, Any]) -> None:
    value = receipt().to_json()
    value["baseline"] |= changes
    with pytest.raises(OllangConfigurationError):
        Receipt.from_value(value)
