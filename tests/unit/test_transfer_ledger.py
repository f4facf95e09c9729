"""What a task remembers of its deliveries."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_ollang import _clock
from airflow_provider_ollang.transfers._download import Delivered
from airflow_provider_ollang.transfers._ledger import STATE_KEY, Ledger
from airflow_provider_ollang.transfers._plan import Wanted, plan
from tests.unit.builders import AFTER, ORDER_ID, document, order

LOG = logging.getLogger(__name__)
SUBJECT = {"order_id": ORDER_ID, "host": "https://api.example", "destination": "s3://bucket/x"}
FILE, VTT = plan(order(), Wanted(ORDER_ID)).files
DONE = Delivered("French Subtitles.srt", 8192, "ab" * 32)


class StateStore:
    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.writes = 0
        self.broken = False

    def get(self, key: str) -> Any:
        if self.broken:
            raise RuntimeError
        return json.loads(self.values.get(key, "null"))

    def set(self, key: str, value: Any, **_: object) -> None:
        if self.broken:
            raise RuntimeError
        self.writes += 1
        self.values[key] = json.dumps(value)


def ledger(store: StateStore | None, *, max_tries: int = 2, **subject: str) -> Ledger:
    context: Any = {"ti": SimpleNamespace(max_tries=max_tries), "task_state_store": store}
    return Ledger(context, {**SUBJECT, **subject}, LOG)


def test_a_later_try_knows_what_was_delivered() -> None:
    store = StateStore()
    first = ledger(store)
    assert first.known(FILE) is None
    first.enter(FILE, DONE)
    first.write()
    assert ledger(store).known(FILE) == DONE


def test_nothing_tells_whether_the_vtt_is_still_the_same() -> None:
    store = StateStore()
    first = ledger(store)
    first.enter(VTT, DONE)
    first.write()
    assert ledger(store).known(VTT) is None


@pytest.mark.parametrize(
    "other",
    [{"max_tries": 4}, {"order_id": "another"}, {"host": "https://other.example"}, {"destination": "s3://bucket/y"}],
)
def test_something_else_was_delivered(other: dict[str, Any]) -> None:
    store = StateStore()
    first = ledger(store)
    first.enter(FILE, DONE)
    first.write()
    assert ledger(store, **other).known(FILE) is None


def test_the_document_has_changed() -> None:
    store = StateStore()
    first = ledger(store)
    first.enter(FILE, DONE)
    first.write()
    (changed,) = plan(order(orderDocs=[document(updatedAt=AFTER)], vttUrl=None), Wanted(ORDER_ID)).files
    assert changed.key == FILE.key
    assert ledger(store).known(changed) is None


def test_no_store_or_a_broken_one_costs_another_download_only(caplog: pytest.LogCaptureFixture) -> None:
    nowhere = ledger(None)
    nowhere.enter(FILE, DONE)
    nowhere.write()
    broken = StateStore()
    broken.broken = True
    first = ledger(broken)
    first.enter(FILE, DONE)
    first.write()
    assert first.known(FILE) == DONE
    assert "could not store what was delivered (RuntimeError)" in caplog.text


@pytest.mark.parametrize(
    "stored", [7, [], {**SUBJECT, "max_tries": 2}, {**SUBJECT, "max_tries": 2, "files": {FILE.key: "x"}}]
)
def test_what_is_stored_is_something_else(stored: Any) -> None:
    store = StateStore()
    store.values[STATE_KEY] = json.dumps(stored)
    second = ledger(store)
    assert second.known(FILE) is None
    second.enter(VTT, DONE)
    assert json.loads(store.values[STATE_KEY])["files"].keys() == {VTT.key}


def test_small_files_are_written_down_together(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(_clock, "monotonic", lambda: now)
    store = StateStore()
    first = ledger(store)
    for expected in (1, 1, 1):
        first.enter(FILE, DONE)
        assert store.writes == expected
    now += 3
    first.enter(FILE, DONE)
    assert store.writes == 2
    first.enter(FILE, Delivered("a", 1 << 30, "x"))
    assert store.writes == 3
    first.write()
    assert store.writes == 3


def test_of_too_many_files_the_largest_are_remembered() -> None:
    documents = [document(id=f"doc_{number:04}", name=f"{number}.srt") for number in range(2000)]
    files = plan(order(orderDocs=documents, vttUrl=None), Wanted(ORDER_ID)).files
    store = StateStore()
    first = ledger(store)
    for size, file in enumerate(files):
        first.enter(file, Delivered(file.file_name, size, "ab" * 32))
    first.write()
    assert len(store.values[STATE_KEY]) <= 48_000
    second = ledger(store)
    assert second.known(files[0]) is None
    assert second.known(files[-1]) == Delivered("1999.srt", 1999, "ab" * 32)
