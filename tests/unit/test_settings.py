"""The connection: every way to write it, every field, every refusal, and what the environment adds."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import TYPE_CHECKING, Any

import certifi
import pytest
from airflow.api_fastapi.core_api.datamodels.connections import ConnectionBody
from airflow.models.connection import Connection as ModelConnection
from airflow.sdk import Connection

from airflow_provider_ollang.client.settings import Settings
from airflow_provider_ollang.exceptions import OllangConfigurationError
from airflow_provider_ollang.get_provider_info import CONNECTION_FIELDS, DEFAULT_HOST
from airflow_provider_ollang.hooks.ollang import OllangHook
from tests.installed_airflow import hands_out_broken_connections, needs_whole_names_in_no_proxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = "canary-key-of-the-settings"
PASSWORD = "canary-proxy-password"
PROXY = f"http://user:{PASSWORD}@proxy.example:3128"

Written = dict[str, Any]


def read(host: str | None = None, port: int | None = None, schema: str | None = None, **extra: Any) -> Settings:
    return Settings.from_connection("c1", password=KEY, host=host, port=port, schema=schema, extra=extra)


def refusal(**fields: Any) -> str:
    with pytest.raises(OllangConfigurationError) as caught:
        Settings.from_connection("c1", **{"password": KEY, **fields})
    return checked(caught.value)


def checked(error: OllangConfigurationError) -> str:
    """Return the text of a refusal, after a look at what every refusal must be like."""
    text = str(error)
    assert "'c1'" in text
    assert KEY not in text + repr(error)
    assert PASSWORD not in text + repr(error)
    assert error.__suppress_context__ or error.__context__ is None
    assert "\n" not in text
    assert len(text) < 1000
    return text


# --- The same connection, however written ---------------------------------------------------------------------


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
    texts = {**written, "extra": json.dumps(written.get("extra") or {})}
    if "port" in written:
        texts["port"] = str(written["port"])
    monkeypatch.setenv("AIRFLOW_CONN_C1", json.dumps({"conn_type": "ollang", **texts}))


def by_form(monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    """As the form of the UI posts it and the API stores it: all six fields of extra, emptied ones null or ``""``."""
    blanks = {one.name: None if one.json_type == "integer" else "" for one in CONNECTION_FIELDS}
    extra = {**blanks, **(written.get("extra") or {})}
    form = {"host": "", "schema": "", "login": "", "port": None, **written, "extra": json.dumps(extra)}
    body = ConnectionBody.model_validate({"connection_id": "c1", "conn_type": "ollang", "description": "", **form})
    stored = ModelConnection(**body.model_dump(by_alias=True))
    monkeypatch.setattr(OllangHook, "get_connection", lambda *_: stored)


WAYS = [by_uri, by_uri_with_strings, by_json, by_json_with_text, by_form]

SAME = {
    "nothing but a key": ({}, {"base_url": DEFAULT_HOST}),
    "host name": ({"host": "gateway.example"}, {"base_url": "https://gateway.example"}),
    "host and port": ({"host": "gateway.example", "port": 8443}, {"base_url": "https://gateway.example:8443"}),
    "host, port and schema": (
        {"host": "127.0.0.1", "port": 8075, "schema": "http"},
        {"base_url": "http://127.0.0.1:8075"},
    ),
    "base URL and port": ({"host": "http://localhost", "port": 8075}, {"base_url": "http://localhost:8075"}),
    "base URL with port": ({"host": "http://localhost:8075"}, {"base_url": "http://localhost:8075"}),
    "base URL with path": ({"host": "https://gateway.example/ollang/"}, {"base_url": "https://gateway.example/ollang"}),
    "usual port": ({"host": "gateway.example", "port": 443}, {"base_url": "https://gateway.example"}),
    "IPv6 and port": ({"host": "[::1]", "port": 8075, "schema": "http"}, {"base_url": "http://[::1]:8075"}),
    "every extra": (
        {
            "host": "ollang.example",
            "extra": {
                "timeout": 12.5,
                "max_attempts": 3,
                "verify": False,
                "ca_bundle": "ca.pem",
                "proxy": PROXY,
                "allow_http": False,
            },
        },
        {
            "base_url": "https://ollang.example",
            "timeout": 12.5,
            "max_attempts": 3,
            "verify": False,
            "ca_bundle": "ca.pem",
            "proxy": PROXY,
        },
    ),
    "plain HTTP allowed": (
        {"host": "http://ollang.example", "extra": {"allow_http": True}},
        {"base_url": "http://ollang.example"},
    ),
}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize(("written", "expected"), SAME.values(), ids=SAME)
def test_connection_is_the_same_settings_in_every_notation(
    monkeypatch: pytest.MonkeyPatch, written: Written, expected: Written, way: Callable[..., None]
) -> None:
    way(monkeypatch, {"password": KEY, **written})
    settings = OllangHook("c1").settings
    assert settings == Settings(conn_id="c1", api_key=KEY, **expected)
    assert [type(settings.timeout), type(settings.max_attempts), type(settings.verify)] == [float, int, bool]


@pytest.mark.parametrize("address", ["[::1]", "[2001:db8::7]"])
def test_ipv6_address_in_a_uri(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    # Airflow takes the brackets off.
    monkeypatch.setenv("AIRFLOW_CONN_C1", f"ollang://:{KEY}@{address}:8075")
    assert OllangHook("c1").settings.base_url == f"https://{address}:8075"


def test_key_with_every_printable_character_survives_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "".join(map(chr, range(33, 127)))
    by_uri(monkeypatch, {"password": key, "host": "ollang.example", "extra": {"timeout": 9}})
    assert OllangHook("c1").settings.api_key == key


def test_login_of_a_connection_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_C1", f"ollang://someone:{KEY}@ollang.example")
    assert OllangHook("c1").settings == Settings(conn_id="c1", base_url="https://ollang.example", api_key=KEY)


BAD_EXTRAS = {
    "cut off": '{"timeout": 5, "proxy": "http',
    "no JSON": "timeout=5",
    "a list": ["timeout", 5],
    "a text": '"timeout"',
    "a number": "5",
}


@pytest.mark.parametrize("extra", BAD_EXTRAS.values(), ids=BAD_EXTRAS)
def test_extra_that_is_no_object_is_refused(monkeypatch: pytest.MonkeyPatch, extra: Any) -> None:
    by_json(monkeypatch, {"password": KEY, "extra": extra})
    words = "extra" if hands_out_broken_connections else "Airflow cannot read it"
    with pytest.raises(OllangConfigurationError, match=words) as caught:
        _ = OllangHook("c1").settings
    checked(caught.value)


def test_missing_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OllangConfigurationError, match="does not exist") as caught:
        _ = OllangHook("c1").settings
    checked(caught.value)


# Airflow hides why it could not make anything of these, and says that they are not there.
UNREADABLE: dict[str, Written] = {
    "extra with an endless number": {"extra": '{"timeout": 1' + "0" * 5000 + "}"},
    "extra nested too deep": {"extra": '{"timeout": ' + "[" * 100_000 + "]" * 100_000 + "}"},
    "key a number": {"password": 12345678},
    "host a number": {"host": 5},
    "host a list": {"host": ["ollang.example"]},
    "schema a number": {"schema": 5},
    "port a text": {"port": "https"},
    "unknown part": {"proxy": PROXY},
}


@pytest.mark.parametrize("written", UNREADABLE.values(), ids=UNREADABLE)
def test_connection_that_airflow_cannot_read(monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    by_json(monkeypatch, {"password": KEY, **written})
    with pytest.raises(OllangConfigurationError, match="read") as caught:
        _ = OllangHook("c1").settings
    checked(caught.value)


def test_connection_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    by_json(monkeypatch, {"password": KEY})
    hook = OllangHook("c1")
    first = hook.settings
    by_json(monkeypatch, {"password": "another-key"})
    assert hook.settings is first


def test_making_a_hook_reads_nothing() -> None:
    OllangHook("no_such_connection")


# --- Extra fields ---------------------------------------------------------------------------------------------

BLANK = ["", "  ", None]
TRUE = [True, 1, "1", "true", "True", "TRUE", " true ", "yes", "on"]
FALSE = [False, 0, "0", "false", "False", "FALSE", " false ", "no", "off"]

COERCED: list[tuple[str, Any, Any]] = [
    *(("timeout", value, 30.0) for value in BLANK),
    *(("timeout", value, 12.0) for value in (12, 12.0, "12", " 12 ", "12.0", "1.2e1")),
    ("timeout", 1, 1.0),
    ("timeout", "600", 600.0),
    ("timeout", "1.5", 1.5),
    *(("max_attempts", value, 5) for value in BLANK),
    *(("max_attempts", value, 3) for value in (3, 3.0, "3", "3.0", " 3\n")),
    ("max_attempts", 1, 1),
    ("max_attempts", "20", 20),
    *(("verify", value, True) for value in (*BLANK, *TRUE)),
    *(("verify", value, False) for value in FALSE),
    *(("ca_bundle", value, None) for value in BLANK),
    ("ca_bundle", " /etc/ca.pem\n", "/etc/ca.pem"),
    *(("proxy", value, None) for value in BLANK),
    ("proxy", f" {PROXY} ", PROXY),
]


@pytest.mark.parametrize(("name", "given", "expected"), COERCED, ids=repr)
def test_extra_field_is_coerced(name: str, given: Any, expected: Any) -> None:
    found = getattr(read(**{name: given}), name)
    assert (found, type(found)) == (expected, type(expected))


NO_NUMBERS: list[Any] = [10**400, "1e999", "nan", "inf", "-inf", float("nan"), "abc", "1,5", True, False, [], [3], {}]
WRONG: dict[str, list[Any]] = {
    "timeout": [*NO_NUMBERS, 0, -1, 0.99, 600.1, 601, "0", "-1", "12 s", "30s", {"value": 30}, "9" * 5000],
    "max_attempts": [*NO_NUMBERS, 0, -1, 21, 2.5, "0", "2.5", "five"],
    "verify": ["maybe", "2", 2, -1, "tru", "none", [], [True], {}, "certificate.pem"],
    "ca_bundle": [5, True, False, [], ["/etc/ca.pem"], {}],
    "proxy": [5, True, [PROXY], {}, {"https": PROXY}],
    "allow_http": ["maybe", 2, [], {}, "http"],
}
REFUSED = [(name, value) for name, values in WRONG.items() for value in values]


@pytest.mark.parametrize(("name", "value"), REFUSED, ids=lambda given: repr(given)[:40])
def test_extra_field_is_refused_by_its_name(name: str, value: Any) -> None:
    assert name in refusal(host="http://ollang.example", extra={"allow_http": True, name: value})


@pytest.mark.parametrize("value", ["http://[::1", "http://user:pass@[bad", "http://proxy.example:99999", "http://"])
def test_proxy_that_is_no_url_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    by_json(monkeypatch, {"password": KEY, "extra": {"proxy": value}})
    with pytest.raises(OllangConfigurationError, match="proxy"):
        _ = OllangHook("c1").settings


def test_unknown_extra_fields_do_no_harm() -> None:
    assert read(extra__ollang__timeout=5, retries="x") == read()


def test_limits_of_the_form_are_the_limits_of_the_reader() -> None:
    for one in CONNECTION_FIELDS:
        for limit, beyond in (("minimum", -1), ("maximum", 1)):
            if limit in one.limits:
                edge = one.limits[limit]
                assert getattr(read(**{one.name: edge}), one.name) == edge
                assert one.name in refusal(extra={one.name: edge + beyond})


def test_defaults_of_the_form_are_those_of_the_settings() -> None:
    settings = read()
    for one in CONNECTION_FIELDS:
        if one.name != "allow_http":
            assert getattr(settings, one.name) == one.default


# --- The key --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [KEY, f" {KEY} ", f"{KEY}\n", f"\r\n{KEY}\t"], ids=repr)
def test_key_is_stripped(given: str) -> None:
    assert Settings.from_connection("c1", password=given).api_key == KEY


def test_key_with_a_space_inside_is_printable_and_taken() -> None:
    assert Settings.from_connection("c1", password="two words").api_key == "two words"


@pytest.mark.parametrize("given", [None, "", " ", "\n", "\t \r\n"], ids=repr)
def test_missing_key_is_refused(given: str | None) -> None:
    text = refusal(password=given)
    assert "API key" in text
    assert "password" in text


NO_KEYS = [
    *(f"canary{character}inside" for character in ("\n", "\r", "\r\n", "\t", "\0", "\x1b", "\x7f", "\x80")),
    *(
        f"canary{character}inside"
        for character in ("\u00a0", "\u200b", "\ufeff", "\u2028", "ü", "ключ", "鍵", "\U0001f511")
    ),
    *("canary\udc80inside", "\ufeffcanary-inside", "canary\nX-Other: inside"),
]


@pytest.mark.parametrize("given", NO_KEYS, ids=ascii)
def test_key_with_foreign_characters_is_refused_and_not_shown(given: str) -> None:
    text = refusal(password=given)
    assert "API key" in text
    assert "password" in text
    assert "canary" not in text
    assert "inside" not in text


# --- The base URL ---------------------------------------------------------------------------------------------

BASE_URLS: list[tuple[str | None, int | None, str | None, str]] = [
    (None, None, None, DEFAULT_HOST),
    ("", None, "", DEFAULT_HOST),
    ("  ", 0, " ", DEFAULT_HOST),
    ("", 443, "", DEFAULT_HOST),
    (None, 8443, None, f"{DEFAULT_HOST}:8443"),
    (None, None, "https", DEFAULT_HOST),
    ("ollang.example", None, None, "https://ollang.example"),
    (" ollang.example\n", None, None, "https://ollang.example"),
    ("ollang.example:8443", None, None, "https://ollang.example:8443"),
    ("ollang.example", 8443, None, "https://ollang.example:8443"),
    ("ollang.example", 443, "https", "https://ollang.example"),
    ("ollang.example", None, "https://", "https://ollang.example"),
    ("ollang.example", None, "HTTPS", "https://ollang.example"),
    ("https://ollang.example", None, None, "https://ollang.example"),
    ("HTTPS://Ollang.Example", None, None, "https://ollang.example"),
    ("https://ollang.example:443", None, None, "https://ollang.example"),
    ("https://ollang.example:443/", 443, "https", "https://ollang.example"),
    ("https://ollang.example:8443", 8443, "https", "https://ollang.example:8443"),
    ("https://ollang.example", 8443, None, "https://ollang.example:8443"),
    ("https://ollang.example/", None, None, "https://ollang.example"),
    ("https://ollang.example///", None, None, "https://ollang.example"),
    ("https://ollang.example/integration", None, None, "https://ollang.example"),
    ("https://ollang.example/integration/", None, None, "https://ollang.example"),
    ("ollang.example/integration", 8443, None, "https://ollang.example:8443"),
    ("https://ollang.example/gateway", None, None, "https://ollang.example/gateway"),
    ("https://ollang.example/gateway/integration/", None, None, "https://ollang.example/gateway"),
    ("https://ollang.example/my-integration", None, None, "https://ollang.example/my-integration"),
    ("https://ollang.example/integration/v2", None, None, "https://ollang.example/integration/v2"),
    ("https://ollang.example/pfäd", None, None, "https://ollang.example/pf%C3%A4d"),
    ("https://ollang.example/pf%c3%a4d", None, None, "https://ollang.example/pf%C3%A4d"),
    ("https://ollang.example/%7euser/%41", None, None, "https://ollang.example/~user/A"),
    ("https://ollang.example/a%2Fb", None, None, "https://ollang.example/a%2Fb"),
    ("https://ollang.example/100%", None, None, "https://ollang.example/100%25"),
    ("https://ollang.example/a[b]", None, None, "https://ollang.example/a%5Bb%5D"),
    ("https://ollang.example/a\\b|c", None, None, "https://ollang.example/a%5Cb%7Cc"),
    ("https://ollang.example/a/../b", None, None, "https://ollang.example/b"),
    ("https://ollang.example/a/./b/.", None, None, "https://ollang.example/a/b"),
    ("https://ollang.example/%2e%2e/b", None, None, "https://ollang.example/b"),
    ("https://ollang.example/../..", None, None, "https://ollang.example"),
    ("https://ollang.example//gateway", None, None, "https://ollang.example/gateway"),
    ("https://ollang.example/a//b", None, None, "https://ollang.example/a//b"),
    ("https://ollang.example/a/../integration", None, None, "https://ollang.example"),
    ("https://ollang.example/a:b@c;d=e+f,(g)!$&'*~", None, None, "https://ollang.example/a:b@c;d=e+f,(g)!$&'*~"),
    ("https://Bücher.example/", None, None, "https://xn--bcher-kva.example"),
    ("https://192.0.2.7", None, None, "https://192.0.2.7"),
    ("[2001:db8::7]", None, None, "https://[2001:db8::7]"),
    ("[2001:db8::7]:8443", None, None, "https://[2001:db8::7]:8443"),
    ("https://[2001:db8::7]/gateway", 8443, None, "https://[2001:db8::7]:8443/gateway"),
    ("2001:db8::7", 8443, None, "https://[2001:db8::7]:8443"),
    ("::1", 8075, "http", "http://[::1]:8075"),
    ("http://localhost", None, None, "http://localhost"),
    ("http://localhost:80", None, "http", "http://localhost"),
    ("localhost", 8075, "http", "http://localhost:8075"),
    ("localhost:8075", None, "http", "http://localhost:8075"),
]


@pytest.mark.parametrize(("host", "port", "schema", "expected"), BASE_URLS)
def test_base_url(host: str | None, port: int | None, schema: str | None, expected: str) -> None:
    assert read(host, port, schema).base_url == expected


@pytest.mark.parametrize("url", [url for *_, url in BASE_URLS])
def test_canonical_base_url_stays_as_it_is(url: str) -> None:
    assert read(url).base_url == url


BAD_BASE_URLS: list[tuple[str | None, int | None, str | None, str]] = [
    ("https://ollang.example:8443", 8444, None, "port"),
    ("ollang.example:8443", 443, None, "port"),
    ("https://ollang.example:443", 80, None, "port"),
    ("http://localhost:8075", 443, None, "port"),
    ("https://ollang.example", None, "http", "schema"),
    ("http://localhost", None, "https", "schema"),
    ("ollang.example", None, "ftp", "schema"),
    ("ollang.example", None, "ollang/v2", "schema"),
    ("ollang.example", 70_000, None, "port"),
    ("ollang.example", -1, None, "port"),
    ("ollang.example:70000", None, None, "host"),
    ("ollang.example:port", None, None, "host"),
    ("https://user@ollang.example", None, None, "host"),
    (f"https://user:{PASSWORD}@ollang.example", None, None, "host"),
    (f"{KEY}@ollang.example", None, None, "host"),
    (f"https://ollang.example?api_key={KEY}", None, None, "host"),
    (f"https://ollang.example/path?key={KEY}", None, None, "host"),
    ("https://ollang.example/#orders", None, None, "host"),
    ("ftp://ollang.example", None, None, "host"),
    ("file:///etc/passwd", None, None, "host"),
    ("ollang://ollang.example", None, None, "host"),
    ("https://", None, None, "host"),
    ("https:///path", None, None, "host"),
    ("://ollang.example", None, None, "host"),
    ("https://[::1", None, None, "host"),
    ("https://[not-an-address]", None, None, "host"),
    ("https://ollang example", None, None, "host"),
    ("https://ollang.example/a b", None, None, "host"),
    ("https://ollang.example/a\tb", None, None, "host"),
    ("https://ollang\n.example", None, None, "host"),
    ("https://ollang.example\x00", None, None, "host"),
    ("https://ollang.example\\@other.example", None, None, "host"),
    # The library that sends takes the part before the backslash for the host, so this is no loopback address.
    ("http://other.example\\.localhost", None, None, "host"),
    ("https://*.ollang.example", None, None, "host"),
    ("https://.ollang.example", None, None, "host"),
    ("https://ollang..example", None, None, "host"),
    (f"https://{'a' * 64}.example", None, None, "host"),
    ("https://ollang\u2100.example", None, None, "host"),
    ("https://ollang\udc80.example", None, None, "host"),
    ("https://ollang.example/\udc80", None, None, "host"),
]


@pytest.mark.parametrize(("host", "port", "schema", "named"), BAD_BASE_URLS, ids=ascii)
def test_bad_base_url_is_refused(host: str | None, port: int | None, schema: str | None, named: str) -> None:
    assert named in refusal(host=host, port=port, schema=schema)


LOOPBACK = ["localhost", "LOCALHOST", "sandbox.localhost", "127.0.0.1", "127.1.2.3", "[::1]"]
NOT_LOOPBACK = [
    *("ollang.example", "0.0.0.0", "10.0.0.1", "192.168.1.1", "169.254.1.1", "[fe80::1]", "[::]"),  # noqa: S104
    *("notlocalhost", "localhost.example.com", "127.0.0.1.example", "1.127.0.0.1.example", "128.0.0.1"),
]


@pytest.mark.parametrize("name", LOOPBACK)
def test_http_is_for_this_machine(name: str) -> None:
    settings = read(f"http://{name}:8075")
    assert (settings.is_loopback, settings.is_encrypted) == (True, False)


@pytest.mark.parametrize("name", NOT_LOOPBACK)
def test_http_to_other_machines_needs_leave(name: str) -> None:
    for extra in ({}, {"allow_http": False}, {"allow_http": "no"}, {"allow_http": ""}, {"allow_http": None}):
        assert "allow_http" in refusal(host=f"http://{name}", extra=extra)
        assert "allow_http" in refusal(host=name, schema="http", extra=extra)
    for allowed in (True, "true", 1):
        settings = read(f"http://{name}", allow_http=allowed)
        assert (settings.is_loopback, settings.is_encrypted) == (False, False)
    assert read(f"https://{name}").is_encrypted


# --- What shows them ------------------------------------------------------------------------------------------


def test_no_secret_is_shown() -> None:
    settings = read("ollang.example", proxy=PROXY)
    for text in (repr(settings), str(settings), f"{settings}", repr([settings]), repr({"settings": settings})):
        assert KEY not in text
        assert PASSWORD not in text
        assert "ollang.example" in text


def test_headers() -> None:
    agent = read().headers()["User-Agent"]
    assert read().headers() == {"X-Api-Key": KEY, "Accept": "application/json", "User-Agent": agent}
    assert agent.startswith("airflow-provider-ollang/")


CLEANED = [
    ("", ""),
    ("No order found", "No order found"),
    (f"key {KEY} is wrong", "key *** is wrong"),
    (f"{KEY}{KEY}", "******"),
    (f"via {PROXY}", "via http://user:***@proxy.example:3128"),
    ("see https://files.example/a.vtt?Signature=abc&x=1 now", "see https://files.example/a.vtt?… now"),
    ("HTTPS://files.example/a?b=c", "HTTPS://files.example/a?…"),
    ("s3://bucket/a.vtt?X-Amz-Signature=abc", "s3://bucket/a.vtt?…"),
    ('"http://a.example/?x=1", "http://b.example/?y=2"', '"http://a.example/?…", "http://b.example/?…"'),
    ("is this right? yes", "is this right? yes"),
    ("one\r\ntwo\tthree\x00\x1b[31m\x7f\x9b", "one  two three  [31m  "),
]


@pytest.mark.parametrize(("words", "expected"), CLEANED)
def test_foreign_words_are_cleaned(words: str, expected: str) -> None:
    assert read(proxy=PROXY).redact(words) == expected


@pytest.mark.parametrize("length", [499, 500, 501, 100_000])
def test_foreign_words_are_cut(length: int) -> None:
    cleaned = read().redact("ö" * length)
    assert len(cleaned) == min(length, 500)
    assert (cleaned[-1] == "…") == (length > 500)


@pytest.mark.parametrize("part", ["http://", "a", "?", "http://a?b ", "://?", "' ", "\ud800"], ids=ascii)
def test_long_words_take_no_longer_than_their_length(part: str) -> None:
    """An answer may have 20 MB of them; a pattern that begins anew at each of them takes minutes for these 250 kB."""
    began = time.monotonic()
    read(proxy=PROXY).redact(part * (250_000 // len(part)))
    assert time.monotonic() - began < 5


def test_secrets_are_taken_out_before_the_cut() -> None:
    cleaned = read().redact("x" * 490 + KEY + " https://files.example/a?Signature=secret")
    assert "canary" not in cleaned
    assert "Signature" not in read().redact("x" * 470 + " https://files.example/a?Signature=secret")


def test_key_does_not_come_together_by_cleaning() -> None:
    settings = Settings.from_connection("c1", password="two words")
    assert "two words" not in settings.redact("two\nwords")


# --- What the environment adds --------------------------------------------------------------------------------


def resolved(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], host: str = "", **extra: Any) -> Settings:
    by_json(monkeypatch, {"password": KEY, "host": host, "extra": extra})
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return OllangHook("c1").settings


HTTPS, HTTP = "https://api.ollang.example", "http://api.ollang.example"
ONE, TWO = "http://one.example:3128", "http://two.example:3128"

PROXIES: dict[str, tuple[dict[str, str], str, Any, str | None]] = {
    "none": ({}, HTTPS, "", None),
    "https": ({"HTTPS_PROXY": ONE}, HTTPS, "", ONE),
    "https in lower case": ({"https_proxy": ONE}, HTTPS, "", ONE),
    "of the other scheme": ({"HTTP_PROXY": ONE}, HTTPS, "", None),
    "http": ({"http_proxy": ONE, "HTTPS_PROXY": TWO}, HTTP, "", ONE),
    "all": ({"ALL_PROXY": ONE}, HTTPS, "", ONE),
    "https before all": ({"ALL_PROXY": ONE, "HTTPS_PROXY": TWO}, HTTPS, "", TWO),
    "proxy over TLS": ({"HTTPS_PROXY": "https://one.example:3128"}, HTTPS, "", "https://one.example:3128"),
    "with a password": ({"HTTPS_PROXY": PROXY}, HTTPS, "", PROXY),
    "without a scheme": ({"HTTPS_PROXY": "one.example:3128"}, HTTPS, "", ONE),
    "empty": ({"HTTPS_PROXY": "", "NO_PROXY": ""}, HTTPS, "", None),
    "connection before environment": ({"HTTPS_PROXY": ONE}, HTTPS, TWO, TWO),
    "connection before NO_PROXY": ({"HTTPS_PROXY": ONE, "NO_PROXY": "*"}, HTTPS, TWO, TWO),
    "NO_PROXY everything": ({"HTTPS_PROXY": ONE, "NO_PROXY": "*"}, HTTPS, "", None),
    "NO_PROXY the host": ({"HTTPS_PROXY": ONE, "NO_PROXY": "x.example, api.ollang.example"}, HTTPS, "", None),
    "NO_PROXY the domain": ({"HTTPS_PROXY": ONE, "no_proxy": ".ollang.example"}, HTTPS, "", None),
    "NO_PROXY host and port": ({"HTTPS_PROXY": ONE, "NO_PROXY": "api.ollang.example:8443"}, f"{HTTPS}:8443", "", None),
    "NO_PROXY another port": ({"HTTPS_PROXY": ONE, "NO_PROXY": "api.ollang.example:8443"}, HTTPS, "", ONE),
    "NO_PROXY another host": ({"HTTPS_PROXY": ONE, "NO_PROXY": "ollang.example.org"}, HTTPS, "", ONE),
    "NO_PROXY network": ({"HTTPS_PROXY": ONE, "NO_PROXY": "192.0.2.0/24"}, "https://192.0.2.7", "", None),
}


@pytest.mark.parametrize(("environment", "host", "own", "expected"), PROXIES.values(), ids=PROXIES)
def test_proxy(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], host: str, own: str, expected: str | None
) -> None:
    assert resolved(monkeypatch, environment, host, proxy=own, allow_http=True).proxy == expected


@needs_whole_names_in_no_proxy
def test_a_host_is_not_without_proxy_for_the_end_of_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolved(monkeypatch, {"HTTPS_PROXY": ONE, "NO_PROXY": "i.ollang.example"}, HTTPS).proxy == ONE


def test_key_in_plain_http_to_loopback_bypasses_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"HTTP_PROXY": ONE, "ALL_PROXY": ONE}
    assert resolved(monkeypatch, environment, "http://localhost:8075").proxy is None
    assert resolved(monkeypatch, environment, "http://127.0.0.1:8075", proxy=TWO).proxy == TWO


@pytest.mark.parametrize(
    ("environment", "own"),
    [({"HTTPS_PROXY": "socks5://one.example"}, ""), ({}, "socks5h://one.example"), ({}, "ftp://x")],
)
def test_other_kinds_of_proxy_are_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], own: str
) -> None:
    with pytest.raises(OllangConfigurationError, match="proxy") as caught:
        resolved(monkeypatch, environment, HTTPS, proxy=own)
    checked(caught.value)


BUNDLES: dict[str, tuple[dict[str, str], str, str | None]] = {
    "nothing": ({}, "", None),
    "own": ({}, "own.pem", "own.pem"),
    "own first": ({"REQUESTS_CA_BUNDLE": "requests.pem", "SSL_CERT_FILE": "ssl.pem"}, "own.pem", "own.pem"),
    "then that of requests": ({"REQUESTS_CA_BUNDLE": "requests.pem", "SSL_CERT_FILE": "ssl.pem"}, "", "requests.pem"),
    "then that of OpenSSL": ({"SSL_CERT_FILE": "ssl.pem"}, "", "ssl.pem"),
    "empty ones are none": ({"REQUESTS_CA_BUNDLE": "", "SSL_CERT_FILE": ""}, "", None),
    "an empty one is passed over": ({"REQUESTS_CA_BUNDLE": "", "SSL_CERT_FILE": "ssl.pem"}, "", "ssl.pem"),
    "not that of curl": ({"CURL_CA_BUNDLE": "requests.pem"}, "", None),
}


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    for name in ("own", "requests", "ssl"):
        # The fixture stands for real bundles: those of certifi.
        (tmp_path / f"{name}.pem").symlink_to(certifi.where())
    return tmp_path


@pytest.mark.parametrize(("environment", "own", "expected"), BUNDLES.values(), ids=BUNDLES)
def test_order_of_the_certificates(
    monkeypatch: pytest.MonkeyPatch, bundles: Path, environment: dict[str, str], own: str, expected: str | None
) -> None:
    paths = {name: f"{bundles}/{value}" if value else "" for name, value in environment.items()}
    settings = resolved(monkeypatch, paths, HTTPS, ca_bundle=f"{bundles}/{own}" if own else "")
    assert settings.ca_bundle == (f"{bundles}/{expected}" if expected else None)
    assert settings.verify


@pytest.mark.parametrize("name", ["ca_bundle", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_missing_certificates_are_one_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    missing = f"{tmp_path}/nowhere.pem"
    environment, extra = ({}, {name: missing}) if name == "ca_bundle" else ({name: missing}, {})
    with pytest.raises(OllangConfigurationError) as caught:
        resolved(monkeypatch, environment, HTTPS, **extra)
    text = checked(caught.value)
    assert missing in text
    assert name in text


def test_missing_certificates_do_not_matter_unless_verified(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = resolved(monkeypatch, {"SSL_CERT_FILE": f"{tmp_path}/nowhere.pem"}, HTTPS, verify=False)
    assert not settings.verify


def test_settings_are_a_value() -> None:
    assert read() == read()
    assert hash(read()) == hash(read())
    with pytest.raises(dataclasses.FrozenInstanceError):
        read().api_key = "x"  # type: ignore[misc]


@pytest.mark.parametrize("name", ["X-Amz-Signature", "sig", "token", "X-Goog-Credential", "Expires"])
def test_signatures_of_links_without_a_scheme_are_not_shown(name: str) -> None:
    settings = Settings.from_connection("c", password="some-key")
    assert settings.redact(f"see /a.vtt?{name}=abcdef now") == f"see /a.vtt?{name}=… now"
