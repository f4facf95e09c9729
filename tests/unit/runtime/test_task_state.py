"""One key of a task's state, over Airflow's store or without one."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_ollang.domain.submission import Record, Tries
from airflow_provider_ollang.exceptions import OllangConfigurationError, OllangUnavailableError
from airflow_provider_ollang.runtime.task_state import TaskState, read_tries

RECORD = Record("60b8d6f1e1b9b1d8c6c0d8e1", "https://api-integration.ollang.com", 2, "accepted", {"order_id": "1"})


class Store:
    """A store in memory, which may be away."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.retentions: list[Any] = []
        self.is_away = False

    def get(self, key: str) -> Any:
        self._check()
        return self.values.get(key)

    def set(self, key: str, value: Any, **options: Any) -> None:
        self._check()
        self.values[key] = value
        self.retentions.append(options)

    def delete(self, key: str) -> None:
        self._check()
        self.values.pop(key, None)

    def _check(self) -> None:
        if self.is_away:
            raise ConnectionError("the API server hiccups")


@pytest.fixture
def store() -> Store:
    return Store()


def state(store: Store | None, **options: Any) -> TaskState:
    context: Any = {} if store is None else {"task_state_store": store}
    return TaskState(context, "key", **options)


def test_value_is_loaded_as_it_was_saved(store: Store) -> None:
    state(store, retention=timedelta(days=1)).save(RECORD.to_json())
    assert state(store).load(Record) == RECORD
    assert state(store).load() == RECORD.to_json()
    assert store.retentions == [{"retention": timedelta(days=1)}]


def test_deleted_value_is_gone(store: Store) -> None:
    state(store).save(RECORD.to_json())
    state(store).delete()
    assert state(store).load(Record) is None


def test_value_of_another_subject_counts_as_none(store: Store) -> None:
    state(store, subject={"order_id": "1"}).save({"files": [1]})
    assert state(store, subject={"order_id": "1"}).load() == {"files": [1]}
    assert state(store, subject={"order_id": "2"}).load() is None


@pytest.mark.parametrize("value", ["text", 3, [1], {"other": 1}])
def test_value_that_is_no_mapping_has_no_subject(store: Store, value: Any) -> None:
    store.values["key"] = value
    assert state(store, subject={"order_id": "1"}).load() is None


def test_unreadable_record_is_an_error(store: Store) -> None:
    store.values["key"] = "accepted"
    with pytest.raises(OllangConfigurationError):
        state(store).load(Record)


def test_without_a_store_nothing_is_kept() -> None:
    nowhere = state(None)
    nowhere.save({"files": []})
    nowhere.delete()
    assert (nowhere.available, nowhere.load(), nowhere.load(Record)) == (False, None, None)


@pytest.mark.parametrize("method", ["load", "save", "delete"])
def test_store_that_is_away_is_a_transient_error(store: Store, method: str) -> None:
    store.is_away = True
    with pytest.raises(OllangUnavailableError, match="ConnectionError") as caught:
        getattr(state(store), method)(*([{}] if method == "save" else []))
    assert "hiccups" not in str(caught.value)


@pytest.mark.parametrize(("retries", "expected"), [(2, 2), (0, 0), (None, 0)])
def test_tries_are_read_from_the_context(retries: int | None, expected: int) -> None:
    context: Any = {
        "ti": SimpleNamespace(try_number=3, max_tries=4),
        "task": SimpleNamespace(retries=retries),
        "dag_run": SimpleNamespace(clear_number=1),
    }
    assert read_tries(context) == Tries(try_number=3, max_tries=4, retries=expected, clear_number=1)
