"""The errors: what Airflow does with each, and that none loses anything on its way through another process."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_ollang import exceptions
from airflow_provider_ollang._compat import AirflowException, AirflowFailException, AirflowSensorTimeout
from airflow_provider_ollang.exceptions import (
    OllangError,
    OllangTimeoutError,
    OllangTransientError,
    OllangUnavailableError,
    error_from_json,
    error_to_json,
)

ALL: list[type[OllangError]] = [
    kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, OllangError)
]
#: What retries decide about, and what fails at once: behind these names stands "Error".
TRANSIENT = {f"Ollang{name}Error" for name in ("Transient", "RateLimit", "Unavailable")}
PERMANENT = {
    f"Ollang{name}Error"
    for name in (
        *("Permanent", "Configuration", "Authentication", "AccessDenied", "OrderNotFound", "BadRequest", "Quality"),
        *("OrderNotEligible", "RequestRefused", "OrderFailed", "OutcomeUnknown", "StaleResult"),
        *("NotFound", "InsufficientCredits"),
    )
}
FIELDS: dict[str, Any] = {
    "status_code": 404,
    "code": "ORDER_NOT_FOUND",
    "order_id": "60b8",
    "method": "GET",
    "path": "/integration/orders/60b8",
    "detail": "No order found",
}
each_error = pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)


def test_errors_are_these() -> None:
    assert {kind.__name__ for kind in ALL} == {"OllangError", "OllangTimeoutError", *TRANSIENT, *PERMANENT}


@each_error
def test_airflow_retries_exactly_those_that_are_not_permanent(kind: type[OllangError]) -> None:
    assert issubclass(kind, AirflowException)
    assert issubclass(kind, OllangTransientError) is (kind.__name__ in TRANSIENT)
    assert issubclass(kind, AirflowFailException) is (kind.__name__ in PERMANENT)
    assert issubclass(kind, AirflowSensorTimeout) is (kind is OllangTimeoutError)


@each_error
def test_error_without_facts_has_none(kind: type[OllangError]) -> None:
    error = kind()
    assert str(error) == ""
    assert {name: getattr(error, name) for name in FIELDS} == dict.fromkeys(FIELDS)
    assert getattr(error, "retry_after", None) is None
    misspelt: dict[str, Any] = {"order": "60b8"}
    with pytest.raises(TypeError):
        kind("x", **misspelt)


def _pickled(protocol: int) -> Callable[[OllangError], Any]:
    return lambda error: pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own


COPIES: dict[str, Callable[[OllangError], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "json": lambda error: error_from_json(json.loads(json.dumps(error_to_json(error)))),
    **{f"pickle {protocol}": _pickled(protocol) for protocol in (0, pickle.HIGHEST_PROTOCOL)},
}


@each_error
@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_copied_error_keeps_everything(kind: type[OllangError], copied: Callable[[OllangError], Any]) -> None:
    fields = {**FIELDS, **({"retry_after": 12.5} if issubclass(kind, OllangTransientError) else {})}
    error = kind("Could not get it.", **fields)
    error.add_note("seen by a test")
    read = copied(error)
    assert type(read) is kind
    assert str(read) == "Could not get it."
    assert read.args == ("Could not get it.",)
    assert {name: getattr(read, name) for name in fields} == fields
    assert read.__notes__ == ["seen by a test"]
    assert vars(read) == vars(error)


@pytest.mark.parametrize("name", ["OllangLaterError", "Any", "AirflowException", "FIELDS", ""])
def test_stored_error_of_an_unknown_class_is_transient(name: str) -> None:
    read = error_from_json({"class": name, "message": "Could not.", "fields": {"status_code": 500}})
    assert type(read) is OllangUnavailableError
    assert (str(read), read.status_code, read.code, read.retry_after) == ("Could not.", 500, None, None)
