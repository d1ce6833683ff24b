"""The secret part of a webhook address.

Cleanlist does not sign its deliveries, so the address itself has to be the secret: it ends with a token that only
holders of the signing secret can make. A token consists of a hash that names a batch, an expiry date and a signature;
it contains no plain text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

TOKEN_LIFE_SECONDS = 7 * 24 * 3600
"""How long a webhook is accepted after its submission, in seconds."""
MIN_SECRET_LENGTH = 16
"""Minimum length of a secret, in characters."""
TOKEN_LENGTH = 70
"""Length of every token, in characters."""

_VERSION = 1
_BATCH_BYTES = 16
_MAC_BYTES = 31
_PURPOSE = b"airflow-provider-cleanlist/webhook"
_FORM = re.compile(rf"[A-Za-z0-9_-]{{{TOKEN_LENGTH}}}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Token:
    """The contents of a genuine token.

    Attributes:
        batch: Name of the batch, 32 hexadecimal digits.
        expires_at: When the token expires, in seconds since the epoch.
    """

    batch: str
    expires_at: int


def parse_secrets(text: str) -> tuple[str, ...]:
    """Return the secrets in a setting: several are separated by commas, and the first one signs.

    Args:
        text: The setting.

    Raises:
        ValueError: A secret is shorter than 16 characters.
    """
    secrets = tuple(part.strip() for part in text.split(",") if part.strip())
    if any(len(secret) < MIN_SECRET_LENGTH for secret in secrets):
        raise ValueError(f"a webhook secret must have at least {MIN_SECRET_LENGTH} characters")
    return secrets


def batch_name(scope: str, run: str, batch: str) -> str:
    """Return the name of a batch in tokens and in the inbox: 32 hexadecimal digits.

    Args:
        scope: The organisation that the batch is submitted for.
        run: The task instance that submits it.
        batch: Its name within the task instance.
    """
    text = "\0".join((scope, run, batch)).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=_BATCH_BYTES).hexdigest()


def sign(secret: str, batch: str, expires_at: float) -> str:
    """Return the token of a batch: 70 characters that need no escaping in a URL.

    Args:
        secret: The secret to sign with.
        batch: Name of the batch, from :func:`batch_name`.
        expires_at: When the token expires, in seconds since the epoch.
    """
    body = bytes([_VERSION]) + int(expires_at).to_bytes(4, "big") + bytes.fromhex(batch)
    return base64.urlsafe_b64encode(body + _mac(secret, body)).decode().rstrip("=")


def verify(secrets: Sequence[str], token: str, now: float) -> Token | None:
    """Return the contents of a token, or None if it is not genuine or has expired.

    All secrets are tried, each in constant time, so that the time taken reveals nothing.

    Args:
        secrets: Secrets that tokens may be signed with.
        token: The token as received.
        now: Seconds since the epoch.
    """
    if not _FORM.fullmatch(token):
        return None
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except binascii.Error:
        return None
    body, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
    matches = [hmac.compare_digest(mac, _mac(secret, body)) for secret in secrets]
    if not any(matches):
        return None
    if base64.urlsafe_b64encode(raw).decode().rstrip("=") != token:
        return None  # unused bits differ: another spelling of the same token
    found = Token(batch=body[5:].hex(), expires_at=int.from_bytes(body[1:5], "big"))
    return found if body[0] == _VERSION and now < found.expires_at else None


def _mac(secret: str, body: bytes) -> bytes:
    return hmac.new(secret.encode(), _PURPOSE + body, hashlib.sha256).digest()[:_MAC_BYTES]
