"""A task whose clock moves only while it sleeps."""

from __future__ import annotations

import pytest

from airflow_provider_ollang import _clock
from tests.unit.runtime.submissions import Harness


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Harness:
    now = [0.0]
    monkeypatch.setattr(_clock, "now", lambda: now[0])
    monkeypatch.setattr(_clock, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return Harness()
