"""Configuration of the webhook receiver."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow.providers.common.compat.sdk import conf

from airflow_provider_cleanlist.inbox.tokens import parse_secrets

URL_PREFIX = "/cleanlist"
"""Path at which the receiver is mounted."""
WEBHOOK_PATH = "/webhook/"
"""Path of a webhook below the prefix, without its token."""


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """Settings of the receiver.

    Attributes:
        secrets: Secrets that tokens may be signed with; the first one signs new ones.
        inbox: Local path or object storage URI of the inbox.
    """

    secrets: tuple[str, ...] = field(repr=False)
    inbox: str


def receiver_settings() -> ReceiverSettings | None:
    """Return the settings in Airflow's configuration, or None if ``[cleanlist] webhook_secret`` is not set.

    Raises:
        ValueError: A setting is invalid or missing; the message does not contain the secrets.
    """
    secrets = parse_secrets(conf.get("cleanlist", "webhook_secret", fallback="") or "")
    if not secrets:
        return None
    inbox = configured_path()
    if not inbox:
        raise ValueError("[cleanlist] webhook_secret is set, but [cleanlist] webhook_inbox is not")
    return ReceiverSettings(secrets, inbox)


def configured_path() -> str:
    """Return the path in ``[cleanlist] webhook_inbox``, or an empty string if there is none."""
    return str(conf.get("cleanlist", "webhook_inbox", fallback="") or "").strip()
