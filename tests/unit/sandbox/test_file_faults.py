"""Faults as they hit files."""

from __future__ import annotations

import logging
import socket
from urllib.parse import urlsplit

import pytest
import requests

from airflow_provider_ollang.sandbox import Sandbox

from .client import Client, fetch, file_link, read_all


@pytest.fixture
def link(ollang: Sandbox, client: Client) -> str:
    return file_link(client, ollang.add_order(id="film", files=[{"name": "small.srt", "size": 5000}]))


def asking(link: str) -> socket.socket:
    """Ask for a file over a bare socket."""
    parts = urlsplit(link)
    connection = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30)
    connection.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    return connection


def test_drop_body_cuts_the_file_half_way_once(ollang: Sandbox, link: str) -> None:
    ollang.add_fault("GET", "/files/film/*", drop="body")
    head, _, body = read_all(asking(link)).partition(b"\r\n\r\n")
    assert b"Content-Length: 5000" in head
    assert body == fetch(link).content[:2500]
    assert [request.fault for request in ollang.requests("GET", "/files/*")] == [1, None]


@pytest.mark.parametrize("size", [5000, 20_000_000])
def test_drop_body_cuts_a_compressed_file(ollang: Sandbox, client: Client, size: int) -> None:
    order_id = ollang.add_order(files=[{"name": "a.mp4", "size": size}], behaviour={"gzipped": ["*"]})
    ollang.add_fault("GET", "/files/*", drop="body", times=None)
    for _ in range(2):
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            fetch(file_link(client, order_id))


def test_drop_body_cuts_a_range(ollang: Sandbox, link: str) -> None:
    ollang.add_fault("GET", "/files/*", drop="body")
    with fetch(link, headers={"Range": "bytes=1000-1999"}, stream=True) as response:
        assert (response.status_code, response.headers["Content-Length"]) == (206, "1000")
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            _ = response.content


def test_content_length_can_be_wrong(ollang: Sandbox, link: str) -> None:
    ollang.add_fault("GET", "/files/*", headers={"Content-Length": "1234"})
    response = fetch(link)
    assert (response.headers["Content-Length"], len(response.content)) == ("1234", 1234)
    assert len(fetch(link).content) == 5000
    ollang.add_fault("GET", "/files/*", headers={"Content-Length": "9999"}, drop="body")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        fetch(link)


def test_fault_hits_one_document(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(files=[{"name": "a.srt", "id": "doc_a"}, {"name": "b.srt", "id": "doc_b"}])
    ollang.add_fault("GET", "/files/*/doc_b/*", status=500, times=None)
    assert [fetch(file_link(client, order_id, number)).status_code for number in (0, 1, 0)] == [200, 500, 200]
    assert client.get(order_id).status_code == 200


def test_client_that_leaves_half_way_is_no_error(
    ollang: Sandbox, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    large = file_link(client, ollang.add_order(files=[{"name": "large.mp4", "size": 1 << 30}]))
    with asking(large) as connection:
        connection.recv(65536)
    assert fetch(large, headers={"Range": "bytes=0-9"}).status_code == 206
    ollang.stop()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
