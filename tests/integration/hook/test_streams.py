"""A body that is read while it is sent: of known length, in pieces, and never chunked."""

from __future__ import annotations

import dataclasses
import io
import threading
from collections.abc import Callable
from typing import IO

import pytest

from airflow_provider_ollang.client.requests import Request, Stream
from airflow_provider_ollang.client.sync import InterruptedBeforeSending
from airflow_provider_ollang.exceptions import (
    OllangBadRequestError,
    OllangOutcomeUnknownError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook

from .conftest import KEY, Clock, Connect, status_of, submit
from .servers import IN_TIME, LONG, Peer, RawServer, Stopwatch, closed_port, header, http, says

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
def test_stream_of_another_length_is_never_sent_to_its_end(connect: Connect, off_by: int) -> None:
    source = Source()
    with RawServer(says(ACCEPTED)) as server, pytest.raises(OllangUnavailableError, match="not of") as caught:
        connect(server.url).client.submit(upload(source, len(CONTENT) + off_by))
    assert (caught.value.__cause__, status_of(caught.value), server.requests) == (None, None, [])
    assert [file.closed for file in source.files] == [True]


def large(before_last: Callable[[], None] = lambda: None) -> Request:
    """An upload that no buffer of a socket takes whole."""
    size = 24 << 20
    stream = Stream(lambda: io.BytesIO(bytes(size)), size, MEDIA_TYPE, before_last)
    return Request("POST", "/integration/upload/vtt", "upload a file", body=stream, paid=True)


def early(answer: bytes, *, reads: int = 0) -> Callable[[Peer], bool]:
    """Answer when some of a request has come, and close; what is still on its way meets a reset."""

    def greet(peer: Peer) -> bool:
        data = peer.sock.recv(65536)
        while len(data) < reads:
            data += peer.sock.recv(65536)
        if answer:
            peer.send(answer)
        return True

    return greet


def never(peer: Peer, request: bytes) -> None:
    raise AssertionError("the whole request came")


@pytest.mark.parametrize("reads", [0, 1 << 20])
def test_early_413_is_the_error_and_no_broken_pipe(connect: Connect, reads: int) -> None:
    answer = http("413 Payload Too Large", b'{"error": "Payload Too Large"}', "Connection: close")
    with RawServer(never, early(answer, reads=reads)) as server, pytest.raises(OllangBadRequestError) as caught:
        submit(connect(server.url), large())
    assert (status_of(caught.value), server.connections) == (413, 1)
    assert "larger than Ollang takes" in str(caught.value)


@pytest.mark.parametrize(
    ("stalls_midway", "words"), [(False, "the connection broke"), (True, "the server took no more of it within 1 s")]
)
def test_body_that_breaks_midway_had_a_connection(connect: Connect, stalls_midway: bool, words: str) -> None:
    has_failed = threading.Event()

    def greet(peer: Peer) -> bool:
        early(b"", reads=1 << 20)(peer)
        return not stalls_midway or has_failed.wait(LONG)

    with RawServer(never, greet) as server:
        with pytest.raises(OllangUnavailableError) as caught:
            connect(server.url, timeout=1).client.submit(large())
        has_failed.set()
    assert words in str(caught.value)
    assert "no connection" not in str(caught.value)


@pytest.mark.parametrize("answer", [b"", http("502 Bad Gateway", b"{}"), http("408 Request Timeout")])
def test_upload_that_breaks_before_its_last_byte_is_sent_again(connect: Connect, clock: Clock, answer: bytes) -> None:
    breaks = iter([early(answer, reads=1 << 20)])
    sent: list[str] = []

    def greet(peer: Peer) -> bool:
        return next(breaks, lambda _: False)(peer)

    with RawServer(says(ACCEPTED), greet) as server:
        accepted = submit(connect(server.url), large(lambda: sent.append("last")))
    assert accepted.value == {"projectId": "p1"}
    assert (server.connections, len(clock.sleeps), len(server.requests), sent) == (2, 1, 1, ["last"])


def test_lost_answer_to_a_whole_upload_leaves_the_outcome_unknown(connect: Connect, clock: Clock) -> None:
    with RawServer(lambda peer, _: peer.reset()) as server, pytest.raises(OllangOutcomeUnknownError):
        submit(connect(server.url), large())
    assert (server.connections, clock.sleeps) == (1, [])


def test_what_is_raised_before_the_last_piece_keeps_it_back(connect: Connect) -> None:
    def fail() -> None:
        raise RuntimeError("no intent")

    with RawServer(says(ACCEPTED)) as server:
        with pytest.raises(InterruptedBeforeSending) as caught:
            connect(server.url).client.submit(large(fail))
        assert isinstance(caught.value.__cause__, RuntimeError)
    assert server.requests == []


def test_upload_has_long_for_its_response_and_not_for_its_connection(connect: Connect) -> None:
    request = dataclasses.replace(large(), response_timeout=30.0)

    def script(peer: Peer, _: bytes) -> None:
        peer.drip(ACCEPTED, 0.02)

    with RawServer(script) as server:
        assert connect(server.url, timeout=1).client.submit(request).value == {"projectId": "p1"}


def test_stalled_upload_ends_within_the_time_of_a_request(connect: Connect) -> None:
    def greet(peer: Peer) -> bool:
        peer.sock.recv(1)
        done.wait(LONG)
        return True

    done = threading.Event()
    request = dataclasses.replace(large(), response_timeout=LONG)
    with RawServer(never, greet) as server, Stopwatch() as watch:
        with pytest.raises(OllangUnavailableError, match="within 1 s"):
            connect(server.url, timeout=1).client.submit(request)
        done.set()
    assert watch.seconds < IN_TIME


def test_stream_is_not_opened_without_a_connection(connect: Connect) -> None:
    source = Source()
    hook: OllangHook = connect(f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(OllangUnavailableError):
        hook.client.submit(upload(source))
    assert source.opened == 0
