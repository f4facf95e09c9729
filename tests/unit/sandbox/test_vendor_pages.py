"""The sandbox says what the vendor's pages say, word for word."""

from __future__ import annotations

import pytest

from airflow_provider_ollang.sandbox import Sandbox

from . import vendor_pages
from .client import EXAMPLE_ID, FOREIGN_ID, Client, run_curl

OLLANG = "https://api-integration.ollang.com"


def test_curl_line_of_get(ollang: Sandbox) -> None:
    answer = run_curl(vendor_pages.CURL_GET, OLLANG, ollang.url, ollang.api_key)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.json() == vendor_pages.ORDER
    assert list(answer.json()) == list(vendor_pages.ORDER), "fields in the page's order"


def test_curl_line_of_rerun(ollang: Sandbox) -> None:
    answer = run_curl(vendor_pages.CURL_RERUN, OLLANG, ollang.url, ollang.api_key)
    assert (answer.status_code, answer.json()) == (200, vendor_pages.RERUN)
    assert ollang.order(EXAMPLE_ID)["reruns_accepted"] == 1


@pytest.mark.parametrize("command", [vendor_pages.CURL_GET, vendor_pages.CURL_RERUN])
def test_curl_lines_with_a_wrong_key(ollang: Sandbox, command: str) -> None:
    answer = run_curl(command, OLLANG, ollang.url, "wrong")
    assert (answer.status_code, answer.json()) == (401, vendor_pages.GET_ERRORS[401])


@pytest.mark.parametrize(("order_id", "status"), [("nobody", 404), (FOREIGN_ID, 403)])
def test_errors_have_the_words_of_the_pages(client: Client, order_id: str, status: int) -> None:
    answer = client.get(order_id)
    assert (answer.status_code, answer.json()) == (status, vendor_pages.GET_ERRORS[status])
    answer = client.rerun(order_id)
    assert (answer.status_code, answer.json()) == (status, vendor_pages.RERUN_ERRORS[status])


def test_ineligible_order(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(status="ongoing")
    answer = client.rerun(order_id)
    assert (answer.status_code, answer.json()) == (400, vendor_pages.RERUN_ERRORS[400])
    assert ollang.order(order_id)["reruns_refused"] == 1
