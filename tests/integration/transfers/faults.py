"""Orders whose files fail on the way, and what came of it."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from airflow_provider_ollang.exceptions import (
    OllangError,
)
from airflow_provider_ollang.sandbox import SIGNATURE, Sandbox
from tests.integration.conftest import Run
from tests.integration.transfers.places import Place

SIZE = 3_000_000


def order_of(ollang: Sandbox, *names: str, size: int = SIZE, **behaviour: Any) -> str:
    files = [{"id": name, "name": f"{name}.mp4", "size": size} for name in names or ("a",)]
    return ollang.add_order(type="document", files=files, behaviour=behaviour)


def fault(ollang: Sandbox, document: str = "a", **arguments: Any) -> None:
    ollang.add_fault("GET", f"/files/*/{document}/*", **arguments)


def requests_of(ollang: Sandbox, document: str = "a") -> list[int | None]:
    return [one.status for one in ollang.requests("GET", f"/files/*/{document}/*")]


def looks(ollang: Sandbox, order_id: str) -> int:
    return len(ollang.requests("GET", f"/integration/orders/{order_id}"))


def assert_only_whole(ollang: Sandbox, order_id: str, strict: Place, delivered: int) -> None:
    """Assert that nothing was ever under a final name but the whole file, and that nothing else is left."""
    root = f"delivered/here/{order_id}/"
    final = [(path, content) for path, content in strict.fs.history if "/.ollang-" not in path]
    for path, content in final:
        document = path.removeprefix(root).removesuffix(".mp4")
        assert hashlib.sha256(content).hexdigest() == ollang.content(order_id, document).sha256(), path
    assert len(strict.files()) == delivered
    assert not [path for path in strict.files() if "/.ollang-" in path]


def failed(
    run: Run, kind: type[OllangError], *words: str, caplog: pytest.LogCaptureFixture | None = None
) -> OllangError:
    error = run.errors["deliver"]
    assert type(error) is kind, error
    for word in words:
        assert word in str(error)
    assert SIGNATURE not in str(error)
    assert error.order_id
    return error
