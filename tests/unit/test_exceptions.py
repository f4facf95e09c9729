"""The errors: what Airflow does with each, and that none loses anything on its way through another process."""

from __future__ import annotations

import copy
import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ollang import exceptions
from airflow_provider_ollang._compat import AirflowException, AirflowFailException, AirflowSensorTimeout
from airflow_provider_ollang.exceptions import (
    OllangError,
    OllangPermanentError,
    OllangRateLimitError,
    OllangTimeoutError,
    OllangTransientError,
    OllangUnavailableError,
    error_from_json,
    error_to_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable

ALL: list[type[OllangError]] = [
    kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, OllangError)
]
TRANSIENT = [kind for kind in ALL if issubclass(kind, OllangTransientError)]
PERMANENT = [kind for kind in ALL if issubclass(kind, OllangPermanentError)]
FIELDS: dict[str, Any] = {
    "status_code": 404,
    "code": "ORDER_NOT_FOUND",
    "order_id": "60b8",
    "method": "GET",
    "path": "/integration/orders/60b8",
    "detail": "No order found",
}


def _unpickled(protocol: int) -> Callable[[OllangError], OllangError]:
    def through(error: OllangError) -> OllangError:
        read = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own
        assert isinstance(read, OllangError)
        return read

    return through


def _through_json(error: OllangError) -> OllangError:
    return error_from_json(json.loads(json.dumps(error_to_json(error))))


def test_the_tree_has_these_branches() -> None:
    assert {kind.__name__ for kind in TRANSIENT} == {
        "OllangTransientError",
        "OllangRateLimitError",
        "OllangUnavailableError",
    }
    assert {kind.__name__ for kind in PERMANENT} == {
        "OllangPermanentError",
        "OllangConfigurationError",
        "OllangAuthenticationError",
        "OllangAccessDeniedError",
        "OllangOrderNotFoundError",
        "OllangBadRequestError",
        "OllangOrderNotEligibleError",
        "OllangRequestRefusedError",
        "OllangOrderFailedError",
        "OllangOutcomeUnknownError",
        "OllangStaleResultError",
        "OllangQualityError",
    }
    assert set(ALL) == {OllangError, OllangTimeoutError, *TRANSIENT, *PERMANENT}


@pytest.mark.parametrize("kind", ALL)
def test_all_are_airflow_exceptions(kind: type[OllangError]) -> None:
    assert issubclass(kind, AirflowException)


@pytest.mark.parametrize("kind", ALL)
def test_airflow_retries_exactly_those_that_are_not_permanent(kind: type[OllangError]) -> None:
    assert issubclass(kind, AirflowFailException) is (kind in PERMANENT)


@pytest.mark.parametrize("kind", ALL)
def test_only_the_timeout_is_a_sensor_timeout(kind: type[OllangError]) -> None:
    assert issubclass(kind, AirflowSensorTimeout) is (kind is OllangTimeoutError)


@pytest.mark.parametrize("kind", ALL)
def test_what_is_not_known_is_none(kind: type[OllangError]) -> None:
    error = kind()
    assert str(error) == ""
    assert {name: getattr(error, name) for name in FIELDS} == dict.fromkeys(FIELDS)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    "through",
    [
        pytest.param(copy.copy, id="copy"),
        pytest.param(copy.deepcopy, id="deepcopy"),
        pytest.param(_through_json, id="json"),
        *(
            pytest.param(_unpickled(protocol), id=f"pickle {protocol}")
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
    ],
)
def test_copies_and_pickles_keep_everything(
    kind: type[OllangError], through: Callable[[OllangError], OllangError]
) -> None:
    fields = {**FIELDS, **({"retry_after": 12.5} if issubclass(kind, OllangTransientError) else {})}
    error = kind("Could not get it.", **fields)
    error.add_note("seen by a test")
    read = through(error)
    assert type(read) is kind
    assert str(read) == "Could not get it."
    assert read.args == ("Could not get it.",)
    assert {name: getattr(read, name) for name in fields} == fields
    assert read.__notes__ == ["seen by a test"]
    assert vars(read) == vars(error)


@pytest.mark.parametrize("name", ["OllangLaterError", "Any", "AirflowException", "FIELDS", ""])
def test_one_of_an_unknown_class_is_read_as_passing_trouble(name: str) -> None:
    read = error_from_json({"class": name, "message": "Could not.", "fields": {"status_code": 500}})
    assert type(read) is OllangUnavailableError
    assert (str(read), read.status_code, read.code, read.retry_after) == ("Could not.", 500, None, None)


@pytest.mark.parametrize("kind", [OllangTransientError, OllangRateLimitError, OllangUnavailableError])
def test_passing_trouble_says_how_long_the_server_asked_to_wait(kind: type[OllangTransientError]) -> None:
    assert kind().retry_after is None
    assert kind("429", retry_after=0.0, status_code=429).retry_after == 0
    assert kind("429", retry_after=30.0, **FIELDS).status_code == 404


@pytest.mark.parametrize("kind", ALL)
def test_a_misspelt_field_is_an_error(kind: type[OllangError]) -> None:
    fields: dict[str, Any] = {"order": "60b8"}
    with pytest.raises(TypeError):
        kind("x", **fields)


@pytest.mark.parametrize("kind", ALL)
def test_each_says_what_it_is_for(kind: type[OllangError]) -> None:
    assert kind.__doc__
    assert vars(kind)["__doc__"]
