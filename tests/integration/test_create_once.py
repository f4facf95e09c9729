"""``OllangCreateOrderOperator``: no order is created twice, whatever becomes of the request and its response."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_ollang.exceptions import (
    OllangAccessDeniedError,
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangInsufficientCreditsError,
    OllangNotFoundError,
    OllangOutcomeUnknownError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.operators.orders import OllangCreateOrderOperator
from tests.installed_airflow import needs_task_state_store
from tests.integration.creations import (
    LANGUAGES,
    LOST,
    PROJECT,
    SUCCESS,
    body,
    create_dag,
    created,
    creations,
    ids,
    one_each,
    posts,
    require_right_orders,
    state,
    stored,
)
from tests.integration.submissions import at_store, is_refused, kill_while_sending

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox
    from tests.integration.conftest import RunDag


def test_one_request_creates_all_orders(ollang: Sandbox, run_dag: RunDag) -> None:
    run = run_dag(
        create_dag(
            level=1,
            rush=True,
            order_sub_type="closedCaption",
            callback_url="https://hooks.example/done",
            auto_qc=True,
            memories=["m1"],
        )
    )
    assert (run.states, run.tries, posts(ollang), created(ollang)) == (SUCCESS, {"create": 1}, 1, one_each())
    require_right_orders(ollang, run)
    assert {entry["level"] for entry in run.results["create"]} == {1}
    [creation] = creations(ollang)
    assert creation["asked"] == {
        "projectId": PROJECT,
        "orderType": "subtitle",
        "level": 1,
        "targetLanguageConfigs": [{"language": language, "isRush": True} for language in LANGUAGES],
        "orderSubType": "closedCaption",
        "callbackUrl": "https://hooks.example/done",
        "autoQc": True,
        "selectedMemories": ["m1"],
    }


@pytest.mark.parametrize(
    "options",
    [
        {"answered_reversed": True},
        {"child_orders": True},
        {"child_orders": True, "answered_reversed": True, "answered_types": True},
        {"processed_twice": True},
    ],
    ids=str,
)
def test_entries_are_told_apart_by_what_their_orders_are(
    ollang: Sandbox, run_dag: RunDag, options: dict[str, Any]
) -> None:
    ollang.change_behaviour(options)
    run = run_dag(create_dag())
    assert (run.states, posts(ollang)) == (SUCCESS, 1)
    require_right_orders(ollang, run)


def test_callback_url_is_rendered_and_never_shown(ollang: Sandbox, run_dag: RunDag) -> None:
    url = "https://hooks.example/done?key=c4na7y"
    ollang.add_fault("POST", status=400, body={"message": f"cannot call {url}"})
    run = run_dag(create_dag(callback_url="https://hooks.example/done?key={{ 'c4na' }}7y"))
    assert "callback_url" not in OllangCreateOrderOperator.template_fields
    assert isinstance(run.errors["create"], OllangBadRequestError)
    assert "c4na7y" not in str(run.errors["create"])
    run = run_dag(create_dag(callback_url="https://hooks.example/done?key={{ 'c4na' }}7y"))
    assert creations(ollang)[0]["asked"]["callbackUrl"] == url


def test_callback_url_that_a_partial_task_gets_too_late_creates_nothing(ollang: Sandbox, run_dag: RunDag) -> None:
    """An argument of ``partial()`` makes no other task upstream: this one runs first."""
    with DAG("creating", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001 - Airflow adds the zone

        @task(task_id="url", trigger_rule="all_done")
        def give_url() -> str:
            return "https://hooks.example/done?key=c4na7y"

        usual = {"project_id": PROJECT, "order_type": "subtitle"}
        url = give_url()
        late = OllangCreateOrderOperator.partial(task_id="partial", **usual, callback_url=url)
        late.expand(target_languages=["fr"]) >> url
        OllangCreateOrderOperator.partial(task_id="expanded", **usual, target_languages="de").expand(callback_url=[url])
        plain = OllangCreateOrderOperator.partial(task_id="plain", **usual, callback_url=None)
        plain.expand(target_languages=["it"])
    run = run_dag(dag)
    assert run.states == {"url": "success", "partial[0]": "failed", "expanded[0]": "success", "plain[0]": "success"}
    error = run.errors["partial[0]"]
    assert isinstance(error, OllangConfigurationError)
    assert "callback_url rendered to nothing; nothing was sent" in str(error)
    asked = [creation["asked"] for creation in creations(ollang)]
    urls = {each["targetLanguageConfigs"][0]["language"]: each.get("callbackUrl") for each in asked}
    assert urls == {"de": "https://hooks.example/done?key=c4na7y", "it": None}


# --- A lost response ----------------------------------------------------------------------------------------------


@needs_task_state_store
@pytest.mark.parametrize("policy", ["fail", "resubmit"])
@pytest.mark.parametrize(
    "fault", [LOST, {"status": 502, "processed": True}, {"status": 200, "body": {"a": 1}, "processed": True}], ids=str
)
def test_lost_response_is_found_by_its_orders(
    ollang: Sandbox, run_dag: RunDag, policy: str, fault: dict[str, Any]
) -> None:
    ollang.create_orders(body(*LANGUAGES))
    ollang.advance(0.2)
    ollang.change_behaviour({"orders_hidden_for": 5, "child_orders": True})
    ollang.add_fault("POST", **fault)
    run = run_dag(create_dag(on_unknown_outcome=policy))
    assert (run.states, run.tries, posts(ollang)) == (SUCCESS, {"create": 1}, 1)
    require_right_orders(ollang, run)
    assert set(ids(run)) == set(creations(ollang)[1]["orders"][:3])


@needs_task_state_store
@pytest.mark.parametrize("fault", [None, LOST], ids=["2 entries", "lost response"])
@pytest.mark.parametrize("policy", ["fail", "resubmit"])
def test_only_missing_orders_are_created(
    ollang: Sandbox, run_dag: RunDag, fault: dict[str, Any] | None, policy: str
) -> None:
    ollang.change_behaviour({"created_languages": 2})
    if fault:
        ollang.add_fault("POST", **fault)
    run = run_dag(create_dag(on_unknown_outcome=policy))
    assert (run.states, posts(ollang), created(ollang)) == (SUCCESS, 2, one_each())
    assert [config["language"] for config in creations(ollang)[1]["asked"]["targetLanguageConfigs"]] == ["de"]
    require_right_orders(ollang, run)


@needs_task_state_store
def test_missing_orders_are_requested_once(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_behaviour({"created_languages": 1})
    run = run_dag(create_dag(on_unknown_outcome="resubmit"))
    assert isinstance(run.errors["create"], OllangOutcomeUnknownError)
    assert (posts(ollang), created(ollang), state()) == (2, one_each("fr", "pt-PT"), "unknown")
    assert "Ollang answered with 1 order(s) for 2 language(s)" in str(run.errors["create"])


@needs_task_state_store
def test_request_that_shows_nothing_asks_a_person(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", drop="before")
    run = run_dag(create_dag())
    error = run.errors["create"]
    assert isinstance(error, OllangOutcomeUnknownError)
    assert (run.tries, posts(ollang), state(), ids(run)) == ({"create": 1}, 1, "unknown", [None] * 3)
    assert f"The outcome of the order request for project {PROJECT} (subtitle in fr, pt-PT, de) is unknown" in str(
        error
    )
    assert f"Check project {PROJECT} in Ollang." in str(error)


@needs_task_state_store
def test_request_that_shows_nothing_is_resubmitted_once(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", drop="before")
    run = run_dag(create_dag(on_unknown_outcome="resubmit"))
    assert (run.states, posts(ollang), created(ollang)) == (SUCCESS, 2, one_each())


@needs_task_state_store
@pytest.mark.parametrize("fault", [LOST, {"drop": "before"}], ids=["processed", "lost"])
@pytest.mark.parametrize("others", [LANGUAGES, ["de"]], ids=["the same", "one language"])
def test_orders_of_another_task_are_never_added_to(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], others: list[str]
) -> None:
    """Another client's request arrives between this task's poll and its own, which gets no response."""

    def create_too() -> None:
        ollang.create_orders(body(*others))

    at_store(monkeypatch, "set", create_too, state="sending", written=True)
    ollang.add_fault("POST", **fault)
    run = run_dag(create_dag(on_unknown_outcome="resubmit"))
    is_processed = fault is LOST
    if is_processed:
        # Two orders of a language, and nothing tells whose they are.
        assert isinstance(run.errors["create"], OllangOutcomeUnknownError)
        assert (posts(ollang), created(ollang)) == (1, one_each() + one_each(*others))
    else:
        # They cannot be told from this task's own, so they are taken, and none is made twice.
        assert (run.states, posts(ollang), created(ollang)) == (SUCCESS, 1 if others == LANGUAGES else 2, one_each())


@needs_task_state_store
def test_doubled_orders_ask_a_person(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_behaviour({"processed_twice": True})
    ollang.add_fault("POST", **LOST)
    run = run_dag(create_dag(on_unknown_outcome="resubmit"))
    assert isinstance(run.errors["create"], OllangOutcomeUnknownError)
    assert (run.tries, posts(ollang), len(creations(ollang)), state()) == ({"create": 1}, 1, 2, "unknown")


@needs_task_state_store
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"created_project": "proj_abc456"}, "not of this project"),
        ({"created_languages": 2, "answered_languages": "all"}, "no subtitle in de; not found with this key: "),
    ],
    ids=["another project", "no such order"],
)
def test_answer_about_other_orders_asks_a_person(
    ollang: Sandbox, run_dag: RunDag, options: dict[str, Any], reason: str
) -> None:
    ollang.change_behaviour(options)
    run = run_dag(create_dag(on_unknown_outcome="resubmit"))
    assert isinstance(run.errors["create"], OllangOutcomeUnknownError)
    assert reason in str(run.errors["create"])
    assert (run.tries, posts(ollang), state()) == ({"create": 1}, 1, "unknown")
    assert stored()["receipt"]["orders"] == {}


@needs_task_state_store
@pytest.mark.parametrize("is_partial", [True, False], ids=["rest", "resubmission"])
def test_credits_are_asked_before_each_request(ollang: Sandbox, run_dag: RunDag, is_partial: bool) -> None:
    ollang.change_behaviour({"created_languages": 2})
    if not is_partial:
        ollang.add_fault("POST", drop="before")
    run_dag(create_dag(on_unknown_outcome="resubmit", min_credits=1))
    asked = [request.method for request in ollang.requests() if "credit" in request.path or request.method == "POST"]
    assert asked == ["GET", "POST", "GET", "POST"]


# --- A dead try ---------------------------------------------------------------------------------------------------


@needs_task_state_store
@pytest.mark.parametrize("options", [{}, {"created_languages": 2}], ids=["all there", "2 of 3"])
def test_retry_takes_what_a_dead_try_created(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    ollang.change_behaviour(options)
    kill_while_sending(monkeypatch, processed=True)
    run = run_dag(create_dag())
    assert (run.states, run.tries, created(ollang)) == (SUCCESS, {"create": 2}, one_each())
    assert posts(ollang) == 1 + len(options)
    require_right_orders(ollang, run)


@needs_task_state_store
def test_retry_of_a_try_that_died_before_sending_asks_a_person(
    ollang: Sandbox, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_while_sending(monkeypatch, processed=False)
    run = run_dag(create_dag())
    assert isinstance(run.errors["create"], OllangOutcomeUnknownError)
    assert (run.tries, posts(ollang), state()) == ({"create": 2}, 0, "unknown")


@needs_task_state_store
def test_retry_finds_out_which_order_is_which(ollang: Sandbox, run_dag: RunDag) -> None:
    """The first try has the ids, and no order can be read until it is over."""
    ollang.change_behaviour({"child_orders": True, "answered_reversed": True})
    ollang.add_fault("GET", "/integration/orders/*", times=5, status=503)
    run = run_dag(create_dag())
    assert (run.states, run.tries, posts(ollang)) == (SUCCESS, {"create": 2}, 1)
    require_right_orders(ollang, run)


@needs_task_state_store
def test_order_may_show_late(ollang: Sandbox, run_dag: RunDag) -> None:
    answer = {"error": "Order not found", "message": "No order found", "code": "ORDER_NOT_FOUND"}
    ollang.add_fault("GET", "/integration/orders/*", times=4, status=404, body=answer)
    run = run_dag(create_dag())
    assert (run.states, run.tries, posts(ollang)) == (SUCCESS, {"create": 1}, 1)


# --- Nothing is sent, or refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"order_type": "subtitles"}, OllangConfigurationError, "Did you mean 'subtitle'?"),
        ({"min_credits": 2_000_000}, OllangInsufficientCreditsError, "min_credits is 2e+06"),
        ({"target_languages": []}, OllangConfigurationError, "target_languages"),
    ],
)
def test_what_makes_no_sense_is_not_sent(
    ollang: Sandbox, run_dag: RunDag, arguments: dict[str, Any], error: type[OllangError], text: str
) -> None:
    run = run_dag(create_dag(**arguments))
    assert isinstance(run.errors["create"], error)
    assert text in str(run.errors["create"])
    assert (run.tries, ollang.requests("POST")) == ({"create": 1}, [])


@pytest.mark.parametrize(
    ("options", "project", "error"),
    [
        ({"create_no_credits": 402}, PROJECT, OllangBadRequestError),
        ({"create_no_credits": 400}, PROJECT, OllangBadRequestError),
        ({"create_no_credits": 403}, PROJECT, OllangAccessDeniedError),
        ({}, "60b8d6f1e1b9b1d8c6c0d8ff", OllangNotFoundError),
    ],
)
def test_refused_request_creates_nothing(
    ollang: Sandbox, run_dag: RunDag, options: dict[str, Any], project: str, error: type[OllangError]
) -> None:
    ollang.change_behaviour(options)
    run = run_dag(create_dag(project_id=project))
    assert isinstance(run.errors["create"], error)
    assert (run.tries, posts(ollang), ollang.counts()["orders_created"]) == ({"create": 1}, 1, 0)
    assert is_refused(stored())


def test_credits_that_may_not_be_seen_are_an_error(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.change_behaviour({"billing_role": False})
    run = run_dag(create_dag(min_credits=1))
    assert isinstance(run.errors["create"], OllangAccessDeniedError)
    assert "Access Billing" in str(run.errors["create"])
    assert posts(ollang) == 0


def test_rate_limited_request_is_repeated_unsent(ollang: Sandbox, run_dag: RunDag) -> None:
    ollang.add_fault("POST", status=429, headers={"Retry-After": "2"})
    run = run_dag(create_dag())
    assert (run.states, run.tries, posts(ollang), created(ollang)) == (SUCCESS, {"create": 1}, 2, one_each())


# --- The hook -----------------------------------------------------------------------------------------------------


def test_hook_sends_once_and_tells_what_was_answered(ollang: Sandbox, airflow_db: None) -> None:
    ollang.change_behaviour({"child_orders": True, "answered_types": True})
    result = OllangHook().create_order(PROJECT, "subtitle", ["fr", "de"], level=1)
    [creation] = creations(ollang)
    assert (result["order_ids"], creation["asked"]["level"]) == (creation["orders"], 1)
    assert [entry["orderType"] for entry in result["entries"]] == ["subtitle", "subtitle", "cc"]
    assert result["requested_at"].endswith("+00:00")
    ollang.add_fault("POST", **LOST)
    with pytest.raises(OllangOutcomeUnknownError, match="Check in Ollang whether the project has new orders: if so"):
        OllangHook().create_order(PROJECT, "subtitle", "fr")
    assert posts(ollang) == 2
