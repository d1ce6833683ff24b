"""Settings of a connection: normalised hosts, forgiving numbers, clear refusals without secrets."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from airflow_provider_cleanlist.client.errors import ConfigurationError
from airflow_provider_cleanlist.client.settings import (
    DEFAULT_HOST,
    EXTRA_SETTINGS,
    SETTINGS,
    ClientSettings,
    build_settings,
    is_loopback,
    normalise_host,
)

KEY = "clapi_secret-KEY_0123456789"


def build(host: str | None = None, key: str | None = KEY, **extra: Any) -> ClientSettings:
    return build_settings(host, key, extra)


def test_the_defaults_are_those_of_the_design() -> None:
    assert build() == ClientSettings(
        api_key=KEY,
        host="https://api.cleanlist.ai",
        requests_per_minute=60,
        rate_limit_store="",
        rate_limit_scope="",
        rate_limit_share=1.0,
        window_seconds=60.0,
        timeout_seconds=30.0,
        max_retries=5,
        lead_lists_api="v2",
        webhook_base_url="",
        webhook_secret="",
        hash_secret="",
    )
    assert set(EXTRA_SETTINGS) == {field.name for field in dataclasses.fields(ClientSettings)} - {
        "api_key",
        "host",
    }
    secrets = {name for name, setting in SETTINGS.items() if setting.secret}
    assert secrets == {"api_key", "webhook_secret", "hash_secret"}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (None, DEFAULT_HOST),
        ("", DEFAULT_HOST),
        ("  ", DEFAULT_HOST),
        ("api.cleanlist.ai", DEFAULT_HOST),
        ("https://api.cleanlist.ai", DEFAULT_HOST),
        ("https://api.cleanlist.ai/", DEFAULT_HOST),
        ("https://api.cleanlist.ai//", DEFAULT_HOST),
        (" HTTPS://API.Cleanlist.AI. ", DEFAULT_HOST),
        ("https://api.cleanlist.ai:443", DEFAULT_HOST),
        ("https://api.cleanlist.ai/api/v2", DEFAULT_HOST),
        ("https://api.cleanlist.ai/api/v1/public/", DEFAULT_HOST),
        ("api.cleanlist.ai/api/v2/", DEFAULT_HOST),
        ("proxy.corp.example:8443", "https://proxy.corp.example:8443"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://LOCALHOST:80/", "http://localhost"),
        ("http://127.0.0.1:8000/api/v2", "http://127.0.0.1:8000"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
        ("bücher.example", "https://xn--bcher-kva.example"),
    ],
)
def test_one_server_has_one_spelling(host: str | None, expected: str) -> None:
    assert normalise_host(host) == expected


@pytest.mark.parametrize(
    ("host", "port", "expected"),
    [
        ("http://127.0.0.1", 8000, "http://127.0.0.1:8000"),
        ("http://127.0.0.1:9000", 8000, "http://127.0.0.1:9000"),
        ("api.cleanlist.ai", 443, DEFAULT_HOST),
        ("[::1]", 8000, "https://[::1]:8000"),
        (None, 8000, DEFAULT_HOST),
    ],
)
def test_a_port_kept_apart_belongs_to_the_host(host: str | None, port: int, expected: str) -> None:
    assert normalise_host(host, port) == expected


@pytest.mark.parametrize(
    "host",
    [
        "ftp://api.cleanlist.ai",
        "https://",
        "https://user:secret@api.cleanlist.ai",
        "https://@api.cleanlist.ai",
        "https://[::1",
        "https://api.cleanlist.ai:port",
        "https://api.cleanlist.ai:99999",
        "api cleanlist ai",
        "api..cleanlist.ai",
        "https://" + "a" * 64 + ".ai",
        "https://api.cleanlist.ai\\evil.example",
        "javascript:alert(1)",
        "//",
        ".",
    ],
)
def test_what_is_no_address_is_refused_without_being_quoted(host: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        normalise_host(host)
    assert str(caught.value) == "host must look like https://api.cleanlist.ai"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "host",
    [
        "https://api.cleanlist.ai/v1",
        "https://api.cleanlist.ai/api/v2/lead-lists",
        "https://api.cleanlist.ai/prefix/api/v2",
        "https://api.cleanlist.ai?key=secret",
        "https://api.cleanlist.ai#secret",
    ],
)
def test_a_path_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        normalise_host(host)
    assert "without a path" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "http://api.cleanlist.ai",
        "http://10.0.0.1",
        "http://0.0.0.0:8000",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://127.1",
        "http://[2001:db8::1]",
    ],
)
def test_plain_http_is_for_this_machine_only(host: str) -> None:
    with pytest.raises(ConfigurationError, match="must use https://"):
        normalise_host(host)


def test_loopback() -> None:
    assert all(map(is_loopback, ["localhost", "127.0.0.1", "127.1.2.3", "::1"]))
    assert not any(map(is_loopback, ["", "0.0.0.0", "10.0.0.1", "api.cleanlist.ai", "local", "::2"]))


@pytest.mark.parametrize("key", [None, "", "   ", "\n"])
def test_a_missing_key_says_where_it_belongs(key: str | None) -> None:
    with pytest.raises(ConfigurationError, match="the API key is missing: set it as the password"):
        build(key=key)


@pytest.mark.parametrize(
    "key", ["clapi_a b", "clapi_a\nb", "clapi_a\r\nX-Other: 1", "clapi_ü", "clapi_\x00", "“clapi_a”"]
)
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build(key=key)
    assert "characters that are never part of a key" in str(caught.value)
    assert "clapi" not in str(caught.value)


@pytest.mark.parametrize("key", [f" {KEY}\n", "not-a-clapi-key", "a.b/c+d=", "eyJhbGciOi.JIUzI1.NiJ9"])
def test_any_other_key_is_taken_as_it_is(key: str) -> None:
    assert build(key=key).api_key == key.strip()


NUMBERS = {
    "requests_per_minute": (30, "30", 1, 100_000, int),
    "rate_limit_share": (0.5, "0.5", 0.001, 1.0, float),
    "window_seconds": (2.5, "2.5", 0.01, 3600, float),
    "timeout_seconds": (7.5, "7.5", 0.1, 180, float),
    "max_retries": (3, "3", 0, 100, int),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_may_be_texts_and_have_limits(name: str) -> None:
    number, text, least, most, kind = NUMBERS[name]
    default = getattr(build(), name)
    for given, expected in (
        (number, number),
        (text, number),
        (f" {text} ", number),
        (None, default),
        ("", default),
    ):
        value = getattr(build(**{name: given}), name)
        assert value == expected
        assert type(value) is kind
    assert getattr(build(**{name: least}), name) == least
    assert getattr(build(**{name: most}), name) == most
    for bad in (least - 1, most + 1, "many", True, False, [], {}, float("nan"), float("inf"), 10**400, "1,5"):
        with pytest.raises(
            ConfigurationError, match=rf"^{name} must be a number from {least:g} to {most:g}$"
        ):
            build(**{name: bad})


@pytest.mark.parametrize(
    ("given", "expected"), [("v1", "v1"), ("V2", "v2"), (" v1 ", "v1"), ("", "v2"), (None, "v2")]
)
def test_the_surface_for_lead_lists(given: str | None, expected: str) -> None:
    assert build(lead_lists_api=given).lead_lists_api == expected


@pytest.mark.parametrize("given", ["v3", "1", 2, [], True])
def test_another_surface_is_refused(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="lead_lists_api must be"):
        build(lead_lists_api=given)


@pytest.mark.parametrize(
    "name", ["rate_limit_store", "rate_limit_scope", "webhook_base_url", "webhook_secret", "hash_secret"]
)
def test_texts(name: str) -> None:
    assert getattr(build(**{name: " secret-text "}), name) == "secret-text"
    assert getattr(build(**{name: None}), name) == ""
    for bad in (7, True, [], {"a": "secret-text"}):
        with pytest.raises(ConfigurationError) as caught:
            build(**{name: bad})
        assert str(caught.value) == f"{name} must be text"


def test_notes_of_the_users_own_are_ignored() -> None:
    notes = {"owner": "data team", "api_key": "other", "host": "other"}
    assert build_settings(None, KEY, notes) == build()


def test_settings_do_not_print_secrets() -> None:
    settings = build(webhook_secret="w-secret", hash_secret="h-secret", rate_limit_store="redis://:pw@h/0")
    assert repr(settings) == f"{settings}" == "ClientSettings(host='https://api.cleanlist.ai')"


# The budget


@pytest.mark.parametrize(
    ("rate", "share", "expected"),
    [(60, 1.0, 60), (60, 0.5, 30), (60, 0.34, 20), (1, 0.001, 1), (10, 0.09, 1)],
)
def test_the_share_of_the_budget(rate: int, share: float, expected: int) -> None:
    budget = build(requests_per_minute=rate, rate_limit_share=share, window_seconds=2.0).budget
    assert (budget.requests, budget.window) == (expected, 2.0)


def test_the_scope_is_one_per_server_and_key_and_tells_neither() -> None:
    scope = build().scope
    assert scope == build("https://API.cleanlist.ai:443/api/v2/", requests_per_minute=7).scope
    assert scope != build(key="clapi_other").scope
    assert scope != build("https://other.example").scope
    assert KEY not in scope
    assert "cleanlist" not in scope
    assert build(rate_limit_scope="acme").scope == "acme"
