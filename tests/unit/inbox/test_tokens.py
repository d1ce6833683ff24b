from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_cleanlist.inbox.tokens import (
    TOKEN_LENGTH,
    Token,
    batch_name,
    parse_secrets,
    sign,
    verify,
)

SECRET, OTHER = "a secret of some length", "another secret of some length"
BATCH = batch_name("organisation", "dag/run/task/-1", "try0001.0")
NOW = 1_780_000_000
TOKEN = sign(SECRET, BATCH, NOW + 60)


def test_a_genuine_token():
    assert len(TOKEN) == TOKEN_LENGTH
    assert verify([SECRET], TOKEN, NOW) == Token(BATCH, NOW + 60)


def test_nothing_is_in_it_in_plain_text():
    raw = base64.urlsafe_b64decode(TOKEN + "==")
    assert b"dag" not in raw
    assert b"secret" not in raw


def test_a_token_expires():
    assert verify([SECRET], TOKEN, NOW + 59.9)
    assert verify([SECRET], TOKEN, NOW + 60) is None


def test_rotation():
    assert (
        verify([OTHER, SECRET], TOKEN, NOW) == verify([SECRET, OTHER], TOKEN, NOW) == Token(BATCH, NOW + 60)
    )
    assert verify([OTHER], TOKEN, NOW) is None
    assert verify([], TOKEN, NOW) is None


@pytest.mark.parametrize("index", range(TOKEN_LENGTH))
@pytest.mark.parametrize("letter", "A_z9")
def test_every_changed_character_is_noticed(index, letter):
    forged = TOKEN[:index] + letter + TOKEN[index + 1 :]
    assert forged == TOKEN or verify([SECRET], forged, NOW) is None


@given(st.text(max_size=100))
def test_anything_else_is_refused(text):
    assert verify([SECRET], text, NOW) is None


@pytest.mark.parametrize(
    "odd", [TOKEN + "=", TOKEN + "==", TOKEN[:-1], TOKEN + "A", f" {TOKEN}", TOKEN + "\n", ""]
)
def test_one_spelling_only(odd):
    assert verify([SECRET], odd, NOW) is None


def test_batches_have_names_of_their_own():
    parts = [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("a", "b", "d")]
    assert len({batch_name(*part) for part in parts}) == len(parts)


@pytest.mark.parametrize(
    ("text", "secrets"),
    [("", ()), (" , ", ()), (SECRET, (SECRET,)), (f"{OTHER}, {SECRET},", (OTHER, SECRET))],
)
def test_secrets(text, secrets):
    assert parse_secrets(text) == secrets


def test_a_short_secret_is_refused_and_not_shown():
    with pytest.raises(ValueError, match="at least 16 characters") as caught:
        parse_secrets(f"{SECRET},hunter2")
    assert "hunter2" not in str(caught.value)
