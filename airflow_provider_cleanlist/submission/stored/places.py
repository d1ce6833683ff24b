"""The places in which the attempts of a task kept their journals: one does not know what was submitted from another."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_provider_cleanlist.storage import local_path
from airflow_provider_cleanlist.submission.errors import JournalCorruptError, JournalMissingError
from airflow_provider_cleanlist.submission.journal import JOURNAL_VERSION, token_hash

PLACES_KEY = "cleanlist_journal_places"
_KINDS = {
    "ledger": ("a ledger", "another ledger"),
    "directory": ("the directory of [cleanlist] journal_path", "another directory"),
    "task state": ("Airflow's task state store", "Airflow's task state store"),
}
OTHER_PLACE = (
    "An earlier attempt of this task recorded what it submitted in {before}; this one would use {now}, which does not "
    "know these contacts: they would be submitted again, and billed again. Nothing was submitted in this attempt. Set "
    "the ledger ([cleanlist] ledger_conn_id and ledger_schema, or ledger_conn_id of the task) and [cleanlist] "
    "journal_path as they were, by the same names of host, database and path, and clear the task again. To submit all "
    "contacts again here, and pay again, clear it with a new force_resubmit value; if one has done that before, keep "
    "giving that value and stay here."
)


@dataclass(frozen=True, slots=True)
class JournalPlace:
    """A place of a journal.

    Attributes:
        kind: ``ledger``, ``directory`` or ``task state``.
        location: Hash of where it is; empty for the task state store, of which there is one.
    """

    kind: str
    location: str = ""

    @classmethod
    def at(cls, kind: str, location: str) -> JournalPlace:
        """Return the place of a kind at a location.

        Args:
            kind: ``ledger`` or ``directory``.
            location: Where it is, without anything secret.
        """
        return cls(kind, hashlib.blake2b(location.encode("utf-8", "replace"), digest_size=8).hexdigest())


def directory_location(journal_path: str) -> str:
    """Return what tells one directory from another, however its path is written.

    Args:
        journal_path: The configured directory.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    path = ObjectStoragePath(journal_path)
    if local := local_path(path):
        return f"file://{os.path.realpath(local)}"
    return f"{path.protocol}://{path.path}".rstrip("/")


class TaskState(Protocol):
    """The values that all attempts of a task instance share: :class:`TaskStateJournalStore`."""

    def read(self, key: str) -> Any:
        """See :class:`.stores.JournalStore`."""

    def write(self, key: str, value: dict[str, Any]) -> None:
        """See :class:`.stores.JournalStore`."""


class PlaceTrace:
    """The traces of places in which a task's attempts kept their journals: another place does not know what they paid.

    Airflow's task state store (3.3 and later) is there wherever the journal is. An attempt that is about to submit
    leaves a trace of its journal's place in it, and one that finds the trace of another place stops.

    A new ``force_resubmit`` value starts over, in any place. Without one every trace counts; with one that was used,
    those count that were left since.

    Args:
        state: The task's state.
        place: Where this attempt's journal is.
        token: The ``force_resubmit`` value; empty for none.

    Attributes:
        must_know: Whether an earlier attempt has submitted with its journal here, so that the journal must know it.

    Raises:
        JournalMissingError: An earlier attempt has submitted with its journal in another place.
        JournalCorruptError: The traces are damaged.
        JournalUnavailableError: The state cannot be read.
    """

    def __init__(self, state: TaskState, place: JournalPlace, token: str) -> None:
        self._state = state
        self._own = (place, token_hash(token))
        self._traces = _traces(state.read(PLACES_KEY))
        places = places_that_count(self._traces, self._own[1])
        self.must_know = bool(places)
        for before in places:
            if before != place:
                kind, other = _KINDS[place.kind]
                raise JournalMissingError(
                    OTHER_PLACE.format(
                        before=_KINDS[before.kind][0], now=other if before.kind == place.kind else kind
                    )
                )

    def keep(self) -> None:
        """Leave a trace of this attempt's place; its requests may leave after that.

        Raises:
            JournalUnavailableError: It cannot be written.
            JournalTakenOverError: Another attempt of the task has taken over.
        """
        if self._traces[-1:] == [self._own]:
            return
        self._traces.append(self._own)
        places = [
            {"kind": place.kind, "location": place.location, "token": token} for place, token in self._traces
        ]
        self._state.write(PLACES_KEY, {"version": JOURNAL_VERSION, "places": places})


def places_that_count(traces: list[tuple[JournalPlace, str]], token: str) -> list[JournalPlace]:
    """Return the places in which an attempt with a token has to know what was submitted. A pure decision.

    Args:
        traces: Places and hashed tokens, oldest first.
        token: The attempt's hashed token; empty for none.
    """
    since = 0
    if token:
        since = next((number for number, (_, used) in enumerate(traces) if used == token), len(traces))
    return [place for place, _ in traces[since:]]


def _traces(record: Any) -> list[tuple[JournalPlace, str]]:
    if record is None:
        return []
    try:
        if record["version"] == JOURNAL_VERSION:
            found = [
                (JournalPlace(str(entry["kind"]), str(entry["location"])), str(entry["token"]))
                for entry in record["places"]
            ]
            if all(place.kind in _KINDS for place, _ in found):
                return found
    except (KeyError, TypeError):
        pass
    raise JournalCorruptError(f"the state {PLACES_KEY} of the task is not readable")
