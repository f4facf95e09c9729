"""Uploads: what is taken, what is refused, and that the bytes are counted and not kept."""

from __future__ import annotations

import hashlib
import json
import socket
import time
import tracemalloc
from typing import Any

import pytest
import requests

from airflow_provider_ollang.sandbox import Sandbox

from .client import Client, body_of, read_all, refused

LINK = {"url": "https://files.example.com/a.mp4?sig=1", "originalname": "a.mp4", "size": 5, "sourceLanguage": "en"}


def counts(ollang: Sandbox) -> tuple[int, int]:
    """Return how many uploads were accepted and refused."""
    return ollang.counts()["uploads_accepted"], ollang.counts()["uploads_refused"]


def newest(ollang: Sandbox) -> dict[str, Any]:
    return ollang.projects()[-1]


def link(client: Client, **fields: Any) -> requests.Response:
    return client.ask("POST", "/integration/upload/direct-url", json={**LINK, **fields})


def test_upload_makes_a_project_of_the_right_bytes(ollang: Sandbox, client: Client) -> None:
    content = bytes(range(256)) * 1000 + b"\r\n--not-the-boundary\r\n"
    notes = json.dumps([{"details": "Keep names", "timeStamp": "00:01:23"}, {"details": "And places"}])
    answer = client.upload(("Ünser Film.MP4", content), notes=notes, folderId="folder_abc123")
    project_id = body_of(answer, 201)["projectId"]
    report = newest(ollang)
    assert answer.json() == {"projectId": project_id} == {"projectId": report["id"]}
    assert (report["bytes"], report["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert (report["filename"], report["sourceLanguage"], report["folderId"]) == (
        "Ünser Film.MP4",
        "en",
        "folder_abc123",
    )
    asked = {"name": "My film", "sourceLanguage": "en", "notes": notes, "folderId": "folder_abc123"}
    assert report["asked"] == asked
    assert body_of(client.admin("GET", "/projects")) == {"projects": ollang.projects(), "counts": ollang.counts()}
    assert counts(ollang) == (1, 0)


def test_folder_is_api_uploads_by_default(ollang: Sandbox, client: Client) -> None:
    body_of(client.upload(), 201)
    folders = {row["id"]: row["name"] for row in client.ask("GET", "/integration/folder").json()["data"]}
    assert folders[newest(ollang)["folderId"]] == "API Uploads"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"file": None}, "file is required"),
        ({"name": None}, "name should not be empty"),
        ({"name": " "}, "name should not be empty"),
        ({"sourceLanguage": None}, "sourceLanguage must be"),
        ({"sourceLanguage": "EN"}, "sourceLanguage must be"),
        ({"sourceLanguage": "english"}, "sourceLanguage must be"),
        ({"file": ("film", b"x")}, "no extension"),
        ({"file": ("film.exe", b"x")}, "Unsupported file format: exe"),
        ({"notes": "Keep names"}, "notes must be"),
        ({"notes": '[{"timeStamp": "00:01"}]'}, "notes must be"),
        ({"folderId": "nowhere"}, "folderId must be"),
    ],
)
def test_wrong_forms_are_refused(ollang: Sandbox, client: Client, fields: dict[str, Any], message: str) -> None:
    answer = client.upload(**fields)
    assert (answer.status_code, message in answer.json()["message"]) == (400, True), answer.text
    assert counts(ollang) == (0, 1)


def test_empty_file_is_taken(ollang: Sandbox, client: Client) -> None:
    body_of(client.upload(("empty.txt", b"")), 201)
    assert newest(ollang)["bytes"] == 0


@pytest.mark.parametrize("path", ["direct", "direct-url"])
def test_upload_needs_the_key(ollang: Sandbox, client: Client, path: str) -> None:
    client.session.headers["X-Api-Key"] = "wrong"
    refused(client.ask("POST", f"/integration/upload/{path}", data=b"x" * 1000), 401, "UNAUTHORIZED")
    assert counts(ollang) == (0, 0)


@pytest.mark.parametrize("path", ["upload/direct", "upload/direct-url"])
def test_chunked_bodies_are_refused(ollang: Sandbox, client: Client, path: str) -> None:
    answer = client.ask("POST", f"/integration/{path}", data=iter([b"{}"]))
    assert (answer.status_code, answer.json()["error"]) == (500, "UnknownError")
    assert answer.json()["detail"].startswith("The first argument must be of type string")
    assert counts(ollang) == (0, 0)


FIELDS = "".join(
    f'--xx\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
    for name, value in (("name", "Raw"), ("sourceLanguage", "en"))
)
#: A form up to the bytes of its file, and what is behind them.
FORM = f'{FIELDS}--xx\r\nContent-Disposition: form-data; name="file"; filename="raw.mp4"\r\n\r\n'.encode()
END = b"\r\n--xx--\r\n"


def raw_upload(ollang: Sandbox, content: bytes, length: int | None = None) -> socket.socket:
    """Send a form's beginning, announced to have a length; by default it ends there."""
    connection = socket.create_connection(("127.0.0.1", ollang.port), timeout=60)
    head = (
        f"POST /integration/upload/direct HTTP/1.1\r\nHost: x\r\nX-Api-Key: {ollang.api_key}\r\nConnection: close\r\n"
        "Content-Type: multipart/form-data; boundary=xx\r\n"
        f"Content-Length: {len(FORM + content) if length is None else length}\r\n\r\n"
    )
    connection.sendall(head.encode() + FORM + content)
    return connection


@pytest.mark.parametrize("content", [b"half", b"half\r\n", b"half\r\n--x", b"half\r\n--xx\r\n"])
def test_form_without_an_end_is_refused(ollang: Sandbox, content: bytes) -> None:
    answer = read_all(raw_upload(ollang, content))
    assert answer.startswith(b"HTTP/1.1 400"), answer
    assert b'"detail":"Unexpected end of form"' in answer
    assert counts(ollang) == (0, 0)


def test_broken_connection_leaves_no_project(ollang: Sandbox) -> None:
    before = ollang.projects()
    connection = raw_upload(ollang, b"half a film", 100_000)
    connection.shutdown(socket.SHUT_WR)
    read_all(connection)
    assert (ollang.projects(), counts(ollang)) == (before, (0, 0))


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data"])
def test_body_that_is_no_form_is_refused(ollang: Sandbox, client: Client, kind: str) -> None:
    answer = client.ask("POST", "/integration/upload/direct", data=b"{}", headers={"Content-Type": kind})
    assert (answer.status_code, counts(ollang)) == (400, (0, 0))


def test_field_that_is_too_long_is_refused(ollang: Sandbox, client: Client) -> None:
    assert client.upload(notes="x" * 65_537).json()["detail"] == "Field value too long"
    assert counts(ollang) == (0, 0)


def test_file_is_never_held_in_memory(ollang: Sandbox) -> None:
    zeros = bytes(1_000_000)
    connection = raw_upload(ollang, b"", len(FORM) + 40 * len(zeros) + len(END))
    tracemalloc.start()
    for _ in range(40):
        connection.sendall(zeros)
    connection.sendall(END)
    answer = read_all(connection)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (answer[9:12], newest(ollang)["bytes"], peak < 4_000_000) == (b"201", 40_000_000, True), peak


def test_delayed_upload_is_still_read(ollang: Sandbox, client: Client) -> None:
    ollang.add_fault("POST", "*/upload/direct", delay=0.05)
    ollang.add_fault("POST", "*/upload/direct", delay=0.05, processed=True)
    for _ in range(2):
        body_of(client.upload(("film.mp4", b"f" * 100_000)), 201)
    assert newest(ollang)["bytes"] == 100_000


# A link in place of a file


def test_link_makes_a_project(ollang: Sandbox, client: Client) -> None:
    body_of(link(client, folderId="folder_abc123"), 201)
    report = newest(ollang)
    assert (report["name"], report["bytes"], report["sha256"], report["url"]) == ("a.mp4", 5, None, LINK["url"])


@pytest.mark.parametrize(
    ("field", "value"),
    [("url", "ftp://x"), ("url", None), ("originalname", None), ("originalname", "a"), ("size", "5"), ("size", -1)],
)
def test_wrong_links_are_refused(ollang: Sandbox, client: Client, field: str, value: object) -> None:
    assert (link(client, **{field: value}).status_code, counts(ollang)) == (400, (0, 1))


# The options


def test_max_upload_bytes(ollang: Sandbox, client: Client) -> None:
    ollang.change_behaviour({"max_upload_bytes": 10})
    body_of(client.upload(("film.mp4", b"f" * 10)), 201)
    refused(client.upload(("film.mp4", b"f" * 11)), 413, "PAYLOAD_TOO_LARGE")
    refused(link(client, size=11), 413, "PAYLOAD_TOO_LARGE")
    assert counts(ollang) == (1, 2)


@pytest.mark.parametrize(("name", "largest"), [("a.docx", 100_000_000), ("a.mp4", 30_000_000_000)])
def test_max_upload_bytes__as_documented(client: Client, name: str, largest: int) -> None:
    assert [link(client, originalname=name, size=size).status_code for size in (largest, largest + 1)] == [201, 413]


def test_upload_formats(ollang: Sandbox, client: Client) -> None:
    ollang.change_behaviour({"upload_formats": ["exe"]})
    assert [client.upload((name, b"x")).status_code for name in ("a.EXE", "a.mp4")] == [201, 400]


def test_upload_refused_early(ollang: Sandbox) -> None:
    ollang.change_behaviour({"max_upload_bytes": 10, "upload_refused_early": True})
    connection = raw_upload(ollang, b"f", 10_000_000)
    assert connection.recv(12) == b"HTTP/1.1 413"
    connection.close()


@pytest.mark.parametrize("is_counted", [True, False])
def test_upload_answer_after(ollang: Sandbox, client: Client, is_counted: bool) -> None:
    ollang.change_behaviour({"upload_answer_after": 0.3 if is_counted else 0.0})
    start = time.monotonic()
    body_of(client.upload(), 201)
    assert (time.monotonic() - start >= 0.3, counts(ollang)) == (is_counted, (1, 0))


def test_processed_twice__of_an_upload(ollang: Sandbox, client: Client) -> None:
    ollang.change_behaviour({"processed_twice": True})
    first = body_of(client.upload(), 201)["projectId"]
    made = [project["id"] for project in ollang.projects()[-2:]]
    assert (made[0], counts(ollang)) == (first, (2, 0))
