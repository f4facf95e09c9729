"""Uploads of which the response is lost: found by listing, asked about, and never sent twice by themselves."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_ollang.client.sync import OllangClient
from airflow_provider_ollang.client.uploads import upload_file
from airflow_provider_ollang.domain.uploads import UploadDetails
from airflow_provider_ollang.exceptions import OllangOutcomeUnknownError
from airflow_provider_ollang.runtime.cancellation import TaskCancelledError
from airflow_provider_ollang.runtime.source_file import SourceReader
from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.transfers.object_storage_to_ollang import ObjectStorageToOllangOperator
from tests.installed_airflow import needs_task_state_store
from tests.integration.conftest import ClearRun, RunDag
from tests.integration.submissions import is_refused, kill_while_sending, on_kill_of, record, state_on_record
from tests.integration.transfers.places import Place
from tests.integration.transfers.uploads import CONTENT, NAME, SHA256, made, posts, put, upload_dag

DIRECT = "/integration/upload/direct"
KEY = ObjectStorageToOllangOperator.record_key


def lose_answer(ollang: Sandbox, **fault: Any) -> None:
    ollang.add_fault("POST", DIRECT, **(fault or {"drop": "after"}))


@pytest.mark.parametrize("name", [None, "Episode"])
@pytest.mark.parametrize("names", ["with_extension", "as_given"])
@pytest.mark.parametrize("fault", [{"drop": "after"}, {"processed": True, "status": 502}])
def test_project_of_a_lost_answer_is_found(
    ollang: Sandbox, run_dag: RunDag, place: Place, name: str | None, names: str, fault: dict[str, Any]
) -> None:
    ollang.change_behaviour({"project_names": names, "projects_hidden_for": 20.0})
    lose_answer(ollang, **fault)
    run = run_dag(upload_dag(source=put(place), name=name))
    (project,) = made(ollang)
    result = run.results["upload"]
    assert (result["project_id"], result["name"], result["sha256"]) == (project["id"], name or NAME, SHA256)
    assert (len(posts(ollang)), state_on_record(key=KEY)) == (1, "finished")


def test_projects_that_were_there_before_are_not_taken_for_it(ollang: Sandbox, run_dag: RunDag, place: Place) -> None:
    source = put(place)
    for language in ("de", "en"):
        run_dag(upload_dag(source=source, source_language=language))
    before = len(made(ollang))
    lose_answer(ollang)
    run = run_dag(upload_dag(source=source))
    assert len(made(ollang)) == before + 1
    assert run.results["upload"]["project_id"] == made(ollang)[-1]["id"]


def test_project_of_another_folder_is_not_taken(
    ollang: Sandbox, run_dag: RunDag, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = OllangClient.submit

    def alongside(self: OllangClient, request: Any) -> Any:
        monkeypatch.setattr(OllangClient, "submit", submit)
        try:
            return submit(self, request)
        finally:
            details = UploadDetails(NAME, "en", "folder_abc123")
            submit(self, upload_file(lambda: io.BytesIO(CONTENT), len(CONTENT), NAME, details))

    monkeypatch.setattr(OllangClient, "submit", alongside)
    lose_answer(ollang, status=500)
    run = run_dag(upload_dag(source=put(place), folder_id="folder_api_uploads"))
    assert isinstance(run.errors["upload"], OllangOutcomeUnknownError)
    assert [project["folderId"] for project in made(ollang)] == ["folder_abc123"]


def test_two_new_projects_ask_a_person(ollang: Sandbox, run_dag: RunDag, clear_run: ClearRun, place: Place) -> None:
    ollang.change_behaviour({"processed_twice": True})
    lose_answer(ollang)
    dag = upload_dag(source=put(place), retries=2, on_unknown_outcome="resubmit")
    run = run_dag(dag)
    error = run.errors["upload"]
    assert isinstance(error, OllangOutcomeUnknownError)
    assert f"could make a second project. Look in Ollang for a new project named {NAME!r}" in str(error)
    assert (run.tries["upload"], len(posts(ollang)), state_on_record(key=KEY)) == (1, 1, "unknown")
    ollang.change_behaviour({"processed_twice": False})
    again = clear_run(dag, run)
    assert again.results["upload"]["project_id"] == made(ollang)[-1]["id"]
    assert (len(made(ollang)), len(posts(ollang))) == (3, 2)


@pytest.mark.parametrize("policy", ["fail", "resubmit"])
def test_upload_without_a_trace_is_sent_again_only_if_allowed(
    ollang: Sandbox, run_dag: RunDag, place: Place, policy: Any
) -> None:
    lose_answer(ollang, status=500)
    run = run_dag(upload_dag(source=put(place), on_unknown_outcome=policy))
    if policy == "fail":
        assert isinstance(run.errors["upload"], OllangOutcomeUnknownError)
        assert (posts(ollang), made(ollang)) == ([500], [])
    else:
        assert (posts(ollang), len(made(ollang)), run.state) == ([500, 201], 1, "success")


@needs_task_state_store
def test_intent_is_on_record_before_the_last_byte_only(
    ollang: Sandbox, run_dag: RunDag, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[Any] = []
    read, send = SourceReader.read, OllangClient.send

    def reading(self: SourceReader, size: int) -> bytes:
        states.append(state_on_record(key=KEY))
        return read(self, size)

    def sent(self: OllangClient, request: Any, **options: Any) -> Any:
        response = send(self, request, **options)
        states.append(state_on_record(key=KEY))
        return response

    monkeypatch.setattr(SourceReader, "read", reading)
    monkeypatch.setattr(OllangClient, "send", sent)
    run_dag(upload_dag(source=put(place, CONTENT[:200_000])))
    # The list, each piece of the file and its end, the upload.
    assert states == [*[None] * 6, "sending"]


def test_clocks_that_differ_ask_a_person(ollang: Sandbox, run_dag: RunDag, place: Place) -> None:
    ollang.change_behaviour({"date_ahead": 10.0})
    lose_answer(ollang)
    run = run_dag(upload_dag(source=put(place), on_unknown_outcome="resubmit"))
    assert isinstance(run.errors["upload"], OllangOutcomeUnknownError)
    assert len(made(ollang)) == 1


@needs_task_state_store
@pytest.mark.parametrize("fate", ["touched", "gone"])
def test_file_that_changes_between_tries_counts_as_uploaded(
    ollang: Sandbox, run_dag: RunDag, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fate: str
) -> None:
    source, path = put(place), tmp_path / "out" / NAME
    kill_while_sending(monkeypatch, processed=True)
    send = OllangClient.send

    def sending(self: OllangClient, request: Any, **options: Any) -> Any:
        try:
            return send(self, request, **options)
        finally:
            if request.paid and fate == "gone":
                path.unlink()
            elif request.paid:
                os.utime(path, (1, 1))

    monkeypatch.setattr(OllangClient, "send", sending)
    run = run_dag(upload_dag(source=source, retries=1))
    (project,) = made(ollang)
    assert (run.results["upload"]["project_id"], posts(ollang)) == (project["id"], [201])
    assert run.results["upload"]["bytes"] == len(CONTENT)


def test_task_killed_in_the_body_sends_no_more(
    ollang: Sandbox, run_dag: RunDag, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill = on_kill_of(monkeypatch, ObjectStorageToOllangOperator)
    read, pieces = SourceReader.read, []

    def reading(self: SourceReader, size: int) -> bytes:
        pieces.append(size)
        if len(pieces) == 50:
            kill()
        return read(self, size)

    monkeypatch.setattr(SourceReader, "read", reading)
    run = run_dag(upload_dag(source=put(place)))
    assert isinstance(run.errors["upload"], TaskCancelledError)
    assert len(pieces) == 50
    assert made(ollang) == []
    assert is_refused(record(key=KEY))
