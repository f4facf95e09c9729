"""What goes wrong for good: at the file host, and in the store."""

from __future__ import annotations

import errno
import gzip
import json
import logging
from typing import Any

import pytest

from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangPermanentError,
    OllangRateLimitError,
    OllangTransientError,
    OllangUnavailableError,
)
from airflow_provider_ollang.sandbox import SIGNATURE, Sandbox
from tests.integration.transfers.conftest import Deliver
from tests.integration.transfers.faults import SIZE, assert_only_whole, failed, fault, looks, order_of, requests_of
from tests.integration.transfers.places import Place

# --- What does not pass -------------------------------------------------------------------------------------------

LASTING: dict[str, tuple[dict[str, Any], type[OllangError], str]] = {
    "always cut": ({"drop": "body"}, OllangUnavailableError, "5 attempts"),
    "always an error": ({"status": 500}, OllangUnavailableError, "500"),
    "always a page": ({"generate": "html"}, OllangUnavailableError, "web page"),
    "always empty": ({"body": ""}, OllangUnavailableError, "empty"),
    "too many requests for long": (
        {"status": 429, "headers": {"Retry-After": "4000"}},
        OllangRateLimitError,
        "429",
    ),
    "encoded as nobody knows": ({"headers": {"Content-Encoding": "br"}}, OllangPermanentError, "'br'"),
}


@pytest.mark.parametrize("what", LASTING)
def test_faults_that_last(ollang: Sandbox, deliver: Deliver, strict: Place, what: str) -> None:
    do, kind, words = LASTING[what]
    order_id = order_of(ollang, "a", "b", size=40_000)
    fault(ollang, **do, times=None)
    error = failed(deliver(strict.url, order_id=order_id, max_files_at_once=1), kind, words, "'a'", order_id)
    assert getattr(error, "retry_after", None) == (4000 if kind is OllangRateLimitError else None)
    # Another file is not kept by a passing failure; one for good ends the task at once.
    assert_only_whole(ollang, order_id, strict, 0 if kind is OllangPermanentError else 1)


def test_a_host_that_says_nothing(
    ollang: Sandbox, deliver: Deliver, strict: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {**ollang.connection, "extra": {"timeout": 1, "max_attempts": 2}}
    monkeypatch.setenv("AIRFLOW_CONN_OLLANG_DEFAULT", json.dumps(connection))
    order_id = order_of(ollang)
    fault(ollang, delay=30, times=None)
    failed(deliver(strict.url, order_id=order_id), OllangUnavailableError, "2 attempts")


@pytest.mark.parametrize("off", [-10, 10])
@pytest.mark.parametrize("told", [True, False])
def test_a_size_that_is_wrong_for_good(ollang: Sandbox, deliver: Deliver, strict: Place, off: int, told: bool) -> None:
    """Told: its length is known before it comes; else it is packed, and no host knows."""
    order_id = order_of(ollang, size=40_000, wrong_sizes=[["a", off]], gzipped=[] if told else ["a"])
    run = deliver(strict.url, order_id=order_id, retries=2)
    failed(run, OllangPermanentError, f"{40_000 + off} bytes", "on_size_mismatch")
    assert run.tries["deliver"] == 1
    assert requests_of(ollang) == [200, 200]
    assert looks(ollang, order_id) == 2
    assert_only_whole(ollang, order_id, strict, 0)
    run = deliver(strict.url, order_id=order_id, on_size_mismatch="deliver")
    assert run.results["deliver"]["bytes"] == 40_000
    assert_only_whole(ollang, order_id, strict, 1)


def test_an_empty_file_whose_packed_length_the_order_tells(ollang: Sandbox, deliver: Deliver, strict: Place) -> None:
    order_id = order_of(ollang, size=0, wrong_sizes=[["a", len(gzip.compress(b""))]], gzipped=["a"])
    failed(deliver(strict.url, order_id=order_id), OllangUnavailableError, "empty")
    assert_only_whole(ollang, order_id, strict, 0)


def test_a_wrong_size_needs_no_second_attempt(
    ollang: Sandbox, deliver: Deliver, strict: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = json.loads(ollang.connection_json)
    connection["extra"] = {**connection.get("extra", {}), "max_attempts": 1}
    monkeypatch.setenv("AIRFLOW_CONN_OLLANG_DEFAULT", json.dumps(connection))
    order_id = order_of(ollang, size=40_000, wrong_sizes=[["a", 1]])
    failed(deliver(strict.url, order_id=order_id), OllangPermanentError, "40001 bytes")
    run = deliver(strict.url, order_id=order_id, on_size_mismatch="deliver")
    assert run.results["deliver"]["bytes"] == 40_000


def test_a_passing_wrong_size_is_not_accepted(ollang: Sandbox, deliver: Deliver, strict: Place) -> None:
    """Only what a fresh order says, too, is delivered with ``on_size_mismatch="deliver"``."""
    order_id = order_of(ollang)
    fault(ollang, body="short", headers={"Content-Type": "video/mp4"})
    run = deliver(strict.url, order_id=order_id, on_size_mismatch="deliver")
    assert run.results["deliver"]["bytes"] == SIZE
    assert (requests_of(ollang), looks(ollang, order_id)) == ([200, 200], 2)
    assert_only_whole(ollang, order_id, strict, 1)


# --- The store ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["open", "write", "close", "cp_file"])
@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (PermissionError("no"), OllangConfigurationError),
        (OSError(errno.ENOSPC, "No space left on device"), OllangTransientError),
        (RuntimeError("https://store.example/?Signature=abc"), OllangTransientError),
    ],
)
def test_a_store_that_fails(
    ollang: Sandbox, deliver: Deliver, strict: Place, where: str, trouble: BaseException, kind: type[OllangError]
) -> None:
    order_id = order_of(ollang)
    strict.fs.fails = {where: trouble}
    error = deliver(strict.url, order_id=order_id).errors["deliver"]
    assert type(error) is kind
    assert "strict://delivered/here" in str(error)
    assert "abc" not in str(error)
    assert_only_whole(ollang, order_id, strict, 0)


def test_whoever_may_not_list_may_still_deliver(ollang: Sandbox, deliver: Deliver, strict: Place) -> None:
    order_id = order_of(ollang)
    strict.fs.fails = {"ls": PermissionError("no")}
    assert deliver(strict.url, order_id=order_id).errors == {}
    assert_only_whole(ollang, order_id, strict, 1)


def test_a_folder_that_is_in_the_way(ollang: Sandbox, deliver: Deliver, place: Place) -> None:
    order_id = order_of(ollang)
    place.fs.makedirs(f"{place.url.removeprefix('file://')}/{order_id}/a.mp4")
    error = deliver(place.url, order_id=order_id).errors["deliver"]
    assert isinstance(error, OllangConfigurationError)
    assert "a.mp4" in str(error)
    assert place.files() == {}


# --- Nothing secret is told ---------------------------------------------------------------------------------------


def test_no_link_is_logged(
    ollang: Sandbox,
    deliver: Deliver,
    strict: Place,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    order_id = order_of(ollang, "a", "b", "c", sign_links=True)
    fault(ollang, "a", drop="before", times=None)
    fault(ollang, "b", status=403, times=None)
    fault(ollang, "c", redirect="gopher://x/y?Signature=secret", times=None)
    # One after the other: the last one fails for good, and would end the others.
    run = deliver(strict.url, order_id=order_id, max_files_at_once=1)
    said = "".join(capfd.readouterr()) + repr(run.errors["deliver"]) + caplog.text
    assert "'a'" in said
    assert f"/integration/orders/{order_id}" in said
    assert "/b.mp4" not in said
    assert SIGNATURE not in said
    assert "secret" not in said
    assert ollang.api_key not in said
