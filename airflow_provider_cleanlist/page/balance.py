"""The organisation's credits: asked for at most once in five minutes, by all processes of a host together.

The answer is kept in a file beside the request budget of the host. Nobody waits for it: whoever finds it old asks in a
thread of its own, and the page shows what was known before.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from airflow_provider_cleanlist.client import endpoints
from airflow_provider_cleanlist.client.client import CleanlistClient
from airflow_provider_cleanlist.client.rate_limit import open_limiter
from airflow_provider_cleanlist.client.rate_limit.core import Priority
from airflow_provider_cleanlist.client.rate_limit.directories import (
    SharedDirectory,
    default_directories,
    opened_directory,
    replace_in,
    scope_hash,
)
from airflow_provider_cleanlist.client.settings import ClientSettings

log = logging.getLogger(__name__)

ASK_AGAIN_SECONDS = 300.0
"""Seconds between two requests for the balance."""
MAX_WAIT_SECONDS = 60.0
"""How long the request may wait for its place in the budget, in seconds."""
TIMEOUT_SECONDS = 10.0
"""How long the API may take to answer, in seconds."""
_LARGEST_FILE = 4096
_LARGEST_NUMBER = 1e11
"""Of credits, and of seconds since the epoch: the year 5138."""
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Balance:
    """What is known of the credits left.

    Attributes:
        credits: Credits left, or None if no answer has come yet.
        checked_at: When that was, in seconds since the epoch.
        asked_at: When they were asked for last.
        has_failed: Whether the last request got no answer.
        organisation: Whose credits they are, as the API names it; empty if it does not.
    """

    credits: float | None = None
    checked_at: float = 0.0
    asked_at: float = 0.0
    has_failed: bool = False
    organisation: str = ""

    def is_pending(self, now: float) -> bool:
        """Return whether an answer may come in a moment; not of a process that was ended while it asked.

        Args:
            now: Seconds since the epoch.
        """
        is_open = self.credits is None and not self.has_failed
        return is_open and abs(now - self.asked_at) < MAX_WAIT_SECONDS + TIMEOUT_SECONDS

    def is_due(self, now: float) -> bool:
        """Return whether it is time to ask again; also when the clock was set back.

        Args:
            now: Seconds since the epoch.
        """
        return abs(now - self.asked_at) >= ASK_AGAIN_SECONDS


class BalanceStore:
    """Keeps the balance of an organisation's budget for all processes of this host; where that fails, for this one.

    Args:
        scope: Name of the request budget.
        directories: Where the file may be, best first.
    """

    def __init__(self, scope: str, directories: Sequence[Path] | None = None) -> None:
        self._name = f"{scope_hash(scope)}.balance"
        self._directories = default_directories() if directories is None else directories
        self._unwritten: Balance | None = None
        self._lock = threading.Lock()

    def read(self) -> Balance:
        """Return what is known."""
        with self._opened() as folder:
            return self._known(folder)

    def claim(self, now: float) -> bool:
        """Return whether the caller is the one to ask; then nobody else is for :data:`ASK_AGAIN_SECONDS`.

        Args:
            now: Seconds since the epoch.
        """
        return self._change(lambda known: replace(known, asked_at=now) if known.is_due(now) else None)

    def write(self, balance: Balance) -> None:
        """Keep an answer.

        Args:
            balance: The answer.
        """
        self._change(lambda known: replace(balance, asked_at=known.asked_at))

    def _change(self, change: Callable[[Balance], Balance | None]) -> bool:
        """Replace what is known, unless the change is None or somebody else is changing it; return whether."""
        with self._lock, self._opened() as folder:
            if folder is not None:
                try:
                    # closing the folder releases it
                    fcntl.flock(folder.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    return False
            changed = change(self._known(folder))
            if changed is None:
                return False
            self._unwritten = changed
            if folder is not None:
                with contextlib.suppress(OSError):  # of a disk that is full, for instance
                    replace_in(folder, self._name, _encode(changed), folder.file_mode)
                    self._unwritten = None
            return True

    @contextlib.contextmanager
    def _opened(self) -> Iterator[SharedDirectory | None]:
        """Yield the first directory that can hold the file, or None."""
        with contextlib.ExitStack() as stack:
            found = None
            for directory in self._directories:
                with contextlib.suppress(OSError):
                    found = stack.enter_context(opened_directory(directory, create=True))
                    if os.access(".", os.W_OK, dir_fd=found.descriptor):
                        break
                found = None
            yield found

    def _known(self, folder: SharedDirectory | None) -> Balance:
        """Return what the file says, unless this process knows something newer that could not be written into it."""
        written = Balance() if folder is None else self._read(folder)
        own = self._unwritten
        return written if own is None or own.asked_at < written.asked_at else own

    def _read(self, folder: SharedDirectory) -> Balance:
        try:
            file = os.open(self._name, _READ_FLAGS, dir_fd=folder.descriptor)
            try:
                folder.check(file)
                return _decode(os.read(file, _LARGEST_FILE))
            finally:
                os.close(file)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            return Balance()


def _encode(balance: Balance) -> bytes:
    return json.dumps(asdict(replace(balance, organisation=balance.organisation[:200]))).encode()


def _decode(data: bytes) -> Balance:
    found: dict[str, Any] = json.loads(data)
    credits_left = None if found["credits"] is None else float(found["credits"])
    checked_at, asked_at = float(found["checked_at"]), float(found["asked_at"])
    if (
        not all(map(_is_plausible, (credits_left or 0.0, checked_at, asked_at)))
        or min(checked_at, asked_at) < 0
    ):
        return Balance()
    return Balance(credits_left, checked_at, asked_at, bool(found["has_failed"]), str(found["organisation"]))


def _is_plausible(number: float) -> bool:
    """Whether a number can be one of credits or seconds; anything else in the file would break a page."""
    return abs(number) <= _LARGEST_NUMBER  # not of a NaN


def current_balance(store: BalanceStore, settings: ClientSettings, now: float) -> Balance:
    """Return what is known of the balance; if that is old, let somebody ask meanwhile.

    Args:
        store: Keeps the balance.
        settings: The connection's settings.
        now: Seconds since the epoch.
    """
    known = store.read()
    if not known.is_due(now):
        return known
    if store.claim(now):
        threading.Thread(
            target=_ask, args=(store, settings, known), name="cleanlist-balance", daemon=True
        ).start()
    return store.read()


def _ask(store: BalanceStore, settings: ClientSettings, known: Balance) -> None:
    """Make one request for the balance, with the priority of a status check, and keep the answer."""
    try:
        limiter = open_limiter(settings.rate_limit_store, settings.scope, settings.budget)
        timeout = min(TIMEOUT_SECONDS, settings.timeout_seconds)
        client = CleanlistClient(replace(settings, max_retries=0, timeout_seconds=timeout), limiter)
        call = endpoints.get_credit_balance()
        request = replace(call.request, priority=Priority.POLL, max_wait=MAX_WAIT_SECONDS)
        answer = client.run(replace(call, request=request))
        left = float(answer.credits)
        balance = Balance(left, time.time(), organisation=answer.organization_id or "")
        if not _is_plausible(left):
            balance = replace(known, has_failed=True)
    except Exception as error:  # noqa: BLE001  # the page says that there is no answer
        log.info("The page has not learned the Cleanlist credit balance: %s.", type(error).__name__)
        balance = replace(known, has_failed=True)
    store.write(balance)
