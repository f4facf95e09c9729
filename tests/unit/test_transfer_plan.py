"""Which files of an order are delivered, under which names, and when there is nothing to deliver."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_ollang.domain.freshness import Rerun
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangOrderFailedError,
    OllangStaleResultError,
    OllangUnavailableError,
)
from airflow_provider_ollang.transfers._download import NotListedError
from airflow_provider_ollang.transfers._plan import VTT, Criteria, File, plan, refreshed
from airflow_provider_ollang.transfers._transfer import SignedUrls
from tests.unit.builders import (
    AFTER,
    LONG_BEFORE,
    ORDER_ID,
    SIGNATURE,
    document,
    new_document,
    order,
    rerun_of,
    source_document,
)


def wanted(**changes: Any) -> Criteria:
    return Criteria(**{"order_id": ORDER_ID, **changes})


def names(files: list[File]) -> list[str]:
    return [file.file_name for file in files]


def test_the_outputs_and_the_vtt() -> None:
    subtitles, vtt = plan(order(), wanted()).files
    assert (subtitles.document_id, subtitles.type, subtitles.size) == ("doc_old", "subtitle", 8192)
    assert subtitles.file_name == "French Subtitles.srt"
    assert subtitles.link == document()["url"]
    assert (vtt.document_id, vtt.type, vtt.size) == (None, VTT, None)
    assert vtt.file_name == "Sample Project - Episode 1.vtt"
    assert vtt.is_vtt


INVOICE = document(id="doc_invoice", name="Invoice.pdf", type="invoice")


@pytest.mark.parametrize(
    ("changes", "types"),
    [
        ({}, ["subtitle", "vtt"]),
        ({"kinds": ("auxiliary",)}, ["invoice"]),
        ({"kinds": ("source", "auxiliary")}, ["sourceVideo", "invoice"]),
        ({"types": ["Sub_Title"]}, ["subtitle"]),
        ({"types": ["vtt"]}, ["vtt"]),
        ({"types": ["invoice"], "kinds": ("output", "auxiliary")}, ["invoice"]),
    ],
)
def test_kinds_and_types(changes: dict[str, Any], types: list[str]) -> None:
    documents = [source_document(), document(), INVOICE]
    assert [file.type for file in plan(order(orderDocs=documents), wanted(**changes)).files] == types


@pytest.mark.parametrize("link", [None, "", ..., 7])
def test_no_vtt(link: object) -> None:
    assert [file.type for file in plan(order(vttUrl=link), wanted()).files] == ["subtitle"]


@pytest.mark.parametrize(
    ("size", "expected"),
    [(8192, 8192), (8192.0, 8192), (0, 0), (-1, None), (1.5, None), (None, None), ("8192", None), (True, None)],
)
def test_the_size(size: object, expected: int | None) -> None:
    assert plan(order(orderDocs=[document(size=size)]), wanted()).files[0].size == expected


def test_a_document_listed_twice_is_one_file() -> None:
    assert names(plan(order(orderDocs=[document(), document()], vttUrl=None), wanted()).files) == [
        "French Subtitles.srt"
    ]


def test_documents_with_one_id_are_two_files() -> None:
    documents = [document(), document(name="Other.srt"), document(url="https://h/else.srt")]
    files = plan(order(orderDocs=documents, vttUrl=None), wanted()).files
    assert len({file.key for file in files}) == len(set(names(files))) == 3
    again = order(orderDocs=[{**one, "url": f"{one['url'].partition('?')[0]}?again"} for one in documents])
    assert [file.link for file in refreshed(again, wanted(), files).values()] == [
        one["url"] for one in again["orderDocs"]
    ]


def test_documents_without_ids_are_told_apart() -> None:
    documents = [document(id=None, url=f"https://h/{name}.srt?{SIGNATURE}") for name in "ab"]
    files = plan(order(orderDocs=documents, vttUrl=None), wanted()).files
    assert len({file.key for file in files}) == len(set(names(files))) == 2
    again = [document(id=None, url=f"https://h/{name}.srt?X-Signature=other") for name in "ba"]
    found = list(refreshed(order(orderDocs=again), wanted(), files).values())
    assert [one.link for one in found] == [again[1]["url"], again[0]["url"]]


# --- Nothing to deliver -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "asked", "kind"),
    [
        ({"orderDocs": [source_document()], "vttUrl": None}, {}, OllangUnavailableError),
        ({"orderDocs": None, "vttUrl": None}, {}, OllangUnavailableError),
        ({"orderDocs": [document(url=None)]}, {}, OllangUnavailableError),
        ({}, {"types": ["subtitles"]}, OllangConfigurationError),
        ({"status": "ongoing"}, {"types": ["subtitles"]}, OllangUnavailableError),
        ({}, {"kinds": ("auxiliary",)}, OllangUnavailableError),
    ],
)
def test_nothing_to_deliver(changes: dict[str, Any], asked: dict[str, Any], kind: type[OllangError]) -> None:
    with pytest.raises(kind) as raised:
        plan(order(**changes), wanted(**asked))
    assert raised.value.order_id == ORDER_ID
    assert ORDER_ID in str(raised.value)
    assert SIGNATURE not in str(raised.value)


@pytest.mark.parametrize("rerun", [None, rerun_of(order())], ids=["any result", "of a rerun"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("ongoing", OllangUnavailableError),
        ("review", OllangUnavailableError),
        ("revision", OllangUnavailableError),
        ("pondering", OllangUnavailableError),
        ("failed", OllangOrderFailedError),
        ("cancelled", OllangOrderFailedError),
    ],
)
def test_of_an_order_that_is_not_finished_nothing_is_delivered_unless_that_is_wanted(
    rerun: Rerun | None, status: str, kind: type[OllangError]
) -> None:
    unfinished = order(status, orderDocs=[source_document(), new_document()])
    with pytest.raises(kind, match=f"'{status}'.*Nothing was delivered"):
        plan(unfinished, wanted(rerun=rerun))
    accepted = plan(unfinished, wanted(rerun=rerun, accept_unchanged=True))
    assert len(accepted.files) == 2
    assert any(f"'{status}'" in warning for warning in accepted.warnings)
    assert plan(order(), wanted()).warnings == []


@pytest.mark.parametrize("status", ["ongoing", "cancelled"])
def test_what_is_no_result_needs_no_finished_order(status: str) -> None:
    chosen = plan(order(status, orderDocs=[source_document(), INVOICE]), wanted(kinds=("source", "auxiliary")))
    assert len(chosen.files) == 2
    assert chosen.warnings == []


# --- After a rerun ------------------------------------------------------------------------------------------------

AUDIO = document(id="doc_audio", name="Audio.wav", type="created_ai_dub_audio")
NEW_AUDIO = new_document(id="doc_audio_2", name="Audio.wav", type="created_ai_dub_audio")
BEFORE_RERUN = order(orderDocs=[source_document(), document(), AUDIO])


def after_rerun(*documents: dict[str, Any], **changes: Any) -> Any:
    asked = wanted(rerun=rerun_of(BEFORE_RERUN), **changes)
    return plan(order(orderDocs=[source_document(), *documents]), asked)


def test_only_the_new_documents() -> None:
    planned = after_rerun(document(), AUDIO, new_document(), NEW_AUDIO)
    assert [(file.document_id, file.is_new) for file in planned.files] == [
        ("doc_new", True),
        ("doc_audio_2", True),
        (None, None),
    ]
    assert planned.outputs_changed is True
    assert planned.warnings == []


@pytest.mark.parametrize(
    "documents",
    [[document(), AUDIO], [new_document(), AUDIO], [new_document()], [document(updatedAt=LONG_BEFORE), NEW_AUDIO]],
)
def test_not_every_type_is_new(documents: list[dict[str, Any]]) -> None:
    with pytest.raises(OllangStaleResultError) as raised:
        after_rerun(*documents)
    assert "on_unchanged='deliver'" in str(raised.value)
    assert SIGNATURE not in str(raised.value)


def test_what_is_there_of_each_type() -> None:
    planned = after_rerun(document(), new_document(), AUDIO, accept_unchanged=True)
    assert [(file.document_id, file.is_new) for file in planned.files] == [
        ("doc_new", True),
        ("doc_audio", False),
        (None, None),
    ]
    assert planned.outputs_changed is False
    (warning,) = planned.warnings
    assert "not every type of output is newer" in warning


def test_only_the_wanted_types_need_be_new() -> None:
    planned = after_rerun(new_document(), AUDIO, types=["subtitle"])
    assert [file.document_id for file in planned.files] == ["doc_new"]
    with pytest.raises(OllangStaleResultError):
        after_rerun(new_document(), AUDIO, types=["created_ai_dub_audio"])


def test_the_vtt_alone_goes_by_all_outputs() -> None:
    assert [file.is_new for file in after_rerun(new_document(), NEW_AUDIO, types=["vtt"]).files] == [None]
    with pytest.raises(OllangStaleResultError):
        after_rerun(new_document(), AUDIO, types=["vtt"])


def test_sources_have_no_age() -> None:
    planned = after_rerun(document(), kinds=("source",))
    assert [(file.type, file.is_new) for file in planned.files] == [("sourceVideo", None)]
    assert planned.outputs_changed is None


def test_fewer_new_documents_than_before_are_warned_of() -> None:
    before = order(orderDocs=[document(), document(id="doc_old_2")])
    planned = plan(order(orderDocs=[new_document()]), wanted(rerun=rerun_of(before)))
    (warning,) = planned.warnings
    assert "fewer" in warning


# --- Fresh links --------------------------------------------------------------------------------------------------


def test_a_fresh_link_under_the_planned_name() -> None:
    files = plan(order(orderDocs=[document(), document(id="doc_2")]), wanted()).files
    fresh = order(orderDocs=[document(url="https://h/new.srt", size=9000, updatedAt=AFTER)], vttUrl="https://h/new.vtt")
    same, vtt = refreshed(fresh, wanted(), files).values()
    assert (same.link, same.size, same.file_name) == ("https://h/new.srt", 9000, files[0].file_name)
    assert same.state != files[0].state
    assert (vtt.link, vtt.file_name) == ("https://h/new.vtt", files[2].file_name)
    assert refreshed(order(vttUrl=None), wanted(), files[2:]) == {}


def test_fresh_link_is_that_of_the_new_version_of_a_document() -> None:
    """Its old version may still be listed under the same id, and first."""
    old = document(url="https://h/e.srt?versionId=1")
    new = document(url="https://h/e.srt?versionId=2", size=9000, updatedAt=AFTER)
    asked = wanted(rerun=rerun_of(order(orderDocs=[old])))
    now = order(orderDocs=[old, new], vttUrl=None)
    (file,) = plan(now, asked).files
    assert (file.link, file.is_new) == (new["url"], True)
    assert list(refreshed(now, asked, [file]).values()) == [file]


def test_fresh_order_that_shows_no_new_result_fails_this_try_only() -> None:
    """It may come from a replica that lags, or a review may have begun meanwhile: the next try plans anew."""
    asked = wanted(rerun=rerun_of(order(orderDocs=[document()])))
    (file,) = plan(order(orderDocs=[new_document()], vttUrl=None), asked).files
    urls = SignedUrls([file], asked, lambda: order(orderDocs=[document()], vttUrl=None))
    with pytest.raises(NotListedError, match="no longer shows it as newer"):
        urls.latest(file, refresh=True)


def test_no_link_is_shown() -> None:
    planned = plan(order(), wanted())
    assert SIGNATURE not in repr(planned)
    assert SIGNATURE not in "".join(file.title for file in planned.files)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
DOCUMENT = st.fixed_dictionaries(
    {}, optional={key: JSON | st.just("subtitle") for key in ("id", "name", "url", "type", "size", "updatedAt")}
)


@given(
    documents=JSON | st.lists(JSON | DOCUMENT, max_size=5),
    link=JSON,
    status=st.text(max_size=10) | st.just("completed"),
    kinds=st.sampled_from([("output",), ("output", "source", "auxiliary")]),
    with_rerun=st.booleans(),
)
def test_any_order_ends_in_a_plan_or_an_error_of_ours(
    documents: Any, link: Any, status: str, kinds: tuple[str, ...], with_rerun: bool
) -> None:
    asked = wanted(kinds=kinds, rerun=rerun_of(BEFORE_RERUN) if with_rerun else None, accept_unchanged=True)
    found = order(status, orderDocs=documents, vttUrl=link)
    try:
        files = plan(found, asked).files
    except OllangError:
        return
    assert files
    assert all(file.link and file.file_name for file in files)
    assert len(set(names(files))) == len(files) == len({file.key for file in files})
    assert list(refreshed(found, asked, files).values()) == files


VIDEO = document(id="doc_video", name="Old.mp4", type="vendor_video")
TYPELESS = document(id="doc_typeless", name="x.bin", type=None)


@pytest.mark.parametrize(
    ("before", "old"),
    [
        pytest.param(order(orderDocs=None), VIDEO, id="the baseline had no list"),
        pytest.param(order(orderDocs=[document(), TYPELESS]), TYPELESS, id="a document without a type"),
    ],
)
def test_beside_the_new_outputs_no_old_one_is_delivered(before: Any, old: Any) -> None:
    now = order(orderDocs=[new_document(), old], vttUrl=None)
    chosen = plan(now, wanted(rerun=rerun_of(before)))
    assert [file.document_id for file in chosen.files] == [new_document()["id"]]
    assert chosen.outputs_changed is True


def test_an_invoice_alone_needs_no_newer_output() -> None:
    invoiced = order(orderDocs=[document(), INVOICE])
    chosen = plan(invoiced, wanted(rerun=rerun_of(invoiced), kinds=("output", "auxiliary"), types=["invoice"]))
    assert [file.document_id for file in chosen.files] == ["doc_invoice"]
    assert chosen.outputs_changed is None
