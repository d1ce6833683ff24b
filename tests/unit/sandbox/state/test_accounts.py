"""Organisations, users and keys."""

from __future__ import annotations


def test_generated_keys_look_like_the_vendors(api):
    secret = api.sandbox.accounts.add_key().secret
    assert secret.startswith("clapi_")
    assert len(secret) == len("clapi_") + 64
