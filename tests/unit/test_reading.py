"""Single values of the API's JSON, each of any type, missing or null."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_ollang.domain.values import (
    only_mappings,
    parse_number,
    parse_score,
    parse_text,
    plain_name,
    printable,
    readable,
)

SECRET = "c4na7y0123456789"
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NO_SCORES: list[Any] = [
    None,
    True,
    False,
    "",
    " ",
    "n/a",
    "90%",
    "90,5",
    "nan",
    "NaN",
    "inf",
    "-Infinity",
    [],
    {},
    [90],
]
NO_SCORES += [{"value": 90}, b"90", float("nan"), float("inf"), float("-inf"), 10**400, "1e999", "9" * 400, 90j]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("value", "score"),
    [(90, 90.0), (0, 0.0), (-3, -3.0), (92.5, 92.5), ("92.5", 92.5), (" 92 \n", 92.0), ("9e1", 90.0), ("-0", 0.0)],
)
def test_a_score_is_a_number_or_a_text_that_is_one(value: object, score: float) -> None:
    found = parse_score(value)
    assert found == score
    assert type(found) is float


@pytest.mark.parametrize("value", NO_SCORES, ids=lambda value: repr(value)[:20])
def test_nothing_else_is_a_score(value: object) -> None:
    assert parse_score(value) is None


@many
@given(json_values)
def test_a_score_can_always_be_stored(value: object) -> None:
    json.dumps(parse_score(value), allow_nan=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [("eval_1", "eval_1"), ("", ""), (7, "7"), (0, "0"), (True, None), (1.5, None), (None, None), (["a"], None)],
)
def test_an_id_is_a_text_or_a_whole_number(value: object, text: str | None) -> None:
    assert parse_text(value) == text


@pytest.mark.parametrize(("value", "number"), [(5, 5), (2.5, 2.5), (0, 0), (True, None), ("5", None), (None, None)])
def test_a_number_is_given_as_such(value: object, number: float | None) -> None:
    assert parse_number(value) == number


def test_objects_in_a_list_are_given_in_their_order() -> None:
    assert list(only_mappings([{"a": 1}, None, "b", [{}], {}, 5, {"c": 2}])) == [{"a": 1}, {}, {"c": 2}]


@pytest.mark.parametrize("value", [None, {}, {"a": {"b": 1}}, "text", 5, ({"a": 1},), True])
def test_what_is_no_list_has_no_objects(value: object) -> None:
    assert list(only_mappings(value)) == []


@pytest.mark.parametrize(
    "name",
    [
        "culturalfit",
        "Cultural Fit",
        "culturalFit",
        "CULTURAL_FIT",
        "cultural-fit",
        " cultural\t fit\n",
        "_Cul-tural fit_",
    ],
)
def test_names_are_compared_without_case_and_separators(name: str) -> None:
    assert plain_name(name) == "culturalfit"


@pytest.mark.parametrize(("one", "other"), [("Straße", "STRASSE"), ("Äccuracy", "äCCURACY"), ("ΣΑΣ", "σας")])
def test_case_does_not_count_in_any_language(one: str, other: str) -> None:
    assert plain_name(one) == plain_name(other)


@pytest.mark.parametrize("name", ["Cultural.Fit", "Cultural Fit 2", "Accuracy", "Culturalfits"])
def test_all_else_in_a_name_counts(name: str) -> None:
    assert plain_name(name) != "culturalfit"


@many
@given(st.text(alphabet=string.ascii_letters + string.digits + "äßÉ.:", max_size=8), st.randoms(use_true_random=False))
def test_a_plain_name_survives_any_spelling(name: str, random: Any) -> None:
    spelled = "".join(one + random.choice(["", "", " ", "_", "-", "\t"]) for one in random.choice([name, name.lower()]))
    assert plain_name(spelled) == plain_name(name) == plain_name(plain_name(name))


class TestForeignWords:
    @many
    @given(st.text())
    def test_stay_on_one_line_and_can_be_written(self, words: str) -> None:
        shown = printable(words)
        assert len(shown) == len(words)
        assert len(shown.splitlines()) <= 1
        assert "\x1b" not in shown
        shown.encode()

    @many
    @given(st.text(max_size=200), st.integers(1, 100))
    def test_are_cut(self, words: str, longest: int) -> None:
        assert len(readable(words, longest)) <= longest

    def test_are_given_whole_if_they_are_short_enough(self) -> None:
        words = "Why? Because 1 = 1 & 2 > 1; see https://ollang.com/help#scores (page 3)"
        assert readable(words, len(words)) == words
        assert readable(words, len(words) - 1) == words[:-2] + "…"

    @pytest.mark.parametrize(
        "words",
        [
            f"https://storage.ollang.com/a.srt?X-Amz-Signature={SECRET}&X-Amz-Expires=604800",
            f"see (https://storage.ollang.com/a.srt?sig={SECRET}), and 'http://b.example/?{SECRET}'",
            f'<a href="https://storage.ollang.com/a.srt?Policy=x&Signature={SECRET}&Key-Pair-Id=y">file</a>',
            f"HTTPS://STORAGE.OLLANG.COM/A.SRT?SIGNATURE={SECRET}",
            f"s3://bucket/key?AWSAccessKeyId=a&Signature={SECRET}",
            f"storage.ollang.com/a.srt?Expires=1&Signature={SECRET}",
            f"/a.srt?x-goog-credential={SECRET}&x-goog-signature={SECRET}",
            f"a.srt?se=2026&sp=r&sig={SECRET}",
            f"...?X-Amz-Security-Token={SECRET}",
            f"https://a.example/b?x\n={SECRET}&signature={SECRET}".replace(f"={SECRET}&", "=1&"),
        ],
    )
    def test_show_no_signature(self, words: str) -> None:
        for around in (words, f"before {words} after", f"{words}{words}", "x" * 250 + words):
            assert SECRET not in readable(around, 300)

    @many
    @given(st.integers(0, 2500), st.sampled_from(["?Signature=", "?a=b&sig=", "?"]))
    def test_show_no_signature_wherever_they_are_cut(self, at: int, query: str) -> None:
        words = "y" * at + " https://storage.ollang.com/a.srt" + query + SECRET + " more"
        assert SECRET[:4] not in readable(words, 300)

    @pytest.mark.parametrize(
        "piece", ["://", "?", "signature", "a://b", "sig=", "token-", "://a?b ", "key=" * 3, "-x-"]
    )
    def test_take_no_time_to_read_however_long(self, piece: str) -> None:
        # A search that goes back and forth over millions of characters would not end within the time of any test run.
        assert 0 < len(readable(piece * 1_000_000, 300)) <= 300
