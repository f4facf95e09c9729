"""The files behind the links: what is in them, parts of them, and what can be wrong with them."""

from __future__ import annotations

import gzip
import hashlib
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_ollang.sandbox import Sandbox, SandboxError
from airflow_provider_ollang.sandbox.content import Content

from .client import EXAMPLE_ID, Client, accepted, fetch

HUGE = 6_000_000_000


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


# What is in them


@pytest.mark.parametrize("size", [0, 1, 7, 8, 100, 5000, 1_048_573, 1_048_574, 3_000_000])
@pytest.mark.parametrize("name", ["a.srt", "a.vtt", "a.mp4", "a"])
def test_a_file_is_as_long_as_its_document_says(ollang: Sandbox, client: Client, name: str, size: int) -> None:
    order_id = order_with(ollang, {"name": name, "size": size})
    (document,) = client.outputs(order_id)
    answer = fetch(document["url"])
    assert (document["size"], len(answer.content), answer.headers["Content-Length"]) == (size, size, str(size))
    assert answer.content == ollang.content(order_id, document["id"]).read()
    expected = hashlib.sha256(answer.content).hexdigest()
    assert ollang.expected_sha256(order_id, document["id"]) == expected
    told = client.control("GET", f"/orders/{order_id}/files/{document['id']}").json()
    assert (told["size"], told["sha256"], told["type"]) == (size, expected, answer.headers["Content-Type"])


def test_subtitles_are_text(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(type="subtitle")
    srt, vtt = fetch(link_of(client, order_id)).text, fetch(client.order(order_id)["vttUrl"]).text
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
def test_content_type(ollang: Sandbox, client: Client, name: str, kind: str) -> None:
    answer = fetch(link_of(client, order_with(ollang, {"name": name, "size": 10})))
    assert answer.headers["Content-Type"] == kind


def test_the_bytes_depend_on_the_document_and_its_run_alone(ollang: Sandbox, client: Client) -> None:
    first = order_with(ollang, {"name": "a.mp4", "size": 900, "id": "doc_a"}, {"name": "b.mp4", "size": 900})
    with Sandbox(speed=0) as another:
        again = another.add_order(id="other", files=[{"name": "a.mp4", "size": 900, "id": "doc_a"}])
        assert another.content(again, "doc_a").read() == ollang.content(first, "doc_a").read()
    old = [fetch(link_of(client, first, number)).content for number in (0, 1)]
    accepted(client.rerun(first))
    ollang.advance(32)
    new = [fetch(link_of(client, first, number)).content for number in (0, 1)]
    assert len({*old, *new}) == 4


@pytest.mark.parametrize("outputs", ["replaced", "in_place", "added", "unchanged"])
def test_after_a_rerun(ollang: Sandbox, client: Client, outputs: str) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour={"outputs": outputs})
    before = [link_of(client, order_id), client.order(order_id)["vttUrl"]]
    old = [fetch(link) for link in before]
    accepted(client.rerun(order_id))
    ollang.advance(32)
    after = [link_of(client, order_id, -1), client.order(order_id)["vttUrl"]]
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
    made = client.outputs(order_id)[0]["updatedAt"]
    assert (first.headers["Last-Modified"][5:16], first.headers["Last-Modified"][17:25]) == (
        ollang.http_date(after=-24 * 3600)[5:16],
        made[11:19],
    )
    other = fetch(link_of(client, order_with(ollang, {"name": "small.srt", "size": 5001})))
    assert other.headers["ETag"] != first.headers["ETag"]


def test_huge_files_are_one_line_and_no_memory(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(type="studioDubbing", files=[{"name": "film.mp4", "size": HUGE}])
    (document,) = client.outputs(order_id)
    assert (document["name"], document["size"]) == ("film.mp4", HUGE)
    content = ollang.content(order_id, document["id"])
    assert content.size == HUGE
    with fetch(document["url"], stream=True) as answer:
        assert answer.headers["Content-Length"] == str(HUGE)
        assert answer.raw.read(5_000_000) == b"".join(content.pieces(0, 5_000_000))
    part = fetch(document["url"], headers={"Range": f"bytes={HUGE - 3_000_000}-"})
    assert part.content == b"".join(content.pieces(HUGE - 3_000_000))
    assert max(len(piece) for piece in content.pieces(0, 10_000_000)) <= 1_048_576


def test_huge_files_over_http(client: Client) -> None:
    body = {"order": {"type": "studioDubbing"}, "files": [{"name": "film.mp4", "size": HUGE}]}
    assert client.control("PUT", "/orders/big", body).status_code == 200
    assert client.outputs("big")[0]["size"] == HUGE


def test_pieces_join_up_wherever_they_are_cut() -> None:
    content = Content("key", "a.mp4", 3_000_000)
    whole = content.read()
    for start, stop in ((0, 1), (1_048_572, 1_048_574), (5, 2_500_000), (2_999_999, 9_000_000), (3_000_000, None)):
        assert b"".join(content.pieces(start, stop)) == whole[start:stop]
    for size in (4096, 65536, 1 << 20):
        assert whole[:size] != whole[size : 2 * size], "a piece in a wrong place is seen"


# Parts


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-4999", 0, 5000),
        ("bytes=100-199", 100, 200),
        ("bytes=4000-", 4000, 5000),
        ("bytes=4999-99999", 4999, 5000),
        ("bytes=-1", 4999, 5000),
        ("bytes=-99999", 0, 5000),
    ],
)
def test_range(ollang: Sandbox, order_id: str, link: str, asked: str, start: int, stop: int) -> None:
    whole = fetch(link)
    assert (whole.status_code, whole.headers["Accept-Ranges"]) == (200, "bytes")
    answer = fetch(link, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, whole.content[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/5000"
    assert (answer.headers["Content-Length"], answer.headers["ETag"]) == (str(stop - start), whole.headers["ETag"])


@pytest.mark.parametrize("asked", ["bytes=5000-", "bytes=5000-6000", "bytes=-0", "bytes=99999999-"])
def test_a_range_beyond_the_end(link: str, asked: str) -> None:
    answer = fetch(link, headers={"Range": asked})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */5000")
    assert "<Code>InvalidRange</Code>" in answer.text


@pytest.mark.parametrize("asked", ["bytes=a-b", "bytes=5-2", "items=0-1", "bytes=-", "bytes=0-1,3-4", ""])
def test_a_range_that_makes_no_sense_is_overlooked(link: str, asked: str) -> None:
    answer = fetch(link, headers={"Range": asked})
    assert (answer.status_code, len(answer.content)) == (200, 5000)


def test_a_part_of_another_version_is_not_given(link: str) -> None:
    etag = fetch(link).headers["ETag"]
    part = {"Range": "bytes=1-2"}
    assert fetch(link, headers={**part, "If-Range": etag}).status_code == 206
    assert fetch(link, headers={**part, "If-Range": '"another"'}).status_code == 200
    assert fetch(link, headers={**part, "If-Match": etag}).status_code == 206
    assert fetch(link, headers={**part, "If-Match": '"another"'}).status_code == 412


@pytest.mark.parametrize(("globs", "status"), [([], 206), (["*"], 200), (["*.srt"], 200), (["x*"], 206)])
def test_no_ranges(ollang: Sandbox, client: Client, globs: list[str], status: int) -> None:
    order_id = order_with(ollang, {"name": "small.srt", "size": 5000}, no_ranges=globs)
    answer = fetch(link_of(client, order_id), headers={"Range": "bytes=10-19"})
    assert (answer.status_code, len(answer.content)) == (status, 10 if status == 206 else 5000)
    assert ("Accept-Ranges" in answer.headers) is (status == 206)


def test_no_ranges__of_the_vtt(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour={"no_ranges": ["vttUrl"]})
    order = client.order(order_id)
    asked = {"Range": "bytes=0-0"}
    assert [fetch(link, headers=asked).status_code for link in (order["vttUrl"], link_of(client, order_id))] == [
        200,
        206,
    ]


# What can be wrong


def test_wrong_sizes(ollang: Sandbox, client: Client) -> None:
    files = [{"name": name, "size": 100} for name in ("a.srt", "b.srt", "c.srt")]
    order_id = order_with(ollang, *files, wrong_sizes=[["a.*", 5], ["b.srt", -100]])
    documents = client.outputs(order_id)
    assert [document["size"] for document in documents] == [105, 0, 100]
    assert [len(fetch(document["url"]).content) for document in documents] == [100, 100, 100]
    ollang.change_order(order_id, behaviour={"wrong_sizes": []})
    assert [document["size"] for document in client.outputs(order_id)] == [100, 100, 100]


@pytest.mark.parametrize(("size", "told"), [(5000, True), (20_000_000, False)])
def test_gzipped(ollang: Sandbox, client: Client, size: int, told: bool) -> None:
    files = [{"name": name, "size": size} for name in ("a.srt", "b.srt")]
    order_id = order_with(ollang, *files, gzipped=["a.srt"])
    packed, plain = (fetch(document["url"], stream=True) for document in client.outputs(order_id))
    raw = packed.raw.read(decode_content=False)
    content = ollang.content(order_id, client.outputs(order_id)[0]["id"]).read()
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers.get("Content-Length") == (str(len(raw)) if told else None)
    assert gzip.decompress(raw) == content
    assert len(raw) < size
    assert "Content-Encoding" not in plain.headers
    plain.close()


NAMES = [
    "../../etc/passwd",
    "/abs.srt",
    "Épisode — 第一話.srt",
    "no extension",
    "a\nb.srt",
    "CON",
    "x" * 300 + ".srt",
    "..",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name(ollang: Sandbox, client: Client, name: str) -> None:
    order_id = order_with(ollang, {"name": name, "size": 50})
    (document,) = client.outputs(order_id)
    assert document["name"] == name
    assert fetch(document["url"]).content == ollang.content(order_id, document["id"]).read()
    path = urlsplit(document["url"]).path
    assert path.isascii()
    assert ".." not in path


def test_two_of_one_name_are_two_files(ollang: Sandbox, client: Client) -> None:
    order_id = order_with(ollang, {"name": "same.srt", "size": 50}, {"name": "same.srt", "size": 50})
    seen = set()
    for run in (1, 2, 3):
        documents = client.outputs(order_id)
        name = "same.srt" if run == 1 else f"same (run {run}).srt"
        assert [document["name"] for document in documents] == [name, name]
        seen |= {fetch(document["url"]).content for document in documents}
        accepted(client.rerun(order_id))
        ollang.advance(32)
    assert len(seen) == 6


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
def test_senseless_files_are_refused(ollang: Sandbox, client: Client, files: Any, message: str) -> None:
    with pytest.raises(SandboxError, match=message):
        ollang.add_order(files=files)
    answer = client.control("PUT", "/orders/x", {"files": files})
    assert (answer.status_code, message in answer.json()["error"]) == (400, True)


def test_files_and_documents_as_they_are_do_not_go_together(ollang: Sandbox) -> None:
    with pytest.raises(SandboxError, match="either files"):
        ollang.add_order(files=[{"name": "a"}], exact=True)
    with pytest.raises(SandboxError, match="either files"):
        ollang.add_order(files=[{"name": "a"}], orderDocs=[])


def test_what_a_file_says_is_taken_over(ollang: Sandbox, client: Client) -> None:
    said = {"name": "a.wav", "id": "mine", "type": "vendor_video", "duration": 5, "updatedAt": "x"}
    order_id = order_with(ollang, said)
    (document,) = client.outputs(order_id)
    assert {**document, **{name: said[name] for name in ("id", "type", "duration")}} == document
    assert document["size"] == 6144


def test_asking_for_files_that_are_not_there(ollang: Sandbox, client: Client) -> None:
    with pytest.raises(SandboxError, match="no file 'nothing'"):
        ollang.content(EXAMPLE_ID, "nothing")
    with pytest.raises(SandboxError, match="no order"):
        ollang.expected_sha256("nobody", "nothing")
    assert client.control("GET", f"/orders/{EXAMPLE_ID}/files/nothing").status_code == 404
    assert ollang.content(EXAMPLE_ID, "doc_456def").size == 8192
