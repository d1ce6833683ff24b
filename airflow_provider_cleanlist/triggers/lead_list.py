"""The trigger of asset watchers that start DAGs when a lead list has changed."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_cleanlist import exceptions
from airflow_provider_cleanlist.arguments.values import (
    given,
    number,
)
from airflow_provider_cleanlist.assets import SCHEME
from airflow_provider_cleanlist.client import errors
from airflow_provider_cleanlist.client.lead_lists import LeadLists
from airflow_provider_cleanlist.client.responses import LeadList
from airflow_provider_cleanlist.exceptions import CleanlistConfigurationError
from airflow_provider_cleanlist.hooks.cleanlist import CleanlistHook
from airflow_provider_cleanlist.redaction import redacted, shown
from airflow_provider_cleanlist.triggers.list_counts import shared_counts

try:
    from airflow.triggers.base import BaseEventTrigger
except ImportError:  # Airflow 2 has no asset watchers
    from airflow.triggers.base import BaseTrigger as BaseEventTrigger  # type: ignore[assignment]

COUNTS = ("lead_count", "enriched_count")
"""The counts of a list that can be watched."""
MIN_INTERVAL_SECONDS = 30.0
"""Shortest interval between two checks, in seconds."""
LONGEST_PAUSE_SECONDS = 3600.0
"""Longest pause after failed checks, in seconds, unless the interval itself is longer."""
HANDOVER_SECONDS = 10.0
"""How long after an event its counts are stored, in seconds. A triggerer that dies before may lose the event, so
until then the counts are not known as reported: an event too many costs a refresh, a lost one leaves a stale table."""


class CleanlistListTrigger(BaseEventTrigger):
    """Fires when the counts of a lead list have changed, for an ``AssetWatcher`` (Airflow 3 and later).

    The first check only records the counts. On Airflow 3.3 and later they are kept in the asset's state store, so a
    change is noticed even if no triggerer was running when it happened; on earlier versions they are kept in the
    triggerer's memory, and each start of the trigger records them anew.

    All triggers of a connection in one triggerer share their requests: one for each 100 lists that the key may see
    and, for ``enriched_count``, one for each watched list, since Cleanlist's pages of lists do not have that count.
    The requests have low priority in the request budget; the log warns when those for ``enriched_count`` take more than
    a quarter of it. A failed check is logged and made again, at twice the
    interval and so on up to an hour; it never ends the watch.

    The payload of an event is ``{"cleanlist": {"list_id", "lead_count", "enriched_count", "previous"}}``, where
    ``previous`` holds the two counts before the change. A count that is not watched or not known is None.

    Args:
        list_id: The lead list. Exactly one of ``list_id`` and ``list_name``.
        list_name: Name of the lead list, in any letter case.
        cleanlist_conn_id: Airflow connection of type ``cleanlist``.
        interval: Time between two checks, as a timedelta or in seconds; at least 30 seconds.
        counts: Which counts to watch: ``lead_count``, ``enriched_count`` or both. By default ``lead_count`` alone.

    Raises:
        CleanlistConfigurationError: An argument is invalid; templates are not rendered here.
    """

    def __init__(
        self,
        *,
        list_id: str | None = None,
        list_name: str | None = None,
        cleanlist_conn_id: str = CleanlistHook.default_conn_name,
        interval: timedelta | float = 300.0,
        counts: Sequence[str] = ("lead_count",),
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own
        for name, value in (("list_id", list_id), ("list_name", list_name)):
            if not isinstance(value, str | None):
                raise CleanlistConfigurationError(f"{name} must be a text, not {shown(value)}.")
        self.list_id, self.list_name = given(list_id), given(list_name)
        self.cleanlist_conn_id = given(cleanlist_conn_id) or CleanlistHook.default_conn_name
        self.interval = _interval(interval)
        self.counts = _watched(counts)
        if (self.list_id is None) is (self.list_name is None):
            raise CleanlistConfigurationError(
                "CleanlistListTrigger needs exactly one of list_id and list_name."
            )
        for argument in (self.list_id, self.list_name, self.cleanlist_conn_id):
            if argument is not None and "{{" in argument:
                raise CleanlistConfigurationError(
                    f"{argument!r} is a template, and Airflow does not render the arguments of an asset watcher."
                )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments."""
        return (
            "airflow_provider_cleanlist.triggers.lead_list.CleanlistListTrigger",
            {
                "list_id": self.list_id,
                "list_name": self.list_name,
                "cleanlist_conn_id": self.cleanlist_conn_id,
                "interval": self.interval,
                "counts": list(self.counts),
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Check for ever, and yield an event whenever the counts have changed."""
        state = _StoredState(getattr(self, "asset_state_store", None), self._state_key())
        reported: dict[str, Any] | None = None  # None until the first successful check
        is_stored, failures = True, 0
        while True:
            started, event = time.monotonic(), None
            try:
                started, current = await self._check()
                if reported is None:
                    reported = await state.load()
                previous, reported = reported, current | _known(reported, current)
                is_stored = is_stored and previous == reported
                if previous is None:
                    self.log.info("Watching %s: %s.", self._target(), _counted(current))
                elif _differ(previous, reported):
                    self.log.info("Changed: %s, %s.", self._target(), _counted(current))
                    event = {SCHEME: {**reported, "previous": {name: previous.get(name) for name in COUNTS}}}
                failures = 0
            except Exception as error:  # noqa: BLE001  # nothing may end the watch
                failures += 1
                self._report(error, _pause(self.interval, failures))
            if event is not None:
                yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # Airflow's own
                await asyncio.sleep(HANDOVER_SECONDS)
            if not is_stored and reported is not None:
                is_stored = await self._store(state, reported)
            due = started + _pause(self.interval, failures)
            await asyncio.sleep(max(due - time.monotonic(), 0.0))

    async def _check(self) -> tuple[float, dict[str, Any]]:
        """Return when the counts were read, by the monotonic clock, and the list's id with its watched counts."""
        shared = shared_counts(self.cleanlist_conn_id)
        reading = await shared.latest(self.interval)
        if reading.error is not None:
            raise reading.error
        found = await shared.found(reading, self._find)
        if "enriched_count" in self.counts:
            try:
                found = await shared.with_enriched_count(reading, found)
            except errors.CleanlistError as error:
                if "lead_count" not in self.counts or found.lead_count is None:
                    raise
                self.log.warning("The enriched_count of %s is not known: %s", self._target(), error)
        current = {name: getattr(found, name) if name in self.counts else None for name in COUNTS}
        if all(value is None for value in current.values()):
            info = errors.ErrorInfo(f"count the leads of list {found.list_id}", "the response has no counts")
            raise exceptions.CleanlistUnexpectedResponseError(info)
        return reading.read_at, {"list_id": found.list_id, **current}

    def _find(self, lists: LeadLists) -> LeadList:
        found = lists.with_id(self.list_id) if self.list_id is not None else lists.named(self.list_name or "")
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(item.list_id for item in found[:10])
            raise CleanlistConfigurationError(
                f"{len(found)} lead lists have the watched name: give list_id instead, one of {ids}."
            )
        raise CleanlistConfigurationError(
            f"The API key of connection {self.cleanlist_conn_id!r} may see no such lead list: check the id or name."
        )

    def _target(self) -> str:
        return f"lead list {self.list_id or repr(redacted(self.list_name or ''))}"

    def _state_key(self) -> str:
        """Return a key of its own for each list and its counts, since an asset may have several watchers."""
        what = "\0".join((self.cleanlist_conn_id, self.list_id or "", self.list_name or "", *self.counts))
        return f"cleanlist_counts_{hashlib.sha256(what.encode()).hexdigest()[:16]}"

    def _report(self, error: Exception, pause: float) -> None:
        text = str(error) if isinstance(error, errors.CleanlistError) else f"{type(error).__name__}."
        self.log.error("Checking %s failed: %s The next check is in %.0f s.", self._target(), text, pause)

    async def _store(self, state: _StoredState, counts: Mapping[str, Any]) -> bool:
        try:
            await state.save(counts)
        except Exception as error:  # noqa: BLE001  # Airflow's API may raise anything
            kind = type(error).__name__
            self.log.warning("The counts of %s could not be stored (%s); trying again.", self._target(), kind)
            return False
        return True


class _StoredState:
    """The counts that were reported last, in the state store of the watched asset; below Airflow 3.3 nothing is kept.

    Airflow names no asset to a trigger, so with several assets on equal watchers the counts stay in memory.
    """

    def __init__(self, store: Any, key: str) -> None:
        self._store = store
        self._key = key

    async def load(self) -> dict[str, Any] | None:
        """Return the counts, or None if none are kept."""
        if self._store is None:
            return None
        try:
            value = await self._store.aget(self._key)
        except ValueError:  # several assets
            self._store = None
            return None
        return dict(value) if isinstance(value, Mapping) else None

    async def save(self, counts: Mapping[str, Any]) -> None:
        """Keep the counts."""
        if self._store is not None:
            await self._store.aset(self._key, dict(counts))


def _interval(value: timedelta | float) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else number("interval", value)
    if seconds is None or seconds < MIN_INTERVAL_SECONDS:
        raise CleanlistConfigurationError(
            f"interval must be at least {MIN_INTERVAL_SECONDS:.0f} seconds, not {shown(value)}."
        )
    return seconds


def _watched(counts: Collection[str] | str) -> tuple[str, ...]:
    chosen = [counts] if isinstance(counts, str) else counts
    if not isinstance(chosen, Collection) or not chosen or any(name not in COUNTS for name in chosen):
        raise CleanlistConfigurationError(f"counts must be some of {', '.join(COUNTS)}, not {shown(counts)}.")
    return tuple(name for name in COUNTS if name in chosen)


def _pause(interval: float, failures: int) -> float:
    """Return the seconds from one check to the next: the interval, and longer after failures in a row."""
    if not failures:
        return interval
    return max(interval, min(interval * 2.0 ** min(failures, 20), LONGEST_PAUSE_SECONDS))


def _known(earlier: Mapping[str, Any] | None, current: Mapping[str, Any]) -> dict[str, Any]:
    """Return the earlier counts of the same list that the current response does not have."""
    if earlier is None or earlier.get("list_id") != current["list_id"]:
        return {}
    return {name: earlier.get(name) for name in COUNTS if current[name] is None}


def _differ(previous: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
    """Return whether the list is another one, or a count that is known of both times has changed."""
    if previous.get("list_id") != current["list_id"]:
        return True
    pairs = [(previous.get(name), current[name]) for name in COUNTS]
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)


def _counted(counts: Mapping[str, Any]) -> str:
    words = {"lead_count": "leads", "enriched_count": "enriched"}
    return ", ".join(f"{counts[name]} {words[name]}" for name in COUNTS if counts[name] is not None)
