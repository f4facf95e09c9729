"""New orders: which arguments are taken, what goes out, and what the receipt tells."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from airflow_provider_ollang.client.requests import create_order
from airflow_provider_ollang.domain.creation import CreationReceipt, OrderSpec
from airflow_provider_ollang.exceptions import OllangConfigurationError
from tests.unit.builders import document, event, order, source_document

PROJECT = "60b8d6f1e1b9b1d8c6c0d8aa"
LANGUAGES = ["fr", "pt-PT", "de"]
RECEIPT = CreationReceipt(
    "https://ollang.example",
    None,
    "2024-03-01T12:00:00+00:00",
    False,
    subject="s",
    project_id=PROJECT,
    order_type="subtitle",
    level=0,
    languages=LANGUAGES,
)


def spec(project_id: Any = PROJECT, order_type: Any = "subtitle", languages: Any = LANGUAGES, **more: Any) -> OrderSpec:
    return OrderSpec.parse(project_id, order_type, languages, **more)


def test_request_has_what_was_asked_for_and_no_more() -> None:
    request = create_order(spec())
    assert (request.method, request.path, request.paid, request.expects, request.order_id) == (
        "POST",
        "/integration/orders/create",
        True,
        "list",
        None,
    )
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == {
        "projectId": PROJECT,
        "orderType": "subtitle",
        "level": 0,
        "targetLanguageConfigs": [{"language": language, "isRush": False} for language in LANGUAGES],
    }


def test_request_has_every_documented_field() -> None:
    asked = spec(
        {"project_id": PROJECT},
        "aiDubbing",
        " fr , pt-PT,fr",
        level="1",
        rush=True,
        order_sub_type="closedCaption",
        dubbing_style="lipsync",
        callback_url=" https://hooks.example/done?key=secret ",
        auto_qc=True,
        memories=["m1", "m2", "m1"],
    )
    body = create_order(asked, ["pt-PT"]).body
    assert isinstance(body, bytes)
    assert json.loads(body) == {
        "projectId": PROJECT,
        "orderType": "aiDubbing",
        "level": 1,
        "targetLanguageConfigs": [{"language": "pt-PT", "isRush": True}],
        "orderSubType": "closedCaption",
        "dubbingStyle": "lipsync",
        "callbackUrl": "https://hooks.example/done?key=secret",
        "autoQc": True,
        "selectedMemories": ["m1", "m2"],
    }
    assert asked.languages == ("fr", "pt-PT")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"project_id": None}, "project_id must be an Ollang project id"),
        ({"order_type": "subtitles"}, "order_type must be one of .* not 'subtitles'. Did you mean 'subtitle'?"),
        ({"order_type": "AIDubbing"}, "Did you mean 'aiDubbing'?"),
        ({"order_type": "revision"}, "order_type must be one of cc, subtitle, document, aiDubbing, studioDubbing"),
        ({"order_type": None}, "order_type must be one of"),
        ({"languages": []}, "target_languages must be one or more names"),
        ({"languages": None}, "target_languages must be one or more names"),
        ({"languages": "['fr', 'de']"}, "target_languages names \"\\['fr'\", which is no language code"),
        ({"languages": ["fr", "Fr"]}, "target_languages names 'fr' and 'Fr': name it once"),
        ({"level": 2}, "level must be a whole number from 0 to 1, not 2"),
        ({"level": True}, "level must be a whole number"),
        ({"rush": "yes"}, "rush must be True or False"),
        ({"auto_qc": 1}, "auto_qc must be True or False"),
        ({"order_sub_type": "closedcaption"}, "Did you mean 'closedCaption'?"),
        ({"dubbing_style": "lip"}, "dubbing_style must be one of overdub, lipsync, audioDescription"),
        ({"memories": [f"m{number}" for number in range(21)]}, "memories names 21; an order takes 20 at most"),
        ({"order_sub_type": 0}, "order_sub_type must be one of"),
        ({"callback_url": 0}, "callback_url must be"),
        ({"memories": 0}, "memories must be one or more names"),
        ({"memories": [7]}, "memories must be one or more names"),
    ],
)
def test_wrong_argument_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OllangConfigurationError, match=message):
        spec(**changes)


@pytest.mark.parametrize(
    "url",
    ["hooks.example/done?key=c4na7y", "ftp://h/c4na7y", "https:///c4na7y", "https://h/ c4na7y", "https://[c4na7y"],
)
def test_wrong_callback_url_is_not_shown(url: str) -> None:
    with pytest.raises(OllangConfigurationError, match="callback_url must be an http or https URL") as caught:
        spec(callback_url=url)
    assert "c4na7y" not in str(caught.value)


def test_subject_is_readable_and_tells_every_other_request() -> None:
    same = spec(languages=["de", "pt-PT", "fr"], memories={"m2", "m1"})
    assert same.subject == spec(memories=["m1", "m2"]).subject
    assert same.subject.startswith(f"subtitle of project {PROJECT} in de, fr, pt-PT (sha256:")
    others = [
        spec(),
        spec("7"),
        spec(order_type="cc"),
        spec(languages=["fr"]),
        spec(level=1),
        spec(rush=True),
        spec(auto_qc=True),
    ]
    assert len({each.subject for each in others}) == len(others)
    # Its token may be another one in the next try, which must not order again.
    assert spec(callback_url="https://hooks.example/c4na7y").subject == spec().subject


# --- Receipts -----------------------------------------------------------------------------------------------------


def test_result_is_a_list_in_the_order_asked() -> None:
    receipt = dataclasses.replace(RECEIPT, orders={"de": "o3", "fr": "o1"}, results={"fr": {"status": "completed"}})
    common = {"project_id": PROJECT, "type": "subtitle", "level": 0}
    assert receipt.to_xcom() == [
        {"order_id": "o1", "target_language": "fr", **common, "result": {"status": "completed"}},
        {"order_id": None, "target_language": "pt-PT", **common},
        {"order_id": "o3", "target_language": "de", **common},
    ]
    assert (receipt.missing, receipt.unfinished, receipt.unfinished_ids) == (["pt-PT"], ["pt-PT", "de"], ["o3"])


def test_receipt_survives_json() -> None:
    receipt = dataclasses.replace(RECEIPT, before=["o0"], order_ids=["o1"], orders={"fr": "o1"}, deadline=5.0)
    assert CreationReceipt.from_value(json.loads(json.dumps(receipt.to_json()))) == receipt
    with pytest.raises(
        OllangConfigurationError, match=r"^The stored receipt of OllangCreateOrderOperator cannot be read\."
    ):
        CreationReceipt.from_value({"host": "h"})


def test_lost_orders_count_for_no_language() -> None:
    receipt = RECEIPT.with_orders({"fr": "o1", "de": "o3"}).without_orders(["o3"])
    assert (receipt.orders, receipt.order_ids, receipt.before) == ({"fr": "o1"}, ["o1"], ["o3"])


def test_language_is_found_whatever_its_case() -> None:
    assert [RECEIPT.language_of(code) for code in ("pt-pt", "FR", "pt", None)] == ["pt-PT", "fr", None, None]


# --- The first run ------------------------------------------------------------------------------------------------


def created(status: str = "completed", *, level: int = 0, **changes: Any) -> Any:
    return order(status, **{"level": level, "orderDocs": [source_document()], "deliveryEvents": [], **changes})


DRAFTED_AT, REVIEWED_AT = "2024-03-01T12:05:00Z", "2024-03-02T12:00:00Z"
DRAFT = document(id="draft", createdAt=DRAFTED_AT, updatedAt=DRAFTED_AT)
REVIEWED = document(id="reviewed", createdAt=REVIEWED_AT, updatedAt=REVIEWED_AT)
AI, PEOPLE = event("ai_delivered", DRAFTED_AT), event("order_delivered", REVIEWED_AT)


@pytest.mark.parametrize(
    ("level", "polled", "evidence", "outputs", "is_complete"),
    [
        (0, created(), ["running"], [], False),
        (0, created(orderDocs=[DRAFT]), ["documents", "running"], ["draft"], True),
        (0, created(orderDocs=[DRAFT], deliveryEvents=[AI]), ["event", "documents", "running"], ["draft"], True),
        # Dated before the request: the clocks differ, and an order that was just created has no earlier result.
        (0, created(orderDocs=[document()]), ["documents", "running"], ["doc_old"], True),
        # The draft is no result before people are done with it.
        (1, created(level=1, orderDocs=[DRAFT], deliveryEvents=[AI]), ["running"], [], False),
        (
            1,
            created(level=1, orderDocs=[DRAFT, REVIEWED], deliveryEvents=[AI, PEOPLE]),
            ["event", "documents", "running"],
            ["reviewed"],
            True,
        ),
        # Approved as it is, and other documents may follow.
        (
            1,
            created(level=1, orderDocs=[DRAFT], deliveryEvents=[AI, PEOPLE]),
            ["event", "documents", "running"],
            ["draft"],
            False,
        ),
        # Its review was cancelled: what the AI made is the result.
        (1, created(orderDocs=[DRAFT], deliveryEvents=[AI]), ["documents", "running"], ["draft"], True),
        (1, created(), ["running"], [], False),
    ],
)
def test_first_run_is_told_by_what_there_is(
    level: int, polled: Any, evidence: list[str], outputs: list[str], is_complete: bool
) -> None:
    run = dataclasses.replace(RECEIPT, level=level).run
    assert run.evidence(polled) == evidence
    assert [each.id for each in run.new_outputs(polled)] == outputs
    assert ("documents" in evidence and run.outputs_complete(polled)) is is_complete
