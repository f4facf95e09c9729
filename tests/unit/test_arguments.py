"""Reading the arguments of operators and sensors."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_ollang.domain.arguments import nearest_name, parse_names, parse_seconds, unknown_statuses
from airflow_provider_ollang.domain.orders import KNOWN_STATUSES
from airflow_provider_ollang.exceptions import OllangConfigurationError


class TestSeconds:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (0, 0.0),
            (0.0, 0.0),
            (30, 30.0),
            (0.25, 0.25),
            (10**12, 1e12),
            (timedelta(0), 0.0),
            (timedelta(minutes=2), 120.0),
            (timedelta(days=7, milliseconds=1), 604800.001),
        ],
    )
    def test_may_be_a_number_or_a_timedelta(self, value: float | timedelta, seconds: float) -> None:
        read = parse_seconds("stale_timeout", value)
        assert read == seconds
        assert type(read) is float

    @pytest.mark.parametrize(
        "value",
        [
            -1,
            -0.001,
            timedelta(seconds=-1),
            float("nan"),
            float("inf"),
            float("-inf"),
            10**400,
            True,
            False,
            None,
            "30",
            "",
            Decimal(30),
            [30],
            {},
        ],
        ids=lambda value: repr(value)[:20],
    )
    def test_nothing_else_may(self, value: Any) -> None:
        with pytest.raises(OllangConfigurationError, match="stale_timeout"):
            parse_seconds("stale_timeout", value)


class TestNames:
    @pytest.mark.parametrize(
        ("value", "names"),
        [
            ("completed", ["completed"]),
            ("completed,delivered", ["completed", "delivered"]),
            ("  completed ,\n delivered\t", ["completed", "delivered"]),
            ("completed,delivered,completed", ["completed", "delivered"]),
            (["delivered", "completed"], ["delivered", "completed"]),
            (("completed", " completed "), ["completed"]),
            ({"completed"}, ["completed"]),
            (frozenset({"completed"}), ["completed"]),
            ({"status": "ignored"}, ["status"]),
            # Its own repr is an address, and xdist wants the same names in each process.
            pytest.param(iter(["completed", "delivered"]), ["completed", "delivered"], id="iterator"),
            (["with, comma"], ["with, comma"]),
        ],
        ids=repr,
    )
    def test_may_be_a_collection_or_a_text(self, value: Any, names: list[str]) -> None:
        assert parse_names("fields", value) == names

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "  ",
            ",",
            "completed,",
            ",completed",
            "a,,b",
            [],
            (),
            set(),
            [""],
            ["a", " "],
            [None],
            ["a", 1],
            None,
            5,
            b"ab",
        ],
        ids=repr,
    )
    def test_nothing_else_may(self, value: Any) -> None:
        with pytest.raises(OllangConfigurationError, match=r"^fields must be one or more names") as caught:
            parse_names("fields", value)
        assert repr(value) in str(caught.value)


class TestUnknownStatuses:
    @pytest.mark.parametrize(
        ("status", "near"),
        [
            ("Completed", "completed"),
            ("COMPLETED", "completed"),
            ("complete", "completed"),
            ("deliverd", "delivered"),
            ("canceled", "cancelled"),
            ("fail", "failed"),
            ("waitingforcc", "waitingForCC"),
            ("waiting_for_subtitle", "waitingForSubtitle"),
            ("readyToSend", "readyToSent"),
            ("quality_check", "qualityCheck"),
            ("xyz", None),
            ("", None),
        ],
    )
    def test_come_with_the_known_one_they_resemble_most(self, status: str, near: str | None) -> None:
        assert unknown_statuses([status]) == {status: near}

    def test_known_ones_are_not_among_them(self) -> None:
        assert unknown_statuses(KNOWN_STATUSES) == {}
        assert unknown_statuses([]) == {}

    def test_are_given_once_in_their_order(self) -> None:
        assert list(unknown_statuses(["zzz", "completed", "aaa", "zzz"])) == ["zzz", "aaa"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Fluencie", "Fluency"),
        ("culturalfit", "Cultural Fit"),
        ("CULTURAL-FITT", "Cultural Fit"),
        ("Tone", "Tone"),
        ("Price", None),
        ("", None),
    ],
)
def test_nearest_name_ignores_case_spaces_and_hyphens(name: str, nearest: str | None) -> None:
    assert nearest_name(name, ["Fluency", "Cultural Fit", "Tone"], cutoff=0.8) == nearest
