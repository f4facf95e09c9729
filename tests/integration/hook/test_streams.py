"""A body that is read while it is sent: of known length, in pieces, and never chunked."""

from __future__ import annotations

import io
from typing import IO

import pytest

from airflow_provider_ollang.client.requests import Request, Stream
from airflow_provider_ollang.exceptions import OllangOutcomeUnknownError, OllangUnavailableError
from airflow_provider_ollang.hooks.ollang import OllangHook

from .conftest import KEY, Clock, Connect, submit
from .servers import Peer, RawServer, closed_port, header, http, says

CONTENT = bytes(range(256)) * 1000
MEDIA_TYPE = "multipart/form-data; boundary=abc"
ACCEPTED = http("201 Created", b'{"projectId": "p1"}')


class Source:
    """A file that is opened for each attempt, and notes how much is read at a time."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.opened = 0
        self.files: list[IO[bytes]] = []
        self.most_read = 0

    def open(self) -> IO[bytes]:
        source = self

        class File(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                piece = super().read(size)
                source.most_read = max(source.most_read, len(piece))
                return piece

        self.opened += 1
        self.files.append(File(self.content))
        return self.files[-1]


def upload(source: Source, length: int | None = None) -> Request:
    stream = Stream(source.open, len(source.content) if length is None else length, MEDIA_TYPE)
    return Request("POST", "/integration/upload/vtt", "upload a file", body=stream, paid=True)


def test_stream_is_sent_whole_with_its_length(connect: Connect) -> None:
    source = Source()
    with RawServer(says(ACCEPTED)) as server:
        accepted = connect(server.url).client.submit(upload(source))
    assert accepted.value == {"projectId": "p1"}
    (request,) = server.requests
    assert header(request, "Content-Length") == str(len(CONTENT))
    assert header(request, "Content-Type") == MEDIA_TYPE
    assert header(request, "Transfer-Encoding") is None
    assert header(request, "X-Api-Key") == KEY
    assert request.partition(b"\r\n\r\n")[2] == CONTENT


def test_stream_is_read_in_pieces_and_closed(connect: Connect) -> None:
    source = Source()
    with RawServer(says(ACCEPTED)) as server:
        connect(server.url).client.submit(upload(source))
    assert source.most_read <= 64 * 1024
    assert [file.closed for file in source.files] == [True]


def test_empty_stream_has_a_length_too(connect: Connect) -> None:
    with RawServer(says(ACCEPTED)) as server:
        connect(server.url).client.submit(upload(Source(b"")))
    (request,) = server.requests
    assert header(request, "Content-Length") == "0"
    assert header(request, "Transfer-Encoding") is None


def test_stream_is_opened_again_for_another_attempt(connect: Connect, clock: Clock) -> None:
    source = Source()
    responses = iter([http("429 Slow"), ACCEPTED])

    def script(peer: Peer, request: bytes) -> None:
        peer.send(next(responses))

    with RawServer(script) as server:
        submit(connect(server.url), upload(source))
    assert [request.partition(b"\r\n\r\n")[2] for request in server.requests] == [CONTENT] * 2
    assert (source.opened, len(clock.sleeps)) == (2, 1)


@pytest.mark.parametrize("off_by", [-1, 1], ids=["longer", "shorter"])
def test_stream_of_another_length_leaves_the_outcome_unknown(connect: Connect, off_by: int) -> None:
    """Too short a request cannot be processed, but of one that was too long the server has all it was promised."""
    source = Source()
    with RawServer(says(ACCEPTED)) as server, pytest.raises(OllangOutcomeUnknownError, match="not of") as caught:
        connect(server.url).client.submit(upload(source, len(CONTENT) + off_by))
    assert caught.value.__cause__ is None
    assert [file.closed for file in source.files] == [True]


def test_stream_is_not_opened_without_a_connection(connect: Connect) -> None:
    source = Source()
    hook: OllangHook = connect(f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(OllangUnavailableError):
        hook.client.submit(upload(source))
    assert source.opened == 0
