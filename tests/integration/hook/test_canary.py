"""The search for canaries sees them wherever they could be shown."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import pytest
import structlog

from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangUnavailableError
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox

from .conftest import KEY, LINK_SIGNATURE, ORDER, PROXY_PASSWORD, Canaries

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def forgiven(canaries: Canaries, capfd: pytest.CaptureFixture[str], nothing_shows_a_canary: None) -> Iterator[None]:
    """Let these tests show canaries."""
    yield
    canaries.texts.clear()
    canaries.errors.clear()
    capfd.readouterr()


@pytest.mark.parametrize(
    ("name", "canary"),
    [("", KEY), ("urllib3.connectionpool", PROXY_PASSWORD), ("airflow.task", KEY), ("new.one", LINK_SIGNATURE)],
)
def test_log_line_of_library_is_seen(canaries: Canaries, name: str, canary: str) -> None:
    logging.getLogger(name).debug("sending %s", canary)
    assert len(canaries.sightings()) == 2


def test_exception_in_log_line_is_seen(canaries: Canaries) -> None:
    try:
        int(KEY)
    except ValueError:
        logging.getLogger("airflow.x").exception("failed")
        structlog.get_logger("airflow.y").debug("failed", exc_info=True)
    assert len(canaries.sightings()) == 2


def test_log_line_of_hook_is_seen(canaries: Canaries) -> None:
    OllangHook().log.debug("sending %s", KEY)
    OllangHook().log.info("sending", key=KEY)
    assert len(canaries.sightings()) == 2


def test_error_is_seen_even_if_not_raised(canaries: Canaries) -> None:
    OllangUnavailableError("nothing to see")
    OllangUnavailableError(f"it said {KEY}")
    OllangUnavailableError("quiet", detail=f"https://files.example/a?Signature={LINK_SIGNATURE}")
    OllangUnavailableError("quiet", path=f"/{PROXY_PASSWORD}")
    seen = " ".join(canaries.sightings())
    assert all(canary in seen for canary in (KEY, PROXY_PASSWORD, LINK_SIGNATURE))


def test_cause_of_error_is_seen(canaries: Canaries) -> None:
    with pytest.raises(OllangConfigurationError):
        raise OllangConfigurationError("quiet") from ValueError(KEY)
    assert len(canaries.sightings()) == 1


def test_printed_text_is_seen(canaries: Canaries, capfd: pytest.CaptureFixture[str]) -> None:
    print(KEY)  # noqa: T201 - to be seen
    print(KEY, file=sys.stderr)  # noqa: T201
    assert capfd.readouterr() == (f"{KEY}\n", f"{KEY}\n")


def test_libraries_log_while_the_hook_works(ollang: Sandbox, hook: OllangHook, canaries: Canaries) -> None:
    ollang.add_fault(status=503)
    hook.get_order(ORDER)
    text = "\n".join(canaries.texts)
    assert f'"GET /integration/orders/{ORDER} HTTP/1.1" 503' in text
    assert "Trying again" in text
    assert len(canaries.errors) == 1
