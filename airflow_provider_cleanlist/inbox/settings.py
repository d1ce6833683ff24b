"""How the receiver is configured."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow.providers.common.compat.sdk import conf

from airflow_provider_cleanlist.inbox.tokens import parse_secrets

SECTION = "cleanlist"
"""Section of Airflow's configuration."""
URL_PREFIX = "/cleanlist"
"""Path below which the receiver answers."""
WEBHOOK_PATH = "/webhook/"
"""Path below which the receiver answers."""


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """Settings of the receiver.

    Attributes:
        secrets: Secrets that genuine tokens are made with; the first signs.
        inbox: Directory for what is delivered.
    """

    secrets: tuple[str, ...] = field(repr=False)
    inbox: str


def receiver_settings() -> ReceiverSettings | None:
    """Return the settings in Airflow's configuration, or None if ``[cleanlist] webhook_secret`` is not set.

    Raises:
        ValueError: They cannot be used; the message shows no secret.
    """
    secrets = parse_secrets(conf.get(SECTION, "webhook_secret", fallback="") or "")
    if not secrets:
        return None
    inbox = (conf.get(SECTION, "webhook_inbox", fallback="") or "").strip()
    if not inbox:
        raise ValueError("[cleanlist] webhook_secret is set, but [cleanlist] webhook_inbox is not")
    return ReceiverSettings(secrets, inbox)
