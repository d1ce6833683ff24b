"""What the Test button of a Cleanlist connection answers: fixed sentences, because Airflow shows them unredacted."""

from __future__ import annotations

from airflow_provider_cleanlist.exceptions import (
    CleanlistAuthenticationError,
    CleanlistError,
    CleanlistPermissionError,
    CleanlistRateLimitedError,
    CleanlistServerError,
    CleanlistTransportError,
)

CONNECTED = "Connected to Cleanlist: the API key is valid."
"""The answer when all is well."""

FAILURES: tuple[tuple[type[CleanlistError], str], ...] = (
    (CleanlistAuthenticationError, "Cleanlist refused the API key: it may be mistyped, expired or revoked."),
    (CleanlistPermissionError, "The API key is known, but its plan does not include API access."),
    (
        CleanlistRateLimitedError,
        "The request limit is used up at the moment, so the key was not checked: try later.",
    ),
    (CleanlistServerError, "Cleanlist answers with server errors at the moment: try later."),
    (CleanlistTransportError, "Cleanlist cannot be reached: check the host and the network."),
)
"""Errors, and what is answered to them."""

NOT_CLEANLIST = "The host does not answer as Cleanlist does: check the host."
"""The answer to every other error of the API."""


def failure_text(error: CleanlistError) -> str:
    """Return the sentence that says why a check failed.

    Args:
        error: What the check raised.
    """
    return next((text for kind, text in FAILURES if isinstance(error, kind)), NOT_CLEANLIST)
