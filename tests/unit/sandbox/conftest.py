from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_ollang.sandbox import Sandbox

from .client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ollang() -> Iterator[Sandbox]:
    """Give a sandbox whose clock stands still: tests move it."""
    with Sandbox(speed=0) as sandbox:
        yield sandbox


@pytest.fixture
def client(ollang: Sandbox) -> Iterator[Client]:
    with Client(ollang) as client:
        yield client
