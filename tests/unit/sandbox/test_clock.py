"""The clock by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_provider_ollang.sandbox import SandboxError
from airflow_provider_ollang.sandbox.clock import Clock, parse_iso, to_datetime, to_http_date, to_iso


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


def test_new_speed_counts_from_now_on(real: RealTime) -> None:
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
def test_wrong_times_are_refused(real: RealTime, wrong: Callable[[Clock], object]) -> None:
    clock = Clock(0, real)
    with pytest.raises(SandboxError):
        wrong(clock)
    to_iso(clock.now())


def test_moments_are_written() -> None:
    assert to_iso(1_705_314_645_511) == "2024-01-15T10:30:45.511Z"
    assert to_iso(1_705_314_645_000) == "2024-01-15T10:30:45.000Z"
    assert to_http_date(1_705_314_645_999) == "Mon, 15 Jan 2024 10:30:45 GMT"
    assert to_datetime(1_705_314_645_511).isoformat() == "2024-01-15T10:30:45.511000+00:00"


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
def test_times_are_parsed(text: object, moment: int | None) -> None:
    assert parse_iso(text) == moment
