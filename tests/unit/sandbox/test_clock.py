"""The clock by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_ollang.sandbox import SandboxError
from airflow_provider_ollang.sandbox.clock import Clock, as_datetime, http_date, iso, parse_iso

if TYPE_CHECKING:
    from collections.abc import Callable


class RealTime:
    """Real time that tests move."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def real() -> RealTime:
    return RealTime()


@pytest.mark.parametrize("speed", [0, 0.5, 1, 60])
def test_speed(real: RealTime, speed: float) -> None:
    clock = Clock(speed, real)
    assert clock.now() == 1_000_000
    real.seconds += 10
    assert clock.now() == 1_000_000 + 10_000 * speed


def test_a_new_speed_counts_from_now_on(real: RealTime) -> None:
    clock = Clock(1, real)
    real.seconds += 10
    clock.set_speed(100)
    real.seconds += 1
    clock.set_speed(0)
    real.seconds += 1_000
    assert clock.now() == 1_000_000 + 10_000 + 100_000


def test_advances_add_up_exactly(real: RealTime) -> None:
    clock = Clock(0, real)
    for _ in range(1_000):
        clock.advance(0.1)
    assert clock.now() == 1_100_000


def test_when_a_moment_was_reached(real: RealTime) -> None:
    clock = Clock(2, real)
    real.seconds += 5
    clock.advance(100)
    real.seconds += 5
    clock.set_speed(0)
    real.seconds += 5
    clock.advance(10)
    real.seconds += 5
    reached = {
        1_000_000: 1_000_000,
        1_006_000: 1_003_000,
        1_010_000: 1_005_000,
        1_050_000: 1_005_000,  # passed over by the first jump
        1_110_000: 1_005_000,
        1_118_000: 1_009_000,
        1_120_000: 1_010_000,
        1_125_000: 1_015_000,  # passed over by the second
        1_130_000: 1_015_000,
    }
    assert {moment: clock.real_time_of(moment) for moment in reached} == reached


@pytest.mark.parametrize(
    "wrong",
    [
        lambda clock: clock.advance(-0.001),
        lambda clock: clock.advance(float("nan")),
        lambda clock: clock.advance(float("inf")),
        lambda clock: clock.set_speed(-1),
        lambda clock: clock.set_speed(float("nan")),
        lambda clock: [clock.advance(3e8) for _ in range(1_000)],
        lambda _: Clock(-1),
    ],
)
def test_senseless_times_are_refused(real: RealTime, wrong: Callable[[Clock], object]) -> None:
    clock = Clock(0, real)
    with pytest.raises(SandboxError):
        wrong(clock)
    iso(clock.now())


def test_how_moments_are_written() -> None:
    assert iso(1_705_314_645_511) == "2024-01-15T10:30:45.511Z"
    assert iso(1_705_314_645_000) == "2024-01-15T10:30:45.000Z"
    assert http_date(1_705_314_645_999) == "Mon, 15 Jan 2024 10:30:45 GMT"
    assert as_datetime(1_705_314_645_511).isoformat() == "2024-01-15T10:30:45.511000+00:00"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-15T10:30:45.511Z", 1_705_314_645_511),
        ("2024-01-15T11:30:45.511+01:00", 1_705_314_645_511),
        ("2024-01-15T10:30:45", 1_705_314_645_000),
        ("2024-01-15", 1_705_276_800_000),
        ("yesterday", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_how_times_are_read(text: object, moment: int | None) -> None:
    assert parse_iso(text) == moment


def test_a_clock_that_stood_still_from_the_start(real: RealTime) -> None:
    clock = Clock(0, real)
    real.seconds += 5
    clock.advance(10)
    assert [clock.real_time_of(moment) for moment in (1_000_000, 1_000_001, 1_010_000)] == [
        1_000_000,
        1_005_000,
        1_005_000,
    ]
