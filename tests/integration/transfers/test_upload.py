"""Uploads that go well, and those that are refused before anything is sent or by Ollang."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

import pytest
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.sdk import DAG, task
from airflow.utils.session import create_session
from sqlalchemy import select

from airflow_provider_ollang import _clock
from airflow_provider_ollang.exceptions import (
    OllangBadRequestError,
    OllangConfigurationError,
    OllangError,
    OllangTransientError,
)
from airflow_provider_ollang.runtime.source_file import SourceReader
from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.transfers.object_storage_to_ollang import ObjectStorageToOllangOperator
from tests.integration.conftest import ClearRun, RunDag
from tests.integration.submissions import state_on_record
from tests.integration.transfers.conftest import START
from tests.integration.transfers.places import Place, make_place
from tests.integration.transfers.uploads import CONTENT, NAME, SHA256, made, posts, put, upload_dag

LINK = "https://bucket.example/canary-folder/Episode%202.mp4?X-Amz-Signature=canary-signature"


def test_file_of_any_store_arrives(ollang: Sandbox, run_dag: RunDag, any_place: Place) -> None:
    source = put(any_place)
    run = run_dag(upload_dag(source=source, folder_id="folder_abc123", notes="Mind the puns"))
    (project,) = made(ollang)
    assert run.results["upload"] == {
        "project_id": project["id"],
        "name": NAME,
        "source_language": "en",
        "folder_id": "folder_abc123",
        "bytes": len(CONTENT),
        "sha256": SHA256,
    }
    assert (project["bytes"], project["sha256"], project["filename"]) == (len(CONTENT), SHA256, NAME)
    assert (project["name"], project["sourceLanguage"], project["folderId"]) == (NAME, "en", "folder_abc123")
    assert project["asked"]["notes"] == '[{"details": "Mind the puns"}]'


def test_arguments_are_templates(ollang: Sandbox, run_dag: RunDag, place: Place) -> None:
    put(place, name="a.srt")
    source = f"{place.url}/{{{{ params.name }}}}.srt"
    dag = upload_dag(source=source, name="{{ params.name }} of {{ run_id }}", params={"name": "a"})
    run = run_dag(dag)
    (project,) = made(ollang)
    assert (project["filename"], run.results["upload"]["name"]) == ("a.srt", f"a of {run.run_id}")


def test_retry_after_success_returns_the_same(
    ollang: Sandbox, run_dag: RunDag, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = ObjectStorageToOllangOperator.execute
    results: list[Any] = []

    def dying(self: ObjectStorageToOllangOperator, context: Any) -> Any:
        results.append(execute(self, context))
        if len(results) == 1:
            raise RuntimeError("the worker is gone")
        return results[-1]

    dying.__name__ = "execute"
    monkeypatch.setattr(ObjectStorageToOllangOperator, "execute", dying)
    run = run_dag(upload_dag(source=put(place), retries=1))
    assert run.tries["upload"] == 2
    assert results[0] == results[1] == run.results["upload"]
    assert (posts(ollang), len(made(ollang))) == ([201], 1)


@pytest.mark.parametrize("keep_task_state", [True, False])
def test_cleared_task_uploads_anew_and_at_once(
    ollang: Sandbox,
    run_dag: RunDag,
    clear_run: ClearRun,
    place: Place,
    capfd: pytest.CaptureFixture[str],
    keep_task_state: bool,
) -> None:
    dag = upload_dag(source=put(place))
    run = run_dag(dag)
    before = _clock.now()
    again = clear_run(dag, run, keep_task_state=keep_task_state)
    assert _clock.now() == before
    assert len(made(ollang)) == 2
    assert again.results["upload"]["project_id"] == made(ollang)[1]["id"]
    assert "ubmitting another one" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.mp4", None, "source .* cannot be read .*FileNotFoundError.*Check that the file exists"),
        ("folder.mp4/a.mp4", CONTENT, "is a folder, not a file"),
        ("episode", CONTENT, "has no extension"),
        ("a.exe", CONTENT, "has a format that Ollang does not take; it takes mp4"),
        ("a.mp4", b"", "is empty"),
        ("a.srt", 101 << 20, "has 105,906,176 bytes; Ollang takes 30 GB of video or audio, and 100 MB"),
    ],
)
def test_wrong_file_is_refused_before_anything_is_sent(
    ollang: Sandbox, run_dag: RunDag, place: Place, tmp_path: Path, name: str, content: Any, words: str
) -> None:
    if isinstance(content, int):
        (tmp_path / "out").mkdir()
        with (tmp_path / "out" / name).open("wb") as file:
            file.truncate(content)
    elif content is not None:
        place.fs.makedirs(f"{tmp_path}/out/{Path(name).parent}", exist_ok=True)
        put(place, content, name)
    run = run_dag(upload_dag(source=f"{place.url}/{name.partition('/')[0]}"))
    error = run.errors["upload"]
    assert isinstance(error, OllangConfigurationError)
    assert re.search(words, str(error), re.DOTALL), error
    assert "Nothing was sent" in str(error)
    assert ollang.request_log == []


def test_missing_object_or_bucket_is_a_configuration_error(
    ollang: Sandbox, run_dag: RunDag, tmp_path: Path, s3: str
) -> None:
    place = make_place("s3", tmp_path, s3)
    for url in (place.url, place.missing):
        run = run_dag(upload_dag(source=f"{url}/a.mp4"))
        assert isinstance(run.errors["upload"], OllangConfigurationError), run.errors
    assert ollang.request_log == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("a.mp4", "source must be a URL"),
        ("s3://user:sesame@bucket/a.mp4", "source must name an Airflow connection before its @"),
        ("nosuch://bucket/a.mp4", "no file system for nosuch|no store that this worker knows"),
    ],
)
def test_source_that_is_no_address_is_refused(ollang: Sandbox, run_dag: RunDag, source: str, words: str) -> None:
    error = run_dag(upload_dag(source=source)).errors["upload"]
    assert isinstance(error, OllangConfigurationError)
    assert re.search(words, str(error), re.DOTALL), error
    assert "sesame" not in str(error)
    assert ollang.request_log == []


@pytest.mark.parametrize("given", [{}, {"source": "/a.mp4", "source_url": LINK}])
def test_either_source_or_link_is_needed(given: dict[str, Any]) -> None:
    with pytest.raises(OllangConfigurationError, match="either a source or a source_url"):
        upload_dag(**given)


@pytest.mark.parametrize("early", [False, True])
def test_413_says_the_limits(ollang: Sandbox, run_dag: RunDag, place: Place, early: bool) -> None:
    ollang.change_behaviour({"max_upload_bytes": 1000, "upload_refused_early": early})
    run = run_dag(upload_dag(source=put(place), retries=2))
    error = run.errors["upload"]
    assert isinstance(error, OllangBadRequestError)
    assert "30 GB of video or audio, and 100 MB of anything else" in str(error)
    assert (run.tries["upload"], made(ollang), state_on_record(key="ollang_upload")) == (1, [], "refused")


def test_format_that_ollang_refuses_is_told_in_its_words(ollang: Sandbox, run_dag: RunDag, place: Place) -> None:
    ollang.change_behaviour({"upload_formats": ["srt"]})
    error = run_dag(upload_dag(source=put(place), retries=2)).errors["upload"]
    assert isinstance(error, OllangBadRequestError)
    assert "Unsupported file format: mp4" in str(error)
    assert posts(ollang) == [400]


@pytest.mark.parametrize("change", [1, -1, None], ids=["grows", "shrinks", "deleted"])
def test_file_that_changes_while_it_is_sent_makes_no_project(
    ollang: Sandbox, run_dag: RunDag, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: int | None
) -> None:
    source, path = put(place), tmp_path / "out" / NAME
    read = SourceReader.read

    def reading(self: SourceReader, size: int) -> bytes:
        if self._read > len(CONTENT) // 2 and path.exists() and path.stat().st_size == len(CONTENT):
            if change is None:
                path.unlink()
            else:
                os.truncate(path, len(CONTENT) + change)
        return read(self, size)

    monkeypatch.setattr(SourceReader, "read", reading)
    run = run_dag(upload_dag(source=source))
    error = run.errors["upload"]
    assert isinstance(error, OllangTransientError)
    assert "has changed while it was sent" in str(error)
    assert (made(ollang), state_on_record(key="ollang_upload")) == ([], "refused")


def test_broken_upload_is_repeated_within_the_try(ollang: Sandbox, run_dag: RunDag, place: Place) -> None:
    ollang.add_fault("POST", "/integration/upload/direct", status=429)
    run = run_dag(upload_dag(source=put(place)))
    assert (run.tries["upload"], posts(ollang)) == (1, [429, 201])
    assert run.results["upload"]["sha256"] == made(ollang)[0]["sha256"] == SHA256


def test_progress_is_in_the_log(
    ollang: Sandbox, run_dag: RunDag, place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = put(place)
    now = _clock.monotonic
    pieces: list[None] = []

    def slow() -> float:
        pieces.append(None)
        return now() + len(pieces)

    monkeypatch.setattr(_clock, "monotonic", slow)
    run_dag(upload_dag(source=source))
    told = [line for line in capfd.readouterr().out.splitlines() if "are sent" in line]
    assert 9 <= len(told) <= 11, told
    assert f"File {NAME}: 50 % of 9.4 MB are sent" in told[4]


# --- Links -----------------------------------------------------------------------------------------------------


def rendered_fields() -> str:
    """Return all that Airflow shows of the rendered templates of the tasks with links, as text."""
    with create_session() as session:
        of_links = RenderedTaskInstanceFields.dag_id == "linking"
        rows = session.scalars(select(RenderedTaskInstanceFields).where(of_links)).all()
        assert rows
        return "".join(str(row.rendered_fields) for row in rows)


def link_dag(how: str) -> DAG:
    with DAG("linking", schedule=None, start_date=START, params={"signature": "canary-signature"}) as dag:

        @task(show_return_value_in_logs=False)
        def make_link() -> str:
            return LINK

        given: dict[str, Any] = {"task_id": "upload", "source_language": "en", "retries": 0}
        if how == "literal":
            ObjectStorageToOllangOperator(source_url=LINK, **given)
        elif how == "template":
            link = LINK.replace("canary-signature", "{{ params.signature }}")
            ObjectStorageToOllangOperator(source_url=link, name="E{{ 2 }}", **given)
        elif how == "output":
            ObjectStorageToOllangOperator(source_url=make_link(), **given)
        else:
            ObjectStorageToOllangOperator.partial(**given).expand(source_url=[LINK])
    return dag


@pytest.mark.parametrize("how", ["literal", "template", "output", "mapped"])
def test_link_is_handed_over_and_shown_nowhere(
    ollang: Sandbox, run_dag: RunDag, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], how: str
) -> None:
    caplog.set_level(logging.DEBUG)
    run = run_dag(link_dag(how))
    (project,) = made(ollang)
    assert project["url"] == LINK
    name = "E2" if how == "template" else "Episode 2.mp4"
    result = run.results["upload[0]" if how == "mapped" else "upload"]
    assert result == {
        "project_id": project["id"],
        "name": name,
        "source_language": "en",
        "folder_id": None,
        "bytes": None,
        "sha256": None,
    }
    assert project["name"] == ("E2.mp4" if how == "template" else name)
    shown = "\n".join([*capfd.readouterr(), caplog.text, rendered_fields(), str(result)])
    assert [line for line in shown.splitlines() if "canary" in line] == []


@pytest.mark.parametrize("status", [400, 500])
def test_link_that_the_server_repeats_is_not_shown(
    ollang: Sandbox, run_dag: RunDag, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    ollang.add_fault(
        "POST", "/integration/upload/*", status=status, body={"error": "Bad link", "message": f"{LINK} is no good"}
    )
    error = run_dag(link_dag("literal")).errors["upload"]
    assert isinstance(error, OllangError)
    assert "*** is no good" in str(error)
    assert "canary" not in f"{error!r} {vars(error)} {caplog.text}"
