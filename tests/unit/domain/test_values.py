"""Single values of the API's JSON, each of any type, missing or null."""

from __future__ import annotations

import json
import string
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_ollang.domain.values import (
    only_mappings,
    parse_number,
    parse_score,
    parse_text,
    parse_time,
    plain_name,
    printable,
    readable,
)

SECRET = "c4na7y0123456789"
TIME = r"[012]\d{3}-[01]\d-[0-3]\d[T ][012]\d:[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[+-][01]\d:[0-5]\d)?"
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# --- Times --------------------------------------------------------------------------------------------------------

MORNING = datetime(2024, 1, 15, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-15T10:30:00Z", MORNING),
        ("2024-01-15T10:30:45.511Z", MORNING.replace(second=45, microsecond=511_000)),
        ("2024-01-15T10:30:45.123456789Z", MORNING.replace(second=45, microsecond=123_456)),
        ("2024-01-15 10:30:00.5", MORNING.replace(microsecond=500_000)),
        ("2024-01-15T12:30:00+02:00", MORNING),
        ("2024-01-15", MORNING.replace(hour=0, minute=0)),
        ("  2024-01-15T10:30:00Z\n", MORNING),
        ("0001-01-01T00:00:00+14:00", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
    ],
)
def test_time_is_iso_8601_and_aware(text: str, expected: datetime) -> None:
    parsed = parse_time(text)
    assert parsed == expected
    assert parsed is not None
    assert parsed.tzinfo is not None


NO_TIMES: list[Any] = [None, "", "   ", "yesterday", "2024-13-01T00:00:00Z", "2024-01-15T10:30:00Q", "1705314600"]
NO_TIMES += ["2024-01-15T10:30:00+99:00", "2024-01-15T10:\ud80030:00", 1705314600, 1.5, True, [], {}, MORNING]


@pytest.mark.parametrize("value", NO_TIMES, ids=repr)
def test_other_value_is_no_time(value: object) -> None:
    assert parse_time(value) is None


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
def test_time_without_zone_is_utc_on_any_machine(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        parsed = parse_time("2024-01-15T10:30:00")
    time.tzset()
    assert parsed == MORNING


@many
@given(st.text() | st.from_regex(TIME, fullmatch=True))
def test_any_text_is_an_aware_time_or_none(text: str) -> None:
    if (parsed := parse_time(text)) is not None:
        assert parsed.utcoffset() is not None
        assert isinstance(parsed > MORNING, bool)


# --- Numbers and texts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "score"),
    [(90, 90.0), (0, 0.0), (-3, -3.0), (92.5, 92.5), ("92.5", 92.5), (" 92 \n", 92.0), ("9e1", 90.0), ("-0", 0.0)],
)
def test_score_is_a_number_or_a_text_of_one(value: object, score: float) -> None:
    parsed = parse_score(value)
    assert parsed == score
    assert type(parsed) is float


NO_SCORES: list[Any] = [None, True, "", " ", "n/a", "90%", "90,5", "NaN", "-Infinity", [], {}, [90], b"90", 90j]
NO_SCORES += [float("nan"), float("-inf"), 10**400, "1e999", "9" * 400]


@pytest.mark.parametrize("value", NO_SCORES, ids=lambda value: repr(value)[:20])
def test_other_value_is_no_score(value: object) -> None:
    assert parse_score(value) is None


@many
@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers()))
def test_any_score_can_be_stored(value: object) -> None:
    json.dumps(parse_score(value), allow_nan=False)


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        ("eval_1", "eval_1", None),
        ("", "", None),
        ("5", "5", None),
        (7, "7", 7),
        (0, "0", 0),
        (1.5, None, 1.5),
        (True, None, None),
        (None, None, None),
        (["a"], None, None),
    ],
)
def test_text_may_be_a_whole_number_not_vice_versa(value: object, text: str | None, number: float | None) -> None:
    assert parse_text(value) == text
    assert parse_number(value) == number


@pytest.mark.parametrize("value", [None, {}, {"a": {"b": 1}}, "text", 5, ({"a": 1},), True])
def test_only_objects_of_a_list_are_given(value: object) -> None:
    assert list(only_mappings([{"a": 1}, None, "b", [{}], {}, 5, {"c": 2}])) == [{"a": 1}, {}, {"c": 2}]
    assert list(only_mappings(value)) == []


# --- Names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        *(
            (name, "culturalfit", True)
            for name in ("Cultural Fit", "CULTURAL_FIT", " cultural-\t fit\n", "_Cul-tural fit_")
        ),
        *((name, "culturalfit", False) for name in ("Cultural.Fit", "Cultural Fit 2", "Accuracy", "Culturalfits")),
        ("Straße", "STRASSE", True),
        ("Äccuracy", "äCCURACY", True),
        ("ΣΑΣ", "σας", True),
    ],
)
def test_names_compare_without_case_and_separators(one: str, other: str, same: bool) -> None:
    assert (plain_name(one) == plain_name(other)) is same


@many
@given(st.text(alphabet=string.ascii_letters + string.digits + "äßÉ.:", max_size=8), st.randoms(use_true_random=False))
def test_plain_name_survives_any_spelling(name: str, random: Any) -> None:
    spelling = random.choice([name, name.lower()])
    spelled = "".join(letter + random.choice(["", "", " ", "_", "-", "\t"]) for letter in spelling)
    assert plain_name(spelled) == plain_name(name) == plain_name(plain_name(name))


# --- Foreign text -------------------------------------------------------------------------------------------------


@many
@given(st.text())
def test_printable_text_is_one_line_that_can_be_written(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
    shown.encode()


@many
@given(st.text(max_size=200), st.integers(1, 100))
def test_readable_text_is_cut(text: str, longest: int) -> None:
    assert len(readable(text, longest)) <= longest


def test_readable_text_is_whole_if_short_enough() -> None:
    text = "Why? Because 1 = 1 & 2 > 1; see https://ollang.com/help#scores (page 3)"
    assert readable(text, len(text)) == text
    assert readable(text, len(text) - 1) == text[:-2] + "…"


@pytest.mark.parametrize(
    "text",
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
def test_readable_text_shows_no_signature(text: str) -> None:
    for around in (text, f"before {text} after", f"{text}{text}", "x" * 250 + text):
        assert SECRET not in readable(around, 300)


@many
@given(st.integers(0, 2500), st.sampled_from(["?Signature=", "?a=b&sig=", "?"]))
def test_readable_text_shows_no_signature_at_any_cut(at: int, query: str) -> None:
    text = "y" * at + " https://storage.ollang.com/a.srt" + query + SECRET + " more"
    assert SECRET[:4] not in readable(text, 300)


@pytest.mark.parametrize("piece", ["://", "?", "signature", "a://b", "sig=", "token-", "://a?b ", "key=" * 3, "-x-"])
def test_readable_text_takes_linear_time(piece: str) -> None:
    # A search that goes back and forth over millions of characters would not end within the time of any test run.
    assert 0 < len(readable(piece * 1_000_000, 300)) <= 300
