"""The files behind the links: their bytes, ranges of them, and the options that make them odd."""

from __future__ import annotations

import gzip
import hashlib
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_ollang.sandbox import Sandbox, SandboxError
from airflow_provider_ollang.sandbox.files import Content

from .client import EXAMPLE_ID, Client, accepted, body_of, fetch, file_link

HUGE = 6_000_000_000


def order_with(ollang: Sandbox, *files: dict[str, Any], **options: Any) -> str:
    return ollang.add_order(files=list(files), behaviour=options)


@pytest.fixture
def order_id(ollang: Sandbox) -> str:
    return order_with(ollang, {"name": "small.srt", "size": 5000})


@pytest.fixture
def link(client: Client, order_id: str) -> str:
    return file_link(client, order_id)


# Their bytes


@pytest.mark.parametrize(
    ("name", "size"),
    [("a", 0), ("a.vtt", 7), ("a.srt", 100), ("a.mp4", 1_048_573), ("a.vtt", 1_048_574), ("a.srt", 3_000_000)],
)
def test_file_has_the_size_of_its_document(ollang: Sandbox, client: Client, name: str, size: int) -> None:
    order_id = order_with(ollang, {"name": name, "size": size})
    (document,) = client.outputs(order_id)
    response = fetch(document["url"])
    assert (document["size"], len(response.content), response.headers["Content-Length"]) == (size, size, str(size))
    content = ollang.content(order_id, document["id"])
    assert response.content == content.read()
    sha256 = hashlib.sha256(response.content).hexdigest()
    shown = body_of(client.admin("GET", f"/orders/{order_id}/files/{document['id']}"))
    assert shown == {
        "name": content.name,
        "size": size,
        "type": response.headers["Content-Type"],
        "sha256": sha256,
    }
    assert content.sha256() == sha256


def test_subtitles_are_text(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(type="subtitle")
    srt, vtt = fetch(file_link(client, order_id)).text, fetch(client.order(order_id)["vttUrl"]).text
    cue = r"00:00:00{0}000 --> 00:00:00{0}800\nLine 1 of \w+\n\n"
    assert re.match("1\n" + cue.format(","), srt)
    assert re.match("WEBVTT\n\n1\n" + cue.format(r"\."), vtt)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.srt", "application/x-subrip"),
        ("a.VTT", "text/vtt"),
        ("a.mp4", "video/mp4"),
        ("a.wav", "audio/wav"),
        ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.zip", "application/zip"),
        ("a.xyz", "binary/octet-stream"),
        ("a", "binary/octet-stream"),
    ],
)
def test_content_type(name: str, kind: str) -> None:
    assert Content("key", name, 10).media_type == kind


def test_bytes_depend_on_document_and_run_alone(ollang: Sandbox, client: Client) -> None:
    first = order_with(ollang, {"name": "a.mp4", "size": 900, "id": "doc_a"}, {"name": "b.mp4", "size": 900})
    with Sandbox(speed=0) as another:
        again = another.add_order(id="other", files=[{"name": "a.mp4", "size": 900, "id": "doc_a"}])
        assert another.content(again, "doc_a").read() == ollang.content(first, "doc_a").read()
    contents = [fetch(file_link(client, first, number)).content for number in (0, 1)]
    accepted(client.rerun(first))
    ollang.advance(32)
    contents += [fetch(file_link(client, first, number)).content for number in (0, 1)]
    assert len(set(contents)) == 4


@pytest.mark.parametrize("outputs", ["replaced", "in_place", "added", "unchanged"])
def test_files_after_a_rerun(ollang: Sandbox, client: Client, outputs: str) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour={"outputs": outputs})
    before = [file_link(client, order_id), client.order(order_id)["vttUrl"]]
    old = [fetch(link) for link in before]
    accepted(client.rerun(order_id))
    ollang.advance(32)
    after = [file_link(client, order_id, -1), client.order(order_id)["vttUrl"]]
    new = [fetch(link) for link in after]
    for index in (0, 1):
        assert (new[index].content[:100] == old[index].content[:100]) is (outputs == "unchanged")
        assert (new[index].headers["ETag"] == old[index].headers["ETag"]) is (outputs == "unchanged")
        assert (after[index] == before[index]) is (outputs in ("in_place", "unchanged"))
        if outputs in ("replaced", "added"):
            assert fetch(before[index]).content == old[index].content, "the old link leads to the old file"


def test_etag_and_last_modified(ollang: Sandbox, client: Client, order_id: str, link: str) -> None:
    first, again = fetch(link), fetch(link)
    assert first.headers["ETag"] == again.headers["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', first.headers["ETag"])
    date, time = ollang.http_date(after=-24 * 3600), client.outputs(order_id)[0]["updatedAt"]
    modified = first.headers["Last-Modified"]
    assert (modified[5:16], modified[17:25]) == (date[5:16], time[11:19])
    other = fetch(file_link(client, order_with(ollang, {"name": "small.srt", "size": 5001})))
    assert other.headers["ETag"] != first.headers["ETag"]


def test_huge_file_needs_no_memory(ollang: Sandbox, client: Client) -> None:
    body = {"order": {"type": "studioDubbing"}, "files": [{"name": "film.mp4", "size": HUGE}]}
    body_of(client.admin("PUT", "/orders/big", body))
    (document,) = client.outputs("big")
    assert (document["name"], document["size"]) == ("film.mp4", HUGE)
    content = ollang.content("big", document["id"])
    assert content.size == HUGE
    with fetch(document["url"], stream=True) as response:
        assert response.headers["Content-Length"] == str(HUGE)
        assert response.raw.read(5_000_000) == b"".join(content.pieces(0, 5_000_000))
    end = fetch(document["url"], headers={"Range": f"bytes={HUGE - 3_000_000}-"})
    assert end.content == b"".join(content.pieces(HUGE - 3_000_000))
    assert max(len(piece) for piece in content.pieces(0, 10_000_000)) <= 1_048_576


def test_pieces_fit_wherever_they_are_cut() -> None:
    content = Content("key", "a.mp4", 3_000_000)
    complete = content.read()
    for start, stop in ((0, 1), (1_048_572, 1_048_574), (5, 2_500_000), (2_999_999, 9_000_000), (3_000_000, None)):
        assert b"".join(content.pieces(start, stop)) == complete[start:stop]
    for size in (4096, 65536, 1 << 20):
        assert complete[:size] != complete[size : 2 * size], "a piece in a wrong place is noticed"


# Ranges


@pytest.mark.parametrize(
    ("requested", "start", "stop"),
    [
        ("bytes=100-199", 100, 200),
        ("bytes=4000-", 4000, 5000),
        ("bytes=4999-99999", 4999, 5000),
        ("bytes=-99999", 0, 5000),
    ],
)
def test_range(link: str, requested: str, start: int, stop: int) -> None:
    complete = fetch(link)
    assert (complete.status_code, complete.headers["Accept-Ranges"]) == (200, "bytes")
    part = fetch(link, headers={"Range": requested})
    assert (part.status_code, part.content) == (206, complete.content[start:stop])
    assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/5000"
    assert (part.headers["Content-Length"], part.headers["ETag"]) == (str(stop - start), complete.headers["ETag"])


@pytest.mark.parametrize("requested", ["bytes=5000-", "bytes=-0"])
def test_range__beyond_the_end(link: str, requested: str) -> None:
    response = fetch(link, headers={"Range": requested})
    assert (response.status_code, response.headers["Content-Range"]) == (416, "bytes */5000")
    assert "<Code>InvalidRange</Code>" in response.text


@pytest.mark.parametrize("requested", ["bytes=5-2", "items=0-1", "bytes=-", "bytes=0-1,3-4"])
def test_range__that_makes_no_sense(link: str, requested: str) -> None:
    response = fetch(link, headers={"Range": requested})
    assert (response.status_code, len(response.content)) == (200, 5000)


def test_range__of_another_version(link: str) -> None:
    etag = fetch(link).headers["ETag"]
    responses = [fetch(link, headers={"Range": "bytes=1-2", "If-Range": value}) for value in (etag, '"another"')]
    assert [response.status_code for response in responses] == [206, 200]


@pytest.mark.parametrize(("globs", "status"), [([], 206), (["*"], 200), (["*.srt"], 200), (["x*"], 206)])
def test_no_ranges(ollang: Sandbox, client: Client, globs: list[str], status: int) -> None:
    order_id = order_with(ollang, {"name": "small.srt", "size": 5000}, no_ranges=globs)
    response = fetch(file_link(client, order_id), headers={"Range": "bytes=10-19"})
    assert (response.status_code, len(response.content)) == (status, 10 if status == 206 else 5000)
    assert ("Accept-Ranges" in response.headers) is (status == 206)


def test_no_ranges__of_the_vtt(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour={"no_ranges": ["vttUrl"]})
    links = (client.order(order_id)["vttUrl"], file_link(client, order_id))
    assert [fetch(link, headers={"Range": "bytes=0-0"}).status_code for link in links] == [200, 206]


# What can be odd


def test_wrong_sizes(ollang: Sandbox, client: Client) -> None:
    files = [{"name": name, "size": 100} for name in ("a.srt", "b.srt", "c.srt")]
    order_id = order_with(ollang, *files, wrong_sizes=[["a.*", 5], ["b.srt", -100]])
    documents = client.outputs(order_id)
    assert [document["size"] for document in documents] == [105, 0, 100]
    assert [len(fetch(document["url"]).content) for document in documents] == [100, 100, 100]
    ollang.change_order(order_id, behaviour={"wrong_sizes": []})
    assert [document["size"] for document in client.outputs(order_id)] == [100, 100, 100]


@pytest.mark.parametrize(("size", "has_length"), [(5000, True), (20_000_000, False)])
def test_gzipped(ollang: Sandbox, client: Client, size: int, has_length: bool) -> None:
    files = [{"name": name, "size": size} for name in ("a.srt", "b.srt")]
    order_id = order_with(ollang, *files, gzipped=["a.srt"])
    first, second = client.outputs(order_id)
    packed = fetch(first["url"], stream=True)
    raw = packed.raw.read(decode_content=False)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers.get("Content-Length") == (str(len(raw)) if has_length else None)
    assert gzip.decompress(raw) == ollang.content(order_id, first["id"]).read()
    assert len(raw) < size
    with fetch(second["url"], stream=True) as plain:
        assert "Content-Encoding" not in plain.headers


ODD_NAMES = ["../../etc/passwd", "/abs.srt", "Épisode — 第一話.srt", "no extension", "a\nb.srt", "CON", "x" * 300, ".."]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_file_of_any_name(ollang: Sandbox, client: Client, name: str) -> None:
    order_id = order_with(ollang, {"name": name, "size": 50})
    (document,) = client.outputs(order_id)
    assert document["name"] == name
    assert fetch(document["url"]).content == ollang.content(order_id, document["id"]).read()
    path = urlsplit(document["url"]).path
    assert (path.isascii(), ".." in path) == (True, False)


def test_two_files_of_one_name(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"name": "same.srt", "size": 50}, {"name": "same.srt", "size": 50})
    contents = set()
    for name in ("same.srt", "same (run 2).srt", "same (run 3).srt"):
        documents = client.outputs(order_id)
        assert [document["name"] for document in documents] == [name, name]
        contents |= {fetch(document["url"]).content for document in documents}
        accepted(client.rerun(order_id))
        ollang.advance(32)
    assert len(contents) == 6


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("film.mp4", "list of objects"),
        ({"name": "film.mp4"}, "list of objects"),
        (["film.mp4"], "object with a name"),
        ([{"size": 5}], "object with a name"),
        ([{"name": "a", "size": -1}], "whole number of bytes"),
        ([{"name": "a", "size": 1.5}], "whole number of bytes"),
    ],
)
def test_wrong_files_are_refused(ollang: Sandbox, client: Client, files: Any, message: str) -> None:
    with pytest.raises(SandboxError, match=message):
        ollang.add_order(files=files)
    assert message in body_of(client.admin("PUT", "/orders/x", {"files": files}), 400)["error"]


@pytest.mark.parametrize("other", [{"exact": True}, {"orderDocs": []}])
def test_files_and_exact_documents_exclude_each_other(ollang: Sandbox, other: dict[str, Any]) -> None:
    with pytest.raises(SandboxError, match="either files"):
        ollang.add_order(files=[{"name": "a"}], **other)


def test_fields_of_a_file_are_its_document_s(ollang: Sandbox, client: Client) -> None:
    fields = {"name": "a.wav", "id": "mine", "type": "vendor_video", "duration": 5}
    (document,) = client.outputs(order_with(ollang, {**fields, "updatedAt": "x"}))
    assert {**document, **fields, "size": 6144} == document


def test_unknown_files_are_refused(ollang: Sandbox, client: Client) -> None:
    with pytest.raises(SandboxError, match="no file 'nothing'"):
        ollang.content(EXAMPLE_ID, "nothing")
    with pytest.raises(SandboxError, match="no order"):
        ollang.content("nobody", "nothing")
    assert client.admin("GET", f"/orders/{EXAMPLE_ID}/files/nothing").status_code == 404
    assert ollang.content(EXAMPLE_ID, "doc_456def").size == 8192
