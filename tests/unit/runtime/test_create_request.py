"""The paid request for new orders: what the project shows of it."""

from __future__ import annotations

import dataclasses
import json
import logging
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang.client.responses import Accepted
from airflow_provider_ollang.domain.creation import CreationReceipt, OrderSpec
from airflow_provider_ollang.exceptions import OllangOrderNotFoundError, OllangOutcomeUnknownError
from airflow_provider_ollang.runtime.create_request import CreateRequest

if TYPE_CHECKING:
    from airflow_provider_ollang.client.requests import Request

HOST = "https://ollang.example"
PROJECT = "60b8d6f1e1b9b1d8c6c0d8aa"
REQUESTED = "2024-03-01T12:00:00+00:00"
SAME_SECOND, EARLIER, LONG_AGO = "2024-03-01T11:59:59.500Z", "2024-03-01T11:59:00Z", "2024-03-01T10:00:00Z"
AFTER = "2024-03-01T12:00:02Z"
SPEC = OrderSpec.parse(PROJECT, "subtitle", ["fr", "pt-PT", "de"])
UNSENT = CreationReceipt(
    HOST,
    None,
    REQUESTED,
    False,
    subject=SPEC.subject,
    project_id=PROJECT,
    order_type="subtitle",
    level=0,
    languages=list(SPEC.languages),
    before=["old"],
)
ALL = {"fr": "f1", "pt-PT": "p1", "de": "d1"}


def row(order_id: str, language: str, created_at: str | None = AFTER, **changes: Any) -> dict[str, Any]:
    return {
        "id": order_id,
        "targetLanguage": language,
        "createdAt": created_at,
        "status": "pending",
        "type": "subtitle",
        "projectId": PROJECT,
        **changes,
    }


class Client:
    """A client that shows these orders."""

    def __init__(self, *rows: dict[str, Any], answer: Any = (), missing_for: int = 0, unlisted: Any = ()) -> None:
        self.settings = SimpleNamespace(base_url=HOST)
        self.rows = list(rows)
        self.answer = answer
        self.missing_for = missing_for
        self.unlisted = unlisted
        self.sent: list[Request] = []
        self.filters: Any = None

    def get_dated_page(self, _: Request) -> Any:
        return self.rows[:1], datetime(2024, 3, 1, 12, tzinfo=UTC)

    def list_orders(self, filters: Any, **_: Any) -> Any:
        self.filters = filters
        return iter([each for each in self.rows if each["id"] not in self.unlisted])

    def get_order(self, order_id: str, **_: Any) -> Any:
        found = [each for each in self.rows if each["id"] == order_id]
        if self.missing_for or not found:
            self.missing_for = max(self.missing_for - 1, 0)
            raise OllangOrderNotFoundError(f"no order {order_id}")
        return found[0]

    def submit(self, request: Request) -> Accepted:
        self.sent.append(request)
        return Accepted({}, None, REQUESTED, [{"orderId": order_id} for order_id in self.answer])


def request(sleeps: list[float] | None = None) -> CreateRequest:
    return CreateRequest(SPEC, sleep=(sleeps or []).append, log=logging.getLogger("test"))


def answered(*order_ids: str, **changes: Any) -> CreationReceipt:
    return dataclasses.replace(UNSENT, order_ids=list(order_ids), **changes)


# --- Before, and the request --------------------------------------------------------------------------------------


def test_precheck_notes_what_there_is() -> None:
    client: Any = Client(
        row("older", "fr", LONG_AGO),
        row("old", "fr", EARLIER),
        row("x", "fr", projectId="other"),
        row("y", "fr", type="cc"),
        row("z", "es"),
    )
    receipt = request().precheck(client, on_running="fail")
    assert receipt == dataclasses.replace(UNSENT, before=["old", "z"])
    assert client.filters == {"filter[projectId]": PROJECT, "filter[type]": "subtitle"}


@pytest.mark.parametrize(
    ("extra", "reconnects"),
    [
        ([], True),
        ([row("x", "es")], True),
        ([row("d0", "de", status="completed")], True),
        ([row("d0", "de", level=1)], True),
        ([row("d0", "de")], False),
    ],
)
def test_running_orders_are_reconnected_to_if_there_is_one_each(extra: list[Any], reconnects: bool) -> None:
    client: Any = Client(row("f1", "fr"), row("p1", "pt-pt", status="ongoing"), row("d1", "de"), *extra)
    receipt = request().precheck(client, on_running="reconnect")
    assert (receipt.reconnected, receipt.orders) == (reconnects, ALL if reconnects else {})
    assert request().precheck(client, on_running="fail").reconnected is False


def test_language_without_a_running_order_reconnects_to_none() -> None:
    client: Any = Client(row("f1", "fr"), row("p1", "pt-PT"), row("d1", "de", status="failed"))
    assert request().precheck(client, on_running="reconnect").reconnected is False


def test_only_missing_languages_are_requested() -> None:
    client: Any = Client(answer=["d1"])
    receipt = request().send(client, UNSENT.with_orders({"fr": "f1", "pt-PT": "p1"}))
    assert [config["language"] for config in json.loads(client.sent[0].body)["targetLanguageConfigs"]] == ["de"]
    assert (receipt.order_ids, receipt.requested_at) == (["f1", "p1", "d1"], REQUESTED)


@pytest.mark.parametrize("answer", [[], ["f1", "p1"], ["f1", "p1", "p1"], ["f1", "p1", None]])
def test_fewer_entries_than_languages_are_an_unknown_outcome(answer: list[Any]) -> None:
    client: Any = Client(answer=answer)
    with pytest.raises(OllangOutcomeUnknownError) as caught:
        request().send(client, UNSENT)
    assert caught.value.reason == f"Ollang answered with {len(set(answer) - {None})} order(s) for 3 language(s)"


# --- Whose answer is whose ----------------------------------------------------------------------------------------


def test_answered_orders_are_told_apart_by_language_and_type() -> None:
    child = row("c1", "en", type="cc")
    client: Any = Client(row("d1", "de"), child, row("p1", "pt-pt"), row("f1", "fr", projectId=None))
    receipt = request().resolve(client, answered("d1", "c1", "p1", "f1"))
    assert receipt.orders == ALL
    assert request().resolve(client, receipt) == receipt


def test_first_of_two_orders_of_a_language_counts(caplog: pytest.LogCaptureFixture) -> None:
    client: Any = Client(row("f1", "fr"), row("f2", "fr"), row("p1", "pt-PT"), row("d1", "de"))
    receipt = request().resolve(client, answered("f1", "f2", "p1", "d1"))
    assert receipt.orders == ALL
    assert "not asked for by name: f2 (subtitle in fr)" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (row("d1", "de", projectId="proj_other"), "no subtitle in de; not of this project: d1 (subtitle in de)"),
        (row("d1", "es"), "no subtitle in de; not asked for: d1 (subtitle in es)"),
        (row("d1", "de", type="cc"), "no subtitle in de; not asked for: d1 (cc in de)"),
        (row("gone", "de"), "no subtitle in de; not found with this key: d1"),
    ],
)
def test_answer_about_other_orders_is_an_unknown_outcome(wrong: Any, reason: str) -> None:
    client: Any = Client(row("f1", "fr"), row("p1", "pt-PT"), wrong)
    with pytest.raises(OllangOutcomeUnknownError, match="It was not resubmitted") as caught:
        request().resolve(client, answered("f1", "p1", "d1"))
    assert caught.value.reason == f"Ollang answered with other orders ({reason})"


def test_new_order_may_take_a_moment_to_show() -> None:
    client: Any = Client(row("f1", "fr"), row("p1", "pt-PT"), row("d1", "de"), missing_for=3)
    assert request().resolve(client, answered("f1", "p1", "d1")).orders == ALL


# --- An unknown outcome -------------------------------------------------------------------------------------------

THREE = (row("f1", "fr"), row("p1", "pt-pt"), row("d1", "de"))


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        (THREE, "all"),
        ((row("f1", "fr", SAME_SECOND), *THREE[1:]), "all"),
        ((row("f1", "fr", None), *THREE[1:]), "all"),
        ((*THREE, row("old", "fr"), row("x", "fr", projectId="other"), row("y", "de", type="cc")), "all"),
        ((*THREE, row("f2", "fr", status="cancelled")), "all"),
        ((*THREE, row("f0", "fr", LONG_AGO)), "all"),
        ((), "nothing"),
        ((row("f0", "fr", LONG_AGO), row("f1", "fr", status="cancelled")), "nothing"),
        ((row("x", "es"),), "likely"),
        ((row("f0", "fr", level=1),), "likely"),
        ((*THREE[1:], row("f1", "fr", level=0), row("f0", "fr", level=1)), "all"),
        ((*THREE[:2], row("x", "de-DE")), "likely"),
        ((*THREE, row("x", "es")), "all"),
        ((row("f1", "fr", status="failed"), *THREE[1:]), "all"),
        (THREE[:2], "part"),
        (THREE[1:], "part"),
        ((*THREE, row("f2", "fr")), "likely"),
        ((row("f1", "fr"), row("f2", "fr")), "likely"),
        ((row("f1", "fr", status="cancelled"), row("f2", "fr", status="cancelled"), *THREE[1:]), "part"),
        ((*THREE[1:], row("f1", "fr", EARLIER)), "likely"),
    ],
)
def test_effect_of_a_request_is_one_new_order_each(rows: Any, verdict: str) -> None:
    client: Any = Client(*rows)
    effect = request().find_effect(client, UNSENT)
    seen = {"all": effect.receipt is not None, "part": effect.rest is not None, "likely": effect.is_likely}
    assert [name for name, holds in seen.items() if holds] == ([] if verdict == "nothing" else [verdict])
    if effect.receipt is not None:
        assert (effect.receipt.orders, effect.receipt.order_ids) == (ALL, list(ALL.values()))
    if effect.rest is not None:
        left = {each["id"] for each in rows if each["status"] != "cancelled"}
        assert effect.rest.orders == {language: order_id for language, order_id in ALL.items() if order_id in left}
    assert client.filters["filter[createdAtRange][from]"] == "2024-03-01T11:00:00Z"


@pytest.mark.parametrize(
    ("rows", "is_likely"),
    [
        ([row("d1", "de-DE")], True),
        ([row("d1", "de", projectId="other")], True),
        ([row("d1", "de-DE", status="cancelled")], False),
        ([row("d1", "en", type="cc")], False),
        ([row("x", "es")], False),
        ([], False),
    ],
)
def test_answered_orders_in_other_languages_are_likely(rows: Any, is_likely: bool) -> None:
    """They are known by their ids, wherever they are; other tasks' orders do not matter then."""
    client: Any = Client(*THREE[:2], *rows)
    effect = request().find_effect(client, answered("f1", "p1", "d1", message="order(s) f1, p1, d1"))
    assert (effect.is_likely, effect.rest is not None) == (is_likely, not is_likely)
    assert ("not asked for: d1" in effect.comparison) is is_likely


@pytest.mark.parametrize(
    ("rows", "message", "blocks"),
    [
        ([row("x", "es")], None, False),
        ([row("x", "es", level=1)], None, False),
        ([row("x", "DE-at")], None, True),
        ([row("x", "fr-CA")], None, False),
        ([row("x", "den")], None, False),
        ([{**row("x", ""), "targetLanguage": None}], None, True),
        ([row("x", "es")], "order(s) x", True),
        ([row("y", "es")], "order(s) x", False),
        ([row("d1", "de", EARLIER)], None, True),
        ([row("d1", "de"), row("d2", "de")], None, True),
    ],
)
def test_only_what_may_be_a_missing_language_blocks_a_clear(rows: Any, message: str | None, blocks: bool) -> None:
    client: Any = Client(*THREE[:2], *rows)
    effect = request().find_effect(client, answered("x", message=message))
    assert (effect.blocks_clear, effect.rest is None) == (blocks, blocks)
    assert effect.is_likely or rows == [row("y", "es")]


@pytest.mark.parametrize("known", [{"level": 1}, {"projectId": None}, {"createdAt": LONG_AGO}], ids=str)
def test_order_with_a_known_id_counts_though_no_list_shows_it(known: Any) -> None:
    client: Any = Client(*THREE[:2], row("d1", "de", **known), unlisted=["d1"])
    effect = request().find_effect(client, answered("f1", "p1", "d1"))
    assert effect.receipt is not None
    assert effect.receipt.orders == ALL


def test_level_that_does_not_fit_is_read_again_and_one_that_does_is_not() -> None:
    client: Any = Client(*THREE[:2], row("d1", "de", level=1))
    creation = request()
    assert creation.find_effect(client, UNSENT).blocks_clear
    client.rows[2]["level"] = 0
    assert creation.find_effect(client, UNSENT).receipt is not None
    client.rows = [{**each, "level": 1} for each in client.rows]
    assert creation.find_effect(client, UNSENT).receipt is not None


def test_effect_of_the_rest_is_looked_for_in_missing_languages_only() -> None:
    client: Any = Client(*THREE)
    rest = UNSENT.with_orders({"fr": "f0", "pt-PT": "p1"})
    effect = request().find_effect(client, rest)
    assert effect.receipt is not None
    assert effect.receipt.orders == {**ALL, "fr": "f0"}


def test_comparison_names_each_language() -> None:
    client: Any = Client(row("f1", "fr"), row("p1", "pt-PT"), row("p2", "pt-PT"))
    assert request().find_effect(client, UNSENT).comparison == (
        "orders of subtitle by language: fr: f1; pt-PT: several new orders (p1, p2); de: no new order"
    )


@pytest.mark.parametrize(
    ("status", "results", "is_running"),
    [("ongoing", {}, True), ("completed", {}, False), ("failed", {}, False), ("ongoing", {"de": {}}, False)],
)
def test_orders_run_unless_they_are_done(status: str, results: Any, is_running: bool) -> None:
    done = [row("f1", "fr", status="completed"), row("p1", "pt-PT", status="delivered")]
    client: Any = Client(*done, row("d1", "de", status=status))
    receipt = dataclasses.replace(UNSENT.with_orders(ALL), results={"fr": {}, "pt-PT": {}, **results})
    assert (request().find_running(client, receipt) is not None) is is_running
