"""The connection as Airflow hands it to the hook: the same settings from every notation."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.api_fastapi.core_api.datamodels.connections import ConnectionBody
from airflow.models.connection import Connection as ModelConnection
from airflow.sdk import Connection

from airflow_provider_ollang.client.settings import Settings
from airflow_provider_ollang.exceptions import OllangConfigurationError
from airflow_provider_ollang.get_provider_info import CONNECTION_FIELDS, DEFAULT_HOST
from airflow_provider_ollang.hooks.ollang import OllangHook
from tests.installed_airflow import hands_out_broken_connections

KEY = "canary-key-of-the-connection"
PROXY = "http://user:canary-proxy-password@proxy.example:3128"

Written = dict[str, Any]


def by_uri(monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    extra = written.get("extra")
    fields = {**written, "extra": json.dumps(extra) if extra else None}
    uri = Connection(conn_id="c1", conn_type="ollang", **fields).get_uri()
    assert uri.startswith("ollang://")
    monkeypatch.setenv("AIRFLOW_CONN_C1", uri)


def by_uri_with_strings(monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    """As a person writes a URI: every field of extra is a text."""
    texts = {name: json.dumps(value).strip('"') for name, value in (written.get("extra") or {}).items()}
    by_uri(monkeypatch, {**written, "extra": texts})


def by_json(monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_C1", json.dumps({"conn_type": "ollang", **written}))


def by_json_with_text(monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    """With extra as JSON inside of JSON, and the port as text."""
    port = {"port": str(written["port"])} if "port" in written else {}
    by_json(monkeypatch, {**written, "extra": json.dumps(written.get("extra") or {}), **port})


def by_form(monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    """As the form of the UI posts it and the API stores it: all six fields of extra, emptied ones null or ``""``."""
    blanks = {each.name: None if each.json_type == "integer" else "" for each in CONNECTION_FIELDS}
    extra = {**blanks, **(written.get("extra") or {})}
    form = {"host": "", "schema": "", "login": "", "port": None, **written, "extra": json.dumps(extra)}
    body = ConnectionBody.model_validate({"connection_id": "c1", "conn_type": "ollang", "description": "", **form})
    stored = ModelConnection(**body.model_dump(by_alias=True))
    monkeypatch.setattr(OllangHook, "get_connection", lambda *_: stored)


EXTRA = {"timeout": 12.5, "max_attempts": 3, "verify": False, "ca_bundle": "ca.pem", "proxy": PROXY}
SAME: dict[str, tuple[Written, Written]] = {
    "nothing but a key": ({}, {"base_url": DEFAULT_HOST}),
    "host name": ({"host": "gateway.example"}, {"base_url": "https://gateway.example"}),
    "host and port": ({"host": "gateway.example", "port": 8443}, {"base_url": "https://gateway.example:8443"}),
    "schema, too": ({"host": "127.0.0.1", "port": 8075, "schema": "http"}, {"base_url": "http://127.0.0.1:8075"}),
    "base URL and port": ({"host": "http://localhost", "port": 8075}, {"base_url": "http://localhost:8075"}),
    "base URL with port": ({"host": "http://localhost:8075"}, {"base_url": "http://localhost:8075"}),
    "base URL with path": ({"host": "https://gateway.example/ollang/"}, {"base_url": "https://gateway.example/ollang"}),
    "IPv6 and port": ({"host": "[::1]", "port": 8075, "schema": "http"}, {"base_url": "http://[::1]:8075"}),
    "every extra": (
        {"host": "ollang.example", "extra": {**EXTRA, "allow_http": False}},
        {"base_url": "https://ollang.example", **EXTRA},
    ),
    "plain HTTP allowed": (
        {"host": "http://ollang.example", "extra": {"allow_http": True}},
        {"base_url": "http://ollang.example"},
    ),
}


@pytest.mark.parametrize(
    "notation", [by_uri, by_uri_with_strings, by_json, by_json_with_text, by_form], ids=lambda each: each.__name__
)
@pytest.mark.parametrize(("written", "expected"), SAME.values(), ids=SAME)
def test_connection_is_the_same_in_every_notation(
    monkeypatch: pytest.MonkeyPatch, written: Written, expected: Written, notation: Callable[..., None]
) -> None:
    notation(monkeypatch, {"password": KEY, **written})
    settings = OllangHook("c1").settings
    assert settings == Settings(conn_id="c1", api_key=KEY, **expected)
    assert [type(settings.timeout), type(settings.max_attempts), type(settings.verify)] == [float, int, bool]


def test_uri_keeps_every_printable_character_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "".join(map(chr, range(33, 127)))
    by_uri(monkeypatch, {"password": key, "host": "ollang.example", "extra": {"timeout": 9}})
    assert OllangHook("c1").settings.api_key == key


def test_uri_of_an_ipv6_address_and_with_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    # Airflow takes the brackets off.
    monkeypatch.setenv("AIRFLOW_CONN_C1", f"ollang://someone:{KEY}@[2001:db8::7]:8075")
    assert OllangHook("c1").settings.base_url == "https://[2001:db8::7]:8075"


def refusal(match: str) -> None:
    with pytest.raises(OllangConfigurationError, match=match) as caught:
        _ = OllangHook("c1").settings
    assert "'c1'" in str(caught.value)
    assert "canary" not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize("extra", ['{"timeout": 5, "proxy": "http', "timeout=5", ["timeout", 5], '"timeout"', "5"])
def test_extra_that_is_no_object_is_refused(monkeypatch: pytest.MonkeyPatch, extra: Any) -> None:
    by_json(monkeypatch, {"password": KEY, "extra": extra})
    refusal("extra" if hands_out_broken_connections else "Airflow cannot read it")


def test_missing_connection_is_refused() -> None:
    refusal("does not exist")


# Airflow hides why it could not make anything of these, and says that they are not there.
UNREADABLE: dict[str, Written] = {
    "extra with an endless number": {"extra": '{"timeout": 1' + "0" * 5000 + "}"},
    "extra nested too deep": {"extra": '{"timeout": ' + "[" * 100_000 + "]" * 100_000 + "}"},
    "key a number": {"password": 12345678},
    "host a list": {"host": ["ollang.example"]},
    "schema a number": {"schema": 5},
    "port a text": {"port": "https"},
    "unknown part": {"proxy": PROXY},
}


@pytest.mark.parametrize("written", UNREADABLE.values(), ids=UNREADABLE)
def test_connection_that_airflow_cannot_read_is_refused(monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    by_json(monkeypatch, {"password": KEY, **written})
    refusal("read")


def test_connection_is_read_once_and_not_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = OllangHook("c1")
    by_json(monkeypatch, {"password": KEY})
    first = hook.settings
    by_json(monkeypatch, {"password": "another-key"})
    assert hook.settings is first


def test_settings_of_the_hook_take_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    by_json(monkeypatch, {"password": KEY})
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert OllangHook("c1").settings.proxy == PROXY
