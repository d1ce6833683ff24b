"""The webhook addresses of batches, and what deliveries to them reveal about batches of unknown outcome."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import conf

from airflow_provider_cleanlist.client.settings import ClientSettings, is_loopback
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.inbox.inbox import Inbox, InboxUnavailableError, announce
from airflow_provider_cleanlist.inbox.settings import URL_PREFIX, WEBHOOK_PATH
from airflow_provider_cleanlist.inbox.tokens import TOKEN_LIFE_SECONDS, batch_name, parse_secrets, sign
from airflow_provider_cleanlist.submission.errors import WorkflowTakenError
from airflow_provider_cleanlist.submission.journal import Batch, Journal
from airflow_provider_cleanlist.task_log import TaskLog
from airflow_provider_cleanlist.wording import counted


class WebhookUrl(str):
    """A webhook address, which is a secret: it shows nothing of itself where variables are shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Show that it is an address."""
        return "WebhookUrl(...)"


@dataclass(frozen=True, slots=True)
class WebhookAddresses:
    """Makes the webhook addresses of one task instance.

    Attributes:
        base_url: Public address of the receiver, without ``/cleanlist/webhook``.
        secret: Secret that signs tokens.
        scope: The organisation.
        run: The task instance, and its ``force_resubmit`` value.
    """

    base_url: str
    secret: str = field(repr=False)
    scope: str
    run: str

    def url(self, identities: bytes, batches: Sequence[Batch], now: float) -> str:
        """Return the address for a batch that is about to be submitted.

        Args:
            identities: Hashes of its contacts.
            batches: All batches so far.
            now: Seconds since the epoch.
        """
        token = sign(self.secret, self.name(identities, batches), now + TOKEN_LIFE_SECONDS)
        return WebhookUrl(f"{self.base_url}{URL_PREFIX}{WEBHOOK_PATH}{token}")

    def name(self, identities: bytes, earlier: Sequence[Batch]) -> str:
        """Return the name of a batch: by its contacts, and by how often these may have been accepted before.

        Args:
            identities: Hashes of its contacts.
            earlier: The batches before it.
        """
        digest = hashlib.blake2b(identities, digest_size=16).hexdigest()
        again = sum(batch.may_be_billed and batch.identities == identities for batch in earlier)
        return batch_name(self.scope, self.run, f"{digest}.{again}")

    def settle(self, journal: Journal, inbox: Inbox, now: float) -> list[str]:
        """Record as accepted those batches of unknown outcome whose webhook was delivered.

        Whoever has the address of a batch can deliver for it and name any workflow. So such a workflow is not
        announced: its results come from the API, and nothing else that was delivered is used, task ids included.

        Args:
            journal: The loaded journal.
            inbox: What was delivered.
            now: Seconds since the epoch.

        Returns:
            The workflows that these batches became.

        Raises:
            InboxUnavailableError: The inbox cannot be read.
            JournalError: The journal cannot be written.
        """
        settled: list[str] = []
        batches = list(journal.batches)
        for index, batch in enumerate(batches):
            if not batch.is_unknown:
                continue
            name = self.name(batch.identities, batches[:index])
            workflow_id = inbox.workflow_of(name)
            if workflow_id is not None and inbox.batch_of(workflow_id) in (None, name):
                with suppress(WorkflowTakenError):
                    journal.settle(batch, workflow_id, now)
                    settled.append(workflow_id)
        return settled

    def settle_from_inbox(self, journal: Journal, log: TaskLog) -> None:
        """Settle the batches that the configured inbox knows; the others stay unknown.

        Args:
            journal: The loaded journal.
            log: Receives counts.

        Raises:
            JournalError: The journal cannot be written.
        """
        if not any(batch.is_unknown for batch in journal.batches):
            return
        try:
            inbox = Inbox.configured()
            settled = [] if inbox is None else self.settle(journal, inbox, time.time())
        except InboxUnavailableError as error:
            log.warning("Webhook deliveries cannot be read: %s.", error)
            return
        if settled:
            log.info(
                "Webhook deliveries confirm that Cleanlist accepted %s of unknown outcome.",
                counted(len(settled), "batch", "batches"),
            )


class BatchAddresses:
    """The webhook addresses of a submission, one for each batch, and what became of the batches.

    Args:
        addresses: Makes the addresses.
        journal: The loaded journal, which knows how often the same contacts were submitted before.
    """

    def __init__(self, addresses: WebhookAddresses, journal: Journal) -> None:
        self._addresses = addresses
        self._journal = journal
        self._names: dict[str, str] = {}
        self._can_announce = True

    def url(self, identities: bytes) -> str:
        """Return the address for a batch that is about to be submitted.

        Args:
            identities: Hashes of its contacts.
        """
        batches = self._journal.batches
        url = self._addresses.url(identities, batches, time.time())
        self._names[url] = self._addresses.name(identities, batches)
        return url

    def accepted(self, url: str, workflow_id: str) -> None:
        """Announce at once which workflow a batch became, so that its results are taken by no other address.

        Args:
            url: The batch's address.
            workflow_id: The workflow.
        """
        if self._can_announce:
            self._can_announce = announce({workflow_id: self._names[url]})

    def announce_all(self) -> None:
        """Announce the workflows of all attempts that Cleanlist named: a killed one may have left some out."""
        batches = list(self._journal.batches)
        announce(
            {
                batch.workflow_id: self._addresses.name(batch.identities, batches[:index])
                for index, batch in enumerate(batches)
                if batch.workflow_id is not None and not batch.is_settled
            }
        )


def open_webhook_addresses(settings: ClientSettings, run: Sequence[object]) -> WebhookAddresses:
    """Return the maker of a task instance's webhook addresses.

    Args:
        settings: The connection's settings.
        run: What identifies the task instance, and each start over with ``force_resubmit``, among all others.

    Raises:
        CleanlistConfigurationError: The receiver's address or secret is missing or invalid.
    """
    try:
        base_url = check_base_url(settings.webhook_base_url)
        configured = conf.get("cleanlist", "webhook_secret", fallback="") or ""
        secret = signing_secret(settings.webhook_secret, configured)
    except ValueError as error:
        raise CleanlistConfigurationError(f"webhook=True cannot be used: {error}.") from None
    if secret is None:
        raise CleanlistConfigurationError(
            "webhook=True needs a secret: set webhook_secret in the connection, or [cleanlist] webhook_secret."
        )
    return WebhookAddresses(base_url, secret, settings.scope, "\0".join(map(str, run)))


def signing_secret(*settings: str) -> str | None:
    """Return the secret that signs: the first one in the first setting that holds any.

    Args:
        *settings: Settings in order of precedence.

    Raises:
        ValueError: A secret is too short.
    """
    return next((secrets[0] for text in settings if (secrets := parse_secrets(text))), None)


def check_base_url(base_url: str) -> str:
    """Return the public address of the receiver without a slash at its end.

    Args:
        base_url: As configured.

    Raises:
        ValueError: Cleanlist would not deliver to it: not https, or no address.
    """
    try:
        parts = urlsplit(base_url)
        is_usable = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    except ValueError:
        is_usable = False
    if not is_usable or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("webhook_base_url must look like https://airflow.example.com")
    return base_url.rstrip("/")
