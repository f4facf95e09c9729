from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_ollang.sandbox import Sandbox

from .client import Client


@pytest.fixture
def ollang() -> Iterator[Sandbox]:
    """Give a sandbox whose clock stands still: tests move it."""
    with Sandbox(speed=0) as sandbox:
        yield sandbox


@pytest.fixture
def client(ollang: Sandbox) -> Iterator[Client]:
    with Client(ollang) as client:
        yield client
