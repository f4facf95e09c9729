"""Faults of the wire, as they hit files."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests

from .client import Client, fetch, what_is_there

if TYPE_CHECKING:
    from airflow_provider_ollang.sandbox import Sandbox


def order_with(ollang: Sandbox, *files: dict[str, Any], **knobs: Any) -> str:
    return ollang.add_order(files=list(files), behaviour=knobs)


def link_of(client: Client, order_id: str, number: int = 0) -> str:
    return str(client.outputs(order_id)[number]["url"])


@pytest.fixture
def order_id(ollang: Sandbox) -> str:
    return order_with(ollang, {"name": "small.srt", "size": 5000})


@pytest.fixture
def link(client: Client, order_id: str) -> str:
    return link_of(client, order_id)


def asking(link: str) -> socket.socket:
    """Ask for a file over a bare socket."""
    parts = urlsplit(link)
    connection = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30)
    connection.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    return connection


def raw(link: str) -> bytes:
    """Ask for a file and return all that comes until the other end closes."""
    received = b""
    with asking(link) as connection:
        while piece := connection.recv(65536):
            received += piece
    return received


def test_cut_half_way_once(ollang: Sandbox, order_id: str, link: str) -> None:
    ollang.add_fault("GET", f"/files/{order_id}/*", drop="body")
    head, _, body = raw(link).partition(b"\r\n\r\n")
    whole = fetch(link).content
    assert b"Content-Length: 5000" in head
    assert body == whole[:2500]
    assert [entry.fault for entry in ollang.requests("GET", "/files/*")] == [1, None]


def test_cut_half_way_always(ollang: Sandbox, link: str) -> None:
    ollang.add_fault("GET", "/files/*", drop="body", times=None)
    for _ in range(3):
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            fetch(link)


@pytest.mark.parametrize("size", [5000, 20_000_000])
def test_cut_half_way__when_packed(ollang: Sandbox, client: Client, size: int) -> None:
    order_id = order_with(ollang, {"name": "a.mp4", "size": size}, gzipped=["*"])
    ollang.add_fault("GET", "/files/*", drop="body")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        fetch(link_of(client, order_id))


def test_a_part_is_cut_half_way_too(ollang: Sandbox, link: str) -> None:
    ollang.add_fault("GET", "/files/*", drop="body")
    with fetch(link, headers={"Range": "bytes=1000-1999"}, stream=True) as answer:
        assert (answer.status_code, answer.headers["Content-Length"]) == (206, "1000")
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            _ = answer.content


@pytest.mark.parametrize("drop", ["before", "after"])
def test_dropped_without_an_answer(ollang: Sandbox, link: str, drop: str) -> None:
    ollang.add_fault("GET", "/files/*", drop=drop)
    assert raw(link) == b""
    assert fetch(link).status_code == 200


def test_a_length_that_is_told_wrong(ollang: Sandbox, link: str) -> None:
    ollang.add_fault("GET", "/files/*", headers={"Content-Length": "1234"})
    answer = fetch(link)
    assert (answer.headers["Content-Length"], len(answer.content)) == ("1234", 1234)
    assert len(fetch(link).content) == 5000
    ollang.add_fault("GET", "/files/*", headers={"Content-Length": "9999"}, drop="body")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        fetch(link)


def test_slow(ollang: Sandbox, link: str) -> None:
    whole = fetch(link).content
    ollang.add_fault("GET", "/files/*", rate=1)
    with asking(link) as connection:
        received = b""
        while not received.endswith(b"\r\n\r\n" + whole[:1]):
            received += connection.recv(1)
        assert len(what_is_there(connection)) < 4999
    assert b"Content-Length: 5000" in received
    ollang.add_fault("GET", "/files/*", rate=1_000_000)
    assert fetch(link).content == whole


def test_something_else_in_place_of_the_file(ollang: Sandbox, link: str) -> None:
    ollang.add_fault("GET", "/files/*", generate="html")
    ollang.add_fault("GET", "/files/*", body="")
    ollang.add_fault("GET", "/files/*", status=503, body="<Error><Code>SlowDown</Code></Error>")
    ollang.add_fault("GET", "/files/*", redirect="http://127.0.0.1:9/elsewhere")
    answers = [fetch(link) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 503, 302, 200]
    assert answers[0].text.startswith("<html>")
    assert answers[0].headers["Content-Type"] == "text/html"
    assert (answers[1].content, answers[1].headers["Content-Length"]) == (b"", "0")
    assert len(answers[4].content) == 5000


def test_a_fault_of_one_document(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"name": "a.srt", "id": "doc_a"}, {"name": "b.srt", "id": "doc_b"})
    ollang.add_fault("GET", "/files/*/doc_b/*", status=500, times=None)
    assert [fetch(link_of(client, order_id, number)).status_code for number in (0, 1, 0)] == [200, 500, 200]
    assert client.get(order_id).status_code == 200


def test_a_client_that_leaves_in_the_middle_is_no_trouble(
    ollang: Sandbox, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    large = link_of(client, order_with(ollang, {"name": "large.mp4", "size": 1 << 30}))
    with asking(large) as connection:
        connection.recv(65536)
    assert fetch(large, headers={"Range": "bytes=0-9"}).status_code == 206
    ollang.stop()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
