"""The connection as an administrator meets it: typed into Airflow's form, tested, edited."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from airflow_provider_ollang import __version__
from airflow_provider_ollang.client.settings import Settings
from airflow_provider_ollang.get_provider_info import CONNECTION_FIELDS, DEFAULT_HOST
from tests.browser.pages import TYPED, ConnectionForm, Connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Locator, Page

    from airflow_provider_ollang.sandbox import Sandbox
    from dev.stack import AirflowStack


@pytest.fixture(autouse=True)
def _only_what_a_test_typed(airflow: AirflowStack) -> Iterator[None]:
    yield
    for one in airflow.pages("/connections", "connections"):
        if one["connection_id"] != TYPED:
            airflow.api("DELETE", f"/connections/{one['connection_id']}")


def stored(airflow: AirflowStack, name: str) -> dict[str, Any]:
    """Return the connection as Airflow's API shows it, its extra taken apart."""
    connection: dict[str, Any] = airflow.api("GET", f"/connections/{name}")
    return {**connection, "extra": json.loads(connection["extra"])}


def add(page: Page, name: str, ollang: Sandbox, *, api_key: str) -> Connections:
    form = ConnectionForm.add(page, name)
    form.fill("Base URL", ollang.connection["host"])
    form.fill("Port", str(ollang.connection["port"]))
    form.fill("API key", api_key)
    form.save()
    return Connections(page)


@pytest.mark.telling
def test_the_form_asks_for_what_ollang_needs_and_nothing_else(
    page: Page, picture: Callable[[str, Page | Locator], None]
) -> None:
    form = ConnectionForm.add(page, "ollang_default")
    expect(form.field("Base URL")).to_have_attribute("placeholder", DEFAULT_HOST)
    expect(form.field("API key")).to_have_attribute("type", "password")
    expect(form.field("Port")).to_be_visible()
    for hidden in ("Login", "Schema"):
        expect(form.field(hidden)).to_have_count(0)
    form.fill("API key", "shown as dots")
    form.fill("Port", "443")
    picture("connection-form", form.dialog)
    form.show_extra_fields()
    expect(form.extra_field("Allow plain HTTP")).to_be_visible()
    picture("connection-extra-fields", form.dialog)


def test_each_field_of_ours_has_its_label_its_help_and_its_default(page: Page) -> None:
    form = ConnectionForm.add(page, "any")
    form.show_extra_fields()
    for field in CONNECTION_FIELDS:
        shown = form.extra_field(field.label)
        expect(shown).to_contain_text(field.description)
        if field.json_type == "boolean":
            expect(shown.get_by_role("checkbox")).to_be_checked(checked=field.default)
        elif field.json_type == "string":
            expect(shown.get_by_role("textbox")).to_have_value("")
        else:
            expect(shown.get_by_role("spinbutton")).to_have_value(str(field.default))


@pytest.mark.telling
def test_what_is_typed_is_stored_and_works(page: Page, airflow: AirflowStack, ollang: Sandbox) -> None:
    form = ConnectionForm.add(page, "ollang_typed")
    form.fill("Description", "A typed one")
    form.fill("Base URL", ollang.connection["host"])
    form.fill("Port", str(ollang.connection["port"]))
    form.fill("API key", f"  {ollang.api_key} ")
    form.show_extra_fields()
    form.fill_extra("Timeout (seconds)", "20")
    form.fill_extra("Attempts per request", "3")
    form.extra_field("Allow plain HTTP").locator("label").last.click()
    form.save()
    connections = Connections(page)
    expect(connections.row("ollang_typed")).to_contain_text("A typed one")
    found = stored(airflow, "ollang_typed")
    assert {name: found[name] for name in ("conn_type", "host", "port", "password")} == {
        "conn_type": "ollang",
        "host": ollang.connection["host"],
        "port": ollang.connection["port"],
        "password": "***",
    }
    blank = {"ca_bundle": None, "proxy": None}
    assert found["extra"] == {"timeout": 20, "max_attempts": 3, "verify": True, "allow_http": True, **blank}
    assert connections.test("ollang_typed") == (
        200,
        {"status": True, "message": f"{ollang.url} answered and accepts the API key."},
    )
    expect(connections.notice).not_to_contain_text("Failed")


def test_blank_and_emptied_fields_mean_the_defaults(page: Page, airflow: AirflowStack) -> None:
    form = ConnectionForm.add(page, "ollang_blank")
    form.fill("API key", "some-key")
    form.show_extra_fields()
    form.fill_extra("Timeout (seconds)", "")
    form.fill_extra("Attempts per request", "")
    form.save()
    expect(Connections(page).row("ollang_blank")).to_be_visible()
    found = stored(airflow, "ollang_blank")
    assert (found["extra"]["timeout"], found["extra"]["max_attempts"]) == (None, None)
    read = Settings.from_connection(
        "ollang_blank", password="some-key", host=found["host"], port=found["port"], extra=found["extra"]
    )
    assert read == Settings("ollang_blank", DEFAULT_HOST, "some-key")


def test_a_number_out_of_range_is_put_right_by_the_form(page: Page, airflow: AirflowStack) -> None:
    form = ConnectionForm.add(page, "ollang_range")
    form.show_extra_fields()
    form.fill_extra("Attempts per request", "99")
    expect(form.extra_field("Attempts per request").get_by_role("spinbutton")).to_have_value("20")
    form.save()
    expect(Connections(page).row("ollang_range")).to_be_visible()
    assert stored(airflow, "ollang_range")["extra"]["max_attempts"] == 20


def test_a_wrong_key_is_said_and_the_new_one_typed_over_it_works(
    page: Page, ollang: Sandbox, picture: Callable[[str, Page | Locator], None]
) -> None:
    connections = add(page, "ollang_rotated", ollang, api_key="an-old-key")
    # Without the notice that it was made.
    connections.open()
    assert connections.test("ollang_rotated")[1]["status"] is False
    expect(connections.notice).to_contain_text("Test Connection Failed")
    # Under an id that Airflow made up, which nobody would know.
    expect(connections.notice).to_contain_text("Ollang does not accept the API key of this connection")
    picture("connection-test-failed", page)
    form = ConnectionForm.edit(page, "ollang_rotated")
    form.fill("API key", ollang.api_key)
    form.save()
    assert connections.test("ollang_rotated")[1]["status"] is True


def test_neither_the_key_nor_the_proxy_can_be_read_back_and_an_edit_keeps_both(page: Page, ollang: Sandbox) -> None:
    form = ConnectionForm.add(page, "ollang_kept")
    form.fill("Base URL", ollang.connection["host"])
    form.fill("Port", str(ollang.connection["port"]))
    form.fill("API key", ollang.api_key)
    form.show_extra_fields()
    # Nobody listens there: as long as this proxy is kept, the test says so.
    form.fill_extra("Proxy", "http://someone:pr0xy-secret@127.0.0.1:9")
    form.save()
    connections = Connections(page)
    through_proxy = connections.test("ollang_kept")
    assert "proxy" in through_proxy[1]["message"]
    form = ConnectionForm.edit(page, "ollang_kept")
    form.dialog.get_by_role("button", name="Show value").click()
    expect(form.field("API key")).to_have_attribute("type", "text")
    expect(form.field("API key")).to_have_value("***")
    form.show_extra_fields()
    expect(form.extra_field("Proxy").get_by_role("textbox")).to_have_value("***")
    form.fill_extra("Timeout (seconds)", "25")
    form.save()
    assert connections.test("ollang_kept") == through_proxy
    form = ConnectionForm.edit(page, "ollang_kept")
    form.show_extra_fields()
    expect(form.extra_field("Timeout (seconds)").get_by_role("spinbutton")).to_have_value("25")
    form.fill_extra("Proxy", "")
    form.save()
    assert connections.test("ollang_kept")[1]["status"] is True


def test_without_a_port_the_test_button_fails_and_the_form_says_how_to_have_it(page: Page, ollang: Sandbox) -> None:
    """When this fails Airflow has mended its button: the advice on the form and in the docs can go."""
    form = ConnectionForm.add(page, "ollang_portless")
    expect(form.field("Port")).to_be_visible()
    expect(form.dialog).to_contain_text("the Test button needs one: 443")
    form.fill("Base URL", ollang.url)
    form.fill("API key", ollang.api_key)
    form.save()
    connections = Connections(page)
    status, answer = connections.test("ollang_portless")
    assert (status, "host or port to test differs" in answer["detail"]) == (400, True)
    expect(connections.notice).to_contain_text("Bad Request")


@pytest.mark.telling
def test_the_providers_page_tells_what_this_is(page: Page, picture: Callable[[str, Page | Locator], None]) -> None:
    page.goto("/providers")
    row = page.get_by_role("row").filter(has_text="airflow-provider-ollang")
    expect(row).to_contain_text(__version__)
    # Airflow puts a link's address in place of its words, and nothing behind it.
    expect(row.get_by_role("cell").last).to_have_text(
        "Check, rerun, wait for, judge and deliver localization orders of Ollang https://ollang.com"
    )
    picture("providers", page)
