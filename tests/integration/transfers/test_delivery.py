"""What is delivered, where to, and what the manifest says of it."""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import Any

import pytest
from airflow.models.asset import AssetEvent
from airflow.sdk import DAG, Asset, ObjectStoragePath
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangStaleResultError,
    OllangUnavailableError,
)
from airflow_provider_ollang.operators.ollang import OllangRerunOperator
from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.sensors.ollang import OllangOrderStatusSensor
from airflow_provider_ollang.transfers._ledger import Ledger
from airflow_provider_ollang.transfers.ollang_to_object_storage import OllangToObjectStorageOperator
from tests.installed_airflow import needs_task_state_store
from tests.integration.conftest import ClearRun, RunDag
from tests.integration.transfers.conftest import START, Deliver, delivery, expected, found
from tests.integration.transfers.places import Place

FILES: list[dict[str, Any]] = [
    {"name": "Episode 1 [final].srt", "size": 5000},
    {"name": "Episode 1 [final].srt", "size": 6000},
    {"name": "../../Übersetzung #1 100%.mp4", "size": 20_000_003, "type": "vendor_video"},
    {"name": "no suffix", "size": 700},
]


def test_every_store_gets_the_files_whole(ollang: Sandbox, deliver: Deliver, any_place: Place) -> None:
    order_id = ollang.add_order(type="subtitle", files=FILES)
    run = deliver(any_place.url, order_id=order_id)
    assert run.errors == {}
    manifest = run.results["deliver"]
    assert found(any_place) == expected(ollang, order_id, manifest)
    assert len(found(any_place)) == 5
    assert {one["path"]: one["sha256"] for one in manifest["files"]} == found(any_place)
    assert [entry.key_sent for entry in ollang.request_log if entry.host == "files"] == [False] * 5


def test_the_manifest(ollang: Sandbox, deliver: Deliver, place: Place) -> None:
    order_id = ollang.add_order(type="subtitle", name="Episode 1", files=[{"id": "d1", "name": "a.srt", "size": 5000}])
    folder = f"{place.url}/{order_id}"
    manifest = deliver(place.url, order_id=order_id).results["deliver"]
    assert manifest == {
        "order_id": order_id,
        "destination": folder,
        "outputs_changed": None,
        "bytes": 5000 + 4103,
        "file_count": 2,
        "manifest": None,
        "files": [
            {
                "document_id": "d1",
                "name": "a.srt",
                "type": "subtitle",
                "path": f"{folder}/a.srt",
                "bytes": 5000,
                "sha256": ollang.content(order_id, "d1").sha256(),
                "is_new": None,
            },
            {
                "document_id": None,
                "name": None,
                "type": "vtt",
                "path": f"{folder}/Episode 1.vtt",
                "bytes": 4103,
                "sha256": ollang.content(order_id, "vttUrl").sha256(),
                "is_new": None,
            },
        ],
    }
    assert "Signature" not in json.dumps(manifest)


def test_large_manifest_is_a_file_beside_the_delivery(ollang: Sandbox, deliver: Deliver, place: Place) -> None:
    """As of ten thousand documents: an XCom is not made for megabytes."""
    files = [{"id": f"d{number}", "name": f"{number:03}{'x' * 150}.srt", "size": 10} for number in range(120)]
    order_id = ollang.add_order(type="document", files=[*files, {"name": "other.json"}])
    result = deliver(place.url, order_id=order_id).results["deliver"]
    assert len(json.dumps(result)) < 1000
    assert result["files"] is None
    assert (result["order_id"], result["bytes"] > 1200, result["file_count"]) == (order_id, True, 121)
    content = place.files()[result["manifest"]["path"].removeprefix(f"{place.url}/")]
    assert result["manifest"]["bytes"] == len(content)
    assert result["manifest"]["sha256"] == hashlib.sha256(content).hexdigest()
    manifest = json.loads(content)
    assert {one["path"]: one["sha256"] for one in manifest["files"]}.items() <= found(place).items()
    assert len(manifest["files"]) == 121
    assert len(place.files()) == 122


def test_asset_events_tell_what_was_delivered(ollang: Sandbox, deliver: Deliver, place: Place) -> None:
    order_id = ollang.add_order(type="document", files=[{"name": "a.docx", "size": 700}])
    uri = f"{place.url}/asset"
    run = deliver(place.url, order_id=order_id, outlets=[Asset(uri)])
    with create_session() as session:
        event = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == run.run_id)).one()
        assert event.extra == {
            "order_id": order_id,
            "destination": f"{place.url}/{order_id}",
            "outputs_changed": None,
            "bytes": 700,
            "files": 1,
        }


@pytest.mark.parametrize(
    ("arguments", "types"),
    [
        ({}, ["subtitle", "vtt"]),
        ({"document_types": "subtitle"}, ["subtitle"]),
        ({"document_types": ["vtt"]}, ["vtt"]),
        ({"kinds": "auxiliary", "document_types": ["invoice", "createdThumbnail"]}, ["invoice", "created_thumbnail"]),
        ({"kinds": ["output", "auxiliary"]}, ["subtitle", "invoice", "created_thumbnail", "created_waveform", "vtt"]),
    ],
)
def test_which_documents(
    ollang: Sandbox, deliver: Deliver, place: Place, arguments: dict[str, Any], types: list[str]
) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour={"auxiliary_documents": True})
    ollang.rerun_order(order_id)
    ollang.advance(40)
    run = deliver(place.url, order_id=order_id, **arguments)
    assert sorted(one["type"] for one in run.results["deliver"]["files"]) == sorted(types)


def test_into_the_folder_itself(ollang: Sandbox, deliver: Deliver, place: Place) -> None:
    order_id = ollang.add_order(type="document", files=[{"name": "a.docx"}])
    deliver(ObjectStoragePath(place.url), order_id=order_id, folder_per_order=False)
    assert set(place.files()) == {"a.docx"}


def test_arguments_get_in_by_templates_and_results(ollang: Sandbox, run_dag: RunDag, place: Place) -> None:
    order_ids = [ollang.add_order(type="document", files=[{"name": "a.docx", "size": 100 + n}]) for n in range(3)]
    with DAG("mapping", schedule=None, start_date=START, params={"folder": "x"}) as dag:
        wait = OllangOrderStatusSensor.partial(task_id="wait").expand(order_id=order_ids)
        OllangToObjectStorageOperator.partial(
            task_id="deliver", destination=place.url + "/{{ params.folder }}", document_types="{{ 'translation' }}"
        ).expand(order_id=wait.output)
    run = run_dag(dag)
    assert run.state == "success"
    assert {path: len(content) for path, content in place.files().items()} == {
        f"x/{order_id}/a.docx": 100 + n for n, order_id in enumerate(order_ids)
    }


# --- After a rerun ------------------------------------------------------------------------------------------------


def test_only_what_a_rerun_has_made(ollang: Sandbox, run_dag: RunDag, place: Place) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour={"outputs": "added"})
    with DAG("rerunning", schedule=None, start_date=START) as dag:
        rerun = OllangRerunOperator(task_id="rerun", order_id=order_id)
        wait = OllangOrderStatusSensor(task_id="wait", rerun=rerun.output)
        deliver = OllangToObjectStorageOperator(task_id="deliver", rerun=rerun.output, destination=place.url)
        wait >> deliver
    manifest = run_dag(dag).results["deliver"]
    assert [(one["name"], one["is_new"]) for one in manifest["files"]] == [("Subtitles (run 2)", True), (None, None)]
    assert manifest["outputs_changed"] is True
    assert found(place) == expected(ollang, order_id, manifest)


def test_the_newest_of_several_receipts_counts(ollang: Sandbox, run_dag: RunDag, place: Place) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour={"outputs": "added"})
    with DAG("rerunning", schedule=None, start_date=START) as dag:
        first = OllangRerunOperator(task_id="first", order_id=order_id, wait_for_completion=True)
        again = OllangRerunOperator(task_id="again", order_id=first.output, wait_for_completion=True)
        deliver = OllangToObjectStorageOperator(
            task_id="deliver", rerun=[again.output, None, first.output], destination=place.url
        )
        first >> again >> deliver
    run = run_dag(dag)
    assert [one["name"] for one in run.results["deliver"]["files"]] == ["Subtitles (run 3)", None]


def stale_receipt(ollang: Sandbox, run_dag: RunDag, **behaviour: Any) -> dict[str, Any]:
    order_id = ollang.add_order(type="subtitle", behaviour={"outputs_after": None, **behaviour})
    with DAG("rerunning", schedule=None, start_date=START) as dag:
        OllangRerunOperator(task_id="rerun", order_id=order_id, wait_for_completion=True)
    receipt: dict[str, Any] = run_dag(dag).results["rerun"]
    return receipt


def test_the_old_result_is_not_delivered_for_the_new(
    ollang: Sandbox, run_dag: RunDag, deliver: Deliver, place: Place
) -> None:
    receipt = stale_receipt(ollang, run_dag)
    run = deliver(place.url, rerun=receipt, retries=2)
    error = run.errors["deliver"]
    assert isinstance(error, OllangStaleResultError)
    assert "on_unchanged='deliver'" in str(error)
    assert run.tries["deliver"] == 1
    assert place.files() == {}


def test_the_old_result_is_delivered_where_that_is_wanted(
    ollang: Sandbox, run_dag: RunDag, deliver: Deliver, place: Place
) -> None:
    receipt = stale_receipt(ollang, run_dag)
    manifest = deliver(place.url, rerun=receipt, on_unchanged="deliver").results["deliver"]
    assert manifest["outputs_changed"] is False
    assert [(one["name"], one["is_new"]) for one in manifest["files"]] == [("Subtitles (run 1)", False), (None, None)]


def test_no_receipt_where_one_should_be(ollang: Sandbox, run_dag: RunDag, deliver: Deliver, place: Place) -> None:
    receipt = stale_receipt(ollang, run_dag)
    for arguments, words in (
        ({"rerun": None, "order_id": receipt["order_id"]}, "receipt"),
        ({"rerun": [None]}, "receipt"),
        ({"rerun": {**receipt, "host": "https://elsewhere.example"}}, "elsewhere.example"),
        ({"rerun": receipt, "order_id": "another"}, "another"),
        ({"rerun": [receipt, {**receipt, "order_id": "another"}]}, "several orders"),
    ):
        error = deliver(place.url, **arguments).errors["deliver"]
        assert isinstance(error, OllangConfigurationError)
        assert words in str(error)


# --- Nothing to deliver, or nowhere to deliver it to --------------------------------------------------------------


def test_nothing_to_deliver_yet(ollang: Sandbox, deliver: Deliver, place: Place) -> None:
    order_id = ollang.add_order(type="subtitle", status="ongoing")
    run = deliver(place.url, order_id=order_id, retries=1)
    assert isinstance(run.errors["deliver"], OllangUnavailableError)
    assert "'ongoing'" in str(run.errors["deliver"])
    assert run.tries["deliver"] == 2
    run = deliver(place.url, order_id=order_id, on_unchanged="deliver")
    assert isinstance(run.errors["deliver"], OllangUnavailableError)
    assert "'sourceVideo'" in str(run.errors["deliver"])


def test_a_type_the_order_does_not_have(ollang: Sandbox, deliver: Deliver, place: Place) -> None:
    order_id = ollang.add_order(type="subtitle")
    run = deliver(place.url, order_id=order_id, document_types="subtitles", retries=1)
    assert isinstance(run.errors["deliver"], OllangConfigurationError)
    assert "'subtitle'" in str(run.errors["deliver"])
    assert run.tries["deliver"] == 1


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        ("", "str"),
        (None, "NoneType"),
        ("out/here", "'out/here'"),
        ("{{ '{{' }} ds }}", "{{ ds }}"),
        ("gs://bucket/here", "apache-airflow-providers-google"),
        ("s3://nowhere@bucket/here", "apache-airflow-providers-amazon[s3fs]"),
        ("sftp://user:secret@host/here", "connection"),
        ("sftp://user:se/cret@host/here", "connection"),
        ("sftp://user:sec@ret/@host/here", "connection"),
        ("sftp:/user:secret@host/here", "connection"),
        ("user:secret@host/here", "connection"),
        ("sftp://me@corp.example:secret@host/here", "connection"),
        ("/proc/here", "cannot"),
        ("memory://bucket//here", "empty part"),
    ],
)
def test_destinations_that_cannot_be(
    ollang: Sandbox, deliver: Deliver, caplog: pytest.LogCaptureFixture, destination: Any, words: str
) -> None:
    order_id = ollang.add_order(type="document")
    run = deliver(destination, order_id=order_id, retries=1)
    error = run.errors["deliver"]
    assert isinstance(error, OllangConfigurationError)
    assert words in str(error)
    assert not re.search("se/?c@?ret", str(error))
    assert run.tries["deliver"] == 1


# --- Tries --------------------------------------------------------------------------------------------------------


def fetched(ollang: Sandbox) -> list[str]:
    return [entry.path.partition("?")[0].split("/")[3] for entry in ollang.request_log if entry.host == "files"]


@needs_task_state_store
def test_a_retry_brings_only_what_is_not_there(
    ollang: Sandbox, deliver: Deliver, any_place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    files = [{"id": name, "name": f"{name}.mp4", "size": 9_000_000} for name in ("a", "b", "c")]
    order_id = ollang.add_order(type="document", files=files)
    ollang.add_fault("GET", f"/files/{order_id}/b/*", status=503, times=5)
    run = deliver(any_place.url, order_id=order_id, retries=1, max_files_at_once=1)
    assert run.tries["deliver"] == 2
    assert fetched(ollang) == ["a", *["b"] * 5, "c", "b"]
    assert "The other files go on." in capfd.readouterr().out
    assert found(any_place) == expected(ollang, order_id, run.results["deliver"])


def test_no_file_begins_before_the_one_in_whose_place_it_comes_is_recorded(
    ollang: Sandbox, deliver: Deliver, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a try that is killed leaves more files to be downloaded again than it worked on."""
    order_id = ollang.add_order(type="document", files=[{"name": f"{name}.docx", "size": 9} for name in "abcdef"])
    begun: list[int] = []
    enter = Ledger.enter

    def slowly(self: Ledger, *entry: Any) -> None:
        # Time enough for one that would not wait for this.
        time.sleep(0.1)
        begun.append(len(fetched(ollang)))
        enter(self, *entry)

    monkeypatch.setattr(Ledger, "enter", slowly)
    assert deliver(place.url, order_id=order_id, max_files_at_once=2).state == "success"
    assert [min(files, most) for files, most in zip(begun, (2, 3, 4, 5, 6, 6), strict=True)] == begun


def test_a_file_that_was_changed_meanwhile_is_brought_again(
    ollang: Sandbox, run_dag: RunDag, strict: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [{"id": name, "name": f"{name}.mp4", "size": 9_000_000} for name in ("a", "b")]
    order_id = ollang.add_order(type="document", files=files)
    ollang.add_fault("GET", f"/files/{order_id}/b/*", status=503, times=5)
    execute = OllangToObjectStorageOperator.execute

    def spoiling(self: Any, context: Any) -> Any:
        try:
            return execute(self, context)
        finally:
            strict.fs.objects[f"delivered/here/{order_id}/a.mp4"] = b"somebody else's"

    dag = delivery(strict.url, order_id=order_id, retries=1, max_files_at_once=1)
    monkeypatch.setattr(dag.get_task("deliver"), "execute", lambda context: spoiling(dag.get_task("deliver"), context))
    run = run_dag(dag)
    assert run.state == "success"
    assert fetched(ollang) == ["a", *["b"] * 5, "a", "b"]


def test_a_cleared_task_delivers_anew(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, place: Place) -> None:
    order_id = ollang.add_order(type="document", files=[{"id": "a", "name": "a.mp4", "size": 9_000_000}])
    dag = delivery(place.url, order_id=order_id)
    clear_run(dag, run_dag(dag))
    assert fetched(ollang) == ["a", "a"]
