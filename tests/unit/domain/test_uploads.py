"""Uploads: which project an upload may have made, and its receipt."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from airflow_provider_ollang.domain.uploads import UploadReceipt, ids_of, name_of_link, project_names
from airflow_provider_ollang.exceptions import OllangConfigurationError
from tests.unit.builders import AFTER, LONG_BEFORE, REQUESTED

RECEIPT = UploadReceipt(
    host="https://api.example",
    message=None,
    requested_at=REQUESTED,
    reconnected=False,
    project_id=None,
    name="Episode",
    source_language="en",
    folder_id=None,
    bytes=700,
    sha256=None,
    project_names=["Episode", "Episode.mp4"],
    known_project_ids=["p0"],
)
ROW = {"id": "p1", "name": "Episode", "sourceLanguage": "en", "createdAt": AFTER}


@pytest.mark.parametrize(
    ("changes", "may_be"),
    [
        ({}, True),
        ({"name": "Episode.mp4"}, True),
        ({"name": "episode"}, False),
        ({"name": "Episode.mov"}, False),
        ({"sourceLanguage": "de"}, False),
        ({"sourceLanguage": None}, True),
        ({"createdAt": None}, True),
        ({"createdAt": REQUESTED}, True),
        ({"createdAt": LONG_BEFORE}, False),
        ({"id": "p0"}, False),
        ({"id": None}, False),
    ],
)
def test_row_is_taken_for_the_upload_unless_it_says_otherwise(changes: dict[str, Any], may_be: bool) -> None:
    assert RECEIPT.may_have_made({**ROW, **changes}) is may_be


def test_date_of_a_request_has_whole_seconds() -> None:
    receipt = dataclasses.replace(RECEIPT, requested_at="2026-01-01T00:00:10+00:00")
    assert not receipt.predates_request({**ROW, "createdAt": "2026-01-01T00:00:09.200Z"})
    assert receipt.predates_request({**ROW, "createdAt": "2026-01-01T00:00:08.900Z"})
    assert not receipt.predates_request({**ROW, "createdAt": None})
    assert not dataclasses.replace(receipt, requested_at=None).predates_request({**ROW, "createdAt": LONG_BEFORE})


def test_clocks_differ_by_an_hour_at_most() -> None:
    receipt = dataclasses.replace(RECEIPT, requested_at="2026-01-01T01:00:10+00:00")
    assert receipt.may_have_made({**ROW, "createdAt": "2026-01-01T00:00:10Z"})
    assert not receipt.may_have_made({**ROW, "createdAt": "2026-01-01T00:00:09.900Z"})
    assert dataclasses.replace(receipt, requested_at=None).may_have_made({**ROW, "createdAt": LONG_BEFORE})


@pytest.mark.parametrize(
    ("documents", "fits"),
    [
        ([{"size": 700}], True),
        ([{"size": 10}, {"size": 700.0}], True),
        ([{"size": 701}], False),
        ([{"size": None}, {}], True),
        ([], True),
        (None, True),
        ("x", True),
    ],
)
def test_project_of_another_size_does_not_fit(documents: Any, fits: bool) -> None:
    assert RECEIPT.fits({"projectDocs": documents}) is fits
    assert dataclasses.replace(RECEIPT, bytes=None).fits({"projectDocs": documents})


@pytest.mark.parametrize(
    ("folder", "project_folder", "fits"),
    [("f1", "f1", True), ("f1", "f2", False), (None, "f2", True), ("f1", None, True), (None, None, True)],
)
def test_project_of_another_folder_does_not_fit(folder: Any, project_folder: Any, fits: bool) -> None:
    receipt = dataclasses.replace(RECEIPT, folder_id=folder)
    assert receipt.fits({"folderId": project_folder, "projectDocs": [{"size": 700}]}) is fits


def test_receipt_is_read_back_from_json() -> None:
    assert UploadReceipt.from_value(json.loads(json.dumps(RECEIPT.to_json()))) == RECEIPT
    for broken in ({}, {**RECEIPT.to_json(), "host": ""}, "text", None):
        with pytest.raises(
            OllangConfigurationError, match=r"^The stored receipt of ObjectStorageToOllangOperator cannot"
        ):
            UploadReceipt.from_value(broken)


def test_result_has_six_fields_only() -> None:
    assert RECEIPT.to_xcom() == {
        "project_id": None,
        "name": "Episode",
        "source_language": "en",
        "folder_id": None,
        "bytes": 700,
        "sha256": None,
    }


@pytest.mark.parametrize(
    ("name", "file_name", "names"),
    [
        ("Episode", "a.mp4", ["Episode", "Episode.mp4"]),
        ("Episode.MP4", "a.mp4", ["Episode.MP4"]),
        ("v1.2", "a.srt", ["v1.2", "v1.2.srt"]),
        ("a", "a", ["a"]),
    ],
)
def test_project_may_be_called_with_the_extension(name: str, file_name: str, names: list[str]) -> None:
    assert project_names(name, file_name) == names


@pytest.mark.parametrize(
    ("name", "file_name"), [(None, "Ep 1.mp4"), ("Two", "Two.mp4"), ("Two.mp4", "Two.mp4"), ("Two.mov", "Two.mov.mp4")]
)
def test_file_behind_a_link_is_named_by_both(name: str | None, file_name: str) -> None:
    assert name_of_link("https://host/a/Ep%201.mp4?sig=1", name) == file_name


def test_name_for_a_link_must_be_a_text() -> None:
    with pytest.raises(OllangConfigurationError, match="name must be a text"):
        name_of_link("https://host/a.mp4", 5)  # type: ignore[arg-type]


def test_ids_are_those_of_the_names() -> None:
    rows: list[dict[str, Any]] = [ROW, {**ROW, "id": 7}, {**ROW, "id": None}, {**ROW, "name": "x"}, {}]
    assert ids_of(rows, ["Episode"]) == ["p1", "7"]
