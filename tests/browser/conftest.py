"""One Airflow, one sandbox and one Chromium for the whole session; each test gets a page of its own.

Whatever Airflow sent to Chromium is searched for the API key and for signatures of links at the end. With
`--pictures FOLDER` the tests also take the pictures of the documentation (`make pictures`).
"""

from __future__ import annotations

import json
import re
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from airflow_provider_ollang.sandbox import SIGNATURE, Sandbox
from dev import browser as chromium
from dev.stack import AirflowStack
from tests.browser.pages import TYPED, ConnectionForm, Connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import BrowserContext, ViewportSize

HERE = Path(__file__).parent
SIZE: ViewportSize = {"width": 1280, "height": 800}
# A machine that does much else takes long to draw a page; one that does not never waits for this.
PATIENCE = 90_000
FLAGS = [
    *("--disable-gpu", "--disable-quic", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync"),
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", metavar="FOLDER", type=Path, help="take the documentation's pictures, into here")


@pytest.fixture(scope="session")
def ollang() -> Iterator[Sandbox]:
    """Serve a sandbox that takes one key, used nowhere else, and signs every link."""
    behaviour = {"sign_links": True, "links": "served"}
    with Sandbox(api_key=f"canary-key-{secrets.token_hex(12)}", speed=10, behaviour=behaviour) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def airflow(ollang: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowStack]:
    """Run a whole Airflow that knows no connection but those typed in."""
    home = tmp_path_factory.mktemp("airflow-home")
    folders = [HERE.parents[1] / "example_dags", HERE / "dags"]
    # Long lines of a log are to be read without scrolling: only so a picture has them whole.
    env = {"OLLANG_POKE_INTERVAL": "2", "AIRFLOW__API__DEFAULT_WRAP": "True"}
    with AirflowStack(home=home, dags_folders=folders, env=env) as stack:
        yield stack


@pytest.fixture(scope="session")
def context(
    airflow: AirflowStack, ollang: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    """Start Chromium; when it ends, look for secrets in all that Airflow sent to it."""
    expect.set_options(timeout=PATIENCE)
    traffic = tmp_path_factory.mktemp("traffic") / "traffic.har"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=FLAGS)
        context = browser.new_context(
            base_url=airflow.url,
            viewport=SIZE,
            color_scheme="light",
            reduced_motion="reduce",
            locale="en-US",
            timezone_id="UTC",
            record_har_path=traffic,
            record_har_content="embed",
            record_har_url_filter=re.compile("/(api|ui)/"),
        )
        context.set_default_timeout(PATIENCE)
        yield context
        context.close()
    entries = json.loads(traffic.read_text())["log"]["entries"]
    assert any("connections" in one["response"]["content"].get("text", "") for one in entries), "nothing was recorded"
    answers = {one["request"]["url"]: json.dumps(one["response"]) for one in entries}
    secrets_shown = [url for url, text in answers.items() if ollang.api_key in text or SIGNATURE in text]
    assert secrets_shown == []


@pytest.fixture
def page(context: BrowserContext, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Page]:
    """Open a page; if its test fails, say what was on it."""
    failed_before = request.session.testsfailed
    page = context.new_page()
    yield page
    if request.session.testsfailed > failed_before:
        page.screenshot(path=tmp_path / "last.png")
        sys.stderr.write(f"the page at the end: {tmp_path / 'last.png'}\n{page.locator('body').inner_text()}\n")
    page.close()


@pytest.fixture(scope="session")
def typed_connection(context: BrowserContext, ollang: Sandbox) -> str:
    """Type in the connection that all DAGs use, as a person does who has nothing but the key and the address."""
    page = context.new_page()
    form = ConnectionForm.add(page, TYPED)
    form.fill("Base URL", ollang.connection["host"])
    form.fill("Port", str(ollang.connection["port"]))
    form.fill("API key", ollang.api_key)
    form.save()
    expect(Connections(page).row(TYPED)).to_be_visible()
    page.close()
    return TYPED


@pytest.fixture
def picture(request: pytest.FixtureRequest) -> Callable[[str, Page | Locator], None]:
    """Return what takes a picture for the documentation; without `--pictures` it does nothing."""
    folder: Path | None = request.config.getoption("--pictures")

    def take(name: str, what: Page | Locator) -> None:
        if folder is None:
            return
        page = what if isinstance(what, Page) else what.page
        # Neither a tooltip nor a cursor is to be in it, and a form is to be in it whole.
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
        if isinstance(what, Locator):
            height = int(what.evaluate("element => element.scrollHeight")) + 160
            page.set_viewport_size({"width": SIZE["width"], "height": max(SIZE["height"], height)})
        what.screenshot(path=folder / f"{name}.png", animations="disabled", caret="hide")
        page.set_viewport_size(SIZE)

    return take
