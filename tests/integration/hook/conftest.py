"""A sandbox with a key that must show up nowhere, a hook to it, and a clock that tests move."""

from __future__ import annotations

import itertools
import json
import logging
import pickle
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import structlog

from airflow_provider_ollang import _clock
from airflow_provider_ollang.client.requests import Request
from airflow_provider_ollang.client.responses import Accepted
from airflow_provider_ollang.exceptions import OllangError
from airflow_provider_ollang.hooks.ollang import OllangHook
from airflow_provider_ollang.sandbox import Sandbox

KEY = "canary-4c1d9f27-api-key"
PROXY_PASSWORD = "canary-8be2-proxy-password"
LINK_SIGNATURE = "canary-51aa-link-signature"
CANARIES = (KEY, PROXY_PASSWORD, LINK_SIGNATURE)

ORDER = "60b8d6f1e1b9b1d8c6c0d8e1"
FOREIGN = "60b8d6f1e1b9b1d8c6c0d8ff"
RUNNING = "60b8d6f1e1b9b1d8c6c0d8ec"
UNKNOWN = "60b8d6f1e1b9b1d8c6c0dead"

Connect = Callable[..., OllangHook]


class Clock:
    """Stands in for the client's clock: sleeping takes no time, and moves it.

    :param sleeps: how long each sleep was.
    :param on_sleep: called when somebody sleeps, with the number of the sleep from 1.
    """

    def __init__(self) -> None:
        self.sleeps: list[float] = []
        self.on_sleep: Callable[[int], object] | None = None

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        if self.on_sleep is not None:
            self.on_sleep(len(self.sleeps))

    def now(self) -> float:
        return time.time() + sum(self.sleeps)

    def monotonic(self) -> float:
        return time.monotonic() + sum(self.sleeps)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for name in ("sleep", "now", "monotonic"):
        monkeypatch.setattr(_clock, name, getattr(clock, name))
    return clock


@pytest.fixture
def ollang() -> Iterator[Sandbox]:
    with Sandbox(api_key=KEY, speed=0) as sandbox:
        yield sandbox


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Make a connection of its own, and the hook that uses it."""
    numbers = itertools.count(1)
    hooks: list[OllangHook] = []

    def make(url: str, *, key: str = KEY, **extra: Any) -> OllangHook:
        conn_id = f"ollang_{next(numbers)}"
        fields = {"conn_type": "ollang", "host": url, "password": key, "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
        hooks.append(OllangHook(conn_id))
        return hooks[-1]

    yield make
    for hook in hooks:
        hook.close()


@pytest.fixture
def hook(ollang: Sandbox, connect: Connect) -> OllangHook:
    return connect(ollang.url)


def submit(hook: OllangHook, request: Request) -> Accepted:
    """Submit a paid request as the operators do: again, as long as it surely was not processed."""
    return hook.client.retry(lambda: hook.client.submit(request))


def sent(ollang: Sandbox) -> list[tuple[str, str, int | None]]:
    """Return method, path without query, and status of each request."""
    return [(entry.method, entry.path.partition("?")[0], entry.status) for entry in ollang.request_log]


def status_of(error: OllangError) -> int | None:
    """Return the HTTP status that an error carries; Airflow declares it to be never None."""
    status: int | None = vars(error)["status_code"]
    return status


# --- Canaries -----------------------------------------------------------------------------------------------------


class Canaries:
    """Everything that a test could have shown to somebody."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.errors: list[OllangError] = []

    def sightings(self) -> list[str]:
        """Return what shows a canary."""
        shown = [*self.texts, *(text for error in self.errors for text in self._of(error))]
        return [text for text in shown if any(canary in text for canary in CANARIES)]

    @staticmethod
    def _of(error: OllangError) -> Iterator[str]:
        yield str(error)
        yield repr(error)
        yield repr(error.__dict__)
        yield pickle.dumps(error).decode("latin-1")
        yield "".join(traceback.format_exception(error))

    def note_event(self, _: object, method: str, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """Note a log line of Airflow, before anything masks it."""
        self.texts.append(f"{method} {dict(event)!r}")
        if event.get("exc_info"):
            self.texts.append(traceback.format_exc())
        raise structlog.DropEvent


class _Everything(logging.Handler):
    def __init__(self, canaries: Canaries) -> None:
        super().__init__(logging.DEBUG)
        self._canaries = canaries
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._canaries.texts.append(self.format(record))
        self._canaries.texts.append(repr(record.args))


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch) -> Iterator[Canaries]:
    """Collect the log lines of every library, at every level, and every error of ours, raised or not."""
    canaries = Canaries()
    make = OllangError.__init__

    def noted(self: OllangError, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        canaries.errors.append(self)

    monkeypatch.setattr(OllangError, "__init__", noted)
    handler = _Everything(canaries)
    named = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    # Those without a level of their own follow the others.
    limited = [one for one in (logging.root, *named) if one.level != logging.NOTSET or one.disabled]
    before = [(one, one.level, one.disabled) for one in limited]
    holders = [logging.root, *(one for one in named if not one.propagate)]
    disabled = logging.root.manager.disable
    logging.disable(logging.NOTSET)
    for one in limited:
        one.setLevel(logging.DEBUG)
        one.disabled = False
    for one in holders:
        one.addHandler(handler)
    configuration = structlog.get_config()
    structlog.configure(
        processors=[canaries.note_event],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    yield canaries
    structlog.configure(**configuration)
    for one in holders:
        one.removeHandler(handler)
    for one, level, was_disabled in before:
        one.setLevel(level)
        one.disabled = was_disabled
    logging.disable(disabled)


@pytest.fixture(autouse=True)
def nothing_shows_a_canary(canaries: Canaries, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    canaries.texts.extend(capfd.readouterr())
    assert canaries.sightings() == []
