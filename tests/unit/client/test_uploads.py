"""The requests of uploads: what exactly goes out, what is refused, and what nothing shows."""

from __future__ import annotations

import io
import json
from email.message import Message
from email.parser import BytesParser
from typing import Any

import pytest

from airflow_provider_ollang.client.requests import Request, Stream
from airflow_provider_ollang.client.responses import parse_accepted
from airflow_provider_ollang.client.uploads import RESPONSE_TIMEOUT, project_id_of, upload_file, upload_link
from airflow_provider_ollang.domain.uploads import UploadDetails
from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangOutcomeUnknownError

from .builders import SETTINGS, error_of, response

CONTENT = bytes(range(256)) * 1000
DETAILS = UploadDetails('Épisode "1"', "pt-PT", "folder_1", [{"details": "Mind the püns", "timeStamp": "00:01:02"}])
LINK = "https://bucket.example/canary-path/Episode%201.MP4?X-Amz-Signature=canary"


def file_request(name: str = "Épisode 1.mp4", details: UploadDetails = DETAILS, content: bytes = CONTENT) -> Request:
    return upload_file(lambda: io.BytesIO(content), len(content), name, details)


def parts_of(request: Request) -> list[Message]:
    """Return the fields of a form, as a parser of e-mails reads them."""
    assert isinstance(request.body, Stream)
    body = b"".join(request.body)
    assert len(body) == len(request.body)
    head = f"Content-Type: {request.headers()['Content-Type']}\r\n\r\n".encode()
    parts: list[Any] = BytesParser().parsebytes(head + body).get_payload()  # type: ignore[assignment]
    return parts


def test_form_has_the_texts_first_and_the_file_last() -> None:
    request = file_request()
    parts = parts_of(request)
    assert [part.get_param("name", header="Content-Disposition") for part in parts] == [
        *("name", "sourceLanguage", "folderId", "notes", "file")
    ]
    texts = [part.get_payload(decode=True).decode() for part in parts[:-1]]  # type: ignore[union-attr]
    assert texts[:3] == ['Épisode "1"', "pt-PT", "folder_1"]
    assert json.loads(texts[3]) == [{"details": "Mind the püns", "timeStamp": "00:01:02"}]
    assert parts[-1].get_payload(decode=True) == CONTENT
    assert parts[-1].get_content_type() == "video/mp4"
    assert 'filename="Épisode 1.mp4"'.encode() in b"".join(request.body)  # type: ignore[arg-type]
    assert (request.method, request.path, request.paid) == ("POST", "/integration/upload/direct", True)
    assert request.response_timeout == RESPONSE_TIMEOUT == 600


def test_form_leaves_out_what_is_not_given() -> None:
    parts = parts_of(file_request("a.flv2.srt", UploadDetails("a", "en")))
    names = [part.get_param("name", header="Content-Disposition") for part in parts]
    assert names == ["name", "sourceLanguage", "file"]
    assert parts_of(file_request("a.odp", UploadDetails("a", "en", notes="Hi")))[2].get_payload(decode=True) == (
        b'[{"details": "Hi"}]'
    )


def test_each_attempt_has_the_whole_form() -> None:
    request = file_request()
    assert isinstance(request.body, Stream)
    assert b"".join(request.body) == b"".join(request.body)


def test_last_piece_is_announced_with_all_of_the_file_before_it() -> None:
    pieces: list[bytes] = []
    seen: list[int] = []
    request = upload_file(
        lambda: io.BytesIO(CONTENT),
        len(CONTENT),
        "a.mp4",
        UploadDetails("a", "en"),
        before_last=lambda: seen.append(len(b"".join(pieces))),
    )
    assert isinstance(request.body, Stream)
    for piece in request.body.pieces(on_last=lambda: seen.append(-1)):
        pieces.append(piece)  # noqa: PERF402 - the other end reads them one by one
    body = b"".join(pieces)
    assert seen == [len(body) - len(pieces[-1]), -1]
    assert body[: seen[0]].endswith(CONTENT)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("episode", CONTENT, "has no extension"),
        (".mp4", CONTENT, "has no extension"),
        ("a.exe", CONTENT, "does not take; it takes mp4, avi, .*, srt, vtt"),
        ("a.mp4", b"", "is empty"),
    ],
)
def test_file_that_ollang_does_not_take_is_refused(name: str, content: bytes, words: str) -> None:
    with pytest.raises(OllangConfigurationError, match=f"{words}.* Nothing was sent"):
        file_request(name, content=content)


@pytest.mark.parametrize(("name", "largest"), [("a.MP4", 30 << 30), ("a.flac", 30 << 30), ("a.docx", 100 << 20)])
def test_file_above_the_documented_limit_is_refused(name: str, largest: int) -> None:
    upload_file(io.BytesIO, largest, name, DETAILS)
    with pytest.raises(OllangConfigurationError, match="30 GB of video or audio, and 100 MB of anything else"):
        upload_file(io.BytesIO, largest + 1, name, DETAILS)


@pytest.mark.parametrize("given", [{"name": ""}, {"name": "a\nb"}, {"source_language": None}, {"folder_id": 7}])
def test_detail_that_is_no_text_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(OllangConfigurationError, match=f"{next(iter(given))} must be a text"):
        UploadDetails(**{"name": "a", "source_language": "en", **given})


@pytest.mark.parametrize(
    "notes", [7, {"details": "a"}, ["a"], [{"timeStamp": "0"}], [{"details": 1}], [{"details": "a", "x": "b"}]]
)
def test_notes_of_another_shape_are_refused(notes: Any) -> None:
    with pytest.raises(OllangConfigurationError, match="notes must be"):
        UploadDetails("a", "en", notes=notes)


def test_link_is_handed_over_as_json() -> None:
    request = upload_link(LINK, UploadDetails("Episode 1", "en", "folder_1"))
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == {
        "url": LINK,
        "originalname": "Episode 1.MP4",
        "size": 1,
        "sourceLanguage": "en",
        "folderId": "folder_1",
    }
    assert (request.path, request.paid) == ("/integration/upload/direct-url", True)
    assert request.headers() == {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "link", [None, 7, "", "a b", "ftp://host/a.mp4", "/data/canary.mp4", "https:///a", "http://[a"]
)
def test_what_is_no_link_is_refused_and_not_shown(link: Any) -> None:
    with pytest.raises(OllangConfigurationError, match="must be an http or https URL") as caught:
        upload_link(link, UploadDetails("a.mp4", "en"))
    assert "canary" not in str(caught.value)


def test_link_takes_no_notes_and_needs_an_extension() -> None:
    with pytest.raises(OllangConfigurationError, match="notes go with a file only"):
        upload_link(LINK, DETAILS)
    with pytest.raises(OllangConfigurationError, match="has no extension"):
        upload_link("https://host/canary", UploadDetails("a", "en"))


def test_link_is_shown_nowhere() -> None:
    request = upload_link(LINK, UploadDetails("a", "en"))
    assert "canary" not in repr(request)


@pytest.mark.parametrize("name", ["a", "canary.c4nary"])
def test_path_of_a_link_is_in_no_message(name: str) -> None:
    with pytest.raises(OllangConfigurationError) as caught:
        upload_link("https://host/d/canary.c4nary", UploadDetails(name, "en"))
    assert "The file of the link has a format that Ollang does not take" in str(caught.value)
    assert "c4nary" not in str(caught.value)
    assert upload_link("https://host/d/canary.mp4", UploadDetails("canary.mp4", "en")).what == "upload a file by a link"


@pytest.mark.parametrize("request_", [file_request(), upload_link(LINK, UploadDetails("a", "en", "folder_1"))])
def test_404_is_about_the_folder_or_the_endpoint(request_: Request) -> None:
    error = error_of(request_, response(404, {"error": "Not found"}))
    assert "Check that the folder exists, if there is one" in str(error)
    assert "project id" not in str(error)


def test_project_without_an_id_leaves_the_outcome_unknown() -> None:
    request = file_request()
    accepted = parse_accepted(SETTINGS, request, response(201, {"projectId": "p1"}))
    assert project_id_of(request, accepted) == "p1"
    accepted = parse_accepted(SETTINGS, request, response(201, {"projectId": None}))
    with pytest.raises(OllangOutcomeUnknownError, match="without telling the id"):
        project_id_of(request, accepted)


@pytest.mark.parametrize("body", [b"<html>413</html>", {"error": "Payload Too Large"}])
def test_too_large_file_says_the_limits(body: Any) -> None:
    error = error_of(file_request(), response(413, body))
    assert "larger than Ollang takes: 30 GB of video or audio, and 100 MB of anything else" in str(error)
