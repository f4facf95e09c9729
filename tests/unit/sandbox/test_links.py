"""The links of orders: where they lead, how they are signed, and how long they are good."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_ollang.sandbox import SIGNATURE, Sandbox

from .client import EXAMPLE_ID, Client, accepted, fetch
from .vendor_pages import ORDER

WEEK = 7 * 24 * 3600


def links_of(order: dict[str, Any]) -> list[str]:
    links = [document["url"] for document in order["orderDocs"]]
    return [*links, order["vttUrl"]] if "vttUrl" in order else links


def statuses(links: Iterable[str]) -> set[int]:
    return {fetch(link).status_code for link in links}


def problem(link: str, **options: Any) -> tuple[int, str, str]:
    """Return status, code and message of a refusal, which is XML."""
    answer = fetch(link, **options)
    assert answer.headers["Content-Type"].startswith("application/xml")
    found = re.fullmatch(
        r'<\?xml version="1.0" encoding="UTF-8"\?>\n<Error><Code>(.*?)</Code><Message>(.*?)</Message>.*</Error>',
        answer.text,
        re.DOTALL,
    )
    assert found is not None, answer.text
    return answer.status_code, found[1], found[2]


def test_every_link_of_every_order_leads_to_a_file(ollang: Sandbox, client: Client) -> None:
    seen = 0
    ids = [line["id"] for line in ollang.overview()["orders"] if line["owner"] == "own" and line["id"] != EXAMPLE_ID]
    for order_id in ids:
        for link in links_of(client.order(order_id)):
            assert link.startswith(f"{ollang.files_url}/files/{order_id}/")
            with fetch(link, stream=True) as answer:
                assert answer.status_code == 200, link
            seen += 1
    assert seen > 40


def test_sources_and_by_products_have_files(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour={"auxiliary_documents": True})
    accepted(client.rerun(order_id))
    documents = client.order(order_id)["orderDocs"]
    for document in documents:
        with fetch(document["url"], stream=True) as response:
            assert (response.status_code, response.headers["Content-Length"]) == (200, str(document["size"]))
    kinds = {document["type"] for document in documents}
    assert kinds == {"sourceVideo", "subtitle", "invoice", "created_thumbnail", "created_waveform"}


def test_files_are_another_origin(ollang: Sandbox) -> None:
    assert ollang.files_url is not None
    assert urlsplit(ollang.files_url).port == ollang.files_port != ollang.port
    assert ollang.overview()["files"] == ollang.files_url


def test_no_file_host_before_the_start() -> None:
    sandbox = Sandbox(speed=0)
    assert sandbox.files_url is None
    assert "example.com" in str(sandbox.get_order(sandbox.add_order()).body)
    assert Sandbox(files_port=8076).files_url == "http://127.0.0.1:8076"


def test_other_links_stay_as_they_are(ollang: Sandbox, client: Client) -> None:
    documents = [{"id": "a", "url": "https://files.example/a?b=c"}, {"id": 7, "url": "https://example.com/7"}, {}, None]
    order_id = ollang.add_order(vttUrl="ftp://elsewhere/x.vtt", orderDocs=documents)
    order = client.order(order_id)
    assert (order["vttUrl"], order["orderDocs"]) == ("ftp://elsewhere/x.vtt", documents)


def test_admin_api_shows_links_without_signatures(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order()
    assert SIGNATURE in str(client.order(order_id))
    assert SIGNATURE not in str(client.admin("GET", f"/orders/{order_id}").json())


@pytest.mark.parametrize("option", [None, "served", "kept"])
def test_links(option: str | None) -> None:
    with Sandbox(speed=0, behaviour={"links": option}) as ollang, Client(ollang) as client:
        own, example = client.order(ollang.add_order()), client.order()
        served = {None: (True, False), "served": (True, True), "kept": (False, False)}[option]
        for order, expected in zip((own, example), served, strict=True):
            assert {link.startswith(f"{ollang.files_url}/") for link in links_of(order)} == {expected}
            assert {"example.com" in link for link in links_of(order)} == {not expected}
        assert (example == ORDER) is not served[1]


def test_sign_links(ollang: Sandbox, client: Client) -> None:
    same = ollang.add_order(type="subtitle", behaviour={"sign_links": False})
    first = links_of(client.order(same))
    ollang.advance(WEEK - 1)
    assert links_of(client.order(same)) == first
    signed = ollang.add_order(type="subtitle", behaviour={"sign_links": True})
    first, second = (links_of(client.order(signed)) for _ in range(2))
    assert len({*first, *second}) == 6
    assert [link.partition("?")[0] for link in first] == [link.partition("?")[0] for link in second]
    end = int(ollang.now.timestamp()) + WEEK
    assert all(f"Expires={end}&Signature={SIGNATURE}-" in link for link in first)
    assert statuses([first[1], first[2], second[1], second[2]]) == {200}


def test_link_lifetime(ollang: Sandbox, client: Client) -> None:
    ollang.advance(1 - ollang.now.microsecond / 1_000_000)
    order_id = ollang.add_order(type="subtitle", behaviour={"link_lifetime": 60, "sign_links": True})
    link = links_of(client.order(order_id))[1]
    ollang.advance(59.999)
    assert statuses([link]) == {200}
    ollang.advance(0.001)
    assert problem(link) == (403, "AccessDenied", "Request has expired")
    assert re.search(r"<Expires>[\d:TZ-]{20}</Expires><ServerTime>[\d:TZ-]{20}</ServerTime>", fetch(link).text)
    assert statuses([links_of(client.order(order_id))[1]]) == {200}, "a fresh one is good"


def test_link_lifetime__of_links_that_stay(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(type="subtitle", behaviour={"link_lifetime": 60})
    link = links_of(client.order(order_id))[1]
    for _ in range(2):
        ollang.advance(58)
        assert links_of(client.order(order_id))[1] == link
        assert statuses([link]) == {200}
        ollang.advance(2)
        assert problem(link)[:2] == (403, "AccessDenied")
        old, link = link, links_of(client.order(order_id))[1]
        assert (link == old, statuses([link])) == (False, {200})


def test_link_lifetime__default_is_a_week(ollang: Sandbox, client: Client) -> None:
    link = links_of(client.order(ollang.add_order(type="subtitle")))[1]
    ollang.advance(WEEK - 1)
    assert statuses([link]) == {200}
    ollang.advance(1)
    assert statuses([link]) == {403}


def test_only_signed_links_are_served(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(type="subtitle")
    _, link, vtt = links_of(client.order(order_id))
    path, _, query = link.partition("?")
    later = re.sub(r"Expires=(\d+)", lambda found: f"Expires={int(found[1]) + 1}", link)
    assert problem(path) == (403, "AccessDenied", "Access Denied")
    for wrong in (later, f"{link}0", f"{vtt.partition('?')[0]}?{query}", link.replace("Expires=", "Expires=x")):
        assert problem(wrong)[:2] == (403, "SignatureDoesNotMatch"), wrong
    for method in ("PUT", "POST", "DELETE"):
        assert problem(link, method=method)[:2] == (403, "SignatureDoesNotMatch")
    assert fetch(link, method="HEAD").status_code == 403
    assert problem(f"{ollang.files_url}/elsewhere")[:2] == (404, "NoSuchKey")
    assert fetch(f"{ollang.files_url}/_sandbox/").status_code == 404, "no control there"
    assert ollang.request_log[-1].path == "/_sandbox/"
    assert statuses([link]) == {200}


def test_link_to_a_replaced_document_keeps_its_file(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(files=[{"name": "a.srt", "id": "doc_a"}])
    link = links_of(client.order(order_id))[1]
    ollang.change_order(order_id, orderDocs=[{"id": "doc_a", "url": "https://example.com/a.pdf", "size": 9}])
    new = fetch(links_of(client.order(order_id))[0])
    assert (new.headers["Content-Type"], len(new.content)) == ("application/pdf", 9)
    old = fetch(link)
    assert (old.headers["Content-Type"], len(old.content)) == ("application/x-subrip", 6144)


def test_link_to_a_deleted_document_is_404(ollang: Sandbox, client: Client) -> None:
    order_id = ollang.add_order(type="subtitle")
    link = links_of(client.order(order_id))[1]
    ollang.add_order(id=order_id, orderDocs=[])
    assert problem(link) == (404, "NoSuchKey", "The specified key does not exist.")


def test_key_sent_to_the_file_host_is_in_the_request_log(ollang: Sandbox, client: Client) -> None:
    link = links_of(client.order(ollang.add_order(type="subtitle")))[1]
    for headers in ({}, {"X-Api-Key": "canary-key"}, {"x-api-key": ollang.api_key}):
        assert fetch(link, headers=headers).status_code == 200
    logged = [(each.host, each.key_sent, each.authorized) for each in ollang.request_log]
    assert logged == [("api", True, True), ("files", False, False), ("files", True, False), ("files", True, True)]
    shown = client.admin("GET", "/requests").json()["requests"]
    assert [each["key_sent"] for each in shown] == [True, False, True, True]
    assert "canary-key" not in str(shown)


def test_tls_serves_files_too() -> None:
    with Sandbox(speed=0, tls=True) as ollang:
        order_id = ollang.add_order(type="subtitle")
        link = links_of(ollang.get_order(order_id).body)[1]
        assert link.startswith("https://127.0.0.1:")
        content = ollang.content(order_id, ollang.order(order_id)["order"]["orderDocs"][1]["id"])
        assert fetch(link, verify=ollang.ca_bundle).content == content.read()


def test_restart_keeps_both_addresses() -> None:
    sandbox = Sandbox(speed=0).start()
    order_id = sandbox.add_order(type="subtitle")
    link = links_of(sandbox.get_order(order_id).body)[1]
    sandbox.stop()
    with sandbox:
        assert links_of(sandbox.get_order(order_id).body)[1] == link
        assert statuses([link]) == {200}
