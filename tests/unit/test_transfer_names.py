"""Names of delivered files: safe whatever Ollang calls them, distinct, and the same in every try."""

from __future__ import annotations

import random
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_ollang.transfers._names import Naming, file_names, safe_name, suffix_of, with_suffix

NASTY = st.text(st.sampled_from('./\\ :~ab*?<>|"\0\n\u202e\u2028\ud800\u0301éA日.🎬'), max_size=400)
ANY = st.text(max_size=300) | NASTY


@given(ANY)
@example("..")
@example("CON.srt")
@example("e\u200e\u0301")
@example(("日" * 200) + ".docx")
def test_a_name_is_one_safe_part_of_a_path(text: str) -> None:
    name = safe_name(text)
    assert 0 < len(name.encode()) <= 255
    assert PurePosixPath("/here", name).parent == PurePosixPath("/here")
    assert PurePosixPath("/here", name).name == name
    assert PureWindowsPath("C:/here", name).parent == PureWindowsPath("C:/here")
    assert not PureWindowsPath(name).is_reserved()
    assert name not in {".", ".."}
    assert name == name.strip(" .")
    assert unicodedata.is_normalized("NFC", name)
    assert not any(unicodedata.category(one) in {"Cc", "Cs", "Zl", "Zp"} for one in name)
    assert not set(name) & set('/\\<>:"|?*\0')


@given(ANY)
def test_a_safe_name_stays_as_it_is(text: str) -> None:
    assert safe_name(safe_name(text)) == safe_name(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Episode 1.srt", "Episode 1.srt"),
        ("Über uns - 日本語 🎬.docx", "Über uns - 日本語 🎬.docx"),
        ("U\u0308ber.srt", "Über.srt"),
        ("../../etc/passwd", "etc_passwd"),
        ("..\\..\\x.srt", "x.srt"),
        ("C:\\films\\a.mp4", "C__films_a.mp4"),
        ("/absolute.srt", "absolute.srt"),
        ("a/b.srt", "a_b.srt"),
        ("line\nbreak\0.srt", "line_break_.srt"),
        ("trailing. . ", "trailing"),
        (".hidden", "hidden"),
        ("..", "document"),
        ("", "document"),
        ("nul", "_nul"),
        ("COM\u00b9.srt", "_COM\u00b9.srt"),
        ("lpt\u00b3", "_lpt\u00b3"),
        ("CONIN$", "_CONIN$"),
        ("conout$.txt", "_conout$.txt"),
        ("exe\u202etrs.", "exetrs"),
        ("\u0646\u200c\u0641.srt", "\u0646\u200c\u0641.srt"),
        ("a" * 300 + ".srt", "a" * 251 + ".srt"),
    ],
)
def test_what_becomes_of_names(text: str, name: str) -> None:
    assert safe_name(text) == name


def names(*files: tuple[str, str | None] | tuple[str, str | None, str | None, str]) -> list[str]:
    return file_names([Naming(*(one if len(one) == 4 else (*one, None, ""))) for one in files])


@pytest.mark.parametrize(
    ("name", "kind", "link", "expected"),
    [
        ("Subtitles", "subtitle", "https://h/x/abc.srt?Signature=a.b", "Subtitles.srt"),
        ("Subtitles.srt", "subtitle", "https://h/x/abc.vtt", "Subtitles.srt"),
        ("Report v1.2", "translation", "https://h/abc.docx", "Report v1.2.docx"),
        ("Report.final", "translation", "https://h/abc.DOCX", "Report.final.DOCX"),
        ("Report.xyz", "translation", "https://h/abc.xyz", "Report.xyz"),
        ("Report", "translation", "https://h/abc.1", "Report"),
        ("Report", "translation", "https://h/abc.%2e%2e%2f", "Report"),
        ("Report", "translation", "https://[", "Report"),
        (None, "vendor_video", "https://h/abc.mp4", "vendor_video.mp4"),
        (None, None, "https://h/abc", "document"),
    ],
)
def test_the_suffix(name: str | None, kind: str | None, link: str, expected: str) -> None:
    assert names(("key", name, kind, link)) == [expected]


@pytest.mark.parametrize(
    ("name", "media_type", "expected"),
    [
        ("a", "text/vtt; charset=utf-8", "a.vtt"),
        ("a", "application/x-subrip", "a.srt"),
        ("a", "VIDEO/MP4", "a.mp4"),
        ("a.srt", "video/mp4", "a.srt"),
        ("a", "binary/octet-stream", "a"),
        ("a", "nobody/knows", "a"),
        ("a", None, "a"),
        ("日" * 85, "video/mp4", "日" * 83 + ".mp4"),
    ],
)
def test_the_suffix_by_the_kind_of_content(name: str, media_type: str | None, expected: str) -> None:
    assert with_suffix(name, media_type) == expected


def test_two_of_one_name_get_a_part_of_their_ids() -> None:
    assert names(("65f0aa01", "a.srt"), ("65f0aa02", "A.SRT"), ("x", "b.srt"), ("y", "a.docx")) == [
        "a (65f0aa01).srt",
        "A (65f0aa02).SRT",
        "b.srt",
        "a.docx",
    ]


def test_ids_that_end_alike_are_told_apart_all_the_same() -> None:
    found = names(("one-12345678", "a.srt"), ("two-12345678", "a.srt"), ("x", "a (12345678).srt"))
    assert len(set(found)) == 3
    assert all(one.startswith("a (") and suffix_of(one) == ".srt" for one in found)


def test_a_name_without_a_suffix_may_get_one() -> None:
    """Its host may say that it is an srt, after the other has been delivered."""
    assert names(("one", "a"), ("two", "a.srt")) == ["a (one)", "a.srt"]


def test_a_suffix_that_comes_later_does_not_cut_off_what_tells_two_apart() -> None:
    found = names(("one", "x" * 300), ("two", "x" * 300))
    assert [with_suffix(name, "text/vtt")[-10:] for name in found] == [" (one).vtt", " (two).vtt"]


SOME = st.sampled_from(["a", "A", "a.srt", "a.SRT", "a (k1).srt", "é.srt", "e\u0301.srt", "", "../a.srt", "x" * 300])


@given(
    st.lists(SOME | ANY, max_size=8), st.sampled_from(["text/vtt", "video/mp4", "application/x-subrip"]), st.randoms()
)
def test_no_two_files_get_one_name(given_names: list[str], media_type: str, chance: random.Random) -> None:
    files = [Naming(f"k{number}", name, "type", "https://h/x") for number, name in enumerate(given_names)]
    found = file_names(files)
    with_suffixes = [with_suffix(name, media_type) for name in found]
    assert len({unicodedata.normalize("NFC", name.casefold()) for name in with_suffixes}) == len(files)
    assert all(len(name.encode()) <= 255 for name in with_suffixes)
    # The same in whichever order Ollang lists them.
    shuffled = list(zip(files, found, strict=True))
    chance.shuffle(shuffled)
    assert file_names([file for file, _ in shuffled]) == [name for _, name in shuffled]
