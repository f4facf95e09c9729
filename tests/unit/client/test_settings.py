"""What a connection says: its fields, every refusal, and what is shown of it."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import pytest

from airflow_provider_ollang.client.settings import Settings
from airflow_provider_ollang.exceptions import OllangConfigurationError
from airflow_provider_ollang.get_provider_info import CONNECTION_FIELDS

KEY = "canary-key-of-the-settings"
PASSWORD = "canary-proxy-password"
PROXY = f"http://user:{PASSWORD}@proxy.example:3128"


def read(host: str | None = None, schema: str | None = None, **extra: Any) -> Settings:
    return Settings.from_connection("c1", password=KEY, host=host, schema=schema, extra=extra)


def refusal(**fields: Any) -> str:
    """Return the text of a refusal, which names the connection and shows no secret."""
    with pytest.raises(OllangConfigurationError) as caught:
        Settings.from_connection("c1", **{"password": KEY, **fields})
    error, text = caught.value, str(caught.value)
    assert "'c1'" in text
    for secret in (KEY, PASSWORD, "canary"):
        assert secret not in text + repr(error)
    assert error.__suppress_context__ or error.__context__ is None
    assert "\n" not in text
    assert len(text) < 1000
    return text


# --- Extra fields -------------------------------------------------------------------------------------------------

BLANK = ["", "  ", None]
TRUE = [True, 1, "1", "TRUE", " true ", "yes", "on"]
FALSE = [False, 0, "0", "False", " false ", "no", "off"]
#: Field, what was given and what it means.
COERCED: list[tuple[str, Any, Any]] = [
    *(("timeout", value, 30.0) for value in BLANK),
    *(("timeout", value, 12.0) for value in (12, 12.0, " 12 ", "12.0", "1.2e1")),
    ("timeout", 1, 1.0),
    ("timeout", "600", 600.0),
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
    ("proxy", "proxy.example:3128", "http://proxy.example:3128"),
]


@pytest.mark.parametrize(("name", "given", "expected"), COERCED, ids=repr)
def test_extra_field_is_coerced(name: str, given: Any, expected: Any) -> None:
    value = getattr(read(**{name: given}), name)
    assert (value, type(value)) == (expected, type(expected))


NO_NUMBERS: list[Any] = [10**400, "1e999", "nan", float("inf"), "abc", "1,5", True, [], {}]
WRONG: dict[str, list[Any]] = {
    "timeout": [*NO_NUMBERS, 0, -1, 0.99, 600.1, "0", "12 s", {"value": 30}, "9" * 5000],
    "max_attempts": [*NO_NUMBERS, 0, 21, 2.5, "0", "2.5"],
    "verify": ["maybe", 2, -1, "tru", [], [True], {}, "certificate.pem"],
    "ca_bundle": [5, True, [], ["/etc/ca.pem"], {}],
    "proxy": [
        *(5, True, [PROXY], {"https": PROXY}, "http://[::1", f"http://u:{PASSWORD}@[bad", "http://p.example:99999"),
        *("http://", "ftp://x", "socks5h://one.example"),
    ],
    "allow_http": ["maybe", 2, [], {}, "http"],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in WRONG.items() for value in values],
    ids=lambda given: repr(given)[:40],
)
def test_wrong_extra_field_is_refused_by_name(name: str, value: Any) -> None:
    assert name in refusal(host="http://ollang.example", extra={"allow_http": True, name: value})


def test_unknown_extra_field_does_no_harm() -> None:
    assert read(extra__ollang__timeout=5, retries="x") == read()


def test_limits_of_the_form_are_those_of_the_settings() -> None:
    settings = read()
    for each in CONNECTION_FIELDS:
        if each.name != "allow_http":
            assert getattr(settings, each.name) == each.default
        for limit, beyond in (("minimum", -1), ("maximum", 1)):
            if limit in each.limits:
                edge = each.limits[limit]
                assert getattr(read(**{each.name: edge}), each.name) == edge
                assert each.name in refusal(extra={each.name: edge + beyond})


# --- The key ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [KEY, f"\r\n {KEY}\t", "two words", "".join(map(chr, range(33, 127)))], ids=repr)
def test_key_is_stripped(given: str) -> None:
    assert Settings.from_connection("c1", password=given).api_key == given.strip()


NO_KEYS = ["", " ", "\t \r\n", "\ufeffcanary", "canary\nX-Other: canary"]
NO_KEYS += [f"canary{character}canary" for character in "\n\r\t\0\x1b\x7f\x80\u00a0\u200b\u2028ü鍵\U0001f511\udc80"]


@pytest.mark.parametrize("given", [None, *NO_KEYS], ids=ascii)
def test_missing_or_unprintable_key_is_refused(given: str | None) -> None:
    text = refusal(password=given)
    assert "API key" in text
    assert "password" in text


# --- Encryption ---------------------------------------------------------------------------------------------------

LOOPBACK = ["localhost", "LOCALHOST", "sandbox.localhost", "127.0.0.1", "127.1.2.3", "[::1]"]
NOT_LOOPBACK = [
    *("ollang.example", "0.0.0.0", "10.0.0.1", "169.254.1.1", "[fe80::1]", "[::]"),  # noqa: S104
    *("notlocalhost", "localhost.example.com", "127.0.0.1.example", "1.127.0.0.1.example", "128.0.0.1"),
]


@pytest.mark.parametrize("name", LOOPBACK)
def test_http_is_for_this_machine(name: str) -> None:
    settings = read(f"http://{name}:8075")
    assert (settings.is_loopback, settings.is_encrypted) == (True, False)


@pytest.mark.parametrize("name", NOT_LOOPBACK)
def test_http_to_another_machine_needs_allow_http(name: str) -> None:
    for extra in ({}, {"allow_http": "no"}, {"allow_http": None}):
        assert "allow_http" in refusal(host=f"http://{name}", extra=extra)
        assert "allow_http" in refusal(host=name, schema="http", extra=extra)
    settings = read(f"http://{name}", allow_http="true")
    assert (settings.is_loopback, settings.is_encrypted) == (False, False)
    assert read(f"https://{name}").is_encrypted


def test_wrong_base_url_is_refused() -> None:
    assert "its base URL (host)" in refusal(host=f"https://user:{PASSWORD}@ollang.example")


# --- What is shown ------------------------------------------------------------------------------------------------


def test_settings_are_a_value_that_shows_no_secret() -> None:
    settings = read("ollang.example", proxy=PROXY)
    for text in (repr(settings), str(settings), repr({"settings": settings})):
        assert KEY not in text
        assert PASSWORD not in text
        assert "ollang.example" in text
    assert hash(read()) == hash(read())
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.api_key = "x"  # type: ignore[misc]


def test_headers_have_the_key() -> None:
    agent = read().headers()["User-Agent"]
    assert read().headers() == {"X-Api-Key": KEY, "Accept": "application/json", "User-Agent": agent}
    assert agent.startswith("airflow-provider-ollang/")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("is this right? yes", "is this right? yes"),
        (f"{KEY} is {KEY}{KEY}", "*** is ******"),
        (f"via {PROXY}", "via http://user:***@proxy.example:3128"),
        ("HTTPS://files.example/a?b=c now", "HTTPS://files.example/a?… now"),
        ("s3://bucket/a.vtt?X-Amz-Signature=abc", "s3://bucket/a.vtt?…"),
        ('"http://a.example/?x=1", "http://b.example/?y=2"', '"http://a.example/?…", "http://b.example/?…"'),
        ("see /a.vtt?X-Goog-Credential=abcdef now", "see /a.vtt?X-Goog-Credential=… now"),
        ("one\r\ntwo\tthree\x00\x1b[31m\x7f\x9b", "one  two three  [31m  "),
    ],
)
def test_redacted_text_has_no_secret_and_one_line(text: str, expected: str) -> None:
    assert read(proxy=PROXY).redact(text) == expected


def test_password_of_the_proxy_is_redacted_as_written() -> None:
    redacted = read(proxy="http://u:p%40ss@proxy.example").redact("p%40ss and p@ss")
    assert redacted == "*** and ***"


@pytest.mark.parametrize("length", [499, 500, 501, 100_000])
def test_redacted_text_is_cut_at_500_characters(length: int) -> None:
    redacted = read().redact("ö" * length)
    assert len(redacted) == min(length, 500)
    assert (redacted[-1] == "…") == (length > 500)


def test_secret_is_redacted_before_the_cut() -> None:
    assert "canary" not in read().redact("x" * 490 + KEY + " https://files.example/a?Signature=secret")
    assert "Signature" not in read().redact("x" * 470 + " https://files.example/a?Signature=secret")


def test_key_does_not_come_together_by_redacting() -> None:
    assert "two words" not in Settings.from_connection("c1", password="two words").redact("two\nwords")


@pytest.mark.parametrize("part", ["http://", "a", "?", "http://a?b ", "://?", "' ", "\ud800"], ids=ascii)
def test_redacting_takes_linear_time(part: str) -> None:
    """A response may have 20 MB; a pattern that starts again at each of them takes minutes for these 250 kB."""
    began = time.monotonic()
    read(proxy=PROXY).redact(part * (250_000 // len(part)))
    assert time.monotonic() - began < 5
