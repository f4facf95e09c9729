"""The vendor's own Python client works against the sandbox, as its documentation says it does against Ollang."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from ollang import Ollang, OllangAPIError  # type: ignore[import-untyped]

from airflow_provider_ollang.sandbox import Sandbox

CONFIGS = [{"language": "fr", "isRush": False}, {"language": "pt-PT", "isRush": True}]
FILM = b"a film" * 50_000


@pytest.fixture
def vendor(ollang: Sandbox) -> Ollang:
    return Ollang(api_key=ollang.api_key, base_url=ollang.url)


def test_first_steps_of_its_readme(ollang: Sandbox, vendor: Ollang, tmp_path: Path) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(FILM)
    upload = vendor.uploads.direct(str(video), name="My Video", source_language="en")
    orders = vendor.orders.create(
        order_type="cc", level=1, project_id=upload["projectId"], target_language_configs=CONFIGS
    )
    assert len(orders) == 2
    ollang.advance(32)
    order = vendor.orders.get(orders[0]["orderId"])
    assert order["status"] == "completed"
    assert {document["type"] for document in order["orderDocs"]} == {"source_video", "subtitle"}
    report = ollang.projects()[-1]
    assert (report["bytes"], report["sha256"]) == (len(FILM), hashlib.sha256(FILM).hexdigest())


@pytest.mark.parametrize("file", [FILM, io.BytesIO(FILM)], ids=["bytes", "stream"])
def test_uploads_of_bytes_and_streams(ollang: Sandbox, vendor: Ollang, file: Any) -> None:
    notes = [{"details": "Keep names", "timeStamp": "00:01:23"}]
    vendor.uploads.direct(file, name="App strings", source_language="en", notes=notes, filename="en.json")
    report = ollang.projects()[-1]
    assert (report["filename"], report["bytes"], "Keep names" in report["asked"]["notes"]) == (
        "en.json",
        len(FILM),
        True,
    )


def test_upload_without_an_extension_is_rejected(vendor: Ollang) -> None:
    with pytest.raises(OllangAPIError) as caught:
        vendor.uploads.direct(b"{}", name="App strings", source_language="en")
    assert caught.value.status_code == 400


def test_link_and_projects_and_folders(ollang: Sandbox, vendor: Ollang) -> None:
    link = vendor.uploads.direct_url(
        "https://files.example.com/a.mp4", name="a.mp4", size=1, source_language="en", folder_id="folder_abc123"
    )
    project = vendor.projects.get(link["projectId"])
    assert (project["name"], project["projectDocs"][0]["size"]) == ("a.mp4", 1)
    page = vendor.projects.list(page=1, take=5, search="a.mp4", order_by="createdAt", order_direction="asc")
    assert [row["id"] for row in page["data"]] == [link["projectId"]]
    folders = vendor.folders.list(page=1, take=1, order_by="name", order_direction="asc", search="api")
    assert [folder["name"] for folder in folders["data"]] == ["API Uploads"]


def test_orders_with_every_argument_are_listed(vendor: Ollang) -> None:
    entries = vendor.orders.create(
        order_type="cc",
        level=0,
        project_id="proj_abc456",
        source_language="en",
        content="text",
        order_sub_type="closedCaption",
        dubbing_style="overdub",
        callback_url="https://hooks.example.com",
        auto_qc=True,
        selected_memories=["m1"],
        target_language_configs=CONFIGS,
    )
    page = vendor.orders.list(
        page=1,
        take=2,
        order_by="createdAt",
        order_direction="desc",
        status="pending",
        order_type="cc",
        project_id="proj_abc456",
    )
    assert {row["id"] for row in page["data"]} == {entry["orderId"] for entry in entries}


def test_order_from_review_to_rerun(ollang: Sandbox, vendor: Ollang) -> None:
    order_id = ollang.add_order(type="subtitle")
    assert vendor.orders.request_human_review(order_id) is None
    assert vendor.orders.review_info(order_id) == {"inReview": False}
    assert vendor.orders.cancel_human_review(order_id)["success"] is True
    assert vendor.orders.run_qc_evaluation(order_id, custom_prompt="x", tone=False)["isProcessing"] is True
    assert vendor.orders.rerun(order_id, free_re_run=True)["success"] is True


def test_order_is_cancelled_once(vendor: Ollang) -> None:
    entries = vendor.orders.create("document", 0, CONFIGS, project_id="proj_abc456")
    order_id = entries[0]["orderId"]
    assert vendor.orders.cancel(order_id) is None
    with pytest.raises(OllangAPIError) as caught:
        vendor.orders.cancel(order_id)
    assert (caught.value.status_code, caught.value.body["code"]) == (409, "ORDER_ALREADY_CANCELLED")


def test_credits(vendor: Ollang) -> None:
    vendor.orders.create("document", 0, CONFIGS, project_id="proj_abc456")
    assert vendor.billing.credits()["usedCredits"] == 200
