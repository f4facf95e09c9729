"""What a task remembers of its deliveries."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_ollang import _clock
from airflow_provider_ollang.domain.submission import Tries
from airflow_provider_ollang.transfers._ledger import STATE_KEY, Ledger
from airflow_provider_ollang.transfers._plan import Criteria, File, plan
from airflow_provider_ollang.transfers._store import Delivered
from tests.unit.builders import AFTER, ORDER_ID, document, order

LOG = logging.getLogger(__name__)
SUBJECT = {
    "order_id": ORDER_ID,
    "host": "https://api.example",
    "destination": "s3://bucket/x",
    "requested_at": None,
}
FILE, VTT = plan(order(), Criteria(ORDER_ID)).files
DONE = Delivered("French Subtitles.srt", 8192, "ab" * 32)
FIRST_TRY = Tries(try_number=1, max_tries=2, retries=2, clear_number=0)


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


def ledger(
    store: StateStore | None, *, files: Sequence[File] = (FILE, VTT), tries: Tries = FIRST_TRY, **subject: str
) -> Ledger:
    context: Any = {
        "ti": SimpleNamespace(try_number=tries.try_number, max_tries=tries.max_tries),
        "task": SimpleNamespace(retries=tries.retries),
        "dag_run": SimpleNamespace(clear_number=tries.clear_number),
        "task_state_store": store,
    }
    return Ledger(files, context, subject={**SUBJECT, **subject}, log=LOG)


def test_later_try_knows_what_was_delivered() -> None:
    store = StateStore()
    first = ledger(store)
    assert first.delivered(FILE) is None
    first.enter(FILE, DONE)
    first.write()
    assert ledger(store).delivered(FILE) == DONE


def test_vtt_on_record_does_not_count() -> None:
    """Nothing tells whether it is still the same."""
    store = StateStore()
    first = ledger(store)
    first.enter(VTT, DONE)
    first.write()
    assert ledger(store).delivered(VTT) is None


@pytest.mark.parametrize(
    "other",
    [
        {"order_id": "another"},
        {"host": "https://other.example"},
        {"destination": "s3://bucket/y"},
        {"requested_at": "2024-03-01T12:00:00Z"},
    ],
)
def test_record_of_another_subject_does_not_count(other: dict[str, Any]) -> None:
    store = StateStore()
    first = ledger(store)
    first.enter(FILE, DONE)
    first.write()
    assert ledger(store, **other).delivered(FILE) is None


@pytest.mark.parametrize(
    ("tries", "counts"),
    [
        pytest.param(replace(FIRST_TRY, try_number=2), True, id="a retry"),
        pytest.param(Tries(2, 4, 3, clear_number=1), False, id="a clear"),
        pytest.param(Tries(2, 2, 1, clear_number=1), False, id="a clear after retries was lowered"),
        pytest.param(Tries(2, 2, 2, clear_number=1), True, id="a clear of another task"),
    ],
)
def test_record_counts_for_a_retry_and_not_after_a_clear(tries: Tries, counts: bool) -> None:
    store = StateStore()
    first = ledger(store)
    first.enter(FILE, DONE)
    first.write()
    assert (ledger(store, tries=tries).delivered(FILE) is not None) == counts


@pytest.mark.parametrize(
    ("planned", "on_record", "counts"),
    [
        ("Episode", "Episode", True),
        ("Episode", "Episode.srt", True),
        ("Episode.srt", "Episode.srt", True),
        ("Episode (A)", "Episode.srt", False),
        ("Episode (A).srt", "Episode.srt", False),
        ("Episode", "Episode.srt.srt", False),
        ("Episode.srt", "Episode.srt.srt", False),
    ],
)
def test_record_under_another_name_does_not_count(planned: str, on_record: str, counts: bool) -> None:
    """Another document may have that name by now."""
    store = StateStore()
    file = replace(FILE, file_name=planned)
    first = ledger(store)
    first.enter(file, DONE._replace(file_name=on_record))
    assert (ledger(store).delivered(file) is not None) == counts


@pytest.mark.parametrize(
    "change", [{"updatedAt": AFTER}, {"createdAt": AFTER}, {"size": 1}, {"wordCount": 77}, {"duration": 7.7}]
)
def test_record_of_a_changed_document_does_not_count(change: dict[str, Any]) -> None:
    """By whatever a result is told to be new."""
    store = StateStore()
    first = ledger(store)
    first.enter(FILE, DONE)
    first.write()
    (changed,) = plan(order(orderDocs=[document(**change)], vttUrl=None), Criteria(ORDER_ID)).files
    assert changed.key == FILE.key
    assert ledger(store).delivered(changed) is None


def test_missing_or_broken_store_costs_a_download_only(caplog: pytest.LogCaptureFixture) -> None:
    nowhere = ledger(None)
    nowhere.enter(FILE, DONE)
    nowhere.write()
    broken = StateStore()
    broken.broken = True
    first = ledger(broken)
    first.enter(FILE, DONE)
    first.write()
    assert first.delivered(FILE) == DONE
    assert "could not be written (key 'ollang_delivery_0', RuntimeError)" in caplog.text


@pytest.mark.parametrize("value", [7, [], None, {FILE.key: "x"}, {FILE.key: ["x"]}])
@pytest.mark.parametrize("own", [True, False])
def test_stored_value_of_another_kind_does_not_count(value: Any, own: bool) -> None:
    store = StateStore()
    stored = {**SUBJECT, "tries": asdict(FIRST_TRY), "value": value} if own else value
    store.values[f"{STATE_KEY}_0"] = json.dumps(stored)
    second = ledger(store)
    assert second.delivered(FILE) is None
    second.enter(VTT, DONE)
    assert json.loads(store.values[f"{STATE_KEY}_0"])["value"].keys() == {VTT.key}


def test_small_files_are_stored_together(monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize("number", [1000, 10_000])
def test_record_of_many_files_is_complete(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_clock, "monotonic", lambda: 100.0)
    documents = [document(id=f"doc_{index:05}", name=f"{index:05}{'日' * 80}.srt") for index in range(number)]
    files = plan(order(orderDocs=documents, vttUrl=None), Criteria(ORDER_ID)).files
    store = StateStore()
    first = ledger(store, files=files)
    for file in files[1:]:
        first.enter(file, Delivered(file.file_name, 1 << 10, "ab" * 32))
    first.write()
    # Airflow warns of larger ones.
    assert max(map(len, store.values.values())) < 64_000
    # Its batches are others when the order has other documents meanwhile.
    second = ledger(store, files=files[::-1])
    assert [file.document_id for file in files if second.delivered(file) is None] == ["doc_00000"]
