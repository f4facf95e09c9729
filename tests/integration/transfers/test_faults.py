"""What goes wrong on the way: every fault of the sandbox's file host, and of the store."""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import logging
from typing import Any

import pytest

from airflow_provider_ollang import _clock
from airflow_provider_ollang.exceptions import (
    OllangConfigurationError,
    OllangError,
    OllangPermanentError,
    OllangRateLimitError,
    OllangTransientError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import SIGNATURE, Sandbox
from airflow_provider_ollang.transfers import _plan
from airflow_provider_ollang.transfers import ollang_to_object_storage as operators
from airflow_provider_ollang.transfers._file_host import FileHost
from tests.integration.conftest import Run
from tests.integration.transfers.conftest import Deliver
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


# --- What passes --------------------------------------------------------------------------------------------------

PASSING: dict[str, tuple[dict[str, Any], dict[str, Any], list[int | None]]] = {
    "cut": ({"drop": "body"}, {}, [200, 206]),
    "cut, and the rest is cut too": ({"drop": "body", "times": 3}, {}, [200, 206, 206, 206]),
    "cut, and no parts are given": ({"drop": "body"}, {"no_ranges": ["*"]}, [200, 200]),
    "no answer": ({"drop": "before", "times": 2}, {}, [None, None, 200]),
    "answer lost": ({"drop": "after"}, {}, [None, 200]),
    "busy": ({"status": 503, "times": 2}, {}, [503, 503, 200]),
    "too many requests": ({"status": 429, "headers": {"Retry-After": "40"}}, {}, [429, 200]),
    "an empty file": ({"body": ""}, {}, [200, 200]),
    "a page": ({"generate": "html"}, {}, [200, 200]),
    "a page said to be a file": (
        {"body": "  <!DOCTYPE html><html>", "headers": {"Content-Type": "video/mp4"}},
        {},
        [200, 200],
    ),
    "a shorter file": ({"body": "short", "headers": {"Content-Type": "video/mp4"}}, {}, [200, 200]),
    "told shorter than it is": ({"headers": {"Content-Length": "1000"}}, {}, [200, 200]),
    "told longer than it is": ({"headers": {"Content-Length": str(SIZE + 1)}}, {}, [200, 200]),
    "packed": ({"delay": 0.01}, {"gzipped": ["*"]}, [200]),
    "packed and cut": ({"drop": "body"}, {"gzipped": ["*"]}, [200, 200]),
    "refused once": ({"status": 403}, {}, [403, 200]),
    "missing once": ({"status": 404}, {}, [404, 200]),
    "gone once": ({"status": 410}, {}, [410, 200]),
    "expired, as Google says it": ({"status": 400}, {}, [400, 200]),
    "no content": ({"status": 204}, {}, [204, 200]),
    "a part unasked": ({"status": 206, "body": "x", "headers": {"Content-Type": "video/mp4"}}, {}, [206, 200]),
    "slow": ({"rate": 20_000_000}, {}, [200]),
}


@pytest.mark.parametrize("what", PASSING)
def test_faults_that_pass(ollang: Sandbox, deliver: Deliver, strict: Place, what: str) -> None:
    do, behaviour, statuses = PASSING[what]
    order_id = order_of(ollang, **behaviour)
    fault(ollang, **do)
    run = deliver(strict.url, order_id=order_id)
    assert run.errors == {}
    assert requests_of(ollang) == statuses
    (file,) = run.results["deliver"]["files"]
    assert file["sha256"] == ollang.content(order_id, "a").sha256()
    assert_only_whole(ollang, order_id, strict, 1)


PAGE = "<!DOCTYPE html><html><body>Log in</body></html>"


@pytest.mark.parametrize(
    "do",
    [
        {"body": PAGE, "headers": {"Content-Type": "text/vtt"}},
        {"body": PAGE + " " * 2000, "headers": {"Content-Type": "text/vtt"}},
        {"body": "Please log in", "headers": {"Content-Type": "text/html; charset=utf-8"}},
        {"body": "", "headers": {"Content-Type": "text/vtt"}},
        {"drop": "body"},
    ],
)
def test_a_file_whose_size_no_order_tells(ollang: Sandbox, deliver: Deliver, strict: Place, do: dict[str, Any]) -> None:
    order_id = ollang.add_order(type="subtitle")
    fault(ollang, "vttUrl", **do)
    run = deliver(strict.url, order_id=order_id, document_types="vtt")
    assert run.errors == {}
    assert len(requests_of(ollang, "vttUrl")) == 2
    (file,) = run.results["deliver"]["files"]
    assert file["sha256"] == ollang.content(order_id, "vttUrl").sha256()
    assert len(strict.files()) == 1


def test_a_broken_off_download_goes_on_where_it_was(ollang: Sandbox, deliver: Deliver, any_place: Place) -> None:
    order_id = order_of(ollang, size=20_000_000)
    fault(ollang, drop="body", times=2)
    run = deliver(any_place.url, order_id=order_id)
    assert requests_of(ollang) == [200, 206, 206]
    assert run.results["deliver"]["files"][0]["sha256"] == ollang.content(order_id, "a").sha256()
    assert list(any_place.files()) == [f"{order_id}/a.mp4"]


def test_progress_makes_up_for_failures(ollang: Sandbox, deliver: Deliver, strict: Place) -> None:
    order_id = order_of(ollang, size=1_000_000_000 >> 2)
    fault(ollang, drop="body", times=7)
    assert deliver(strict.url, order_id=order_id).errors == {}
    assert requests_of(ollang) == [200, *[206] * 7]


def test_a_file_that_changes_while_it_is_brought(
    ollang: Sandbox, deliver: Deliver, strict: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of another version is no part of this one."""
    order_id = order_of(ollang, outputs="in_place")
    fault(ollang, drop="body")
    ollang.rerun_order(order_id)

    def sleep(seconds: float) -> None:
        ollang.advance(40)

    monkeypatch.setattr(_clock, "sleep", sleep)
    run = deliver(strict.url, order_id=order_id)
    assert run.errors == {}
    assert requests_of(ollang)[:2] == [200, 200]
    assert_only_whole(ollang, order_id, strict, 1)
    assert run.results["deliver"]["files"][0]["sha256"] == ollang.content(order_id, "a").sha256()


@pytest.mark.parametrize(
    ("first", "then", "answers"),
    [
        ({"ETag": '"one"'}, {"ETag": '"another"'}, [200, 206, 200]),
        ({"ETag": '"one"'}, {}, [200, 206, 200]),
        ({"ETag": '""'}, {"ETag": '""'}, [200, 200]),
        ({"ETag": 'W/"one"', "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"}, {}, [200, 206]),
        (
            {"Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT"},
            {"Last-Modified": "Sun, 06 Nov 1994 08:49:38 GMT"},
            [200, 206, 200],
        ),
    ],
)
def test_the_host_says_of_which_version_the_rest_is(
    ollang: Sandbox,
    deliver: Deliver,
    strict: Place,
    monkeypatch: pytest.MonkeyPatch,
    first: dict[str, str],
    then: dict[str, str],
    answers: list[int],
) -> None:
    """Not every host heeds the condition under which it is asked for."""
    order_id = order_of(ollang)
    fault(ollang, drop="body")
    opened = FileHost.open

    def careless(self: FileHost, link: str, headers: dict[str, str]) -> Any:
        response = opened(self, link, {name: value for name, value in headers.items() if name != "If-Range"})
        for name in ("ETag", "Last-Modified"):
            response.headers.pop(name, None)
        response.headers.update(then if response.status_code == 206 else first)
        return response

    monkeypatch.setattr(FileHost, "open", careless)
    assert deliver(strict.url, order_id=order_id).errors == {}
    assert requests_of(ollang) == answers
    assert_only_whole(ollang, order_id, strict, 1)


# --- Links --------------------------------------------------------------------------------------------------------


def test_expired_links_are_renewed_once_for_all(
    ollang: Sandbox, deliver: Deliver, strict: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"f{number}" for number in range(6)]
    order_id = order_of(ollang, *names, sign_links=True, link_lifetime=60)
    planned = _plan.plan

    def late(*arguments: Any) -> Any:
        ollang.advance(100)
        return planned(*arguments)

    monkeypatch.setattr(operators, "plan", late)
    run = deliver(strict.url, order_id=order_id)
    assert run.errors == {}
    assert looks(ollang, order_id) == 2
    assert_only_whole(ollang, order_id, strict, 6)


def test_a_link_that_is_refused_again(ollang: Sandbox, deliver: Deliver, strict: Place) -> None:
    order_id = order_of(ollang)
    fault(ollang, status=403, times=None)
    failed(deliver(strict.url, order_id=order_id), OllangUnavailableError, "403", "'a'")
    assert requests_of(ollang) == [403, 403]
    assert looks(ollang, order_id) == 2
    assert_only_whole(ollang, order_id, strict, 0)


def test_a_document_that_is_gone_when_its_link_expired(
    ollang: Sandbox, deliver: Deliver, strict: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = order_of(ollang, "a", "b")
    fault(ollang, status=403)
    planned = _plan.plan

    def late(*arguments: Any) -> Any:
        found = planned(*arguments)
        ollang.change_order(order_id, orderDocs=[])
        return found

    monkeypatch.setattr(operators, "plan", late)
    run = deliver(strict.url, order_id=order_id, max_files_at_once=1)
    failed(run, OllangUnavailableError, "no longer lists")
    assert requests_of(ollang, "b") == []
    assert looks(ollang, order_id) == 2


def test_redirects_are_followed(ollang: Sandbox, deliver: Deliver, strict: Place) -> None:
    order_id = order_of(ollang, "a", "b")
    documents = OllangHook().get_order(order_id)["orderDocs"]
    target = next(one["url"] for one in documents if one["id"] == "b")
    fault(ollang, redirect=target)
    run = deliver(strict.url, order_id=order_id, document_types="translation")
    assert run.errors == {}
    first = next(one for one in run.results["deliver"]["files"] if one["document_id"] == "a")
    assert first["sha256"] == ollang.content(order_id, "b").sha256()
    assert [entry.key_sent for entry in ollang.request_log if entry.host == "files"] == [False] * 3


@pytest.mark.parametrize("target", ["ftp://host/file?Signature=x", "file:///etc/passwd", "http://files.example/a?b=c"])
def test_redirects_to_where_nothing_is_fetched_from(
    ollang: Sandbox, deliver: Deliver, strict: Place, target: str
) -> None:
    order_id = order_of(ollang)
    fault(ollang, redirect=target, times=None)
    failed(deliver(strict.url, order_id=order_id), OllangPermanentError, "https only")
    assert_only_whole(ollang, order_id, strict, 0)


def test_redirects_without_end(ollang: Sandbox, deliver: Deliver, strict: Place) -> None:
    order_id = order_of(ollang)
    fault(ollang, redirect="a.mp4", times=None)
    failed(deliver(strict.url, order_id=order_id), OllangUnavailableError)


def test_over_tls_no_unencrypted_link_is_followed(
    deliver: Deliver, strict: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox(tls=True) as ollang:
        monkeypatch.setenv("AIRFLOW_CONN_OLLANG_DEFAULT", ollang.connection_json)
        order_id = order_of(ollang, size=2_000_000)
        assert deliver(strict.url, order_id=order_id).errors == {}
        assert_only_whole(ollang, order_id, strict, 1)
        fault(ollang, redirect="http://127.0.0.1:9/a", times=None)
        failed(deliver(strict.url, order_id=order_id), OllangPermanentError, "https only")


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
