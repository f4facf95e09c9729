"""What goes wrong on the way, and passes: faults of the sandbox's file host, and expired links."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_ollang import _clock
from airflow_provider_ollang.exceptions import (
    OllangPermanentError,
    OllangUnavailableError,
)
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox
from airflow_provider_ollang.transfers import _plan
from airflow_provider_ollang.transfers import ollang_to_object_storage as operators
from airflow_provider_ollang.transfers._file_host import FileHost
from tests.integration.transfers.conftest import Deliver
from tests.integration.transfers.faults import SIZE, assert_only_whole, failed, fault, looks, order_of, requests_of
from tests.integration.transfers.places import Place

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
