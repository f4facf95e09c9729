"""Responses of file hosts that are wrong in ways that no library notices."""

from __future__ import annotations

import gzip
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from airflow_provider_ollang.domain.baseline import Baseline
from airflow_provider_ollang.domain.receipts import Receipt
from airflow_provider_ollang.exceptions import OllangPermanentError, OllangUnavailableError
from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.transfers._store import StagedFile
from tests.integration.transfers.conftest import Deliver
from tests.integration.transfers.places import Place
from tests.integration.transfers.stories import StateStore, execute

#: Status, headers, body; without a Content-Length the end of the connection ends the body.
Response = tuple[int, dict[str, str], bytes]
CONTENT = bytes(range(256)) * 400
SIGNATURE = "X-Signature=c4na7y"


@dataclass
class FileServer:
    """
    Gives these responses in turn; the last one again and again.

    :param paths: of the requests, with their Range.
    """

    responses: list[Response] = field(default_factory=list)
    paths: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def file_server() -> Iterator[FileServer]:
    script = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # Its own path has lost a slash (python/cpython#87389).
            script.paths.append((self.requestline.split(" ")[1], self.headers["Range"]))
            status, headers, body = script.responses.pop(0) if len(script.responses) > 1 else script.responses[0]
            self.send_response(status)
            for name, value in {"Content-Type": "video/mp4", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        script.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield script
        server.shutdown()
        thread.join()


Order = Callable[..., str]


@pytest.fixture
def order_of(ollang: Sandbox, file_server: FileServer) -> Order:
    def add(size: int | None, path: str = "/a.mp4") -> str:
        """Add an order with a document of this size; of unknown size, it is the file behind the vttUrl."""
        order_id = ollang.add_order(type="document", files=[{"id": "a", "name": "a.mp4", "size": size or 1}])
        url = file_server.url + path
        if size is None:
            ollang.change_order(order_id, orderDocs=[], vttUrl=url)
        else:
            documents = [{"id": "a", "name": "a.mp4", "type": "translation", "size": size, "url": url}]
            ollang.change_order(order_id, orderDocs=documents)
        return order_id

    return add


PACKED = gzip.compress(CONTENT)
GZIP = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_gzip_cut_short_is_fetched_again(
    order_of: Order, file_server: FileServer, deliver: Deliver, place: Place, size: int | None
) -> None:
    """By its trailer alone: the answer has no length, and the order need not tell the size."""
    order_id = order_of(size)
    file_server.responses = [(200, GZIP, PACKED[: len(PACKED) // 2]), (200, GZIP, PACKED[:-4]), (200, GZIP, PACKED)]
    run = deliver(place.url, order_id=order_id, on_size_mismatch="deliver")
    assert run.errors == {}
    assert list(place.files().values()) == [CONTENT]
    assert len(file_server.paths) == 3


def test_gzip_always_cut_short_is_never_delivered(
    order_of: Order, file_server: FileServer, deliver: Deliver, place: Place
) -> None:
    order_id = order_of(None)
    file_server.responses = [(200, GZIP, PACKED[:-4])]
    run = deliver(place.url, order_id=order_id)
    assert isinstance(run.errors["deliver"], OllangUnavailableError)
    assert place.files() == {}


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(CONTENT[:5000]) + gzip.compress(CONTENT[5000:]),
        gzip.compress(CONTENT) + b"\0" * 100,
    ],
    ids=["two members", "padded with zeros"],
)
def test_gzip_of_several_members_is_unpacked(
    order_of: Order, file_server: FileServer, deliver: Deliver, place: Place, body: bytes
) -> None:
    order_id = order_of(len(CONTENT))
    file_server.responses = [(200, {**GZIP, "Content-Length": str(len(body))}, body)]
    assert deliver(place.url, order_id=order_id).errors == {}
    assert list(place.files().values()) == [CONTENT]


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "iso-8859-1", "us-ascii"])
def test_content_encoding_that_is_a_charset_is_ignored(
    order_of: Order, file_server: FileServer, deliver: Deliver, place: Place, encoding: str
) -> None:
    order_id = order_of(len(CONTENT))
    length = str(len(CONTENT))
    file_server.responses = [(200, {"Content-Encoding": encoding, "Content-Length": length}, CONTENT)]
    assert deliver(place.url, order_id=order_id).errors == {}
    assert list(place.files().values()) == [CONTENT]


def test_rest_longer_than_its_range_is_fetched_again(
    order_of: Order, file_server: FileServer, deliver: Deliver, place: Place
) -> None:
    """The first response breaks off, the second says how long the rest is and sends more."""
    order_id = order_of(None)
    total = len(CONTENT)
    etag = {"ETag": '"one"'}
    file_server.responses = [
        (200, {**etag, "Content-Length": str(total)}, CONTENT[:1000]),
        (206, {**etag, "Content-Range": f"bytes 1000-{total - 1}/{total}"}, CONTENT[1000:] + b"more"),
        (200, {**etag, "Content-Length": str(total)}, CONTENT),
    ]
    assert deliver(place.url, order_id=order_id).errors == {}
    assert list(place.files().values()) == [CONTENT]
    assert [part for _, part in file_server.paths] == [None, "bytes=1000-", None]


def test_part_of_a_file_of_unknown_length_is_fetched_again(
    order_of: Order, file_server: FileServer, deliver: Deliver, place: Place
) -> None:
    """By its own length alone it could end anywhere (RFC 9110, 14.4)."""
    order_id = order_of(None)
    total = str(len(CONTENT))
    etag = {"ETag": '"one"'}
    file_server.responses = [
        (200, {**etag, "Content-Length": total}, CONTENT[:1000]),
        (206, {**etag, "Content-Range": "bytes 1000-1999/*", "Content-Length": "1000"}, CONTENT[1000:2000]),
        (200, {**etag, "Content-Length": total}, CONTENT),
    ]
    assert deliver(place.url, order_id=order_id).errors == {}
    assert list(place.files().values()) == [CONTENT]
    assert [part for _, part in file_server.paths] == [None, "bytes=1000-", None]


def test_log_of_a_malformed_header_shows_no_signature(
    order_of: Order, file_server: FileServer, deliver: Deliver, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """What follows the malformed line is no header to urllib3, which logs the URL and the rest."""
    order_id = order_of(len(CONTENT), f"/a.mp4?{SIGNATURE}")
    file_server.responses = [(200, {"no header": "x", "Link": f"<https://h/?{SIGNATURE}>"}, CONTENT)]
    with caplog.at_level(logging.DEBUG):
        assert deliver(place.url, order_id=order_id).errors == {}
    assert SIGNATURE not in caplog.text


def test_gzip_is_unpacked_no_further_than_its_order_says(
    order_of: Order, file_server: FileServer, deliver: Deliver, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = StagedFile.write

    def noted(self: StagedFile, piece: bytes) -> None:
        written.append(len(piece))
        write(self, piece)

    monkeypatch.setattr(StagedFile, "write", noted)
    order_id = order_of(100)
    file_server.responses = [(200, GZIP, gzip.compress(bytes(64 << 20)))]
    run = deliver(place.url, order_id=order_id)
    assert isinstance(run.errors["deliver"], OllangPermanentError)
    assert sum(written) < 2 << 20
    assert place.files() == {}


def test_size_of_the_packed_file_is_a_size_too(
    order_of: Order, file_server: FileServer, deliver: Deliver, place: Place
) -> None:
    """Some orders tell the size of what is stored, which is packed."""
    body = gzip.compress(bytes(4 << 20))
    order_id = order_of(len(body))
    file_server.responses = [(200, {**GZIP, "Content-Length": str(len(body))}, body)]
    assert deliver(place.url, order_id=order_id).errors == {}
    assert list(place.files().values()) == [bytes(4 << 20)]


def test_size_of_the_packed_file_is_a_size_without_its_length_too(
    order_of: Order, file_server: FileServer, deliver: Deliver, place: Place
) -> None:
    order_id = order_of(len(PACKED))
    file_server.responses = [(200, GZIP, PACKED)]
    assert deliver(place.url, order_id=order_id).errors == {}
    assert list(place.files().values()) == [CONTENT]


def test_url_path_that_begins_with_two_slashes_is_kept(
    order_of: Order, file_server: FileServer, deliver: Deliver, place: Place
) -> None:
    order_id = order_of(len(CONTENT), "//a.mp4?Signature=x")
    file_server.responses = [(200, {"Content-Length": str(len(CONTENT))}, CONTENT)]
    assert deliver(place.url, order_id=order_id).errors == {}
    assert file_server.paths == [("//a.mp4?Signature=x", None)]


def test_file_larger_than_its_order_says_is_not_delivered(
    order_of: Order, file_server: FileServer, deliver: Deliver, place: Place
) -> None:
    """No length is told, so that only the bytes show it."""
    order_id = order_of(1000)
    file_server.responses = [(200, {}, CONTENT)]
    run = deliver(place.url, order_id=order_id)
    assert isinstance(run.errors["deliver"], OllangPermanentError)
    assert len(file_server.paths) == 2
    assert place.files() == {}


def test_empty_document_that_order_and_host_agree_on_is_delivered(
    order_of: Order, file_server: FileServer, deliver: Deliver, place: Place
) -> None:
    order_id = order_of(0)
    file_server.responses = [(200, {"Content-Length": "0"}, b"")]
    run = deliver(place.url, order_id=order_id)
    assert run.errors == {}
    assert place.files() == {f"{order_id}/a.mp4": b""}
    assert run.results["deliver"]["files"][0]["bytes"] == 0


def test_file_of_an_older_rerun_does_not_count_as_on_record(
    ollang: Sandbox, order_of: Order, file_server: FileServer, place: Place
) -> None:
    """
    The first try delivers what one rerun has made, and the next one what a later rerun has.

    Between the tries the upstream task ran again. The document has no times, and is again as large as it was.
    """
    order_id = order_of(7)

    def receipt(requested_at: str, size: int) -> dict[str, Any]:
        before = Baseline.from_order({**ollang.order(order_id), "orderDocs": [document(size)]})
        rerun = Receipt(ollang.url, None, requested_at, False, order_id, True, "completed", before)
        return rerun.to_json()

    def document(size: int) -> dict[str, Any]:
        url = f"{file_server.url}/a.mp4"
        return {"id": "a", "name": "a.mp4", "type": "translation", "size": size, "url": url}

    state = StateStore()
    for requested_at, size, content in (
        ("2024-03-01T12:00:00Z", 5, b"first  "),
        ("2024-03-01T13:00:00Z", 6, b"second "),
    ):
        file_server.responses = [(200, {"Content-Length": "7"}, content)]
        rerun = receipt(requested_at, size)
        manifest = execute(ollang, state, rerun=rerun, destination=place.url)
        assert [file["is_new"] for file in manifest["files"]] == [True]
        assert list(place.files().values()) == [content]
