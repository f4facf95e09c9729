"""What the tests of ``OllangCreateOrderOperator`` share: its DAG, and what the sandbox counts."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG

from airflow_provider_ollang.operators.orders import OllangCreateOrderOperator
from tests.integration.submissions import record, state_on_record

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import Run

PROJECT = "proj_xyz789"
LANGUAGES = ["fr", "pt-PT", "de"]
KEY = OllangCreateOrderOperator.record_key
WAITING: dict[str, Any] = {"wait_for_completion": True, "timeout": 4 * 3600}
SUCCESS = {"create": "success"}
LOST: dict[str, Any] = {"drop": "after"}
#: A single order gets it while the connection has the key of another account.
NOT_FOUND: dict[str, Any] = {
    "status": 404,
    "body": {
        "error": "Order not found",
        "message": "No order found with the provided orderId",
        "code": "ORDER_NOT_FOUND",
    },
}


def create_dag(**arguments: Any) -> DAG:
    """Return a DAG that creates orders in three languages, with two retries unless told otherwise."""
    usual = {"project_id": PROJECT, "order_type": "subtitle", "target_languages": LANGUAGES}
    with DAG("creating", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001 - Airflow adds the zone
        OllangCreateOrderOperator(task_id="create", **{**usual, "retries": 2, "retry_delay": 0, **arguments})
    return dag


def body(*languages: str, **changes: Any) -> dict[str, Any]:
    """Return the body of another client's request for the same kind of orders."""
    configs = [{"language": language, "isRush": False} for language in languages]
    return {"projectId": PROJECT, "orderType": "subtitle", "level": 0, "targetLanguageConfigs": configs, **changes}


def creations(ollang: Sandbox) -> list[dict[str, Any]]:
    """Return the accepted requests of the project, oldest first."""
    [project] = [each for each in ollang.projects() if each["id"] == PROJECT]
    return list(project["creations"])


def created(ollang: Sandbox) -> Counter[str]:
    """Return how many orders were made of each type and language, over all requests."""
    orders = [ollang.order(order_id)["order"] for creation in creations(ollang) for order_id in creation["orders"]]
    return Counter(f"{order['type']} {order['targetLanguage']}" for order in orders)


def one_each(*languages: str) -> Counter[str]:
    return Counter(f"subtitle {language}" for language in languages or LANGUAGES)


def posts(ollang: Sandbox) -> int:
    return len(ollang.requests("POST", "*/create"))


def ids(run: Run) -> list[str | None]:
    """Return the ids of the result, whose entries are those asked for."""
    entries = run.results["create"]
    assert [entry["target_language"] for entry in entries] == LANGUAGES
    assert {(entry["project_id"], entry["type"]) for entry in entries} == {(PROJECT, "subtitle")}
    return [entry["order_id"] for entry in entries]


def require_right_orders(ollang: Sandbox, run: Run) -> None:
    """Check that each entry names an order of its language and type."""
    orders = [ollang.order(str(order_id))["order"] for order_id in ids(run)]
    assert [order["targetLanguage"] for order in orders] == LANGUAGES
    assert {order["type"] for order in orders} == {"subtitle"}


def state() -> str | None:
    return state_on_record(key=KEY)


def stored() -> Any:
    return record(key=KEY)
