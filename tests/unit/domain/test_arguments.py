"""Reading arguments: order ids, durations, counts, names and statuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider_ollang.domain.arguments import (
    LONGEST_TIMEOUT,
    is_same_id,
    nearest_name,
    parse_count,
    parse_names,
    parse_order_id,
    parse_seconds,
    parse_timeout,
    require_count,
    require_no_misspelt_status,
    unknown_statuses,
)
from airflow_provider_ollang.domain.orders import KNOWN_STATUSES
from airflow_provider_ollang.exceptions import OllangConfigurationError

ID = "60b8d6f1e1b9b1d8c6c0d8e1"
LINK = "https://files.example/a.vtt?Signature=canary-signature"
ORDER = {"name": "Sample", "vttUrl": LINK, "orderDocs": [{"id": "doc", "url": LINK}]}

# --- Order ids ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (ID, ID),
        (f" {ID}\n", ID),
        ("order_1.a~b", "order_1.a~b"),
        (123, "123"),
        (0, "0"),
        ({"order_id": ID, "id": "another"}, ID),
        ({"order_id": f" {ID} "}, ID),
        ({"id": 123}, "123"),
        (MappingProxyType({"id": ID, "status": "completed", "orderDocs": [{"id": "doc"}]}), ID),
        *((text, text) for text in ("...", "none", "a/b", "%2e%2e", "single}", "订单-ü", "\U0001f3ac")),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_order_id_is_taken_from_text_number_or_mapping(value: object, expected: str) -> None:
    assert parse_order_id(value) == expected


class Task:
    """A task, as far as it shows that it is one."""

    task_id = "check"
    output = object()


#: What is no order id, and a word of the advice.
NO_IDS: list[tuple[Any, str]] = [
    (None, "upstream"),
    *((value, "order_id") for value in (True, 1.5, ID.encode(), object, 2**64)),
    *((value, r"\.expand\(order_id=") for value in ([ID], {ID}, (ID,), f"{ID}, {ID}", "Documentary - Episode 1")),
    (Task(), r"`task\.output`"),
    *((value, "no Ollang order id") for value in ("None", "", " \t\n", ".", " .. ")),
    *((f"order{character}id", "no Ollang order id") for character in "\0\n\r\t\x1b\x7f\x85\ud800"),
    *((value, "template") for value in ("{{ params.order_id }}", "order-{{", {"order_id": "{{ ds }}"})),
    ({}, "without 'order_id' or 'id'"),
    ({"name": "Pilot"}, r"it has the keys \['name'\]"),
    *(({"order_id": value}, "order_id") for value in (None, "", [ID], {"id": ID}, True)),
    # Nothing in one place is not something in the other.
    ({"order_id": None, "id": ID}, "order_id"),
    *(
        (value, r"task\.output")
        for value in (str({"id": ID}), json.dumps({"id": ID, "url": LINK}, indent=2), f"[{ID}]")
    ),
]


@pytest.mark.parametrize(("value", "advice"), NO_IDS, ids=lambda value: ascii(value)[:30])
def test_other_order_id_is_refused_with_advice(value: object, advice: str) -> None:
    with pytest.raises(OllangConfigurationError, match=advice) as caught:
        parse_order_id(value)
    text = str(caught.value)
    text.encode()
    assert "order_id" in text
    assert "\n" not in text
    assert "canary" not in text
    assert len(text) < 500


@pytest.mark.parametrize(
    "value",
    [
        LINK,
        LINK.replace("https", "http"),
        {"id": LINK},
        "s3://bucket/canary-path/a.vtt?Signature=canary-signature",
        "files.example/a.vtt?X-Amz-Signature=canary-signature",
        "a.vtt?canary-signature",
        "//files.example/canary-path",
        quote(LINK, safe=""),
        quote(quote(quote(LINK, safe=""), safe=""), safe=""),
        "file:/canary-path/a.vtt",
        "data:,canary",
        quote("data:text/plain,canary", safe=""),
        "a.vtt&sig=canary-signature",
        LINK.replace("?", "%3f").replace("://", "%3A//"),
        "Expires=1&Signature=canary-signature",
        "https://me:canary-password@files.example/a.vtt",
        "https://files.example/canary-path/a.vtt\n?Signature=canary-signature",
        f"{{{{ x }}}} {LINK}",
    ],
)
def test_url_as_order_id_is_refused_and_not_shown(value: object) -> None:
    with pytest.raises(OllangConfigurationError, match=r"order_id is a URL .*nothing was sent") as caught:
        parse_order_id(value)
    assert "canary" not in str(caught.value) + repr(vars(caught.value))


def test_url_as_order_id_is_named_by_its_host() -> None:
    with pytest.raises(OllangConfigurationError, match=r"\('https://files.example/…'\)"):
        parse_order_id(LINK)


@pytest.mark.parametrize("value", [[ORDER], (ORDER,), str(ORDER), json.dumps(ORDER), {"id": ORDER}], ids=lambda _: "")
def test_order_as_order_id_is_refused_without_its_links(value: object) -> None:
    with pytest.raises(OllangConfigurationError) as caught:
        parse_order_id(value)
    assert "canary-signature" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (ID, ID, True),
        (ID.upper(), ID, True),
        (ID, ID.upper(), True),
        (ID[:-1], ID[:-1].upper(), False),
        ("proj_ABC", "proj_abc", False),
        ("5", 5, True),
        (ID, None, False),
    ],
)
def test_order_ids_differ_by_case_unless_hexadecimal(one: object, other: object, same: bool) -> None:
    assert is_same_id(one, other) is same


# --- Numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(0, 0.0), (30, 30.0), (0.25, 0.25), (10**12, 1e12), (timedelta(days=7, milliseconds=1), 604800.001)],
)
def test_seconds_are_a_number_or_timedelta(value: float | timedelta, seconds: float) -> None:
    parsed = parse_seconds("stale_timeout", value)
    assert parsed == seconds
    assert type(parsed) is float


NO_SECONDS: list[Any] = [-1, -0.001, timedelta(seconds=-1), float("nan"), float("inf"), 10**400]
NO_SECONDS += [True, None, "30", "", Decimal(30), [30], {}]


@pytest.mark.parametrize("parse", [parse_seconds, parse_timeout])
@pytest.mark.parametrize("value", NO_SECONDS, ids=lambda value: repr(value)[:20])
def test_other_seconds_are_refused_by_name(parse: Callable[[str, Any], float], value: Any) -> None:
    with pytest.raises(OllangConfigurationError, match="stale_timeout"):
        parse("stale_timeout", value)


@pytest.mark.parametrize("value", [10**12, timedelta.max, LONGEST_TIMEOUT + 1], ids=str)
def test_timeout_beyond_any_date_is_ten_years(value: Any) -> None:
    assert parse_timeout("timeout", value) == LONGEST_TIMEOUT == 3650 * 86400
    assert parse_timeout("timeout", 60) == 60.0


@pytest.mark.parametrize("value", [1, 50, "7", " 50\n"])
def test_count_is_a_whole_number_in_range(value: Any) -> None:
    assert parse_count("take", value, 1, 50) == int(value)


@pytest.mark.parametrize("value", [0, 51, "0", "51", "-1", "1.5", "", "ten", "9" * 5000, 1.0, True, None, [1]])
def test_other_count_is_refused_by_name(value: Any) -> None:
    with pytest.raises(OllangConfigurationError, match="take must be a whole number from 1 to 50"):
        parse_count("take", value, 1, 50)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3", None])
def test_number_of_times_is_from_1(value: Any) -> None:
    assert require_count("max_reschedules", 1) == 1
    with pytest.raises(OllangConfigurationError, match="max_reschedules must be a number from 1"):
        require_count("max_reschedules", value)


# --- Names and statuses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("completed", ["completed"]),
        ("  completed ,\n delivered\t", ["completed", "delivered"]),
        ("completed,delivered,completed", ["completed", "delivered"]),
        (("delivered", " completed ", "completed"), ["delivered", "completed"]),
        (frozenset({"completed"}), ["completed"]),
        ({"status": "ignored"}, ["status"]),
        # Its own repr is an address, and xdist wants the same names in each process.
        pytest.param(iter(["completed", "delivered"]), ["completed", "delivered"], id="iterator"),
        (["with, comma"], ["with, comma"]),
    ],
    ids=repr,
)
def test_names_are_a_collection_or_text(value: Any, names: list[str]) -> None:
    assert parse_names("fields", value) == names


@pytest.mark.parametrize(
    "value", ["", ",", "completed,", "a,,b", [], set(), ["a", " "], [None], ["a", 1], None, 5, b"ab"]
)
def test_other_names_are_refused_by_name(value: Any) -> None:
    with pytest.raises(OllangConfigurationError, match=r"^fields must be one or more names") as caught:
        parse_names("fields", value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("status", "near"),
    [
        ("COMPLETED", "completed"),
        ("complete", "completed"),
        ("deliverd", "delivered"),
        ("canceled", "cancelled"),
        ("fail", "failed"),
        ("waiting_for_subtitle", "waitingForSubtitle"),
        ("readyToSend", "readyToSent"),
        ("xyz", None),
        ("", None),
    ],
)
def test_unknown_status_comes_with_the_nearest_known(status: str, near: str | None) -> None:
    assert unknown_statuses(["zzz", "completed", status, "zzz"]) == {"zzz": None, status: near}
    assert unknown_statuses(KNOWN_STATUSES) == {}


@pytest.mark.parametrize(
    ("status", "near"),
    [
        ("Completed", "completed"),
        ("complete", "completed"),
        ("deliverd", "delivered"),
        ("canceled", "cancelled"),
        ("quality_check", "qualityCheck"),
        ("waiting for CC", "waitingForCC"),
    ],
)
def test_misspelt_status_is_refused_with_the_right_one(status: str, near: str) -> None:
    for value in ([status], f"review, {status}", {status}):
        with pytest.raises(OllangConfigurationError, match=rf"^targets names '{status}'.*did you mean '{near}'"):
            require_no_misspelt_status("targets", value)


@pytest.mark.parametrize(
    "value", [["published"], "inReview", ["reviewed", "completed"], "{{ x }}", ["{{ Completed }}"]]
)
def test_unknown_status_and_template_are_let_through(value: Any) -> None:
    require_no_misspelt_status("targets", value)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Fluencie", "Fluency"),
        ("culturalfit", "Cultural Fit"),
        ("CULTURAL-FITT", "Cultural Fit"),
        ("Price", None),
        ("", None),
    ],
)
def test_nearest_name_ignores_case_spaces_and_hyphens(name: str, nearest: str | None) -> None:
    assert nearest_name(name, ["Fluency", "Cultural Fit", "Tone"], cutoff=0.8) == nearest
